"""`/api/collections/{name}/records`: what is in a collection, one by one or up to a thousand in one transaction."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tidings.api.dialects.vski.pages import PageNumber, PerPage
from tidings.core.collection import Record
from tidings.operations.services import Services
from tidings.operations.sources import records

FilterText = Annotated[
    str | None, QueryParameter(name="filter", description='Only these: `status = "active" && (views > 10 || title ~ "news")`.')
]
Sort = Annotated[str | None, QueryParameter(description="In this order: fields with commas, `-` for descending; newest first.")]
NewRecords = dict[str, Any] | list[dict[str, Any]]


class RecordPage(msgspec.Struct, frozen=True):
    """A page of records."""

    page: int
    perPage: int  # noqa: N815 - the seed's spelling
    totalItems: int  # noqa: N815
    totalPages: int  # noqa: N815
    items: list[msgspec.Raw]


class RecordIds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which records."""

    ids: list[str]


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who somebody says to be. `identity` is the same as `email`."""

    password: str
    email: str | None = None
    identity: str | None = None


class Session(msgspec.Struct, frozen=True):
    """Who somebody is: the record, and a token of an hour that says so (its key: `/.well-known/jwks.json`)."""

    token: str
    record: msgspec.Raw


@post("/{collection:str}/records", status_code=201)
async def create_records(
    services: NamedDependency[Services],
    collection: FromPath[str],
    request: Request[Any, Any, Any],
    data: JSONBody[NewRecords],
) -> Response[bytes]:
    """Create a record, or several: an array, all or none. Each is an event of its own."""
    made = await records.create(services, collection, await _items(request))
    return _answer(data, made, 201)


@get("/{collection:str}/records")
async def list_records(
    services: NamedDependency[Services],
    collection: FromPath[str],
    page: PageNumber = 1,
    per_page: PerPage = 50,
    filter_: FilterText = None,
    sort: Sort = None,
) -> RecordPage:
    """List records."""
    found = await records.find(services, collection, where=filter_, order=sort, limit=per_page, offset=(page - 1) * per_page)
    items = [msgspec.Raw(text.encode()) for text in found.items]
    return RecordPage(page, per_page, found.total, -(-found.total // per_page), items)


@get("/{collection:str}/records/{record_id:str}")
async def get_record(
    services: NamedDependency[Services], collection: FromPath[str], record_id: FromPath[str]
) -> Response[bytes]:
    """Read a record."""
    return _answer({}, [await records.read(services, collection, record_id)], 200)


@patch("/{collection:str}/records/{record_id:str}")
async def change_record(
    services: NamedDependency[Services],
    collection: FromPath[str],
    record_id: FromPath[str],
    request: Request[Any, Any, Any],
    data: JSONBody[dict[str, Any]],
) -> Response[bytes]:
    """Change what the body names of a record; the rest stays."""
    (item,) = await _items(request)
    return _answer(data, [await records.change_one(services, collection, record_id, item)], 200)


@patch("/{collection:str}/records")
async def change_records(
    services: NamedDependency[Services],
    collection: FromPath[str],
    request: Request[Any, Any, Any],
    data: JSONBody[list[dict[str, Any]]],
) -> Response[bytes]:
    """Change several records, each with its `id` and what changes of it: all or none. Each is an event of its own."""
    made = await records.change(services, collection, await _items(request))
    return _answer(data, made, 200)


@delete("/{collection:str}/records/{record_id:str}", status_code=204)
async def delete_record(services: NamedDependency[Services], collection: FromPath[str], record_id: FromPath[str]) -> None:
    """Delete a record."""
    await records.remove(services, collection, [record_id])


@delete("/{collection:str}/records", status_code=204)
async def delete_records(services: NamedDependency[Services], collection: FromPath[str], data: JSONBody[RecordIds]) -> None:
    """Delete several records: all or none. Each is an event of its own."""
    await records.remove(services, collection, data.ids)


@post("/{collection:str}/auth", status_code=200)
async def authenticate(
    services: NamedDependency[Services],
    collection: FromPath[str],
    request: Request[Any, Any, Any],
    data: JSONBody[Credentials],
) -> Session:
    """Tell whether somebody has an e-mail address and its password, in a collection of type `auth`. Guesses are few."""
    address = request.client.host if request.client else ""
    email = data.email or data.identity or ""
    known = await records.authenticate(services, collection, email, data.password, address=address)
    return Session(known.token, msgspec.Raw(known.record.encode()))


async def _items(request: Request[Any, Any, Any]) -> list[Record]:
    """Return the body's records with each member as the text it came as: reading numbers would lose digits."""
    given = msgspec.json.decode(await request.body(), type=dict[str, msgspec.Raw] | list[dict[str, msgspec.Raw]])
    return given if isinstance(given, list) else [given]


def _answer(given: object, made: list[str], status: int) -> Response[bytes]:
    """Answer with one record where one was given, else with an array."""
    text = f"[{','.join(made)}]" if isinstance(given, list) else made[0]
    return Response(text.encode(), status_code=status, media_type="application/json")


_HANDLERS = [
    create_records,
    list_records,
    get_record,
    change_record,
    change_records,
    delete_record,
    delete_records,
    authenticate,
]
router = Router("/api/collections", route_handlers=_HANDLERS, tags=["Records"])
v1_router = Router("/api/v1/collections", route_handlers=_HANDLERS, tags=["Records"])
