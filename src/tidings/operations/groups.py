"""Groups, the tenants: make them, read them, and act for one."""

from datetime import datetime
from typing import Any

import msgspec

from tidings.core.audit import Action
from tidings.core.errors import ConflictError, NotFoundError
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import groups

MAX_KNOWN_GROUPS = 10_000  # remembered; beyond, all are looked up anew


class Group(msgspec.Struct, frozen=True):
    """A group."""

    id: str
    created_at: datetime


async def create(services: Services, group_id: str) -> Group:
    """Make a group.

    Raises:
        ConflictError: There is one with that id.
        InvalidInputError: An id cannot be so.
    """
    async with services.database.transaction() as connection:
        if not await groups.add(connection, [group_id]):
            raise ConflictError(f"There is a group {group_id!r} already.")
        made = msgspec.structs.replace(services, group_id=group_id)
        await audit.note(made, connection, Action.GROUP_CREATED, subject=group_id)
        return _group(await groups.get(connection, group_id))


async def list_groups(services: Services, *, limit: int, offset: int = 0, after: str = "") -> list[Group]:
    """Return a page of groups, in order of their ids.

    Args:
        after: Only those behind this id: the last of the page before.
    """
    async with services.database.connection() as connection:
        return [_group(row) for row in await groups.list_groups(connection, limit=limit, offset=offset, after=after)]


async def read(services: Services, group_id: str) -> Group:
    """Return a group.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return _group(there(await groups.get(connection, group_id), f"There is no group {group_id!r}."))


async def acting_for(services: Services, group_id: str) -> Services:
    """Return the parts for a group. Groups are never removed, so one that was there once still is.

    Raises:
        NotFoundError: There is no such group.
    """
    if group_id not in services.known_groups:
        async with services.database.connection() as connection:
            if await groups.get(connection, group_id) is None:
                raise NotFoundError(f"There is no group {group_id!r}. Make it first: POST /api/v1/groups.")
        if len(services.known_groups) >= MAX_KNOWN_GROUPS:
            services.known_groups.clear()
        services.known_groups.add(group_id)
    return msgspec.structs.replace(services, group_id=group_id)


def _group(row: Any) -> Group:
    return Group(row["id"], row["created_at"])
