"""The queue: unfinished deliveries in lanes, and the leases on them (theory: `sql/queue.sql`)."""

from collections.abc import Sequence
from datetime import MAXYEAR, datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.delivery import Delivery, State
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("queue")

QUEUE_CHANNEL = "tidings_queue"

_COLUMNS = (
    "id", "webhook_id", "event_id", "group_id", "event_type", "is_test", "due_at", "attempt_count", "worker_id", "claimed_at",
)  # fmt: skip


class Queued(msgspec.Struct, frozen=True, gc=False):
    """A delivery to be put into the queue."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    group_id: str
    event_type: str
    is_test: bool
    due_at: datetime


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A delivery that ends with its last attempt."""

    id: UUID
    attempt_number: int
    state: State
    response_status: int | None
    error: str | None


class Retry(msgspec.Struct, frozen=True, gc=False):
    """A delivery to be given back until its next attempt."""

    id: UUID
    attempt_number: int
    at: datetime
    response_status: int | None
    error: str


class LaneTally(msgspec.Struct):
    """What a batch of results says about one lane.

    Attributes:
        retry_at: The earliest next attempt among its retries.
        rest_until: Until when its receiver asked to be left alone (Retry-After).
    """

    succeeded: int = 0
    failed: int = 0
    retry_at: datetime | None = None
    rest_until: datetime | None = None


class Depth(msgspec.Struct, frozen=True):
    """The queue at one moment."""

    unfinished: int
    sending: int
    due: int
    lag_seconds: float


async def lock_lanes(connection: Connection, webhook_ids: list[UUID], now: datetime) -> dict[UUID, int]:
    """Lock the lanes of webhooks to the end of the transaction, and return which of them can be leased to at once.

    Returns:
        How many more deliveries each may have under way; lanes whose deliveries must wait to be claimed are left out.
    """
    return {row["webhook_id"]: row["room"] for row in await connection.fetch(_SQL["lock_lanes"], webhook_ids, now)}


async def put(
    connection: Connection, leased: Sequence[Queued], waiting: Sequence[Queued], worker_id: UUID, now: datetime
) -> None:
    """Put deliveries into their lanes, which `lock_lanes` has locked, inside the transaction that routes their events."""
    records: list[tuple[Any, ...]] = [
        (q.id, q.webhook_id, q.event_id, q.group_id, q.event_type, q.is_test, q.due_at, 1, worker_id, now) for q in leased
    ]
    records += [(q.id, q.webhook_id, q.event_id, q.group_id, q.event_type, q.is_test, q.due_at, 0, None, None) for q in waiting]
    await connection.copy_records_to_table("queue", schema_name="tidings", columns=_COLUMNS, records=records)
    if waiting:
        await connection.execute(_SQL["make_due"], list({q.webhook_id for q in waiting}), now)


async def claim(
    connection: Connection, worker_id: UUID, now: datetime, *, capacity: int, lane_limit: int = 500
) -> tuple[int, list[Delivery]]:
    """Lease up to `capacity` due deliveries, a fair share of each lane that is due, in the caller's transaction.

    Returns:
        The version of the subscriptions, as of the claim, and the deliveries, those due longest first.
    """
    lanes = [row[0] for row in await connection.fetch(_SQL["lock_due_lanes"], now, min(lane_limit, capacity))]
    if not lanes:
        return 0, []
    rows = await connection.fetch(_SQL["claim"], worker_id, now, capacity // len(lanes), lanes)
    if not rows:
        return 0, []
    rows.sort(key=_due_at)
    return rows[0]["routes_version"], [Delivery(*row[:6]) for row in map(tuple, rows)]


def _due_at(row: Any) -> datetime:
    at: datetime = row[4]
    return at


async def next_due_at(connection: Connection) -> datetime | None:
    """Return when the next lane is due; None when none will be."""
    at: datetime | None = await connection.fetchval(_SQL["next_due_at"])
    return None if at is None or at.year == MAXYEAR else at  # asyncpg reads infinity as the last instant there is


async def finish(connection: Connection, worker_id: UUID, finished: Sequence[Finished], now: datetime) -> set[UUID]:
    """Move finished deliveries into history, and return the ids of those that were still leased to this worker."""
    rows = await connection.fetch(
        _SQL["finish"],
        worker_id,
        [done.id for done in finished],
        [done.attempt_number for done in finished],
        [done.state for done in finished],
        [done.response_status for done in finished],
        [done.error for done in finished],
        now,
    )
    return {row[0] for row in rows}


async def retry_later(connection: Connection, worker_id: UUID, retries: Sequence[Retry]) -> set[UUID]:
    """Give deliveries back to wait, and return the ids of those that were still leased to this worker."""
    rows = await connection.fetch(
        _SQL["retry_later"],
        worker_id,
        [retry.id for retry in retries],
        [retry.attempt_number for retry in retries],
        [retry.at for retry in retries],
        [retry.response_status for retry in retries],
        [retry.error for retry in retries],
    )
    return {row["id"] for row in rows}


async def release_forgotten(connection: Connection, worker_id: UUID, before: datetime, known: list[UUID]) -> int:
    """Give back what is leased to this worker since before then and is not among what it knows of; return how many."""
    count: int = await connection.fetchval(_SQL["release_forgotten"], worker_id, before, known)
    return count


async def give_back(connection: Connection, worker_id: UUID, delivery_ids: list[UUID]) -> None:
    """Let deliveries wait again that were leased to this worker and not begun."""
    await connection.execute(_SQL["give_back"], worker_id, delivery_ids)


async def settle_lanes(connection: Connection, tallies: dict[UUID, LaneTally], now: datetime) -> bool:
    """Apply what a batch of results means to its lanes: breaker, rest, and when they are due again.

    Returns:
        Whether any of them is due now: a claim would find something.
    """
    values = list(tallies.values())
    rows = await connection.fetch(
        _SQL["settle_lanes"],
        list(tallies),
        [tally.succeeded for tally in values],
        [tally.failed for tally in values],
        [tally.retry_at for tally in values],
        now,
        [tally.rest_until for tally in values],
    )
    return any(row["is_due"] for row in rows)


async def send_again(connection: Connection, ids: list[UUID]) -> set[UUID]:
    """Move finished deliveries back into the queue, and return the ids of those that were."""
    rows = await connection.fetch(_SQL["send_again"], ids)
    if rows:
        await announce(connection)
    return {row["id"] for row in rows}


async def send_again_now(connection: Connection, delivery_id: UUID) -> bool:
    """Make a waiting delivery due now; False when it is not waiting."""
    found = await connection.fetchval(_SQL["send_again_now"], delivery_id) is not None
    if found:
        await announce(connection)
    return found


async def announce(connection: Connection) -> None:
    """Tell every worker to look at the queue."""
    await connection.execute(_SQL["announce"])


async def cancel_of_webhook(connection: Connection, webhook_id: UUID) -> None:
    """End what a webhook that is being deleted leaves unfinished."""
    await connection.execute(_SQL["cancel_of_webhook"], webhook_id)


async def depth(connection: Connection) -> Depth:
    """Return how much is in the queue."""
    row = await connection.fetchrow(_SQL["depth"])
    return Depth(row["unfinished"], row["sending"], row["due"], row["lag_seconds"])
