"""Which database an installation was made in, noted in it (`core.home`)."""

from tidings.core.home import HELD, is_copy
from tidings.store.database import Connection, Database
from tidings.store.leading import NAME, where
from tidings.store.statements import load

_SETTINGS = load("settings")


async def settle(database: Database) -> bool:
    """Note where the installation is, unless it is noted; return whether what it is in now is a copy."""
    async with database.connection() as connection:
        here = await where(connection)
        await connection.execute(_SETTINGS["make"], NAME, here.note)
        return is_copy(await connection.fetchval(_SETTINGS["get"], NAME), here)


async def is_held(connection: Connection) -> bool:
    """Return whether nothing is sent from here, since it is a copy."""
    return is_copy(await connection.fetchval(_SETTINGS["get"], NAME), await where(connection))


async def adopt(connection: Connection) -> None:
    """Make this database the installation's."""
    await connection.execute(_SETTINGS["replace"], NAME, (await where(connection)).note)


async def hold(connection: Connection) -> None:
    """Have nothing be sent from here, once what runs has ended, until it is adopted."""
    await connection.execute(_SETTINGS["replace"], NAME, HELD)
