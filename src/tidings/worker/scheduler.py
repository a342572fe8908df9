"""What happens because it is time: records are published, jobs fire."""

import asyncio
import logging
from collections.abc import Mapping

from tidings.clock import Clock
from tidings.sources import cron
from tidings.store import collections
from tidings.store import cron as jobs
from tidings.store.cron import Run
from tidings.store.database import UNAVAILABLE, Database
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.scheduler")

SCHEDULE_INTERVAL = 0.5  # seconds between looks for what is due
SQL_RUNS_AT_ONCE = 4  # of one process; each has a connection


class Scheduler:
    """Looks for what is due. Any number may run: each thing that is due happens once.

    Args:
        stopping: Set when the worker is to end; a look that has much to do ends after the batch it is at.
        sql_jobs: Group to the connection URL its SQL jobs run with; a group that is missing runs none.
    """

    def __init__(self, database: Database, clock: Clock, stopping: Signal, sql_jobs: Mapping[str, str]) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._sql_jobs = sql_jobs
        self._places = asyncio.Semaphore(SQL_RUNS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run_once(self) -> int:
        """Do what is due and return how many things that were. SQL jobs run on beside it (`settled`)."""
        done = 0
        async with self._database.transaction() as connection:
            done += await collections.announce_due(connection, self._clock.now())
            if given_up := await jobs.give_up_runs(connection, self._clock.now()):
                logger.warning("%d runs of SQL jobs were given up: the process that ran them died", given_up)
        while not self._stopping.is_set:
            async with self._database.transaction() as connection:
                fired = await cron.fire_due(connection, self._clock.now())
            for job_id, fault in fired.faults.items():
                logger.error("job %s was made inactive: %s Change the job to put it right.", job_id, fault)
            for run in fired.runs:
                task = asyncio.create_task(self._carry_out(run))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            done += fired.job_count
            if fired.job_count < cron.BATCH:
                break
        return done

    async def _carry_out(self, run: Run) -> None:
        async with self._places:
            result, error = await cron.carry_out(self._sql_jobs.get(run.job.group_id), run)
        if error is not None:
            logger.warning("job %s failed: %s", run.job.id, error)
        try:
            async with self._database.transaction() as connection:
                await cron.finish(connection, run, self._clock.now(), result, error)
        except UNAVAILABLE as lost:
            logger.warning("what came of job %s (%s) could not be recorded: %s", run.job.id, result or error, lost)

    async def settled(self) -> None:
        """Wait until the SQL jobs under way are done; each is cut off when its time is over."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
