"""`/api/cron` and `/api/v1/cron`: jobs by the clock, in the shapes of seed 003's system."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.dialects.vski.pages import PageNumber, PerPage
from tidings.core.retry import retry_count
from tidings.operations.services import Services
from tidings.operations.sources import jobs
from tidings.operations.sources.job_changes import JobChange
from tidings.operations.sources.jobs import PastRun, Scheduled


class JobView(msgspec.Struct, frozen=True):
    """A job as read. Of an SQL job, what belongs to requests is null; of an http job, `sql`."""

    id: UUID
    name: str
    schedule: str
    timezone: str
    type: str
    url: str | None
    method: str | None
    headers: dict[str, str] | None
    body: str | None
    contentType: str | None  # noqa: N815
    retryLimit: int | None  # noqa: N815
    jwtEnabled: bool | None  # noqa: N815
    sql: str | None
    timeout: float
    missed: str
    active: bool
    fault: str | None
    next: datetime | None
    created: datetime
    updated: datetime


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs."""

    page: int
    perPage: int  # noqa: N815
    totalItems: int  # noqa: N815
    totalPages: int  # noqa: N815
    items: list[JobView]


class RunView(msgspec.Struct, frozen=True):
    """A tick that fired. `status`: fired (its request is a delivery of `event`), running, succeeded or failed."""

    scheduled: datetime
    fired: datetime
    event: UUID | None
    missed: int
    status: str
    result: str | None
    error: str | None
    finished: datetime | None


@post("/", status_code=201)
async def create_job(services: NamedDependency[Services], data: JSONBody[JobChange]) -> JobView:
    """Create a job. From this answer on each of its ticks happens once."""
    return _view(await jobs.create(services, data))


@get("/")
async def list_jobs(services: NamedDependency[Services], page: PageNumber = 1, per_page: PerPage = 50) -> JobPage:
    """List jobs, in order of their names."""
    found, total = await jobs.list_jobs(services, limit=per_page, offset=(page - 1) * per_page)
    return JobPage(page, per_page, total, -(-total // per_page), [_view(scheduled) for scheduled in found])


@get("/{job_id:uuid}")
async def get_job(services: NamedDependency[Services], job_id: FromPath[UUID]) -> JobView:
    """Read a job."""
    return _view(await jobs.read(services, job_id))


@patch("/{job_id:uuid}")
async def change_job(services: NamedDependency[Services], job_id: FromPath[UUID], data: JSONBody[JobChange]) -> JobView:
    """Change what the body names; the rest stays. A changed schedule counts from now."""
    return _view(await jobs.change(services, job_id, data))


@delete("/{job_id:uuid}", status_code=204)
async def delete_job(services: NamedDependency[Services], job_id: FromPath[UUID]) -> None:
    """Delete a job. What it has sent stays in history; what is not sent yet is cancelled."""
    await jobs.remove(services, job_id)


@post("/{job_id:uuid}/run", status_code=202)
async def run_job(services: NamedDependency[Services], job_id: FromPath[UUID]) -> JobView:
    """Fire an http job now, out of turn. Its schedule stays as it is."""
    return _view(await jobs.run_now(services, job_id))


@get("/{job_id:uuid}/runs")
async def list_runs(
    services: NamedDependency[Services], job_id: FromPath[UUID], page: PageNumber = 1, per_page: PerPage = 50
) -> list[RunView]:
    """List the ticks of a job that fired, newest first."""
    found = await jobs.list_runs(services, job_id, limit=per_page, offset=(page - 1) * per_page)
    return [_run_view(run) for run in found]


def _view(found: Scheduled) -> JobView:
    job, webhook = found.job, found.webhook
    return JobView(
        id=job.id,
        name=job.name,
        schedule=job.schedule,
        timezone=job.timezone,
        type=job.type,
        url=webhook.url if webhook else None,
        method=webhook.method if webhook else None,
        headers=found.headers,
        body=job.body,
        contentType=job.content_type,
        retryLimit=retry_count(webhook.retry) if webhook else None,
        jwtEnabled=webhook.jwt_enabled if webhook else None,
        sql=job.sql,
        timeout=job.timeout_seconds,
        missed=job.missed,
        active=found.is_active,
        fault=job.fault,
        next=found.next_at,
        created=job.created_at,
        updated=job.updated_at,
    )


def _run_view(run: PastRun) -> RunView:
    return RunView(
        scheduled=run.scheduled_at,
        fired=run.fired_at,
        event=run.event_id,
        missed=run.missed_count,
        status=run.status,
        result=run.result,
        error=run.error,
        finished=run.finished_at,
    )


_HANDLERS = [create_job, list_jobs, get_job, change_job, delete_job, run_job, list_runs]
router = Router("/api/cron", route_handlers=_HANDLERS, tags=["Cron"])
v1_router = Router("/api/v1/cron", route_handlers=_HANDLERS, tags=["Cron"])
