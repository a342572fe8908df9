"""Sent ahead: first attempts that a home's process makes while the home's database is away.

Flights wait in the stream until their home lands them. A process that has been without the database for a while reads them
there, and makes the first attempts of those deliveries that hang on nothing the database alone knows. What was answered it
puts into a stream beside (`core.answers`). Once the database is back, whoever lands a flight records these answers with it, and
the deliveries are not made again. What fails waits: retries are the database's.

One process of a home at a time sends ahead. Which, stands under a key that is changed by compare and set (`Turn`).
"""

from collections import deque
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from tidings.core.event import Event
from tidings.core.outcome import Gone, Outcome, Succeeded
from tidings.core.webhook import Webhook

AWAY_SECONDS: Final = 30.0  # without the database, and nobody of the home landing anything, before deliveries are sent ahead
RENEW_INTERVAL: Final = 2.0  # seconds between signs of life of who sends ahead
SILENT_SECONDS: Final = 12.0  # without one, after which its turn is over
GIVE_UP_SECONDS: Final = 8.0  # without having said so itself, after which it begins nothing more: less than others wait
GRACE_SECONDS: Final = 5.0  # for attempts under way, once the database is back
MAX_PENDING: Final = 2_000  # deliveries that are under way or wait for their lanes, beyond which no other flight is begun
MAX_LANES: Final = 10_000  # that are remembered; as many webhooks are at hand
MAX_WAITING: Final = 1_000  # deliveries of one lane that wait for those under way; those behind wait for the database
MAX_OF_FLIGHT: Final = 2_000  # deliveries of one flight
LONGEST_REST: Final = 300.0  # seconds that a lane rests after failures
MAX_SAID_BYTES: Final = 4_096  # of what a key says


# Whose turn it is ----------------------------------------------------------------------------------------------------------


class Turn(StrEnum):
    """What the key of a home says."""

    AHEAD = "ahead"  # somebody sends ahead
    ENDING = "ending"  # the database is back, and whoever lands flights waits for the one who sends ahead
    ENDED = "ended"  # nobody does; also where there is no key


class Step(StrEnum):
    """What changes it."""

    TAKE = "take"  # a process begins to send ahead
    RENEW = "renew"  # it says that it is alive
    CALL = "call"  # whoever is to land flights asks it to end
    LEAVE = "leave"  # it has put all answers into the stream
    BURY = "bury"  # it has been silent for too long
    LAND = "land"  # whoever lands flights says that the database is there, to those who have not heard


TRANSITIONS: Final[dict[tuple[Turn, Step], Turn]] = {
    (Turn.ENDED, Step.TAKE): Turn.AHEAD,
    (Turn.ENDED, Step.LAND): Turn.ENDED,
    (Turn.AHEAD, Step.RENEW): Turn.AHEAD,
    (Turn.AHEAD, Step.CALL): Turn.ENDING,
    (Turn.AHEAD, Step.LEAVE): Turn.ENDED,
    (Turn.AHEAD, Step.BURY): Turn.ENDED,
    (Turn.ENDING, Step.LEAVE): Turn.ENDED,
    (Turn.ENDING, Step.BURY): Turn.ENDED,
}


class Said(msgspec.Struct, frozen=True):
    """What the key of a home says.

    Attributes:
        holder: Who sends ahead, or did last, by a name of its own.
        since: From when on.
        reached: The number of the last flight that it has begun.
        is_called: It ended, or is to, since somebody lands: the database is there, though not everybody may have heard.
    """

    state: Turn
    holder: Annotated[str, msgspec.Meta(max_length=100)] = ""
    since: datetime | None = None
    reached: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0
    is_called: bool = False

    def after(self, step: Step, **changes: object) -> "Said | None":
        """Return what it says after a step; None: this cannot happen now."""
        state = TRANSITIONS.get((self.state, step))
        if state is None:
            return None
        is_called = step in {Step.CALL, Step.LAND} or (self.is_called and step is not Step.TAKE)
        return msgspec.structs.replace(self, **({"state": state, "is_called": is_called} | changes))

    def is_called_off(self, revision: int, known: int | None) -> bool:
        """Whether nobody is to send ahead, as somebody has said who landed since the key was looked at.

        Args:
            revision: Of the key as it says this.
            known: As it was looked at before; None: it was not.
        """
        return self.state is Turn.ENDED and self.is_called and known not in {None, revision}

    def seconds(self, at: datetime) -> float:
        """Return for how many seconds its holder has sent ahead, by the clocks of both machines."""
        return 0.0 if self.since is None else max(0.0, (at - self.since).total_seconds())


NOBODY: Final = Said(Turn.ENDED)
encode_said: Final = msgspec.json.Encoder().encode
_decode_said: Final = msgspec.json.Decoder(Said).decode


def read_said(value: bytes) -> Said | None:
    """Return what a key says; None: it cannot be read, as where another version wrote it, or somebody who lies."""
    if len(value) > MAX_SAID_BYTES:
        return None
    try:
        said = _decode_said(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    is_dated = said.since is not None and said.since.tzinfo is not None
    return said if is_dated or said.state is Turn.ENDED else None


def whose(value: bytes) -> Said:
    """Return what a key says of whose turn it is; nobody's where it cannot be read, as where there is none."""
    return read_said(value) or NOBODY


class Watched:
    """For how long a key has stood as it is, by the clock of who looks: clocks of others are not believed."""

    def __init__(self) -> None:
        self._seen: tuple[int, float] | None = None

    def silent_for(self, revision: int, now: float) -> float:
        """Return for how many seconds it has had this revision, as far as it was looked at."""
        if self._seen is None or self._seen[0] != revision:
            self._seen = (revision, now)
        return now - self._seen[1]


# What is sent ahead --------------------------------------------------------------------------------------------------------


def is_for_ahead(event: Event) -> bool:
    """Whether deliveries of an event may be made before the database knows of it.

    Not where other deliveries led to it: whether that goes in circles is known from history.
    """
    return not event.hops and event.webhook_id is None and not event.is_test


def may_go_ahead(webhook: Webhook) -> bool:
    """Whether deliveries to a webhook may be made without what the database knows of its lane.

    Order, rate, and what a client has asked for, are known there alone.
    """
    return (
        webhook.enabled
        and webhook.fault is None
        and not webhook.ordered
        and webhook.rate_per_second is None
        and webhook.managed_by is None  # no listener's, nor a job's
    )


T = TypeVar("T")


class _Lane(Generic[T]):
    __slots__ = ("failures", "rests_until", "under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.waiting: deque[T] = deque()
        self.failures = 0
        self.rests_until = float("-inf")


class Lanes(Generic[T]):
    """What each webhook has under way ahead, so that none has more than it may. Times are seconds of one steady clock.

    A lane that fails rests, as in the database: what comes for it meanwhile, and what waited, is left to the database.
    """

    def __init__(self, opened_at: float) -> None:
        """Make it. `opened_at`: since when nobody else of the home begins attempts."""
        self._opened_at = opened_at
        self._lanes: dict[UUID, _Lane[T]] = {}
        self.pending = 0

    def offer(self, webhook: Webhook, what: T, now: float) -> tuple[bool, bool]:
        """Offer a delivery; return whether it is taken, and whether it is to be begun now.

        A lane opens once all attempts have ended that others may have had under way when the database went.
        """
        lane = self._lanes.get(webhook.id)
        if lane is None:
            if len(self._lanes) >= MAX_LANES or now < self._opened_at + webhook.timeout_seconds:
                return False, False
            lane = self._lanes[webhook.id] = _Lane()
        if now < lane.rests_until or len(lane.waiting) >= MAX_WAITING:
            return False, False
        # After a failure one alone tries whether the receiver is back.
        places = 1 if lane.failures else webhook.concurrency
        self.pending += 1
        if lane.under_way < places:
            lane.under_way += 1
            return True, True
        lane.waiting.append(what)
        return True, False

    def ended(self, webhook: Webhook, now: float, outcome: Outcome) -> tuple[list[T], list[T]]:
        """Take note of what came of an attempt; return what is to be begun now, and what is left to the database."""
        lane = self._lanes[webhook.id]
        lane.under_way -= 1
        self.pending -= 1
        if not isinstance(outcome, Succeeded):
            lane.failures += 1
            lane.rests_until = now + (
                float("inf") if isinstance(outcome, Gone) else min(LONGEST_REST, 2.0 ** min(lane.failures - 1, 10))
            )
            left = list(lane.waiting)
            lane.waiting.clear()
            self.pending -= len(left)
            return [], left
        lane.failures = 0
        begun: list[T] = []
        while lane.waiting and lane.under_way < webhook.concurrency:
            begun.append(lane.waiting.popleft())
            lane.under_way += 1
        return begun, []

    def released(self, webhook: Webhook) -> list[T]:
        """Take note that what was to be begun is left to the database instead; return what is left to it with it.

        That is what waits behind it: nothing may be under way any more whose end would begin it.
        """
        lane = self._lanes[webhook.id]
        lane.under_way -= 1
        left = list(lane.waiting)
        lane.waiting.clear()
        self.pending -= 1 + len(left)
        return left

    def leave(self) -> list[T]:
        """Return what has not begun: it is left to the database."""
        left = [what for lane in self._lanes.values() for what in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
        self.pending -= len(left)
        return left
