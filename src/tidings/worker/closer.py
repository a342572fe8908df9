"""Groups that are being deleted: what each has goes some at a time, and it last.

Events make the group that they name, on first sight. So a group goes only once what was written for it is routed: after
those who looked it up before it was closed have forgotten it (`operations.groups.KNOWN_FOR`), the outbox's last number is noted, and
what is up to there is waited for. Who names it afterwards, such as a row of a captured table, makes it anew.
"""

import logging
from datetime import timedelta
from typing import Any

from tidings.clock import Clock
from tidings.core.errors import BusyError, ConflictError
from tidings.core.event import DEFAULT_GROUP
from tidings.sources import tables
from tidings.store import collections, cron, groups, queue, webhooks
from tidings.store.database import Connection, Database

logger = logging.getLogger("tidings.closer")

CLOSE_INTERVAL = 2.0  # seconds
AT_ONCE = 100  # things of a kind in one transaction
COLLECTIONS_AT_ONCE = 10  # each is a table, whose lock others wait for
FORGOTTEN_AFTER = timedelta(seconds=10)  # by who looked a group up: twice as long as they may know it
LOOKED_THROUGH = 10_000  # rows of the outbox


class Closer:
    """Deletes groups. Any number may run."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> int:
        """Go on with each group until nothing more can be done now; return how many are gone."""
        gone, seen = 0, set[str]()
        while True:
            async with self._database.transaction() as connection:
                row = await groups.next_deleting(connection, seen)
                if row is None:
                    return gone
                if await self._take_some(connection, row["id"]):
                    continue
                seen.add(row["id"])
                gone += await self._end(connection, row)

    async def _take_some(self, connection: Connection, group_id: str) -> bool:
        """Delete some of what a group has; whether there was any."""
        jobs = await groups.jobs(connection, group_id, AT_ONCE)
        for job in jobs:
            await cron.delete(connection, job["id"])
        if jobs or await groups.delete_settings(connection, group_id, AT_ONCE):
            return True  # a job's webhook is among the webhooks
        webhook_page = await webhooks.list_webhooks(connection, group_id, limit=AT_ONCE)
        for webhook in webhook_page:
            await tables.keep_in_step(connection, was=webhook)
            await queue.cancel_of_webhook(connection, webhook.id)
            await webhooks.delete_webhook(connection, webhook.id)
        return bool(webhook_page) or await self._take_collections(connection, group_id)

    async def _take_collections(self, connection: Connection, group_id: str) -> bool:
        """Delete collections that no other refers to; whether there was one."""
        count, fault = 0, None
        for name in await collections.names(connection, group_id, AT_ONCE):
            try:
                async with connection.transaction():  # one that cannot go keeps none of the others
                    found = await collections.lock(connection, group_id, name)
                    if found is not None:
                        await collections.delete(connection, found)
                        count += 1
            except (BusyError, ConflictError) as error:
                fault = error.message
            if count == COLLECTIONS_AT_ONCE:
                break
        if fault is not None and not count:
            logger.warning("group %s cannot be deleted for now: %s", group_id, fault)
        await groups.say_fault(connection, group_id, None if count else fault)
        return count > 0

    async def _end(self, connection: Connection, row: Any) -> bool:
        """Delete a group that has nothing any more, if nothing of it can be on its way; whether it is gone."""
        group_id, since, past = row["id"], row["deleting_at"], row["deleting_past"]
        if await collections.names(connection, group_id, 1) or self._clock.now() < since + FORGOTTEN_AFTER:
            return False
        if past is None:
            await groups.note_last(connection, group_id)
            return False
        if not await groups.is_routed(connection, group_id, past, LOOKED_THROUGH):
            return False
        await groups.delete(connection, group_id, DEFAULT_GROUP)
        logger.info("group %s is deleted", group_id)
        return True
