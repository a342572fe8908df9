"""Recoveries: the list, and one as it goes on."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError
from tidings.operations.history import recoveries
from tidings.portal.access import MANAGE, Visit
from tidings.portal.answers import show, show_part
from tidings.portal.views.recoveries import PAGE, PATH, recoveries_view, recovery_view

_CRUMBS = [("Webhook Delivery", "/deliveries")]


@get(PATH, opt={"query": ("cursor",), "customer": MANAGE})
async def show_list(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the recoveries of the group, newest first.

    Raises:
        InvalidInputError: The cursor is no id.
    """
    cursor = request.query_params.get("cursor", "")
    try:
        after = UUID(cursor) if cursor else None
    except ValueError as error:
        raise InvalidInputError("cursor", "cursor is no recovery's id. Take it out of the address.") from error
    found = await recoveries.list_recoveries(visit.services, limit=PAGE + 1, after=after)
    view = recoveries_view(found, visit.services.clock.now())
    return show(request, "recoveries/page.html", view, title="Recoveries", crumbs=_CRUMBS)


@get(f"{PATH}/{{recovery_id:uuid}}", opt={"query": (), "customer": MANAGE})
async def show_one(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], recovery_id: FromPath[UUID]
) -> Response[Any]:
    """Show a recovery; to htmx the part that changes, which asks for itself until it is over."""
    view = recovery_view(await recoveries.read(visit.services, recovery_id), visit.services.clock.now())
    if request.headers.get("hx-request"):
        return show_part(request, "recoveries/progress.html", view)
    crumbs = [*_CRUMBS, ("Recoveries", PATH)]
    return show(request, "recoveries/one.html", view, title=f"Recovery {view.id.short}", crumbs=crumbs, on_record=recovery_id)


router = Router("/", route_handlers=[show_list, show_one])
