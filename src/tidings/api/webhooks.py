"""`/api/v1/webhooks`: subscriptions."""

import asyncio
import secrets
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.access import DEFAULT_GROUP
from tidings.api.deliveries import DeliveryView, delivery_view
from tidings.api.paging import Cursor, Limit, Offset
from tidings.api.services import Services
from tidings.core.errors import ConflictError, InvalidInputError, NotFoundError
from tidings.core.event import TEST_TYPE, Event, delivery_id, milliseconds, uuid7
from tidings.core.retry import parse_policy
from tidings.core.signature import new_secret, secret_key
from tidings.core.webhook import Webhook, check_headers, check_settings, check_url, parse_filter
from tidings.profiles import PROFILES
from tidings.sources import tables
from tidings.sources.tables import TableState
from tidings.store import history, outbox, queue, webhooks
from tidings.store.database import Connection

TEST_POLL_INTERVAL = 0.05  # seconds between looks at a test's delivery
TEST_MARGIN_SECONDS = 5.0  # beyond the webhook's own timeout, for a worker to take it up


class WebhookChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a webhook. To create: `url` and `events` at least. To change: only what changes."""

    name: str | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    url: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    events: list[Any] | UnsetType = UNSET
    secret: str | None | UnsetType = UNSET
    method: str | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    timeout_seconds: float | UnsetType = UNSET
    retry: Any | UnsetType = UNSET
    concurrency: int | UnsetType = UNSET
    rate_per_second: float | None | UnsetType = UNSET
    ordered: bool | UnsetType = UNSET


class WebhookView(msgspec.Struct, frozen=True):
    """A webhook as read. `secret` is in the answer to its creation only."""

    id: UUID
    name: str
    description: str | None
    url: str
    enabled: bool
    disabled_reason: str | None
    profile: str
    events: list[Any]
    method: str
    headers: dict[str, str]
    timeout_seconds: float
    retry: Any
    concurrency: int
    rate_per_second: float | None
    ordered: bool
    created_at: datetime
    updated_at: datetime
    tables: list[TableState] | UnsetType = UNSET
    secret: str | UnsetType = UNSET


class TestResult(msgspec.Struct, frozen=True):
    """What came of a test delivery. `success` is null while no worker has made the attempt."""

    success: bool | None
    message: str
    event_id: UUID
    delivery_id: UUID
    status_code: int | None = None
    response_body: str | None = None
    error: str | None = None


def view(webhook: Webhook, states: list[TableState] | UnsetType = UNSET, *, with_secret: bool = False) -> WebhookView:
    """Return a webhook as the API shows it."""
    return WebhookView(
        id=webhook.id,
        name=webhook.name,
        description=webhook.description,
        url=webhook.url,
        enabled=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        profile=webhook.profile,
        events=[webhooks.filter_to_json(wanted) for wanted in webhook.events],
        method=webhook.method,
        headers=webhook.headers,
        timeout_seconds=webhook.timeout_seconds,
        retry=msgspec.to_builtins(webhook.retry),
        concurrency=webhook.concurrency,
        rate_per_second=webhook.rate_per_second,
        ordered=webhook.ordered,
        created_at=webhook.created_at,
        updated_at=webhook.updated_at,
        tables=states,
        secret=webhook.secret if with_secret else UNSET,
    )


WebhookBody = JSONBody[WebhookChange]


@post("/", status_code=201)
async def create_webhook(services: NamedDependency[Services], data: WebhookBody) -> WebhookView:
    """Create a webhook, and put triggers on the tables it names, in one transaction."""
    if data.url is UNSET:
        raise InvalidInputError("url", "url is required.")
    if data.events is UNSET:
        raise InvalidInputError("events", 'events is required; "*" stands for all.')
    await _check_url(services, data.url)
    now = services.clock.now()
    draft = Webhook(
        id=uuid4(),
        group_id=DEFAULT_GROUP,
        name=urlsplit(data.url).hostname or data.url,
        url=data.url,
        secret=new_secret(secrets.token_bytes(32)),
        created_at=now,
        updated_at=now,
    )
    webhook = changed(draft, data)
    async with services.database.transaction() as connection:
        webhook = await _with_tables(connection, webhook)
        await webhooks.insert_webhook(connection, services.box, webhook)
        await tables.keep_in_step(connection, services.box, needed_by=webhook)
        states = await tables.table_states(connection, webhook)
    return view(webhook, states, with_secret=True)


@get("/")
async def list_webhooks(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[WebhookView]:
    """List webhooks, newest first."""
    async with services.database.connection() as connection:
        found = await webhooks.list_webhooks(connection, services.box, DEFAULT_GROUP, limit=limit, offset=offset)
    return [view(webhook) for webhook in found]


@get("/{webhook_id:uuid}")
async def get_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> WebhookView:
    """Read a webhook, with the state of each table it names."""
    async with services.database.connection() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.box, DEFAULT_GROUP, webhook_id), webhook_id)
        return view(webhook, await tables.table_states(connection, webhook))


@patch("/{webhook_id:uuid}")
async def change_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID], data: WebhookBody) -> WebhookView:
    """Change what the body names; the rest stays."""
    if data.profile is not UNSET:
        raise InvalidInputError("profile", "profile cannot be changed; create another webhook with that profile.")
    if data.url is not UNSET:
        await _check_url(services, data.url)  # asks DNS, so not while a row is locked
    async with services.database.transaction() as connection:
        before = found(await webhooks.lock_webhook(connection, services.box, DEFAULT_GROUP, webhook_id), webhook_id)
        webhook = changed(before, data)
        if data.events is not UNSET:
            webhook = await _with_tables(connection, webhook)
        if webhook.enabled:
            webhook = msgspec.structs.replace(webhook, disabled_reason=None)
        webhook = msgspec.structs.replace(webhook, updated_at=services.clock.now())
        await webhooks.update_webhook(connection, services.box, webhook)
        await tables.keep_in_step(connection, services.box, needed_by=webhook)
        await queue.announce(connection)
        return view(webhook, await tables.table_states(connection, webhook))


@delete("/{webhook_id:uuid}", status_code=200)
async def delete_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> dict[str, Any]:
    """Delete a webhook. Its unfinished deliveries are cancelled; its history stays until retention ends."""
    async with services.database.transaction() as connection:
        found(await webhooks.lock_webhook(connection, services.box, DEFAULT_GROUP, webhook_id), webhook_id)
        await queue.cancel_of_webhook(connection, webhook_id)
        await webhooks.delete_webhook(connection, webhook_id)
        await tables.keep_in_step(connection, services.box)
    return {"message": "Webhook deleted successfully", "success": True}


@get("/{webhook_id:uuid}/deliveries")
async def list_webhook_deliveries(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: Cursor = None,
    status: Annotated[str | None, QueryParameter(description="Only deliveries in this state.")] = None,
) -> list[DeliveryView]:
    """List a webhook's deliveries, newest first."""
    async with services.database.connection() as connection:
        found(await webhooks.get_webhook(connection, services.box, DEFAULT_GROUP, webhook_id), webhook_id)
        rows = await history.list_deliveries(
            connection, DEFAULT_GROUP, webhook_id=webhook_id, status=status, before=cursor, limit=limit, offset=offset
        )
    return [delivery_view(row) for row in rows]


@post("/{webhook_id:uuid}/test", status_code=200)
async def test_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> TestResult:
    """Send a test event the way every event goes, and wait for what comes of it. It is tried once."""
    now = services.clock.now()
    event = Event(
        id=uuid7(milliseconds(now), secrets.randbits(74)),
        group_id=DEFAULT_GROUP,
        source="publish",
        type=TEST_TYPE,
        operation=None,
        subject=None,
        table_schema=None,
        table_name=None,
        record='{"test":true}',
        old_record=None,
        occurred_at=now,
        webhook_id=webhook_id,
    )
    async with services.database.transaction() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.box, DEFAULT_GROUP, webhook_id), webhook_id)
        if not webhook.enabled:
            raise ConflictError("The webhook is disabled, and so sends nothing. Enable it, then test it.")
        await outbox.publish(connection, event)
    return await _result_of_test(services, webhook, event.id)


async def _result_of_test(services: Services, webhook: Webhook, event_id: UUID) -> TestResult:
    delivery = delivery_id(event_id, webhook.id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + webhook.timeout_seconds + TEST_MARGIN_SECONDS
    while loop.time() < deadline:
        async with services.database.connection() as connection:
            attempts = await history.list_attempts(connection, delivery)
        if attempts:
            made = attempts[0]
            success = made["failure"] is None and 200 <= (made["response_status"] or 0) < 300
            message = "Test webhook sent successfully" if success else f"The test failed: {made['error']}"
            return TestResult(
                success, message, event_id, delivery, made["response_status"], made["response_body"], made["error"]
            )
        await asyncio.sleep(TEST_POLL_INTERVAL)
    return TestResult(None, "No worker has made the attempt yet; look at the delivery later.", event_id, delivery)


def changed(webhook: Webhook, change: WebhookChange) -> Webhook:
    """Return the webhook with a change applied and checked.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    given = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not UNSET}
    if "events" in given:
        given["events"] = tuple(parse_filter(item, position) for position, item in enumerate(given["events"]))
    if "retry" in given:
        given["retry"] = parse_policy(given["retry"])
    if given.get("secret", "") is None:
        del given["secret"]  # null: keep the secret there is, or the one just made
    elif "secret" in given:
        secret_key(given["secret"])
    if "headers" in given:
        check_headers(given["headers"])
    if given.get("profile", "standard") not in PROFILES:
        raise InvalidInputError("profile", f"profile is {given['profile']!r}; write one of {', '.join(PROFILES)}.")
    changed_webhook: Webhook = msgspec.structs.replace(webhook, **given)
    check_settings(changed_webhook)
    return changed_webhook


async def _check_url(services: Services, url: str) -> None:
    """Refuse a URL that may not be called as its name resolves now."""
    check_url(url, allow_http=services.config.accepts_http)
    if (refusal := await services.sender.refusal(url)) is not None:
        raise InvalidInputError("url", refusal)


async def _with_tables(connection: Connection, webhook: Webhook) -> Webhook:
    return msgspec.structs.replace(webhook, events=await tables.resolve_filters(connection, webhook.events))


def found(webhook: Webhook | None, webhook_id: UUID) -> Webhook:
    """Return the webhook.

    Raises:
        NotFoundError: There is none.
    """
    if webhook is None:
        raise NotFoundError(f"There is no webhook {webhook_id}.")
    return webhook


router = Router(
    "/api/v1/webhooks",
    route_handlers=[
        create_webhook,
        list_webhooks,
        get_webhook,
        change_webhook,
        delete_webhook,
        list_webhook_deliveries,
        test_webhook,
    ],
    tags=["Webhooks"],
)
