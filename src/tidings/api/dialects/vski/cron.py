"""`/api/cron` and `/api/v1/cron`: jobs by the clock, in the shapes of seed 003's system."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.api.dialects.vski.pages import PageNumber, PerPage
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.retry import retry_count
from tidings.core.schedule import MISSED, parse_schedule
from tidings.core.webhook import MAX_NAME_LENGTH, MAX_TIMEOUT_SECONDS, Subscription
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.operations.webhooks.changes import WebhookChange, changed, drafted, headers_of, repaired
from tidings.operations.webhooks.subscriptions import check_webhook_url
from tidings.profiles import template
from tidings.sources import cron as ticks
from tidings.store import cron, queue, webhooks
from tidings.store.cron import Job
from tidings.store.database import Connection

DEFAULT_TIMEOUT_SECONDS = 30.0
_CONTENT_TYPES = {"json": None, "text": "text/plain", "form": "application/x-www-form-urlencoded"}


class JobChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a job. To create: `name`, `schedule`, and `url` or `sql`. To change: only what changes.

    Attributes:
        contentType: `json`, `text`, `form`, or a media type.
        database: Accepted for clients that send it; SQL runs in the database of the group's connection.
        enabled: The same as `active`.
    """

    name: str | UnsetType = UNSET
    schedule: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    headers: dict[str, str] | str | UnsetType = UNSET
    body: Any | UnsetType = UNSET
    contentType: str | None | UnsetType = UNSET  # noqa: N815 - the seed's spelling
    retryLimit: int | UnsetType = UNSET  # noqa: N815
    jwtEnabled: bool | UnsetType = UNSET  # noqa: N815
    sql: str | UnsetType = UNSET
    database: str | None | UnsetType = UNSET
    timeout: float | UnsetType = UNSET
    missed: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


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


def _view(job: Job, webhook: Subscription | None) -> JobView:
    is_active = job.enabled and (webhook is None or webhook.enabled)  # a receiver that says 410 disables its webhook
    return JobView(
        id=job.id,
        name=job.name,
        schedule=job.schedule,
        timezone=job.timezone,
        type=job.type,
        url=webhook.url if webhook else None,
        method=webhook.method if webhook else None,
        headers=_own_headers(webhook.headers, job) if webhook else None,
        body=job.body,
        contentType=job.content_type,
        retryLimit=retry_count(webhook.retry) if webhook else None,
        jwtEnabled=webhook.jwt_enabled if webhook else None,
        sql=job.sql,
        timeout=job.timeout_seconds,
        missed=job.missed,
        active=is_active,
        fault=job.fault,
        next=job.next_at if is_active else None,
        created=job.created_at,
        updated=job.updated_at,
    )


def _own_headers(headers: dict[str, str], job: Job) -> dict[str, str]:
    """Return the headers without the one that `contentType` stands for."""
    made = _media_type(job.content_type)
    return {name: value for name, value in headers.items() if (name, value) != ("Content-Type", made)}


async def _webhook_of(connection: Connection, job: Job) -> Subscription | None:
    if job.webhook_id is None:
        return None
    return await webhooks.get_webhook(connection, job.group_id, job.webhook_id)


def _there(job: Job | None, job_id: UUID) -> Job:
    return there(job, f"There is no job {job_id}.")


@post("/", status_code=201)
async def create_job(services: NamedDependency[Services], data: JSONBody[JobChange]) -> JobView:
    """Create a job. From this answer on each of its ticks happens once."""
    if data.name is UNSET or data.schedule is UNSET:
        missing = "name" if data.name is UNSET else "schedule"
        raise InvalidInputError(missing, f"{missing} is required.")
    now = services.clock.now()
    kind = data.type if data.type is not UNSET else ("sql" if data.url is UNSET and data.sql is not UNSET else "http")
    if kind not in {"http", "sql"}:
        raise InvalidInputError("type", f"type is {kind!r}; write http or sql.")
    blank = Job(
        id=uuid4(),
        group_id=services.group_id,
        name=data.name,
        schedule="",
        timezone="UTC",
        type=kind,
        webhook_id=uuid4() if kind == "http" else None,
        body=None,
        content_type=None,
        sql=None,
        timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
        missed=MISSED[0],
        enabled=True,
        next_at=now,
        created_at=now,
        updated_at=now,
    )
    job = msgspec.structs.replace(_changed(services, blank, data), updated_at=now)
    required, given = ("url", data.url) if kind == "http" else ("sql", data.sql)
    if given is UNSET:
        raise InvalidInputError(required, f"{required} is required for a job of type {kind}.")
    webhook = None
    if data.url is not UNSET:
        await check_webhook_url(services, data.url)
        asked = msgspec.structs.replace(_asked(job, data, {}), url=data.url, profile="vski")
        webhook = drafted(asked, group_id=job.group_id, default_profile="vski", now=now)
        owned = {"id": job.webhook_id, "events": (), "managed_by": f"cron:{job.id}"}  # it hears its own job's ticks alone
        webhook = msgspec.structs.replace(webhook, **owned)
    async with services.database.transaction() as connection:
        if webhook is not None:
            await webhooks.insert_webhook(connection, services.box, webhook)
        await cron.insert(connection, job)
    return _view(job, webhook)


@get("/")
async def list_jobs(services: NamedDependency[Services], page: PageNumber = 1, per_page: PerPage = 50) -> JobPage:
    """List jobs, in order of their names."""
    async with services.database.connection() as connection:
        jobs, total = await cron.list_jobs(connection, services.group_id, limit=per_page, offset=(page - 1) * per_page)
        wanted = [job.webhook_id for job in jobs if job.webhook_id is not None]
        known = {webhook.id: webhook for webhook in await webhooks.webhooks_by_id(connection, services.box, wanted)}
    views = [_view(job, known.get(job.webhook_id) if job.webhook_id else None) for job in jobs]
    return JobPage(page, per_page, total, -(-total // per_page), views)


@get("/{job_id:uuid}")
async def get_job(services: NamedDependency[Services], job_id: FromPath[UUID]) -> JobView:
    """Read a job."""
    async with services.database.connection() as connection:
        job = _there(await cron.get(connection, services.group_id, job_id), job_id)
        return _view(job, await _webhook_of(connection, job))


@patch("/{job_id:uuid}")
async def change_job(services: NamedDependency[Services], job_id: FromPath[UUID], data: JSONBody[JobChange]) -> JobView:
    """Change what the body names; the rest stays. A changed schedule counts from now."""
    if data.url is not UNSET:
        await check_webhook_url(services, data.url)
    async with services.database.transaction() as connection:
        before = _there(await cron.lock(connection, services.group_id, job_id), job_id)
        if data.type is not UNSET and data.type != before.type:
            raise InvalidInputError("type", "type cannot be changed; create another job.")
        job = _changed(services, before, data)
        webhook = None
        if before.webhook_id is not None:
            was = found(
                await webhooks.lock_webhook(connection, services.box, before.group_id, before.webhook_id), before.webhook_id
            )
            asked = _asked(job, data, _own_headers(was.headers, before))
            changed_to = msgspec.structs.replace(changed(repaired(was), asked), events=(), updated_at=job.updated_at)
            webhook = await webhooks.update_webhook(connection, services.box, changed_to, was=was)
            await queue.announce(connection)
        await cron.update(connection, job)
    return _view(job, webhook)


@delete("/{job_id:uuid}", status_code=204)
async def delete_job(services: NamedDependency[Services], job_id: FromPath[UUID]) -> None:
    """Delete a job. What it has sent stays in history; what is not sent yet is cancelled."""
    async with services.database.transaction() as connection:
        job = _there(await cron.lock(connection, services.group_id, job_id), job_id)
        await cron.delete(connection, job_id)
        if job.webhook_id is not None:
            await queue.cancel_of_webhook(connection, job.webhook_id)
            await webhooks.delete_webhook(connection, job.webhook_id)


@post("/{job_id:uuid}/run", status_code=202)
async def run_job(services: NamedDependency[Services], job_id: FromPath[UUID]) -> JobView:
    """Fire an http job now, out of turn. Its schedule stays as it is."""
    async with services.database.transaction() as connection:
        job = _there(await cron.lock(connection, services.group_id, job_id), job_id)
        if job.type == "sql" or not job.enabled:
            raise ConflictError("Only an http job that is active can be fired out of turn.")
        await ticks.fire_now(connection, job, services.clock.now())
        return _view(job, await _webhook_of(connection, job))


@get("/{job_id:uuid}/runs")
async def list_runs(
    services: NamedDependency[Services], job_id: FromPath[UUID], page: PageNumber = 1, per_page: PerPage = 50
) -> list[RunView]:
    """List the ticks of a job that fired, newest first."""
    async with services.database.connection() as connection:
        _there(await cron.get(connection, services.group_id, job_id), job_id)
        rows = await cron.list_runs(connection, job_id, limit=per_page, offset=(page - 1) * per_page)
    return [
        RunView(
            scheduled=row["scheduled_at"],
            fired=row["fired_at"],
            event=row["event_id"],
            missed=row["missed_count"],
            status=row["status"],
            result=row["result"],
            error=row["error"],
            finished=row["finished_at"],
        )
        for row in rows
    ]


# What is asked for -----------------------------------------------------------------------------------------------------


def _changed(services: Services, job: Job, data: JobChange) -> Job:
    """Return the job with a change applied and checked."""
    now = services.clock.now()
    given: dict[str, Any] = {
        "name": data.name,
        "schedule": data.schedule,
        "timezone": data.timezone,
        "sql": data.sql,
        "content_type": data.contentType,
        "timeout_seconds": data.timeout,
        "missed": data.missed,
        "enabled": data.active if data.active is not UNSET else data.enabled,
        "body": _as_text(data.body),
    }
    new = msgspec.structs.replace(job, **{n: v for n, v in given.items() if v is not UNSET}, updated_at=now)
    _check(services, new, data)
    schedule = parse_schedule(new.schedule, new.timezone)
    new = msgspec.structs.replace(new, schedule=schedule.expression, fault=None)
    starts = (job.times, job.enabled) != (new.times, new.enabled)
    return msgspec.structs.replace(new, next_at=schedule.after(now)) if starts else new


def _check(services: Services, job: Job, data: JobChange) -> None:
    if not 1 <= len(job.name) <= MAX_NAME_LENGTH:
        raise InvalidInputError("name", f"name must have 1 to {MAX_NAME_LENGTH} characters.")
    if not 0.1 <= job.timeout_seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidInputError("timeout", f"timeout must be 0.1 to {MAX_TIMEOUT_SECONDS} seconds.")
    if job.missed not in MISSED:
        raise InvalidInputError("missed", f"missed is {job.missed!r}; write {' or '.join(MISSED)}.")
    foreign = (
        ("sql",) if job.type == "http" else ("url", "method", "headers", "body", "contentType", "retryLimit", "jwtEnabled")
    )
    if name := next((name for name in foreign if getattr(data, name) is not UNSET), None):
        raise InvalidInputError(name, f"{name} is not for a job of type {job.type}.")
    if job.type == "sql" and job.group_id not in services.config.sql_jobs:
        raise InvalidInputError(
            "sql",
            f"SQL jobs are not enabled for group {job.group_id!r}. Name a connection for it in the setting sql_jobs, whose "
            "role may do no more than its jobs need.",
        )
    if job.body is not None and _media_type(job.content_type) is None:
        try:
            template.check_template(job.body)
        except InvalidInputError as error:
            raise InvalidInputError("body", error.message.replace("body_template", "body")) from error


def _as_text(body: Any) -> Any:
    return body if body is UNSET or body is None or isinstance(body, str) else msgspec.json.encode(body).decode()


def _media_type(content_type: str | None) -> str | None:
    """Return the Content-Type that is sent, or None for JSON."""
    if content_type is None or content_type in _CONTENT_TYPES:
        return _CONTENT_TYPES[content_type or "json"]
    if "/" not in content_type:
        raise InvalidInputError("contentType", f"contentType is {content_type!r}; write json, text, form or a media type.")
    return None if content_type == "application/json" else content_type


def _asked(job: Job, data: JobChange, headers: dict[str, str]) -> WebhookChange:
    """Return what the job asks of the webhook that carries its requests."""
    own = headers_of(data.headers)
    own = headers if own is UNSET else own
    media = _media_type(job.content_type)
    return WebhookChange(
        name=job.name,
        url=data.url,
        method=data.method,
        headers=own if media is None else {"Content-Type": media} | own,
        body_template=job.body,
        max_retries=data.retryLimit,
        jwt_enabled=data.jwtEnabled,
        timeout_seconds=job.timeout_seconds,
        enabled=job.enabled,
        events=["cron"],
    )


_HANDLERS = [create_job, list_jobs, get_job, change_job, delete_job, run_job, list_runs]
router = Router("/api/cron", route_handlers=_HANDLERS, tags=["Cron"])
v1_router = Router("/api/v1/cron", route_handlers=_HANDLERS, tags=["Cron"])
