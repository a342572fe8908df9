"""Attempts as they are recorded, told to whoever follows them: one listener for all streams of a process.

Recorders announce attempts by notification, only while somebody listens (`store.live`). Each stream keeps what it was not sent
yet, up to a bound: one that is read too slowly is told how many it missed, and one whose database was away that something may
be missing. Whoever is told so looks for it in history.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.errors import BusyError
from tidings.core.pauses import Pauses
from tidings.operations.history import following
from tidings.operations.history.following import Wanted
from tidings.operations.services import Services
from tidings.store.database import UNAVAILABLE

logger = logging.getLogger("tidings.api")

BREATH: Final = 15.0  # seconds after which a silent stream says that it is there
MAX_TAILS: Final = 50  # of a process
MAX_OF_GROUP: Final = 20
MAX_WAITING: Final = 1000  # deliveries that one stream was not sent yet
READ_AT_ONCE: Final = 100


class Tail:
    """One stream. The hub puts in what was announced, the response takes it out."""

    def __init__(self, services: Services, wanted: Wanted, is_admitted: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Make one.

        Args:
            is_admitted: Whether whoever follows it may do so still: asked before anything is told. None: they may.
        """
        self.services = services
        self._wanted = wanted
        self._is_admitted = is_admitted
        self._waiting: dict[UUID, int] = {}
        self._missed = 0
        self._is_gap = False
        self._is_over = False
        self._news = asyncio.Event()

    def hear(self, attempts: list[tuple[UUID, int]]) -> None:
        """Keep what was announced, of all groups: what is this one's is found when it is read."""
        for delivery_id, number in attempts:
            if delivery_id in self._waiting:
                continue  # the first that is told of stands
            if len(self._waiting) >= MAX_WAITING:
                self._missed += 1
            else:
                self._waiting[delivery_id] = number
        self._news.set()

    def note_gap(self) -> None:
        """Something may be missing from before now."""
        self._is_gap = True
        self._news.set()

    def end(self) -> None:
        """Let it end, once what was left is taken."""
        self._is_over = True
        self._news.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages as they are sent, until it ends."""
        while True:
            self._news.clear()
            if not await self._is_heard():
                return
            if self._is_gap:
                self._is_gap = False
                yield b"event: gap\ndata: {}\n\n"
            if self._missed:
                missed, self._missed = self._missed, 0
                yield b'event: missed\ndata: {"count":%d}\n\n' % missed
            while self._waiting:
                if not await self._is_heard():  # a slow reader never comes to the end of what waits
                    return
                some = dict(list(self._waiting.items())[:READ_AT_ONCE])
                for delivery_id in some:
                    del self._waiting[delivery_id]
                for tried in await following.read_tried(self.services, some, self._wanted):
                    yield b"event: attempt\ndata: " + msgspec.json.encode(tried) + b"\n\n"
            if self._is_over:
                return
            try:
                async with asyncio.timeout(BREATH):
                    await self._news.wait()
            except TimeoutError:
                yield b": still there\n\n"

    async def _is_heard(self) -> bool:
        return self._is_admitted is None or await self._is_admitted()


class Tails:
    """All streams of a process, and what listens for them while there are any."""

    def __init__(self) -> None:
        self._tails: set[Tail] = set()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._is_closed = False

    def add(self, tail: Tail) -> None:
        """Take a stream in.

        Raises:
            BusyError: There are too many, or the server stops.
        """
        own = sum(one.services.group_id == tail.services.group_id for one in self._tails)
        if self._is_closed or own >= MAX_OF_GROUP or len(self._tails) >= MAX_TAILS:
            raise BusyError("Too many streams are open. Close one, or list deliveries instead.")
        self._tails.add(tail)
        if self._task is None or self._task.done() or self._stopping.is_set():  # one that ends hears nothing more
            self._stopping = asyncio.Event()
            self._task = asyncio.create_task(self._run(tail.services, self._stopping), name="tails")
        else:
            tail.note_gap()  # it is told once that all is heard from now on

    async def follow(self, tail: Tail) -> AsyncIterator[bytes]:
        """Yield what a stream is told, until it ends or nobody reads it any more."""
        try:
            yield b"retry: 2000\n\n"
            async for text in tail.messages():
                yield text
        except (*UNAVAILABLE, BusyError) as error:
            logger.debug("a stream of attempts ends: %s", error)
        finally:
            self._tails.discard(tail)
            if not self._tails:
                self._stopping.set()

    def close(self) -> None:
        """End every stream, and begin no other: the server stops."""
        self._is_closed = True
        self._stopping.set()
        for tail in self._tails:
            tail.end()

    async def _run(self, services: Services, stopping: asyncio.Event) -> None:
        pauses = Pauses()
        while not stopping.is_set():
            try:
                await following.listen(services, self._hear, self._note_gap, stopping)
                pauses.reset()
            except UNAVAILABLE as error:
                logger.debug("streams of attempts wait for the database: %s", error)
                try:
                    async with asyncio.timeout(pauses.next()):
                        await stopping.wait()
                except TimeoutError:
                    pass

    def _hear(self, attempts: list[tuple[UUID, int]]) -> None:
        for tail in self._tails:
            tail.hear(attempts)

    def _note_gap(self) -> None:
        for tail in self._tails:
            tail.note_gap()
