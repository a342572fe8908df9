"""What a home does for its fleet, beside all that it does by itself: it lands flights, sends on what is of groups that live
elsewhere, and says what it wants to hear."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, sender_of
from tidings.store.database import Database
from tidings.store.secrets import SecretBox
from tidings.transport import stream
from tidings.worker.duties import every
from tidings.worker.intake import FORGET_INTERVAL, TELL_INTERVAL, Intake, LandedForgetter, Teller
from tidings.worker.placing import FOLLOW_INTERVAL, Follower
from tidings.worker.relay import Relay
from tidings.worker.rows import Elsewhere
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.intake")

CONNECT_INTERVAL = 5.0  # seconds between tries to reach a stream that is away while the home starts


class Packing(NamedTuple):
    """What events are packed with that travel on from a home."""

    box: SecretBox
    clock: Clock
    salt: int

    def relay(self, database: Database, way: stream.Stream, fleet: Fleet, home: str) -> Relay:
        """Return what sends on."""
        source, rows = sender_of(home), Elsewhere(home)
        return Relay(database, way, fleet, self.box, self.clock, source=source, salt=self.salt, rows=rows, look=way.fleet)


@asynccontextmanager
async def landing(
    config: Config, database: Database, *, on_failed: Callable[[], None], packing: Packing | None = None
) -> AsyncIterator[None]:
    """Land what comes for the home while the block runs, and send on what is of groups that live elsewhere.

    A stream that cannot be reached stops nothing here: what was landed is delivered.

    Args:
        on_failed: Is called when a duty dies of an error that is no outage.
        packing: What events are packed with that are sent on; None: none are.

    Raises:
        StartupError: The fleet has no home of this name.
    """
    stopping = Signal()
    task = asyncio.create_task(_land(config, database, stopping, packing), name="intake")

    def done(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            logger.critical("the intake died; the worker stops", exc_info=error)
            on_failed()

    task.add_done_callback(done)
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait([task], timeout=10)
        task.cancel()


async def _land(config: Config, database: Database, stopping: Signal, packing: Packing | None) -> None:
    home = str(config.home)
    inbox = stream.inbox_of("home", home)
    is_told = False
    while not stopping.is_set:
        try:
            async with stream.opened(
                str(config.stream), credentials=config.stream_credentials, ca_file=config.ca_file, inbox=inbox
            ) as way:
                fleet = await _checked(way, home)
                is_told = False
                if packing is not None:
                    await way.join(sender_of(home))
                relay = None if packing is None else packing.relay(database, way, fleet, home)
                follower = _follower(way, home, database, relay)
                await follower.run_once()  # before anything is landed that may be of others
                duties = Intake(database, way, home), relay, follower, Teller(database, way, home), LandedForgetter(database)
                await _work(way, *duties, stopping)
        except (StartupError, stream.StreamAwayError) as error:
            if not is_told:
                logger.warning("nothing comes by the stream: %s", error)
            is_told = True
            await stopping.wait(CONNECT_INTERVAL)


async def _checked(way: stream.Stream, home: str) -> Fleet:
    fleet = await way.fleet()
    if home not in fleet.homes:
        raise StartupError(f"The fleet has no home {home!r}; it has {', '.join(fleet.homes)}. Correct TIDINGS_HOME.")
    return fleet


def _follower(way: stream.Stream, home: str, database: Database, relay: Relay | None) -> Follower:
    if relay is None:
        return Follower(way, sender_of(home), [], lambda: None, database=database, home=home)
    return Follower(way, sender_of(home), [relay.follow], lambda: relay.settled, database=database, home=home)


async def _work(
    way: stream.Stream,
    intake: Intake,
    relay: Relay | None,
    follower: Follower,
    teller: Teller,
    forgetter: LandedForgetter,
    stopping: Signal,
) -> None:
    duties = [
        asyncio.create_task(intake.run()),
        asyncio.create_task(every(FOLLOW_INTERVAL, follower, stopping)),
        asyncio.create_task(every(TELL_INTERVAL, teller, stopping)),
        asyncio.create_task(every(FORGET_INTERVAL, forgetter, stopping)),
    ]
    if relay is not None:
        duties.append(asyncio.create_task(relay.run()))
    stopped, closed = asyncio.create_task(stopping.wait()), asyncio.create_task(way.until_closed())
    try:
        await asyncio.wait([*duties, stopped, closed], return_when=asyncio.FIRST_COMPLETED)
        intake.stop()
        if relay is not None:
            relay.stop()
        await asyncio.wait(duties, timeout=7)
        for duty in duties:
            if duty.done():
                duty.result()
        if closed.done():
            await closed
    finally:
        for each in (*duties, stopped, closed):
            each.cancel()
