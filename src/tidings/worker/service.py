"""A worker: dispatcher, deliverer, recorder and the periodic duties, started and stopped together."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from tidings.clock import Clock
from tidings.core.outcome import Result
from tidings.core.pauses import Pauses
from tidings.core.statistics import DEFAULT_SERIES
from tidings.store import queue, webhooks
from tidings.store.database import UNAVAILABLE, Database
from tidings.store.secrets import SecretBox
from tidings.store.signing_keys import KeyRing
from tidings.transport.sender import Sender
from tidings.worker.ahead_session import Known
from tidings.worker.archivist import FORGET_INTERVAL, SEAL_INTERVAL, Forgetter, Sealer
from tidings.worker.attempt_log import log_attempts
from tidings.worker.attempts import Attempts
from tidings.worker.batch_router import BatchRouter
from tidings.worker.bookkeeping import BOOKKEEPING_INTERVAL, Bookkeeper
from tidings.worker.certificates import CERTIFICATES_INTERVAL, CertificateWatch
from tidings.worker.closer import CLOSE_INTERVAL, Closer
from tidings.worker.crew import Crew
from tidings.worker.deliverer import Deliverer
from tidings.worker.dispatcher import Dispatcher
from tidings.worker.duties import (
    BACKFILL_INTERVAL,
    HOUSEKEEPING_INTERVAL,
    KEYS_INTERVAL,
    RESCUE_INTERVAL,
    Backfiller,
    Janitor,
    KeyKeeper,
    Rescuer,
    every,
)
from tidings.worker.eraser import ERASE_INTERVAL, Eraser
from tidings.worker.event_cache import EventCache
from tidings.worker.flights import Flights
from tidings.worker.heart import Heart, Pulse
from tidings.worker.identity import Identity
from tidings.worker.listeners import KEEP_INTERVAL, Keeper, Ringer
from tidings.worker.looks import Looks
from tidings.worker.mender import MEND_INTERVAL, Mender
from tidings.worker.payloads import PAYLOADS_INTERVAL, PayloadLimits
from tidings.worker.places import Places
from tidings.worker.privacy import RULES_INTERVAL, Privacy
from tidings.worker.recorder import Recorder
from tidings.worker.recoverer import RECOVER_INTERVAL, Recoverer
from tidings.worker.routes import CurrentRoutes
from tidings.worker.scheduler import SCHEDULE_INTERVAL, Scheduler
from tidings.worker.shredder import SHRED_INTERVAL, Shredder
from tidings.worker.signals import Signal
from tidings.worker.summing import SUM_INTERVAL, Sums
from tidings.worker.telemetry import WATCH_INTERVAL, Telemetry, Watch
from tidings.worker.teller import Teller

logger = logging.getLogger("tidings.worker")

LISTEN_SECONDS = 30.0  # for an answer to `listen`


class Worker:
    """Everything one process does between the outbox and history.

    `start` and `stop` may each be called twice. Should a duty die of an error that is not an outage, `failed` is set and
    the process should end: another one, or its supervisor, takes over.
    """

    def __init__(
        self,
        database: Database,
        box: SecretBox,
        sender: Sender,
        clock: Clock,
        *,
        keys: KeyRing,
        salt: int,
        retention_days: int,
        payload_hours: int = 0,
        audit_days: int,
        max_in_flight: int,
        loop_depth: int,
        stop_grace_seconds: float,
        sql_jobs: Mapping[str, str],
        max_connections: int | None = None,
        log_attempts: bool = False,
        metrics_webhooks: int = DEFAULT_SERIES,
        telemetry: Telemetry | None = None,
    ) -> None:
        routes, cache, own = CurrentRoutes(box, clock, server=database.server), EventCache(), database.for_own_statements()
        self._database, self._routes, self._sender, self._grace = database, routes, sender, stop_grace_seconds
        self._log_attempts, self.telemetry = log_attempts, telemetry
        self._more_places = partial(Places, max_in_flight, connections=max_connections)
        self.me, self.airborne, self.places = Identity(), Flights(), self._more_places()
        self.privacy = Privacy(own, box, cache)
        self.heart = Heart(database, clock, self.me)
        self.teller = Teller(database)
        self.recorder = Recorder(own, clock, self.me, self.airborne, self.places, on_recorded=self._on_recorded)
        told = log_attempts or telemetry is not None
        self._more = partial(Attempts, sender=sender, clock=clock, keys=keys, privacy=self.privacy, is_told=told)
        self.attempts = self._more(self.recorder, self.places)
        parts = own, routes, cache, self.attempts, self.recorder, clock, self.me, self.airborne, self.places
        self.deliverer = Deliverer(*parts, self.privacy)
        self._ringer, self.payloads = Ringer(database), PayloadLimits(own)
        self.router = BatchRouter(
            own, routes, cache, clock, self.me, self.airborne, self.places, taker=self.attempts, privacy=self.privacy,
            tell=self._ringer.tell, loop_depth=loop_depth, payloads=self.payloads, telemetry=telemetry,
        )  # fmt: skip
        self.dispatcher = Dispatcher(own, self.router, routes, self.places, self.privacy, clock, salt=salt)
        self._rescuer = Rescuer(database, self.me, self.airborne, on_rescued=self.places.called.set)
        self._janitor = Janitor(database, clock, retention_days=retention_days, on_dropped=self.router.forget_days)
        self._bookkeeper = Bookkeeper(database, clock, retention_days=retention_days, most_series=metrics_webhooks)
        self.sealer = Sealer(database, box, clock)
        self._forgetter = Forgetter(database, box, clock, audit_days=audit_days)
        self.key_keeper = KeyKeeper(database, box, keys)
        self._stopping = Signal()
        self.backfiller = Backfiller(database, self._stopping)
        self.recoverer = Recoverer(database, clock, self.me, self._stopping)
        self.shredder = Shredder(database, clock, self._stopping, payload_hours=payload_hours or None)
        self.eraser = Eraser(database, box, clock, self._stopping)
        self.mender, self.keeper, self.sums = Mender(database, box, clock), Keeper(database, box, clock), Sums(database)
        self.certificates, self.closer = CertificateWatch(database, clock), Closer(database, clock)
        self.scheduler = Scheduler(database, clock, self._stopping, sql_jobs)
        self._looks, self._takes_old_payloads = Looks(own, clock), payload_hours > 0
        self.failed = Signal()
        self._pulse = Pulse(self.heart, on_failed=self._on_heart_failed)
        self._crew = Crew("the worker stops", self.failed.set)
        self._stopped = False

    @property
    def known(self) -> Known:
        """What this worker knows, also while the database is away."""
        return Known(self._routes, self.privacy, self.payloads, lambda results: self._more(results, self._more_places()))

    async def start(self) -> None:
        """Register and begin."""
        if self._crew.has_begun:
            return
        await self._janitor.run_once()
        await self.payloads.run_once()  # before anything is routed
        async with self._database.connection() as connection:  # here, since it can take seconds, and not while work is held
            await self._routes.at_least(connection, await webhooks.routes_version(connection))
        await self.heart.begin()
        self._pulse.start()
        before = self._looks.before
        shredder = self.shredder if self._takes_old_payloads else before("shredder", self.shredder)
        for name, duty in {
            "dispatcher": self.dispatcher.run(),
            "dispatcher beside crowds": self.dispatcher.run_beside(),
            "deliverer": self.deliverer.run(),
            "recorder": self.recorder.run(),
            "teller": self.teller.run(),
            "rescuer": every(RESCUE_INTERVAL, self._rescuer, self._stopping),
            "janitor": every(HOUSEKEEPING_INTERVAL, self._janitor, self._stopping),
            "bookkeeper": every(BOOKKEEPING_INTERVAL, self._bookkeeper, self._stopping),
            "backfiller": every(BACKFILL_INTERVAL, before("backfiller", self.backfiller), self._stopping),
            "recoverer": every(RECOVER_INTERVAL, before("recoverer", self.recoverer), self._stopping),
            "keeper of listeners": every(KEEP_INTERVAL, self.keeper, self._stopping),
            "ringer of listeners": self._ringer.run(),
            "shredder": every(SHRED_INTERVAL, shredder, self._stopping),
            "eraser": every(ERASE_INTERVAL, before("eraser", self.eraser), self._stopping),
            "mender": every(MEND_INTERVAL, self.mender, self._stopping),
            "certificates": every(CERTIFICATES_INTERVAL, self.certificates, self._stopping),
            "closer": every(CLOSE_INTERVAL, self.closer, self._stopping),
            **self._watching(),
            "sums for a terminal": every(SUM_INTERVAL, self.sums, self._stopping),
            "sealer of the audit": every(SEAL_INTERVAL, before("sealer", self.sealer), self._stopping),
            "forgetter of the audit": every(FORGET_INTERVAL, self._forgetter, self._stopping),
            "limits of payloads": every(PAYLOADS_INTERVAL, self.payloads, self._stopping),
            "signing keys": every(KEYS_INTERVAL, self.key_keeper, self._stopping),
            "scheduler": every(SCHEDULE_INTERVAL, before("scheduler", self.scheduler), self._stopping),
            "redaction rules": every(RULES_INTERVAL, self.privacy, self._stopping),
            "queue listener": self._listen(),
        }.items():
            self._crew.begin(name, duty)

    async def stop(self) -> None:
        """Take on nothing more, finish what is under way, record it, and leave.

        Requests that are not answered within the grace are recorded as stopped, and repeated by another worker.
        """
        if self._stopped:
            return
        self._stopped = True
        self.dispatcher.stop()
        self.deliverer.stop()
        if claiming := self._crew.named("dispatcher", "dispatcher beside crowds", "deliverer"):
            await asyncio.wait(claiming, timeout=self._grace)
        await self.attempts.drain(self._grace)
        self.recorder.stop()
        self.teller.stop()
        self._stopping.set()
        self._ringer.stop()
        await self._crew.settle(10)
        await self.teller.finish()  # what was recorded last
        if self.telemetry is not None:
            await self.telemetry.close()
        await self.scheduler.settled()
        await self._sender.close()
        await self._pulse.stop()
        try:
            await self.heart.end()
        except UNAVAILABLE:
            logger.warning("the database is unavailable; this worker's leases end by themselves")

    def _watching(self) -> dict[str, Coroutine[Any, Any, None]]:
        if self.telemetry is None:
            return {}
        return {"watch for OpenTelemetry": every(WATCH_INTERVAL, Watch(self._database, self.telemetry), self._stopping)}

    def _on_recorded(self, results: list[Result]) -> None:
        if self.telemetry is not None:
            self.telemetry.attempted(results)
        log_attempts(results, is_each=self._log_attempts)
        self.sums.add(results)
        self.teller.add(results)

    def _on_heart_failed(self, error: BaseException) -> None:
        logger.critical("heart died; the worker stops", exc_info=error)
        self.failed.set()

    async def _listen(self) -> None:
        """Wake the deliverer when another process puts something into the queue."""
        pauses = Pauses()
        while not self._stopping.is_set:
            try:
                await self._listen_connected(pauses)
            except UNAVAILABLE as error:
                self._database.outages.failed(error)
                await self._stopping.wait(pauses.next())

    async def _listen_connected(self, pauses: Pauses) -> None:
        lost = Signal()
        connection = await self._database.dedicated(command_timeout=LISTEN_SECONDS)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await connection.add_listener(queue.QUEUE_CHANNEL, lambda *_: self.places.called.set())
            pauses.reset()
            while not (self._stopping.is_set or lost.is_set):
                await self._stopping.wait(1.0)
        finally:
            connection.terminate()
