"""Questions about history, answered window by window (theory: `core.search`)."""

import asyncio
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from tidings.core.delivery import State
from tidings.core.errors import InvalidInputError
from tidings.core.pages import Cursor, Page, begin, fingerprint, opened, page_of, sealed
from tidings.core.question import (
    Question,
    kinds_named,
)
from tidings.core.search import (
    COUNT_BOUND,
    ROW_BUDGET,
    Drive,
    Known,
    Progress,
    Span,
    counted,
    counting,
    drive_of_deliveries,
    drive_of_events,
    first_id,
    is_of_successes_alone,
    is_spent,
    window,
)
from tidings.core.vocabulary import OPEN, Vocabulary
from tidings.operations.services import Services
from tidings.profiles import PROFILES
from tidings.store import search, walks, webhooks
from tidings.store.database import Connection

T = TypeVar("T")

GO_ON_BY_CURSOR = "go on by the cursor in Tidings-Next of the last page that was answered."
NEAR_NAMES = 500  # types of a group among which the nearest to an unknown one are looked for


class Asked(msgspec.Struct, frozen=True):
    """A question as it was asked: types are still words.

    Attributes:
        may_be_new: A type that nothing has had yet is found nowhere. Else it is refused, with the nearest names: whoever
            looks at a page has mistyped it, and what acts on many deliveries must not act on none by mistake.
    """

    question: Question
    types: tuple[str, ...] = ()
    may_be_new: bool = False

    def of_webhook(self, webhook_id: UUID | None) -> "Asked":
        """Return the same of one webhook; of any, when None."""
        return msgspec.structs.replace(self, question=msgspec.structs.replace(self.question, webhook_id=webhook_id))

    def in_state(self, state: State) -> "Asked":
        """Return the same of one state."""
        return msgspec.structs.replace(self, question=msgspec.structs.replace(self.question, states=(state,)))


class Paging(msgspec.Struct, frozen=True):
    """Which page of a list is asked for.

    Attributes:
        is_by_number: The caller goes on with the next number. A page that is cut short would lose it what follows, so time
            does not end the search, and a page that cannot be reached is refused.
    """

    limit: int
    offset: int
    cursor: str | None
    count: bool
    is_by_number: bool = False


class Seal(msgspec.Struct, frozen=True):
    """What cursors of one question are sealed with."""

    key: bytes
    question: bytes

    def text(self, cursor: Cursor) -> str:
        """Return a cursor as callers carry it."""
        return sealed(cursor, self.key, self.question)


class Result(msgspec.Struct, frozen=True):
    """What came of a search. `count`: as it is told."""

    page: Page
    seal: Seal
    count: str | None


class Found(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list, and what came of the search for it."""

    result: Result
    items: list[T]


async def find_deliveries(services: Services, connection: Connection, asked: Asked, paging: Paging) -> Result:
    """Return the ids of a page of deliveries.

    Raises:
        InvalidInputError: The cursor is not this question's, or a type is unknown.
    """
    question = await understood(services, connection, asked)
    drive = drive_of_deliveries(question, await _known(services, connection, question))
    return await _find(services, connection, "deliveries", asked, drive, paging)


async def count_deliveries(services: Services, connection: Connection, asked: Asked) -> str:
    """Return how many deliveries there are, as it is told.

    Raises:
        InvalidInputError: A type is unknown, or a text is asked for.
    """
    question = await understood(services, connection, asked)
    return await _count(connection, drive_of_deliveries(question, await _known(services, connection, question)))


async def find_events(services: Services, connection: Connection, asked: Asked, paging: Paging) -> Result:
    """Return the ids of a page of events.

    Raises:
        InvalidInputError: The cursor is not this question's, or a type is unknown.
    """
    question = await understood(services, connection, asked)
    if question.external_id is not None:
        found = await search.event_of_external_id(connection, question.group_id, question.external_id)
        question = msgspec.structs.replace(question, event_id=found or UUID(int=0))
    drive = drive_of_events(question, await _known(services, connection, question))
    return await _find(services, connection, "events", asked, drive, paging)


# Words -----------------------------------------------------------------------------------------------------------------


async def understood(services: Services, connection: Connection, asked: Asked) -> Question:
    """Return the question with its types understood.

    Raises:
        InvalidInputError: A type is unknown.
    """
    question, words = asked.question, asked.types
    if not words:
        return question
    own = await _vocabulary(services, connection, question)
    seen = {word for word in words if await _is_seen(connection, question.group_id, word)}
    try:
        kinds = kinds_named(words, seen, (), own, may_be_new=asked.may_be_new)
    except InvalidInputError:
        kinds = kinds_named(words, seen, await search.kinds(connection, question.group_id, NEAR_NAMES), own)
    return msgspec.structs.replace(question, kinds=kinds)


async def _vocabulary(services: Services, connection: Connection, question: Question) -> Vocabulary:
    if question.webhook_id is None:
        return OPEN
    webhook = await webhooks.get_webhook(connection, question.group_id, question.webhook_id)
    profile = None if webhook is None else PROFILES.get(webhook.profile)  # one that is set aside can have any
    return OPEN if profile is None else profile.vocabulary


async def _is_seen(connection: Connection, group_id: str, word: str) -> bool:
    if word.endswith(".*"):
        return bool(await search.kinds(connection, group_id, 1, family=word[:-1]))
    return await search.is_kind(connection, group_id, word)


async def _known(services: Services, connection: Connection, question: Question) -> Known:
    return await walks.known(connection, question, first_id(services.installation.exact_ids_from))


# Windows ---------------------------------------------------------------------------------------------------------------


async def _find(services: Services, connection: Connection, of: str, asked: Asked, drive: Drive, paging: Paging) -> Result:
    seal = Seal(services.box.cursor_key, fingerprint(of, asked))
    cursor = None if paging.cursor is None else opened(paging.cursor, seal.key, seal.question)
    skip = paging.offset if cursor is None else cursor.skip
    newest_first = cursor is None or not cursor.goes_back
    by_number = paging.is_by_number and cursor is None
    walked = await _walk(
        connection, drive, begin(cursor, drive.span), skip, paging.limit, newest_first=newest_first, by_number=by_number
    )
    if by_number and skip and walked.is_too_deep:
        raise InvalidInputError("page", f"This page lies behind more than {ROW_BUDGET} entries of others; {GO_ON_BY_CURSOR}")
    count = await _count(connection, drive) if paging.count else None
    return Result(page_of(walked.found, walked.rest, cursor, skip, paging.limit), seal, count)


class _Walked(msgspec.Struct, frozen=True):
    """What was found, and what was not looked at.

    Attributes:
        is_too_deep: More had to be looked at for what is left out than one call looks at: the page before may have been cut
            short, and have shown less than all of it.
    """

    found: list[UUID]
    rest: Span | None
    is_too_deep: bool


async def _walk(
    connection: Connection, drive: Drive, span: Span, skip: int, limit: int, *, newest_first: bool, by_number: bool
) -> _Walked:
    """Look until a page and what is left out before it are found, everything was looked at, or the budget is used."""
    found: list[UUID] = []
    left = Progress(span, span if span.low < span.high else None)
    loop = asyncio.get_running_loop()
    begun, rows, turn, deep, wanted = loop.time(), 0, 0, 0, skip + limit + 1
    while left.rest is not None and len(found) < wanted:
        is_begun = left.rest != span  # every call gets further, however slow the machine
        if is_begun and is_spent(rows, loop.time() - begun, wanted, by_number=by_number):
            break
        missing = wanted - len(found)
        next_ = window(drive, left.rest, turn, missing, newest_first=newest_first, is_crowded=left.is_crowded)
        is_left_out = len(found) <= skip
        ids, left, seen = await walks.look(connection, next_, left.rest)
        found += ids
        rows += seen
        turn += 1
        if is_left_out:
            deep = rows
    return _Walked(found, left.rest, deep > ROW_BUDGET or (len(found) <= skip and left.rest is not None))


async def count_matching(services: Services, connection: Connection, question: Question) -> tuple[int, bool]:
    """Return how many deliveries fit a question, up to a bound, and whether that is all.

    Raises:
        InvalidInputError: As `_matching` does.
    """
    return await _matching(connection, drive_of_deliveries(question, await _known(services, connection, question)))


async def _count(connection: Connection, drive: Drive) -> str:
    """Return how many there are, as it is told.

    Raises:
        InvalidInputError: As `_matching` does.
    """
    matches, is_all = await _matching(connection, drive)
    return counted(matches, is_all=is_all)


async def _matching(connection: Connection, drive: Drive) -> tuple[int, bool]:
    """Return how many there are, up to a bound, and whether that is all.

    Raises:
        InvalidInputError: A text is asked for, which would have to be looked for everywhere.
    """
    if drive.left.text is not None:
        raise InvalidInputError("count", "count does not go with text, which is looked for page by page; leave one out.")
    webhook_id = drive.left.webhook_id
    if drive.statement == "deliveries_by_webhook" and webhook_id is not None:
        if drive.is_exact:
            return await _count_of_webhook(connection, drive, webhook_id)
        if is_of_successes_alone(drive.left):
            return await _count_of_successes(connection, drive, webhook_id)
    return await _count_window(connection, drive)


async def _count_window(connection: Connection, drive: Drive) -> tuple[int, bool]:
    looked = await search.LOOKS[drive.statement](connection, counting(drive))
    return looked.matches, looked.reached is None


async def _count_of_webhook(connection: Connection, drive: Drive, webhook_id: UUID) -> tuple[int, bool]:
    """Return how many deliveries the webhook has, nothing else being asked: what is done and what waits by index alone."""
    if await search.group_of_webhook(connection, webhook_id) != drive.left.group_id:
        return await _count_window(connection, drive)  # deleted, or another group's
    sending = msgspec.structs.replace(drive, left=msgspec.structs.replace(drive.left, states=(State.SENDING,)))
    looked = await search.deliveries_by_webhook(connection, counting(sending))
    matches = looked.matches + await search.count_of_webhook(connection, webhook_id, drive.span, COUNT_BOUND + 1)
    return matches, looked.reached is None


async def _count_of_successes(connection: Connection, drive: Drive, webhook_id: UUID) -> tuple[int, bool]:
    """Return how many deliveries of the webhook succeeded: what is finished less what failed, both by index alone.

    To look at each would read as many pages of the disk: a webhook's deliveries lie far from each other.
    """
    if await search.group_of_webhook(connection, webhook_id) != drive.left.group_id:
        return await _count_window(connection, drive)
    bound = COUNT_BOUND + 1
    finished, unsuccessful = await search.count_finished_of_webhook(connection, webhook_id, drive.span, bound)
    if unsuccessful == bound:
        return await _count_window(connection, drive)
    return finished - unsuccessful, True
