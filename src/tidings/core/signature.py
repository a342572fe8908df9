"""Signatures: of Standard Webhooks 1.0, and the bare and timestamped ones of the seed systems.

A body is signed as the bytes that travel, never as a re-serialised object. Standard Webhooks signs the message's id and the
time of the attempt with it, so neither can be replaced.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Iterable
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.core.errors import InvalidInputError

SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret
MIN_SECRET_BYTES = 24  # Standard Webhooks 1.0, "Signature scheme": between 24 and 64 bytes
MAX_SECRET_BYTES = 64
MIN_TEXT_SECRET = 8  # the shortest in the seed documents has ten
MAX_TEXT_SECRET = 256

_BLOCK_BYTES = 64  # of SHA-256; a longer key is hashed first (RFC 2104, section 2)
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class HmacKey:
    """A key of HMAC-SHA256 whose two pads are hashed once.

    A signature then costs a third to a half less than `hmac.digest`, which hashes them anew (measured from 400 bytes to 4 kB).
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= _BLOCK_BYTES else sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
        self._inner, self._outer = sha256(block.translate(_INNER_PAD)), sha256(block.translate(_OUTER_PAD))

    @classmethod
    def of_text(cls, secret: str) -> "HmacKey":
        """Return the key of a secret whose text is the key."""
        return cls(secret.encode())

    @classmethod
    def of_secret(cls, secret: str) -> "HmacKey":
        """Return the key of a `whsec_` secret.

        Raises:
            InvalidInputError: It is not one.
        """
        return cls(secret_key(secret))

    def digest(self, message: bytes) -> bytes:
        """Return the code that authenticates a message, 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


def sign_v1(key: HmacKey, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the symmetric signature of a message.

    Args:
        timestamp: Seconds since 1970, the time of the attempt.
    """
    return "v1," + _base64(key.digest(f"{message_id}.{timestamp}.".encode() + body))


def sign_v1a(private: Ed25519PrivateKey, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the asymmetric signature of a message: ed25519 over the same text (Standard Webhooks 1.0, "Signature scheme")."""
    return "v1a," + _base64(private.sign(f"{message_id}.{timestamp}.".encode() + body))


def sign_hex(key: HmacKey, body: bytes) -> str:
    """Return the bare signature: HMAC-SHA256 of the body in lower-case hex (seeds 000, 001, 004)."""
    return key.digest(body).hex()


def sign_base64(key: HmacKey, body: bytes) -> str:
    """Return the same in base64."""
    return _base64(key.digest(body))


def sign_timestamped(keys: Iterable[HmacKey], timestamp: int, body: bytes) -> str:
    """Return `t=<seconds>,v1=<hex of HMAC over t.body>`, with a `v1` for each key."""
    signed = b"%d.%b" % (timestamp, body)
    return ",".join([f"t={timestamp}", *(f"v1={sign_hex(key, signed)}" for key in keys)])


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


class SigningKey(msgspec.Struct, frozen=True):
    """An ed25519 key of this installation."""

    id: str
    private: Ed25519PrivateKey

    @property
    def public_bytes(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private.public_key().public_bytes_raw()


class InstanceKeys(msgspec.Struct, frozen=True):
    """What an installation signs with.

    Attributes:
        webhooks: For `v1a` signatures.
        tokens: For JWT.
        issuer: Who the tokens say has signed them.
        signer_id: The number these three go by in history, to be found again by `store.signing_keys.load_signer`.
    """

    webhooks: SigningKey
    tokens: SigningKey
    issuer: str
    signer_id: int = 0


def new_secret(random_bytes: bytes) -> str:
    """Return random bytes as a secret is written."""
    return SECRET_PREFIX + b64encode(random_bytes).decode()


def new_text_secret(random_bytes: bytes) -> str:
    """Return random bytes as the seed systems write a secret: hex."""
    return random_bytes.hex()


def check_text_secret(secret: str) -> None:
    """Refuse what cannot serve as a secret whose text is the key.

    Raises:
        InvalidInputError: It is too short, too long, or not printable.
    """
    if not MIN_TEXT_SECRET <= len(secret) <= MAX_TEXT_SECRET or not secret.isprintable():
        raise InvalidInputError(
            "secret",
            f"secret must have {MIN_TEXT_SECRET} to {MAX_TEXT_SECRET} printable characters. "
            "Leave it out and Tidings makes one.",
        )


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
