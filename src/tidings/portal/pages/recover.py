"""Sending again what a search finds, or what a webhook missed: the form that asks, and what begins it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.recovery import Recovery
from tidings.core.webhook import Subscription
from tidings.operations.history import recoveries
from tidings.operations.history.recoveries import Forecast
from tidings.operations.history.search import Asked
from tidings.operations.webhooks import naming, subscriptions
from tidings.portal.access import MANAGE, Visit, count_call, form_of
from tidings.portal.answers import go, show, show_part
from tidings.portal.pages.deliveries import asked_of
from tidings.portal.views.frame import local_path
from tidings.portal.views.lists import link
from tidings.portal.views.questions import OF_DELIVERIES, question_of_deliveries, time_named
from tidings.portal.views.recover import (
    WEBHOOK_FIELDS,
    RecoverView,
    as_field,
    forecast_view,
    rate_of,
    search_view,
    webhook_view,
)
from tidings.portal.views.recoveries import words_of
from tidings.portal.views.small import Notice

_CRUMBS = [("Webhook Delivery", "/deliveries")]


# What a search finds -----------------------------------------------------------------------------------------------------


@get("/recover", opt={"query": (*OF_DELIVERIES, "cursor")})
async def ask_search(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Ask before what a search finds is sent again: the query string is that of the list of deliveries."""
    asked = await _asked(visit, asked_of(request, OF_DELIVERIES))
    words = _words(asked)
    forecast = await recoveries.count_search(visit.services, asked)
    return _show(request, search_view(words, forecast, back=link("/deliveries", words)), crumbs=_CRUMBS)


@post("/recover")
async def begin_search(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Begin to send again what the form's search finds."""
    form = await form_of(request)
    asked = await _asked(visit, {name: text for name in OF_DELIVERIES if (text := form.get(name, "").strip())})
    words, rate = _words(asked), form.get("rate_per_second", "")
    try:
        begun = await recoveries.begin_search(visit.services, asked, rate_per_second=rate_of(rate))
    except (ConflictError, InvalidInputError) as error:
        wrong = error if isinstance(error, InvalidInputError) else None
        forecast = await _forecast(visit, asked)
        view = search_view(words, forecast, back=link("/deliveries", words), rate=rate, error=wrong, problem=error.message)
        return _show(request, view, crumbs=_CRUMBS, status=error.status)
    return _begun(request, begun)


async def _asked(visit: Visit, words: Mapping[str, str]) -> Asked:
    """Return the search that words name, as the list of deliveries reads them."""
    asked = question_of_deliveries(visit.group_id, words, visit.services.clock.now())
    return asked.of_webhook(await naming.meant(visit.services, words["webhook"])) if "webhook" in words else asked


async def _forecast(visit: Visit, asked: Asked) -> Forecast | None:
    try:
        return await recoveries.count_search(visit.services, asked)
    except InvalidInputError:  # which the page says already
        return None


def _words(asked: Asked) -> dict[str, str]:
    """Return the words of a search, with times that stay what they are."""
    words = words_of(asked.question)
    return words | {"type": ",".join(asked.types)} if asked.types else words


# What a webhook missed ------------------------------------------------------------------------------------------------------


@get("/webhooks/{webhook_id:str}/recover", opt={"query": WEBHOOK_FIELDS, "customer": MANAGE})
async def ask_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Ask which time of a webhook is sent again; of the last hour unless something else is said."""
    asked = {name: text for name in WEBHOOK_FIELDS if (text := request.query_params.get(name, "").strip())}
    hour_ago = visit.services.clock.now() - timedelta(hours=1)
    return await _ask_webhook(request, visit, webhook_id, {"since": as_field(hour_ago), **asked})


@post("/webhooks/{webhook_id:str}/recover/count", opt={"customer": MANAGE})
async def count_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Count what the form would send again: for htmx the sentence alone, else the page with it."""
    form = await form_of(request)
    if not request.headers.get("hx-request"):
        return await _ask_webhook(request, visit, webhook_id, form)
    try:
        since, until = _times(visit, form)
        forecast = await recoveries.count_webhook(
            visit.services, webhook_id, since, until, missing=form.get("missing") == "true"
        )
    except (ConflictError, InvalidInputError):
        return show_part(request, "recover/forecast.html", None)  # it is said when the form is sent
    return show_part(request, "recover/forecast.html", forecast_view(forecast))


@post("/webhooks/{webhook_id:str}/recover", opt={"customer": MANAGE})
async def begin_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Begin to send a webhook again what it did not acknowledge."""
    count_call(request, visit)
    form = await form_of(request)
    try:
        since, until = _times(visit, form)
        begun = await recoveries.begin_webhook(
            visit.services,
            webhook_id,
            since,
            until,
            missing=form.get("missing") == "true",
            rate_per_second=rate_of(form.get("rate_per_second", "")),
        )
    except (ConflictError, InvalidInputError) as error:
        return await _ask_webhook(request, visit, webhook_id, form, error)
    return _begun(request, begun)


async def _ask_webhook(
    request: Request[Any, Any, Any],
    visit: Visit,
    webhook_id: UUID,
    asked: Mapping[str, str],
    error: ConflictError | InvalidInputError | None = None,
) -> Response[Any]:
    """Show the form with what its fields hold, what that comes to, and what is wrong with it."""
    webhook: Subscription = (await subscriptions.read(visit.services, webhook_id)).webhook
    forecast = None
    try:
        since, until = _times(visit, asked)
        forecast = await recoveries.count_webhook(
            visit.services, webhook_id, since, until, missing=asked.get("missing") == "true"
        )
    except (ConflictError, InvalidInputError) as problem:
        error = error or problem
    wrong = error if isinstance(error, InvalidInputError) else None
    view = webhook_view(webhook, asked, forecast, error=wrong, problem=error.message if error else "")
    crumbs = [("Webhooks", "/webhooks"), (webhook.name[:80], f"/webhooks/{webhook_id}")]
    return _show(request, view, crumbs=crumbs, status=error.status if error else 200)


def _times(visit: Visit, form: Mapping[str, str]) -> tuple[datetime, datetime | None]:
    now = visit.services.clock.now()
    since = time_named("since", form.get("since", ""), now)
    if since is None:
        raise InvalidInputError("since", "Say from when on, such as 2026-11-21T14:00.")
    return since, time_named("until", form.get("until", ""), now)


# Both ------------------------------------------------------------------------------------------------------------------------


@post("/recoveries/{recovery_id:uuid}/cancel", opt={"customer": MANAGE})
async def cancel(request: Request[Any, Any, Any], visit: NamedDependency[Visit], recovery_id: FromPath[UUID]) -> Response[Any]:
    """End a recovery early."""
    try:
        await recoveries.cancel(visit.services, recovery_id)
        said = Notice("info", "It is cancelled. What it had put into the queue goes out.")
    except ConflictError as error:
        said = Notice("info", error.message)
    form = await form_of(request)
    return go(request, local_path(form.get("to", ""), f"/recoveries/{recovery_id}"), said=said)


def _begun(request: Request[Any, Any, Any], begun: Recovery) -> Response[Any]:
    return go(request, f"/recoveries/{begun.id}", said=Notice("good", "It has begun. This page follows it."))


def _show(
    request: Request[Any, Any, Any], view: RecoverView, *, crumbs: list[tuple[str, str]], status: int = 200
) -> Response[Any]:
    return show(request, "recover/page.html", view, title=view.title, crumbs=crumbs, status=status)


router = Router("/", route_handlers=[ask_search, begin_search, ask_webhook, count_webhook, begin_webhook, cancel])
