"""A home looks at the stream: what waits there for it, what sources say of themselves, and whether it is the home still."""

import logging
from typing import Final, Protocol

import msgspec

from tidings.clock import Clock
from tidings.core.errors import StartupError
from tidings.core.pressure import SILENT, Report, Seen
from tidings.store import fleet
from tidings.store.database import UNAVAILABLE, Database
from tidings.transport.stream import Stream
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_bucket import Bucket
from tidings.transport.stream_standing import look
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.intake")

LOOK_INTERVAL: Final = 5.0  # seconds


class AtWork(Protocol):
    """Who lands flights."""

    @property
    def is_at_work(self) -> Signal:
        """Whether it is this process that does, and not another one of the home."""


async def claim(database: Database, bucket: Bucket, home: str, salt: int) -> str:
    """Have this database be the home of its name, and return what it is called by that.

    Raises:
        StartupError: Another database is that home.
        StreamAwayError: The stream did not answer.
    """
    async with database.connection() as connection:
        identity, is_taking = await fleet.identity(connection, salt), await fleet.is_taking(connection)
    if await bucket.claim(home, identity, is_to_take=is_taking) != identity:
        raise StartupError(_taken(home))
    if is_taking:
        async with database.connection() as connection:
            await fleet.taken(connection)
    return identity


def _taken(home: str) -> str:
    return (
        f"Another database is home {home!r} of the fleet. Give this one its own TIDINGS_HOME; or if it takes the place of the "
        f"other, which lands nothing any more, run: TIDINGS_HOME={home} tidings adopt"
    )


class Lookout:
    """Looks, and notes what it saw for all processes of the home."""

    def __init__(self, database: Database, way: Stream, at_work: AtWork, clock: Clock, home: str, identity: str) -> None:
        self._database = database
        self._way = way
        self._at_work = at_work
        self._clock = clock
        self._home = home
        self._identity = identity
        self._displaced = Signal()

    async def until_displaced(self) -> None:
        """Wait until another database has taken this one's place.

        Raises:
            StartupError: One has.
        """
        await self._displaced.wait()
        raise StartupError(_taken(self._home))

    async def run_once(self) -> Seen | None:
        """Look, and return what was seen; None: another process of this home does that."""
        try:
            if await self._way.bucket.claim(self._home, self._identity, is_to_take=False) != self._identity:
                self._displaced.set()
                return None
            if await self._is_left_to_another():
                return None
            seen = await look(self._way, [self._home], self._clock.now())
        except StreamAwayError as error:
            if await self._is_left_to_another():
                return None
            seen = away(self._clock, error)
        seen = msgspec.structs.replace(seen, sources={name: self._ours(said) for name, said in seen.sources.items()})
        async with self._database.connection() as connection:
            await fleet.put_seen(connection, seen)
        return seen

    async def _is_left_to_another(self) -> bool:
        """Whether another process looks, which lands what comes. Without a stream of the home nobody lands: then any looks."""
        return not self._at_work.is_at_work.is_set and await _is_seen(self._database, self._clock)

    def _ours(self, report: Report | None) -> Report | None:
        """Return what a source says, as far as it is about this home."""
        if report is None:
            return None
        return msgspec.structs.replace(report, waits=[one for one in report.waits if one.home == self._home])


def away(clock: Clock, error: Exception) -> Seen:
    """Return what is seen of a stream that does not answer, or refuses us."""
    return Seen(clock.now(), [], away=str(error))


async def note_away(database: Database, clock: Clock, error: Exception) -> None:
    """Note for all processes of a home that nothing comes by the stream, and why, unless another of them has seen it lately."""
    try:
        async with database.connection() as connection:
            known = await fleet.seen(connection)
            if known is not None and not known.away and clock.now() - known.at < SILENT:
                return
            await fleet.put_seen(connection, away(clock, error))
    except UNAVAILABLE as unavailable:
        database.outages.failed(unavailable)


async def _is_seen(database: Database, clock: Clock) -> bool:
    """Whether a process of the home has looked lately."""
    async with database.connection() as connection:
        known = await fleet.seen(connection)
    return known is not None and clock.now() - known.at < SILENT
