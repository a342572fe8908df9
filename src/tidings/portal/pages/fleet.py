"""How the fleet is that this installation is a home of."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.operations import fleet
from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.views.fleet import PATH, fleet_view


@get(PATH, opt={"query": ()})
async def show_fleet(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show what waits in the stream and at sources, since when, and why."""
    view = fleet_view(await fleet.read(visit.services), visit.services.clock.now())
    return show(request, "settings/fleet.html", view, title="Fleet", crumbs=[("Settings", "/settings")])


router = Router("/", route_handlers=[show_fleet])
