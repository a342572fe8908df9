"""Webhook Delivery: the history, and sending some of it again."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError
from tidings.operations.history import deliveries
from tidings.operations.history.search import Paging
from tidings.operations.webhooks import naming
from tidings.portal.access import LOOK, MANAGE, Visit, count_call
from tidings.portal.answers import go, show, show_part
from tidings.portal.views.deliveries import COUNTED, PAGE, PATH, history, retried_said, state_choices
from tidings.portal.views.frame import local_path
from tidings.portal.views.questions import MAX_VALUE, OF_DELIVERIES, question_of_deliveries

MAX_PROPOSED = 50  # names of webhooks


def asked_of(request: Request[Any, Any, Any], names: Sequence[str]) -> dict[str, str]:
    """Return what the query string asks for; what is said several times with commas, what is empty not at all."""
    found = {name: ",".join(request.query_params.getall(name, []))[:MAX_VALUE].strip() for name in names}
    return {name: value for name, value in found.items() if value}


@get(PATH, opt={"query": (*OF_DELIVERIES, "cursor"), "customer": LOOK})
async def show_history(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show a page of the history. What cannot be asked for is said in the page: one types it letter by letter."""
    asked = asked_of(request, (*OF_DELIVERIES, "cursor"))
    services, now = visit.services, visit.services.clock.now()
    names = [one.name for one in await naming.named(services, "", limit=MAX_PROPOSED) if one.name]
    status = 200
    try:
        question = question_of_deliveries(visit.group_id, asked, now)
        webhook_id = await naming.meant(services, asked["webhook"]) if "webhook" in asked else None
        page = Paging(limit=PAGE, offset=0, cursor=asked.get("cursor"), count=False)
        found = await deliveries.find(services, question.of_webhook(webhook_id), page)
        view = history(
            found, question, asked, now, webhooks=names, webhook_id=webhook_id, may_retry=visit.may.send(f"{PATH}/retry")
        )
    except InvalidInputError as error:
        view = history(None, None, asked, now, webhooks=names, error=error.message, may_retry=visit.may.send(f"{PATH}/retry"))
        status = 200 if request.headers.get("hx-request") else error.status
    return show(request, "deliveries/page.html", view, title="Webhook Delivery", status=status)


@get(f"{PATH}/counts", opt={"query": OF_DELIVERIES, "customer": LOOK})
async def show_counts(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show how many there are of each state, for the page to put in its place once it stands."""
    asked = asked_of(request, OF_DELIVERIES)
    services = visit.services
    try:
        question = question_of_deliveries(visit.group_id, asked, services.clock.now())
        webhook_id = await naming.meant(services, asked["webhook"]) if "webhook" in asked else None
        counts = await deliveries.count(services, question.of_webhook(webhook_id), COUNTED)
    except InvalidInputError:
        counts = {}  # the page says what is wrong
    return show_part(request, "deliveries/counts.html", state_choices(asked, counts))


@post(f"{PATH}/retry", opt={"customer": MANAGE})
async def retry(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Send the deliveries with the ids of the form again.

    Raises:
        InvalidInputError: An id is none, or they are too many.
    """
    count_call(request, visit)
    form = await request.form()
    try:
        ids = [UUID(str(value)) for value in form.getall("id", [])[: deliveries.MAX_RETRIED + 1]]
    except ValueError as error:
        raise InvalidInputError("id", "id is not a delivery's. Choose rows of the list.") from error
    came = await deliveries.retry_several(visit.services, ids)
    back = local_path(str(form.get("to", PATH)), PATH)
    return go(request, back, said=retried_said(came.sent, came.refused_count, came.refused))


router = Router("/", route_handlers=[show_history, show_counts, retry])
