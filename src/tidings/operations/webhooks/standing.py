"""One webhook as people look at it: what it is, how it fares, and what its tables are doing."""

from uuid import UUID

import msgspec

from tidings.core.audit import Who
from tidings.core.statistics import Figures
from tidings.core.webhook import Subscription
from tidings.operations.lookups import found, there
from tidings.operations.services import Services
from tidings.sources import tables
from tidings.sources.tables import TableState
from tidings.store import health, webhooks
from tidings.store.health import State


class Standing(msgspec.Struct, frozen=True):
    """A webhook, how it fares, and how each table it names is doing. `figures`: of `hour`, `day` and `month`."""

    webhook: Subscription
    state: State
    figures: dict[str, Figures]
    tables: list[TableState]


def may_know(services: Services) -> bool:
    """Whether whoever asks may know of certificates: a customer may not, whose operator's they are."""
    return services.actor.who is not Who.LINK


async def read(services: Services, webhook_id: UUID) -> Standing:
    """Return how a webhook stands.

    Raises:
        NotFoundError: There is none.
    """
    now = services.clock.now()
    async with services.database.snapshot() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        states = await health.read(connection, services.group_id, [webhook_id], now, tells_certificates=may_know(services))
        figures = await health.figures(connection, services.group_id, webhook_id, now)
        doing = await tables.table_states(connection, webhook)
    return Standing(webhook, states[webhook_id], figures, doing)


async def read_state(services: Services, webhook_id: UUID) -> State:
    """Return how a webhook fares, by one look at its lane.

    Raises:
        NotFoundError: There is none.
    """
    now = services.clock.now()
    async with services.database.connection() as connection:
        states = await health.read(connection, services.group_id, [webhook_id], now, tells_certificates=may_know(services))
    return there(states.get(webhook_id), f"There is no webhook {webhook_id}.")
