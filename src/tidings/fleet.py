"""Running the relay of a source, and looking after the stream (docs/fleet.md)."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

import msgspec

from tidings import __version__
from tidings.api.relay_watch import RelayWatch
from tidings.app import opened
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, check_name, fleet_of
from tidings.core.pressure import Seen, still_on_the_way
from tidings.operations.services import Services
from tidings.running import watched
from tidings.store import home, workers
from tidings.store import relay as stored
from tidings.transport import stream
from tidings.transport.stream import Stream, StreamAwayError, inbox_of
from tidings.transport.stream_making import MAX_BYTES, make
from tidings.transport.stream_standing import look
from tidings.worker.crew import Crew
from tidings.worker.duties import every
from tidings.worker.relay import KEEPING_INTERVAL, WISHES_INTERVAL, Keeper, Relay, Wishes
from tidings.worker.reporting import REPORT_INTERVAL, Reporter
from tidings.worker.signals import Signal
from tidings.worker.telemetry import open_telemetry

logger = logging.getLogger("tidings.relay")

STOP_SECONDS = 10.0
ADMINISTRATOR = "_INBOX.admin"  # where answers come to whoever makes the stream or looks after it
DRAIN_INTERVAL = 1.0  # seconds between looks whether all is landed
HEARING_SECONDS = 4 * REPORT_INTERVAL  # in which a source at work says something, whatever its clock says
CALM_LOOKS = 2  # that find nothing, one after the other: what was being sent when it was drained may have come in between
LEFT_AT_ONCE = 100  # flights
LEFT_BYTES = 32 * 2**20


class RelayFailedError(Exception):
    """The relay died; the log has the cause."""


async def run_relay(config: Config, stop: Signal, *, on_ready: Callable[[Fleet], None] = lambda _: None) -> None:
    """Run the relay of a source until told to stop.

    Raises:
        StartupError: It cannot start, with the remedy.
        RelayFailedError: It died.
    """
    if config.source is None:
        raise StartupError("TIDINGS_SOURCE is not set. Write the name of this database in the fleet, such as billing.")
    source = check_name(config.source, "TIDINGS_SOURCE")
    async with opened(config) as services, stream_of_fleet(config, inbox_of("source", source)) as way:
        fleet = await _fleet(way)
        if await home.settle(services.wide):
            raise StartupError(
                "This database is a copy, and nothing is sent from it. If it is the source from now on, run: tidings adopt"
            )
        async with services.wide.connection() as connection:
            if await workers.are_any(connection):
                raise StartupError(
                    "A worker is at work on this database, and would route what is to be sent. Stop serve and worker here; one "
                    "that died counts as gone after ten seconds."
                )
            await stored.become_source(connection, source)
        telemetry = open_telemetry(os.environ, __version__)
        relay = Relay(
            services.wide, way, fleet, services.box, services.clock, source=source, salt=services.installation.salt,
            telemetry=telemetry,
        )  # fmt: skip
        reporter = Reporter(services.wide, way, relay, services.clock, source)
        with told_as_startup("what is drained"):
            await reporter.heed()
        try:
            async with watched(config, RelayWatch(reporter.why_not_ready)):
                await _relay(services, way, fleet, relay, reporter, stop, on_ready)
        finally:
            if telemetry is not None:
                await telemetry.close()


async def _relay(
    services: Services,
    way: Stream,
    fleet: Fleet,
    relay: Relay,
    reporter: Reporter,
    stop: Signal,
    on_ready: Callable[[Fleet], None],
) -> None:
    wishes, stopping = Wishes(services.wide, way, fleet), Signal()
    keeper = Keeper(services.wide, services.clock, retention_days=services.config.retention_days)
    crew = Crew("the relay stops", logger=logger)
    crew.begin("relay", relay.run())
    crew.begin("wishes", every(WISHES_INTERVAL, wishes, stopping))
    crew.begin("keeper", every(KEEPING_INTERVAL, keeper, stopping))
    crew.begin("reporter", every(REPORT_INTERVAL, reporter, stopping))
    on_ready(fleet)
    try:
        await crew.until(stop.wait(), way.until_closed())
    finally:
        relay.stop()
        stopping.set()
        await crew.settle(STOP_SECONDS)
        reporter.end()
    if not stop.is_set:
        raise RelayFailedError


async def leave(config: Config) -> int:
    """Have a database be a source no more, once the stream has what was taken; return how many flights were sent.

    Rows that were not taken are routed by whatever worker begins here.

    Raises:
        StartupError: The stream cannot be reached, or a relay is at work here still.
    """
    async with opened(config) as services, stream_of_fleet(config, _inbox_of_source(config)) as way:
        fleet = await _fleet(way)
        owner = await services.wide.dedicated(command_timeout=STOP_SECONDS)
        try:
            if not await stored.try_own(owner):
                raise StartupError("A relay is at work here. Stop it first.")
            name, sent, drained = await stored.source(owner) or "source", 0, await _drained(way)
            while left := (await stored.left(owner, fleet.homes, limit=LEFT_AT_ONCE, most_bytes=LEFT_BYTES)).flights:
                for flight in left:
                    if flight.home in drained:
                        raise StartupError(f"{flight.home} is drained. Run: tidings stream drain --home {flight.home} --resume")
                    try:
                        await way.send(flight.home, name, flight.id, flight.cargo)
                    except StreamAwayError as error:
                        raise StartupError(
                            f"The stream does not take what waits here ({error}). Nothing is lost: try again."
                        ) from error
                await stored.forget(owner, [flight.id for flight in left])
                sent += len(left)
            await stored.leave(owner)
        finally:
            owner.terminate()
    return sent


async def make_stream(config: Config, homes: Sequence[str], *, replicas: int, most_bytes: int = MAX_BYTES) -> Fleet:
    """Make what a fleet with these homes needs, where it is not there.

    Raises:
        StartupError: It cannot be made; with the remedy.
    """
    fleet = fleet_of(tuple(homes))
    async with stream_of_fleet(config) as way:
        try:
            await make(way, fleet, replicas=replicas, most_bytes=most_bytes)
        except StreamAwayError as error:
            raise StartupError(f"The stream did not answer: {error}.") from error
    return fleet


async def status(config: Config, now: datetime) -> Seen:
    """Return how the stream and the sources of a fleet are.

    Raises:
        StartupError: The stream cannot be asked.
    """
    async with stream_of_fleet(config) as way:
        fleet = await _fleet(way)
        with told_as_startup("how it is"):
            return await look(way, fleet.homes, now)


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
    revision = (await way.drain(homes)).revision
    told: list[str] | None = None
    begun_at, calm = clock(), 0
    said = {name: report.at for name, report in (await look(way, homes, begun_at)).sources.items() if report is not None}
    while True:
        seen = await look(way, homes, clock())
        waited = (seen.at - begun_at).total_seconds()
        silent = {name for name, report in seen.sources.items() if report is not None and report.at == said.get(name)}
        left = still_on_the_way(seen, homes, revision, silent if waited > HEARING_SECONDS else ())
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
            return sorted((await way.drain(named, is_over=True)).homes)


async def _named(way: Stream, homes: Sequence[str]) -> tuple[str, ...]:
    there = (await _fleet(way)).homes
    if unknown := sorted(set(homes) - set(there)):
        raise StartupError(f"The fleet has no home {unknown[0][:60]!r}; it has {', '.join(there)}.")
    return tuple(sorted(set(homes))) or there


async def _fleet(way: Stream) -> Fleet:
    with told_as_startup("what the fleet is"):
        return await way.fleet()


async def _drained(way: Stream) -> frozenset[str]:
    with told_as_startup("what is drained"):
        return (await way.drained()).homes


@contextmanager
def told_as_startup(what: str) -> Iterator[None]:
    """Have an answer that did not come be told as what keeps from beginning."""
    try:
        yield
    except StreamAwayError as error:
        raise StartupError(f"The stream did not say {what}: {error}.") from error


def _inbox_of_source(config: Config) -> str:
    return ADMINISTRATOR if config.source is None else inbox_of("source", check_name(config.source, "TIDINGS_SOURCE"))


@asynccontextmanager
async def stream_of_fleet(config: Config, inbox: str = ADMINISTRATOR) -> AsyncIterator[Stream]:
    """Lend the stream that the settings name.

    Raises:
        StartupError: They name none, or it cannot be reached.
    """
    if config.stream is None:
        raise StartupError("TIDINGS_STREAM is not set. Write where NATS is: nats://host:4222, several with commas.")
    async with stream.opened(config.stream, credentials=config.stream_credentials, ca_file=config.ca_file, inbox=inbox) as way:
        yield way
