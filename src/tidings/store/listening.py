"""Listeners: webhooks whose deliveries are leased to clients that ask for them (theory: `docs/decisions/0019`)."""

from collections.abc import Collection, Iterable, Mapping
from datetime import MAXYEAR, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.delivery import Delivery
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("listening")

CHANNEL = "tidings_listeners"
MAX_RUNG = 100  # listeners that one ring names; of more it names none, and all who wait look
MAX_KEPT = 10_000  # listeners that the keeper looks at


class Landed(msgspec.Struct, frozen=True):
    """A lease that ended. `at`: PostgreSQL's clock."""

    id: int
    delivery_id: UUID
    event_id: UUID
    number: int
    leased_at: datetime
    at: datetime


class Waits(msgspec.Struct, frozen=True):
    """What waits for a listener: how many deliveries, when something is due next, and until when nothing is given out."""

    count: int
    due_at: datetime | None
    held_until: datetime | None


class Kept(msgspec.Struct, frozen=True):
    """What the keeping of a listener depends on. `silence`: for how long no client has asked."""

    id: UUID
    group_id: str
    name: str
    enabled: bool
    disabled_reason: str | None
    waiting: int
    silence: timedelta
    has_clients: bool


# Listeners -------------------------------------------------------------------------------------------------------------


async def lock_names(connection: Connection, group_id: str) -> None:
    """Keep others from making listeners of a group until the transaction ends."""
    await connection.execute(_SQL["lock_names"], group_id)


async def count(connection: Connection, group_id: str) -> int:
    """Return how many listeners a group has."""
    number: int = await connection.fetchval(_SQL["count"], group_id)
    return number


async def add(connection: Connection, webhook_id: UUID, group_id: str, name: str, mirrors: UUID | None) -> None:
    """Make a webhook that was written in this transaction a listener. Its lane must be shut already."""
    await connection.execute(_SQL["add"], webhook_id, group_id, name, mirrors)


async def mirror(connection: Connection, webhook_id: UUID, mirrors: UUID | None) -> None:
    """Take note of which webhook a listener has its settings of."""
    await connection.execute(_SQL["mirror"], webhook_id, mirrors)


async def lock_mirrors(connection: Connection, group_id: str, webhook_id: UUID) -> list[UUID]:
    """Return the listeners of a group that have their settings of a webhook, locked to the end of the transaction."""
    return [row["id"] for row in await connection.fetch(_SQL["lock_mirrors"], group_id, webhook_id)]


async def called(connection: Connection, group_id: str, name: str) -> tuple[UUID, UUID | None] | None:
    """Return the listener of a name, and the webhook it mirrors."""
    row = await connection.fetchrow(_SQL["called"], group_id, name)
    return None if row is None else (row["webhook_id"], row["mirrors"])


async def find(connection: Connection, group_id: str, webhook_id: UUID | None, limit: int) -> list[Any]:
    """Return a listener of a group, or all, as rows."""
    rows: list[Any] = await connection.fetch(_SQL["get"], group_id, webhook_id, limit)
    return rows


async def hear(connection: Connection, webhook_id: UUID) -> None:
    """Take note that a client asked. It locks the listener's row."""
    await connection.execute(_SQL["hear"], webhook_id)


async def skip(connection: Connection, webhook_id: UUID, limit: int, reason: str) -> int:
    """Cancel what waits for a listener, the oldest first; return how many deliveries that were."""
    await connection.fetch(_SQL["lock_lane"], webhook_id)
    number: int = await connection.fetchval(_SQL["skip"], webhook_id, limit, reason)
    return number


async def kept(connection: Connection) -> list[Kept]:
    """Return all listeners, those first that nobody has asked for longest."""
    return [Kept(*row) for row in await connection.fetch(_SQL["kept"], MAX_KEPT)]


async def ring(connection: Connection, listeners: Collection[UUID]) -> None:
    """Tell all processes that there is something for listeners."""
    named = "" if len(listeners) > MAX_RUNG else ",".join(each.hex for each in listeners)
    await connection.execute(_SQL["ring"], named)


def rung(payload: str) -> list[UUID]:
    """Return which listeners a ring names; none: all."""
    return [UUID(hex=each) for each in payload.split(",") if each]


# Clients ---------------------------------------------------------------------------------------------------------------


async def begin_turn(connection: Connection, session: UUID, listener: UUID) -> tuple[UUID, bool] | None:
    """Renew the lease of a client that asks; return the turn of its request, and whether it has left; None: there is none."""
    row = await connection.fetchrow(_SQL["begin_turn"], session, listener)
    return None if row is None else (row["turn"], row["is_over"])


async def count_sessions(connection: Connection, listener: UUID) -> tuple[int, int]:
    """Return how many clients a listener has, and how many left lately."""
    row = await connection.fetchrow(_SQL["count_sessions"], listener)
    return (0, 0) if row is None else (row["there"], row["over"])


async def begin_session(connection: Connection, session: UUID, listener: UUID) -> UUID | None:
    """Enter a client, and return the turn of its request; None: it is another listener's."""
    turn: UUID | None = await connection.fetchval(_SQL["begin_session"], session, listener)
    return turn


async def end_session(connection: Connection, session: UUID, listener: UUID) -> None:
    """Take note that a client left, which holds nothing any more: a request of it that comes late finds that."""
    await connection.execute(_SQL["end_session"], session, listener)


async def hold_turn(connection: Connection, session: UUID, turn: UUID) -> bool:
    """Tell whether a request is still its client's latest; it is until the transaction ends."""
    return await connection.fetchval(_SQL["hold_turn"], session, turn) is not None


async def heartbeats(connection: Connection) -> dict[UUID, datetime]:
    """Return when each client was heard of last."""
    return {row["id"]: row["heard_at"] for row in await connection.fetch(_SQL["heartbeats"])}


async def bury(connection: Connection, silent: Mapping[UUID, datetime]) -> list[UUID]:
    """Strike clients that have not been heard of since then, and return them."""
    return [row["id"] for row in await connection.fetch(_SQL["bury"], list(silent), list(silent.values()))]


# Leases ----------------------------------------------------------------------------------------------------------------


async def unheld(connection: Connection, session: UUID, listener: UUID, held: Iterable[int]) -> list[int]:
    """Return, locked, the leases of a client that it does not hold."""
    return [row["id"] for row in await connection.fetch(_SQL["unheld"], session, list(held), listener)]


async def flights_of(connection: Connection, sessions: Collection[UUID]) -> list[int]:
    """Return, locked, the leases of clients."""
    return [row["id"] for row in await connection.fetch(_SQL["flights_of"], list(sessions))]


async def lease(connection: Connection, session: UUID, listener: UUID, now: datetime, limit: int) -> list[Delivery]:
    """Lease up to `limit` due deliveries of a listener to a client, in the caller's transaction."""
    lane = await connection.fetchrow(_SQL["lock_lane"], listener)  # of its own: the next sees what it waited for
    if lane is None or (lane["ordered"] and lane["in_flight"]):
        return []
    rows = await connection.fetch(_SQL["lease"], session, now, listener, 1 if lane["ordered"] else limit)
    return [
        Delivery(
            row["id"], row["event_id"], row["webhook_id"], row["group_id"], row["attempt_number"], row["due_at"],
            row["flight_id"], row["is_test"],
        )
        for row in rows
    ]  # fmt: skip


async def waits(connection: Connection, listener: UUID) -> Waits | None:
    """Return what waits for a listener; None: it is deleted."""
    row = await connection.fetchrow(_SQL["next_due_at"], listener)
    if row is None:
        return None
    at: datetime = row["at"]
    # asyncpg reads infinity as the last instant there is.
    return Waits(row["waiting"], None if at.year == MAXYEAR else at, row["held_until"])


async def land(connection: Connection, session: UUID, listener: UUID, leases: Collection[int]) -> dict[int, Landed]:
    """End leases whose results are written in this transaction; return those that were still this client's."""
    rows = await connection.fetch(_SQL["land"], session, listener, list(leases))
    return {row["id"]: Landed(*row) for row in rows}


async def places(connection: Connection, events: Collection[UUID]) -> dict[UUID, datetime]:
    """Return the places of events in an ordered lane."""
    rows = await connection.fetch(_SQL["places"], list(events), min(events), max(events))
    return {row["id"]: row["at"] for row in rows}


async def traced(connection: Connection, events: Collection[UUID]) -> dict[UUID, tuple[str, str | None]]:
    """Return of events their types, and the traces that they belong to (`core.trace`)."""
    rows = await connection.fetch(_SQL["traced"], list(events), min(events), max(events))
    return {row["id"]: (row["type"], row["traceparent"]) for row in rows}
