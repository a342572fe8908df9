"""Setting a webhook up: a form, and the request it makes beside it."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError, LimitReachedError
from tidings.core.filters import OPERATIONS
from tidings.operations.sources.tables import name_of
from tidings.operations.webhooks import customers, previews, reach, subscriptions
from tidings.operations.webhooks.changes import WebhookChange
from tidings.operations.webhooks.previews import Preview, Wish
from tidings.operations.webhooks.shapes import STANDARD
from tidings.operations.webhooks.subscriptions import Made
from tidings.operations.webhooks.unheard import named_in
from tidings.portal.access import MANAGE, Visit, count_call, fields_of, form_of
from tidings.portal.answers import go, show, show_part
from tidings.portal.cookies import cookie
from tidings.portal.pages.webhook_forms import Looked, dry_run, limits_of, offered, said_of, show_typed, shown_request, typed
from tidings.portal.views.dry_run import DryRunView
from tidings.portal.views.small import Notice, warned
from tidings.portal.views.webhook_entries import table_value
from tidings.portal.views.webhook_form import Entered, Fields, change_of, field_of
from tidings.portal.views.webhook_pages import RequestView, form_view, profile_words, reach_view
from tidings.portal.views.webhooks import PATH

EXAMPLE_URL = "https://example.com/webhooks"  # until one is typed
MADE_SECONDS = 600  # after which a new webhook's secret is hidden on the page that shows it once
MADE = "tidings-made"


@get("/webhooks/new", opt={"query": ("profile", "url", "name", "table"), "customer": MANAGE})
async def new_webhook(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show an empty form, or one that the address has begun to fill."""
    asked = {name: [request.query_params[name]] for name in ("profile", "url", "name") if name in request.query_params}
    if table := request.query_params.get("table"):
        asked["tables"] = [table_value(operation, *name_of(table)) for operation in OPERATIONS]
    form = _typed(visit, asked)
    return await _show(request, visit, form, await _look(visit, form), {})


@post("/webhooks/new", opt={"customer": MANAGE})
async def create_webhook(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Create what the form says; show it again with what is wrong, or when it is only looked at."""
    fields = await fields_of(request)
    form = _typed(visit, fields)
    change, errors = change_of(form)
    if fields.get("do", ["save"])[0] != "save":
        dry = await dry_run(visit, fields, (change, errors))
        return await _show(request, visit, form, await _look(visit, form), {}, dry=dry)
    if not errors:
        try:
            made = await _create(visit, change)
        except InvalidInputError as error:
            errors = {field_of(error): error.message}
        except LimitReachedError as error:  # what was typed is not lost
            errors = {"url": error.message}
        else:
            kept = cookie(request, MADE, str(made.webhook.id), max_age=MADE_SECONDS)
            choice, _ = subscriptions.choice_of(visit.services, change)
            said = None if form.profile else Notice("info", profile_words(choice))
            said = warned(made.warnings) or said
            return go(request, f"{PATH}/{made.webhook.id}/ready", kept, said=said)
    return await _show(request, visit, form, await _look(visit, form), errors, status=422)


@post("/webhooks/new/preview", opt={"customer": MANAGE})
async def preview_new(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the request that the form makes, as one types."""
    fields = await fields_of(request)
    form = _typed(visit, fields)
    return show_typed(request, visit, form, await _look(visit, form), fields)


@post("/webhooks/check", opt={"customer": MANAGE})
async def check_url(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show whether the URL of the form can be reached."""
    count_call(request, visit)
    url = (await form_of(request)).get("url", "").strip()
    if not url:
        return show_part(request, "webhook/reach.html", None)
    return show_part(request, "webhook/reach.html", reach_view(await reach.check(visit.services, url)))


def _typed(visit: Visit, fields: Fields) -> Entered:
    return typed(visit, fields, visit.services.config.default_profile or customers.DEFAULT_PROFILE)


async def _look(visit: Visit, form: Entered) -> Looked:
    change, errors = change_of(form)
    change = msgspec.structs.replace(change, url=change.url or EXAMPLE_URL)
    there_is = await offered(visit)
    profile, view = STANDARD, RequestView()
    try:
        choice, shape = subscriptions.choice_of(visit.services, change)
        profile = choice.profile
        view = said_of(
            visit, profile, named_in(shape.events), there_is, choice if form != Entered() and not form.profile else None
        )
        if not errors:
            view = shown_request(visit, await _preview(visit, change), view)
    except InvalidInputError as error:
        errors = {field_of(error): error.message}
    if errors:
        view = msgspec.structs.replace(view, error=next(iter(errors.values())))
    return Looked(view, profile, there_is, errors)


async def _show(
    request: Request[Any, Any, Any],
    visit: Visit,
    form: Entered,
    looked: Looked,
    errors: dict[str, str],
    *,
    dry: DryRunView | None = None,
    status: int = 200,
) -> Response[Any]:
    view = form_view(
        form,
        looked.choices,
        looked.request,
        errors,
        profile=looked.profile,
        webhook_path=None,
        dry=dry,
        access=limits_of(visit),
    )
    return show(request, "webhook/form.html", view, title="New webhook", crumbs=[("Webhooks", PATH)], status=status)


async def _create(visit: Visit, change: WebhookChange) -> Made:
    if visit.is_customer:
        return await customers.create(visit.services, visit.session.access, change)
    return await subscriptions.create(visit.services, change)


async def _preview(visit: Visit, change: WebhookChange) -> Preview:
    if visit.is_customer:
        return await customers.preview_draft(visit.services, visit.session.access, change)
    wish = Wish(is_made_up=not visit.may_see_events)
    return await previews.of_draft(visit.services, change, wish, is_repeated=True)


router = Router("/", route_handlers=[new_webhook, create_webhook, preview_new, check_url])
