"""`/api/v1/statistics`: success, rates and latencies over time, of a group or a webhook; read from sums, never from history."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.services import Services
from tidings.core.errors import InvalidInputError
from tidings.core.statistics import STEPS, Figures, figures, step_of
from tidings.store import statistics
from tidings.store.database import Connection
from tidings.store.statistics import KEPT, WHOLE_GROUP, Stretch

MAX_POINTS = 1500
DEFAULT_STRETCH = timedelta(days=1)

Since = Annotated[datetime | None, QueryParameter(description="From this time on; a day before `until` when absent.")]
Until = Annotated[datetime | None, QueryParameter(description="Up to this time; now when absent.")]
Step = Annotated[
    Literal["minute", "hour", "day"],
    QueryParameter(description="How finely: minutes are kept for 3 days, hours for 100, days for three years."),
]
WebhookId = Annotated[UUID | None, QueryParameter(description="Only of this webhook.")]


class Point(Figures, frozen=True, kw_only=True):
    """What attempts of one step come to."""

    starts_at: datetime


class Statistics(msgspec.Struct, frozen=True):
    """Attempts of a stretch of time, in all and step by step; steps without any are left out. Tests are not counted."""

    since: datetime
    until: datetime
    step: str
    total: Figures
    points: list[Point]


@get("/api/v1/statistics")
async def read_statistics(
    services: NamedDependency[Services],
    webhook_id: WebhookId = None,
    since: Since = None,
    until: Until = None,
    step: Step = "hour",
) -> Statistics:
    """Read what came of attempts over time: how many succeeded, were retried and failed, and how long they took."""
    return await _statistics(services, webhook_id or WHOLE_GROUP, since, until, step)


@get("/api/v1/webhooks/{webhook_id:str}/statistics")
async def read_statistics_of_webhook(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    since: Since = None,
    until: Until = None,
    step: Step = "hour",
) -> Statistics:
    """Read what came of a webhook's attempts over time. It outlives the webhook."""
    return await _statistics(services, webhook_id, since, until, step)


async def _statistics(
    services: Services, webhook_id: UUID, since: datetime | None, until: datetime | None, step: str
) -> Statistics:
    now = services.clock.now()
    until = _aware(until) or now
    since = step_of(_aware(since) or until - DEFAULT_STRETCH, step)
    _check(since, until, step)
    async with services.database.snapshot() as connection:
        rows = await _rows(connection, services.group_id, webhook_id, since, until, step)
    seconds = (min(until, now) - since).total_seconds()
    return Statistics(since, until, step, figures(rows, seconds), _points(rows, step))


def _aware(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo is not None else at.astimezone()


def _check(since: datetime, until: datetime, step: str) -> None:
    if since >= until:
        raise InvalidInputError("since", f"since ({since.isoformat()}) is not before until ({until.isoformat()}).")
    points = (until - since) / STEPS[step]
    if points > MAX_POINTS:
        wider = next((name for name, length in STEPS.items() if (until - since) / length <= MAX_POINTS), None)
        remedy = f"write step={wider}, or a shorter stretch" if wider else "write a shorter stretch"
        raise InvalidInputError("step", f"That is {points:,.0f} points of a {step}, more than {MAX_POINTS}; {remedy}.")


async def _rows(
    connection: Connection, group_id: str, webhook_id: UUID, since: datetime, until: datetime, step: str
) -> list[Stretch]:
    """Return what was counted: of hours and days what is summed up, with the minutes that are not part of them yet."""
    rows = await statistics.read(connection, group_id, webhook_id, step, since, until)
    if step != "minute":
        since = max(since, until - KEPT["minute"])
        rows += await statistics.read(connection, group_id, webhook_id, "minute", since, until, only_new=True)
    return rows


def _points(rows: Sequence[Stretch], step: str) -> list[Point]:
    by_step: dict[datetime, list[Stretch]] = {}
    for row in rows:
        by_step.setdefault(step_of(row.starts_at, step), []).append(row)
    seconds = STEPS[step].total_seconds()
    return [
        Point(**msgspec.structs.asdict(figures(counted, seconds)), starts_at=starts_at)
        for starts_at, counted in sorted(by_step.items())
    ]


router = Router("/", route_handlers=[read_statistics, read_statistics_of_webhook], tags=["Statistics"])
