"""What was answered while the home's database was away, for whoever lands the flights it was about (`worker.ahead`)."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol
from uuid import UUID

from tidings.core.ahead import GRACE_SECONDS, SILENT_SECONDS, Said, Step, Turn, Watched, encode_said, whose
from tidings.core.answers import DOUBTS, MAX_DOUBTS, Answer, answers, doubt
from tidings.core.kept import KEPT_SECONDS
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.plain import Flight
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.intake")

LOOK_INTERVAL: Final = 0.2  # seconds between looks whether who sends ahead has ended


class Beside(Protocol):
    """The stream of answers of a home, and the key that says who sends ahead."""

    async def numbers(self) -> dict[int, int]:
        """Return the numbers of flights that have answers, and how many messages each has."""

    async def read(self, number: int, count: int) -> list[bytes]:
        """Return the messages of a flight."""

    async def put(self, number: int, data: bytes) -> None:
        """Put a message for a flight into the stream."""

    async def forget(self, number: int | None = None) -> None:
        """Forget the messages of a flight; None: all answers."""

    async def state(self) -> tuple[bytes, int]:
        """Return what the key says, and its revision; 0: there is none."""

    async def change(self, value: bytes, revision: int) -> int | None:
        """Change the key if it has this revision; return its new one; None: somebody else was first."""


class Answered:
    """Has whoever sends ahead end, and finds what was answered to the deliveries of a flight."""

    def __init__(
        self,
        beside: Beside,
        *,
        there: Callable[[], Awaitable[None]] | None = None,
        silent_seconds: float = SILENT_SECONDS + GRACE_SECONDS,
        kept_seconds: float = KEPT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            there: Raises what the database raises while it is away: nobody is to end before we can land. None: it is there.
            silent_seconds: After which who was asked to end, and does not, is taken for dead.
            kept_seconds: For which answers are kept once their flights were landed, as these are.
        """
        self._beside = beside
        self._there = there
        self._silent_seconds = silent_seconds
        self._kept_seconds = kept_seconds
        self._monotonic = monotonic
        self._numbers: dict[int, int] = {}
        self._last = 0
        self._due: float | None = None

    async def begin(self, stopped: Signal) -> bool:
        """Have who sends ahead end, and wait until all is told.

        Returns:
            Whether it is; not when we were stopped before: then nothing is known, and nothing may be landed.

        Raises:
            StreamAwayError: The stream did not answer.
            UNAVAILABLE: The database is away still; nobody was asked to end.
        """
        if self._there is not None:
            await self._there()
        known, self._numbers, self._due = self._numbers, {}, None
        watched = Watched()
        while True:
            value, revision = await self._beside.state()
            said = whose(value)
            if said.state is Turn.ENDED and await self._says_that_it_lands(said, revision):
                break
            is_dead = watched.silent_for(revision, self._monotonic()) >= self._silent_seconds
            changed = said.after(Step.BURY if is_dead else Step.CALL, is_called=True)
            if changed is not None:
                await self._beside.change(encode_said(changed), revision)
            if await stopped.wait(LOOK_INTERVAL):
                return False
        self._numbers = await self._beside.numbers()
        self._last = max(self._numbers, default=0)
        if self._last and self._numbers != known:
            count = len(self._numbers.keys() - {DOUBTS})
            logger.warning("%d flights come with what was answered while the database was away", count)
        return True

    async def _says_that_it_lands(self, said: Said, revision: int) -> bool:
        """Say so, that nobody takes the turn who has not heard that the database is back; false: somebody was first."""
        landing = said.after(Step.LAND)
        if landing is None:
            return False
        try:
            return await self._beside.change(encode_said(landing), revision) is not None
        except StreamAwayError:  # a stream without room takes nobody's word, and what is landed makes room
            return True

    async def doubt(self, flights: Sequence[Flight]) -> None:
        """Have nobody send flights ahead: the database went while they were landed, and may have them.

        What is sent of them ahead would be delivered twice, and the second time would be on record alone. Where there are many
        doubts already, those are forgotten: flights are landed in order, so that what they name has been landed.

        Raises:
            StreamAwayError: The stream may not have it.
        """
        if (await self._beside.numbers()).get(DOUBTS, 0) >= MAX_DOUBTS:
            await self._beside.forget(DOUBTS)
        await self._beside.put(DOUBTS, doubt([flight.id for flight in flights if flight.id is not None]))

    async def of(self, flights: Sequence[Flight]) -> dict[UUID, Answer]:
        """Return what was answered to deliveries of flights, by their ids; usually nothing.

        Raises:
            StreamAwayError: The stream did not answer.
        """
        found: dict[UUID, Answer] = {}
        for flight in flights if self._numbers else ():
            count = self._numbers.get(flight.sequence)
            if count is None or flight.id is None:
                continue
            told, faults = answers(flight.id, await self._beside.read(flight.sequence, count))
            found |= told
            if faults:
                logger.error(
                    "%d messages with what was answered to flight %s cannot be read: another version wrote them, or they are "
                    "damaged. What they tell of is delivered again.", faults, flight.id,
                )  # fmt: skip
        return found

    async def run_once(self, following: int) -> None:
        """Forget all answers, some time after the last flight was landed that has any. `following`: what is landed next."""
        if not self._numbers or following <= self._last:
            return
        now = self._monotonic()
        if self._due is None:
            self._due = now + self._kept_seconds
        elif now >= self._due:
            await self._beside.forget()
            self._numbers, self._due = {}, None
