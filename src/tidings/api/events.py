"""`/api/v1/events`: publishing, and reading what happened."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tidings.api.access import DEFAULT_GROUP
from tidings.api.paging import Cursor, Limit, Offset
from tidings.api.services import Services
from tidings.core.errors import InvalidInputError, NotFoundError
from tidings.sources.publish import Published, publish
from tidings.store import history


class NewEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event to publish.

    Attributes:
        type: A dotted name, such as `order.paid`.
        data: Any JSON. It is kept and sent with the digits it came with.
        subject: What the event is about, for people and searches.
        id: Your own id of the fact. Publishing it again sends nothing again.
    """

    type: str
    data: Any
    subject: str | None = None
    id: str | None = None


class _RawData(msgspec.Struct, frozen=True):
    """The data of a new event as the text it came as: reading it as numbers would lose digits."""

    data: msgspec.Raw


class EventView(msgspec.Struct, frozen=True):
    """An event as read. `record` and `old_record` are as they were committed."""

    id: UUID
    source: str
    type: str
    operation: str | None
    subject: str | None
    schema: str | None
    table: str | None
    record: msgspec.Raw
    old_record: msgspec.Raw
    occurred_at: datetime
    external_id: str | None
    capture_error: str | None
    delivery_count: int


@post("/", status_code=202)
async def publish_event(
    services: NamedDependency[Services], request: Request[Any, Any, Any], data: JSONBody[NewEvent]
) -> Published:
    """Publish an event. When this answers, the event is committed and will be delivered."""
    raw = msgspec.json.decode(await request.body(), type=_RawData)
    async with services.database.transaction() as connection:
        return await publish(
            connection,
            services.clock,
            group_id=DEFAULT_GROUP,
            type_=data.type,
            data=bytes(raw.data),
            subject=_text(data.subject, "subject"),
            external_id=_text(data.id, "id"),
        )


@get("/")
async def list_events(
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: Cursor = None,
    type_: Annotated[str | None, QueryParameter(name="type", description="Only events of this type.")] = None,
) -> list[EventView]:
    """List events, newest first."""
    async with services.database.connection() as connection:
        rows = await history.list_events(connection, DEFAULT_GROUP, type_=type_, before=cursor, limit=limit, offset=offset)
    return [_view(row) for row in rows]


@get("/{event_id:uuid}")
async def get_event(services: NamedDependency[Services], event_id: FromPath[UUID]) -> EventView:
    """Read an event. One that was published a moment ago is there once it is routed."""
    async with services.database.connection() as connection:
        row = await history.get_event(connection, DEFAULT_GROUP, event_id)
    if row is None:
        raise NotFoundError(f"There is no event {event_id}; history is kept for the days of retention.")
    return _view(row)


def _text(value: str | None, field: str) -> str | None:
    if value is not None and "\x00" in value:
        raise InvalidInputError(field, f"{field} contains U+0000, which PostgreSQL cannot store.")
    return value


def _view(row: Any) -> EventView:
    return EventView(
        id=row["id"],
        source=row["source"],
        type=row["type"],
        operation=row["operation"],
        subject=row["subject"],
        schema=row["table_schema"],
        table=row["table_name"],
        record=msgspec.Raw((row["record"] or "null").encode()),
        old_record=msgspec.Raw((row["old_record"] or "null").encode()),
        occurred_at=row["occurred_at"],
        external_id=row["external_id"],
        capture_error=row["capture_error"],
        delivery_count=row["delivery_count"],
    )


router = Router("/api/v1/events", route_handlers=[publish_event, list_events, get_event], tags=["Events"])
