"""How a webhook fares, as one decision: its state, since when, and a sentence that says why and what happens next."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

LOOP_TOLD = timedelta(days=1)  # that a lane is said to loop, after a delivery was stopped
CERTIFICATE_SOON = timedelta(days=30)  # before the end of a certificate, in which people are told of it


class Standing(StrEnum):
    """What a webhook's health is called."""

    HEALTHY = "healthy"  # its last attempt succeeded
    FAILING = "failing"  # its last attempts failed; each delivery is tried again at its promised time
    RESTING = "resting"  # nothing goes out until a time: its breaker spreads a long lane, or its receiver asked for it
    PAUSED = "paused"  # its owner disabled it
    DISABLED = "disabled"  # something else did: a 410, or a row that cannot be read
    IDLE = "idle"  # no attempt is on record
    EXPIRING = "expiring"  # nothing fails, and a certificate that it shows or believes ends soon
    EXPIRED = "expired"  # nothing failed yet, and such a certificate has ended


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane as far as health depends on it (`tidings.lanes`).

    Attributes:
        is_long: So many deliveries wait that the breaker spreads them.
        due_at: When something goes out next; None when nothing will, as far as is known.
        turned_at: Since when its attempts fail (`failure_count` > 0) or succeed.
        closed_at: Since when nothing is taken from it.
        looped_at: When a delivery was stopped last because it led to itself; how many were, and why, in the other two.
        certificate_ends_at: Until when the certificate that it shows is good; None: it shows none.
        authorities_end_at: When the last authority ends that it believes its receiver by; None: it believes the system's.
    """

    ordered: bool = False
    waiting: int = 0
    in_flight: int = 0
    is_long: bool = False
    due_at: datetime | None = None
    failure_count: int = 0
    resting_until: datetime | None = None
    held_until: datetime | None = None
    turned_at: datetime | None = None
    warned_at: datetime | None = None
    closed_at: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str | None = None
    looped_at: datetime | None = None
    loop_count: int = 0
    loop_reason: str | None = None
    certificate_ends_at: datetime | None = None
    authorities_end_at: datetime | None = None


class Health(msgspec.Struct, frozen=True):
    """How a webhook fares.

    Attributes:
        since: Since when it is in this state; None when that is not known.
        until: When it is tried next, where it rests.
        sentence: Why, and what happens next.
    """

    state: Standing
    since: datetime | None
    until: datetime | None
    sentence: str


def decide_health(*, enabled: bool, disabled_reason: str | None, fault: str | None, lane: Lane, now: datetime) -> Health:
    """Return how a webhook fares.

    Args:
        disabled_reason: Why it was disabled, when that was not its owner's doing.
        fault: Why it is set aside.
    """
    if not enabled or fault is not None:
        return _closed(disabled_reason, lane, "it is enabled") if not enabled else _closed(fault, lane, "it is put right")
    health = _with_certificates(_open(lane, now), lane, now)
    if lane.looped_at is None or lane.looped_at <= now - LOOP_TOLD:
        return health
    many = "1 delivery was" if lane.loop_count == 1 else f"{lane.loop_count:,} deliveries were"
    said = (
        f"{many} stopped because they led to themselves, the last at {_time(lane.looped_at)}. {lane.loop_reason or ''}".rstrip()
    )
    return msgspec.structs.replace(health, sentence=f"{health.sentence} {said}")


def _open(lane: Lane, now: datetime) -> Health:
    failed = _failed(lane)
    # An ordered lane is held for its head as well: that is how its retries are kept in order, and no rest.
    if not lane.ordered and lane.held_until is not None and lane.held_until > now:
        said = f"Its receiver asked to be left alone until {_time(lane.held_until)}; {_many(lane.waiting)} until then."
        return Health(Standing.RESTING, lane.turned_at, lane.held_until, f"{failed}{said}")
    if lane.failure_count and lane.is_long and lane.resting_until is not None and lane.resting_until > now:
        until = max(lane.resting_until, lane.held_until or lane.resting_until)
        said = f"{_many(lane.waiting)}, so they are spread: one is tried at {_time(until)}, and a success sends the others."
        return Health(Standing.RESTING, lane.turned_at, until, f"{failed}{said}")
    if lane.failure_count:
        return Health(Standing.FAILING, lane.turned_at, None, f"{failed}{_next(lane, now)}")
    if lane.last_success_at is None:
        said = "No attempt is on record." if lane.last_failure_at is None else "Its failures were forgotten."
        return Health(Standing.IDLE, None, None, f"{said}{_waits(lane)}")
    return Health(
        Standing.HEALTHY,
        lane.turned_at,
        None,
        f"Its last attempt succeeded, at {_time(lane.last_success_at)}.{_waits(lane)}",
    )


def certificate_sentence(ends_at: datetime, *, is_own: bool, is_over: bool) -> str:
    """Return what is said of a certificate that ends soon, or has ended.

    Args:
        is_own: The webhook shows it; otherwise it believes its receiver by it.
    """
    which = "Its client certificate" if is_own else "The last authority that it believes its receiver by"
    if is_over:
        return f"{which} ended at {_time(ends_at)}. Give it another one."
    return f"{which} ends at {_time(ends_at)}. Give it another one before."


def _with_certificates(health: Health, lane: Lane, now: datetime) -> Health:
    """Return how a webhook fares, with what is to be said of its certificates. What fails already is told first."""
    ends = [(at, is_own) for at, is_own in ((lane.certificate_ends_at, True), (lane.authorities_end_at, False)) if at]
    ends_at, is_own = min(ends, default=(None, True))
    if ends_at is None or ends_at >= now + CERTIFICATE_SOON:
        return health
    is_over = ends_at <= now
    said = certificate_sentence(ends_at, is_own=is_own, is_over=is_over)
    if health.state not in {Standing.HEALTHY, Standing.IDLE}:
        return msgspec.structs.replace(health, sentence=f"{health.sentence} {said}")
    return Health(
        Standing.EXPIRED if is_over else Standing.EXPIRING, ends_at if is_over else None, None, f"{said} {health.sentence}"
    )


def _closed(reason: str | None, lane: Lane, end: str) -> Health:
    waits = f" {_many(lane.waiting)} until {end}." if lane.waiting else ""
    if reason is None:
        said = f"Its owner paused it. Events that come now are not sent to it.{waits}"
        return Health(Standing.PAUSED, lane.closed_at, None, said)
    return Health(Standing.DISABLED, lane.closed_at, None, f"{reason}{waits}")


def _failed(lane: Lane) -> str:
    if not lane.failure_count:
        return ""
    what = "Its last attempt failed" if lane.failure_count == 1 else f"Its last {lane.failure_count:,} attempts failed"
    return f"{what}: {lane.last_failure} " if lane.last_failure else f"{what}. "


def _next(lane: Lane, now: datetime) -> str:
    if lane.waiting and lane.due_at is not None and lane.due_at > now:
        order = ", and those behind wait for the first" if lane.ordered and lane.waiting > 1 else ""
        return f"{_many(lane.waiting)}{order}; the next is tried at {_time(lane.due_at)}."
    if not lane.waiting:
        return "What comes next is tried at once."
    return f"{_many(lane.waiting)} and {'goes' if lane.waiting == 1 else 'go'} out now."


def _waits(lane: Lane) -> str:
    return f" {_many(lane.waiting)}." if lane.waiting else ""


def _many(waiting: int) -> str:
    if waiting == 0:
        return "nothing waits"
    return "1 delivery waits" if waiting == 1 else f"{waiting:,} deliveries wait"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
