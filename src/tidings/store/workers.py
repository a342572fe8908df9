"""Workers and their heartbeats: a lease is as good as its worker's last heartbeat."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("workers")

SILENCE = timedelta(seconds=10)  # without a heartbeat, after which a worker counts as dead


async def register(connection: Connection, worker_id: UUID, host: str, pid: int) -> int:
    """Enter a worker that begins, and return which rows of statistics and counters are its own."""
    part: int = await connection.fetchval(_SQL["register"], worker_id, host, pid)
    return part


async def new_part(connection: Connection, worker_id: UUID) -> int | None:
    """Give a worker new rows of statistics and counters, and return which; None when it was declared dead."""
    part: int | None = await connection.fetchval(_SQL["new_part"], worker_id)
    return part


async def beat(connection: Connection, worker_id: UUID) -> datetime | None:
    """Renew a worker's heartbeat, and return PostgreSQL's clock; None when the worker was declared dead."""
    at: datetime | None = await connection.fetchval(_SQL["beat"], worker_id)
    return at


async def heartbeats(connection: Connection) -> dict[UUID, datetime]:
    """Return when each worker's heart beat last."""
    return {row["id"]: row["heartbeat_at"] for row in await connection.fetch(_SQL["heartbeats"])}


async def leave(connection: Connection, worker_id: UUID) -> None:
    """Strike a worker that has given back all it held."""
    with suppress(asyncpg.UndefinedTableError):  # the schema was taken away: it is on no list any more
        await connection.execute(_SQL["leave"], worker_id)


async def are_any(connection: Connection) -> bool:
    """Tell whether a worker runs: one whose heart beat a moment ago."""
    alive: bool = await connection.fetchval(_SQL["are_any"], SILENCE)
    return alive


async def bury(connection: Connection, dead: Mapping[UUID, datetime]) -> list[UUID]:
    """Strike workers from the list whose hearts have not beaten since then, and return them."""
    return [row[0] for row in await connection.fetch(_SQL["bury"], list(dead), list(dead.values()))]


async def list_workers(connection: Connection, *, limit: int) -> list[Any]:
    """Return the workers that are alive as rows, the oldest first."""
    rows: list[Any] = await connection.fetch(_SQL["list"], limit)
    return rows


async def alive(connection: Connection) -> int:
    """Return how many workers run: those whose heart beat a moment ago."""
    number: int = await connection.fetchval(_SQL["alive"], SILENCE)
    return number


async def database_time(connection: Connection) -> datetime:
    """Return PostgreSQL's clock."""
    at: datetime = await connection.fetchval(_SQL["database_time"])
    return at
