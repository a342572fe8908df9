"""A request bin: an address that takes any request, keeps it for a while and answers as told."""

import re
from codecs import getincrementaldecoder
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.api_key import without_keys
from tidings.core.errors import InvalidInputError
from tidings.core.text import check_text
from tidings.core.webhook import Signature

MAX_BINS: Final = 100  # of a group
MAX_NAME: Final = 200  # characters
KEPT_REQUESTS: Final = 500  # of a bin, the newest
KEPT_FOR: Final = timedelta(days=1)
UNUSED_FOR: Final = timedelta(days=30)  # after which a bin goes: nothing came to it, and nobody changed it
READ_BYTES: Final = 1_048_576  # of a body; a longer one is refused, and what was read of it is kept as far as any
KEPT_BYTES: Final = 262_144  # of a body
KEPT_BYTES_OF_BIN: Final = 8_388_608  # of all bodies, paths and headers that a bin keeps
KEPT_PATH: Final = 8_192  # characters
MAX_DELAY_SECONDS: Final = 30.0
MAX_ANSWER_BYTES: Final = 65_536
MAX_CONTENT_TYPE: Final = 200
RATE: Final = 50.0  # requests that a bin takes in a second, for long
BURST: Final = 200.0  # and at once
MAX_COUNTED: Final = 10_000  # bins whose rate is known
BODILESS: Final = frozenset({204, 304})  # an answer with one of these has no body (RFC 9110, section 6.4.1)

_CONTENT_TYPE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+/[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:;[\x20-\x7e]*)?")


class Answer(msgspec.Struct, frozen=True):
    """What a bin answers.

    Attributes:
        delay_seconds: Until it does.
    """

    status: int = 200
    delay_seconds: float = 0.0
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


class Bin(msgspec.Struct, frozen=True):
    """A request bin without its secret.

    Attributes:
        id: Nobody can guess it: its address is `/bin/<id>`.
        profile: By whose rules requests should be signed; None: they are not verified, or by those of the webhook.
        signature: Instead of the profile's own.
        has_secret: It has one of its own to verify with.
        webhook_id: Whose secret verifies.
        request_count: How many requests were ever taken; each has the number it was.
        refused_count: How many were not, because too many came at once.
        used_at: When something came last, or it was made or changed.
    """

    id: UUID
    group_id: str
    name: str
    answer: Answer
    created_at: datetime
    updated_at: datetime
    used_at: datetime
    profile: str | None = None
    signature: Signature | None = None
    has_secret: bool = False
    webhook_id: UUID | None = None
    request_count: int = 0
    refused_count: int = 0


class Caught(msgspec.Struct, frozen=True):
    """A request as it came to a bin.

    Attributes:
        path: With the query string, as it was sent.
        headers: In their order, read as Latin-1, so that every byte stays.
        body: What was read of it.
        is_whole: There was no more of it.
        address: Where it came from.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_whole: bool
    address: str
    received_at: datetime


def as_kept(request: Caught, admin_key: str | None) -> Caught:
    """Return a request as it is kept: with stars for keys of ours, which somebody sent to the wrong address.

    Args:
        admin_key: That of the settings, which may look as it likes, so it is looked for in headers alone.
    """
    return msgspec.structs.replace(
        request,
        path=_masked(request.path),
        headers=tuple((name, _masked(_without(value, admin_key))) for name, value in request.headers),
        body=without_keys(request.body),
    )


def _masked(text: str) -> str:
    return without_keys(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _without(value: str, admin_key: str | None) -> str:
    """Return a header's value with stars for a key that is all of it, or all behind a scheme such as `Bearer`."""
    scheme, blank, rest = value.rpartition(" ")
    return f"{scheme}{blank}***" if admin_key and rest == admin_key else value


def check_name(name: str) -> str:
    """Return the name of a bin as it is kept.

    Raises:
        InvalidInputError: It is too long, or has control characters.
    """
    if len(name) > MAX_NAME:
        raise InvalidInputError("name", f"name has {len(name)} characters; write at most {MAX_NAME}.")
    check_text(name, "name")
    return name


def check_answer(answer: Answer) -> Answer:
    """Refuse an answer that cannot be given.

    Raises:
        InvalidInputError: With the field and the reason.
    """
    if not 200 <= answer.status <= 599:
        raise InvalidInputError("status", f"status is {answer.status}; write 200 to 599.")
    if not 0 <= answer.delay_seconds <= MAX_DELAY_SECONDS:
        said = f"delay_seconds is {answer.delay_seconds:g}; write 0 to {MAX_DELAY_SECONDS:g} seconds."
        raise InvalidInputError("delay_seconds", said)
    try:
        size = len(answer.body.encode())
    except UnicodeEncodeError:
        raise InvalidInputError("body", "body has half of a surrogate pair, which is no text.") from None
    if size > MAX_ANSWER_BYTES:
        raise InvalidInputError("body", f"body has {size} bytes; write at most {MAX_ANSWER_BYTES}.")
    if "\x00" in answer.body:
        raise InvalidInputError("body", "body contains U+0000, which PostgreSQL cannot store; leave it out.")
    if len(answer.content_type) > MAX_CONTENT_TYPE or not _CONTENT_TYPE.fullmatch(answer.content_type):
        said = f"content_type is no media type; write one such as application/json, of {MAX_CONTENT_TYPE} characters at most."
        raise InvalidInputError("content_type", said)
    return answer


class Rates:
    """How fast requests come to each bin: a bucket for each, which fills as time passes. One event loop reads and writes it."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[UUID, tuple[float, float]] = OrderedDict()  # the one that was used last stands last
        self._refused: dict[UUID, int] = {}

    def admit(self, bin_id: UUID, now: float) -> bool:
        """Whether a bin takes one more.

        Args:
            now: Monotonic seconds.
        """
        at, left = self._buckets.pop(bin_id, (now, BURST))
        left = min(BURST, left + (now - at) * RATE)
        is_admitted = left >= 1
        self._buckets[bin_id] = (now, left - is_admitted)
        if not is_admitted:
            self._refused[bin_id] = self._refused.get(bin_id, 0) + 1
        while len(self._buckets) > MAX_COUNTED:
            gone, _ = self._buckets.popitem(last=False)
            self._refused.pop(gone, None)
        return is_admitted

    def take_refused(self, bin_id: UUID) -> int:
        """Return how many were refused that were not told before."""
        return self._refused.pop(bin_id, 0)

    def give_back(self, refused: Mapping[UUID, int]) -> None:
        """Tell again, the next time, what could not be written."""
        for bin_id, count in refused.items():
            if count:
                self._refused[bin_id] = self._refused.get(bin_id, 0) + count


def text_of(body: bytes, *, is_cut: bool) -> str | None:
    """Return a body as text; None: it is none.

    Args:
        is_cut: It may end in the middle of a character, which is left out then.
    """
    try:
        return getincrementaldecoder("utf-8")().decode(body, final=not is_cut)
    except UnicodeDecodeError:
        return None
