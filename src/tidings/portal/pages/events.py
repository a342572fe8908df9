"""Events, also those nobody wanted: the list, and one of them."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError, NotFoundError
from tidings.core.question import Question
from tidings.operations.history import deliveries, events
from tidings.operations.history.search import Asked, Paging
from tidings.portal.access import Visit
from tidings.portal.answers import show
from tidings.portal.pages.deliveries import asked_of
from tidings.portal.pages.delivery import attachment
from tidings.portal.views.events import MAX_DELIVERIES, PAGE, PATH, event_view, events_view
from tidings.portal.views.questions import OF_EVENTS, question_of_events


@get(PATH, opt={"query": (*OF_EVENTS, "cursor")})
async def list_events(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show a page of events. What cannot be asked for is said in the page: one types it letter by letter."""
    asked, now = asked_of(request, (*OF_EVENTS, "cursor")), visit.services.clock.now()
    status = 200
    try:
        question = question_of_events(visit.group_id, asked, now)
        page = Paging(limit=PAGE, offset=0, cursor=asked.get("cursor"), count=False)
        view = events_view(await events.find(visit.services, question, page), question, asked, now)
    except InvalidInputError as error:
        view = events_view(None, None, asked, now, error=error.message)
        status = 200 if request.headers.get("hx-request") else error.status
    return show(request, "events/page.html", view, title="Events", status=status)


@get(f"{PATH}/{{event_id:uuid}}", opt={"query": ()})
async def show_event(request: Request[Any, Any, Any], visit: NamedDependency[Visit], event_id: FromPath[UUID]) -> Response[Any]:
    """Show an event, and what became of it."""
    one = await events.read(visit.services, event_id)
    asked = Asked(Question(group_id=visit.group_id, event_id=event_id))
    page = Paging(limit=MAX_DELIVERIES, offset=0, cursor=None, count=False)
    found = await deliveries.find(visit.services, asked, page)
    view = event_view(one, found.items, visit.services.clock.now())
    return show(request, "event/page.html", view, title=f"Event {view.id.short}", crumbs=[("Events", PATH)])


@get(f"{PATH}/{{event_id:uuid}}/record", opt={"query": ()})
async def download_record(visit: NamedDependency[Visit], event_id: FromPath[UUID]) -> Response[bytes]:
    """Answer with the record as a file."""
    one = await events.read(visit.services, event_id)
    return _file(one.record, event_id, "record")


@get(f"{PATH}/{{event_id:uuid}}/old-record", opt={"query": ()})
async def download_old_record(visit: NamedDependency[Visit], event_id: FromPath[UUID]) -> Response[bytes]:
    """Answer with the record before as a file."""
    one = await events.read(visit.services, event_id)
    return _file(one.old_record, event_id, "old-record")


def _file(text: str | None, event_id: UUID, part: str) -> Response[bytes]:
    if text is None:
        raise NotFoundError(f"Event {event_id} has no {part.replace('-', ' ')}.")
    return attachment(text, f"event-{event_id}-{part}")


router = Router("/", route_handlers=[list_events, show_event, download_record, download_old_record])
