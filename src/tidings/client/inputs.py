"""What may be said in calls, as types for keyword arguments. What is left out is left to the server; None is sent as null."""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from tidings.client.filters import DryRunAsked, Id, RetryFilters, When


class RetryInput(RetryFilters, total=False):
    """Which deliveries are sent again: up to 1,000 by `ids`, or what a search finds; `rate_per_second` go into the queue."""

    ids: Sequence[Id]
    rate_per_second: float | None


class WebhookSettings(TypedDict, total=False):
    """What may be said of a webhook beside its `url` and `events`.

    `retry`: `{"delays": [5, 60]}` or `{"base": 5, "factor": 2, "tries": 4}`; it wins over `max_retries` and
    `retry_backoff_seconds`. Without `profile` the server chooses by the shape of the request; `profile_reason` says why.
    """

    name: str
    description: str | None
    enabled: bool
    profile: str
    secret: str | None
    asymmetric: bool
    signature: dict[str, str] | None
    body_template: str | None
    jwt_enabled: bool
    auth: dict[str, str] | None
    client_certificate: dict[str, Any] | None
    ca_certificates: str | Sequence[Any] | None
    method: str
    headers: dict[str, str]
    timeout_seconds: float
    retry: dict[str, Any]
    max_retries: int
    retry_backoff_seconds: float
    concurrency: int
    rate_per_second: float | None
    ordered: bool


class WebhookChange(WebhookSettings, total=False):
    """What may be changed of a webhook. `version`: only if it is still at this one."""

    url: str
    events: Sequence[Any]
    version: int


class TestInput(TypedDict, total=False):
    """What a test event is: `event`, a type by the names of the webhook's profile, with `data` instead of its example; or with
    `table` the change of a row."""

    __test__ = False  # type: ignore[misc]  # no test of ours, whatever pytest thinks of the name

    event: str | None
    table: str | None
    schema: str
    record: Any
    old_record: Any
    data: Any


class PreviewInput(WebhookChange, total=False):
    """Fields of a webhook as they would be; `event_id` for an event of history, or a sample as for `test`."""

    event_id: Id
    event: str
    table: str
    schema: str
    record: Any
    old_record: Any
    data: Any


class DryRunInput(DryRunAsked, WebhookChange, total=False):
    """A webhook as it would be, and of how many days."""


class RecoverInput(TypedDict, total=False):
    """Of which time. `until` is not included; now when absent. `missing`: also what the webhook never had a delivery of: from
    while it was paused, disabled or not there. `rate_per_second`: how many go into the queue."""

    since: Required[When]
    until: When | None
    missing: bool
    rate_per_second: float | None


class ListenerInput(TypedDict, total=False):
    """Which listener, by its name, and what it hears: `events` with a profile, or what a webhook hears; else everything."""

    name: Required[str]
    webhook_id: Id | None
    events: Sequence[Any] | str
    profile: str


class TakeInput(TypedDict, total=False):
    """`session`: an id that you made up. `held`: the leases you have. `limit`: 64 at most. `wait_seconds`: 10 at most."""

    session: Required[Id]
    held: Sequence[int]
    limit: int
    wait_seconds: float


class AttemptTold(TypedDict, total=False):
    """What came of a delivery: an answer, by its `response_status`, or a `failure` such as `timeout`, with a sentence."""

    lease: Required[int]
    version: Required[int]
    response_status: int | None
    response_headers: Sequence[tuple[str, str]]
    response_body: str
    is_truncated: bool
    failure: str | None
    error: str | None
    total_ms: float


class Rotation(TypedDict, total=False):
    """Which secret comes next (made when absent), and how long the present one verifies beside it (a day)."""

    secret: str | None
    overlap_seconds: float


class EventTypeInput(TypedDict, total=False):
    """What is said of an event type. `schema`: JSON Schema that its data must satisfy."""

    description: str | None
    schema: dict[str, Any] | bool | None
    example: Any


class LimitsInput(TypedDict, total=False):
    """Limits to change; None: no limit. `events_burst`: how many events at once after a pause."""

    webhooks: int | None
    events_per_second: int | None
    events_burst: int | None
    stored_bytes: int | None
    payload_bytes: int | None


class TableInput(TypedDict, total=False):
    """How a table is to be captured; what is left out is as for any table."""

    group_by: str | None
    unknown_groups: str
    exclude: Sequence[str]
    rename: dict[str, str]
    changed: Sequence[str]
    when: str | dict[str, str]


class CollectionInput(TypedDict, total=False):
    """What a collection is. `drop`: fields whose values may be lost by a change."""

    name: str
    type: str
    schema: Sequence[Any]
    options: dict[str, Any] | str
    author: str | None
    drop: Sequence[str]


class JobInput(TypedDict, total=False):
    """What a job does, and when. `missed`: ticks that passed while nothing ran happen `once` on return, or not (`skip`).
    `timeout`: seconds that the request, or the SQL, may take."""

    name: str
    schedule: str
    timezone: str
    type: str
    url: str
    method: str
    headers: dict[str, str] | str
    body: Any
    contentType: str | None
    retryLimit: int
    jwtEnabled: bool
    sql: str
    database: str | None
    timeout: float
    missed: str
    active: bool


class IntegrationInput(TypedDict, total=False):
    """What an integration is. `secret`: made when absent."""

    name: str
    platform: str
    secret: str | None
    settings: dict[str, Any]
    enabled: bool


class Brand(TypedDict, total=False):
    """How a customer's portal looks: a name, a picture as a `data:` URL, a colour as `#rrggbb`."""

    name: str | None
    logo: str | None
    accent: str | None


class BinInput(TypedDict, total=False):
    """What a bin answers, and what verifies what comes: a profile and a secret, or a webhook's."""

    name: str
    status: int
    delay_seconds: float
    body: str
    content_type: str
    profile: str | None
    secret: str | None
    signature: dict[str, str] | None
    webhook_id: Id | None


class PortalLinkInput(TypedDict, total=False):
    """How long a link holds (seconds), what it allows, how the portal looks, and which pages may frame it."""

    expires_in: int
    access: Literal["read", "manage", "full"]
    brand: Brand | None
    origins: Sequence[str]


class KeyRotation(TypedDict, total=False):
    """How long new keys are published before they sign; `leaked`: the old ones are published no longer than they sign."""

    overlap_seconds: int
    leaked: bool


class ApiKeyInput(TypedDict, total=False):
    """A key to make: what it is for, what it may do, the group it is for (None: all), and for how many seconds it is good."""

    name: Required[str]
    scopes: Required[Sequence[str]]
    bound_to: str | None
    expires_in: int | None


class MemberInput(TypedDict, total=False):
    """Somebody to invite: by an address, with a role, for some groups (None: all)."""

    email: Required[str]
    role: Required[str]
    groups: Sequence[str] | None


class MemberRoleInput(TypedDict, total=False):
    """What a member is to be, in some groups (None: in all)."""

    role: Required[str]
    groups: Sequence[str] | None


class ApiKeyRotation(TypedDict, total=False):
    """How long the present key is good beside the new one, and for how many seconds from now that is (None: as before)."""

    overlap_seconds: int
    expires_in: int | None


class EventInput(TypedDict, total=False):
    """An event to publish. `id`: your own; publishing it again sends nothing again."""

    type: Required[str]
    data: Any
    subject: str | None
    id: str | None


class NarrowingInput(TypedDict, total=False):
    """What a group may not call although the installation may; all of it, each time. `networks`, `ports`: only these."""

    networks: Sequence[str]
    denied_networks: Sequence[str]
    ports: Sequence[str]
    denied_ports: Sequence[str]
    https_only: bool
