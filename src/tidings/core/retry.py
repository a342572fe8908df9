"""When to try again.

A policy is a list of delays, or base, factor, ceiling and tries. Jitter only ever lengthens a delay, so a policy's
figures are promises: never earlier than written, never more than a tenth later.
"""

from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from tidings.core.errors import InvalidInputError

MAX_DELAY_SECONDS = 7 * 86_400
MAX_RETRIES = 100
MAX_TRIES = MAX_RETRIES + 1


class Chance(Protocol):
    """Where jitter comes from: `random.Random`, or what a test decides."""

    def random(self) -> float:
        """Return a number from 0 to 1."""


class Delays(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fixed delays: `delays[n]` seconds between attempt n+1 and attempt n+2; then the delivery has failed."""

    delays: tuple[float, ...]
    jitter: float = 0.1

    def delay_after(self, attempt_number: int) -> float | None:
        """Return the seconds to wait after that attempt, or None after the last one."""
        return self.delays[attempt_number - 1] if attempt_number <= len(self.delays) else None


class Exponential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`base * factor**(n-1)` seconds after attempt n, at most `max`; `tries` attempts in all."""

    base: float
    factor: float = 2.0
    max: float = 86_400.0
    tries: int = 10
    jitter: float = 0.1

    def delay_after(self, attempt_number: int) -> float | None:
        """Return the seconds to wait after that attempt, or None after the last one."""
        if attempt_number >= self.tries:
            return None
        # The exponent is bounded so that a hundredth try does not overflow a float.
        return min(self.max, self.base * self.factor ** min(attempt_number - 1, 60))


Policy = Delays | Exponential

# Standard Webhooks 1.0, "Deliverability and reliability": its example schedule, about three days.
STANDARD = Delays(delays=(5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
ONCE = Delays(delays=())


def next_try(
    policy: Policy, attempt_number: int, now: datetime, rng: Chance, *, not_before_seconds: float | None = None
) -> datetime | None:
    """Return when to try again after a failed attempt, or None when the policy is exhausted.

    Args:
        attempt_number: The attempt that failed, counted from 1.
        not_before_seconds: What the receiver asked for in Retry-After. It may lengthen the policy's delay, up to
            the longest delay the policy has, so that a receiver cannot put a delivery off for ever.
    """
    delay = policy.delay_after(attempt_number)
    if delay is None:
        return None
    if not_before_seconds is not None:
        delay = max(delay, min(not_before_seconds, _longest(policy)))
    return now + timedelta(seconds=delay * (1 + policy.jitter * rng.random()))


def _longest(policy: Policy) -> float:
    return max(policy.delays, default=0.0) if isinstance(policy, Delays) else policy.max


def retry_count(policy: Policy) -> int:
    """Return how often a policy tries again."""
    return len(policy.delays) if isinstance(policy, Delays) else policy.tries - 1


def limited(policy: Policy, *, max_retries: int | None = None, backoff_seconds: float | None = None) -> Policy:
    """Return a policy with another number of retries, or another first delay that doubles each time.

    These two figures are how the systems of seeds 003 and 004 speak of a policy. More retries than a list has delays repeat its
    last one.

    Raises:
        InvalidInputError: A figure is out of bounds.
    """
    retries = retry_count(policy) if max_retries is None else max_retries
    _check("max_retries", retries, 1, MAX_RETRIES, "retries")
    if backoff_seconds is not None:
        _check("retry_backoff_seconds", backoff_seconds, 0, MAX_DELAY_SECONDS, "seconds")
        return Exponential(base=backoff_seconds, factor=2, tries=retries + 1, jitter=policy.jitter)
    if isinstance(policy, Exponential):
        return msgspec.structs.replace(policy, tries=retries + 1)
    delays = policy.delays[:retries]
    padding = retries - len(delays)
    return msgspec.structs.replace(policy, delays=delays + (delays[-1:] or (1.0,)) * padding)


def parse_policy(value: Any) -> Policy:
    """Read a policy as the API and the database write it.

    Raises:
        InvalidInputError: Neither form fits, or a figure is out of bounds; the message tells what to write.
    """
    kind: type[Policy] = Delays if isinstance(value, dict) and "delays" in value else Exponential
    try:
        policy = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            "retry",
            f'retry is not a retry policy ({error}). Write {{"delays": [5, 300, 1800]}} with seconds, or '
            '{"base": 5, "factor": 2, "max": 3600, "tries": 10}.',
        ) from error
    if isinstance(policy, Delays):
        _check("retry.delays", len(policy.delays), 0, MAX_RETRIES, "entries")
        for delay in policy.delays:
            _check("retry.delays", delay, 0, MAX_DELAY_SECONDS, "seconds")
    else:
        _check("retry.base", policy.base, 0, MAX_DELAY_SECONDS, "seconds")
        _check("retry.max", policy.max, 0, MAX_DELAY_SECONDS, "seconds")
        _check("retry.factor", policy.factor, 1, 100, "")
        _check("retry.tries", policy.tries, 1, MAX_TRIES, "attempts")
    _check("retry.jitter", policy.jitter, 0, 1, "of the delay")
    return policy


def _check(field: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        raise InvalidInputError(field, f"{field} is {value:g}; write {low:g} to {high:g} {unit}".rstrip() + ".")
