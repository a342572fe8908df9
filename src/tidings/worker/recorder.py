"""Results of attempts, written together: at most 20 ms after they came, in one transaction."""

import logging
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from tidings.clock import Clock
from tidings.core.delivery import Delivery, State
from tidings.core.outcome import Exchange, GiveUp, Gone, Outcome, RetryAt, Succeeded, retry_after_seconds
from tidings.store import history, queue, webhooks
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.history import AttemptRecord
from tidings.store.queue import Finished, LaneTally, Retry
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.recorder")

FLUSH_INTERVAL = 0.02  # seconds a result waits for company
FULL = 500  # results that do not wait any longer
MAX_BATCH = 1000

_OUR_FAULTS = frozenset({"stopped", "internal", "render"})  # they say nothing about the receiver


class Result(msgspec.Struct, frozen=True, gc=False):
    """One attempt, made and judged."""

    worker_id: UUID
    delivery: Delivery
    started_at: datetime
    exchange: Exchange
    outcome: Outcome


class Recorder:
    """Collects results and writes them. One per process."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        on_recorded: Callable[[list[Result]], None] = lambda _: None,
        on_lanes_due: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_recorded = on_recorded
        self._on_lanes_due = on_lanes_due
        self._results: list[Result] = []
        self._arrived = Signal()
        self._full = Signal()
        self._idle = Signal()
        self._idle.set()
        self.stopping = False

    def add(self, result: Result) -> None:
        """Hand over a result."""
        self._results.append(result)
        self._idle.clear()
        self._arrived.set()
        if len(self._results) >= FULL:
            self._full.set()

    async def run(self) -> None:
        """Write results until told to stop and nothing is left, through outages of the database."""
        pause = 0.1
        while not (self.stopping and not self._results):
            await self._arrived.wait()
            if not self.stopping:
                await self._full.wait(FLUSH_INTERVAL)
            try:
                await self.run_once()
                pause = 0.1
            except UNAVAILABLE as error:
                logger.warning("database unavailable, results wait: %s", error or type(error).__name__)
                await Signal().wait(pause)
                pause = min(2.0, pause * 2)

    async def run_once(self) -> int:
        """Write what there is, up to a batch, and return how many results that were."""
        batch = self._results[:MAX_BATCH]
        for worker_id in {result.worker_id for result in batch}:
            await self._write([result for result in batch if result.worker_id == worker_id])
        del self._results[: len(batch)]
        if not self._results:
            self._arrived.clear()
            self._idle.set()
        if len(self._results) < FULL:
            self._full.clear()
        return len(batch)

    async def drain(self) -> None:
        """Wait until everything handed over so far is written."""
        await self._idle.wait()

    @property
    def unrecorded(self) -> list[UUID]:
        """The deliveries whose results are not written yet."""
        return [result.delivery.id for result in self._results]

    def stop(self) -> None:
        """End the loop once nothing is left."""
        self.stopping = True
        self._arrived.set()
        self._full.set()

    async def _write(self, results: list[Result]) -> None:
        """Write results; if the database objects to one of them, write each alone, the bad one without its response."""
        try:
            await self._write_together(results)
        except UNAVAILABLE:
            raise
        except COLLISIONS:
            await self._write(results)
        except asyncpg.PostgresError as error:
            if len(results) > 1:
                for result in results:
                    await self._write([result])
                return
            logger.warning("the response of delivery %s cannot be stored: %s", results[0].delivery.id, error)
            bare = Exchange(results[0].exchange.status, failure=results[0].exchange.failure)
            await self._write_together([msgspec.structs.replace(results[0], exchange=bare)])

    async def _write_together(self, results: list[Result]) -> None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            accepted = await self._settle(connection, results, now)
            are_lanes_due = await queue.settle_lanes(connection, _tallies(accepted, now), now)
        if are_lanes_due:
            self._on_lanes_due()
        refused = len(results) - len(accepted)
        if refused:
            logger.warning("%d late results refused: their deliveries had been given to another worker", refused)
        self._on_recorded(accepted)

    async def _settle(self, connection: Connection, results: list[Result], now: datetime) -> list[Result]:
        """Move every delivery to its next state, and return the results whose lease still held."""
        worker_id = results[0].worker_id
        held: set[UUID] = set()
        finished = [done for result in results if (done := _finished(result)) is not None]
        if finished:
            held |= await queue.finish(connection, worker_id, finished, now)
        retries = [retry for result in results if (retry := _retry(result)) is not None]
        if retries:
            held |= await queue.retry_later(connection, worker_id, retries)
        accepted = [result for result in results if result.delivery.id in held]
        await history.add_attempts(connection, [_attempt(result) for result in accepted], worker_id)
        await self._close_gone(connection, accepted)
        return accepted

    async def _close_gone(self, connection: Connection, results: list[Result]) -> None:
        gone = {result.delivery.webhook_id: result.outcome.reason for result in results if isinstance(result.outcome, Gone)}
        for webhook_id in gone:
            reason = "Its receiver answered 410 Gone. Enable the webhook again when the receiver is back."
            await webhooks.disable_webhooks(connection, [webhook_id], reason)
            logger.warning("webhook %s disabled: its receiver answered 410 Gone", webhook_id)


def _retry(result: Result) -> Retry | None:
    match result.outcome:
        case RetryAt(at=at, reason=reason):
            delivery = result.delivery
            return Retry(delivery.id, delivery.attempt_number, at, result.exchange.status, reason)
        case _:
            return None


def _finished(result: Result) -> Finished | None:
    delivery, status = result.delivery, result.exchange.status
    match result.outcome:
        case Succeeded():
            return Finished(delivery.id, delivery.attempt_number, State.SUCCEEDED, status, None)
        case GiveUp(reason=reason) | Gone(reason=reason):
            return Finished(delivery.id, delivery.attempt_number, State.FAILED, status, reason)
        case RetryAt():
            return None


def _attempt(result: Result) -> AttemptRecord:
    reason = None if isinstance(result.outcome, Succeeded) else result.outcome.reason
    delivery = result.delivery
    return AttemptRecord(delivery.id, delivery.attempt_number, result.started_at, result.exchange, reason)


def _tallies(results: list[Result], now: datetime) -> dict[UUID, LaneTally]:
    tallies: dict[UUID, LaneTally] = {}
    for result in results:
        tally = tallies.setdefault(result.delivery.webhook_id, LaneTally())
        if isinstance(result.outcome, Succeeded):
            tally.succeeded += 1
            continue
        # A test that fails is its maker's to see: real deliveries do not wait because of it.
        tally.failed += not result.delivery.is_test and result.exchange.failure not in _OUR_FAULTS
        if isinstance(result.outcome, RetryAt):
            at = result.outcome.at
            tally.retry_at = at if tally.retry_at is None else min(tally.retry_at, at)
            if retry_after_seconds(result.exchange, now) is not None:
                tally.rest_until = at if tally.rest_until is None else max(tally.rest_until, at)
    return tallies
