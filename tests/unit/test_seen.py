"""Who lands flights doubts that it is alone, once others could not see it for long enough."""

import pytest

from tidings.core.seen import Seen


@pytest.mark.parametrize(
    ("now", "waited", "is_sure"), [(10.0, 0.0, True), (10.1, 0.0, False), (15.0, 5.0, True), (15.1, 5.0, False)]
)
def test_time_in_which_nobody_could_see_us_makes_unsure_and_time_of_waiting_does_not(
    now: float, waited: float, *, is_sure: bool
) -> None:
    seen = Seen(10.0, 0.0)
    seen.look(now, waited)
    assert seen.is_sure is is_sure


def test_after_a_wait_the_time_begins_anew() -> None:
    seen = Seen(10.0, 0.0)
    seen.wait_ended(9.0)
    seen.look(19.0)
    assert seen.is_sure
    seen.look(19.1)
    assert not seen.is_sure


def test_what_is_doubted_stays_so_until_it_is_asked_whoever_sees_us_meanwhile() -> None:
    seen = Seen(10.0, 0.0)
    seen.doubt()
    seen.wait_ended(1.0)
    seen.look(1.0)
    assert not seen.is_sure
    seen.asked(100.0)
    seen.look(110.0)
    assert seen.is_sure
