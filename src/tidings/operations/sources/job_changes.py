"""A job as somebody asks for it, and what it becomes: drafts and changes, checked. Nothing is read or written here."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.errors import InvalidInputError
from tidings.core.schedule import MISSED, parse_schedule
from tidings.core.text import check_text
from tidings.core.webhook import MAX_NAME_LENGTH, MAX_TIMEOUT_SECONDS
from tidings.operations.webhooks.changes import WebhookChange, headers_of
from tidings.profiles import template
from tidings.store.cron import Job

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


def drafted_job(asked: JobChange, *, group_id: str, now: datetime, sql_groups: Collection[str]) -> Job:
    """Return a new job as a caller asked for it.

    Args:
        sql_groups: Those that may run SQL.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    if asked.name is UNSET or asked.schedule is UNSET:
        missing = "name" if asked.name is UNSET else "schedule"
        raise InvalidInputError(missing, f"{missing} is required.")
    kind = asked.type if asked.type is not UNSET else ("sql" if asked.url is UNSET and asked.sql is not UNSET else "http")
    if kind not in {"http", "sql"}:
        raise InvalidInputError("type", f"type is {kind!r}; write http or sql.")
    blank = Job(
        id=uuid4(),
        group_id=group_id,
        name=asked.name,
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
    job = changed_job(blank, asked, now=now, sql_groups=sql_groups)
    required, given = ("url", asked.url) if kind == "http" else ("sql", asked.sql)
    if given is UNSET:
        raise InvalidInputError(required, f"{required} is required for a job of type {kind}.")
    return job


def changed_job(job: Job, asked: JobChange, *, now: datetime, sql_groups: Collection[str]) -> Job:
    """Return the job with a change applied and checked. A changed schedule counts from now.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    if asked.type is not UNSET and asked.type != job.type:
        raise InvalidInputError("type", "type cannot be changed; create another job.")
    given: dict[str, Any] = {
        "name": asked.name,
        "schedule": asked.schedule,
        "timezone": asked.timezone,
        "sql": asked.sql,
        "content_type": asked.contentType,
        "timeout_seconds": asked.timeout,
        "missed": asked.missed,
        "enabled": asked.active if asked.active is not UNSET else asked.enabled,
        "body": _as_text(asked.body),
    }
    new = msgspec.structs.replace(job, **{n: v for n, v in given.items() if v is not UNSET}, updated_at=now)
    _check(new, asked, sql_groups)
    schedule = parse_schedule(new.schedule, new.timezone)
    new = msgspec.structs.replace(new, schedule=schedule.expression, fault=None)
    starts = (job.times, job.enabled) != (new.times, new.enabled)
    return msgspec.structs.replace(new, next_at=schedule.after(now)) if starts else new


def _check(job: Job, asked: JobChange, sql_groups: Collection[str]) -> None:
    if not 1 <= len(job.name) <= MAX_NAME_LENGTH:
        raise InvalidInputError("name", f"name must have 1 to {MAX_NAME_LENGTH} characters.")
    if asked.name is not UNSET:
        check_text(asked.name, "name")
    if not 0.1 <= job.timeout_seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidInputError("timeout", f"timeout must be 0.1 to {MAX_TIMEOUT_SECONDS} seconds.")
    if job.missed not in MISSED:
        raise InvalidInputError("missed", f"missed is {job.missed!r}; write {' or '.join(MISSED)}.")
    foreign = (
        ("sql",) if job.type == "http" else ("url", "method", "headers", "body", "contentType", "retryLimit", "jwtEnabled")
    )
    if name := next((name for name in foreign if getattr(asked, name) is not UNSET), None):
        raise InvalidInputError(name, f"{name} is not for a job of type {job.type}.")
    if job.type == "sql" and job.group_id not in sql_groups:
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


def webhook_change(job: Job, asked: JobChange, headers: dict[str, str]) -> WebhookChange:
    """Return what the job asks of the webhook that carries its requests.

    Args:
        headers: Those it has had, which stay unless others are given.
    """
    own = headers_of(asked.headers)
    own = headers if own is UNSET else own
    media = _media_type(job.content_type)
    return WebhookChange(
        name=job.name,
        url=asked.url,
        method=asked.method,
        headers=own if media is None else {"Content-Type": media} | own,
        body_template=job.body,
        max_retries=asked.retryLimit,
        jwt_enabled=asked.jwtEnabled,
        timeout_seconds=job.timeout_seconds,
        enabled=job.enabled,
        events=["cron"],
    )


def own_headers(headers: dict[str, str], job: Job) -> dict[str, str]:
    """Return the headers without the one that `contentType` stands for."""
    made = _media_type(job.content_type)
    return {name: value for name, value in headers.items() if (name, value) != ("Content-Type", made)}
