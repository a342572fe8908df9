"""`/api/v1/groups`: the tenants. Any other call is about group `default`, or the one its `X-Tidings-Group` header names."""

from datetime import datetime

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.http.paging import Limit, Offset
from tidings.core.errors import ConflictError
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import groups


class NewGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group to make."""

    id: str


class GroupView(msgspec.Struct, frozen=True):
    """A group as read."""

    id: str
    created_at: datetime


@post("/", status_code=201)
async def create_group(services: NamedDependency[Services], data: JSONBody[NewGroup]) -> GroupView:
    """Make a group. Those that a captured table's rows name are made on first sight, unless its settings say otherwise."""
    async with services.database.transaction() as connection:
        if not await groups.add(connection, [data.id]):
            raise ConflictError(f"There is a group {data.id!r} already.")
        return _view(await groups.get(connection, data.id))


@get("/")
async def list_groups(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[GroupView]:
    """List groups, in order of their ids."""
    async with services.database.connection() as connection:
        return [_view(row) for row in await groups.list_groups(connection, limit=limit, offset=offset)]


@get("/{group_id:str}")
async def get_group(services: NamedDependency[Services], group_id: FromPath[str]) -> GroupView:
    """Read a group."""
    async with services.database.connection() as connection:
        return _view(there(await groups.get(connection, group_id), f"There is no group {group_id!r}."))


def _view(row: object) -> GroupView:
    return msgspec.convert(dict(row), GroupView)  # type: ignore[call-overload]


router = Router("/api/v1/groups", route_handlers=[create_group, list_groups, get_group], tags=["Groups"])
