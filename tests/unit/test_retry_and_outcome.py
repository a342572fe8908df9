"""When to try again, and what an attempt means."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.errors import InvalidInputError
from tidings.core.outcome import Exchange, GiveUp, Gone, RetryAt, Succeeded, decide, retry_after_seconds
from tidings.core.retry import MAX_TRIES, ONCE, STANDARD, Delays, Exponential, next_try, parse_policy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class NoChance(Random):
    """Chance at its lowest: no jitter."""

    def random(self) -> float:
        return 0.0


def _schedule(policy: Any) -> list[float]:
    waits = []
    number = 1
    while (at := next_try(policy, number, NOW, NoChance())) is not None:
        waits.append((at - NOW).total_seconds())
        number += 1
    return waits


def test_the_standard_schedule_is_that_of_the_specification() -> None:
    assert _schedule(STANDARD) == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


def test_an_exponential_schedule_doubles_up_to_its_ceiling() -> None:
    assert _schedule(Exponential(base=2, factor=2, max=10, tries=6)) == [2, 4, 8, 10, 10]


def test_once_means_once() -> None:
    assert _schedule(ONCE) == []


@given(st.integers(1, 9), st.integers())
def test_jitter_lengthens_by_at_most_a_tenth(number: int, seed: int) -> None:
    at = next_try(STANDARD, number, NOW, Random(seed))
    assert at is not None
    delay = STANDARD.delays[number - 1]
    assert delay <= (at - NOW).total_seconds() <= delay * 1.1 + 1e-6


@given(st.builds(Exponential, base=st.floats(0, 604_800), factor=st.floats(1, 100), max=st.floats(0, 604_800), tries=st.integers(1, MAX_TRIES)), st.integers(1, MAX_TRIES))  # fmt: skip
def test_no_policy_overflows(policy: Exponential, number: int) -> None:
    at = next_try(policy, number, NOW, NoChance())
    assert (at is None) == (number >= policy.tries)


def test_retry_after_lengthens_a_delay_but_not_past_the_longest() -> None:
    policy = Delays(delays=(5, 60))
    assert next_try(policy, 1, NOW, NoChance(), not_before_seconds=30) == NOW + timedelta(seconds=30)
    assert next_try(policy, 1, NOW, NoChance(), not_before_seconds=1e9) == NOW + timedelta(seconds=60)
    assert next_try(policy, 1, NOW, NoChance(), not_before_seconds=1) == NOW + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"delays": [-1]}, "retry.delays"),
        ({"delays": [1e12]}, "retry.delays"),
        ({"delays": [1] * 101}, "retry.delays"),
        ({"base": 5, "tries": 0}, "retry.tries"),
        ({"base": 5, "tries": 102}, "retry.tries"),
        ({"base": 5, "factor": 0.5}, "retry.factor"),
        ({"base": -5}, "retry.base"),
        ({"base": 5, "jitter": 2}, "retry.jitter"),
        ({"delays": ["soon"]}, "retry"),
        ({"bass": 5}, "retry"),
        ("often", "retry"),
        (None, "retry"),
    ],
)
def test_a_policy_out_of_bounds_is_refused_with_its_field(value: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_policy(value)
    assert caught.value.field == field


def test_both_forms_of_a_policy_are_read() -> None:
    assert parse_policy({"delays": [5, 300]}) == Delays(delays=(5, 300))
    assert parse_policy({"base": 5, "tries": 3}) == Exponential(base=5, tries=3)
    assert next_try(Exponential(base=5, max=60), 1, NOW, NoChance(), not_before_seconds=90) == NOW + timedelta(seconds=60)


def _decide(exchange: Exchange, number: int = 1, policy: Any = STANDARD) -> Any:
    return decide(exchange, number, policy, NOW, NoChance())


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
def test_2xx_is_success(status: int) -> None:
    assert _decide(Exchange(status=status)) == Succeeded()


@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 422, 429, 500, 503])
def test_everything_else_is_tried_again_and_names_the_code(status: int) -> None:
    outcome = _decide(Exchange(status=status))
    assert isinstance(outcome, RetryAt)
    assert outcome.at == NOW + timedelta(seconds=5)
    assert f"HTTP {status}" in outcome.reason


def test_410_means_the_webhook_is_gone() -> None:
    assert isinstance(_decide(Exchange(status=410)), Gone)


@pytest.mark.parametrize("failure", ["address_refused", "render"])
def test_what_would_fail_the_same_way_again_is_given_up(failure: str) -> None:
    assert _decide(Exchange(failure=failure, error="Because.")) == GiveUp("Because.")


def test_a_success_that_was_cut_short_is_no_success() -> None:
    assert isinstance(_decide(Exchange(status=200, failure="reset", error="Cut.")), RetryAt)


def test_the_last_attempt_ends_it() -> None:
    assert isinstance(_decide(Exchange(status=500), number=9), RetryAt)
    assert _decide(Exchange(status=500), number=10) == GiveUp("The receiver answered HTTP 500.")


def test_a_stale_connection_is_tried_again_at_once_but_not_for_ever() -> None:
    stale = Exchange(failure="reset", error="Stale.", is_stale_connection=True)
    assert _decide(stale) == RetryAt(NOW, "Stale.")
    assert _decide(stale, policy=ONCE) == GiveUp("Stale.")


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (429, "120", 120.0),
        (503, "0", 0.0),
        (429, "Sat, 21 Nov 2026 12:01:00 GMT", 60.0),
        (429, "Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        (429, "soon", None),
        (429, "-5", None),
        (429, "9" * 40, None),
        (500, "120", None),
    ],
)
def test_retry_after_is_read_in_both_forms(status: int, value: str, seconds: float | None) -> None:
    assert retry_after_seconds(Exchange(status=status, headers=(("retry-after", value),)), NOW) == seconds
