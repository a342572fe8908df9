"""How attempts fared: of all webhooks of a group, or of one."""

from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.errors import NotFoundError
from tidings.core.statistics import Figures, Point, period_of, series_of
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.store import statistics, webhooks
from tidings.store.statistics import WHOLE_GROUP


class Statistics(msgspec.Struct, frozen=True):
    """How attempts fared from `since` until `until`, which are widened to whole steps. Tests do not count."""

    since: datetime
    until: datetime
    step: str
    total: Figures
    series: list[Point]


async def read(
    services: Services,
    webhook_id: UUID | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    step: str | None = None,
) -> Statistics:
    """Return how attempts fared, of all webhooks or of one, deleted or not.

    Args:
        since: A day before `until` when None.
        until: Now when None.
        step: `minute`, `hour` or `day`; what fits the period when None.

    Raises:
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such webhook, nor was there.
    """
    if webhook_id == WHOLE_GROUP:  # under which the sum of all is kept
        raise NotFoundError(f"There is no webhook {webhook_id}.")
    now = services.clock.now()
    period = period_of(since, until, step, now)
    async with services.database.snapshot() as connection:
        stretches = await statistics.read(connection, services.group_id, webhook_id or WHOLE_GROUP, period)
    total, series = series_of(stretches, period, now)
    return Statistics(period.since, period.until, period.step, total, series)


async def read_of_webhook(
    services: Services,
    webhook_id: UUID,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    step: str | None = None,
) -> Statistics:
    """Return how the attempts of a webhook that there is fared.

    Raises:
        InvalidInputError: As `read` does.
        NotFoundError: There is no such webhook.
    """
    async with services.database.connection() as connection:
        found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
    return await read(services, webhook_id, since=since, until=until, step=step)
