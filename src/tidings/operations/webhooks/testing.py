"""Tests of a webhook: a test event goes the way every event goes, and what came of it is told."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.event import TEST_TYPE, delivery_id
from tidings.core.webhook import OPERATIONS, Subscription
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.operations.webhooks.samples import SAMPLE, Sample, document_text
from tidings.sources.publish import new_event
from tidings.store import outbox, search, webhooks

TEST_POLL_INTERVAL = 0.05  # seconds between looks at a test's delivery
TEST_MARGIN_SECONDS = 5.0  # beyond the webhook's own timeout, for a worker to take it up


class Tested(msgspec.Struct, frozen=True):
    """What came of a test delivery.

    Attributes:
        success: Whether the receiver acknowledged it; None while no worker has made the attempt.
    """

    success: bool | None
    event_id: UUID
    delivery_id: UUID
    status_code: int | None = None
    response_body: str | None = None
    error: str | None = None


async def send(services: Services, webhook_id: UUID, sample: Sample) -> Tested:
    """Send a test event the way every event goes, and wait for what comes of it. It is tried once.

    Raises:
        ConflictError: The webhook is disabled, or set aside.
        InvalidInputError: With the field of the sample and the reason.
        NotFoundError: There is no such webhook.
    """
    now = services.clock.now()
    content = _content(sample)
    event = new_event(services.group_id, "publish", TEST_TYPE, content.pop("record"), now, webhook_id=webhook_id, **content)
    async with services.database.transaction() as connection:
        webhook = found(await webhooks.get_webhook(connection, services.group_id, webhook_id), webhook_id)
        if not webhook.enabled:
            raise ConflictError("The webhook is disabled, and so sends nothing. Enable it, then test it.")
        if webhook.fault is not None:
            raise ConflictError(webhook.fault)
        await outbox.publish(connection, [event])
    return await _result(services, webhook, event.id)


def _content(sample: Sample) -> dict[str, Any]:
    """Return the fields of the test event that its sample decides.

    Raises:
        InvalidInputError: `event` is no operation, or a document cannot be sent.
    """
    if sample.table is None:
        data = SAMPLE if sample.data is UNSET else document_text("data", sample.data)
        return {"operation": None, "table_schema": None, "table_name": None, "record": data, "old_record": None}
    operation = (sample.event or "INSERT").upper()
    if operation not in OPERATIONS:
        raise InvalidInputError("event", f"event is {sample.event!r}; with a table write INSERT, UPDATE or DELETE.")
    record, old_record = document_text("record", sample.record), document_text("old_record", sample.old_record)
    if operation == "DELETE":
        record, old_record = None, old_record or record
    return {
        "operation": operation,
        "table_schema": sample.schema,
        "table_name": sample.table,
        "record": record,
        "old_record": old_record,
    }


async def _result(services: Services, webhook: Subscription, event_id: UUID) -> Tested:
    delivery = delivery_id(event_id, webhook.id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + webhook.timeout_seconds + TEST_MARGIN_SECONDS
    while loop.time() < deadline:
        async with services.database.connection() as connection:
            attempts = await search.attempts(connection, delivery)
        if attempts:
            made = attempts[0]
            success = made["failure"] is None and 200 <= (made["response_status"] or 0) < 300
            return Tested(success, event_id, delivery, made["response_status"], made["response_body"], made["error"])
        await asyncio.sleep(TEST_POLL_INTERVAL)
    return Tested(None, event_id, delivery)
