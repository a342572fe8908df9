"""Event types as rows: what a group's applications publish."""

from collections.abc import Iterable
from typing import Any

from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("event_types")


async def put(
    connection: Connection, group_id: str, name: str, *, description: str | None, schema: str | None, example: str | None
) -> Any:
    """Write a type, new or changed, and return its row."""
    return await connection.fetchrow(_SQL["put"], group_id, name, description, schema, example)


async def get(connection: Connection, group_id: str, name: str) -> Any | None:
    """Return a type as a row."""
    return await connection.fetchrow(_SQL["get"], group_id, name)


async def list_types(connection: Connection, group_id: str) -> list[Any]:
    """Return the group's types as rows, in order of their names."""
    rows: list[Any] = await connection.fetch(_SQL["list"], group_id)
    return rows


async def delete(connection: Connection, group_id: str, name: str) -> bool:
    """Delete a type; whether there was one."""
    return await connection.fetchval(_SQL["delete"], group_id, name) is not None


async def schemas(connection: Connection, group_id: str, names: Iterable[str]) -> dict[str, str]:
    """Return the JSON Schemas of those of the types that have one."""
    return {row["name"]: row["json_schema"] for row in await connection.fetch(_SQL["schemas"], group_id, list(names))}
