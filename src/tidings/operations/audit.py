"""The record of what people did: operations write it in their own transactions; here it is searched, exported and verified."""

import re
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core import audit_chain as chain
from tidings.core.api_key import check_group
from tidings.core.audit import Action, Actor, Sought
from tidings.core.audit_chain import Break, Head, Kind, Seal
from tidings.core.differences import difference
from tidings.core.errors import InvalidInputError
from tidings.core.homes import moved_to
from tidings.core.pages import Cursor, fingerprint, opened, sealed
from tidings.operations.services import Services
from tidings.store import audit, audit_chain, moving
from tidings.store.audit import MAX_NUMBER, Entry, Found
from tidings.store.audit_chain import Sealed
from tidings.store.database import Connection
from tidings.store.request_role import as_owner

MAX_VERIFIED: Final = 10_000  # entries that one call verifies
VERIFIED_AT_ONCE: Final = 1_000  # of those: in between, others have their turn
MAX_EXPORTED: Final = 1_000  # entries of one call
EXPORT_WALK: Final = 5_000  # seals that one call of an export looks at, whatever fits

_HEAD: Final = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_NO_HEAD: Final = "head is written PLACE:HASH, as the verification told it: a number, a colon and 64 digits of hex."


class Verified(msgspec.Struct, frozen=True):
    """What came of verifying a stretch of the audit.

    Attributes:
        checked: How many entries were verified.
        verified_to: The place up to which the chain was looked at; all is well up to there, unless `fault` says otherwise.
        verified_at: When the entry there was sealed.
        next: Where to go on: the place behind which the next stretch begins; None: the end was reached, or a fault.
        waiting: Entries that are not sealed yet; they are within a second while a worker runs.
        head: Where the chain ends, `PLACE:HASH`. Noted elsewhere, it shows later that the audit was not put back.
    """

    checked: int
    verified_to: int
    verified_at: datetime | None
    next: int | None
    waiting: int
    head: str
    fault: Break | None


class Page(msgspec.Struct, frozen=True):
    """A page of entries, newest first.

    Attributes:
        cursor: What the next page is asked for with; None: there is none.
        before: The same as a number: the next page has what has a smaller one.
    """

    entries: list[Entry]
    cursor: str | None
    searched_to: datetime | None
    before: int | None = None


class Exported(msgspec.Struct, frozen=True):
    """A page of sealed entries, in the order of the chain. `after`: where the next one begins; None: there is none."""

    entries: list[Sealed]
    after: int | None


async def note(
    services: Services,
    connection: Connection,
    action: Action,
    subject_id: UUID | None = None,
    subject: str = "",
    *,
    by: Actor | None = None,
    is_of_group: bool = True,
    before: Any = None,
    after: Any = None,
) -> None:
    """Put on record what is done in this transaction: with it, or not at all.

    Args:
        subject: What it is called. No secret: all who may read the record read it.
        by: Who does it; None: whoever the services act for.
        is_of_group: It is about the group that the services act for; otherwise about the installation.
        before, after: What was changed as it was and as it is, whole (`core.differences`, which hides what is secret). None for
            what was not there before, or is not afterwards.

    Raises:
        HomesDisagreeError: The group lives at another home of the fleet by now.
    """
    if is_of_group and services.config.home is not None:
        await _check_lives_here(services, connection)
    await audit.add(
        connection,
        services.installation.audit_key,
        action,
        by or services.actor,
        now=services.clock.now(),
        group_id=services.group_id if is_of_group else None,
        subject_id=subject_id,
        subject=subject,
        changes=difference(before, after),
    )


async def _check_lives_here(services: Services, connection: Connection) -> None:
    """Refuse to change what is of a group that has moved away: nobody would ever look for it here.

    Who asked may have been let in before this process heard of the move, or have waited for its lock. All changes come by here,
    in their own transactions, behind the locks that a move takes too.
    """
    async with as_owner(connection):  # of the fleet, and of no group
        home = await moving.left_for(connection, services.group_id)
    if home is not None:
        raise moved_to(services.group_id, home)


async def search(
    services: Services, asked: Sought, *, limit: int, cursor: str | None = None, before: int | None = None
) -> Page:
    """Return what people did, newest first.

    Args:
        asked: Without a group: of all groups, and of the installation; for whoever may act for one group alone, of that.
        cursor: Of the page before.
        before: Only what has a smaller number.

    Raises:
        ForbiddenError: The group is not for whoever asks.
        InvalidInputError: The cursor is another question's.
    """
    asked = _allowed(services, asked)
    question = fingerprint("audit", asked)
    if cursor is not None:
        if before is not None:
            raise InvalidInputError("before", "before does not go with a cursor, which knows its place; leave one out.")
        before = opened(cursor, services.box.cursor_key, question).at.int
    async with services.wide.snapshot() as connection:
        found: Found = await audit.search(connection, asked, before=before, limit=limit)
    text = None
    if found.before is not None:
        text = sealed(Cursor(UUID(int=found.before)), services.box.cursor_key, question)
    return Page(found.entries, text, found.searched_to, found.before)


async def export(services: Services, asked: Sought, *, after: int, limit: int) -> Exported:
    """Return sealed entries in the order of the chain: each comes once, and none is put before another later.

    Args:
        asked: Its group and times alone; of `search` the rest.
        after: Only what has a greater place.

    Raises:
        ForbiddenError: The group is not for whoever asks.
    """
    asked, limit = _allowed(services, asked), min(limit, MAX_EXPORTED)
    taken: list[Sealed] = []
    walked, place = 0, min(after, MAX_NUMBER // 2)
    async with services.wide.snapshot() as connection:
        while walked < EXPORT_WALK:
            size = min(MAX_EXPORTED, EXPORT_WALK - walked)
            found, last = await audit_chain.sealed_entries(connection, after=place, limit=size)
            if last is None:
                return Exported(taken, None)
            walked += size
            for one in found:
                if _fits(asked, one):
                    if len(taken) == limit:
                        return Exported(taken, taken[-1].seal.place)
                    taken.append(one)
            place = last
    return Exported(taken, place)


def _fits(asked: Sought, one: Sealed) -> bool:
    at, group_id = one.entry.at, one.entry.group_id
    if asked.group_id is not None and group_id != asked.group_id:
        return False
    return (asked.since is None or at >= asked.since) and (asked.until is None or at < asked.until)


async def verify(services: Services, *, after: int = 0, limit: int = MAX_VERIFIED, head: str | None = None) -> Verified:
    """Verify a stretch of the audit: nothing of it was changed, removed, inserted or reordered.

    Args:
        after: The place behind which it begins: `next` of the stretch before. 0: at the beginning.
        limit: So many entries at most.
        head: One that was noted earlier: its seal has to be there still, unless it was forgotten in time.

    Raises:
        InvalidInputError: The head is not written as one.
    """
    noted = None if head is None else _noted(head)
    checked, step = 0, await _verify_some(services, after, min(limit, VERIFIED_AT_ONCE), noted)
    while True:
        checked += step.checked
        if step.next is None or checked >= min(limit, MAX_VERIFIED):
            return msgspec.structs.replace(step, checked=checked)
        step = await _verify_some(services, step.next, min(limit - checked, VERIFIED_AT_ONCE), noted)


async def _verify_some(services: Services, after: int, limit: int, noted: tuple[int, bytes] | None) -> Verified:
    async with services.wide.snapshot() as connection:
        found = await audit_chain.stretch(connection, after=after, limit=limit)
        waiting = await audit_chain.count_pending(connection)
        there = None if noted is None else await audit_chain.seal_at(connection, noted[0])
    key, last = services.installation.audit_key, found.links[-1].seal if found.links else found.before
    fault = chain.verify_head(key, found.head, found.mac) or chain.verify(key, found.head, found.before, found.links)
    if fault is None and found.reaches_end:
        fault = chain.verify_end(found.head, found.end)
    if fault is None:
        fault = chain.not_sealed([] if found.outside is None else [found.outside])
    if fault is None and noted is not None:
        fault = _put_back(found.head, noted, there)
    place = found.head.anchor_place if last is None else last.place
    return Verified(
        len(found.links),
        place,
        None if last is None else last.sealed_at,
        None if found.reaches_end or fault is not None else place,
        waiting,
        f"{found.head.place}:{found.head.hash.hex()}",
        fault,
    )


async def newest_seal(services: Services) -> tuple[Seal | None, int]:
    """Return the last seal, and how many entries wait for one."""
    async with services.wide.snapshot() as connection:
        return await audit_chain.last_seal(connection), await audit_chain.count_pending(connection)


def _noted(text: str) -> tuple[int, bytes]:
    if (match := _HEAD.fullmatch(text)) is None:
        raise InvalidInputError("head", _NO_HEAD)
    return int(match[1]), bytes.fromhex(match[2])


def _put_back(head: Head, noted: tuple[int, bytes], there: Seal | None) -> Break | None:
    """Return that the audit is not the one of which a head was noted, if so."""
    place, hash_ = noted
    if place < head.anchor_place or (place == head.anchor_place and hash_ == head.anchor_hash):
        return None  # forgotten in time, or the very last that was
    if there is not None and there.hash == hash_:
        return None
    said = f"the head that was noted at place {place} is not in its chain: it was put back to an earlier state, or made anew"
    return Break(Kind.HEAD, place, None if there is None else there.number, f"The audit was tampered with: {said}.")


def _allowed(services: Services, asked: Sought) -> Sought:
    group_id = asked.group_id or services.bound_to
    if group_id is not None:
        check_group(services.bound_to, group_id)
    return msgspec.structs.replace(asked, group_id=group_id)
