"""One look for several duties: whether there is anything for them to do.

Each of them, looking by itself, opens a transaction some times a second, in every process, to find nothing: together that is
most of what an installation without load asks of PostgreSQL. One statement answers for all.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from tidings.clock import Clock
from tidings.store import due
from tidings.store.database import Database
from tidings.worker.duties import Duty

FRESH_SECONDS: Final = 0.15  # for which an answer holds: less than the shortest interval of a duty


class Looks:
    """What the last look has found. One per process."""

    def __init__(self, database: Database, clock: Clock, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._found: Mapping[str, bool] = {}

    async def has(self, name: str) -> bool:
        """Return whether a duty has something to do, as it was a moment ago.

        Raises:
            LookupError: The look does not look for that duty, which would never be done.
            OSError, asyncpg.PostgresError: The database is away.
        """
        async with self._looking:  # who asks meanwhile has the same answer
            asked_at = self._monotonic()
            if asked_at - self._looked_at >= FRESH_SECONDS:
                async with self._database.connection() as connection:
                    self._found = await due.look(connection, self._clock.now())
                self._looked_at = asked_at
        return self._found[name]

    def before(self, name: str, duty: Duty) -> Duty:
        """Return a duty that is done only when there is something to do for it."""
        return _Looked(self, name, duty)


class _Looked:
    def __init__(self, looks: Looks, name: str, duty: Duty) -> None:
        self._looks, self._name, self._duty = looks, name, duty

    async def run_once(self) -> object:
        return await self._duty.run_once() if await self._looks.has(self._name) else None
