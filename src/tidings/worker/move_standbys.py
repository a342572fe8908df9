"""What a move has copied, or noted, and the standbys that may take over from the home that has it.

A home deletes what the other has copied, and the other goes on with what this one has let go: neither may come back as it was
before, or all of the group would be gone, or there twice. Commits do not wait for standbys unless PostgreSQL is set so. A move
waits for those that are connected; of others nobody knows, and of these only whom PostgreSQL lets read pg_stat_replication.
"""

import asyncio
from typing import Final

from tidings.core.errors import StartupError
from tidings.store import moving
from tidings.store.database import Connection
from tidings.worker.signals import Signal

LOOK_INTERVAL: Final = 0.05  # seconds between looks at where standbys are


async def expect_at_standbys(connection: Connection, home: str, patience: float) -> None:
    """Return once the standbys of a home have what was committed there so far.

    Args:
        patience: Seconds.

    Raises:
        StartupError: They have not by then.
    """
    place = await moving.written(connection)
    try:
        async with asyncio.timeout(patience):
            while not await moving.is_at_standbys(connection, place):
                await Signal().wait(LOOK_INTERVAL)
    except TimeoutError:
        raise StartupError(
            f"A standby of {home} is behind by more than {patience:.0f} s: if it took over, what was moved would be gone. See "
            "pg_stat_replication there. Once it is up to date, begin the same again."
        ) from None
