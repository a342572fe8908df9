"""Statistics and counters: rows that are written with the results they count, and summed up when they are read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.statistics import KEPT, OUTCOMES, Period, Stretch, Tally
from tidings.store import limits
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("statistics")

WHOLE_GROUP = UUID(int=0)  # stands for all webhooks of a group
ROLL_UP_AT_ONCE = 5000  # rows
FORGET_AT_ONCE = 10_000  # rows

Key = tuple[str, UUID, str]  # group, webhook, outcome


class Counted(msgspec.Struct, frozen=True):
    """What all processes have counted under one name. `latencies`: by `core.statistics.BOUNDS_MS`."""

    count: int
    seconds: float = 0.0
    latencies: Sequence[int] = ()


async def write(
    connection: Connection,
    part: int,
    minute: datetime,
    in_minute: Mapping[Key, Tally],
    since_last: Mapping[str, Tally],
    stored: Mapping[limits.Day, tuple[int, int]] | None = None,
) -> None:
    """Write what the caller has counted.

    Args:
        part: The caller's own rows.
        in_minute: All that it has counted in this minute, of the webhooks and groups that have something new.
        since_last: What it has counted since it last wrote, by outcome.
        stored: What receivers' answers add to what is kept of each group and day.
    """
    keys = list(in_minute)  # in any order: nobody else writes these rows
    await connection.execute(
        _SQL["write"],
        part,
        minute,
        [group_id for group_id, _, _ in keys],
        [webhook_id for _, webhook_id, _ in keys],
        [outcome for _, _, outcome in keys],
        [in_minute[key].count for key in keys],
        [_array(in_minute[key].latencies) for key in keys],
        list(since_last),
        [tally.count for tally in since_last.values()],
        [tally.milliseconds / 1e3 for tally in since_last.values()],
        [_array(tally.latencies) for tally in since_last.values()],
        *limits.columns(stored or {}),
    )


async def add(connection: Connection, minute: datetime, counted: Mapping[Key, Tally], by_outcome: Mapping[str, Tally]) -> None:
    """Add what was counted in a minute, by somebody who has no rows of statistics and counters of its own."""
    keys = list(counted)
    await connection.execute(
        _SQL["add"],
        minute,
        [group_id for group_id, _, _ in keys],
        [webhook_id for _, webhook_id, _ in keys],
        [outcome for _, _, outcome in keys],
        [counted[key].count for key in keys],
        [_array(counted[key].latencies) for key in keys],
        list(by_outcome),
        [tally.count for tally in by_outcome.values()],
        [tally.milliseconds / 1e3 for tally in by_outcome.values()],
        [_array(tally.latencies) for tally in by_outcome.values()],
    )


def _array(counts: Iterable[int]) -> str:
    return f"{{{','.join(map(str, counts))}}}"  # PostgreSQL has no lists of lists of different owners


async def counters(connection: Connection) -> dict[str, Counted]:
    """Return what all processes have counted, by name."""
    rows = await connection.fetch(_SQL["counters"])
    return {row["name"]: Counted(row["count"], row["seconds"] or 0.0, row["latencies"] or ()) for row in rows}


async def fold_counters(connection: Connection, older_than: timedelta) -> None:
    """Sum up the rows that nobody has written for so long."""
    await connection.execute(_SQL["fold_counters"], older_than)


class Series(msgspec.Struct, frozen=True):
    """What all processes have counted of one webhook; `WHOLE_GROUP`: of all that have no series of their own."""

    webhook_id: UUID
    group_id: str
    outcome: str
    count: int


async def choose_series(connection: Connection, most: int, before: datetime) -> None:
    """Give webhooks series of their own, first come, first served, and take them from those that are deleted.

    A series stays its webhook's: one that is this webhook's today and another's tomorrow would tell nothing. So the busiest are
    not preferred.

    Args:
        most: How many webhooks may have one.
        before: Minutes that began before then are summed up next.
    """
    async with connection.transaction():
        await connection.execute(_SQL["hold_series"])
        await connection.execute(_SQL["end_series"], most)
        await connection.execute(_SQL["begin_series"], most, before)


async def series(connection: Connection, most: int) -> list[Series]:
    """Return what was counted of webhooks, of so many at most, and of all others."""
    rows = await connection.fetch(_SQL["series"], (most + 1) * len(OUTCOMES))
    return [Series(*row) for row in rows]


async def roll_up(connection: Connection, before: datetime) -> int:
    """Add minutes that began before then to their hours and days, each once; return how many of `ROLL_UP_AT_ONCE` rows."""
    done: int = await connection.fetchval(_SQL["roll_up"], before, ROLL_UP_AT_ONCE)
    return done


async def forget(connection: Connection, now: datetime) -> bool:
    """Delete what is older than `KEPT`, at most `FORGET_AT_ONCE` rows of each span; tell whether there are more."""
    counts: list[int] = [
        await connection.fetchval(_SQL["forget"], span, now - kept, FORGET_AT_ONCE) for span, kept in KEPT.items()
    ]
    return max(counts) == FORGET_AT_ONCE


async def read(connection: Connection, group_id: str, webhook_id: UUID, period: Period) -> list[Stretch]:
    """Return what was counted in a period, by its steps; minutes that are not part of their hour and day yet, as they are.

    Args:
        webhook_id: `WHOLE_GROUP` for all of the group's.
    """
    until = period.until
    rows: list[Any] = await connection.fetch(_SQL["read"], group_id, webhook_id, period.step, period.since, until, False)
    first_new: datetime | None = None if period.step == "minute" else await connection.fetchval(_SQL["first_new"])
    if first_new is not None:
        since = max(period.since, first_new)
        rows += await connection.fetch(_SQL["read"], group_id, webhook_id, "minute", since, until, True)
    return [Stretch(*row) for row in rows]
