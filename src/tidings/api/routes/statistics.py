"""`/api/v1/statistics`: how attempts fared, of all webhooks of a group or of one."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from tidings.api.http.questions import WebhookId
from tidings.operations import statistics
from tidings.operations.services import Services
from tidings.operations.statistics import Statistics

Since = Annotated[datetime | None, QueryParameter(description="From this time on; a day before `until` when absent.")]
Until = Annotated[datetime | None, QueryParameter(description="Before this time; now when absent.")]
Step = Annotated[
    str | None, QueryParameter(description="`minute` (kept 3 days), `hour` (100 days) or `day`; at most 750 of them at once.")
]


@get("/")
async def get_statistics(
    services: NamedDependency[Services],
    webhook_id: WebhookId = None,
    since: Since = None,
    until: Until = None,
    step: Step = None,
) -> Statistics:
    """Read how attempts fared, of all webhooks or of one, deleted or not."""
    return await statistics.read(services, webhook_id, since=since, until=until, step=step)


@get("/{webhook_id:str}/statistics")
async def get_webhook_statistics(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    since: Since = None,
    until: Until = None,
    step: Step = None,
) -> Statistics:
    """Read how a webhook's attempts fared."""
    return await statistics.read_of_webhook(services, webhook_id, since=since, until=until, step=step)


router = Router("/api/v1/statistics", route_handlers=[get_statistics], tags=["Statistics"])
