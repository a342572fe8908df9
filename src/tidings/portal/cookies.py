"""Cookies: what a browser keeps for us, and how it has reached us, on which their kind depends."""

import secrets
from typing import Any

from litestar import Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from tidings.core import reached
from tidings.operations.services import Services
from tidings.portal.views.frame import THEMES
from tidings.store.sessions import LONGEST, Session

MAX_TOKEN = 200  # characters of a cookie that is looked up
CUSTOMER_COOKIE = "tidings-customer"


def services_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Services:
    """Return the parts that requests are answered with, acting for the first group."""
    services: Services = connection.app.state.services
    return services


def is_secure(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the browser speaks HTTPS, to us or to a proxy in front of us."""
    if connection.url.scheme == "https":
        return True
    public = services_of(connection).config.public_url or ""
    return public.lower().startswith("https:") and reached.is_public_host(public, host_of(connection))


def host_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the name that the browser asked for, whatever it is worth."""
    return connection.headers.get("host", "")


def scheme_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the scheme that the browser speaks."""
    return "https" if is_secure(connection) else "http"


def address_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the address that the browser comes from, as far as those whom we believe say; empty when nobody does."""
    return connection.client.host if connection.client else ""


def base_url(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return where this installation is reached; empty when nobody who is believed has said (`core.reached`)."""
    public = services_of(connection).config.public_url
    return reached.base_url(public, scheme_of(connection), host_of(connection)) or ""


class FramedCookie(Cookie):
    """A cookie that is sent in a frame of another site, and kept apart for each of them (CHIPS)."""

    def to_header(self, **kwargs: Any) -> str:
        """Return it as a header's value; Python's own cookies know no `Partitioned` before 3.14."""
        return f"{super().to_header(**kwargs)}; Partitioned"


def _named(connection: ASGIConnection[Any, Any, Any, Any], name: str) -> str:
    return f"__Host-{name}" if is_secure(connection) else name


def cookie(connection: ASGIConnection[Any, Any, Any, Any], name: str, value: str, *, max_age: int | None = None) -> Cookie:
    """Return a cookie of ours: not for scripts, not for other sites, and under HTTPS for this very host alone.

    Of a portal that other pages may frame it is sent in these frames too, and kept apart for each of the sites that frame it.
    Browsers do that under HTTPS alone.
    """
    secure, session = is_secure(connection), session_of(connection)
    is_framed = secure and session is not None and bool(session.origins)
    kind = FramedCookie if is_framed else Cookie
    return kind(
        _named(connection, name),
        value=value,
        path="/",
        httponly=True,
        samesite="none" if is_framed else "lax",
        secure=secure,
        max_age=max_age,
    )


def cookie_of(connection: ASGIConnection[Any, Any, Any, Any], name: str, *, most: int = MAX_TOKEN) -> str:
    """Return a cookie of ours, or an empty text.

    Args:
        most: Characters that it has at most; a longer one is none that we gave.
    """
    value = connection.cookies.get(_named(connection, name), "")
    return value if len(value) <= most else ""


def session_cookie(connection: ASGIConnection[Any, Any, Any, Any], token: str) -> Cookie:
    """Return the cookie that carries a session; without a token, one that takes it away."""
    return cookie(connection, "tidings", token, max_age=int(LONGEST.total_seconds()) if token else 0)


def customer_cookie(connection: ASGIConnection[Any, Any, Any, Any], token: str, seconds: int = 0) -> Cookie:
    """Return the cookie that carries a customer's session; without a token, one that takes it away.

    It has a name of its own: an operator who opens a customer's link does not lose the session they have.
    """
    return cookie(connection, CUSTOMER_COOKIE, token, max_age=seconds if token else 0)


def customer_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the token of the browser's session by a portal link, or an empty text."""
    return cookie_of(connection, CUSTOMER_COOKIE)


def session_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the token of the browser's session, or an empty text. A customer's goes before an operator's."""
    return customer_token(connection) or cookie_of(connection, "tidings")


def session_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Session | None:
    """Return the session that a request has turned out to be of, if any."""
    found: Session | None = connection.scope.get("state", {}).get("portal_session")
    return found


def theme_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return how the browser wants pages to look."""
    theme = cookie_of(connection, "tidings-theme")
    return theme if theme in THEMES else "auto"


def new_token() -> str:
    """Return 256 bits that nobody guesses."""
    return secrets.token_urlsafe(32)


def with_cookies(response: Response[Any], *cookies: Cookie) -> Response[Any]:
    """Return a response that sets cookies."""
    for one in cookies:
        response.set_cookie(one)
    return response
