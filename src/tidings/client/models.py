"""What the API answers of webhooks, as types. Fields a newer server adds are ignored."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.client.history_models import Figures


class Health(msgspec.Struct, frozen=True):
    """How a webhook fares: `healthy`, `failing`, `resting`, `paused`, `disabled`, `idle`, since when, and why.

    `expiring` and `expired` say that nothing fails, and a certificate of it ends within 30 days or has ended.

    `hour`, `day` and `month` are told of one webhook; in a list there is the last hour's `success_rate`.
    """

    state: str
    sentence: str
    waiting: int
    sending: int
    since: datetime | None = None
    until: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure: str | None = None
    success_rate: float | None = None
    hour: Figures | None = None
    day: Figures | None = None
    month: Figures | None = None


class Warned(msgspec.Struct, frozen=True):
    """What a call did that somebody should know: who hears less than one may think. `field`: what it is about."""

    code: str
    message: str
    field: str


class TableState(msgspec.Struct, frozen=True):
    """Whether the changes of a table that a webhook names are captured; `reason`: why not."""

    schema: str
    table: str
    state: str
    reason: str | None = None


class Certificate(msgspec.Struct, frozen=True):
    """What is shown of a certificate. `fingerprint`: SHA-256, in hex."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint: str


class Webhook(msgspec.Struct, frozen=True):
    """A subscription. `secret`, and `profile_reason`, are in the answer to its creation only; `health` where it is read."""

    id: UUID
    name: str
    url: str
    enabled: bool
    profile: str
    events: list[Any]
    method: str
    headers: dict[str, str]
    timeout_seconds: float
    retry: dict[str, Any]
    concurrency: int
    ordered: bool
    asymmetric: bool
    jwt_enabled: bool
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    disabled_reason: str | None = None
    signature: dict[str, str] | None = None
    body_template: str | None = None
    auth: dict[str, str] | None = None
    client_certificate: Certificate | None = None
    ca_certificates: list[Certificate] | None = None
    rate_per_second: float | None = None
    version: int = 1
    fault: str | None = None
    managed_by: str | None = None
    tables: list[TableState] = []
    health: Health | None = None
    profile_reason: str | None = None
    secret: str | None = None
    warnings: list[Warned] = []


class TestResult(msgspec.Struct, frozen=True):
    """What came of a test delivery. `success` is None while no attempt is on record.

    Attributes:
        outcome: `answered`, `refused`, `timed_out`, `no_worker` or `waiting`; None from servers of before.
    """

    __test__ = False  # no test of ours, whatever pytest thinks of the name

    message: str
    event_id: UUID
    delivery_id: UUID
    outcome: str | None = None
    success: bool | None = None
    response_status: int | None = None
    response_body: str | None = None
    error: str | None = None
    total_ms: float | None = None


class PreviewedEvent(msgspec.Struct, frozen=True):
    """The event of a preview. `name`: what the profile calls it; `is_sample`: it never happened."""

    id: UUID
    type: str
    name: str
    is_sample: bool
    occurred_at: datetime


class Preview(msgspec.Struct, frozen=True):
    """A request as it would be sent. `notes`: what will differ when it is."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str
    profile: str
    event: PreviewedEvent
    notes: list[str]
    profile_reason: str | None = None


class Secret(msgspec.Struct, frozen=True):
    """A webhook's secret; until `previous_secret_until` deliveries verify with either."""

    secret: str
    public_key: str
    previous_secret: str | None = None
    previous_secret_until: datetime | None = None


class Version(msgspec.Struct, frozen=True):
    """A webhook as it was for a time. `changes`: of each changed field what it was before, and then."""

    version: int
    created_at: datetime
    superseded_at: datetime | None = None
    changes: dict[str, tuple[Any, Any]] = {}


class HeardEvent(msgspec.Struct, frozen=True):
    """An event that a webhook would have been sent. `name`: what its receiver knows it as."""

    id: UUID
    type: str
    name: str
    source: str
    occurred_at: datetime
    operation: str | None = None
    schema: str | None = None
    table: str | None = None
    subject: str | None = None


class DryRun(msgspec.Struct, frozen=True):
    """What a webhook would have been sent since a time, newest first. `cursor`: where to go on; None: all was looked at."""

    profile: str
    since: datetime
    events: list[HeardEvent]
    seen: int
    searched_to: datetime | None = None
    cursor: UUID | None = None
