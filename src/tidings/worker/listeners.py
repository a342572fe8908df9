"""What a worker does for listeners: it rings when something was routed to them, and keeps each within its bounds."""

import logging
from uuid import UUID

import msgspec

from tidings.clock import Clock
from tidings.core.errors import TidingsError
from tidings.core.listening import FULL, Keeping, State, decide_keeping
from tidings.core.pauses import Pauses
from tidings.sources import tables
from tidings.store import listening, queue, webhooks
from tidings.store.database import UNAVAILABLE, Database
from tidings.store.listening import Kept
from tidings.store.secrets import SecretBox
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.listeners")

KEEP_INTERVAL = 5.0  # seconds


class Ringer:
    """Tells all processes that something was routed to listeners: after the commit, and once for what was routed meanwhile."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._untold: set[UUID] = set()
        self._called = Signal()
        self._is_stopping = False

    def tell(self, listeners: set[UUID]) -> None:
        """Have it told soon."""
        if listeners:
            self._untold |= listeners
            self._called.set()

    async def run(self) -> None:
        """Tell until told to stop. What cannot be told is found by who looks each few seconds."""
        pauses = Pauses()
        while not self._is_stopping:
            await self._called.wait()
            self._called.clear()
            listeners, self._untold = self._untold, set()
            if not listeners:
                continue
            try:
                async with self._database.connection() as connection:
                    await listening.ring(connection, listeners)
                pauses.reset()
            except UNAVAILABLE:
                await Signal().wait(pauses.next())

    def stop(self) -> None:
        """End the loop."""
        self._is_stopping = True
        self._called.set()


class Keeper:
    """Pauses listeners for whom too much waits, and deletes those that nobody has asked for in days. Any number may run."""

    def __init__(self, database: Database, box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock

    async def run_once(self) -> int:
        """Look at all listeners, and return how many were changed."""
        async with self._database.connection() as connection:
            found = await listening.kept(connection)
        count = 0
        for kept in found:
            state = State(kept.enabled, kept.disabled_reason == FULL, kept.waiting, kept.silence)
            match decide_keeping(state):
                case Keeping.PAUSE:
                    await self._pause(kept)
                case Keeping.RESUME:
                    await self._resume(kept)
                case Keeping.FORGET:
                    await self._forget(kept)
                case Keeping.KEEP:
                    continue
            count += 1
        return count

    async def _pause(self, kept: Kept) -> None:
        async with self._database.transaction() as connection:
            await webhooks.disable_webhooks(connection, [kept.id], FULL)
        told = "listener %r of group %s hears nothing for now: %d deliveries wait for it"
        logger.warning(told, kept.name, kept.group_id, kept.waiting)

    async def _resume(self, kept: Kept) -> None:
        try:
            async with self._database.transaction() as connection:
                before = await webhooks.lock_webhook(connection, self._box, kept.group_id, kept.id)
                if before is None or before.enabled or before.fault is not None:
                    return
                webhook = msgspec.structs.replace(before, enabled=True, disabled_reason=None, updated_at=self._clock.now())
                await tables.keep_in_step(connection, needed_by=webhook, was=before)
                await webhooks.update_webhook(connection, self._box, webhook, was=before)
        except TidingsError as error:  # a table it names is gone, or locked
            logger.warning("listener %r of group %s hears nothing yet: %s", kept.name, kept.group_id, error.message)

    async def _forget(self, kept: Kept) -> None:
        async with self._database.transaction() as connection:
            webhook = await webhooks.lock_webhook(connection, self._box, kept.group_id, kept.id)
            if webhook is None:
                return
            await tables.keep_in_step(connection, was=webhook)
            await queue.cancel_of_webhook(connection, kept.id)
            await webhooks.delete_webhook(connection, kept.id)
        logger.info("listener %r of group %s is deleted: nobody has asked for three days", kept.name, kept.group_id)
