"""Tokens that identify a sender where nothing signs the body: what profile `vski` sends with `jwt_enabled`."""

import math
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PUBLIC_KEY_PREFIX = "whpk_"
ROLE = "webhook"  # tokens of people, signed by the same key, do not have it


def public_key_of(text: str) -> Ed25519PublicKey:
    """Return a key as the API writes it, `whpk_…`.

    Raises:
        ValueError: It is none.
    """
    return Ed25519PublicKey.from_public_bytes(b64decode(text.removeprefix(PUBLIC_KEY_PREFIX)))


def fault_of(
    authorization: str,
    keys: Iterable[str] | Mapping[str, Any],
    *,
    issuer: str | None,
    webhook_id: str | None,
    tolerance_seconds: float,
    now: float,
) -> str | None:
    """Say what is wrong with a token; None: nothing.

    Args:
        keys: A JSON Web Key Set, or keys as `whpk_…`.
        issuer: Who must have made it; anybody with the key when None.
        webhook_id: Of which webhook it must be; of any when None.
    """
    scheme, _, token = authorization.partition(" ")
    parts = token.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return "Authorization is no bearer token."
    try:
        head, claims = (msgspec.json.decode(_decoded(part), type=dict[str, Any]) for part in parts[:2])
        signature = _decoded(parts[2])
    except (ValueError, msgspec.DecodeError):
        return "Authorization is no token that can be read."
    signed = f"{parts[0]}.{parts[1]}".encode()
    if head.get("alg") != "EdDSA" or not any(_is_by(key, signature, signed) for key in _candidates(keys, head.get("kid"))):
        return "The token is not signed by one of the keys; they are at /.well-known/jwks.json, and rotated."
    times = claims.get("iat"), claims.get("exp")
    begins, ends = (time if isinstance(time, int) else -math.inf for time in times)
    checks = (
        (begins - tolerance_seconds <= now <= ends + tolerance_seconds, "The token's time is over, or has not come."),
        (ROLE in (claims.get("roles") or ()), "The token is not one of a webhook."),
        (issuer in {None, claims.get("iss")}, f"The token is not of {issuer}."),
        (webhook_id in {None, claims.get("sub")}, f"The token is not of webhook {webhook_id}."),
    )
    return next((fault for holds, fault in checks if not holds), None)


def _candidates(keys: Iterable[str] | Mapping[str, Any], key_id: Any) -> list[Ed25519PublicKey]:
    if isinstance(keys, Mapping):
        found = [key for key in keys.get("keys", ()) if key.get("crv") == "Ed25519" and key.get("kid") == key_id]
        return [Ed25519PublicKey.from_public_bytes(_decoded(key["x"])) for key in found]
    return [public_key_of(key) for key in keys]


def _is_by(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
