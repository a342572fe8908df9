"""What a file of configuration can say, as types: each field with what it is when it is left out.

`UNSET` stands where what is left out stays as it is: whether something is paused (somebody may have paused it on purpose), and
what cannot be read back. Everything else that is left out is as for a new thing, so that to take a line out of the file takes
its effect away.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.redaction import DEFAULT_RESEND_HOURS

VERSION = 1


class EventTypeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event type, by its name."""

    description: str | None = None
    schema: dict[str, Any] | bool | None = None
    example: Any = None


class TableEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a table is captured, by its name: `orders`, or `sales.orders`."""

    group_by: str | None = None
    unknown_groups: str = "make"
    exclude: list[str] = []
    rename: dict[str, str] = {}
    changed: list[str] = []
    when: str | dict[str, str] = {}


class CollectionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A collection, by its name."""

    type: str = "base"
    schema: list[Any] = []
    options: dict[str, Any] = {}


class IntegrationEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An integration, by its name."""

    platform: str
    settings: dict[str, Any] = {}
    secret: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook, by its name. `retry` and `timeout_seconds` that are left out are those of the profile."""

    url: str
    events: list[Any] | str
    profile: str = "standard"
    description: str | None = None
    enabled: bool | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    asymmetric: bool = False
    signature: dict[str, Any] | None = None
    body_template: str | None = None
    jwt_enabled: bool = False
    auth: dict[str, Any] | None | UnsetType = UNSET
    client_certificate: dict[str, Any] | None | UnsetType = UNSET
    ca_certificates: str | None | UnsetType = UNSET
    method: str = "POST"
    headers: dict[str, str] = {}
    timeout_seconds: float | UnsetType = UNSET
    retry: Any | UnsetType = UNSET
    concurrency: int | UnsetType = UNSET
    rate_per_second: float | None = None
    ordered: bool = False


class JobEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job, by its name. `retryLimit` that is left out is that of profile vski."""

    schedule: str
    timezone: str = "UTC"
    url: str | UnsetType = UNSET
    method: str = "POST"
    headers: dict[str, str] = {}
    body: Any = None
    contentType: str | None = None  # noqa: N815 - as the API has it
    retryLimit: int | UnsetType = UNSET  # noqa: N815
    jwtEnabled: bool = False  # noqa: N815
    sql: str | UnsetType = UNSET
    timeout: float = 30.0
    missed: str = "once"
    active: bool | UnsetType = UNSET


class RedactionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A redaction rule, by its name. `webhook`: the one it is for, by its name."""

    events: list[str]
    webhook: str | None = None
    fields: list[str] = []
    subject: bool = False
    headers: list[str] = []
    responses: str | UnsetType = UNSET
    resend_hours: int = DEFAULT_RESEND_HOURS
    payload_hours: int | None = None


class LimitsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits. Those that are left out stay as they are; null: none."""

    webhooks: int | None | UnsetType = UNSET
    events_per_second: int | None | UnsetType = UNSET
    events_burst: int | None | UnsetType = UNSET
    stored_bytes: int | None | UnsetType = UNSET
    payload_bytes: int | None | UnsetType = UNSET


class EgressEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a group may not call although the installation may."""

    networks: list[str] = []
    denied_networks: list[str] = []
    ports: list[str] = []
    denied_ports: list[str] = []
    https_only: bool = False


class GroupEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group: it is there."""


def fields_of(entry: type[msgspec.Struct]) -> list[str]:
    """Return the names of an entry's fields."""
    return [one.name for one in msgspec.structs.fields(entry)]


def needed(entry: type[msgspec.Struct]) -> list[str]:
    """Return the fields that an entry must have."""
    return [one.name for one in msgspec.structs.fields(entry) if one.required]
