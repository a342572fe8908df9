"""Groups that are being deleted: what each has goes some at a time, and it last.

Events make the group that they name, on first sight. So a group goes only once what was written for it is routed: after
those who looked it up before it was closed have forgotten it (`operations.groups.KNOWN_FOR`), and what they began has ended,
the outbox's last number is noted, and what is up to there is waited for. Who names it afterwards, such as a row of a
captured table, makes it anew.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from tidings.clock import Clock
from tidings.core.errors import BusyError, ConflictError
from tidings.core.event import DEFAULT_GROUP
from tidings.core.pauses import Pauses
from tidings.sources import tables
from tidings.store import collections, cron, groups, queue, webhooks
from tidings.store.database import Connection, Database

logger = logging.getLogger("tidings.closer")

CLOSE_INTERVAL = 2.0  # seconds
LONGEST_PAUSE = 120.0  # seconds between two tries of what somebody else keeps from going
AT_ONCE = 100  # things of a kind in one transaction
COLLECTIONS_AT_ONCE = 10  # each is a table, whose lock others wait for
FORGOTTEN_AFTER = timedelta(seconds=10)  # by who looked a group up: twice as long as they may know it
LOOKED_THROUGH = 10_000  # rows of the outbox
OPEN_STILL = "Transactions that were open when nobody knew the group any more have not ended; they may have written for it."


class _Pass:
    """How far a look through a group's collections is, what did not go, and until when it is left alone for that."""

    def __init__(self) -> None:
        self.behind = ""
        self.fault: str | None = None
        self.pauses = Pauses(CLOSE_INTERVAL, LONGEST_PAUSE)
        self.since = self.until = datetime.min.replace(tzinfo=UTC)

    def is_resting(self, now: datetime) -> bool:
        return self.since <= now < self.until

    def end(self, now: datetime) -> None:
        """Begin at the front next time; later and later while something does not go."""
        if self.fault is None:
            self.pauses.reset()
        else:
            self.since, self.until = now, now + timedelta(seconds=self.pauses.next())
        self.behind, self.fault = "", None


class Closer:
    """Deletes groups. Any number may run."""

    def __init__(self, database: Database, clock: Clock, *, at_once: int = AT_ONCE) -> None:
        self._database = database
        self._clock = clock
        self._at_once = at_once
        self._passes: dict[str, _Pass] = {}

    async def run_once(self) -> int:
        """Go on with each group until nothing more can be done now; return how many are gone."""
        gone, now = 0, self._clock.now()
        seen = {group_id for group_id, one in self._passes.items() if one.is_resting(now)}
        while True:
            async with self._database.transaction() as connection:
                row = await groups.next_deleting(connection, seen)
                if row is None:
                    self._passes = {group_id: one for group_id, one in self._passes.items() if group_id in seen}
                    return gone
                if await self._take_some(connection, row["id"]):
                    continue
                seen.add(row["id"])
                gone += await self._end(connection, row)

    async def _take_some(self, connection: Connection, group_id: str) -> bool:
        """Delete some of what a group has; whether there was any."""
        jobs = await groups.jobs(connection, group_id, self._at_once)
        for job in jobs:
            await cron.delete(connection, job["id"])
        if jobs or await groups.delete_settings(connection, group_id, self._at_once):
            return True  # a job's webhook is among the webhooks
        webhook_page = await webhooks.list_webhooks(connection, group_id, limit=self._at_once)
        for webhook in webhook_page:
            await tables.keep_in_step(connection, was=webhook)
            await queue.cancel_of_webhook(connection, webhook.id)
            await webhooks.delete_webhook(connection, webhook.id)
        return bool(webhook_page) or await self._take_collections(connection, group_id)

    async def _take_collections(self, connection: Connection, group_id: str) -> bool:
        """Delete some collections; whether others are behind them. What cannot go is passed over until the next pass.

        What collections of the group refer to is no reason: they all go.
        """
        found = self._passes.setdefault(group_id, _Pass())
        names = await collections.names(connection, group_id, self._at_once, after=found.behind)
        count = 0
        for name in names:
            found.behind = name
            try:
                async with connection.transaction():  # one that cannot go keeps none of the others
                    collection = await collections.lock(connection, group_id, name)
                    if collection is not None:
                        await collections.let_go(connection, collection)
                        await collections.delete(connection, collection)
            except BusyError as error:  # for which 2 s were waited, with what is locked by now
                found.fault = found.fault or error.message
                return True
            except ConflictError as error:
                found.fault = found.fault or error.message
            else:
                count += 1
            if count == COLLECTIONS_AT_ONCE:
                return True
        if len(names) == self._at_once:
            return True
        if await groups.say_fault(connection, group_id, found.fault) and found.fault is not None:
            logger.warning("group %s cannot be deleted for now: %s", group_id, found.fault)
        found.end(self._clock.now())
        return False

    async def _end(self, connection: Connection, row: Any) -> bool:
        """Delete a group that has nothing any more, if nothing of it can be on its way; whether it is gone."""
        group_id, since, past = row["id"], row["deleting_at"], row["deleting_past"]
        if await collections.names(connection, group_id, 1) or self._clock.now() < since + FORGOTTEN_AFTER:
            return False
        if past is None:
            if not await groups.note_last(connection, group_id) and row["deleting_after"] is not None:
                await groups.say_fault(connection, group_id, OPEN_STILL)
            return False
        if not await groups.is_routed(connection, group_id, past, LOOKED_THROUGH):
            return False
        await groups.delete(connection, group_id, DEFAULT_GROUP)
        logger.info("group %s is deleted", group_id)
        return True
