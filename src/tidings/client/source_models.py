"""What the API answers of sources and of the installation, as types. Fields a newer server adds are ignored."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.client.models import Warned


class EventType(msgspec.Struct, frozen=True):
    """An event type that is described. `schema`: what its data must be, as JSON Schema; None: anything."""

    name: str
    built_in: bool
    description: str | None = None
    schema: Any = None
    example: Any = None
    updated_at: datetime | None = None


class Table(msgspec.Struct, frozen=True):
    """How a table is captured.

    Attributes:
        operations: Which changes are captured, since some webhook wants them.
        group_by: The column that says whose a row is.
        unknown_groups: What becomes of rows of groups that are not there.
        exclude: Columns that are told to nobody.
        rename: Column to the name it is told by.
        changed: An update is told where one of these columns changed; any, when empty.
        when: Operation to the condition under which it is told.
        fault: Why it cannot be captured so.
        state: `captured`, `missing`, `disabled` or `waiting`; `reason`: why.
    """

    schema: str
    table: str
    operations: list[str]
    unknown_groups: str
    exclude: list[str]
    rename: dict[str, str]
    changed: list[str]
    when: dict[str, str]
    group_by: str | None = None
    fault: str | None = None
    state: str | None = None
    reason: str | None = None
    warnings: list[Warned] = []


class Backfill(msgspec.Struct, frozen=True):
    """A job that sends a table's present rows to a webhook.

    `row_count` rows were sent, `skipped_count` were left to events of their own, or went. `estimated_rows`: a guess at the
    whole table, when it began. `error`: why it cannot go on for now.
    """

    id: UUID
    webhook_id: UUID
    schema: str
    table: str
    state: str
    row_count: int
    skipped_count: int
    estimated_rows: int
    created_at: datetime
    updated_at: datetime
    error: str | None = None
    finished_at: datetime | None = None
    warnings: list[Warned] = []


class Field(msgspec.Struct, frozen=True):
    """A field of a collection. `values`: what a `select` may be; `collection`: what a `relation` refers to."""

    name: str
    type: str
    required: bool = False
    unique: bool = False
    values: list[str] = []
    collection: str | None = None


class Collection(msgspec.Struct, frozen=True):
    """A collection of records, with its fields in `schema`."""

    id: str
    name: str
    type: str
    schema: list[Field]
    options: dict[str, Any]
    created: datetime
    updated: datetime
    author: str | None = None
    fault: str | None = None


class RecordPage(msgspec.Struct, frozen=True):
    """A page of records."""

    page: int
    perPage: int
    totalItems: int
    totalPages: int
    items: list[dict[str, Any]]


class Session(msgspec.Struct, frozen=True):
    """Who somebody is: the record, and a token of an hour that says so."""

    token: str
    record: dict[str, Any]


class Job(msgspec.Struct, frozen=True):
    """A job of a schedule. Of an SQL job, what belongs to requests is None; of an http job, `sql`. `next`: its next tick."""

    id: UUID
    name: str
    schedule: str
    timezone: str
    type: str
    timeout: float
    missed: str
    active: bool
    created: datetime
    updated: datetime
    url: str | None = None
    method: str | None = None
    headers: dict[str, str] | None = None
    body: str | None = None
    contentType: str | None = None
    retryLimit: int | None = None
    jwtEnabled: bool | None = None
    sql: str | None = None
    fault: str | None = None
    next: datetime | None = None


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs."""

    page: int
    perPage: int
    totalItems: int
    totalPages: int
    items: list[Job]


class Run(msgspec.Struct, frozen=True):
    """A tick that fired. `status`: `fired` (its request is a delivery of `event`), `running`, `succeeded` or `failed`."""

    scheduled: datetime
    fired: datetime
    missed: int
    status: str
    event: UUID | None = None
    result: str | None = None
    error: str | None = None
    finished: datetime | None = None


class IntegrationSettings(msgspec.Struct, frozen=True):
    """How an integration reads notices: its signature's `header` and `format`; `deployed_types` say of deployments."""

    header: str = ""
    format: str = ""
    id_header: str | None = None
    deployed_types: list[str] = []


class Integration(msgspec.Struct, frozen=True):
    """Another system that sends notices to `url`. `secret`: in the answer to its creation, where it was made here."""

    name: str
    platform: str
    url: str
    settings: IntegrationSettings
    enabled: bool
    created_at: datetime
    updated_at: datetime
    fault: str | None = None
    secret: str | None = None


class IntegrationObject(msgspec.Struct, frozen=True):
    """An object of another system, as it was told last."""

    type: str
    id: str
    version: float
    data: Any
    updated_at: datetime


class SyncResult(msgspec.Struct, frozen=True):
    """What a synchronisation came to: of each kind how many."""

    created: int
    updated: int
    deleted: int
    unchanged: int


class Group(msgspec.Struct, frozen=True):
    """A customer or tenant: webhooks and events of one are never seen by another.

    Attributes:
        deleting_at: Since when it is being deleted.
        fault: Why that cannot go on for now.
    """

    id: str
    created_at: datetime
    deleting_at: datetime | None = None
    fault: str | None = None


class PortalLink(msgspec.Struct, frozen=True):
    """A link that shows a customer the portal. `sessions`: how many browsers it let in; `access`: `read`, `manage`, `full`."""

    id: UUID
    group: str
    origins: list[str]
    sessions: int
    created_at: datetime
    expires_at: datetime
    name: str | None = None
    access: str | None = None
    made_by: str | None = None


class MadePortalLink(msgspec.Struct, frozen=True):
    """A link that was made just now. `url` is shown this once."""

    id: UUID
    group: str
    url: str
    expires_at: datetime
    access: str | None = None


class SigningKey(msgspec.Struct, frozen=True):
    """A key whose signatures verify, or will. `state`: `signing`, `next` or `before`; `until`: it is published so long."""

    id: str
    purpose: str
    state: str
    signs_from: datetime
    public_key: str
    until: datetime | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """A key of the API, without what is secret of it.

    Attributes:
        start: What the key begins with; empty for the admin key of the settings.
        bound_to: The one group that it is for; None: all of them.
        of_settings: It is the admin key of the settings.
        previous_until: Until when the one before the last rotation is good.
        used_at: When it was last used, to within a minute.
    """

    id: UUID
    name: str
    start: str
    scopes: list[str]
    created_at: datetime
    of_settings: bool = False
    bound_to: str | None = None
    rotated_at: datetime | None = None
    previous_until: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None
    used_from: str | None = None


class MadeApiKey(msgspec.Struct, frozen=True):
    """A key that was made or rotated just now. `key` is shown this once."""

    id: UUID
    name: str
    key: str
    scopes: list[str]
    bound_to: str | None = None
    previous_until: datetime | None = None
    expires_at: datetime | None = None


class SetAsideEvent(msgspec.Struct, frozen=True):
    """An event that could not be routed, or (`kind`) a delivery that history cannot hold, and why. `row`: when one is read."""

    number: int
    reason: str
    created_at: datetime
    kind: str = "event"
    group: str | None = None
    source: str | None = None
    type: str | None = None
    schema: str | None = None
    table: str | None = None
    operation: str | None = None
    row: dict[str, Any] | None = None


class Fault(msgspec.Struct, frozen=True):
    """A setting that cannot be read as it is stored. `kind` and `id` name it; `reason` is with the remedy.

    `cursor`: by which a list goes on behind it.
    """

    kind: str
    id: str
    name: str
    reason: str
    group: str | None = None
    since: datetime | None = None
    cursor: str = ""


class AuditEntry(msgspec.Struct, frozen=True):
    """What somebody did.

    Attributes:
        group: What it is about; None: the installation.
        action: Such as `webhook.created`, `secret.shown` or `link.made`.
        who: By what they acted: `key`, `session`, `member`, `link` or `system`; `who_id`: its id.
        key_id: The key that it was done with, or that the session was begun with; `key_name`: what that was called then.
        subject: What it was called then.
        changes: Field to what it was and what it is; what is secret is hidden, what is long is cut.
    """

    number: int
    at: datetime
    action: str
    who: str
    address: str
    subject: str
    group: str | None = None
    who_id: UUID | None = None
    subject_id: UUID | None = None
    key_id: UUID | None = None
    key_name: str = ""
    changes: dict[str, tuple[Any, Any]] = {}


class SealedEntry(AuditEntry, frozen=True, kw_only=True):
    """An entry with its seal.

    Attributes:
        place: In the chain: a later one has a greater place.
        hash: Over the entry and all before it, in hex.
    """

    place: int
    sealed_at: datetime
    hash: str


class AuditFault(msgspec.Struct, frozen=True):
    """The first place where the audit is not as it was written.

    Attributes:
        kind: `changed`, `removed`, `inserted`, `reordered` or `head`.
        place: In the chain; `number`: of the entry.
    """

    kind: str
    sentence: str
    place: int | None = None
    number: int | None = None


class AuditVerification(msgspec.Struct, frozen=True):
    """What came of verifying a stretch of the audit.

    Attributes:
        verified_to: Up to which place of the chain was looked, and `verified_at`: when the entry there was sealed.
        next: The `after` to go on with; None: the end was reached, or a fault.
        waiting: How many entries are not sealed yet.
        head: Where the chain ends; noted elsewhere, it shows later that the audit was not put back.
    """

    is_intact: bool
    checked: int
    verified_to: int
    waiting: int
    head: str
    verified_at: datetime | None = None
    next: int | None = None
    fault: AuditFault | None = None
