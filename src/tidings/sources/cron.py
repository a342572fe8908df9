"""Ticks as events: a job that is due is written to the outbox, recorded and given its next time in one transaction."""

import asyncio
import logging
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.event import Event
from tidings.core.schedule import Due, decide_due
from tidings.sources.publish import new_event, new_id
from tidings.store import cron, outbox
from tidings.store.cron import Job, Run
from tidings.store.database import Connection

logger = logging.getLogger("tidings.scheduler")

BATCH = 100  # jobs fired in one transaction, which holds their rows
TURN = 0.005  # seconds of deciding after which others have theirs: a job that was missed for years takes milliseconds
ENDING_SECONDS = 5.0  # for ending the session of a job whose time is over
MAX_RESULT_LENGTH = 2000  # characters of what PostgreSQL says that are kept

FIRED = "cron.fired"


class Fired(msgspec.Struct, frozen=True):
    """What came of a look at the jobs whose tick has come.

    Attributes:
        job_count: How many there were, `BATCH` at most.
        runs: SQL runs that are to be carried out once this is committed.
        faults: The jobs that were set aside, each with what is wrong with it.
    """

    job_count: int
    runs: list[Run]
    faults: dict[UUID, str]


async def fire_due(connection: Connection, now: datetime) -> Fired:
    """Fire the jobs whose tick has come, in the caller's transaction. One that cannot be read is set aside."""
    jobs = await cron.claim_due(connection, now, BATCH)
    if not jobs:
        return Fired(0, [], {})
    decided, faults = await _decide(jobs, now)
    await cron.advance(connection, {job.id: due.next_at for job, due in decided})
    await cron.set_aside(connection, faults, now)
    runs = [_run(job, due.fire, due.missed_count, now) for job, due in decided if due.fire is not None]
    return Fired(len(jobs), await _begin(connection, runs, now), faults)


async def _decide(jobs: list[Job], now: datetime) -> tuple[list[tuple[Job, Due]], dict[UUID, str]]:
    """Return what is to be done about each job, and what is wrong with those that cannot be read."""
    loop = asyncio.get_running_loop()
    decided, faults, begun = [], {}, loop.time()
    for job in jobs:
        if loop.time() - begun > TURN:
            await asyncio.sleep(0)
            begun = loop.time()
        try:
            decided.append((job, decide_due(job.times, job.next_at, now, job.missed)))
        except InvalidInputError as error:
            faults[job.id] = error.message[:MAX_RESULT_LENGTH]
    return decided, faults


async def fire_now(connection: Connection, job: Job, now: datetime) -> list[Run]:
    """Fire a job out of turn, in the caller's transaction; returns the SQL runs that are to be carried out."""
    return await _begin(connection, [_run(job, now, 0, now)], now)


def _run(job: Job, scheduled_at: datetime, missed_count: int, now: datetime) -> Run:
    event_id = new_id(now) if job.type == "http" else None
    return Run(job, scheduled_at, event_id, missed_count, "fired" if job.type == "http" else "running")


async def _begin(connection: Connection, runs: list[Run], now: datetime) -> list[Run]:
    new = await cron.record_runs(connection, runs, now)
    if http := [run for run in new if run.event_id is not None]:
        await outbox.publish(connection, [_event(run, run.event_id, now) for run in http if run.event_id is not None])
    return [run for run in new if run.event_id is None]


def _event(run: Run, event_id: UUID, now: datetime, result: str | None = None, error: str | None = None) -> Event:
    """Return what a tick says: which job, and for which time."""
    said = {
        "id": str(run.job.id),
        "name": run.job.name,
        "schedule": run.job.schedule,
        "timezone": run.job.timezone,
        "scheduled_at": run.scheduled_at,
        "missed_count": run.missed_count,
    }
    if run.job.type == "sql":
        said |= {"result": result, "error": error}
    record = msgspec.json.encode(said).decode()
    more = {"id": event_id, "subject": run.job.name, "webhook_id": run.job.webhook_id}
    return new_event(run.job.group_id, "cron", FIRED, record, now, **more)


async def carry_out(url: str | None, run: Run) -> tuple[str | None, str | None]:
    """Run a job's SQL as the role of its group.

    It has a connection of its own, made with that role's name: a role that is only set (SET ROLE) could be set back by the
    SQL itself. It is cut off when its time is over, also where it took its own limit away.

    Args:
        url: The connection of the job's group; None: it has none.

    Returns:
        What PostgreSQL said, and what went wrong; one of the two.
    """
    if url is None:
        return None, "SQL jobs are not enabled for this group (setting sql_jobs)."
    session: cron.Session | None = None
    try:
        async with asyncio.timeout(run.job.timeout_seconds):
            # Cut off on both sides: PostgreSQL does not notice at once that its client has gone.
            connection = await _open(url, str(int(run.job.timeout_seconds * 1000)))
            try:
                session = await cron.session_of(connection)
                status = await connection.execute(run.job.sql or "")
                session = None
            finally:
                connection.terminate()
    except TimeoutError:
        return None, f"It took longer than {run.job.timeout_seconds:g} s and was cut off."
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        return None, f"{type(error).__name__}: {error}"[:MAX_RESULT_LENGTH]
    finally:
        if session is not None:  # its end was not seen
            await _end(url, session, run)
    return str(status)[:MAX_RESULT_LENGTH], None


async def _open(url: str, limit: str) -> Connection:
    return await asyncpg.connect(url, server_settings={"application_name": "tidings cron", "statement_timeout": limit})


async def _end(url: str, session: cron.Session, run: Run) -> None:
    """End a session of a job from another one: the SQL may have set the limit back, and catches what only cancels it."""
    try:
        async with asyncio.timeout(ENDING_SECONDS):
            connection = await _open(url, str(int(ENDING_SECONDS * 1000)))
            try:
                await cron.end_session(connection, session)
            finally:
                connection.terminate()
    except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        logger.warning(
            "the session %d of job %s may run on: it could not be ended (%r). See pg_stat_activity.",
            session.pid,
            run.job.id,
            error,
        )


async def finish(connection: Connection, run: Run, now: datetime, result: str | None, error: str | None) -> None:
    """Record what came of an SQL run and tell it, in the caller's transaction."""
    event_id = new_id(now)
    if await cron.finish_run(connection, run, now, event_id=event_id, result=result, error=error):
        await outbox.publish(connection, [_event(run, event_id, now, result, error)])
