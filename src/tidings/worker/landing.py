"""What a home does for its fleet, beside all that it does by itself: it lands flights, and says what it wants to hear."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tidings.clock import Clock
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.store.database import Database
from tidings.transport import stream
from tidings.worker.duties import every
from tidings.worker.intake import FORGET_INTERVAL, TELL_INTERVAL, Intake, LandedForgetter, Router, Teller
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.intake")

CONNECT_INTERVAL = 5.0  # seconds between tries to reach a stream that is away while the home starts


@asynccontextmanager
async def landing(
    config: Config,
    database: Database,
    *,
    on_failed: Callable[[], None],
    router: Router | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[None]:
    """Land what comes for the home while the block runs.

    A stream that cannot be reached stops nothing here: what was landed is delivered.

    Args:
        on_failed: Is called when a duty dies of an error that is no outage.
        router: Routes what comes at once, where that can be; None: all of it is put into the outbox.
        clock: Which the router has.

    Raises:
        StartupError: The fleet has no home of this name.
    """
    stopping = Signal()
    task = asyncio.create_task(_land(config, database, stopping, router, clock), name="intake")

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


async def _land(config: Config, database: Database, stopping: Signal, router: Router | None, clock: Clock | None) -> None:
    home = str(config.home)
    inbox = stream.inbox_of("home", home)
    is_told = False
    while not stopping.is_set:
        try:
            async with stream.opened(
                str(config.stream), credentials=config.stream_credentials, ca_file=config.ca_file, inbox=inbox
            ) as way:
                await _check_home(way, home)
                is_told = False
                intake = Intake(database, way, home, router=router, clock=clock)
                await _work(way, intake, Teller(database, way, home), LandedForgetter(database), stopping)
        except (StartupError, stream.StreamAwayError) as error:
            if not is_told:
                logger.warning("nothing comes by the stream: %s", error)
            is_told = True
            await stopping.wait(CONNECT_INTERVAL)


async def _check_home(way: stream.Stream, home: str) -> None:
    homes = (await way.fleet()).homes
    if home not in homes:
        raise StartupError(f"The fleet has no home {home!r}; it has {', '.join(homes)}. Correct TIDINGS_HOME.")


async def _work(way: stream.Stream, intake: Intake, teller: Teller, forgetter: LandedForgetter, stopping: Signal) -> None:
    duties = [
        asyncio.create_task(intake.run()),
        asyncio.create_task(every(TELL_INTERVAL, teller, stopping)),
        asyncio.create_task(every(FORGET_INTERVAL, forgetter, stopping)),
    ]
    stopped, closed = asyncio.create_task(stopping.wait()), asyncio.create_task(way.until_closed())
    try:
        await asyncio.wait([*duties, stopped, closed], return_when=asyncio.FIRST_COMPLETED)
        intake.stop()
        await asyncio.wait(duties, timeout=7)
        for duty in duties:
            if duty.done():
                duty.result()
        if closed.done():
            await closed
    finally:
        for each in (*duties, stopped, closed):
            each.cancel()
