"""The clock that all processes share: PostgreSQL's, however late its answer comes."""

from datetime import timedelta

import pytest

from tidings.clock import Clock

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(("off", "set_to"), [(-3, 0), (2, 2), (9, 5)])
def test_a_late_answer_corrects_the_clock_only_as_far_as_it_is_sure(off: int, set_to: int) -> None:
    clock = Clock()
    told = clock.now()
    clock.adjust(told + off * SECOND)
    clock.adjust(told, age=5 * SECOND)
    assert timedelta() <= clock.now() - (told + set_to * SECOND) < SECOND
