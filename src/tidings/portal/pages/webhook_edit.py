"""Setting a webhook up, and changing it: one form, and the request it makes beside it."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import UNSET

from tidings.core.customers import Access
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.filters import OPERATIONS
from tidings.core.webhook import Subscription
from tidings.operations.history import explaining
from tidings.operations.sources.tables import name_of
from tidings.operations.webhooks import customers, previews, reach, subscriptions
from tidings.operations.webhooks.changes import WebhookChange, changed
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.previews import Preview, Wish
from tidings.operations.webhooks.subscriptions import Made
from tidings.portal.access import MANAGE, Visit, cookie, count_call, fields_of, form_of
from tidings.portal.answers import go, show, show_part
from tidings.portal.views.customers import veiled
from tidings.portal.views.documents import Diff
from tidings.portal.views.dry_run import PAGE_SIZE, DryRunView, days_of, dry_run_view, refused_view
from tidings.portal.views.small import Notice
from tidings.portal.views.text import visible
from tidings.portal.views.webhook_form import Entered, Fields, change_of, entered, entered_of, field_of, table_value
from tidings.portal.views.webhook_pages import FormView, RequestView, form_view, reach_view, request_view
from tidings.portal.views.webhook_settings import change_diff
from tidings.portal.views.webhooks import PATH, manager_of
from tidings.profiles import PROFILES, SecretForm

EXAMPLE_URL = "https://example.com/webhooks"  # until one is typed
# Previews of a webhook that has no secret yet are signed with this, so that a signature changes only with what is signed.
EXAMPLE_SECRETS = {SecretForm.WHSEC: f"whsec_{'A' * 43}=", SecretForm.TEXT: "a" * 64}
MADE_SECONDS = 600  # after which a new webhook's secret is hidden on the page that shows it once
MADE = "tidings-made"

_SIGNED_BY_EXAMPLE = "Signed with an example; the secret is made when you save."


class _Looked(msgspec.Struct, frozen=True):
    """What a form comes to: the request, the errors by field, and what it changes."""

    request: RequestView
    errors: dict[str, str]
    diff: Diff | None = None


# A new one ---------------------------------------------------------------------------------------------------------------


@get("/webhooks/new", opt={"query": ("profile", "url", "name", "table"), "customer": MANAGE})
async def new_webhook(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show an empty form, or one that the address has begun to fill."""
    asked = {name: [request.query_params[name]] for name in ("profile", "url", "name") if name in request.query_params}
    if table := request.query_params.get("table"):
        asked["tables"] = [table_value(operation, *name_of(table)) for operation in OPERATIONS]
    form = _entered(visit, {"profile": [_profile(visit)]} | asked)
    looked = await _look_at_new(visit, form)
    return await _show_new(request, visit, form, looked.request, {})


@post("/webhooks/new", opt={"customer": MANAGE})
async def create_webhook(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Create what the form says; show it again with what is wrong, or when it is only looked at."""
    fields = await fields_of(request)
    form = _entered(visit, fields)
    what = fields.get("do", ["save"])[0]
    if what != "save":
        looked = await _look_at_new(visit, form)
        dry = await _dry_run(visit, form, fields, None) if what == "dry-run" and not visit.is_customer else None
        return await _show_new(request, visit, form, looked.request, {}, dry=dry)
    change, errors = change_of(form)
    if not errors:
        try:
            made = await _create(visit, change)
        except InvalidInputError as error:
            errors = {field_of(error): error.message}
        else:
            kept = cookie(request, MADE, str(made.webhook.id), max_age=MADE_SECONDS)
            return go(request, f"{PATH}/{made.webhook.id}/ready", kept)
    looked = await _look_at_new(visit, form)
    return await _show_new(request, visit, form, looked.request, errors, status=422)


@post("/webhooks/new/preview", opt={"customer": MANAGE})
async def preview_new(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the request that the form makes, as one types."""
    fields = await fields_of(request)
    form = _entered(visit, fields)
    looked = await _look_at_new(visit, form)
    return await _show_typed(request, visit, form, looked, fields, None)


@post("/webhooks/check", opt={"customer": MANAGE})
async def check_url(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show whether the URL of the form can be reached."""
    count_call(request, visit)
    url = (await form_of(request)).get("url", "").strip()
    if not url:
        return show_part(request, "webhook/reach.html", None)
    return show_part(request, "webhook/reach.html", reach_view(await reach.check(visit.services, url)))


async def _show_new(
    request: Request[Any, Any, Any],
    visit: Visit,
    form: Entered,
    shown: RequestView,
    errors: dict[str, str],
    *,
    dry: DryRunView | None = None,
    status: int = 200,
) -> Response[Any]:
    view = form_view(
        form,
        await customers.offered(visit.services, visit.session.access),
        shown,
        errors,
        webhook_path=None,
        dry=dry,
        access=_limits(visit),
    )
    return show(request, "webhook/form.html", view, title="New webhook", crumbs=[("Webhooks", PATH)], status=status)


async def _look_at_new(visit: Visit, form: Entered) -> _Looked:
    change, errors = change_of(form)
    change = msgspec.structs.replace(change, url=change.url or EXAMPLE_URL)
    is_example = change.secret is UNSET and form.profile in PROFILES
    if is_example:
        change = msgspec.structs.replace(change, secret=EXAMPLE_SECRETS[PROFILES[form.profile].secret_form])
    if errors:
        return _Looked(RequestView(error=next(iter(errors.values()))), errors)
    try:
        view = _request_view(visit, await _preview_draft(visit, change))
    except InvalidInputError as error:
        return _Looked(RequestView(error=error.message), {field_of(error): error.message})
    notes = (*view.notes, _SIGNED_BY_EXAMPLE) if is_example else view.notes
    return _Looked(msgspec.structs.replace(view, notes=notes), {})


# One that is there ---------------------------------------------------------------------------------------------------------


@get("/webhooks/{webhook_id:str}/edit", opt={"query": (), "customer": MANAGE})
async def edit_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show the form of a webhook as it is."""
    webhook = await _changeable(visit, webhook_id)
    form = entered_of(webhook)
    looked = await _look_at_change(visit, webhook, form)
    return await _show_edit(request, visit, webhook, form, _Looked(looked.request, {}))


@post("/webhooks/{webhook_id:str}/edit", opt={"customer": MANAGE})
async def change_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show what the form changes, or change it."""
    fields = await fields_of(request)
    webhook = await _changeable(visit, webhook_id)
    form, what = _entered(visit, fields, webhook), fields.get("do", ["review"])[0]
    if what == "save" and form.version != str(webhook.version):
        said = "Somebody has changed this webhook since you began. Below is what your form changes of it as it is now."
        form = msgspec.structs.replace(form, version=str(webhook.version))
        looked = await _look_at_change(visit, webhook, form)
        return await _show_edit(request, visit, webhook, form, looked, notice=Notice("warn", said), status=409)
    looked = await _look_at_change(visit, webhook, form)
    if what == "save" and not looked.errors:
        change = msgspec.structs.replace(
            _asked(visit, webhook, form)[0], version=webhook.version
        )  # of two at once, one is told
        try:
            await _change(visit, webhook_id, change)
        except InvalidInputError as error:
            looked = _Looked(looked.request, {field_of(error): error.message}, looked.diff)
        except ConflictError as error:
            looked = _Looked(looked.request, {"": error.message}, looked.diff)
        else:
            return go(request, f"{PATH}/{webhook_id}", said=Notice("good", "The webhook is changed."))
    status = 422 if looked.errors else 200
    if what == "dry-run" and not visit.is_customer:
        dry = await _dry_run(visit, form, fields, webhook_id)
        return await _show_edit(request, visit, webhook, form, looked, dry=dry)
    return await _show_edit(request, visit, webhook, form, looked, is_reviewed=what != "preview", status=status)


@post("/webhooks/{webhook_id:str}/edit/preview", opt={"customer": MANAGE})
async def preview_change(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show what the form changes and the request it makes, as one types."""
    fields = await fields_of(request)
    webhook = await _changeable(visit, webhook_id)
    form = _entered(visit, fields, webhook)
    looked = await _look_at_change(visit, webhook, form)
    return await _show_typed(request, visit, form, looked, fields, webhook_id)


async def _changeable(visit: Visit, webhook_id: UUID) -> Subscription:
    """Return a webhook that can be changed here.

    Raises:
        ConflictError: It belongs to something else.
    """
    webhook = (await subscriptions.read(visit.services, webhook_id)).webhook
    if webhook.managed_by is not None:
        raise ConflictError(f"This webhook belongs to a {manager_of(webhook)}, and is changed there.")
    return webhook


async def _look_at_change(visit: Visit, webhook: Subscription, form: Entered) -> _Looked:
    change, errors = _asked(visit, webhook, form)
    if errors:
        return _Looked(RequestView(error=next(iter(errors.values()))), errors)
    try:
        if visit.is_customer:
            change = await customers.checked_change(visit.services, visit.session.access, webhook, change)
    except (ConflictError, InvalidInputError) as error:
        field = field_of(error) if isinstance(error, InvalidInputError) else "url"
        return _Looked(RequestView(error=error.message), {field: error.message})
    try:
        after = changed(webhook, change, now=visit.services.clock.now())
        compared = change_diff(webhook, after, change, is_customer=visit.is_customer)
        view = _request_view(visit, await previews.of_webhook(visit.services, webhook.id, change, Wish()))
    except InvalidInputError as error:
        return _Looked(RequestView(error=error.message), {field_of(error): error.message})
    except ConflictError as error:  # its secret cannot be read: it can be changed, not shown
        return _Looked(RequestView(error=error.message), {})
    return _Looked(view, {}, compared)


async def _show_edit(
    request: Request[Any, Any, Any],
    visit: Visit,
    webhook: Subscription,
    form: Entered,
    looked: _Looked,
    *,
    is_reviewed: bool = False,
    notice: Notice | None = None,
    dry: DryRunView | None = None,
    status: int = 200,
) -> Response[Any]:
    path = f"{PATH}/{webhook.id}"
    view = form_view(
        form,
        await customers.offered(visit.services, visit.session.access),
        looked.request,
        looked.errors,
        webhook_path=path,
        diff=looked.diff,
        is_reviewed=is_reviewed,
        dry=dry,
        access=_limits(visit),
        kept=customers.keeps(visit.session.access, webhook),
    )
    view = view if notice is None else msgspec.structs.replace(view, notice=notice)
    crumbs = [("Webhooks", PATH), (visible(webhook.name, limit=60).plain, path)]
    return show(request, "webhook/form.html", view, title="Edit webhook", crumbs=crumbs, status=status)


async def _dry_run(visit: Visit, form: Entered, fields: dict[str, list[str]], webhook_id: UUID | None) -> DryRunView:
    """Return what the form's webhook would have been sent of the last days; nothing is saved."""
    days = days_of(fields.get("days", [""])[0])
    change, errors = change_of(form)
    if errors:
        return refused_view(days, next(iter(errors.values())))
    if not change.url:
        change = msgspec.structs.replace(change, url=UNSET)
    try:
        if webhook_id is None:
            run = await explaining.dry_run(visit.services, change, days=days, limit=PAGE_SIZE)
        else:
            run = await explaining.dry_run_webhook(visit.services, webhook_id, change, days=days, limit=PAGE_SIZE)
    except InvalidInputError as error:
        return refused_view(days, error.message)
    return dry_run_view(run, days, visit.services.clock.now())


async def _show_typed(
    request: Request[Any, Any, Any],
    visit: Visit,
    form: Entered,
    looked: _Looked,
    fields: dict[str, list[str]],
    webhook_id: UUID | None,
) -> Response[Any]:
    is_other = fields.get("shown_profile", [form.profile])[0] != form.profile
    offered = await customers.offered(visit.services, visit.session.access) if is_other else Choices()
    path = None if webhook_id is None else f"{PATH}/{webhook_id}"
    view: FormView = form_view(form, offered, looked.request, {}, webhook_path=path, diff=looked.diff, access=_limits(visit))
    return show_part(request, "webhook/typed.html", msgspec.structs.replace(view, is_other_profile=is_other))


# By whom it is asked --------------------------------------------------------------------------------------------------------


def _limits(visit: Visit) -> Access | None:
    """Return what a customer may do; None: an operator asks."""
    return visit.session.access if visit.is_customer else None


def _profile(visit: Visit) -> str:
    return visit.services.config.default_profile or customers.DEFAULT_PROFILE


def _entered(visit: Visit, fields: Fields, webhook: Subscription | None = None) -> Entered:
    """Return what was typed. The profile is none of a customer's choices."""
    form = entered(fields)
    if not visit.is_customer:
        return form
    return msgspec.structs.replace(form, profile=_profile(visit) if webhook is None else webhook.profile)


def _asked(visit: Visit, webhook: Subscription, form: Entered) -> tuple[WebhookChange, dict[str, str]]:
    """Return what a form asks to change. Of events that a customer has no say in none need be chosen beside."""
    change, errors = change_of(form)
    is_empty = not (form.names or form.more.strip() or form.tables or form.collections)
    if is_empty and visit.is_customer and customers.keeps(visit.session.access, webhook):
        errors.pop("events", None)
        change = msgspec.structs.replace(change, events=[])
    return change, errors


async def _create(visit: Visit, change: WebhookChange) -> Made:
    if visit.is_customer:
        return await customers.create(visit.services, visit.session.access, change)
    return await subscriptions.create(visit.services, change)


async def _change(visit: Visit, webhook_id: UUID, change: WebhookChange) -> None:
    if visit.is_customer:
        await customers.change(visit.services, visit.session.access, webhook_id, change)
    else:
        await subscriptions.change(visit.services, webhook_id, change)


async def _preview_draft(visit: Visit, change: WebhookChange) -> Preview:
    if visit.is_customer:
        return await customers.preview_draft(visit.services, visit.session.access, change)
    return await previews.of_draft(visit.services, change, Wish())


def _request_view(visit: Visit, preview: Preview) -> RequestView:
    shown = msgspec.structs.replace(preview, headers=veiled(preview.headers, preview.profile)) if visit.is_customer else preview
    return request_view(shown)


router = Router(
    "/",
    route_handlers=[
        new_webhook, create_webhook, preview_new, check_url, edit_webhook, change_webhook, preview_change,
    ],
)  # fmt: skip
