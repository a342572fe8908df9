"""`/api/v1/deliveries`: what became of each event for each webhook."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from tidings.api.http.paging import Paging, paging
from tidings.api.search import Asked, WebhookId, asked_of_deliveries, find_deliveries
from tidings.api.sent import SentRequest, sent_requests
from tidings.core.delivery import State, Step, may
from tidings.core.errors import ConflictError, InvalidInputError, RenderError
from tidings.core.event import Event, row_id
from tidings.core.search import id_time
from tidings.core.webhook import Subscription, Webhook
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.profiles import prepare
from tidings.profiles.parts import current
from tidings.profiles.template import is_plain_text
from tidings.store import history, queue, search, webhook_versions, webhooks
from tidings.store.database import Connection

MAX_PAYLOADS = 8_388_608  # bytes of payloads in one answer; those of further deliveries are read one by one

_GONE = "There is no delivery {}; history is kept for the days of retention."


class DeliveryView(msgspec.Struct, frozen=True):
    """A delivery as read. `created_at` is its event's time, to the millisecond.

    What is said of a response is of the last attempt that has a result. `payload` is the body as it is sent; null once the
    webhook is gone, or while it is set aside. Seed 004's clients know some fields by other names: `event_type`, `attempt`,
    `attempt_number`, `status_code`, `http_status_code`, `response_code` and `error_message` repeat `event`, `attempts`,
    `response_status` and `error`.
    """

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event: str
    event_type: str
    table_name: str | None
    record_id: str | None
    status: str
    attempts: int
    attempt: int
    attempt_number: int
    response_status: int | None
    status_code: int | None
    http_status_code: int | None
    response_code: int | None
    response_body: str | None
    failure: str | None
    error: str | None
    error_message: str | None
    payload: msgspec.Raw | None
    is_test: bool
    created_at: datetime
    delivered_at: datetime | None
    finished_at: datetime | None
    next_retry_at: datetime | None


class AttemptView(msgspec.Struct, frozen=True):
    """One attempt as read. Times in milliseconds; null where a phase was not reached or not needed."""

    number: int
    started_at: datetime
    response_status: int | None
    response_headers: list[tuple[str, str]]
    response_body: str | None
    is_truncated: bool
    failure: str | None
    error: str | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    total_ms: float | None
    webhook_version: int | None
    request: SentRequest | None


class Around(msgspec.Struct, frozen=True):
    """A row of a delivery with its event, and its webhook: as of the last attempt that has a result, or as it is now.

    Attributes:
        webhook: None when it is gone; without secrets when it cannot be read.
    """

    row: Any
    event: Event
    webhook: Subscription | None


async def delivery_views(services: Services, connection: Connection, ids: Sequence[UUID]) -> list[DeliveryView]:
    """Return deliveries as the API shows them, with what their events and webhooks add; those that are gone are left out."""
    views, room = [], MAX_PAYLOADS
    for found in await deliveries_around(services, connection, ids):
        payload = _payload(found, services)
        room -= len(payload or b"")
        views.append(_delivery_view(found, msgspec.Raw(payload) if payload is not None and room >= 0 else None))
    return views


async def deliveries_around(services: Services, connection: Connection, ids: Sequence[UUID]) -> list[Around]:
    """Return deliveries of the group, in the order of the ids; those that are gone are left out."""
    rows = await search.deliveries(connection, services.group_id, ids)
    if not rows:
        return []
    events = {event.id: event for event in await history.events_by_id(connection, list({row["event_id"] for row in rows}))}
    made_with = {(row["webhook_id"], row["webhook_version"]) for row in rows if row["webhook_version"] is not None}
    then = await webhook_versions.versions_of(connection, services.box, made_with) if made_with else {}
    wanted = list({row["webhook_id"] for row in rows if (row["webhook_id"], row["webhook_version"]) not in then})
    now = {w.id: w for w in await webhooks.webhooks_by_id(connection, services.box, wanted)} if wanted else {}
    found = []
    for row in rows:
        webhook = then.get((row["webhook_id"], row["webhook_version"])) or now.get(row["webhook_id"])
        if row["event_id"] in events:
            found.append(Around(row, events[row["event_id"]], webhook))
    return found


def _delivery_view(found: Around, payload: msgspec.Raw | None) -> DeliveryView:
    row, event = found.row, found.event
    attempts, status, error = row["attempt_count"], row["last_status"], row["last_error"]
    return DeliveryView(
        id=row["id"],
        webhook_id=row["webhook_id"],
        event_id=row["event_id"],
        event=event.type,
        event_type=event.type,
        table_name=event.table_name,
        record_id=record_id(event),
        status=row["status"],
        attempts=attempts,
        attempt=attempts,
        attempt_number=attempts,
        response_status=status,
        status_code=status,
        http_status_code=status,
        response_code=status,
        response_body=row["response_body"],
        failure=row["failure"],
        error=error,
        error_message=error,
        payload=payload,
        is_test=row["is_test"],
        created_at=id_time(row["id"]),
        delivered_at=row["finished_at"] if row["status"] == State.SUCCEEDED else None,
        finished_at=row["finished_at"],
        next_retry_at=row["next_retry_at"],
    )


def record_id(event: Event) -> str | None:
    """Return the id of the row an event is about, when it has one."""
    return None if event.operation is None else row_id(current(event))


def _payload(found: Around, services: Services) -> bytes | None:
    """Return the body of a delivery, as its last attempt sent it or the next one will; in a JSON string when it is no JSON."""
    webhook = found.webhook
    if not isinstance(webhook, Webhook):
        return None
    try:
        body = prepare(webhook, services.keys.current).body(found.event)
    except (RenderError, InvalidInputError):
        return None
    is_text = webhook.body_template is not None and is_plain_text(webhook.headers)
    return msgspec.json.encode(body.decode()) if is_text else body or None


@get("/", dependencies={"asked": Provide(asked_of_deliveries, sync_to_thread=False)})
async def list_deliveries(
    services: NamedDependency[Services],
    asked: NamedDependency[Asked],
    paging: NamedDependency[Paging],
    request: Request[Any, Any, Any],
    webhook_id: WebhookId = None,
) -> Response[list[DeliveryView]]:
    """List deliveries, unfinished and finished, newest first. Headers tell where to go on (`Link`, `Tidings-Next`,
    `Tidings-Prev`), and how far was looked where that was not far enough to fill the page (`Tidings-Searched-To`).
    """
    async with services.database.snapshot() as connection:
        result = await find_deliveries(services, connection, asked.of_webhook(webhook_id), paging)
        return result.answer(request, await delivery_views(services, connection, result.page.ids))


@get("/{delivery_id:uuid}")
async def get_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Read a delivery."""
    async with services.database.connection() as connection:
        return await _view(services, connection, delivery_id)


@get("/{delivery_id:uuid}/attempts")
async def list_attempts(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> list[AttemptView]:
    """List a delivery's attempts, oldest first, each with its request as it was sent."""
    async with services.database.snapshot() as connection:
        row = await _found(services, connection, delivery_id)
        attempts = await search.attempts(connection, delivery_id)
        return await _attempt_views(services, connection, row, attempts)


@get("/{delivery_id:uuid}/attempts/{number:int}")
async def get_attempt(services: NamedDependency[Services], delivery_id: FromPath[UUID], number: FromPath[int]) -> AttemptView:
    """Read one attempt, with its request as it was sent."""
    async with services.database.snapshot() as connection:
        row = await _found(services, connection, delivery_id)
        attempts = [attempt for attempt in await search.attempts(connection, delivery_id) if attempt["number"] == number]
        views = await _attempt_views(services, connection, row, attempts)
        return there(next(iter(views), None), f"Delivery {delivery_id} has no attempt {number} that is recorded.")


async def _attempt_views(services: Services, connection: Connection, row: Any, attempts: Sequence[Any]) -> list[AttemptView]:
    requests = await sent_requests(services, connection, row["webhook_id"], row["event_id"], attempts)
    return [_attempt_view(attempt, request) for attempt, request in zip(attempts, requests, strict=True)]


@post("/{delivery_id:uuid}/retry", status_code=202)
async def retry_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Send a delivery again, with the same id: a finished one anew, a waiting one at once."""
    async with services.database.transaction() as connection:
        row = await _found(services, connection, delivery_id)
        webhook = await webhooks.get_webhook(connection, services.group_id, row["webhook_id"])
        if webhook is None:
            raise ConflictError("The webhook of this delivery was deleted; there is nowhere to send it.")
        if not webhook.enabled:
            raise ConflictError("The webhook of this delivery is disabled. Enable it, then send again.")
        state = State(row["status"])
        if may(state, Step.RESENT):
            await queue.send_again(connection, [delivery_id])
        elif not await queue.send_again_now(connection, delivery_id):
            raise ConflictError(f"The delivery is {state}; it cannot be sent again now.")
        return await _view(services, connection, delivery_id)


async def _view(services: Services, connection: Connection, delivery_id: UUID) -> DeliveryView:
    views = await delivery_views(services, connection, [delivery_id])
    return there(next(iter(views), None), _GONE.format(delivery_id))


async def _found(services: Services, connection: Connection, delivery_id: UUID) -> Any:
    rows = await search.deliveries(connection, services.group_id, [delivery_id])
    return there(next(iter(rows), None), _GONE.format(delivery_id))


def _attempt_view(row: Any, request: SentRequest | None) -> AttemptView:
    headers = msgspec.json.decode(row["response_headers"]) if row["response_headers"] else []
    fields = {name: row[name] for name in AttemptView.__struct_fields__ if name not in {"response_headers", "request"}}
    return AttemptView(**fields, response_headers=headers, request=request)


router = Router(
    "/api/v1/deliveries",
    route_handlers=[list_deliveries, get_delivery, list_attempts, get_attempt, retry_delivery],
    dependencies={"paging": Provide(paging, sync_to_thread=False)},
    tags=["Deliveries"],
)
