"""The catalogue: every type that can be heard, and those that were seen."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.operations.sources import event_types
from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.catalogue import PATH, catalogue_view

PAGE_SIZE = 50


@get(PATH, opt={"query": ("page",)})
async def catalogue(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the catalogue, and a page of the types that were seen."""
    number = page_number(request)
    types = await event_types.list_types(visit.services)
    found = await event_types.list_seen(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    seen, pager = cut(found, PATH, number, PAGE_SIZE)
    view = catalogue_view(types, seen, pager)
    return show(request, "sources/catalogue.html", view, title="Catalogue", crumbs=[("Sources", "/sources")])


router = Router("/", route_handlers=[catalogue])
