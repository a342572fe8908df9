"""Attempts: of each delivery that is leased one request, judged, and its result handed over."""

import asyncio
import logging
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

from tidings.clock import Clock
from tidings.core.answers import Answer
from tidings.core.by_group import ByGroup
from tidings.core.delivery import Delivery
from tidings.core.errors import RenderError
from tidings.core.event import Event
from tidings.core.outcome import EXHAUSTED, SUCCEEDED, Context, Exchange, Outcome, Released, Result, RetryAt, decide
from tidings.core.retry import ONCE
from tidings.core.scrubbing import Keeping, kept_result
from tidings.core.webhook import Webhook
from tidings.store.signing_keys import KeyRing
from tidings.transport.connection import Call, Done
from tidings.transport.sender import Sender
from tidings.transport.tokens import Authorized
from tidings.worker.places import Places
from tidings.worker.prepared_cache import PreparedCache
from tidings.worker.privacy import Privacy
from tidings.worker.shortage import Shortage
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.deliverer")

BURST = 32  # attempts begun in one turn of the event loop, some 1 ms, on connections that are kept
OPENING = 4  # what one counts that opens a connection
OTHERS_BURST = 8  # for those of lanes that are not trusted
RELEASE_DELAY = timedelta(seconds=1)  # before what could not be sent is claimed again

_Attempt = tuple[Delivery, Event, Webhook]


class Results(Protocol):
    """Who takes what came of attempts: the recorder of this process."""

    def add(self, result: Result) -> None:
        """Take a result over."""


class Attempts:
    """Makes attempts, in a few of its process's turns at a time, and hands over what came of each."""

    def __init__(
        self,
        results: Results,
        places: Places,
        *,
        sender: Sender,
        clock: Clock,
        keys: KeyRing,
        privacy: Privacy,
        rng: Random | None = None,
        is_told: bool = False,
    ) -> None:
        """Make it. `is_told`: somebody tells of each attempt, the log or traces."""
        self._sender = sender
        self._results = results
        self._clock = clock
        self._places = places
        self._keys = keys
        self._privacy = privacy
        self._rng = rng or Random()
        self._is_told = is_told
        self._loop = asyncio.get_running_loop()
        # Leased, and about to begin: of lanes that are trusted, of them those that must open a connection, and of other lanes
        self._ready: ByGroup[_Attempt] = ByGroup()
        self._opening: ByGroup[_Attempt] = ByGroup()
        self._others: ByGroup[_Attempt] = ByGroup()
        self._prepared = PreparedCache(keys)
        self._settled = Signal()
        self.under_way: dict[Delivery, Call | Authorized] = {}
        self.shortage = Shortage()

    def begin(self, delivery: Delivery, event: Event, webhook: Webhook) -> None:
        """Begin an attempt of a delivery that is leased to this worker, as soon as the event loop comes to it."""
        self._places.enter(delivery)
        is_first = not self._is_any_ready
        (self._ready if delivery.is_trusted else self._others).append(delivery.group_id, (delivery, event, webhook))
        if is_first:
            self._loop.call_soon(self._begin_some)

    def attempted(self, delivery: Delivery, event: Event, webhook: Webhook, answer: Answer) -> None:
        """Hand over what came of an attempt that was made before: while the database was away."""
        context = _context(event, webhook) if self._is_told else None
        result = Result(
            delivery, answer.started_at, answer.exchange, answer.outcome, answer.webhook_version, answer.signer_id, context,
            answer.ended_at,
        )  # fmt: skip
        self._results.add(kept_result(result, self._privacy.keeping(event, webhook)))

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
            self.under_way[delivery] = call
            return
        # Its token may be on its way still.
        write = partial(prepared.seal, prepared.body(event), event, delivery.id, timestamp, number=delivery.attempt_number)
        authorized = Authorized(self._sender, target, prepared.client, write, timeout_seconds=timeout, done=done)
        self.under_way[delivery] = authorized
        authorized.start()

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
        self.under_way.pop(delivery, None)
        self._places.leave(delivery)
        try:
            outcome = self._judge(exchange, delivery, webhook)
        except Exception as error:
            logger.exception("the outcome of attempt %d of delivery %s broke", delivery.attempt_number, delivery.id)
            exchange = _broken(error)
            outcome = self._judge(exchange, delivery, webhook)
        result = Result(delivery, started_at, exchange, outcome, webhook.version, signer_id, context)
        self._results.add(kept_result(result, keeping))
        if not (self.under_way or self._is_any_ready):
            self._settled.set()

    def _judge(self, exchange: Exchange, delivery: Delivery, webhook: Webhook) -> Outcome:
        if exchange.is_success:
            return SUCCEEDED
        if exchange.failure == EXHAUSTED:  # not the receiver's fault, and not to be felt by its webhook
            self.shortage.meet(exchange.error or "")
            self._places.ease()
            return Released(self._clock.now() + RELEASE_DELAY)
        if exchange.failure == "stopped":
            return RetryAt(self._clock.now(), exchange.error or "")
        policy = ONCE if delivery.is_test else webhook.retry
        return decide(exchange, delivery.attempt_number, policy, self._clock.now(), self._rng)

    async def drain(self, grace_seconds: float) -> None:
        """Wait for what is under way; after the grace, end it and have it recorded as stopped."""
        self._settled.clear()
        if not (self.under_way or self._is_any_ready) or await self._settled.wait(grace_seconds):
            return
        now = self._clock.now()
        for waiting in (self._ready, self._opening, self._others):
            while waiting:
                delivery, _, _ = waiting.popleft()
                self._places.leave(delivery)
                self._results.add(Result(delivery, now, Exchange(), Released(now)))
        for call in list(self.under_way.values()):
            call.abort()


def _context(event: Event, webhook: Webhook) -> Context:
    return Context(event.type, webhook.method, urlsplit(webhook.url).hostname or "", event.traceparent)


def _broken(error: Exception) -> Exchange:
    """Return an attempt that failed by our own fault: it was told in the log, and the delivery goes on by its policy."""
    return Exchange(failure="internal", error=f"Tidings failed to make the attempt ({error!r}).")
