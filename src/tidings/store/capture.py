"""Triggers on the user's tables, and the settings they follow from."""

from collections.abc import Collection, Sequence
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.capture import TableName, TableSettings, Trigger, at_present, quoted
from tidings.core.errors import BusyError, InvalidInputError
from tidings.store import conditions, roles
from tidings.store.altering import run_on
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("capture")
Operation = Literal["INSERT", "UPDATE", "DELETE"]
_BITS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16}
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_OWN_SCHEMAS = {"tidings": "Tidings itself", "pg_catalog": "PostgreSQL", "information_schema": "PostgreSQL"}


class FoundTable(msgspec.Struct, frozen=True):
    """What a name stands for. `refusal` tells why it cannot be captured, or is None."""

    name: TableName
    relation: int
    is_partitioned: bool
    refusal: str | None


class Installed(msgspec.Struct, frozen=True):
    """A trigger of ours that is there."""

    trigger: str
    operations: frozenset[str]
    function: str
    arguments: tuple[str, ...]
    is_enabled: bool

    def is_as(self, wanted: Trigger) -> bool:
        """Tell whether it does what is wanted."""
        found = (self.trigger, self.operations, self.function, self.arguments)
        return found == (wanted.name, frozenset(wanted.operations), wanted.function, wanted.arguments)


class Hearer(msgspec.Struct, frozen=True):
    """A webhook that names a table, and what it wants of it."""

    id: UUID
    name: str
    operations: tuple[str, ...]


class Column(msgspec.Struct, frozen=True):
    """A column of a table. `number`: which it stays, whatever it is called."""

    name: str
    is_key: bool
    number: int


async def lock(connection: Connection) -> None:
    """Keep other processes from changing triggers until the transaction ends, and wait no longer than 2 s for any lock.

    Raises:
        BusyError: Another process holds it.
    """
    await connection.execute(_SQL["set_lock_timeout"])
    try:
        await connection.execute(_SQL["lock"])
    except asyncpg.LockNotAvailableError as error:
        raise BusyError("Another process is changing triggers. Try again.") from error


async def subscribed_tables(connection: Connection) -> list[TableName]:
    """Return every table that an enabled webhook names."""
    return [(row["table_schema"], row["table_name"]) for row in await connection.fetch(_SQL["subscribed_tables"])]


async def captured_tables(connection: Connection) -> list[TableName]:
    """Return every table that carries a trigger of ours."""
    return [(row["schema_name"], row["table_name"]) for row in await connection.fetch(_SQL["captured_tables"])]


async def tables_with_settings(connection: Connection) -> list[TableName]:
    """Return every table that is captured otherwise than whole."""
    return [(row["table_schema"], row["table_name"]) for row in await connection.fetch(_SQL["tables_with_settings"])]


async def subscribed_operations(
    connection: Connection, names: Collection[TableName], *, besides: UUID | None = None
) -> dict[TableName, frozenset[str]]:
    """Return those of the tables that enabled webhooks name, with all operations any of them wants.

    Args:
        besides: A webhook whose wishes do not count.
    """
    wanted: dict[TableName, frozenset[str]] = {}
    for row in await connection.fetch(_SQL["subscribed_operations"], *_split(names), besides):
        name = (row["table_schema"], row["table_name"])
        wanted[name] = wanted.get(name, frozenset()) | {row["operation"]}
    return wanted


async def hearers(
    connection: Connection, names: Collection[TableName], group_id: str, *, limit: int
) -> dict[TableName, list[Hearer]]:
    """Return those of the tables that webhooks of a group name, with so many of these."""
    found: dict[TableName, list[Hearer]] = {}
    for row in await connection.fetch(_SQL["hearers"], *_split(names), group_id, limit):
        hearer = Hearer(row["id"], row["name"], tuple(row["operations"]))
        found.setdefault((row["table_schema"], row["table_name"]), []).append(hearer)
    return found


async def hearers_of_all(connection: Connection, name: TableName, *, limit: int) -> list[str]:
    """Return the names of so many webhooks, of whatever group, that name a table."""
    return [row["name"] for row in await connection.fetch(_SQL["hearers_of_all"], *name, limit)]


def _split(names: Collection[TableName]) -> tuple[list[str], list[str]]:
    return [schema for schema, _ in names], [table for _, table in names]


async def find_tables(connection: Connection, names: Collection[TableName]) -> dict[TableName, FoundTable]:
    """Return those of the names that stand for something."""
    rows = await connection.fetch(_SQL["find_tables"], *_split(names))
    return {found.name: found for found in map(_found, rows)}


def _found(row: Any) -> FoundTable:
    name = (row["schema_name"], row["table_name"])
    shown = ".".join(name)
    refusal = None
    if row["kind"] in _KINDS:
        refusal = f"{shown} is {_KINDS[row['kind']]}, whose changes PostgreSQL does not tell; name its table."
    elif row["is_partition"]:
        refusal = f"{shown} is a partition; name the partitioned table it belongs to."
    elif row["is_collection"]:
        refusal = f'{shown} is a collection; write {{"collection": "{name[1]}"}}.'
    elif name[0] in _OWN_SCHEMAS:
        refusal = f"{shown} belongs to {_OWN_SCHEMAS[name[0]]}."
    return FoundTable(name, row["relation"], row["kind"] == "p", refusal)


async def known_tables(connection: Connection, limit: int) -> list[TableName]:
    """Return tables that can be captured, those in `public` first, so many at most."""
    return [(row["schema_name"], row["table_name"]) for row in await connection.fetch(_SQL["known_tables"], limit)]


async def columns(connection: Connection, table: TableName) -> list[Column]:
    """Return the columns of a table that exists, in their order."""
    return [Column(row["name"], row["is_key"], row["number"]) for row in await connection.fetch(_SQL["columns"], *table)]


async def offered_tables(connection: Connection, limit: int, columns: int) -> list[tuple[TableName, tuple[str, ...]]]:
    """Return tables whose changes can be told of, in order, each with its first columns."""
    rows = await connection.fetch(_SQL["offered_tables"], limit, columns)
    return [((row["schema_name"], row["table_name"]), tuple(row["columns"])) for row in rows]


async def installed(connection: Connection, names: Collection[TableName]) -> dict[TableName, list[Installed]]:
    """Return those of the tables that carry triggers of ours, with these."""
    found: dict[TableName, list[Installed]] = {}
    for row in await connection.fetch(_SQL["installed"], *_split(names)):
        operations = frozenset(op for op, bit in _BITS.items() if row["operation_bits"] & bit)
        arguments = tuple(argument.decode() for argument in row["arguments"].split(b"\x00")[:-1])
        trigger = Installed(row["trigger_name"], operations, row["function_name"], arguments, row["is_enabled"])
        found.setdefault((row["schema_name"], row["table_name"]), []).append(trigger)
    return found


async def install(connection: Connection, table: TableName, trigger: Trigger) -> None:
    """Put a trigger on a table, or alter the one of that name.

    Raises:
        BusyError: The table is locked by someone else's long transaction.
        InvalidInputError: Our role may not make triggers on it, or its condition is not one, or may do more than look.
    """
    operations = " OR ".join(trigger.operations)
    if lacking := await roles.missing_on(connection, [table], ["trigger"]):
        raise InvalidInputError("events", forbidden(table, lacking))
    if trigger.bare is not None:
        await conditions.judge_condition(connection, table, operations, trigger.bare)
    if trigger.guard is not None:
        await conditions.make_guard(connection, trigger.guard)
    statement = await connection.fetchval(
        _SQL["install"], *table, trigger.name, operations, trigger.condition, trigger.function, trigger.arguments
    )
    await run_on(connection, statement, table)


async def remove(connection: Connection, table: TableName, trigger: str) -> None:
    """Take a trigger away.

    Raises:
        BusyError: The table is locked by someone else's long transaction.
        InvalidInputError: Our role neither owns the table nor may make triggers on it.
    """
    if await connection.fetchval(_SQL["may_drop"], *table) is not False:
        await run_on(connection, await connection.fetchval(_SQL["remove"], *table, trigger), table)
        return
    if lacking := await roles.missing_on(connection, [table], ["trigger"]):
        raise InvalidInputError("events", left_behind(table, trigger, lacking))
    function = await connection.fetchval(_SQL["make_leaving"])
    await run_on(connection, await connection.fetchval(_SQL["leave"], *table, trigger, function), table)
    try:
        await connection.execute(_SQL["drop_leaving"], function)
    except asyncpg.LockNotAvailableError as error:
        raise BusyError(f"Table {'.'.join(table)} is locked by another transaction. Try again.") from error


def forbidden(table: TableName, lacking: Sequence[roles.Lacking]) -> str:
    """Return the sentence that tells that our role may not capture a table, with what it needs."""
    return (
        f"The database role may not put a trigger on {'.'.join(table)}. As {lacking[0].owner}, or as an administrator, run: "
        f"{roles.sentence_of([one.statement for one in lacking])}"
    )


def left_behind(table: TableName, trigger: str, lacking: Sequence[roles.Lacking]) -> str:
    """Return the sentence that tells that a trigger stays where nobody wants it, and how it goes."""
    return (
        f"The trigger {trigger} on {'.'.join(table)} is wanted by no webhook, and our role may not take it away. As "
        f"{lacking[0].owner} run: "
        f"DROP TRIGGER {quoted(trigger)} ON {quoted(table[0])}.{quoted(table[1])}; or let our role do it: "
        f"{roles.sentence_of([one.statement for one in lacking])}"
    )


async def settings_of(connection: Connection, names: Collection[TableName]) -> dict[TableName, TableSettings]:
    """Return the settings of those of the tables that have some, in the names that their columns have now.

    Where they cannot be read, `fault` says why; where nothing may be captured by them as the table is now, `stop`. A table that
    settings were made for when it was called otherwise has nothing but that.
    """
    found = [_settings(row) for row in await connection.fetch(_SQL["settings"], *_split(names))]
    return {settings.name: settings for settings in found}


def _settings(row: Any) -> TableSettings:
    name = (row["table_schema"], row["table_name"])
    shown = ".".join(name)
    is_new = row["bound_to"] != row["relation"]
    if row["claimed_by"] is not None and is_new:
        was = row["claimed_by"]
        stop = f"The table was {was} when settings were made for that. Write settings for {shown}, with what is left out now."
        return TableSettings(*name, stop=stop)
    try:
        written = TableSettings(
            *name,
            group_column=row["group_column"],
            unknown_groups=row["unknown_groups"],
            excluded_columns=msgspec.convert(row["excluded_columns"], tuple[str, ...]),
            renamed_columns=msgspec.json.decode(row["renamed_columns"], type=dict[str, str]),
            changed_columns=msgspec.convert(row["changed_columns"], tuple[str, ...]),
            conditions=msgspec.json.decode(row["conditions"], type=dict[Operation, str]),
        )
        numbers = msgspec.json.decode(row["column_numbers"] or "{}", type=dict[str, int])
    except (msgspec.MsgspecError, RecursionError) as error:
        fault = f"The settings of {shown} cannot be read ({error}). Write them anew."
        return TableSettings(*name, fault=fault)
    if row["relation"] is None:  # there is no such table now
        return written
    columns = msgspec.json.decode(row["columns"] or "{}", type=dict[str, int])
    return at_present(written, row["relation"], columns, row["bound_to"], numbers)


async def put_settings(connection: Connection, settings: TableSettings, relation: int, numbers: dict[str, int]) -> None:
    """Write the settings of a table.

    Args:
        numbers: Each name in them, to the number of its column.
    """
    await connection.execute(
        _SQL["put_settings"],
        *settings.name,
        settings.group_column,
        settings.unknown_groups,
        settings.excluded_columns,
        msgspec.json.encode(settings.renamed_columns).decode(),
        settings.changed_columns,
        msgspec.json.encode(settings.conditions).decode(),
        relation,
        msgspec.json.encode(numbers).decode(),
    )


async def bind(connection: Connection, settings: TableSettings) -> None:
    """Write down which columns settings mean, when they were looked up by their names."""
    if settings.binding is not None:
        numbers = msgspec.json.encode(settings.binding.numbers).decode()
        await connection.execute(_SQL["bind_settings"], *settings.name, settings.binding.relation, numbers)


async def capture_errors(connection: Connection, names: Collection[TableName]) -> dict[TableName, str]:
    """Return what went wrong last, yesterday or today, with a row of those of the tables that it did with."""
    rows = await connection.fetch(_SQL["capture_errors"], *_split(names))
    return {(row["table_schema"], row["table_name"]): row["capture_error"] for row in rows}


async def remove_settings(connection: Connection, table: TableName) -> bool:
    """Forget the settings of a table; whether there were some."""
    return await connection.fetchval(_SQL["remove_settings"], *table) is not None
