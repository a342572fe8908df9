"""Limits of a group: its webhooks, the events that it publishes in a second, what is kept of it, the size of one event.

Events a second are tokens of one bucket for each group, which lies in the database. Asking it for each event would make all
processes queue for one row, so a process takes portions: what it needs now and a tenth of a second's worth ahead. What it took
and did not use lapses after a second. So over any stretch of time no more than `burst + rate x (stretch + 1 s)` is let
through, by however many processes; and since a portion is never more than half of what is left beyond the need, none
empties the bucket for the others. `take` is the rule; `tidings.take_events` is the same, as one statement.
"""

from collections.abc import Mapping
from datetime import timedelta
from math import ceil, floor
from typing import Any, Final

import msgspec

from tidings.core.errors import InvalidInputError, LimitReachedError, PayloadTooLargeError

PORTION_SECONDS: Final = 0.1  # worth of events that a process takes ahead
MAX_PORTION: Final = 1_000  # events ahead
LAPSE_SECONDS: Final = 1.0  # until what was taken and not used is lost
LONGEST_WAIT_SECONDS: Final = 3_600  # that anybody is told to wait for
STORED_WAIT_SECONDS: Final = 60  # until another try at a place that is full: history goes day by day, and limits can be raised
MAX_FIELD_INTEGER: Final = 10**15 - 1  # RFC 9651, 3.3.1: a field with a larger number is malformed, and ignored
PACE_COUNTS: Final = timedelta(minutes=3)  # since the last look at how many events a group has; an idle one has none

NAMES: Final = ("webhooks", "events_per_second", "events_burst", "stored_bytes", "payload_bytes")

# What can be asked for at all, from and to.
BOUNDS: Final[dict[str, tuple[int, int]]] = {
    "webhooks": (0, 1_000_000),
    "events_per_second": (1, 1_000_000),
    "events_burst": (1, 10_000_000),
    "stored_bytes": (0, 2**50),
    "payload_bytes": (1, 2**30),
}


class Limits(msgspec.Struct, frozen=True):
    """What a group may have and do. None: as much as it likes.

    Attributes:
        events_burst: How many events at once, after a pause; None: as many as a second's.
        stored_bytes: Of history: records, old records, and what receivers answered.
        payload_bytes: Of one event's data.
    """

    webhooks: int | None = None
    events_per_second: int | None = None
    events_burst: int | None = None
    stored_bytes: int | None = None
    payload_bytes: int | None = None

    @property
    def burst(self) -> int:
        """How many tokens the bucket holds."""
        return self.events_burst or self.events_per_second or 0

    @property
    def are_of_events(self) -> bool:
        """Whether anything of it is about what is published."""
        return (self.events_per_second, self.stored_bytes, self.payload_bytes) != (None, None, None)


def changed(limits: Limits, asked: Mapping[str, Any]) -> Limits:
    """Return limits as they are once what is asked is changed of them. A burst goes with its rate.

    Args:
        asked: By name; None: no limit.

    Raises:
        InvalidInputError: With the field.
    """
    for name, value in asked.items():
        least, most = BOUNDS[name]
        if value is not None and not least <= value <= most:
            shown = f"{value:,}" if abs(value) < 10**18 else "too large"
            raise InvalidInputError(name, f"{name} is {shown}; write {least:,} to {most:,}, or null for no limit.")
    made = msgspec.structs.replace(limits, **asked)
    if made.events_per_second is None and made.events_burst is not None:
        if asked.get("events_burst") is not None:
            raise InvalidInputError(
                "events_burst", "events_burst is how many events of events_per_second may come at once; set that too."
            )
        made = msgspec.structs.replace(made, events_burst=None)
    return made


def text_bytes(text: str | None) -> int:
    """Return how many bytes a text takes."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


# Events a second ----------------------------------------------------------------------------------------------------------


class Bucket(msgspec.Struct, frozen=True):
    """The tokens of a group. `at`: seconds, by the clock of whoever keeps it, when there were so many."""

    tokens: float
    at: float


def ahead(rate: int) -> int:
    """Return how many tokens a process takes ahead."""
    return min(int(rate * PORTION_SECONDS), MAX_PORTION)


def take(bucket: Bucket, rate: float, burst: float, now: float, need: int, more: int) -> tuple[Bucket, int]:
    """Return a bucket once it was filled up to now and taken from, and how many tokens that were.

    Args:
        need: As many as there are, up to this.
        more: As many again, as far as half of what is left.
    """
    tokens = min(burst, bucket.tokens + rate * max(0.0, now - bucket.at))
    granted = floor(min(tokens, need + min(more, max(0.0, (tokens - need) / 2))))
    return Bucket(tokens - granted, max(bucket.at, now)), granted


def wait_seconds(remaining: float, rate: float, need: int) -> float:
    """Return how long until a bucket that has so many tokens has as many as are needed."""
    return max(0.0, (need - remaining) / rate)


class Hand:
    """The tokens that a process has taken and not used yet, and until when nobody needs to ask for more, as there are none."""

    def __init__(self) -> None:
        self.tokens = 0
        self.remaining = 0.0  # in the bucket, when somebody last looked
        self._lapses_at = 0.0
        self._dry_until = 0.0

    def has(self, need: int, now: float) -> bool:
        """Whether it has so many."""
        if now >= self._lapses_at:
            self.tokens = 0
        return self.tokens >= need

    def missing(self, need: int, now: float) -> int:
        """Return how many it lacks of so many."""
        self.has(need, now)
        return max(0, need - self.tokens)

    def is_dry(self, now: float) -> bool:
        """Whether asking for more would be of no use yet."""
        return now < self._dry_until

    def spend(self, need: int, now: float) -> int:
        """Take up to so many out of it, and return how many that were."""
        self.has(need, now)
        spent = min(need, self.tokens)
        self.tokens -= spent
        return spent

    def put(self, granted: int, remaining: float, rate: float, need: int, now: float) -> None:
        """Take note of what the bucket gave, to whoever needed so many."""
        self.has(0, now)
        self.tokens += granted
        self.remaining = remaining
        self._lapses_at = now + LAPSE_SECONDS
        if granted < need:  # until there is one again; others may take it, and what changes limits begins a new hand
            self._dry_until = now + min(LAPSE_SECONDS, wait_seconds(remaining, rate, 1))


# What is said ---------------------------------------------------------------------------------------------------------------


def rate_reached(limits: Limits, need: int, remaining: float) -> LimitReachedError:
    """Return what is said to whoever publishes faster than the group may."""
    rate, burst = limits.events_per_second or 1, limits.burst
    seconds = min(LONGEST_WAIT_SECONDS, max(1, ceil(wait_seconds(remaining, rate, need))))
    return LimitReachedError(
        f"The group publishes more than its limit of {rate:,} events a second (events_per_second), {burst:,} at once. Publish "
        f"again in {seconds} s, more slowly, or ask for a higher limit.",
        limit="events_per_second", allowed=rate, used=rate, retry_after_seconds=seconds,
    )  # fmt: skip


def stored_reached(limits: Limits, used: int) -> LimitReachedError:
    """Return what is said to whoever publishes where no more is kept."""
    return LimitReachedError(
        f"The group has {used:,} of the {limits.stored_bytes or 0:,} bytes that are kept of it (stored_bytes). There is room "
        "when its oldest day of history goes, or when the limit is raised. Keep the event, and publish it again then.",
        limit="stored_bytes", allowed=limits.stored_bytes, used=used, retry_after_seconds=STORED_WAIT_SECONDS,
    )  # fmt: skip


def burst_exceeded(limits: Limits, count: int) -> PayloadTooLargeError:
    """Return what is said to whoever asks for more events at once, all or none, than there ever are tokens."""
    return PayloadTooLargeError(
        f"This call makes {count:,} events, all or none; of this group at most {limits.burst:,} are taken at once "
        "(events_burst). Send fewer in one call.",
        limit="events_burst", allowed=limits.burst, used=count,
    )  # fmt: skip


def webhooks_reached(allowed: int, used: int) -> LimitReachedError:
    """Return what is said to whoever creates one webhook too many."""
    return LimitReachedError(
        f"The group has {used:,} webhooks, of at most {allowed:,} (webhooks). Delete one that is not used, or ask for a higher "
        "limit.",
        limit="webhooks", allowed=allowed, used=used, retry_after_seconds=LONGEST_WAIT_SECONDS,
    )  # fmt: skip


def payload_refused(allowed: int, size: int) -> PayloadTooLargeError:
    """Return what is said to whoever publishes an event that is too large for the group."""
    return PayloadTooLargeError(
        f"The event's data has {size:,} bytes; of this group at most {allowed:,} are taken (payload_bytes). Leave out what "
        "receivers do not need, or send a reference.",
        limit="payload_bytes", allowed=allowed, used=size,
    )  # fmt: skip


def payload_fault(allowed: int, size: int) -> str:
    """Return why an event that nobody could refuse is set aside."""
    return (
        f"Its records have {size:,} bytes as JSON; of its group at most {allowed:,} are sent (its limit payload_bytes). "
        "Leave columns out (the table's setting exclude), or raise the limit and route it again."
    )


def headers(limits: Limits, tokens: int, stored: int | None) -> dict[str, str]:
    """Return what tells a publisher what is left, in the fields of draft-ietf-httpapi-ratelimit-headers-11.

    The size that one event may have is no quota, so it is not among them. The draft has no unit for events: they are counted as
    its default, `requests`, of which it says that a request may use none, or several.

    Args:
        tokens: Events that can be published at once.
        stored: Bytes that are kept; None where nobody has looked.
    """
    policy, left = [], []
    if limits.events_per_second is not None:
        burst = f";tidings-burst={limits.burst}" if limits.burst != limits.events_per_second else ""
        policy.append(f'"events";q={limits.events_per_second};w=1{burst}')
        left.append(f'"events";r={tokens};t=1')  # a second later there is one more at least, whatever the rate
    if limits.stored_bytes is not None:
        policy.append(f'"stored";q={min(limits.stored_bytes, MAX_FIELD_INTEGER)};qu="content-bytes"')
        if stored is not None:
            left.append(f'"stored";r={min(max(0, limits.stored_bytes - stored), MAX_FIELD_INTEGER)}')
    said = {"RateLimit-Policy": ", ".join(policy), "RateLimit": ", ".join(left)}
    return {name: value for name, value in said.items() if value}
