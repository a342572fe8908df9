"""Which database an installation was made in, noted in it (`core.home`)."""

from tidings.core.home import HELD, Home, is_copy
from tidings.store.database import Connection, Database
from tidings.store.statements import load

_SQL = load("home")
_SETTINGS = load("settings")
_NAME = "home"


async def settle(database: Database) -> bool:
    """Note where the installation is, unless it is noted; return whether what it is in now is a copy."""
    async with database.connection() as connection:
        here = await _here(connection)
        await connection.execute(_SETTINGS["make"], _NAME, here.note)
        return is_copy(await connection.fetchval(_SETTINGS["get"], _NAME), here)


async def is_held(connection: Connection) -> bool:
    """Return whether nothing is sent from here, since it is a copy."""
    return is_copy(await connection.fetchval(_SETTINGS["get"], _NAME), await _here(connection))


async def adopt(database: Database) -> bool:
    """Make this database the installation's; return whether it was not."""
    async with database.connection() as connection:
        was_held = await is_held(connection)
        await connection.execute(_SETTINGS["replace"], _NAME, (await _here(connection)).note)
        return was_held


async def hold(database: Database) -> None:
    """Have nothing be sent from here, once what runs has ended, until it is adopted."""
    async with database.connection() as connection:
        await connection.execute(_SETTINGS["replace"], _NAME, HELD)


async def _here(connection: Connection) -> Home:
    number: int = await connection.fetchval(_SQL["database"])
    may_read: bool = await connection.fetchval(_SQL["may_read_system"])
    return Home(await connection.fetchval(_SQL["system"]) if may_read else None, number)
