"""The intake of a home: flights that come by the stream are landed, each once, in the order they were sent.

What they carry is routed at once, in the transaction that notes them as landed; or it is put into the outbox (`worker.lander`),
whenever something waits there, a group crowds others, or it cannot be routed as it is. From there on all is as if it had been
committed here. The stream forgets a flight some time after it was landed (`worker.kept`); one that comes again, since its
sender or we died in between, is known by its id. One process at a time does so for a home, and it makes sure that no other
sends ahead meanwhile (`worker.alone`).
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from tidings.clock import Clock
from tidings.core.pauses import Pauses
from tidings.store import relay
from tidings.store.database import COLLISIONS, UNAVAILABLE, Database, said
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_flights import LANDING_SECONDS
from tidings.worker import doorbell
from tidings.worker.alone import UNSEEN_SECONDS, Alone, StoppedError, Told
from tidings.worker.landed import LANDED
from tidings.worker.lander import Lander
from tidings.worker.plain import Flight, plain
from tidings.worker.signals import Signal
from tidings.worker.supplies import FromStream, MaybeRoutedError, Supply, together
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.intake")

RECEIVE_SECONDS: Final = 5.0  # that a flight is waited for
STANDBY_INTERVAL: Final = 1.0  # seconds between looks whether the intake at work is gone
MAX_OUTBOX: Final = 50_000  # rows that wait to be routed, beyond which flights wait in the stream
FULL_INTERVAL: Final = 0.2  # seconds


class Way(Protocol):
    """The stream, as far as a home needs it."""

    async def receive(self, home: str, seconds: float) -> Sequence[Flight]:
        """Return flights that came within some seconds."""

    async def first(self, home: str) -> int:
        """Return the number of the first flight that the stream keeps, or will: all before it were landed."""


class Keeping(Protocol):
    """What the stream keeps that was landed, for a standby that takes over without it."""

    async def begin(self, land: Callable[[Sequence[Flight]], Awaitable[None]]) -> int:
        """Have what was landed and is gone be landed again; return how many flights that were."""

    async def run_once(self) -> None:
        """Have the stream forget what was landed long ago."""


class Router(Protocol):
    """Who routes what comes: the dispatcher of this process."""

    async def route_brought(self, supply: Supply, count: int, *, can_wait: bool) -> bool:
        """Route events that are in no outbox yet; False: they are to be put into it."""


class Intake:
    """Lands what comes for a home.

    A flight that was given to somebody who died, or was lost on its way, comes again after some seconds, behind later ones. So
    that none is landed before one that was sent earlier, the stream is asked for the number of the first that it keeps, and
    whenever a number is missing these seconds are waited for.
    """

    def __init__(
        self,
        database: Database,
        stream: Way,
        home: str,
        *,
        again_seconds: float = LANDING_SECONDS + 1,
        clock: Clock | None = None,
        telemetry: Telemetry | None = None,
        kept: Keeping | None = None,
        router: Router | None = None,
        told: Told | None = None,
        unseen_seconds: float = UNSEEN_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            again_seconds: After which what was not acknowledged has come again.
            clock: PostgreSQL's, as the router has it.
            telemetry: Who is told of what was landed.
            kept: What the stream keeps of what was landed; None: nothing.
            router: Routes at once what can be; None: all is put into the outbox.
            told: What was answered to attempts that were made while the database was away; None: none were.
            unseen_seconds: Without waiting for flights, after which others of the home may take us for gone.
        """
        self._stopped = Signal()
        self._router = router
        self._clock = clock or Clock()
        self._telemetry = telemetry
        self._alone = Alone(told, self._stopped, unseen_seconds=unseen_seconds, monotonic=monotonic)
        self._lander = Lander(database, self._alone, self._stopped, self._clock, telemetry)
        self.is_at_work = Signal()
        self._database = database
        self._stream = stream
        self._home = home
        self._again_seconds = again_seconds
        self._kept = kept
        self._next: int | None = None  # the number in the stream of what is to be landed next; None: the stream is to be asked
        self._refused = ""  # why nothing comes by the stream, as it was told last
        self._history: str | None = None  # of PostgreSQL, where we began to land; None: wherever

    async def run(self) -> None:
        """Land what comes until told to stop, through outages of the database and of the stream."""
        pauses = Pauses()
        while not self._stopped.is_set:
            try:
                await self._run_connected(pauses)
            except UNAVAILABLE as error:
                self._database.outages.failed(error)
                await self._stopped.wait(pauses.next())
            except StreamAwayError as error:
                level = logging.INFO if str(error) == self._refused else logging.WARNING
                self._refused = str(error)
                logger.log(level, "nothing comes by the stream now: %s; tidings stream status tells what it lacks", error)
                await self._stopped.wait(pauses.next())

    def stop(self) -> None:
        """End the loop after the flights it is at."""
        self._stopped.set()

    async def _run_connected(self, pauses: Pauses) -> None:
        owner = await self._database.dedicated(command_timeout=doorbell.BELL_SECONDS)
        lost = Signal()
        owner.add_termination_listener(lambda _: lost.set())
        try:
            while not await relay.try_own_landing(owner):
                if await self._stopped.wait(STANDBY_INTERVAL):
                    return
            self._next = None
            self._alone.doubt()
            failovers, self._history = self._database.server.failovers, await relay.history(owner)
            if self._history is None:  # a standby that is not promoted yet
                await self._stopped.wait(STANDBY_INTERVAL)
                return
            await self._alone.make_sure()
            if self._kept is not None:
                await self._kept.begin(self._land)
            self.is_at_work.set()
            while not (self._stopped.is_set or lost.is_set or self._database.server.failovers != failovers):
                await self.run_once()
                if self._kept is not None:
                    await self._kept.run_once()
                await self._alone.run_once(self._next or 0)
                pauses.reset()
                self._refused = ""
        except StoppedError:
            pass
        except relay.MovedError:
            logger.warning("another PostgreSQL has taken over; it is looked whether it has what was landed last")
        finally:
            self.is_at_work.clear()
            owner.terminate()

    async def run_once(self) -> int:
        """Land what has come, and return how many flights that were."""
        async with self._database.connection() as connection:
            outlook = await relay.outlook(connection, MAX_OUTBOX)
        self._alone.look()
        if outlook.is_outbox_full:
            await self._alone.make_sure()
            await self._stopped.wait(FULL_INTERVAL)
            return 0
        if self._next is None:
            self._next = await self._stream.first(self._home)
        arrived = sorted(await self._stream.receive(self._home, RECEIVE_SECONDS), key=lambda flight: flight.sequence)
        self._alone.look(RECEIVE_SECONDS)
        self._alone.wait_ended()
        if any(flight.is_new and flight.sequence < self._next for flight in arrived):
            # Numbers begin anew: the stream was made again, or what gives its flights out was.
            self._next = await self._stream.first(self._home)
        next_ones = self._next_ones(arrived)
        left: Sequence[Flight] = next_ones
        if self._router is not None and outlook.is_outbox_empty:
            left = await self._route(self._router, next_ones, can_wait=outlook.workers <= 1)
        if left:
            await self._land(left)
            for flight in left:
                await flight.done()
        if len(next_ones) < len(arrived):
            await self._stopped.wait(self._again_seconds)
            self._next = None
        return len(next_ones)

    def _next_ones(self, arrived: Sequence[Flight]) -> list[Flight]:
        """Return what may be landed now, and go on behind it: up to a gap, since somebody has what comes first behind that."""
        found: list[Flight] = []
        following = self._next or 0
        for flight in arrived:
            if flight.sequence > following:
                break
            following = max(flight.sequence + 1, following)
            found.append(flight)
        self._next = following
        return found

    async def _route(self, router: Router, arrived: Sequence[Flight], *, can_wait: bool) -> Sequence[Flight]:
        """Route what came, as far as that can be done at once, and return the rest, which is to be put into the outbox."""
        ready = await plain(arrived)
        done = 0
        while done < len(ready):
            batch = together(ready[done:])
            theirs = arrived[done : done + len(batch)]
            told = await self._alone.answers(theirs)
            supply, received_at = FromStream(self._clock, batch, history=self._history, answers=told), self._clock.now()
            try:
                async with self._alone.landing(theirs):
                    is_routed = await router.route_brought(supply, sum(len(one.events) for one in batch), can_wait=can_wait)
                if not is_routed:
                    break
            except (MaybeRoutedError, *UNAVAILABLE, *COLLISIONS) as error:
                # Should it have been committed, it is known by its id.
                if isinstance(error, MaybeRoutedError):
                    await self._alone.leave_to_database(theirs)
                elif isinstance(error, UNAVAILABLE):
                    self._alone.doubt()
                logger.info("what came is put into the outbox, since it could not be routed at once: %s", said(error))
                break
            if self._telemetry is not None:
                self._telemetry.landed(supply.landed, received_at, self._clock.now())
            for flight in theirs:
                LANDED.labels("landed" if flight.id in supply.new else "known").inc()
                await flight.done()
            done += len(batch)
        return arrived[done:]

    async def _land(self, arrived: Sequence[Flight]) -> None:
        await self._lander.land(arrived, history=self._history)
