"""What calls of listeners answer."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Listener(msgspec.Struct, frozen=True):
    """Who is given deliveries when they ask. Its `id` is also that of the webhook that history knows it as.

    `secret` is in the answer to its making; not of one that mirrors a webhook. `held_until`: until when nothing is given out,
    since the receiver asked to be left alone, or what is first in order waits for its next attempt.
    """

    id: UUID
    name: str
    events: list[Any]
    profile: str
    timeout_seconds: float
    enabled: bool
    waiting: int
    under_way: int
    clients: int
    created_at: datetime
    heard_at: datetime
    webhook_id: UUID | None = None
    reason: str | None = None
    held_until: datetime | None = None
    secret: str | None = None


class Leased(msgspec.Struct, frozen=True):
    """A delivery to be sent as it is, signature and all, and told of by its `lease` and `version`."""

    lease: int
    id: UUID
    event_id: UUID
    event: str
    attempt_number: int
    method: str
    headers: list[tuple[str, str]]
    body: str
    timeout_seconds: float
    version: int


class Taken(msgspec.Struct, frozen=True):
    """Deliveries that were leased. `waiting`: how many wait beside these. `is_latest`: no later request took its place.

    `held_until`: until when nothing is given out, since the receiver asked for that, or what is first in order waits.
    """

    deliveries: list[Leased]
    waiting: int
    is_latest: bool = True
    held_until: datetime | None = None


class Recorded(msgspec.Struct, frozen=True):
    """Which results were written, by their leases, and which were refused because those had ended."""

    recorded: list[int]
    refused: list[int]


class Skipped(msgspec.Struct, frozen=True):
    """How many deliveries that waited were cancelled."""

    cancelled: int
