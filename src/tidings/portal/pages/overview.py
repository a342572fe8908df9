"""The first page."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException

from tidings.portal.access import visit_of
from tidings.portal.answers import show
from tidings.portal.views.frame import PLACES, asks_for_html


class NotForProgramsError(NotFoundException):
    """A program asked for the first page; it is told what it was told before there were pages."""


@get("/", opt={"query": ()})
async def overview(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show where everything is."""
    if not asks_for_html(request.headers.get("accept", "")):
        raise NotForProgramsError
    await visit_of(request)
    return show(request, "overview/page.html", PLACES[1:], title="Overview")


router = Router("/", route_handlers=[overview])
