"""Who may look: sessions, and whether a form is one of ours.

A form is ours when its `Origin` is, and when it holds the token that follows from the cookie: no other page can read either, so
none can make a browser that is signed in send something. The token is an HMAC of the cookie's, so nothing is kept for it.
"""

import hmac
import math
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tidings.core import reached
from tidings.core.audit import Actor, Who
from tidings.core.errors import InvalidInputError, TidingsError
from tidings.core.scopes import Scope, granted
from tidings.operations import groups, sessions
from tidings.operations.services import Services
from tidings.portal.cookies import (
    address_of,
    cookie_of,
    customer_token,
    host_of,
    scheme_of,
    services_of,
    session_of,
    session_token,
)
from tidings.portal.elsewhere import lead_away
from tidings.portal.scopes import check_page, passes
from tidings.portal.views.errors import NOT_FOR_CUSTOMERS
from tidings.portal.views.may import May
from tidings.portal.ways import way_of
from tidings.store.sessions import Session

GROUP_PARAMETER = "group"  # every page takes it
ANY_QUERY = "*"  # among the parameters that a page knows: somebody else writes them
FOR_CUSTOMERS = "customer"  # of a handler's opt: customers may ask it; all others are shut to them
LOOK, MANAGE = "look", "manage"  # what it says: any link opens it, or those that let their holder change something
LINK_ENDED = "This link has ended. Open it again where you found it."
ONLY_LOOKS = "Your link lets you look, and change nothing."
_HALF = 32  # digits of a token: 128 bits for the cookie, 128 for the group
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class NotSignedInError(TidingsError):
    """A page was asked for by a browser that is not signed in."""

    code = "UNAUTHORIZED"
    status = 401


class ForeignFormError(TidingsError):
    """A form did not come from a page of ours, or from one that is too old."""

    code = "FORBIDDEN"
    status = 403


class NotForCustomersError(TidingsError):
    """A customer's browser asked for what a portal link does not show."""

    code = "FORBIDDEN"
    status = 403


class LinkEndedError(TidingsError):
    """The time of a portal link is over, or somebody ended it."""

    code = "UNAUTHORIZED"
    status = 401


class NoSuchLinkError(TidingsError):
    """A link that is none, or whose time is over, was opened: whatever session the browser has is another matter."""

    code = "UNAUTHORIZED"
    status = 401


class TooManyError(TidingsError):
    """Somebody asks for something too often. `wait`: seconds until it is looked at again."""

    code = "TOO_MANY_REQUESTS"
    status = 429

    def __init__(self, message: str, wait: float) -> None:
        self.wait = max(1, math.ceil(wait))
        said = f"{math.ceil(wait / 60)} min" if wait > 90 else f"{self.wait} s"
        super().__init__(f"{message} Try again in {said}.")


class Visit(msgspec.Struct, frozen=True):
    """A request by somebody who is signed in. Every page that shows data takes one, as `visit`."""

    services: Services  # acting for the group that is shown
    session: Session
    may: May  # what whoever asks may ask for: pages show ways there and no others

    @property
    def group_id(self) -> str:
        """The group that is shown."""
        return self.session.group_id

    @property
    def is_customer(self) -> bool:
        """Whether a customer asks, by a portal link: pages show them nothing of how this installation is made."""
        return self.session.is_customer

    @property
    def may_see_events(self) -> bool:
        """Whether whoever asks may see what happened: otherwise requests are shown with samples."""
        return self.is_customer or Scope.EVENTS_READ in granted(self.session.scopes)


# Sessions ----------------------------------------------------------------------------------------------------------------


async def visit_of(request: Request[Any, Any, Any]) -> Visit:
    """Return who asks. `?group=` has an operator's session show another group from now on.

    A customer passes to the handlers alone that say so (`opt={"customer": LOOK}`, or `MANAGE`); the services act for the group
    of the link.

    Raises:
        ForbiddenError: The key that somebody signed in with does not open this page (`portal.scopes`), or not that group.
        ForeignFormError: A form was shown for another group than the session shows by now.
        LinkEndedError: The link of a customer has ended.
        NotForCustomersError: A customer asks for what is not theirs.
        NotSignedInError: The browser is not signed in, or no longer.
        LivesElsewhereError: That group lives at another home.
        BusyError: A form is about a group that is being moved at this moment.
        NotFoundError: There is no such group.
    """
    if request.method not in _SAFE:
        await request.form()  # whole, before it is known who asks: it may take a minute, in which a session can end
    services, token = services_of(request), session_token(request)
    is_customer = bool(customer_token(request))
    wanted = request.query_params.get(GROUP_PARAMETER)
    if token and not is_customer:
        await lead_away(request, services, token, wanted)
    session = await sessions.find(services, token, wanted) if token else None
    if session is None and is_customer:
        raise LinkEndedError(LINK_ENDED)
    if session is not None and session.is_customer:
        request.scope["state"]["portal_session"] = session
        if not is_customer or not request.route_handler.opt.get(FOR_CUSTOMERS) or GROUP_PARAMETER in request.query_params:
            raise NotForCustomersError(NOT_FOR_CUSTOMERS)
        if not _is_for(session, request.route_handler.opt):
            raise NotForCustomersError(ONLY_LOOKS)
    if session is not None and session.is_customer != is_customer:
        session = None  # a token under the name of the other kind
    if session is None:
        raise NotSignedInError("Your session has ended. Sign in again." if token else "Sign in first.")
    request.scope["state"]["portal_session"] = session
    if not session.is_customer:
        check_page(session, request.method, str(request.scope["path_template"]))
    if request.method not in _SAFE and not _is_alike(await _sent_token(request), form_token(request)):
        raise ForeignFormError("This page showed another group than this browser shows now. Load it again and repeat it.")
    bound_to = session.group_id if session.is_customer else session.bound_to
    acting = msgspec.structs.replace(services, group_id=session.group_id, bound_to=bound_to, actor=_actor(request, session))
    if request.method in _SAFE:
        request.scope["state"]["portal_left"] = await groups.left_for(services, session.group_id)
    else:
        await groups.expect_here(services, session.group_id, may_be_gone=True)
    return Visit(acting, session, may_of(request, session))


def may_of(request: Request[Any, Any, Any], session: Session | None) -> May:
    """Return what a session may ask for, as `visit_of` decides it when that is asked; nobody's may ask for nothing."""

    def allows(method: str, path: str) -> bool:
        way = None if session is None else way_of(request.app, method, path)
        if session is None or way is None:
            return False
        return _is_for(session, way.opt) if session.is_customer else passes(session, method, way.template)

    return May(allows)


def _is_for(session: Session, opt: Mapping[str, Any]) -> bool:
    """Whether a handler is for the customer of a session."""
    wanted = opt.get(FOR_CUSTOMERS)
    return wanted == LOOK or (wanted == MANAGE and session.access.may_manage)


def _actor(request: Request[Any, Any, Any], session: Session) -> Actor:
    if session.is_customer:
        return Actor(Who.LINK, session.link_id, address_of(request))
    if session.member_id is not None:
        return Actor(Who.MEMBER, session.member_id, address_of(request), key_name=session.member_email)
    return Actor(Who.SESSION, session.id, address_of(request), session.key_id, session.key_name)


def count_call(request: Request[Any, Any, Any], visit: Visit) -> None:
    """Count what a customer has Tidings send: so much of a group in a minute, however many links and browsers it has.

    Raises:
        TooManyError: It is more.
    """
    if visit.is_customer:
        most = visit.services.config.customer_calls_per_minute
        if wait := request.app.state.customer_calls.admit(f"group {visit.group_id}", time.monotonic(), most):
            raise TooManyError(f"That is more than {most} tests, retries and checks in a minute.", wait)


# Forms -------------------------------------------------------------------------------------------------------------------


def csrf_of(token: str) -> str:
    """Return the token of forms that follows from a cookie's."""
    return hmac.digest(token.encode("utf-8", "surrogateescape"), b"tidings portal forms", "sha256").hex()


def form_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the token of a page's forms: after the cookie's own, what follows from the group that the page shows.

    Any page may lead a browser to `?group=`, as may another tab: no form does in one group what was meant for another.
    """
    source, session = csrf_source(connection), session_of(connection)
    if not source:
        return ""
    return csrf_of(source)[:_HALF] + csrf_of(f"{source} {session.group_id}" if session else source)[_HALF:]


def csrf_source(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the cookie that a browser's forms are bound to: its session's, before there is one its visit's."""
    return session_token(connection) or cookie_of(connection, "tidings-visit")


async def require_own_form(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request that changes something pass only from a page of ours.

    Raises:
        ForeignFormError: It comes from elsewhere, or from a page whose session is over.
    """
    if connection.scope.get("method", "GET") in _SAFE:
        return
    if not _is_own_page(connection):
        public = services_of(connection).config.public_url
        where = f"the portal itself, at {public}," if public else "the portal itself"
        raise ForeignFormError(f"This form was sent by a page of another site. Open {where} and try again.")
    source, sent = csrf_source(connection), await _sent_token(connection)
    if not source or not _is_alike(sent[:_HALF], csrf_of(source)[:_HALF]):
        raise ForeignFormError("This page was open for too long, or cookies are off. Go back, load it again and repeat it.")


async def _sent_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    sent = connection.headers.get("x-csrf-token", "")
    if not sent and isinstance(connection, Request):
        sent = str((await connection.form()).get("csrf", ""))
    return sent


def _is_alike(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _is_own_page(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    return reached.is_own_page(
        services_of(connection).config.public_url,
        scheme_of(connection),
        host_of(connection),
        connection.headers.get("origin"),
        connection.headers.get("sec-fetch-site"),
    )


async def refuse_customers(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a customer's request pass to the handlers alone that say so. `visit_of` asks the same of whoever has a session.

    Raises:
        LinkEndedError: Their link has ended.
        NotForCustomersError: The handler does not.
    """
    token = customer_token(connection)
    if token and not handler.opt.get(FOR_CUSTOMERS) and not handler.opt.get("is_public"):
        session = await sessions.find(services_of(connection), token)
        if session is None:
            raise LinkEndedError(LINK_ENDED)  # which takes the cookie away: an operator's own session goes on
        if session.is_customer:
            connection.scope["state"]["portal_session"] = session  # the page that says so looks as all of theirs
        raise NotForCustomersError(NOT_FOR_CUSTOMERS)


async def refuse_unknown(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request pass whose query string has nothing that its page does not know (`opt={"query": …}`).

    Raises:
        InvalidInputError: It has; the page that was meant would not be the page that is shown.
    """
    known = {GROUP_PARAMETER, *handler.opt.get("query", ())}
    for name in connection.query_params:
        if name not in known and ANY_QUERY not in known:
            raise InvalidInputError(name, f"This page knows no parameter {name[:80]!r}. Take it out of the address.")


async def form_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the fields of a form as text, the first of each name."""
    form = await request.form()
    return {name: value for name in form if isinstance(value := form.getall(name)[0], str)}


async def fields_of(request: Request[Any, Any, Any]) -> dict[str, list[str]]:
    """Return the fields of a form as text, all of each name."""
    form = await request.form()
    return {name: [value for value in form.getall(name) if isinstance(value, str)] for name in form}
