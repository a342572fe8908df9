"""What goes into a profile and what comes out of it."""

import msgspec

from tidings.core.event import Event
from tidings.core.webhook import Webhook


class Rendering(msgspec.Struct, frozen=True, gc=False):
    """One attempt to be written down.

    Attributes:
        timestamp: Seconds since 1970, the time of this attempt.
    """

    event: Event
    webhook: Webhook
    timestamp: int


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request ready for the sender. Header values are Latin-1 text without CR or LF."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
