"""What could be neither routed nor delivered, and settings that cannot be read: read, try again, discard."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.operations import set_aside
from tidings.portal.access import Visit
from tidings.portal.answers import go, show
from tidings.portal.views.lists import Pager, link
from tidings.portal.views.set_aside import set_aside_detail, set_aside_faults, set_aside_view
from tidings.portal.views.small import Notice

PATH = "/settings/set-aside"
PAGE_SIZE = 50
MAX_SETTINGS = 100
CRUMBS = [("Settings", "/settings"), ("Set aside", PATH)]


@get(PATH, opt={"query": ("cursor", "settings")})
async def list_rows(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show what was set aside, newest first."""
    cursor = request.query_params.get("cursor", "")
    before = int(cursor) if cursor.isdecimal() and cursor.isascii() and len(cursor) < 20 else None
    found = await set_aside.list_rows(visit.services, limit=PAGE_SIZE + 1, before=before)
    shown = found[:PAGE_SIZE]
    older = link(PATH, {"cursor": str(shown[-1].number)}) if len(found) > PAGE_SIZE else ""
    after = request.query_params.get("settings", "")
    settings = await set_aside.list_settings(visit.services, limit=MAX_SETTINGS + 1, after=after) if before is None else []
    more = link(PATH, {"settings": settings[MAX_SETTINGS - 1].cursor}) if len(settings) > MAX_SETTINGS else ""
    faults = set_aside_faults(settings[:MAX_SETTINGS], Pager(PATH if after else "", more))
    view = set_aside_view(shown, faults, Pager("" if before is None else PATH, older), visit.services.clock.now())
    return show(request, "settings/set_aside.html", view, title="Set aside", crumbs=CRUMBS[:1])


@get(f"{PATH}/{{number:int}}", opt={"query": ()})
async def row(request: Request[Any, Any, Any], visit: NamedDependency[Visit], number: FromPath[int]) -> Response[Any]:
    """Show what was set aside under a number."""
    found = await set_aside.read(visit.services, number)
    view = set_aside_detail(found, visit.services.clock.now())
    return show(request, "settings/set_aside_row.html", view, title=f"Set aside, {number}", crumbs=CRUMBS)


@post(f"{PATH}/{{number:int}}/route")
async def route_again(request: Request[Any, Any, Any], visit: NamedDependency[Visit], number: FromPath[int]) -> Response[Any]:
    """Route it again."""
    await set_aside.route_again(visit.services, number)
    said = "It is routed again. If its reason still holds, it comes back here under another number."
    return go(request, PATH, said=Notice("good", said))


@post(f"{PATH}/{{number:int}}/discard")
async def discard(request: Request[Any, Any, Any], visit: NamedDependency[Visit], number: FromPath[int]) -> Response[Any]:
    """Discard it for good."""
    await set_aside.discard(visit.services, number)
    return go(request, PATH, said=Notice("info", "It is discarded. Nobody is told of it."))


@post(f"{PATH}/settings/{{kind:str}}/{{setting_id:str}}/retry")
async def retry_setting(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], kind: FromPath[str], setting_id: FromPath[str]
) -> Response[Any]:
    """Read a setting again."""
    await set_aside.retry_setting(visit.services, kind, setting_id)
    return go(request, PATH, said=Notice("good", "It can be read again, and what waited for it goes on."))


router = Router("/", route_handlers=[list_rows, row, route_again, discard, retry_setting])
