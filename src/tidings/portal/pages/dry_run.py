"""What a webhook would have been sent of the last days. Forms ask the same before they are saved."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError
from tidings.operations.history import explaining
from tidings.operations.webhooks import standing, subscriptions
from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.views.dry_run import PAGE_SIZE, DryRunView, days_of, dry_run_view
from tidings.portal.views.webhook import Head, head
from tidings.portal.views.webhooks import PATH


class DryRunPage(msgspec.Struct, frozen=True):
    """What a webhook would have been sent, below its head."""

    head: Head
    dry: DryRunView


@get("/webhooks/{webhook_id:str}/dry-run", opt={"query": ("days", "cursor")})
async def dry_run(request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]) -> Response[Any]:
    """Show what a webhook would have been sent of the last days.

    Raises:
        InvalidInputError: The cursor is none of ours.
    """
    days, cursor = days_of(request.query_params.get("days", "")), request.query_params.get("cursor", "")
    try:
        before = UUID(cursor) if cursor else None
    except ValueError as error:
        raise InvalidInputError("cursor", "cursor was changed. Take it from the page before, or leave it out.") from error
    services = visit.services
    run = await explaining.dry_run_webhook(services, webhook_id, days=days, limit=PAGE_SIZE, cursor=before)
    webhook = (await subscriptions.read(services, webhook_id)).webhook
    state, now = await standing.read_state(services, webhook_id), services.clock.now()
    shown = dry_run_view(run, days, now, path=f"{PATH}/{webhook_id}/dry-run")
    view = DryRunPage(head(webhook, state.health, now, "Dry run", may=visit.may), shown)
    return show(request, "webhook/dry_run.html", view, title="Dry run", crumbs=[("Webhooks", PATH)])


router = Router("/", route_handlers=[dry_run])
