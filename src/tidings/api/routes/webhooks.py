"""`/api/v1/webhooks`: subscriptions."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.dialects import fluxbase
from tidings.api.http.paging import Limit, Offset, paging
from tidings.api.http.questions import asked_of_deliveries
from tidings.api.routes import (
    explanations,
    recoveries,
    statistics,
    webhook_diagnoses,
    webhook_previews,
    webhook_secrets,
    webhook_tests,
    webhook_versions,
)
from tidings.api.routes.deliveries import page_view
from tidings.api.routes.delivery_view import DeliveryView
from tidings.api.routes.webhook_view import WebhookDeleted, WebhookView, view
from tidings.core.webhook import Subscription
from tidings.operations.history import deliveries
from tidings.operations.history.search import Asked, Paging
from tidings.operations.services import Services
from tidings.operations.webhooks import health, subscriptions
from tidings.operations.webhooks.changes import WebhookChange
from tidings.sources.tables import TableState

WebhookBody = JSONBody[WebhookChange]
After = Annotated[UUID | None, QueryParameter(name="cursor", description="The id of the last webhook of the page before.")]


def _view(
    webhook: Subscription, states: list[TableState] | UnsetType = UNSET, *, is_changed: bool = False, **said: Any
) -> WebhookView:
    return fluxbase.webhook(view(webhook, states, **said), webhook, is_changed=is_changed)


@post("/", status_code=201)
async def create_webhook(services: NamedDependency[Services], data: WebhookBody) -> WebhookView:
    """Create a webhook, and put triggers on the tables it names, in one transaction."""
    made = await subscriptions.create(services, data)
    return _view(made.webhook, made.tables, reason=made.reason, secret=made.webhook.secret, warnings=made.warnings)


@get("/")
async def list_webhooks(
    services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0, cursor: After = None
) -> list[WebhookView]:
    """List webhooks, newest first, each with its health."""
    page = await subscriptions.list_webhooks(services, limit=limit, offset=offset, after=cursor)
    found = await health.of_webhooks(services, [webhook.id for webhook in page])
    return [_view(webhook, health=found.get(webhook.id)) for webhook in page]


@get("/{webhook_id:str}")
async def get_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> WebhookView:
    """Read a webhook, with its health and the state of each table it names."""
    found = await subscriptions.read(services, webhook_id)
    return _view(found.webhook, found.tables, health=await health.of_webhook(services, webhook_id))


@patch("/{webhook_id:str}")
async def change_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID], data: WebhookBody) -> WebhookView:
    """Change what the body names; the rest stays."""
    made = await subscriptions.change(services, webhook_id, data)
    return _view(made.webhook, made.tables, is_changed=True, warnings=made.warnings)


@put("/{webhook_id:str}")
async def put_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID], data: WebhookBody) -> WebhookView:
    """The same as PATCH, for clients that say PUT: what the body does not name stays."""
    made = await subscriptions.change(services, webhook_id, data)
    return _view(made.webhook, made.tables, is_changed=True, warnings=made.warnings)


@delete("/{webhook_id:str}", status_code=200)
async def delete_webhook(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> WebhookDeleted:
    """Delete a webhook. Its unfinished deliveries are cancelled; its history stays until retention ends."""
    await subscriptions.remove(services, webhook_id)
    return WebhookDeleted()


@get(
    "/{webhook_id:str}/deliveries",
    dependencies={
        "asked": Provide(asked_of_deliveries, sync_to_thread=False),
        "paging": Provide(paging, sync_to_thread=False),
    },
)
async def list_webhook_deliveries(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    asked: NamedDependency[Asked],
    paging: NamedDependency[Paging],
    request: Request[Any, Any, Any],
) -> Response[list[DeliveryView]]:
    """List a webhook's deliveries, newest first, as `/api/v1/deliveries` does."""
    return page_view(request, services, await deliveries.find_of_webhook(services, webhook_id, asked, paging))


router = Router(
    "/api/v1/webhooks",
    route_handlers=[
        create_webhook,
        list_webhooks,
        get_webhook,
        change_webhook,
        put_webhook,
        delete_webhook,
        list_webhook_deliveries,
        statistics.get_webhook_statistics,
        webhook_tests.send_test,
        webhook_diagnoses.diagnose_webhook,
        webhook_previews.preview_draft,
        webhook_previews.preview_webhook,
        webhook_secrets.read_secret,
        webhook_secrets.rotate_secret,
        webhook_versions.list_versions,
        recoveries.recover_webhook,
        explanations.dry_run,
        explanations.dry_run_webhook,
    ],
    tags=["Webhooks"],
)
