"""Tokens this installation signs (RFC 7519), with an ed25519 key that its JWKS publishes (RFC 8037)."""

from base64 import urlsafe_b64encode
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.signature import SigningKey

LIFETIME_SECONDS = 300  # longer than a request lasts, shorter than a token is worth stealing
ROLES = ("service", "webhook")  # seed 003's system asks for both

_encode = msgspec.json.encode


def webhook_claims(webhook_id: UUID, group_id: str, issuer: str, now: int) -> dict[str, Any]:
    """Return what a token says that a webhook sends.

    Args:
        now: Seconds since 1970.
    """
    return {
        "iss": issuer,
        "sub": str(webhook_id),
        "group": group_id,
        "roles": ROLES,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
    }


def sign_jwt(key: SigningKey, claims: dict[str, Any]) -> str:
    """Return the token."""
    header = _part(_encode({"alg": "EdDSA", "typ": "JWT", "kid": key.id}))
    content = f"{header}.{_part(_encode(claims))}"
    return f"{content}.{_part(key.private.sign(content.encode()))}"


def jwk(key: SigningKey) -> dict[str, str]:
    """Return the public half as a JSON Web Key."""
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id, "x": _part(key.public_bytes)}


def _part(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
