"""What goes into a profile and what comes out of it."""

from uuid import UUID

import msgspec

from tidings.core.event import Event
from tidings.core.signature import InstanceKeys
from tidings.core.webhook import Webhook


class Rendering(msgspec.Struct, frozen=True, gc=False):
    """One attempt to be written down.

    Attributes:
        timestamp: Seconds since 1970, the time of this attempt.
        keys: What this installation signs with where a webhook's own secret does not serve: `v1a` and JWT.
    """

    event: Event
    webhook: Webhook
    delivery_id: UUID
    timestamp: int
    keys: InstanceKeys

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that verify at this time, the newest first."""
        webhook = self.webhook
        if webhook.previous_secret is None or webhook.previous_secret_until is None:
            return (webhook.secret,)
        if self.timestamp >= int(webhook.previous_secret_until.timestamp()):  # both in whole seconds
            return (webhook.secret,)
        return (webhook.secret, webhook.previous_secret)


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request ready for the sender. Header values are Latin-1 text without CR or LF."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes


Headers = list[tuple[str, str]]
