"""What a home does for its fleet, beside all that it does by itself: it lands flights, and says what it wants to hear."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.store.database import Database
from tidings.transport import stream
from tidings.worker.crew import Crew
from tidings.worker.duties import every
from tidings.worker.intake import FORGET_INTERVAL, TELL_INTERVAL, Intake, LandedForgetter, Teller
from tidings.worker.lookout import LOOK_INTERVAL, Lookout, claim, note_away
from tidings.worker.signals import Signal
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.intake")

CONNECT_INTERVAL: Final = 5.0  # seconds between tries to reach a stream that is away while the home starts
STOP_SECONDS: Final = 7.0


@asynccontextmanager
async def landing(
    config: Config,
    database: Database,
    clock: Clock,
    *,
    salt: int,
    on_failed: Callable[[], None],
    telemetry: Telemetry | None = None,
) -> AsyncIterator[None]:
    """Land what comes for the home while the block runs.

    A stream that cannot be reached stops nothing here: what was landed is delivered.

    Args:
        salt: Of the installation.
        on_failed: Is called when a duty dies of an error that is no outage.
        telemetry: Who is told of what was landed.
    """
    landing = _Landing(config, database, clock, salt, on_failed, telemetry)
    crew = Crew("the worker stops", on_failed, logger)
    crew.begin("intake", landing.run())
    try:
        yield
    finally:
        landing.stopping.set()
        await crew.settle(STOP_SECONDS + 3)


class _Landing:
    def __init__(
        self,
        config: Config,
        database: Database,
        clock: Clock,
        salt: int,
        on_failed: Callable[[], None],
        telemetry: Telemetry | None,
    ) -> None:
        self._config = config
        self._home = str(config.home)
        self._database = database
        self._clock = clock
        self._salt = salt
        self._on_failed = on_failed
        self._telemetry = telemetry
        self.stopping = Signal()

    async def run(self) -> None:
        """Land what comes, through outages of the stream, until told to stop."""
        is_told = False
        inbox = stream.inbox_of("home", self._home)
        config = self._config
        while not self.stopping.is_set:
            try:
                async with stream.opened(
                    str(config.stream), credentials=config.stream_credentials, ca_file=config.ca_file, inbox=inbox
                ) as way:
                    await _check_home(way, self._home)
                    identity = await claim(self._database, way, self._home, self._salt)
                    is_told = False
                    await self._work(way, identity)
            except (StartupError, stream.StreamAwayError) as error:
                if not is_told:
                    logger.warning("nothing comes by the stream: %s", error)
                is_told = True
                await note_away(self._database, self._clock, error)
                await self.stopping.wait(CONNECT_INTERVAL)

    async def _work(self, way: stream.Stream, identity: str) -> None:
        stopping, home, database = Signal(), self._home, self._database
        intake = Intake(database, way, home, clock=self._clock, telemetry=self._telemetry)
        lookout = Lookout(database, way, intake, self._clock, home, identity)
        crew = Crew("the worker stops", self._on_failed, logger)
        crew.begin("intake", intake.run())
        crew.begin("teller of wishes", every(TELL_INTERVAL, Teller(database, way, home), stopping))
        crew.begin("forgetter of flights", every(FORGET_INTERVAL, LandedForgetter(database), stopping))
        crew.begin("lookout", every(LOOK_INTERVAL, lookout, stopping))
        try:
            await crew.until(self.stopping.wait(), way.until_closed(), lookout.until_displaced())
        finally:
            intake.stop()
            stopping.set()
            await crew.settle(STOP_SECONDS)


async def _check_home(way: stream.Stream, home: str) -> None:
    homes = (await way.fleet()).homes
    if home not in homes:
        raise StartupError(f"The fleet has no home {home!r}; it has {', '.join(homes)}. Correct TIDINGS_HOME.")
