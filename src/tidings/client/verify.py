"""For receivers: is this delivery genuine, and what does it say?"""

import hmac
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature

from tidings.core.errors import InvalidInputError
from tidings.core.signature import HmacKey, sign_hex, sign_v1
from tidings.core.token import PUBLIC_KEY_PREFIX, fault_of, public_key_of

DEFAULT_TOLERANCE_SECONDS = 300

_HEADERS = {
    "vivreal": "x-vivreal-signature",
    "vivreal-content": "x-vivreal-signature",
    "fluxbase": "x-fluxbase-signature",
    "fluxbase-t": "x-fluxbase-signature",
}
_STANDARD = ("standard", "cloudevents", "cloudevents-structured")
PROFILES = (*_STANDARD, *_HEADERS, "vski")
Secrets = str | Iterable[str] | Mapping[str, Any]
_FORMATS = ("hex", "sha256=hex", "base64", "t=,v1=")
_HEX = re.compile(r"[0-9a-f]{64}")
_MAX_STAMP_LENGTH = 15  # digits


class VerificationError(Exception):
    """What arrived is not what the sender signed, or too old."""


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: Secrets,
    *,
    profile: str = "standard",
    signature: Mapping[str, str] | None = None,
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS,
    issuer: str | None = None,
    webhook_id: str | None = None,
    now: float | None = None,
) -> Any:
    """Check a delivery and return its parsed body.

    Args:
        body: The body as it came: a parsed and re-serialised one need not be the same.
        headers: The request's headers, in any case.
        secret: The webhook's secret, or several while it is being rotated; a public key (`whpk_…`) for `v1a` signatures. For
            profile `vski`, which signs no body, the keys of its token: a JSON Web Key Set (`client.signing_keys.get_jwks()`)
            or public keys of purpose `tokens`.
        profile: How the sender signs: the webhook's profile.
        signature: The webhook's own `signature`, where it has one instead of the profile's: `{"header": …, "format": …}`.
        tolerance_seconds: How old, or how far ahead, a signed time may be.
        issuer: For `vski`: who must have made the token.
        webhook_id: For `vski`: of which webhook the token must be. Say it: the token of another one is as genuine.
        now: Seconds since 1970; the clock's time when None.

    Raises:
        VerificationError: It was not signed by one of the secrets, or its time is out of bounds.
        ValueError: There is no such profile, or a secret is not one.
    """
    content = body.encode() if isinstance(body, str) else bytes(body)
    found = {name.lower(): value for name, value in headers.items()}
    clock = time.time() if now is None else now
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}; write one of {', '.join(PROFILES)}.")
    if signature is not None:
        _verify_own(content, found, secrets, signature, tolerance_seconds, clock)
    elif profile == "vski":
        keys = secret if isinstance(secret, Mapping) else secrets
        authorization = _header(found, "authorization")
        fault = fault_of(
            authorization, keys, issuer=issuer, webhook_id=webhook_id, tolerance_seconds=tolerance_seconds, now=clock
        )
        if fault is not None:
            raise VerificationError(fault)
    elif profile in _STANDARD:
        _verify_standard(content, found, secrets, tolerance_seconds, clock)
    else:
        own = {"header": _HEADERS[profile], "format": "t=,v1=" if profile == "fluxbase-t" else "hex"}
        _verify_own(content, found, secrets, own, tolerance_seconds, clock)
    return parsed(content)


def parsed(content: bytes) -> Any:
    """Return what a verified body says; None where it is empty, as a GET's is.

    Raises:
        VerificationError: It is not JSON.
    """
    try:
        return msgspec.json.decode(content) if content else None
    except msgspec.DecodeError as error:
        raise VerificationError(f"The body is not JSON: {error}.") from error


def verify_signature(body: bytes, signature: str | None, secret: str, *, now: float | None = None) -> bool:
    """Tell whether a signature is that of a body: bare hex, `sha256=<hex>`, or `t=…,v1=…` at most five minutes old."""
    clock = time.time() if now is None else now
    return bool(signature and secret) and _is_signed(
        body, signature or "", secret, DEFAULT_TOLERANCE_SECONDS, clock, needs_time=False
    )


def _is_signed(body: bytes, signature: str, secret: str, tolerance: float, now: float, *, needs_time: bool) -> bool:
    if "t=" in signature:
        parts = [part.strip() for part in signature.split(",")]
        stamp = next((part[2:] for part in reversed(parts) if part.startswith("t=")), "")
        if not _is_near(stamp, now, tolerance):
            return False
        expected = sign_hex(HmacKey.of_text(secret), stamp.encode() + b"." + body)
        return any(_equal(part[3:], expected) for part in parts if part.startswith("v1="))
    bare = signature.removeprefix("sha256=")
    return not needs_time and _HEX.fullmatch(bare) is not None and _equal(bare, sign_hex(HmacKey.of_text(secret), body))


def _verify_own(
    body: bytes, headers: Mapping[str, str], secrets: list[str], signature: Mapping[str, str], tolerance: float, now: float
) -> None:
    """Verify a signature in one header, whose key is the secret's text."""
    name, form = signature["header"].lower(), signature.get("format", "hex")
    if form not in _FORMATS:
        raise ValueError(f"signature.format is {form!r}; write one of {', '.join(_FORMATS)}.")
    value = _header(headers, name)
    if form == "base64":
        is_signed = any(_equal(value, _base64_of(HmacKey.of_text(key), body)) for key in secrets)
    else:
        needs_time = form == "t=,v1="
        is_signed = any(_is_signed(body, value, key, tolerance, now, needs_time=needs_time) for key in secrets)
    if not is_signed:
        raise VerificationError(f"{name} is not a signature of this body by this secret.")


def _base64_of(key: HmacKey, body: bytes) -> str:
    return b64encode(bytes.fromhex(sign_hex(key, body))).decode()


def _verify_standard(body: bytes, headers: Mapping[str, str], secrets: list[str], tolerance: float, now: float) -> None:
    message_id, stamp = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
    signatures = _header(headers, "webhook-signature").split(" ")
    if not _is_near(stamp, now, tolerance):
        raise VerificationError("webhook-timestamp is not a time, or too far from now.")
    for secret in secrets:
        if secret.startswith(PUBLIC_KEY_PREFIX):
            signed = f"{message_id}.{stamp}.".encode() + body
            if any(_is_by(secret, one[4:], signed) for one in signatures if one.startswith("v1a,")):
                return
            continue
        try:
            key = HmacKey.of_secret(secret)
        except InvalidInputError as error:
            raise ValueError(error.message) from error
        expected = sign_v1(key, message_id, int(stamp), body)
        if any(_equal(one, expected) for one in signatures):
            return
    raise VerificationError("webhook-signature has no signature of this body by this secret.")


def _is_near(stamp: str, now: float, tolerance: float) -> bool:
    """Whether a signed time is one, and within the tolerance. Longer ones are later than any clock shows."""
    is_time = stamp.isascii() and stamp.isdigit() and len(stamp) <= _MAX_STAMP_LENGTH
    return is_time and abs(now - int(stamp)) <= tolerance


def _is_by(public_key: str, signature: str, signed: bytes) -> bool:
    key = public_key_of(public_key)
    try:
        key.verify(b64decode(signature), signed)
    except (InvalidSignature, ValueError):  # no signature by this key, or no Base64
        return False
    return True


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _header(headers: Mapping[str, str], name: str) -> str:
    if not (value := headers.get(name)):
        raise VerificationError(f"The header {name} is missing.")
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, as some servers make of bytes that are none
        raise VerificationError(f"The header {name} is no text.") from None
    return value
