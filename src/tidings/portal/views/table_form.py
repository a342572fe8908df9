"""The form of how a table is captured: its columns as rows, and the conditions."""

from collections.abc import Mapping, Sequence

import msgspec

from tidings.core.capture import TableName, TableSettings
from tidings.core.errors import InvalidInputError, TidingsError
from tidings.core.filters import OPERATIONS
from tidings.operations.sources.captures import CaptureDetail
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.tables import shown_name
from tidings.portal.views.text import Shown, sendable, visible

MAX_TEXT = 10_000  # characters of a field that are read
MAX_COLUMNS = 1600  # PostgreSQL has no more
_EXAMPLES = {"INSERT": "new.status <> 'draft'", "UPDATE": "new.total > old.total", "DELETE": "old.total > 0"}
_VERBS = {"INSERT": "Inserted", "UPDATE": "Updated", "DELETE": "Deleted"}
_UNKNOWN = (("make", "make them on first sight"), ("ignore", "ignore their rows"))


class EnteredColumn(msgspec.Struct, frozen=True):
    """A column's row as it was typed."""

    name: str
    is_out: bool = False
    renamed: str = ""
    counts: bool = False


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """The form as it was typed. `when`: operation to its condition."""

    group_by: str = ""
    unknown_groups: str = "make"
    columns: tuple[EnteredColumn, ...] = ()
    when: dict[str, str] = {}


class ColumnView(msgspec.Struct, frozen=True):
    """A column's row. `place` is part of its fields' names; `raw`: the column's name as the form sends it back."""

    place: int
    raw: str
    name: Shown
    is_key: bool
    entered: EnteredColumn


class TableFormView(msgspec.Struct, frozen=True):
    """The form.

    Attributes:
        raw: The table's name as forms send it.
        fields: `group_by`, `unknown_groups`, and one for each operation's condition.
        columns_error: What is wrong with the columns' rows.
    """

    name: Shown
    raw: str
    cancel: str
    fields: dict[str, Field]
    whens: tuple[Field, ...]
    columns: tuple[ColumnView, ...]
    columns_error: str
    error: str


class ChoiceView(msgspec.Struct, frozen=True):
    """Which table is to be captured: one of those there are, or another by its name."""

    field: Field


def choice_view(tables: Sequence[TableName], *, typed: str = "", error: str = "") -> ChoiceView:
    """Return the question which table is to be captured."""
    names = tuple(shown_name(TableSettings(*name)) for name in tables)
    return ChoiceView(
        Field(
            "name", "Table", value=typed, is_required=True, is_code=True, error=error, max_length=200, placeholder="orders",
            options=tuple(Option(name, name) for name in names),
            hint="orders, or sales.orders outside public.",
        )
    )  # fmt: skip


def entered(form: Mapping[str, str]) -> Entered:
    """Return what was typed.

    Each row says which column it is of: the table's may be others by now, and what is left out must be what was ticked.
    """

    def raw(name: str) -> str:
        return form.get(name, "")[:MAX_TEXT].replace("\r\n", "\n")

    def text(name: str) -> str:
        return raw(name).strip()

    rows = tuple(
        EnteredColumn(
            raw(f"column-{place}"), bool(text(f"out-{place}")), text(f"rename-{place}"), bool(text(f"changed-{place}"))
        )
        for place in range(MAX_COLUMNS)
        if f"column-{place}" in form
    )
    when = {operation: said for operation in OPERATIONS if (said := text(f"when-{operation}"))}
    return Entered(group_by=text("group_by"), unknown_groups=text("unknown_groups") or "make", columns=rows, when=when)


def entered_of(found: CaptureDetail) -> Entered:
    """Return the form that says how a table is captured."""
    own = found.capture.settings
    rows = tuple(
        EnteredColumn(
            one.name, one.name in own.excluded_columns, own.renamed_columns.get(one.name, ""), one.name in own.changed_columns
        )
        for one in found.columns[:MAX_COLUMNS]
    )
    return Entered(group_by=own.group_column or "", unknown_groups=own.unknown_groups, columns=rows, when=dict(own.conditions))


def settings_of(form: Entered, name: TableName) -> TableSettings:
    """Return the settings that the form asks for.

    Raises:
        InvalidInputError: No column came with it, as of a form that was cut short.
    """
    if not form.columns:
        raise InvalidInputError("exclude", "The form did not come whole. Load the page again.")
    return TableSettings(
        *name,
        group_column=form.group_by or None,
        unknown_groups=form.unknown_groups,
        excluded_columns=tuple(one.name for one in form.columns if one.is_out),
        renamed_columns={one.name: one.renamed for one in form.columns if one.renamed and one.renamed != one.name},
        changed_columns=tuple(one.name for one in form.columns if one.counts),
        conditions=dict(form.when),
    )


_PLACES = {"exclude": "columns", "rename": "columns", "changed": "columns"}
_WHEN_HINT = "SQL on new and old. PostgreSQL checks it before anything is captured."


def form_view(found: CaptureDetail, form: Entered, cancel: str, *, error: TidingsError | None = None) -> TableFormView:
    """Return the form as it was typed, with what is wrong with it at its place."""
    where, said = "", error.message if error else ""
    if isinstance(error, InvalidInputError):
        where = _PLACES.get(error.field, error.field)
    names = [one.name for one in found.columns]
    by = form.group_by
    options = (("", "all rows to group default"), *((name, visible(name, limit=60).plain) for name in names))
    if by and by not in names:
        options = (*options, (by, visible(by, limit=60).plain))
    fields = {
        "group_by": Field(
            "group_by", "Group by", "choice", options=_options(options, by), error=said if where == "group_by" else "",
            hint="Each row's event belongs to the group that this column names: your customers' webhooks from your own table.",
        ),
        "unknown_groups": Field(
            "unknown_groups", "Groups that do not exist", "choice", options=_options(_UNKNOWN, form.unknown_groups),
            error=said if where == "unknown_groups" else "",
        ),
    }  # fmt: skip
    at_when = where.split(".")[0] == "when"
    whens = tuple(
        Field(
            f"when-{operation}", f"{_VERBS[operation]} only when", "area", value=form.when.get(operation, ""), is_code=True,
            hint=_WHEN_HINT if operation == OPERATIONS[0] else "", max_length=MAX_TEXT, placeholder=_EXAMPLES[operation],
            error=said if at_when and _is_at(where, said, form, operation) else "",
        )
        for operation in OPERATIONS
    )  # fmt: skip
    keys = {one.name for one in found.columns if one.is_key}
    columns = tuple(
        ColumnView(place, sendable(one.name), visible(one.name), one.name in keys, one)
        for place, one in enumerate(form.columns)
    )
    name = shown_name(found.capture.settings)
    is_placed = where in {*fields, "columns"} or any(one.error for one in whens)
    return TableFormView(
        visible(name, limit=130), name, cancel, fields, whens, columns, said if where == "columns" else "",
        "" if is_placed else said,
    )  # fmt: skip


def _is_at(where: str, said: str, form: Entered, operation: str) -> bool:
    """Whether an error of the conditions is this one's: the one that is named, else the first there is."""
    if "." in where:
        return where.endswith(f".{operation}")
    named = next((one for one in form.when if one in said), None)
    return operation == (named or next(iter(form.when), None))


def _options(every: Sequence[tuple[str, str]], chosen: str) -> tuple[Option, ...]:
    return tuple(Option(value, label, value == chosen) for value, label in every)
