"""Walking through history window by window (theory: `core.search`): what a page, a recovery or a dry run goes along."""

import asyncio
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.event import Event, row_action
from tidings.core.explain import heard
from tidings.core.missing import EVENTS_AT_ONCE, drive_of_heard, where_delivered
from tidings.core.question import Kinds, Question
from tidings.core.search import (
    MAX_KINDS,
    ROW_BUDGET,
    SMALL_SHARE,
    TEXT_BYTES,
    Drive,
    Known,
    Progress,
    Span,
    Window,
    cut_short,
    progress,
    window,
)
from tidings.core.webhook import Subscription
from tidings.store import recoveries, search
from tidings.store.database import Connection

SECONDS: Final = 0.25  # after which a walk begins no other window


class Walked(msgspec.Struct, frozen=True):
    """What a walk found, in its order, and what of the ids it did not look at; None: it looked at all."""

    ids: list[UUID]
    rest: Span | None

    @property
    def position(self) -> UUID | None:
        """Where to go on, when the walk went from older to newer; None: it is at its end."""
        return None if self.rest is None else self.rest.low


async def known(connection: Connection, question: Question, exact_ids_from: UUID) -> Known:
    """Return what the way of a search depends on beside its question.

    Args:
        exact_ids_from: The first id of a delivery that tells its event.
    """
    share = await search.share(connection, question.group_id)
    kinds: set[str] | None = None
    if question.kinds is not None:
        kinds = await _seen_kinds(connection, question.group_id, question.kinds)
    elif share < SMALL_SHARE:
        kinds = set(await search.kinds(connection, question.group_id, MAX_KINDS + 1))
    found = None if kinds is None or len(kinds) > MAX_KINDS else tuple(sorted(kinds))
    return Known(found, share, exact_ids_from)


async def _seen_kinds(connection: Connection, group_id: str, asked: Kinds) -> set[str]:
    """Return the types that the group has events of, and any that are named outright."""
    found = set(asked.types)
    for family in asked.families:
        found |= set(await search.kinds(connection, group_id, MAX_KINDS + 1, family=family))
    for operation in asked.operations:
        found |= set(await search.kinds(connection, group_id, MAX_KINDS + 1, family="table.", ending=row_action(operation)))
    return found


async def walk(
    connection: Connection, drive: Drive, span: Span, wanted: int, *, newest_first: bool, seconds: float = SECONDS
) -> Walked:
    """Look until so many are found, all was looked at, or a budget of rows or time is used. Every call gets further.

    Args:
        wanted: How many at most.
    """
    loop = asyncio.get_running_loop()
    found: list[UUID] = []
    left = Progress(span, span if span.low < span.high else None)
    begun, rows, turn = loop.time(), 0, 0
    while left.rest is not None and len(found) < wanted:
        if left.rest != span and (rows >= ROW_BUDGET or loop.time() - begun > seconds):
            break
        missing = wanted - len(found)
        next_ = window(drive, left.rest, turn, missing, newest_first=newest_first, is_crowded=left.is_crowded)
        ids, left, seen = await look(connection, next_, left.rest)
        found += ids
        rows += seen
        turn += 1
    if len(found) <= wanted:
        return Walked(found, left.rest)
    # A window that is looked through for a text tells all that it found.
    rest = span.within(Span(high=found[wanted - 1]) if newest_first else Span(low=found[wanted]))
    return Walked(found[:wanted], rest)


async def look(connection: Connection, next_: Window, rest: Span) -> tuple[list[UUID], Progress, int]:
    """Look at one window; return what fits, what is left, and how many rows were looked at."""
    looked = await search.LOOKS[next_.drive.statement](connection, next_)
    left = progress(next_, rest, looked.reached)
    judged = [at for at, id_ in enumerate(looked.ids) if left.judged.low <= id_ < left.judged.high]
    ids, event_ids = [looked.ids[at] for at in judged], [looked.event_ids[at] for at in judged]
    if ids and len(judged) == len(looked.ids) < looked.matches:
        left = cut_short(left, ids[-1], newest_first=next_.newest_first)
    text = next_.drive.left.text
    if ids and text is not None:
        has_text = dict(await search.containing(connection, list(dict.fromkeys(event_ids)), text, TEXT_BYTES))
        read = next((at for at, event_id in enumerate(event_ids) if event_id not in has_text), len(ids))
        if read < len(ids):
            left = cut_short(left, ids[read - 1], newest_first=next_.newest_first)
        ids = [id_ for id_, event_id in zip(ids[:read], event_ids, strict=False) if has_text[event_id]]
    return ids, left, looked.seen


class DryRun(msgspec.Struct, frozen=True):
    """What a webhook would have been sent.

    Attributes:
        events: Those it would have been sent, newest first, without their payloads.
        seen: How many events were looked at.
        before: The first id that was looked at: ask again for what is before it; None: all was looked at.
    """

    events: list[Event]
    seen: int
    before: UUID | None


async def dry_run(
    connection: Connection,
    webhook: Subscription,
    since: datetime,
    until: datetime,
    wanted: int,
    *,
    before: UUID | None = None,
    seconds: float = SECONDS,
) -> DryRun:
    """Return which events of a time a webhook would have been sent, newest first; it may be one that is not saved yet.

    Args:
        wanted: How many at most. They are fewer where a budget of rows or time ended the look; every call gets further.
        before: Where the call before came to.
    """
    loop = asyncio.get_running_loop()
    begun, seen = loop.time(), 0
    drive = drive_of_heard(webhook, since, until)
    rest: Span | None = drive.span if before is None else drive.span.within(Span(high=before))
    found: list[Event] = []
    while rest is not None and len(found) < wanted:
        if seen >= ROW_BUDGET or (seen and loop.time() - begun > seconds):
            break
        walked = await walk(connection, drive, rest, EVENTS_AT_ONCE, newest_first=True, seconds=seconds)
        rest = walked.rest
        events = await recoveries.events_without_payload(connection, walked.ids) if walked.ids else []
        seen += max(1, len(events))
        matching = heard(webhook, reversed(events))
        room = wanted - len(found)
        found += matching[:room]
        if len(matching) > room:
            return DryRun(found, seen, found[-1].id)
    return DryRun(found, seen, None if rest is None else rest.high)


async def count_missing(
    connection: Connection,
    webhook: Subscription,
    since: datetime | None,
    until: datetime,
    exact_ids_from: UUID,
    *,
    bound: int,
    seconds: float,
) -> tuple[int, bool]:
    """Return how many events of a time a webhook would hear now and has no delivery of, and whether that is all.

    Args:
        exact_ids_from: The first id of a delivery that tells its event.
        bound: Past so many it is not counted further.
        seconds: After so long neither.
    """
    loop = asyncio.get_running_loop()
    begun, missing = loop.time(), 0
    drive = drive_of_heard(webhook, since, until)
    rest: Span | None = drive.span
    while rest is not None and missing <= bound:
        if rest != drive.span and loop.time() - begun > seconds:
            break
        walked = await walk(connection, drive, rest, EVENTS_AT_ONCE, newest_first=False, seconds=seconds)
        rest = walked.rest
        events = await recoveries.events_without_payload(connection, walked.ids) if walked.ids else []
        if where := {event.id: where_delivered(event, webhook.id, exact_ids_from) for event in heard(webhook, events)}:
            missing += len(where) - len(await recoveries.delivered(connection, webhook.id, where))
    return min(missing, bound), rest is None and missing <= bound
