"""The life of a delivery, as one table.

A delivery lives in exactly one place: `tidings.queue` while it waits, `tidings.flights` while an attempt is under way,
`tidings.deliveries` once it is finished. The three unfinished states are not stored: they follow from that place
(`state_of_waiting`), so they cannot disagree with it. The finished ones are stored, and the CHECK constraint on
`tidings.deliveries` names `FINISHED`; a test holds the two together, and the table of `docs/design.md` to `TRANSITIONS`.

            claimed            succeeded
  pending ───────────▶ sending ───────────▶ succeeded ──┐ resent
                        ▲   │  failed                   │
                claimed │   ├─────────────▶ failed ─────┤
                        │   │  retry, lost              ▼
                      retrying ◀────────────────────────┘
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class State(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"  # routed, never tried
    SENDING = "sending"  # leased by a worker that is making an attempt
    RETRYING = "retrying"  # waits for its next attempt
    SUCCEEDED = "succeeded"  # a receiver acknowledged it
    FAILED = "failed"  # given up; can be sent again by hand
    CANCELLED = "cancelled"  # its webhook was deleted before it was finished


class Step(StrEnum):
    """What can happen to a delivery."""

    CLAIMED = "claimed"  # a worker took it for one attempt
    RELEASED = "released"  # the worker stopped before it sent anything
    SUCCEED = "succeeded"
    RETRY = "retry"
    GIVE_UP = "failed"
    LOST = "lost"  # the worker died; what came of the attempt is unknown
    RESENT = "resent"  # sent again by hand
    CANCEL = "cancelled"


FINISHED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.PENDING, Step.CLAIMED): State.SENDING,
    (State.PENDING, Step.CANCEL): State.CANCELLED,
    (State.RETRYING, Step.CLAIMED): State.SENDING,
    (State.RETRYING, Step.CANCEL): State.CANCELLED,
    (State.SENDING, Step.SUCCEED): State.SUCCEEDED,
    (State.SENDING, Step.RETRY): State.RETRYING,
    (State.SENDING, Step.GIVE_UP): State.FAILED,
    (State.SENDING, Step.LOST): State.RETRYING,
    (State.SENDING, Step.RELEASED): State.PENDING,  # or RETRYING, when it had been tried before
    (State.SENDING, Step.CANCEL): State.CANCELLED,
    (State.SUCCEEDED, Step.RESENT): State.RETRYING,
    (State.FAILED, Step.RESENT): State.RETRYING,
}


def state_of_waiting(attempt_count: int) -> State:
    """Return the state of a delivery in the queue, by the attempts that were made."""
    return State.RETRYING if attempt_count else State.PENDING


def may(state: State, step: Step) -> bool:
    """Tell whether `step` can happen to a delivery that is in `state`."""
    return (state, step) in TRANSITIONS


class Delivery(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One leased delivery: what a worker needs to make one attempt.

    There is one object for each lease, so it is told from others, and found in dictionaries, by being itself.

    Attributes:
        id: Stable across retries; a pure function of event and webhook (`event.delivery_id`).
        flight_id: The lease.
        attempt_number: 1 for the first attempt; counts on when a finished delivery is sent again by hand.
        is_test: Made by the test button: one attempt, no retry.
        is_trusted: The last attempt of its lane had succeeded when it was leased, or it is a test.
    """

    id: UUID
    event_id: UUID
    webhook_id: UUID
    group_id: str
    attempt_number: int
    due_at: datetime
    flight_id: int
    is_test: bool = False
    is_trusted: bool = True
