"""What is sent ahead of a database that is away: whose turn it is, what may go, no lane above its limit, and what was answered."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.ahead import (
    LONGEST_REST,
    MAX_LANES,
    MAX_SAID_BYTES,
    MAX_WAITING,
    NOBODY,
    TRANSITIONS,
    Lanes,
    Said,
    Step,
    Turn,
    Watched,
    encode_said,
    is_for_ahead,
    may_go_ahead,
    read_said,
    whose,
)
from tidings.core.answers import (
    FORMAT,
    MAX_BYTES,
    MAX_DOUBTED,
    MAX_OF_EVENT,
    Answer,
    answers,
    by_event,
    doubt,
    doubted,
    messages,
    of_outbox,
)
from tidings.core.event import Event, delivery_id
from tidings.core.outcome import SUCCEEDED, Exchange, GiveUp, Gone, RetryAt, Timings
from tidings.core.webhook import Webhook

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAILED = RetryAt(AT, "The receiver answered HTTP 500.")


def webhook(**fields: Any) -> Webhook:
    made: dict[str, Any] = {
        "id": uuid4(), "group_id": "acme", "name": "x", "url": "https://example.com/", "created_at": AT, "updated_at": AT,
        "secret": "whsec_AAAA",
    }  # fmt: skip
    return Webhook(**(made | fields))


def event(**fields: Any) -> Event:
    made: dict[str, Any] = {"id": uuid4(), "group_id": "acme", "source": "publish", "type": "order.paid", "record": "{}"}
    rest = {"operation": None, "subject": None, "table_schema": None, "table_name": None, "old_record": None, "occurred_at": AT}
    return Event(**(made | rest | fields))


# Whose turn ---------------------------------------------------------------------------------------------------------------


def test_whose_turn_it_is_changes_by_the_table_alone() -> None:
    for state in Turn:
        for step in Step:
            after = Said(state, "us").after(step)
            assert (after.state if after else None) == TRANSITIONS.get((state, step))
    assert NOBODY.after(Step.TAKE, holder="us") == Said(Turn.AHEAD, "us")
    assert Said(Turn.ENDING, "us").after(Step.RENEW) is None, "whoever was asked to end learns of it"
    assert all(NOBODY.after(step) is None for step in Step if step not in {Step.TAKE, Step.LAND})


def test_who_lands_calls_off_what_others_have_not_begun_and_who_leaves_by_itself_does_not() -> None:
    called = Said(Turn.AHEAD, "us").after(Step.CALL)
    assert called is not None
    for left, is_called in (
        (called.after(Step.LEAVE), True),
        (called.after(Step.BURY), True),
        (NOBODY.after(Step.LAND), True),
        (Said(Turn.AHEAD, "us").after(Step.BURY, is_called=True), True),
        (Said(Turn.AHEAD, "us").after(Step.LEAVE), False),
        (Said(Turn.AHEAD, "us").after(Step.BURY), False),
    ):
        assert left is not None
        assert left.is_called_off(8, 7) is is_called
        assert not left.is_called_off(7, 7), "that was before"
        assert not left.is_called_off(7, None), "nobody knows when that was"
        taken = left.after(Step.TAKE, holder="another")
        assert taken is not None
        assert not taken.is_called
    assert not called.is_called_off(8, 7), "it sends still"


def test_what_the_key_says_is_read_as_it_was_written_and_members_that_are_not_known_are_passed_over() -> None:
    said = Said(Turn.AHEAD, "us", AT, 7)
    assert read_said(encode_said(said)) == whose(encode_said(said)) == said
    assert read_said(msgspec.json.encode(msgspec.to_builtins(said) | {"later": {"more": [1]}})) == said
    assert read_said(b'{"state":"ended"}') == NOBODY
    assert said.seconds(AT + timedelta(minutes=3)) == 180
    assert said.seconds(AT - timedelta(hours=1)) == 0.0, "clocks differ"


@pytest.mark.parametrize(
    "said",
    [
        b"", b"{", b"\xff", b"[]", b"{}", b'{"state":"asleep"}', b"[" * MAX_SAID_BYTES, b" " * MAX_SAID_BYTES + b'{"state":"ended"}',
        b'{"state":"ahead"}', b'{"state":"ending"}', b'{"state":"ahead","since":"2026-11-22T10:00:00"}',
        b'{"state":"ended","since":"yesterday"}', b'{"state":"ended","reached":"x"}', b'{"state":"ended","reached":-1}',
        b'{"state":"ended","reached":1e300}', b'{"state":"ended","holder":"' + b"x" * 101 + b'"}',
    ],
)  # fmt: skip
def test_what_the_key_says_and_cannot_be_read_gives_nobody_the_turn(said: bytes) -> None:
    assert read_said(said) is None
    assert whose(said) == NOBODY
    assert read_said(b'{"state":"ended","holder":"' + b"x" * 100 + b'"}') is not None


def test_silence_is_measured_by_who_looks_from_when_a_revision_is_seen_first() -> None:
    watched = Watched()
    assert watched.silent_for(3, 100.0) == 0
    assert watched.silent_for(3, 111.0) == 11
    assert watched.silent_for(4, 112.0) == 0
    assert watched.silent_for(4, 113.5) == 1.5


# What may go --------------------------------------------------------------------------------------------------------------


def test_what_hangs_on_the_database_is_left_to_it() -> None:
    assert may_go_ahead(webhook())
    for fields in (
        {"enabled": False}, {"fault": "x"}, {"ordered": True}, {"rate_per_second": 5.0}, {"managed_by": "listener:x"},
        {"managed_by": "cron:x"},
    ):  # fmt: skip
        assert not may_go_ahead(webhook(**fields))
    assert is_for_ahead(event())
    assert not is_for_ahead(event(hops=1))
    assert not is_for_ahead(event(webhook_id=uuid4()))
    assert not is_for_ahead(event(type="webhook.test", webhook_id=uuid4()))


def test_a_lane_opens_once_what_others_had_under_way_has_ended() -> None:
    lanes: Lanes[int] = Lanes(opened_at=1000.0)
    slow, quick = webhook(timeout_seconds=60), webhook(timeout_seconds=30)
    assert lanes.offer(quick, 1, 1029.9) == (False, False)
    assert lanes.offer(quick, 1, 1030.0) == (True, True)
    assert lanes.offer(slow, 1, 1059.9) == (False, False)
    assert lanes.offer(slow, 1, 1060.0) == (True, True)


def test_what_waits_for_a_lane_that_fails_is_left_to_the_database_and_the_lane_rests() -> None:
    lanes: Lanes[int] = Lanes(opened_at=0.0)
    hook = webhook(concurrency=2)
    assert [lanes.offer(hook, number, 100.0) for number in range(4)] == [(True, True)] * 2 + [(True, False)] * 2
    assert lanes.pending == 4
    assert lanes.ended(hook, 100.0, FAILED) == ([], [2, 3])
    assert lanes.pending == 1
    assert lanes.offer(hook, 4, 100.9) == (False, False)
    assert lanes.offer(hook, 5, 101.0) == (True, False), "one alone tries, and one is under way still"
    assert lanes.ended(hook, 101.0, SUCCEEDED) == ([5], [])
    assert lanes.ended(hook, 101.0, SUCCEEDED) == ([], [])
    assert lanes.pending == 0
    assert lanes.offer(hook, 6, 101.0) == (True, True)


def test_what_waits_behind_a_delivery_that_is_left_to_the_database_is_left_to_it_too() -> None:
    lanes: Lanes[int] = Lanes(opened_at=0.0)
    hook = webhook(concurrency=1)
    for number in range(4):
        lanes.offer(hook, number, 100.0)
    assert lanes.ended(hook, 100.0, SUCCEEDED) == ([1], [])
    assert lanes.released(hook) == [2, 3]
    assert lanes.pending == 0
    assert lanes.offer(hook, 4, 100.0) == (True, True)


def test_rests_become_longer_up_to_a_limit_and_one_that_is_gone_is_never_tried_again() -> None:
    lanes: Lanes[int] = Lanes(opened_at=0.0)
    hook, now = webhook(), 100.0
    for number in range(20):
        assert lanes.offer(hook, 0, now) == (True, True)
        lanes.ended(hook, now, FAILED)
        rest = min(LONGEST_REST, 2.0**number)
        assert lanes.offer(hook, 0, now + rest - 0.01) == (False, False)
        now += rest
    gone = webhook()
    assert lanes.offer(gone, 0, now) == (True, True)
    lanes.ended(gone, now, Gone("gone"))
    assert lanes.offer(gone, 0, now + 1e9) == (False, False)


def test_lanes_and_what_waits_in_each_are_bounded() -> None:
    lanes: Lanes[int] = Lanes(opened_at=0.0)
    hook = webhook(concurrency=1)
    taken = [lanes.offer(hook, number, 100.0)[0] for number in range(MAX_WAITING + 3)]
    assert taken.count(True) == MAX_WAITING + 1
    for _ in range(MAX_LANES - 1):
        assert lanes.offer(msgspec.structs.replace(hook, id=uuid4()), 0, 100.0) == (True, True)
    assert lanes.offer(webhook(), 0, 100.0) == (False, False)
    begun = lanes.pending - MAX_WAITING
    assert len(lanes.leave()) == MAX_WAITING
    assert lanes.pending == begun


@given(st.lists(st.tuples(st.sampled_from(["offer", "ok", "fail", "wait"]), st.integers(0, 2)), max_size=200))
def test_whatever_happens_no_lane_has_more_under_way_than_it_may_and_nothing_is_forgotten(steps: list[tuple[str, int]]) -> None:
    hooks = [webhook(concurrency=1), webhook(concurrency=3), webhook(concurrency=100)]
    lanes: Lanes[int] = Lanes(opened_at=0.0)
    under_way, waiting = [0, 0, 0], [list[int]() for _ in hooks]
    now, number = 1000.0, 0
    for what, at in steps:
        hook = hooks[at]
        if what == "wait":
            now += 1 + at * 100
        elif what == "offer":
            number += 1
            is_taken, is_begun = lanes.offer(hook, number, now)
            assert is_taken or not is_begun
            under_way[at] += is_begun
            if is_taken and not is_begun:
                waiting[at].append(number)
        elif under_way[at]:
            begun, left = lanes.ended(hook, now, SUCCEEDED if what == "ok" else FAILED)
            under_way[at] += len(begun) - 1
            assert begun + left == waiting[at][: len(begun) + len(left)], "in their order"
            del waiting[at][: len(begun) + len(left)]
        assert all(count <= each.concurrency for count, each in zip(under_way, hooks, strict=True))
        assert lanes.pending == sum(under_way) + sum(map(len, waiting))
        for count, those in zip(under_way, waiting, strict=True):
            assert count or not those, "what waits is begun once something ends"
    assert sorted(lanes.leave()) == sorted(one for those in waiting for one in those)


# What was answered --------------------------------------------------------------------------------------------------------

_TEXT = st.text(max_size=40)
_OUTCOMES = st.one_of(
    st.just(SUCCEEDED), st.builds(GiveUp, _TEXT), st.builds(Gone, _TEXT), st.builds(RetryAt, st.just(AT), _TEXT)
)
_EXCHANGES = st.builds(
    Exchange, st.none() | st.integers(100, 999), st.lists(st.tuples(_TEXT, _TEXT), max_size=3).map(tuple), st.binary(max_size=200),
    st.booleans(), st.none() | st.sampled_from(["timeout", "dns"]), st.none() | _TEXT,
    timings=st.builds(Timings, *[st.none() | st.floats(0, 1e6)] * 4, st.floats(0, 1e6)),
)  # fmt: skip
_ANSWERS = st.builds(
    Answer, st.uuids(), st.uuids(), st.just(AT), _EXCHANGES, _OUTCOMES, st.none() | st.integers(0, 2**31 - 1),
    st.none() | st.integers(0, 2**31 - 1),
)  # fmt: skip


@given(st.lists(_ANSWERS, max_size=20, unique_by=lambda one: one.delivery_id), st.integers(5000, 20_000))
def test_answers_come_as_they_were_told_in_messages_that_are_small_enough(told: list[Answer], limit: int) -> None:
    flight = uuid4()
    made = messages(flight, told, limit)
    assert all(len(one) <= limit for one in made)
    assert answers(flight, made) == ({one.delivery_id: one for one in told}, 0)
    assert answers(uuid4(), made) == ({}, 0), "of a flight that had its number before the stream was made anew"
    events = [event(id=one.event_id) for one in told]
    waiting = by_event(flight, events, {one.delivery_id: one for one in told})
    assert set(waiting) == {one.event_id for one in told}
    assert of_outbox(waiting.values()) == {one.delivery_id: one for one in told}


def answer(**fields: Any) -> Answer:
    made: dict[str, Any] = {"exchange": Exchange(200, body=b"ok"), "outcome": SUCCEEDED}
    return Answer(**({"event_id": uuid4(), "webhook_id": uuid4(), "started_at": AT} | made | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"started_at": AT.replace(year=1999)}, {"started_at": AT.replace(year=9000)}, {"started_at": AT.replace(tzinfo=None)},
        {"outcome": RetryAt(AT.replace(year=9000), "x")}, {"exchange": Exchange(200, timings=Timings(total_ms=1e9))},
        {"exchange": Exchange(200, timings=Timings(total_ms=float("nan")))}, {"exchange": Exchange(200, timings=Timings(-1.0))},
    ],
)  # fmt: skip
def test_answers_at_no_time_that_can_be_are_not_read(fields: dict[str, Any]) -> None:
    """Whoever adds to them, or writes them down, would break."""
    flight = uuid4()
    assert answers(flight, messages(flight, [answer(**fields)])) == ({}, 1)
    at_the_bound = answer(started_at=AT.replace(year=8999), exchange=Exchange(200, timings=Timings(total_ms=1e9 - 1)))
    assert answers(flight, messages(flight, [at_the_bound])) == ({at_the_bound.delivery_id: at_the_bound}, 0)
    assert at_the_bound.ended_at.year == 8999


def test_of_an_answer_that_is_too_large_alone_the_status_is_left() -> None:
    large = answer(exchange=Exchange(500, (("x-large", "y" * 400_000),), b"z" * 400_000), outcome=FAILED)
    flight = uuid4()
    made = messages(flight, [answer(), large, answer()])
    assert all(len(one) <= MAX_BYTES for one in made)
    found, faults = answers(flight, made)
    assert (len(found), faults) == (3, 0)
    assert found[large.delivery_id].exchange == Exchange(500, is_truncated=True)
    assert found[large.delivery_id].outcome == FAILED


def test_of_two_answers_to_one_delivery_the_first_counts() -> None:
    first = answer()
    second = msgspec.structs.replace(first, exchange=Exchange(500), outcome=FAILED)
    flight = uuid4()
    found, _ = answers(flight, [*messages(flight, [first]), *messages(flight, [second])])
    assert list(found.values()) == [first]


@given(
    st.binary(max_size=300)
    | st.lists(st.integers(-(2**63), 2**63) | st.text() | st.none(), max_size=20).map(msgspec.msgpack.encode)
)
def test_what_is_no_answer_is_told_and_breaks_nothing(data: bytes) -> None:
    found, faults = answers(uuid4(), [data])
    assert not found
    assert faults <= 1
    assert of_outbox([data]) == {}


@pytest.mark.parametrize(
    ("at", "value"),
    [(2, datetime(2026, 1, 1)), (3, 99), (3, "200"), (7, "none of ours"), (10, "maybe"), (10, "retry"), (13, -1), (14, 2**31)],
)
def test_an_answer_that_no_home_tells_is_not_believed(at: int, value: object) -> None:
    one: list[Any] = [
        uuid4(), uuid4(), AT, 200, [], b"", False, None, None, [None, None, None, None, 1.0], "succeeded", None, None, 1, None,
    ]  # fmt: skip
    flight = uuid4()
    assert answers(flight, [msgspec.msgpack.encode([1, flight, [one]])])[1] == 0
    one[at] = value
    assert answers(flight, [msgspec.msgpack.encode([1, flight, [one]])]) == ({}, 1)
    assert answers(flight, [msgspec.msgpack.encode([2, flight, []])]) == ({}, 1), "of another version"


@given(st.lists(st.uuids(), max_size=5), st.lists(st.uuids(), max_size=5), st.binary(max_size=50))
def test_flights_that_may_be_landed_are_read_as_they_were_named_and_what_is_no_message_names_none(
    some: list[UUID], others: list[UUID], data: bytes
) -> None:
    assert doubted([doubt(some), data, doubt(others), doubt(some)[:-1]]) == {*some, *others}


def test_doubts_in_a_format_of_later_name_none() -> None:
    flight = uuid4()
    assert doubted([msgspec.msgpack.encode([FORMAT, [flight]])]) == {flight}
    assert doubted([msgspec.msgpack.encode([FORMAT + 1, [flight]])]) == set()


def test_one_message_names_so_many_flights() -> None:
    flights = [UUID(int=number) for number in range(MAX_DOUBTED + 1)]
    assert doubted([doubt(flights)]) == set(flights[:-1])


def test_answers_go_to_their_own_event_in_the_outbox() -> None:
    ours, others = answer(), answer()
    waiting = by_event(uuid4(), [event(id=ours.event_id)], {one.delivery_id: one for one in (ours, others)})
    assert list(waiting) == [ours.event_id]
    assert list(of_outbox(waiting.values())) == [delivery_id(ours.event_id, ours.webhook_id)]
    assert by_event(uuid4(), [event()], {}) == {}


def test_answers_to_one_event_in_the_outbox_are_bounded_and_none_is_left_out() -> None:
    of = event()
    exchange = Exchange(200, body=bytes(65_536))
    many = [msgspec.structs.replace(answer(exchange=exchange), event_id=of.id) for _ in range(MAX_OF_EVENT // 65_536 + 50)]
    waiting = by_event(uuid4(), [of], {one.delivery_id: one for one in many})
    assert len(waiting[of.id]) < MAX_OF_EVENT + 100_000
    found = of_outbox(waiting.values())
    assert {name: one.exchange.status for name, one in found.items()} == {one.delivery_id: 200 for one in many}
    assert sum(not one.exchange.body for one in found.values()) >= 50


def test_times_are_told_with_their_zone() -> None:
    late = RetryAt(AT + timedelta(seconds=5), "later")
    flight = UUID(int=1)
    found, _ = answers(flight, messages(flight, [answer(outcome=late)]))
    assert [one.outcome for one in found.values()] == [late]
