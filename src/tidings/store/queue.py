"""The queue: deliveries that wait in their lanes (theory: `sql/queue.sql`). What is under way is in `store.flights`."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import MAXYEAR, datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.delivery import Delivery
from tidings.core.lanes import LEAST_FOR_OTHERS, DueLane, GroupTurns, claim_shares
from tidings.store.database import Connection, add_rows
from tidings.store.statements import load

_SQL = load("queue")

QUEUE_CHANNEL = "tidings_queue"

MAX_LANES = 500  # trusted ones that one claim locks
MAX_OTHER_LANES = 250  # that are not trusted, beside them: trusted ones wait for these meanwhile
MAX_GROUPS = 32  # with due lanes, whose turn it is to be looked at as well, where there are more lanes than that
MAX_STEPS = 64  # from group to group, whether something of theirs is due or not: some 3 us each

_COLUMNS = ("id", "webhook_id", "event_id", "group_id", "is_test", "due_at")


class Queued(msgspec.Struct, frozen=True, gc=False):
    """A fresh delivery: to be leased, or to wait in the queue."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    group_id: str
    is_test: bool
    due_at: datetime


class Retry(msgspec.Struct, frozen=True, gc=False):
    """A leased delivery that waits again. `attempt_count`: the attempts that were made of it."""

    delivery: Delivery
    attempt_count: int
    at: datetime
    response_status: int | None
    error: str | None


class LaneTally(msgspec.Struct):
    """What a batch of results says about one lane.

    Attributes:
        ended: Results in all.
        tests: Those that are tests: their success ends a rest, but their failure says nothing, and no order waits for them.
        tests_succeeded: Those of them that were acknowledged.
        retried: Those that put their delivery back into the queue.
        retry_at: The earliest next attempt among its retries.
        rest_until: Until when its receiver asked to be left alone (Retry-After).
        reason: Why the last of the failed ones failed.
    """

    ended: int = 0
    tests: int = 0
    tests_succeeded: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    retry_at: datetime | None = None
    rest_until: datetime | None = None
    reason: str | None = None


class Turn(msgspec.Struct, frozen=True):
    """A lane that began to fail for so long that it is to be warned of, or ended that.

    Attributes:
        since: Since when its attempts fail, or have failed.
        waiting: How many of its deliveries wait.
    """

    webhook_id: UUID
    is_failing: bool
    since: datetime
    waiting: int


class Settled(msgspec.Struct, frozen=True):
    """What results meant for their lanes. `is_due`: a claim would find something."""

    is_due: bool
    turns: list[Turn]


async def lock_lanes(connection: Connection, webhook_ids: list[UUID], now: datetime) -> tuple[dict[UUID, int], set[UUID]]:
    """Lock the lanes of webhooks to the end of the transaction.

    Returns:
        How many deliveries each can be given at once: 0 for lanes whose deliveries must wait to be claimed. A lane that is
        missing was deleted, with its webhook. And those of them that are not trusted.
    """
    rows = await connection.fetch(_SQL["lock_lanes"], webhook_ids, now)
    return {row["webhook_id"]: row["room"] for row in rows}, {row["webhook_id"] for row in rows if not row["trusted"]}


async def deaf(connection: Connection, webhook_ids: Collection[UUID]) -> set[UUID]:
    """Return those of webhooks whose attempts have failed five times in a row or more."""
    return {row[0] for row in await connection.fetch(_SQL["deaf"], list(webhook_ids))}


async def put(connection: Connection, waiting: Sequence[Queued], now: datetime, part: int) -> None:
    """Put fresh deliveries into their lanes, which `lock_lanes` has locked, inside the transaction that routes their events.

    Args:
        part: Which counters are this process's own (`store.statistics`).
    """
    records = [(q.id, q.webhook_id, q.event_id, q.group_id, q.is_test, q.due_at) for q in waiting]
    await add_rows(connection, "queue", _COLUMNS, records)
    lanes = Counter(q.webhook_id for q in waiting)
    await connection.execute(_SQL["make_due"], list(lanes), list(lanes.values()), now, part)


async def claim(
    connection: Connection,
    worker_id: UUID,
    now: datetime,
    *,
    capacity: int,
    part: int,
    others_capacity: int | None = None,
    is_slow: Callable[[UUID], bool] = lambda _: False,
    turns: GroupTurns | None = None,
) -> tuple[int, list[list[Delivery]]]:
    """Lease up to `capacity` due deliveries, in the caller's transaction: tests, then a fair share of each lane that is due.

    Args:
        others_capacity: How many of lanes that are not trusted, of the capacity; None: all of it.
        is_slow: Tells lanes that are not trusted now, whatever came of their last attempt.
        turns: Whose turn it is to be looked at, where more lanes are due than a claim looks at; None: there is one group alone.

    Returns:
        The version of the subscriptions, as of the claim, and the flights: the deliveries of each, of trusted lanes first,
        and those due longest.
    """
    most_others = capacity if others_capacity is None else min(capacity, others_capacity)
    limits = min(MAX_LANES, capacity), min(MAX_OTHER_LANES, most_others)
    due = await connection.fetch(_SQL["lock_due_lanes"], now, *limits)
    by_age = [row for row in due if row["webhook_id"] is not None]
    version, tests = await _claim_tests(connection, worker_id, now, capacity, part) if len(by_age) < len(due) else (0, [])
    by_turns = [] if turns is None else await _lock_lanes_in_turn(connection, now, by_age, limits, turns)
    looked = {row["webhook_id"]: row for row in by_turns + by_age}  # what does not go round is of those whose turn it is
    lanes = [
        DueLane(lane, row["trusted"] and not is_slow(lane), row["in_flight"], row["wanted"], row["group_id"])
        for lane, row in looked.items()
    ]
    others = {lane.webhook_id for lane in lanes if not lane.trusted}
    if others and not most_others:  # those that turned slow: there is room for them when some of them have ended
        await connection.execute(_SQL["put_off"], list(others), now)
        lanes = [lane for lane in lanes if lane.trusted]
    shares = claim_shares(lanes, capacity - len(tests), most_others)
    rows = await connection.fetch(_SQL["claim"], worker_id, now, list(shares.values()), list(shares), part) if lanes else []
    if not rows:
        return version, [tests] if tests else []
    leased = [_leased(row, is_trusted=row["webhook_id"] not in others) for row in rows]
    leased.sort(key=_rank)
    return rows[0]["routes_version"], [claimed for claimed in (tests, leased) if claimed]


async def _lock_lanes_in_turn(
    connection: Connection, now: datetime, by_age: Sequence[Any], limits: tuple[int, int], turns: GroupTurns
) -> list[Any]:
    """Lock lanes of the groups whose turn it is, of each kind that has more due than was looked at, and return their rows."""
    locked: list[Any] = []
    for is_trusted, limit in zip((True, False), limits, strict=True):
        counts = Counter(row["group_id"] for row in by_age if row["trusted"] is is_trusted)
        if not limit or counts.total() < limit:
            turns.end(is_trusted)  # all that is due was looked at
            continue
        most = max(1, limit // 2)
        seen = [group_id for group_id, count in counts.items() if count * LEAST_FOR_OTHERS >= limit]
        *rows, last = await connection.fetch(
            _SQL["lock_due_lanes_of_groups"],
            is_trusted,
            turns.behind(is_trusted),
            now,
            min(MAX_GROUPS, most),
            most,
            seen,
            MAX_STEPS,
        )
        turns.served(is_trusted, last["group_id"])
        locked += rows
    return locked


async def _claim_tests(
    connection: Connection, worker_id: UUID, now: datetime, capacity: int, part: int
) -> tuple[int, list[Delivery]]:
    rows = await connection.fetch(_SQL["claim_tests"], worker_id, now, capacity, part)
    return (rows[0]["routes_version"], [_leased(row) for row in rows]) if rows else (0, [])


def _leased(row: Any, *, is_trusted: bool = True) -> Delivery:
    return Delivery(
        row["id"], row["event_id"], row["webhook_id"], row["group_id"], row["attempt_number"], row["due_at"],
        row["flight_id"], row["is_test"], is_trusted,
    )  # fmt: skip


def _rank(delivery: Delivery) -> tuple[bool, datetime]:
    return not delivery.is_trusted, delivery.due_at


async def next_due_at(connection: Connection, *, of_all: bool = True) -> datetime | None:
    """Return when the next lane is due, of all or of those that are trusted; None when none will be."""
    at: datetime | None = await connection.fetchval(_SQL["next_due_at"], of_all)
    return None if at is None or at.year == MAXYEAR else at  # asyncpg reads infinity as the last instant there is


async def wait_again(connection: Connection, retries: Sequence[Retry], now: datetime, part: int) -> None:
    """Put deliveries back to wait for their next attempt; those of deleted webhooks end as cancelled.

    Their lanes are locked by `settle_lanes` in the same transaction.
    """
    await connection.execute(
        _SQL["wait_again"],
        [retry.delivery.id for retry in retries],
        [retry.delivery.webhook_id for retry in retries],
        [retry.delivery.event_id for retry in retries],
        [retry.delivery.group_id for retry in retries],
        [retry.delivery.is_test for retry in retries],
        [retry.attempt_count for retry in retries],
        [retry.at for retry in retries],
        [retry.delivery.due_at for retry in retries],
        [retry.response_status for retry in retries],
        [retry.error for retry in retries],
        now,
        part,
    )


async def settle_lanes(connection: Connection, tallies: dict[UUID, LaneTally], now: datetime) -> Settled:
    """Apply what a batch of results means to its lanes: breaker, rest, when they are due again, and whether they fail."""
    values = list(tallies.values())
    rows = await connection.fetch(
        _SQL["settle_lanes"],
        list(tallies),
        [tally.succeeded for tally in values],
        [tally.failed for tally in values],
        [tally.retry_at for tally in values],
        now,
        [tally.rest_until for tally in values],
        [tally.ended for tally in values],
        [tally.retried for tally in values],
        [tally.tests for tally in values],
        [tally.reason for tally in values],
        [tally.tests_succeeded for tally in values],
    )
    turns = [
        Turn(row["webhook_id"], row["fails"], row["failing_since"] or now, row["waiting"])
        for row in rows
        if row["fails"] or row["recovered"]
    ]
    return Settled(any(row["is_due"] for row in rows), turns)


async def send_again(connection: Connection, ids: list[UUID]) -> set[UUID]:
    """Move finished deliveries back into the queue, and return the ids of those that were."""
    await connection.execute(_SQL["lock_lanes_of"], ids)  # a statement of its own: the next sees what it waited for
    rows = await connection.fetch(_SQL["send_again"], ids)
    if rows:
        await announce(connection)
    return {row["id"] for row in rows}


async def send_again_now(connection: Connection, delivery_id: UUID) -> bool:
    """Make a waiting delivery due now; False when it is not waiting."""
    await connection.execute(_SQL["lock_lane_of"], delivery_id)
    found = await connection.fetchval(_SQL["send_again_now"], delivery_id) is not None
    if found:
        await announce(connection)
    return found


async def announce(connection: Connection) -> None:
    """Tell every worker to look at the queue."""
    await connection.execute(_SQL["announce"])


async def cancel_of_webhook(connection: Connection, webhook_id: UUID) -> None:
    """Take away the lane of a webhook that is being deleted, and end what waits in it. What is under way goes on."""
    await connection.execute(_SQL["close_lane"], webhook_id)
    await connection.execute(_SQL["cancel_of_webhook"], webhook_id)


async def lag_seconds(connection: Connection) -> float:
    """Return for how long the lane that has been due longest has waited."""
    lag: float = await connection.fetchval(_SQL["lag"])
    return lag
