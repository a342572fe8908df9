"""Who did what: searched, with what was changed, and verified."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError
from tidings.operations import audit
from tidings.operations.audit import Page
from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.scopes import opens
from tidings.portal.views.audit import FILTERS, PATH, VERIFY_PATH, asked_of_audit, audit_view, verification_view

PAGE_SIZE = 50
MAX_VALUE = 500  # characters of a parameter
CRUMBS = [("Settings", "/settings")]


@get(PATH, opt={"query": (*FILTERS, "cursor")})
async def list_entries(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show who did what, newest first. What cannot be asked for is said in the page: one types it letter by letter."""
    asked = {name: request.query_params.get(name, "")[:MAX_VALUE].strip() for name in (*FILTERS, "cursor")}
    asked = {name: value for name, value in asked.items() if value}
    services, now = visit.services, visit.services.clock.now()
    page, question, error, status = Page([], None, None), None, "", 200
    try:
        question = asked_of_audit(asked, now)
        page = await audit.search(services, question, limit=PAGE_SIZE, cursor=asked.get("cursor"))
    except InvalidInputError as refused:
        error = refused.message
        status = 200 if request.headers.get("hx-request") else refused.status
    sealed, waiting = await audit.newest_seal(services)
    may_verify = opens(visit.session, VERIFY_PATH)
    view = audit_view(
        page, asked, now, question=question, sealed=sealed, waiting=waiting, may_verify=may_verify, error=error,
        group_id=visit.group_id,
    )  # fmt: skip
    return show(request, "settings/audit.html", view, title="Audit", crumbs=CRUMBS, status=status)


@get(VERIFY_PATH, opt={"query": ("after",)})
async def verify(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Verify a stretch of the audit, and lead to the next one."""
    after = request.query_params.get("after", "0")
    place = int(after) if after.isdecimal() and after.isascii() and len(after) < 19 else 0
    found = await audit.verify(visit.services, after=place)
    view = verification_view(found, visit.services.clock.now())
    crumbs = [*CRUMBS, ("Audit", PATH)]
    return show(request, "settings/audit_verification.html", view, title="Verification", crumbs=crumbs)


router = Router("/", route_handlers=[list_entries, verify])
