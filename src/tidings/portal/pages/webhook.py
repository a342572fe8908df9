"""One webhook: how it fares, pause and resume, secrets, versions, deletion, and the page after it was made."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError
from tidings.core.question import Question
from tidings.core.webhook import Subscription
from tidings.operations.history import deliveries
from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.search import Asked, Paging
from tidings.operations.webhooks import secrets, standing, subscriptions
from tidings.operations.webhooks.changes import DEFAULT_OVERLAP_SECONDS, WebhookChange
from tidings.operations.webhooks.secrets import Secrets
from tidings.operations.webhooks.unheard import types_named
from tidings.portal.access import LOOK, MANAGE, Visit, form_of
from tidings.portal.answers import go, show, show_part
from tidings.portal.cookies import cookie, cookie_of, with_cookies
from tidings.portal.pages.webhook_forms import limits_of, offered, said_of
from tidings.portal.pages.webhook_new import MADE
from tidings.portal.views.documents import CodeSample
from tidings.portal.views.receivers import begins_of, receiver_code, scheme_of
from tidings.portal.views.small import Notice, Secret
from tidings.portal.views.text import Shown
from tidings.portal.views.webhook import (
    SHOWN_ON_RECORD,
    First,
    GoneView,
    Head,
    first_view,
    head,
    name_to_type,
    notice_of_change,
    secrets_view,
    versions_view,
    webhook_view,
)
from tidings.portal.views.webhook_form import PROFILE_LABELS
from tidings.portal.views.webhooks import PATH

LATEST = 10  # deliveries on a webhook's first page
VERSIONS = 20  # on a page
_CRUMBS = (("Webhooks", PATH),)


# How it fares ------------------------------------------------------------------------------------------------------------


@get("/webhooks/{webhook_id:str}", opt={"query": (), "customer": LOOK})
async def show_webhook(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show a webhook: how it fares, what it was sent lately, what it is."""
    found = await standing.read(visit.services, webhook_id)
    latest, now = await _latest(visit, webhook_id), visit.services.clock.now()
    view = webhook_view(found, latest, now, access=limits_of(visit), may=visit.may)
    return show(request, "webhook/page.html", view, title=view.head.name.plain, crumbs=_CRUMBS, on_record=webhook_id)


async def _latest(visit: Visit, webhook_id: UUID, limit: int = LATEST) -> list[Delivery]:
    asked = Asked(Question(group_id=visit.group_id))
    paging = Paging(limit, 0, None, count=False)
    return (await deliveries.find_of_webhook(visit.services, webhook_id, asked, paging)).items


async def _head(visit: Visit, webhook_id: UUID, here: str) -> tuple[Subscription, Head]:
    webhook = (await subscriptions.read(visit.services, webhook_id)).webhook
    state = await standing.read_state(visit.services, webhook_id)
    return webhook, head(webhook, state.health, visit.services.clock.now(), here, may=visit.may)


@post(["/webhooks/{webhook_id:str}/pause", "/webhooks/{webhook_id:str}/resume"], opt={"customer": MANAGE})
async def pause_or_resume(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Pause a webhook, or resume it."""
    what = request.url.path.rpartition("/")[2]
    await subscriptions.change(visit.services, webhook_id, WebhookChange(enabled=what == "resume"))
    return go(request, f"{PATH}/{webhook_id}", said=notice_of_change(what))


# After it was made -------------------------------------------------------------------------------------------------------


class ReadyView(msgspec.Struct, frozen=True):
    """The page after a webhook was made: its secret once, code that verifies it, and its first delivery.

    Attributes:
        profile: Empty where a customer looks, who has not chosen it.
        begins: How a request begins that is not signed, and what tells who sent it.
        told: Names of events that nothing is known by.
    """

    head: Head
    secret: Secret
    code: CodeSample | None
    first: First
    is_signed: bool
    begins: str
    profile: str
    told: tuple[Shown, ...]


@get("/webhooks/{webhook_id:str}/ready", opt={"query": (), "customer": MANAGE})
async def ready(request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]) -> Response[Any]:
    """Show what is left to do for a new webhook. Its secret is shown the first time, and hidden from then on."""
    webhook, top = await _head(visit, webhook_id, "")
    is_new = cookie_of(request, MADE) == str(webhook_id)
    value = (await secrets.read(visit.services, webhook_id)).secret if is_new else None
    warning = "It is shown this once. Later it is among the webhook's secrets." if is_new else SHOWN_ON_RECORD
    shown = Secret("signing secret", value, f"{top.path}/secrets/reveal", warning)
    first = first_view(webhook, await _latest(visit, webhook_id, 1), 0)
    code = receiver_code(webhook)
    told = said_of(visit, webhook.profile, types_named(webhook), await offered(visit)).told
    profile = "" if visit.is_customer else PROFILE_LABELS.get(webhook.profile, webhook.profile)
    view = ReadyView(top, shown, code, first, code is not None, begins_of(webhook), profile, told)
    response = show(request, "webhook/ready.html", view, title="Webhook saved", crumbs=_CRUMBS)
    return with_cookies(response, cookie(request, MADE, "", max_age=0)) if is_new else response


@get("/webhooks/{webhook_id:str}/first", opt={"query": ("looks",), "customer": MANAGE})
async def first_delivery(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show whether the first delivery has come: asked again by the page every two seconds, a bounded number of times."""
    asked = request.query_params.get("looks", "0")
    looks = int(asked) if asked.isdecimal() and len(asked) < 5 else 0
    webhook = (await subscriptions.read(visit.services, webhook_id)).webhook
    return show_part(request, "webhook/first.html", first_view(webhook, await _latest(visit, webhook_id, 1), looks))


# Secrets -------------------------------------------------------------------------------------------------------------------


@get("/webhooks/{webhook_id:str}/secrets", opt={"query": (), "customer": MANAGE})
async def show_secrets(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Show that there are secrets; each is shown when somebody asks."""
    return await _show_secrets(request, visit, webhook_id)


@post("/webhooks/{webhook_id:str}/secrets/reveal", opt={"customer": MANAGE})
async def reveal(request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]) -> Response[Any]:
    """Show the secret, and put on record that it was shown."""
    found = await secrets.read(visit.services, webhook_id)
    if request.headers.get("hx-request"):
        return show_part(request, "gallery/secret.html", Secret("signing secret", found.secret, warning=SHOWN_ON_RECORD))
    return await _show_secrets(request, visit, webhook_id, found)


@post("/webhooks/{webhook_id:str}/secrets/rotate", opt={"customer": MANAGE})
async def rotate(request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]) -> Response[Any]:
    """Give the webhook another secret, made or its owner's own, and show it once."""
    form = await form_of(request)
    overlap = form.get("overlap", "")
    seconds = int(overlap) if overlap.isdecimal() and len(overlap) < 9 else DEFAULT_OVERLAP_SECONDS
    own = form.get("secret", "").strip() or None
    await subscriptions.changeable(visit.services, webhook_id)
    try:
        made = await secrets.rotate(visit.services, webhook_id, secret=own, overlap_seconds=seconds)
    except InvalidInputError as error:
        field = "overlap" if error.field == "overlap_seconds" else "secret"
        return await _show_secrets(request, visit, webhook_id, errors={field: error.message}, typed=own or "", status=422)
    said = Notice("good", "There is another secret. Copy it into the receiver now.")
    return await _show_secrets(request, visit, webhook_id, made, notice=said)


async def _show_secrets(
    request: Request[Any, Any, Any],
    visit: Visit,
    webhook_id: UUID,
    found: Secrets | None = None,
    *,
    errors: dict[str, str] | None = None,
    typed: str = "",
    notice: Notice | None = None,
    status: int = 200,
) -> Response[Any]:
    webhook, top = await _head(visit, webhook_id, "Secrets")
    now = visit.services.clock.now()
    view = secrets_view(top, scheme_of(webhook).kind, found, now, errors=errors, typed=typed)
    return show(
        request, "webhook/secrets.html", view, title="Secrets", crumbs=_CRUMBS, notice=notice, status=status,
        on_record=webhook_id,
    )  # fmt: skip


# Versions ------------------------------------------------------------------------------------------------------------------


@get("/webhooks/{webhook_id:str}/versions", opt={"query": ("before",), "customer": LOOK})
async def versions(request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]) -> Response[Any]:
    """Show what the webhook was, and what changed when."""
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isdecimal() and len(asked) < 10 else None
    found = await subscriptions.list_versions(visit.services, webhook_id, limit=VERSIONS + 1, before=before)
    _, top = await _head(visit, webhook_id, "Versions")
    view = versions_view(
        top, found[:VERSIONS], len(found) > VERSIONS, asked, visit.services.clock.now(), is_customer=visit.is_customer
    )
    return show(request, "webhook/versions.html", view, title="Versions", crumbs=_CRUMBS, on_record=webhook_id)


# Going ---------------------------------------------------------------------------------------------------------------------


@get("/webhooks/{webhook_id:str}/delete", opt={"query": (), "customer": MANAGE})
async def ask_to_delete(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]
) -> Response[Any]:
    """Ask for the webhook's name before it is deleted."""
    webhook, top = await _head(visit, webhook_id, "")
    return show(request, "webhook/delete.html", GoneView(top, name_to_type(webhook), "", ""), title="Delete", crumbs=_CRUMBS)


@post("/webhooks/{webhook_id:str}/delete", opt={"customer": MANAGE})
async def delete(request: Request[Any, Any, Any], visit: NamedDependency[Visit], webhook_id: FromPath[UUID]) -> Response[Any]:
    """Delete the webhook, when its name was typed."""
    typed = (await form_of(request)).get("name", "").strip()
    webhook, top = await _head(visit, webhook_id, "")
    if typed != name_to_type(webhook):
        view = GoneView(top, name_to_type(webhook), typed, "This is not its name.")
        return show(request, "webhook/delete.html", view, title="Delete", crumbs=_CRUMBS, status=422)
    await subscriptions.remove(visit.services, webhook_id)
    return go(request, PATH, said=Notice("good", "The webhook is deleted. Its history stays until retention ends."))


router = Router(
    "/",
    route_handlers=[
        show_webhook, pause_or_resume, ready, first_delivery, show_secrets, reveal, rotate, versions, ask_to_delete, delete,
    ],
)  # fmt: skip
