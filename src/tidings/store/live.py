"""What pages that are being looked at are told by: one look for all of them."""

from collections.abc import Callable, Sequence
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


# Attempts as they are recorded -----------------------------------------------------------------------------------------------

ATTEMPTS_CHANNEL = "tidings_attempts"
TOLD_AT_ONCE = 180  # attempts in one notification, which holds 8,000 bytes: 32 of an id, and a number


async def announce(connection: Connection, attempts: Sequence[tuple[UUID, int]]) -> None:
    """Tell those who listen of attempts that this transaction records, by delivery and number; with its commit."""
    told = [f"{delivery_id.hex}:{number}" for delivery_id, number in attempts]
    pages = [" ".join(told[start : start + TOLD_AT_ONCE]) for start in range(0, len(told), TOLD_AT_ONCE)]
    await connection.fetchval(_SQL["announce"], pages)


async def listen(connection: Connection, hear: Callable[[list[tuple[UUID, int]]], None]) -> None:
    """Hear of attempts over a connection that is used for nothing else, as long as it lasts."""
    await connection.add_listener(ATTEMPTS_CHANNEL, lambda _, __, ___, payload: hear(_attempts_told(payload)))
    await connection.fetchval(_SQL["listen"])


def _attempts_told(payload: str) -> list[tuple[UUID, int]]:
    try:
        return [(UUID(told[:32]), int(told[33:])) for told in payload.split()]
    except ValueError:  # anybody may notify
        return []


async def probe(connection: Connection) -> None:
    """Make sure that somebody is at the other end of a connection that is only listened to."""
    await connection.fetchval(_SQL["probe"])
