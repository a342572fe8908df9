"""Pages as answers: rendering, what is around every page, redirects, and pages for what went wrong."""

import base64
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import jinja2
import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tidings.core.api_key import SETTINGS_KEY_ID
from tidings.core.errors import BusyError, ForbiddenError, TidingsError
from tidings.portal import assets
from tidings.portal.access import LinkEndedError, NotSignedInError, TooManyError, form_token, may_of
from tidings.portal.cookies import cookie, cookie_of, customer_cookie, customer_token, services_of, theme_of, with_cookies
from tidings.portal.elsewhere import LivesElsewhereError, notice_of
from tidings.portal.scopes import first_page, opens
from tidings.portal.views.audit import PATH as AUDIT
from tidings.portal.views.customers import discreet
from tidings.portal.views.errors import ErrorView, error_view
from tidings.portal.views.frame import CUSTOMER_HOME, MAX_BACK, Entry, Frame, brand_view, entries
from tidings.portal.views.lists import link
from tidings.portal.views.sections import SETTINGS, SOURCES, Section
from tidings.portal.views.small import Notice
from tidings.portal.views.text import visible
from tidings.store.database import COLLISIONS, UNAVAILABLE, UNSTORABLE
from tidings.store.sessions import Session

logger = logging.getLogger("tidings.portal")

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_LINES = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
MAX_SAID = 300  # characters of a notice that is told on the next page; a cookie holds it
# As JSON a character takes up to six bytes, in base64 four for each three, and browsers keep cookies of 4,096.
MAX_SAID_COOKIE = (6 * MAX_SAID + 30) * 4 // 3 + 4

environment = jinja2.Environment(
    loader=jinja2.PackageLoader("tidings.portal"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
environment.globals["asset"] = assets.address


def show(
    request: Request[Any, Any, Any],
    template: str,
    view: object,
    *,
    title: str,
    status: int = 200,
    search: str = "",
    notice: Notice | None = None,
    crumbs: Sequence[tuple[str, str]] = (),
    on_record: object = "",
) -> Response[str]:
    """Return a page.

    Args:
        template: Of `templates/`, which extends `base.html` and finds `view`, `frame` and `may`: what may be asked for.
        notice: What to tell above it; what a redirect left to be told comes first.
        on_record: The id or name by which the audit tells of what the page shows; empty: it does not.
    """
    session = request.scope["state"].get("portal_session")
    left = _said_before(request)
    is_customer = bool(customer_token(request)) if session is None else session.is_customer
    path = request.url.path
    frame = Frame(
        title=title,
        path=f"{path}?{request.url.query}"[:MAX_BACK] if request.url.query else path,
        group_id=session.group_id if session else "",
        who=_who(session),
        theme=theme_of(request),
        csrf=form_token(request),
        entries=_entries(path, session) if session else (),
        search=search,
        notice=left or notice or notice_of(request, services_of(request), session),
        crumbs=tuple(crumbs),
        is_customer=is_customer,
        brand=brand_view(session.brand) if session else None,
        home=CUSTOMER_HOME if is_customer else _home(session),
        on_record=_on_record(session, str(on_record)),
    )
    if session and not is_customer and isinstance(around := getattr(view, "sections", None), tuple):
        view = msgspec.structs.replace(view, sections=_open_ones(around, session))  # type: ignore[type-var]  # it has one
    response = _rendered(
        request, environment.get_template(template).render(frame=frame, view=view, may=may_of(request, session)), status
    )
    if left:
        response.set_cookie(cookie(request, "tidings-said", "", max_age=0))
    return response


def _on_record(session: Session | None, subject: str) -> str:
    """Return where the audit tells of something; empty for those who may not see that."""
    if session is None or session.is_customer or not subject or not opens(session, AUDIT):
        return ""
    return link(AUDIT, {"subject": subject})


def _who(session: Session | None) -> str:
    if session is None:
        return ""
    if session.is_customer:
        return "customer"
    return "admin" if session.key_id == SETTINGS_KEY_ID else visible(session.begun_by, limit=40).plain


_BELOW = {"/sources": SOURCES, "/settings": SETTINGS}


def _home(session: Session | None) -> str:
    return "/" if session is None else first_page(session.scopes, session.bound_to) or "/"


def _entries(path: str, session: Session) -> tuple[Entry, ...]:
    """Return the navigation, of what the session's key opens. An entry leads to the first page below it that is open."""
    if session.is_customer:
        return entries(path, is_customer=True)
    found = []
    for entry in entries(path):
        below = [one.path for one in _BELOW.get(entry.path, ()) if opens(session, one.path)]
        if entry.path in _BELOW and not below:
            continue
        if opens(session, entry.path):
            found.append(entry)
        elif below:
            found.append(msgspec.structs.replace(entry, path=below[0]))
    return tuple(found)


def _open_ones(around: tuple[Section, ...], session: Session) -> tuple[Section, ...]:
    return tuple(one for one in around if opens(session, one.path))


def show_part(request: Request[Any, Any, Any], template: str, view: object, *, status: int = 200) -> Response[str]:
    """Return a part of a page, for htmx to put in its place. Its template finds `view`, `csrf` and `may`."""
    may = may_of(request, request.scope["state"].get("portal_session"))
    text = environment.get_template(template).render(view=view, csrf=form_token(request), may=may)
    return _rendered(request, text, status)


def _rendered(request: Request[Any, Any, Any], text: str, status: int) -> Response[str]:
    return page(discreet(text) if customer_token(request) else text, status=status)


def page(text: str, *, status: int = 200) -> Response[str]:
    """Return HTML as a response. Pages show what is so now, to one person: nobody keeps them."""
    return Response(
        text,
        status_code=status,
        media_type="text/html; charset=utf-8",
        headers={"Cache-Control": "no-store", "Vary": "HX-Request"},
    )


def go(request: Request[Any, Any, Any], path: str, *cookies: Cookie, said: Notice | None = None) -> Response[Any]:
    """Lead the browser to another page of ours, which tells what was done."""
    response: Response[Any]
    if request.headers.get("hx-request"):
        response = Response(b"", status_code=200, headers={"HX-Redirect": path}, media_type="text/html")
    else:
        response = Response(b"", status_code=303, headers={"Location": path}, media_type="text/html")
    response.headers["Cache-Control"] = "no-store"
    if said is not None:
        told = msgspec.json.encode((said.tone, said.text[:MAX_SAID]))
        cookies = (*cookies, cookie(request, "tidings-said", base64.urlsafe_b64encode(told).decode(), max_age=60))
    return with_cookies(response, *cookies)


def _said_before(request: Request[Any, Any, Any]) -> Notice | None:
    text = cookie_of(request, "tidings-said", most=MAX_SAID_COOKIE)
    if not text:
        return None
    try:
        tone, said = msgspec.json.decode(base64.urlsafe_b64decode(text), type=tuple[str, str])
    except (ValueError, msgspec.MsgspecError):
        return None
    return Notice(tone, said)


# What is on every answer ---------------------------------------------------------------------------------------------------


def secured(app: ASGIApp) -> ASGIApp:
    """Put the headers of every page of ours on what `app` answers."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_lines_for(scope)]
            await send(message)

        await app(scope, receive, send_with_headers)

    return middleware


def _lines_for(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer: a customer's portal may be framed by the origins of its link, and by no other page."""
    if (own := scope.get("state", {}).get("portal_policy")) is not None:  # of a page that needs another
        others = [line for line in _LINES if line[0] != b"content-security-policy"]
        return [*others, (b"content-security-policy", own.encode())]
    session: Session | None = scope.get("state", {}).get("portal_session")
    if session is None or not session.origins:
        return _LINES
    policy = SECURITY_HEADERS["Content-Security-Policy"].replace(
        "frame-ancestors 'none'", f"frame-ancestors {' '.join(session.origins)}"
    )
    kept = [line for line in _LINES if line[0] not in {b"content-security-policy", b"x-frame-options"}]
    return [*kept, (b"content-security-policy", policy.encode())]


# What went wrong -----------------------------------------------------------------------------------------------------------


def show_refusal(request: Request[Any, Any, Any], error: TidingsError) -> Response[Any]:
    """Answer for an error raised on purpose: to the sign-in page when that is what is missing, else a page that says it."""
    if isinstance(error, NotSignedInError):
        path = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        back = f"?to={quote(path, safe='')}" if request.method == "GET" and path != "/" and len(path) <= MAX_BACK else ""
        if request.headers.get("hx-request"):
            return Response(b"", status_code=401, headers={"HX-Redirect": "/sign-in"}, media_type="text/html")
        return go(request, f"/sign-in{back}")
    if isinstance(error, LivesElsewhereError) and error.href:
        return go(request, error.href)
    if isinstance(error, LinkEndedError):
        return with_cookies(
            _show_error(request, error_view(401, error.message, is_customer=True)), customer_cookie(request, "")
        )
    if isinstance(error, TooManyError):
        response = _show_error(request, error_view(429, error.message))
        response.headers["Retry-After"] = str(error.wait)
        return response
    if error.status >= 500 and not isinstance(error, BusyError):  # to be busy is no fault of ours
        logger.error("%s %s failed: %s", request.method, request.url.path, error.message)
    is_of_rights = isinstance(error, ForbiddenError)
    view = error_view(error.status, error.message, is_customer=_is_customer(request), is_of_rights=is_of_rights)
    return _show_error(request, view)


def _is_customer(request: Request[Any, Any, Any]) -> bool:
    session = request.scope["state"].get("portal_session")
    return bool(customer_token(request)) if session is None else bool(session.is_customer)


def show_http_fault(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Answer for what the framework found."""
    match error:
        case NotFoundException():
            view = error_view(404, f"There is no page {request.url.path[:200]}.", is_customer=_is_customer(request))
        case MethodNotAllowedException():
            view = error_view(405, f"{request.url.path[:200]} does not take {request.method}.")
        case RequestEntityTooLarge():
            view = error_view(413, "What was sent is too large for this page.")
        case _:
            view = error_view(error.status_code, "The request cannot be read.")
    return _show_error(request, view)


def show_broken(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer for a fault of ours, which is logged here and nowhere else."""
    if isinstance(error, UNSTORABLE):
        return _show_error(request, error_view(422, "What was asked for contains U+0000, which nothing here does."))
    if isinstance(error, UNAVAILABLE):
        logger.debug("%s %s: database unavailable: %s", request.method, request.url.path, error)
        return _show_error(request, error_view(503, "The database cannot be reached."))
    if isinstance(error, COLLISIONS):
        return _show_error(request, error_view(503, "Another change was under way at the same moment; nothing was done."))
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _show_error(request, error_view(500, "Tidings failed to make this page."))


def _show_error(request: Request[Any, Any, Any], view: ErrorView) -> Response[str]:
    return show(request, "errors/page.html", view, title=view.title, status=view.status)
