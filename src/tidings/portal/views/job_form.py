"""The form of a job: what was typed, what it asks for, and when it would fire."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.retry import retry_count
from tidings.core.schedule import Schedule, parse_schedule
from tidings.operations.sources.job_changes import DEFAULT_TIMEOUT_SECONDS, JobChange
from tidings.operations.sources.jobs import Scheduled
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.small import When, when
from tidings.portal.views.text import visible
from tidings.portal.views.webhook_entries import headers_read

TICKS = 5  # that are shown while one types
MAX_TEXT = 100_000  # characters of a field that are read
_METHODS = ("POST", "PUT", "PATCH", "GET", "DELETE")
_KINDS = (("http", "send a request"), ("sql", "run SQL"))
_MISSED = (("once", "fire the last of them on return"), ("skip", "let them go"))
_CONTENT = (("json", "JSON"), ("text", "plain text"), ("form", "a form's fields"))
_RETRIES = 5


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a job as it was typed."""

    name: str = ""
    schedule: str = ""
    timezone: str = "UTC"
    kind: str = "http"
    url: str = ""
    method: str = "POST"
    headers: str = ""
    body: str = ""
    content: str = "json"
    retries: str = str(_RETRIES)
    sql: str = ""
    timeout: str = f"{DEFAULT_TIMEOUT_SECONDS:g}"
    missed: str = "once"


class Tick(msgspec.Struct, frozen=True):
    """A time at which a job would fire: by its own clock, and as seen now."""

    local: str
    at: When


class TicksView(msgspec.Struct, frozen=True):
    """When a schedule fires, in words and in times; or why it cannot."""

    words: str = ""
    ticks: tuple[Tick, ...] = ()
    error: str = ""


class JobFormView(msgspec.Struct, frozen=True):
    """The form of a job.

    Attributes:
        fields: By their names.
        can_sql: The group may run SQL.
        kind: `http` or `sql`, where it cannot be chosen.
    """

    path: str
    cancel: str
    is_new: bool
    fields: dict[str, Field]
    kind: str
    can_choose: bool
    ticks: TicksView
    error: str


def entered(form: Mapping[str, str]) -> Entered:
    """Return what was typed; a field that is missing is as for a new job."""
    given = {name: form[name][:MAX_TEXT].replace("\r\n", "\n") for name in Entered.__struct_fields__ if name in form}
    return Entered(**given)


def entered_of(found: Scheduled) -> Entered:
    """Return the form that says what a job is."""
    job, webhook = found.job, found.webhook
    said: dict[str, Any] = {
        "name": job.name, "schedule": job.schedule, "timezone": job.timezone, "kind": job.type, "sql": job.sql or "",
        "timeout": f"{job.timeout_seconds:g}", "missed": job.missed,
    }  # fmt: skip
    if webhook is not None:
        said |= {
            "url": webhook.url, "method": webhook.method, "body": job.body or "", "content": job.content_type or "json",
            "headers": "\n".join(f"{name}: {value}" for name, value in (found.headers or {}).items()),
            "retries": str(retry_count(webhook.retry)),
        }  # fmt: skip
    return Entered(**said)


# What it asks for ----------------------------------------------------------------------------------------------------------


def change_of(form: Entered, before: Entered | None = None) -> JobChange:
    """Return what the form asks for.

    Args:
        before: As the job is: what the form leaves as it was is not asked for. None: the job is to be made.

    Raises:
        InvalidInputError: A field cannot be read.
    """
    touched = {name for name in Entered.__struct_fields__ if before is None or getattr(form, name) != getattr(before, name)}
    asked: dict[str, Any] = {}
    for name in ("name", "schedule", "timezone", "missed"):
        if name in touched:
            asked[name] = getattr(form, name).strip()
    if "timeout" in touched:
        asked["timeout"] = _number("timeout", form.timeout, float)
    if before is None:
        asked["type"] = form.kind
    if form.kind == "sql":
        if "sql" in touched:
            asked["sql"] = form.sql
        return JobChange(**asked)
    for name, of in (("url", "url"), ("method", "method"), ("contentType", "content")):
        if of in touched:
            asked[name] = getattr(form, of).strip()
    if "headers" in touched:
        asked["headers"] = headers_read(form.headers)
    if "body" in touched:
        asked["body"] = form.body or None
    if "retries" in touched:
        asked["retryLimit"] = _number("retries", form.retries, int)
    return JobChange(**asked)


def _number(field: str, text: str, kind: type[int] | type[float]) -> Any:
    try:
        return kind(text.strip())
    except ValueError as error:
        raise InvalidInputError(field, f"{text.strip()[:40]!r} is no number; write one such as 5.") from error


_FIELDS = {"contentType": "content", "retryLimit": "retries", "max_retries": "retries", "retry": "retries", "type": "kind"}
_FIELDS |= {"timeout_seconds": "timeout", "body_template": "body"}


def field_of(error: InvalidInputError) -> str:
    """Return the field of the form that an error belongs to; empty: to none."""
    root = error.field.split(".")[0].split("[")[0]
    field = _FIELDS.get(root, root)
    return field if field in Entered.__struct_fields__ else ""


# When it fires -------------------------------------------------------------------------------------------------------------


def ticks_of(schedule: Schedule, times: Sequence[datetime], now: datetime) -> tuple[Tick, ...]:
    """Return times as the clock of a schedule shows them; UTC, where its zone is not known any more."""
    try:
        zone = ZoneInfo(schedule.timezone)
    except (KeyError, ValueError, OSError):
        zone = ZoneInfo("UTC")
    return tuple(Tick(f"{at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}", when(at, now)) for at in times)


def ticks_view(form: Entered, now: datetime) -> TicksView:
    """Return when what was typed fires next."""
    if not form.schedule.strip():
        return TicksView()
    try:
        schedule = parse_schedule(form.schedule, form.timezone.strip())
        times = _next(schedule, now)
    except InvalidInputError as error:
        return TicksView(error=error.message)
    return TicksView(visible(schedule.words, limit=200).plain, ticks_of(schedule, times, now))


def _next(schedule: Schedule, now: datetime) -> list[datetime]:
    times: list[datetime] = []
    while len(times) < TICKS:
        try:
            times.append(schedule.after(times[-1] if times else now))
        except InvalidInputError:
            if not times:
                raise
            break
    return times


# What is shown -------------------------------------------------------------------------------------------------------------


def form_view(
    form: Entered,
    path: str,
    cancel: str,
    now: datetime,
    *,
    is_new: bool,
    can_sql: bool,
    error: InvalidInputError | None = None,
) -> JobFormView:
    """Return the form as it was typed, with what is wrong with it at its field.

    Args:
        can_sql: The group may run SQL.
    """
    where = field_of(error) if error else ""
    fields = {name: _field(name, form, error.message if error and where == name else "") for name in Entered.__struct_fields__}
    can_choose = is_new and can_sql
    unplaced = error.message if error and (not where or (where == "kind" and not can_choose)) else ""
    return JobFormView(path, cancel, is_new, fields, form.kind, can_choose, ticks_view(form, now), unplaced)


_LABELS: dict[str, tuple[str, str, str]] = {  # label, hint, placeholder
    "name": ("Name", "", "nightly report"),
    "schedule": ("Schedule", "Five fields: minute, hour, day of month, month, day of week (Sunday is 0 or 7).", "30 2 * * 1-5"),
    "timezone": ("Time zone", "A name such as Europe/Berlin. Daylight saving is kept.", "UTC"),
    "kind": ("What it does", "", ""),
    "url": ("URL", "Where the request goes. Each tick is also an event, cron.fired.", "https://example.com/rebuild"),
    "method": ("Method", "", ""),
    "headers": ("Headers", "Name: value, one a line; or a JSON object.", "Authorization: Bearer …"),
    "body": ("Body", "Text of strings is filled in: {{record.scheduled_at}}. Empty: the event as it is.", ""),
    "content": ("The body is", "", ""),
    "retries": ("Retries", "How often a request that fails is sent again: 1 to 100.", ""),
    "sql": ("SQL", "One statement; it runs with the role of this group's connection.", "refresh materialized view sales"),
    "timeout": ("Timeout", "Seconds that a request, or the SQL, may take.", ""),
    "missed": ("Ticks that were missed", "When nothing was running at their time.", ""),
}
_REQUIRED = {"name", "schedule", "timezone", "url", "sql", "timeout", "retries"}
_KIND = {"url": "url", "headers": "area", "body": "area", "sql": "area"}
_CODE = {"schedule", "timezone", "url", "headers", "body", "sql", "retries", "timeout"}


def _field(name: str, form: Entered, error: str) -> Field:
    label, hint, placeholder = _LABELS[name]
    value = getattr(form, name)
    choices = {
        "kind": _KINDS, "missed": _MISSED, "method": tuple((one, one) for one in _METHODS), "content": _CONTENT,
    }.get(name)  # fmt: skip
    options: tuple[Option, ...] = ()
    if choices is not None:
        choices = choices if value in dict(choices) else (*choices, (value, visible(value, limit=60).plain))
        options = tuple(Option(one, said, one == value) for one, said in choices)
    return Field(
        name, label, "choice" if options else _KIND.get(name, "text"), value=value, hint=hint, error=error,
        placeholder=placeholder, options=options, is_required=name in _REQUIRED, is_code=name in _CODE, max_length=MAX_TEXT,
    )  # fmt: skip
