"""Rows of the outbox that could not be routed, set aside with the reason."""

from typing import Any

import asyncpg

from tidings.core.errors import ConflictError
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("set_aside")


async def list_rows(connection: Connection, *, limit: int, before: int | None) -> list[Any]:
    """Return a page of the rows, newest first, without what is in them."""
    rows: list[Any] = await connection.fetch(_SQL["list"], before, limit)
    return rows


async def get(connection: Connection, number: int) -> Any | None:
    """Return a row with all that is in it."""
    return await connection.fetchrow(_SQL["get"], number)


async def route_again(connection: Connection, number: int) -> bool:
    """Put a row back into the outbox; whether there was one.

    Raises:
        ConflictError: It cannot be read as a row of the outbox.
    """
    try:
        return await connection.fetchval(_SQL["route_again"], number) is not None
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise ConflictError(f"The row cannot be put back: {error}. Publish what it says anew, and discard it.") from error


async def discard(connection: Connection, number: int) -> bool:
    """Delete a row for good; whether there was one."""
    return await connection.fetchval(_SQL["discard"], number) is not None


async def count(connection: Connection, *, limit: int) -> int:
    """Return how many rows there are, so many at most."""
    found: int = await connection.fetchval(_SQL["count"], limit)
    return found
