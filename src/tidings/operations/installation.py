"""What this installation is made of: its database and its workers, and what waits; and what is done with all of it at once."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.audit import Action, Actor
from tidings.operations import audit, readings
from tidings.operations.readings import Readings
from tidings.operations.services import Services
from tidings.store import audit as rows
from tidings.store import audit_chain, home, rekey, set_aside, settings, workers
from tidings.store.database import Connection, Database
from tidings.store.secrets import SecretBox

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


async def adopt(database: Database, box: SecretBox) -> bool:
    """Make this database the installation's own; return whether it was not.

    Args:
        database: As it is, whatever roles there are where it was restored.

    Raises:
        StartupError: Its secrets are encrypted under another key.
    """
    async with database.transaction() as connection:
        key, was_held = await audit_chain.load_key(connection, box), await home.is_held(connection)
        if was_held:
            await _note(connection, key, Action.INSTALLATION_ADOPTED)
        await home.adopt(connection)
    return was_held


async def hold(database: Database, box: SecretBox) -> None:
    """Have nothing be sent from this database, once what runs has ended, until it is adopted.

    Raises:
        StartupError: Its secrets are encrypted under another key.
    """
    async with database.transaction() as connection:
        key = await audit_chain.load_key(connection, box)
        if not await home.is_held(connection):
            await _note(connection, key, Action.INSTALLATION_HELD)
        await home.hold(connection)


async def _note(connection: Connection, key: bytes, action: Action) -> None:
    """Put on record what is done before there are parts to do it with."""
    now = await workers.database_time(connection)
    await rows.add(connection, key, action, Actor(), now=now, group_id=None, subject_id=None, subject="")


async def change_secret_key(services: Services, new: SecretBox) -> int:
    """Encrypt under another key everything that the present one reads, and return how much that was.

    Raises:
        ConflictError: A worker is running.
        StartupError: The present key is not the one in use.
    """
    async with services.wide.transaction() as connection:
        count = await rekey.rekey(connection, services.box, new)
        await audit.note(services, connection, Action.SECRET_KEY_CHANGED, is_of_group=False)
    return count
