"""Flights between databases as rows: at a source until the stream has them, at a home so that each is landed once."""

import base64
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
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
MAX_GROUPS: Final = 100_000  # in all, up to which a home makes some for events of sources

Wishes = Mapping[TableName, frozenset[str]]  # of each table the operations that are to be told


class Flight(msgspec.Struct, frozen=True):
    """Events on their way to a home.

    Attributes:
        id: Also of the message that they travel in.
        number: In the order that flights were taken; 0: it is not written down yet.
        made_at: When it was packed.
        is_split: It travels in pieces.
    """

    id: UUID
    home: str
    cargo: bytes
    event_count: int
    number: int = 0
    made_at: datetime | None = None
    is_split: bool = False


class Waiting(msgspec.Struct, frozen=True):
    """What the stream has not acknowledged: `COUNTED` flights and their events at most."""

    flights: int
    events: int
    seconds: float


class MovedError(Exception):
    """Another PostgreSQL has taken over, and what was landed last may not be there."""


class TooManyGroupsError(ValueError):
    """A source has sent an event of a group that is not there, and no other is made; with the remedy."""

    def __init__(self, group_id: str) -> None:
        super().__init__(
            f"Its group {group_id[:80]!r} is not there, and for what comes from other databases no group is made beyond "
            f"{MAX_GROUPS:,}. Delete some that are not needed, or make this one here; then route it again."
        )


class Landed(msgspec.Struct, frozen=True):
    """What landing has begun with, all of one snapshot.

    Attributes:
        new: Flights that had not been landed before.
        is_outbox_empty: Nothing waits there, nor is anything of it being routed.
        new_groups: Groups that are not there yet.
        routes_version: The version of the subscriptions.
        privacy_version: That of the redaction rules.
        placing_version: That of what is known about where groups live, which stays so until the transaction ends; None: this is
            no home of a fleet.
    """

    new: set[UUID]
    is_outbox_empty: bool
    new_groups: list[str]
    routes_version: int
    privacy_version: int
    placing_version: int | None


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


class Load(msgspec.Struct, frozen=True):
    """How much waits for a home."""

    flights: int
    events: int
    bytes: int


async def keep(connection: Connection, flights: Sequence[Flight]) -> list[Flight]:
    """Write flights down, in the transaction that takes their events out of the outbox; return them with their numbers."""
    rows = await connection.fetch(
        _SQL["keep"],
        [flight.id for flight in flights],
        [flight.home for flight in flights],
        [flight.cargo for flight in flights],
        [flight.event_count for flight in flights],
    )
    known = {row["id"]: row for row in rows}
    return [msgspec.structs.replace(one, number=known[one.id]["number"], made_at=known[one.id]["made_at"]) for one in flights]


async def try_own(connection: Connection) -> bool:
    """Take a source's outbox for this connection alone, until it ends; False: another has it."""
    owned: bool = await connection.fetchval(_SQL["try_own"])
    return owned


async def try_own_landing(connection: Connection) -> bool:
    """Take it upon this connection, until it ends, to land flights in a home; False: another does."""
    owned: bool = await connection.fetchval(_SQL["try_own_landing"])
    return owned


async def left(connection: Connection, homes: Sequence[str], *, limit: int, most_bytes: int, behind: int = 0) -> list[Flight]:
    """Return flights to these homes that the stream may not have yet: so many, and of so many bytes, at most, but one at least.

    Args:
        behind: The number of the last one that was read before.
    """
    rows = await connection.fetch(_SQL["left"], homes, behind, limit, most_bytes)
    return [Flight(*row) for row in rows]


async def left_to(connection: Connection, home: str, *, limit: int, most_bytes: int, behind: int) -> list[Flight]:
    """Return the next flights to a home behind a number, within the same bounds."""
    rows = await connection.fetch(_SQL["left_to"], home, behind, limit, most_bytes)
    return [Flight(*row) for row in rows]


async def loads(connection: Connection, homes: Sequence[str]) -> dict[str, Load]:
    """Return how much waits for each of these homes that anything waits for."""
    return {row["home"]: Load(*row[1:]) for row in await connection.fetch(_SQL["loads"], homes)}


async def split(connection: Connection, flight: UUID) -> None:
    """Note that a flight travels in pieces from now on: were it sent whole later, what had come of it would come again."""
    await connection.execute(_SQL["split"], flight)


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


async def is_landed(connection: Connection, flight: UUID) -> bool:
    """Return whether a flight was landed."""
    found: bool = await connection.fetchval(_SQL["is_landed"], flight)
    return found


async def _make_groups(connection: Connection, names: Collection[str]) -> None:
    """Make those groups that are not there; as `add_groups`."""
    new = [row[0] for row in await connection.fetch(_SQL["new_groups"], sorted(names))]
    await add_groups(connection, new)


async def add_groups(connection: Connection, new: Sequence[str]) -> None:
    """Make groups that are not there.

    Raises:
        TooManyGroupsError: There would be more than sources may make.
    """
    if not new:
        return
    if await connection.fetchval(_SQL["count_groups"], MAX_GROUPS) + len(new) > MAX_GROUPS:
        raise TooManyGroupsError(new[0])
    await connection.execute(_SQL["make_groups"], new)


async def groups_without_room(connection: Connection, names: Iterable[str]) -> set[str]:
    """Return those of some groups that are not there and cannot be made: there is room for those that are named first."""
    new = [row[0] for row in await connection.fetch(_SQL["new_groups"], list(dict.fromkeys(names)))]
    if not new:
        return set()
    return set(new[max(0, MAX_GROUPS - await connection.fetchval(_SQL["count_groups"], MAX_GROUPS)) :])


async def land(
    connection: Connection,
    flight: UUID,
    events: Sequence[Event],
    source: str,
    placed_by: int | None = None,
    *,
    answers: Mapping[UUID, bytes] = outbox.NO_ANSWERS,
    history: str | None = None,
) -> bool:
    """Put the events of a flight from a source into the outbox, in the caller's transaction; False: they have been there.

    Args:
        placed_by: The version of the directory that led them here.
        answers: What was answered to their deliveries already, by event.
        history: As in `note_landed`.

    Raises:
        MovedError: This is another history.
    """
    if not await note_landed(connection, flight, history=history):
        return False
    await bring(connection, events, source, placed_by, answers)
    return True


async def bring(
    connection: Connection,
    events: Sequence[Event],
    source: str,
    placed_by: int | None = None,
    answers: Mapping[UUID, bytes] = outbox.NO_ANSWERS,
) -> None:
    """Put events of a source into the outbox, in the caller's transaction."""
    await _make_groups(connection, {event.group_id for event in events})
    await outbox.bring(connection, events, source, placed_by, answers)


async def begin_landing(
    connection: Connection, flights: Sequence[UUID], groups: Collection[str], *, history: str | None = None
) -> Landed:
    """Take note, in the caller's transaction, that flights are landed, and return those that were not before.

    Args:
        groups: Which their events are of.
        history: As in `note_landed`.

    Raises:
        MovedError: This is another history.
    """
    row = await connection.fetchrow(_SQL["begin_landing"], flights, sorted(groups))
    if history is not None and row["history"] != history:
        raise MovedError
    return Landed(
        set(row["new"]), row["is_outbox_empty"], row["new_groups"], row["routes_version"], row["privacy_version"],
        row["placing_version"],
    )  # fmt: skip


async def outlook(connection: Connection, limit: int) -> Outlook:
    """Return what a home is like for what comes. `limit`: rows of the outbox that are many."""
    return Outlook(*await connection.fetchrow(_SQL["outlook"], limit, workers.SILENCE))


async def note_landed(connection: Connection, flight: UUID, *, history: str | None = None) -> bool:
    """Take note, in the caller's transaction, that a flight is landed; False: it was known.

    Args:
        history: Where the caller began to land; None: anywhere.

    Raises:
        MovedError: This is another history: what was landed last in the other may not be here.
    """
    row = await connection.fetchrow(_SQL["land"], flight)
    if history is not None and row["history"] != history:
        raise MovedError
    is_new: bool = row["is_new"]
    return is_new


async def history(connection: Connection) -> str | None:
    """Return which history of PostgreSQL this is: a standby that is promoted begins another. None: it is a standby still."""
    found: str | None = await connection.fetchval(_SQL["history"])
    return found


async def forget_landed(connection: Connection, days: int) -> int:
    """Forget flights that were landed so many days ago, `FORGOTTEN_AT_ONCE` at most; return how many that were."""
    count: int = await connection.fetchval(_SQL["forget_landed"], days, FORGOTTEN_AT_ONCE)
    return count


async def set_aside_events(connection: Connection, events: Sequence[tuple[Event, str]], origin: str) -> None:
    """Set events aside, each with the reason. `origin`: the source that they came from."""
    rows = [("event", _as_json(event, origin), reason[:MAX_REASON_LENGTH]) for event, reason in events]
    await connection.executemany(_SQL["set_aside"], rows)


def _as_json(event: Event, origin: str) -> str:
    row: dict[str, Any] = {
        "group_id": event.group_id, "source": event.source, "type": event.type, "operation": event.operation,
        "subject": event.subject, "table_schema": event.table_schema, "table_name": event.table_name,
        "occurred_at": event.occurred_at.isoformat(), "event_id": str(event.id), "external_id": event.external_id,
        "hops": event.hops, "webhook_id": None if event.webhook_id is None else str(event.webhook_id),
        "capture_error": event.capture_error, "traceparent": event.traceparent, "origin": origin,
    }  # fmt: skip
    text = json.dumps(row)[:-1] + "".join(
        f', "{name}": {record}' for name, record in (("record", event.record), ("old_record", event.old_record)) if record
    )
    return text + "}"


async def set_aside_flight(connection: Connection, flight: str, origin: str, cargo: bytes, reason: str) -> None:
    """Set a flight aside that cannot be read. `origin`: the source that it came from."""
    text = json.dumps({"flight": flight, "source": origin, "cargo": base64.b64encode(cargo).decode()})
    await connection.execute(_SQL["set_aside"], "flight", text, reason[:MAX_REASON_LENGTH])
