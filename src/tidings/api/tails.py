"""Attempts as they are recorded, told to whoever follows them: one listener for all streams of a process.

Workers announce attempts by notification, only while somebody listens (`store.live`), each with its group. What is announced is
kept for the groups that somebody follows, and read once for all streams of a group. A stream is given what it asked for, and
keeps what it was not sent yet, up to a bound: one that is read too slowly is told how many of these it missed. Where something
may be missing, since the database was away or was slow, all streams that it can concern are told so; who is, looks for it in
history. So nobody's stream is filled by, nor tells of, what happens in other groups.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.errors import BusyError
from tidings.core.pauses import Pauses
from tidings.operations.history import following
from tidings.operations.history.following import Tried, Wanted
from tidings.operations.services import Services
from tidings.store.database import UNAVAILABLE

logger = logging.getLogger("tidings.api")

BREATH: Final = 15.0  # seconds after which a silent stream says that it is there
MAX_TAILS: Final = 50  # of a process
MAX_OF_GROUP: Final = 20  # so that no group takes them all
MAX_WAITING: Final = 1000  # attempts that one stream was not sent yet, or that were not read yet for those of a group
READ_AT_ONCE: Final = 100

Read = Callable[[Services, dict[UUID, int]], Awaitable[list[Tried]]]


class Tail:
    """One stream. The hub puts in what happens in its group, the response takes it out."""

    def __init__(self, services: Services, wanted: Wanted, is_admitted: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Make one.

        Args:
            is_admitted: Whether whoever follows it may do so still: asked before anything is told. None: they may.
        """
        self.services = services
        self._wanted = wanted
        self._is_admitted = is_admitted
        self._waiting: deque[Tried] = deque()
        self._missed = 0
        self._is_gap = False
        self._is_over = False
        self._news = asyncio.Event()

    def hear(self, attempts: list[Tried]) -> None:
        """Keep what is wanted of its group's attempts; count what there is no room for."""
        for tried in attempts:
            if not self._wanted.takes(tried):
                continue
            if len(self._waiting) >= MAX_WAITING:
                self._missed += 1
            else:
                self._waiting.append(tried)
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
                yield b"event: attempt\ndata: " + msgspec.json.encode(self._waiting.popleft()) + b"\n\n"
            if self._is_over:
                return
            try:
                async with asyncio.timeout(BREATH):
                    await self._news.wait()
            except TimeoutError:
                yield b": still there\n\n"

    async def _is_heard(self) -> bool:
        return self._is_admitted is None or await self._is_admitted()


class _Group:
    """The streams of a group, and what was announced for them and is not read yet."""

    def __init__(self, read: Read) -> None:
        self.tails: set[Tail] = set()
        self._read_tried = read
        self._waiting: dict[UUID, int] = {}
        self._task: asyncio.Task[None] | None = None

    def hear(self, attempts: list[tuple[UUID, int]]) -> None:
        """Have attempts read, and given to all streams."""
        for delivery_id, number in attempts:
            if delivery_id in self._waiting:
                continue  # the first that is told of stands
            if len(self._waiting) >= MAX_WAITING:
                self.note_gap()
                break
            self._waiting[delivery_id] = number
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._read(), name="tails of a group")

    def note_gap(self) -> None:
        """Something may be missing from before now."""
        for tail in self.tails:
            tail.note_gap()

    async def _read(self) -> None:
        while self._waiting and self.tails:
            services = next(iter(self.tails)).services
            some = dict(list(self._waiting.items())[:READ_AT_ONCE])
            for delivery_id in some:
                del self._waiting[delivery_id]
            try:
                found = await self._read_tried(services, some)
            except (*UNAVAILABLE, BusyError) as error:
                logger.debug("attempts cannot be read for streams: %s", error)
                self.note_gap()
                continue
            for tail in self.tails:
                tail.hear(found)


class Tails:
    """All streams of a process, and what listens for them while there are any."""

    def __init__(self, *, read: Read = following.read_tried) -> None:
        """Make it without any.

        Args:
            read: Reads attempts that were announced.
        """
        self._read = read
        self._groups: dict[str, _Group] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._is_closed = False

    def add(self, tail: Tail) -> None:
        """Take a stream in.

        Raises:
            BusyError: There are too many, or the server stops.
        """
        group = self._groups.get(tail.services.group_id) or _Group(self._read)
        count = sum(len(one.tails) for one in self._groups.values())
        if self._is_closed or len(group.tails) >= MAX_OF_GROUP or count >= MAX_TAILS:
            raise BusyError("Too many streams are open. Close one, or list deliveries instead.")
        group.tails.add(tail)
        self._groups[tail.services.group_id] = group
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
            self._remove(tail)

    def close(self) -> None:
        """End every stream, and begin no other: the server stops."""
        self._is_closed = True
        self._stopping.set()
        for group in self._groups.values():
            for tail in group.tails:
                tail.end()

    def _remove(self, tail: Tail) -> None:
        group = self._groups.get(tail.services.group_id)
        if group is not None:
            group.tails.discard(tail)
            if not group.tails:
                del self._groups[tail.services.group_id]
        if not self._groups:
            self._stopping.set()

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

    def _hear(self, group_id: str, attempts: list[tuple[UUID, int]]) -> None:
        if (group := self._groups.get(group_id)) is not None:
            group.hear(attempts)

    def _note_gap(self) -> None:
        for group in self._groups.values():
            group.note_gap()
