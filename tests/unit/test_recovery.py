"""Recoveries: their states, their rate, and what a chunk does with what it found."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_signature_and_profile import webhook
from tidings.core import delivery
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.event import milliseconds
from tidings.core.job import MAX_FAULTS, State
from tidings.core.question import Question
from tidings.core.recovery import (
    CHUNK,
    MAX_WAITING,
    Done,
    Recovery,
    Stage,
    advanced,
    cancelled,
    chunk_size,
    held,
    named_next,
    of_deliveries,
    of_search,
    of_webhook,
    refused,
    share_done,
)
from tidings.core.recovery_chunk import Lane, planned
from tidings.core.search import first_id

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ID = UUID(int=7)
FINISHED, RETRYING = delivery.State.FAILED, delivery.State.RETRYING


def made(**fields: Any) -> Recovery:
    return msgspec.structs.replace(of_search(ID, Question(group_id="default"), NOW), **fields)


@pytest.mark.parametrize("state", [State.DONE, State.CANCELLED, State.FAILED])
def test_what_is_over_cannot_be_cancelled(state: State) -> None:
    assert not made(state=state).is_open
    with pytest.raises(ConflictError, match=f"The recovery is {state}; there is nothing to cancel"):
        cancelled(made(state=state), NOW)


def test_a_search_that_names_no_state_is_of_what_was_not_acknowledged() -> None:
    recovery = of_search(ID, Question(group_id="default", until=NOW + timedelta(days=1)), NOW)
    assert recovery.question is not None
    assert recovery.question.states == (delivery.State.FAILED, delivery.State.RETRYING)
    assert recovery.until == recovery.question.until == NOW
    named = of_search(ID, Question(group_id="default", states=(delivery.State.SUCCEEDED, delivery.State.SENDING)), NOW)
    assert named.question is not None
    assert named.question.states == (delivery.State.SUCCEEDED,)


@pytest.mark.parametrize("state", [delivery.State.SENDING, delivery.State.PENDING, delivery.State.CANCELLED])
def test_what_cannot_be_sent_again_is_refused_with_what_can(state: delivery.State) -> None:
    with pytest.raises(InvalidInputError, match=f"status is {state}, .* Ask for failed, retrying, succeeded") as caught:
        of_search(ID, Question(group_id="default", states=(state,)), NOW)
    assert caught.value.field == "status"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"since": NOW}, "since"), ({"since": NOW + timedelta(days=1)}, "since"), ({"rate_per_second": 0}, "rate_per_second"),
        ({"rate_per_second": float("nan")}, "rate_per_second"), ({"rate_per_second": 1e9}, "rate_per_second"),
        ({"until": NOW - timedelta(days=9)}, "until"), ({"since": datetime(2026, 1, 1)}, "since"),
    ],
)  # fmt: skip
def test_figures_that_mean_nothing_are_refused_with_their_field(fields: dict[str, Any], field: str) -> None:
    given_ = {"since": NOW - timedelta(hours=1), "until": NOW + timedelta(days=2), "rate_per_second": None} | fields
    with pytest.raises(InvalidInputError) as caught:
        of_webhook(ID, webhook(), given_["since"], given_["until"], NOW, rate_per_second=given_["rate_per_second"])
    assert caught.value.field == field


def test_nothing_is_recovered_for_a_webhook_that_nothing_is_sent_to() -> None:
    hour = (NOW - timedelta(hours=1), NOW, NOW)
    with pytest.raises(ConflictError, match=r"disabled \(gone\)\. Enable it, then recover"):
        of_webhook(ID, webhook(enabled=False, disabled_reason="gone."), *hour)
    with pytest.raises(ConflictError, match="Set aside"):
        of_webhook(ID, webhook(fault="Set aside, since headers cannot be read."), *hour)


def test_a_stage_follows_where_missing_ones_are_asked_for_and_then_it_is_done() -> None:
    position = UUID(int=99)
    some = advanced(made(webhook_id=ID, missing=True), Done(position, 5, 3), NOW)
    assert (some.state, some.stage, some.position) == (State.RUNNING, Stage.DELIVERIES, position)
    assert (some.found_count, some.queued_count, some.skipped_count) == (5, 3, 2)
    next_ = advanced(some, Done(None, 0, 0), NOW)
    assert (next_.state, next_.stage, next_.position) == (State.RUNNING, Stage.EVENTS, None)
    done = advanced(next_, Done(None, 1, 1), NOW)
    assert (done.state, done.finished_at, done.found_count) == (State.DONE, NOW, 6)
    assert advanced(made(), Done(None, 0, 0), NOW).state == State.DONE


def test_what_is_refused_for_good_says_what_to_do() -> None:
    over = refused(made(fault_count=MAX_FAULTS - 1), "No.", NOW)
    assert (over.state, over.error) == (State.FAILED, "No. It was tried 10 times. Put that right, and recover again.")


def test_what_waits_is_looked_at_again_a_second_later() -> None:
    assert held(made(), "It waits.", NOW).due_at == NOW + timedelta(seconds=1)
    assert advanced(made(), Done(ID, 1, 1, "It waits."), NOW).due_at == NOW + timedelta(seconds=1)


@settings(deadline=None)
@given(st.floats(0.01, 5000), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_more_than_the_rate_goes_out_over_any_time_however_late_it_is_looked_at(rate: float, lateness: list[float]) -> None:
    recovery, now, queued, at = made(rate_per_second=rate), NOW, 0, []
    for late in lateness:
        now = max(now, recovery.due_at) + timedelta(seconds=late)
        count = chunk_size(rate)
        queued += count
        at.append((now, queued - count, queued))
        recovery = advanced(recovery, Done(ID, count, count), now)
    for begun, before, _ in at:
        for ended, _, after in at:
            if ended >= begun:
                allowed = rate * ((ended - begun).total_seconds() + 1) + chunk_size(rate)
                assert after - before <= allowed + 0.01


WEBHOOKS = [UUID(int=n) for n in range(1, 4)]
_LANES = st.builds(Lane, st.sampled_from([0, MAX_WAITING - 2, MAX_WAITING, MAX_WAITING + 5]), st.booleans())


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WEBHOOKS), st.sampled_from(delivery.State)) | st.none(), max_size=30),
    st.dictionaries(st.sampled_from(WEBHOOKS), _LANES),
    st.sets(st.sampled_from([FINISHED, RETRYING, delivery.State.SUCCEEDED]), min_size=1),
)
def test_a_plan_deals_with_each_once_in_order_and_fills_no_lane(
    there: list[tuple[UUID, delivery.State] | None], lanes: dict[UUID, Lane], states: set[delivery.State]
) -> None:
    found = [UUID(int=100 + n) for n in range(len(there))]
    standing = {id_: at for id_, at in zip(found, there, strict=True) if at is not None}
    plan = planned(found, standing, lanes, tuple(states))
    dealt = len(plan.again) + len(plan.hurried) + plan.skipped
    assert dealt == (len(found) if plan.held_at is None else found.index(plan.held_at))
    for id_ in (*plan.again, *plan.hurried):
        webhook_id, state = standing[id_]
        assert lanes[webhook_id].is_enabled
        assert state in states
        assert (state == RETRYING) == (id_ in plan.hurried)
    for webhook_id, lane in lanes.items():
        added = [id_ for id_ in plan.again if standing[id_][0] == webhook_id]
        assert not added or lane.waiting + len(added) <= MAX_WAITING
    if plan.held_by is not None:
        assert lanes[plan.held_by].is_enabled


def test_a_chunk_is_what_a_rate_allows_in_a_second() -> None:
    assert [chunk_size(rate) for rate in (None, 0.01, 7.9, 100_000)] == [CHUNK, 1, 7, CHUNK]


def test_how_much_is_done_is_told_by_the_time_it_has_come_to() -> None:
    hour = of_webhook(ID, webhook(), NOW - timedelta(hours=1), NOW, NOW)
    half = msgspec.structs.replace(hour, position=first_id(milliseconds(NOW - timedelta(minutes=30))))
    assert [share_done(hour), share_done(half)] == [0, 0.5]
    both = msgspec.structs.replace(half, missing=True)
    assert [share_done(both), share_done(msgspec.structs.replace(both, stage=Stage.EVENTS))] == [0.25, 0.75]
    assert [share_done(made()), share_done(made(state=State.DONE))] == [None, 1.0]


def test_deliveries_that_are_named_are_taken_in_order_once_each() -> None:
    ids = [UUID(int=number) for number in (5, 3, 9, 3, 7)]
    recovery = of_deliveries(ID, "acme", ids, NOW)
    question = recovery.question
    assert question is not None
    assert (question.group_id, [id_.int for id_ in question.ids]) == ("acme", [3, 5, 7, 9])
    assert delivery.State.SUCCEEDED in question.states
    taken: list[int] = []
    shares: list[float | None] = []
    position: UUID | None = None
    while True:
        shares.append(share_done(recovery))
        some, position = named_next(recovery, 3)
        taken += [id_.int for id_ in some]
        if position is None:
            break
        recovery = msgspec.structs.replace(recovery, position=position)
    assert (taken, shares) == ([3, 5, 7, 9], [0.0, 0.75])
    assert share_done(msgspec.structs.replace(recovery, state=State.DONE)) == 1.0
    with pytest.raises(InvalidInputError) as refused:
        of_deliveries(ID, "acme", ids, NOW, rate_per_second=0)
    assert refused.value.field == "rate_per_second"
