"""How webhooks fare, for those who ask: the decision is `core.health`, what it is made from is noted beside each lane."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.errors import NotFoundError
from tidings.core.health import Standing
from tidings.core.statistics import Figures
from tidings.operations.services import Services
from tidings.store import health
from tidings.store.database import Connection
from tidings.store.health import MAX_PAGE, State


class WebhookHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a webhook fares.

    Attributes:
        since: Since when it is in this state; None when that is not known.
        until: When it is tried next, where it rests.
        sentence: Why, and what happens next.
        waiting: Deliveries that wait for it.
        sending: Attempts that are under way.
        success_rate: The share of the last hour's attempts that succeeded; None when there were none.
    """

    state: Standing
    since: datetime | None
    until: datetime | None
    sentence: str
    waiting: int
    sending: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None
    success_rate: float | None


class FullHealth(WebhookHealth, frozen=True, kw_only=True):
    """The same, with what its attempts of the last hour, day and month came to."""

    hour: Figures
    day: Figures
    month: Figures


async def of_webhook(services: Services, webhook_id: UUID) -> FullHealth:
    """Return how a webhook fares, with its figures.

    Raises:
        NotFoundError: There is no such webhook.
    """
    now = services.clock.now()
    async with services.database.snapshot() as connection:
        state = (await health.read(connection, services.group_id, [webhook_id], now)).get(webhook_id)
        if state is None:
            raise NotFoundError(f"There is no webhook {webhook_id}.")
        figures = await health.figures(connection, services.group_id, webhook_id, now)
    told = msgspec.structs.asdict(_told(state, figures["hour"].success_rate))
    return FullHealth(hour=figures["hour"], day=figures["day"], month=figures["month"], **told)


async def of_webhooks(services: Services, webhook_ids: Sequence[UUID]) -> dict[UUID, WebhookHealth]:
    """Return how webhooks fare, without their figures. Those that are gone are left out.

    Args:
        webhook_ids: Of one page of a list; they are asked for fifty at a time.
    """
    found: dict[UUID, WebhookHealth] = {}
    async with services.database.snapshot() as connection:
        for start in range(0, len(webhook_ids), MAX_PAGE):
            found |= await _some(services, connection, webhook_ids[start : start + MAX_PAGE])
    return found


async def _some(services: Services, connection: Connection, webhook_ids: Sequence[UUID]) -> dict[UUID, WebhookHealth]:
    now = services.clock.now()
    rates = await health.success_rates(connection, services.group_id, webhook_ids, now)
    states = await health.read(connection, services.group_id, webhook_ids, now)
    return {webhook_id: _told(state, rates.get(webhook_id)) for webhook_id, state in states.items()}


def _told(state: State, success_rate: float | None) -> WebhookHealth:
    decided, lane = state.health, state.lane
    return WebhookHealth(
        state=decided.state,
        since=decided.since,
        until=decided.until,
        sentence=decided.sentence,
        waiting=lane.waiting,
        sending=lane.in_flight,
        last_success_at=lane.last_success_at,
        last_failure_at=lane.last_failure_at,
        last_failure=lane.last_failure,
        success_rate=success_rate,
    )
