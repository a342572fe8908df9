"""Flights that the stream keeps for a while after they were landed, for a home whose standby takes over without them.

Whoever begins to land looks whether the database has what was landed last. PostgreSQL loses nothing but an end of what was
committed, so that the first flight that is known, looking back, ends the search (`core.kept`).
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from tidings.core.kept import KEPT_SECONDS, Holding, Landings
from tidings.store import relay
from tidings.store.database import Database
from tidings.worker.plain import Flight

logger = logging.getLogger("tidings.intake")

KEEPING_INTERVAL: Final = 1.0  # seconds between looks at what is kept


class Way(Protocol):
    """The stream, as far as it keeps flights for a home."""

    async def holding(self, home: str) -> Holding:
        """Return what it holds for a home."""

    async def kept(self, home: str, number: int) -> Flight | None:
        """Return a flight by its number; None: it is kept no more."""

    async def forget(self, home: str, last: int) -> None:
        """Forget flights up to a number."""


class Kept:
    """Forgets what was landed long ago, and finds what was landed and is not there any more."""

    def __init__(
        self,
        database: Database,
        stream: Way,
        home: str,
        *,
        seconds: float = KEPT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it. `seconds`: for which a flight is kept once it was landed."""
        self._database = database
        self._stream = stream
        self._home = home
        self._seconds = seconds
        self._monotonic = monotonic
        self._landings = Landings(seconds)
        self._due = 0.0

    async def begin(self, land: Callable[[Sequence[Flight]], Awaitable[None]]) -> int:
        """Have what was landed and is gone be landed again, in its order; return how many flights that were."""
        self._landings, self._due = Landings(self._seconds), 0.0
        lost = await self._lost()
        for number in reversed(lost):
            flight = await self._stream.kept(self._home, number)
            if flight is not None:
                await land([flight])
        if lost:
            logger.error(
                "%d flights that were landed are not in this database any more, and were landed again: a standby that was "
                "behind has taken over, or the database was restored. What it had recorded of deliveries meanwhile is lost.",
                len(lost),
            )
        return len(lost)

    async def _lost(self) -> list[int]:
        """Return the numbers of those that are kept and not known here, the last first."""
        holding = await self._stream.holding(self._home)
        lost: list[int] = []
        for number in range(holding.landed, holding.first - 1, -1):
            flight = await self._stream.kept(self._home, number)
            if flight is None or flight.id is None:
                continue
            if await self._is_known(flight):
                break
            lost.append(number)
        return lost

    async def _is_known(self, flight: Flight) -> bool:
        async with self._database.connection() as connection:
            for name in (flight.id, flight.whole):
                if name is not None and await relay.is_landed(connection, name):
                    return True
        return False

    async def run_once(self) -> None:
        """Have the stream forget what was landed long ago, or all that was when its room is needed."""
        now = self._monotonic()
        if now < self._due:
            return
        self._due = now + KEEPING_INTERVAL
        last = self._landings.to_forget(await self._stream.holding(self._home), now)
        if last is not None:
            await self._stream.forget(self._home, last)
