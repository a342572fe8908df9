"""What the API answers about privacy: redaction rules, and erasures with their reports."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class RedactionRule(msgspec.Struct, frozen=True):
    """What of events and of answers is not kept. `responses`: `full`, `scrubbed` or `none`."""

    id: UUID
    name: str
    events: list[str]
    fields: list[str]
    subject: bool
    headers: list[str]
    responses: str
    resend_hours: int
    created_at: datetime
    updated_at: datetime
    webhook_id: UUID | None = None
    payload_hours: int | None = None


class KeptEvent(msgspec.Struct, frozen=True):
    """What is kept of an event."""

    subject: str | None = None
    external_id: str | None = None
    record: Any = None
    old_record: Any = None


class RedactionPreview(msgspec.Struct, frozen=True):
    """What a rule would do to an event. `hidden`: the paths by which something would be missing."""

    event_id: UUID
    type: str
    hidden: list[str]
    responses: str
    before: KeptEvent
    after: KeptEvent


class ErasedCount(msgspec.Struct, frozen=True):
    """How many rows of a place were about the subject, and of how many that was taken out."""

    found: int
    erased: int


class Erasure(msgspec.Struct, frozen=True):
    """A job that takes what is kept of somebody out of all places. Whose it is is told by a keyed hash alone."""

    id: UUID
    state: str
    stage: str | None
    subject_hash: str
    dry_run: bool
    pending: str
    until: datetime
    progress: float
    report: dict[str, ErasedCount]
    created_at: datetime
    updated_at: datetime
    field: str | None = None
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in {"done", "cancelled", "failed"}
