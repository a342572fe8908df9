"""What pages that are being looked at are told by: one look for all of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from tidings.store.database import Connection
from tidings.store.sessions import LINK_MAKERS
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
    row = await connection.fetchrow(_SQL["look"], list(sessions), now, LINK_MAKERS)
    return Look(row["counted"], row["sessions"])


async def newest(connection: Connection, after: UUID, limit: int) -> list[NewDelivery]:
    """Return the newest deliveries after one, of all groups, newest first."""
    return [NewDelivery(*row) for row in await connection.fetch(_SQL["newest"], after, limit)]


# Attempts as they are recorded -----------------------------------------------------------------------------------------------

ATTEMPTS_CHANNEL = "tidings_attempts"
TOLD_AT_ONCE = 160  # attempts in one notification, which holds 8,000 bytes: at most 400 of a group, 32 of an id, and a number
GAP = "gap"  # instead of attempts: some were not announced


class Announced(NamedTuple):
    """An attempt that was recorded. `number`: which of its delivery it was."""

    group_id: str
    delivery_id: UUID
    number: int


Hear = Callable[[str, list[tuple[UUID, int]]], None]


async def is_heard(connection: Connection) -> bool:
    """Return whether anybody listens."""
    heard: bool = await connection.fetchval(_SQL["is_heard"])
    return heard


async def announce(connection: Connection, attempts: Sequence[Announced], *, is_gap: bool) -> bool:
    """Tell those who listen of attempts that were recorded; return False when the queue of notifications is too full for it.

    Args:
        is_gap: Tell them too that some were not announced.
    """
    by_group: dict[str, list[str]] = {}
    for group_id, delivery_id, number in attempts:
        by_group.setdefault(group_id, []).append(f"{delivery_id.hex}:{number}")
    pages = [GAP] if is_gap else []
    for group_id, told in by_group.items():
        starts = range(0, len(told), TOLD_AT_ONCE)
        pages += [f"{group_id}/{' '.join(told[start : start + TOLD_AT_ONCE])}" for start in starts]
    is_told: bool = await connection.fetchval(_SQL["announce"], pages)
    return is_told


async def listen(connection: Connection, hear: Hear, note_gap: Callable[[], None]) -> None:
    """Hear of attempts over a connection that is used for nothing else, as long as it lasts.

    Args:
        hear: Called with a group and attempts of it.
        note_gap: Called when some were not announced.
    """
    await connection.add_listener(ATTEMPTS_CHANNEL, lambda _, __, ___, payload: _take(payload, hear, note_gap))
    await connection.fetchval(_SQL["listen"])


def _take(payload: str, hear: Hear, note_gap: Callable[[], None]) -> None:
    if payload == GAP:
        note_gap()
        return
    group_id, _, told = payload.rpartition("/")
    try:
        attempts = [(UUID(one[:32]), int(one[33:])) for one in told.split()]
    except ValueError:  # anybody may notify
        return
    hear(group_id, attempts)


async def probe(connection: Connection) -> None:
    """Make sure that somebody is at the other end of a connection that is only listened to."""
    await connection.fetchval(_SQL["probe"])
