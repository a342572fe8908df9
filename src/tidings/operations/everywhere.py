"""Lists for administrators that tell of all homes of the fleet: groups, what people did, what was set aside.

The asked home reads its own part, asks the others for theirs at once, and puts them together (`core.positions`). Each home
decides about whoever asks as if it had been asked itself. One that does not answer is named and left out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from tidings.core.audit import Sought
from tidings.core.errors import InvalidInputError
from tidings.core.pages import fingerprint
from tidings.core.positions import START, Part, Positions, Together, is_of_all, opened, sealed, together
from tidings.core.voucher import VouchedKey
from tidings.operations import audit, groups, set_aside, told_lists
from tidings.operations.across import Across
from tidings.operations.groups import Group
from tidings.operations.services import Services
from tidings.operations.set_aside import SetAside
from tidings.operations.told_lists import Answered
from tidings.store.audit import Entry

logger = logging.getLogger("tidings.homes")

MAX_AT_ONCE: Final = 1000  # entries that a home is asked for
_GROUPS, _AUDIT, _SET_ASIDE = "/api/v1/groups", "/api/v1/audit", "/api/v1/set-aside"

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of all homes.

    Attributes:
        items: Each with its home.
        cursor: Of the next page; None: there is none.
        away: Homes that did not answer: what they have is missing.
    """

    items: list[tuple[str, T]]
    cursor: str | None
    away: tuple[str, ...]


def is_asked(services: Services) -> bool:
    """Whether a list tells of all homes: there are others, and whoever asks may see all groups."""
    return services.across is not None and services.bound_to is None


async def list_groups(services: Services, caller: VouchedKey, *, limit: int, offset: int = 0, cursor: str = "") -> Page[Group]:
    """Return a page of the groups of all homes, in order of their ids.

    Args:
        cursor: Of the page before, or its last id.

    Raises:
        InvalidInputError: The cursor is another list's, or the offset leads too far.
    """
    if offset + limit > MAX_AT_ONCE:
        raise InvalidInputError("offset", f"offset and limit are {MAX_AT_ONCE} together at most in a fleet. Use a cursor.")
    count, question = offset + limit, fingerprint("groups of all homes", None)

    async def own(position: str) -> Part[Group]:
        return _until_last(await groups.list_groups(services, limit=count, after=position), count, _id)

    def read(answer: Answered, position: str) -> Part[Group]:
        return _until_last(told_lists.groups(answer, behind=position, limit=count), count, _id)

    def query(position: str) -> dict[str, str]:
        return {"limit": str(count)} | ({"cursor": position} if position else {})

    begin = _begin(services, cursor if is_of_all(cursor) else "", question)
    if not is_of_all(cursor):
        begin = Positions(dict.fromkeys(begin.parts, cursor))
    parts = await _parts(services, caller, begin, own, f"{_GROUPS}?", query, read)
    found = together(begin, _without_leftovers(services, parts), count, order=_bytes_of_id, position=_id)
    if found.items and found.positions is not None:
        # Ids are in one order at all homes, so one place serves for all: a hundred ids would make no cursor that travels.
        at = Positions(dict.fromkeys(found.positions.parts, found.items[-1][1].id), found.positions.away)
        found = msgspec.structs.replace(found, positions=at)
    return _page(services, found, question, offset)


async def search_audit(services: Services, caller: VouchedKey, asked: Sought, *, limit: int, cursor: str = "") -> Page[Entry]:
    """Return what people did at all homes, newest first.

    Args:
        cursor: Of the page before.

    Raises:
        InvalidInputError: The cursor is another question's.
    """
    question = fingerprint("audit of all homes", asked)
    words = _words(asked)

    async def own(position: str) -> Part[Entry]:
        found = await audit.search(services, asked, limit=limit, before=int(position) if position else None)
        return Part(found.entries, None if found.before is None else str(found.before))

    def read(answer: Answered, position: str) -> Part[Entry]:
        entries, next_ = told_lists.entries(answer, before=int(position) if position else None, limit=limit)
        return Part(entries, None if next_ is None else str(next_))

    def query(position: str) -> dict[str, str]:
        return words | {"limit": str(limit)} | ({"before": position} if position else {})

    begin = _begin(services, cursor, question)
    parts = await _parts(services, caller, begin, own, f"{_AUDIT}?", query, read)
    found = together(begin, parts, limit, order=lambda one: -one.at.timestamp(), position=lambda one: str(one.number))
    return _page(services, found, question)


async def list_set_aside(services: Services, caller: VouchedKey, *, limit: int, cursor: str = "") -> Page[SetAside]:
    """Return what was set aside at all homes, newest first.

    Args:
        cursor: Of the page before.

    Raises:
        InvalidInputError: The cursor is another list's.
    """
    question = fingerprint("set aside at all homes", None)

    async def own(position: str) -> Part[SetAside]:
        found = await set_aside.list_rows(services, limit=limit, before=int(position) if position else None)
        return _until_last(found, limit, _number)

    def read(answer: Answered, position: str) -> Part[SetAside]:
        rows = told_lists.rows(answer, before=int(position) if position else None, limit=limit)
        return _until_last(rows, limit, _number)

    def query(position: str) -> dict[str, str]:
        return {"limit": str(limit)} | ({"before": position} if position else {})

    begin = _begin(services, cursor, question)
    parts = await _parts(services, caller, begin, own, f"{_SET_ASIDE}?", query, read)
    found = together(begin, parts, limit, order=lambda one: -one.at.timestamp(), position=_number)
    return _page(services, found, question)


# Asking --------------------------------------------------------------------------------------------------------------------


def _across(services: Services) -> Across:
    if services.across is None:
        raise ValueError("there are no other homes")
    return services.across


def _begin(services: Services, cursor: str, question: bytes) -> Positions:
    """Return where each home's part begins."""
    if cursor:
        return opened(cursor, _across(services).cursor_key, question)
    across = _across(services)
    return Positions(dict.fromkeys([across.home, *across.others], START))


async def _parts(
    services: Services,
    caller: VouchedKey,
    begin: Positions,
    own: Callable[[str], Awaitable[Part[T]]],
    path: str,
    query: Callable[[str], dict[str, str]],
    read: Callable[[Answered, str], Part[T]],
) -> dict[str, Part[T]]:
    """Return the parts of all homes that answer, our own among them."""
    across, found = _across(services), {}
    queries = {home: path + urlencode(query(at)) for home, at in begin.parts.items() if home != across.home}
    asking = asyncio.create_task(across.part_of_each(queries, caller, services.actor.address))
    try:
        if across.home in begin.parts:
            found[across.home] = await own(begin.parts[across.home])
        for home, answer in (await asking).items():
            try:
                found[home] = read(answer, begin.parts[home])
            except told_lists.UNREAD as error:
                logger.warning("home %s answers what cannot be read, and is left out: %s", home, error)
    finally:
        asking.cancel()
    return found


def _page(services: Services, found: Together[T], question: bytes, offset: int = 0) -> Page[T]:
    at = found.positions
    return Page(found.items[offset:], None if at is None else sealed(at, _across(services).cursor_key, question), found.away)


# Entries -------------------------------------------------------------------------------------------------------------------


def _until_last(items: list[T], limit: int, position: Callable[[T], str]) -> Part[T]:
    """Return a part of a list that ends where a page is not full."""
    return Part(items, position(items[-1]) if len(items) == limit else None)


def _without_leftovers(services: Services, parts: dict[str, Part[Group]]) -> dict[str, Part[Group]]:
    """Return the groups of each home but for those that live at another, which shows them itself: `default` is at each."""
    directory, ids = _across(services).directory, {home: {one.id for one in part.items} for home, part in parts.items()}

    def is_own(home: str, group: Group) -> bool:
        lives_at = directory.home_of(group.id)
        return lives_at == home or group.id not in ids.get(lives_at, ())

    return {home: Part([one for one in part.items if is_own(home, one)], part.next) for home, part in parts.items()}


def _id(group: Group) -> str:
    return group.id


def _bytes_of_id(group: Group) -> bytes:
    return group.id.encode("utf-8", "surrogatepass")


def _number(row: SetAside) -> str:
    return str(row.number)


def _words(asked: Sought) -> dict[str, str]:
    """Return the parameters that ask a home the same."""
    said: dict[str, Any] = {
        "group": asked.group_id,
        "who": asked.who,
        "who_id": asked.who_id,
        "with_key": asked.key_id or asked.key_name,
        "action": ",".join((*asked.actions, *(f"{family}*" for family in asked.families))) or None,
        "subject_id": asked.subject_id,
        "subject": asked.subject,
        "address": asked.address,
        "since": None if asked.since is None else asked.since.isoformat(),
        "until": None if asked.until is None else asked.until.isoformat(),
    }
    return {name: str(value) for name, value in said.items() if value is not None}
