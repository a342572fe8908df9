"""What an attempt means: one classification, one decision.

`Exchange` is what the sender saw; a failed exchange is a value, not an exception. `decide` turns it into exactly one
of the outcomes, and the worker has one `match` over them.
"""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from tidings.core.delivery import Delivery, State
from tidings.core.retry import Chance, Policy, next_try

# What can go wrong without a response, or with one that cannot be taken for an answer.
FAILURES = (
    "timeout", "dns", "connect", "tls", "reset", "protocol", "too_large", "address_refused", "render", "lost", "stopped",
    "internal", "token", "proxy",
)  # fmt: skip


# This machine had no descriptor, memory or port left: no attempt was made, and none is put on record.
EXHAUSTED = "exhausted"


class Timings(msgspec.Struct, frozen=True, gc=False):
    """How long each phase of an exchange took, in milliseconds. None: the phase was not reached or not needed."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float = 0.0


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """What came of one HTTP request.

    Attributes:
        status: The response's status code, or None when there was no response.
        headers: The response's headers as they came, names in lower case.
        body: The response's body, at most the first 64 KiB.
        is_truncated: The body was longer than what was kept.
        failure: What went wrong, for programs: one of `FAILURES`, or `EXHAUSTED`. None when a response came.
        error: The same as a sentence for people.
        is_stale_connection: The receiver had closed a kept-alive connection before it read the request.
    """

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_truncated: bool = False
    failure: str | None = None
    error: str | None = None
    is_stale_connection: bool = False
    timings: Timings = Timings()

    @property
    def is_success(self) -> bool:
        """Whether the receiver acknowledged."""
        return self.failure is None and self.status is not None and 200 <= self.status < 300


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    """The receiver acknowledged the delivery."""


class RetryAt(msgspec.Struct, frozen=True, gc=False):
    """The attempt failed; the policy allows another at `at`."""

    at: datetime
    reason: str


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """The delivery failed for good."""

    reason: str


class Gone(msgspec.Struct, frozen=True, gc=False):
    """The receiver says the endpoint no longer exists (410): the delivery failed, the webhook is disabled."""

    reason: str


class Released(msgspec.Struct, frozen=True, gc=False):
    """No attempt was made: the delivery waits as before, from `at` on."""

    at: datetime


Outcome = Succeeded | RetryAt | GiveUp | Gone | Released


class Context(msgspec.Struct, frozen=True, gc=False):
    """What an attempt was about, for who tells of each: the log, and traces.

    Attributes:
        host: Empty where a client of a listener made it: it knows where.
        traceparent: Of the event (`core.trace`).
    """

    event_type: str
    method: str
    host: str
    traceparent: str | None


class Result(msgspec.Struct, frozen=True, gc=False):
    """What came of a leased delivery: one attempt, made and judged.

    Attributes:
        started_at: When the attempt began.
        webhook_version: The version of the webhook it was made with.
        signer_id: Which keys of the installation signed it, where they did.
        context: What it was about; None where nobody tells of it.
        ended_at: When it ended, where that was long before it is recorded; None: just now.
    """

    delivery: Delivery
    started_at: datetime
    exchange: Exchange
    outcome: Outcome
    webhook_version: int | None = None
    signer_id: int | None = None
    context: Context | None = None
    ended_at: datetime | None = None

    @property
    def reason(self) -> str | None:
        """Why the attempt failed; None when it did not, or when none was made."""
        outcome = self.outcome
        return None if isinstance(outcome, Succeeded | Released) else outcome.reason

    def dated(self) -> "Result":
        """Return the same, which says when it ended: it is recorded much later, perhaps."""
        if self.ended_at is not None:
            return self
        return msgspec.structs.replace(self, ended_at=ended_at(self.started_at, self.exchange))


def ended_at(started_at: datetime, exchange: Exchange) -> datetime:
    """Return when an attempt ended: the receiver had answered, or was given up."""
    return started_at + timedelta(milliseconds=exchange.timings.total_ms)


SUCCEEDED = Succeeded()

_FINAL_STATES: dict[type, State] = {Succeeded: State.SUCCEEDED, GiveUp: State.FAILED, Gone: State.FAILED}


def final_state(outcome: Outcome) -> State | None:
    """Return the state in which an outcome ends its delivery; None when the delivery goes on."""
    return _FINAL_STATES.get(type(outcome))


_FINAL = frozenset({"address_refused", "render"})  # trying again would do the same again


def decide(exchange: Exchange, attempt_number: int, policy: Policy, now: datetime, rng: Chance) -> Outcome:
    """Return what an attempt means.

    Args:
        attempt_number: Which attempt this was, counted from 1.
        now: When the attempt ended.
    """
    if exchange.is_success:
        return SUCCEEDED
    reason = failure_reason(exchange)
    if exchange.status == 410:
        return Gone(reason)
    if exchange.failure in _FINAL:
        return GiveUp(reason)
    if exchange.is_stale_connection and policy.delay_after(attempt_number) is not None:
        return RetryAt(now, reason)  # nothing was wrong with the receiver; a fresh connection can serve at once
    at = next_try(policy, attempt_number, now, rng, not_before_seconds=retry_after_seconds(exchange, now))
    return GiveUp(reason) if at is None else RetryAt(at, reason)


def failure_reason(exchange: Exchange) -> str:
    """Return one sentence that tells why an attempt failed."""
    if exchange.error is not None:
        return exchange.error
    return f"The receiver answered HTTP {exchange.status}."


def retry_after_seconds(exchange: Exchange, now: datetime) -> float | None:
    """Return the wait a 429 or 503 asks for (RFC 9110, section 10.2.3), or None."""
    if exchange.status not in {429, 503}:
        return None
    value = next((value for name, value in exchange.headers if name == "retry-after"), None)
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 10:
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (TypeError, ValueError):  # not a date, or one without a zone
        return None
