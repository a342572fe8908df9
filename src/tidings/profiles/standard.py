"""Profile `standard`: Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md).

Headers `webhook-id`, `webhook-timestamp`, `webhook-signature`; body `{"type", "timestamp", "data"}`. `webhook-id` is the
event's id, the same on every retry; `webhook-timestamp` is the time of the attempt, the body's `timestamp` that of the
event.
"""

from datetime import UTC
from functools import lru_cache

import msgspec

from tidings.core.event import Event
from tidings.core.jsontext import changed_keys, stable
from tidings.core.signature import secret_key, sign_v1
from tidings.profiles.request import Rendering, Request

_encode = msgspec.json.encode
_key = lru_cache(maxsize=4096)(secret_key)


def render(rendering: Rendering) -> Request:
    """Return the request of one attempt.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    event, webhook = rendering.event, rendering.webhook
    body = event_body(event)
    message_id = str(event.id)
    headers = [
        ("webhook-id", message_id),
        ("webhook-timestamp", str(rendering.timestamp)),
        ("webhook-signature", sign_v1(_key(webhook.secret), message_id, rendering.timestamp, body)),
        *webhook.headers.items(),
    ]
    if not any(name.lower() == "content-type" for name in webhook.headers):
        headers.append(("content-type", "application/json"))
    return Request(webhook.method, webhook.url, headers, body)


def event_body(event: Event) -> bytes:
    """Return the body: stable JSON (see `core.jsontext`), the same bytes on every retry.

    Raises:
        RenderError: The record cannot be written as JSON.
    """
    timestamp = event.occurred_at.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
    data = _table_data(event) if event.source == "tables" else stable(event.record or "null")
    return b'{"type":%s,"timestamp":"%s","data":%s}' % (_encode(event.type), timestamp.encode(), data)


def _table_data(event: Event) -> bytes:
    changed: list[str] = []
    if event.operation == "UPDATE" and event.record is not None and event.old_record is not None:
        changed = changed_keys(event.record, event.old_record)
    members = [
        b'"schema":%s' % _encode(event.table_schema),
        b'"table":%s' % _encode(event.table_name),
        b'"operation":%s' % _encode(event.operation),
        b'"record":%s' % stable(event.record or "null"),
        b'"old_record":%s' % stable(event.old_record or "null"),
        b'"changed":%s' % _encode(changed),
    ]
    if event.capture_error is not None:
        members.append(b'"capture_error":%s' % _encode(event.capture_error))
    return b"{%s}" % b",".join(members)
