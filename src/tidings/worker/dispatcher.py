"""Dispatch: outbox rows become events and deliveries, in one transaction per batch.

Taking, routing, writing and deleting commit together, so a crash at any moment leaves a change either in the outbox or in
the queue (`worker.batch_router`). Here it is decided when a batch is routed, how large it is and whose rows it has; which rows
of one that fails are at fault is found by `worker.bad_rows`. The doorbell (theory in `store/migrations/0001_engine.sql`,
`tidings.capture`) tells when to look.
"""

import asyncio
import logging
import time

from tidings.clock import Clock
from tidings.core.pace import Pace
from tidings.core.pauses import Pauses
from tidings.store import outbox
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.worker import doorbell
from tidings.worker.bad_rows import FAULTS, BadRows
from tidings.worker.batch_router import BatchRouter
from tidings.worker.batches import BATCH, BadRowsError, Batch, Size
from tidings.worker.places import Places
from tidings.worker.placing import ElsewhereError
from tidings.worker.privacy import Privacy
from tidings.worker.routes import CurrentRoutes
from tidings.worker.sharing import Sharing, Way
from tidings.worker.signals import Signal
from tidings.worker.supplies import FromOutbox, MaybeRoutedError, NotNowError, Supply

logger = logging.getLogger("tidings.dispatcher")

PIPELINES = 2  # batches routed at a time while there is a backlog
BATCHES_BETWEEN_LOOKS = 8  # of each pipeline, before a look whether others need the machine
BUSY_BATCH = 50  # events in one batch that make such a look worth while
STRETCH = 0.02  # seconds of work that rests are reckoned by, where a group that crowds others has no backlog
MAX_TRIES = 50  # of one batch; a row that PostgreSQL refuses is found in some twenty


class Dispatcher:
    """Routes what is in the outbox. Any number may run; each row is taken by one."""

    def __init__(
        self,
        database: Database,
        router: BatchRouter,
        routes: CurrentRoutes,
        places: Places,
        privacy: Privacy,
        clock: Clock,
        *,
        salt: int,
    ) -> None:
        self._database = database
        self._router = router
        self._routes = routes
        self._places = places
        self._outbox = FromOutbox(clock, salt)
        self._bad_rows = BadRows(database, privacy)
        self._size, self._size_beside = Size(), Size()
        self._pace = Pace()
        self._sharing = Sharing(database)
        self._stopped = Signal()
        self._pauses, self._collided = Pauses(), Pauses(0.01, 1.0)
        self.rung = Signal()
        self.fallback_interval = doorbell.FALLBACK_INTERVAL

    async def run_once(self, *, can_wait: bool = False, way: Way = Way.BY_AGE) -> int:
        """Route one batch and return how many events that were; `BATCH` or more when there may be others.

        Rows that cannot become events are set aside with their reasons. A batch that PostgreSQL refuses is tried again with
        fewer rows, until the one that is at fault is alone, and is set aside as well.

        Args:
            can_wait: The batch waits for places, so that its deliveries need not wait in the queue.
            way: How its rows are chosen.
        """
        for _ in range(MAX_TRIES):
            routed = await self._try_once(can_wait=can_wait, way=way)
            if routed is not None:
                return routed
        return BATCH

    async def _try_once(self, *, can_wait: bool, way: Way) -> int | None:
        """Route a batch, and return how many events that were; None when rows were in the way, and are no longer."""
        is_beside = way is Way.OF_OTHERS
        size = self._size_beside if is_beside else self._size
        limit = self._sharing.limit(size.limit)
        try:
            passed = self._router.placing.passed
            shares = await self._sharing.shares(way, limit, passed) if passed or way is not Way.BY_AGE else None
        except COLLISIONS:
            return await self._go_again()
        if shares is not None and not shares:
            return 0
        self._places.share(is_shared=self._sharing.is_shared)
        promised = await self._places.promise(limit, can_wait=can_wait, is_beside=is_beside)
        batch = Batch(limit, promised, size, shares=shares, is_beside=is_beside)
        try:
            routed = await self._route(batch, self._outbox)
        except UNAVAILABLE:
            raise
        except COLLISIONS:
            return await self._go_again()
        except (BadRowsError, ElsewhereError) as error:  # groups of the latter are passed over from now on
            if isinstance(error, BadRowsError):
                await self._bad_rows.set_aside(error.faults)
            return None
        except FAULTS as error:
            if not batch.numbers:
                raise  # not a row's fault
            self._router.forget_days()
            await self._bad_rows.narrow_down(size, batch.numbers, error)
            return None
        self._collided.reset()
        if shares is not None:
            self._sharing.served(way, shares)
        return BATCH if routed == batch.limit else routed

    async def _go_again(self) -> int:
        """Have a batch that was in another transaction's way be tried again: nothing is wrong with its rows."""
        await self._stopped.wait(self._collided.next())
        return BATCH

    async def route_brought(self, supply: Supply, count: int, *, can_wait: bool) -> bool:
        """Route events that were brought from elsewhere, and are in no outbox yet; False: they are to be put into it.

        That is so while anything waits there, while a group crowds others, for groups that live elsewhere, and when something
        of these events is at fault: the outbox has the fair shares, the way to other homes, and the narrowing down. What this
        process has no places for waits in the queue, where other processes claim it: that costs less than to route it there.

        Args:
            count: How many events, at most.
            can_wait: There is no other process that could deliver them meanwhile.

        Raises:
            MaybeRoutedError: The database went as they were committed.
            UNAVAILABLE: It is away, and they are not routed.
        """
        # Too many while events go to so many webhooks: the outbox takes them in parts, and learns when more fit again.
        is_too_many = count > self._size.limit
        if self._stopped.is_set or is_too_many or self._sharing.look(self._routes.current.groups):
            return False
        batch = Batch(count, await self._places.promise(count, can_wait=can_wait), self._size)
        try:
            await self._route(batch, supply)
        except UNAVAILABLE as error:
            if batch.is_written:
                raise MaybeRoutedError(str(error)) from error
            raise
        except COLLISIONS:
            raise
        except (NotNowError, ElsewhereError):
            return False
        except (BadRowsError, *FAULTS) as error:
            self._router.forget_days()
            logger.debug("what was brought is put into the outbox, since it cannot be routed: %s", type(error).__name__)
            return False
        return True

    async def _route(self, batch: Batch, supply: Supply) -> int:
        """Route a batch and return how many events that were; the places that were kept for it are given back."""
        try:
            events = await self._router.route(batch, supply)
        finally:
            self._places.give_back(batch.others)
            self._places.keep_promise(batch.promised)
        self._sharing.note(events)
        return len(events)

    # The loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Route until told to stop, through outages of the database."""
        while not self._stopped.is_set:
            try:
                await self._run_connected()
            except UNAVAILABLE as error:
                self._database.outages.failed(error)  # the bell is no connection of the pool
                self._router.forget_days()
                await self._stopped.wait(self._pauses.next())  # not for the bell: whose connection is gone has rung it

    async def _run_connected(self) -> None:
        bell = await self._database.dedicated(command_timeout=doorbell.BELL_SECONDS)
        waking: asyncio.Task[None] | None = None
        try:
            await bell.add_listener(outbox.OUTBOX_CHANNEL, lambda *_: self.rung.set())
            bell.add_termination_listener(lambda _: self.rung.set())
            while not self._stopped.is_set:
                self.rung.clear()
                begun = time.monotonic()
                routed = await self.run_once()
                self._pauses.reset()
                if waking is not None:
                    await waking
                    waking = None
                if routed >= BUSY_BATCH and await self._is_crowded(bell):
                    await self._stopped.wait(self._pace.rest_seconds(time.monotonic() - begun))
                elif routed == BATCH:
                    # A backlog: while one batch waits for PostgreSQL, another is worked on here; or somebody else's.
                    await asyncio.gather(*(self._drain() for _ in range(1 if self._sharing.is_shared else PIPELINES)))
                elif await self._rest(bell):
                    # What rang is routed while the bell is put back: it does not wait for that journey.
                    waking = asyncio.create_task(outbox.wake(bell))
        finally:
            if waking is not None:
                waking.cancel()
            bell.terminate()

    async def _drain(self) -> None:
        """Route some batches, or until one comes back short, no faster than the deliverer keeps up: what it has room for
        is leased as it is routed. It is not waited for long, since slow receivers must not hold up routing.
        """
        for _ in range(BATCHES_BETWEEN_LOOKS):
            begun = time.monotonic()
            if self._stopped.is_set or await self.run_once(can_wait=True, way=self._sharing.way()) < BATCH:
                return
            if rest := self._sharing.rest_seconds(time.monotonic() - begun):
                await self._stopped.wait(rest)

    async def run_beside(self) -> None:
        """Route what others have while a group crowds them, until told to stop, through outages of the database."""
        pauses = Pauses()
        while not self._stopped.is_set:
            try:
                if not self._sharing.look(self._routes.current.groups):
                    await self._sharing.crowded.wait()
                    continue  # what woke it can be the end
                begun = time.monotonic()
                routed = await self.run_once(way=Way.OF_OTHERS)
                pauses.reset()
                if routed:
                    self.rung.set()  # what crowds was passed over by who looked for it in ranges that were ours until now
                if 0 < routed < BATCH:
                    self._sharing.took(time.monotonic() - begun)
                if routed < BATCH:
                    await self._stopped.wait(self._sharing.interval)
            except UNAVAILABLE:
                await self._stopped.wait(pauses.next())

    async def _is_crowded(self, bell: Connection) -> bool:
        asked = time.monotonic()
        writers = await outbox.writers(bell)
        return self._pace.is_crowded(writers=writers, question_seconds=time.monotonic() - asked)

    async def _rest(self, bell: Connection) -> bool:
        """Sleep until the doorbell rings, when nothing can be committed unheard; otherwise look again soon.

        Returns:
            Whether the doorbell is held, and is to be put back.
        """
        if rest := self._sharing.rest_seconds(STRETCH):
            await self._stopped.wait(rest)  # fewer and larger batches; what others write is not waiting for these
            return False
        return await doorbell.rest(bell, self.rung, self.run_once, fallback_interval=self.fallback_interval)

    def stop(self) -> None:
        """End the loop after the batch it is at."""
        self._stopped.set()
        self._sharing.crowded.set()
        self.rung.set()
