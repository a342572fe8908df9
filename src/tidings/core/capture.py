"""How a table is captured: what its owner asked for, and the triggers that make it so.

A table without settings has one trigger, whatever the operations. Conditions stand in the trigger's WHEN, where PostgreSQL
decides on them before the row is captured: OLD and NEW are known there for some operations only, so each operation with a
condition has a trigger of its own, and a second one for rows whose condition cannot be evaluated.

Names are what people write; columns are what they mean. Settings are bound: each name that they have is kept with the number of
its column (pg_attribute.attnum), and `at_present` says what those columns are called now. What is left out stays left out
whatever it is called, and so does whatever bears its name: a column that was exchanged for another is the usual reason for two.
"""

from collections.abc import Mapping

import msgspec

from tidings.core.condition import Guard, guard_of, read_condition
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
        binding: Which columns of which table are meant; None: as somebody wrote them, not looked up yet.
        stop: Why nothing may be captured by them as the table is now, with the remedy.
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
    binding: "Binding | None" = None
    stop: str | None = None

    @property
    def name(self) -> TableName:
        """Schema and table."""
        return (self.table_schema, self.table_name)


class Binding(msgspec.Struct, frozen=True):
    """Which columns settings mean.

    Attributes:
        relation: The table's object id, which it keeps under any name.
        numbers: Name to number of those columns that there are.
        is_new: They were found by their names just now; it is not written down yet.
    """

    relation: int
    numbers: dict[str, int]
    is_new: bool = False


class Watch(msgspec.Struct, frozen=True):
    """A backfill under way, whose rows' changes the trigger notes."""

    backfill_id: str
    key_numbers: tuple[int, ...]


class Trigger(msgspec.Struct, frozen=True):
    """A trigger of ours on a table.

    Attributes:
        function: In schema tidings.
        arguments: Of the function. The condition is among them where there is one, so that two triggers with equal arguments
            are equal.
        guard: The function that evaluates its condition.
        bare: The condition as its owner wrote it, for PostgreSQL to be asked what it makes of it. It is not run.
    """

    name: str
    operations: tuple[str, ...]
    function: str
    arguments: tuple[str, ...] = ()
    condition: str | None = None
    guard: Guard | None = None
    bare: str | None = None


def check_settings(settings: TableSettings, columns: tuple[str, ...]) -> None:
    """Refuse settings that name columns the table does not have, or give two columns one name.

    Raises:
        InvalidInputError: With the field and the columns there are.
    """
    if unknown := sorted(set(settings.conditions) - set(OPERATIONS)):
        raise InvalidInputError("when", f"when has {unknown[0]!r}; its members are INSERT, UPDATE and DELETE.")
    for field, names in named_columns(settings).items():
        for name in names:
            if name not in columns:
                table = f"{settings.table_schema}.{settings.table_name}"
                raise InvalidInputError(
                    field, f"{field} names the column {name!r}; {table} has {', '.join(columns) or 'no columns'}."
                )
    sent = [settings.renamed_columns.get(name, name) for name in columns if name not in settings.excluded_columns]
    if twice := next((name for name in sent if sent.count(name) > 1), None):
        raise InvalidInputError("rename", f"rename gives two columns the name {twice!r}; each needs its own.")
    if settings.unknown_groups not in {"make", "ignore"}:
        raise InvalidInputError("unknown_groups", f"unknown_groups is {settings.unknown_groups!r}; write make or ignore.")


def named_columns(settings: TableSettings) -> dict[str, tuple[str, ...]]:
    """Return the columns that settings name, by field.

    Raises:
        InvalidInputError: A condition cannot be one.
    """
    conditions = [read_condition(text, operation) for operation, text in settings.conditions.items()]
    return {
        "group_by": (settings.group_column,) if settings.group_column is not None else (),
        "exclude": settings.excluded_columns,
        "rename": tuple(settings.renamed_columns),
        "changed": settings.changed_columns,
        "when": tuple(dict.fromkeys(column for condition in conditions for column in condition.columns)),
    }


# Names and numbers -----------------------------------------------------------------------------------------------------


def at_present(
    written: TableSettings, relation: int, columns: Mapping[str, int], bound_to: int | None, numbers: Mapping[str, int]
) -> TableSettings:
    """Return settings in the names that their columns have now, bound to the table as it is now.

    Args:
        relation: The table's object id.
        columns: Name to number of its columns.
        bound_to: The table that the settings were made for, or None.
        numbers: Each name that was written, to the number of its column there.
    """
    shown = ".".join(written.name)
    remedy = f"Write the settings of {shown} anew."
    try:
        named = named_columns(written)
    except InvalidInputError as error:
        return msgspec.structs.replace(written, stop=f"{error.message} {remedy}")
    wanted = tuple(dict.fromkeys(name for names in named.values() for name in names))
    is_same = bound_to == relation and all(name in numbers for name in wanted)
    meant = {name: numbers[name] if is_same else columns.get(name, 0) for name in wanted}
    names = {number: name for name, number in columns.items()}
    now = {name: names[number] for name, number in meant.items() if number in names}
    settings = _renamed(written, now, Binding(relation, {now[name]: meant[name] for name in now}, is_new=not is_same))
    # Of the same table, a column that is left out or renamed and is gone leaves nothing to do.
    needed = {"group_by", "changed", "when"} if is_same else set(named)
    for field in needed:
        for name in named[field]:
            if name not in now:
                gone = "which was dropped" if is_same else f"which {shown} as it is now does not have"
                return msgspec.structs.replace(settings, stop=f"{field} names the column {name!r}, {gone}. {remedy}")
    return settings


def left_out(settings: TableSettings) -> tuple[str, ...]:
    """Return the columns that events do not have: also one that has come to be called what another is told as."""
    targets = set(settings.renamed_columns.values()) - set(settings.renamed_columns)
    return (*settings.excluded_columns, *sorted(targets - set(settings.excluded_columns)))


def _renamed(written: TableSettings, now: Mapping[str, str], binding: Binding) -> TableSettings:
    """Return settings in the names of now. What is left out is so under its written name too, whichever column has that."""
    is_renamed = any(name != new for name, new in now.items())
    conditions = written.conditions
    if is_renamed:
        conditions = {op: read_condition(text, op).written(now) for op, text in written.conditions.items()}
    excluded = dict.fromkeys([*written.excluded_columns, *(now[name] for name in written.excluded_columns if name in now)])
    return msgspec.structs.replace(
        written,
        group_column=now.get(written.group_column, written.group_column) if written.group_column is not None else None,
        excluded_columns=tuple(excluded),
        renamed_columns={now[name]: new for name, new in written.renamed_columns.items() if name in now},
        changed_columns=tuple(now.get(name, name) for name in written.changed_columns),
        conditions=conditions,
        binding=binding,
    )


# Triggers --------------------------------------------------------------------------------------------------------------


def triggers_for(
    table: TableName,
    operations: frozenset[str],
    settings: TableSettings | None = None,
    watch: Watch | None = None,
    *,
    relation: int = 0,
    is_partitioned: bool = False,
) -> tuple[Trigger, ...]:
    """Return the triggers that capture these operations of a table.

    Args:
        relation: The table's object id.
        is_partitioned: Partitions carry copies of the trigger, which must be told the table's name.
    """
    if settings is None and watch is None:
        wanted = tuple(o for o in OPERATIONS if o in operations)
        return (Trigger(TRIGGER_NAME, wanted, "capture", table if is_partitioned else ()),)
    settings = settings or TableSettings(*table)
    if settings.stop is not None:
        return ()
    binding = settings.binding or Binding(relation, {})
    by_condition: dict[tuple[str | None, str | None], tuple[str, ...]] = {}
    for operation in OPERATIONS:
        if operation in operations or (operation == "UPDATE" and settings.group_column is not None):
            judged = (settings.conditions.get(operation), _difference(settings, operation, is_wanted=operation in operations))
            by_condition[judged] = (*by_condition.get(judged, ()), operation)
    return tuple(
        trigger
        for (condition, difference), ops in by_condition.items()
        for trigger in _shaped(settings, binding, watch, ops, condition, difference)
    )


def _shaped(
    settings: TableSettings,
    binding: Binding,
    watch: Watch | None,
    operations: tuple[str, ...],
    condition: str | None,
    difference: str | None,
) -> tuple[Trigger, ...]:
    numbers = {name: str(number) for name, number in binding.numbers.items()}
    renamed = {numbers[name]: new for name, new in settings.renamed_columns.items()}
    arguments = (
        settings.table_schema,
        settings.table_name,
        settings.unknown_groups,
        array_literal(settings.excluded_columns),
        array_literal(tuple(numbers[name] for name in settings.excluded_columns if name in numbers)),
        msgspec.json.encode(renamed).decode(),
        numbers[settings.group_column] if settings.group_column is not None else "",
        watch.backfill_id if watch else "",
        array_literal(tuple(map(str, watch.key_numbers)) if watch else ()),
        str(binding.relation),
    )
    own_name = "_".join((TRIGGER_NAME, *operations)).lower()
    if condition is None:
        name = TRIGGER_NAME if difference is None else own_name
        return (Trigger(name, operations, "capture_bound", (*arguments, difference or "", ""), difference),)
    read = read_condition(condition, operations[0])
    guard = guard_of(read)
    certain, unsure = (_all_of(difference, call) for call in (guard.call, f"{guard.call} is null"))
    return (
        Trigger(own_name, operations, "capture_bound", (*arguments, certain, ""), certain, guard, read.written()),
        Trigger(f"{own_name}_unsure", operations, "capture_bound", (*arguments, unsure, "unsure"), unsure, guard),
    )


def _all_of(*conditions: str | None) -> str:
    return " and ".join(condition for condition in conditions if condition is not None)


def _difference(settings: TableSettings, operation: str, *, is_wanted: bool) -> str | None:
    """Return which columns must differ for an UPDATE to be told, as a condition, or None.

    A row that passes to another group is told as a deletion and an insertion, so that is seen whenever anything is.
    """
    if operation != "UPDATE":
        return None
    compared = settings.changed_columns if is_wanted else ()
    if not compared and is_wanted:
        return None
    told = (*compared, settings.group_column) if settings.group_column is not None else compared
    return _differs(tuple(dict.fromkeys(name for name in told if name is not None)))


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
