"""Jobs and their runs as rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.errors import ConflictError
from tidings.core.schedule import Schedule
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("cron")


class Job(msgspec.Struct, frozen=True):
    """Something that is done by the clock.

    Attributes:
        type: `http` or `sql`.
        webhook_id: Carries an http job's requests.
        body: As its owner wrote it.
        missed: `once` or `skip` (see `core.schedule`).
        fault: Why the scheduler made it inactive; None: nothing is wrong with it.
    """

    id: UUID
    group_id: str
    name: str
    schedule: str
    timezone: str
    type: str
    webhook_id: UUID | None
    body: str | None
    content_type: str | None
    sql: str | None
    timeout_seconds: float
    missed: str
    enabled: bool
    next_at: datetime
    created_at: datetime
    updated_at: datetime
    fault: str | None = None

    @property
    def times(self) -> Schedule:
        """Its schedule."""
        return Schedule(self.schedule, self.timezone)


class Run(msgspec.Struct, frozen=True):
    """A tick that fires."""

    job: Job
    scheduled_at: datetime
    event_id: UUID | None
    missed_count: int
    status: str


class Session(msgspec.Struct, frozen=True):
    """A session of PostgreSQL: numbers of processes come again, together with the time they do not."""

    pid: int
    began_at: datetime


def from_row(row: Any) -> Job:
    """Return what a row says."""
    return Job(**{name: row[name] for name in Job.__struct_fields__})


async def insert(connection: Connection, job: Job) -> None:
    """Write a new job.

    Raises:
        ConflictError: The name is taken.
    """
    try:
        await connection.execute(
            _SQL["insert"], job.id, job.group_id, job.name, job.schedule, job.timezone, job.type, job.webhook_id, job.body,
            job.content_type, job.sql, job.timeout_seconds, job.missed, job.enabled, job.next_at, job.created_at,
        )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise _taken(job) from error


async def update(connection: Connection, job: Job) -> None:
    """Write a changed job.

    Raises:
        ConflictError: The name is taken.
    """
    try:
        await connection.execute(
            _SQL["update"], job.id, job.name, job.schedule, job.timezone, job.body, job.content_type, job.sql,
            job.timeout_seconds, job.missed, job.enabled, job.next_at, job.updated_at, job.fault,
        )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise _taken(job) from error


def _taken(job: Job) -> ConflictError:
    return ConflictError(f"There is a job {job.name!r} already. Change it with PATCH, or choose another name.")


async def delete(connection: Connection, job_id: UUID) -> None:
    """Delete a job and what is known of its runs."""
    await connection.execute(_SQL["delete"], job_id)


async def get(connection: Connection, group_id: str, job_id: UUID) -> Job | None:
    """Return a job of the group."""
    row = await connection.fetchrow(_SQL["get"], group_id, job_id)
    return None if row is None else from_row(row)


async def lock(connection: Connection, group_id: str, job_id: UUID) -> Job | None:
    """Return a job of the group, locked to the end of the transaction."""
    row = await connection.fetchrow(_SQL["lock"], group_id, job_id)
    return None if row is None else from_row(row)


async def list_jobs(connection: Connection, group_id: str, *, limit: int, offset: int) -> tuple[list[Job], int]:
    """Return a page of the group's jobs in order of their names, and how many there are in all."""
    rows = await connection.fetch(_SQL["list"], group_id, limit, offset)
    return [from_row(row) for row in rows], rows[0]["total"] if rows else 0


async def claim_due(connection: Connection, now: datetime, limit: int) -> list[Job]:
    """Return jobs whose tick has come, locked to the end of the transaction."""
    return [from_row(row) for row in await connection.fetch(_SQL["claim_due"], now, limit)]


async def advance(connection: Connection, next_at: dict[UUID, datetime]) -> None:
    """Set when jobs are looked at again."""
    await connection.execute(_SQL["advance"], list(next_at), list(next_at.values()))


async def set_aside(connection: Connection, faults: dict[UUID, str], now: datetime) -> None:
    """Make jobs inactive that cannot be read, with what is wrong with each."""
    await connection.execute(_SQL["set_aside"], list(faults), list(faults.values()), now)


async def record_runs(connection: Connection, runs: Sequence[Run], now: datetime) -> list[Run]:
    """Write ticks down, and return those that had not fired before."""
    rows = await connection.fetch(
        _SQL["record_runs"],
        [run.job.id for run in runs],
        [run.scheduled_at for run in runs],
        now,
        [run.event_id for run in runs],
        [run.missed_count for run in runs],
        [run.status for run in runs],
    )
    new = {(row["job_id"], row["scheduled_at"]) for row in rows}
    return [run for run in runs if (run.job.id, run.scheduled_at) in new]


async def finish_run(
    connection: Connection, run: Run, now: datetime, *, event_id: UUID, result: str | None, error: str | None
) -> bool:
    """Write down what came of a run; False when it was given up meanwhile."""
    status = "succeeded" if error is None else "failed"
    found = await connection.fetchval(_SQL["finish_run"], run.job.id, run.scheduled_at, status, result, error, event_id, now)
    return found is not None


async def give_up_runs(connection: Connection, now: datetime) -> int:
    """Give up what processes that died were running; return how many runs that were."""
    return len(await connection.fetch(_SQL["give_up_runs"], now))


async def list_runs(connection: Connection, job_id: UUID, *, limit: int, offset: int) -> list[Any]:
    """Return a page of a job's runs as rows, newest first."""
    rows: list[Any] = await connection.fetch(_SQL["list_runs"], job_id, limit, offset)
    return rows


async def forget_runs(connection: Connection, older_than: datetime) -> None:
    """Forget runs that history no longer holds."""
    await connection.execute(_SQL["forget_runs"], older_than)


async def session_of(connection: Connection) -> Session:
    """Return which session a connection is."""
    row = await connection.fetchrow(_SQL["session"])
    return Session(row["pid"], row["began_at"])


async def end_session(connection: Connection, session: Session) -> None:
    """End another session of the same role, if it is there still."""
    await connection.execute(_SQL["end_session"], session.pid, session.began_at)


async def explanation_of(connection: Connection, sql: str) -> str:
    """Return the statement by which PostgreSQL explains a job's SQL, and looks at the rights that it takes."""
    statement: str = await connection.fetchval(_SQL["explain"], sql)
    return statement


async def grant_on_table(connection: Connection, name: str, verbs: Sequence[str]) -> str | None:
    """Return the statement that gives the role of a job what it lacks on a table; None where no such table is found."""
    statement: str | None = await connection.fetchval(_SQL["grant_on_table"], name, verbs)
    return statement


async def grant_otherwise(connection: Connection, right: str, name: str) -> str:
    """Return the statement that gives the role of a job a right, such as `USAGE ON SCHEMA`."""
    statement: str = await connection.fetchval(_SQL["grant_otherwise"], right, name)
    return statement
