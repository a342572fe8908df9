"""`/api/v1/groups`: the tenants. Any other call is about group `default`, or the one its `X-Tidings-Group` header names."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tidings.api.http.access import key_of
from tidings.api.http.paging import Limit, Offset, with_all_homes
from tidings.api.http.parameters import group_in_path
from tidings.core.errors import InvalidInputError
from tidings.core.voucher import vouched
from tidings.operations import everywhere, groups
from tidings.operations.groups import Group
from tidings.operations.services import Services

After = Annotated[str | None, QueryParameter(description="The last id of the page before, or `Tidings-Next`.")]


class NewGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group to make."""

    id: str


class GroupView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group as read. `deleting_at`: since when it is being deleted; `fault`: why that cannot go on for now. `home`: in a list
    of all homes of a fleet, where it lives.
    """

    id: str
    created_at: datetime
    deleting_at: datetime | None
    fault: str | None
    home: str | None = None


@post("/", status_code=201)
async def create_group(services: NamedDependency[Services], data: JSONBody[NewGroup]) -> GroupView:
    """Make a group. Those that a captured table's rows name are made on first sight, unless its settings say otherwise."""
    return _view(await groups.create(services, data.id))


@get("/")
async def list_groups(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: After = None,
) -> Response[list[GroupView]]:
    """List groups, in order of their ids; in a fleet those of all homes, with `Tidings-Next` to go on, and
    `Tidings-Homes-Away` where homes did not answer.

    Raises:
        InvalidInputError: The cursor is empty, or there is an offset beside it.
    """
    if cursor == "" or (cursor and offset):
        raise InvalidInputError("cursor", "cursor is the last id of the page before, without an offset; or leave it out.")
    if everywhere.is_asked(services):
        caller = vouched(key_of(request))
        page = await everywhere.list_groups(services, caller, limit=limit, offset=offset, cursor=cursor or "")
        return with_all_homes(request, page, [_view(group, home) for home, group in page.items])
    found = await groups.list_groups(services, limit=limit, offset=offset, after=cursor or "")
    return Response([_view(group) for group in found])


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


def _view(group: Group, home: str | None = None) -> GroupView:
    return GroupView(group.id, group.created_at, group.deleting_at, group.fault, home)


router = Router("/api/v1/groups", route_handlers=[create_group, list_groups, get_group, delete_group], tags=["Groups"])
