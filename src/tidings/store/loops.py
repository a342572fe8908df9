"""Events that led to themselves: what history knows of a record's changes, and deliveries that are not made."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from tidings.store.database import Connection
from tidings.store.queue import Queued
from tidings.store.statements import load

_SQL = load("loops")


async def changes(connection: Connection, about: int, *, before: UUID, since: UUID, limit: int) -> list[tuple[UUID, datetime]]:
    """Return id and time of the changes of a record before one, oldest first."""
    rows = await connection.fetch(_SQL["changes"], about, before, since, limit)
    return [(row["id"], row["occurred_at"]) for row in reversed(rows)]


async def sent(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return when deliveries began to be sent, of those that did."""
    rows = await connection.fetch(_SQL["sent"], ids, min(ids), max(ids))
    return {row["id"]: row["at"] for row in rows}


async def stop(connection: Connection, stopped: Mapping[UUID, tuple[Queued, str]], now: datetime) -> dict[UUID, int]:
    """End deliveries before they are made, each with its reason, and note that on their lanes, which are locked.

    Returns:
        The webhooks that are to be told of, with how many of their deliveries wait.
    """
    given = [queued for queued, _ in stopped.values()]
    rows = await connection.fetch(
        _SQL["stop"],
        [queued.id for queued in given],
        [queued.webhook_id for queued in given],
        [queued.event_id for queued in given],
        [queued.group_id for queued in given],
        [reason for _, reason in stopped.values()],
        now,
    )
    return {row["webhook_id"]: row["waiting"] for row in rows}


async def looping(connection: Connection, group_id: str, since: datetime, limit: int) -> list[Any]:
    """Return webhooks of a group that had deliveries stopped since a time, as rows."""
    rows: list[Any] = await connection.fetch(_SQL["looping"], group_id, since, limit)
    return rows
