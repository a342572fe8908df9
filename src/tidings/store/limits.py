"""Limits of groups as rows, and what is used of them (what may be used: `core.limits`)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from tidings.core.limits import NAMES, PACE_COUNTS, Limits
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("limits")

FOLDED_AT_ONCE: Final = 10_000  # rows
MANY_ROWS: Final = 2_000  # of one group that are not added up: whoever finds more adds them up himself

_OF_ALL: Final = ""

Day = tuple[str, date]  # of a group


class Found(msgspec.Struct, frozen=True):
    """The limits of a group, and how often any were changed by then. `is_own`: they are not those of all."""

    version: int
    limits: Limits
    is_own: bool


class Payloads(msgspec.Struct, frozen=True):
    """Limits of the data of one event: of groups that have limits of their own, and of all others."""

    version: int = 0
    own: Mapping[str, int | None] = {}
    of_all: int | None = None

    def of(self, group_id: str) -> int | None:
        """Return the limit of a group; None where it has none."""
        return self.own.get(group_id, self.of_all)

    @property
    def are_none(self) -> bool:
        """Whether no group has any."""
        return self.of_all is None and not self.own


class Want(msgspec.Struct, frozen=True):
    """How many tokens somebody wants out of the bucket of a group."""

    group_id: str
    rate: int
    burst: int
    need: int
    ahead: int


class Taken(msgspec.Struct, frozen=True):
    """What a bucket gave, and what is left in it."""

    granted: int
    remaining: float


class Overrun(msgspec.Struct, frozen=True):
    """A limit that a group is over, by what nobody refuses."""

    group_id: str
    limit: str
    allowed: int
    used: int


async def find(connection: Connection, group_id: str) -> Found:
    """Return the limits of a group."""
    row = await connection.fetchrow(_SQL["find"], group_id)
    return Found(row["version"], _limits(row), row["is_own"])


async def payloads(connection: Connection) -> Payloads:
    """Return the limits of the data of one event, of all groups."""
    row = await connection.fetchrow(_SQL["of_payloads"])
    return Payloads(row["version"], dict(zip(row["groups"], row["limits"], strict=True)), row["of_all"])


async def version(connection: Connection) -> int:
    """Return how often limits were changed."""
    return int(await connection.fetchval(_SQL["version"]))


async def defaults(connection: Connection) -> Limits:
    """Return the limits of all groups that have none of their own."""
    return _limits(await connection.fetchrow(_SQL["defaults"]))


async def lock(connection: Connection, group_id: str | None) -> None:
    """Have others wait who change the limits of a group, or make webhooks of it; None: the limits of all."""
    await connection.execute(_SQL["lock"], _OF_ALL if group_id is None else group_id)


async def put(connection: Connection, group_id: str, limits: Limits) -> None:
    """Give a group limits of its own."""
    await connection.execute(_SQL["put"], group_id, *msgspec.structs.astuple(limits))


async def put_defaults(connection: Connection, limits: Limits) -> None:
    """Say the limits of all groups that have none of their own."""
    await connection.execute(_SQL["put_defaults"], *msgspec.structs.astuple(limits))


async def remove(connection: Connection, group_id: str) -> bool:
    """Take away what a group has of its own; whether there was anything."""
    return await connection.fetchval(_SQL["remove"], group_id) is not None


async def count_webhooks(connection: Connection, group_id: str, at_most: int) -> int:
    """Return how many webhooks a group has, counted up to so many."""
    return int(await connection.fetchval(_SQL["count_webhooks"], group_id, at_most))


async def take(connection: Connection, wants: Sequence[Want]) -> dict[str, Taken]:
    """Take tokens out of the buckets of groups."""
    rows = await connection.fetch(_SQL["take"], *map(list, zip(*map(msgspec.structs.astuple, wants), strict=True)))
    return {row["group_id"]: Taken(row["granted"], row["remaining"]) for row in rows}


async def tokens(connection: Connection, group_id: str, limits: Limits) -> int:
    """Return how many events a group may publish at once, now."""
    found = await connection.fetchval(_SQL["tokens"], group_id, limits.events_per_second, limits.burst)
    return limits.burst if found is None else int(found)


async def stored(connection: Connection, group_ids: Collection[str]) -> dict[str, int]:
    """Return how many bytes groups have. Where many rows are not added up yet, they are now."""
    rows = await connection.fetch(_SQL["stored"], list(group_ids))
    if any(row["rows"] > MANY_ROWS for row in rows):
        async with connection.transaction():
            _, folded = await fold(connection)
            await connection.execute(_SQL["look_again"], folded)
    return {row["group_id"]: row["bytes"] for row in rows}


async def pace(connection: Connection, group_id: str) -> float:
    """Return how many events a second a group had of late, whatever they came from."""
    return float(await connection.fetchval(_SQL["pace"], group_id, PACE_COUNTS) or 0)


async def add(connection: Connection, stored: Mapping[Day, tuple[int, int]]) -> None:
    """Count what this transaction writes to history: of each group and day how many bytes and events, fewer where any go."""
    if stored:
        await connection.execute(_SQL["add"], *columns(stored))


def columns(stored: Mapping[Day, tuple[int, int]]) -> tuple[list[str], list[date], list[int], list[int]]:
    """Return the same as lists in parallel."""
    sums = stored.values()
    return [group for group, _ in stored], [day for _, day in stored], [n for n, _ in sums], [n for _, n in sums]


async def fold(connection: Connection) -> tuple[int, list[str]]:
    """Add up what was written; return how many of `FOLDED_AT_ONCE` rows that were, and of which groups."""
    first = await connection.fetchval(_SQL["first_day"])
    row = await connection.fetchrow(_SQL["fold"], FOLDED_AT_ONCE, first or date.min)
    return row["rows"], row["groups"] or []


async def forget_days(connection: Connection) -> None:
    """Forget what was stored on days whose partitions are gone."""
    if (first := await connection.fetchval(_SQL["first_day"])) is not None:
        await connection.execute(_SQL["forget_days"], first)


async def forget_groups(connection: Connection) -> None:
    """Forget buckets and paces of groups that are gone."""
    await connection.execute(_SQL["forget_rates"])
    await connection.execute(_SQL["forget_paces"])


async def lock_overruns(connection: Connection) -> None:
    """Have others wait who look for overruns, to the end of the transaction. What they have told is seen from then on."""
    await connection.execute(_SQL["lock_overruns"])


async def overruns(connection: Connection, group_ids: Iterable[str]) -> list[Overrun]:
    """Return which of these groups are over a limit, and of those that were when somebody last looked."""
    return [Overrun(*row) for row in await connection.fetch(_SQL["overruns"], list(group_ids), PACE_COUNTS)]


async def note_overruns(connection: Connection, found: Sequence[Overrun], now: datetime) -> list[Overrun]:
    """Put on record which groups are over a limit, and return those that were not before."""
    group_ids, names = [one.group_id for one in found], [one.limit for one in found]
    await connection.execute(_SQL["end_overruns"], group_ids, names)
    new = {tuple(row) for row in await connection.fetch(_SQL["note_overruns"], group_ids, names, now)}
    return [one for one in found if (one.group_id, one.limit) in new]


async def overruns_of(connection: Connection, group_id: str) -> dict[str, datetime]:
    """Return which limits a group is over by what nobody refuses, and since when."""
    return dict(await connection.fetch(_SQL["overruns_of"], group_id))


def _limits(row: Any) -> Limits:
    return Limits(**{name: row[name] for name in NAMES})
