"""Recovery: many deliveries sent again, as one job.

A recovery keeps the question of a search and walks through what it finds, oldest first, a bounded chunk at a time (`core.job`):
what goes back into the queue and the position behind it commit together. What is sent again keeps its id. With `missing` it
then walks through the webhook's events as well, and makes the deliveries that are not there, with the ids they would have had:
whoever does so again finds them there.

What fails again lies behind the position and is not looked at twice. What happens while it runs is not part of it: `until` is
never in the future.

A recovery stands in line like everybody: what it sends again waits behind what waits already, and while a lane has
`MAX_WAITING` deliveries it adds none, so that cancelling means something and fresh deliveries have at most so many before them.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from tidings.core import delivery, job
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.job import Job, State
from tidings.core.question import Question, checked
from tidings.core.search import Span, id_time
from tidings.core.webhook import Subscription

CHUNK: Final = 500  # deliveries that one transaction sends again
MAX_WAITING: Final = 10_000  # deliveries in a lane, beyond which a recovery adds none
MAX_OPEN: Final = 10  # recoveries of one group that are not over
MAX_RATE: Final = 100_000.0  # a second
MIN_RATE: Final = 0.01
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)  # of the times that are kept
HOLD: Final = timedelta(seconds=1)  # until what is in a recovery's way is looked at again
_BURST: Final = timedelta(seconds=1)  # of a rate: what may be caught up with


class Stage(StrEnum):
    """What a recovery walks along."""

    DELIVERIES = "deliveries"
    EVENTS = "events"  # for deliveries that are missing


# What can be sent again: what is finished, where its life goes on, and what waits for its next attempt.
RECOVERABLE = frozenset(
    {state for state in delivery.State if delivery.may(state, delivery.Step.RESENT)} | {delivery.State.RETRYING}
)
NOT_ACKNOWLEDGED = RECOVERABLE - {delivery.State.SUCCEEDED}


class Recovery(Job, frozen=True, kw_only=True):
    """A job that sends deliveries again.

    Attributes:
        webhook_id: Where it is about one webhook.
        question: What is sent again; None when it cannot be read as it is stored.
        since, until: The time of the events, the end not included.
        missing: Whether deliveries that never were are made.
        position: The first id of the stage that was not looked at; None: at its beginning.
        found_count: What fits: deliveries that were found, and those that are missing.
        queued_count: Of these, what went into the queue, or was made due.
        skipped_count: Of these, what was not: its webhook is deleted or disabled, or it was under way or done by then.
        rate_per_second: How many go into the queue in a second; None: as fast as lanes take them.
    """

    webhook_id: UUID | None
    question: Question | None
    since: datetime | None
    until: datetime
    missing: bool
    rate_per_second: float | None
    stage: Stage = Stage.DELIVERIES
    position: UUID | None = None
    found_count: int = 0
    queued_count: int = 0
    skipped_count: int = 0


def of_search(id_: UUID, question: Question, now: datetime, *, rate_per_second: float | None = None) -> Recovery:
    """Return the recovery of what a search finds.

    Args:
        question: Where it names no state, what was not acknowledged is meant: `succeeded` is sent again only when it is named.

    Raises:
        InvalidInputError: Nothing that it could find can be sent again, or it is all in the future; with the field.
    """
    states = tuple(state for state in question.states or sorted(NOT_ACKNOWLEDGED) if state in RECOVERABLE)
    if not states:
        named, can = ", ".join(question.states), ", ".join(sorted(RECOVERABLE))
        raise InvalidInputError("status", f"status is {named}, and nothing in that state can be sent again. Ask for {can}.")
    return _made(id_, msgspec.structs.replace(question, states=states), now, rate_per_second, webhook_id=None, missing=False)


def of_deliveries(
    id_: UUID, group_id: str, ids: Iterable[UUID], now: datetime, *, rate_per_second: float | None = None
) -> Recovery:
    """Return the recovery of deliveries that are named one by one, which are the group's: whatever came of them.

    Raises:
        InvalidInputError: The rate is none.
    """
    question = Question(group_id=group_id, ids=tuple(sorted(set(ids))), states=tuple(sorted(RECOVERABLE)))
    return _made(id_, question, now, rate_per_second, webhook_id=None, missing=False)


def of_webhook(
    id_: UUID,
    webhook: Subscription,
    since: datetime,
    until: datetime | None,
    now: datetime,
    *,
    missing: bool = False,
    rate_per_second: float | None = None,
) -> Recovery:
    """Return the recovery of all that a webhook did not acknowledge of the events of a time.

    Args:
        missing: Also of what it would hear now and never had a delivery of.

    Raises:
        ConflictError: Nothing is sent to the webhook now; with the remedy.
        InvalidInputError: The time is none; with the field.
    """
    if (reason := why_not(webhook.enabled, webhook.disabled_reason, webhook.fault)) is not None:
        raise ConflictError(reason)
    states = tuple(sorted(NOT_ACKNOWLEDGED))
    question = Question(group_id=webhook.group_id, webhook_id=webhook.id, since=since, until=until, states=states)
    return _made(id_, question, now, rate_per_second, webhook_id=webhook.id, missing=missing)


def _made(
    id_: UUID, question: Question, now: datetime, rate_per_second: float | None, *, webhook_id: UUID | None, missing: bool
) -> Recovery:
    checked(question)
    until = now if question.until is None else min(question.until, now)
    if question.since is not None and question.since >= now:
        raise InvalidInputError("since", "since is in the future; a recovery is of what has happened.")
    for field, at in (("since", question.since), ("until", until)):
        if at is not None and at < BEGINNING:
            raise InvalidInputError(field, f"{field} is before 1970, and nothing that is kept is; write a later time.")
    if rate_per_second is not None and not MIN_RATE <= rate_per_second <= MAX_RATE:
        raise InvalidInputError(
            "rate_per_second",
            f"rate_per_second is {rate_per_second:g}; write {MIN_RATE:g} to {MAX_RATE:g}, or leave it out for no limit.",
        )
    return Recovery(
        id=id_,
        group_id=question.group_id,
        webhook_id=webhook_id,
        question=msgspec.structs.replace(question, until=until),
        since=question.since,
        until=until,
        missing=missing,
        rate_per_second=rate_per_second,
        due_at=now,
        created_at=now,
        updated_at=now,
    )


def why_not(is_enabled: bool, disabled_reason: str | None, fault: str | None) -> str | None:
    """Return why nothing can be recovered for a webhook, as a sentence with the remedy; None when it can."""
    if fault is not None:
        return fault
    if is_enabled:
        return None
    reason = f" ({disabled_reason.rstrip('.')})" if disabled_reason else ""
    return f"The webhook is disabled{reason}. Enable it, then recover; what was sent again keeps its id."


def rest_of(recovery: Recovery, whole: Span) -> Span:
    """Return the ids of a stage that were not looked at yet."""
    return whole if recovery.position is None else whole.within(Span(low=recovery.position))


def named_next(recovery: Recovery, wanted: int) -> tuple[tuple[UUID, ...], UUID | None]:
    """Return which deliveries are next of those that are named one by one, and the one behind them."""
    ids = () if recovery.question is None else recovery.question.ids
    begin = 0 if recovery.position is None else bisect_left(ids, recovery.position)
    return ids[begin : begin + wanted], next(iter(ids[begin + wanted : begin + wanted + 1]), None)


def chunk_size(rate_per_second: float | None) -> int:
    """Return how many deliveries one chunk sends again at most: what a rate allows in a second."""
    return CHUNK if rate_per_second is None else max(1, min(CHUNK, int(rate_per_second)))


def share_done(recovery: Recovery) -> float | None:
    """Return how much of its time, or of what is named, a recovery has looked through, 0 to 1.

    Returns:
        None where it has no beginning to tell from.
    """
    if recovery.state == State.DONE:
        return 1.0
    if recovery.question is not None and (ids := recovery.question.ids):
        return 0.0 if recovery.position is None else bisect_left(ids, recovery.position) / len(ids)
    if recovery.since is None:
        return None
    looked, whole = timedelta(), recovery.until - recovery.since
    if recovery.position is not None:
        looked = min(max(id_time(recovery.position) - recovery.since, looked), whole)
    stages = 2 if recovery.missing else 1
    return (looked / whole + (recovery.stage == Stage.EVENTS)) / stages


class Done(msgspec.Struct, frozen=True):
    """What a chunk did.

    Attributes:
        position: Where the stage goes on; None: it is at its end.
        waits_for: What is in its way, as a sentence; None: nothing.
    """

    position: UUID | None
    found: int
    queued: int
    waits_for: str | None = None


def full(webhook_id: UUID) -> str:
    """Return the sentence that tells which lane a recovery waits for."""
    return f"It waits: webhook {webhook_id} has {MAX_WAITING} deliveries waiting, and is sent more as those go out."


UNREADABLE: Final = "Its question cannot be read as it is stored, so it cannot go on. Begin another."
WEBHOOK_IS_GONE: Final = "The webhook was deleted, so there is nowhere to send anything."
OUTBOX_IS_FULL: Final = "It waits: more happens now than is routed, and what happens now goes first."


def advanced(recovery: Recovery, done: Done, now: datetime) -> Recovery:
    """Return the recovery after a chunk."""
    is_at_end = done.position is None
    goes_on = is_at_end and recovery.stage == Stage.DELIVERIES and recovery.missing
    return job.worked(
        recovery,
        now,
        due_at=_due_after(recovery, done, now),
        waits_for=done.waits_for,
        is_done=is_at_end and not goes_on,
        stage=Stage.EVENTS if goes_on else recovery.stage,
        position=done.position,
        found_count=recovery.found_count + done.found,
        queued_count=recovery.queued_count + done.queued,
        skipped_count=recovery.skipped_count + done.found - done.queued,
    )


def _due_after(recovery: Recovery, done: Done, now: datetime) -> datetime:
    """Return when the next chunk may be done: over any time, no more than its rate and one second's worth go into the queue."""
    at = now if done.waits_for is None else now + HOLD
    if recovery.rate_per_second is None or not done.queued:
        return at
    begun = max(recovery.due_at, now - _BURST)
    return max(at, begun + timedelta(seconds=done.queued / recovery.rate_per_second))


def held(recovery: Recovery, waits_for: str, now: datetime) -> Recovery:
    """Return the recovery when nothing could be done now."""
    return job.held(recovery, now, due_at=now + HOLD, waits_for=waits_for)


def refused(recovery: Recovery, error: str, now: datetime) -> Recovery:
    """Return the recovery after PostgreSQL refused a chunk."""
    return job.refused(recovery, error, "Put that right, and recover again.", now)


def cancelled(recovery: Recovery, now: datetime) -> Recovery:
    """Return the recovery, ended by a person. What it put into the queue before goes out.

    Raises:
        ConflictError: It is over.
    """
    return job.cancelled(recovery, "recovery", now)
