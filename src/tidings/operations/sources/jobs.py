"""Jobs by the clock: an http job sends requests through a webhook of its own, an SQL job runs a statement."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from tidings.core.audit import Action
from tidings.core.errors import ConflictError
from tidings.core.webhook import Subscription
from tidings.operations import audit
from tidings.operations.egress import check_callable
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.operations.sources.job_changes import JobChange, changed_job, drafted_job, own_headers, webhook_change
from tidings.operations.webhooks.changes import changed, drafted, repaired
from tidings.operations.webhooks.room import check_room
from tidings.sources import cron as ticks
from tidings.sources.sql_rights import check_allowed
from tidings.store import cron, queue, webhooks
from tidings.store.cron import Job
from tidings.store.database import Connection


class Scheduled(msgspec.Struct, frozen=True):
    """A job, and the webhook that carries its requests: None for an SQL job."""

    job: Job
    webhook: Subscription | None

    @property
    def is_active(self) -> bool:
        """Whether it fires: a receiver that says 410 disables its webhook, and so the job."""
        return self.job.enabled and (self.webhook is None or self.webhook.enabled)

    @property
    def next_at(self) -> datetime | None:
        """When it fires next; None while it is not active."""
        return self.job.next_at if self.is_active else None

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers of its requests without the one that its content type stands for."""
        return own_headers(self.webhook.headers, self.job) if self.webhook else None


class PastRun(msgspec.Struct, frozen=True):
    """A tick that fired.

    Attributes:
        event_id: Of an http job its request is a delivery of this event.
        missed_count: How many ticks before it did not happen.
        status: fired, running, succeeded or failed.
    """

    scheduled_at: datetime
    fired_at: datetime
    event_id: UUID | None
    missed_count: int
    status: str
    result: str | None
    error: str | None
    finished_at: datetime | None


async def create(services: Services, asked: JobChange) -> Scheduled:
    """Create a job. From now on each of its ticks happens once.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    now = services.clock.now()
    job = drafted_job(asked, group_id=services.group_id, now=now, sql_groups=services.config.sql_jobs)
    webhook = None
    if asked.url is not UNSET:
        await check_callable(services, asked.url)
        draft = msgspec.structs.replace(webhook_change(job, asked, {}), url=asked.url, profile="vski")
        webhook = drafted(draft, group_id=job.group_id, default_profile="vski", now=now)
        owned = {"id": job.webhook_id, "events": (), "managed_by": f"cron:{job.id}"}  # it hears its own job's ticks alone
        webhook = msgspec.structs.replace(webhook, **owned)
    elif job.sql is not None:
        await check_allowed(services.config.sql_jobs.get(job.group_id), job.sql)
    async with services.database.transaction() as connection:
        if webhook is not None:
            await check_room(services, connection)
            await webhooks.insert_webhook(connection, services.box, webhook)
        await cron.insert(connection, job)
        await audit.note(services, connection, Action.JOB_CREATED, job.id, job.name, after=_told(job, webhook))
    return Scheduled(job, webhook)


async def list_jobs(services: Services, *, limit: int, offset: int = 0) -> tuple[list[Scheduled], int]:
    """Return a page of jobs, in order of their names, and how many there are."""
    async with services.database.connection() as connection:
        jobs, total = await cron.list_jobs(connection, services.group_id, limit=limit, offset=offset)
        wanted = [job.webhook_id for job in jobs if job.webhook_id is not None]
        known = {webhook.id: webhook for webhook in await webhooks.webhooks_by_id(connection, services.box, wanted)}
    return [Scheduled(job, known.get(job.webhook_id) if job.webhook_id else None) for job in jobs], total


async def read(services: Services, job_id: UUID) -> Scheduled:
    """Return a job.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        job = _there(await cron.get(connection, services.group_id, job_id), job_id)
        return Scheduled(job, await _webhook_of(connection, job))


async def change(services: Services, job_id: UUID, asked: JobChange) -> Scheduled:
    """Change what is asked of a job; the rest stays. A changed schedule counts from now.

    Raises:
        InvalidInputError: With the field and the reason.
        NotFoundError: There is none.
    """
    if asked.url is not UNSET:
        await check_callable(services, asked.url)
    if asked.sql is not UNSET and asked.sql != (await read(services, job_id)).job.sql:  # what is read may be sent back
        await check_allowed(services.config.sql_jobs.get(services.group_id), asked.sql)
    async with services.database.transaction() as connection:
        before = _there(await cron.lock(connection, services.group_id, job_id), job_id)
        job = changed_job(before, asked, now=services.clock.now(), sql_groups=services.config.sql_jobs)
        webhook = was = None
        if before.webhook_id is not None:
            was = found(
                await webhooks.lock_webhook(connection, services.box, before.group_id, before.webhook_id), before.webhook_id
            )
            asked_of_it = webhook_change(job, asked, own_headers(was.headers, before))
            wanted = changed(repaired(was), asked_of_it, now=job.updated_at)
            wanted = msgspec.structs.replace(wanted, events=(), updated_at=job.updated_at)
            webhook = await webhooks.update_webhook(connection, services.box, wanted, was=was)
            await queue.announce(connection)
        await cron.update(connection, job)
        states: dict[str, Any] = {"before": _told(before, was), "after": _told(job, webhook)}
        await audit.note(services, connection, Action.JOB_CHANGED, job.id, job.name, **states)
    return Scheduled(job, webhook)


async def remove(services: Services, job_id: UUID) -> None:
    """Delete a job. What it has sent stays in history; what is not sent yet is cancelled.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        job = _there(await cron.lock(connection, services.group_id, job_id), job_id)
        before = _told(job, await _webhook_of(connection, job))
        await cron.delete(connection, job_id)
        if job.webhook_id is not None:
            await queue.cancel_of_webhook(connection, job.webhook_id)
            await webhooks.delete_webhook(connection, job.webhook_id)
        await audit.note(services, connection, Action.JOB_DELETED, job.id, job.name, before=before)


async def run_now(services: Services, job_id: UUID) -> Scheduled:
    """Fire an http job now, out of turn. Its schedule stays as it is.

    Raises:
        ConflictError: It runs SQL, or is not active.
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        job = _there(await cron.lock(connection, services.group_id, job_id), job_id)
        if job.type == "sql" or not job.enabled:
            raise ConflictError("Only an http job that is active can be fired out of turn.")
        await ticks.fire_now(connection, job, services.clock.now())
        await audit.note(services, connection, Action.JOB_FIRED, job.id, job.name)
        return Scheduled(job, await _webhook_of(connection, job))


async def list_runs(services: Services, job_id: UUID, *, limit: int, offset: int = 0) -> list[PastRun]:
    """Return a page of the ticks of a job that fired, newest first.

    Raises:
        NotFoundError: There is no such job.
    """
    async with services.database.connection() as connection:
        _there(await cron.get(connection, services.group_id, job_id), job_id)
        rows = await cron.list_runs(connection, job_id, limit=limit, offset=offset)
    return [_past(row) for row in rows]


async def _webhook_of(connection: Connection, job: Job) -> Subscription | None:
    if job.webhook_id is None:
        return None
    return await webhooks.get_webhook(connection, job.group_id, job.webhook_id)


def _there(job: Job | None, job_id: UUID) -> Job:
    return there(job, f"There is no job {job_id}.")


def _past(row: Any) -> PastRun:
    return PastRun(**{name: row[name] for name in PastRun.__struct_fields__})


def _told(job: Job, webhook: Subscription | None) -> dict[str, Any]:
    """Return a job for the audit, with what of its webhook is its own."""
    told = msgspec.structs.asdict(job) | {"webhook_id": None}
    if webhook is not None:
        names = ("url", "method", "headers", "timeout_seconds", "retry", "jwt_enabled")
        told |= {name: getattr(webhook, name) for name in names}
    return told
