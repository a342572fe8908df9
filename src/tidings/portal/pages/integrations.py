"""Integrations: what each sent of late, what was refused, connect and disconnect."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError
from tidings.operations.sources import integrations
from tidings.operations.sources.integrations import IntegrationChange
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.cookies import base_url
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.integrations import PATH, integration_view, integrations_view, path_of
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
CRUMBS = [("Sources", "/sources"), ("Integrations", PATH)]


@get(PATH, opt={"query": ("page",)})
async def list_integrations(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the integrations of the group."""
    number = page_number(request)
    found = await integrations.list_integrations(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    view = integrations_view(shown, pager, visit.services.clock.now())
    return show(request, "sources/integrations.html", view, title="Integrations", crumbs=CRUMBS[:1])


@get(f"{PATH}/{{name:str}}", opt={"query": ()})
async def integration(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Show an integration: its address, its last notices, what was refused."""
    found = await integrations.read_traffic(visit.services, name)
    view = integration_view(found, base_url(request), visit.services.clock.now())
    return show(request, "sources/integration.html", view, title=view.name.plain, crumbs=CRUMBS, on_record=name)


@post(f"{PATH}/{{name:str}}/switch")
async def switch(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Connect or disconnect an integration.

    Raises:
        InvalidInputError: The form says neither.
    """
    wanted = (await form_of(request)).get("enabled", "")
    if wanted not in {"true", "false"}:
        raise InvalidInputError("enabled", "enabled must be true or false.")
    await integrations.change(visit.services, name, IntegrationChange(enabled=wanted == "true"))
    said = "It is connected." if wanted == "true" else "It is disconnected: its notices are refused."
    return go(request, path_of(name), said=Notice("good", said))


router = Router("/", route_handlers=[list_integrations, integration, switch])
