"""Groups, the tenants: make them, read them, act for one, delete one."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tidings.core.api_key import check_group
from tidings.core.audit import Action
from tidings.core.errors import BusyError, ConflictError, InvalidInputError, NotFoundError
from tidings.core.event import DEFAULT_GROUP
from tidings.core.homes import moved_to
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import groups, moving

MAX_KNOWN_GROUPS = 10_000  # remembered; beyond, all are looked up anew
KNOWN_FOR = timedelta(seconds=5)
COUNTED = 100  # of each kind of what a group has


class Group(msgspec.Struct, frozen=True):
    """A group.

    Attributes:
        deleting_at: Since when it is being deleted, with all it has; None: it is not.
        fault: Why that cannot go on for now.
    """

    id: str
    created_at: datetime
    deleting_at: datetime | None = None
    fault: str | None = None


async def create(services: Services, group_id: str) -> Group:
    """Make a group.

    Raises:
        ConflictError: There is one with that id.
        InvalidInputError: An id cannot be so.
    """
    async with services.wide.transaction() as connection:
        if not await groups.add(connection, [group_id]):
            raise ConflictError(f"There is a group {group_id!r} already.")
        made = msgspec.structs.replace(services, group_id=group_id)
        await audit.note(made, connection, Action.GROUP_CREATED, subject=group_id)
        return _group(await groups.get(connection, group_id))


async def list_groups(services: Services, *, limit: int, offset: int = 0, after: str = "") -> list[Group]:
    """Return a page of groups, in order of their ids, without those that moved to another home of a fleet. Whoever may act for
    one sees that one.

    Args:
        after: Only those behind this id: the last of the page before.
    """
    async with services.wide.connection() as connection:
        if services.bound_to is not None:
            own = await groups.get(connection, services.bound_to) if after < services.bound_to and not offset else None
            return [] if own is None or own["has_left"] else [_group(own)]
        return [_group(row) for row in await groups.list_groups(connection, limit=limit, offset=offset, after=after)]


async def choices(services: Services, may_show: tuple[str, ...] | None, *, limit: int, offset: int) -> Sequence[str]:
    """Return a page of the groups that a session may show, in order of their ids.

    Args:
        may_show: They, where they are not all.
    """
    if may_show is not None:
        return may_show[offset : offset + limit]
    every = msgspec.structs.replace(
        services, bound_to=None
    )  # what somebody may do in the one that they look at is another matter
    return [one.id for one in await list_groups(every, limit=limit, offset=offset)]


async def left_for(services: Services, group_id: str) -> str | None:
    """Return the home of the fleet that a group has moved to from here; None: to none."""
    found = await _going(services, group_id)
    return found.home if found is not None and found.has_left else None


async def expect_here(services: Services, group_id: str, *, may_be_gone: bool = False) -> None:
    """Return when a group can be changed here. Whoever waited for a move would keep a connection from other groups for so long.

    Args:
        may_be_gone: What is changed may be another's.

    Raises:
        BusyError: It is being moved at this moment.
        HomesDisagreeError: It has moved to another home of the fleet.
    """
    found = await _going(services, group_id)
    if found is not None and found.is_leaving:
        raise BusyError(f"The group {group_id!r} is being moved to another home at this moment. Nothing was done; try again.")
    if found is not None and found.has_left and not may_be_gone:
        raise moved_to(group_id, found.home)


async def _going(services: Services, group_id: str) -> moving.Going | None:
    if services.config.home is None:
        return None
    async with services.wide.in_turn_of(group_id).connection() as connection:
        found = await moving.going(connection, group_id)
    if found is not None and found.has_left and services.across is not None:
        services.across.directory.hear(group_id, found.home)
    return found


async def read(services: Services, group_id: str) -> Group:
    """Return a group.

    Raises:
        ForbiddenError: It is not for whoever asks.
        NotFoundError: There is none.
    """
    check_group(services.bound_to, group_id)
    async with services.wide.connection() as connection:
        return _group(there(await groups.get(connection, group_id), f"There is no group {group_id!r}."))


async def remove(services: Services, group_id: str, *, confirm: str | None, everything: bool = False) -> Group:
    """Begin to delete a group. Nobody can act for it any more; what it has goes some at a time, and it last, in the background.

    History that it has stays until retention ends. Who names the group later, such as a row of a captured table, makes it
    anew.

    Args:
        confirm: Its id again, since nothing brings it back.
        everything: With all it has: webhooks and what waits for them, jobs, integrations, collections with their records, event
            types, portal links, keys and request bins.

    Raises:
        ConflictError: It has something still; or it is the one that is always there.
        InvalidInputError: It is not confirmed.
        NotFoundError: There is none.
    """
    if confirm != group_id:
        raise InvalidInputError("confirm", f"confirm must be {group_id!r}. Only with this id does a group go.")
    if group_id == DEFAULT_GROUP:
        raise ConflictError(f"The group {DEFAULT_GROUP!r} is always there. Delete what it has instead.")
    async with services.wide.transaction() as connection:
        there(await groups.get(connection, group_id), f"There is no group {group_id!r}.")
        has = {kind: count for kind, count in (await groups.holdings(connection, group_id, COUNTED)).items() if count}
        if has and not everything:
            raise ConflictError(
                f"The group {group_id!r} still has {_said(has)}. Delete that first, or all with it: everything=true "
                "(at the prompt --everything).",
                **has,
            )
        await groups.leave(connection, group_id, DEFAULT_GROUP)
        row = await groups.begin_deleting(connection, group_id, services.clock.now())
        of_it = msgspec.structs.replace(services, group_id=group_id)
        await audit.note(of_it, connection, Action.GROUP_DELETED, subject=group_id, before=has)
    services.known_groups.pop(group_id, None)
    return _group(row)


def _said(has: dict[str, int]) -> str:
    """Return what a group has, in words."""
    told = [_one(kind, count) for kind, count in has.items()]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def _one(kind: str, count: int) -> str:
    name = kind.replace("_", " ")
    return f"1 {name[:-1]}" if count == 1 else f"{'' if count < COUNTED else 'at least '}{count} {name}"


async def acting_for(services: Services, group_id: str) -> Services:
    """Return the parts for a group. One that was there is known for a moment; who deletes it waits for longer than that.

    Raises:
        ForbiddenError: It is not for whoever asks.
        NotFoundError: There is no such group, or it is being deleted.
    """
    check_group(services.bound_to, group_id)
    now = services.clock.now()
    seen_at = services.known_groups.get(group_id)
    if seen_at is None or not seen_at <= now < seen_at + KNOWN_FOR:
        async with services.wide.in_turn_of(group_id).connection() as connection:
            row = await groups.get(connection, group_id)
        if row is None:
            raise NotFoundError(f"There is no group {group_id!r}. Make the group first.")
        if row["deleting_at"] is not None:
            raise NotFoundError(f"The group {group_id!r} is being deleted. Make it again once it is gone.")
        if len(services.known_groups) >= MAX_KNOWN_GROUPS:
            services.known_groups.clear()
        services.known_groups[group_id] = now
    return msgspec.structs.replace(services, group_id=group_id, wide=services.wide.in_turn_of(group_id))


def _group(row: Any) -> Group:
    return Group(row["id"], row["created_at"], row["deleting_at"], row["deleting_fault"])
