"""History: events, deliveries and attempts, written once, in one partition a day."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.event import Event
from tidings.core.outcome import Result, final_state
from tidings.store import limits
from tidings.store.database import Connection, add_rows
from tidings.store.statements import load

_SQL = load("history")
_encode = msgspec.json.Encoder().encode

_EVENT_COLUMNS = (
    "id", "group_id", "source", "type", "operation", "subject", "table_schema", "table_name", "record", "old_record",
    "occurred_at", "external_id", "webhook_id", "capture_error", "delivery_count", "about", "hops", "redaction",
    "traceparent",
)  # fmt: skip
_RESPONSE_COLUMNS = (
    "response_headers", "response_body", "is_truncated", "failure", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms",
    "total_ms", "webhook_version", "signer_id",
)  # fmt: skip
_ATTEMPT_COLUMNS = ("delivery_id", "number", "started_at", "response_status", "error", *_RESPONSE_COLUMNS)
_DELIVERY_COLUMNS = (
    "id", "webhook_id", "event_id", "group_id", "is_test", "status", "attempt_count", "finished_at", "started_at",
    "last_status", "last_error", *_RESPONSE_COLUMNS,
)  # fmt: skip
FEW = 50  # rows up to which one statement is cheaper than COPY and its two journeys more
MAX_KIND_LENGTH = 200  # characters; longer types are in history, but not among the kinds that are remembered


async def ensure_day(connection: Connection, day: date) -> None:
    """Make the partitions of a day (UTC), when they are missing."""
    await connection.execute(_SQL["ensure_day"], day)


async def drop_days_before(connection: Connection, day: date) -> int:
    """Drop the partitions of days before this one that no unfinished delivery needs; return how many days went."""
    dropped: int = await connection.fetchval(_SQL["drop_days_before"], day)
    return dropped


async def note_kinds(connection: Connection, kinds: Collection[tuple[str, str, date]]) -> None:
    """Remember which types each group has events of, as (group, type, day); longer names than `MAX_KIND_LENGTH` are not."""
    noted = sorted(kind for kind in kinds if len(kind[1]) <= MAX_KIND_LENGTH)  # one order, so that nobody waits in a circle
    await connection.execute(_SQL["note_kinds"], *map(list, zip(*noted, strict=True)) if noted else ([], [], []))


async def forget_kinds(connection: Connection, day: date) -> None:
    """Forget the types of which no group has had an event since that day."""
    await connection.execute(_SQL["forget_kinds"], day)


async def add_events(
    connection: Connection, events: Sequence[tuple[Event, int, int | None]], stored: Mapping[limits.Day, tuple[int, int]]
) -> None:
    """Write events, each with the number of deliveries it was routed to, and the hash of what it is about.

    Args:
        stored: What they add to what is kept of each group and day.
    """
    records = [
        (
            e.id, e.group_id, e.source, e.type, e.operation, e.subject, e.table_schema, e.table_name, e.record,
            e.old_record, e.occurred_at, e.external_id, e.webhook_id, e.capture_error, count, about, e.hops, e.redaction,
            e.traceparent,
        )
        for e, count, about in events
    ]  # fmt: skip
    if len(records) <= FEW:
        await connection.execute(_SQL["add_events"], *zip(*records, strict=True), *limits.columns(stored))
        return
    await add_rows(connection, "events", _EVENT_COLUMNS, records)
    await limits.add(connection, stored)


async def add_attempts(connection: Connection, results: Sequence[Result], now: datetime) -> None:
    """Write attempts that did not end their delivery. None began after now."""
    records = [
        (r.delivery.id, r.delivery.attempt_number, min(r.started_at, now), r.exchange.status, r.reason, *_response(r))
        for r in results
    ]
    await add_rows(connection, "attempts", _ATTEMPT_COLUMNS, records)


async def add_deliveries(connection: Connection, results: Sequence[Result], now: datetime) -> None:
    """Write deliveries that these results end, each with its last attempt. None began or ended after now."""
    records = [
        (
            d.id, d.webhook_id, d.event_id, d.group_id, d.is_test, final_state(r.outcome), d.attempt_number,
            now if r.ended_at is None else min(r.ended_at, now), min(r.started_at, now), r.exchange.status, r.reason,
            *_response(r),
        )
        for r in results
        for d in (r.delivery,)
    ]  # fmt: skip
    if len(records) <= FEW:
        await connection.execute(_SQL["add_deliveries"], *zip(*records, strict=True))
        return
    await add_rows(connection, "deliveries", _DELIVERY_COLUMNS, records)


def _response(result: Result) -> tuple[Any, ...]:
    x = result.exchange
    t = x.timings
    return (
        _encode(x.headers).decode() if x.headers else None, _storable(x.body), x.is_truncated or None, x.failure, t.dns_ms,
        t.connect_ms, t.tls_ms, t.first_byte_ms, t.total_ms, result.webhook_version, result.signer_id,
    )  # fmt: skip


def _storable(body: bytes) -> str | None:
    """Return a response's body as text: PostgreSQL holds neither broken UTF-8 nor U+0000."""
    return body.decode("utf-8", "replace").replace("\x00", "\ufffd") if body else None


async def events_by_id(connection: Connection, ids: Sequence[UUID]) -> list[Event]:
    """Return the events with these ids."""
    rows = await connection.fetch(_SQL["events_by_id"], ids, min(ids), max(ids))
    return [Event(*row) for row in rows]
