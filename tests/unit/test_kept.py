"""For how long a stream keeps what was landed, decided without a stream."""

import pytest

from tidings.core.kept import Holding, Landings


def holding(*, landed: int, first: int = 1, size: int = 0, most_bytes: int = 1_000) -> Holding:
    return Holding(first, 100, landed, size, most_bytes)


def test_what_was_landed_is_forgotten_when_its_time_is_over_and_not_before() -> None:
    landings = Landings(60)
    assert landings.to_forget(holding(landed=5), 0) is None
    assert landings.to_forget(holding(landed=9), 30) is None
    assert landings.to_forget(holding(landed=9), 59.9) is None
    assert landings.to_forget(holding(landed=9), 60) == 5
    assert landings.to_forget(holding(landed=9, first=6), 89) is None, "it is forgotten already"
    assert landings.to_forget(holding(landed=12, first=6), 90) == 9


def test_what_was_landed_long_ago_is_forgotten_although_nothing_comes_any_more() -> None:
    landings = Landings(60)
    landings.to_forget(holding(landed=5), 0)
    for now in range(1, 60):
        assert landings.to_forget(holding(landed=5), now) is None
    assert landings.to_forget(holding(landed=5), 60) == 5


def test_nothing_that_was_not_landed_is_forgotten_when_the_stream_was_made_anew() -> None:
    landings = Landings(60)
    landings.to_forget(holding(landed=50), 0)
    assert landings.to_forget(holding(landed=2), 61) is None
    assert landings.to_forget(holding(landed=3), 120) is None
    assert landings.to_forget(holding(landed=3), 121) == 2


@pytest.mark.parametrize(("size", "most_bytes", "forgotten"), [(501, 1_000, 5), (499, 1_000, None), (501, -1, None)])
def test_what_was_landed_makes_room_for_what_was_not(size: int, most_bytes: int, forgotten: int | None) -> None:
    assert Landings(60).to_forget(holding(landed=5, size=size, most_bytes=most_bytes), 0) == forgotten
