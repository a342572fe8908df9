"""A webhook as it is shown: our fields, and the other spellings the seed systems' clients read."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.retry import retry_count
from tidings.core.webhook import Signature, Subscription
from tidings.operations.webhooks.changes import SCOPES
from tidings.sources.tables import TableState
from tidings.store.webhook_rows import filter_to_json


class WebhookView(msgspec.Struct, frozen=True):
    """A webhook as read. `secret` is in the answer to its creation only; `GET …/secret` shows it again.

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
    secret: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


def view(
    webhook: Subscription,
    states: list[TableState] | UnsetType = UNSET,
    *,
    secret: str | UnsetType = UNSET,
    message: str | UnsetType = UNSET,
) -> WebhookView:
    """Return a webhook as the API shows it."""
    return WebhookView(
        id=webhook.id,
        name=webhook.name,
        description=webhook.description,
        url=webhook.url,
        enabled=webhook.enabled,
        is_active=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        profile=webhook.profile,
        events=[filter_to_json(wanted) for wanted in webhook.events],
        asymmetric=webhook.asymmetric,
        signature=webhook.signature,
        body_template=webhook.body_template,
        jwt_enabled=webhook.jwt_enabled,
        method=webhook.method,
        headers=webhook.headers,
        timeout_seconds=webhook.timeout_seconds,
        retry=msgspec.to_builtins(webhook.retry),
        max_retries=retry_count(webhook.retry),
        retry_backoff_seconds=webhook.retry.delay_after(1) or 0,
        concurrency=webhook.concurrency,
        rate_per_second=webhook.rate_per_second,
        ordered=webhook.ordered,
        scope=SCOPES[0],
        managed_by=webhook.managed_by,
        version=webhook.version,
        fault=webhook.fault,
        created_at=webhook.created_at,
        updated_at=webhook.updated_at,
        tables=states,
        secret=secret,
        message=message,
    )
