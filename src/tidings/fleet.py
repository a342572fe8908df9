"""Running the relay of a source, and looking after the stream (docs/fleet.md)."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tidings.app import opened
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, check_name, fleet_of, sender_of
from tidings.operations.services import Services
from tidings.store import home, workers
from tidings.store import relay as stored
from tidings.transport import stream
from tidings.transport.stream import Stream, StreamAwayError, inbox_of
from tidings.transport.stream_making import MAX_BYTES, Standing, make
from tidings.transport.stream_making import standing as found_standing
from tidings.worker.duties import every
from tidings.worker.landing import landing
from tidings.worker.placing import FOLLOW_INTERVAL, Follower
from tidings.worker.relay import Relay
from tidings.worker.rows import Elsewhere
from tidings.worker.signals import Signal
from tidings.worker.source import KEEPING_INTERVAL, WISHES_INTERVAL, Keeper, Wishes

logger = logging.getLogger("tidings.relay")

STOP_SECONDS = 10.0
ADMINISTRATOR = "_INBOX.admin"  # where answers come to whoever makes the stream or looks after it
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
    async with opened(config) as services, _stream(config, inbox_of("source", source)) as way:
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
        relay = Relay(
            services.wide, way, fleet, services.box, services.clock, source=source, salt=services.installation.salt
        )  # fmt: skip
        wishes, stopping = Wishes(services.wide, way, fleet), Signal()
        keeper = Keeper(services.wide, services.clock, retention_days=config.retention_days)
        follower = Follower(way, source, [relay.follow, wishes.follow], lambda: relay.settled)
        duties = [
            asyncio.create_task(relay.run(), name="relay"),
            asyncio.create_task(every(WISHES_INTERVAL, wishes, stopping), name="wishes"),
            asyncio.create_task(every(KEEPING_INTERVAL, keeper, stopping), name="keeper"),
            asyncio.create_task(every(FOLLOW_INTERVAL, follower, stopping), name="follower"),
        ]
        stopped, closed = asyncio.create_task(stop.wait()), asyncio.create_task(way.until_closed())
        on_ready(fleet)
        try:
            await asyncio.wait([*duties, stopped, closed], return_when=asyncio.FIRST_COMPLETED)
            relay.stop()
            stopping.set()
            await asyncio.wait(duties, timeout=STOP_SECONDS)
            for duty in duties:
                if duty.done() and (error := duty.exception()) is not None:
                    logger.critical("%s died; the relay stops", duty.get_name(), exc_info=error)
            if not stop.is_set:
                if closed.done():
                    await closed
                raise RelayFailedError
        finally:
            for each in (*duties, stopped, closed):
                each.cancel()


def landing_of(services: Services, *, on_failed: Callable[[], None]) -> AbstractAsyncContextManager[None]:
    """Return what lands flights at a home, and sends on what is of groups that live elsewhere, while a block runs."""
    home = str(services.config.home)

    def onward(way: Stream, fleet: Fleet) -> Relay:
        return Relay(
            services.wide, way, fleet, services.box, services.clock, source=sender_of(home), salt=services.installation.salt,
            rows=Elsewhere(home),
        )  # fmt: skip

    return landing(services.config, services.wide, on_failed=on_failed, onward=onward)


async def leave(config: Config) -> int:
    """Have a database be a source no more, once the stream has what was taken; return how many flights were sent.

    Rows that were not taken are routed by whatever worker begins here.

    Raises:
        StartupError: The stream cannot be reached, or a relay is at work here still.
    """
    async with opened(config) as services, _stream(config, _inbox_of_source(config)) as way:
        fleet = await _fleet(way)
        owner = await services.wide.dedicated(command_timeout=STOP_SECONDS)
        try:
            if not await stored.try_own(owner):
                raise StartupError("A relay is at work here. Stop it first.")
            name, sent = await stored.source(owner) or "source", 0
            while left := (await stored.left(owner, fleet.homes, limit=LEFT_AT_ONCE, most_bytes=LEFT_BYTES)).flights:
                for flight in left:
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
    async with _stream(config) as way:
        try:
            return await make(way, fleet, replicas=replicas, most_bytes=most_bytes, version=int(time.time()))
        except StreamAwayError as error:
            raise StartupError(f"The stream did not answer: {error}.") from error


async def standing(config: Config) -> list[Standing]:
    """Return what waits for each home.

    Raises:
        StartupError: The stream cannot be asked.
    """
    async with _stream(config) as way:
        try:
            return await found_standing(way, await way.fleet())
        except StreamAwayError as error:
            raise StartupError(f"The stream did not answer: {error}.") from error


async def _fleet(way: Stream) -> Fleet:
    try:
        return await way.fleet()
    except StreamAwayError as error:
        raise StartupError(f"The stream did not say what the fleet is: {error}.") from error


def _inbox_of_source(config: Config) -> str:
    return ADMINISTRATOR if config.source is None else inbox_of("source", check_name(config.source, "TIDINGS_SOURCE"))


@asynccontextmanager
async def _stream(config: Config, inbox: str = ADMINISTRATOR) -> AsyncIterator[Stream]:
    if config.stream is None:
        raise StartupError("TIDINGS_STREAM is not set. Write where NATS is: nats://host:4222, several with commas.")
    async with stream.opened(config.stream, credentials=config.stream_credentials, ca_file=config.ca_file, inbox=inbox) as way:
        yield way
