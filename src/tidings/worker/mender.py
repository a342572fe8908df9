"""What was set aside comes back by itself once it can be read: after SECRET_KEY was put right, say, or a row was restored.

Beside that, settings that nobody reads of themselves are looked through, some at a time, so that whoever lists what
cannot be read need not read them all.
"""

import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from tidings.clock import Clock
from tidings.store import faults
from tidings.store.database import Connection, Database
from tidings.store.secrets import SecretBox

logger = logging.getLogger("tidings.mender")

MEND_INTERVAL = 30.0  # seconds

_FIRST = UUID(int=0)
_Mend = Callable[[Connection, UUID], Awaitable[tuple[list[UUID], UUID | None]]]


class Mender:
    """Looks again at what was set aside. Any number may run."""

    def __init__(self, database: Database, box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._seen_to = dict.fromkeys(faults.SWEPT, "")  # of each kind, where the last look ended

    async def run_once(self) -> int:
        """Look at all of it, and return how many things came back."""
        for kind, after in self._seen_to.items():
            async with self._database.transaction() as connection:
                self._seen_to[kind] = await faults.look_through(connection, self._box, kind, after)
        webhooks = await self._mend_all("webhook", lambda connection, after: faults.mend_webhooks(connection, self._box, after))
        now = self._clock.now()
        return webhooks + await self._mend_all("job", lambda connection, after: faults.mend_jobs(connection, after, now))

    async def _mend_all(self, kind: str, mend: _Mend) -> int:
        count, after = 0, _FIRST
        while True:
            async with self._database.transaction() as connection:
                mended, following = await mend(connection, after)
            for each in mended:
                logger.info("%s %s can be read again, and goes on", kind, each)
            count += len(mended)
            if following is None:
                return count
            after = following
