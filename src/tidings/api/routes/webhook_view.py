"""A webhook as it is shown. Each thing has one name; what Fluxbase's clients call it besides is in `dialects.fluxbase`."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.certificates import Certificate
from tidings.core.statistics import Figures
from tidings.core.warned import Warned
from tidings.core.webhook import Signature, Subscription
from tidings.operations.webhooks.health import WebhookHealth
from tidings.operations.webhooks.shown import shown
from tidings.sources.tables import TableState


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """How a webhook fares: `healthy`, `failing`, `resting`, `paused`, `disabled` or `idle`, since when, and why in a sentence.

    `hour`, `day` and `month` are in the answer for one webhook only; a list has the last hour's `success_rate`.
    """

    state: str
    since: datetime | None
    until: datetime | None
    sentence: str
    waiting: int
    sending: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None
    success_rate: float | None
    hour: Figures | UnsetType = UNSET
    day: Figures | UnsetType = UNSET
    month: Figures | UnsetType = UNSET


def _health_view(found: WebhookHealth | None) -> HealthView | UnsetType:
    return UNSET if found is None else HealthView(**msgspec.structs.asdict(found))


class WebhookView(msgspec.Struct, frozen=True):
    """A webhook as read. `secret` is in the answer to its creation only; `GET …/secret` shows it again; so is
    `profile_reason`, which says why it has its profile. `warnings` is in the answers to its creation and its changes.

    `version` counts its changes. `fault`: why it is set aside, because something of it cannot be read as it is stored; what is
    for it waits until that is changed.
    """

    id: UUID
    name: str
    description: str | None
    url: str
    enabled: bool
    disabled_reason: str | None
    profile: str
    events: list[Any]
    asymmetric: bool
    signature: Signature | None
    body_template: str | None
    jwt_enabled: bool
    auth: dict[str, str] | None
    client_certificate: Certificate | None
    ca_certificates: tuple[Certificate, ...] | None
    method: str
    headers: dict[str, str]
    timeout_seconds: float
    retry: Any
    concurrency: int
    rate_per_second: float | None
    ordered: bool
    managed_by: str | None
    version: int
    fault: str | None
    created_at: datetime
    updated_at: datetime
    tables: list[TableState] | UnsetType = UNSET
    health: HealthView | UnsetType = UNSET
    profile_reason: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    warnings: list[Warned] | UnsetType = UNSET


class WebhookDeleted(msgspec.Struct, frozen=True):
    """The answer to a deletion, as seed 004's clients read it."""

    message: str = "Webhook deleted successfully"
    success: bool = True


def view(
    webhook: Subscription,
    states: list[TableState] | UnsetType = UNSET,
    *,
    health: WebhookHealth | None = None,
    reason: str | UnsetType = UNSET,
    secret: str | UnsetType = UNSET,
    warnings: list[Warned] | UnsetType = UNSET,
) -> WebhookView:
    """Return a webhook as the API shows it."""
    told = webhook.credentials_shown
    fields = {name: value for name, value in shown(webhook).items() if name in WebhookView.__struct_fields__} | {
        "signature": webhook.signature,
        "client_certificate": told.client_certificate,
        "ca_certificates": told.ca_certificates,
    }
    return WebhookView(
        **fields, tables=states, health=_health_view(health), profile_reason=reason, secret=secret, warnings=warnings
    )
