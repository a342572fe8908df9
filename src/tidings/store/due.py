"""What there is to do for duties that have nothing to do most of the time."""

from datetime import datetime

from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("due")


async def look(connection: Connection, now: datetime) -> dict[str, bool]:
    """Return of each duty, by its name, whether it has something to do."""
    return dict(await connection.fetchrow(_SQL["look"], now))
