"""Limits: what may be asked for, and buckets of which processes take portions."""

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.core.errors import InvalidInputError
from tidings.core.limits import (
    BOUNDS,
    LAPSE_SECONDS,
    MAX_PORTION,
    NAMES,
    Bucket,
    Hand,
    Limits,
    ahead,
    changed,
    headers,
    take,
    text_bytes,
)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_may_be_as_small_and_as_large_as_its_bounds_and_no_more(name: str) -> None:
    least, most = BOUNDS[name]
    whole = Limits(events_per_second=5)
    for good in (least, most, None):
        if not (name == "events_per_second" and good is None):
            assert getattr(changed(whole, {name: good}), name) == good
    for bad in (least - 1, most + 1, -1, 10**5000):
        with pytest.raises(InvalidInputError) as refused:
            changed(whole, {name: bad})
        assert refused.value.field == name


def test_what_is_left_out_stays_and_a_burst_goes_with_its_rate() -> None:
    limits = changed(Limits(webhooks=3), {"events_per_second": 5, "events_burst": 50})
    assert (limits, limits.burst) == (Limits(3, 5, 50), 50)
    assert changed(limits, {"webhooks": None}) == Limits(None, 5, 50)
    assert changed(limits, {"events_per_second": None}) == Limits(3)
    assert changed(limits, {"events_burst": None}).burst == 5
    with pytest.raises(InvalidInputError, match="events_per_second"):
        changed(Limits(), {"events_burst": 5})


@pytest.mark.parametrize("text", ["", "abc", "aä€🙂", None])
def test_a_text_takes_the_bytes_of_its_utf_8(text: str | None) -> None:
    assert text_bytes(text) == len((text or "").encode())


def test_what_is_left_is_said_in_the_fields_of_the_draft() -> None:
    assert headers(Limits(webhooks=3), 0, None) == {}
    whole = Limits(events_per_second=5, events_burst=9, stored_bytes=100, payload_bytes=10)
    assert headers(whole, 7, 120) == {
        "RateLimit-Policy": '"events";q=5;w=1;tidings-burst=9, "stored";q=100;qu="content-bytes"',
        "RateLimit": '"events";r=7;t=1, "stored";r=0',
    }
    assert headers(Limits(events_per_second=5), 0, None) == {
        "RateLimit-Policy": '"events";q=5;w=1',
        "RateLimit": '"events";r=0;t=1',
    }
    assert headers(Limits(payload_bytes=10), 0, None) == {}, "a bound of each event is no quota"


def test_numbers_in_fields_have_no_more_digits_than_fields_can_have() -> None:
    said = headers(Limits(stored_bytes=BOUNDS["stored_bytes"][1]), 0, 0)
    assert [len(digits) for text in said.values() for digits in re.findall(r"[0-9]+", text)] == [15, 15]


class Group:
    """A bucket, and processes that take portions of it."""

    def __init__(self, rate: int, burst: int, processes: int) -> None:
        self.rate, self.burst, self.now = rate, burst, 0.0
        self.bucket = Bucket(burst, 0.0)
        self.hands = [Hand() for _ in range(processes)]

    def publish(self, process: int, need: int) -> int:
        """What a process does with so many events, as `operations.allowance` does it."""
        hand = self.hands[process]
        if not hand.has(need, self.now) and not hand.is_dry(self.now):
            missing = hand.missing(need, self.now)
            self.bucket, granted = take(self.bucket, self.rate, self.burst, self.now, missing, ahead(self.rate))
            hand.put(granted, self.bucket.tokens, self.rate, missing, self.now)
        return hand.spend(need, self.now)


moves = st.lists(st.tuples(st.floats(0, 2), st.integers(0, 3), st.integers(1, 40)), max_size=60)


@given(st.integers(1, 2000), st.integers(1, 500), moves)
def test_no_stretch_lets_more_through_than_rate_and_burst_allow(rate: int, burst: int, moves: Any) -> None:
    group = Group(rate, burst, 4)
    through: list[tuple[float, int]] = []
    for pause, process, need in moves:
        group.now += pause
        through.append((group.now, group.publish(process, need)))
    for first, (began, _) in enumerate(through):
        total = 0
        for at, count in through[first:]:
            total += count
            held = 0 if first == 0 else LAPSE_SECONDS  # at the beginning nobody holds anything
            assert total <= burst + rate * (at - began + held) + 1e-6


@given(st.integers(1, 2000), st.integers(1, 500), st.integers(2, 6), st.integers())
@settings(max_examples=50)
def test_nobody_starves_beside_processes_that_want_all_there_is(rate: int, burst: int, processes: int, seed: int) -> None:
    """One wants an event now and then, the others everything, all the time. Who comes first is chance."""
    group, chance = Group(rate, burst, processes), Random(seed)
    got, step = 0, 1 / max(rate, 20) / 3
    order = list(range(processes))
    while got < 5 and group.now * rate < 500:  # a fair share of so many is 83
        group.now += step
        chance.shuffle(order)
        for process in order:
            if process == 0 and got < 5:
                got += group.publish(0, 1)
            elif process:
                group.publish(process, 1000)
    assert got == 5


@given(st.integers(1, 10**6), st.floats(0, 1e6), st.integers(1, 10_000))
def test_a_portion_is_what_is_needed_and_never_more_than_half_of_the_rest_besides(rate: int, tokens: float, need: int) -> None:
    bucket, granted = take(Bucket(tokens, 0), rate, 1e6, 0, need, ahead(rate))
    assert 0 <= granted <= need + MAX_PORTION
    assert bucket.tokens >= 0
    assert granted == int(tokens) if tokens < need else need <= granted <= need + (tokens - need) / 2


def test_a_clock_that_goes_back_fills_nothing() -> None:
    bucket, granted = take(Bucket(0, 100), 10, 10, 50, 1, 0)
    assert (bucket, granted) == (Bucket(0, 100), 0)
