"""Lists that tell of all homes: the parts of each, put together in the order of the list, and where each goes on.

One cursor leads from a page to the next. It holds of each home where its part goes on; that is the home's own matter, and is
handed back to it as it was given. A home that was away when it was asked is left out of the pages behind, and named on each:
else whoever walks a list to its end would ask for it for ever.

A cursor travels in headers and addresses, for which proxies and clients allow some thousand bytes. So it is packed: what homes'
parts have in common is written once.
"""

import heapq
import hmac
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.fleet import MAX_HOMES

T = TypeVar("T")

START: Final = ""  # where a part begins
_START_OF: Final = "all."  # by which a cursor of all homes is told from a home's own
_SEAL_BYTES: Final = 16
MAX_CURSOR: Final = 6_144  # characters; that of a hundred homes with the longest names has fewer
MAX_POSITION: Final = 512
_MAX_CONTENT: Final = MAX_HOMES * 1_024  # bytes of what is packed


class Positions(msgspec.Struct, frozen=True):
    """Where a list of all homes goes on.

    Attributes:
        parts: By home; one that is not among them has no more.
        away: Homes that did not answer on the way here.
    """

    parts: dict[str, str]
    away: tuple[str, ...] = ()


class Part(msgspec.Struct, Generic[T], frozen=True):
    """What a home has of a page. `next`: where it goes on behind that; None: there is no more."""

    items: Sequence[T]
    next: str | None


class Together(msgspec.Struct, Generic[T], frozen=True):
    """A page of all homes: each entry with its home. `positions`: None: there is no more."""

    items: list[tuple[str, T]]
    positions: Positions | None
    away: tuple[str, ...]


def together(
    before: Positions,
    parts: Mapping[str, Part[T]],
    limit: int,
    *,
    order: Callable[[T], Any],
    position: Callable[[T], str],
) -> Together[T]:
    """Return a page of all homes.

    Args:
        before: Where each part began.
        parts: What the homes have that answered; each has its own order, which is kept.
        order: What entries of several homes are ordered by.
        position: Where a part goes on behind an entry.
    """
    taken: list[tuple[str, T]] = []
    counts = dict.fromkeys(parts, 0)
    lines = [[(order(item), home, item) for item in part.items] for home, part in sorted(parts.items())]
    for _, home, item in heapq.merge(*lines, key=lambda entry: entry[0]):
        if len(taken) == limit:
            break
        counts[home] += 1
        taken.append((home, item))
    rest: dict[str, str] = {}
    for home, part in parts.items():
        count = counts[home]
        if count < len(part.items):
            rest[home] = position(part.items[count - 1]) if count else before.parts[home]
        elif part.next is not None:
            rest[home] = part.next
    away = tuple(sorted({*before.away, *(home for home in before.parts if home not in parts)}))
    return Together(taken, Positions(rest, away) if rest else None, away)


def is_of_all(text: str) -> bool:
    """Whether a cursor is one of all homes, and not of one."""
    return text.startswith(_START_OF)


def sealed(positions: Positions, key: bytes, question: bytes) -> str:
    """Return a cursor as callers carry it: it serves for its own question, as it is, and for nothing else."""
    content = zlib.compress(msgspec.json.encode(positions), 9)
    return _START_OF + urlsafe_b64encode(_seal(content, key, question) + content).decode().rstrip("=")


def opened(text: str, key: bytes, question: bytes) -> Positions:
    """Return where a list goes on.

    Raises:
        InvalidInputError: The cursor is none of ours, was changed, or belongs to another question.
    """
    wrong = InvalidInputError(
        "cursor", "cursor was changed, or is another query's or another home's. Take it from this query's own answer."
    )
    if not is_of_all(text) or len(text) > MAX_CURSOR:
        raise wrong
    coded = text[len(_START_OF) :]
    try:
        given = urlsafe_b64decode(coded.encode("ascii") + b"=" * (-len(coded) % 4))
        seal, content = given[:_SEAL_BYTES], given[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, _seal(content, key, question)):
            raise wrong
        unpacking = zlib.decompressobj()
        positions = msgspec.json.decode(unpacking.decompress(content, _MAX_CONTENT), type=Positions)
    except (ValueError, zlib.error, msgspec.MsgspecError) as error:  # UnicodeEncodeError, binascii.Error
        raise wrong from error
    if len(positions.parts) > MAX_HOMES or any(len(one) > MAX_POSITION for one in positions.parts.values()):
        raise wrong
    return positions


def _seal(content: bytes, key: bytes, question: bytes) -> bytes:
    return hmac.digest(key, b"all homes" + question + content, "sha256")[:_SEAL_BYTES]
