"""`/api/v1/groups`: the tenants. Any other call is about group `default`, or the one its `X-Tidings-Group` header names."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tidings.api.http.paging import Limit, Offset
from tidings.api.http.parameters import group_in_path
from tidings.core.errors import InvalidInputError
from tidings.operations import groups
from tidings.operations.groups import Group
from tidings.operations.services import Services

After = Annotated[str | None, QueryParameter(description="The last id of the page before.")]


class NewGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group to make."""

    id: str


class GroupView(msgspec.Struct, frozen=True):
    """A group as read. `deleting_at`: since when it is being deleted; `fault`: why that cannot go on for now."""

    id: str
    created_at: datetime
    deleting_at: datetime | None
    fault: str | None


@post("/", status_code=201)
async def create_group(services: NamedDependency[Services], data: JSONBody[NewGroup]) -> GroupView:
    """Make a group. Those that a captured table's rows name are made on first sight, unless its settings say otherwise."""
    return _view(await groups.create(services, data.id))


@get("/")
async def list_groups(
    services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0, cursor: After = None
) -> list[GroupView]:
    """List groups, in order of their ids.

    Raises:
        InvalidInputError: The cursor is empty, or there is an offset beside it.
    """
    if cursor == "" or (cursor and offset):
        raise InvalidInputError("cursor", "cursor is the last id of the page before, without an offset; or leave it out.")
    return [_view(group) for group in await groups.list_groups(services, limit=limit, offset=offset, after=cursor or "")]


@get("/{group_id:str}")
async def get_group(services: NamedDependency[Services], group_id: FromPath[str]) -> GroupView:
    """Read a group."""
    return _view(await groups.read(services, group_in_path(group_id)))


@delete("/{group_id:str}", status_code=202)
async def delete_group(
    services: NamedDependency[Services],
    group_id: FromPath[str],
    confirm: Annotated[str | None, QueryParameter(description="The group's id again.")] = None,
    everything: Annotated[bool, QueryParameter(description="With all it has.")] = False,
) -> GroupView:
    """Begin to delete a group; with `everything` its webhooks, jobs, integrations, collections and records too. It goes in the
    background, and its history when retention ends. 409 tells what it still has.
    """
    group_id = group_in_path(group_id)
    return _view(await groups.remove(services, group_id, confirm=confirm, everything=everything))


def _view(group: Group) -> GroupView:
    return GroupView(group.id, group.created_at, group.deleting_at, group.fault)


router = Router("/api/v1/groups", route_handlers=[create_group, list_groups, get_group, delete_group], tags=["Groups"])
