"""Delivery: claim what is due, make one attempt of each, judge it, hand the result over."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

from tidings.clock import Clock
from tidings.core.by_group import ByGroup
from tidings.core.delivery import Delivery
from tidings.core.errors import RenderError
from tidings.core.event import Event
from tidings.core.lanes import GroupTurns
from tidings.core.outcome import EXHAUSTED, SUCCEEDED, Context, Exchange, GiveUp, Outcome, Released, Result, RetryAt, decide
from tidings.core.pauses import Pauses
from tidings.core.retry import ONCE
from tidings.core.scrubbing import Keeping, kept_result
from tidings.core.webhook import Webhook
from tidings.store import payloads, queue
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.signing_keys import KeyRing
from tidings.transport.connection import Call, Done
from tidings.transport.sender import Sender
from tidings.transport.tokens import Authorized
from tidings.worker.event_cache import EventCache
from tidings.worker.flights import Flights
from tidings.worker.identity import Identity
from tidings.worker.places import Places
from tidings.worker.prepared_cache import PreparedCache
from tidings.worker.privacy import Privacy
from tidings.worker.recorder import Recorder
from tidings.worker.routes import CurrentRoutes
from tidings.worker.shortage import Shortage
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.deliverer")

IDLE_INTERVAL = 1.0  # seconds between looks at the queue when nobody calls
RETRY_INTERVAL = 0.005  # seconds until the next look, when every due lane was held by another claim
BURST = 32  # attempts begun in one turn of the event loop, some 1 ms, on connections that are kept
OPENING = 4  # what one counts that opens a connection
OTHERS_BURST = 8  # for those of lanes that are not trusted
NO_EVENT = Exchange(
    failure="internal",
    error="There is nothing to send: its event is not in history, or its payload is hidden for good, past its time, or erased.",
)
RELEASE_DELAY = timedelta(seconds=1)  # before what could not be sent for want of its webhook is claimed again

_Attempt = tuple[Delivery, Event, Webhook]


class Deliverer:
    """Claims and sends. Any number may run; each delivery is leased to one."""

    def __init__(
        self,
        database: Database,
        routes: CurrentRoutes,
        cache: EventCache,
        sender: Sender,
        recorder: Recorder,
        clock: Clock,
        me: Identity,
        airborne: Flights,
        places: Places,
        *,
        keys: KeyRing,
        privacy: Privacy,
        rng: Random | None = None,
        is_told: bool = False,
    ) -> None:
        self._database = database
        self._routes = routes
        self._cache = cache
        self._sender = sender
        self._recorder = recorder
        self._clock = clock
        self._me = me
        self._airborne = airborne
        self._keys = keys
        self._privacy = privacy
        self._rng = rng or Random()
        self._is_told = is_told  # somebody tells of each attempt: the log, or traces
        self._places = places
        self._turns = GroupTurns()
        self._loop = asyncio.get_running_loop()
        # Leased, and about to begin: of lanes that are trusted, of them those that must open a connection, and of other lanes
        self._ready: ByGroup[_Attempt] = ByGroup()
        self._opening: ByGroup[_Attempt] = ByGroup()
        self._others: ByGroup[_Attempt] = ByGroup()
        self._calls: dict[Delivery, Call | Authorized] = {}
        self._prepared = PreparedCache(keys)
        self._settled = Signal()
        self._shortage = Shortage()
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
        self._shortage.look()
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
                self.begin(delivery, event, webhook)

    def begin(self, delivery: Delivery, event: Event, webhook: Webhook) -> None:
        """Begin an attempt of a delivery that is leased to this worker, as soon as the event loop comes to it."""
        self._places.enter(delivery)
        is_first = not self._is_any_ready
        (self._ready if delivery.is_trusted else self._others).append(delivery.group_id, (delivery, event, webhook))
        if is_first:
            self._loop.call_soon(self._begin_some)

    def _begin_some(self) -> None:
        """Begin a few attempts, then let answers, and those who wait for PostgreSQL, have their turn.

        To open a connection takes ten times what it takes to use one that is kept, so those that do not have to go first.
        """
        now, left = self._clock.now(), BURST
        while self._ready and left > 0:
            attempt = self._ready.popleft()
            left -= 1
            if self._can_go_at_once(attempt[2]):
                self._start(now, *attempt)
            else:
                self._opening.append(attempt[0].group_id, attempt)
        self._begin_of(self._opening, now, BURST)
        self._begin_of(self._others, now, OTHERS_BURST)
        if self._is_any_ready:
            self._loop.call_soon(self._begin_some)

    def _begin_of(self, waiting: ByGroup[_Attempt], now: datetime, left: int) -> None:
        while waiting and left > 0:
            attempt = waiting.popleft()
            left -= 1 if self._can_go_at_once(attempt[2]) else OPENING
            self._start(now, *attempt)

    def _can_go_at_once(self, webhook: Webhook) -> bool:
        prepared = self._prepared.find(webhook)
        return prepared is not None and self._sender.has_idle(prepared.target)

    @property
    def _is_any_ready(self) -> bool:
        return bool(self._ready or self._opening or self._others)

    def _start(self, started_at: datetime, delivery: Delivery, event: Event, webhook: Webhook) -> None:
        """Begin an attempt. Whatever breaks on the way ends this attempt alone: others are to begin in the same turn."""
        # Keys may be rotated before the answer comes: history says what signed the request.
        signer_id = self._keys.current.signer_id if webhook.asymmetric or webhook.jwt_enabled else None
        context = _context(event, webhook) if self._is_told else None
        try:
            keeping = self._privacy.keeping(event, webhook)
        except Exception as error:  # then nobody knows what may be told: its kind alone
            logger.exception("attempt %d of delivery %s broke", delivery.attempt_number, delivery.id, exc_info=False)
            self._done(delivery, webhook, started_at, None, None, context, _broken(RuntimeError(type(error).__name__)))
            return
        done = partial(self._done, delivery, webhook, started_at, signer_id, keeping, context)
        try:
            self._exchange(delivery, event, webhook, int(started_at.timestamp()), done)
        except RenderError as error:
            done(Exchange(failure="render", error=error.message))
        except MemoryError:
            done(Exchange(failure=EXHAUSTED, error="There was no memory left to write the request."))
        except Exception as error:
            # Where something is hidden the error's text is not told: it can hold it.
            is_told = keeping is None or not keeping.values
            logger.exception("attempt %d of delivery %s broke", delivery.attempt_number, delivery.id, exc_info=is_told)
            done(_broken(error if is_told else RuntimeError(type(error).__name__)))

    def _exchange(self, delivery: Delivery, event: Event, webhook: Webhook, timestamp: int, done: Done) -> None:
        """Begin the exchange of an attempt. Where this raises, `done` is told nothing."""
        prepared = self._prepared.get(webhook)
        timeout, target = webhook.timeout_seconds, prepared.target
        if prepared.client is None:
            data = prepared.write(event, delivery.id, timestamp, prepared.authorization, number=delivery.attempt_number)
            call = self._sender.start(target, data, timeout_seconds=timeout, done=done, echo=prepared.echo)
            self._calls[delivery] = call
            return
        # Its token may be on its way still.
        write = partial(prepared.seal, prepared.body(event), event, delivery.id, timestamp, number=delivery.attempt_number)
        authorized = Authorized(self._sender, target, prepared.client, write, timeout_seconds=timeout, done=done)
        self._calls[delivery] = authorized
        authorized.start()

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

    def _done(
        self,
        delivery: Delivery,
        webhook: Webhook,
        started_at: datetime,
        signer_id: int | None,
        keeping: Keeping | None,
        context: Context | None,
        exchange: Exchange,
    ) -> None:
        """Hand over what came of an attempt."""
        self._calls.pop(delivery, None)
        self._places.leave(delivery)
        try:
            outcome = self._judge(exchange, delivery, webhook)
        except Exception as error:
            logger.exception("the outcome of attempt %d of delivery %s broke", delivery.attempt_number, delivery.id)
            exchange = _broken(error)
            outcome = self._judge(exchange, delivery, webhook)
        result = Result(delivery, started_at, exchange, outcome, webhook.version, signer_id, context)
        self._recorder.add(kept_result(result, keeping))
        if not (self._calls or self._is_any_ready):
            self._settled.set()

    def _judge(self, exchange: Exchange, delivery: Delivery, webhook: Webhook) -> Outcome:
        if exchange.is_success:
            return SUCCEEDED
        if exchange.failure == EXHAUSTED:  # not the receiver's fault, and not to be felt by its webhook
            self._shortage.meet(exchange.error or "")
            self._places.ease()
            return Released(self._clock.now() + RELEASE_DELAY)
        if exchange.failure == "stopped":
            return RetryAt(self._clock.now(), exchange.error or "")
        policy = ONCE if delivery.is_test else webhook.retry
        return decide(exchange, delivery.attempt_number, policy, self._clock.now(), self._rng)

    # Stopping ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Claim nothing more. What is under way goes on."""
        self.stopping = True
        self._stopped.set()
        self._places.close()

    async def drain(self, grace_seconds: float) -> None:
        """Wait for what is under way; after the grace, end it and have it recorded as stopped."""
        self._settled.clear()
        if not (self._calls or self._is_any_ready) or await self._settled.wait(grace_seconds):
            return
        now = self._clock.now()
        for waiting in (self._ready, self._opening, self._others):
            while waiting:
                delivery, _, _ = waiting.popleft()
                self._places.leave(delivery)
                self._recorder.add(Result(delivery, now, Exchange(), Released(now)))
        for call in list(self._calls.values()):
            call.abort()


def _context(event: Event, webhook: Webhook) -> Context:
    return Context(event.type, webhook.method, urlsplit(webhook.url).hostname or "", event.traceparent)


def _broken(error: Exception) -> Exchange:
    """Return an attempt that failed by our own fault: it was told in the log, and the delivery goes on by its policy."""
    return Exchange(failure="internal", error=f"Tidings failed to make the attempt ({error!r}).")
