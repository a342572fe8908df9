"""The form that says how a table is captured: its columns, its conditions, and whose each row is."""

from collections.abc import Mapping, Sequence

import msgspec

from tidings.core.capture import TableSettings
from tidings.core.errors import InvalidInputError
from tidings.core.webhook import OPERATIONS
from tidings.operations.sources.captures import CaptureDetail
from tidings.operations.sources.tables import name_of
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.sections import SOURCES, Section, sections
from tidings.portal.views.tables import path_of, shown_name
from tidings.portal.views.text import Shown, sendable, visible

MAX_COLUMNS = 1600  # that PostgreSQL lets a table have
MAX_TEXT = 20_000  # characters of a field that are read
_VERBS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
_EXAMPLES = {"INSERT": "new.status <> 'draft'", "UPDATE": "new.total > old.total", "DELETE": "old.total > 0"}


class ColumnRow(msgspec.Struct, frozen=True):
    """A column of the form. `renamed`: its name in events, where that is another."""

    name: str
    label: Shown
    is_left_out: bool
    counts: bool
    renamed: str


class CaptureForm(msgspec.Struct, frozen=True):
    """The form. `error`: what is wrong and belongs to no field; `columns_error`: with the columns."""

    sections: tuple[Section, ...]
    name: Shown
    raw: str
    path: str
    columns: tuple[ColumnRow, ...]
    fields: dict[str, Field]
    columns_error: str
    error: str


def capture_form(found: CaptureDetail, own: TableSettings, error: InvalidInputError | None = None) -> CaptureForm:
    """Return the form.

    Args:
        own: What it says: what holds, or what was typed.
        error: Why that cannot be.
    """
    name = shown_name(found.capture.settings)
    rows = tuple(
        ColumnRow(
            sendable(column.name),
            visible(column.name, limit=80),
            column.name in own.excluded_columns,
            column.name in own.changed_columns,
            own.renamed_columns.get(column.name, ""),
        )
        for column in found.columns[:MAX_COLUMNS]
    )
    said = "" if error is None else error.message
    wrong = "" if error is None else error.field.partition(".")[0]
    fields = _fields(own, rows)
    if wrong in fields:
        fields[wrong] = msgspec.structs.replace(fields[wrong], error=said)
    in_columns = wrong in {"exclude", "rename", "changed"}
    return CaptureForm(
        sections(SOURCES, "/sources/tables"),
        visible(name, limit=130),
        sendable(name),
        path_of(name),
        rows,
        fields,
        said if in_columns else "",
        "" if in_columns or wrong in fields else said,
    )


def _fields(own: TableSettings, rows: Sequence[ColumnRow]) -> dict[str, Field]:
    columns = tuple(Option(row.name, row.label.plain, row.name == own.group_column) for row in rows)
    unknown = (
        Option("make", "Made on first sight", own.unknown_groups == "make"),
        Option("ignore", "Rows of them are ignored", own.unknown_groups == "ignore"),
    )
    conditions = (
        Field(
            operation, f"{_VERBS[operation].capitalize()} only when", "area", own.conditions.get(operation, ""),
            "SQL on new and old, checked by PostgreSQL before anything is captured." if operation == OPERATIONS[0] else "",
            placeholder=_EXAMPLES[operation],
            is_code=True, max_length=MAX_TEXT,
        )
        for operation in OPERATIONS
    )  # fmt: skip
    fields = (
        Field(
            "group_by", "Group", "choice", own.group_column or "", "Each row's event is of the group that this column names.",
            options=(Option("", "default, all rows", own.group_column is None), *columns),
        ),
        Field("unknown_groups", "Groups that do not exist", "choice", own.unknown_groups, options=unknown),
        *conditions,
    )  # fmt: skip
    return {field.name: field for field in fields}


def settings_typed(name: str, fields: Mapping[str, Sequence[str]]) -> TableSettings:
    """Return what a form says of a table. Columns and their names in events come in the same order.

    Raises:
        InvalidInputError: They do not.
    """
    columns, renamed = fields.get("column", ())[:MAX_COLUMNS], fields.get("renamed", ())[:MAX_COLUMNS]
    if len(columns) != len(renamed):
        raise InvalidInputError("rename", "The form did not come whole. Load the page again.")
    schema, table = name_of(name)
    conditions = {operation: _first(fields, operation).strip() for operation in OPERATIONS}
    return TableSettings(
        schema,
        table,
        group_column=_first(fields, "group_by") or None,
        unknown_groups=_first(fields, "unknown_groups") or "make",
        excluded_columns=tuple(dict.fromkeys(fields.get("exclude", ())[:MAX_COLUMNS])),
        renamed_columns={
            old: new.strip() for old, new in zip(columns, renamed, strict=True) if new.strip() and new.strip() != old
        },
        changed_columns=tuple(dict.fromkeys(fields.get("changed", ())[:MAX_COLUMNS])),
        conditions={operation: condition for operation, condition in conditions.items() if condition},
    )


def _first(fields: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(fields.get(name, ())), "")[:MAX_TEXT].replace("\r\n", "\n")
