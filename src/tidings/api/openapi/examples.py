"""An example of every body the API takes. A test sends them all, in this order."""

from typing import Any, Final

_HOOK = "https://erp.example.com/hook"
_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
_AT = "2026-11-21T03:42:37.002Z"
_SESSION = "0b54c7a2-6d3f-4b7e-9d0a-0c2f5d1e8a11"

REQUESTS: Final[dict[tuple[str, str], Any]] = {
    ("post", "/api/v1/webhooks"): {
        "url": _HOOK, "name": "Orders to ERP", "events": [{"table": "orders", "operations": ["INSERT", "UPDATE"]}, "content.*"],
    },
    ("patch", "/api/v1/webhooks/{webhook_id}"): {"enabled": False},
    ("put", "/api/v1/webhooks/{webhook_id}"): {"retry": {"delays": [5, 300, 1800]}},
    ("post", "/api/v1/webhooks/{webhook_id}/test"): {"event": "INSERT", "table": "orders", "record": {"id": 1}},
    ("post", "/api/v1/listeners"): {"name": "ada@laptop", "events": ["order.*"]},
    ("post", "/api/v1/listeners/{listener_id}/take"): {"session": _SESSION, "held": [], "limit": 64, "wait_seconds": 10},
    ("post", "/api/v1/listeners/{listener_id}/results"): {
        "session": _SESSION,
        "results": [{"lease": 17, "version": 1, "response_status": 200, "response_body": "ok", "total_ms": 12.5}],
    },
    ("post", "/api/v1/webhooks/{webhook_id}/recover"): {"since": _AT, "missing": True, "rate_per_second": 50},
    ("post", "/api/v1/webhooks/dry-run"): {"events": ["order.*"]},
    ("post", "/api/v1/webhooks/{webhook_id}/dry-run"): {"events": ["order.paid"]},
    ("post", "/api/v1/deliveries/retry"): {"status": "failed", "since": _AT},
    ("post", "/api/v1/webhooks/preview"): {"url": _HOOK, "profile": "vivreal", "event": "collection.object.created"},
    ("post", "/api/v1/webhooks/{webhook_id}/preview"): {"profile": "cloudevents"},
    ("post", "/api/v1/webhooks/{webhook_id}/secret/rotate"): {"overlap_seconds": 86400},
    ("post", "/api/v1/events"): {"type": "order.paid", "data": {"total": 12.5}, "id": "order-17-paid"},
    ("post", "/api/v1/events/batch"): (
        '{"type": "order.paid", "data": {"total": 12.5}, "id": "order-17-paid"}\n{"type": "order.paid", "data": {"total": 7}}\n'
    ),
    ("post", "/api/v1/redaction-rules"): {
        "name": "card data", "events": ["order.*"], "fields": ["customer.email", "**.card"], "headers": ["set-cookie"],
        "responses": "none",
    },
    ("patch", "/api/v1/redaction-rules/{rule_id}"): {"payload_hours": 48},
    ("post", "/api/v1/redaction-rules/preview"): {"rule": {"events": ["*"], "fields": ["customer.email"]}},
    ("post", "/api/v1/erasures"): {"value": "42", "field": "customer.id", "dry_run": True, "pending": "finish"},
    ("post", "/api/v1/erasures/find"): {"value": "42", "field": "customer.id"},
    ("post", "/api/webhooks"): {"name": "Orders", "url": _HOOK, "method": "POST", "retryLimit": 5, "jwtEnabled": True},
    ("patch", "/api/webhooks/{webhook_id}"): {"active": False},
    ("post", "/api/v1/signing-keys/rotate"): {"overlap_seconds": 86400},
    ("post", "/api/v1/groups"): {"id": "acme"},
    ("patch", "/api/v1/groups/{group_id}/limits"): {"webhooks": 20, "events_per_second": 50, "stored_bytes": 1073741824},
    ("patch", "/api/v1/limits"): {"payload_bytes": 262144},
    ("post", "/api/v1/egress/judge"): {"url": _HOOK},
    ("put", "/api/v1/groups/{group_id}/egress"): {"denied_networks": ["198.51.100.0/24"], "denied_ports": ["8080-8089"]},
    ("post", "/api/v1/keys"): {"name": "shop", "scopes": ["events:publish", "deliveries:read"], "expires_in": 7776000},
    ("patch", "/api/v1/keys/{key_id}"): {"name": "shop"},
    ("post", "/api/v1/keys/{key_id}/rotate"): {"overlap_seconds": 86400},
    ("post", "/api/v1/members"): {"email": "ada@example.com", "role": "developer", "groups": ["acme"]},
    ("patch", "/api/v1/members/{member_id}"): {"role": "viewer", "groups": ["acme"]},
    ("post", "/api/v1/groups/{group_id}/portal-link"): {
        "expires_in": 3600, "origins": ["https://app.example.com"], "brand": {"name": "Acme", "accent": "#1f5f43"},
    },
    ("put", "/api/v1/event-types/{name}"): {
        "description": "An order was paid.", "example": {"total": 12.5},
        "schema": {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}},
    },
    ("put", "/api/v1/tables/{table}"): {
        "group_by": "account_id", "exclude": ["card_number"], "rename": {"total": "amount"}, "changed": ["status"],
        "when": {"INSERT": "new.status <> 'draft'"},
    },
    ("post", "/api/v1/tables/{table}/backfill"): {"webhook_id": _ID},
    ("post", "/api/collections"): {
        "name": "posts", "type": "base",
        "schema": [{"name": "title", "type": "text", "required": True}, {"name": "views", "type": "number"}],
        "options": {"triggers": [{"action": "create", "url": _HOOK, "method": "POST"}]},
    },
    ("patch", "/api/collections/{collection}"): {"options": {"triggers": []}},
    ("post", "/api/collections/{collection}/records"): [
        {"id": "first", "title": "New Post", "publishDate": _AT}, {"id": "second", "title": "Another"},
    ],
    ("patch", "/api/collections/{collection}/records/{record_id}"): {"title": "New title"},
    ("patch", "/api/collections/{collection}/records"): [{"id": "first", "views": 1}, {"id": "second", "views": 2}],
    ("delete", "/api/collections/{collection}/records"): {"ids": ["second"]},
    ("post", "/api/collections/{collection}/auth"): {"email": "ann@example.com", "password": "correct horse battery"},
    ("post", "/api/cron"): {
        "name": "nightly", "schedule": "30 2 * * *", "timezone": "Europe/Berlin", "type": "http", "url": _HOOK,
        "body": '{"at": "{{record.scheduled_at}}"}', "contentType": "json", "retryLimit": 5,
    },
    ("patch", "/api/cron/{job_id}"): {"schedule": "0 3 * * *"},
    ("post", "/api/v1/bins"): {"name": "what Stripe sends", "status": 503, "delay_seconds": 2, "body": "Try again."},
    ("patch", "/api/v1/bins/{bin_id}"): {"profile": "standard", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    ("post", "/api/v1/integrations"): {"name": "shop", "platform": "stripe", "secret": "whsec_as_stripe_shows_it"},
    ("patch", "/api/v1/integrations/{name}"): {"secret": "whsec_another_of_stripes"},
    ("post", "/api/v1/integrations/{name}/sync"): {
        "objects": [{"type": "product", "id": "prod_1", "data": {"id": "prod_1", "name": "Cup"}}], "complete": True,
    },
}  # fmt: skip


_DELIVERY = "0195d1c4-9a0b-7c11-8d6e-4f6c0f6f3a10"
_EVENT = "0195d1c4-9a0a-7b22-9c5d-3e5b0e5e2a01"

# An example of what is answered, by the name of its type in the document.
ANSWERS: Final[dict[str, Any]] = {
    "Delivery": {
        "id": _DELIVERY, "webhook_id": _ID, "event_id": _EVENT, "event": "table.orders.updated", "schema": "public",
        "table": "orders", "record_id": "17", "status": "succeeded", "attempts": 2, "response_status": 200,
        "response_body": "ok", "failure": None, "error": None, "payload": {"type": "table.orders.updated"}, "is_test": False,
        "created_at": _AT, "delivered_at": "2026-11-21T03:42:42.017Z", "finished_at": "2026-11-21T03:42:42.017Z",
        "next_retry_at": None,
    },
    "Attempt": {
        "number": 1, "started_at": _AT, "response_status": 503, "response_headers": [["content-type", "text/plain"]],
        "response_body": "later", "is_truncated": False, "failure": None, "error": "The receiver answered 503.", "dns_ms": 1.2,
        "connect_ms": 3.4, "tls_ms": 9.8, "first_byte_ms": 20.1, "total_ms": 21.0, "webhook_version": 3, "request": None,
    },
    "Event": {
        "id": _EVENT, "source": "tables", "type": "table.orders.updated", "operation": "UPDATE", "subject": None,
        "schema": "public", "table": "orders", "record": {"id": 17, "status": "paid"},
        "old_record": {"id": 17, "status": "open"}, "occurred_at": _AT, "external_id": None, "capture_error": None,
        "delivery_count": 1, "redacted": [], "payload_gone": None, "payload_gone_at": None,
    },
    "Published": {"id": _EVENT, "duplicate": False},
    "BatchResult": {
        "accepted": 1, "duplicates": 0, "ids": [_EVENT, None],
        "errors": [{"line": 2, "error": "type is required.", "code": "INVALID_INPUT", "field": "type"}],
    },
    "TestResult": {
        "outcome": "answered", "success": True, "message": "Test webhook sent successfully", "event_id": _EVENT,
        "delivery_id": _DELIVERY, "response_status": 200, "response_body": "ok", "error": None, "total_ms": 12.5,
    },
}  # fmt: skip


def example_of(method: str, path: str) -> Any | None:
    """Return the example of a route's body; what is served under /api/ and /api/v1/ alike has one."""
    return REQUESTS.get((method, path)) or REQUESTS.get((method, path.replace("/api/v1/", "/api/", 1)))
