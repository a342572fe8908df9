"""Who did what: signing in, portal links, secrets, webhooks."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.operations import audit
from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.views.audit import PATH, audit_view
from tidings.portal.views.lists import Pager, link

PAGE_SIZE = 50


@get(PATH, opt={"query": ("cursor",)})
async def list_entries(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show who did what, of all groups, newest first."""
    cursor = request.query_params.get("cursor", "")
    before = int(cursor) if cursor.isdecimal() and cursor.isascii() and len(cursor) < 20 else None
    found = await audit.list_entries(visit.services, limit=PAGE_SIZE + 1, before=before)
    shown = found[:PAGE_SIZE]
    older = link(PATH, {"cursor": str(shown[-1].number)}) if len(found) > PAGE_SIZE else ""
    view = audit_view(shown, Pager("" if before is None else PATH, older), visit.services.clock.now())
    return show(request, "settings/audit.html", view, title="Audit", crumbs=[("Settings", "/settings")])


router = Router("/", route_handlers=[list_entries])
