"""A delivery as it is shown. Each thing has one name; what Fluxbase's clients call it besides is in `dialects.fluxbase`."""

from datetime import datetime
from uuid import UUID

import msgspec

from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.events import record_id


class DeliveryView(msgspec.Struct, frozen=True):
    """A delivery as read. `created_at` is its event's time, to the millisecond.

    What is said of a response is of the last attempt that has a result. `payload` is the body as it is sent; null once the
    webhook is gone, or while it is set aside.
    """

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event: str
    schema: str | None
    table: str | None
    record_id: str | None
    status: str
    attempts: int
    response_status: int | None
    response_body: str | None
    failure: str | None
    error: str | None
    payload: msgspec.Raw | None
    is_test: bool
    created_at: datetime
    delivered_at: datetime | None
    finished_at: datetime | None
    next_retry_at: datetime | None


def view(delivery: Delivery, payload: bytes | None) -> DeliveryView:
    """Return a delivery as the API shows it.

    Args:
        payload: The body as it is sent; None: it cannot be made.
    """
    event = delivery.event
    return DeliveryView(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        event_id=event.id,
        event=event.type,
        schema=event.table_schema,
        table=event.table_name,
        record_id=record_id(event),
        status=delivery.state,
        attempts=delivery.attempt_count,
        response_status=delivery.response_status,
        response_body=delivery.response_body,
        failure=delivery.failure,
        error=delivery.error,
        payload=None if payload is None else msgspec.Raw(payload),
        is_test=delivery.is_test,
        created_at=delivery.created_at,
        delivered_at=delivery.delivered_at,
        finished_at=delivery.finished_at,
        next_retry_at=delivery.next_retry_at,
    )
