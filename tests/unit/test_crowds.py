"""Shares of groups in a batch, and which groups crowd others. The outbox is modelled as its index gives it: groups by name."""

from bisect import bisect_right
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.by_group import ByGroup
from tidings.core.crowds import CROWDING, MOST_CROWDING, REMEMBERED, SEEN_FOR, Crowd, Waiting, split
from tidings.worker.sharing import MOST_GROUPS, Sharing

_COUNTS = st.lists(st.integers(1, 600), max_size=70)


def waiting(counts: list[int]) -> list[Waiting]:
    return [Waiting(f"g{number:06}", count) for number, count in enumerate(counts)]


@given(_COUNTS, st.integers(0, 600))
def test_no_group_gets_less_than_its_share_and_no_row_of_a_batch_is_left(counts: list[int], capacity: int) -> None:
    groups = waiting(counts)
    shares = split(groups, capacity)
    assert sum(shares.values()) == min(capacity, sum(counts)), "what one leaves, another gets"
    for one in groups:
        share = shares.get(one.group_id, 0)
        assert min(one.count, capacity // len(groups)) <= share <= one.count
        if share < one.count:  # whoever gets more than somebody that wants more, gets one more, and was before him in line
            more = [each for each in shares if shares[each] > share]
            assert all(shares[each] == share + 1 and each < one.group_id for each in more)
    assert list(shares) == sorted(shares), "in the order of the line"


@given(st.integers(1, 300), st.integers(1, 150))
def test_groups_that_do_not_fit_into_a_batch_take_turns(count: int, capacity: int) -> None:
    names = [one.group_id for one in waiting([1] * count)]
    served: Counter[str] = Counter()
    behind = ""
    for _ in range(40):
        start = bisect_right(names, behind)
        line = (names[start:] + names[:start])[:MOST_GROUPS]
        shares = split([Waiting(name, 1000) for name in line], capacity)
        served.update(dict.fromkeys(shares, 1))
        behind = next(reversed(shares))
    assert max(served.values()) - min(served[name] for name in names) <= 1


def test_a_hundred_thousand_groups_are_all_served_and_none_twice_before() -> None:
    names = [one.group_id for one in waiting([1] * 100_000)]
    served: list[str] = []
    behind = ""
    for _ in range(-(-len(names) // MOST_GROUPS)):
        start = bisect_right(names, behind)
        line = names[start : start + MOST_GROUPS]
        shares = split([Waiting(name, 5) for name in line], 128)
        served += shares
        behind = next(reversed(shares))
    assert served == names


@pytest.mark.parametrize(("rows", "crowds"), [(CROWDING - 1, []), (CROWDING, ["loud"])])
def test_a_group_crowds_others_from_so_many_rows_a_second_on(rows: int, crowds: list[str]) -> None:
    crowd = Crowd()
    crowd.note({"loud": int(rows)}, 0)
    assert crowd.crowding(0) == crowds


def test_a_group_that_goes_on_crowds_and_one_that_stops_does_so_no_longer() -> None:
    crowd = Crowd()
    for tenth in range(100):
        crowd.note({"loud": 40, "quiet": 2}, tenth / 10)
    assert crowd.crowding(10) == ["loud"]
    assert crowd.crowding(13) == []


def test_others_are_about_for_a_while_after_they_were_seen() -> None:
    crowd = Crowd()
    crowd.note({"loud": 1000}, 0)
    assert not crowd.are_others_about(0)
    crowd.note({"loud": 1000, "quiet": 1}, 1)
    assert crowd.are_others_about(1 + SEEN_FOR - 0.01)
    assert not crowd.are_others_about(1 + SEEN_FOR)


def test_who_comes_to_crowd_was_no_other_to_itself_before() -> None:
    crowd = Crowd()
    crowd.note({"alone": 1}, 0)
    crowd.note({"alone": 1000}, 1)
    assert crowd.crowding(1) == ["alone"]
    assert not crowd.are_others_about(1)


def test_those_that_crowd_most_are_looked_past_and_the_rest_is_forgotten_in_time() -> None:
    crowd = Crowd()
    for number in range(MOST_CROWDING + 1):
        crowd.note({f"g{number:02}": 1000 - number}, 0)
    assert crowd.crowding(0) == [f"g{number:02}" for number in range(MOST_CROWDING)]
    for number in range(REMEMBERED * 3):
        crowd.note({f"h{number}": 1}, 1)
    assert crowd.remembered == REMEMBERED
    assert crowd.crowding(1) == []


async def test_others_are_looked_for_while_one_crowds_and_others_have_webhooks() -> None:
    sharing = Sharing(cast("Any", None), monotonic=lambda: 0.0)
    assert not sharing.look(["loud", "quiet"])
    sharing.note([cast("Any", SimpleNamespace(group_id="loud"))] * int(CROWDING))
    assert sharing.crowded.is_set
    assert sharing.look(["loud", "quiet"])
    assert sharing.look(["quiet"])
    sharing.note([cast("Any", SimpleNamespace(group_id="of no webhook"))])
    assert sharing.is_shared
    assert not sharing.look(["loud"])
    assert not sharing.crowded.is_set
    assert not sharing.is_shared


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers())))
def test_in_a_line_groups_take_turns_and_keep_their_own_order(things: list[tuple[str, int]]) -> None:
    line: ByGroup[tuple[str, int]] = ByGroup()
    for thing in things:
        line.append(thing[0], thing)
    taken = []
    while line:
        taken.append(line.popleft())
    for group in "abc":
        assert [thing for thing in taken if thing[0] == group] == [thing for thing in things if thing[0] == group]
    left = Counter(group for group, _ in things)
    had: Counter[str] = Counter()
    for group, _ in taken:  # nobody is served again while one who still has something was served less
        had[group] += 1
        assert all(had[group] <= had[other] + 1 for other in left if had[other] < left[other])


def test_an_empty_line_has_nothing_to_give() -> None:
    with pytest.raises(IndexError):
        ByGroup[int]().popleft()
