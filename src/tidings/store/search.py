"""Reading history: one window of it at a time (theory: `core.search`, `sql/search.sql`), and what it holds under known ids."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.question import Question
from tidings.core.search import Drive, Span, Window, asks_of_event, places, what
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("search")
_EXCHANGED = {"asc": "desc", "desc": "asc"}


class Looked(msgspec.Struct, frozen=True):
    """What came of a window.

    Attributes:
        ids: What fits, in the order of the search; at most as many as were asked for.
        event_ids: Their events.
        matches: How many fit in all.
        seen: How many rows were looked at.
        reached: Where it ended because it was full; None: it came to the end.
    """

    ids: Sequence[UUID]
    event_ids: Sequence[UUID]
    matches: int
    seen: int
    reached: UUID | None


def mirrored(sql: str) -> str:
    """Return a statement that reads the other way: oldest first."""
    return re.sub(r"\b(asc|desc)\b", lambda word: _EXCHANGED[word[0]], sql)


_BACK = {name: mirrored(sql) for name, sql in _SQL.items()}


async def _run(connection: Connection, name: str, window: Window, *more: Any) -> Looked:
    sql = (_SQL if window.newest_first else _BACK)[name]
    left = window.drive.left
    row = await connection.fetchrow(
        sql, left.group_id, window.span.low, window.span.high, window.rows, window.matches, *_of_event(window.drive), *more
    )
    return Looked(row["ids"], row.get("event_ids", row["ids"]), row["matches"], row["seen"], row["reached"])


def _of_event(drive: Drive) -> tuple[Any, ...]:
    """Return what must fit of an event, as statements take it."""
    left, kinds = drive.left, drive.left.kinds
    record = None if left.record_id is None else what(left)
    if kinds is None:
        return None, None, None, left.schema, left.table, record, left.external_id, left.subject
    patterns = [f"{_escaped(family)}%" for family in kinds.families]
    return kinds.types, patterns, kinds.operations, left.schema, left.table, record, left.external_id, left.subject


def _of_delivery(left: Question) -> tuple[Any, ...]:
    """Return what must fit of a delivery, as statements take it."""
    has_status = bool(left.statuses or left.classes)
    return (
        asks_of_event(left),
        places(left),
        left.states or None,
        left.webhook_id,
        left.event_id,
        left.statuses if has_status else None,
        left.classes if has_status else None,
        left.failures or None,
    )


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


async def deliveries_by_id(connection: Connection, window: Window) -> Looked:
    """Look at deliveries of every group."""
    return await _run(connection, "deliveries_by_id", window, *_of_delivery(window.drive.left))


async def deliveries_by_webhook(connection: Connection, window: Window) -> Looked:
    """Look at a webhook's deliveries."""
    return await _run(connection, "deliveries_by_webhook", window, *_of_delivery(window.drive.left))


async def unsuccessful_by_webhook(connection: Connection, window: Window) -> Looked:
    """Look at a webhook's deliveries, of the finished ones at those that did not succeed."""
    return await _run(connection, "unsuccessful_by_webhook", window, *_of_delivery(window.drive.left))


async def unsuccessful_by_group(connection: Connection, window: Window) -> Looked:
    """Look at a group's deliveries that did not succeed, or not yet."""
    return await _run(connection, "unsuccessful_by_group", window, *_of_delivery(window.drive.left))


async def deliveries_by_kind(connection: Connection, window: Window) -> Looked:
    """Look at deliveries of events of some types."""
    return await _run(connection, "deliveries_by_kind", window, *_by_events(window, window.drive.kinds))


async def deliveries_by_about(connection: Connection, window: Window) -> Looked:
    """Look at deliveries of events about one thing."""
    return await _run(connection, "deliveries_by_about", window, *_by_events(window, window.drive.about))


def _by_events(window: Window, found_by: Any) -> tuple[Any, ...]:
    drive, events = window.drive, window.span.milliseconds()
    return *_of_delivery(drive.left), found_by, events.low, events.high, drive.exact_ids_from, window.found


async def events_by_id(connection: Connection, window: Window) -> Looked:
    """Look at events of every group."""
    return await _run(connection, "events_by_id", window, window.drive.left.unwanted)


async def events_by_kind(connection: Connection, window: Window) -> Looked:
    """Look at a group's events of some types."""
    return await _run(connection, "events_by_kind", window, window.drive.left.unwanted, window.drive.kinds)


async def events_by_about(connection: Connection, window: Window) -> Looked:
    """Look at a group's events about one thing."""
    return await _run(connection, "events_by_about", window, window.drive.left.unwanted, window.drive.about)


LOOKS: Final[dict[str, Callable[[Connection, Window], Awaitable[Looked]]]] = {
    look.__name__: look
    for look in (
        deliveries_by_id,
        deliveries_by_webhook,
        unsuccessful_by_webhook,
        unsuccessful_by_group,
        deliveries_by_kind,
        deliveries_by_about,
        events_by_id,
        events_by_kind,
        events_by_about,
    )
}


async def containing(connection: Connection, event_ids: Sequence[UUID], text: str, max_bytes: int) -> list[tuple[UUID, bool]]:
    """Tell of events, in their order, whether a text stands in them, whatever the case of its letters.

    Returns:
        Fewer than were given when they are more bytes together, as they are stored; one at least.
    """
    pattern = f"%{_escaped(text)}%"
    rows = await connection.fetch(_SQL["containing"], event_ids, min(event_ids), max(event_ids), pattern, max_bytes)
    return [(row["id"], row["has_text"]) for row in rows]


async def events_about_any(connection: Connection, group_id: str, about: Sequence[int], limit: int) -> list[UUID]:
    """Return the newest events about any of some things, by their hashes (`core.event.about_hash`)."""
    return [row["id"] for row in await connection.fetch(_SQL["events_about_any"], group_id, list(about), limit)]


async def events(connection: Connection, group_id: str, ids: Sequence[UUID]) -> list[Any]:
    """Return those of the group's events with these ids that are there, as rows in the order of the ids."""
    return _in_order(ids, await connection.fetch(_SQL["events"], group_id, ids, min(ids), max(ids))) if ids else []


async def deliveries(connection: Connection, group_id: str, ids: Sequence[UUID]) -> list[Any]:
    """Return those of the group's deliveries with these ids that are there, as rows in the order of the ids."""
    return _in_order(ids, await connection.fetch(_SQL["deliveries"], group_id, ids, min(ids), max(ids))) if ids else []


def _in_order(ids: Sequence[UUID], rows: Sequence[Any]) -> list[Any]:
    by_id = {row["id"]: row for row in rows}
    return [by_id[id_] for id_ in ids if id_ in by_id]


async def attempts(connection: Connection, delivery_id: UUID) -> list[Any]:
    """Return the attempts of a delivery as rows, oldest first."""
    rows: list[Any] = await connection.fetch(_SQL["attempts"], delivery_id)
    return rows


async def kinds(connection: Connection, group_id: str, limit: int, *, family: str | None = None, ending: str = "") -> list[str]:
    """Return types that the group has events of, in order.

    Args:
        family: Only those that begin so, `order.`; `ending`: and end so.
    """
    pattern = None if family is None else f"{_escaped(family)}%{_escaped(ending)}"
    return [row["type"] for row in await connection.fetch(_SQL["kinds"], group_id, pattern, limit)]


async def known_types(connection: Connection, group_id: str, types: Sequence[str]) -> list[str]:
    """Return those of some types that the group has events of, or has in its catalogue."""
    return [row["type"] for row in await connection.fetch(_SQL["known_types"], group_id, list(types))]


async def is_kind(connection: Connection, group_id: str, type_: str) -> bool:
    """Tell whether the group has events of a type, or has it in its catalogue."""
    answer: bool = await connection.fetchval(_SQL["is_kind"], group_id, type_)
    return answer


async def share(connection: Connection, group_id: str) -> float:
    """Return which part of the newest events is the group's: 0 to 1."""
    part: float = await connection.fetchval(_SQL["share"], group_id)
    return part


async def group_of_webhook(connection: Connection, webhook_id: UUID) -> str | None:
    """Return whose a webhook is; None when there is none."""
    group_id: str | None = await connection.fetchval(_SQL["group_of_webhook"], webhook_id)
    return group_id


async def count_of_webhook(connection: Connection, webhook_id: UUID, span: Span, bound: int) -> int:
    """Return how many deliveries a webhook has that are finished or wait, of each place at most `bound`."""
    count: int = await connection.fetchval(_SQL["count_of_webhook"], webhook_id, span.low, span.high, bound)
    return count


async def count_finished_of_webhook(connection: Connection, webhook_id: UUID, span: Span, bound: int) -> tuple[int, int]:
    """Return how many deliveries of a webhook are finished, up to `2 * bound`, and how many failed, up to `bound`."""
    row = await connection.fetchrow(_SQL["count_finished_of_webhook"], webhook_id, span.low, span.high, bound)
    return row["finished"], row["unsuccessful"]


async def event_of_external_id(connection: Connection, group_id: str, external_id: str) -> UUID | None:
    """Return the event that was published under a publisher's id."""
    found: UUID | None = await connection.fetchval(_SQL["event_of_external_id"], group_id, external_id)
    return found
