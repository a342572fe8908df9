"""Bookkeeping: what the recorders have counted is summed up, and what nobody asks for any more is forgotten."""

from datetime import timedelta

from tidings.clock import Clock
from tidings.store import history, statistics
from tidings.store.database import Database
from tidings.worker.signals import Signal

BOOKKEEPING_INTERVAL = 30.0  # seconds
SETTLED_AFTER = timedelta(minutes=5)  # a minute is summed up when no transaction can still be writing it
COUNTERS_FOLDED_AFTER = timedelta(hours=1)
MAX_ROUNDS = 200  # of `statistics.ROLL_UP_AT_ONCE` rows in one go; what is left comes with the next


class Bookkeeper:
    """Adds minutes to hours and days, and forgets old rows. Any number may run; each row is summed up once."""

    def __init__(self, database: Database, clock: Clock, stopping: Signal, *, retention_days: int) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._retention = timedelta(days=retention_days)

    async def run_once(self) -> int:
        """Do all of it and return how many rows were summed up. Each round is a transaction of its own, so none is long."""
        now = self._clock.now()
        done = 0
        for _ in range(MAX_ROUNDS):
            async with self._database.connection() as connection:
                rolled_up = await statistics.roll_up(connection, now - SETTLED_AFTER)
            done += rolled_up
            if rolled_up < statistics.ROLL_UP_AT_ONCE or self._stopping.is_set:
                break
        async with self._database.connection() as connection:
            await statistics.forget(connection, now)
            await statistics.fold_counters(connection, COUNTERS_FOLDED_AFTER)
            await history.forget_kinds(connection, (now - self._retention).date())
        return done
