"""The outbox: events not yet routed, and the doorbell that wakes a dispatcher (theory: `sql/outbox.sql`)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.answers import Answer, of_outbox
from tidings.core.crowds import Waiting
from tidings.core.event import Event, day_of, event_id, table_event_type
from tidings.core.event_fault import MAX_EVENT_BYTES, event_fault, size_fault, table_fault
from tidings.core.filters import OPERATIONS
from tidings.core.trace import traceparent_of
from tidings.store.database import Connection, add_rows
from tidings.store.event_types import Schema, TypeKey
from tidings.store.request_role import as_owner
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("outbox")

OUTBOX_CHANNEL = "tidings_outbox"
MAX_REASON_LENGTH = 1000  # characters
MAX_STORED_BYTES = 16 * 2**20  # of records, as PostgreSQL has compressed them, that are taken at once
NO_ANSWERS: Mapping[UUID, bytes] = MappingProxyType({})
FEW = 100  # events up to which one statement is cheaper than COPY and its two journeys more

_PUBLISHED_COLUMNS = (
    "group_id", "source", "type", "operation", "subject", "table_schema", "table_name", "record", "old_record", "occurred_at",
    "event_id", "external_id", "webhook_id", "is_counted",
)  # fmt: skip


_COLUMNS = (
    "event_id", "group_id", "source", "type", "operation", "subject", "table_schema", "table_name", "record", "old_record",
    "occurred_at", "external_id", "webhook_id", "capture_error", "hops", "traceparent", "origin", "placed_by",
    "answers",
)  # fmt: skip


class Taken(msgspec.Struct, frozen=True):
    """Rows taken out of the outbox, in their order.

    Attributes:
        numbers: Their numbers in the outbox.
        routes_version: The version of the subscriptions, as of the moment the rows were read.
        privacy_version: That of the redaction rules.
        placing_version: That of what is known about where groups live; None: this is no home of a fleet.
    """

    rows: list[Any]
    numbers: list[int]
    routes_version: int
    privacy_version: int = 0
    placing_version: int | None = None


class Committed(msgspec.Struct, frozen=True):
    """What became of events that were to be committed.

    Attributes:
        stale: Types whose schema is not the one that was checked by. Then nothing was written.
        known: Positions of the events that were not written, because their external ids were known.
    """

    stale: list[TypeKey]
    known: list[int]


class Backlog(msgspec.Struct, frozen=True):
    """How many rows wait to be routed, and for how long the oldest has."""

    waiting: int
    lag_seconds: float


async def take(connection: Connection, limit: int) -> Taken:
    """Take up to `limit` of the oldest committed rows out of the outbox, inside the caller's transaction."""
    return _taken(await connection.fetch(_SQL["take"], limit, MAX_STORED_BYTES, MAX_EVENT_BYTES))


async def take_alone(connection: Connection, limit: int) -> Taken:
    """Take them as `take` does, where nobody else takes any: as the relay of a source, which has the outbox."""
    return _taken(await connection.fetch(_SQL["take_alone"], limit, MAX_STORED_BYTES, MAX_EVENT_BYTES))


async def is_empty(connection: Connection) -> bool:
    """Return whether nothing waits in it, nor is being routed."""
    found: bool = await connection.fetchval(_SQL["is_empty"])
    return found


async def take_shares(connection: Connection, shares: Mapping[str, int]) -> Taken:
    """Take of each group up to so many of its oldest committed rows out of the outbox, inside the caller's transaction."""
    groups, counts = list(shares), list(shares.values())
    return _taken(await connection.fetch(_SQL["take_shares"], groups, MAX_STORED_BYTES, MAX_EVENT_BYTES, counts))


async def take_onward(connection: Connection, group_ids: Sequence[str], limit: int) -> Taken:
    """Take of each of these groups up to so many of its oldest rows, strictly in order, in the caller's transaction."""
    return _taken(await connection.fetch(_SQL["take_onward"], group_ids, MAX_STORED_BYTES, MAX_EVENT_BYTES, limit))


def _taken(rows: list[Any]) -> Taken:
    rows.sort(key=_outbox_id)  # DELETE … RETURNING promises no order
    if not rows:
        return Taken([], [], 0)
    first = rows[0]
    numbers = [row[0] for row in rows]
    return Taken(rows, numbers, first["routes_version"], first["privacy_version"], first["placing_version"])


async def groups(connection: Connection, behind: str, past: Sequence[str], *, most: int, deep: int) -> list[Waiting]:
    """Return groups that have rows in the outbox: the next ones behind a name, and from the first on again.

    Args:
        past: Groups that are looked past.
        most: How many at most.
        deep: How far the rows of each are counted.
    """
    return [Waiting(row[0], row[1]) for row in await connection.fetch(_SQL["groups"], behind, past, most, deep)]


def read_events(taken: Taken, salt: int, now: datetime) -> tuple[list[Event], dict[int, str]]:
    """Return the events that rows of the outbox become, and of each row that cannot become one its number and the reason.

    Args:
        salt: See `core.event.event_id`.
    """
    events: list[Event] = []
    faults: dict[int, str] = {}
    for row in taken.rows:
        fault = _row_fault(row)
        if fault is None:
            event = _event_from_row(row, salt)
            fault = event_fault(event, now)
            events.append(event)
        if fault is not None:
            faults[row[0]] = fault
    return events, faults


def read_brought(event: Event, now: datetime) -> tuple[Event, str | None]:
    """Return an event of another database as a row of the outbox would have it; and why it cannot be routed, if so."""
    fault = size_fault(_size(event.record) + _size(event.old_record))
    type_, subject = event.type, event.subject
    if event.source == "tables":
        schema, table, operation = event.table_schema, event.table_name, event.operation
        fault = fault or table_fault(schema, table, operation)
        if schema and table and operation in OPERATIONS:
            type_, subject = table_event_type(schema, table, operation), f"{schema}.{table}"
    trace = None if event.traceparent is None else traceparent_of(event.traceparent)
    if event.occurred_at.tzinfo is not UTC:  # as PostgreSQL gives times back
        event = msgspec.structs.replace(event, occurred_at=event.occurred_at.astimezone(UTC))
    if type_ != event.type or subject != event.subject or trace != event.traceparent or event.hops is None:
        event = msgspec.structs.replace(event, type=type_, subject=subject, traceparent=trace, hops=event.hops or 0)
    return event, fault or event_fault(event, now)


def _size(record: str | None) -> int:
    """Return the bytes of a record."""
    return 0 if record is None else len(record) if record.isascii() else len(record.encode())


def uncounted(taken: Taken, events: Sequence[Event]) -> list[Event]:
    """Return those of the events that were read, one of each row, whose bytes nobody has counted yet."""
    return [event for row, event in zip(taken.rows, events, strict=True) if not row["is_counted"]]


def origins(taken: Taken, events: Sequence[Event]) -> dict[UUID, str]:
    """Return the source of a fleet of those of the events that were read, one of each row, that came from one."""
    return {event.id: row["origin"] for row, event in zip(taken.rows, events, strict=True) if row["origin"] is not None}


def answers(taken: Taken) -> dict[UUID, Answer]:
    """Return what was answered already to deliveries of the rows that were taken, by their ids."""
    return of_outbox(row["answers"] for row in taken.rows if row["answers"] is not None)


def placed_by(taken: Taken) -> dict[str, int]:
    """Return of each group the latest version of the directory that led a row of it here, where one did."""
    found: dict[str, int] = {}
    for row in taken.rows:
        if row["placed_by"] is not None:
            found[row["group_id"]] = max(row["placed_by"], found.get(row["group_id"], 0))
    return found


def _row_fault(row: Any) -> str | None:
    fault = size_fault(row["size"])
    if fault is None and row["source"] == "tables":
        fault = table_fault(row["table_schema"], row["table_name"], row["operation"])
    return fault


def _outbox_id(row: Any) -> int:
    number: int = row[0]
    return number


def _event_from_row(row: Any, salt: int) -> Event:
    """Read a row by position: this runs for every event."""
    (
        number, group, source, type_, operation, subject, schema, table, record, old, at, known_id, external, webhook,
        problem, hops, trace, *_,
    ) = row  # fmt: skip
    if source == "tables":
        type_ = table_event_type(schema, table, operation)
        subject = f"{schema}.{table}"
    return Event(
        known_id or event_id(at, number, salt),
        group, source, type_, operation, subject, schema, table, record, old, at, external, webhook, problem, hops or 0,
        traceparent=None if trace is None else traceparent_of(trace),
    )  # fmt: skip


async def reject(
    connection: Connection, faults: Mapping[int, str], box: SecretBox, hiding: Sequence[str] = ()
) -> dict[int, str]:
    """Set rows aside, each with the reason it cannot be routed, and return these reasons as they are told.

    Args:
        hiding: Groups with rules that hide something: the records of their rows are sealed, and errors not told.
    """
    told = {number: reason[:MAX_REASON_LENGTH] for number, reason in faults.items()}
    rows = await connection.fetch(_SQL["records"], list(told), hiding, MAX_EVENT_BYTES) if hiding else []
    sealed: dict[int, bytes] = {}
    for row in rows:
        text = msgspec.json.encode((row["record"], row["old_record"])).decode()
        sealed[row["id"]] = box.seal(text, UUID(int=row["id"]))
    numbers, reasons = list(told), list(told.values())
    seals = [sealed.get(number) for number in numbers]
    try:
        async with connection.transaction():
            await connection.execute(_SQL["reject"], numbers, reasons, True, seals)
    except asyncpg.exceptions.ProgramLimitExceededError:  # one is larger than a value can be
        await connection.execute(_SQL["reject"], numbers, reasons, False, seals)
    return told


async def drop_known(connection: Connection, numbers: Sequence[int]) -> int:
    """Drop those of some rows that came from other databases and were told already; return how many that were."""
    return len(await connection.fetch(_SQL["drop_known"], numbers))


def unsealed(box: SecretBox, sealed: bytes, number: int) -> tuple[str | None, str | None]:
    """Return the records of a row that was set aside, of a group with rules.

    Raises:
        StartupError: They were sealed under another key.
    """
    record, old_record = msgspec.json.decode(box.open(sealed, UUID(int=number)), type=tuple[str | None, str | None])
    return record, old_record


async def put_records(connection: Connection, number: int, record: str | None, old_record: str | None) -> None:
    """Give a row back its records."""
    await connection.execute(_SQL["put_records"], number, record, old_record)


async def publish(connection: Connection, events: Sequence[Event], *, is_counted: bool = False) -> None:
    """Write events to the outbox, inside the caller's transaction, and ring the doorbell.

    Args:
        is_counted: The caller counts their bytes in the same transaction (`store.limits.add`); else whoever routes them does.
    """
    counted = is_counted or None
    records = [
        (
            e.group_id, e.source, e.type, e.operation, e.subject, e.table_schema, e.table_name, e.record, e.old_record,
            e.occurred_at, e.id, e.external_id, e.webhook_id, counted,
        )
        for e in events
    ]  # fmt: skip
    if len(records) <= FEW:
        await connection.execute(_SQL["add"], *zip(*records, strict=True))
        return
    async with as_owner(connection):  # PostgreSQL copies nothing into a table whose rows a policy has to look at
        await add_rows(connection, "outbox", _PUBLISHED_COLUMNS, records)
    await connection.execute(_SQL["ring"])


async def bring(
    connection: Connection,
    events: Sequence[Event],
    origin: str,
    placed_by: int | None = None,
    answers: Mapping[UUID, bytes] = NO_ANSWERS,
) -> None:
    """Write events to the outbox that were taken out of another, inside the caller's transaction, and ring the doorbell.

    They keep their ids, and what led to them.

    Args:
        placed_by: The version of the fleet's directory that led them here.
        answers: What was answered to their deliveries already, by event (`core.answers`).
    """
    records = [
        (
            e.id, e.group_id, e.source, e.type, e.operation, e.subject, e.table_schema, e.table_name, e.record, e.old_record,
            e.occurred_at, e.external_id, e.webhook_id, e.capture_error, e.hops, e.traceparent, origin, placed_by,
            answers.get(e.id),
        )
        for e in events
    ]  # fmt: skip
    await add_rows(connection, "outbox", _COLUMNS, records)
    await connection.execute(_SQL["ring"])


async def ring(connection: Connection) -> None:
    """Ring the doorbell, inside the transaction that has written to the outbox."""
    await connection.execute(_SQL["ring"])


async def commit(
    connection: Connection,
    events: Sequence[Event],
    digests: Sequence[bytes | None],
    checked: Mapping[TypeKey, Schema | None],
    sizes: Sequence[int | None] | None = None,
) -> Committed:
    """Write events that applications published, ring the doorbell, and commit: in one journey, outside of any transaction.

    Args:
        sizes: The bytes of each event that are counted with it, null: not here; None: of none.
        digests: Of each event that has an external id, the digest of its content.
        checked: The types of events that were checked, those that were refused too, and the schema each was checked by.
    """
    row = await connection.fetchrow(
        _SQL["commit"] if sizes is None else _SQL["commit_counted"],
        [group_id for group_id, _ in checked],
        [name for _, name in checked],
        [None if schema is None else schema.version for schema in checked.values()],
        [e.group_id for e in events],
        [e.type for e in events],
        [e.subject for e in events],
        [e.record for e in events],
        [e.occurred_at for e in events],
        [e.id for e in events],
        [e.external_id for e in events],
        digests,
        [e.traceparent for e in events],
        *(() if sizes is None else (sizes, [day_of(e.id) for e in events])),
    )
    types = list(checked)
    return Committed([types[position] for position in row["stale"]], row["known"])


async def claim_external_ids(
    connection: Connection, group_id: str, claims: Sequence[tuple[str, UUID, bytes]]
) -> dict[str, tuple[UUID, bytes]]:
    """Remember publishers' ids, each with the event it stands for and a digest of its content.

    Returns:
        The event and digest of those that were known already.
    """
    ids, events, digests = zip(*sorted(claims), strict=True)  # in one order, so that two batches cannot wait for each other
    new = {row[0] for row in await connection.fetch(_SQL["claim_external_ids"], group_id, ids, events, digests)}
    known = [(group_id, external_id) for external_id in ids if external_id not in new]
    return {external_id: found for (_, external_id), found in (await find_external_ids(connection, known)).items()}


async def find_external_ids(
    connection: Connection, ids: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[UUID, bytes]]:
    """Return the event and the digest of content that publishers' ids stand for, by group and id."""
    if not ids:
        return {}
    rows = await connection.fetch(_SQL["find_external_ids"], *zip(*ids, strict=True))
    return {(row["group_id"], row["external_id"]): (row["event_id"], row["digest"]) for row in rows}


async def forget_external_ids(connection: Connection, older_than: datetime) -> None:
    """Forget publishers' ids of events that history no longer holds."""
    await connection.execute(_SQL["forget_external_ids"], older_than)


async def try_sleep(connection: Connection) -> bool:
    """Take the doorbell; True: whoever commits from now on will ring it."""
    granted: bool = await connection.fetchval(_SQL["try_sleep"])
    return granted


async def wake(connection: Connection) -> None:
    """Put the doorbell back, so that transactions commit without ringing."""
    await connection.execute(_SQL["wake"])


async def is_someone_asleep(connection: Connection) -> bool:
    """Tell whether another dispatcher holds the doorbell."""
    answer: bool = await connection.fetchval(_SQL["is_someone_asleep"])
    return answer


async def writers(connection: Connection) -> int:
    """Return how many open transactions have captured a change."""
    count: int = await connection.fetchval(_SQL["writers"])
    return count


async def backlog(connection: Connection) -> Backlog:
    """Return how much waits in the outbox: exact up to 10,000 rows, beyond that at most so many."""
    row = await connection.fetchrow(_SQL["backlog"])
    return Backlog(row["waiting"], row["lag_seconds"])
