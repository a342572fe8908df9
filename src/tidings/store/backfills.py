"""Backfills as rows, and the statements that read a table's rows chunk by chunk."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tidings.core.capture import TableName, TableSettings, Watch, left_out
from tidings.core.condition import guard_of, read_condition
from tidings.core.errors import ConflictError
from tidings.store.database import Connection
from tidings.store.roles import Lacking
from tidings.store.statements import load

_SQL = load("backfills")


async def insert(
    connection: Connection,
    backfill_id: UUID,
    *,
    group_id: str,
    webhook_id: UUID,
    table: TableName,
    relation: int,
    key_columns: tuple[str, ...],
    key_numbers: tuple[int, ...],
    heard: tuple[str, ...],
) -> Any:
    """Begin a backfill, and return its row.

    Raises:
        ConflictError: Another one of the table is under way.
    """
    try:
        async with connection.transaction():
            return await connection.fetchrow(
                _SQL["insert"], backfill_id, group_id, webhook_id, *table, key_columns, heard, relation, key_numbers
            )
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"A backfill of {'.'.join(table)} is under way. Wait for it, or cancel it.") from error


async def get(connection: Connection, group_id: str, backfill_id: UUID) -> Any | None:
    """Return a backfill of the group as a row."""
    return await connection.fetchrow(_SQL["get"], group_id, backfill_id)


async def list_backfills(
    connection: Connection, group_id: str, *, limit: int, offset: int, table: TableName | None = None
) -> list[Any]:
    """Return a page of the group's backfills as rows, newest first; with a table only those of it."""
    rows: list[Any] = await connection.fetch(_SQL["list"], group_id, limit, offset, *(table or (None, None)))
    return rows


async def last_of_tables(connection: Connection, names: Collection[TableName], group_id: str) -> list[Any]:
    """Return the group's last backfill of each of the tables that had one, as rows."""
    schemas, tables = [schema for schema, _ in names], [table for _, table in names]
    rows: list[Any] = await connection.fetch(_SQL["last_of_tables"], schemas, tables, group_id)
    return rows


async def watches(connection: Connection) -> dict[TableName, Watch]:
    """Return the tables that are being backfilled, with what their triggers must note."""
    return {
        (row["table_schema"], row["table_name"]): Watch(str(row["id"]), tuple(row["key_numbers"]))
        for row in await connection.fetch(_SQL["watches"])
    }


async def claim(connection: Connection) -> Any | None:
    """Return the running backfill that has waited longest, locked to the end of the transaction."""
    return await connection.fetchrow(_SQL["claim"])


async def end(connection: Connection, backfill_id: UUID, state: str) -> Any | None:
    """End a backfill that runs, and return its row."""
    return await connection.fetchrow(_SQL["end"], backfill_id, state)


async def fail(connection: Connection, backfill_id: UUID, error: str) -> None:
    """Note why a backfill cannot go on for now."""
    await connection.execute(_SQL["fail"], backfill_id, error)


async def stop(connection: Connection, backfill_id: UUID, error: str) -> None:
    """End a backfill that can never go on."""
    await connection.execute(_SQL["stop"], backfill_id, error)


async def hold_settings(connection: Connection) -> bool:
    """Keep how tables are captured from being changed until the transaction ends; False: somebody is changing it."""
    held: bool = await connection.fetchval(_SQL["try_shared_lock"])
    return held


async def hold_table(connection: Connection, table: TableName) -> None:
    """Keep a table's columns from being renamed until the transaction ends: what is left out goes by their names."""
    await connection.execute(_SQL["set_lock_timeout"])
    await connection.execute(await connection.fetchval(_SQL["hold_table"], *table))


async def forget_changes(connection: Connection) -> None:
    """Forget the changes noted for backfills that are over."""
    await connection.execute(_SQL["forget_changes"])


async def is_outbox_full(connection: Connection, limit: int) -> bool:
    """Tell whether more than so many rows wait to be routed."""
    answer: bool = await connection.fetchval(_SQL["outbox_is_full"], limit)
    return answer


async def next_keys(connection: Connection, row: Any, limit: int) -> list[str]:
    """Return the keys of the rows behind a backfill's position, in order."""
    has_position = row["position"] is not None
    statement = await connection.fetchval(
        _SQL["next_keys"], row["table_schema"], row["table_name"], row["key_columns"], has_position
    )
    async with _seeing_types(connection, row):
        return [found["key"] for found in await connection.fetch(statement, row["position"], limit)]


async def busy_keys(connection: Connection, row: Any, limit: int) -> list[str]:
    """Return keys of rows that somebody was changing when their turn came."""
    return [found["key"] for found in await connection.fetch(_SQL["busy"], row["id"], limit)]


async def missing(connection: Connection, relation: int, column: str) -> list[Lacking]:
    """Return what our role lacks to read all rows of a table and to lock them against changes.

    Args:
        column: One of the table's: to lock rows takes the right to change one of their columns, whichever.
    """
    return [Lacking(row["owner"], row["statement"]) for row in await connection.fetch(_SQL["missing"], relation, column)]


async def tell(connection: Connection, row: Any, settings: TableSettings | None, keys: list[str]) -> tuple[int, int, list[str]]:
    """Write rows to the outbox.

    Returns:
        How many were written, how many were left to their own events or are gone, and the keys of those that somebody is
        changing now.
    """
    table, key_columns = (row["table_schema"], row["table_name"]), row["key_columns"]
    locked = await _find_rows(connection, row, keys, with_lock=True)
    condition = settings.conditions.get("INSERT") if settings else None
    statement = await connection.fetchval(
        _SQL["tell_rows"],
        *table,
        key_columns,
        settings is not None,
        settings.group_column if settings else None,
        guard_of(read_condition(condition, "INSERT")).call if condition is not None else None,
    )
    async with _seeing_types(connection, row):
        told = await connection.fetchval(
            statement,
            locked,
            row["id"],
            row["heard"],
            row["webhook_id"],
            row["group_id"],
            left_out(settings) if settings else (),
            msgspec.json.encode(settings.renamed_columns if settings else {}).decode(),
            key_columns,
        )
    others = sorted(set(keys) - set(locked))  # somebody is changing them, or they are gone
    busy = await _find_rows(connection, row, others, with_lock=False) if others else []
    return told, len(keys) - len(busy) - told, busy


async def _find_rows(connection: Connection, row: Any, keys: list[str], *, with_lock: bool) -> list[str]:
    statement = await connection.fetchval(
        _SQL["find_rows"], row["table_schema"], row["table_name"], row["key_columns"], with_lock
    )
    async with _seeing_types(connection, row):
        return [found["key"] for found in await connection.fetch(statement, keys)]


@asynccontextmanager
async def _seeing_types(connection: Connection, row: Any) -> AsyncIterator[None]:
    """Have the keys of a table be compared by the operators that order them, also where their type is an extension's."""
    await connection.execute(_SQL["see_types"], row["table_schema"], row["table_name"], row["key_columns"])
    yield
    await connection.execute(_SQL["see_own"])  # what fails is rolled back, and this with it


async def advance(connection: Connection, row: Any, *, position: str | None, told: int, skipped: int) -> None:
    """Write down how far a backfill has come."""
    await connection.execute(_SQL["advance"], row["id"], position, told, skipped)


async def put_busy(connection: Connection, row: Any, keys: list[str]) -> None:
    """Remember rows to look at again."""
    await connection.execute(_SQL["put_busy"], row["id"], keys)


async def remove_busy(connection: Connection, row: Any, keys: list[str]) -> None:
    """Forget rows that have been looked at again."""
    await connection.execute(_SQL["remove_busy"], row["id"], keys)
