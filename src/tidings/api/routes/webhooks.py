"""`/api/v1/webhooks`: subscriptions."""

from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET

from tidings.api.http.paging import Limit, Offset, Paging, paging
from tidings.api.routes import statistics, webhook_secrets, webhook_tests, webhook_versions
from tidings.api.routes.deliveries import DeliveryView, delivery_views
from tidings.api.routes.webhook_shapes import WebhookChange, WebhookView, changed, drafted, view
from tidings.api.search import Asked, asked_of_deliveries, find_deliveries
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.webhook import Subscription, Webhook, check_url
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.sources import tables
from tidings.store import queue, webhooks
from tidings.store.database import Connection

WebhookBody = JSONBody[WebhookChange]
After = Annotated[UUID | None, QueryParameter(name="cursor", description="The id of the last webhook of the page before.")]
W = TypeVar("W", bound=Subscription)


@post("/", status_code=201)
async def create_webhook(services: NamedDependency[Services], data: WebhookBody) -> WebhookView:
    """Create a webhook, and put triggers on the tables it names, in one transaction."""
    webhook, states = await create(services, data)
    return view(webhook, states, secret=webhook.secret)


async def create(services: Services, change: WebhookChange) -> tuple[Webhook, list[tables.TableState]]:
    """Create a webhook, and return it with the state of its tables.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    if change.url is not UNSET:
        await check_webhook_url(services, change.url)
    profile, now = services.config.default_profile, services.clock.now()
    webhook = drafted(change, group_id=services.group_id, default_profile=profile, now=now)
    async with services.database.transaction() as connection:
        webhook = await _with_tables(connection, webhook)
        await tables.keep_in_step(connection, needed_by=webhook)
        states = await tables.table_states(connection, webhook)
        await webhooks.insert_webhook(connection, services.box, webhook)
    return webhook, states


@get("/")
async def list_webhooks(
    services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0, cursor: After = None
) -> list[WebhookView]:
    """List webhooks, newest first."""
    if cursor is not None and offset:
        raise InvalidInputError("offset", "offset does not go with a cursor, which knows its place; leave one out.")
    async with services.database.connection() as connection:
        if cursor is not None:
            there(
                await webhooks.get_webhook(connection, services.group_id, cursor),
                f"There is no webhook {cursor} to go on from.",
            )
        page = await webhooks.list_webhooks(connection, services.group_id, limit=limit, offset=offset, after=cursor)
    return [view(webhook) for webhook in page]


@get("/{webhook_id:str}")
async def get_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> WebhookView:
    """Read a webhook, with the state of each table it names."""
    async with services.database.connection() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        return view(webhook, await tables.table_states(connection, webhook))


@patch("/{webhook_id:str}")
async def change_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID], data: WebhookBody) -> WebhookView:
    """Change what the body names; the rest stays."""
    return view(*await change(services, webhook_id, data), message="Webhook updated successfully")


@put("/{webhook_id:str}")
async def put_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID], data: WebhookBody) -> WebhookView:
    """The same as PATCH, for clients that say PUT: what the body does not name stays."""
    return view(*await change(services, webhook_id, data), message="Webhook updated successfully")


async def change(services: Services, webhook_id: UUID, wanted: WebhookChange) -> tuple[Subscription, list[tables.TableState]]:
    """Change a webhook, and return it with the state of its tables.

    Raises:
        ConflictError: It is changed elsewhere, or nothing here can read it.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is none.
    """
    if wanted.url is not UNSET:
        await check_webhook_url(services, wanted.url)  # asks DNS, so not while a row is locked
    async with services.database.transaction() as connection:
        before = _own(found(await webhooks.lock_webhook(connection, services.box, services.group_id, webhook_id), webhook_id))
        webhook = changed(before, wanted)
        if wanted.events is not UNSET:
            webhook = await _with_tables(connection, webhook)
        webhook = msgspec.structs.replace(webhook, updated_at=services.clock.now())
        await tables.keep_in_step(connection, needed_by=webhook, was=before)
        states = await tables.table_states(connection, webhook)
        await queue.announce(connection)
        return await webhooks.update_webhook(connection, services.box, webhook, was=before), states


@delete("/{webhook_id:str}", status_code=200)
async def delete_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> dict[str, Any]:
    """Delete a webhook. Its unfinished deliveries are cancelled; its history stays until retention ends."""
    await remove(services, webhook_id)
    return {"message": "Webhook deleted successfully", "success": True}


async def remove(services: Services, webhook_id: UUID) -> None:
    """Delete a webhook.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        webhook = _own(found(await webhooks.lock_webhook(connection, services.box, services.group_id, webhook_id), webhook_id))
        await tables.keep_in_step(connection, was=webhook)
        await queue.cancel_of_webhook(connection, webhook_id)
        await webhooks.delete_webhook(connection, webhook_id)


@get(
    "/{webhook_id:str}/deliveries",
    dependencies={
        "asked": Provide(asked_of_deliveries, sync_to_thread=False),
        "paging": Provide(paging, sync_to_thread=False),
    },
)
async def list_webhook_deliveries(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    asked: NamedDependency[Asked],
    paging: NamedDependency[Paging],
    request: Request[Any, Any, Any],
) -> Response[list[DeliveryView]]:
    """List a webhook's deliveries, newest first, as `/api/v1/deliveries` does."""
    async with services.database.snapshot() as connection:
        found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        result = await find_deliveries(services, connection, asked.of_webhook(webhook_id), paging)
        return result.answer(request, await delivery_views(services, connection, result.page.ids))


def _own(webhook: W) -> W:
    """Refuse to change what follows from something else."""
    if webhook.managed_by is not None:
        kind = webhook.managed_by.partition(":")[0]
        where = "the triggers in the collection's options" if kind == "collection" else "the job itself"
        raise ConflictError(f"This webhook belongs to a {kind}. Change {where} instead.", managed_by=webhook.managed_by)
    return webhook


async def check_webhook_url(services: Services, url: str) -> None:
    """Refuse a URL that may not be called as its name resolves now."""
    check_url(url, allow_http=services.config.accepts_http)
    if (refusal := await services.sender.refusal(url)) is not None:
        raise InvalidInputError("url", refusal)


async def _with_tables(connection: Connection, webhook: W) -> W:
    return msgspec.structs.replace(webhook, events=await tables.resolve_filters(connection, webhook.events, webhook.group_id))


router = Router(
    "/api/v1/webhooks",
    route_handlers=[
        create_webhook,
        list_webhooks,
        get_webhook,
        change_webhook,
        put_webhook,
        delete_webhook,
        list_webhook_deliveries,
        statistics.get_webhook_statistics,
        webhook_tests.send_test,
        webhook_secrets.read_secret,
        webhook_secrets.rotate_secret,
        webhook_versions.list_versions,
    ],
    tags=["Webhooks"],
)
