"""Where groups of a fleet live, as a home knows it: the directory as it was heard last, and the groups that were moved away."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, Placing
from tidings.core.homes import UNREAD
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("placing")


class Known(NamedTuple):
    """What a home knows. `version`: of this knowledge here, not of the directory."""

    version: int
    placing: Placing


async def get(connection: Connection) -> Known | None:
    """Return what this home knows; None: it is none of a fleet, or has not heard of it yet.

    Raises:
        StartupError: As `renewed` does.
    """
    return await renewed(connection, None)


async def renewed(connection: Connection, known: Known | None) -> Known | None:
    """Return what this home knows now: what was known already where that is so still, which spares reading the directory.

    Raises:
        StartupError: It cannot be read: another version of Tidings wrote it.
    """
    row = await connection.fetchrow(_SQL["get"], None if known is None else known.version)
    if row is None:
        return None
    if known is not None and row["version"] == known.version:
        return known
    try:
        fleet = msgspec.json.decode(row["fleet"], type=Fleet)
    except UNREAD as error:
        raise StartupError(
            f"What this home's database knows of where groups live cannot be read: {str(error).rstrip('.')}. Another version "
            "of Tidings wrote it: run one version everywhere."
        ) from error
    return Known(row["version"], Placing(row["home"], fleet, frozenset(row["gone"]), frozenset(row["parked"])))


async def put(connection: Connection, home: str, fleet: Fleet) -> bool:
    """Write down what the fleet is; False: it was known."""
    return await connection.fetchval(_SQL["put"], home, msgspec.json.encode(fleet).decode()) is not None


async def leave(connection: Connection) -> str | None:
    """Take note that this is no home of a fleet any more; return what it was called, if it was one."""
    home: str | None = await connection.fetchval(_SQL["leave"])
    return home


async def owned(connection: Connection, groups: Sequence[str]) -> set[str]:
    """Return those of some groups that have webhooks here."""
    return {row["id"] for row in await connection.fetch(_SQL["owned"], groups)}


async def groups_after(connection: Connection, behind: str, limit: int) -> list[str]:
    """Return the groups that there are here behind a name, so many at most."""
    return [row["id"] for row in await connection.fetch(_SQL["groups_after"], behind, limit)]
