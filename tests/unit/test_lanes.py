"""The places of deliveries in their lanes, and of lanes among each other."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.lanes import LEAST_FOR_OTHERS, DueLane, claim_shares, in_turns, place_after, share_out

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("last", "occurred_at", "place"),
    [
        (None, NOW - SECOND, NOW - SECOND),
        (None, NOW + SECOND, NOW + SECOND),  # the clock of who routes is late
        (None, NOW + timedelta(hours=3), NOW),  # PostgreSQL's clock was put back
        (NOW, NOW, NOW + MICROSECOND),
        (NOW, NOW - SECOND, NOW + MICROSECOND),
        (NOW - SECOND, NOW, NOW),
    ],
)
def test_a_place_follows_the_events_time_and_the_outbox(last: datetime | None, occurred_at: datetime, place: datetime) -> None:
    assert place_after(last, occurred_at, NOW) == place


def lane(number: int, *, trusted: bool = True, in_flight: int = 0, wanted: int = 100) -> DueLane:
    return DueLane(UUID(int=number), trusted, in_flight, wanted)


_LANES = st.lists(
    st.builds(lane, st.integers(1, 10**6), trusted=st.booleans(), in_flight=st.integers(0, 30), wanted=st.integers(0, 30)),
    max_size=12,
    unique_by=lambda lane: lane.webhook_id,
)


@given(_LANES, st.integers(0, 200), st.integers(0, 200))
def test_a_claim_keeps_every_limit_and_leaves_no_place_unused(
    lanes: list[DueLane], capacity: int, others_capacity: int
) -> None:
    shares = claim_shares(lanes, capacity, others_capacity)
    assert shares.keys() == {lane.webhook_id for lane in lanes}
    assert all(0 <= shares[lane.webhook_id] <= lane.wanted for lane in lanes)
    trusted = sum(lane.wanted for lane in lanes if lane.trusted)
    others = min(others_capacity, sum(lane.wanted for lane in lanes if not lane.trusted))
    given = sum(shares[lane.webhook_id] for lane in lanes if not lane.trusted)
    assert sum(shares.values()) == min(capacity, trusted + others)
    assert given <= others
    assert given >= min(others, capacity // LEAST_FOR_OTHERS), "those that fail are not starved"
    assert sum(shares.values()) - given >= min(trusted, capacity - max(1, capacity // LEAST_FOR_OTHERS)), (
        "nor do they starve others"
    )


@given(_LANES, st.integers(0, 200))
def test_lanes_are_brought_to_the_same_number_under_way(lanes: list[DueLane], capacity: int) -> None:
    lanes = [each for each in lanes if each.trusted]
    shares = claim_shares(lanes, capacity, 0)
    ends = {each.webhook_id: each.in_flight + shares[each.webhook_id] for each in lanes}
    for one in lanes:
        if shares[one.webhook_id] < one.wanted:  # it wants more, so nobody was brought further
            assert all(ends[other.webhook_id] <= ends[one.webhook_id] + 1 for other in lanes if shares[other.webhook_id])


def test_who_gives_places_back_gets_all_it_wants_beside_those_that_keep_them() -> None:
    slow = [lane(number, in_flight=90, wanted=10) for number in range(2, 50)]
    shares = claim_shares([*slow, lane(1, wanted=60)], 64, 64)
    assert shares[UUID(int=1)] == 60


def test_fresh_deliveries_of_trusted_lanes_get_the_places_there_are() -> None:
    bad, good = UUID(int=1), UUID(int=2)
    fresh = [bad, bad, good, bad, good, good]
    rooms = {bad: 10, good: 10}
    leased, waiting = share_out(fresh, lambda each: each, rooms, 4, doubted={bad}, others_capacity=4)
    assert leased == [good, good, good, bad]
    assert waiting == [bad, bad]
    leased, waiting = share_out(fresh, lambda each: each, rooms, 10, doubted={bad}, others_capacity=2)
    assert leased == [good, good, good, bad, bad]
    assert waiting == [bad]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 20), st.integers(0, 30)), min_size=1, max_size=40), st.integers(0, 300)
)
def test_a_claim_brings_groups_to_the_same_number_under_way(found: list[tuple[int, int, int]], capacity: int) -> None:
    lanes = [
        DueLane(UUID(int=number), True, in_flight, wanted, f"g{group}")
        for number, (group, in_flight, wanted) in enumerate(found)
    ]
    shares = claim_shares(lanes, capacity, 0)
    assert sum(shares.values()) == min(capacity, sum(lane.wanted for lane in lanes))
    had = {group: sum(lane.in_flight for lane in lanes if lane.group_id == group) for group in {one.group_id for one in lanes}}
    got = {group: sum(shares[lane.webhook_id] for lane in lanes if lane.group_id == group) for group in had}
    left = {group: sum(lane.wanted - shares[lane.webhook_id] for lane in lanes if lane.group_id == group) for group in had}
    for group in had:
        for other in had:
            if left[group] and got[other]:
                assert had[other] + got[other] <= had[group] + got[group] + 1, (
                    "nobody gets more while one who has less still wants"
                )


def test_a_group_with_a_thousand_lanes_gets_no_more_than_one_with_one() -> None:
    loud = [DueLane(UUID(int=number), True, 0, 50, "loud") for number in range(1000)]
    shares = claim_shares([*loud, DueLane(UUID(int=1000), True, 0, 50, "quiet")], 80, 0)
    assert shares[UUID(int=1000)] == 40
    assert sum(shares.values()) == 80


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers())))
def test_groups_take_turns_and_keep_their_own_order(things: list[tuple[str, int]]) -> None:
    taken = in_turns(things, lambda thing: thing[0])
    for group in "abc":
        assert [thing for thing in taken if thing[0] == group] == [thing for thing in things if thing[0] == group]
    rank = dict.fromkeys("abc", 0)
    ranks = []
    for group, _ in taken:
        ranks.append(rank[group])
        rank[group] += 1
    assert ranks == sorted(ranks)
