"""The small periodic duties: rescue, housekeeping. Each is a `run_once`; `every` makes it a loop."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from tidings.clock import Clock
from tidings.core.bin import KEPT_FOR, UNUSED_FOR
from tidings.core.capture import TableName
from tidings.core.errors import BusyError
from tidings.core.listening import LEASE_SECONDS, SILENT
from tidings.core.pauses import Pauses
from tidings.core.standstill import Standstill
from tidings.sources import backfill, tables
from tidings.store import (
    api_keys,
    backfills,
    bins,
    cron,
    flights,
    history,
    integrations,
    limits,
    listening,
    outbox,
    portal_links,
    recoveries,
    sessions,
    signing_keys,
    webhook_versions,
    webhooks,
    workers,
)
from tidings.store.database import COLLISIONS, ROW_FAULTS, UNAVAILABLE, Database, said
from tidings.store.secrets import SecretBox
from tidings.store.signing_keys import KeyRing
from tidings.worker.flights import Flights
from tidings.worker.identity import Identity
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.worker")

# A worker silent for this long is dead: with the beat and the rescuer's own interval, its deliveries are due again
# within 15 s of its last heartbeat.
SILENCE = workers.SILENCE
RESCUE_INTERVAL = 2.0  # seconds
HOUSEKEEPING_INTERVAL = 60.0  # seconds
KEYS_INTERVAL = 10.0  # seconds
BACKFILL_INTERVAL = 0.2  # seconds until a backfill that paused is looked at again
CHANGES_KEPT = timedelta(days=1)  # a worker that was away for longer reads all webhooks anew
FORGOTTEN_AT_ONCE = 10_000  # rows of each kind; more than are made in an interval
DAYS_AHEAD = 3  # partitions made in advance: a weekend without a janitor


class Duty(Protocol):
    """Something done again and again."""

    async def run_once(self) -> object:
        """Do it once."""


async def every(interval: float, duty: Duty, stopping: Signal) -> None:
    """Run a duty now and at every interval until told to stop, through outages of the database."""
    name = type(duty).__name__.lower()
    pauses = Pauses()
    while not stopping.is_set:
        wait = interval
        try:
            await duty.run_once()
            pauses.reset()
        except UNAVAILABLE as error:
            logger.debug("%s waits for the database: %s", name, str(error) or type(error).__name__)
            wait = pauses.next()
        except COLLISIONS as error:
            logger.info("%s was in another transaction's way and goes again later: %s", name, said(error))
        except BusyError as error:
            logger.info("%s goes again later: %s", name, error.message)
        except ROW_FAULTS as error:
            logger.error("%s goes again later: a row it met cannot be as it is: %s", name, said(error))  # noqa: TRY400 - told whole
        await stopping.wait(wait)


class KeyKeeper:
    """Notices keys that were rotated, and those whose time to sign has come."""

    def __init__(self, database: Database, box: SecretBox, ring: KeyRing) -> None:
        self._database = database
        self._box = box
        self._ring = ring

    async def run_once(self) -> None:
        """Bring the keys that this process signs with up to date."""
        await signing_keys.refresh(self._database, self._box, self._ring)


class Rescuer:
    """Frees what dead workers held."""

    def __init__(
        self,
        database: Database,
        me: Identity,
        airborne: Flights,
        *,
        on_rescued: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._me = me
        self._airborne = airborne
        self._on_rescued = on_rescued
        self._monotonic = monotonic
        limit = SILENCE.total_seconds()
        self._workers: Standstill[UUID] = Standstill(limit, longest_gap=limit / 2)
        self._flights: Standstill[int] = Standstill(limit, longest_gap=limit / 2)
        self._clients: Standstill[UUID] = Standstill(LEASE_SECONDS, longest_gap=limit / 2)

    async def run_once(self) -> int:
        """Free what dead workers held and what this worker holds unknowingly; return how many deliveries that were.

        Dead is whose heartbeat has not changed while this one looked for ten seconds, whatever the clocks say. After an outage,
        or when this process stood still, everybody looks dead, and looking begins anew.
        """
        freed = await self._free_dead()
        forgotten = await self._free_forgotten()
        freed += await self._free_of_listeners()
        if freed:
            logger.warning("%d deliveries of dead workers are due again", freed)
        if forgotten:
            logger.warning("%d deliveries leased over a lost connection are due again", forgotten)
        if freed or forgotten:
            self._on_rescued()
        return freed + forgotten

    async def _free_dead(self) -> int:
        async with self._database.transaction() as connection:
            beats = await workers.heartbeats(connection)
            silent = self._workers.look(beats, self._monotonic())
            dead = [worker_id for worker_id in silent if worker_id != self._me.worker_id]
            if dead and (buried := await workers.bury(connection, {worker_id: beats[worker_id] for worker_id in dead})):
                logger.warning("workers that were silent for %.0f s count as dead: %d", SILENCE.total_seconds(), len(buried))
            return await flights.ground_orphans(connection)

    async def _free_of_listeners(self) -> int:
        """Free what clients of listeners held that have not asked for half a minute: asleep, cut off or gone."""
        async with self._database.transaction() as connection:
            beats = await listening.heartbeats(connection)
            silent = self._clients.look(beats, self._monotonic())
            if not silent:
                return 0
            buried = await listening.bury(connection, {session: beats[session] for session in silent})
            return await flights.put_back(connection, await listening.flights_of(connection, buried), SILENT)

    async def _free_forgotten(self) -> int:
        """Free flights that this worker has not known of for ten seconds: the answer to their lease was lost.

        In a transaction of its own: two rounds of locks on lanes in one could wait for somebody who waits for them.
        """
        async with self._database.transaction() as connection:
            unknown = await flights.unknown(connection, self._me.worker_id, self._airborne.known)
            forgotten = self._flights.look(dict.fromkeys(unknown), self._monotonic())
            return await flights.ground_forgotten(connection, self._me.worker_id, forgotten) if forgotten else 0


class Backfiller:
    """Brings backfills on, chunk by chunk, as fast as what they write is routed."""

    def __init__(self, database: Database, stopping: Signal) -> None:
        self._database = database
        self._stopping = stopping

    async def run_once(self) -> int:
        """Work until nothing can be brought on now, and return how many chunks were done."""
        chunks = 0
        seen: set[TableName] = set()
        while not self._stopping.is_set:
            async with self._database.transaction() as connection:
                table = await backfill.work_on_next(connection)
            if table is None:
                break
            seen.add(table)
            chunks += 1
        if seen:
            await self._take_watches_away(seen)
        return chunks

    async def _take_watches_away(self, seen: set[TableName]) -> None:
        try:
            async with self._database.transaction() as connection:
                await tables.keep_in_step(connection, named=seen)
        except BusyError as error:
            logger.info("a trigger goes on noting changes for a while: %s", error.message)


class Janitor:
    """Makes partitions ahead, drops those past retention with all that they named, and keeps triggers in step with webhooks."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        retention_days: int,
        on_dropped: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._retention = timedelta(days=retention_days)
        self._on_dropped = on_dropped

    async def run_once(self) -> int:
        """Do all of it and return how many days of history were dropped."""
        today = self._clock.now().date()
        async with self._database.connection() as connection:
            for ahead in range(-1, DAYS_AHEAD + 1):
                await history.ensure_day(connection, today + timedelta(days=ahead))
            dropped = await history.drop_days_before(connection, today - self._retention)
            await outbox.forget_external_ids(connection, self._clock.now() - self._retention)
            await backfills.forget_changes(connection)
            await cron.forget_runs(connection, self._clock.now() - self._retention)
            await integrations.forget_notices(connection, self._clock.now() - self._retention)
            await recoveries.forget(connection, self._clock.now() - self._retention, FORGOTTEN_AT_ONCE)
            await webhooks.forget_changes(connection, self._clock.now() - CHANGES_KEPT, FORGOTTEN_AT_ONCE)
            await webhook_versions.forget_versions(connection, FORGOTTEN_AT_ONCE)
            await portal_links.forget(connection, self._clock.now())
            await sessions.forget(connection, self._clock.now())
            await api_keys.forget(connection, self._clock.now())
            await bins.forget(connection, self._clock.now() - KEPT_FOR, self._clock.now() - UNUSED_FOR, FORGOTTEN_AT_ONCE)
            if dropped:
                await limits.forget_days(connection)
        if dropped:
            logger.info("%d days of history dropped: older than %d days", dropped, self._retention.days)
            self._on_dropped()
        await self._keep_triggers()
        return dropped

    async def _keep_triggers(self) -> None:
        """Tables are dropped, made again and renamed behind our back; this puts things right within a minute."""
        try:
            await tables.keep_all_in_step(self._database)
        except BusyError as error:
            logger.info("triggers are put right later: %s", error.message)
