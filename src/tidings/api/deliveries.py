"""`/api/v1/deliveries`: what became of each event for each webhook."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.access import DEFAULT_GROUP
from tidings.api.paging import Cursor, Limit, Offset
from tidings.api.services import Services
from tidings.core.delivery import State, Step, may
from tidings.core.errors import ConflictError, NotFoundError
from tidings.store import history, queue, webhooks
from tidings.store.database import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DeliveryView(msgspec.Struct, frozen=True):
    """A delivery as read. `created_at` is its event's time, to the millisecond."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event: str
    status: str
    attempts: int
    response_status: int | None
    error: str | None
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


def delivery_view(row: Any) -> DeliveryView:
    """Return a delivery's row as the API shows it."""
    is_delivered = row["status"] == State.SUCCEEDED
    return DeliveryView(
        id=row["id"],
        webhook_id=row["webhook_id"],
        event_id=row["event_id"],
        event=row["event_type"],
        status=row["status"],
        attempts=row["attempt_count"],
        response_status=row["last_status"],
        error=row["last_error"],
        is_test=row["is_test"],
        created_at=_EPOCH + timedelta(milliseconds=row["id"].int >> 80),
        delivered_at=row["finished_at"] if is_delivered else None,
        finished_at=row["finished_at"],
        next_retry_at=row["next_retry_at"],
    )


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
            DEFAULT_GROUP,
            webhook_id=webhook_id,
            status=status,
            event_id=event_id,
            before=cursor,
            limit=limit,
            offset=offset,
        )
    return [delivery_view(row) for row in rows]


@get("/{delivery_id:uuid}")
async def get_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Read a delivery."""
    async with services.database.connection() as connection:
        return delivery_view(await _found(connection, delivery_id))


@get("/{delivery_id:uuid}/attempts")
async def list_attempts(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> list[AttemptView]:
    """List a delivery's attempts, oldest first."""
    async with services.database.connection() as connection:
        await _found(connection, delivery_id)
        rows = await history.list_attempts(connection, delivery_id)
    return [_attempt_view(row) for row in rows]


@post("/{delivery_id:uuid}/retry", status_code=202)
async def retry_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Send a delivery again, with the same id: a finished one anew, a waiting one at once."""
    async with services.database.transaction() as connection:
        row = await _found(connection, delivery_id)
        webhook = await webhooks.get_webhook(connection, services.box, DEFAULT_GROUP, row["webhook_id"])
        if webhook is None:
            raise ConflictError("The webhook of this delivery was deleted; there is nowhere to send it.")
        if not webhook.enabled:
            raise ConflictError("The webhook of this delivery is disabled. Enable it, then send again.")
        state = State(row["status"])
        if may(state, Step.RESENT):
            await queue.send_again(connection, [delivery_id])
        elif not await queue.send_again_now(connection, delivery_id):
            raise ConflictError(f"The delivery is {state}; it cannot be sent again now.")
        return delivery_view(await _found(connection, delivery_id))


async def _found(connection: Connection, delivery_id: UUID) -> Any:
    row = await history.get_delivery(connection, DEFAULT_GROUP, delivery_id)
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
