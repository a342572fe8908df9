"""What a signature may depend on, and a written request taken apart."""

from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidings.core.event import Event
from tidings.core.signature import HmacKey


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One attempt to be signed.

    Attributes:
        timestamp: Seconds since 1970, the time of this attempt.
        keys: Those that verify at this time, the newest first.
        private: What signs as well, where the webhook asks for an asymmetric signature.
    """

    event: Event
    delivery_id: UUID
    timestamp: int
    keys: tuple[HmacKey, ...]
    private: Ed25519PrivateKey | None


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request as people read it. `target` is the path and query; the host is among the headers."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


def describe(data: bytes) -> Request:
    """Take the bytes of a request apart, as `Prepared.write` made them."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return Request(method, target, headers, body)
