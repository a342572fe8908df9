"""A webhook field by field, as it is shown, and which of the fields follow from others or from what happens."""

from typing import Any, Final

import msgspec

from tidings.core.retry import retry_count
from tidings.core.webhook import Subscription, Webhook
from tidings.store.webhook_rows import filter_to_json

SCOPES = ("global", "user")  # seed 004's system; here a webhook hears its whole group, whichever is said

# Fields that nobody sets, each with what to do instead. Sent back as they were read, they are no change.
READ_ONLY: Final = {
    "id": "Another id is another webhook: create one.",
    "created_at": "It never changes.",
    "updated_at": "It was changed since you read it, or this was made up. Read the webhook again, or leave it out.",
    "version": "It was changed since you read it, or this was made up. Read the webhook again, or leave it out.",
    "disabled_reason": "It goes when the webhook is enabled.",
    "managed_by": "Change it where it is managed.",
    "fault": "It goes when what cannot be read is written anew.",
}
# What is observed changes by itself between a reading and a change; what is said of it there means nothing.
OBSERVED: Final = frozenset({"tables", "health", "message", "profile_reason", "warnings"})


def _told(value: Any) -> Any:
    return None if value is None else msgspec.json.decode(msgspec.json.encode(value))  # lists, where a struct has tuples


def shown(webhook: Subscription) -> dict[str, Any]:
    """Return the fields of a webhook as the API shows them, in plain values.

    `is_active`, `max_retries` and `retry_backoff_seconds` say what `enabled` and `retry` say, as seed 004's clients read it.
    """
    return {
        "id": webhook.id,
        "name": webhook.name,
        "description": webhook.description,
        "url": webhook.url,
        "enabled": webhook.enabled,
        "is_active": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
        "profile": webhook.profile,
        "events": [filter_to_json(wanted) for wanted in webhook.events],
        "asymmetric": webhook.asymmetric,
        "signature": None if webhook.signature is None else msgspec.to_builtins(webhook.signature),
        "body_template": webhook.body_template,
        "jwt_enabled": webhook.jwt_enabled,
        "auth": webhook.credentials_shown.auth,
        "client_certificate": _told(webhook.credentials_shown.client_certificate),
        "ca_certificates": _told(webhook.credentials_shown.ca_certificates),
        "method": webhook.method,
        "headers": webhook.headers,
        "timeout_seconds": webhook.timeout_seconds,
        "retry": msgspec.json.decode(msgspec.json.encode(webhook.retry)),  # lists, where a struct has tuples
        "max_retries": retry_count(webhook.retry),
        "retry_backoff_seconds": webhook.retry.delay_after(1) or 0,
        "concurrency": webhook.concurrency,
        "rate_per_second": webhook.rate_per_second,
        "ordered": webhook.ordered,
        "scope": SCOPES[0],
        "managed_by": webhook.managed_by,
        "version": webhook.version,
        "fault": webhook.fault,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
    }


def on_record(webhook: Subscription) -> dict[str, Any]:
    """Return the fields of a webhook for the audit, which hides the secret and tells that it was changed."""
    return shown(webhook) | {"secret": webhook.secret if isinstance(webhook, Webhook) else None}
