"""Why an event goes to webhooks, or does not."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError
from tidings.operations.history import explaining
from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.views.explain import explain_view


@get("/events/{event_id:uuid}/explain", opt={"query": ("cursor", "webhook_id")})
async def explain(request: Request[Any, Any, Any], visit: NamedDependency[Visit], event_id: FromPath[UUID]) -> Response[Any]:
    """Show for each webhook whether the event goes to it, and why; those it goes to first, then the nearest.

    Raises:
        InvalidInputError: The webhook asked for is no id.
    """
    cursor, named = request.query_params.get("cursor") or None, request.query_params.get("webhook_id", "")
    try:
        webhook_id = UUID(named) if named else None
    except ValueError as error:
        raise InvalidInputError("webhook_id", "webhook_id is no webhook's. Take it out of the address.") from error
    found = await explaining.explain(visit.services, event_id, cursor=cursor, webhook_id=webhook_id)
    view = explain_view(found, visit.services.clock.now(), webhook_id=webhook_id, is_first=cursor is None)
    crumbs = [("Events", "/events"), (found.event.type[:80], f"/events/{event_id}")]
    return show(request, "explain/page.html", view, title="Explain", crumbs=crumbs)


router = Router("/", route_handlers=[explain])
