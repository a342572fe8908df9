"""Groups as rows."""

from collections.abc import Iterable
from typing import Any

import asyncpg

from tidings.core.errors import InvalidInputError
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("groups")


async def get(connection: Connection, group_id: str) -> Any | None:
    """Return a group as a row."""
    return await connection.fetchrow(_SQL["get"], group_id)


async def list_groups(connection: Connection, *, limit: int, offset: int, after: str = "") -> list[Any]:
    """Return a page of groups as rows, in order of their ids.

    Args:
        after: Only those behind this id.
    """
    rows: list[Any] = await connection.fetch(_SQL["list"], limit, offset, after)
    return rows


async def add(connection: Connection, group_ids: Iterable[str]) -> list[str]:
    """Make those of the groups that are missing, and return which these were.

    Raises:
        InvalidInputError: An id cannot be a group's.
    """
    try:
        rows = await connection.fetch(_SQL["add"], sorted(group_ids))  # in one order, so that two cannot wait for each other
    except asyncpg.CheckViolationError as error:
        raise InvalidInputError(
            "id", "A group's id has 1 to 100 letters, digits, dots, dashes and underscores, and not dots alone."
        ) from error
    return [row["id"] for row in rows]
