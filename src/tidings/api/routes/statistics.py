"""`/api/v1/statistics`: how attempts fared, of all webhooks of a group or of one."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.http.questions import WebhookId
from tidings.core.statistics import Figures, Point, period_of, series_of
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.store import statistics, webhooks
from tidings.store.statistics import WHOLE_GROUP

Since = Annotated[datetime | None, QueryParameter(description="From this time on; a day before `until` when absent.")]
Until = Annotated[datetime | None, QueryParameter(description="Before this time; now when absent.")]
Step = Annotated[
    str | None, QueryParameter(description="`minute` (kept 3 days), `hour` (100 days) or `day`; at most 750 of them at once.")
]


class Statistics(msgspec.Struct, frozen=True):
    """How attempts fared from `since` until `until`, which are widened to whole steps. Tests do not count."""

    since: datetime
    until: datetime
    step: str
    total: Figures
    series: list[Point]


@get("/")
async def get_statistics(
    services: NamedDependency[Services],
    webhook_id: WebhookId = None,
    since: Since = None,
    until: Until = None,
    step: Step = None,
) -> Statistics:
    """Read how attempts fared, of all webhooks or of one, deleted or not."""
    return await _statistics(services, webhook_id or WHOLE_GROUP, since, until, step)


@get("/{webhook_id:str}/statistics")
async def get_webhook_statistics(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    since: Since = None,
    until: Until = None,
    step: Step = None,
) -> Statistics:
    """Read how a webhook's attempts fared."""
    async with services.database.connection() as connection:
        found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
    return await _statistics(services, webhook_id, since, until, step)


async def _statistics(
    services: Services, webhook_id: UUID, since: datetime | None, until: datetime | None, step: str | None
) -> Statistics:
    now = services.clock.now()
    period = period_of(since, until, step, now)
    async with services.database.snapshot() as connection:
        stretches = await statistics.read(connection, services.group_id, webhook_id, period)
    total, series = series_of(stretches, period, now)
    return Statistics(period.since, period.until, period.step, total, series)


router = Router("/api/v1/statistics", route_handlers=[get_statistics], tags=["Statistics"])
