"""Webhooks → select a webhook → Diagnose."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import BusyError, ConflictError
from tidings.operations.webhooks import diagnosing, standing, subscriptions
from tidings.operations.webhooks.diagnosing import Diagnosis
from tidings.portal.access import MANAGE, Visit, count_call, form_of
from tidings.portal.answers import show, show_part
from tidings.portal.views.webhook import head
from tidings.portal.views.webhook_diagnosis import DiagnosisView, diagnosed_view
from tidings.portal.views.webhooks import PATH


@get("/webhooks/{webhook_id:str}/diagnose", opt={"query": (), "customer": MANAGE})
async def ask_for_diagnosis(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Say what is sent to find out why a receiver refuses deliveries."""
    return await _show(request, visit, webhook_id)


@post("/webhooks/{webhook_id:str}/diagnose", opt={"customer": MANAGE})
async def diagnose(request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]) -> Response[Any]:
    """Find out why a receiver refuses deliveries, and show it. It waits at most the webhook's timeout and a minute."""
    count_call(request, visit)
    await form_of(request)
    try:
        found = await diagnosing.diagnose(visit.services, webhook_id)
    except ConflictError as error:
        return await _show(request, visit, webhook_id, error=error.message, status=409)
    except BusyError as error:
        return await _show(request, visit, webhook_id, error=error.message, status=503)
    return await _show(request, visit, webhook_id, found)


async def _show(
    request: Request[Any, Any, Any],
    visit: Visit,
    webhook_id: UUID,
    found: Diagnosis | None = None,
    *,
    error: str = "",
    status: int = 200,
) -> Response[Any]:
    webhook = (await subscriptions.read(visit.services, webhook_id)).webhook
    state = await standing.read_state(visit.services, webhook_id)
    top = head(webhook, state.health, visit.services.clock.now(), "Diagnose", may=visit.may)
    view = DiagnosisView(top, None if found is None else diagnosed_view(found), error)
    if request.headers.get("hx-request") and request.method == "POST":
        return show_part(request, "webhook/diagnosed.html", view)  # whatever the status: htmx shows only what is 200
    return show(request, "webhook/diagnose.html", view, title="Diagnose", crumbs=[("Webhooks", PATH)], status=status)


router = Router("/", route_handlers=[ask_for_diagnosis, diagnose])
