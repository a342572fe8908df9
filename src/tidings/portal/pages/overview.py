"""The first page."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException

from tidings.core.delivery import State
from tidings.core.errors import ForbiddenError, InvalidInputError
from tidings.core.question import Question
from tidings.operations import attention, statistics
from tidings.operations.history import deliveries
from tidings.operations.history.search import Asked, Paging
from tidings.portal.access import visit_of
from tidings.portal.answers import go, show
from tidings.portal.cookies import session_of
from tidings.portal.scopes import first_page
from tidings.portal.views.frame import asks_for_html
from tidings.portal.views.overview import MAX_FAILURES, SPANS, overview_view


class NotForProgramsError(NotFoundException):
    """A program asked for the first page; it is told what it was told before there were pages."""


@get("/", opt={"query": ("span",)})
async def overview(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show how everything does, what needs somebody, and the latest failures.

    Raises:
        InvalidInputError: There is no such length of time.
    """
    if not asks_for_html(request.headers.get("accept", "")):
        raise NotForProgramsError
    try:
        visit = await visit_of(request)
    except ForbiddenError:
        session = session_of(request)
        first = first_page(session.scopes, session.bound_to) if session else None
        if first is None or first == "/":
            raise
        return go(request, first)  # the page that their key does open
    span = request.query_params.get("span", "24h")
    if span not in SPANS:
        raise InvalidInputError("span", f"span is {span[:40]!r}; write {', '.join(SPANS)}.")
    services, now = visit.services, visit.services.clock.now()
    length, step = SPANS[span]
    failed = Asked(Question(group_id=visit.group_id, states=(State.FAILED,)))
    found = await deliveries.find(services, failed, Paging(limit=MAX_FAILURES, offset=0, cursor=None, count=False))
    view = overview_view(
        hour=await statistics.read(services, since=now - SPANS["24h"][0] / 24, step="minute"),
        long=await statistics.read(services, since=now - length, step=step),
        attention=await attention.read(services),
        failures=found.items,
        span=span,
        now=now,
    )
    return show(request, "overview/page.html", view, title="Overview")


router = Router("/", route_handlers=[overview])
