"""Setting a webhook up, and changing it: one form, and the request it makes beside it."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.webhook import Subscription
from tidings.operations.webhooks import choices, previews, reach, subscriptions, unheard
from tidings.operations.webhooks.changes import WebhookChange, changed
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.previews import Wish
from tidings.operations.webhooks.shapes import STANDARD
from tidings.operations.webhooks.unheard import named_in, types_named
from tidings.portal.access import Visit, cookie, fields_of, form_of
from tidings.portal.answers import go, show, show_part
from tidings.portal.views.documents import Diff
from tidings.portal.views.small import Notice
from tidings.portal.views.text import visible
from tidings.portal.views.webhook_form import Entered, change_of, entered, entered_of, field_of
from tidings.portal.views.webhook_pages import (
    FormView,
    RequestView,
    form_view,
    profile_words,
    reach_view,
    request_view,
    told_view,
)
from tidings.portal.views.webhook_settings import change_diff
from tidings.portal.views.webhooks import PATH

EXAMPLE_URL = "https://example.com/webhooks"  # until one is typed
MADE_SECONDS = 600  # after which a new webhook's secret is hidden on the page that shows it once
MADE = "tidings-made"
MAX_WHY = 110  # characters of why a profile was chosen, on the page after Save: a cookie takes it there


class _Looked(msgspec.Struct, frozen=True):
    """What a form comes to.

    Attributes:
        profile: That the webhook would have.
        errors: By field.
        diff: What it changes.
    """

    request: RequestView
    profile: str
    choices: Choices
    errors: dict[str, str]
    diff: Diff | None = None


# A new one ---------------------------------------------------------------------------------------------------------------


@get("/webhooks/new", opt={"query": ("profile", "url", "name")})
async def new_webhook(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show an empty form, or one that the address has begun to fill."""
    asked = {name: [request.query_params[name]] for name in ("profile", "url", "name") if name in request.query_params}
    form = entered(asked)
    return await _show_new(request, visit, form, await _look_at_new(visit, form), {})


@post("/webhooks/new")
async def create_webhook(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Create what the form says; show it again with what is wrong, or when it is only looked at."""
    fields = await fields_of(request)
    form = entered(fields)
    if fields.get("do", ["save"])[0] != "save":
        return await _show_new(request, visit, form, await _look_at_new(visit, form), {})
    change, errors = change_of(form)
    if not errors:
        try:
            made = await subscriptions.create(visit.services, change)
        except InvalidInputError as error:
            errors = {field_of(error): error.message}
        else:
            kept = cookie(request, MADE, str(made.webhook.id), max_age=MADE_SECONDS)
            choice, _ = subscriptions.choice_of(visit.services, change)
            said = None if form.profile else Notice("info", profile_words(choice)[:MAX_WHY])
            return go(request, f"{PATH}/{made.webhook.id}/ready", kept, said=said)
    return await _show_new(request, visit, form, await _look_at_new(visit, form), errors, status=422)


@post("/webhooks/new/preview")
async def preview_new(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the request that the form makes, as one types."""
    fields = await fields_of(request)
    form = entered(fields)
    return await _show_typed(request, form, await _look_at_new(visit, form), fields, None)


@post("/webhooks/check")
async def check_url(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show whether the URL of the form can be reached."""
    url = (await form_of(request)).get("url", "").strip()
    if not url:
        return show_part(request, "webhook/reach.html", None)
    return show_part(request, "webhook/reach.html", reach_view(await reach.check(visit.services, url)))


async def _show_new(
    request: Request[Any, Any, Any],
    visit: Visit,
    form: Entered,
    looked: _Looked,
    errors: dict[str, str],
    *,
    status: int = 200,
) -> Response[Any]:
    view = form_view(form, looked.choices, looked.request, errors, profile=looked.profile, webhook_path=None)
    return show(request, "webhook/form.html", view, title="New webhook", crumbs=[("Webhooks", PATH)], status=status)


async def _look_at_new(visit: Visit, form: Entered) -> _Looked:
    change, errors = change_of(form)
    change = msgspec.structs.replace(change, url=change.url or EXAMPLE_URL)
    there_is = await choices.read(visit.services)
    profile, view = STANDARD, RequestView()
    try:
        choice, shape = subscriptions.choice_of(visit.services, change)
        profile = choice.profile
        view = told_view(unheard.told(profile, named_in(shape.events), there_is), None if form.profile else choice)
        if not errors:
            preview = await previews.of_draft(visit.services, change, Wish(), is_repeated=True)
            view = request_view(preview, view)
    except InvalidInputError as error:
        errors = {field_of(error): error.message}
    if errors:
        view = msgspec.structs.replace(view, error=next(iter(errors.values())))
    return _Looked(view, profile, there_is, errors)


# One that is there ---------------------------------------------------------------------------------------------------------


@get("/webhooks/{webhook_id:str}/edit", opt={"query": ()})
async def edit_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show the form of a webhook as it is."""
    webhook = await _changeable(visit, webhook_id)
    form = entered_of(webhook)
    looked = await _look_at_change(visit, webhook, form)
    return await _show_edit(request, webhook, form, msgspec.structs.replace(looked, errors={}, diff=None))


@post("/webhooks/{webhook_id:str}/edit")
async def change_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show what the form changes, or change it."""
    fields = await fields_of(request)
    form, what = entered(fields), fields.get("do", ["review"])[0]
    webhook = await _changeable(visit, webhook_id)
    if what == "save" and form.version != str(webhook.version):
        said = "Somebody has changed this webhook since you began. Below is what your form changes of it as it is now."
        form = msgspec.structs.replace(form, version=str(webhook.version))
        looked = await _look_at_change(visit, webhook, form)
        return await _show_edit(request, webhook, form, looked, notice=Notice("warn", said), status=409)
    looked = await _look_at_change(visit, webhook, form)
    if what == "save" and not looked.errors:
        change = msgspec.structs.replace(_asked_of(webhook, form)[0], version=webhook.version)  # of two at once, one is told
        try:
            await subscriptions.change(visit.services, webhook_id, change)
        except InvalidInputError as error:
            looked = msgspec.structs.replace(looked, errors={field_of(error): error.message})
        else:
            return go(request, f"{PATH}/{webhook_id}", said=Notice("good", "The webhook is changed."))
    status = 422 if looked.errors else 200
    return await _show_edit(request, webhook, form, looked, is_reviewed=what != "preview", status=status)


@post("/webhooks/{webhook_id:str}/edit/preview")
async def preview_change(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show what the form changes and the request it makes, as one types."""
    fields = await fields_of(request)
    form = entered(fields)
    looked = await _look_at_change(visit, await _changeable(visit, webhook_id), form)
    return await _show_typed(request, form, looked, fields, webhook_id)


async def _changeable(visit: Visit, webhook_id: UUID) -> Subscription:
    """Return a webhook that can be changed here.

    Raises:
        ConflictError: It belongs to something else.
    """
    webhook = (await subscriptions.read(visit.services, webhook_id)).webhook
    if webhook.managed_by is not None:
        kind = webhook.managed_by.partition(":")[0]
        raise ConflictError(f"This webhook belongs to a {kind}, and is changed there.")
    return webhook


def _asked_of(webhook: Subscription, form: Entered) -> tuple[WebhookChange, dict[str, str]]:
    return change_of(form, entered_of(webhook), webhook.problems)


async def _look_at_change(visit: Visit, webhook: Subscription, form: Entered) -> _Looked:
    change, errors = _asked_of(webhook, form)
    there_is = await choices.read(visit.services)
    looked = _Looked(RequestView(), form.profile, there_is, errors)
    if errors:
        return msgspec.structs.replace(looked, request=RequestView(error=next(iter(errors.values()))))
    try:
        result = changed(webhook, change, now=visit.services.clock.now())
        told = told_view(unheard.told(result.profile, types_named(result), there_is))
        compared = change_diff(webhook, result, change)
        view = request_view(await previews.of_webhook(visit.services, webhook.id, change, Wish()), told)
    except InvalidInputError as error:
        errors = {field_of(error): error.message}
        return msgspec.structs.replace(looked, request=RequestView(error=error.message), errors=errors)
    except ConflictError as error:  # its secret cannot be read: it can be changed, not shown
        return msgspec.structs.replace(looked, request=RequestView(error=error.message))
    return msgspec.structs.replace(looked, request=view, diff=compared)


async def _show_edit(
    request: Request[Any, Any, Any],
    webhook: Subscription,
    form: Entered,
    looked: _Looked,
    *,
    is_reviewed: bool = False,
    notice: Notice | None = None,
    status: int = 200,
) -> Response[Any]:
    path = f"{PATH}/{webhook.id}"
    view = form_view(
        form,
        looked.choices,
        looked.request,
        looked.errors,
        profile=looked.profile,
        webhook_path=path,
        diff=looked.diff,
        is_reviewed=is_reviewed,
    )
    view = view if notice is None else msgspec.structs.replace(view, notice=notice)
    crumbs = [("Webhooks", PATH), (visible(webhook.name, limit=60).plain, path)]
    return show(request, "webhook/form.html", view, title="Edit webhook", crumbs=crumbs, status=status)


async def _show_typed(
    request: Request[Any, Any, Any],
    form: Entered,
    looked: _Looked,
    fields: dict[str, list[str]],
    webhook_id: UUID | None,
) -> Response[Any]:
    is_other = fields.get("shown_profile", [looked.profile])[0] != looked.profile
    path = None if webhook_id is None else f"{PATH}/{webhook_id}"
    view: FormView = form_view(
        form, looked.choices, looked.request, {}, profile=looked.profile, webhook_path=path, diff=looked.diff
    )
    return show_part(request, "webhook/typed.html", msgspec.structs.replace(view, is_other_profile=is_other))


router = Router(
    "/",
    route_handlers=[
        new_webhook, create_webhook, preview_new, check_url, edit_webhook, change_webhook, preview_change,
    ],
)  # fmt: skip
