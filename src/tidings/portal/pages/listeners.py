"""Listeners: who receives by `tidings listen`, since when, and what waits for them."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.operations.listening import listeners
from tidings.portal.access import Visit
from tidings.portal.answers import go, show
from tidings.portal.views.listeners import PATH, listeners_view
from tidings.portal.views.small import Notice
from tidings.portal.views.text import count


@get(PATH, opt={"query": ()})
async def list_listeners(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the group's listeners."""
    view = listeners_view(await listeners.list_listeners(visit.services), visit.services.clock.now())
    return show(request, "settings/listeners.html", view, title="Listeners", crumbs=[("Settings", "/settings")])


@post(f"{PATH}/{{listener_id:uuid}}/skip")
async def skip(request: Request[Any, Any, Any], visit: NamedDependency[Visit], listener_id: FromPath[UUID]) -> Response[Any]:
    """Cancel what waits for a listener."""
    skipped = await listeners.skip(visit.services, listener_id)
    said = f"{count(skipped, 'delivery', 'deliveries')} that waited {'was' if skipped == 1 else 'were'} cancelled."
    return go(request, PATH, said=Notice("good", said))


@post(f"{PATH}/{{listener_id:uuid}}/delete")
async def delete(request: Request[Any, Any, Any], visit: NamedDependency[Visit], listener_id: FromPath[UUID]) -> Response[Any]:
    """Delete a listener, and cancel what waits for it."""
    await listeners.remove(visit.services, listener_id)
    return go(request, PATH, said=Notice("good", "The listener is deleted, and what waited for it cancelled."))


router = Router("/", route_handlers=[list_listeners, skip, delete])
