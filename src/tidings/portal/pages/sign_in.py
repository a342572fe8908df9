"""Signing in and out, and how pages look."""

import logging
import math
import time
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post

from tidings.core.api_key import KEY_REQUIRED, MAX_KEY, hash_of
from tidings.core.errors import InvalidInputError, TooManyAttemptsError, UnauthorizedError
from tidings.core.oidc import BEGUN_SECONDS, SignInError, provider_name
from tidings.core.reached import is_loopback
from tidings.operations import sessions
from tidings.operations import sign_in as provided
from tidings.portal.access import ANY_QUERY, LOOK, NotSignedInError, csrf_source, form_of, visit_of
from tidings.portal.answers import go, show
from tidings.portal.cookies import (
    address_of,
    cookie,
    cookie_of,
    customer_cookie,
    customer_token,
    host_of,
    is_secure,
    new_token,
    services_of,
    session_cookie,
    session_token,
    with_cookies,
)
from tidings.portal.elsewhere import home_of_key
from tidings.portal.scopes import first_page
from tidings.portal.views.frame import THEMES, local_path
from tidings.portal.views.lists import Field
from tidings.portal.views.small import Notice
from tidings.portal.views.text import Shown, visible

NO_SUCH_KEY = "This is not the admin key of this installation, nor another key of it."
NOT_FOR_PEOPLE = "This key opens a part of the API, and no page. Sign in with one that has a scope such as webhooks:read."
THEME_SECONDS = 365 * 86_400
VISIT_SECONDS = 86_400
BEGUN_COOKIE = "tidings-begun"
MAX_BEGUN_COOKIE = 4_000  # characters; browsers keep 4,096 with its name
MAX_TO = 1_500  # characters of where a sign-in by the provider leads: it has to fit there, sealed

logger = logging.getLogger("tidings.portal")


class SignInView(msgspec.Struct, frozen=True):
    """The sign-in form.

    Attributes:
        to: Where it leads.
        is_open: What is typed can be read on the way.
        provider: Where one can sign in instead.
        error: Why that came to nothing.
    """

    field: Field
    to: str
    is_open: bool
    provider: Shown | None
    error: str


def key_field(error: str = "") -> Field:
    """Return the field for the key."""
    return Field(
        "key",
        "Key",
        "password",
        hint="One of your own, or the admin key: printed once by the first “tidings serve”, or what TIDINGS_ADMIN_KEY says.",
        error=error,
        is_required=True,
        is_code=True,
        autocomplete="current-password",
        max_length=MAX_KEY,
    )


def _form(request: Request[Any, Any, Any], to: str, *, error: str = "", refusal: str = "", status: int = 200) -> Response[Any]:
    fresh = None
    if not csrf_source(request):
        # The form is bound to a cookie; the first page of a visit brings it along.
        fresh = cookie(request, "tidings-visit", new_token(), max_age=VISIT_SECONDS)
        request.cookies[fresh.key] = str(fresh.value)
    is_open = not is_secure(request) and not is_loopback(host_of(request))
    config = services_of(request).config
    name = provider_name(config.oidc_issuer, config.oidc_name)
    provider = None if name is None else visible(name, limit=60)
    view = SignInView(key_field(error), to, is_open, provider, refusal)
    response = show(request, "sign_in/page.html", view, title="Sign in", status=status)
    if fresh:
        response.set_cookie(fresh)
    return response


@get("/sign-in", opt={"query": ("to",)})
async def sign_in_form(request: Request[Any, Any, Any]) -> Response[Any]:
    """Show the form; whoever is signed in goes on."""
    to = local_path(request.query_params.get("to", "/"))
    if session_token(request):
        try:
            await visit_of(request)
        except NotSignedInError:
            return _form(request, to)
        return go(request, to)
    return _form(request, to)


@post("/sign-in")
async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Begin a session for whoever knows the key."""
    form = await form_of(request)
    to = local_path(form.get("to", "/"))
    services = services_of(request)
    address = address_of(request)
    attempts = request.app.state.sign_in_attempts
    if wait := attempts.admit(address, time.monotonic()):
        return _too_many(request, to, wait)
    presented = form.get("key", "").strip()[:MAX_KEY]
    try:
        key = await services.admission.admit(presented, address, services.clock.now())
    except UnauthorizedError as error:
        said = NO_SUCH_KEY if error.message == KEY_REQUIRED else error.message
        return _form(request, to, error=said, status=401)
    except TooManyAttemptsError as error:
        response = _form(request, to, error=error.message, status=429)
        response.headers["Retry-After"] = str(error.details["retry_after_seconds"])
        return response
    if (home := home_of_key(services, presented)) is not None:
        said = f"This key is of home {home} of the fleet. Sign in at the portal there: what it may show is the same."
        return _form(request, to, error=said, status=403)
    first = first_page(key.scopes, key.group_id)
    if first is None:
        return _form(request, to, error=NOT_FOR_PEOPLE, status=403)
    attempts.forgive(address)
    token = new_token()
    browser = request.headers.get("user-agent", "")
    digest = hash_of(presented)
    await sessions.begin(services, token, key, digest, before=session_token(request), browser=browser, address=address)
    to = first if to == "/" else to
    return go(request, to, session_cookie(request, token), cookie(request, "tidings-visit", "", max_age=0))


def _too_many(request: Request[Any, Any, Any], to: str, wait: float) -> Response[Any]:
    error = f"Too many attempts from your address. Try again in {math.ceil(wait / 60)} min."
    response = _form(request, to, error=error, status=429)
    response.headers["Retry-After"] = str(math.ceil(wait))
    return response


@get("/sign-in/provider", opt={"query": ("to",)})
async def leave_for_provider(request: Request[Any, Any, Any]) -> Response[Any]:
    """Lead the browser to the provider. What was begun it keeps itself, sealed: one sign-in at a time."""
    to = local_path(request.query_params.get("to", "/"))
    secrets = {"state": new_token(), "nonce": new_token(), "verifier": new_token()}
    try:
        leave = await provided.begin(services_of(request), to if len(to) <= MAX_TO else "/", **secrets)
    except SignInError as error:
        logger.warning("the sign-in provider fails: %s", error.reason)
        return _form(request, to, refusal=error.message, status=error.status)
    return go(request, leave.url, cookie(request, BEGUN_COOKIE, leave.kept, max_age=BEGUN_SECONDS))


@get("/sign-in/callback", opt={"query": (ANY_QUERY,)})
async def come_back(request: Request[Any, Any, Any]) -> Response[Any]:
    """Begin a session for whoever comes back from the provider and is a member."""
    services, address, attempts = services_of(request), address_of(request), request.app.state.sign_in_attempts
    if wait := attempts.admit(address, time.monotonic()):
        return _too_many(request, "/", wait)
    token, gone = new_token(), cookie(request, BEGUN_COOKIE, "", max_age=0)
    try:
        signed_in = await provided.finish(
            services,
            dict(request.query_params.items()),
            cookie_of(request, BEGUN_COOKIE, most=MAX_BEGUN_COOKIE),
            token,
            before=session_token(request),
            browser=request.headers.get("user-agent", ""),
            address=address,
        )
    except SignInError as error:
        logger.warning("a sign-in by the provider came to nothing: %s", error.reason)
        return with_cookies(_form(request, "/", refusal=error.message, status=error.status), gone)
    except provided.NotMemberError as error:
        said = visible(error.message, limit=600)
        return with_cookies(show(request, "sign_in/stranger.html", said, title="No member", status=403), gone)
    attempts.forgive(address)
    session, to = signed_in.session, signed_in.to
    first = first_page(session.scopes, session.bound_to) or "/account"
    over = cookie(request, "tidings-visit", "", max_age=0)
    return go(request, first if to == "/" else local_path(to), session_cookie(request, token), gone, over)


@get("/sign-out", opt={"query": (), "customer": LOOK})
async def sign_out_form(request: Request[Any, Any, Any]) -> Response[Any]:
    """Ask whether to sign out: a link alone must not do it."""
    visit = await visit_of(request)
    return show(request, "sign_in/out.html", None, title="Leave" if visit.is_customer else "Sign out")


@post("/sign-out", opt={"customer": LOOK})
async def sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
    """End the session. A customer has nowhere to sign in, and is told so."""
    if customer_token(request):
        await visit_of(request)
        await sessions.end_token(services_of(request), session_token(request), address=address_of(request))
        gone = customer_cookie(request, "")
        del request.scope["state"]["portal_session"]
        return with_cookies(show(request, "sign_in/left.html", None, title="You have left"), gone)
    await sessions.end_token(services_of(request), session_token(request), address=address_of(request))
    return go(request, "/sign-in", session_cookie(request, ""), said=Notice("good", "You are signed out."))


@post("/theme", opt={"customer": LOOK})
async def theme(request: Request[Any, Any, Any]) -> Response[Any]:
    """Keep how pages look, for this browser.

    Raises:
        InvalidInputError: There is no such look.
    """
    form = await form_of(request)
    wanted = form.get("theme", "")
    if wanted not in THEMES:
        raise InvalidInputError("theme", f"theme is {wanted[:40]!r}; choose {', '.join(THEMES)}.")
    back = local_path(form.get("to", "/"))
    return go(request, back, cookie(request, "tidings-theme", wanted, max_age=THEME_SECONDS))


router = Router("/", route_handlers=[sign_in_form, sign_in, leave_for_provider, come_back, sign_out_form, sign_out, theme])
