"""`POST /api/v1/webhooks/{id}/test`: a test event goes the way every event goes."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.core.errors import ConflictError, InvalidInputError, RenderError
from tidings.core.event import TEST_TYPE, delivery_id
from tidings.core.jsontext import stable
from tidings.core.webhook import OPERATIONS, Subscription
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.sources.publish import new_event
from tidings.store import outbox, search, webhooks

TEST_POLL_INTERVAL = 0.05  # seconds between looks at a test's delivery
TEST_MARGIN_SECONDS = 5.0  # beyond the webhook's own timeout, for a worker to take it up

SAMPLE = '{"test":true}'


class TestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the test event says: `data`, or with `table` the change of a row, as seed 004's clients ask for."""

    event: str | None = None
    table: str | None = None
    schema: str = "public"
    record: Any = None
    old_record: Any = None
    data: Any = None


class _RawBody(msgspec.Struct, frozen=True):
    """Its documents as the text they came as: reading them as numbers would lose digits."""

    record: msgspec.Raw | UnsetType = UNSET
    old_record: msgspec.Raw | UnsetType = UNSET
    data: msgspec.Raw | UnsetType = UNSET


class TestResult(msgspec.Struct, frozen=True):
    """What came of a test delivery. `success` is null while no worker has made the attempt."""

    success: bool | None
    message: str
    event_id: UUID
    delivery_id: UUID
    status_code: int | None = None
    response_body: str | None = None
    error: str | None = None


@post("/{webhook_id:str}/test", status_code=200)
async def send_test(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    data: JSONBody[TestBody | None] = None,
) -> TestResult:
    """Send a test event the way every event goes, and wait for what comes of it. It is tried once."""
    now = services.clock.now()
    raw = msgspec.json.decode(await request.body() or b"{}", type=_RawBody | None) or _RawBody()
    content = _content(data or TestBody(), raw)
    event = new_event(services.group_id, "publish", TEST_TYPE, content.pop("record"), now, webhook_id=webhook_id, **content)
    async with services.database.transaction() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        if not webhook.enabled:
            raise ConflictError("The webhook is disabled, and so sends nothing. Enable it, then test it.")
        if webhook.fault is not None:
            raise ConflictError(webhook.fault)
        await outbox.publish(connection, [event])
    return await _result_of_test(services, webhook, event.id)


def _content(body: TestBody, raw: _RawBody) -> dict[str, Any]:
    """Return the fields of the test event that its body decides.

    Raises:
        InvalidInputError: `event` is no operation.
    """
    if body.table is None:
        data = SAMPLE if raw.data is UNSET else _text("data", raw.data)
        return {"operation": None, "table_schema": None, "table_name": None, "record": data, "old_record": None}
    operation = (body.event or "INSERT").upper()
    if operation not in OPERATIONS:
        raise InvalidInputError("event", f"event is {body.event!r}; with a table write INSERT, UPDATE or DELETE.")
    record, old_record = _text("record", raw.record), _text("old_record", raw.old_record)
    if operation == "DELETE":
        record, old_record = None, old_record or record
    return {
        "operation": operation,
        "table_schema": body.schema,
        "table_name": body.table,
        "record": record,
        "old_record": old_record,
    }


def _text(field: str, raw: msgspec.Raw | UnsetType) -> str | None:
    """Return a document of the body as text. What cannot be sent is refused now, not at delivery."""
    if raw is UNSET or bytes(raw) == b"null":
        return None
    try:
        stable(bytes(raw))
    except RenderError as error:
        raise InvalidInputError(field, error.message) from error
    return bytes(raw).decode()


async def _result_of_test(services: Services, webhook: Subscription, event_id: UUID) -> TestResult:
    delivery = delivery_id(event_id, webhook.id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + webhook.timeout_seconds + TEST_MARGIN_SECONDS
    while loop.time() < deadline:
        async with services.database.connection() as connection:
            attempts = await search.attempts(connection, delivery)
        if attempts:
            made = attempts[0]
            success = made["failure"] is None and 200 <= (made["response_status"] or 0) < 300
            message = "Test webhook sent successfully" if success else f"The test failed: {made['error']}"
            return TestResult(
                success, message, event_id, delivery, made["response_status"], made["response_body"], made["error"]
            )
        await asyncio.sleep(TEST_POLL_INTERVAL)
    return TestResult(None, "No worker has made the attempt yet; look at the delivery later.", event_id, delivery)
