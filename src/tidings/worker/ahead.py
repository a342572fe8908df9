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
from tidings.core.ahead import AWAY_SECONDS, GIVE_UP_SECONDS, SILENT_SECONDS, Step, Watched, encode_said, whose
from tidings.core.ahead import Turn as Whose
from tidings.core.errors import StartupError
from tidings.core.fleet import sender_of
from tidings.core.pressure import Report
from tidings.store import webhooks
from tidings.store.database import Database
from tidings.store.outages import is_of_writing, is_on_purpose
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.ahead_session import Known, Session, Streams
from tidings.worker.ahead_turn import Turn
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.ahead")

LOOK_INTERVAL: Final = 1.0  # seconds between looks whether the database is away
READY_INTERVAL: Final = 1.0  # seconds between looks what has changed, while it is there
OLDEST_KNOWN: Final = 60.0  # seconds that what is known may be older than the last sign of the database

IS_AHEAD = Gauge("tidings_ahead", "1 while this process makes first attempts in place of the home's database, which is away.")


class Ready:
    """Has at hand what is to be known while the database is away."""

    def __init__(self, database: Database, known: Known, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.known = known
        self._database = database
        self._monotonic = monotonic
        self._at: float | None = None  # when all was as new as the database's, last

    async def run_once(self) -> None:
        """Bring all of it up to date: webhooks, rules of redaction, limits of payloads."""
        began, routes = self._monotonic(), self.known.routes
        await self.known.privacy.run_once()
        await self.known.payloads.run_once()
        async with self._database.connection() as connection:
            await routes.at_least(connection, await webhooks.routes_version(connection))
            await routes.read_ahead(connection)
        self._at = began

    def knew(self, at: float) -> bool:
        """Whether what is known here was so when the database was there last, or hardly older.

        Not in a process that has only begun, nor in one that alone has been without the database for long: rules were made
        since, perhaps, and secrets were rotated.

        Args:
            at: When the database was there last for anybody of the home, by the clock of this process.
        """
        return self._at is not None and at - self._at <= OLDEST_KNOWN


class Ahead:
    """Watches the database of a home, and sends ahead while it is away. Any number may run; one at a time is at work."""

    def __init__(
        self,
        database: Database,
        streams: Streams,
        ready: Ready,
        clock: Clock,
        *,
        away_seconds: float = AWAY_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it.

        Args:
            ready: What is known, and whether that is new enough.
            away_seconds: Without the database, and nobody landing anything, before it begins.
            silent_seconds: Without a sign of life of who has the turn, after which it is over.
        """
        self._outages = database.outages
        self._streams = streams
        self._ready = ready
        self._clock = clock
        self._away_seconds = away_seconds
        self._silent_seconds = silent_seconds
        self._monotonic = monotonic
        self._watched = Watched()
        self._since: float | None = None  # when the database was there last, or somebody landed something
        self._there = monotonic()  # when the database was there last, for anybody of the home
        self._landed: int | None = None  # and what was landed then; None: nobody has looked since it went
        self._report: Report | None = None  # what the home said of itself last, which takes its database
        self._revision: int | None = None  # of what was said last about whose turn it is; None: nobody has looked since it went
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
            self._streams, self._ready.known, self._clock, turn,
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
        """Whether the database has been away for long enough, and nobody of the home works with it."""
        outage, now = self._outages.current, self._monotonic()
        if outage is None or is_on_purpose(outage[0]):
            self._since, self._there, self._landed, self._report, self._revision = None, now, None, None, None
            return False
        is_called_off = await self._is_called_off()
        if await self._is_there_for_others(outage[0]):
            self._since = self._there = now
        elif is_called_off or self._since is None:
            self._since = now
        return now - self._since >= self._away_seconds and self._ready.knew(self._there)

    async def _is_there_for_others(self, reason: str) -> bool:
        """Whether somebody of the home has worked with the database since the last look: it is we alone who are without it.

        As where it has no connection left for us, and others keep theirs. Whoever lands nothing, since the outbox is full,
        delivers all the same. To say how the home is takes a database that can be read, and no more than that.
        """
        is_received, landed = await self._streams.beside.is_received()
        report = await self._streams.bucket.said(sender_of(self._streams.home))
        is_said = self._report is not None and report != self._report and not is_of_writing(reason)
        is_there = is_received or self._landed not in {None, landed} or is_said
        self._landed, self._report = landed, report
        return is_there

    async def _is_called_off(self) -> bool:
        """Whether somebody who lands has said, since the last look, that nobody is to send ahead.

        Whoever does has the database, and takes it that nobody sends what is being landed. That may not be seen yet, and we may
        not have heard that the database is back: it is waited for as long as when the database went.
        """
        value, revision = await self._streams.beside.state()
        known, self._revision = self._revision, revision
        return whose(value).is_called_off(revision, known)

    async def _take_turn(self) -> Turn | None:
        """Take the turn, if nobody has it or who has it is silent."""
        value, revision = await self._streams.beside.state()
        said = whose(value)
        if said.state is Whose.ENDED:
            if said.is_called_off(revision, self._revision):
                return None
        else:
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
