"""One line a second that sums up what was delivered, for whoever watches a terminal. A delivery costs it a counter."""

import logging
from collections.abc import Sequence

from tidings.core.outcome import Released, Result, Succeeded
from tidings.store import queue
from tidings.store.database import Database

logger = logging.getLogger("tidings.deliveries")  # is heard in terminals only (`cli.logs`)

SUM_INTERVAL = 1.0  # seconds between lines; where nothing happened there is none


class Sums:
    """What became of the attempts since the last line.

    `add` counts what was recorded together, `run_once` writes the line and begins anew: both in the worker's loop, so
    nothing is
    counted between.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.delivered = self.failed = 0
        self.slowest_ms = 0.0

    def add(self, results: Sequence[Result]) -> None:
        """Count attempts that were recorded; nothing, where nobody hears of it."""
        if not logger.isEnabledFor(logging.INFO):
            return
        for result in results:
            if isinstance(result.outcome, Succeeded):
                self.delivered += 1
            elif not isinstance(result.outcome, Released):
                self.failed += 1
            self.slowest_ms = max(self.slowest_ms, result.exchange.timings.total_ms)

    async def run_once(self) -> None:
        """Write the line, if there is something to say."""
        delivered, failed, slowest = self.delivered, self.failed, self.slowest_ms
        if not delivered + failed:
            return
        self.delivered = self.failed = 0
        self.slowest_ms = 0.0
        async with self._database.connection() as connection:
            waiting = await queue.lag_seconds(connection)
        logger.info(
            "%s delivered, %s attempt(s) failed; the slowest took %.0f ms, the oldest that is due has waited %.1f s",
            f"{delivered:,}", f"{failed:,}", slowest, waiting,
        )  # fmt: skip
