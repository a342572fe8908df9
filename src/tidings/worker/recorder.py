"""Results of attempts, written together: at most 20 ms after they came, in one transaction."""

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec

from tidings.clock import Clock
from tidings.core.delivery import Delivery
from tidings.core.event import day_of
from tidings.core.outcome import Exchange, Gone, Released, Result, RetryAt, final_state
from tidings.core.pauses import Pauses
from tidings.store import flights, history, queue, set_aside, statistics, webhooks, workers
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database, said
from tidings.store.queue import LaneTally, Retry
from tidings.store.storage import answered
from tidings.store.tallies import Minute, add_up
from tidings.worker import warnings
from tidings.worker.flights import TRIM_AFTER, Flights
from tidings.worker.identity import Identity
from tidings.worker.places import Places
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.recorder")

FLUSH_INTERVAL = 0.02  # seconds a result waits for company
FULL = 500  # results that do not wait any longer
MAX_BATCH = 1000
COLLISION_PAUSE = 0.01  # seconds
REFUSED = "%d late results refused: their deliveries had been given to another worker"


class _Batch(msgspec.Struct, frozen=True):
    """Results by what they mean. `gone`: the webhooks whose receivers said that they no longer exist."""

    results: list[Result]
    ended: list[Result]
    retried: list[Result]
    released: list[Result]
    gone: list[UUID]


class _FailedOverError(Exception):
    """Another server has taken over, and results that were written may be gone."""


class Recorder:
    """Collects results and writes them. One per process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        me: Identity,
        airborne: Flights,
        places: Places,
        *,
        on_recorded: Callable[[list[Result]], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._me = me
        self._airborne = airborne
        self._on_recorded = on_recorded
        self._places = places
        self._results: list[Result] = []
        self._minute = Minute()
        self._failovers = database.server.failovers
        self._is_unsure = False  # whether the last transaction was committed
        self._arrived = Signal()
        self._full = Signal()
        self._idle = Signal()
        self._idle.set()
        self.stopping = False

    def add(self, result: Result) -> None:
        """Hand over a result."""
        self._results.append(result)
        self._places.unrecorded += 1
        if not self._arrived.is_set:
            self._idle.clear()
            self._arrived.set()
        if len(self._results) == FULL:
            self._full.set()

    async def run(self) -> None:
        """Write results until told to stop and nothing is left, through outages of the database."""
        pauses = Pauses()
        while not (self.stopping and not self._results):
            # While something is under way there is a look once a second, for flights that have become long.
            await self._arrived.wait(TRIM_AFTER if self._airborne else None)
            if self._results and not self.stopping:
                await self._full.wait(FLUSH_INTERVAL)
            try:
                if self._failovers != self._database.server.failovers:
                    await self._begin_anew()
                await self.run_once()
                await self._keep_flights_small()
                if self._minute.is_full:
                    await self._begin_new_rows()
                pauses.reset()
            except _FailedOverError:
                continue  # the next round begins anew, as often as that takes
            except COLLISIONS as error:
                logger.info("results were in another transaction's way and go again: %s", said(error))
                await Signal().wait(COLLISION_PAUSE)
            except UNAVAILABLE:
                self._is_unsure = True
                self._results = [result.dated() for result in self._results]
                await Signal().wait(pauses.next())

    async def run_once(self) -> int:
        """Write what there is, up to a batch, and return how many results that were."""
        if self._is_unsure:
            await self._forget_what_is_written()
        batch = self._results[:MAX_BATCH]
        by_worker: dict[UUID, list[Result]] = {}
        late = 0
        for result in batch:
            worker_id = self._airborne.worker_of(result.delivery)
            if worker_id is None:
                late += 1
            else:
                by_worker.setdefault(worker_id, []).append(result)
        if late:
            logger.warning(REFUSED, late)
        try:
            for worker_id, theirs in by_worker.items():
                await self._write(worker_id, theirs)
        finally:  # what was written before something failed is not written again
            self._results[: len(batch)] = [result for result in batch if self._airborne.has(result.delivery)]
        if not self._results:
            self._arrived.clear()
            self._idle.set()
        if len(self._results) < FULL:
            self._full.clear()
        self._places.unrecorded = len(self._results)
        self._places.look()
        return len(batch)

    async def _forget_what_is_written(self) -> None:
        """Leave out results that an earlier try has written, where the answer to its commit was lost.

        What they were counted in is not known here, so their rows of statistics are left as they are, for new ones.
        """
        batch = self._results[:MAX_BATCH]
        async with self._database.connection() as connection:
            settled = await flights.settled(connection, [result.delivery for result in batch])
        await self._begin_new_rows()
        self._airborne.recorded(result.delivery for result in batch if result.delivery.id in settled)
        self._results[: len(batch)] = [result for result in batch if result.delivery.id not in settled]
        self._is_unsure = False

    def _expect_same_server(self) -> None:
        """Refuse to end or trim flights over a connection to a server that may not know what was recorded (`_begin_anew`)."""
        if self._failovers != self._database.server.failovers:
            raise _FailedOverError

    async def _begin_anew(self) -> None:
        """Go on under another name after a failover, which may have lost results that were acknowledged.

        To end or trim a flight by what is remembered here would lose what the new server does not know of. So all flights
        are left to the rescuer, who looks at what is on record.

        When this fails, nothing is changed here and it is done again: results wait, and a name that was registered for nothing
        is buried for its silence.
        """
        seen = self._database.server.failovers  # one that comes meanwhile is another
        async with self._database.transaction() as connection:
            fresh = uuid4()
            part = await workers.register(connection, fresh, socket.gethostname(), os.getpid())
            await workers.leave(connection, self._me.worker_id)
        logger.warning("PostgreSQL failed over; what worker %s held is due again", self._me.worker_id)
        self._failovers = seen
        self._me.worker_id, self._me.part = fresh, part
        self._minute = Minute()
        self._airborne.forget(self._airborne.known)

    async def drain(self) -> None:
        """Wait until everything handed over so far is written."""
        await self._idle.wait()

    def stop(self) -> None:
        """End the loop once nothing is left."""
        self.stopping = True
        self._arrived.set()
        self._full.set()

    async def _write(self, worker_id: UUID, results: list[Result]) -> None:
        """Write results; if the database objects to one of them, write each alone, the bad one without its response."""
        try:
            await self._write_together(worker_id, results)
        except (*UNAVAILABLE, *COLLISIONS):
            raise
        except asyncpg.PostgresError as error:
            if len(results) > 1:
                for result in results:
                    await self._write(worker_id, [result])
                return
            await self._write_refused(worker_id, results[0], error)

    async def _write_refused(self, worker_id: UUID, result: Result, error: asyncpg.PostgresError) -> None:
        """Write a result that the database objects to: without its response; else set its delivery aside.

        Nobody else's results wait for it.
        """
        logger.warning("the response of delivery %s cannot be stored: %s", result.delivery.id, said(error))
        bare = Exchange(result.exchange.status, failure=result.exchange.failure)
        try:
            async with self._database.connection() as connection:  # somebody may have dropped the partition it belongs to
                await history.ensure_day(connection, day_of(result.delivery.event_id))
            await self._write_together(worker_id, [msgspec.structs.replace(result, exchange=bare)])
        except (*UNAVAILABLE, *COLLISIONS):
            raise
        except asyncpg.PostgresError as refused:
            await self._set_aside(worker_id, result, refused)

    async def _set_aside(self, worker_id: UUID, result: Result, refused: Exception) -> None:
        """Take a delivery out of the way that history cannot hold: one whose row was written by hand, say."""
        delivery = result.delivery
        reason = f"What came of it cannot be recorded, since PostgreSQL refuses it: {said(refused)}."
        async with self._database.transaction() as connection:
            if delivery.flight_id in await flights.hold(connection, worker_id, [delivery.flight_id]):
                left = self._airborne.without([delivery.flight_id], {delivery})
                await flights.trim(connection, left)
                await queue.settle_lanes(connection, {delivery.webhook_id: LaneTally(ended=1, tests=1)}, self._clock.now())
                await set_aside.put_deliveries(connection, {delivery: reason})
        self._airborne.recorded([delivery])
        logger.error("delivery %s was set aside: %s", delivery.id, reason)

    async def _write_together(self, worker_id: UUID, results: list[Result]) -> None:
        self._minute.discard()
        flown = Counter(result.delivery.flight_id for result in results)
        ended = self._airborne.ended_by(flown)
        async with self._database.transaction() as connection:
            self._expect_same_server()
            # In one order: the rescuer skips what is locked, so nobody waits for us here.
            held = await flights.land(connection, worker_id, ended)
            held |= await flights.hold(connection, worker_id, flown.keys() - ended)
            batch = _sort(results if len(held) == len(flown) else [r for r in results if r.delivery.flight_id in held])
            are_lanes_due = await self._settle(connection, batch, min(held.values(), default=self._clock.now()))
            left = await self._take_out_released(connection, batch, held.keys() - ended)
        self._minute.commit()
        self._airborne.recorded(result.delivery for result in batch.results)
        self._airborne.trimmed(left)
        if len(batch.results) < len(results):
            self._airborne.forget(flown.keys() - held.keys())
            logger.warning(REFUSED, len(results) - len(batch.results))
        if are_lanes_due:
            self._places.called.set()
        self._on_recorded(batch.results)

    async def _take_out_released(
        self, connection: Connection, batch: _Batch, flight_ids: set[int]
    ) -> dict[int, list[Delivery]]:
        """Take what was put back without an attempt out of flights that go on: no record says that they are done with it."""
        released = {result.delivery.flight_id for result in batch.released} & flight_ids
        if not released:
            return {}
        left = self._airborne.without(released, {result.delivery for result in batch.results})
        await flights.trim(connection, left)
        return left

    async def _settle(self, connection: Connection, batch: _Batch, database_time: datetime) -> bool:
        """Move deliveries whose lease still holds to their next state; return whether a lane is due because of it.

        Nothing is recorded to have been in PostgreSQL's future, even when its clock was put back since our last heartbeat.
        """
        if not batch.results:
            return False
        now = self._clock.now()
        ended_at = self._clock.not_after(database_time)
        if batch.gone:
            await webhooks.lock_rows(connection, batch.gone)  # before lanes, as those who change a webhook do
        if batch.ended:
            await history.add_deliveries(connection, batch.ended, ended_at)
        if batch.retried:
            await history.add_attempts(connection, batch.retried, ended_at)
        sums = add_up(batch.results, now)
        if sums.counters:
            part, minute = self._me.part, now.replace(second=0, microsecond=0)
            rows = self._minute.stage(part, minute, sums.statistics)
            stored = answered(batch.ended + batch.retried)
            await statistics.write(connection, part, minute, rows, sums.counters, stored)
        settled = await queue.settle_lanes(connection, sums.lanes, now)
        if batch.retried or batch.released:
            await queue.wait_again(connection, [_retry(r) for r in batch.retried + batch.released], now, self._me.part)
        if settled.turns:
            await warnings.tell(connection, warnings.of_turns(settled.turns, sums.lanes), now)
        if batch.gone:
            await self._close_gone(connection, batch.gone)  # last, since all who change a webhook wait for the version's lock
        return settled.is_due

    async def _keep_flights_small(self) -> None:
        """Leave in long flights what is under way, since whoever asks what that is looks through them."""
        if left := self._airborne.to_trim():
            async with self._database.transaction() as connection:
                self._expect_same_server()
                await flights.trim(connection, left)
            self._airborne.trimmed(left)

    async def _begin_new_rows(self) -> None:
        """Begin new rows of statistics: before too many are remembered, or when it is not known what is in the old ones."""
        async with self._database.connection() as connection:
            part = await workers.new_part(connection, self._me.worker_id)
        if part is not None:  # else this worker was declared dead, and the heart gives it a new name and new rows
            self._me.part = part
            self._minute = Minute()

    async def _close_gone(self, connection: Connection, webhook_ids: list[UUID]) -> None:
        for webhook_id in webhook_ids:
            reason = "Its receiver answered 410 Gone. Enable the webhook again when the receiver is back."
            disabled = await webhooks.disable_webhooks(connection, [webhook_id], reason)
            await warnings.tell_of_disabled(connection, dict.fromkeys(disabled, reason), self._clock.now())
            logger.warning("webhook %s disabled: its receiver answered 410 Gone", webhook_id)


def _sort(results: list[Result]) -> _Batch:
    ended, retried, released = [], [], []
    for result in results:
        if final_state(result.outcome) is not None:
            ended.append(result)
        elif isinstance(result.outcome, RetryAt):
            retried.append(result)
        else:
            released.append(result)
    gone = sorted({result.delivery.webhook_id for result in ended if isinstance(result.outcome, Gone)})
    return _Batch(results, ended, retried, released, gone)


def _retry(result: Result) -> Retry:
    delivery, outcome = result.delivery, result.outcome
    if isinstance(outcome, RetryAt):
        return Retry(delivery, delivery.attempt_number, outcome.at, result.exchange.status, outcome.reason)
    assert isinstance(outcome, Released)  # noqa: S101 - all others end their delivery
    return Retry(delivery, delivery.attempt_number - 1, outcome.at, None, None)
