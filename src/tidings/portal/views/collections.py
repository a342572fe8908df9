"""Collections and their records as pages show them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from tidings.core.collection import ID, PASSWORD, UPDATED, Field, all_fields
from tidings.operations.history.events import RecordedEvent
from tidings.portal.views.documents import Document, document
from tidings.portal.views.lists import Column, Filter, FilterBar, Pager, Row, Table, column, filter_bar, link
from tidings.portal.views.record_forms import RecordForm, members_of
from tidings.portal.views.sections import NEW, SOURCES, Section, sections
from tidings.portal.views.small import Empty, Id, When, ident, when
from tidings.portal.views.text import Shown, count, number, visible
from tidings.store.collections import Collection

PATH = "/sources/collections"
_MAKE = (
    'curl -X POST $URL/api/collections -H "Authorization: Bearer $KEY" '
    """-d '{"name": "posts", "schema": [{"name": "title", "type": "text"}]}'"""
)
_EACH = "Each record that is added, changed or deleted is an event."
FRESH = timedelta(seconds=15)  # for so long the page of a record that was changed looks for its event
SHOWN_FIELDS = 4  # of a record in a list


class CollectionRow(msgspec.Struct, frozen=True):
    """A collection of the list."""

    name: Shown
    kind: str
    fields: str
    triggers: str
    updated: When


class CollectionsView(msgspec.Struct, frozen=True):
    """The list of collections."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    empty: Empty | None


class FieldView(msgspec.Struct, frozen=True):
    """A field of a collection. `notes`: required, unique, what it may be."""

    name: Shown
    type: str
    notes: Shown


class RecordRow(msgspec.Struct, frozen=True):
    """A record of the list."""

    id: Id
    values: tuple[Shown, ...]
    updated: When | None


class CollectionView(msgspec.Struct, frozen=True):
    """A collection with a page of its records."""

    sections: tuple[Section, ...]
    name: Shown
    path: str
    kind: str
    fields: tuple[FieldView, ...]
    filters: FilterBar
    table: Table
    pager: Pager
    empty: Empty | None


class EventRow(msgspec.Struct, frozen=True):
    """An event of a record."""

    type: Shown
    at: When
    deliveries: str


class RecordView(msgspec.Struct, frozen=True):
    """A record to change, or to make.

    Attributes:
        id: Of the record; None: it is to be made.
        revision: When it was changed last: what somebody else changes meanwhile is not undone unknowingly.
        error: What is wrong that no field is to blame for.
        events: Its last ones; `more`: the page of all.
        is_fresh: It was changed just now: its event may still be on its way, so the page looks again.
    """

    sections: tuple[Section, ...]
    collection: Shown
    path: str
    id: Id | None
    revision: str
    form: RecordForm
    error: str = ""
    document: Document | None = None
    events: Table | None = None
    more: str = ""
    is_fresh: bool = False


def collections_view(found: Sequence[Collection], pager: Pager, now: datetime) -> CollectionsView:
    """Return the list of collections."""
    columns = (
        Column("Collection", "wide"),
        Column("Kind", is_minor=True),
        Column("Fields", "number"),
        Column("Triggers", "number"),
        Column("Changed", is_minor=True),
    )
    rows = tuple(
        Row(
            str(one.id),
            path_of(one.name),
            one.name,
            CollectionRow(
                visible(one.name), one.type, number(len(one.fields)), number(len(one.options.get("triggers") or ())),
                when(one.updated_at, now),
            ),
        )
        for one in found
    )  # fmt: skip
    empty = None if rows else Empty(
        "No collections",
        "A collection is a table that Tidings makes from fields: content items that are written here or by the API, each "
        "change an event.",
        "New collection",
        f"{NEW}/collection",
        _MAKE,
        "layers",
    )  # fmt: skip
    return CollectionsView(sections(SOURCES, PATH), Table("collections", "Collections", columns, rows), pager, empty)


def path_of(name: str) -> str:
    """Return the page of a collection."""
    return f"{PATH}/{quote(name, safe='')}"


def record_path(name: str, record_id: str) -> str:
    """Return the page of a record."""
    return f"{path_of(name)}/records/{quote(record_id, safe='')}"


def collection_view(
    found: Collection,
    records: Sequence[str],
    total: int,
    pager: Pager,
    now: datetime,
    asked: Mapping[str, str],
    *,
    error: str = "",
) -> CollectionView:
    """Return a collection with a page of its records.

    Args:
        asked: `where` and `sort`, as the address has them.
        error: What cannot be asked for.
    """
    path = path_of(found.name)
    shown = [field.name for field in found.fields][:SHOWN_FIELDS]
    columns = (
        Column("Record"),
        *(
            _column(field, path, asked, kind="text" if place else "wide", is_minor=place > 1)
            for place, field in enumerate(found.fields[:SHOWN_FIELDS])
        ),
        column("Changed", name=UPDATED, path=path, asked=asked, is_minor=True),
    )  # fmt: skip
    offered = (Filter("where", "Filter", hint='status = "active" && views > 10'),)
    empty = None
    if not records and not error:
        empty = (
            Empty("No record fits", "Take the filter away, or write another one.", "All records", path, icon="search")
            if asked.get("where")
            else Empty("No records yet", _EACH, "Add a record", f"{path}/add", _add_command(found), "layers")
        )  # fmt: skip
    rows = tuple(_record_row(found, text, shown, now) for text in records)
    return CollectionView(
        sections(SOURCES, PATH),
        visible(found.name),
        path,
        found.type,
        tuple(map(_field, all_fields(found.fields))),
        filter_bar(path, "records-part", offered, asked, error=error),
        Table("records", f"Records of {visible(found.name).plain}", columns, rows),
        msgspec.structs.replace(pager, said=count(total, "record")),
        empty,
    )  # fmt: skip


_EXAMPLES = {
    "number": "1",
    "bool": "true",
    "json": "{}",
    "date": '"2026-03-15"',
    "datetime": '"2026-03-15T12:00:00Z"',
    "email": '"ada@example.com"',
    "url": '"https://example.com"',
}


def _example(field: Field) -> str:
    """Return a value as JSON text; of a list the first that a shell takes as it is."""
    value = next((one for one in field.values if one.isascii() and one.isalnum()), "…")
    return _EXAMPLES.get(field.type, f'"{value}"')


def _add_command(found: Collection) -> str:
    """Return the command that adds a record with what is required."""
    wanted = [one for one in found.fields if one.required] or list(found.fields[:1])
    values = {one.name: _example(one) for one in wanted}
    if found.type == "auth":
        values[PASSWORD] = '"…"'
    data = ", ".join(f'"{name}": {value}' for name, value in values.items())
    path = f"/api/v1/collections/{quote(found.name, safe='')}/records"
    return f"""curl -X POST $URL{path} -H "Authorization: Bearer $KEY" -d '{{{data}}}'"""


def _column(field: Field, path: str, asked: Mapping[str, str], *, kind: str, is_minor: bool) -> Column:
    """Return the column of a field. Documents have no order, so none is offered."""
    label = visible(field.name, limit=30).plain
    if field.type == "json":
        return Column(label, kind, is_minor=is_minor)
    return column(label, name=field.name, path=path, asked=asked, kind=kind, is_minor=is_minor)


def _field(field: Field) -> FieldView:
    notes = [word for word, holds in (("required", field.required), ("unique", field.unique)) if holds]
    if field.values:
        notes.append(f"one of {', '.join(f'“{value}”' for value in field.values)}")
    if field.collection:
        notes.append(f"of {field.collection}")
    return FieldView(visible(field.name, limit=80), field.type, visible(", ".join(notes)))


def _record_row(found: Collection, text: str, shown: Sequence[str], now: datetime) -> Row:
    members = members_of(text)
    record_id = str(members.get(ID, ""))
    values = tuple(_value(members.get(name)) for name in shown)
    row = RecordRow(ident(record_id, record_path(found.name, record_id)), values, _time(members.get(UPDATED), now))
    return Row(record_id, record_path(found.name, record_id), f"record {visible(record_id, limit=40).plain}", row)


def _value(value: Any) -> Shown:
    if value is None:
        return visible("–")
    if isinstance(value, bool):
        return visible("yes" if value else "no")
    return visible(str(value), limit=80)


def _is_fresh(updated: Any, now: datetime) -> bool:
    at = datetime.fromisoformat(updated) if isinstance(updated, str) and _time(updated, now) else None
    return at is not None and now - at < FRESH


def _time(value: Any, now: datetime) -> When | None:
    try:
        return when(datetime.fromisoformat(value), now) if isinstance(value, str) else None
    except ValueError:
        return None


def record_view(
    found: Collection,
    form: RecordForm,
    *,
    record: str | None = None,
    revision: str = "",
    error: str = "",
    events: Sequence[RecordedEvent] = (),
    now: datetime,
) -> RecordView:
    """Return a record to change; without one, one to make."""
    path = path_of(found.name)
    if record is None:
        return RecordView(sections(SOURCES, PATH), visible(found.name), path, None, "", form, error)
    members = members_of(record)
    record_id = str(members.get(ID, ""))
    asked = {"table": f"{found.table_schema}.{found.name}", "record_id": record_id}
    return RecordView(
        sections(SOURCES, PATH),
        visible(found.name),
        path,
        ident(record_id),
        revision or str(members.get(UPDATED, "")),
        form,
        error,
        document(record),
        _events(events, now),
        link("/events", asked),
        _is_fresh(members.get(UPDATED), now),
    )


def _sent_to(number: int) -> str:
    return count(number, "webhook") if number else "nobody"


def _events(found: Sequence[RecordedEvent], now: datetime) -> Table:
    columns = (Column("Event", "wide"), Column("When"), Column("Sent to", is_minor=True))
    rows = tuple(
        Row(
            str(one.id),
            f"/events/{one.id}",
            one.type,
            EventRow(visible(one.type, limit=100), when(one.occurred_at, now), _sent_to(one.delivery_count)),
        )
        for one in found
    )
    return Table("record-events", "Its last events", columns, rows)
