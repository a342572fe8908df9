"""One look at the database: whether it can be worked with, and what it says of the installation."""

import asyncio
from typing import Any

import asyncpg
import msgspec

from tidings.core.api_key import ENDING_SOON
from tidings.core.diagnosis import Vitals, fits
from tidings.core.health import CERTIFICATE_SOON
from tidings.store import home
from tidings.store.database import UNAVAILABLE, Connection, Database
from tidings.store.statements import load
from tidings.store.workers import SILENCE

_SQL = load("vitals")


async def read(connection: Connection, known_schema: int, *, is_all: bool) -> Vitals:
    """Return what there is to know; of a schema that is not this program's only its number.

    Args:
        known_schema: The last migration that this program knows.
        is_all: Also what somebody should see to at some time.
    """
    row = await connection.fetchrow(_SQL["there"])
    schema = await connection.fetchrow(_SQL["schema_number"]) if row["has_schema"] else {"number": None, "oldest": None}
    vitals = Vitals(row["is_read_only"], schema["number"], row["at"], row["connections_left"], oldest_program=schema["oldest"])
    if not fits(vitals, known_schema):
        return vitals
    more: dict[str, Any] = dict(await connection.fetchrow(_SQL["lags"], SILENCE))
    more["is_copy"] = await home.is_held(connection)
    if is_all:
        more |= dict(await connection.fetchrow(_SQL["rest"], ENDING_SOON, CERTIFICATE_SOON))
    return msgspec.structs.replace(vitals, **more)


async def urls(connection: Connection, groups: int, of_each: int) -> list[str]:
    """Return where enabled webhooks of so many groups send to: one of each group before a second one of any."""
    return [row["url"] for row in await connection.fetch(_SQL["urls"], groups, of_each)]


async def write(database: Database) -> None:
    """Write something and commit, as all who work with the database have to.

    Raises:
        UNAVAILABLE: What keeps it from that.
    """
    try:
        async with database.transaction() as connection:
            await connection.execute(_SQL["write_something"])
    except asyncpg.InsufficientPrivilegeError:
        pass  # our role may make no temporary tables: PostgreSQL answers, and nothing says that it cannot write


async def can_write(database: Database, seconds: float) -> bool:
    """Whether one can connect anew, write and commit within a time, as all who work with the database have to."""
    try:
        async with asyncio.timeout(seconds):
            connection = await database.dedicated()
            try:
                async with connection.transaction():
                    await connection.execute(_SQL["write_something"])
            finally:
                connection.terminate()
    except (
        asyncpg.InsufficientPrivilegeError
    ):  # our role may make no temporary tables, so it is not known: nothing says it cannot
        return True
    except (*UNAVAILABLE, asyncpg.PostgresError):
        return False
    return True
