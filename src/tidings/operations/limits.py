"""Limits of groups: read with what is used of them, set and reset. What is let through is decided in `operations.allowance`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tidings.core.api_key import check_group
from tidings.core.audit import Action
from tidings.core.errors import ForbiddenError
from tidings.core.limits import Limits, changed
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import groups
from tidings.store import limits as stored
from tidings.store.database import Connection

COUNTED_WEBHOOKS: Final = 100_000  # of a group without a limit of them
OF_ALL: Final = "all groups"

_NOT_YOURS: Final = "This key is for one group, so it changes no limits: its own are what others set for it."


class Used(msgspec.Struct, frozen=True):
    """What a group has and does.

    Attributes:
        webhooks: How many it has; at most 100,000 are counted.
        events_per_second: Of late, whatever they came from: captured changes and jobs too.
        events_left: How many may be published at once, now; None: as many as it likes.
        stored_bytes: Of history, counted since limits came to be.
    """

    webhooks: int
    events_per_second: float
    events_left: int | None
    stored_bytes: int


class Overrun(msgspec.Struct, frozen=True):
    """A limit that a group is over, by what nobody refuses, and since when."""

    limit: str
    since: datetime


class GroupLimits(msgspec.Struct, frozen=True):
    """The limits of a group, and what is used of them.

    Attributes:
        is_own: They are its own; else those of all groups that have none of their own.
        over: Those that it is over by what nobody refuses.
    """

    group_id: str
    is_own: bool
    limits: Limits
    used: Used
    over: list[Overrun]


async def read(services: Services, group_id: str) -> GroupLimits:
    """Return the limits of a group, and what is used of them. Whoever may act for one group sees those of that one.

    Raises:
        ForbiddenError: It is not for whoever asks.
        NotFoundError: There is none.
    """
    check_group(services.bound_to, group_id)
    async with services.wide.connection() as connection:
        await _there(connection, group_id)
        return await _read(connection, group_id)


async def change(services: Services, group_id: str, asked: Mapping[str, Any]) -> GroupLimits:
    """Change limits of a group; the others stay as they are, and are its own from now on.

    What it has beyond a limit that was lowered stays; it gets no more.

    Args:
        asked: By name (`core.limits.NAMES`); None: no limit.

    Raises:
        ForbiddenError: Whoever asks may act for one group alone.
        InvalidInputError: With the field.
        NotFoundError: There is no such group.
    """
    _check_may_change(services)
    async with services.wide.transaction() as connection:
        await _there(connection, group_id)
        await stored.lock(connection, group_id)
        found = await stored.find(connection, group_id)
        wanted = changed(found.limits, asked)
        if asked and (wanted != found.limits or not found.is_own):
            await stored.put(connection, group_id, wanted)
            was, is_ = _on_record(found.limits, is_own=found.is_own), _on_record(wanted, is_own=True)
            of_it = msgspec.structs.replace(services, group_id=group_id)
            await audit.note(of_it, connection, Action.LIMITS_CHANGED, subject=group_id, before=was, after=is_)
        after = await _read(connection, group_id)
    services.allowance.changed()
    return after


async def reset(services: Services, group_id: str) -> GroupLimits:
    """Take away what a group has of its own, so that it has the limits of all.

    Raises:
        ForbiddenError: Whoever asks may act for one group alone.
        NotFoundError: There is no such group.
    """
    _check_may_change(services)
    async with services.wide.transaction() as connection:
        await _there(connection, group_id)
        await stored.lock(connection, group_id)
        own = await stored.find(connection, group_id)
        if await stored.remove(connection, group_id):
            now = await stored.find(connection, group_id)
            was, is_ = _on_record(own.limits, is_own=True), _on_record(now.limits, is_own=False)
            of_it = msgspec.structs.replace(services, group_id=group_id)
            await audit.note(of_it, connection, Action.LIMITS_RESET, subject=group_id, before=was, after=is_)
        after = await _read(connection, group_id)
    services.allowance.changed()
    return after


async def read_defaults(services: Services) -> Limits:
    """Return the limits of all groups that have none of their own."""
    async with services.wide.connection() as connection:
        return await stored.defaults(connection)


async def change_defaults(services: Services, asked: Mapping[str, Any]) -> Limits:
    """Change limits of all groups that have none of their own; the others stay.

    Raises:
        ForbiddenError: Whoever asks may act for one group alone.
        InvalidInputError: With the field.
    """
    _check_may_change(services)
    async with services.wide.transaction() as connection:
        await stored.lock(connection, None)
        before = await stored.defaults(connection)
        limits = changed(before, asked)
        if limits != before:
            await stored.put_defaults(connection, limits)
            await audit.note(
                services, connection, Action.LIMITS_CHANGED, subject=OF_ALL, is_of_group=False, before=before, after=limits
            )
    services.allowance.changed()
    return limits


def _on_record(limits: Limits, *, is_own: bool) -> dict[str, Any]:
    return {"is_own": is_own, **msgspec.to_builtins(limits)}


def _check_may_change(services: Services) -> None:
    if services.bound_to is not None:
        raise ForbiddenError(_NOT_YOURS)


async def _there(connection: Connection, group_id: str) -> None:
    there(await groups.get(connection, group_id), f"There is no group {group_id!r}.")


async def _read(connection: Connection, group_id: str) -> GroupLimits:
    found = await stored.find(connection, group_id)
    limits = found.limits
    counted = max(COUNTED_WEBHOOKS, limits.webhooks or 0)
    used = Used(
        webhooks=await stored.count_webhooks(connection, group_id, counted),
        events_per_second=round(await stored.pace(connection, group_id), 1),
        events_left=None if limits.events_per_second is None else await stored.tokens(connection, group_id, limits),
        stored_bytes=(await stored.stored(connection, [group_id]))[group_id],
    )
    over = [Overrun(name, since) for name, since in (await stored.overruns_of(connection, group_id)).items()]
    return GroupLimits(group_id, found.is_own, limits, used, over)
