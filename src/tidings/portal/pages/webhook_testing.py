"""Webhooks → select a webhook → Test."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.operations.webhooks import customers, standing, subscriptions, testing
from tidings.operations.webhooks.testing import Tested
from tidings.portal.access import MANAGE, Visit, count_call, form_of
from tidings.portal.answers import show, show_part
from tidings.portal.views.webhook import head
from tidings.portal.views.webhook_testing import first_error, sample_of, testing_view
from tidings.portal.views.webhooks import PATH

MAX_NAME = 500  # characters of an event's name in the address


@get("/webhooks/{webhook_id:str}/test", opt={"query": ("event",), "customer": MANAGE})
async def ask_for_test(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show which samples can be sent, and what the chosen one says."""
    return await _show(request, visit, webhook_id, {"event": request.query_params.get("event", "")[:MAX_NAME]}, {})


@post("/webhooks/{webhook_id:str}/test", opt={"customer": MANAGE})
async def send_test(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Send a sample, wait for what comes of it, and show that. It waits no longer than the webhook's timeout and a second."""
    count_call(request, visit)
    typed = await form_of(request)
    try:
        tested = await testing.send(visit.services, webhook_id, sample_of(typed))
    except InvalidInputError as error:
        return await _show(request, visit, webhook_id, typed, first_error(error.field, error.message), status=422)
    except ConflictError as error:
        return await _show(request, visit, webhook_id, typed, {"": error.message}, status=409)
    return await _show(request, visit, webhook_id, typed, {}, result=tested)


async def _show(
    request: Request[Any, Any, Any],
    visit: Visit,
    webhook_id: UUID,
    typed: dict[str, str],
    errors: dict[str, str],
    *,
    result: Tested | None = None,
    status: int = 200,
) -> Response[Any]:
    webhook = (await subscriptions.read(visit.services, webhook_id)).webhook
    state = await standing.read_state(visit.services, webhook_id)
    access, now = visit.session.access, visit.services.clock.now()
    offered = await customers.offered(visit.services, access)
    top = head(webhook, state.health, now, "Test", may=visit.may)
    view = testing_view(top, webhook, offered, typed, now, access=access, result=result, errors=errors)
    if request.headers.get("hx-request") and request.method == "POST":
        return show_part(request, "webhook/tested.html", view)  # whatever the status: htmx shows only what is 200
    return show(request, "webhook/test.html", view, title="Test", crumbs=[("Webhooks", PATH)], status=status)


router = Router("/", route_handlers=[ask_for_test, send_test])
