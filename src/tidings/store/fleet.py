"""Of a home: which database it is to the fleet, and what was seen of the fleet last."""

from hashlib import blake2b
from typing import Final

import msgspec

from tidings.core.pressure import Seen
from tidings.store.database import Connection
from tidings.store.leading import where
from tidings.store.statements import load

_SETTINGS = load("settings")
_SEEN: Final = "fleet_seen"
_TAKING: Final = "takes_home"  # whether it is to take the place of the database that its home was
_YES, _NO = "yes", ""


async def identity(connection: Connection, salt: int) -> str:
    """Return what tells this database from all others, copies of it among them, and nothing else of it.

    A standby that is promoted is the same.

    Args:
        salt: Of the installation: some roles may not read the number of their cluster.
    """
    return blake2b(f"{salt}:{(await where(connection)).note}".encode(), digest_size=16).hexdigest()


async def take(connection: Connection) -> None:
    """Note that this database is to take the place of the one that its home was."""
    await connection.execute(_SETTINGS["replace"], _TAKING, _YES)


async def taken(connection: Connection) -> None:
    """Note that it has."""
    await connection.execute(_SETTINGS["replace"], _TAKING, _NO)


async def is_taking(connection: Connection) -> bool:
    """Return whether it is to."""
    return bool(await connection.fetchval(_SETTINGS["get"], _TAKING) == _YES)


async def put_seen(connection: Connection, seen: Seen) -> None:
    """Note what was seen of the fleet, for all processes of this home."""
    await connection.execute(_SETTINGS["replace"], _SEEN, msgspec.json.encode(seen).decode())


async def seen(connection: Connection) -> Seen | None:
    """Return what was seen of the fleet last; None: this database is no home, or nothing can read it any more."""
    text: str | None = await connection.fetchval(_SETTINGS["get"], _SEEN)
    try:
        return None if not text else msgspec.json.decode(text, type=Seen)
    except msgspec.MsgspecError:
        return None
