"""What the API answers of history, as types: events, deliveries, attempts, sums. Fields a newer server adds are ignored."""

from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")


class SentRequest(msgspec.Struct, frozen=True):
    """A request. `body` is None where others take all the room of the answer. `is_redacted`: a rule hides some of it."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: str | None = None
    is_redacted: bool = False


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
