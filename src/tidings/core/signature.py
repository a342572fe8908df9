"""Signatures of Standard Webhooks 1.0: `v1,<base64 of HMAC-SHA256 over id.timestamp.body>`.

The id and the timestamp are inside the signed text, so neither can be replaced; the body is signed as the bytes that
travel, never as a re-serialised object.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from tidings.core.errors import InvalidInputError

SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret
MIN_SECRET_BYTES = 24  # Standard Webhooks 1.0, "Signature scheme": between 24 and 64 bytes
MAX_SECRET_BYTES = 64


def sign_v1(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the symmetric signature of a message.

    Args:
        key: The secret's bytes, decoded from its `whsec_` form.
        timestamp: Seconds since 1970, the time of the attempt.
    """
    digest = hmac.digest(key, b"%s.%d.%s" % (message_id.encode(), timestamp, body), "sha256")
    return "v1," + b64encode(digest).decode()


def new_secret(random_bytes: bytes) -> str:
    """Return random bytes as a secret is written."""
    return SECRET_PREFIX + b64encode(random_bytes).decode()


def secret_key(secret: str) -> bytes:
    """Return the bytes of a secret.

    Raises:
        InvalidInputError: It is not `whsec_` and base64 of 24 to 64 bytes.
    """
    try:
        key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (Base64Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise InvalidInputError(
            "secret",
            f"secret must be `{SECRET_PREFIX}` followed by the base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes. "
            "Leave it out and Tidings makes one.",
        )
    return key
