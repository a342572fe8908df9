"""Delivery: claim what is due, and have one attempt of each be made."""

import logging
from collections.abc import Sequence
from uuid import UUID

from tidings.clock import Clock
from tidings.core.delivery import Delivery
from tidings.core.event import Event
from tidings.core.lanes import GroupTurns
from tidings.core.outcome import Exchange, GiveUp, Released, Result
from tidings.core.pauses import Pauses
from tidings.core.webhook import Webhook
from tidings.store import payloads, queue
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.worker.attempts import RELEASE_DELAY, Attempts
from tidings.worker.event_cache import EventCache
from tidings.worker.flights import Flights
from tidings.worker.identity import Identity
from tidings.worker.places import Places
from tidings.worker.privacy import Privacy
from tidings.worker.recorder import Recorder
from tidings.worker.routes import CurrentRoutes
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.deliverer")

IDLE_INTERVAL = 1.0  # seconds between looks at the queue when nobody calls
RETRY_INTERVAL = 0.005  # seconds until the next look, when every due lane was held by another claim
NO_EVENT = Exchange(
    failure="internal",
    error="There is nothing to send: its event is not in history, or its payload is hidden for good, past its time, or erased.",
)


class Deliverer:
    """Claims what is due. Any number may run; each delivery is leased to one."""

    def __init__(
        self,
        database: Database,
        routes: CurrentRoutes,
        cache: EventCache,
        attempts: Attempts,
        recorder: Recorder,
        clock: Clock,
        me: Identity,
        airborne: Flights,
        places: Places,
        privacy: Privacy,
    ) -> None:
        self._database = database
        self._routes = routes
        self._cache = cache
        self._attempts = attempts
        self._recorder = recorder
        self._clock = clock
        self._me = me
        self._airborne = airborne
        self._privacy = privacy
        self._places = places
        self._turns = GroupTurns()
        self._stopped = Signal()
        self.stopping = False

    async def run(self) -> None:
        """Deliver until told to stop, through outages of the database."""
        pauses = Pauses()
        while not self.stopping:
            self._places.called.clear()
            try:
                claimed = await self.run_once()
                pauses.reset()
                if claimed == 0 and not self.stopping:
                    await self._rest()
            except COLLISIONS:
                await self._stopped.wait(RETRY_INTERVAL)
            except UNAVAILABLE:
                await self._stopped.wait(pauses.next())

    async def run_once(self) -> int:
        """Claim what there is room for, begin the attempts, and return how many began."""
        self._attempts.shortage.look()
        free = self._places.claim()
        if not free:
            return 0
        others = self._places.lend_to_others(at_most=free)
        claimed: list[Delivery] = []
        try:
            claimed, events, webhooks = await self._claim(free, others)
            self._begin_claimed(claimed, events, webhooks)
        finally:
            self._places.give_back(others)
            self._places.end_claim(sum(delivery.is_trusted for delivery in claimed))
        return len(claimed)

    async def _claim(self, capacity: int, others: int) -> tuple[list[Delivery], dict[UUID, Event], dict[UUID, Webhook]]:
        """Lease what is due, and return it with the events and webhooks that were found."""
        worker_id, now = self._me.worker_id, self._clock.now()
        async with self._database.transaction() as connection:
            version, leased = await queue.claim(
                connection,
                worker_id,
                now,
                capacity=capacity,
                others_capacity=others,
                is_slow=self._places.is_slow,
                turns=self._turns if len(self._routes.current.groups) > 1 else None,
                part=self._me.part,
            )
            if not leased:
                return [], {}, {}
            claimed = [delivery for flight in leased for delivery in flight]
            await self._routes.at_least(connection, version)
            webhooks = await self._routes.webhooks(connection, {delivery.webhook_id for delivery in claimed})
            events = await self._events_of(connection, claimed)
        for flight in leased:
            self._airborne.board(worker_id, flight)
        return claimed, events, webhooks

    def _begin_claimed(self, claimed: Sequence[Delivery], events: dict[UUID, Event], webhooks: dict[UUID, Webhook]) -> None:
        now = self._clock.now()
        for delivery in claimed:
            event, webhook = events.get(delivery.event_id), webhooks.get(delivery.webhook_id)
            if webhook is None:  # it was deleted, or cannot be read: the delivery waits, or ends, unsent
                self._recorder.add(Result(delivery, now, Exchange(), Released(now + RELEASE_DELAY)))
            elif event is None:  # read in the transaction that claimed it, so it will not come
                self._recorder.add(Result(delivery, now, NO_EVENT, GiveUp(NO_EVENT.error or "")))
            else:
                self._attempts.begin(delivery, event, webhook)

    async def _rest(self) -> None:
        """Wait for a call, for a place, or until the next lane is due."""
        if self._places.are_too_few:
            await self._places.called.wait(0.1)
            return
        async with self._database.connection() as connection:
            due_at = await queue.next_due_at(connection, of_all=not self._places.others_wait)
        wait = IDLE_INTERVAL
        if due_at is not None:
            wait = min(wait, max(RETRY_INTERVAL, (due_at - self._clock.now()).total_seconds()))
        await self._places.called.wait(wait)

    async def _events_of(self, connection: Connection, claimed: Sequence[Delivery]) -> dict[UUID, Event]:
        events = {d.event_id: event for d in claimed if (event := self._cache.get(d.event_id)) is not None}
        missing = {delivery.event_id for delivery in claimed if delivery.event_id not in events}
        if missing:
            events |= await payloads.events_to_send(connection, self._privacy.box, list(missing))
        return events

    def stop(self) -> None:
        """Claim nothing more. What is under way goes on."""
        self.stopping = True
        self._stopped.set()
        self._places.close()
