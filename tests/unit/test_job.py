"""Jobs that walk along chunk by chunk: their states, and what becomes of a chunk that is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.errors import ConflictError
from tidings.core.job import MAX_FAULTS, OPEN, TRANSITIONS, Job, State, cancelled, failed, held, refused, worked

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def made(**fields: Any) -> Job:
    new = Job(id=UUID(int=7), group_id="default", due_at=NOW, created_at=NOW, updated_at=NOW)
    return msgspec.structs.replace(new, **fields)


def test_every_state_is_reached_and_what_is_over_stays_so() -> None:
    reached = {State.WAITING}
    while more := {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached:
        reached |= more
    assert reached == set(State)
    assert {State.WAITING, State.RUNNING} == OPEN


@pytest.mark.parametrize("state", sorted(set(State) - OPEN))
def test_what_is_over_cannot_be_cancelled_nor_go_on(state: State) -> None:
    over = made(state=state)
    assert not over.is_open
    with pytest.raises(ConflictError, match=f"The job is {state}; there is nothing to cancel"):
        cancelled(over, "job", NOW)
    with pytest.raises(KeyError):
        worked(over, NOW, due_at=NOW, waits_for=None)


def test_what_is_refused_is_tried_again_ever_later_and_a_bounded_number_of_times() -> None:
    job, waits = made(), []
    for _ in range(MAX_FAULTS - 1):
        job = refused(job, "E" * 10_000, "Mend it.", NOW)
        waits.append((job.due_at - NOW).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(job.error or "") == 500
    assert worked(job, NOW, due_at=NOW, waits_for=None).fault_count == 0
    over = refused(job, "No.", "Mend it.", NOW)
    assert (over.state, over.finished_at) == (State.FAILED, NOW)
    assert over.error == "No. It was tried 10 times. Mend it."


@given(st.lists(st.sampled_from(["work", "finish", "hold", "refuse", "fail", "cancel"]), max_size=30))
def test_whatever_happens_a_job_that_is_over_says_when_and_one_that_is_not_does_not(steps: list[str]) -> None:
    job, later = made(), NOW + timedelta(seconds=1)
    for step in steps:
        if not job.is_open:
            break
        match step:
            case "work" | "finish":
                job = worked(job, later, due_at=later, waits_for="It waits.", is_done=step == "finish")
                assert job.error == "It waits."
            case "hold":
                job = held(job, later, due_at=later, waits_for="It waits.")
            case "refuse":
                job = refused(job, "No.", "Mend it.", later)
            case "fail":
                job = failed(job, "No.", later)
            case _:
                job = cancelled(job, "job", later)
                assert job.error is None
        assert (job.finished_at is None) == job.is_open
        assert job.updated_at == later
