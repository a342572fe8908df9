"""What the headers of a request claim of its signature: read as receivers read them, or why they cannot be read."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from tidings.core.webhook import Signature

MAX_ASYMMETRIC: Final = 20  # signatures by private keys in one header that are looked at; each takes a tenth of a millisecond
_MAX_STAMP: Final = 15  # digits; longer ones are later than any clock shows
_HEX_DIGITS: Final = 64
_SMALL_HEX: Final = frozenset("0123456789abcdef")

STANDARD: Final = ("standard", "cloudevents", "cloudevents-structured")
OWN: Final[dict[str, Signature]] = {
    "vivreal": Signature("X-Vivreal-Signature", "hex"),
    "vivreal-content": Signature("X-Vivreal-Signature", "sha256=hex"),
    "fluxbase": Signature("X-Fluxbase-Signature", "hex"),
    "fluxbase-t": Signature("X-Fluxbase-Signature", "t=,v1="),
}
TOKEN: Final = "vski"  # noqa: S105 - a profile's name
KNOWN: Final = (*STANDARD, *OWN, TOKEN)


class Reason(StrEnum):
    """Why a request is verified or not."""

    VERIFIED = "verified"
    UNASKED = "unasked"  # nobody said what it should be signed with
    MISSING = "missing_header"
    MALFORMED = "malformed"
    PROFILE = "wrong_profile"
    KEY = "wrong_key"  # the right secret, read in another way
    CONTENT = "wrong_content"  # the right secret, over something beside the body that should not be there, or without it
    REWRITTEN = "rewritten_body"
    TIME = "wrong_time"
    SECRET = "wrong_secret"  # noqa: S105 - a name, no secret
    TOKEN = "wrong_token"  # noqa: S105
    UNREADABLE = "unreadable_secret"
    UNKNOWN = "unknown"  # it could not be looked at


class Verdict(msgspec.Struct, frozen=True):
    """Whether a request is signed as expected, and why.

    Attributes:
        reason: A stable name, of `Reason`.
        sentence: What is so, and what to do. It quotes headers; who shows it sees to what cannot be seen.
        seconds_off: How long before now it was signed; less than 0: after now. None: it says no time.
    """

    is_verified: bool
    reason: str
    sentence: str
    seconds_off: float | None = None


class Claim(msgspec.Struct, frozen=True):
    """A signature that can be read, as a header says it.

    Attributes:
        header: Where it is.
        macs: Codes of 32 bytes; any of them may fit.
        before: What is signed before the body.
        stamp: When it was signed, as it is written; None: it does not say.
        asymmetric: Signatures by a private key, with what of the message they are over before the body.
        is_text: The key is the secret's text.
    """

    header: str
    macs: tuple[bytes, ...]
    before: bytes = b""
    stamp: str | None = None
    asymmetric: tuple[tuple[str, bytes], ...] = ()
    is_text: bool = True


def standard_claim(headers: Mapping[str, str]) -> Claim | Verdict:
    """Read the headers of Standard Webhooks, whose names are in small letters."""
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not headers.get(name):
            return _missing(name)
    message_id, stamp = headers["webhook-id"], headers["webhook-timestamp"]
    if not _is_stamp(stamp):
        said = f"webhook-timestamp is {stamp[:40]!r}; it must be whole seconds since 1970."
        return Verdict(False, Reason.MALFORMED, said)
    given = headers["webhook-signature"].split(" ")
    macs = tuple(mac for one in given if one.startswith("v1,") and (mac := _from_base64(one[3:])) is not None)
    raw = f"{message_id}.{stamp}.".encode(errors="replace")
    asymmetric = tuple((one[4:], raw) for one in given if one.startswith("v1a,"))[:MAX_ASYMMETRIC]
    if not macs and not asymmetric:
        said = "webhook-signature has no signature that can be read; it is `v1,` and the base64 of 32 bytes."
        return Verdict(False, Reason.MALFORMED, said)
    before = f"{message_id}.{int(stamp)}.".encode(errors="replace")
    return Claim("webhook-signature", macs, before, stamp, asymmetric, is_text=False)


def own_claim(signature: Signature, headers: Mapping[str, str]) -> Claim | Verdict:
    """Read a signature that stands alone in a header. A time is taken where none is asked for, as receivers of ours do."""
    name = signature.header
    value = headers.get(name.lower(), "")
    if not value:
        return _missing(name)
    if signature.format == "base64":
        mac = _from_base64(value)
        return _unread(name, "the base64 of 32 bytes") if mac is None else Claim(name, (mac,))
    if "t=" in value:
        return _timed_claim(name, value)
    if signature.format == "t=,v1=":
        return _unread(name, "t=<seconds>,v1=<64 digits of hex>")
    mac = _from_hex(value.removeprefix("sha256="))
    return _unread(name, "64 digits of hex, in small letters") if mac is None else Claim(name, (mac,))


def _timed_claim(name: str, value: str) -> Claim | Verdict:
    parts = [part.strip() for part in value.split(",")]
    stamp = next((part[2:] for part in reversed(parts) if part.startswith("t=")), "")
    if not _is_stamp(stamp):
        return Verdict(False, Reason.MALFORMED, f"{name} has the time {stamp[:40]!r}; it must be whole seconds since 1970.")
    codes = [_from_hex(part[3:]) for part in parts if part.startswith("v1=")]
    macs = tuple(mac for mac in codes if mac is not None)
    if not macs:
        return _unread(name, "t=<seconds>,v1=<64 digits of hex>")
    return Claim(name, macs, f"{stamp}.".encode(), stamp)


def _missing(name: str) -> Verdict:
    return Verdict(
        False, Reason.MISSING, f"The header {name} is missing: the request is not signed, or something took it away."
    )


def _unread(name: str, form: str) -> Verdict:
    return Verdict(False, Reason.MALFORMED, f"{name} is no signature that can be read; it must be {form}.")


def _is_stamp(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_STAMP


def _from_base64(text: str) -> bytes | None:
    """Return 32 bytes from their one base64; other ways to write them are not what a receiver compares with."""
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    return data if len(data) == 32 and b64encode(data).decode() == text else None


def _from_hex(text: str) -> bytes | None:
    is_hex = len(text) == _HEX_DIGITS and _SMALL_HEX.issuperset(text)
    return bytes.fromhex(text) if is_hex else None
