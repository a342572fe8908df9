"""Events: every one that happened, also those nobody wanted, and what became of each."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tidings.core import trace
from tidings.core.event import row_id
from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.events import RecordedEvent
from tidings.operations.history.search import Asked, Found
from tidings.portal.views.deliveries import deliveries_table, looked_said
from tidings.portal.views.delivery import RecordView, record_view
from tidings.portal.views.lists import Column, Filter, FilterBar, Option, Pager, Row, Table, filter_bar, link, pager
from tidings.portal.views.questions import settled
from tidings.portal.views.small import Empty, Id, State, When, ident, state, when
from tidings.portal.views.text import Shown, count, visible

PATH = "/events"
TARGET = "events-found"
PAGE = 50  # rows
MAX_DELIVERIES = 50  # of an event in its page

_SOURCES = {
    "tables": "a table",
    "collections": "a collection",
    "cron": "a job",
    "integrations": "an integration",
    "publish": "published",
    "tidings": "Tidings itself",
}


class EventRow(msgspec.Struct, frozen=True):
    """The cells of an event in a list. `wanted`: None when webhooks wanted it, else the state that says nobody did."""

    at: When
    type: Shown
    about: Shown
    source: str
    external_id: Shown
    deliveries: str
    unwanted: State | None


class EventsView(msgspec.Struct, frozen=True, kw_only=True):
    """The list of events."""

    filters: FilterBar
    table: Table
    pager: Pager
    empty: Empty | None
    everything: str
    unwanted: str
    is_unwanted: bool


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `said`: what became of it, in a sentence."""

    id: Id
    type: Shown
    source: str
    about: Shown
    same: str
    external_id: Id | None
    trace: Id | None
    happened: When
    said: str
    unwanted: State | None
    explain: str
    capture_error: Shown
    kept: Shown
    record: RecordView
    deliveries: Table
    all_deliveries: str


def offered() -> list[Filter]:
    """Return the filters."""
    return [
        Filter("text", "Text in the payload", hint="3 characters or more"),
        Filter("type", "Event", hint="order.paid, order.*, INSERT"),
        Filter("table", "Table", hint="orders"),
        Filter("record_id", "Record id", hint="17"),
        Filter("external_id", "Your id", hint="as it was published"),
        Filter("wanted", "Wanted", "several", (Option("no", "by nobody"),)),
        Filter("subject", "Subject", hint="what it is about", is_minor=True),
        Filter("since", "From", hint="1h, 7d, 2026-11-21 14:00", is_minor=True),
        Filter("until", "To", hint="2026-11-21 15:00", is_minor=True),
    ]


def events_view(
    found: Found[RecordedEvent] | None, question: Asked | None, asked: Mapping[str, str], now: datetime, *, error: str = ""
) -> EventsView:
    """Return the page of what was found.

    Args:
        found: None: what was asked for could not be understood; `error` says why.
    """
    filters = {name: value for name, value in asked.items() if name != "cursor"}
    pages, empty, items = Pager(), None, [] if found is None else found.items
    if found is not None and question is not None:
        page, seal = found.result.page, found.result.seal
        newer, older = (None if cursor is None else seal.text(cursor) for cursor in (page.newer, page.older))
        said = looked_said(len(items), page.searched_to, "event", "events")
        pages = pager(PATH, settled(asked, question), newer=newer, older=older, said=said)
        empty = None if items else _empty(filters, pages)
    return EventsView(
        filters=filter_bar(PATH, TARGET, offered(), filters, error=error),
        table=events_table(items, now),
        pager=pages,
        empty=empty,
        everything=link(PATH, {**filters, "wanted": ""}),
        unwanted=link(PATH, {**filters, "wanted": "no"}),
        is_unwanted=filters.get("wanted") == "no",
    )


def events_table(items: Sequence[RecordedEvent], now: datetime) -> Table:
    """Return events as a table."""
    columns = (
        Column("Time"),
        Column("Event", "wide"),
        Column("About"),
        Column("From", is_minor=True),
        Column("Your id", is_minor=True),
        Column("Deliveries", "number"),
    )
    return Table("events", "Events, newest first", columns, tuple(_row(one, now) for one in items))


def _row(one: RecordedEvent, now: datetime) -> Row:
    type_ = visible(one.type, limit=100)
    cells = EventRow(
        when(one.occurred_at, now),
        type_,
        visible(about(one), limit=60),
        _SOURCES.get(one.source, visible(one.source, limit=30).plain),
        visible(one.external_id or "", limit=40),
        str(one.delivery_count),
        state("unwanted") if one.delivery_count == 0 else None,
    )
    return Row(str(one.id), f"{PATH}/{one.id}", type_.plain, cells)


def about(one: RecordedEvent) -> str:
    """Return what an event is about: `orders 17`, or what its publisher said."""
    if one.table is None:
        return one.subject or ""
    row = row_id(one.record if one.record is not None else one.old_record)
    return f"{one.table} {row}" if row is not None else one.table


def _empty(filters: Mapping[str, str], pages: Pager) -> Empty:
    if pages.older:
        return Empty("Nothing so far", pages.said, "Look further", pages.older, icon="search")
    if filters:
        return Empty("Nothing fits", "No event fits all that is asked.", "All events", PATH, icon="search")
    return Empty(
        "No events yet",
        "An event is a changed row of a table that a webhook names, a changed record of a collection, what you publish, a job "
        "that ran, or a notice of an integration.",
        "Sources",
        "/sources",
        'curl -X POST $URL/api/v1/events -H "Authorization: Bearer $KEY" -d \'{"type": "order.paid", "data": {}}\'',
        "zap",
    )


def event_view(one: RecordedEvent, deliveries: Sequence[Delivery], now: datetime) -> EventView:
    """Return the page of an event.

    Args:
        deliveries: The first of them.
    """
    said, found = about(one), trace.parse(one.traceparent)
    row = said.partition(" ")[2] if one.table is not None else ""
    same = link(PATH, {"table": one.table or "", "record_id": row}) if row else ""
    if not same and one.table is None and one.subject:
        same = link(PATH, {"subject": one.subject})
    return EventView(
        id=ident(one.id),
        type=visible(one.type, limit=120),
        source=_SOURCES.get(one.source, visible(one.source, limit=30).plain),
        about=visible(said, limit=100),
        same=same,
        external_id=None if one.external_id is None else ident(one.external_id),
        trace=None if found is None else ident(f"{found.trace_id:032x}"),
        happened=when(one.occurred_at, now),
        said=_wanted(one.delivery_count),
        unwanted=state("unwanted") if one.delivery_count == 0 else None,
        explain=f"{PATH}/{one.id}/explain",
        capture_error=visible(one.capture_error or "", limit=300),
        kept=visible(_kept(one), limit=1000),
        record=record_view(one.record, one.old_record, f"{PATH}/{one.id}"),
        deliveries=deliveries_table(deliveries, now),
        all_deliveries=link("/deliveries", {"event_id": str(one.id)}) if one.delivery_count > len(deliveries) else "",
    )


def _kept(one: RecordedEvent) -> str:
    """Return what is not kept of an event, as a sentence; empty: everything is."""
    if one.payload_gone == "erasure":
        return "Its payload was erased."
    if one.payload_gone is not None:
        return "Its payload is past the time that payloads are kept."
    return f"Redaction rules keep part of it from being kept: {', '.join(one.redacted)}." if one.redacted else ""


def _wanted(number: int) -> str:
    if number == 0:
        return "No webhook wanted it when it happened. Explain tells for each which condition did not match."
    return f"{count(number, 'webhook')} wanted it when it happened."
