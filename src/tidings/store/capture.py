"""Triggers on the user's tables, and the settings they follow from."""

from collections.abc import Collection
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.capture import TableName, TableSettings, Trigger
from tidings.core.errors import BusyError, InvalidInputError
from tidings.store.database import UNAVAILABLE, Connection
from tidings.store.statements import load

_SQL = load("capture")
Operation = Literal["INSERT", "UPDATE", "DELETE"]
_BITS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16}
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_OWN_SCHEMAS = {"tidings": "Tidings itself", "pg_catalog": "PostgreSQL", "information_schema": "PostgreSQL"}


class FoundTable(msgspec.Struct, frozen=True):
    """What a name stands for. `refusal` tells why it cannot be captured, or is None."""

    name: TableName
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


class Column(msgspec.Struct, frozen=True):
    """A column of a table."""

    name: str
    is_key: bool


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
    return FoundTable(name, row["kind"] == "p", refusal)


async def known_tables(connection: Connection, limit: int) -> list[TableName]:
    """Return tables that can be captured, those in `public` first, so many at most."""
    return [(row["schema_name"], row["table_name"]) for row in await connection.fetch(_SQL["known_tables"], limit)]


async def columns(connection: Connection, table: TableName) -> list[Column]:
    """Return the columns of a table that exists, in their order."""
    return [Column(row["name"], row["is_key"]) for row in await connection.fetch(_SQL["columns"], *table)]


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
        InvalidInputError: Our role may not make triggers on it, or the condition is not one.
    """
    if trigger.condition is not None:
        check = await connection.fetchval(_SQL["check_condition"], *table, trigger.condition)
        await _alter(connection, check, table, only_prepare=True)
    operations = " OR ".join(trigger.operations)
    statement = await connection.fetchval(
        _SQL["install"], *table, trigger.name, operations, trigger.condition, trigger.function, trigger.arguments
    )
    await _alter(connection, statement, table)


async def remove(connection: Connection, table: TableName, trigger: str) -> None:
    """Take a trigger away.

    Raises:
        BusyError: The table is locked by someone else's long transaction.
    """
    await _alter(connection, await connection.fetchval(_SQL["remove"], *table, trigger), table)


async def _alter(connection: Connection, statement: str, table: TableName, *, only_prepare: bool = False) -> None:
    """Run one statement that PostgreSQL has formatted; prepared, so that it can be no more than one."""
    shown = ".".join(table)
    try:
        prepared = await connection.prepare(statement)
        if not only_prepare:
            await prepared.fetch()
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise BusyError(
            f"Table {shown} is locked by another transaction, and waiting for it would hold up its writers. Try again."
        ) from error
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise InvalidInputError("events", f"Table {shown} has just been dropped.") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise InvalidInputError(
            "events", f"The database role may not put a trigger on {shown}. Run GRANT TRIGGER ON {shown} for it."
        ) from error
    except (asyncpg.SyntaxOrAccessError, asyncpg.InvalidTextRepresentationError, asyncpg.FeatureNotSupportedError) as error:
        raise InvalidInputError("when", f"A condition on {shown} cannot be used: {error}.") from error
    except UNAVAILABLE:
        raise
    except asyncpg.PostgresError as error:  # of this table's own; the others go on
        raise InvalidInputError("events", f"PostgreSQL refuses a trigger on {shown}: {error}.") from error


async def settings_of(connection: Connection, names: Collection[TableName]) -> dict[TableName, TableSettings]:
    """Return the settings of those of the tables that have some. Where they cannot be read, `fault` says why."""
    found = [_settings(row) for row in await connection.fetch(_SQL["settings"], *_split(names))]
    return {settings.name: settings for settings in found}


def _settings(row: Any) -> TableSettings:
    name = (row["table_schema"], row["table_name"])
    try:
        return TableSettings(
            *name,
            group_column=row["group_column"],
            unknown_groups=row["unknown_groups"],
            excluded_columns=msgspec.convert(row["excluded_columns"], tuple[str, ...]),
            renamed_columns=msgspec.json.decode(row["renamed_columns"], type=dict[str, str]),
            changed_columns=msgspec.convert(row["changed_columns"], tuple[str, ...]),
            conditions=msgspec.json.decode(row["conditions"], type=dict[Operation, str]),
        )
    except (msgspec.MsgspecError, RecursionError) as error:
        shown = ".".join(name)
        fault = f"The settings of {shown} cannot be read ({error}). Write them anew: PUT /api/v1/tables/{shown}."
        return TableSettings(*name, fault=fault)


async def put_settings(connection: Connection, settings: TableSettings) -> None:
    """Write the settings of a table."""
    await connection.execute(
        _SQL["put_settings"],
        *settings.name,
        settings.group_column,
        settings.unknown_groups,
        settings.excluded_columns,
        msgspec.json.encode(settings.renamed_columns).decode(),
        settings.changed_columns,
        msgspec.json.encode(settings.conditions).decode(),
    )


async def remove_settings(connection: Connection, table: TableName) -> bool:
    """Forget the settings of a table; whether there were some."""
    return await connection.fetchval(_SQL["remove_settings"], *table) is not None
