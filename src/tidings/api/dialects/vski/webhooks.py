"""`/api/webhooks` and `/api/webhooks/logs`: webhooks and deliveries in the shapes of seed 003's system.

The seed names the routes, the filters and the fields of a webhook; what it does not show, a record of the log, has the names
that a reader of such a list would look for.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.dialects.vski.pages import PageNumber, PerPage
from tidings.api.http.paging import MAX_OFFSET, CursorText, with_pages
from tidings.core.delivery import State
from tidings.core.errors import InvalidInputError
from tidings.core.question import Question, checked, words_of
from tidings.core.retry import retry_count
from tidings.core.vocabulary import VSKI
from tidings.core.webhook import Subscription
from tidings.operations.history import deliveries
from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.events import record_id
from tidings.operations.history.search import Asked, Paging
from tidings.operations.services import Services
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange, headers_of
from tidings.store.webhook_rows import filter_to_json

PROFILE = "vski"

# The seed shows `failed`; the rest are the words systems of its kind use.
_STATES: dict[str, tuple[State, ...]] = {
    "pending": (State.PENDING,),
    "processing": (State.SENDING,),
    "retrying": (State.RETRYING,),
    "success": (State.SUCCEEDED,),
    "failed": (State.FAILED,),
    "cancelled": (State.CANCELLED,),
}
_NAMES = {state: name for name, states in _STATES.items() for state in states}


class VskiChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of a webhook. To create: `url` at least; without `events` it hears everything."""

    name: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    headers: dict[str, str] | str | UnsetType = UNSET
    body: str | None | UnsetType = UNSET
    retryLimit: int | UnsetType = UNSET  # noqa: N815 - the seed's spelling
    jwtEnabled: bool | UnsetType = UNSET  # noqa: N815
    active: bool | UnsetType = UNSET
    events: list[Any] | str | UnsetType = UNSET
    id: UUID | UnsetType = UNSET  # these three may be sent back as they were read
    created: datetime | UnsetType = UNSET
    updated: datetime | UnsetType = UNSET


class VskiWebhook(msgspec.Struct, frozen=True):
    """A webhook as read."""

    id: UUID
    name: str
    url: str
    method: str
    headers: dict[str, str]
    body: str | None
    retryLimit: int  # noqa: N815
    jwtEnabled: bool  # noqa: N815
    active: bool
    events: list[Any]
    created: datetime
    updated: datetime


class LogEntry(msgspec.Struct, frozen=True):
    """One delivery. `status`: pending, processing, retrying, success, failed or cancelled."""

    id: UUID
    webhook: UUID
    collection: str | None
    action: str | None
    record: str | None
    url: str | None
    method: str | None
    status: str
    attempts: int
    responseStatus: int | None  # noqa: N815
    responseBody: str | None  # noqa: N815
    error: str | None
    nextRetry: datetime | None  # noqa: N815
    created: datetime
    updated: datetime | None


class Logs(msgspec.Struct, frozen=True):
    """A page. `hasMore`: there is another after it; a log is too long to be counted for every page."""

    page: int
    perPage: int  # noqa: N815
    hasMore: bool  # noqa: N815
    items: list[LogEntry]


def _view(webhook: Subscription) -> VskiWebhook:
    return VskiWebhook(
        id=webhook.id,
        name=webhook.name,
        url=webhook.url,
        method=webhook.method,
        headers=webhook.headers,
        body=webhook.body_template,
        retryLimit=retry_count(webhook.retry),
        jwtEnabled=webhook.jwt_enabled,
        active=webhook.enabled,
        events=[filter_to_json(wanted) for wanted in webhook.events],
        created=webhook.created_at,
        updated=webhook.updated_at,
    )


def _change(data: VskiChange, **more: Any) -> WebhookChange:
    """Return the same change in our words."""
    return WebhookChange(
        name=data.name,
        url=data.url,
        method=data.method,
        headers=headers_of(data.headers),
        body_template=data.body,
        max_retries=data.retryLimit,
        jwt_enabled=data.jwtEnabled,
        enabled=data.active,
        events=data.events,
        id=data.id,
        created_at=data.created,
        updated_at=data.updated,
        **more,
    )


@post("/", status_code=201)
async def create_webhook(services: NamedDependency[Services], data: JSONBody[VskiChange]) -> VskiWebhook:
    """Create a webhook."""
    change = _change(data, profile=PROFILE)
    if change.events is UNSET:
        change = msgspec.structs.replace(change, events=["*"])
    made = await subscriptions.create(services, change)
    return _view(made.webhook)


@get("/")
async def list_webhooks(services: NamedDependency[Services], page: PageNumber = 1, per_page: PerPage = 50) -> list[VskiWebhook]:
    """List webhooks, newest first."""
    found = await subscriptions.list_webhooks(services, limit=per_page, offset=(page - 1) * per_page)
    return [_view(webhook) for webhook in found]


@get("/{webhook_id:str}")
async def get_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> VskiWebhook:
    """Read a webhook."""
    found = await subscriptions.read(services, webhook_id)
    return _view(found.webhook)


@patch("/{webhook_id:str}")
async def change_webhook(
    services: NamedDependency[Services], webhook_id: FromPath[UUID], data: JSONBody[VskiChange]
) -> VskiWebhook:
    """Change what the body names; the rest stays."""
    made = await subscriptions.change(services, webhook_id, _change(data))
    return _view(made.webhook)


@delete("/{webhook_id:str}", status_code=204)
async def delete_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> None:
    """Delete a webhook."""
    await subscriptions.remove(services, webhook_id)


@get("/logs")
async def list_logs(
    services: NamedDependency[Services],
    request: Request[Any, Any, Any],
    page: PageNumber = 1,
    per_page: PerPage = 50,
    collection: Annotated[str | None, QueryParameter(description="Only what is about this collection or table.")] = None,
    status: Annotated[list[str] | None, QueryParameter(description="Only deliveries in these states, with commas.")] = None,
    cursor: CursorText = None,
) -> Response[Logs]:
    """List deliveries, newest first. Headers tell where to go on, as for `/api/v1/deliveries`."""
    offset = (page - 1) * per_page
    if offset > MAX_OFFSET:
        raise InvalidInputError("page", f"page {page} is further than {MAX_OFFSET} entries; go on by cursor from there.")
    words = words_of("status", status)
    if unknown := [word for word in words if word not in _STATES]:
        raise InvalidInputError("status", f"status is {unknown[0]!r}; write one of {', '.join(_STATES)}.")
    states = tuple(state for word in words for state in _STATES[word])
    asked = Asked(checked(Question(group_id=services.group_id, table=collection, states=states)))
    if cursor == "":
        raise InvalidInputError("cursor", "cursor is empty; leave it out to begin with the newest.")
    asked_page = Paging(per_page, 0 if cursor else offset, cursor, count=False, is_by_number=True)
    found = await deliveries.find(services, asked, asked_page)
    entries = [_entry(delivery) for delivery in found.items]
    return with_pages(request, found.result, Logs(page, per_page, found.result.page.older is not None, entries))


def _entry(delivery: Delivery) -> LogEntry:
    event, webhook = delivery.event, delivery.webhook
    return LogEntry(
        id=delivery.id,
        webhook=delivery.webhook_id,
        collection=event.table_name,
        action=VSKI.name_of(event),
        record=record_id(event),
        url=webhook.url if webhook is not None else None,
        method=webhook.method if webhook is not None else None,
        status=_NAMES[delivery.state],
        attempts=delivery.attempt_count,
        responseStatus=delivery.response_status,
        responseBody=delivery.response_body,
        error=delivery.error,
        nextRetry=delivery.next_retry_at,
        created=delivery.created_at,
        updated=delivery.finished_at,
    )


router = Router(
    "/api/webhooks",
    route_handlers=[create_webhook, list_webhooks, get_webhook, change_webhook, delete_webhook, list_logs],
    tags=["VSKI"],
)
