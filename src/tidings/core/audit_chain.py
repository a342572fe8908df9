"""How the audit shows that it was tampered with: stamps, and a chain of seals.

**The problem.** Whoever may write to the database can change, remove, insert or reorder entries. No trigger holds an owner of
the tables back. So what is there must be such that they cannot make it look right again.

**The naive way** puts into each entry the hash of the one before. Then all changing transactions of the installation wait for
each other, from their entry to their commit; and plain hashes are made anew by whoever changes an entry.

**Our way.** There is a key, made once, which the database holds only encrypted under SECRET_KEY. An operation writes its entry
with a *stamp*: a MAC of what it says. That takes no lock, and an entry that was written past Tidings has none. Within a second
a worker *seals* what is committed by then: each seal is a MAC of the seal before, its own place, and the entry. One worker at a
time does so, and no operation waits for it. The *head* says where the chain ends and begins, under a MAC too, so that its end
cannot be cut off without a trace; its beginning moves when old entries are forgotten (the *anchor*).

**What is left out.** Who has SECRET_KEY as well can make all of it anew. Who restores the whole database as it was at some time
shows a chain that is right, and short: compare the head with one that was noted elsewhere. And an entry that is removed
in the second before it is sealed, together with the mark that it waits, was never there.

What must stay in step: fields of entries that are added later are left out while they are empty, so that what is sealed stays
right.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

KEY_BYTES: Final = 32
CHANCE_BYTES: Final = 8
ZERO: Final = bytes(32)  # what the first seal follows
UNSTAMPED_FOR: Final = timedelta(hours=1)  # while processes of the release before may still run

_MAC_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Seal(msgspec.Struct, frozen=True):
    """The seal of one entry."""

    place: int
    number: int
    sealed_at: datetime
    hash: bytes


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where the chain ends and begins.

    Attributes:
        place, hash: Of the last seal.
        anchor_place, anchor_hash: Of the last seal that is forgotten: the first that is there follows it.
        unstamped_places: So many entries at the beginning are from before there were stamps.
        unstamped_until: Until then entries without a stamp came from processes of the release before.
    """

    place: int = 0
    hash: bytes = ZERO
    anchor_place: int = 0
    anchor_hash: bytes = ZERO
    unstamped_places: int = 0
    unstamped_until: datetime | None = None


class Kind(StrEnum):
    """What was done to the audit."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    HEAD = "head"


class Break(msgspec.Struct, frozen=True):
    """The first place where the audit is not as it was written.

    Attributes:
        place: In the chain.
        number: Of the entry, as far as it is known.
    """

    kind: Kind
    place: int | None
    number: int | None
    sentence: str


def content_of(entry: Mapping[str, Any]) -> bytes:
    """Return what an entry says as bytes: always the same for the same, whichever fields there are beside."""
    said = {name: _plain(value) for name, value in sorted(entry.items()) if value not in (None, "")}
    return msgspec.json.encode(said)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return _microseconds(value)
    return str(value) if isinstance(value, UUID) else value


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def stamp(key: bytes, content: bytes, chance: bytes) -> bytes:
    """Return the stamp of an entry.

    Args:
        chance: `CHANCE_BYTES` of it, so that no stamp comes twice.
    """
    return chance + hmac.digest(key, b"entry\0" + chance + content, hashlib.sha256)[:_MAC_BYTES]


def is_stamped(key: bytes, content: bytes, given: bytes | None) -> bool:
    """Whether an entry was written so by a process of Tidings."""
    return given is not None and hmac.compare_digest(given, stamp(key, content, given[:CHANCE_BYTES]))


def seal(
    key: bytes, before: bytes, place: int, number: int, sealed_at: datetime, content: bytes | None, given: bytes | None
) -> Seal:
    """Return the seal of an entry.

    Args:
        before: The hash of the seal before.
        content: What the entry says; None: it was gone when it was to be sealed.
        given: Its stamp.
    """
    numbers = b"".join(part.to_bytes(8, "big", signed=True) for part in (place, number, _microseconds(sealed_at)))
    text = b"-" if content is None else b"+" + (given or b"").ljust(24, b"\0") + content
    return Seal(place, number, sealed_at, hmac.digest(key, b"seal\0" + before + numbers + text, hashlib.sha256))


def head_mac(key: bytes, head: Head) -> bytes:
    """Return what shows that a head was written by a process of Tidings."""
    said = [value.hex() if isinstance(value, bytes) else _plain(value) for value in msgspec.structs.astuple(head)]
    return hmac.digest(key, b"head\0" + msgspec.json.encode(said), hashlib.sha256)


# Verifying -----------------------------------------------------------------------------------------------------------------


class Link(msgspec.Struct, frozen=True):
    """A seal and its entry as they stand in the database.

    Attributes:
        content: What the entry says; None: it is not there.
        given: Its stamp.
    """

    seal: Seal
    content: bytes | None
    given: bytes | None


def verify(key: bytes, head: Head, before: Seal | None, links: Sequence[Link]) -> Break | None:
    """Return the first break of a stretch of the chain, whose seals stand in order of their places.

    Args:
        before: The last seal that was looked at; None: the stretch begins the chain, behind its anchor.
    """
    place, last = (head.anchor_place, head.anchor_hash) if before is None else (before.place, before.hash)
    for link in links:
        place += 1
        if (found := _broken(key, head, place, last, link)) is not None:
            return found
        last = link.seal.hash
    return None


def verify_end(head: Head, last: Seal | None) -> Break | None:
    """Return what is wrong with the end of the chain.

    Args:
        last: Its last seal; None: there is none behind the anchor.
    """
    place, hash_ = (head.anchor_place, head.anchor_hash) if last is None else (last.place, last.hash)
    if place < head.place:
        return Break(
            Kind.REMOVED, place + 1, None, _sentence(f"{head.place - place:,} entries at its end are gone, {_from(last)}")
        )
    if place > head.place or not hmac.compare_digest(hash_, head.hash):
        number = None if last is None else last.number
        return Break(Kind.HEAD, place, number, _sentence(f"its end, {_from(last)}, is not the one that was sealed last"))
    return None


def verify_head(key: bytes, head: Head, mac: bytes | None) -> Break | None:
    """Return that the head was not written by a process of Tidings, if so."""
    if mac is not None and hmac.compare_digest(mac, head_mac(key, head)):
        return None
    return Break(Kind.HEAD, None, None, _sentence("what says where its chain begins and ends was changed (tidings.audit_head)"))


def not_sealed(numbers: Iterable[int]) -> Break | None:
    """Return that an entry stands outside the chain, if any does.

    Args:
        numbers: Of entries that have no seal and do not wait for one, the first one first.
    """
    number = next(iter(numbers), None)
    if number is None:
        return None
    said = f"entry {number} has no seal and does not wait for one: it was inserted, or its seal was removed"
    return Break(Kind.INSERTED, None, number, _sentence(said))


def _broken(key: bytes, head: Head, place: int, last: bytes, link: Link) -> Break | None:
    one, content, given = link.seal, link.content, link.given
    number = one.number
    if one.place != place:
        said = f"{one.place - place:,} seals before that of entry {number} are gone, with what they sealed"
        return Break(Kind.REMOVED, place, number, _sentence(said))
    if content is None:
        return Break(Kind.REMOVED, place, number, _sentence(f"entry {number} was removed"))
    is_genuine = is_stamped(key, content, given)
    expected = seal(key, last, place, number, one.sealed_at, content, given)
    if hmac.compare_digest(expected.hash, one.hash):
        is_older = place <= head.unstamped_places or (head.unstamped_until is not None and one.sealed_at < head.unstamped_until)
        if is_genuine or (given is None and is_older):
            return None
        return Break(Kind.INSERTED, place, number, _sentence(f"entry {number} was not written by Tidings: it was inserted"))
    if is_genuine:
        said = f"entry {number} says what it said, and does not fit its seal: entries changed places, or the seal was changed"
        return Break(Kind.REORDERED, place, number, _sentence(said))
    return Break(Kind.CHANGED, place, number, _sentence(f"entry {number} was changed after it was written"))


def _from(last: Seal | None) -> str:
    return "from its beginning on" if last is None else f"behind entry {last.number}"


def _sentence(said: str) -> str:
    return f"The audit was tampered with: {said}."
