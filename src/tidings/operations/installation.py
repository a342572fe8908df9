"""What this installation is made of: its database and its workers, and what waits."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.operations import readings
from tidings.operations.readings import Readings
from tidings.operations.services import Services
from tidings.store import set_aside, settings, workers

MAX_WORKERS = 200  # that are named
MANY = 1000  # set-aside rows are counted up to so many


class WorkerState(msgspec.Struct, frozen=True):
    """A worker. One that is silent for ten seconds is struck from the list by the others."""

    id: UUID
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime


class Installation(msgspec.Struct, frozen=True):
    """What this installation is made of.

    Attributes:
        database: Its name in PostgreSQL.
        server_version: Of PostgreSQL.
        schema_number: Of the last migration.
        at: PostgreSQL's clock, by which workers are seen.
        set_aside: Events that could not be routed, `MANY` at most.
    """

    database: str
    server_version: str
    schema_number: int
    at: datetime
    workers: list[WorkerState]
    readings: Readings
    set_aside: int


async def read(services: Services) -> Installation:
    """Return what this installation is made of, and how it is doing."""
    async with services.wide.connection() as connection:
        server = await settings.server(connection)
        alive = await workers.list_workers(connection, limit=MAX_WORKERS)
        aside = await set_aside.count(connection, limit=MANY)
    found = await readings.read(services)
    return Installation(
        server["name"], server["version"], server["schema_number"], server["at"], list(map(_worker, alive)), found, aside
    )


def _worker(row: Any) -> WorkerState:
    return WorkerState(row["id"], row["host"], row["pid"], row["started_at"], row["heartbeat_at"])
