"""Sending ahead while the turn is ours: flights are read by their numbers, attempts made, and answers told (`worker.ahead`)."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from prometheus_client import Counter

from tidings.clock import Clock
from tidings.core import ahead
from tidings.core.ahead import Lanes, is_for_ahead, may_go_ahead
from tidings.core.answers import DOUBTS, MAX_DOUBTS, Answer, answer_of, answers, bare, doubted, messages
from tidings.core.delivery import Delivery
from tidings.core.event import Event, about, delivery_id
from tidings.core.fleet import Fleet
from tidings.core.flips import Flips
from tidings.core.outcome import Result
from tidings.core.pauses import Pauses
from tidings.core.pressure import Report, Why
from tidings.core.webhook import Webhook
from tidings.store.outbox import read_brought
from tidings.transport.stream_away import StreamAwayError
from tidings.worker.ahead_turn import Beside, Turn
from tidings.worker.attempts import Attempts, Results
from tidings.worker.payloads import PayloadLimits
from tidings.worker.plain import Flight, plain
from tidings.worker.privacy import Privacy
from tidings.worker.routes import CurrentRoutes
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.ahead")

IDLE_INTERVAL: Final = 0.1  # seconds between looks for flights, and at answers to be told
FLEET_INTERVAL: Final = 2.0  # seconds between looks where groups live, and whether there is room for answers
LONGEST_FULL: Final = 30.0  # seconds between looks whether there is room again
READ_AT_ONCE: Final = 8  # flights that are begun between two looks at whatever else there is
TOLD_AT_ONCE: Final = 16  # flights whose answers are put into the stream at a time
LAST_SECONDS: Final = 60.0  # that a stream is waited for which is away as the database comes back, with what it was not told
LAST_INTERVAL: Final = 0.5  # seconds between tries
MAX_REMEMBERED: Final = 100_000  # flights that were begun; as many as may have answers
MAX_UNTOLD_BYTES: Final = 16 * 2**20  # of answers that the stream has not yet, beyond which nothing is begun
ANSWER_BYTES: Final = 500  # of one, beside what its receiver said

# What an event raises that cannot be routed, as in the dispatcher.
_FAULTS: Final = (ValueError, ArithmeticError, LookupError, TypeError)

ATTEMPTS = Counter("tidings_ahead_attempts_total", "First attempts made while the home's database is away.", ["outcome"])


class Way(Protocol):
    """The stream, as far as flights are read by their numbers."""

    async def first(self, home: str) -> int:
        """Return the number of the first flight that waits for a home, or will."""

    async def last(self, home: str) -> int:
        """Return the number of the last flight that was sent to a home."""

    async def kept(self, home: str, number: int) -> Flight | None:
        """Return a flight by its number; None: there is none."""

    @property
    def most_bytes(self) -> int:
        """What a message may have."""


class Bucket(Protocol):
    """The stream, as far as it says where groups live, and how members are."""

    async def fleet(self) -> Fleet:
        """Return what the fleet is."""

    async def said(self, source: str) -> Report | None:
        """Return what a member said of itself last; None: nothing that can be read."""


class Known(NamedTuple):
    """What a worker knows, also while its database is away."""

    routes: CurrentRoutes
    privacy: Privacy
    payloads: PayloadLimits
    attempts: Callable[[Results], Attempts]  # makes what makes attempts, for whoever takes their results


class Streams(NamedTuple):
    """The streams of a home."""

    way: Way
    bucket: Bucket
    beside: Beside
    home: str


class _UnderWay(NamedTuple):
    flight: UUID
    number: int
    event: Event
    webhook: Webhook


class Session:
    """Sending ahead, from when the turn is taken until it is over. Takes what came of its attempts."""

    def __init__(
        self,
        streams: Streams,
        known: Known,
        clock: Clock,
        turn: Turn,
        *,
        since: float,
        is_over: Callable[[], bool],
        monotonic: Callable[[], float],
    ) -> None:
        """Make it.

        Args:
            since: When the database was there last, or somebody landed something.
            is_over: Whether the database is there again, or this process is to end.
        """
        self._flights, self._bucket, self._beside, self._home = streams
        self._known = known
        self._clock = clock
        self._turn = turn
        self._is_over = is_over
        self._monotonic = monotonic
        self._attempts = known.attempts(self)
        self._lanes: Lanes[Delivery] = Lanes(since)
        self._flips = Flips()
        self._under_way: dict[Delivery, _UnderWay] = {}
        self._untold: dict[tuple[int, UUID], list[Answer]] = {}  # by number and id of their flight
        self._untold_bytes = 0
        self._fleet: Fleet | None = None
        self._look_due = self._again_at = 0.0
        self._pauses = Pauses(longest=ahead.RENEW_INTERVAL)  # where the stream refuses: shorter than our turn lasts
        self._full_pauses = Pauses(FLEET_INTERVAL, LONGEST_FULL)  # where it is full: until somebody lands
        self._next = self._last = 0
        self._begun: dict[UUID, None] = {}  # the flights that were, those begun last, and those that may be landed
        self._numbers: dict[int, int] = {}  # what somebody who sent ahead before us has told already
        self._is_full = False
        self._changed = Signal()
        self.most_pending, self.most_of_flight = ahead.MAX_PENDING, ahead.MAX_OF_FLIGHT
        self.made = 0

    async def run(self) -> None:
        """Send ahead until it is over; then tell what was answered, and give the turn back."""
        try:
            self._numbers = await self._beside.numbers()
            doubts = min(self._numbers.get(DOUBTS, 0), MAX_DOUBTS)
            self._begun = dict.fromkeys(doubted(await self._beside.read(DOUBTS, doubts)))
            self._next = await self._flights.first(self._home)
            while not self._is_over() and self._turn.is_ours:
                if not await self._run_once():
                    await self._changed.wait(IDLE_INTERVAL)
                    self._changed.clear()
        finally:
            await self._end()

    async def _run_once(self) -> bool:
        """Say that we are alive, tell what was answered, and begin what comes; return whether there may be more."""
        if self._monotonic() < self._again_at:
            return False
        try:
            await self._turn.renew(self._next - 1)
            await self._tell()
            begun = await self._begin_some()
        except StreamAwayError as error:
            logger.info("the stream is away, too, or has no room: %s", error)
            self._again_at = self._monotonic() + self._pauses.next()
            return False
        self._pauses.reset()
        return begun

    async def _end(self) -> None:
        for delivery in self._lanes.leave():
            self._under_way.pop(delivery, None)
        await self._attempts.drain(ahead.GRACE_SECONDS)
        await self._tell_the_rest()
        # Also when not all could be told, as where the stream is full: nobody is to wait for that.
        with suppress(StreamAwayError):
            await self._turn.leave()

    async def _tell_the_rest(self) -> None:
        """Tell what is left. A stream that is away is waited for: before it is back nobody can land anything, either."""
        until = self._monotonic() + LAST_SECONDS
        while True:
            try:
                return await self._tell()
            except StreamAwayError as error:
                if error.why is not Why.AWAY or self._monotonic() >= until:
                    left = sum(map(len, self._untold.values()))
                    logger.warning(
                        "%d attempts that were made ahead are not on record, and will be made again: %s", left, error
                    )
                    return None
            await asyncio.sleep(LAST_INTERVAL)

    # What is sent --------------------------------------------------------------------------------------------------------

    async def _begin_some(self) -> bool:
        """Begin what some flights hold; return whether there may be more."""
        if not await self._may_begin():
            return False
        for _ in range(READ_AT_ONCE):
            if self._lanes.pending >= self.most_pending or not await self._begin_next():
                return False
        return True

    async def _may_begin(self) -> bool:
        if not self._has_place:
            return False
        if self._monotonic() >= self._look_due:
            self._is_full = not await self._beside.has_room()
            self._fleet = await self._bucket.fleet()
            if not self._is_full:
                self._full_pauses.reset()
            self._look_due = self._monotonic() + (self._full_pauses.next() if self._is_full else FLEET_INTERVAL)
        return not self._is_full

    @property
    def _has_place(self) -> bool:
        """Whether one more flight may be begun at this moment."""
        is_room = self._lanes.pending < self.most_pending and self._untold_bytes < MAX_UNTOLD_BYTES
        return is_room and self._turn.is_sure and not self._is_over()

    async def _begin_next(self) -> bool:
        if self._next > self._last:
            self._last = await self._flights.last(self._home)
            if self._next > self._last + 1:  # the stream was made anew
                self._next = await self._flights.first(self._home)
            if self._next > self._last:
                return False
        number = self._next
        flight = await self._flights.kept(self._home, number)
        arrived = await plain([flight]) if flight is not None else []  # None: somebody deleted it
        told = await self._beside.read(number, self._numbers[number]) if arrived and number in self._numbers else []
        if not self._has_place:  # by now: the stream may have taken its time, and the turn be another's
            return False
        self._next += 1
        if arrived and self._is_first(arrived[0].id):
            try:
                self._begin(arrived[0].id, number, arrived[0].events, set(answers(arrived[0].id, told)[0]))
            except _FAULTS as error:  # its text can hold what the event says
                logger.warning("flight %s is left to the database, since it cannot be routed: %s", number, type(error).__name__)
        return True

    def _is_first(self, flight: UUID) -> bool:
        """Whether a flight comes for the first time: its sender may have sent it again much later."""
        if flight in self._begun:
            return False
        self._begun[flight] = None
        if len(self._begun) > MAX_REMEMBERED:
            del self._begun[next(iter(self._begun))]
        return True

    def _begin(self, flight: UUID, number: int, events: Sequence[Event], known: set[UUID]) -> None:
        now, taken = self._clock.now(), 0
        read = [read_brought(event, now) for event in events]
        faults = self._known.payloads.faults(enumerate(event for event, _ in read))
        for at, (event, fault) in enumerate(read):
            if fault is not None or at in faults or not self._is_ours(event):
                continue
            for webhook_id in self._known.routes.current.match(event):
                name, due_at = delivery_id(event.id, webhook_id), min(event.occurred_at, now)
                delivery = Delivery(name, event.id, webhook_id, event.group_id, 1, due_at, number)
                if delivery.id not in known and taken < self.most_of_flight:
                    taken += self._offer(delivery, flight, number, event)

    def _is_ours(self, event: Event) -> bool:
        """Whether an event is of a group of this home, and nothing but the database is to be asked of it."""
        fleet = self._fleet
        if fleet is None or event.group_id in fleet.parked or fleet.home_of(event.group_id) != self._home:
            return False
        if not is_for_ahead(event) or self._known.privacy.has_rules(event.group_id):
            return False
        record = about(event) if event.operation is not None else None
        return record is None or not self._flips.is_suspect(record, event.occurred_at)

    def _offer(self, delivery: Delivery, flight: UUID, number: int, event: Event) -> bool:
        webhook = self._known.routes.at_hand(delivery.webhook_id)
        if webhook is None or not may_go_ahead(webhook):
            return False
        is_taken, is_to_begin = self._lanes.offer(webhook, delivery, self._monotonic())
        if is_taken:
            self._under_way[delivery] = _UnderWay(flight, number, event, webhook)
        if is_to_begin:
            self._attempts.begin(delivery, event, webhook)
        return is_taken

    # What is answered ----------------------------------------------------------------------------------------------------

    def add(self, result: Result) -> None:
        """Take what came of an attempt, and begin what waited for its lane."""
        one = self._under_way.pop(result.delivery)
        if (answer := answer_of(result)) is not None:
            self.made += 1
            ATTEMPTS.labels("succeeded" if result.exchange.is_success else "failed").inc()
            self._untold.setdefault((one.number, one.flight), []).append(answer)
            self._untold_bytes += _size(answer)
        begun, left = self._lanes.ended(one.webhook, self._monotonic(), result.outcome)
        for delivery in left:
            self._under_way.pop(delivery)
        for delivery in begun:
            if self._turn.is_sure and not self._is_over():
                self._attempts.begin(delivery, self._under_way[delivery].event, one.webhook)
            else:
                for released in (delivery, *self._lanes.released(one.webhook)):
                    self._under_way.pop(released)
        self._changed.set()

    async def _tell(self) -> None:
        """Put what was answered into the stream, of several flights at a time, and say in between that we are alive."""
        keys = list(self._untold)
        for begin in range(0, len(keys), TOLD_AT_ONCE):
            await self._turn.renew(self._next - 1)
            done = await asyncio.gather(*map(self._tell_of, keys[begin : begin + TOLD_AT_ONCE]), return_exceptions=True)
            for failed in filter(None, done):
                raise failed

    async def _tell_of(self, key: tuple[int, UUID]) -> None:
        told = self._untold[key][:]
        try:
            await self._put(key, told)
        except StreamAwayError as error:
            if error.why is not Why.FULL:
                raise
            await self._put(key, [bare(answer) for answer in told])  # else all of it would be made again
        del self._untold[key][: len(told)]
        if not self._untold[key]:
            del self._untold[key]
        self._untold_bytes -= sum(map(_size, told))

    async def _put(self, key: tuple[int, UUID], told: Sequence[Answer]) -> None:
        for message in messages(key[1], told, self._flights.most_bytes):
            await self._beside.put(key[0], message)


def _size(answer: Answer) -> int:
    exchange = answer.exchange
    return ANSWER_BYTES + len(exchange.body) + sum(len(name) + len(value) for name, value in exchange.headers)
