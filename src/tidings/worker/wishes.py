"""What webhooks of a home want to hear of tables, told to the sources, which send nothing else."""

import logging
from typing import Final, Protocol

from tidings.core.capture import TableName
from tidings.store import capture
from tidings.store.database import Database
from tidings.transport.stream_away import StreamAwayError

logger = logging.getLogger("tidings.intake")

TELL_INTERVAL: Final = 2.0  # seconds between looks at what webhooks want to hear


class Notice(Protocol):
    """The stream, as far as a home says by it what it wants."""

    async def put_wishes(self, home: str, wanted: dict[TableName, frozenset[str]]) -> None:
        """Tell the sources what webhooks want to hear."""


class WishTeller:
    """Tells the sources what webhooks of a home want to hear of tables."""

    def __init__(self, database: Database, stream: Notice, home: str) -> None:
        self._database = database
        self._stream = stream
        self._home = home
        self._told: dict[TableName, frozenset[str]] | None = None  # last
        self._refused = ""  # why it could not be told, last

    async def run_once(self) -> bool:
        """Tell it, if it is not what was told last; return whether it was told."""
        async with self._database.connection() as connection:
            names = await capture.subscribed_tables(connection)
            wanted = await capture.subscribed_operations(connection, names)
        if wanted == self._told:
            return False
        try:
            await self._stream.put_wishes(self._home, wanted)
        except StreamAwayError as error:
            if str(error) != self._refused:
                logger.warning("sources cannot be told now what is wanted of them (%d tables): %s", len(wanted), error)
            self._refused = str(error)
            return False
        self._refused = ""
        self._told = wanted
        return True
