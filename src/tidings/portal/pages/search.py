"""The search box of every page, as far as pages go."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.views.frame import Place, places_for
from tidings.portal.views.lists import link

MAX_QUESTION = 500  # characters


class SearchView(msgspec.Struct, frozen=True):
    """What was found. `deliveries`, `events`: paths that search in them."""

    question: str
    places: tuple[Place, ...]
    deliveries: str
    events: str


@get("/search", opt={"query": ("q",)})
async def search(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the pages that go by these words, and where else to look for them."""
    question = request.query_params.get("q", "")[:MAX_QUESTION].strip()
    asked = {"q": question}
    view = SearchView(question, places_for(question), link("/deliveries", asked), link("/events", asked))
    return show(request, "search/page.html", view, title="Search", search=question)


router = Router("/", route_handlers=[search])
