"""How a table is captured: what its owner asked for, and the triggers that make it so.

A table without settings has one trigger, whatever the operations. Conditions stand in the trigger's WHEN, where PostgreSQL
decides on them before any function is called: OLD and NEW are known there for some operations only, so each operation with a
condition has a trigger of its own.
"""

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.filters import OPERATIONS

TRIGGER_NAME = "tidings_capture"

TableName = tuple[str, str]  # schema, table


class TableSettings(msgspec.Struct, frozen=True):
    """How a table is captured, where that differs from whole rows into group `default`.

    Attributes:
        group_column: Each row's event belongs to the group that this column names.
        unknown_groups: `make` a group on first sight, or `ignore` rows of groups that do not exist.
        excluded_columns: Never written anywhere.
        renamed_columns: Column to the name it has in events.
        changed_columns: An UPDATE counts only when one of these changed; empty: any UPDATE.
        conditions: Operation to an SQL condition on NEW and OLD.
        fault: Why they cannot be read as they are stored, with the remedy. The other fields say nothing then.
    """

    table_schema: str
    table_name: str
    group_column: str | None = None
    unknown_groups: str = "make"
    excluded_columns: tuple[str, ...] = ()
    renamed_columns: dict[str, str] = {}
    changed_columns: tuple[str, ...] = ()
    conditions: dict[str, str] = {}
    fault: str | None = None

    @property
    def name(self) -> TableName:
        """Schema and table."""
        return (self.table_schema, self.table_name)


class Watch(msgspec.Struct, frozen=True):
    """A backfill under way, whose rows' changes the trigger notes."""

    backfill_id: str
    key_columns: tuple[str, ...]


class Trigger(msgspec.Struct, frozen=True):
    """A trigger of ours on a table.

    Attributes:
        function: In schema tidings.
        arguments: Of the function. The condition is among them where there is one, so that two triggers with equal arguments
            are equal.
    """

    name: str
    operations: tuple[str, ...]
    function: str
    arguments: tuple[str, ...] = ()
    condition: str | None = None


def check_settings(settings: TableSettings, columns: tuple[str, ...]) -> None:
    """Refuse settings that name columns the table does not have, or give two columns one name.

    Raises:
        InvalidInputError: With the field and the columns there are.
    """
    named = {
        "group_by": (settings.group_column,) if settings.group_column is not None else (),
        "exclude": settings.excluded_columns,
        "rename": tuple(settings.renamed_columns),
        "changed": settings.changed_columns,
    }
    for field, names in named.items():
        for name in names:
            if name not in columns:
                table = f"{settings.table_schema}.{settings.table_name}"
                raise InvalidInputError(
                    field, f"{field} names the column {name!r}; {table} has {', '.join(columns) or 'no columns'}."
                )
    sent = [settings.renamed_columns.get(name, name) for name in columns if name not in settings.excluded_columns]
    if twice := next((name for name in sent if sent.count(name) > 1), None):
        raise InvalidInputError("rename", f"rename gives two columns the name {twice!r}; each needs its own.")
    if unknown := sorted(set(settings.conditions) - set(OPERATIONS)):
        raise InvalidInputError("when", f"when has {unknown[0]!r}; its members are INSERT, UPDATE and DELETE.")
    if settings.unknown_groups not in {"make", "ignore"}:
        raise InvalidInputError("unknown_groups", f"unknown_groups is {settings.unknown_groups!r}; write make or ignore.")


def triggers_for(
    table: TableName,
    operations: frozenset[str],
    settings: TableSettings | None = None,
    watch: Watch | None = None,
    *,
    is_partitioned: bool = False,
) -> tuple[Trigger, ...]:
    """Return the triggers that capture these operations of a table.

    Args:
        is_partitioned: Partitions carry copies of the trigger, which must be told the table's name.
    """
    if settings is None and watch is None:
        wanted = tuple(o for o in OPERATIONS if o in operations)
        return (Trigger(TRIGGER_NAME, wanted, "capture", table if is_partitioned else ()),)
    settings = settings or TableSettings(*table)
    by_condition: dict[str | None, tuple[str, ...]] = {}
    for operation in OPERATIONS:
        if operation in operations or (operation == "UPDATE" and settings.group_column is not None):
            condition = _condition(settings, operation, is_wanted=operation in operations)
            by_condition[condition] = (*by_condition.get(condition, ()), operation)
    return tuple(_shaped(settings, watch, ops, condition) for condition, ops in by_condition.items())


def _shaped(settings: TableSettings, watch: Watch | None, operations: tuple[str, ...], condition: str | None) -> Trigger:
    arguments = (
        settings.table_schema,
        settings.table_name,
        settings.group_column or "",
        settings.unknown_groups,
        array_literal(settings.excluded_columns),
        msgspec.json.encode(settings.renamed_columns).decode(),
        watch.backfill_id if watch else "",
        array_literal(watch.key_columns if watch else ()),
        condition or "",
    )
    name = TRIGGER_NAME if condition is None else "_".join((TRIGGER_NAME, *operations)).lower()
    return Trigger(name, operations, "capture_shaped", arguments, condition)


def _condition(settings: TableSettings, operation: str, *, is_wanted: bool) -> str | None:
    """Return what must hold for an operation to be told, or None.

    A row that passes to another group is told as a deletion and an insertion, so that is seen whenever anything is.
    """
    parts = []
    if condition := settings.conditions.get(operation):
        parts.append(f"({condition}\n)")  # the line break ends a comment in it
    if operation == "UPDATE":
        compared = settings.changed_columns if is_wanted else ()
        if compared or not is_wanted:
            told = (*compared, settings.group_column) if settings.group_column is not None else compared
            parts.append(_differs(tuple(dict.fromkeys(name for name in told if name is not None))))
    return " and ".join(parts) or None


def _differs(columns: tuple[str, ...]) -> str:
    """Return a comparison that works for every type, json too: of the values' images."""
    new, old = (", ".join(f"{row}.{quoted(name)}" for name in columns) for row in ("new", "old"))
    return f"row({new})::record operator(pg_catalog.*<>) row({old})::record"


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def array_literal(items: tuple[str, ...]) -> str:
    """Return an array as PostgreSQL reads it from text."""
    return "{" + ",".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items) + "}"
