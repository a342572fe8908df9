"""`/api/v1/deliveries`: what became of each event for each webhook."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.paging import Cursor, Limit, Offset
from tidings.api.services import Services
from tidings.core.delivery import State, Step, may
from tidings.core.errors import ConflictError, NotFoundError, RenderError
from tidings.core.event import Event
from tidings.core.webhook import Webhook
from tidings.profiles import prepare
from tidings.profiles.parts import current, text_member
from tidings.profiles.template import is_plain_text
from tidings.store import history, queue, webhooks
from tidings.store.database import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DeliveryView(msgspec.Struct, frozen=True):
    """A delivery as read. `created_at` is its event's time, to the millisecond.

    `payload` is the body as it is sent; null once the event or the webhook is gone. Seed 004's clients know some fields by
    other names: `event_type`, `attempt`, `attempt_number`, `status_code`, `http_status_code`, `response_code` and
    `error_message` repeat `event`, `attempts`, `response_status` and `error`.
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


async def delivery_views(services: Services, connection: Connection, rows: Sequence[Any]) -> list[DeliveryView]:
    """Return rows of deliveries as the API shows them, with what their events and webhooks add."""
    return [
        _delivery_view(row, *around, services)
        for row, around in zip(rows, await surroundings(services, connection, rows), strict=True)
    ]


async def surroundings(
    services: Services, connection: Connection, rows: Sequence[Any]
) -> list[tuple[Event | None, Webhook | None, str | None]]:
    """Return for each row of a delivery its event and its webhook, where they are still there, and what was answered last."""
    if not rows:
        return []
    events = {event.id: event for event in await history.events_by_id(connection, [row["event_id"] for row in rows])}
    wanted = list({row["webhook_id"] for row in rows})
    known = {webhook.id: webhook for webhook in await webhooks.webhooks_by_id(connection, services.box, wanted)}
    bodies = await history.last_response_bodies(connection, [row["id"] for row in rows])
    return [(events.get(row["event_id"]), known.get(row["webhook_id"]), bodies.get(row["id"])) for row in rows]


def _delivery_view(
    row: Any, event: Event | None, webhook: Webhook | None, response_body: str | None, services: Services
) -> DeliveryView:
    is_delivered = row["status"] == State.SUCCEEDED
    attempts, status, error = row["attempt_count"], row["last_status"], row["last_error"]
    return DeliveryView(
        id=row["id"],
        webhook_id=row["webhook_id"],
        event_id=row["event_id"],
        event=row["event_type"],
        event_type=row["event_type"],
        table_name=event.table_name if event is not None else None,
        record_id=record_id(event),
        status=row["status"],
        attempts=attempts,
        attempt=attempts,
        attempt_number=attempts,
        response_status=status,
        status_code=status,
        http_status_code=status,
        response_code=status,
        response_body=response_body,
        error=error,
        error_message=error,
        payload=_payload(event, webhook, services),
        is_test=row["is_test"],
        created_at=id_time(row["id"]),
        delivered_at=row["finished_at"] if is_delivered else None,
        finished_at=row["finished_at"],
        next_retry_at=row["next_retry_at"],
    )


def id_time(delivery_id: UUID) -> datetime:
    """Return the time in an id, to the millisecond: when the event happened."""
    return _EPOCH + timedelta(milliseconds=delivery_id.int >> 80)


def record_id(event: Event | None) -> str | None:
    """Return the id of the row an event is about, when it has one."""
    if event is None or event.operation is None:
        return None
    try:
        return text_member(current(event), "id", "_id")
    except RenderError:
        return None


def _payload(event: Event | None, webhook: Webhook | None, services: Services) -> msgspec.Raw | None:
    """Return the body of a delivery, which is the same at every attempt: as JSON, or in a string when it is another text."""
    if event is None or webhook is None:
        return None
    try:
        body = prepare(webhook, services.keys.current).body(event)
    except RenderError:
        return None
    if not body:
        return None
    is_text = webhook.body_template is not None and is_plain_text(webhook.headers)
    return msgspec.Raw(msgspec.json.encode(body.decode()) if is_text else body)


@get("/")
async def list_deliveries(
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: Cursor = None,
    status: Annotated[str | None, QueryParameter(description="Only deliveries in this state.")] = None,
    webhook_id: Annotated[UUID | None, QueryParameter(description="Only deliveries to this webhook.")] = None,
    event_id: Annotated[UUID | None, QueryParameter(description="Only deliveries of this event.")] = None,
) -> list[DeliveryView]:
    """List deliveries, unfinished and finished, newest first."""
    async with services.database.connection() as connection:
        rows = await history.list_deliveries(
            connection,
            services.group_id,
            webhook_id=webhook_id,
            status=status,
            event_id=event_id,
            before=cursor,
            limit=limit,
            offset=offset,
        )
        return await delivery_views(services, connection, rows)


@get("/{delivery_id:uuid}")
async def get_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Read a delivery."""
    async with services.database.connection() as connection:
        return (await delivery_views(services, connection, [await _found(services, connection, delivery_id)]))[0]


@get("/{delivery_id:uuid}/attempts")
async def list_attempts(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> list[AttemptView]:
    """List a delivery's attempts, oldest first."""
    async with services.database.connection() as connection:
        await _found(services, connection, delivery_id)
        rows = await history.list_attempts(connection, delivery_id)
    return [_attempt_view(row) for row in rows]


@post("/{delivery_id:uuid}/retry", status_code=202)
async def retry_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Send a delivery again, with the same id: a finished one anew, a waiting one at once."""
    async with services.database.transaction() as connection:
        row = await _found(services, connection, delivery_id)
        webhook = await webhooks.get_webhook(connection, services.box, services.group_id, row["webhook_id"])
        if webhook is None:
            raise ConflictError("The webhook of this delivery was deleted; there is nowhere to send it.")
        if not webhook.enabled:
            raise ConflictError("The webhook of this delivery is disabled. Enable it, then send again.")
        state = State(row["status"])
        if may(state, Step.RESENT):
            await queue.send_again(connection, [delivery_id])
        elif not await queue.send_again_now(connection, delivery_id):
            raise ConflictError(f"The delivery is {state}; it cannot be sent again now.")
        return (await delivery_views(services, connection, [await _found(services, connection, delivery_id)]))[0]


async def _found(services: Services, connection: Connection, delivery_id: UUID) -> Any:
    row = await history.get_delivery(connection, services.group_id, delivery_id)
    if row is None:
        raise NotFoundError(f"There is no delivery {delivery_id}; history is kept for the days of retention.")
    return row


def _attempt_view(row: Any) -> AttemptView:
    headers = msgspec.json.decode(row["response_headers"]) if row["response_headers"] else []
    fields = {name: row[name] for name in AttemptView.__struct_fields__ if name != "response_headers"}
    return AttemptView(**fields, response_headers=headers)


router = Router(
    "/api/v1/deliveries",
    route_handlers=[list_deliveries, get_delivery, list_attempts, retry_delivery],
    tags=["Deliveries"],
)
