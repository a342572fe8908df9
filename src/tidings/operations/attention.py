"""What somebody should see to: webhooks that fail, rows that were set aside, tables that are not captured, no worker."""

from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.health import Health
from tidings.operations.services import Services
from tidings.store import capture, health, queue, webhooks, workers

MAX_LISTED = 10  # of each kind


class Failing(msgspec.Struct, frozen=True):
    """A webhook that fails or rests."""

    id: UUID
    name: str
    url: str
    health: Health


class Stopped(msgspec.Struct, frozen=True):
    """A webhook that was set aside or disabled, and not by its owner."""

    id: UUID
    name: str
    url: str
    since: datetime
    reason: str
    is_set_aside: bool


class Attention(msgspec.Struct, frozen=True):
    """What somebody should see to.

    Attributes:
        uncaptured: Tables that webhooks name and that carry no trigger of ours.
        workers: How many are alive.
        lag_seconds: For how long the lane of any group that has been due longest has waited.
        has_webhooks: The group has any.
    """

    failing: list[Failing]
    stopped: list[Stopped]
    uncaptured: list[str]
    uncaptured_count: int
    workers: int
    lag_seconds: float
    has_webhooks: bool


async def read(services: Services) -> Attention:
    """Return what somebody should see to, those that are ill for longest first."""
    now = services.clock.now()
    async with services.database.snapshot() as connection:
        ids = await health.warned(connection, services.group_id, MAX_LISTED)
        states = await health.read(connection, services.group_id, ids, now)
        names = await health.described(connection, ids)
        stopped = await webhooks.troubled(connection, services.group_id, MAX_LISTED)
        wanted, captured = await capture.subscribed_tables(connection), await capture.captured_tables(connection)
        lag = await queue.lag_seconds(connection)
        alive = await workers.alive(connection)
        some = await webhooks.list_webhooks(connection, services.group_id, limit=1)
    missing = sorted(set(wanted) - set(captured))
    return Attention(
        [Failing(id_, names[id_][1], names[id_][2], states[id_].health) for id_ in ids if id_ in names and id_ in states],
        [
            Stopped(row["id"], row["name"], row["url"], row["updated_at"], row["reason"], is_set_aside=row["enabled"])
            for row in stopped
        ],
        [f"{schema}.{table}" for schema, table in missing[:MAX_LISTED]],
        len(missing),
        alive,
        lag,
        bool(some),
    )
