"""Running the relay of a source, and looking after the stream (docs/fleet.md)."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import msgspec

from tidings.api.relay_watch import RelayWatch
from tidings.app import database_of, opened
from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import SHOWN, Fleet, check_name, fleet_of, sender_of, spread, with_groups, without_home
from tidings.core.group import check_group_id
from tidings.operations.services import Services
from tidings.running import asked_telemetry, watched
from tidings.store import home, placing, workers
from tidings.store import relay as stored
from tidings.store.database import Database
from tidings.transport import stream
from tidings.transport.stream import Stream, inbox_of
from tidings.transport.stream_away import StreamAwayError
from tidings.transport.stream_making import MAX_BYTES, change, forget_member, make, settled, take_away
from tidings.worker.crew import Crew
from tidings.worker.duties import every
from tidings.worker.moving import Move, Moved
from tidings.worker.placing import FOLLOW_INTERVAL, Follower
from tidings.worker.relay import Relay, send
from tidings.worker.reporting import REPORT_INTERVAL, Reporter
from tidings.worker.signals import Signal
from tidings.worker.source import KEEPING_INTERVAL, WISHES_INTERVAL, Keeper, Wishes

logger = logging.getLogger("tidings.relay")

STOP_SECONDS = 10.0
ADMINISTRATOR = "_INBOX.admin"  # where answers come to whoever makes the stream or looks after it
LEFT_AT_ONCE = 100  # flights
LEFT_BYTES = 32 * 2**20
GROUPS_AT_ONCE = 1000
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
            services.wide, way, fleet, services.box, services.clock, source=source, salt=services.installation.salt,
            telemetry=telemetry, look=way.fleet,
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
    follower = Follower(way, reporter.sender, [relay.follow, wishes.follow], lambda: relay.settled)
    crew = Crew("the relay stops", logger=logger)
    crew.begin("relay", relay.run())
    crew.begin("wishes", every(WISHES_INTERVAL, wishes, stopping))
    crew.begin("keeper", every(KEEPING_INTERVAL, keeper, stopping))
    crew.begin("follower", every(FOLLOW_INTERVAL, follower, stopping))
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
                        await send(way, name, flight)
                    except StreamAwayError as error:
                        raise StartupError(
                            f"The stream does not take what waits here ({error}). Nothing is lost: try again."
                        ) from error
                await stored.forget(owner, [flight.id for flight in left])
                sent += len(left)
            await stored.leave(owner)
            try:
                await forget_member(way, name)
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
    async with _administering(config) as way:
        return await make(way, fleet, replicas=replicas, most_bytes=most_bytes, version=_version())


async def remove_home(config: Config, home: str, *, besides: Collection[str] = ()) -> bool:
    """Have a fleet be without a home where no group lives; False: flights are in its stream still, which stays.

    Args:
        besides: Senders that are gone for good, and are not waited for.

    Raises:
        StartupError: Groups live there, or somebody may send there still.
    """
    async with _administering(config) as way:
        for member in besides:
            await forget_member(way, member)
        followed = await way.fleet()
        await expect_followed(way, followed)
        await change(way, lambda fleet: without_home(fleet, home, _version(), followed=followed.version))
        await forget_member(way, sender_of(home))
        return await take_away(way, home)


async def expect_followed(way: Stream, fleet: Fleet) -> None:
    """Return when all who send have heard of the directory as it is.

    Raises:
        StartupError: Some have not.
        StreamAwayError: The stream did not answer.
    """
    behind = sorted(member for member, version in (await settled(way)).items() if version < fleet.version)
    if behind:
        raise StartupError(
            f"{', '.join(behind[:SHOWN])} did not say yet that nothing by an older directory is on its way. Try again in some "
            "seconds; start what is not running; name what is gone for good with --without."
        )


async def place(config: Config, groups: Sequence[str], home: str) -> Fleet:
    """Say that groups live at a home, whatever their names; without any, those that have webhooks in this database.

    Raises:
        StartupError: The fleet has no such home, or cannot remember so many.
    """
    if not groups:
        async with opened(config) as services:
            groups = [group_id async for group_id in _groups(services.wide, are_owned=True)]
    for group_id in groups:
        check_group_id(group_id)
    async with _administering(config) as way:
        return await change(way, lambda fleet: with_groups(fleet, dict.fromkeys(groups, home), _version()))


async def spread_names(
    config: Config, homes: Sequence[str], databases: Mapping[str, str], *, is_plan: bool
) -> tuple[Fleet, int]:
    """Have groups' names lead to these homes. Each group that there is stays where it lives.

    Args:
        databases: The URL of each home's database, where its groups are read.
        is_plan: Change nothing, and tell what would be so.

    Returns:
        The fleet, and how many groups it remembers that are not where their names lead.

    Raises:
        StartupError: A home's database was not said or cannot be read, or too many groups would be remembered.
    """
    async with _administering(config) as way:
        there = await way.fleet()
        if missing := sorted({*there.homes} ^ {*databases}):
            raise StartupError(
                f"The fleet has the homes {', '.join(there.homes)}; say the database of each, and no other: "
                f"--database {missing[0]}=URL."
            )
        groups: set[str] = set()
        for url in databases.values():
            async with database_of(msgspec.structs.replace(config, database_url=url)) as database:
                groups.update([group_id async for group_id in _groups(database)])

        def changed(fleet: Fleet) -> Fleet:
            kept = {group_id: fleet.home_of(group_id) for group_id in groups}
            return spread(fleet, homes, kept, _version())

        fleet = changed(there) if is_plan else await change(way, changed)
    return fleet, len(fleet.moved)


async def _groups(database: Database, *, are_owned: bool = False) -> AsyncIterator[str]:
    last = ""
    async with database.connection() as connection:
        while page := await placing.groups_after(connection, last, GROUPS_AT_ONCE):
            last = page[-1]
            for group_id in await placing.owned(connection, page) if are_owned else page:
                yield group_id


async def leave_as_home(config: Config) -> str | None:
    """Have a database be no home of a fleet any more; return what it was called, if it was one.

    Raises:
        StartupError: Flights wait here, or groups live at another home now.
    """
    async with opened(config) as services, services.wide.transaction() as connection:
        known = await placing.get(connection)
        if known is None:
            return None
        if waiting := (await stored.waiting(connection)).flights:
            raise StartupError(
                f"{waiting} flights wait here for the stream. Start serve with TIDINGS_HOME until they are sent."
            )
        if gone := sorted(known.placing.left):
            raise StartupError(
                f"{gone[0]}{' and others' if len(gone) > 1 else ''} lived here, and not any more. Move such groups back first."
            )
        return await placing.leave(connection)


class _Administered:
    """The stream, as a move uses it."""

    def __init__(self, way: Stream) -> None:
        self.fleet, self.last, self.first = way.fleet, way.last, way.first
        self._way = way

    async def change(self, changed: Callable[[Fleet], Fleet]) -> Fleet:
        return await change(self._way, changed)

    async def settled(self) -> dict[str, int]:
        return await settled(self._way)


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
        _administering(config) as way,
    ):
        move = Move(
            services.wide,
            there,
            _Administered(way),
            group_id,
            source=config.home,
            target=target,
            version=_version,
            besides=besides,
            tell=tell,
        )
        if doing == "plan":
            return await move.plan()
        if doing == "abandon":
            await move.abandon()
            return None
        return await move.run()


def _version() -> int:
    return int(Clock().now().timestamp())


async def _join(way: Stream, member: str) -> None:
    try:
        await way.join(member)
    except StreamAwayError as error:
        raise StartupError(f"The stream did not take note of {member}: {error}.") from error


async def fleet_of_stream(way: Stream) -> Fleet:
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
async def _administering(config: Config) -> AsyncIterator[Stream]:
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
