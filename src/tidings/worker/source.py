"""What a source does beside sending: what webhooks at the homes want is captured, and what it needs no more is forgotten."""

import logging
from datetime import timedelta
from typing import Final, Protocol

from tidings.clock import Clock
from tidings.core.capture import TableName
from tidings.core.errors import BusyError
from tidings.core.fleet import Fleet
from tidings.sources import tables
from tidings.store import outbox, relay
from tidings.store.database import Database
from tidings.transport.stream_away import StreamAwayError

logger = logging.getLogger("tidings.relay")

WISHES_INTERVAL: Final = 2.0  # seconds
KEEPING_INTERVAL: Final = 60.0  # seconds
COMPARED_EVERY: Final = 30  # looks


class Way(Protocol):
    """The stream, as far as a source hears by it."""

    async def wishes(self, homes: tuple[str, ...]) -> dict[str, dict[TableName, frozenset[str]] | None]:
        """Return what webhooks of homes want to hear; None: what a home has said cannot be read."""


class Wishes:
    """Has the tables of a source captured that webhooks at the homes name."""

    def __init__(self, database: Database, stream: Way, fleet: Fleet) -> None:
        self._database = database
        self._stream = stream
        self._fleet = fleet
        self._unread: frozenset[str] = frozenset()  # homes whose wishes could not be read, when they were looked at last
        self._due = 0  # looks until triggers are compared with wishes, whatever has changed: tables are made meanwhile

    def follow(self, fleet: Fleet) -> None:
        """Listen to these homes from now on."""
        self._fleet = fleet

    async def run_once(self) -> int:
        """Bring triggers up to date, and return how many homes wish something else than before."""
        homes = self._fleet.homes
        try:
            said = await self._stream.wishes(homes)
        except StreamAwayError as error:
            logger.info("what homes want to hear is not known now: %s", error)
            return 0
        unread = frozenset(home for home, wishes in said.items() if wishes is None)
        if unread - self._unread:
            logger.error(
                "what %s wants to hear of tables cannot be read; what it wanted before stays", ", ".join(sorted(unread))
            )
        self._unread = unread
        wanted = {home: wishes for home, wishes in said.items() if wishes is not None}
        async with self._database.transaction() as connection:
            known = await relay.wishes(connection)
            changed = {home: wishes for home, wishes in wanted.items() if wishes != known.get(home, {})}
            changed |= {home: {} for home in known if home not in homes}  # the fleet is without it
            if changed:
                await relay.put_wishes(connection, changed)
        if changed:
            logger.info("what %s want to hear of tables has changed", ", ".join(sorted(changed)))
            self._due = 0
        if self._due <= 0:
            try:
                await tables.keep_all_in_step(self._database)
                self._due = COMPARED_EVERY
            except BusyError as error:
                logger.info("triggers are brought up to date later: %s", error)
        self._due -= 1
        return len(changed)


class Keeper:
    """Forgets what a source needs no more; no worker runs there whose janitor would."""

    def __init__(self, database: Database, clock: Clock, *, retention_days: int) -> None:
        self._database = database
        self._clock = clock
        self._retention = timedelta(days=retention_days)

    async def run_once(self) -> None:
        """Forget publishers' ids that are older than what homes keep."""
        async with self._database.connection() as connection:
            await outbox.forget_external_ids(connection, self._clock.now() - self._retention)
