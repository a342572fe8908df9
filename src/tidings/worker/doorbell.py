"""Sleeping until somebody commits to the outbox (theory: `store/migrations/0001_engine.sql`, `tidings.capture`)."""

from collections.abc import Awaitable, Callable
from typing import Final

from tidings.store import outbox
from tidings.store.database import Connection
from tidings.worker.signals import Signal

FALLBACK_INTERVAL: Final = 1.0  # seconds; for poolers that break session locks, and when the sleeping dispatcher died
BUSY_INTERVAL: Final = 0.01  # seconds between looks while transactions keep the doorbell: larger batches, fewer of them
BELL_SECONDS: Final = 30.0  # for an answer to a question that takes no time


async def rest(
    bell: Connection, rung: Signal, look: Callable[[], Awaitable[int]], *, fallback_interval: float = FALLBACK_INTERVAL
) -> bool:
    """Sleep until the doorbell rings, when nothing can be committed unheard; otherwise look again soon.

    Args:
        look: Takes what is there, and returns how much that was.

    Returns:
        Whether the doorbell is held, and is to be put back.
    """
    if await outbox.try_sleep(bell):
        if await look() == 0:  # what was committed before the doorbell was ours
            await rung.wait(fallback_interval)
        return True
    if not await outbox.is_someone_asleep(bell):
        await rung.wait(BUSY_INTERVAL)
    elif await look() == 0:  # who fell asleep while we held a turn could not look at what came into it meanwhile
        await rung.wait(fallback_interval)
    return False
