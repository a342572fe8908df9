"""Parts of lists as other homes tell them, read so that what one home tells cannot spoil what all have told.

A home may run another release, be broken, or be another program's address. What it tells is shown beside what others tell, and
leads to the next page of all: so it has to be what was asked for, in its order, and of a size that can be told again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from tidings.core.audit import Who
from tidings.core.differences import MAX_DEPTH
from tidings.core.homes import UNREAD
from tidings.core.positions import MAX_POSITION
from tidings.operations.groups import Group
from tidings.operations.set_aside import MAX_NUMBER, SetAside
from tidings.store.audit import Entry

__all__ = ["UNREAD", "Answered", "entries", "groups", "rows"]

Answered = tuple[bytes, str | None]  # a body, and the number that it says it goes on before

_DEEPEST: Final = MAX_DEPTH + 2  # of what a field was and is: as deep as homes keep it, and some more for other releases
_Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
_At = Annotated[datetime, msgspec.Meta(tz=True)]


class WireGroup(msgspec.Struct, frozen=True):
    """A group as a home answers with it."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_POSITION)]
    created_at: _At
    deleting_at: _At | None = None
    fault: str | None = None


class WireEntry(msgspec.Struct, frozen=True):
    """An entry of the audit as a home answers with it."""

    number: _Number
    at: _At
    group: str | None
    action: str
    who: Who
    who_id: UUID | None
    address: str
    subject_id: UUID | None
    subject: str
    key_id: UUID | None
    key_name: str
    changes: dict[str, tuple[Any, Any]]


class WireRow(msgspec.Struct, frozen=True):
    """What was set aside, as a home answers with it."""

    number: _Number
    reason: str
    created_at: _At
    kind: str
    group: str | None = None
    source: str | None = None
    type: str | None = None
    schema: str | None = None
    table: str | None = None
    operation: str | None = None


_GROUPS: Final = msgspec.json.Decoder(list[WireGroup])
_ENTRIES: Final = msgspec.json.Decoder(list[WireEntry])
_ROWS: Final = msgspec.json.Decoder(list[WireRow])


def groups(answer: Answered, *, behind: str, limit: int) -> list[Group]:
    """Return the groups that a home tells.

    Args:
        behind: The id that it was asked to go on behind; "": it was asked for the first ones.
        limit: How many it was asked for.

    Raises:
        UNREAD: They are not what it was asked for.
    """
    said = _GROUPS.decode(answer[0])
    _expect_rising([behind.encode("utf-8", "surrogatepass"), *(one.id.encode() for one in said)], limit)
    return [
        Group(one.id, _utc(one.created_at), None if one.deleting_at is None else _utc(one.deleting_at), one.fault)
        for one in said
    ]


def entries(answer: Answered, *, before: int | None, limit: int) -> tuple[list[Entry], int | None]:
    """Return the entries of the audit that a home tells, and the number that it goes on before; None: it has no more.

    Args:
        before: The number that it was asked to go on before; None: it was asked for the newest ones.
        limit: How many it was asked for.

    Raises:
        UNREAD: They are not what it was asked for.
    """
    said = _ENTRIES.decode(answer[0])
    numbers = [-(MAX_NUMBER + 1 if before is None else before), *(-one.number for one in said)]
    _expect_rising(numbers, limit)
    if any(_is_deeper(one.changes, _DEEPEST) for one in said):
        raise ValueError(f"changes that are deeper than {_DEEPEST}")
    next_ = None if answer[1] is None else msgspec.convert(answer[1], int, strict=False)
    if next_ is not None and not 0 <= next_ <= -numbers[-1] - (not said):
        raise ValueError("it goes on where it has been")
    return [_entry(one) for one in said], next_


def rows(answer: Answered, *, before: int | None, limit: int) -> list[SetAside]:
    """Return what a home tells that it has set aside.

    Args:
        before: The number that it was asked to go on before; None: it was asked for the newest ones.
        limit: How many it was asked for.

    Raises:
        UNREAD: They are not what it was asked for.
    """
    said = _ROWS.decode(answer[0])
    _expect_rising([-(MAX_NUMBER + 1 if before is None else before), *(-one.number for one in said)], limit)
    return [
        SetAside(
            one.number, one.kind, one.group, one.source, one.type, one.schema, one.table, one.operation, one.reason,
            _utc(one.created_at),
        )
        for one in said
    ]  # fmt: skip


def _expect_rising(keys: Sequence[Any], limit: int) -> None:
    """Refuse what would lead the next page back to what was shown, or past what was not. The first key: what it is behind."""
    if len(keys) - 1 > limit:
        raise ValueError(f"{len(keys) - 1} entries, and it was asked for {limit}")
    if any(key >= following for key, following in pairwise(keys)):
        raise ValueError("entries that are not in their order, or are there already")


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects stand within each other to more levels."""
    if not isinstance(value, dict | list | tuple):
        return False
    return not levels or any(_is_deeper(one, levels - 1) for one in (value.values() if isinstance(value, dict) else value))


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _entry(said: WireEntry) -> Entry:
    fields = msgspec.structs.asdict(said)
    return Entry(group_id=fields.pop("group"), **fields | {"at": _utc(said.at)})
