"""Attempts told to who follows them, after they were recorded.

Commits that notify wait for one another, so no transaction that records a result does. The recorder hands over what it has
committed, and this duty announces it, at most every 100 ms, in a transaction of its own; and only while somebody listens.
What cannot be told is not kept: listeners are told that something is missing, and find it in history.
"""

import logging
from contextlib import suppress
from typing import Final

import asyncpg

from tidings.core.errors import BusyError
from tidings.core.outcome import Released, Result
from tidings.core.pauses import Pauses
from tidings.store import live
from tidings.store.database import UNAVAILABLE, Database
from tidings.store.live import Announced
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.worker")

TELL_INTERVAL: Final = 0.1  # seconds between announcements
MAX_UNTOLD: Final = 10_000  # attempts; more come only while the database is slow

# Whoever follows attempts is no reason for a worker to die: a full queue of notifications is among them.
_IN_THE_WAY = (*UNAVAILABLE, BusyError, asyncpg.PostgresError)


class Teller:
    """Announces recorded attempts. One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._untold: list[Announced] = []
        self._is_gap = False
        self._news = Signal()
        self._stopped = Signal()

    def add(self, results: list[Result]) -> None:
        """Hand over what was recorded; what was put back without an attempt is not told of."""
        made = [one.delivery for one in results if not isinstance(one.outcome, Released)]
        room = MAX_UNTOLD - len(self._untold)
        self._untold += [Announced(one.group_id, one.id, one.attempt_number) for one in made[:room]]
        self._is_gap |= len(made) > room
        if made:
            self._news.set()

    async def run_once(self) -> int:
        """Announce what there is, and return how many attempts that were.

        Raises:
            OSError, asyncpg.PostgresError: The database is away. They are not announced; that some are missing is, next time.
        """
        told, self._untold = self._untold, []
        is_gap, self._is_gap = self._is_gap, False
        self._news.clear()
        try:
            async with self._database.connection() as connection:
                if (told or is_gap) and await live.is_heard(connection):
                    self._is_gap |= not await live.announce(connection, told, is_gap=is_gap)
        except BaseException:
            self._is_gap = True
            self._news.set()
            raise
        return len(told)

    async def run(self) -> None:
        """Announce until told to stop, through outages of the database."""
        pauses = Pauses()
        while not self._stopped.is_set:
            await self._news.wait()
            try:
                await self.run_once()
                pauses.reset()
                await self._stopped.wait(TELL_INTERVAL)
            except _IN_THE_WAY as error:
                logger.debug("attempts are not announced: %s", error)
                await self._stopped.wait(pauses.next())

    def stop(self) -> None:
        """End the loop."""
        self._stopped.set()
        self._news.set()

    async def finish(self) -> None:
        """Announce what is left, if that can be done."""
        with suppress(*_IN_THE_WAY):
            await self.run_once()
