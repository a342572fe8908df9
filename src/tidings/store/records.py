"""Records: rows of a collection's table, read and written as JSON text."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec

from tidings.core.errors import ConflictError, InvalidRecordError
from tidings.core.record_filter import Where
from tidings.store.collections import RELATION, UNIQUE, Collection, constraint_name
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("records")


async def insert(connection: Connection, collection: Collection, columns: Sequence[str], records: bytes) -> dict[str, str]:
    """Write new records, given as a JSON array, and return each by its id.

    Raises:
        ConflictError: A record with that id, or that value of a unique field, is there already.
        InvalidRecordError: A relation refers to a record that does not exist.
    """
    return await _write(connection, collection, "insert", columns, records)


async def update(connection: Connection, collection: Collection, columns: Sequence[str], changes: bytes) -> dict[str, str]:
    """Change records, given as a JSON array of objects with an id each, and return those that are there by their ids.

    Raises:
        ConflictError: A record with that value of a unique field is there already.
        InvalidRecordError: A relation refers to a record that does not exist.
    """
    return await _write(connection, collection, "update", columns, changes)


async def _write(
    connection: Connection, collection: Collection, name: str, columns: Sequence[str], records: bytes
) -> dict[str, str]:
    statement = await connection.fetchval(_SQL[name], *collection.table, columns)
    try:
        rows = await connection.fetch(statement, records.decode())
    except asyncpg.UniqueViolationError as error:
        name = _field_of(collection, error, UNIQUE)
        raise ConflictError(f"Such a record is there already: one with the same {name}.") from error
    except asyncpg.ForeignKeyViolationError as error:
        name = _field_of(collection, error, RELATION)
        raise InvalidRecordError({name: f"{name} refers to a record that does not exist."}) from error
    except (asyncpg.UndefinedColumnError, asyncpg.UndefinedTableError) as error:
        raise ConflictError(f"{collection.name} has just been changed. Try again.") from error
    except (asyncpg.DataError, asyncpg.NotNullViolationError) as error:
        name = getattr(error, "column_name", None) or "record"
        raise InvalidRecordError({name: f"{name} cannot be stored: {error}."}) from error
    return {row["id"]: _compact(row["(record)"]) for row in rows}


def _field_of(collection: Collection, error: asyncpg.PostgresError, kind: str) -> str:
    """Return the field that a constraint is about: PostgreSQL tells no values to those whom row-level security binds."""
    broken = getattr(error, "constraint_name", None)
    names = (field.name for field in collection.fields)
    return next((name for name in names if constraint_name(kind, collection.name, name) == broken), "id")


def _compact(record: str) -> str:
    """Return JSON text without the blanks that PostgreSQL puts in; its digits stay."""
    return msgspec.json.format(record, indent=-1)


async def delete(connection: Connection, collection: Collection, ids: Sequence[str]) -> set[str]:
    """Delete records; return the ids of those that were there.

    Raises:
        ConflictError: Another record cannot be without one of them.
    """
    try:
        rows = await connection.fetch(await connection.fetchval(_SQL["delete"], *collection.table), ids)
    except asyncpg.ForeignKeyViolationError as error:
        referring = getattr(error, "table_name", None) or "another collection"
        raise ConflictError(f"Another record refers to it, in {referring}.") from error
    return {row["id"] for row in rows}


async def get(connection: Connection, collection: Collection, record_id: str) -> str | None:
    """Return a record as JSON text."""
    text: str | None = await connection.fetchval(await connection.fetchval(_SQL["get"], *collection.table), record_id)
    return None if text is None else _compact(text)


async def page(
    connection: Connection, collection: Collection, where: Where, order: str, *, limit: int, offset: int
) -> tuple[list[str], int]:
    """Return a page of records as JSON text, and how many there are in all.

    Args:
        where: Its parameters are numbered from 3.
    """
    statement = await connection.fetchval(_SQL["page"], *collection.table, where.sql, order)
    rows = await connection.fetch(statement, limit, offset, *where.values)
    statement = await connection.fetchval(_SQL["count"], *collection.table, where.sql)
    return [_compact(row["(record)"]) for row in rows], await connection.fetchval(statement, limit, offset, *where.values)


async def password(connection: Connection, collection: Collection, email: str) -> Any | None:
    """Return the id and password hash of the record with an e-mail address."""
    return await connection.fetchrow(await connection.fetchval(_SQL["password"], *collection.table), email)
