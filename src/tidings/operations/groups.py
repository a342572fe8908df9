"""Groups, the tenants: make them, read them, and act for one."""

from datetime import datetime
from typing import Any

import msgspec

from tidings.core.errors import ConflictError, ForbiddenError, NotFoundError
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
        return _group(await groups.get(connection, group_id))


async def list_groups(services: Services, *, limit: int, offset: int = 0, after: str = "") -> list[Group]:
    """Return a page of groups, in order of their ids. Whoever may act for one sees that one.

    Args:
        after: Only those behind this id: the last of the page before.
    """
    async with services.database.connection() as connection:
        if services.bound_to is not None:
            own = await groups.get(connection, services.bound_to) if after < services.bound_to and not offset else None
            return [] if own is None else [_group(own)]
        return [_group(row) for row in await groups.list_groups(connection, limit=limit, offset=offset, after=after)]


async def read(services: Services, group_id: str) -> Group:
    """Return a group.

    Raises:
        ForbiddenError: It is not for whoever asks.
        NotFoundError: There is none.
    """
    refuse_other(services, group_id)
    async with services.database.connection() as connection:
        return _group(there(await groups.get(connection, group_id), f"There is no group {group_id!r}."))


async def acting_for(services: Services, group_id: str) -> Services:
    """Return the parts for a group. Groups are never removed, so one that was there once still is.

    Raises:
        ForbiddenError: It is not for whoever asks.
        NotFoundError: There is no such group.
    """
    refuse_other(services, group_id)
    if group_id not in services.known_groups:
        async with services.database.connection() as connection:
            if await groups.get(connection, group_id) is None:
                raise NotFoundError(f"There is no group {group_id!r}. Make it first: POST /api/v1/groups.")
        if len(services.known_groups) >= MAX_KNOWN_GROUPS:
            services.known_groups.clear()
        services.known_groups.add(group_id)
    return msgspec.structs.replace(services, group_id=group_id)


def refuse_other(services: Services, group_id: str) -> None:
    """Refuse a group to whoever may act for another alone. Whether there is one so called is not told.

    Raises:
        ForbiddenError: It is another.
    """
    if services.bound_to is not None and group_id != services.bound_to:
        raise ForbiddenError("This key is for another group than the one that is asked for. Use a key that is for that group.")


def _group(row: Any) -> Group:
    return Group(row["id"], row["created_at"])
