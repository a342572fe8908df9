"""A webhook as it is shown: our fields, and the other spellings the seed systems' clients read."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.webhook import Signature, Subscription
from tidings.operations.webhooks.shown import shown
from tidings.sources.tables import TableState


class WebhookView(msgspec.Struct, frozen=True):
    """A webhook as read. `secret` is in the answer to its creation only; `GET …/secret` shows it again; so is
    `profile_reason`, which says why it has its profile.

    `version` counts its changes. `fault`: why it is set aside, because something of it cannot be read as it is stored; what is
    for it waits until that is changed.
    `is_active`, `max_retries` and `retry_backoff_seconds` say what `enabled` and `retry` say, as seed 004's clients read it.
    """

    id: UUID
    name: str
    description: str | None
    url: str
    enabled: bool
    is_active: bool
    disabled_reason: str | None
    profile: str
    events: list[Any]
    asymmetric: bool
    signature: Signature | None
    body_template: str | None
    jwt_enabled: bool
    method: str
    headers: dict[str, str]
    timeout_seconds: float
    retry: Any
    max_retries: int
    retry_backoff_seconds: float
    concurrency: int
    rate_per_second: float | None
    ordered: bool
    scope: str
    managed_by: str | None
    version: int
    fault: str | None
    created_at: datetime
    updated_at: datetime
    tables: list[TableState] | UnsetType = UNSET
    profile_reason: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


def view(
    webhook: Subscription,
    states: list[TableState] | UnsetType = UNSET,
    *,
    reason: str | UnsetType = UNSET,
    secret: str | UnsetType = UNSET,
    message: str | UnsetType = UNSET,
) -> WebhookView:
    """Return a webhook as the API shows it."""
    return WebhookView(**shown(webhook), tables=states, profile_reason=reason, secret=secret, message=message)
