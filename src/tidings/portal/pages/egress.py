"""What may be called from here: the settings, a URL looked at without calling it, and what the shown group may not call."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError
from tidings.core.narrowing import NarrowingForm
from tidings.operations import egress
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.views.egress import MAX_LIST, PATH, egress_view
from tidings.portal.views.small import Notice

CRUMBS = [("Settings", "/settings")]
_LISTS = ("networks", "denied_networks", "ports", "denied_ports")


@get(PATH, opt={"query": ("url",)})
async def show_egress(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show what may be called, and whether the URL of the query may. Nobody is called."""
    url = request.query_params.get("url", "").strip()
    if not url:
        return await _page(request, visit)
    try:
        return await _page(request, visit, url=url, judgement=await egress.judge(visit.services, url))
    except InvalidInputError as error:
        return await _page(request, visit, url=url, errors={"url": error.message})


@post(PATH)
async def narrow(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Narrow what the shown group may call; what cannot be so is said at its field."""
    form = await form_of(request)
    lists = {name: tuple(form.get(name, "")[:MAX_LIST].replace(",", " ").split()) for name in _LISTS}
    try:
        await egress.narrow(visit.services, visit.group_id, NarrowingForm(**lists, https_only=bool(form.get("https_only"))))
    except InvalidInputError as error:
        return await _page(request, visit, written=form, errors={error.field: error.message})
    return go(request, PATH, said=Notice("good", "What is claimed from now on is sent by this."))


async def _page(request: Request[Any, Any, Any], visit: Visit, **more: Any) -> Response[Any]:
    narrowing = await egress.read_narrowing(visit.services, visit.group_id)
    view = egress_view(egress.rules(visit.services), visit.group_id, narrowing, **more)
    status = 422 if more.get("errors") else 200
    return show(request, "settings/egress.html", view, title="Egress", crumbs=CRUMBS, status=status)


router = Router("/", route_handlers=[show_egress, narrow])
