"""`/api/v1/deliveries`: what became of each event for each webhook."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from tidings.api.dialects import fluxbase
from tidings.api.http.paging import paging, with_pages
from tidings.api.http.questions import WebhookId, asked_of_deliveries
from tidings.api.routes.delivery_view import DeliveryView, view
from tidings.api.routes.recoveries import retry_deliveries
from tidings.operations.history import attempts, deliveries
from tidings.operations.history.attempts import Attempt, SentRequest
from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.search import Asked, Found, Paging
from tidings.operations.services import Services


class AttemptView(msgspec.Struct, frozen=True):
    """One attempt as read. Times in milliseconds; null where a phase was not reached or not needed."""

    number: int
    started_at: datetime
    response_status: int | None
    response_headers: list[tuple[str, str]]
    response_body: str | None
    is_truncated: bool
    failure: str | None
    error: str | None
    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    total_ms: float | None
    webhook_version: int | None
    request: SentRequest | None


def page_view(request: Request[Any, Any, Any], services: Services, found: Found[Delivery]) -> Response[list[DeliveryView]]:
    """Answer with a page of deliveries."""
    payloads = deliveries.payloads(services, found.items)
    views = [_shown(delivery, payload) for delivery, payload in zip(found.items, payloads, strict=True)]
    return with_pages(request, found.result, views)


def _view(services: Services, delivery: Delivery) -> DeliveryView:
    return _shown(delivery, *deliveries.payloads(services, [delivery]))


def _shown(delivery: Delivery, payload: bytes | None) -> DeliveryView:
    return fluxbase.delivery(view(delivery, payload), delivery.webhook)


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(**{name: getattr(attempt, name) for name in AttemptView.__struct_fields__})


@get("/", dependencies={"asked": Provide(asked_of_deliveries, sync_to_thread=False)})
async def list_deliveries(
    services: NamedDependency[Services],
    asked: NamedDependency[Asked],
    paging: NamedDependency[Paging],
    request: Request[Any, Any, Any],
    webhook_id: WebhookId = None,
) -> Response[list[DeliveryView]]:
    """List deliveries, unfinished and finished, newest first. Headers tell where to go on (`Link`, `Tidings-Next`,
    `Tidings-Prev`), and how far was looked where that was not far enough to fill the page (`Tidings-Searched-To`).
    """
    return page_view(request, services, await deliveries.find(services, asked.of_webhook(webhook_id), paging))


@get("/{delivery_id:uuid}")
async def get_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Read a delivery."""
    return _view(services, await deliveries.read(services, delivery_id))


@get("/{delivery_id:uuid}/attempts")
async def list_attempts(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> list[AttemptView]:
    """List a delivery's attempts, oldest first, each with its request as it was sent."""
    return [_attempt_view(attempt) for attempt in await attempts.list_attempts(services, delivery_id)]


@get("/{delivery_id:uuid}/attempts/{number:int}")
async def get_attempt(services: NamedDependency[Services], delivery_id: FromPath[UUID], number: FromPath[int]) -> AttemptView:
    """Read one attempt, with its request as it was sent."""
    return _attempt_view(await attempts.read_attempt(services, delivery_id, number))


@post("/{delivery_id:uuid}/retry", status_code=202)
async def retry_delivery(services: NamedDependency[Services], delivery_id: FromPath[UUID]) -> DeliveryView:
    """Send a delivery again, with the same id: a finished one anew, a waiting one at once."""
    return _view(services, await deliveries.retry(services, delivery_id))


router = Router(
    "/api/v1/deliveries",
    route_handlers=[list_deliveries, get_delivery, list_attempts, get_attempt, retry_delivery, retry_deliveries],
    dependencies={"paging": Provide(paging, sync_to_thread=False)},
    tags=["Deliveries"],
)
