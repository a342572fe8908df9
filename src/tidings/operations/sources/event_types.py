"""The catalogue: what can be subscribed to, in words, with schemas and examples."""

from datetime import date, datetime
from typing import Any

import msgspec

from tidings.core.audit import Action
from tidings.core.errors import InvalidInputError, NotFoundError
from tidings.core.event_type import BUILT_IN, check_data, check_schema
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.sources.publish import check_type
from tidings.store import event_types


class EventType(msgspec.Struct, frozen=True):
    """A type. `schema` and `example` are JSON text; `is_built_in`: Tidings makes it itself."""

    name: str
    description: str | None
    schema: str | None
    example: str | None
    is_built_in: bool
    updated_at: datetime | None


class SeenType(msgspec.Struct, frozen=True):
    """A type that history holds, and the last day one of it was routed."""

    name: str
    last_day: date


_BUILT_IN = [
    EventType(one.name, one.description, None, msgspec.json.encode(one.example).decode(), True, None) for one in BUILT_IN
]


async def list_types(services: Services) -> list[EventType]:
    """Return the types that can be subscribed to: the group's own, then those that Tidings makes."""
    async with services.database.connection() as connection:
        rows = await event_types.list_types(connection, services.group_id)
    return [*map(_own, rows), *_BUILT_IN]


async def list_seen(services: Services, *, limit: int, offset: int = 0) -> list[SeenType]:
    """Return a page of the types that the group's history holds, in the catalogue or not; those of late first."""
    async with services.database.connection() as connection:
        rows = await event_types.seen(connection, services.group_id, limit=limit, offset=offset)
    return [SeenType(row["type"], row["last_day"]) for row in rows]


async def read(services: Services, name: str) -> EventType:
    """Return a type.

    Raises:
        NotFoundError: It is not in the catalogue.
    """
    async with services.database.connection() as connection:
        row = await event_types.get(connection, services.group_id, name)
    if row is not None:
        return _own(row)
    if found := next((one for one in _BUILT_IN if one.name == name), None):
        return found
    raise NotFoundError(f"There is no event type {name!r} in the catalogue. It can be published all the same.")


async def put(
    services: Services, name: str, *, description: str | None = None, schema: str | None = None, example: str | None = None
) -> EventType:
    """Say what a type means. What is published from now on must match its schema.

    Args:
        schema: A JSON Schema, as text.
        example: JSON text.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    check_type(name)
    if "\x00" in (description or ""):
        raise InvalidInputError("description", "description contains U+0000, which PostgreSQL cannot store.")
    if schema is not None:
        check_schema(schema)
        if example is not None:
            check_data(name, schema, example, "example")
    async with services.database.transaction() as connection:
        before = await event_types.get(connection, services.group_id, name)
        row = await event_types.put(
            connection, services.group_id, name, description=description, schema=schema, example=example
        )
        await audit.note(services, connection, Action.TYPE_CHANGED, subject=name, before=_told(before), after=_told(row))
    return _own(row)


async def remove(services: Services, name: str) -> None:
    """Take a type out of the catalogue. It can be published all the same, whatever its data.

    Raises:
        NotFoundError: The group has no such type of its own.
    """
    async with services.database.transaction() as connection:
        before = await event_types.get(connection, services.group_id, name)
        if not await event_types.delete(connection, services.group_id, name):
            raise NotFoundError(f"There is no event type {name!r} of your own in the catalogue.")
        await audit.note(services, connection, Action.TYPE_DELETED, subject=name, before=_told(before))


def _told(row: Any | None) -> dict[str, Any] | None:
    return None if row is None else {name: row[name] for name in ("description", "json_schema", "example")}


def _own(row: Any) -> EventType:
    return EventType(row["name"], row["description"], row["json_schema"], row["example"], False, row["updated_at"])
