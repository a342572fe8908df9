"""What there is to do for duties that have nothing to do most of the time."""

from datetime import datetime

from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("due")


async def look(connection: Connection, now: datetime) -> set[str]:
    """Return the names of the duties that have something to do."""
    row = await connection.fetchrow(_SQL["look"], now)
    return {name for name, has in row.items() if has}
