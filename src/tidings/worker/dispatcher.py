"""Dispatch: outbox rows become events and deliveries, in one transaction per batch.

Taking, routing, writing and deleting commit together, so a crash at any moment leaves a change either in the outbox or in
the queue. The doorbell (theory in `store/migrations/0001_engine.sql`, `tidings.capture`) tells when to look.
"""

import logging
from collections.abc import Callable
from datetime import UTC, date

import asyncpg

from tidings.clock import Clock
from tidings.core.event import TEST_TYPE, Event, delivery_id
from tidings.core.routing import Routes
from tidings.store import history, outbox, queue
from tidings.store.database import UNAVAILABLE, Connection, Database
from tidings.store.queue import Queued
from tidings.worker.event_cache import EventCache
from tidings.worker.routes import CurrentRoutes
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.dispatcher")

BATCH = 500
FALLBACK_INTERVAL = 1.0  # seconds; for poolers that break session locks, and when the sleeping dispatcher died
BUSY_INTERVAL = 0.01  # seconds between looks while transactions keep the doorbell: larger batches, fewer of them


class Dispatcher:
    """Routes what is in the outbox. Any number may run; each row is taken by one."""

    def __init__(
        self,
        database: Database,
        routes: CurrentRoutes,
        cache: EventCache,
        clock: Clock,
        *,
        salt: int,
        on_routed: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._routes = routes
        self._cache = cache
        self._clock = clock
        self._salt = salt
        self._on_routed = on_routed
        self._known_days: set[date] = set()
        self._batch = BATCH
        self.rung = Signal()
        self.stopping = False

    async def run_once(self) -> int:
        """Route one batch and return how many events that were.

        A batch that cannot be routed is tried again row by row; a row that fails alone is set aside with its reason.
        """
        try:
            count = await self._route_batch()
        except UNAVAILABLE:
            raise
        except (asyncpg.PostgresError, ValueError, ArithmeticError, KeyError, TypeError) as error:
            if isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
                return self._batch  # nothing is wrong with the rows; go again
            if self._batch > 1:
                self._batch = 1
                return 1
            await self._reject(error)
            return 1
        if count < self._batch or self._batch == BATCH:
            self._batch = BATCH
        else:
            self._batch = min(BATCH, self._batch * 2)  # past the bad row, step by step
        return count

    async def _route_batch(self) -> int:
        async with self._database.transaction() as connection:
            events = await outbox.take(connection, self._batch, self._salt)
            if not events:
                return 0
            # After the rows were taken: whatever was subscribed before a row was committed is seen here.
            routes = await self._routes.refresh(connection)
            await self._ensure_days(connection, events)
            await self._write(connection, events, routes)
        for event in events:
            self._cache.add(event)
        self._on_routed()
        return len(events)

    async def _write(self, connection: Connection, events: list[Event], routes: Routes) -> None:
        now = self._clock.now()
        counted, queued = [], []
        for event in events:
            matched = routes.match(event)
            counted.append((event, len(matched)))
            queued += [
                Queued(
                    delivery_id(event.id, webhook.id),
                    webhook.id,
                    event.id,
                    event.group_id,
                    event.type,
                    event.type == TEST_TYPE,
                    min(event.occurred_at, now),
                )
                for webhook in matched
            ]
        await history.add_events(connection, counted)
        if queued:
            await queue.put(connection, queued, now)

    async def _ensure_days(self, connection: Connection, events: list[Event]) -> None:
        """Make sure of the partitions: the janitor makes them ahead, but rows can be older than it thinks."""
        days = {event.occurred_at.astimezone(UTC).date() for event in events} - self._known_days
        for day in sorted(days):
            await history.ensure_day(connection, day)
        self._known_days |= days

    def forget_days(self) -> None:
        """Look at the partitions again: the janitor has dropped some."""
        self._known_days.clear()

    async def _reject(self, error: Exception) -> None:
        async with self._database.transaction() as connection:
            number = await outbox.reject_oldest(connection, f"{type(error).__name__}: {error}")
        logger.error("outbox row %s cannot be routed and was set aside: %s", number, error)
        self._batch = BATCH

    # The loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Route until told to stop, through outages of the database."""
        pause = 0.1
        while not self.stopping:
            try:
                await self._run_connected()
                pause = 0.1
            except UNAVAILABLE as error:
                logger.warning("database unavailable, dispatching waits: %s", error or type(error).__name__)
                self._known_days.clear()
                await self.rung.wait(pause)
                pause = min(2.0, pause * 2)

    async def _run_connected(self) -> None:
        bell = await self._database.dedicated()
        try:
            await bell.add_listener(outbox.OUTBOX_CHANNEL, lambda *_: self.rung.set())
            bell.add_termination_listener(lambda _: self.rung.set())
            while not self.stopping:
                self.rung.clear()
                if await self.run_once() < BATCH and self._batch == BATCH:
                    await self._rest(bell)
        finally:
            bell.terminate()

    async def _rest(self, bell: Connection) -> None:
        """Sleep until the doorbell rings, when nothing can be committed unheard; otherwise look again soon."""
        if await outbox.try_sleep(bell):
            if await self.run_once() == 0:  # what was committed before the doorbell was ours
                await self.rung.wait(FALLBACK_INTERVAL)
            await outbox.wake(bell)
        elif await outbox.is_someone_asleep(bell):
            await self.rung.wait(FALLBACK_INTERVAL)
        else:
            await self.rung.wait(BUSY_INTERVAL)

    def stop(self) -> None:
        """End the loop after the batch it is at."""
        self.stopping = True
        self.rung.set()


