"""Results of attempts, written together: at most 20 ms after they came, in one transaction."""

import logging
from collections.abc import Callable
from uuid import UUID

import asyncpg
import msgspec

from tidings.clock import Clock
from tidings.core.delivery import Delivery, State
from tidings.core.outcome import Exchange, GiveUp, Gone, Released, RetryAt, Succeeded
from tidings.store import flights, history, queue, statistics, webhooks, workers
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.history import AttemptRecord, DeliveryRecord
from tidings.store.queue import Retry
from tidings.worker.flights import TRIM_AFTER, Flights
from tidings.worker.identity import Identity
from tidings.worker.result import Result
from tidings.worker.signals import Signal
from tidings.worker.tallies import Minute, add_up

logger = logging.getLogger("tidings.recorder")

FLUSH_INTERVAL = 0.02  # seconds a result waits for company
FULL = 500  # results that do not wait any longer
MAX_BATCH = 1000
COLLISION_PAUSE = 0.01  # seconds
REFUSED = "%d late results refused: their deliveries had been given to another worker"


class Recorder:
    """Collects results and writes them. One per process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        me: Identity,
        airborne: Flights,
        *,
        on_recorded: Callable[[list[Result]], None] = lambda _: None,
        on_lanes_due: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._me = me
        self._airborne = airborne
        self._on_recorded = on_recorded
        self._on_lanes_due = on_lanes_due
        self._results: list[Result] = []
        self._minute = Minute()
        self._is_unsure = False  # whether the last transaction was committed
        self._arrived = Signal()
        self._full = Signal()
        self._idle = Signal()
        self._idle.set()
        self.stopping = False

    def add(self, result: Result) -> None:
        """Hand over a result."""
        self._results.append(result)
        if not self._arrived.is_set:
            self._idle.clear()
            self._arrived.set()
        if len(self._results) == FULL:
            self._full.set()

    async def run(self) -> None:
        """Write results until told to stop and nothing is left, through outages of the database."""
        pause = 0.1
        while not (self.stopping and not self._results):
            # While something is under way there is a look once a second, for flights that have become long.
            await self._arrived.wait(TRIM_AFTER if self._airborne else None)
            if self._results and not self.stopping:
                await self._full.wait(FLUSH_INTERVAL)
            try:
                await self.run_once()
                await self._keep_flights_small()
                if self._minute.is_full:
                    await self._begin_new_rows()
                pause = 0.1
            except COLLISIONS as error:
                logger.info("results were in another transaction's way and go again: %s", error)
                await Signal().wait(COLLISION_PAUSE)
            except UNAVAILABLE as error:
                self._is_unsure = True
                logger.warning("database unavailable, results wait: %s", error or type(error).__name__)
                await Signal().wait(pause)
                pause = min(2.0, pause * 2)

    async def run_once(self) -> int:
        """Write what there is, up to a batch, and return how many results that were."""
        if self._is_unsure:
            await self._forget_what_is_written()
        batch = self._results[:MAX_BATCH]
        if late := sum(not self._airborne.has(result.delivery) for result in batch):
            logger.warning(REFUSED, late)
        try:
            for worker_id, flight_ids in self._airborne.by_worker({r.delivery.flight_id for r in batch}).items():
                theirs = [result for result in batch if result.delivery.flight_id in flight_ids]
                await self._write(worker_id, [result for result in theirs if self._airborne.has(result.delivery)])
        finally:  # what was written before something failed is not written again
            self._results[: len(batch)] = [result for result in batch if self._airborne.has(result.delivery)]
        if not self._results:
            self._arrived.clear()
            self._idle.set()
        if len(self._results) < FULL:
            self._full.clear()
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
            logger.warning("the response of delivery %s cannot be stored: %s", results[0].delivery.id, error)
            bare = Exchange(results[0].exchange.status, failure=results[0].exchange.failure)
            await self._write_together(worker_id, [msgspec.structs.replace(results[0], exchange=bare)])

    async def _write_together(self, worker_id: UUID, results: list[Result]) -> None:
        if not results:
            return
        self._minute.discard()
        ended = self._airborne.ended_by(result.delivery for result in results)
        flown = {result.delivery.flight_id for result in results}
        async with self._database.transaction() as connection:
            # In one order: the rescuer skips what is locked, so nobody waits for us here.
            held = await flights.land(connection, worker_id, ended)
            held |= await flights.hold(connection, worker_id, flown - ended)
            accepted = results if held == flown else [result for result in results if result.delivery.flight_id in held]
            are_lanes_due = await self._settle(connection, accepted)
            left = await self._take_out_released(connection, accepted, held - ended)
        self._minute.commit()
        self._airborne.recorded(result.delivery for result in accepted)
        self._airborne.trimmed(left)
        if len(accepted) < len(results):
            self._airborne.forget(flown - held)
            logger.warning(REFUSED, len(results) - len(accepted))
        if are_lanes_due:
            self._on_lanes_due()
        self._on_recorded(accepted)

    async def _take_out_released(
        self, connection: Connection, results: list[Result], flight_ids: set[int]
    ) -> dict[int, list[Delivery]]:
        """Take what was put back without an attempt out of flights that go on: no record says that they are done with it."""
        released = {result.delivery.flight_id for result in results if isinstance(result.outcome, Released)} & flight_ids
        if not released:
            return {}
        left = self._airborne.without(released, {result.delivery for result in results})
        await flights.trim(connection, left)
        return left

    async def _settle(self, connection: Connection, results: list[Result]) -> bool:
        """Move deliveries whose lease still holds to their next state; return whether a lane is due because of it."""
        if not results:
            return False
        now = self._clock.now()
        gone = sorted({result.delivery.webhook_id for result in results if isinstance(result.outcome, Gone)})
        if gone:
            await webhooks.lock_rows(connection, gone)  # before lanes, as those who change a webhook do
        if finished := [done for result in results if (done := _finished(result)) is not None]:
            await history.add_deliveries(connection, finished, now)
        if attempts := [_attempt(result) for result in results if isinstance(result.outcome, RetryAt)]:
            await history.add_attempts(connection, attempts)
        batch = add_up(results, now)
        if batch.counters:
            part, minute = self._me.part, now.replace(second=0, microsecond=0)
            rows = self._minute.stage(part, minute, batch.statistics)
            await statistics.write(connection, part, minute, rows, batch.counters)
        are_lanes_due = await queue.settle_lanes(connection, batch.lanes, now)
        if retries := [retry for result in results if (retry := _retry(result)) is not None]:
            await queue.wait_again(connection, retries, now, self._me.part)
        if gone:
            await self._close_gone(connection, gone)  # last, since all who change a webhook wait for the version's lock
        return are_lanes_due

    async def _keep_flights_small(self) -> None:
        """Leave in long flights what is under way, since whoever asks what that is looks through them."""
        if left := self._airborne.to_trim():
            async with self._database.transaction() as connection:
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
            await webhooks.disable_webhooks(connection, [webhook_id], reason)
            logger.warning("webhook %s disabled: its receiver answered 410 Gone", webhook_id)


def _retry(result: Result) -> Retry | None:
    match result.outcome:
        case RetryAt(at=at, reason=reason):
            return Retry(result.delivery, result.delivery.attempt_number, at, result.exchange.status, reason)
        case Released(at=at):
            return Retry(result.delivery, result.delivery.attempt_number - 1, at, None, None)
        case _:
            return None


def _finished(result: Result) -> DeliveryRecord | None:
    match result.outcome:
        case Succeeded():
            return DeliveryRecord(result.delivery, State.SUCCEEDED, _attempt(result))
        case GiveUp() | Gone():
            return DeliveryRecord(result.delivery, State.FAILED, _attempt(result))
        case RetryAt() | Released():
            return None


def _attempt(result: Result) -> AttemptRecord:
    reason = None if isinstance(result.outcome, Succeeded | Released) else result.outcome.reason
    delivery = result.delivery
    return AttemptRecord(
        delivery.id,
        delivery.attempt_number,
        result.started_at,
        result.exchange,
        reason,
        result.webhook_version,
        result.signer_id,
    )
