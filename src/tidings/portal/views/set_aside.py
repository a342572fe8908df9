"""What was set aside as pages show it: events, deliveries, and settings that cannot be read."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec

from tidings.operations.set_aside import SetAside
from tidings.portal.views.documents import Document, document
from tidings.portal.views.lists import Column, Pager, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, When, when
from tidings.portal.views.text import Shown, number, visible
from tidings.store.faults import Fault

PATH = "/settings/set-aside"


class SetAsideRow(msgspec.Struct, frozen=True):
    """An event that could not be routed."""

    number: str
    what: Shown
    group: Shown
    reason: Shown
    at: When


class FaultRow(msgspec.Struct, frozen=True):
    """A setting that cannot be read. `retry`: where a form has it read again."""

    kind: str
    name: Shown
    group: Shown
    reason: Shown
    retry: str


class FaultsView(msgspec.Struct, frozen=True):
    """Settings that cannot be read."""

    table: Table
    pager: Pager


class SetAsideView(msgspec.Struct, frozen=True):
    """What could be neither routed nor delivered, and settings that cannot be read."""

    sections: tuple[Section, ...]
    table: Table
    faults: FaultsView
    pager: Pager
    empty: Empty | None


class SetAsideDetail(msgspec.Struct, frozen=True):
    """One of them, with the row. `raw`: its number as forms send it."""

    sections: tuple[Section, ...]
    row: SetAsideRow
    raw: str
    document: Document


def set_aside_view(found: Sequence[SetAside], faults: FaultsView, pager: Pager, now: datetime) -> SetAsideView:
    """Return what could be neither routed nor delivered, and settings that cannot be read."""
    columns = (Column("Event", "wide"), Column("Why", "wide"), Column("Group", is_minor=True), Column("When"))
    rows = tuple(Row(str(one.number), f"{PATH}/{one.number}", f"number {one.number}", _set_aside(one, now)) for one in found)
    empty = None if rows or faults.table.rows else Empty(
        "Nothing is set aside",
        "What cannot go on holds up nobody else: an event that cannot be routed, a delivery that cannot be recorded, a setting "
        "that cannot be read. Each would be listed here with its reason. There is nothing to do.",
        icon="check",
    )  # fmt: skip
    table = Table("set-aside", "Events that were set aside", columns, rows)
    return SetAsideView(sections(SETTINGS, PATH), table, faults, pager, empty)


def set_aside_faults(settings: Sequence[Fault], pager: Pager) -> FaultsView:
    """Return settings that cannot be read."""
    columns = (Column("Setting", "wide"), Column("Why", "wide"), Column("Group", is_minor=True), Column("Read again", "action"))
    rows = tuple(
        Row(
            f"fault-{place}",
            "",
            f"{one.kind} {visible(one.name, limit=60).plain}",
            FaultRow(
                one.kind,
                visible(one.name, limit=120),
                visible(one.group_id or "–", limit=60),
                visible(one.reason, limit=1000),
                f"{PATH}/settings/{one.kind}/{quote(one.id, safe='')}/retry" if one.kind in {"webhook", "job"} else "",
            ),
        )
        for place, one in enumerate(settings)
    )
    return FaultsView(Table("faults", "Settings that cannot be read", columns, rows), pager)


def set_aside_detail(found: SetAside, now: datetime) -> SetAsideDetail:
    """Return an event that could not be routed, with its row."""
    return SetAsideDetail(
        sections(SETTINGS, PATH),
        _set_aside(found, now),
        str(found.number),
        document(found.row or '"It is too large to be shown."'),
    )


def _set_aside(one: SetAside, now: datetime) -> SetAsideRow:
    what = (
        ("delivery" if one.kind == "delivery" else f"flight from {one.source}" if one.kind == "flight" else "")
        or one.type
        or " ".join(part for part in (one.operation, one.schema, one.table) if part)
        or one.source
        or "nothing known"
    )
    return SetAsideRow(
        number(one.number),
        visible(what, limit=120),
        visible(one.group_id or "–", limit=60),
        visible(one.reason),
        when(one.at, now),
    )
