"""Deliveries go on while the home's database is away: first attempts, made ahead of their record (theory: `core.ahead`).

The flights are read by their numbers and never acknowledged: whoever lands them later does it as if nobody had looked. What
was answered waits in a stream beside, and is recorded as they are landed (`worker.answered`).
"""

import logging
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from prometheus_client import Gauge

from tidings.clock import Clock
from tidings.core.ahead import AWAY_SECONDS, GIVE_UP_SECONDS, SILENT_SECONDS, Step, Watched, encode_said, read_said
from tidings.core.ahead import Turn as Whose
from tidings.core.errors import StartupError
from tidings.store import webhooks
from tidings.store.database import Database
from tidings.store.outages import is_on_purpose
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.ahead_session import Known, Session, Streams, Turn
from tidings.worker.routes import CurrentRoutes
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.ahead")

LOOK_INTERVAL: Final = 1.0  # seconds between looks whether the database is away
READY_INTERVAL: Final = 1.0  # seconds between looks what has changed, while it is there

IS_AHEAD = Gauge("tidings_ahead", "1 while this process makes first attempts in place of the home's database, which is away.")


class Ahead:
    """Watches the database of a home, and sends ahead while it is away. Any number may run; one at a time is at work."""

    def __init__(
        self,
        database: Database,
        streams: Streams,
        known: Known,
        clock: Clock,
        *,
        away_seconds: float = AWAY_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            away_seconds: Without the database, and nobody landing anything, before it begins.
            silent_seconds: Without a sign of life of who has the turn, after which it is over.
        """
        self._outages = database.outages
        self._streams = streams
        self._known = known
        self._clock = clock
        self._away_seconds = away_seconds
        self._silent_seconds = silent_seconds
        self._monotonic = monotonic
        self._watched = Watched()
        self._since: float | None = None  # when the database was there last, or somebody landed something
        self._landed = -1
        self._is_told = False
        self._stopped = Signal()

    async def run(self) -> None:
        """Watch, and send ahead, until told to stop."""
        while not await self._stopped.wait(LOOK_INTERVAL):
            try:
                await self.run_once()
            except (StreamAwayError, StartupError) as error:
                self._since = None
                if not self._is_told:
                    logger.warning("nothing can be sent ahead while the database is away: %s", error)
                self._is_told = True

    def stop(self) -> None:
        """End: what is under way has a few seconds."""
        self._stopped.set()

    async def run_once(self) -> bool:
        """Look, and send ahead if it is due, until that is over; return whether it was.

        Raises:
            StreamAwayError: The stream did not answer, or refuses us.
        """
        if not await self._is_due():
            return False
        turn = await self._take_turn()
        if turn is None:
            return False
        self._is_told = False
        logger.warning("the database is away: first attempts of what comes are made without it, and recorded once it is back")
        IS_AHEAD.set(1)
        session = Session(
            self._streams, self._known, self._clock, turn,
            since=self._since or 0.0, is_over=self._is_over, monotonic=self._monotonic,
        )  # fmt: skip
        try:
            await session.run()
        finally:
            IS_AHEAD.set(0)
            self._since = None
            logger.warning("what comes is left to the database again; %d attempts were made without it", session.made)
        return True

    def _is_over(self) -> bool:
        outage = self._outages.current
        return self._stopped.is_set or outage is None or is_on_purpose(outage[0])

    async def _is_due(self) -> bool:
        """Whether the database has been away for long enough, and nobody of the home lands what comes."""
        outage = self._outages.current
        if outage is None or is_on_purpose(outage[0]):
            self._since = None
            return False
        now = self._monotonic()
        is_received, landed = await self._streams.beside.is_received()
        if self._since is None or is_received or landed != self._landed:
            self._since, self._landed = now, landed
        return now - self._since >= self._away_seconds

    async def _take_turn(self) -> Turn | None:
        """Take the turn, if nobody has it or who has it is silent."""
        value, revision = await self._streams.beside.state()
        said = read_said(value)
        if said.state is not Whose.ENDED:
            if self._watched.silent_for(revision, self._monotonic()) < self._silent_seconds:
                return None
            said = said.after(Step.BURY) or said
            # Who is taken for dead may have begun attempts until it gave up: they are waited for, as those of others are.
            self._since = self._monotonic() - max(0.0, self._silent_seconds - GIVE_UP_SECONDS)
        taken = said.after(Step.TAKE, holder=str(uuid4()), since=self._clock.now(), reached=0)
        if taken is None:
            return None
        changed = await self._streams.beside.change(encode_said(taken), revision)
        return None if changed is None else Turn(self._streams.beside, taken, changed, self._monotonic)


class Ready:
    """Has at hand what is to be known while the database is away."""

    def __init__(self, database: Database, routes: CurrentRoutes) -> None:
        self._database = database
        self._routes = routes

    async def run_once(self) -> None:
        """Bring it up to date."""
        async with self._database.connection() as connection:
            await self._routes.at_least(connection, await webhooks.routes_version(connection))
            await self._routes.read_ahead(connection)
