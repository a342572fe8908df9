"""Changing a webhook: its form, what that changes, and the request it makes beside it."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.warned import Warned
from tidings.core.webhook import Subscription
from tidings.operations.webhooks import customers, previews, subscriptions
from tidings.operations.webhooks.changes import WebhookChange, changed
from tidings.operations.webhooks.previews import Wish
from tidings.operations.webhooks.unheard import types_named
from tidings.portal.access import MANAGE, Visit, fields_of
from tidings.portal.answers import go, show
from tidings.portal.pages.webhook_forms import Looked, dry_run, limits_of, offered, said_of, show_typed, shown_request, typed
from tidings.portal.views.dry_run import DryRunView
from tidings.portal.views.small import Notice, warned
from tidings.portal.views.text import visible
from tidings.portal.views.webhook_credentials import credentials_view
from tidings.portal.views.webhook_form import Entered, change_of, entered_of, field_of, shown_to_customer
from tidings.portal.views.webhook_pages import RequestView, form_view
from tidings.portal.views.webhook_settings import change_diff
from tidings.portal.views.webhooks import PATH


@get("/webhooks/{webhook_id:str}/edit", opt={"query": (), "customer": MANAGE})
async def edit_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show the form of a webhook as it is."""
    webhook = await subscriptions.changeable(visit.services, webhook_id)
    form = _form_of(visit, webhook)
    looked = await _look(visit, webhook, form)
    return await _show(request, visit, webhook, form, msgspec.structs.replace(looked, errors={}, diff=None))


@post("/webhooks/{webhook_id:str}/edit", opt={"customer": MANAGE})
async def change_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show what the form changes, or change it."""
    fields = await fields_of(request)
    webhook = await subscriptions.changeable(visit.services, webhook_id)
    form, what = typed(visit, fields, webhook.profile), fields.get("do", ["review"])[0]
    if what == "save" and form.version != str(webhook.version):
        said = "Somebody has changed this webhook since you began. Below is what your form changes of it as it is now."
        form = msgspec.structs.replace(form, version=str(webhook.version))
        looked = await _look(visit, webhook, form)
        return await _show(request, visit, webhook, form, looked, notice=Notice("warn", said), status=409)
    looked = await _look(visit, webhook, form)
    if what == "save" and not looked.errors:
        change, _ = _asked(visit, webhook, form)
        try:
            change = msgspec.structs.replace(change, version=webhook.version)  # of two who change it, one is told
            warnings = await _change(visit, webhook_id, change)
        except InvalidInputError as error:
            looked = msgspec.structs.replace(looked, errors={field_of(error): error.message})
        except ConflictError as error:
            looked = msgspec.structs.replace(looked, errors={"": error.message})
        else:
            done = warned(warnings, "The webhook is changed.") or Notice("good", "The webhook is changed.")
            return go(request, f"{PATH}/{webhook_id}", said=done)
    if (dry := await dry_run(visit, fields, _asked(visit, webhook, form), webhook_id)) is not None:
        return await _show(request, visit, webhook, form, looked, dry=dry)
    status = 422 if looked.errors else 200
    return await _show(request, visit, webhook, form, looked, is_reviewed=what != "preview", status=status)


@post("/webhooks/{webhook_id:str}/edit/preview", opt={"customer": MANAGE})
async def preview_change(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show what the form changes and the request it makes, as one types."""
    fields = await fields_of(request)
    webhook = await subscriptions.changeable(visit.services, webhook_id)
    form = typed(visit, fields, webhook.profile)
    return show_typed(request, visit, form, await _look(visit, webhook, form), fields, webhook_id)


def _form_of(visit: Visit, webhook: Subscription) -> Entered:
    if visit.is_customer:
        return shown_to_customer(webhook, customers.keeps(visit.session.access, webhook))
    return entered_of(webhook)


def _asked(visit: Visit, webhook: Subscription, form: Entered) -> tuple[WebhookChange, dict[str, str]]:
    may_choose_none = customers.may_choose_none(visit.session.access if visit.is_customer else None, webhook)
    return change_of(form, _form_of(visit, webhook), webhook.problems, may_choose_none=may_choose_none)


async def _look(visit: Visit, webhook: Subscription, form: Entered) -> Looked:
    change, errors = _asked(visit, webhook, form)
    there_is = await offered(visit)
    looked = Looked(RequestView(), form.profile, there_is, errors)
    if errors:
        return _refused(looked, errors)
    try:
        if visit.is_customer:
            change = await customers.checked_change(visit.services, visit.session.access, webhook, change)
    except ConflictError as error:
        return _refused(looked, {"url": error.message})
    except InvalidInputError as error:
        return _refused(looked, {field_of(error): error.message})
    try:
        after = changed(webhook, change, now=visit.services.clock.now())
        told = said_of(visit, after.profile, types_named(after), there_is)
        compared = change_diff(webhook, after, change, is_customer=visit.is_customer)
        preview = await previews.of_webhook(visit.services, webhook.id, change, Wish(is_made_up=not visit.may_see_events))
    except InvalidInputError as error:
        return _refused(looked, {field_of(error): error.message})
    except ConflictError as error:  # its secret cannot be read: it can be changed, not shown
        return msgspec.structs.replace(looked, request=RequestView(error=error.message))
    return msgspec.structs.replace(looked, request=shown_request(visit, preview, told), diff=compared)


def _refused(looked: Looked, errors: dict[str, str]) -> Looked:
    request = RequestView(error=next(iter(errors.values())))
    return msgspec.structs.replace(looked, request=request, errors=errors)


async def _show(
    request: Request[Any, Any, Any],
    visit: Visit,
    webhook: Subscription,
    form: Entered,
    looked: Looked,
    *,
    is_reviewed: bool = False,
    notice: Notice | None = None,
    dry: DryRunView | None = None,
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
        dry=dry,
        access=limits_of(visit),
        kept=customers.keeps(visit.session.access, webhook),
        credentials=None if visit.is_customer else credentials_view(webhook, visit.services.clock.now()),
    )
    view = view if notice is None else msgspec.structs.replace(view, notice=notice)
    crumbs = [("Webhooks", PATH), (visible(webhook.name, limit=60).plain, path)]
    return show(request, "webhook/form.html", view, title="Edit webhook", crumbs=crumbs, status=status)


async def _change(visit: Visit, webhook_id: UUID, change: WebhookChange) -> list[Warned]:
    """Change a webhook, and return what is to be said of it; to a customer nothing, whose remedies these are not."""
    if visit.is_customer:
        await customers.change(visit.services, visit.session.access, webhook_id, change)
        return []
    return (await subscriptions.change(visit.services, webhook_id, change)).warnings


router = Router("/", route_handlers=[edit_webhook, change_webhook, preview_change])
