"""Where groups live, as the processes of a home know it.

One of them follows the fleet's directory and writes it into the database. The dispatchers of all read it there, no older than
the rows that they route: what is committed after a group was moved away is not routed here, whoever has heard of it.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from tidings.core.errors import StartupError
from tidings.core.event import Event
from tidings.core.fleet import Fleet
from tidings.store import placing
from tidings.store.database import UNAVAILABLE, Connection, Database, Server
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.placing")

FOLLOW_INTERVAL: Final = 2.0  # seconds between looks at the directory
PASSED_SECONDS: Final = 1.0  # for which a group is passed over without a look whether that is so still
MAX_PASSED: Final = 1000  # groups that are passed over


class ElsewhereError(Exception):
    """Rows of a batch are of groups that live elsewhere: they are left to who sends them on."""


class CurrentPlacing:
    """What a dispatcher knows of where groups live, as new as the rows that it routes."""

    def __init__(self, server: Server, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._failovers = server.failovers
        self._monotonic = monotonic
        self._known: placing.Known | None = None
        self._passed: dict[str, float] = {}  # groups that are passed over, and until when

    async def expect_own(
        self, connection: Connection, version: int | None, events: Iterable[Event], owned: Collection[str]
    ) -> None:
        """Return when all events are to be routed here.

        Args:
            version: Of what is known here, as it was read beside the events; None: this is no home of a fleet.
            owned: Groups that have webhooks here.

        Raises:
            ElsewhereError: Some are of groups that live elsewhere. These are passed over for a while.
        """
        if version is None:
            return
        seen = self._server.failovers
        if self._failovers != seen:  # a version can stand for something else by now
            self._failovers, self._known = seen, None
        if self._known is None or self._known.version != version:
            self._known = await placing.renewed(connection, self._known)
        if self._known is None:
            return
        here = self._known.placing
        if away := {group for group in {event.group_id for event in events} if here.is_elsewhere(group, owned)}:
            self._pass_over(away)
            raise ElsewhereError

    def _pass_over(self, groups: Iterable[str]) -> None:
        until = self._monotonic() + PASSED_SECONDS
        for group_id in groups:
            self._passed.pop(group_id, None)
            self._passed[group_id] = until
        while len(self._passed) > MAX_PASSED:
            del self._passed[next(iter(self._passed))]

    @property
    def passed(self) -> Sequence[str]:
        """The groups whose rows are left now, in the order of their names."""
        if not self._passed:
            return ()
        now = self._monotonic()
        self._passed = {group_id: until for group_id, until in self._passed.items() if until > now}
        return sorted(self._passed)


class RemovedError(StartupError):
    """The fleet is without this home."""

    def __init__(self, home: str, homes: Sequence[str]) -> None:
        super().__init__(
            f"The fleet has no home {home!r}; it has {', '.join(homes)}. Correct TIDINGS_HOME; where the home was taken "
            "away, stop serve here."
        )


class Directory(Protocol):
    """The stream, as far as a member follows the fleet by it."""

    async def fleet(self) -> Fleet:
        """Return what the fleet is."""

    async def tell_settled(self, member: str, version: int) -> None:
        """Tell by which version of the directory a member sends, and that nothing older is on its way."""


class Follower:
    """Follows the directory, and tells once all is sent that was packed by an older one."""

    def __init__(
        self,
        stream: Directory,
        member: str,
        on_changed: Sequence[Callable[[Fleet], None]],
        settled: Callable[[], int | None],
        *,
        database: Database | None = None,
        home: str | None = None,
        since: int = -1,
    ) -> None:
        """Make it.

        Args:
            member: What this one is called as a sender.
            on_changed: Are called with each new directory.
            settled: Returns the version by which all is sent; None: nobody is at work here.
            database: Where a home writes it down.
            home: What it is called there.
            since: The version of a directory that has this home, seen before. One that is not later tells nothing: each node of
                the stream hears of changes at its own time.
        """
        self._stream = stream
        self._member = member
        self._on_changed = on_changed
        self._settled = settled
        self._database = database
        self._home = home
        self._since = since
        self._known: Fleet | None = None
        self._failovers = 0  # of the database, when it was written down
        self._told: int | None = None
        self._refused = ""
        self._without: tuple[str, ...] = ()  # the homes of the fleet, once it is without this one
        self._removed = Signal()

    async def until_removed(self) -> None:
        """Wait until the fleet is without this home.

        Raises:
            RemovedError: It is.
        """
        await self._removed.wait()
        raise RemovedError(str(self._home), self._without)

    async def run_once(self) -> bool:
        """Look at the directory; return whether it is another than before."""
        try:
            fleet = await self._stream.fleet()
            if self._home is not None and self._home not in fleet.homes and fleet.version > self._since:
                self._without = fleet.homes
                self._removed.set()
                return False  # nothing is told by a home that is none: the fleet would wait for it from then on
            settled = self._settled()
            if settled is not None and settled != self._told:
                await self._stream.tell_settled(self._member, settled)
                self._told = settled
        except (StreamAwayError, StartupError) as error:
            if str(error) != self._refused:
                logger.warning("where groups live is not asked now, and stays as it is known: %s", error)
            self._refused = str(error)
            return False
        self._refused = ""
        if self._known is not None and fleet.version < self._known.version:
            return False
        if not await self._write_down(fleet) or fleet == self._known:
            return False
        self._known = fleet
        for changed in self._on_changed:
            changed(fleet)
        return True

    async def _write_down(self, fleet: Fleet) -> bool:
        """Have the database of a home know it too; False: it is away. A standby that was behind may not have it any more."""
        if self._database is None or self._home is None:
            return True
        seen = self._database.server.failovers
        if fleet == self._known and self._failovers == seen:
            return True
        try:
            async with self._database.transaction() as connection:
                await placing.put(connection, self._home, fleet)
        except UNAVAILABLE as error:
            self._database.outages.failed(error)
            return False
        self._failovers = seen
        return True
