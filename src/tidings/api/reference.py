"""What `/openapi.json` says of fields, errors and examples beyond their types.

A field has one name and one meaning wherever it appears, so each is described once, here. Tests hold this page against the
types: every field has a sentence, every sentence a field, and every example is what its type reads.
"""

from typing import Any, Final

from litestar.openapi.spec import Example, OpenAPI, OpenAPIMediaType, OpenAPIResponse, Operation, Reference, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

FIELDS: Final[dict[str, str]] = {
    "accepted": "How many events were published.",
    "action": "What was done: create, update, delete, cron or test.",
    "active": "Whether it sends.",
    "asymmetric": "Sign with the installation's ed25519 key too (`v1a`). Profiles with Standard Webhooks headers only.",
    "attempt": "The same as `attempts`.",
    "attempt_number": "The same as `attempts`.",
    "attempts": "How many attempts were made or are under way.",
    "body": "JSON with placeholders such as `{{record.title}}` in its strings; null for the default body.",
    "body_template": "JSON with placeholders such as `{{record.title}}` in its strings, instead of the profile's body.",
    "capture_error": "Why the row is missing, when PostgreSQL could not write it as JSON.",
    "code": "A stable name for programs.",
    "collection": "The table or collection it is about.",
    "concurrency": "How many attempts may be under way at once, over all workers: 1 to 1000.",
    "connect_ms": "Milliseconds to connect.",
    "created": "When it happened, or was made.",
    "created_at": "When it happened, or was made; for a delivery its event's time, to the millisecond.",
    "data": "What the event says: any JSON. Digits are kept as they are written.",
    "delivered_at": "When a receiver acknowledged it.",
    "delivery_count": "To how many webhooks it was routed.",
    "delivery_id": "The delivery that was made.",
    "description": "For people.",
    "disabled_reason": "Why Tidings disabled it; null when its owner did, or it is enabled.",
    "dns_ms": "Milliseconds to resolve the name.",
    "duplicates": "How many had been published before; nothing was sent again.",
    "duplicate": "It had been published before, and nothing was sent again.",
    "enabled": "Whether it sends.",
    "error": "What went wrong, in a sentence.",
    "error_message": "The same as `error`.",
    "errors": "Which lines were not accepted, and why.",
    "event": "The event's type. In a test with `table`: INSERT, UPDATE or DELETE.",
    "event_id": "The event.",
    "event_type": "The same as `event`.",
    "events": "What it hears: types, families such as `content.*`, `*`, or `{table, schema?, operations?}`.",
    "external_id": "The publisher's own id.",
    "failure": "What went wrong, for programs: timeout, dns, connect, tls, reset, protocol, too_large, "
    "address_refused, render, lost or stopped.",
    "field": "The field at fault.",
    "finished_at": "When it succeeded or was given up.",
    "first_byte_ms": "Milliseconds to the response's first byte.",
    "format": "`hex`, `sha256=hex` or `base64` of HMAC-SHA256 over the body; `t=,v1=` over the time, a dot and the body.",
    "hasMore": "There is another page after this one.",
    "header": "The header's name.",
    "headers": "Sent with every attempt.",
    "http_status_code": "The same as `response_status`.",
    "id": "Its id. To publish: your own, by which publishing again sends nothing again.",
    "ids": "Of each line that is not blank the event's id, null where it was not accepted.",
    "is_active": "The same as `enabled`.",
    "is_test": "It came from the test button.",
    "is_truncated": "The response was longer than the 64 KiB that are kept.",
    "items": "The page.",
    "jwtEnabled": "Send `Authorization: Bearer` with a token signed by this installation.",
    "jwt_enabled": "Send `Authorization: Bearer` with a token signed by this installation.",
    "line": "Which line, counted from 1.",
    "max_retries": "How often to try again: 1 to 100. `retry` wins over it.",
    "message": "What came of it, in a sentence.",
    "method": "POST, PUT, PATCH, DELETE or GET.",
    "name": "For people; the host of its URL when absent.",
    "nextRetry": "When it is tried next.",
    "next_retry_at": "When it is tried next.",
    "number": "Which attempt, from 1.",
    "occurred_at": "When the row changed, or the event was published.",
    "old_record": "The row before an UPDATE or DELETE.",
    "operation": "INSERT, UPDATE or DELETE, for the change of a row.",
    "ordered": "One at a time in the order of events; a failing delivery holds back those behind it.",
    "overlap_seconds": "How long the present secret verifies beside the new one: up to 30 days.",
    "page": "Which page, from 1.",
    "payload": "The body as it is sent; null once its event or webhook is gone.",
    "perPage": "How many on a page.",
    "previous_secret": "The secret before, which still verifies.",
    "previous_secret_until": "Until when both verify.",
    "profile": "How deliveries look: see `docs/receiving.md`. It cannot be changed.",
    "public_key": "Verifies `v1a` signatures, in place of the secret.",
    "rate_per_second": "How many attempts may start in a second, over all workers; null for no limit.",
    "reason": "Why it is in that state.",
    "record": "The row after an INSERT or UPDATE, or what was published; in a log the record's id.",
    "record_id": "The `id` or `_id` of the row.",
    "responseBody": "What the receiver answered last.",
    "responseStatus": "The status of the last response.",
    "response_body": "What the receiver answered, at most 64 KiB.",
    "response_code": "The same as `response_status`.",
    "response_headers": "The response's headers as they came.",
    "response_status": "The status of the response.",
    "retry": "`{delays: [seconds]}`, or `{base, factor, max, tries}`; `jitter` lengthens each delay by up to that share.",
    "retryLimit": "How often to try again: 1 to 100.",
    "retry_backoff_seconds": "The first delay, which doubles each time. `retry` wins over it.",
    "schema": "The table's schema.",
    "scope": "Accepted for clients that send it: `user` or `global`. A webhook hears its whole group.",
    "secret": "What signs. Made when absent or null; in the answer to the creation only.",
    "signature": "A signature sent instead of the profile's own.",
    "source": "`tables` or `publish`.",
    "started_at": "When the attempt began.",
    "state": "`captured`, `missing`, `disabled` or `waiting`.",
    "status": "The delivery's state.",
    "status_code": "The same as `response_status`.",
    "subject": "What it is about.",
    "success": "Whether the receiver acknowledged it; null while no worker has made the attempt.",
    "table": "The table's name.",
    "table_name": "The table it is about.",
    "tables": "How each table it names is doing.",
    "timeout_seconds": "For a whole exchange, from DNS to the response's last byte: 0.1 to 300.",
    "tls_ms": "Milliseconds for the TLS handshake.",
    "total_ms": "Milliseconds for everything.",
    "type": "The event's type: `resource.action`.",
    "updated": "When it was changed, or finished.",
    "updated_at": "When it was changed.",
    "url": "Where it sends: https, and a public address unless others are allowed.",
    "webhook": "The webhook.",
    "webhook_id": "The webhook.",
}

_HOOK = "https://erp.example.com/hook"
_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
_EVENT = "01a1fc32-e7ca-7c3b-bba3-5f0000000002"
_AT = "2026-11-21T03:42:37.002Z"

REQUESTS: Final[dict[tuple[str, str], Any]] = {
    ("post", "/api/v1/webhooks"): {
        "url": _HOOK, "name": "Orders to ERP", "events": [{"table": "orders", "operations": ["INSERT", "UPDATE"]}, "content.*"],
    },
    ("patch", "/api/v1/webhooks/{webhook_id}"): {"enabled": False},
    ("put", "/api/v1/webhooks/{webhook_id}"): {"retry": {"delays": [5, 300, 1800]}},
    ("post", "/api/v1/webhooks/{webhook_id}/test"): {"event": "INSERT", "table": "orders", "record": {"id": 1}},
    ("post", "/api/v1/webhooks/{webhook_id}/secret/rotate"): {"overlap_seconds": 86400},
    ("post", "/api/v1/events"): {"type": "order.paid", "data": {"total": 12.5}, "id": "order-17-paid"},
    ("post", "/api/v1/events/batch"): (
        '{"type": "order.paid", "data": {"total": 12.5}, "id": "order-17-paid"}\n{"type": "order.paid", "data": {"total": 7}}\n'
    ),
    ("post", "/api/webhooks"): {"name": "Orders", "url": _HOOK, "method": "POST", "retryLimit": 5, "jwtEnabled": True},
    ("patch", "/api/webhooks/{webhook_id}"): {"active": False},
}  # fmt: skip

ERRORS: Final[dict[int, tuple[str, dict[str, Any]]]] = {
    400: (
        "The body is not JSON, or the id in the path is none.",
        {"error": "Invalid webhook ID", "code": "INVALID_ID", "field": "webhook_id"},
    ),
    401: (
        "The key is missing or wrong.",
        {"error": "A valid key is required: Authorization: Bearer <key>, or X-API-Key: <key>.", "code": "UNAUTHORIZED"},
    ),
    404: ("There is nothing with that id.", {"error": f"There is no webhook {_ID}.", "code": "NOT_FOUND"}),
    409: (
        "Its state does not allow this now.",
        {"error": "The webhook is disabled. Enable it, then send again.", "code": "CONFLICT"},
    ),
    413: ("The body is too large.", {"error": "The body is larger than 1048576 bytes.", "code": "BODY_TOO_LARGE"}),
    422: ("A field cannot be accepted.", {"error": "url is required.", "code": "INVALID_INPUT", "field": "url"}),
    503: (
        "The database is unavailable; Retry-After says when to try again.",
        {"error": "The database is unavailable. Try again.", "code": "UNAVAILABLE"},
    ),
}  # fmt: skip


def describe(document: OpenAPI) -> None:
    """Add descriptions, errors and examples to a document that has routes and types."""
    for schema in (document.components.schemas or {}).values() if document.components else ():
        for name, member in (schema.properties or {}).items():
            if name in FIELDS:
                _describe(member, FIELDS[name])
    for path, item in (document.paths or {}).items():
        for method in ("get", "post", "put", "patch", "delete"):
            operation: Operation | None = getattr(item, method)
            if operation is not None:
                _document(operation, method, path)


def _describe(member: Any, sentence: str) -> None:
    if isinstance(member, Reference):
        return  # what it refers to has a description of its own
    member.description = sentence


def _document(operation: Operation, method: str, path: str) -> None:
    if path.endswith("/batch"):  # lines, which the framework has no type for
        lines = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
        operation.request_body = RequestBody(content={"application/x-ndjson": lines}, required=True)
    responses = operation.responses = dict(operation.responses or {})
    responses.pop("400", None)  # what the framework supposes
    for status in _errors_of(operation, path):
        sentence, answer = ERRORS[status]
        media = OpenAPIMediaType(schema=_error_schema(), examples={"error": Example(value=answer)})
        responses[str(status)] = OpenAPIResponse(description=sentence, content={"application/json": media})
    example = REQUESTS.get((method, path))
    if example is not None and operation.request_body is not None and not isinstance(operation.request_body, Reference):
        for media in operation.request_body.content.values():
            media.examples = {"example": Example(value=example)}


def _errors_of(operation: Operation, path: str) -> list[int]:
    """Return the statuses a route may refuse with, which follow from what it takes."""
    statuses = {503}
    if path.startswith("/api/"):
        statuses |= {401, 422}
    if "{" in path:
        statuses |= {404}
    if operation.request_body is not None:
        statuses |= {400, 413, 422}
    if "{webhook_id}" in path:
        statuses |= {400}
    if path.endswith(("/test", "/retry")) or (path == "/api/v1/events" and operation.request_body is not None):
        statuses |= {409}
    return sorted(statuses)


def _error_schema() -> Schema:
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["error", "code"],
        properties={
            "error": Schema(type=OpenAPIType.STRING, description="What is wrong and what to do, in a sentence."),
            "code": Schema(type=OpenAPIType.STRING, description="A stable name for programs."),
            "field": Schema(type=OpenAPIType.STRING, description="The field at fault."),
        },
    )
