"""The flights that a home has landed, by their ids: counted, and forgotten when none of them can come again."""

from typing import Final

from prometheus_client import Counter

from tidings.store import relay
from tidings.store.database import Database

LANDED_DAYS: Final = 30  # for which a flight is known; a source that was away for longer repeats what it had sent last
FORGET_INTERVAL: Final = 3600.0  # seconds

LANDED = Counter("tidings_flights_landed_total", "Flights that came by the stream, by what became of them.", ["outcome"])


class LandedForgetter:
    """Forgets flights that were landed long ago: all of them, some at a time, however many come in an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run_once(self) -> None:
        """Forget them."""
        forgotten = relay.FORGOTTEN_AT_ONCE
        while forgotten == relay.FORGOTTEN_AT_ONCE:
            async with self._database.connection() as connection:
                forgotten = await relay.forget_landed(connection, LANDED_DAYS)
