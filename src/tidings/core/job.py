"""Jobs that walk along chunk by chunk: recoveries (`core.recovery`) and erasures (`core.erasure`).

A chunk is one transaction: what it did and the position behind it commit together, so a worker that is killed loses nothing and
repeats nothing, and any other goes on. A chunk that PostgreSQL refuses is tried again, later and later, and a bounded number of
times: some four minutes.

            taken            finished
  waiting ─────────▶ running ─────────▶ done
     │                │   │  failed
     │ cancelled      │   └───────────▶ failed
     ▼                ▼
  cancelled ◀─────────┘

Backfills (`sources.backfill`) are not among them: what refuses their chunks is for the owner of a table to put right, however
long that takes, so they never fail, and their states are three words of SQL.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from tidings.core.errors import ConflictError

MAX_FAULTS: Final = 10  # refusals in a row after which a job fails
_LONGEST_PAUSE: Final = 60.0  # seconds
_MAX_ERROR_LENGTH: Final = 500


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  # no worker has looked at it yet
    RUNNING = "running"
    DONE = "done"  # everything was looked at
    CANCELLED = "cancelled"  # what it did before stays done
    FAILED = "failed"  # it could not go on; `error` says why


class Step(StrEnum):
    """What can happen to a job."""

    TAKE = "taken"
    FINISH = "finished"
    FAIL = "failed"
    CANCEL = "cancelled"


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.WAITING, Step.TAKE): State.RUNNING,
    (State.WAITING, Step.CANCEL): State.CANCELLED,
    (State.RUNNING, Step.TAKE): State.RUNNING,
    (State.RUNNING, Step.FINISH): State.DONE,
    (State.RUNNING, Step.FAIL): State.FAILED,
    (State.RUNNING, Step.CANCEL): State.CANCELLED,
}

OPEN: Final = frozenset(state for state, _ in TRANSITIONS)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What all jobs have.

    Attributes:
        due_at: When it goes on.
        fault_count: Chunks in a row that PostgreSQL refused.
        error: Why it failed; while it runs, what it waits for.
    """

    id: UUID
    group_id: str
    due_at: datetime
    created_at: datetime
    updated_at: datetime
    state: State = State.WAITING
    fault_count: int = 0
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state in OPEN


AnyJob = TypeVar("AnyJob", bound=Job)


def worked(
    job: AnyJob, now: datetime, *, due_at: datetime, waits_for: str | None, is_done: bool = False, **changes: Any
) -> AnyJob:
    """Return a job after a chunk.

    Args:
        waits_for: What is in its way, as a sentence; None: nothing.
        changes: What the chunk did.
    """
    taken = _stepped(job, Step.TAKE, now, due_at=due_at, fault_count=0, error=waits_for, **changes)
    return _stepped(taken, Step.FINISH, now) if is_done else taken


def held(job: AnyJob, now: datetime, *, due_at: datetime, waits_for: str) -> AnyJob:
    """Return a job of which no chunk could be done now."""
    return _stepped(job, Step.TAKE, now, due_at=due_at, error=waits_for)


def refused(job: AnyJob, error: str, remedy: str, now: datetime) -> AnyJob:
    """Return a job after PostgreSQL refused a chunk: it is tried again after 1, 2, 4 … 60 s, or ends with the remedy."""
    count, told = job.fault_count + 1, error[:_MAX_ERROR_LENGTH]
    if count >= MAX_FAULTS:
        return failed(job, f"{told} It was tried {count} times. {remedy}", now)
    pause = timedelta(seconds=min(_LONGEST_PAUSE, 2.0 ** (count - 1)))
    return _stepped(job, Step.TAKE, now, due_at=now + pause, fault_count=count, error=told)


def failed(job: AnyJob, error: str, now: datetime) -> AnyJob:
    """Return a job, ended with a sentence."""
    return _stepped(_stepped(job, Step.TAKE, now), Step.FAIL, now, error=error)


def cancelled(job: AnyJob, one: str, now: datetime) -> AnyJob:
    """Return a job, ended by a person.

    Args:
        one: What it is called.

    Raises:
        ConflictError: It is over.
    """
    if (job.state, Step.CANCEL) not in TRANSITIONS:
        raise ConflictError(f"The {one} is {job.state}; there is nothing to cancel.")
    return _stepped(job, Step.CANCEL, now, error=None)


def _stepped(job: AnyJob, step: Step, now: datetime, **changes: Any) -> AnyJob:
    state = TRANSITIONS[job.state, step]
    finished_at = None if state in OPEN else now
    return msgspec.structs.replace(job, state=state, updated_at=now, finished_at=finished_at, **changes)
