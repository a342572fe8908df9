"""Running the relay of a source, and looking after the stream (docs/fleet.md)."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import msgspec

from tidings.api.relay_watch import RelayWatch
from tidings.app import database_of, opened
from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, check_name, fleet_of
from tidings.core.pressure import TO_START, Why
from tidings.operations.services import Services
from tidings.running import asked_telemetry, watched
from tidings.store import fleet as fleet_store
from tidings.store import home, placing, workers
from tidings.store import relay as stored
from tidings.transport import stream
from tidings.transport.stream import Stream, inbox_of
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_making import MAX_BYTES, make
from tidings.worker.crew import Crew
from tidings.worker.duties import every
from tidings.worker.lines import send
from tidings.worker.moving import Move, Moved
from tidings.worker.placing import FOLLOW_INTERVAL, Follower
from tidings.worker.relay import Relay
from tidings.worker.reporting import REPORT_INTERVAL, Reporter
from tidings.worker.signals import Signal
from tidings.worker.source import KEEPING_INTERVAL, WISHES_INTERVAL, Keeper, Wishes

logger = logging.getLogger("tidings.relay")

STOP_SECONDS = 10.0
ADMINISTRATOR = "_INBOX.admin"  # where answers come to whoever makes the stream or looks after it
LEFT_AT_ONCE = 100  # flights
LEFT_BYTES = 32 * 2**20
Doing = Literal["move", "plan", "abandon"]


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
        fleet = await fleet_of_stream(way)
        await _join(way, source)
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
        telemetry = asked_telemetry()
        relay = Relay(
            services.wide, way.flights, fleet, services.box, services.clock, source=source, salt=services.installation.salt,
            telemetry=telemetry, look=way.bucket.fleet,
        )  # fmt: skip
        async with services.wide.connection() as connection:
            identity = await fleet_store.identity(connection, services.installation.salt)
        reporter = Reporter(services.wide, way.bucket, relay, services.clock, source, identity=identity)
        with told_as_startup("what is drained"):
            await reporter.heed()
            await reporter.expect_alone(stop)
        try:
            async with watched(config, RelayWatch(reporter)):
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
    wishes, stopping = Wishes(services.wide, way.bucket, fleet), Signal()
    keeper = Keeper(services.wide, services.clock, retention_days=services.config.retention_days)
    follower = Follower(way.bucket, reporter.sender, [relay.follow, wishes.follow], lambda: relay.settled)
    crew = Crew("the relay stops", logger=logger)
    crew.begin("relay", relay.run())
    crew.begin("wishes", every(WISHES_INTERVAL, wishes, stopping))
    crew.begin("keeper", every(KEEPING_INTERVAL, keeper, stopping))
    crew.begin("follower", every(FOLLOW_INTERVAL, follower, stopping))
    crew.begin("reporter", every(REPORT_INTERVAL, reporter, stopping))
    on_ready(fleet)
    try:
        await crew.until(stop.wait(), way.until_closed(), reporter.until_doubled())
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
        fleet = await fleet_of_stream(way)
        owner = await services.wide.dedicated(command_timeout=STOP_SECONDS)
        try:
            if not await stored.try_own(owner):
                raise StartupError("A relay is at work here. Stop it first.")
            name, sent, drained = await stored.source(owner) or "source", 0, await _drained(way)
            while left := await stored.left(owner, fleet.homes, limit=LEFT_AT_ONCE, most_bytes=LEFT_BYTES):
                for flight in left:
                    if flight.home in drained:
                        raise StartupError(f"{flight.home} is drained. Run: tidings stream drain --home {flight.home} --resume")
                    try:
                        await send(way.flights, name, flight)
                    except StreamAwayError as error:
                        raise StartupError(
                            f"The stream does not take what waits here ({error}). Nothing is lost: try again."
                        ) from error
                await stored.forget(owner, [flight.id for flight in left])
                sent += len(left)
            await stored.leave(owner)
            identity = await fleet_store.identity(owner, services.installation.salt)
            try:
                said = await way.bucket.said(name)
                if said is None or not said.is_of_another(identity):
                    await way.bucket.forget(name)
            except StreamAwayError as error:
                logger.warning("the stream still knows this source, and will call it silent for some days: %s", error)
        finally:
            owner.terminate()
    return sent


async def make_stream(config: Config, homes: Sequence[str], *, replicas: int, most_bytes: int = MAX_BYTES) -> Fleet:
    """Make what a fleet with these homes needs, where it is not there.

    Raises:
        StartupError: It cannot be made; with the remedy.
    """
    fleet = fleet_of(tuple(homes))
    async with administering(config) as way:
        return await make(way, fleet, replicas=replicas, most_bytes=most_bytes, version=directory_version())


async def leave_as_home(config: Config) -> str | None:
    """Have a database be no home of a fleet any more; return what it was called, if it was one.

    Raises:
        StartupError: Serve or a worker is at work here, flights wait here, or groups live at another home now.
    """
    async with opened(config) as services, services.wide.transaction() as connection:
        known = await placing.get(connection)
        if known is None:
            return None
        if await workers.are_any(connection):
            raise StartupError(
                "A worker is at work here. Stop serve and worker first; one that died counts as gone after ten seconds."
            )
        if waiting := (await stored.waiting(connection)).flights:
            raise StartupError(
                f"{waiting} flights wait here for the stream. Start serve with TIDINGS_HOME until they are sent."
            )
        if gone := sorted(known.placing.left):
            raise StartupError(
                f"{gone[0]}{' and others' if len(gone) > 1 else ''} lived here, and not any more. Move such groups back first."
            )
        return await placing.leave(connection)


async def move_group(
    config: Config,
    group_id: str,
    *,
    target: str,
    url: str,
    besides: Collection[str] = (),
    doing: Doing = "move",
    tell: Callable[[str], None] = lambda _: None,
) -> Moved | None:
    """Move a group from this home to another, tell what would be moved, or call it off.

    Args:
        url: The database of the home that it is to live at.
        besides: Senders that are gone for good, and are not waited for.
        tell: Is told what is done next.

    Raises:
        StartupError: It cannot be moved; with the remedy.
    """
    if config.home is None:
        raise StartupError("TIDINGS_HOME is not set. Run this where the group lives, with the settings of that home.")
    async with (
        opened(config, is_to_change=False) as services,
        database_of(msgspec.structs.replace(config, database_url=url)) as there,
        administering(config) as way,
    ):
        move = Move(
            services.wide,
            there,
            way,
            group_id,
            source=config.home,
            target=target,
            version=directory_version,
            besides=besides,
            tell=tell,
        )
        if doing == "plan":
            return await move.plan()
        if doing == "abandon":
            await move.abandon()
            return None
        return await move.run()


def directory_version() -> int:
    """Return the version of a change of the directory that is made now, where the last one is not later."""
    return int(Clock().now().timestamp())


async def _join(way: Stream, member: str) -> None:
    try:
        await way.bucket.join(member)
    except StreamAwayError as error:
        raise StartupError(f"The stream did not take note of {member}: {error}.") from error


async def fleet_of_stream(way: Stream) -> Fleet:
    with told_as_startup("what the fleet is"):
        return await way.bucket.fleet()


async def _drained(way: Stream) -> frozenset[str]:
    with told_as_startup("what is drained"):
        return (await way.bucket.drained()).homes


@contextmanager
def told_as_startup(what: str) -> Iterator[None]:
    """Have an answer that did not come be told as what keeps from beginning, with what to do where nobody answered."""
    try:
        yield
    except StreamAwayError as error:
        remedy = f" {TO_START}" if error.why is Why.AWAY else ""
        raise StartupError(f"The stream did not say {what}: {str(error).rstrip('.')}.{remedy}") from error


def _inbox_of_source(config: Config) -> str:
    return ADMINISTRATOR if config.source is None else inbox_of("source", check_name(config.source, "TIDINGS_SOURCE"))


@asynccontextmanager
async def administering(config: Config) -> AsyncIterator[Stream]:
    """Lend the stream to whoever changes the fleet."""
    async with stream_of_fleet(config) as way:
        try:
            yield way
        except StreamAwayError as error:
            raise StartupError(f"The stream did not answer: {error}.") from error


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
