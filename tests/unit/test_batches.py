"""How many rows a batch has by what came of the last, and what of its deliveries waits where."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from tidings.core.answers import Answer
from tidings.core.event import Event, milliseconds, uuid7
from tidings.core.outcome import SUCCEEDED, Exchange
from tidings.store.queue import Queued
from tidings.worker.batches import BATCH, MANY_DELIVERIES, Routed, Size, attempted, in_order

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def event(number: int, seconds: float, group_id: str = "default") -> Event:
    at = NOON + timedelta(seconds=seconds)
    return Event(
        uuid7(milliseconds(NOON), number), group_id, "publish", "order.paid", None, None, None, None, "{}", None, at
    )  # fmt: skip


def queued(lane: UUID, of: Event | None = None, *, is_test: bool = False) -> Queued:
    return Queued(uuid4(), lane, uuid4() if of is None else of.id, "default", is_test, NOON)


# Its size ----------------------------------------------------------------------------------------------------------------


def test_the_row_at_fault_is_found_by_halves_and_known_once_it_has_failed_alone_twice() -> None:
    size, rows, tries = Size(), list(range(BATCH)), 0
    at_fault = None
    while at_fault is None:
        numbers = rows[: size.limit]
        at_fault = size.failed(numbers) if 0 in numbers else None
        tries += 1
    assert at_fault == 0
    assert tries == 11, "512, 256 and so on down to 1, and that once more"
    assert size == Size(1)


def test_another_row_that_fails_alone_is_not_the_one_that_did_before() -> None:
    size = Size(1)
    assert size.failed([1]) is None
    assert size.failed([2]) is None
    assert size.failed([2]) == 2


def test_a_row_that_failed_with_others_has_not_failed_alone() -> None:
    size = Size(1)
    assert size.failed([1]) is None
    assert size.failed([1, 2]) is None
    assert size.failed([1]) is None


def test_a_batch_grows_to_its_bound_and_no_further() -> None:
    size = Size(1)
    limits = []
    for _ in range(11):
        size.routed(0)
        limits.append(size.limit)
    assert limits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512]


@pytest.mark.parametrize(("deliveries", "limit"), [(MANY_DELIVERIES, BATCH), (MANY_DELIVERIES + 1, BATCH // 2)])
def test_after_very_many_deliveries_fewer_rows_are_taken(deliveries: int, limit: int) -> None:
    size = Size()
    size.routed(deliveries)
    assert size.limit == limit


def test_one_row_at_least_is_taken() -> None:
    size = Size(1)
    size.routed(MANY_DELIVERIES + 1)
    assert size.limit == 1


# Its deliveries ----------------------------------------------------------------------------------------------------------


def test_what_was_answered_is_recorded_only_where_its_webhook_is_there() -> None:
    lane, gone = uuid4(), uuid4()
    fresh = [queued(lane), queued(lane), queued(gone), queued(lane), queued(lane)]
    told = {one.id: Answer(one.event_id, one.webhook_id, NOON, Exchange(200), SUCCEEDED, 1) for one in fresh[:4]}
    assert attempted(fresh, told, {lane}) == ([fresh[0], fresh[1], fresh[3]], [fresh[2], fresh[4]])
    assert attempted(fresh, {}, {lane}) == ([], fresh)


def test_an_ordered_lane_keeps_the_order_of_each_group_and_source_whatever_clocks_say() -> None:
    ordered, other = uuid4(), uuid4()
    events = [event(1, -1), event(2, -5), event(3, -9), event(4, -7, "acme")]
    origins = {events[2].id: "shop"}
    waiting = [queued(ordered, one) for one in events] + [queued(other, events[1]), queued(ordered, events[0], is_test=True)]
    found = in_order(waiting, {ordered}, events, origins, NOON)
    assert found[1].due_at > found[0].due_at, "it came later, with an earlier time"
    assert found[2].due_at == events[2].occurred_at, "another source has an order of its own"
    assert found[3].due_at == events[3].occurred_at, "and another group"
    assert found[4:] == waiting[4:], "no order is kept of tests, nor in other lanes"


def test_each_flight_has_its_own_deliveries() -> None:
    trusted, doubted = uuid4(), uuid4()
    first, second = queued(trusted), queued(doubted)
    routed = Routed([], uuid4(), {7: [first], 8: [second, first]}, doubted={doubted})
    found = routed.deliveries()
    assert [[one.id for one in each] for each in found] == [[first.id], [second.id, first.id]]
    assert [[one.flight_id for one in each] for each in found] == [[7], [8, 8]]
    assert [[one.is_trusted for one in each] for each in found] == [[True], [False, True]]
    assert msgspec.structs.astuple(found[0][0])[5] == NOON
