"""Flights between databases as rows: at a source until the stream has them, at a home so that each is landed once."""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.capture import TableName
from tidings.core.event import Event
from tidings.store import outbox, workers
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("relay")
_SETTINGS = load("settings")
_SOURCE, _NO_SOURCE = "source", ""  # a name, and what it is set to where there is none any more

MAX_REASON_LENGTH: Final = 1000  # characters
COUNTED: Final = 10_000  # flights
FORGOTTEN_AT_ONCE: Final = 10_000

Wishes = Mapping[TableName, frozenset[str]]  # of each table the operations that are to be told


class Flight(msgspec.Struct, frozen=True):
    """Events on their way to a home. `id`: also of the message that they travel in."""

    id: UUID
    home: str
    cargo: bytes
    event_count: int


class Left(msgspec.Struct, frozen=True):
    """Flights that the stream may not have yet, in the order they were taken. `last`: the number of the last, if any."""

    flights: list[Flight]
    last: int | None


class Waiting(msgspec.Struct, frozen=True):
    """What the stream has not acknowledged: `COUNTED` flights and their events at most."""

    flights: int
    events: int
    seconds: float


class Landed(msgspec.Struct, frozen=True):
    """What landing has begun with, all of one snapshot.

    Attributes:
        new: Flights that had not been landed before.
        is_outbox_empty: Nothing waits there, nor is anything of it being routed.
        routes_version: The version of the subscriptions.
        privacy_version: That of the redaction rules.
    """

    new: set[UUID]
    is_outbox_empty: bool
    routes_version: int
    privacy_version: int


class Outlook(msgspec.Struct, frozen=True):
    """What a home is like for what comes: whether its outbox has many rows, or none; and how many workers are alive."""

    is_outbox_full: bool
    is_outbox_empty: bool
    workers: int


async def become_source(connection: Connection, name: str) -> None:
    """Note that this database is a source of a fleet, which knows no groups, and whose outbox no worker routes."""
    await connection.execute(_SETTINGS["replace"], _SOURCE, name)


async def leave(connection: Connection) -> None:
    """Note that this database is a source no more."""
    await connection.execute(_SETTINGS["replace"], _SOURCE, _NO_SOURCE)


async def source(connection: Connection) -> str | None:
    """Return what this database is called in the fleet where it is a source; None: it is none."""
    name: str | None = await connection.fetchval(_SETTINGS["get"], _SOURCE)
    return name or None


async def keep(connection: Connection, flights: Sequence[Flight]) -> None:
    """Write flights down, in the transaction that takes their events out of the outbox."""
    await connection.execute(
        _SQL["keep"],
        [flight.id for flight in flights],
        [flight.home for flight in flights],
        [flight.cargo for flight in flights],
        [flight.event_count for flight in flights],
    )


async def try_own(connection: Connection) -> bool:
    """Take a source's outbox for this connection alone, until it ends; False: another has it."""
    owned: bool = await connection.fetchval(_SQL["try_own"])
    return owned


async def try_own_landing(connection: Connection) -> bool:
    """Take it upon this connection, until it ends, to land flights in a home; False: another does."""
    owned: bool = await connection.fetchval(_SQL["try_own_landing"])
    return owned


async def left(connection: Connection, homes: Sequence[str], *, limit: int, most_bytes: int, behind: int = 0) -> Left:
    """Return flights to these homes that the stream may not have yet: so many, and of so many bytes, at most, but one at least.

    Args:
        behind: The number of the last one that was read before.
    """
    rows = await connection.fetch(_SQL["left"], homes, behind, limit, most_bytes)
    return Left([Flight(*row[1:]) for row in rows], rows[-1][0] if rows else None)


async def stranded(connection: Connection, homes: Sequence[str]) -> int:
    """Return how many flights are to none of these homes, `COUNTED` at most."""
    count: int = await connection.fetchval(_SQL["stranded"], homes, COUNTED)
    return count


async def forget(connection: Connection, ids: Collection[UUID]) -> None:
    """Forget flights that the stream has."""
    await connection.execute(_SQL["forget"], list(ids))


async def waiting(connection: Connection) -> Waiting:
    """Return how much waits for the stream."""
    return Waiting(*await connection.fetchrow(_SQL["waiting"], COUNTED))


async def wishes(connection: Connection) -> dict[str, dict[TableName, frozenset[str]]]:
    """Return what webhooks of each home want to hear of tables here."""
    found: dict[str, dict[TableName, frozenset[str]]] = {}
    for home, schema, table, operation in await connection.fetch(_SQL["wishes"]):
        wanted = found.setdefault(home, {})
        wanted[schema, table] = wanted.get((schema, table), frozenset()) | {operation}
    return found


async def put_wishes(connection: Connection, homes: Mapping[str, Wishes]) -> None:
    """Write down anew what webhooks of these homes want to hear."""
    await connection.execute(_SQL["drop_wishes"], list(homes))
    rows = [
        (home, *table, operation)
        for home, wanted in homes.items()
        for table, operations in wanted.items()
        for operation in operations
    ]
    if rows:
        await connection.execute(_SQL["put_wishes"], *(list(column) for column in zip(*rows, strict=True)))


async def land(connection: Connection, flight: UUID, events: Sequence[Event], source: str) -> bool:
    """Put the events of a flight from a source into the outbox, in the caller's transaction; False: they have been there."""
    if await connection.fetchval(_SQL["land"], flight) is None:
        return False
    await connection.execute(_SQL["make_groups"], sorted({event.group_id for event in events}))
    await outbox.bring(connection, events, source)
    return True


async def begin_landing(connection: Connection, flights: Sequence[UUID]) -> Landed:
    """Take note, in the caller's transaction, that flights are landed, and return those that were not before."""
    row = await connection.fetchrow(_SQL["begin_landing"], flights)
    return Landed(set(row["new"]), row["is_outbox_empty"], row["routes_version"], row["privacy_version"])


async def outlook(connection: Connection, limit: int) -> Outlook:
    """Return what a home is like for what comes. `limit`: rows of the outbox that are many."""
    return Outlook(*await connection.fetchrow(_SQL["outlook"], limit, workers.SILENCE))


async def bring(connection: Connection, event: Event, source: str) -> None:
    """Put one event of a flight from a source into the outbox, in the caller's transaction."""
    await connection.execute(_SQL["make_groups"], [event.group_id])
    await outbox.bring(connection, [event], source)


async def note_landed(connection: Connection, flight: UUID) -> bool:
    """Take note, in the caller's transaction, that a flight was landed in some other way; False: it was known."""
    return await connection.fetchval(_SQL["land"], flight) is not None


async def forget_landed(connection: Connection, days: int) -> None:
    """Forget flights that were landed so many days ago, so many at most at a time."""
    await connection.execute(_SQL["forget_landed"], days, FORGOTTEN_AT_ONCE)


async def set_aside_event(connection: Connection, event: Event, reason: str) -> None:
    """Set an event aside that PostgreSQL refuses."""
    row: dict[str, Any] = {
        "group_id": event.group_id, "source": event.source, "type": event.type, "operation": event.operation,
        "subject": event.subject, "table_schema": event.table_schema, "table_name": event.table_name,
        "occurred_at": event.occurred_at.isoformat(), "event_id": str(event.id), "external_id": event.external_id,
        "hops": event.hops, "webhook_id": None if event.webhook_id is None else str(event.webhook_id),
        "capture_error": event.capture_error, "traceparent": event.traceparent,
    }  # fmt: skip
    text = json.dumps(row)[:-1] + "".join(
        f', "{name}": {record}' for name, record in (("record", event.record), ("old_record", event.old_record)) if record
    )
    await connection.execute(_SQL["set_aside"], "event", text + "}", reason[:MAX_REASON_LENGTH])


async def set_aside_flight(connection: Connection, flight: str, cargo: bytes, reason: str) -> None:
    """Set a flight aside that cannot be read."""
    text = json.dumps({"flight": flight, "cargo": base64.b64encode(cargo).decode()})
    await connection.execute(_SQL["set_aside"], "flight", text, reason[:MAX_REASON_LENGTH])
