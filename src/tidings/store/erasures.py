"""Erasures as rows, and the statements of their chunks (theory: `core.erasure`)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.erasure import MAX_OPEN, Count, Erasure, Pending, Stage, Subject, cancelled
from tidings.core.errors import ConflictError, StartupError
from tidings.core.event import milliseconds
from tidings.core.job import State
from tidings.core.search import first_id
from tidings.store import payloads
from tidings.store.database import Connection
from tidings.store.secrets import SecretBox
from tidings.store.statements import load

_SQL = load("erasures")

AT_ONCE: Final = 500  # rows that a chunk looks at
MAX_BYTES: Final = 2_000_000  # of them, as they are stored: what is unpacked to count the next
MAX_UNPACKED_BYTES: Final = 16_000_000  # of them, as they come

_PAGES: Final = {
    Stage.EVENTS: _SQL["page_events"],
    Stage.DELIVERIES: _SQL["page_deliveries"],
    Stage.ATTEMPTS: _SQL["page_attempts"],
    Stage.QUEUE: _SQL["page_queue"],
    Stage.SET_ASIDE: _SQL["page_set_aside"],
    Stage.BINS: _SQL["page_bins"],
    Stage.OBJECTS: _SQL["page_objects"],
    Stage.RUNS: _SQL["page_runs"],
    Stage.RECOVERIES: _SQL["page_recoveries"],
    Stage.LANES: _SQL["page_lanes"],
}
_ERASED: Final = {
    Stage.DELIVERIES: _SQL["erase_deliveries"],
    Stage.ATTEMPTS: _SQL["erase_attempts"],
    Stage.QUEUE: _SQL["erase_queue"],
    Stage.SET_ASIDE: _SQL["erase_set_aside"],
    Stage.BINS: _SQL["erase_bins"],
    Stage.OBJECTS: _SQL["erase_objects"],
    Stage.RUNS: _SQL["erase_runs"],
    Stage.RECOVERIES: _SQL["erase_recoveries"],
    Stage.LANES: _SQL["erase_lanes"],
}

_COLUMNS = ("id", "group_id", "path", "subject_hash", "dry_run", "until", "position", "created_at", "updated_at", "due_at",
            "fault_count", "error", "finished_at")  # fmt: skip


def read(row: Any, box: SecretBox | None = None) -> Erasure:
    """Return what a row says; with its subject where a box is given that can open it."""
    subject = None
    if box is not None and row["subject"] is not None:
        try:
            subject = msgspec.json.decode(box.open(row["subject"], row["id"]), type=Subject)
        except (StartupError, msgspec.MsgspecError):
            subject = None
    return Erasure(
        **{name: row[name] for name in _COLUMNS},
        subject=subject,
        pending=Pending(row["pending"]),
        state=State(row["state"]),
        stage=Stage(row["stage"]),
        report=msgspec.json.decode(row["report"], type=dict[str, Count]),
    )


async def begin(connection: Connection, box: SecretBox, erasure: Erasure) -> None:
    """Write down a new erasure, in the caller's transaction.

    Raises:
        ConflictError: The group has as many as it may have at a time.
    """
    await connection.execute(_SQL["lock_group"], erasure.group_id)
    if await connection.fetchval(_SQL["count_open"], erasure.group_id) >= MAX_OPEN:
        raise ConflictError(
            f"Group {erasure.group_id!r} has {MAX_OPEN} erasures that are not over, and can have no more at a time. "
            "Wait for one, or cancel one."
        )
    await connection.execute(
        _SQL["begin"],
        erasure.id,
        erasure.group_id,
        "text" if erasure.path is None else "field",
        erasure.path,
        erasure.subject_hash,
        box.seal(msgspec.json.encode(erasure.subject).decode(), erasure.id),
        erasure.dry_run,
        erasure.pending,
        erasure.state,
        erasure.stage,
        erasure.created_at,
    )


async def refuse_while_erasing(connection: Connection, group_id: str) -> None:
    """Refuse what an erasure of the group could miss; none begins before the caller's transaction ends.

    Raises:
        ConflictError: One is under way.
    """
    await connection.execute(_SQL["lock_group"], group_id)
    if await connection.fetchval(_SQL["is_erasing"], group_id):
        raise ConflictError(
            f"Group {group_id!r} has an erasure that is not over, and this row could pass it by. Wait for the erasure, or "
            "cancel it; then do this again."
        )


async def get(connection: Connection, group_id: str, erasure_id: UUID) -> Erasure | None:
    """Return an erasure of the group, without its subject."""
    row = await connection.fetchrow(_SQL["get"], group_id, erasure_id)
    return None if row is None else read(row)


async def list_erasures(
    connection: Connection, group_id: str, *, limit: int, offset: int = 0, subject_hash: bytes | None = None
) -> list[Erasure]:
    """Return a page of the group's erasures, newest first; those of one subject alone where its hash is given."""
    if subject_hash is None:
        rows = await connection.fetch(_SQL["list"], group_id, limit, offset)
    else:
        rows = await connection.fetch(_SQL["of_subject"], group_id, subject_hash, limit, offset)
    return [read(row) for row in rows]


async def cancel(connection: Connection, group_id: str, erasure_id: UUID, now: datetime) -> Erasure | None:
    """End an erasure, in the caller's transaction, and return it; None when there is none.

    Raises:
        ConflictError: It is over.
    """
    row = await connection.fetchrow(_SQL["lock"], group_id, erasure_id)
    if row is None:
        return None
    ended = cancelled(read(row), now)
    await advance(connection, ended)
    return ended


async def take(connection: Connection, box: SecretBox, now: datetime) -> Erasure | None:
    """Return the erasure that has been due longest, locked to the end of the transaction, which is for its chunk alone."""
    row = await connection.fetchrow(_SQL["take"], now)
    return None if row is None else read(row, box)


async def advance(connection: Connection, erasure: Erasure) -> None:
    """Write down how far an erasure, which is locked, has come."""
    await connection.execute(
        _SQL["advance"],
        erasure.id,
        erasure.state,
        erasure.stage,
        erasure.position,
        msgspec.json.encode(erasure.report).decode(),
        erasure.due_at,
        erasure.fault_count,
        erasure.error,
        erasure.updated_at,
        erasure.finished_at,
        not erasure.is_open,
    )


# Chunks ------------------------------------------------------------------------------------------------------------------


async def is_outbox_routed(connection: Connection, erasure: Erasure) -> bool:
    """Tell whether all is routed that was committed, or begun, before the erasure was asked for."""
    past: int | None = await connection.fetchval(_SQL["outbox_past"], erasure.id)
    if past is None:
        return False
    is_routed: bool = await connection.fetchval(_SQL["is_routed"], past)
    return is_routed


async def page(connection: Connection, erasure: Erasure, *, at_once: int = AT_ONCE) -> list[Any]:
    """Return what is looked at next of a stage: rows with `key`, `is_ours` and `texts`; some with more."""
    before = first_id(milliseconds(erasure.until) + 1)
    rows: list[Any] = await connection.fetch(
        _PAGES[erasure.stage], erasure.group_id, erasure.position, before, at_once, MAX_BYTES, MAX_UNPACKED_BYTES
    )
    return rows


async def erase(connection: Connection, stage: Stage, keys: Sequence[str]) -> None:
    """Take out what rows of a stage hold."""
    if keys:
        await connection.execute(_ERASED[stage], list(keys))


async def erase_events(connection: Connection, event_ids: Sequence[UUID], now: datetime) -> int:
    """Take payloads of events out, with all that was answered to them; return how many answers that were."""
    bounds = await payloads.bounds_of(connection, event_ids)
    await payloads.uncount(connection, event_ids)
    await connection.execute(_SQL["erase_events"], event_ids, min(event_ids), max(event_ids), now)
    await payloads.shred(connection, event_ids)
    return len(await connection.fetch(_SQL["erase_answers"], event_ids, *bounds))


async def external_ids(connection: Connection, event_ids: Sequence[UUID]) -> list[tuple[str, str]]:
    """Return the publishers' ids of events, each with its group."""
    rows = await connection.fetch(_SQL["external_ids"], event_ids, min(event_ids), max(event_ids))
    return [(row["group_id"], row["external_id"]) for row in rows]


async def erase_published(connection: Connection, ids: Sequence[tuple[str, str]], are_subject: Sequence[bool]) -> int:
    """Take out what is kept of publishers' ids; return of how many that was."""
    if not ids:
        return 0
    count: int = await connection.fetchval(_SQL["erase_published"], *map(list, zip(*ids, strict=True)), list(are_subject))
    return count


async def cancel_deliveries(connection: Connection, event_ids: Sequence[UUID]) -> int:
    """Cancel what waits of events; return how many deliveries that were."""
    bounds = await payloads.bounds_of(connection, event_ids)
    await connection.execute(_SQL["lock_lanes_of"], event_ids, *bounds)
    return len(await connection.fetch(_SQL["cancel"], event_ids, *bounds))


async def wait_for(connection: Connection, erasure: Erasure, event_ids: Sequence[UUID]) -> None:
    """Note events whose deliveries are under way."""
    await connection.execute(_SQL["wait_for"], erasure.id, event_ids, erasure.group_id)


async def waits(connection: Connection, erasure: Erasure, limit: int) -> list[UUID]:
    """Return some of the events that were noted, from the position on."""
    return [row[0] for row in await connection.fetch(_SQL["waits"], erasure.id, erasure.position, limit)]


async def are_waits_left(connection: Connection, erasure: Erasure) -> bool:
    """Tell whether events are noted that could not be erased yet."""
    is_left: bool = await connection.fetchval(_SQL["waits_left"], erasure.id)
    return is_left


async def waited(connection: Connection, erasure: Erasure, event_ids: Sequence[UUID]) -> None:
    """Forget that events were noted: they are erased."""
    await connection.execute(_SQL["waited"], erasure.id, event_ids)
