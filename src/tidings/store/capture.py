"""Triggers on the user's tables: which there are, and putting them there and away."""

from typing import Any

import asyncpg
import msgspec

from tidings.core.errors import BusyError, InvalidInputError
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("capture")
_BITS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16}
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}

TableName = tuple[str, str]  # schema, table


class FoundTable(msgspec.Struct, frozen=True):
    """What a name stands for. `refusal` tells why it cannot be captured, or is None."""

    name: TableName
    is_partitioned: bool
    refusal: str | None


class Installed(msgspec.Struct, frozen=True):
    """A table that carries the capture trigger."""

    name: TableName
    operations: frozenset[str]
    is_enabled: bool
    is_named_right: bool


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


async def find_tables(connection: Connection, names: list[TableName]) -> dict[TableName, FoundTable]:
    """Return those of the names that stand for something."""
    rows = await connection.fetch(_SQL["find_tables"], [n[0] for n in names], [n[1] for n in names])
    return {found.name: found for found in map(_found, rows)}


def _found(row: Any) -> FoundTable:
    name = (row["schema_name"], row["table_name"])
    refusal = None
    if row["kind"] in _KINDS:
        refusal = f"{'.'.join(name)} is {_KINDS[row['kind']]}, whose changes PostgreSQL does not tell; name its table."
    elif row["is_partition"]:
        refusal = f"{'.'.join(name)} is a partition; name the partitioned table it belongs to."
    elif name[0] in {"tidings", "pg_catalog", "information_schema"}:
        refusal = f"{'.'.join(name)} belongs to {'Tidings itself' if name[0] == 'tidings' else 'PostgreSQL'}."
    return FoundTable(name, row["kind"] == "p", refusal)


async def installed(connection: Connection) -> dict[TableName, Installed]:
    """Return every table that carries the trigger."""
    found = {}
    for row in await connection.fetch(_SQL["installed"]):
        name = (row["schema_name"], row["table_name"])
        operations = frozenset(op for op, bit in _BITS.items() if row["operation_bits"] & bit)
        found[name] = Installed(name, operations, row["is_enabled"], row["is_named_right"])
    return found


async def install(connection: Connection, table: FoundTable, operations: frozenset[str]) -> None:
    """Put the trigger on a table, for these operations, or alter the one that is there.

    Raises:
        BusyError: The table is locked by someone else's long transaction.
        InvalidInputError: Our role may not make triggers on it.
    """
    schema, name = table.name
    wanted = " OR ".join(op for op in _BITS if op in operations)
    statement = await connection.fetchval(_SQL["install"], schema, name, wanted, table.is_partitioned)
    await _alter(connection, statement, table.name)


async def remove(connection: Connection, table: TableName) -> None:
    """Take the trigger away.

    Raises:
        BusyError: The table is locked by someone else's long transaction.
    """
    await _alter(connection, await connection.fetchval(_SQL["remove"], *table), table)


async def _alter(connection: Connection, statement: str, table: TableName) -> None:
    shown = ".".join(table)
    try:
        await connection.execute(statement)
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
