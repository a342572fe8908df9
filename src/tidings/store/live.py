"""What pages that are being looked at are told by: one look for all of them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("live")


class Look(msgspec.Struct, frozen=True):
    """What a look found. `counted`: another number than at the last look means that something happened."""

    counted: int
    sessions: Sequence[UUID]


class NewDelivery(msgspec.Struct, frozen=True):
    """A delivery that came a moment ago."""

    id: UUID
    group_id: str
    webhook_id: UUID
    status: str


async def look(connection: Connection, sessions: Sequence[UUID], now: datetime) -> Look:
    """Return whether something happened, and which of these sessions are not over."""
    row = await connection.fetchrow(_SQL["look"], list(sessions), now)
    return Look(row["counted"], row["sessions"])


async def newest(connection: Connection, after: UUID, limit: int) -> list[NewDelivery]:
    """Return the newest deliveries after one, of all groups, newest first."""
    return [NewDelivery(*row) for row in await connection.fetch(_SQL["newest"], after, limit)]
