"""Vouchers: what a home tells another of who asks it, and for what, sealed with the key that homes share.

A home that hands a request on has judged the caller's key, and says what it found: the key itself stays where it was shown. A
voucher is good at one home, for one method, one target and one group, within a minute. What bodies callers send it does not
say, since they travel as they come: homes are asked by TLS alone. Without the key nobody makes one, so nobody can say that a
request was handed on and skip what is asked of everybody else.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.api_key import ApiKey
from tidings.core.scopes import known_scopes

HEADER: Final = "tidings-voucher"
GOOD_FOR: Final = timedelta(seconds=60)  # either way: clocks of two databases differ
MAX_LENGTH: Final = 8192
_SEAL_BYTES: Final = 32


class VouchedKey(msgspec.Struct, frozen=True):
    """A key that was judged elsewhere."""

    id: UUID
    name: str
    group_id: str | None
    scopes: tuple[str, ...]


class Voucher(msgspec.Struct, frozen=True):
    """What a home says of a request.

    Attributes:
        sender, home: Who says it, and to whom.
        target: The path with its query, as it is sent, and the group that its header names (`said_of`): their digest.
        body: The digest of what homes ask each other; of what callers send nothing.
        key: The caller's; None: the home asks for itself.
        address: The caller's.
        group_id: The group that it is handed on for; None: it is for the home, whatever lives there.
    """

    sender: str
    home: str
    at: datetime
    method: str
    target: str
    body: str = ""
    key: VouchedKey | None = None
    address: str = ""
    group_id: str | None = None


def vouched(key: ApiKey) -> VouchedKey:
    """Return what is said of a key."""
    return VouchedKey(key.id, key.name, key.group_id, tuple(scope.value for scope in key.scopes))


def as_key(said: VouchedKey, at: datetime) -> ApiKey:
    """Return the key that something is said of. Nothing that anybody shows fits it."""
    return ApiKey(said.id, said.name, said.group_id, known_scopes(said.scopes), b"", at)


def seal_key(homes_key: str) -> bytes:
    """Return what vouchers are sealed with."""
    return hmac.digest(homes_key.encode(), b"tidings vouchers", "sha256")


def cursor_key(homes_key: str) -> bytes:
    """Return what cursors of all homes are sealed with: whichever of them is asked for the next page knows them."""
    return hmac.digest(homes_key.encode(), b"tidings cursors of all homes", "sha256")


def digest_of(content: bytes) -> str:
    """Return what a voucher says of a target, or of a body."""
    return hashlib.sha256(content).hexdigest()


def sealed(voucher: Voucher, key: bytes) -> str:
    """Return a voucher as a header carries it."""
    content = msgspec.json.encode(voucher)
    return urlsafe_b64encode(hmac.digest(key, content, "sha256") + content).decode()


def opened(text: str, key: bytes, now: datetime) -> Voucher | None:
    """Return the voucher that a header carries; None: it was sealed by nobody who may, or is not of now."""
    if len(text) > MAX_LENGTH:
        return None
    try:
        given = urlsafe_b64decode(text.encode("ascii"))
        seal, content = given[:_SEAL_BYTES], given[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, hmac.digest(key, content, "sha256")):
            return None
        voucher = msgspec.json.decode(content, type=Voucher)
    except (ValueError, msgspec.MsgspecError):  # UnicodeEncodeError, binascii.Error
        return None
    return voucher if abs(voucher.at - now) <= GOOD_FOR else None


def said_of(target: bytes, group_header: str | None) -> str:
    """Return what a voucher says of a target, and of the group that the request names in its header, if it does."""
    return digest_of(target if group_header is None else target + b"\0" + group_header.encode("latin-1"))


def is_for(voucher: Voucher, home: str, method: str, target: bytes, group_header: str | None = None) -> bool:
    """Whether a voucher is for this home and this request."""
    return (voucher.home, voucher.method, voucher.target) == (home, method, said_of(target, group_header))
