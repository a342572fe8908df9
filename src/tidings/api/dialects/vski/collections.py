"""`/api/collections` and `/api/v1/collections`: collections in the shapes of seed 003's system, and their triggers."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.http.paging import Limit, Offset
from tidings.core.collection import Field
from tidings.core.errors import InvalidInputError
from tidings.operations.services import Services
from tidings.operations.sources import collections
from tidings.store.collections import Collection


class CollectionChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a collection. To create: `name` at least. To change: only what changes.

    Attributes:
        fields: The same as `schema`.
        options: An object, or the same as a JSON string.
        drop: Fields whose values may be lost by this change.
    """

    name: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    schema: list[Any] | UnsetType = UNSET
    fields: list[Any] | UnsetType = UNSET
    options: dict[str, Any] | str | UnsetType = UNSET
    author: str | None = None
    drop: list[str] = []


class CollectionView(msgspec.Struct, frozen=True):
    """A collection as read. `fault`: why it is set aside, where its fields or options cannot be read as they are stored."""

    id: str
    name: str
    type: str
    schema: list[Field]
    options: dict[str, Any]
    author: str | None
    created: datetime
    updated: datetime
    fault: str | UnsetType = UNSET


def _view(collection: Collection) -> CollectionView:
    return CollectionView(
        id=str(collection.id),
        name=collection.name,
        type=collection.type,
        schema=list(collection.fields),
        options=collection.options,
        author=collection.author,
        created=collection.created_at,
        updated=collection.updated_at,
        fault=UNSET if collection.fault is None else collection.fault,
    )


@post("/", status_code=201)
async def create_collection(services: NamedDependency[Services], data: JSONBody[CollectionChange]) -> CollectionView:
    """Create a collection: a table for its records, and a webhook for each of its triggers, in one transaction."""
    if data.name is UNSET:
        raise InvalidInputError("name", "name is required.")
    kind = "base" if data.type is UNSET else data.type
    made = await collections.create(
        services, data.name, kind=kind, fields=_fields(data) or [], options=_options(data.options), author=data.author
    )
    return _view(made)


@get("/")
async def list_collections(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[CollectionView]:
    """List collections, in order of their names."""
    return [_view(collection) for collection in await collections.list_collections(services, limit=limit, offset=offset)]


@get("/{collection:str}")
async def get_collection(services: NamedDependency[Services], collection: FromPath[str]) -> CollectionView:
    """Read a collection."""
    return _view(await collections.read(services, collection))


@patch("/{collection:str}")
async def change_collection(
    services: NamedDependency[Services], collection: FromPath[str], data: JSONBody[CollectionChange]
) -> CollectionView:
    """Change what the body names. A change of the schema that would lose data is refused, with what to do."""
    if data.name is not UNSET and data.name != collection:
        raise InvalidInputError("name", "name cannot be changed; create another collection.")
    options = None if data.options is UNSET else _options(data.options)
    made = await collections.change(services, collection, kind=data.type, fields=_fields(data), options=options, drop=data.drop)
    return _view(made)


@delete("/{collection:str}", status_code=204)
async def delete_collection(
    services: NamedDependency[Services],
    collection: FromPath[str],
    confirm: Annotated[str | None, QueryParameter(description="The collection's name again.")] = None,
) -> None:
    """Delete a collection with all its records and triggers. It says its name twice, since nothing brings it back."""
    await collections.remove(services, collection, confirm=confirm)


def _fields(data: CollectionChange) -> list[Any] | None:
    if data.schema is not UNSET and data.fields is not UNSET and data.schema != data.fields:
        raise InvalidInputError("fields", "fields and schema say the same; write one of them.")
    given = data.schema if data.schema is not UNSET else data.fields
    return None if given is UNSET else given


def _options(given: dict[str, Any] | str | UnsetType) -> dict[str, Any]:
    if given is UNSET:
        return {}
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInputError("options", f"options is no JSON object: {error}.") from error


_HANDLERS = [create_collection, list_collections, get_collection, change_collection, delete_collection]
router = Router("/api/collections", route_handlers=_HANDLERS, tags=["Collections"])
v1_router = Router("/api/v1/collections", route_handlers=_HANDLERS, tags=["Collections"])
