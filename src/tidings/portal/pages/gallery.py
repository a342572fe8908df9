"""The gallery of parts: what people who build pages read, and what the tests look at."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.portal.access import Visit
from tidings.portal.answers import show, show_part
from tidings.portal.views.gallery import PATH, gallery
from tidings.portal.views.small import Secret

_KNOWN = ("status", "webhook", "type", "since", "sort", "cursor")


@get(PATH, opt={"query": _KNOWN})
async def show_gallery(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show every part in every state."""
    asked = {name: request.query_params[name][:500] for name in _KNOWN if request.query_params.get(name)}
    view = gallery(visit.services.clock.now(), asked)
    return show(request, "gallery/page.html", view, title="Gallery", crumbs=[("Overview", "/")])


@post(PATH)
async def reveal(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the sample's secret, as pages do that have one."""
    shown = Secret("signing secret", "whsec_thisIsASample", warning="This was put on record.")
    if request.headers.get("hx-request"):
        return show_part(request, "gallery/secret.html", shown)
    view = gallery(visit.services.clock.now(), {})
    return show(request, "gallery/page.html", msgspec.structs.replace(view, secrets=(shown,)), title="Gallery")


router = Router("/", route_handlers=[show_gallery, reveal])
