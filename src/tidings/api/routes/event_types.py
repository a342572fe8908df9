"""`/api/v1/event-types`: what can be subscribed to, in words, with schemas and examples."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.core.errors import InvalidInputError, NotFoundError
from tidings.core.event_type import BUILT_IN, check_data, check_schema
from tidings.operations.services import Services
from tidings.sources.publish import check_type
from tidings.store import event_types


class EventTypeChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be known of a type. With `schema`, data that does not match it is not published."""

    description: str | None = None
    schema: dict[str, Any] | bool | None = None
    example: Any = None


class _Raw(msgspec.Struct, frozen=True):
    """Its documents as the text they came as."""

    schema: msgspec.Raw | UnsetType = UNSET
    example: msgspec.Raw | UnsetType = UNSET


class EventTypeView(msgspec.Struct, frozen=True):
    """A type as read. `built_in`: Tidings makes it itself."""

    name: str
    description: str | None
    schema: msgspec.Raw
    example: msgspec.Raw
    built_in: bool
    updated_at: datetime | None


_BUILT_IN = [
    EventTypeView(
        one.name,
        one.description,
        msgspec.Raw(b"null"),
        msgspec.Raw(msgspec.json.encode(one.example)),
        True,
        None,
    )
    for one in BUILT_IN
]


@get("/")
async def list_event_types(services: NamedDependency[Services]) -> list[EventTypeView]:
    """List the types that can be subscribed to: the group's own, then those that Tidings makes."""
    async with services.database.connection() as connection:
        rows = await event_types.list_types(connection, services.group_id)
    return [*map(_view, rows), *_BUILT_IN]


@get("/{name:str}")
async def get_event_type(services: NamedDependency[Services], name: FromPath[str]) -> EventTypeView:
    """Read a type."""
    async with services.database.connection() as connection:
        row = await event_types.get(connection, services.group_id, name)
    if row is not None:
        return _view(row)
    if found := next((one for one in _BUILT_IN if one.name == name), None):
        return found
    raise NotFoundError(f"There is no event type {name!r} in the catalogue. It can be published all the same.")


@put("/{name:str}")
async def put_event_type(
    services: NamedDependency[Services],
    name: FromPath[str],
    request: Request[Any, Any, Any],
    data: JSONBody[EventTypeChange],
) -> EventTypeView:
    """Say what a type means. What is published from now on must match its schema."""
    check_type(name)
    raw = msgspec.json.decode(await request.body(), type=_Raw)
    schema, example = _text(raw.schema), _text(raw.example)
    if "\x00" in (data.description or ""):
        raise InvalidInputError("description", "description contains U+0000, which PostgreSQL cannot store.")
    if schema is not None:
        check_schema(schema)
        if example is not None:
            check_data(name, schema, example, "example")
    async with services.database.transaction() as connection:
        row = await event_types.put(
            connection, services.group_id, name, description=data.description, schema=schema, example=example
        )
    return _view(row)


@delete("/{name:str}", status_code=204)
async def delete_event_type(services: NamedDependency[Services], name: FromPath[str]) -> None:
    """Take a type out of the catalogue. It can be published all the same, whatever its data."""
    async with services.database.transaction() as connection:
        if not await event_types.delete(connection, services.group_id, name):
            raise NotFoundError(f"There is no event type {name!r} of your own in the catalogue.")


def _text(raw: msgspec.Raw | UnsetType) -> str | None:
    return None if raw is UNSET or bytes(raw) == b"null" else bytes(raw).decode()


def _view(row: Any) -> EventTypeView:
    documents = {
        field: msgspec.Raw((row[column] or "null").encode())
        for field, column in (("schema", "json_schema"), ("example", "example"))
    }
    return EventTypeView(
        name=row["name"], description=row["description"], built_in=False, updated_at=row["updated_at"], **documents
    )


router = Router(
    "/api/v1/event-types",
    route_handlers=[list_event_types, get_event_type, put_event_type, delete_event_type],
    tags=["Event types"],
)
