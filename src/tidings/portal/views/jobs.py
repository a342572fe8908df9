"""Jobs as pages show them: when they fire, in words and in times, and what came of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.operations.sources.jobs import PastRun, Scheduled
from tidings.portal.views.job_form import Tick, ticks_of
from tidings.portal.views.lists import Column, Pager, Row, Table
from tidings.portal.views.sections import NEW, SOURCES, Section, sections
from tidings.portal.views.small import Empty, Id, State, Url, When, ident, state, url, when
from tidings.portal.views.text import Shown, count, duration, visible, visible_block

PATH = "/sources/jobs"
_MAKE = (
    'curl -X POST $URL/api/v1/cron -H "Authorization: Bearer $KEY" '
    """-d '{"name": "nightly", "schedule": "30 2 * * *", "url": "https://…"}'"""
)
NEXT_TICKS = 5  # that are shown
_RUN_STATES = {
    "fired": State("good", "check", "fired"),
    "running": state("running"),
    "succeeded": State("good", "check", "succeeded"),
    "failed": state("failed"),
}


class JobRow(msgspec.Struct, frozen=True):
    """A job of the list."""

    name: Shown
    state: State
    words: str
    expression: Shown
    next: When | None
    does: Shown
    fault: Shown | None


class JobsView(msgspec.Struct, frozen=True):
    """The list of jobs."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    empty: Empty | None


class RunRow(msgspec.Struct, frozen=True):
    """A tick that fired. `event`: of an http job its request is a delivery of this."""

    state: State
    due: When
    late: str
    missed: str
    event: Id | None
    said: Shown | None
    is_bad: bool


class JobView(msgspec.Struct, frozen=True):
    """A job.

    Attributes:
        next: Its next ticks.
        why_not: Why it cannot be run now; empty: it can.
        webhook: Carries its requests.
    """

    sections: tuple[Section, ...]
    id: Id
    name: Shown
    path: str
    state: State
    is_active: bool
    fault: Shown | None
    words: str
    expression: Shown
    timezone: Shown
    next: tuple[Tick, ...]
    missed: str
    kind: str
    url: Url | None
    method: str
    webhook: Id | None
    body: Shown | None
    why_not: str
    runs: Table
    pager: Pager


def jobs_view(found: Sequence[Scheduled], pager: Pager, now: datetime) -> JobsView:
    """Return the list of jobs."""
    columns = (Column("Job", "wide"), Column("State"), Column("Schedule", is_minor=True), Column("Next"))
    empty = None if found else Empty(
        "No jobs",
        "A job sends a request, or runs SQL, at the times of five cron fields in a time zone. Each tick happens once, whatever "
        "restarts.",
        "New job",
        f"{NEW}/job",
        _MAKE,
        "clock",
    )  # fmt: skip
    return JobsView(
        sections(SOURCES, PATH), Table("jobs", "Jobs", columns, tuple(_row(one, now) for one in found)), pager, empty
    )


def _row(one: Scheduled, now: datetime) -> Row:
    job = one.job
    does = visible(f"{one.webhook.method} {one.webhook.url}", limit=100) if one.webhook else visible("SQL")
    return Row(
        str(job.id),
        path_of(job.id),
        job.name,
        JobRow(
            visible(job.name, limit=80),
            _state(one),
            words_of(one),
            visible(f"{job.schedule} {job.timezone}", limit=80),
            when(one.next_at, now) if one.next_at else None,
            does,
            visible(job.fault) if job.fault else None,
        ),
    )


def path_of(job_id: UUID) -> str:
    """Return the page of a job."""
    return f"{PATH}/{job_id}"


def words_of(one: Scheduled) -> str:
    """Return when a job fires, in words."""
    said = visible(one.job.times.words, limit=200).plain
    return said if one.job.timezone == "UTC" else f"{said}, {visible(one.job.timezone, limit=60).plain}"


def _state(one: Scheduled) -> State:
    if one.job.fault:
        return state("set_aside")
    if not one.job.enabled:
        return state("paused")
    return State("good", "check", "active") if one.is_active else state("disabled")


def job_view(one: Scheduled, runs: Sequence[PastRun], pager: Pager, now: datetime) -> JobView:
    """Return a job with a page of its runs."""
    job, webhook = one.job, one.webhook
    why_not = ""
    if job.type == "sql":
        why_not = "A job that runs SQL runs at its times alone: the worker that holds its connection does it."
    elif not one.is_active:
        why_not = "It is not active; resume it first."
    return JobView(
        sections(SOURCES, PATH),
        ident(job.id),
        visible(job.name),
        path_of(job.id),
        _state(one),
        job.enabled,
        visible(job.fault) if job.fault else _disabled(one),
        words_of(one),
        visible(job.schedule, limit=200),
        visible(job.timezone, limit=60),
        _next(one, now),
        "the last one fires on return" if job.missed == "once" else "none fires",
        job.type,
        url(webhook.url) if webhook else None,
        webhook.method if webhook else "",
        ident(webhook.id, f"/webhooks/{webhook.id}") if webhook else None,
        visible_block(job.sql or job.body or "", limit=5000) if job.sql or job.body else None,
        why_not,
        _runs(runs, now),
        pager,
    )


def _disabled(one: Scheduled) -> Shown | None:
    if one.webhook and one.job.enabled and not one.webhook.enabled:
        return visible(one.webhook.disabled_reason or "Its webhook is disabled, so it fires no more.")
    return None


def _next(one: Scheduled, now: datetime) -> tuple[Tick, ...]:
    ticks: list[datetime] = []
    at = one.next_at
    while at is not None and len(ticks) < NEXT_TICKS:
        ticks.append(at)
        try:
            at = one.job.times.after(at)
        except InvalidInputError:
            break
    return ticks_of(one.job.times, ticks, now)


def _runs(found: Sequence[PastRun], now: datetime) -> Table:
    columns = (
        Column("Due"),
        Column("State"),
        Column("What came of it", "wide"),
        Column("Late", "number", is_minor=True),
        Column("Event", is_minor=True),
    )
    return Table("runs", "Past runs", columns, tuple(_run(one, now) for one in found))


def _run(one: PastRun, now: datetime) -> Row:
    late = max(one.fired_at - one.scheduled_at, timedelta())
    said = one.error or one.result
    row = RunRow(
        _RUN_STATES.get(one.status) or state(one.status),
        when(one.scheduled_at, now),
        duration(late.total_seconds() * 1000) if late >= timedelta(seconds=1) else "on time",
        f"{count(one.missed_count, 'tick')} before it did not happen" if one.missed_count else "",
        ident(one.event_id, f"/events/{one.event_id}") if one.event_id else None,
        visible(said) if said else None,
        one.error is not None,
    )
    return Row(one.scheduled_at.strftime("%Y%m%dT%H%M%S%f"), "", f"run of {row.due.exact}", row)
