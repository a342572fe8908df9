"""The heart: keeps this worker's leases alive, whatever else its process is doing.

It beats in a thread of its own, over a connection of its own. So neither a loop that is held by one long computation nor a pool
whose connections are all lent makes a worker look dead that is not, and has others send again what it is sending. A loop that
does not turn at all for half a minute will not send either: then the process ends, and others, or its supervisor, take over.
"""

import asyncio
import faulthandler
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from tidings.clock import Clock
from tidings.core.pauses import Pauses
from tidings.store import workers
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.worker.identity import Identity

logger = logging.getLogger("tidings.worker")

BEAT_INTERVAL = 3.0  # seconds
BEAT_SECONDS = 5.0  # for one beat; what takes longer is tried anew over another connection
LONGEST_PAUSE = 2.0  # seconds between beats that fail: a worker has ten before others take what it holds
TURN_INTERVAL = 1.0  # seconds between signs of life of the event loop
STUCK_SECONDS = 30.0  # without one, after which the process ends
EXIT_STUCK = 3


class Heart:
    """One beat, and what it means. Used by one event loop at a time."""

    def __init__(self, database: Database, clock: Clock, me: Identity) -> None:
        self._database = database
        self._clock = clock
        self._me = me
        self._connection: Connection | None = None

    async def begin(self) -> None:
        """Register this worker."""
        async with self._database.connection() as connection:
            await self._register(connection)

    async def run_once(self) -> None:
        """Beat. When this worker was declared dead meanwhile, go on as a new one: its old leases are others' now."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._database.dedicated(command_timeout=BEAT_SECONDS)
            asked = time.monotonic()
            at = await workers.beat(self._connection, self._me.worker_id)
            if at is not None:
                self._clock.adjust(at, age=timedelta(seconds=time.monotonic() - asked))
            else:
                logger.warning("worker %s was declared dead; going on as a new worker", self._me.worker_id)
                self._me.worker_id = uuid4()
                await self._register(self._connection)
        except BaseException as error:
            self.let_go()
            if isinstance(error, UNAVAILABLE):
                self._database.outages.failed(error)
            raise
        self._database.outages.worked()

    async def end(self) -> None:
        """Strike this worker from the list."""
        self.let_go()
        async with self._database.connection() as connection:
            await workers.leave(connection, self._me.worker_id)

    def let_go(self) -> None:
        """Close the connection; the next beat opens another."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _register(self, connection: Connection) -> None:
        self._clock.adjust(await workers.database_time(connection))
        self._me.part = await workers.register(connection, self._me.worker_id, socket.gethostname(), os.getpid())


class Pulse:
    """Has a heart beat in a thread of its own, and ends a process whose event loop stands still."""

    def __init__(
        self,
        heart: Heart,
        *,
        on_failed: Callable[[BaseException], None],
        on_stuck: Callable[[], None] | None = None,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._heart = heart
        self._on_failed = on_failed
        self._on_stuck = on_stuck or end_stuck_process
        self._stuck_seconds = stuck_seconds
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._turns = 0  # of the loop that is watched; only that loop counts
        self._turning: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat, and to watch the running event loop."""
        self._turn(asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._run, args=(asyncio.get_running_loop(),), name="heart", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Beat no more."""
        self._stopping.set()
        if self._turning is not None:
            self._turning.cancel()
        if self._thread is None:
            return
        if self._own_loop is not None and self._wake is not None:
            with suppress(RuntimeError):  # it has ended already
                self._own_loop.call_soon_threadsafe(self._wake.set)
        await asyncio.to_thread(self._thread.join, BEAT_SECONDS * 3)
        self._thread = None

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns += 1
        self._turning = loop.call_later(TURN_INTERVAL, self._turn, loop)

    def _run(self, watched: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:  # noqa: BLE001 - whatever it is, a worker without a heart must not go on
            watched.call_soon_threadsafe(self._on_failed, error)

    async def _live(self) -> None:
        self._own_loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        watching = asyncio.create_task(self._watch())
        try:
            await self._beat()
        finally:
            watching.cancel()
            self._heart.let_go()

    async def _beat(self) -> None:
        pauses = Pauses(longest=LONGEST_PAUSE)
        while not self._stopping.is_set():
            wait = BEAT_INTERVAL
            try:
                await self._heart.run_once()
                pauses.reset()
            except (*UNAVAILABLE, *COLLISIONS):
                wait = pauses.next()
            await self._rest(wait)

    async def _watch(self) -> None:
        """End the process once its loop has stood still for long while this one turned: who is stopped is not stuck."""
        stuck, turns, looked_at = 0.0, self._turns, time.monotonic()
        while not self._stopping.is_set():
            await self._rest(TURN_INTERVAL)
            now = time.monotonic()
            stuck = 0.0 if self._turns != turns else stuck + min(now - looked_at, 2 * TURN_INTERVAL)
            turns, looked_at = self._turns, now
            if stuck >= self._stuck_seconds:
                self._on_stuck()

    async def _rest(self, seconds: float) -> None:
        assert self._wake is not None  # noqa: S101 - set before anything waits
        if self._stopping.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


def end_stuck_process() -> None:
    """End a process whose event loop stands still; nothing in it can be asked to stop any more."""
    logger.critical(
        "the event loop has stood still for %.0f s; the process ends, and this is what each thread does", STUCK_SECONDS
    )
    faulthandler.dump_traceback()
    os._exit(EXIT_STUCK)
