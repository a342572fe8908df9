"""Event types as rows: what a group's applications publish."""

from collections.abc import Collection
from typing import Any

import msgspec

from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("event_types")

TypeKey = tuple[str, str]  # group and name


class Schema(msgspec.Struct, frozen=True):
    """The JSON Schema of a type, as text. `version` tells it from all that the type had before and will have."""

    text: str
    version: int


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


async def schemas(connection: Connection, types: Collection[TypeKey]) -> dict[TypeKey, Schema]:
    """Return the JSON Schemas of those of the types that have one."""
    groups, names = [group_id for group_id, _ in types], [name for _, name in types]
    rows = await connection.fetch(_SQL["schemas"], groups, names)
    return {(row["group_id"], row["name"]): Schema(row["json_schema"], row["schema_version"]) for row in rows}


async def seen(connection: Connection, group_id: str, *, limit: int, offset: int) -> list[Any]:
    """Return types that the group's history holds, with the last day of each, as rows; those of late first."""
    rows: list[Any] = await connection.fetch(_SQL["seen"], group_id, limit, offset)
    return rows
