"""Pages and the cursors that lead from one to the next, in both directions."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.search import Span

_SEAL_BYTES = 12
_CONTENT_BYTES = 19


class Cursor(msgspec.Struct, frozen=True):
    """Where a page begins.

    Attributes:
        at: The page has ids before this one; when it goes back, from this one on.
        goes_back: To newer entries.
        skip: How many matches are still to be left out.
    """

    at: UUID
    goes_back: bool = False
    skip: int = 0


def fingerprint(of: str, asked: Any) -> bytes:
    """Return what tells one question from another. `of`: which list."""
    return hashlib.blake2b(msgspec.json.encode((of, asked)), digest_size=16).digest()


def sealed(cursor: Cursor, key: bytes, question_print: bytes) -> str:
    """Return a cursor as callers carry it: it serves for its own question, as it is, and for nothing else."""
    content = cursor.at.bytes + bytes([cursor.goes_back]) + cursor.skip.to_bytes(2, "big")
    return urlsafe_b64encode(content + _seal(content, key, question_print)).decode().rstrip("=")


def opened(text: str, key: bytes, question_print: bytes) -> Cursor:
    """Return the cursor that a caller brings. A bare id is the last of the page before.

    Raises:
        InvalidInputError: It is none of ours, was changed, or belongs to another question.
    """
    if len(text) == 36:
        try:
            return Cursor(UUID(text))
        except ValueError:
            pass
    try:
        given = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)) if len(text) < 100 else b""
    except ValueError:  # UnicodeEncodeError, binascii.Error
        given = b""
    content, seal = given[:-_SEAL_BYTES], given[-_SEAL_BYTES:]
    if len(content) != _CONTENT_BYTES or not hmac.compare_digest(seal, _seal(content, key, question_print)):
        raise InvalidInputError(
            "cursor", "cursor was changed, or is another query's. Take it from this query's own answer, or leave it out."
        )
    return Cursor(UUID(bytes=content[:16]), bool(content[16]), int.from_bytes(content[17:], "big"))


def _seal(content: bytes, key: bytes, question_print: bytes) -> bytes:
    return hmac.digest(key, question_print + content, "sha256")[:_SEAL_BYTES]


class Page(msgspec.Struct, frozen=True):
    """A page, newest first.

    Attributes:
        older, newer: Where the next page and the one before begin, where there may be one.
        searched_to: How far was looked, when that was not far enough to fill the page.
    """

    ids: Sequence[UUID]
    older: Cursor | None
    newer: Cursor | None
    searched_to: UUID | None


def begin(cursor: Cursor | None, whole: Span) -> Span:
    """Return the ids that a page is looked for among."""
    if cursor is None:
        return whole
    return whole.within(Span(low=cursor.at) if cursor.goes_back else Span(high=cursor.at))


def page_of(found: Sequence[UUID], rest: Span | None, cursor: Cursor | None, skip: int, limit: int) -> Page:
    """Return a page of what was found.

    Args:
        found: In the order it was looked for; one more than the page and what is left out, where there are so many.
        rest: What was not looked at; None: there is nothing else.
        skip: How many are left out.
    """
    goes_back = cursor is not None and cursor.goes_back
    ids = found[skip : skip + limit]
    is_full = len(found) > skip + limit
    stopped = None if is_full or rest is None else (rest.low if goes_back else rest.high)
    onward = None
    if is_full:
        onward = Cursor(_after(ids[-1]) if goes_back else ids[-1], goes_back)
    elif stopped is not None:
        onward = Cursor(stopped, goes_back, max(0, skip - len(found)))
    whence = None
    if cursor is not None:
        whence = Cursor(cursor.at, not goes_back)
    elif skip and ids:
        whence = Cursor(_after(ids[0]), goes_back=True)
    if goes_back:
        return Page(ids[::-1], whence, onward, stopped)
    return Page(ids, onward, whence, stopped)


def _after(id_: UUID) -> UUID:
    return UUID(int=id_.int + 1)
