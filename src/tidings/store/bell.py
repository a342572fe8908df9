"""The bell of listeners: who waits for deliveries is woken when there are some, in whichever process they were routed."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from tidings.core.pauses import Pauses
from tidings.store import listening, queue
from tidings.store.database import UNAVAILABLE, Database

ANSWER_SECONDS = 30.0  # for an answer to `listen`


class Ear:
    """Somebody who waits."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake them."""
        self._rung.set()

    def clear(self) -> None:
        """Forget what rang; before looking whether there is something."""
        self._rung.clear()

    async def wait(self, limit: float) -> None:
        """Wait until it rings, at most so many seconds."""
        try:
            async with asyncio.timeout(limit):
                await self._rung.wait()
        except TimeoutError:
            pass


class Bell:
    """One connection for all who wait in a process; it is opened when somebody waits first.

    Attributes:
        is_closed: Nobody waits any more, since the process ends.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ears: defaultdict[UUID, set[Ear]] = defaultdict(set)
        self._hearing: asyncio.Task[None] | None = None
        self.is_closed = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(ears) for ears in self._ears.values())

    @contextmanager
    def heard(self, listener: UUID) -> Iterator[Ear]:
        """Lend an ear for a listener."""
        ear = Ear()
        self._ears[listener].add(ear)
        if self._hearing is None or self._hearing.done():
            self._hearing = asyncio.create_task(self._hear(), name="bell of listeners")
        try:
            yield ear
        finally:
            ears = self._ears[listener]
            ears.discard(ear)
            if not ears:
                del self._ears[listener]

    def ring(self, listeners: list[UUID]) -> None:
        """Wake those who wait for these listeners; all, when none is named."""
        for listener in listeners or list(self._ears):
            for ear in self._ears.get(listener, ()):
                ear.ring()

    def close(self) -> None:
        """Let all go who wait, and hear nothing more."""
        self.is_closed = True
        self.ring([])
        if self._hearing is not None:
            self._hearing.cancel()

    async def _hear(self) -> None:
        pauses = Pauses()
        while True:
            try:
                await self._hear_connected(pauses)
            except UNAVAILABLE as error:
                self._database.outages.failed(error)
            await asyncio.sleep(pauses.next())

    async def _hear_connected(self, pauses: Pauses) -> None:
        lost = asyncio.Event()
        connection: Any = await self._database.dedicated(command_timeout=ANSWER_SECONDS)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(listening.CHANNEL, lambda *said: self.ring(listening.rung(said[-1])))
            await connection.add_listener(queue.QUEUE_CHANNEL, lambda *_: self.ring([]))
            pauses.reset()
            self.ring([])  # what rang before nobody heard
            await lost.wait()
        finally:
            connection.terminate()
