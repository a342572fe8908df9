"""Recoveries as rows, and the statements of their chunks (theory: `core.recovery`)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.delivery import State
from tidings.core.errors import ConflictError
from tidings.core.event import Event
from tidings.core.job import State as JobState
from tidings.core.question import Question
from tidings.core.recovery import MAX_OPEN, Recovery, Stage, cancelled
from tidings.core.recovery_chunk import Lane
from tidings.core.search import Span, first_id
from tidings.store.database import Connection
from tidings.store.statements import load

_SQL = load("recoveries")
_COLUMNS = tuple(name for name in Recovery.__struct_fields__ if name not in {"question", "state", "stage"})


def read(row: Any) -> Recovery:
    """Return what a row says. A question that cannot be read, as one that was changed by hand, is None."""
    question: Question | None
    try:
        question = msgspec.json.decode(row["question"], type=Question)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        question = None
    if question is not None and question.group_id != row["group_id"]:
        question = None  # nobody is sent what is another's
    fields = {name: row[name] for name in _COLUMNS}
    return Recovery(**fields, question=question, state=JobState(row["state"]), stage=Stage(row["stage"]))


async def begin(connection: Connection, recovery: Recovery) -> None:
    """Write down a new recovery, in the caller's transaction.

    Raises:
        ConflictError: The group has as many as it may have at a time.
    """
    await connection.execute(_SQL["lock_group"], recovery.group_id)
    if await connection.fetchval(_SQL["count_open"], recovery.group_id, MAX_OPEN) >= MAX_OPEN:
        raise ConflictError(
            f"Group {recovery.group_id!r} has {MAX_OPEN} recoveries that are not over, and can have no more at a time. "
            "Wait for one, or cancel one."
        )
    await connection.execute(
        _SQL["begin"],
        recovery.id,
        recovery.group_id,
        recovery.webhook_id,
        msgspec.json.encode(recovery.question).decode(),
        recovery.since,
        recovery.until,
        recovery.missing,
        recovery.rate_per_second,
        recovery.created_at,
        recovery.state,
        recovery.stage,
    )


async def get(connection: Connection, group_id: str, recovery_id: UUID) -> Recovery | None:
    """Return a recovery of the group."""
    row = await connection.fetchrow(_SQL["get"], group_id, recovery_id)
    return None if row is None else read(row)


async def list_recoveries(connection: Connection, group_id: str, *, limit: int, after: UUID | None = None) -> list[Recovery]:
    """Return a page of the group's recoveries, newest first.

    Args:
        after: The last one of the page before; one that is gone has nothing after it.
    """
    return [read(row) for row in await connection.fetch(_SQL["list"], group_id, limit, after)]


async def cancel(connection: Connection, group_id: str, recovery_id: UUID, now: datetime) -> Recovery | None:
    """End a recovery, in the caller's transaction, and return it; None when there is none.

    A chunk that is under way is waited for.

    Raises:
        ConflictError: It is over.
    """
    row = await connection.fetchrow(_SQL["lock"], group_id, recovery_id)
    if row is None:
        return None
    ended = cancelled(read(row), now)
    await advance(connection, ended)
    return ended


async def forget(connection: Connection, before: datetime, limit: int) -> None:
    """Forget recoveries that were over before a time, so many at most, the oldest first."""
    await connection.execute(_SQL["forget"], before, limit)


# Chunks ------------------------------------------------------------------------------------------------------------------


async def take(connection: Connection, now: datetime) -> tuple[Recovery, UUID] | None:
    """Return the recovery that has been due longest, locked to the end of the transaction, which is to be for its chunk alone.

    Returns:
        It, and the first id of a delivery that tells its event.
    """
    row = await connection.fetchrow(_SQL["take"], now)
    if row is None:
        return None
    await connection.execute(_SQL["plan_once"])
    return read(row), first_id(row["exact_ids_from"])


async def advance(connection: Connection, recovery: Recovery) -> None:
    """Write down how far a recovery, which is locked, has come."""
    await connection.execute(
        _SQL["advance"],
        recovery.id,
        recovery.state,
        recovery.stage,
        recovery.position,
        recovery.found_count,
        recovery.queued_count,
        recovery.skipped_count,
        recovery.due_at,
        recovery.fault_count,
        recovery.error,
        recovery.updated_at,
        recovery.finished_at,
    )


async def standing(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, State]]:
    """Return the webhooks and states of those of these deliveries that wait or are finished."""
    rows = await connection.fetch(_SQL["standing"], ids, min(ids), max(ids))
    return {row["id"]: (row["webhook_id"], State(row["state"])) for row in rows}


async def lock_lanes(connection: Connection, webhook_ids: Sequence[UUID]) -> dict[UUID, Lane]:
    """Lock the lanes of webhooks to the end of the transaction; those that are missing were deleted."""
    await connection.execute(_SQL["lock_lanes"], webhook_ids)
    rows = await connection.fetch(_SQL["lanes"], webhook_ids)
    return {row["webhook_id"]: Lane(row["waiting"], row["enabled"]) for row in rows}


async def hurry(connection: Connection, ids: Sequence[UUID], now: datetime) -> int:
    """Make deliveries that wait for their next attempt, in locked lanes, due now; return how many that were."""
    return len(await connection.fetch(_SQL["hurry"], ids, now))


async def events_without_payload(connection: Connection, ids: Sequence[UUID]) -> list[Event]:
    """Return events as far as routing asks of them, in the order of their ids."""
    return [Event(*row) for row in await connection.fetch(_SQL["events"], ids, min(ids), max(ids))]


async def delivered(connection: Connection, webhook_id: UUID, where: dict[UUID, Span]) -> set[UUID]:
    """Return those of these events that have a delivery to a webhook, whose lane is locked.

    Args:
        where: Of each event, the ids that the delivery can have, the last included.
    """
    spans = list(where.values())
    rows = await connection.fetch(
        _SQL["delivered"], webhook_id, list(where), [span.low for span in spans], [span.high for span in spans]
    )
    return {row["event_id"] for row in rows}


async def count_deliveries(connection: Connection, event_ids: Sequence[UUID]) -> None:
    """Count that events go to one webhook more."""
    await connection.execute(_SQL["count_deliveries"], event_ids, min(event_ids), max(event_ids))
