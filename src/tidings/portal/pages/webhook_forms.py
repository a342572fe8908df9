"""What the forms of new webhooks and of changed ones have in common: what they come to, and by whom they are filled in."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response
from msgspec import UNSET

from tidings.core.customers import Access
from tidings.core.errors import InvalidInputError
from tidings.operations.history import explaining
from tidings.operations.webhooks import choices, customers, unheard
from tidings.operations.webhooks.changes import WebhookChange
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.previews import Preview
from tidings.operations.webhooks.shapes import Choice
from tidings.portal.access import Visit
from tidings.portal.answers import show_part
from tidings.portal.views.customers import veiled
from tidings.portal.views.documents import Diff
from tidings.portal.views.dry_run import PAGE_SIZE, DryRunView, days_of, dry_run_view, refused_view
from tidings.portal.views.webhook_form import Entered, Fields, entered, of_customer
from tidings.portal.views.webhook_pages import RequestView, form_view, request_view, told_view
from tidings.portal.views.webhooks import PATH


class Looked(msgspec.Struct, frozen=True):
    """What a form comes to.

    Attributes:
        profile: That the webhook would have.
        choices: What there is to choose from.
        errors: By field.
        diff: What it changes.
    """

    request: RequestView
    profile: str
    choices: Choices
    errors: dict[str, str]
    diff: Diff | None = None


# By whom it is filled in ---------------------------------------------------------------------------------------------------


def limits_of(visit: Visit) -> Access | None:
    """Return what a customer may do; None: an operator asks."""
    return visit.session.access if visit.is_customer else None


async def offered(visit: Visit) -> Choices:
    """Return what there is to choose from."""
    if visit.is_customer:
        return await customers.offered(visit.services, visit.session.access)
    return await choices.read(visit.services)


def typed(visit: Visit, fields: Fields, profile: str) -> Entered:
    """Return what was typed.

    Args:
        profile: A customer's, who does not choose it.
    """
    form = entered(fields)
    return of_customer(form, profile) if visit.is_customer else form


def said_of(visit: Visit, profile: str, names: Iterable[str], there_is: Choices, choice: Choice | None = None) -> RequestView:
    """Return what there is to know before there is a request: for operators, who can do something about it."""
    return RequestView() if visit.is_customer else told_view(unheard.told(profile, names, there_is), choice)


def shown_request(visit: Visit, preview: Preview, told: RequestView) -> RequestView:
    """Return the request that would be sent; to a customer without the values of the operator's headers."""
    if visit.is_customer:
        preview = msgspec.structs.replace(preview, headers=veiled(preview.headers, preview.profile))
    return request_view(preview, told)


# As one types, and before one saves ----------------------------------------------------------------------------------------


async def dry_run(
    visit: Visit, fields: Fields, asked: tuple[WebhookChange, dict[str, str]], webhook_id: UUID | None = None
) -> DryRunView | None:
    """Return what the form's webhook would have been sent of the last days, where that is asked; nothing is saved.

    Args:
        asked: What the form asks for, and what is wrong with it.
        webhook_id: Of the webhook that it changes; None: it is a new one.
    """
    if fields.get("do", [""])[0] != "dry-run" or visit.is_customer:
        return None
    days = days_of(fields.get("days", [""])[0])
    if not visit.may_see_events:
        return refused_view(days, "A dry run shows events. The key that you signed in with lacks the scope events:read.")
    change, errors = asked
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


def show_typed(
    request: Request[Any, Any, Any],
    visit: Visit,
    form: Entered,
    looked: Looked,
    fields: Fields,
    webhook_id: UUID | None = None,
) -> Response[Any]:
    """Show what a form comes to, as one types: with other boxes, where what was typed is of another profile."""
    is_other = fields.get("shown_profile", [looked.profile])[0] != looked.profile
    view = form_view(
        form,
        looked.choices,
        looked.request,
        {},
        profile=looked.profile,
        webhook_path=None if webhook_id is None else f"{PATH}/{webhook_id}",
        diff=looked.diff,
        access=limits_of(visit),
    )
    return show_part(request, "webhook/typed.html", msgspec.structs.replace(view, is_other_profile=is_other))
