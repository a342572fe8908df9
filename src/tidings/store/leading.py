"""Where new connections lead: to which database, and to which history of PostgreSQL.

An address outlives what is behind it. After a failover it leads to a standby that was promoted: the same database, whose last
commits may be missing. And it can lead to a copy: one that was restored under the old name, or another cluster behind the old
host. A process that was started on the original would send from it what the original sends. So each new connection is looked at
before anything is asked over it. One that leads elsewhere than the ones before is taken only where the installation is at home
(`core.home`): everything waits as in an outage until the address leads back, or the copy is adopted.
"""

from typing import Any

import asyncpg

from tidings.core.home import Home, is_copy
from tidings.store.outages import AnotherDatabaseError
from tidings.store.statements import load

_SQL = load("leading")
_SETTINGS = load("settings")
NAME = "home"  # of the note among the settings


async def where(connection: Any) -> Home:
    """Return which database a connection leads to."""
    number: int = await connection.fetchval(_SQL["database"])
    may_read: bool = await connection.fetchval(_SQL["may_read_system"])
    return Home(await connection.fetchval(_SQL["system"]) if may_read else None, number)


class Leading:
    """Which database the connections of one process lead to. Written as connections are opened, by any thread.

    Attributes:
        moves: How often it was another.
    """

    def __init__(self) -> None:
        self._known: Home | None = None  # the first, or one that was adopted
        self.moves = 0

    async def expect(self, connection: Any) -> None:
        """Return when a new connection leads to where the others did, or to where the installation is at home now.

        Raises:
            AnotherDatabaseError: It leads to a copy, or to a database without the installation.
        """
        found = await where(connection)
        if self._known not in {None, found}:
            note = await _note(connection)
            if note is None or is_copy(note, found):
                raise AnotherDatabaseError
            self.moves += 1
        self._known = found


async def _note(connection: Any) -> str | None:
    try:
        note: str | None = await connection.fetchval(_SETTINGS["get"], NAME)
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):  # nothing is restored there yet
        return None
    return note
