"""Erasures, brought on chunk by chunk (theory: `core.erasure`). Any number of workers may do so; a chunk is one's alone."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from tidings.clock import Clock
from tidings.core.erasure import Count, Done, Erasure, Finder, Pending, Stage, advanced, failed, refused
from tidings.core.errors import StartupError
from tidings.core.job import State
from tidings.store import erasures, outbox, payloads, redaction
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.secrets import SecretBox
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.eraser")

ERASE_INTERVAL: Final = 0.5  # seconds
WAITS_FOR_OUTBOX: Final = "What was committed before waits to be routed, or its transactions are open still."
WAITS_FOR_DELIVERIES: Final = "Deliveries of some of the events have not ended."
UNREADABLE: Final = "Its subject cannot be decrypted: SECRET_KEY is another than when it was asked for. Ask for it again."


class Eraser:
    """Takes out what is kept of subjects."""

    def __init__(
        self, database: Database, box: SecretBox, clock: Clock, stopping: Signal, *, at_once: int = erasures.AT_ONCE
    ) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._stopping = stopping
        self._at_once = at_once

    async def run_once(self) -> int:
        """Work until no erasure is due, and return how many chunks were done."""
        chunks = 0
        while not self._stopping.is_set and await self.bring_on():
            chunks += 1
        return chunks

    async def bring_on(self) -> bool:
        """Do one chunk of the erasure that has been due longest, and tell whether there was one."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            erasure = await erasures.take(connection, self._box, now)
            if erasure is None:
                return False
            after = await self._try_chunk(connection, erasure, now)
            await erasures.advance(connection, after)
            if not after.is_open:
                await redaction.moved(connection)
        if not after.is_open:
            level = logging.WARNING if after.state is State.FAILED else logging.INFO
            logger.log(level, "erasure %s is %s", after.id, after.state)
        return True

    async def _try_chunk(self, connection: Connection, erasure: Erasure, now: datetime) -> Erasure:
        """Do a chunk, of which nothing is left when PostgreSQL refuses it."""
        if erasure.subject is None:
            return failed(erasure, UNREADABLE, now)
        try:
            async with connection.transaction():
                return advanced(erasure, await self._chunk(connection, erasure, Finder(erasure.subject), now), now)
        except (*UNAVAILABLE, *COLLISIONS):
            raise  # nothing is wrong with the erasure; it goes again
        except (asyncpg.PostgresError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            return refused(
                erasure, f"PostgreSQL refused a chunk: {type(error).__name__}.", now
            )  # its words can quote the subject

    async def _chunk(self, connection: Connection, erasure: Erasure, finder: Finder, now: datetime) -> Done:
        match erasure.stage:
            case Stage.OUTBOX:
                is_routed = await erasures.is_outbox_routed(connection, erasure)
                return Done(None, waits_for=None if is_routed else WAITS_FOR_OUTBOX)
            case Stage.EVENTS:
                return await self._events(connection, erasure, finder, now)
            case Stage.WAITS:
                return await self._waits(connection, erasure, finder, now)
            case _:
                return await self._rows(connection, erasure, finder)

    async def _rows(self, connection: Connection, erasure: Erasure, finder: Finder) -> Done:
        """Look through a page of a place whose rows are texts."""
        rows = await erasures.page(connection, erasure, at_once=self._at_once)
        keys = await asyncio.to_thread(self._keys_about, rows, erasure.stage, finder)
        if not erasure.dry_run:
            await erasures.erase(connection, erasure.stage, keys)
        counts = {erasure.stage.value: Count(len(keys), 0 if erasure.dry_run else len(keys))} if keys else {}
        return Done(rows[-1]["key"] if rows else None, counts)

    def _keys_about(self, rows: Sequence[Any], stage: Stage, finder: Finder) -> list[str]:
        """Return the keys of rows that are about the subject, each once. Beside the event loop: texts can be long."""
        return list(dict.fromkeys(row["key"] for row in rows if row["is_ours"] and self._is_about(row, stage, finder)))

    def _is_about(self, row: Any, stage: Stage, finder: Finder) -> bool:
        texts: list[str | None] = list(row["texts"])
        if stage is Stage.BINS:
            texts += [row["body"].decode("utf-8", "replace"), row["body"].decode("latin-1")]
        if stage is Stage.SET_ASIDE and row["sealed"] is not None:
            with suppress(StartupError):  # of another key: nobody can read it
                texts += outbox.unsealed(self._box, row["sealed"], int(row["key"]))
        return finder.in_answer(*texts)

    async def _events(self, connection: Connection, erasure: Erasure, finder: Finder, now: datetime) -> Done:
        rows = await erasures.page(connection, erasure, at_once=self._at_once)
        found = await asyncio.to_thread(self._events_about, rows, finder)
        position = rows[-1]["key"] if rows else None
        if not found:
            return Done(position)
        if erasure.dry_run:
            return Done(position, {"events": Count(len(found))})
        counts = {"events": Count(len(found))}
        if erasure.pending is Pending.CANCEL:
            cancelled = await erasures.cancel_deliveries(connection, found)
            counts["cancelled"] = Count(cancelled, cancelled)
        open_ = await self._erase(connection, finder, found, counts, now)
        if open_:
            await erasures.wait_for(connection, erasure, open_)
        return Done(position, counts)

    def _events_about(self, rows: Sequence[Any], finder: Finder) -> list[UUID]:
        return [UUID(row["key"]) for row in rows if row["is_ours"] and self._is_event_about(row, finder)]

    def _is_event_about(self, row: Any, finder: Finder) -> bool:
        records = [row["record"], row["old_record"]]
        words = list(row["texts"])
        if row["sealed"] is not None:
            whole = payloads.read_sealed(self._box, row["sealed"], UUID(row["key"]))
            if whole is not None:
                records += [whole.record, whole.old_record]
                words += [whole.subject, whole.external_id, whole.capture_error]
        return any(map(finder.in_record, records)) or finder.in_words(*words)

    async def _erase(
        self, connection: Connection, finder: Finder, found: Sequence[UUID], counts: dict[str, Count], now: datetime
    ) -> list[UUID]:
        """Erase those of events whose deliveries have all ended, and return the others."""
        standing = await payloads.standing(connection, found)
        ended = [event_id for event_id in found if not standing[event_id].is_open]
        if ended:
            ids = await erasures.external_ids(connection, ended)
            told = await erasures.erase_published(connection, ids, [finder.in_words(external_id) for _, external_id in ids])
            answers = await erasures.erase_events(connection, ended, now)
            before = counts.get("events", Count())
            counts["events"] = Count(before.found, before.erased + len(ended))
            if answers:
                counts["answers"] = Count(answers, answers)
            if told:
                counts["published"] = Count(told, told)
        return [event_id for event_id in found if standing[event_id].is_open]

    async def _waits(self, connection: Connection, erasure: Erasure, finder: Finder, now: datetime) -> Done:
        """Look again at events that had deliveries under way, from the first on once all were looked at."""
        noted = await erasures.waits(connection, erasure, self._at_once)
        if not noted:
            is_left = await erasures.are_waits_left(connection, erasure)
            return Done(None, waits_for=WAITS_FOR_DELIVERIES if is_left else None)
        counts: dict[str, Count] = {}
        if erasure.pending is Pending.CANCEL and (cancelled := await erasures.cancel_deliveries(connection, noted)):
            counts["cancelled"] = Count(cancelled, cancelled)  # what was under way failed, and waited again
        left = await self._erase(connection, finder, noted, counts, now)
        await erasures.waited(connection, erasure, [event_id for event_id in noted if event_id not in set(left)])
        return Done(str(noted[-1]), counts)
