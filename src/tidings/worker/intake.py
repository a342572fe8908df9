"""The intake of a home: flights that come by the stream are landed, each once, in the order they were sent.

What they carry is routed at once, in the transaction that notes them as landed; or it is put into the outbox, whenever
something waits there, a group crowds others, or this process has no room. From there on all is as if it had been committed
here. The stream forgets a flight once it is landed; one that comes again, since its sender or we died in between, is known by
its id. One process at a time does so for a home.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
from prometheus_client import Counter

from tidings.clock import Clock
from tidings.core import cargo
from tidings.core.ahead import AWAY_SECONDS
from tidings.core.answers import Answer, by_event
from tidings.core.capture import TableName
from tidings.core.cargo import CargoError, ForeignEventError, Unpacked, check_carried, origin_of
from tidings.core.event import Event
from tidings.core.fleet import is_of_home
from tidings.core.pauses import Pauses
from tidings.store import capture, relay
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database, said
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_flights import LANDING_SECONDS
from tidings.worker import doorbell
from tidings.worker.plain import Flight, plain, unpacked
from tidings.worker.signals import Signal
from tidings.worker.supplies import FromStream, Supply, together
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.intake")

RECEIVE_SECONDS: Final = 5.0  # that a flight is waited for
STANDBY_INTERVAL: Final = 1.0  # seconds between looks whether the intake at work is gone
MAX_OUTBOX: Final = 50_000  # rows that wait to be routed, beyond which flights wait in the stream
FULL_INTERVAL: Final = 0.2  # seconds
TELL_INTERVAL: Final = 2.0  # seconds between looks at what webhooks want to hear
UNSEEN_SECONDS: Final = AWAY_SECONDS / 3  # without being seen to wait for flights, after which others may have sent ahead
LANDED_DAYS: Final = 30  # for which a flight is known; a source that was away for longer repeats what it had sent last
FORGET_INTERVAL: Final = 3600.0  # seconds

LANDED = Counter("tidings_flights_landed_total", "Flights that came by the stream, by what became of them.", ["outcome"])


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


class Told(Protocol):
    """What was answered while the database was away."""

    async def begin(self, stopped: Signal) -> bool:
        """Have who sends ahead end, and wait until all is told; False: we were stopped before, and nothing may be landed."""

    async def of(self, flights: Sequence[Flight]) -> dict[UUID, Answer]:
        """Return what was answered to deliveries of flights, by their ids."""

    async def run_once(self, following: int) -> None:
        """Forget it, some time after the flights were landed. `following`: the number of what is landed next."""


class Notice(Protocol):
    """The stream, as far as a home says by it what it wants."""

    async def put_wishes(self, home: str, wanted: dict[TableName, frozenset[str]]) -> None:
        """Tell the sources what webhooks want to hear."""


class Router(Protocol):
    """Who routes what comes: the dispatcher of this process."""

    async def route_brought(self, supply: Supply, count: int, *, can_wait: bool) -> bool:
        """Route events that are in no outbox yet; False: they are to be put into it."""


class _StoppedError(Exception):
    """We are told to end, and do not know what was answered to what is at hand."""


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
        self._told = told
        self._unseen_seconds = unseen_seconds
        self._monotonic = monotonic
        self._seen_at = monotonic()  # when others could see that we land, last
        self._router = router
        self._clock = clock or Clock()
        self._telemetry = telemetry
        self.is_at_work = Signal()
        self._database = database
        self._stream = stream
        self._home = home
        self._again_seconds = again_seconds
        self._kept = kept
        self._next: int | None = None  # the number in the stream of what is to be landed next; None: the stream is to be asked
        self._history: str | None = None  # of PostgreSQL, where we began to land; None: wherever
        self._is_unsure = False  # whether somebody has sent ahead since we asked
        self._stopped = Signal()

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
                logger.info("nothing comes by the stream now: %s", error)
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
            self._next, self._is_unsure = None, True
            failovers, self._history = self._database.server.failovers, await relay.history(owner)
            if self._history is None:  # a standby that is not promoted yet
                await self._stopped.wait(STANDBY_INTERVAL)
                return
            await self._be_sure()
            if self._kept is not None:
                await self._kept.begin(self._land)
            self.is_at_work.set()
            while not (self._stopped.is_set or lost.is_set or self._database.server.failovers != failovers):
                await self.run_once()
                if self._kept is not None:
                    await self._kept.run_once()
                if self._told is not None:
                    await self._told.run_once(self._next or 0)
                pauses.reset()
        except _StoppedError:
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
        self._look_at_the_clock()
        if outlook.is_outbox_full:
            await self._be_sure()
            await self._stopped.wait(FULL_INTERVAL)
            return 0
        if self._next is None:
            self._next = await self._stream.first(self._home)
        arrived = sorted(await self._stream.receive(self._home, RECEIVE_SECONDS), key=lambda flight: flight.sequence)
        self._look_at_the_clock(RECEIVE_SECONDS)
        self._seen_at = self._monotonic()
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
        """Return what may be landed now: up to a gap, behind which somebody has what comes first."""
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
            told = await self._answers(arrived[done : done + len(batch)])
            supply, received_at = FromStream(self._clock, batch, history=self._history, answers=told), self._clock.now()
            try:
                if not await router.route_brought(supply, sum(len(one.events) for one in batch), can_wait=can_wait):
                    break
            except (*UNAVAILABLE, *COLLISIONS) as error:
                # Should it have been committed, it is known by its id.
                self._is_unsure |= isinstance(error, UNAVAILABLE)
                logger.info("what came is put into the outbox, since it could not be routed at once: %s", said(error))
                break
            if self._telemetry is not None:
                self._telemetry.landed(supply.landed, received_at, self._clock.now())
            for flight in arrived[done : done + len(batch)]:
                LANDED.labels("landed" if flight.id in supply.new else "known").inc()
                await flight.done()
            done += len(batch)
        return arrived[done:]

    async def _answers(self, arrived: Sequence[Flight]) -> dict[UUID, Answer]:
        self._look_at_the_clock()
        await self._be_sure()
        return {} if self._told is None else await self._told.of(arrived)

    def _look_at_the_clock(self, waited: float = 0.0) -> None:
        """Doubt what was known of who sends ahead, where nobody could see us land: PostgreSQL was silent, or we stood still.

        Args:
            waited: Seconds of it in which we were seen.
        """
        if self._monotonic() - self._seen_at - waited > self._unseen_seconds:
            self._is_unsure = True

    async def _be_sure(self) -> None:
        """Have who sends ahead end, if somebody may."""
        if self._is_unsure and self._told is not None and not await self._told.begin(self._stopped):
            raise _StoppedError
        if self._is_unsure:
            self._is_unsure, self._seen_at = False, self._monotonic()

    async def _land(self, arrived: Sequence[Flight]) -> None:
        """Land flights together; when PostgreSQL refuses something of them, each alone, and of that one each event."""
        pauses = Pauses()
        while True:
            try:
                return await self._land_together(arrived)
            except COLLISIONS:
                if await self._stopped.wait(pauses.next()):
                    raise
            except UNAVAILABLE as error:
                # They are kept at hand. Whoever lands them meanwhile, they are landed once.
                self._database.outages.failed(error)
                self._is_unsure = True  # somebody may send ahead what we have at hand
                if await self._stopped.wait(pauses.next()):
                    raise
            except (CargoError, asyncpg.PostgresError, ValueError, OverflowError) as error:
                if len(arrived) > 1:
                    for flight in arrived:
                        await self._land([flight])
                    return None
                await self._land_what_can_be(arrived[0], error)
                return None

    async def _land_together(self, arrived: Sequence[Flight]) -> None:
        told = await self._answers(arrived)  # before there is a transaction that waits for it
        outcomes, landed, received_at = [], list[Event](), self._clock.now()
        async with self._database.transaction() as connection:
            for flight in arrived:
                if flight.id is None:
                    raise CargoError("It has no id of a flight: no relay sent it.")
                found = await unpacked(flight)
                for event in found.events:
                    check_carried(event, is_of_home=is_of_home(flight.source))
                is_known = flight.whole is not None and await relay.is_landed(connection, flight.whole)
                is_new = not is_known and await relay.land(
                    connection, flight.id, found.events, origin_of(flight.source, found), found.placed_by,
                    answers=by_event(flight.id, found.events, told), history=self._history,
                )  # fmt: skip
                outcomes.append("landed" if is_new else "known")
                landed += found.events if is_new else []
        for outcome in outcomes:
            LANDED.labels(outcome).inc()
        if self._telemetry is not None:
            self._telemetry.landed(landed, received_at, self._clock.now())

    async def _land_what_can_be(self, flight: Flight, error: Exception) -> None:
        """Set a flight aside that cannot be read; of one that can, the events that PostgreSQL refuses."""
        found = Unpacked([]) if isinstance(error, CargoError) else await unpacked(flight)
        told = {} if flight.id is None else by_event(flight.id, found.events, await self._answers([flight]))
        async with self._database.transaction() as connection:
            if flight.whole is not None and await relay.is_landed(connection, flight.whole):
                return
            if flight.id is not None and not await relay.note_landed(connection, flight.id, history=self._history):
                return
            if not found.events:
                await relay.set_aside_flight(connection, flight.name, flight.source, flight.cargo, said(error))
            refused = await _without_room(connection, found.events)
            for event in found.events:
                if event.group_id not in refused:
                    await self._land_one(connection, flight, found, event, told)
            aside = [(one, str(relay.TooManyGroupsError(one.group_id))) for one in found.events if one.group_id in refused]
            if aside:
                await self._set_aside(connection, flight, found, aside)
        LANDED.labels("set aside" if not found.events else "landed").inc()
        logger.error("flight %s was set aside, whole or in part: %s", flight.name[:40], said(error))

    async def _land_one(
        self, connection: Connection, flight: Flight, found: Unpacked, event: Event, told: dict[UUID, bytes]
    ) -> None:
        try:
            async with connection.transaction():
                check_carried(event, is_of_home=is_of_home(flight.source))
                await relay.bring(connection, [event], origin_of(flight.source, found), found.placed_by, told)
        except (ForeignEventError, relay.TooManyGroupsError) as error:
            reason = str(error)
        except (*UNAVAILABLE, *COLLISIONS):
            raise
        except (asyncpg.PostgresError, ValueError, OverflowError) as error:
            reason = f"PostgreSQL refuses it: {said(error)}."
        else:
            return
        await self._set_aside(connection, flight, found, [(event, reason)])

    async def _set_aside(
        self, connection: Connection, flight: Flight, found: Unpacked, events: Sequence[tuple[Event, str]]
    ) -> None:
        """Set events of a flight aside, each with the reason."""
        try:
            async with connection.transaction():
                await relay.set_aside_events(connection, events, origin_of(flight.source, found))
        except (*UNAVAILABLE, *COLLISIONS):
            raise
        except (asyncpg.PostgresError, ValueError, OverflowError):
            if len(events) > 1:
                for one in events:
                    await self._set_aside(connection, flight, found, [one])
                return
            ((event, reason),) = events  # not even as JSON: as it came
            await relay.set_aside_flight(connection, flight.name, flight.source, cargo.alone(event), reason)


async def _without_room(connection: Connection, events: Sequence[Event]) -> set[str]:
    """Return groups that no event of a flight can be of, asked for once: groups are counted for it, and there are many then."""
    try:
        async with connection.transaction():
            return await relay.groups_without_room(connection, (event.group_id for event in events))
    except (*UNAVAILABLE, *COLLISIONS):
        raise
    except (asyncpg.PostgresError, ValueError):
        return set()  # one has a name that cannot be asked for, which is found where it is alone


class Teller:
    """Tells the sources what webhooks of a home want to hear of tables."""

    def __init__(self, database: Database, stream: Notice, home: str) -> None:
        self._database = database
        self._stream = stream
        self._home = home
        self._told: Any = None
        self._refused = ""  # why it could not be told, last

    async def run_once(self) -> bool:
        """Tell it, if it is not what was told last; return whether it was told."""
        async with self._database.connection() as connection:
            names = await capture.subscribed_tables(connection)
            wanted = await capture.subscribed_operations(connection, names)
        if wanted == self._told:
            return False
        try:
            await self._stream.put_wishes(self._home, wanted)
        except StreamAwayError as error:
            if str(error) != self._refused:
                logger.warning("sources cannot be told now what is wanted of them (%d tables): %s", len(wanted), error)
            self._refused = str(error)
            return False
        self._refused = ""
        self._told = wanted
        return True


class LandedForgetter:
    """Forgets flights that were landed long ago: all of them, some at a time, however many come in an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run_once(self) -> None:
        """Forget them."""
        forgotten = relay.FORGOTTEN_AT_ONCE
        while forgotten == relay.FORGOTTEN_AT_ONCE:
            async with self._database.connection() as connection:
                forgotten = await relay.forget_landed(connection, LANDED_DAYS)
