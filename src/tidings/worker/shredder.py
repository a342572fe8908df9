"""Payloads that are not needed any more go: sealed ones with their deliveries, others when a rule or the setting says.

Everything is done some at a time, by index: sealed payloads and those that rules end are looked at when they are due; those
that the setting ends are walked along by the ids of events, behind a position that is written down.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from tidings.clock import Clock
from tidings.core.event import milliseconds
from tidings.core.keeping import RETENTION_LATER, decide_end
from tidings.core.search import first_id
from tidings.store import payloads
from tidings.store.database import Connection, Database
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.shredder")

SHRED_INTERVAL: Final = 1.0  # seconds
AT_ONCE: Final = 500  # events in one transaction


class Shredder:
    """Takes payloads away. Any number may run."""

    def __init__(
        self, database: Database, clock: Clock, stopping: Signal, *, payload_hours: int | None, at_once: int = AT_ONCE
    ) -> None:
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._age = None if payload_hours is None else timedelta(hours=payload_hours)
        self._at_once = at_once

    async def run_once(self) -> int:
        """Work until nothing is due, and return how many payloads went."""
        count = 0
        for step in (self._sealed, self._ended, self._aged):
            while not self._stopping.is_set:
                async with self._database.transaction() as connection:
                    seen, gone = await step(connection, self._clock.now())
                count += gone
                if seen < self._at_once:
                    break
        return count

    async def _sealed(self, connection: Connection, now: datetime) -> tuple[int, int]:
        due = await payloads.sealed_due(connection, now, self._at_once)
        if not due:
            return 0, 0
        standing = await payloads.standing(connection, [row["event_id"] for row in due])
        later = {}
        for row in due:
            how = standing[row["event_id"]]
            later[row["event_id"]] = decide_end(
                is_open=how.is_open,
                has_failed=how.has_failed,
                resend_hours=row["resend_hours"],
                look_count=row["look_count"],
                ends_at=row["ends_at"],
                now=now,
            )
        gone = [event_id for event_id, at in later.items() if at is None]
        await payloads.shred(connection, gone)
        await payloads.look_later(connection, {event_id: at for event_id, at in later.items() if at is not None})
        return len(due), len(gone)

    async def _ended(self, connection: Connection, now: datetime) -> tuple[int, int]:
        due = await payloads.ends_due(connection, now, self._at_once)
        if not due:
            return 0, 0
        standing = await payloads.standing(connection, due)
        needed = [event_id for event_id in due if standing[event_id].is_open]
        gone = [event_id for event_id in due if not standing[event_id].is_open]
        await payloads.empty(connection, gone, "retention", now)
        await payloads.put_off(connection, needed, now + RETENTION_LATER)
        return len(due), len(gone)

    async def _aged(self, connection: Connection, now: datetime) -> tuple[int, int]:
        """Take out what is older than the setting says. What a delivery still needs is put down to be looked at later."""
        if self._age is None or (position := await payloads.position(connection)) is None:
            return 0, 0
        rows = await payloads.next_window(connection, position, first_id(milliseconds(now - self._age)), self._at_once)
        if not rows:
            return 0, 0
        full = [row["id"] for row in rows if row["has_payload"]]
        standing = await payloads.standing(connection, full) if full else {}
        gone = [event_id for event_id in full if not standing[event_id].is_open]
        await payloads.empty(connection, gone, "retention", now)
        needed = [row for row in rows if row["id"] in standing and standing[row["id"]].is_open]
        await payloads.end_later(connection, {row["id"]: (row["group_id"], now + RETENTION_LATER) for row in needed})
        await payloads.advance(connection, rows[-1]["id"])
        return len(rows), len(gone)
