"""The list of webhooks as people look through it: each with how it fares."""

from uuid import UUID

import msgspec

from tidings.core.webhook import Subscription
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.operations.webhooks.standing import may_know
from tidings.store import health, webhooks
from tidings.store.health import State

MAX_WORDS = 200  # characters that are searched for


class Listed(msgspec.Struct, frozen=True):
    """A webhook with how it fares. `success_rate`: of its attempts of the last hour; None: it made none."""

    webhook: Subscription
    state: State
    success_rate: float | None


class Listing(msgspec.Struct, frozen=True):
    """A page of webhooks. `following`: what the next page is asked for with; None: there is none."""

    items: list[Listed]
    following: UUID | None


async def find(services: Services, words: str = "", *, after: UUID | None = None, limit: int = health.MAX_PAGE) -> Listing:
    """Return a page of the group's webhooks, newest first, whose name, URL or id holds a text.

    Args:
        after: `following` of the page before.

    Raises:
        NotFoundError: The webhook to go on from is gone.
    """
    now, limit = services.clock.now(), min(limit, health.MAX_PAGE)
    async with services.database.snapshot() as connection:
        if after is not None:
            found(await webhooks.get_webhook(connection, services.group_id, after), after)
        page, following = await webhooks.webhooks_called(
            connection, services.group_id, words[:MAX_WORDS], after=after, limit=limit
        )
        ids = [webhook.id for webhook in page]
        states = await health.read(connection, services.group_id, ids, now, tells_certificates=may_know(services))
        rates = await health.success_rates(connection, services.group_id, ids, now)
    items = [Listed(webhook, states[webhook.id], rates.get(webhook.id)) for webhook in page]
    return Listing(items, following)
