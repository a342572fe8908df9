"""Tables as pages show them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tidings.core.capture import TableSettings
from tidings.core.table_name import short_name
from tidings.operations.sources.backfills import Backfill
from tidings.operations.sources.captures import Capture, CaptureDetail
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table, link
from tidings.portal.views.sections import NEW, SOURCES, Section, sections
from tidings.portal.views.small import Empty, Id, Progress, State, When, ident, progress, state, when
from tidings.portal.views.text import Shown, count, sendable, visible

PATH = "/sources/tables"
_SHOWN_HEARERS = 3
_OPERATIONS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
_BACKFILL_STATES = {"finished": "done"}


class HearerView(msgspec.Struct, frozen=True):
    """A webhook that hears of a table."""

    name: Shown
    href: str
    operations: str


class BackfillRow(msgspec.Struct, frozen=True):
    """A backfill: how far it is, and why it does not go on."""

    id: Id
    state: State
    progress: Progress
    webhook: Id
    began: When
    ended: When | None
    skipped: str
    fault: Shown | None
    is_running: bool


class CaptureRow(msgspec.Struct, frozen=True):
    """A table of the list."""

    name: Shown
    state: State
    reason: Shown | None
    operations: str
    how: str
    hearers: tuple[HearerView, ...]
    more: bool
    backfill: BackfillRow | None


class TablesView(msgspec.Struct, frozen=True):
    """The list of tables."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    empty: Empty | None


class TableView(msgspec.Struct, frozen=True):
    """A table.

    Attributes:
        settings: (word, texts): how it is captured.
        columns: (name, is left out, name in events, is part of the key).
        field: Which webhook a backfill is for; None: there is none that could take it.
        raw: The name as forms send it.
        why_not: Why no backfill can be begun.
        error: Why the one that was asked for cannot, where no field says it.
        edit: The form of how it is captured; empty: the table is not there.
        hear: The form of a webhook that hears of it.
        is_shaped: It has settings of its own.
        is_grouped: Which group a row's event is of, a column says.
    """

    sections: tuple[Section, ...]
    name: Shown
    raw: str
    state: State
    reason: Shown | None
    operations: str
    fault: Shown | None
    settings: tuple[tuple[str, tuple[Shown, ...]], ...]
    columns: tuple[tuple[Shown, bool, Shown | None, bool], ...]
    hearers: tuple[HearerView, ...]
    field: Field | None
    why_not: str
    error: str
    backfills: Table
    edit: str
    hear: str
    is_shaped: bool
    is_grouped: bool


def tables_view(found: Sequence[Capture], pager: Pager, now: datetime) -> TablesView:
    """Return the list of tables."""
    columns = (
        Column("Table", "wide"),
        Column("State"),
        Column("Told", is_minor=True),
        Column("Webhooks", is_minor=True),
        Column("Backfill", is_minor=True),
    )
    rows = tuple(_row(one, now) for one in found)
    empty = None if rows else Empty(
        "No table is captured",
        "A table is captured as soon as a webhook names it, and no longer than that. Nothing is changed in a table that nobody "
        "asks for.",
        "Capture a table", f"{NEW}/table",
        'curl -X POST $URL/api/v1/webhooks -H "Authorization: Bearer $KEY" '
        """-d '{"url": "https://…", "events": [{"table": "orders", "operations": ["INSERT", "UPDATE"]}]}'""", icon="database",
    )  # fmt: skip
    return TablesView(sections(SOURCES, PATH), Table("tables", "Tables", columns, rows), pager, empty)


def _row(one: Capture, now: datetime) -> Row:
    name = shown_name(one.settings)
    return Row(
        name,
        path_of(name),
        name,
        CaptureRow(
            visible(name, limit=130),
            _state(one),
            visible(one.settings.fault or one.reason or "") if one.settings.fault or one.reason else None,
            _told(one.operations),
            "by settings of its own" if one.is_shaped else "whole rows",
            _hearers(one)[:_SHOWN_HEARERS],
            len(one.hearers) > _SHOWN_HEARERS,
            backfill_row(one.backfill, now) if one.backfill and one.backfill.state == "running" else None,
        ),
    )


def table_view(found: CaptureDetail, now: datetime, *, error: str = "", chosen: str = "") -> TableView:
    """Return a table.

    Args:
        error: Why the backfill that was asked for cannot begin.
        chosen: The webhook that it was asked for.
    """
    one = found.capture
    name = shown_name(one.settings)
    able = [hearer for hearer in one.hearers if "INSERT" in hearer.operations]
    is_running = any(backfill.state == "running" for backfill in found.backfills)
    options = tuple(Option(str(h.id), visible(h.name, limit=80).plain, str(h.id) == chosen) for h in able)
    why_not = ""
    if is_running:
        why_not = "One is under way; a table has one at a time."
    elif not able:
        why_not = "No webhook of this group hears INSERTs of this table, which is what a backfill sends."
    field = Field(
        "webhook_id", "Webhook", "choice", options=options, error=error, is_required=True,
        hint="It gets every row there is now as an insertion, then their changes, without gap or overlap.",
    )  # fmt: skip
    return TableView(
        sections(SOURCES, PATH),
        visible(name, limit=130),
        sendable(name),
        _state(one),
        visible(one.reason) if one.reason else None,
        _told(one.operations),
        visible(one.settings.fault) if one.settings.fault else None,
        _settings(one.settings),
        _columns(found),
        _hearers(one),
        None if why_not else field,
        why_not,
        error if why_not else "",
        backfills_table(found.backfills, now),
        edit_path(name) if found.columns else "",
        link("/webhooks/new", {"table": name}),
        one.is_shaped,
        bool(one.settings.group_column),
    )


def _settings(own: TableSettings) -> tuple[tuple[str, tuple[Shown, ...]], ...]:
    said: list[tuple[str, tuple[Shown, ...]]] = []
    if own.group_column:
        unknown = {"make": "made on first sight", "ignore": "ignored"}.get(own.unknown_groups, own.unknown_groups)
        said.append(("Group by", (visible(own.group_column),)))
        said.append(("Unknown groups", (visible(unknown),)))
    else:
        said.append(("Group", (visible("default, all rows"),)))
    if own.excluded_columns:
        said.append(("Excluded columns", tuple(map(visible, own.excluded_columns))))
    if own.renamed_columns:
        said.append(("Renamed", tuple(visible(f"{old} → {new}") for old, new in own.renamed_columns.items())))
    if own.changed_columns:
        said.append(("Updates count when", tuple(visible(f"{name} changed") for name in own.changed_columns)))
    for operation, condition in own.conditions.items():
        said.append((f"{operation} only when", (visible(condition, limit=500),)))
    return tuple(said)


def _columns(found: CaptureDetail) -> tuple[tuple[Shown, bool, Shown | None, bool], ...]:
    own = found.capture.settings
    return tuple(
        (
            visible(column.name),
            column.name in own.excluded_columns,
            visible(own.renamed_columns[column.name]) if column.name in own.renamed_columns else None,
            column.is_key,
        )
        for column in found.columns
    )


def backfills_table(found: Sequence[Backfill], now: datetime) -> Table:
    """Return backfills as a table."""
    columns = (
        Column("State"),
        Column("Progress", "wide"),
        Column("Webhook", is_minor=True),
        Column("Began"),
        Column("Ended", is_minor=True),
        Column("Cancel", "action"),
    )
    rows = tuple(Row(str(one.id), "", f"backfill {one.id}", backfill_row(one, now)) for one in found)
    return Table("backfills", "Backfills", columns, rows)


def backfill_row(one: Backfill, now: datetime) -> BackfillRow:
    """Return how far a backfill is. PostgreSQL's guess at a table can be too small; then nobody knows how much is left."""
    done = one.row_count + one.skipped_count
    whole = max(one.estimated_rows, done) if one.estimated_rows > done or one.state == "finished" else None
    return BackfillRow(
        ident(one.id),
        state(_BACKFILL_STATES.get(one.state, one.state)),
        progress("rows", done, done if one.state == "finished" else whole),
        ident(one.webhook_id, f"/webhooks/{one.webhook_id}"),
        when(one.created_at, now),
        when(one.finished_at, now) if one.finished_at else None,
        f"{count(one.skipped_count, 'row')} left to events of their own" if one.skipped_count else "",
        visible(one.error) if one.error and one.state == "running" else None,
        one.state == "running",
    )


def shown_name(settings: TableSettings) -> str:
    """Return a table's name as people write it."""
    return short_name(*settings.name)


def path_of(name: str) -> str:
    """Return the page of a table."""
    return link(f"{PATH}/table", {"name": name})


def edit_path(name: str) -> str:
    """Return the form of how a table is captured."""
    return link(f"{PATH}/table/edit", {"name": name})


def _state(one: Capture) -> State:
    if one.settings.fault:
        return State("bad", "circle-alert", "settings unreadable")
    return {
        "waiting": State("warn", "clock", "not yet captured"),
        "disabled": State("bad", "circle-alert", "trigger disabled"),
        "missing": State("bad", "circle-alert", "no such table"),
        "stopped": State("bad", "circle-alert", "capture stopped"),
        "left": State("bad", "circle-alert", "trigger left behind"),
        "unwanted": State("quiet", "circle-dashed", "not captured"),
    }.get(one.state) or state(one.state)


def _told(operations: Sequence[str]) -> str:
    return ", ".join(said for operation, said in _OPERATIONS.items() if operation in operations)


def _hearers(one: Capture) -> tuple[HearerView, ...]:
    return tuple(HearerView(visible(h.name, limit=60), f"/webhooks/{h.id}", _told(h.operations)) for h in one.hearers)
