"""Nothing is landed while another process of the home sends ahead (`worker.ahead`), nor before all is told of its answers."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol
from uuid import UUID

from tidings.core.ahead import AWAY_SECONDS
from tidings.core.answers import Answer
from tidings.core.seen import Seen
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.crew import ended
from tidings.worker.plain import Flight
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.intake")

UNSEEN_SECONDS: Final = AWAY_SECONDS / 3  # without being seen to wait for flights, after which others may have sent ahead


class Told(Protocol):
    """What was answered while the database was away."""

    async def begin(self, stopped: Signal) -> bool:
        """Have who sends ahead end, and wait until all is told; False: we were stopped before, and nothing may be landed."""

    async def of(self, flights: Sequence[Flight]) -> dict[UUID, Answer]:
        """Return what was answered to deliveries of flights, by their ids."""

    async def doubt(self, flights: Sequence[Flight]) -> None:
        """Have nobody send flights ahead of which nobody knows whether they are landed."""

    async def run_once(self, following: int) -> None:
        """Forget it, some time after the flights were landed. `following`: the number of what is landed next."""


class StoppedError(Exception):
    """We are told to end, and do not know what was answered to what is at hand."""


class Alone:
    """Makes sure that whoever lands flights is alone in delivering them."""

    def __init__(
        self,
        told: Told | None,
        stopped: Signal,
        *,
        unseen_seconds: float = UNSEEN_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            told: What was answered to attempts that were made while the database was away; None: nobody makes any.
            stopped: Set when we are to end.
            unseen_seconds: As in `core.seen`.
        """
        self._told = told
        self._stopped = stopped
        self._monotonic = monotonic
        self._unseen_seconds = unseen_seconds
        self._untold: Sequence[Flight] = ()  # of which nobody knows whether they are landed, as the stream has not heard yet
        self._seen = Seen(unseen_seconds, monotonic())

    def doubt(self) -> None:
        """Have it be asked anew: the database was away, so somebody may send ahead what we have at hand."""
        self._seen.doubt()

    async def leave_to_database(self, flights: Sequence[Flight]) -> None:
        """Have nobody send flights ahead: the database went while they were landed, and may have them. Doubts as well.

        Where the stream is away, too, it is told before we ask it for anything else. Those of before have been landed by then.
        """
        self.doubt()
        self._untold = flights
        try:
            await self._tell_doubts()
        except StreamAwayError as error:
            logger.warning("what was being landed may be delivered twice: the stream is away, too: %s", error)

    @asynccontextmanager
    async def landing(self, flights: Sequence[Flight]) -> AsyncIterator[None]:
        """Leave flights to the database if the block that lands them takes long.

        A database that stands still says nothing, and may commit them once it goes on. Others take it for away long before we
        do, so that what is said when our patience is over would come too late for them.
        """
        late: list[asyncio.Task[None]] = []

        def is_late() -> None:
            late.append(asyncio.create_task(self.leave_to_database(flights)))

        timer = asyncio.get_running_loop().call_later(self._unseen_seconds, is_late)
        try:
            yield
        finally:
            timer.cancel()
            await ended(late)

    async def _tell_doubts(self) -> None:
        untold = self._untold
        if self._told is not None and untold:
            await self._told.doubt(untold)
        if self._untold is untold:
            self._untold = ()

    def look(self, waited: float = 0.0) -> None:
        """Doubt, where nobody could see us land for too long. `waited`: seconds of it in which we waited for flights."""
        self._seen.look(self._monotonic(), waited)

    def wait_ended(self) -> None:
        """Take note that we have waited for flights until now, which others see."""
        self._seen.wait_ended(self._monotonic())

    async def make_sure(self) -> None:
        """Have who sends ahead end, if somebody may.

        Raises:
            StoppedError: We are to end, and do not know.
        """
        if self._seen.is_sure:
            return
        await self._tell_doubts()
        if self._told is not None and not await self._told.begin(self._stopped):
            raise StoppedError
        self._seen.asked(self._monotonic())

    async def answers(self, flights: Sequence[Flight]) -> dict[UUID, Answer]:
        """Return what was answered to deliveries of flights, by their ids, once it is sure that all of it is told."""
        self.look()
        await self.make_sure()
        return {} if self._told is None else await self._told.of(flights)

    async def run_once(self, following: int) -> None:
        """Forget what was answered, some time after it was landed. `following`: the number of what is landed next."""
        if self._told is not None:
            await self._told.run_once(following)
