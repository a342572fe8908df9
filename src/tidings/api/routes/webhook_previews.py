"""`POST /api/v1/webhooks/preview` and `/{id}/preview`: the exact request, before anything is saved or sent."""

from typing import Any
from uuid import UUID

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from tidings.api.routes.webhook_tests import raw_documents
from tidings.operations.services import Services
from tidings.operations.webhooks import previews
from tidings.operations.webhooks.changes import WebhookChange
from tidings.operations.webhooks.previews import Preview, Wish
from tidings.operations.webhooks.samples import Sample


class PreviewBody(WebhookChange, frozen=True, forbid_unknown_fields=True):
    """Fields of a webhook as they would be, and which event to show: `event_id` of history, or a sample as in a test.

    Without either it is the last event that the webhook wants, or a sample when there is none.
    """

    event_id: UUID | UnsetType = UNSET
    event: str | UnsetType = UNSET
    table: str | UnsetType = UNSET
    schema: str = "public"
    record: Any = UNSET
    old_record: Any = UNSET
    data: Any = UNSET


@post("/preview", status_code=200)
async def preview_draft(
    services: NamedDependency[Services], request: Request[Any, Any, Any], data: JSONBody[PreviewBody]
) -> Preview:
    """Show the request that a webhook would send if it were created so."""
    return await previews.of_draft(services, _change(data), await _wish(data, request))


@post("/{webhook_id:str}/preview", status_code=200)
async def preview_webhook(
    services: NamedDependency[Services],
    webhook_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    data: JSONBody[PreviewBody | None] = None,
) -> Preview:
    """Show the request that a webhook would send, with the changes in the body. Nothing is changed or sent."""
    body = data or PreviewBody()
    return await previews.of_webhook(services, webhook_id, _change(body), await _wish(body, request))


def _change(body: PreviewBody) -> WebhookChange:
    return WebhookChange(**{name: getattr(body, name) for name in WebhookChange.__struct_fields__})


async def _wish(body: PreviewBody, request: Request[Any, Any, Any]) -> Wish:
    event_id = None if body.event_id is UNSET else body.event_id
    said = (body.event, body.table, body.record, body.old_record, body.data)
    if all(value is UNSET for value in said):
        return Wish(event_id)
    documents = raw_documents(await request.body())
    return Wish(event_id, Sample(body.event or None, body.table or None, body.schema, **documents))
