"""The search box of every page: what a text that somebody has at hand may name."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.operations.history import looking
from tidings.portal.access import Visit
from tidings.portal.answers import go, show
from tidings.portal.views.search import MAX_QUESTION, search_view, straight


@get("/search", opt={"query": ("q",)})
async def search(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Go straight to the one thing that was meant, or show what may have been, and where else to look."""
    question = request.query_params.get("q", "")[:MAX_QUESTION].strip()
    found = await looking.look(visit.services, question)
    if way := straight(question, found):
        return go(request, way)
    view = search_view(question, found, visit.services.clock.now())
    return show(request, "search/page.html", view, title="Search", search=question)


router = Router("/", route_handlers=[search])
