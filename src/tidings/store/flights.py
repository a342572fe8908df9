"""Flights: what workers are sending, one row for each batch (theory: `migrations/0004_flights.sql`)."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from tidings.core.delivery import Delivery
from tidings.store import set_aside
from tidings.store.database import Connection, said
from tidings.store.queue import Queued
from tidings.store.statements import load

logger = logging.getLogger("tidings.flights")

_SQL = load("flights")

ORPHANS_AT_ONCE = 100  # flights of dead workers that are grounded in one transaction
UNKNOWN_AT_ONCE = 1000  # flights that a worker does not know of and looks at together
MAX_DELIVERIES = 10_000  # of one flight
DIED = "The worker died before it could record the attempt."


async def begin(connection: Connection, worker_id: UUID, fresh: Sequence[Queued], now: datetime) -> int:
    """Lease fresh deliveries, whose lanes `queue.lock_lanes` has locked, in the transaction that routes their events.

    Returns:
        The id of the flight.
    """
    lanes = Counter(queued.webhook_id for queued in fresh)
    numbers = {lane: number for number, lane in enumerate(lanes, 1)}
    flight_id: int = await connection.fetchval(
        _SQL["begin"],
        worker_id,
        now,
        [queued.id for queued in fresh],
        [queued.event_id for queued in fresh],
        [numbers[queued.webhook_id] for queued in fresh],
        list(lanes),
        list(lanes.values()),
    )
    return flight_id


async def hold(connection: Connection, worker_id: UUID, flight_ids: Collection[int]) -> dict[int, datetime]:
    """Lock flights to the end of the transaction; return those that are still this worker's, with PostgreSQL's clock."""
    return dict(await connection.fetch(_SQL["hold"], worker_id, flight_ids)) if flight_ids else {}


async def land(connection: Connection, worker_id: UUID, flight_ids: Collection[int]) -> dict[int, datetime]:
    """End flights whose last results are written in this transaction; return those that were still this worker's, with
    PostgreSQL's clock.
    """
    return dict(await connection.fetch(_SQL["land"], worker_id, flight_ids)) if flight_ids else {}


async def settled(connection: Connection, deliveries: Sequence[Delivery]) -> set[UUID]:
    """Return those of these deliveries whose result is written already."""
    rows = await connection.fetch(
        _SQL["settled"],
        [delivery.id for delivery in deliveries],
        [delivery.attempt_number for delivery in deliveries],
        [delivery.flight_id for delivery in deliveries],
    )
    return {row[0] for row in rows}


async def trim(connection: Connection, left: dict[int, list[Delivery]]) -> None:
    """Leave in flights only what is still under way."""
    await connection.executemany(_SQL["trim"], [(flight_id, *_arrays(deliveries)) for flight_id, deliveries in left.items()])


def _arrays(deliveries: Sequence[Delivery]) -> tuple[list[UUID], list[UUID], list[int], list[UUID], list[int]]:
    lanes = dict.fromkeys(delivery.webhook_id for delivery in deliveries)
    numbers = {lane: number for number, lane in enumerate(lanes, 1)}
    return (
        [delivery.id for delivery in deliveries],
        [delivery.event_id for delivery in deliveries],
        [numbers[delivery.webhook_id] for delivery in deliveries],
        list(lanes),
        [delivery.attempt_number for delivery in deliveries],
    )


async def ground_orphans(connection: Connection) -> int:
    """Put back what workers that are gone had under way, in the caller's transaction; return how many deliveries that were.

    The attempt each was making is put on record as lost, because what came of it is unknown.
    """
    return await _ground(connection, await connection.fetch(_SQL["orphans"], ORPHANS_AT_ONCE), DIED)


async def unknown(connection: Connection, worker_id: UUID, known: Collection[int]) -> list[int]:
    """Return flights that are leased to this worker, and that it does not know of."""
    return [row[0] for row in await connection.fetch(_SQL["unknown"], worker_id, known, UNKNOWN_AT_ONCE)]


async def ground_forgotten(connection: Connection, worker_id: UUID, forgotten: Collection[int]) -> int:
    """Put back what this worker holds in flights that it has forgotten; return how many deliveries that were."""
    return await _ground(connection, await connection.fetch(_SQL["forgotten"], worker_id, forgotten), None)


async def _ground(connection: Connection, rows: Sequence[Sequence[int]], lost: str | None) -> int:
    return await put_back(connection, [row[0] for row in rows], lost)


async def put_back(connection: Connection, flight_ids: list[int], lost: str | None) -> int:
    """Put back what flights hold, which the caller has locked in this transaction; return how many deliveries that were.

    Args:
        lost: Why it is unknown what came of the attempts, which are put on record so; None: they were not sent.
    """
    if not flight_ids:
        return 0
    await connection.execute(_SQL["lock_lanes_of"], flight_ids)  # a statement of its own: `ground` sees what they waited for
    try:
        async with connection.transaction():
            return await _put_back(connection, flight_ids, lost)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        logger.warning("flights cannot be grounded together, so they are grounded one by one: %s", error)
    return sum([await _ground_alone(connection, flight_id, lost) for flight_id in flight_ids])


async def _ground_alone(connection: Connection, flight_id: int, lost: str | None) -> int:
    """Ground a flight; when PostgreSQL refuses what is in it, as of one that was changed by hand, set that aside."""
    try:
        async with connection.transaction():
            return await _put_back(connection, [flight_id], lost)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        reason = f"Its worker died, and it cannot be put back, since PostgreSQL refuses it: {said(error)}."
        count = await set_aside.put_flight(connection, flight_id, reason)
        logger.error("%d deliveries of flight %d were set aside: %s", count, flight_id, reason)  # noqa: TRY400 - told whole
        return count


async def _put_back(connection: Connection, flight_ids: list[int], lost: str | None) -> int:
    row = await connection.fetchrow(_SQL["ground"], flight_ids, lost)
    if row["gone"]:
        logger.error("%d deliveries cannot be put back: history has their events no more", row["gone"])
    count: int = row["grounded"]
    return count


async def under_way(connection: Connection) -> int:
    """Return how many deliveries workers hold, those of the last second that are done included."""
    count: int = await connection.fetchval(_SQL["under_way"])
    return count
