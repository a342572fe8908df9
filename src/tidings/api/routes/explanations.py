"""Why an event goes to webhooks or does not, and what a webhook would have been sent: dry runs."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tidings.api.http.paging import Limit
from tidings.core.explain import Condition, FilterExplained
from tidings.operations.history import explaining
from tidings.operations.history.attempts import SentRequest
from tidings.operations.history.explaining import MAX_DAYS, MAX_EXPLAINED, DryRun, ExplainedWebhook
from tidings.operations.services import Services
from tidings.operations.webhooks.changes import WebhookChange

Explained = Annotated[int, QueryParameter(name="limit", ge=1, le=MAX_EXPLAINED, description="How many webhooks at most.")]
Place = Annotated[str | None, QueryParameter(name="cursor", description="From `cursor` of the page before.")]
Alone = Annotated[UUID | None, QueryParameter(description="Only for this webhook.")]
Days = Annotated[int, QueryParameter(ge=1, le=MAX_DAYS, description="How many days to look back.")]
Before = Annotated[UUID | None, QueryParameter(name="cursor", description="From `cursor` of the page before.")]


class WebhookExplained(msgspec.Struct, frozen=True):
    """Whether an event goes to a webhook as it is now, and why. `request` is what would be sent now."""

    webhook_id: UUID
    name: str
    url: str
    profile: str
    is_sent: bool
    sentence: str
    conditions: tuple[Condition, ...]
    filters: tuple[FilterExplained, ...]
    filter_count: int
    notes: tuple[str, ...]
    request: SentRequest | None
    delivery_id: UUID | None
    status: str | None


class EventExplained(msgspec.Struct, frozen=True):
    """An event explained for webhooks of its group: those it goes to, then those it goes to most nearly."""

    event_id: UUID
    type: str
    webhooks: list[WebhookExplained]
    cursor: str | None


class HeardEvent(msgspec.Struct, frozen=True):
    """An event that would have been sent. `name` is what its receiver knows it as."""

    id: UUID
    type: str
    name: str
    source: str
    operation: str | None
    schema: str | None
    table: str | None
    subject: str | None
    occurred_at: datetime


class DryRunView(msgspec.Struct, frozen=True):
    """What would have been sent of the events since a time, newest first, and how far was looked."""

    profile: str
    since: datetime
    events: list[HeardEvent]
    seen: int
    searched_to: datetime | None
    cursor: UUID | None


@get("/{event_id:uuid}/explain")
async def explain_event(
    services: NamedDependency[Services],
    event_id: FromPath[UUID],
    limit: Explained = 20,
    cursor: Place = None,
    webhook_id: Alone = None,
) -> EventExplained:
    """Tell for each webhook of the group, as it is now, whether the event goes to it: each condition, and what would be sent.

    Webhooks it goes to come first, then the nearest. In a group of more than 500 they come 500 at a time.
    """
    found = await explaining.explain(services, event_id, limit=limit, cursor=cursor, webhook_id=webhook_id)
    return EventExplained(found.event.id, found.event.type, [_explained(one) for one in found.webhooks], found.cursor)


@post("/dry-run", status_code=200)
async def dry_run(
    services: NamedDependency[Services],
    data: JSONBody[WebhookChange],
    days: Days = 7,
    limit: Limit = 50,
    cursor: Before = None,
) -> DryRunView:
    """Tell what a webhook that is not saved would have been sent of the last days. Nothing is sent or saved.

    The body is that of a creation; its `url` may be left out.
    """
    return _view(await explaining.dry_run(services, data, days=days, limit=limit, cursor=cursor))


@post("/{webhook_id:str}/dry-run", status_code=200)
async def dry_run_webhook(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    data: JSONBody[WebhookChange | None] = None,
    days: Days = 7,
    limit: Limit = 50,
    cursor: Before = None,
) -> DryRunView:
    """Tell what a webhook would have been sent of the last days, were it enabled: as it is, or as the body changes it.

    Nothing is sent or saved.
    """
    found = await explaining.dry_run_webhook(services, webhook_id, data, days=days, limit=limit, cursor=cursor)
    return _view(found)


def _explained(one: ExplainedWebhook) -> WebhookExplained:
    said, webhook = one.explanation, one.webhook
    return WebhookExplained(
        webhook_id=webhook.id,
        name=webhook.name,
        url=webhook.url,
        profile=webhook.profile,
        is_sent=said.is_sent,
        sentence=said.sentence,
        conditions=said.conditions,
        filters=said.filters,
        filter_count=said.filter_count,
        notes=said.notes,
        request=one.request,
        delivery_id=one.delivery_id,
        status=one.state,
    )


def _view(found: DryRun) -> DryRunView:
    return DryRunView(
        profile=found.webhook.profile,
        since=found.since,
        events=[
            HeardEvent(
                id=heard.event.id,
                type=heard.event.type,
                name=heard.name,
                source=heard.event.source,
                operation=heard.event.operation,
                schema=heard.event.table_schema,
                table=heard.event.table_name,
                subject=heard.event.subject,
                occurred_at=heard.event.occurred_at,
            )
            for heard in found.events
        ],
        seen=found.seen,
        searched_to=found.searched_to,
        cursor=found.cursor,
    )
