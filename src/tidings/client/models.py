"""What the API answers of webhooks and history, as types. Fields a newer server adds are ignored."""

from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")


class Figures(msgspec.Struct, frozen=True):
    """What attempts come to. Without any, rate and percentiles are None. `starts_at`: of a step."""

    succeeded: int
    retried: int
    failed: int
    per_second: float
    success_rate: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    starts_at: datetime | None = None


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


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one webhook."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event: str
    status: str
    attempts: int
    is_test: bool
    created_at: datetime
    response_status: int | None = None
    response_body: str | None = None
    failure: str | None = None
    error: str | None = None
    payload: Any = None
    schema: str | None = None
    table: str | None = None
    record_id: str | None = None
    delivered_at: datetime | None = None
    finished_at: datetime | None = None
    next_retry_at: datetime | None = None


class Attempt(msgspec.Struct, frozen=True):
    """One HTTP request made for a delivery. Times in milliseconds.

    Attributes:
        webhook_version: Which version of the webhook it was made by.
        request: What was sent; when one attempt is read.
    """

    number: int
    started_at: datetime
    response_headers: list[tuple[str, str]]
    is_truncated: bool
    response_status: int | None = None
    response_body: str | None = None
    failure: str | None = None
    error: str | None = None
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    webhook_version: int | None = None
    request: "SentRequest | None" = None


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


class LineError(msgspec.Struct, frozen=True):
    """Why an event of a batch was not accepted; lines are counted from 1. `retry_after_seconds`: of one that came too soon."""

    line: int
    error: str
    code: str
    field: str | None = None
    retry_after_seconds: int | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """What became of a batch. `ids`: of each event its id, None where it was not accepted."""

    accepted: int
    duplicates: int
    ids: list[UUID | None]
    errors: list[LineError]


class Published(msgspec.Struct, frozen=True):
    """What became of a publication. `duplicate`: it had been published before, and nothing was sent again."""

    id: UUID
    duplicate: bool


class Event(msgspec.Struct, frozen=True):
    """Something that happened.

    Attributes:
        record: What it says: the row as it is now, or what was published.
        old_record: The row as it was.
        external_id: The publisher's own id.
        capture_error: Why the row could not be captured whole.
        delivery_count: To how many webhooks it went.
        redacted: What a rule keeps out of it, by its paths.
        payload_gone: Why its payload is not kept any more.
    """

    id: UUID
    source: str
    type: str
    occurred_at: datetime
    operation: str | None = None
    subject: str | None = None
    schema: str | None = None
    table: str | None = None
    record: Any = None
    old_record: Any = None
    external_id: str | None = None
    capture_error: str | None = None
    delivery_count: int = 0
    redacted: list[str] = []
    payload_gone: str | None = None
    payload_gone_at: datetime | None = None


class Version(msgspec.Struct, frozen=True):
    """A webhook as it was for a time. `changes`: of each changed field what it was before, and then."""

    version: int
    created_at: datetime
    superseded_at: datetime | None = None
    changes: dict[str, tuple[Any, Any]] = {}


class Recovery(msgspec.Struct, frozen=True):
    """A job that sends many deliveries again. `progress`: from 0 to 1; None when nobody knows."""

    id: UUID
    state: str
    until: datetime
    missing: bool
    found_count: int
    queued_count: int
    skipped_count: int
    created_at: datetime
    updated_at: datetime
    webhook_id: UUID | None = None
    search: dict[str, str] | None = None
    ids: list[UUID] = []
    since: datetime | None = None
    rate_per_second: float | None = None
    progress: float | None = None
    error: str | None = None
    finished_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in {"done", "cancelled", "failed"}


class Condition(msgspec.Struct, frozen=True):
    """One thing that is asked of an event, and whether it is so."""

    name: str
    holds: bool
    sentence: str


class FilterExplained(msgspec.Struct, frozen=True):
    """One entry of a webhook's `events`, counted from 0. It matches where all of its conditions hold."""

    position: int
    matches: bool
    conditions: list[Condition]


class SentRequest(msgspec.Struct, frozen=True):
    """A request. `body` is None where others take all the room of the answer. `is_redacted`: a rule hides some of it."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str | None = None
    is_redacted: bool = False


class WebhookExplained(msgspec.Struct, frozen=True):
    """Whether an event goes to a webhook as it is now, and why. `request`: what would be sent now."""

    webhook_id: UUID
    name: str
    url: str
    profile: str
    is_sent: bool
    sentence: str
    conditions: list[Condition]
    filters: list[FilterExplained]
    filter_count: int
    notes: list[str]
    request: SentRequest | None = None
    delivery_id: UUID | None = None
    status: str | None = None


class Explained(msgspec.Struct, frozen=True):
    """An event explained for webhooks: those it goes to, then the nearest. `cursor`: of the next page; None: these were all."""

    event_id: UUID
    type: str
    webhooks: list[WebhookExplained]
    cursor: str | None = None


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


class Statistics(msgspec.Struct, frozen=True):
    """How attempts fared from `since` until `until`, in whole steps."""

    since: datetime
    until: datetime
    step: str
    total: Figures
    series: list[Figures]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list, newest first.

    Attributes:
        next: The cursor of the page after it, of older entries; None: there is none.
        prev: The cursor of the page before it.
        searched_to: How far was looked, when that was not far enough to fill the page; `next` goes on from there.
        count: How many there are, when that was asked for: `213`, `>10000`, or `>=213` where not all was looked at.
    """

    items: list[T]
    next: str | None = None
    prev: str | None = None
    searched_to: datetime | None = None
    count: str | None = None
