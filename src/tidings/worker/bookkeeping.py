"""The bookkeeper: sums up statistics and counters, and forgets what is old."""

from datetime import date, timedelta

from tidings.clock import Clock
from tidings.core.statistics import DEFAULT_SERIES
from tidings.store import history, limits, statistics
from tidings.store.database import Database
from tidings.store.statistics import ROLL_UP_AT_ONCE
from tidings.worker.limit_watch import LimitWatch

BOOKKEEPING_INTERVAL = 30.0  # seconds
# A minute is summed up when nobody writes it any more: results are written with the minute of their writing, and a transaction
# that takes longer than this has lost its connection.
STILL_WRITTEN = timedelta(minutes=5)
STILL_COUNTED = timedelta(hours=1)  # a process that has counted nothing for so long begins new rows
MAX_CHUNKS = 100  # of minutes that are summed up at a time


class Bookkeeper:
    """Sums up what processes have counted, and forgets what is older than it is kept."""

    def __init__(self, database: Database, clock: Clock, *, retention_days: int, most_series: int = DEFAULT_SERIES) -> None:
        self._database = database
        self._clock = clock
        self._most_series = most_series
        self._retention = timedelta(days=retention_days)
        self._forgot_on: date | None = None
        self._watch = LimitWatch(database, clock)

    async def run_once(self) -> int:
        """Do all of it and return how many rows of minutes were summed up."""
        await self._watch.run_once()
        now = self._clock.now()
        total = 0
        async with self._database.connection() as connection:
            await statistics.choose_series(connection, self._most_series, now - STILL_WRITTEN)
            for _ in range(MAX_CHUNKS):  # each is a transaction of its own, so that none holds rows for long
                done = await statistics.roll_up(connection, now - STILL_WRITTEN)
                total += done
                if done < ROLL_UP_AT_ONCE:
                    break
            await statistics.fold_counters(connection, STILL_COUNTED)
            for _ in range(MAX_CHUNKS):
                if not await statistics.forget(connection, now):
                    break
            if self._forgot_on != now.date():
                await history.forget_kinds(connection, now.date() - self._retention)
                await limits.forget_days(connection)
                await limits.forget_groups(connection)
                self._forgot_on = now.date()
        return total
