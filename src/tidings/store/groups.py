"""Groups as rows."""

from collections.abc import Collection, Iterable
from datetime import datetime
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


# Deleting ------------------------------------------------------------------------------------------------------------------


async def holdings(connection: Connection, group_id: str, limit: int) -> dict[str, int]:
    """Return how much a group has that is deleted with it, by kind; so many of each at most."""
    return dict(await connection.fetchrow(_SQL["holdings"], group_id, limit))


async def begin_deleting(connection: Connection, group_id: str, now: datetime) -> Any | None:
    """Close a group, so that it is deleted; return it as a row."""
    return await connection.fetchrow(_SQL["begin_deleting"], group_id, now)


async def next_deleting(connection: Connection, besides: Collection[str]) -> Any | None:
    """Return a group that is being deleted as a row, locked: one that nobody else works on, and none of these."""
    return await connection.fetchrow(_SQL["next_deleting"], list(besides))


async def jobs(connection: Connection, group_id: str, limit: int) -> list[Any]:
    """Return some jobs of a group as rows, locked."""
    rows: list[Any] = await connection.fetch(_SQL["jobs"], group_id, limit)
    return rows


async def delete_settings(connection: Connection, group_id: str, limit: int) -> int:
    """Delete some of what a group has beside webhooks, jobs and collections; return how much that was."""
    count = 0
    for statement in (
        _SQL["delete_integrations"],
        _SQL["delete_types"],
        _SQL["delete_recoveries"],
        _SQL["delete_rules"],
        _SQL["delete_erasures"],
        _SQL["delete_links"],
        _SQL["delete_bins"],
    ):
        count += len(await connection.fetch(statement, group_id, limit))
    return count


async def note_last(connection: Connection, group_id: str) -> bool:
    """Take note of what of the outbox must be routed before the group goes; False while older transactions are open."""
    is_noted: bool = await connection.fetchval(_SQL["note_last"], group_id)
    return is_noted


async def is_routed(connection: Connection, group_id: str, past: int, limit: int) -> bool:
    """Whether nothing of a group waits to be routed, up to a number of the outbox; False when too much waits to tell."""
    is_it: bool = await connection.fetchval(_SQL["is_routed"], group_id, past, limit)
    return is_it


async def leave(connection: Connection, group_id: str, instead: str) -> None:
    """Have sessions that show a group show another."""
    await connection.execute(_SQL["leave"], group_id, instead)


async def delete(connection: Connection, group_id: str, instead: str) -> None:
    """Delete a group that has nothing any more. Sessions that show it show another."""
    await leave(connection, group_id, instead)
    await connection.execute(_SQL["delete"], group_id)


async def say_fault(connection: Connection, group_id: str, fault: str | None) -> bool:
    """Write down why a group cannot be deleted for now; return whether it was something else before."""
    is_new: bool | None = await connection.fetchval(_SQL["say_fault"], group_id, fault)
    return bool(is_new)
