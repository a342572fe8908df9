"""Adds up what is kept of groups, and tells of those that are over a limit by what nobody refuses: once, until they are not."""

import logging

from tidings.clock import Clock
from tidings.core.event import OPERATIONAL
from tidings.core.operational import OVER_LIMIT, over_limit_record
from tidings.sources.publish import new_event
from tidings.store import limits, outbox
from tidings.store.database import Database
from tidings.store.limits import FOLDED_AT_ONCE, Overrun

logger = logging.getLogger("tidings.limits")

MAX_FOLDS = 100  # at a time


class LimitWatch:
    """Looks at what was written since the last look."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Do it once, and return how many groups were told of."""
        told = 0
        for _ in range(MAX_FOLDS):  # each a transaction of its own, so that none holds rows for long
            async with self._database.transaction() as connection:
                rows, group_ids = await limits.fold(connection)
                await limits.lock_overruns(connection)
                now = self._clock.now()
                new = await limits.note_overruns(connection, await limits.overruns(connection, group_ids), now)
                if new:
                    await outbox.publish(
                        connection,
                        [
                            new_event(
                                one.group_id, OPERATIONAL, OVER_LIMIT,
                                over_limit_record(one.group_id, one.limit, one.allowed, one.used), now, subject=one.group_id,
                            )
                            for one in new
                        ],
                    )  # fmt: skip
            _log(new)
            told += len(new)
            if rows < FOLDED_AT_ONCE:
                break
        return told


def _log(new: list[Overrun]) -> None:
    for one in new:
        logger.warning("group %s is over its limit %s: %d of %d", one.group_id, one.limit, one.used, one.allowed)
