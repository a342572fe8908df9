"""How webhooks fare: read by key from their lanes, where the recorder notes it (`sql/queue.sql`, `settle_lanes`)."""

from collections.abc import Sequence
from datetime import MAXYEAR, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.health import Health, Lane, decide_health
from tidings.core.statistics import Figures, period_of, series_of
from tidings.store import statistics
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("health")

MAX_PAGE = 50  # webhooks that are asked about at once
LOOKED_THROUGH = 10_000  # failing webhooks of all groups

# What figures are told of: how long it is, and by which steps it is read.
WINDOWS = {"hour": (timedelta(hours=1), "minute"), "day": (timedelta(days=1), "hour"), "month": (timedelta(days=30), "day")}

_LANE = tuple(Lane.__struct_fields__)


class State(msgspec.Struct, frozen=True):
    """The health of a webhook, and the lane it was told by."""

    health: Health
    lane: Lane


class Count(msgspec.Struct, frozen=True):
    """How many webhooks have been failing long enough to be warned of: up to `LOOKED_THROUGH` in all."""

    failing: int
    resting: int


async def read(
    connection: Connection, group_id: str, webhook_ids: Sequence[UUID], now: datetime, *, tells_certificates: bool = True
) -> dict[UUID, State]:
    """Return how webhooks of a group fare, at most `MAX_PAGE` of them. Those that are not there are left out.

    Args:
        tells_certificates: Whoever asks may know of their certificates; a customer, whose operator's they are, may not.
    """
    rows = await connection.fetch(_SQL["read"], group_id, list(webhook_ids[:MAX_PAGE]))
    return {row["id"]: _state(row, now, tells_certificates=tells_certificates) for row in rows}


def _state(row: Any, now: datetime, *, tells_certificates: bool) -> State:
    fields = {name: row[name] for name in _LANE}
    if not tells_certificates:
        fields |= {"certificate_ends_at": None, "authorities_end_at": None}
    if fields["due_at"].year == MAXYEAR:  # infinity
        fields["due_at"] = None
    lane = Lane(**fields)
    health = decide_health(
        enabled=row["enabled"], disabled_reason=row["disabled_reason"], fault=row["fault"], lane=lane, now=now
    )
    return State(health, lane)


async def warned(connection: Connection, group_id: str, limit: int = MAX_PAGE) -> list[UUID]:
    """Return the group's webhooks that fail, those that have for longest first."""
    rows = await connection.fetch(_SQL["warned"], group_id, min(limit, MAX_PAGE), LOOKED_THROUGH)
    return [row["id"] for row in rows]


async def count(connection: Connection, now: datetime) -> Count:
    """Return how many webhooks of all groups fail, and how many rest."""
    row = await connection.fetchrow(_SQL["count"], LOOKED_THROUGH, now)
    return Count(row["failing"], row["resting"])


async def figures(connection: Connection, group_id: str, webhook_id: UUID, now: datetime) -> dict[str, Figures]:
    """Return success rate and latency of a webhook's last hour, day and month, in a snapshot. Tests do not count."""
    found = {}
    for name, (length, step) in WINDOWS.items():
        period = period_of(now - length, now, step, now)
        stretches = await statistics.read(connection, group_id, webhook_id, period)
        found[name], _ = series_of(stretches, period, now)
    return found


async def success_rates(connection: Connection, group_id: str, webhook_ids: Sequence[UUID], now: datetime) -> dict[UUID, float]:
    """Return which share of their attempts of the last hour succeeded, of at most `MAX_PAGE` webhooks that made any."""
    since = now - WINDOWS["hour"][0]
    rows = await connection.fetch(_SQL["attempts_since"], group_id, list(webhook_ids[:MAX_PAGE]), since)
    return {row["webhook_id"]: (row["succeeded"] or 0) / row["made"] for row in rows if row["made"]}


async def described(connection: Connection, webhook_ids: Sequence[UUID]) -> dict[UUID, tuple[str, str, str]]:
    """Return group, name and URL of webhooks, without those that are deleted."""
    rows = await connection.fetch(_SQL["described"], list(webhook_ids))
    return {row["id"]: (row["group_id"], row["name"], row["url"]) for row in rows}


async def waiting(connection: Connection, webhook_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many deliveries of webhooks wait, without those that are deleted."""
    rows = await connection.fetch(_SQL["waiting"], list(webhook_ids))
    return {row["webhook_id"]: row["waiting"] for row in rows}
