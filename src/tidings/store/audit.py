"""What people did, as rows: written with what they tell, searched, and never changed."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.audit import MAX_ADDRESS, MAX_SUBJECT, Action, Actor, Sought, Who
from tidings.core.audit_chain import CHANCE_BYTES, content_of, stamp
from tidings.core.differences import Sides
from tidings.store.database import Connection
from tidings.store.statements import load

MAX_NUMBER: Final = 2**63 - 1
WINDOWS: Final = (250, 1_000, 4_000)  # entries that one search looks at, each beyond those before

# What of an entry its stamp and its seal are over, by the names of the columns. What is empty is left out (`core.audit_chain`).
FIELDS: Final = (
    "at", "group_id", "action", "who", "who_id", "address", "subject_id", "subject", "key_id", "key_name", "changes",
)  # fmt: skip

_SQL = load("audit")

# What a search goes along, to its statement.
_ALONG: Final = {
    "all": _SQL["by_all"], "group_id": _SQL["by_group_id"], "subject_id": _SQL["by_subject_id"], "who_id": _SQL["by_who_id"],
    "key_id": _SQL["by_key_id"], "key_name": _SQL["by_key_name"], "subject": _SQL["by_subject"], "address": _SQL["by_address"],
    "action": _SQL["by_action"],
}  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """What somebody did.

    Attributes:
        number: Its place: a later one has a greater number.
        group_id: The group that it is about; None: the installation.
        who_id: Of the key, the session, the member or the portal link.
        subject: What it was called then: a webhook's name, a browser.
        key_id: The key that it was done with, or that the session was begun with.
        key_name: What that was called then; of a member the address.
        changes: Field to what it was and what it is (`core.differences`).
    """

    number: int
    at: datetime
    group_id: str | None
    action: str
    who: Who
    who_id: UUID | None
    address: str
    subject_id: UUID | None
    subject: str
    key_id: UUID | None = None
    key_name: str = ""
    changes: dict[str, Sides] = {}


class Found(msgspec.Struct, frozen=True):
    """A page of entries, newest first.

    Attributes:
        before: The next page has what has a smaller number; None: there is none.
        searched_to: How far was looked, when that was not far enough to fill the page.
    """

    entries: list[Entry]
    before: int | None
    searched_to: datetime | None = None


async def add(
    connection: Connection,
    key: bytes,
    action: Action,
    actor: Actor,
    *,
    now: datetime,
    group_id: str | None,
    subject_id: UUID | None,
    subject: str,
    changes: Mapping[str, Sides] | None = None,
) -> None:
    """Put on record what somebody did, in the transaction that does it.

    Args:
        key: Of the audit, for the stamp.
    """
    values: dict[str, Any] = {
        "at": now,
        "group_id": group_id,
        "action": action.value,
        "who": actor.who.value,
        "who_id": actor.id,
        "address": _storable(actor.address, MAX_ADDRESS),
        "subject_id": subject_id,
        "subject": _storable(subject, MAX_SUBJECT),
        "key_id": actor.key_id,
        "key_name": actor.key_name,
        "changes": msgspec.json.encode(changes).decode() if changes else None,
    }
    given = stamp(key, content_of(values), secrets.token_bytes(CHANCE_BYTES))
    await connection.execute(_SQL["add"], *(values[name] for name in FIELDS), given)


async def search(connection: Connection, asked: Sought, *, before: int | None, limit: int) -> Found:
    """Return a page of what was done, newest first. However rare it is, a bounded number of entries is looked at.

    Args:
        before: Only what has a smaller number.
    """
    around = await connection.fetchrow(_SQL["around"], asked.since, asked.until)
    low, high = around["low"], min(MAX_NUMBER if around["high"] is None else around["high"], _limited(before))
    families = [family.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for family in asked.families]
    rest = (
        asked.group_id, None if asked.who is None else asked.who.value, asked.who_id, asked.key_id, asked.key_name,
        list(asked.actions), families, asked.subject_id, asked.subject, asked.address, asked.since, asked.until,
    )  # fmt: skip
    numbers: list[int] = []
    for size in WINDOWS:
        looked_at = max(size, limit + 1)
        row = await connection.fetchrow(_ALONG[asked.drive], low, high, looked_at, limit + 1 - len(numbers), *rest)
        numbers += row["found"]
        if row["seen"] < looked_at or len(numbers) > limit:
            high = None if row["seen"] < looked_at else row["reached"]
            break
        high = row["reached"]
    entries = await _entries(connection, numbers[:limit])
    if len(numbers) > limit:
        return Found(entries, numbers[limit - 1])
    if high is None:
        return Found(entries, None)
    (last,) = await _entries(connection, [high])
    return Found(entries, high, last.at)


async def _entries(connection: Connection, numbers: Sequence[int]) -> list[Entry]:
    return [entry_of(row) for row in await connection.fetch(_SQL["entries"], numbers)] if numbers else []


def entry_of(row: Any) -> Entry:
    """Return an entry from its row."""
    fields = {name: row[name] for name in Entry.__struct_fields__ if name not in {"who", "changes"}}
    return Entry(**fields, who=Who(row["who"]), changes=_changes(row["changes"]))


def _changes(text: str | None) -> dict[str, Sides]:
    try:
        return msgspec.json.decode(text, type=dict[str, Sides]) if text else {}
    except msgspec.MsgspecError:  # somebody wrote over it: that shows when the chain is verified
        return {"(unreadable)": (None, text)}


def _limited(before: int | None) -> int:
    return MAX_NUMBER if before is None else max(min(before, MAX_NUMBER), 0)


def _storable(text: str, limit: int) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:limit]
