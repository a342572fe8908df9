"""What happens because it is time: records are published, jobs fire."""

from tidings.clock import Clock
from tidings.store import collections
from tidings.store.database import Database

SCHEDULE_INTERVAL = 0.5  # seconds between looks for what is due


class Scheduler:
    """Looks for what is due. Any number may run: each thing that is due happens once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Do what is due and return how many things that were."""
        async with self._database.transaction() as connection:
            return await collections.announce_due(connection, self._clock.now())
