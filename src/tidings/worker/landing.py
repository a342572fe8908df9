"""What a home does for its fleet, beside all that it does by itself: it lands flights, sends on what is of groups that live
elsewhere, says what it wants to hear and how it is, and looks at what waits for it."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

from tidings.clock import Clock
from tidings.config import Config
from tidings.core.ahead import AWAY_SECONDS
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, sender_of
from tidings.core.pressure import REPORT_INTERVAL
from tidings.store import vitals
from tidings.store.database import UNAVAILABLE, Database
from tidings.store.secrets import SecretBox
from tidings.transport import stream
from tidings.transport.stream_ahead import AheadStream
from tidings.worker.ahead import READY_INTERVAL, Ahead, Ready
from tidings.worker.ahead_session import Known, Streams
from tidings.worker.answered import Answered
from tidings.worker.crew import Crew
from tidings.worker.duties import every
from tidings.worker.intake import Intake, Router
from tidings.worker.kept import Kept
from tidings.worker.landed import FORGET_INTERVAL, LandedForgetter
from tidings.worker.lookout import LOOK_INTERVAL, Lookout, claim, note_away
from tidings.worker.placing import FOLLOW_INTERVAL, Follower, RemovedError
from tidings.worker.relay import Relay
from tidings.worker.reporting import Reporter
from tidings.worker.rows import Elsewhere
from tidings.worker.signals import Signal
from tidings.worker.telemetry import Telemetry
from tidings.worker.wishes import TELL_INTERVAL, WishTeller

logger = logging.getLogger("tidings.intake")

CONNECT_INTERVAL: Final = 5.0  # seconds between tries to reach a stream that is away while the home starts
STOP_SECONDS: Final = 7.0


class Packing(NamedTuple):
    """What the process of a home has, which landing and sending on need of it.

    Attributes:
        box: Seals what is set aside.
        clock: PostgreSQL's.
        salt: Of the installation.
        telemetry: Who is told of what was landed and sent on; None: nobody.
        router: Routes what comes at once, where that can be; None: all of it is put into the outbox.
        known: What its worker knows, also while the database is away; None: nothing is delivered then.
        away_seconds: Without the database before it is delivered by that.
    """

    box: SecretBox
    clock: Clock
    salt: int
    telemetry: Telemetry | None = None
    router: Router | None = None
    known: Known | None = None
    away_seconds: float = AWAY_SECONDS


@asynccontextmanager
async def landing(
    config: Config, database: Database, packing: Packing, *, on_failed: Callable[[], None]
) -> AsyncIterator[None]:
    """Land what comes for the home while the block runs, and send on what is of groups that live elsewhere.

    A stream that cannot be reached stops nothing here: what was landed is delivered.

    Args:
        on_failed: Is called when a duty dies of an error that is no outage.
    """
    duties = _Landing(config, database, packing, on_failed)
    crew = Crew("the worker stops", on_failed, logger)
    crew.begin("intake", duties.run())
    try:
        yield
    finally:
        duties.stopping.set()
        await crew.settle(STOP_SECONDS + 3)


class _Landing:
    def __init__(self, config: Config, database: Database, packing: Packing, on_failed: Callable[[], None]) -> None:
        self._config = config
        self._home = str(config.home)
        self._database = database
        self._packing = packing
        self._on_failed = on_failed
        self.stopping = Signal()

    async def run(self) -> None:
        """Land what comes, through outages of the stream and of the database, until told to stop."""
        is_told = False
        inbox = stream.inbox_of("home", self._home)
        config = self._config
        while not self.stopping.is_set:
            try:
                async with stream.opened(
                    str(config.stream), credentials=config.stream_credentials, ca_file=config.ca_file, inbox=inbox
                ) as way:
                    fleet = await _checked(way, self._home)
                    identity = await claim(self._database, way.bucket, self._home, self._packing.salt)
                    is_told = False
                    await way.bucket.join(sender_of(self._home))
                    try:
                        await self._work(way, fleet, identity)
                    except RemovedError:
                        await way.bucket.part(self._home, sender_of(self._home))
                        raise
            except (StartupError, stream.StreamAwayError) as error:
                if not is_told:
                    logger.warning("nothing comes by the stream: %s", error)
                is_told = True
                await note_away(self._database, self._packing.clock, error)
                await self.stopping.wait(CONNECT_INTERVAL)
            except UNAVAILABLE as error:
                self._database.outages.failed(error)
                await self.stopping.wait(CONNECT_INTERVAL)

    async def _work(self, way: stream.Stream, fleet: Fleet, identity: str) -> None:
        stopping, home, database, packing = Signal(), self._home, self._database, self._packing
        clock, sender = packing.clock, sender_of(home)
        beside, known = AheadStream(way, home), packing.known
        kept, told = Kept(database, way.flights, home), Answered(beside, there=partial(vitals.write, database))
        intake = Intake(
            database.for_own_statements(), way.flights, home,
            clock=clock, telemetry=packing.telemetry, kept=kept, router=packing.router, told=told,
            unseen_seconds=packing.away_seconds / 3,
        )  # fmt: skip
        ahead = ready = None
        if known is not None:
            streams, ready = Streams(way.flights, way.bucket, beside, home), Ready(database, known)
            ahead = Ahead(database, streams, ready, clock, away_seconds=packing.away_seconds)
        relay = Relay(
            database, way.flights, fleet, packing.box, clock, source=sender, salt=packing.salt, rows=Elsewhere(home),
            telemetry=packing.telemetry, look=way.bucket.fleet,
        )  # fmt: skip
        reporter = Reporter(database, way.bucket, relay, clock, sender)
        await reporter.heed()
        follower = Follower(
            way.bucket, sender, [relay.follow], lambda: relay.settled, database=database, home=home, since=fleet.version
        )
        await follower.run_once()  # before anything is landed that may be of others
        lookout = Lookout(database, way, intake, clock, home, identity)
        crew = Crew("the worker stops", self._on_failed, logger)
        crew.begin("intake", intake.run())
        crew.begin("relay", relay.run())
        crew.begin("reporter", every(REPORT_INTERVAL, reporter, stopping))
        crew.begin("follower", every(FOLLOW_INTERVAL, follower, stopping))
        crew.begin("teller of wishes", every(TELL_INTERVAL, WishTeller(database, way.bucket, home), stopping))
        crew.begin("forgetter of flights", every(FORGET_INTERVAL, LandedForgetter(database), stopping))
        crew.begin("lookout", every(LOOK_INTERVAL, lookout, stopping))
        if ahead is not None and ready is not None:
            crew.begin("ahead", ahead.run())
            crew.begin("ready for ahead", every(READY_INTERVAL, ready, stopping))
        try:
            await crew.until(self.stopping.wait(), way.until_closed(), lookout.until_displaced(), follower.until_removed())
        finally:
            intake.stop()
            relay.stop()
            if ahead is not None:
                ahead.stop()
            stopping.set()
            await crew.settle(STOP_SECONDS)
            reporter.end()


async def _checked(way: stream.Stream, home: str) -> Fleet:
    fleet = await way.bucket.fleet()
    if home not in fleet.homes:
        raise RemovedError(home, fleet.homes)
    return fleet
