"""What is done to the audit beside operations: its entries are sealed, and old ones forgotten (theory: `core.audit_chain`)."""

import logging
from datetime import timedelta
from typing import Final

from tidings.clock import Clock
from tidings.core.errors import StartupError
from tidings.store import audit_chain
from tidings.store.audit_chain import SEALED_AT_ONCE
from tidings.store.database import Database
from tidings.store.secrets import SecretBox

logger = logging.getLogger("tidings.audit")

SEAL_INTERVAL: Final = 1.0  # seconds
FORGET_INTERVAL: Final = 60.0  # seconds
NOTED_EVERY: Final = timedelta(hours=1)  # the end of the chain is put into the log, where the database cannot change it


class Sealer:
    """Puts entries that are committed into the chain. One worker at a time does so; nobody waits for it."""

    def __init__(self, database: Database, box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._noted_at = clock.now() - NOTED_EVERY

    async def run_once(self) -> int:
        """Seal what waits, and return how many entries that were."""
        async with self._database.connection() as connection:
            if not await audit_chain.has_pending(connection):
                return 0
        count = 0
        while True:
            try:
                async with self._database.transaction() as connection:
                    sealed = await audit_chain.seal_pending(connection, self._box, self._clock.now())
            except StartupError as error:  # somebody wrote over the key: deliveries go on, and whoever verifies is told
                logger.error("entries of the audit are not sealed: %s", error.message)  # noqa: TRY400 - told whole
                return count
            count += sealed
            if sealed < SEALED_AT_ONCE:
                break
        if count and self._clock.now() - self._noted_at >= NOTED_EVERY:
            await self._note_head()
        return count

    async def _note_head(self) -> None:
        self._noted_at = self._clock.now()
        async with self._database.connection() as connection:
            head = await audit_chain.head_of(connection)
        logger.info("the audit is sealed up to %d:%s", head.place, head.hash.hex())


class Forgetter:
    """Takes old entries away."""

    def __init__(self, database: Database, box: SecretBox, clock: Clock, *, audit_days: int) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._kept = timedelta(days=audit_days)

    async def run_once(self) -> int:
        """Take some of them away, more than are written in the meantime, and return how many that were."""
        try:
            async with self._database.transaction() as connection:
                return await audit_chain.forget(connection, self._box, self._clock.now(), self._kept)
        except StartupError as error:
            logger.error("entries of the audit are not forgotten: %s", error.message)  # noqa: TRY400 - told whole
            return 0
