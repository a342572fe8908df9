"""Groups as rows."""

from collections.abc import Iterable
from typing import Any

from tidings.core.group import check_group_id
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
    wanted = sorted(group_ids)  # in one order, so that two cannot wait for each other
    for group_id in wanted:
        check_group_id(group_id)
    rows = await connection.fetch(_SQL["add"], wanted)
    return [row["id"] for row in rows]
