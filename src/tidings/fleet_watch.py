"""Looking how a fleet is, and draining homes (docs/fleet.md)."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.pressure import HEARING_SECONDS, Seen, still_on_the_way
from tidings.fleet import fleet_of_stream, stream_of_fleet, told_as_startup
from tidings.transport.stream import Stream
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_standing import look

DRAIN_INTERVAL: Final = 1.0  # seconds between looks whether all is landed
CALM_LOOKS: Final = 2  # that find nothing, in a row: what was being sent when it was drained may have come in between


async def status(config: Config, now: datetime) -> Seen:
    """Return how the stream and the sources of a fleet are.

    Raises:
        StartupError: The stream cannot be asked.
    """
    async with stream_of_fleet(config) as way:
        fleet = await fleet_of_stream(way)
        with told_as_startup("how it is"):
            seen = await look(way, fleet.homes, now)
    return msgspec.structs.replace(seen, parked=list(fleet.parked))


class Draining(msgspec.Struct, frozen=True):
    """What came of draining. `left`: sentences about what is on its way still; nothing: all is landed."""

    homes: list[str]
    left: list[str]


async def drain(
    config: Config,
    homes: Sequence[str],
    clock: Callable[[], datetime],
    *,
    seconds: float,
    on_waiting: Callable[[list[str]], None] = lambda _: None,
) -> Draining:
    """Have sources send nothing to homes any more, and wait until what is on its way is landed.

    Args:
        homes: None named: all.
        clock: Tells the time.
        seconds: To wait at most. What was said to the sources stays said.
        on_waiting: Is told what is on its way still, when that changes.

    Raises:
        StartupError: The fleet has no such home, or the stream cannot be asked.
    """
    async with stream_of_fleet(config) as way:
        named = await _named(way, homes)
        with told_as_startup("whether all is drained"):
            return await drain_by(way, named, clock, seconds=seconds, on_waiting=on_waiting)


async def drain_by(
    way: Stream,
    homes: Sequence[str],
    clock: Callable[[], datetime],
    *,
    seconds: float,
    on_waiting: Callable[[list[str]], None] = lambda _: None,
) -> Draining:
    """Do the same over a connection that is there.

    Raises:
        StreamAwayError: The stream did not answer.
    """
    revision = (await way.bucket.drain(homes)).revision
    told: list[str] | None = None
    begun_at, calm = clock(), 0
    before = (await look(way, homes, begun_at)).sources
    while True:
        now = clock()
        waited = (now - begun_at).total_seconds()
        try:
            seen = await look(way, homes, now)
            silent = [name for name, report in seen.sources.items() if report is not None and report == before.get(name)]
            left = still_on_the_way(seen, homes, revision, silent if waited > HEARING_SECONDS else ())
        except StreamAwayError as error:
            left = [f"The stream does not say what is on its way: {error}."]
        calm = 0 if left else calm + 1
        if calm == CALM_LOOKS or (left and waited >= seconds):
            return Draining(sorted(homes), left)
        if left and left != told:
            on_waiting(left)
            told = left
        await asyncio.sleep(DRAIN_INTERVAL)


async def resume(config: Config, homes: Sequence[str]) -> list[str]:
    """Have sources send to homes again; return the homes that are drained still.

    Raises:
        StartupError: The fleet has no such home, or the stream cannot be asked.
    """
    async with stream_of_fleet(config) as way:
        named = await _named(way, homes)
        with told_as_startup("what is drained"):
            return sorted((await way.bucket.drain(named, is_over=True)).homes)


async def _named(way: Stream, homes: Sequence[str]) -> tuple[str, ...]:
    there = (await fleet_of_stream(way)).homes
    if unknown := sorted(set(homes) - set(there)):
        raise StartupError(f"The fleet has no home {unknown[0][:60]!r}; it has {', '.join(there)}.")
    return tuple(sorted(set(homes))) or there
