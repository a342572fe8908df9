"""`/api/v1/event-types`: what can be subscribed to, in words, with schemas and examples."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.operations.services import Services
from tidings.operations.sources import event_types
from tidings.operations.sources.event_types import EventType


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


@get("/")
async def list_event_types(services: NamedDependency[Services]) -> list[EventTypeView]:
    """List the types that can be subscribed to: the group's own, then those that Tidings makes."""
    return [_view(found) for found in await event_types.list_types(services)]


@get("/{name:str}")
async def get_event_type(services: NamedDependency[Services], name: FromPath[str]) -> EventTypeView:
    """Read a type."""
    return _view(await event_types.read(services, name))


@put("/{name:str}")
async def put_event_type(
    services: NamedDependency[Services],
    name: FromPath[str],
    request: Request[Any, Any, Any],
    data: JSONBody[EventTypeChange],
) -> EventTypeView:
    """Say what a type means. What is published from now on must match its schema."""
    raw = msgspec.json.decode(await request.body(), type=_Raw)
    schema, example = _text(raw.schema), _text(raw.example)
    return _view(await event_types.put(services, name, description=data.description, schema=schema, example=example))


@delete("/{name:str}", status_code=204)
async def delete_event_type(services: NamedDependency[Services], name: FromPath[str]) -> None:
    """Take a type out of the catalogue. It can be published all the same, whatever its data."""
    await event_types.remove(services, name)


def _text(raw: msgspec.Raw | UnsetType) -> str | None:
    return None if raw is UNSET or bytes(raw) == b"null" else bytes(raw).decode()


def _view(found: EventType) -> EventTypeView:
    return EventTypeView(
        name=found.name,
        description=found.description,
        schema=msgspec.Raw((found.schema or "null").encode()),
        example=msgspec.Raw((found.example or "null").encode()),
        built_in=found.is_built_in,
        updated_at=found.updated_at,
    )


router = Router(
    "/api/v1/event-types",
    route_handlers=[list_event_types, get_event_type, put_event_type, delete_event_type],
    tags=["Event types"],
)
