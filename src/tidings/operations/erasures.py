"""Erasures by subject: asked for, followed, cancelled. Workers do them (`worker.eraser`)."""

import hashlib
import hmac
from typing import Any
from uuid import UUID, uuid4

from tidings.core import erasure as deciding
from tidings.core.audit import Action
from tidings.core.erasure import Erasure, Subject
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import erasures

_GONE = "There is no erasure {}."


async def begin(services: Services, subject: Subject, *, dry_run: bool = False, pending: str = "finish") -> Erasure:
    """Begin to erase what is kept of a subject, as a job.

    Args:
        dry_run: Only count.
        pending: `finish`: what is about the subject and not delivered yet is delivered first. `cancel`: it is sent no more.

    Raises:
        ConflictError: The group has as many under way as it may have.
        InvalidInputError: With the field and the remedy.
    """
    hash_ = subject_hash(services, subject)
    now = services.clock.now()
    erasure = deciding.new(uuid4(), services.group_id, subject, hash_, now, dry_run=dry_run, pending=pending)
    async with services.database.transaction() as connection:
        await erasures.begin(connection, services.box, erasure)
        subject_said = f"subject {hash_.hex()[:16]}"
        await audit.note(services, connection, Action.ERASURE_BEGAN, erasure.id, subject_said, after=_told(erasure))
    return erasure


def _told(erasure: Erasure) -> dict[str, Any]:
    """Return what is put on record of an erasure: not whose it is."""
    return {
        "field": erasure.path,
        "dry_run": erasure.dry_run,
        "pending": erasure.pending.value,
        "state": erasure.state.value,
    }


def subject_hash(services: Services, subject: Subject) -> bytes:
    """Return the keyed hash by which the erasures of a subject are found. Big and small letters are one."""
    said = f"{services.group_id}\x00{subject.path or ''}\x00{subject.value.casefold()}"
    return hmac.digest(services.box.subject_key, said.encode("utf-8", "surrogatepass"), hashlib.sha256)


async def read(services: Services, erasure_id: UUID) -> Erasure:
    """Return an erasure, as far as it has come.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return there(await erasures.get(connection, services.group_id, erasure_id), _GONE.format(erasure_id))


async def list_erasures(services: Services, *, limit: int, offset: int = 0) -> list[Erasure]:
    """Return a page of the group's erasures, newest first. They are kept for good."""
    async with services.database.connection() as connection:
        return await erasures.list_erasures(connection, services.group_id, limit=limit, offset=offset)


async def find(services: Services, subject: Subject, *, limit: int = 100) -> list[Erasure]:
    """Return the erasures of a subject, newest first: the proof for whoever asks.

    Raises:
        InvalidInputError: It is none, with the field and the remedy.
    """
    deciding.check_subject(subject)
    hash_ = subject_hash(services, subject)
    async with services.database.connection() as connection:
        return await erasures.list_erasures(connection, services.group_id, limit=limit, subject_hash=hash_)


async def cancel(services: Services, erasure_id: UUID) -> Erasure:
    """End an erasure early. What it has erased stays erased.

    Raises:
        ConflictError: It is over.
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        before = there(await erasures.get(connection, services.group_id, erasure_id), _GONE.format(erasure_id))
        ended = await erasures.cancel(connection, services.group_id, erasure_id, services.clock.now())
        ended = there(ended, _GONE.format(erasure_id))
        was, is_ = _told(before), _told(ended)
        await audit.note(services, connection, Action.ERASURE_CANCELLED, erasure_id, before=was, after=is_)
        return ended
