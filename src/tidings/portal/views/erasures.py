"""Erasures as pages show them: the list with its form, and one with its report."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tidings.core.erasure import MAX_VALUE, PLACES, STAGES, Erasure
from tidings.portal.views import small
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Id, Progress, State, When, ident, progress, when
from tidings.portal.views.text import Shown, number, visible

PATH = "/settings/erasures"
_STATES = {"waiting": "pending"}


class ErasureRow(msgspec.Struct, frozen=True):
    """An erasure in the list."""

    state: State
    subject: str
    field: Shown
    is_dry_run: bool
    begun: When
    erased: str


class ErasuresView(msgspec.Struct, frozen=True):
    """The erasures of a group, and the form that begins one."""

    sections: tuple[Section, ...]
    fields: tuple[Field, ...]
    error: str
    table: Table
    pager: Pager


class PlaceRow(msgspec.Struct, frozen=True):
    """A place of a report."""

    name: str
    found: str
    erased: str


class ErasureView(msgspec.Struct, frozen=True):
    """One erasure. `said`: what it waits for, or why it failed."""

    sections: tuple[Section, ...]
    id: Id
    path: str
    row: ErasureRow
    hash: str
    pending: str
    until: When
    ended: When | None
    progress: Progress
    places: tuple[PlaceRow, ...]
    said: Shown
    is_open: bool


def erasures_view(
    found: Sequence[Erasure],
    pager: Pager,
    now: datetime,
    *,
    written: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> ErasuresView:
    """Return the list and the form."""
    columns = (
        Column("State"),
        Column("Subject", "wide"),
        Column("Field", is_minor=True),
        Column("Begun"),
        Column("Erased", "number"),
    )
    rows = tuple(Row(str(one.id), f"{PATH}/{one.id}", f"erasure {one.id}", _row(one, now)) for one in found)
    wrong = dict(errors or {})
    fields = _fields(written or {}, wrong)
    known = {field.name for field in fields}
    return ErasuresView(
        sections(SETTINGS, PATH),
        fields,
        " ".join(text for name, text in wrong.items() if name not in known),
        Table("erasures", "Erasures", columns, rows),
        pager,
    )


def _row(one: Erasure, now: datetime) -> ErasureRow:
    counts = one.report.values()
    return ErasureRow(
        small.state(_STATES.get(one.state, one.state)),
        one.subject_hash.hex()[:16],
        visible(one.path or "anywhere", limit=100),
        one.dry_run,
        when(one.created_at, now),
        number(sum(count.found if one.dry_run else count.erased for count in counts)),
    )


def _fields(written: Mapping[str, str], wrong: Mapping[str, str]) -> tuple[Field, ...]:
    pending = written.get("pending", "finish")
    options = (
        Option("finish", "deliver it first, then erase", pending == "finish"),
        Option("cancel", "do not send it any more", pending == "cancel"),
    )
    return (
        Field("value", "Whose data", value=written.get("value", ""), error=wrong.get("value", ""), is_required=True,
              max_length=MAX_VALUE, hint="A value such as 42, or a text such as an address."),
        Field("field", "In the field", value=written.get("field", ""), error=wrong.get("field", ""), is_code=True,
              when_empty="empty: anywhere", hint="The path at which the value stands in payloads, such as customer.id."),
        Field("pending", "Not delivered yet", "choice", options=options, error=wrong.get("pending", ""), is_required=True),
        Field("dry_run", "Only count", "check", value=written.get("dry_run", "" if written else "true")),
    )  # fmt: skip


def erasure_view(one: Erasure, now: datetime) -> ErasureView:
    """Return one erasure with its report."""
    places = tuple(
        PlaceRow(said, number(count.found), number(count.erased))
        for place, said in PLACES.items()
        if (count := one.report.get(place)) is not None
    )
    behind = len(STAGES) if one.progress == 1 else STAGES.index(one.stage)
    return ErasureView(
        sections(SETTINGS, PATH),
        ident(one.id),
        f"{PATH}/{one.id}",
        _row(one, now),
        one.subject_hash.hex(),
        one.pending.value,
        when(one.until, now),
        None if one.finished_at is None else when(one.finished_at, now),
        progress("Stages that are looked through", behind, len(STAGES)),
        places,
        visible(one.error or "", limit=1000),
        one.is_open,
    )
