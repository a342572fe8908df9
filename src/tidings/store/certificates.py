"""Certificates of webhooks that end: which, and which of them were told of."""

from datetime import datetime
from uuid import UUID

import msgspec

from tidings.core.health import CERTIFICATE_SOON
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("certificates")


class Ending(msgspec.Struct, frozen=True):
    """A certificate that ends soon, or has ended. `is_own`: the webhook shows it; otherwise it believes its receiver by it."""

    id: UUID
    ends_at: datetime
    is_over: bool
    is_own: bool


async def warn(connection: Connection, now: datetime, limit: int) -> list[Ending]:
    """Return certificates that are to be told of now, of all groups, and note that they were: in the caller's transaction."""
    return [Ending(**row) for row in await connection.fetch(_SQL["warn"], now, now + CERTIFICATE_SOON, limit)]


async def ending(connection: Connection, group_id: str, now: datetime, limit: int) -> list[UUID]:
    """Return webhooks of a group with a certificate that ends soon or has ended, the first to end first."""
    rows = await connection.fetch(_SQL["ending"], group_id, now + CERTIFICATE_SOON, limit)
    return [row["id"] for row in rows]
