"""Portal links: operators make and end them, customers come by them to the first of their own pages."""

import time
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.brand import Brand, stylesheet
from tidings.core.errors import InvalidInputError
from tidings.core.question import Question
from tidings.core.reached import UNKNOWN_ADDRESS
from tidings.operations import portal_links, sessions
from tidings.operations.history import deliveries
from tidings.operations.history.search import Asked, Paging
from tidings.operations.webhooks import subscriptions
from tidings.portal.access import LINK_ENDED, LOOK, NoSuchLinkError, TooManyError, Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.cookies import (
    address_of,
    base_url,
    customer_cookie,
    customer_token,
    host_of,
    new_token,
    scheme_of,
    services_of,
)
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.frame import CUSTOMER_HOME
from tidings.portal.views.portal_links import PATH, home_view, links_view
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
OWN_WEBHOOKS, LAST_DELIVERIES = 50, 20  # on a customer's first page
MAX_TOKEN = 200  # characters of a token that is looked up
CRUMBS = [("Settings", "/settings")]


@get(PATH, opt={"query": ("page",)})
async def list_links(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the group's links."""
    return await _links(request, visit)


@post(PATH)
async def make_link(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Make a link and show it, this once; what it cannot be is said at its field."""
    form = await form_of(request)
    seconds = form.get("expires_in", "")
    brand = Brand(name=form.get("name") or None, accent=form.get("accent") or None)
    try:
        made = await portal_links.create(
            visit.services,
            new_token(),
            scheme=scheme_of(request),
            host=host_of(request),
            access=form.get("access", portal_links.DEFAULT_ACCESS),
            seconds=int(seconds) if seconds.isdecimal() and len(seconds) < 7 else 0,
            brand=brand,
            origins=form.get("origins", "")[:2000].split(),
        )
    except InvalidInputError as error:
        return await _links(request, visit, written=form, errors={error.field: error.message})
    return await _links(request, visit, made=made.url)


@post(f"{PATH}/end")
async def end_link(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """End the link of the form.

    Raises:
        InvalidInputError: The id is none.
    """
    try:
        link_id = UUID((await form_of(request)).get("id", ""))
    except ValueError as error:
        raise InvalidInputError("id", "id is not a link's. Choose one of the list.") from error
    await portal_links.end(visit.services, link_id)
    return go(request, PATH, said=Notice("good", "The link has ended, and what was opened with it."))


async def _links(request: Request[Any, Any, Any], visit: Visit, **more: Any) -> Response[Any]:
    number = page_number(request)
    found = await portal_links.list_links(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    unknown = "" if base_url(request) else UNKNOWN_ADDRESS
    view = links_view(shown, pager, visit.group_id, visit.services.clock.now(), unknown=unknown, **more)
    status = 422 if more.get("errors") else 200
    return show(request, "settings/links.html", view, title="Portal links", crumbs=CRUMBS, status=status)


# Customers -----------------------------------------------------------------------------------------------------------------


@get("/p/{token:str}", opt={"query": (), "customer": LOOK})
async def enter(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Begin a customer's session, and lead to their first page. What is no link ends no session that stands.

    Raises:
        NoSuchLinkError: The link's time is over, or it is none.
        TooManyError: Too many that were none came from this address.
    """
    fresh, services = new_token(), services_of(request)
    guesses, address, session = request.app.state.link_guesses, address_of(request), None
    if wait := guesses.admit(address, time.monotonic()):
        raise TooManyError("Too many links that are none came from your address.", wait)
    if len(token) <= MAX_TOKEN:
        session = await sessions.begin_with_link(
            services,
            token,
            fresh,
            before=customer_token(request),
            browser=request.headers.get("user-agent", ""),
            address=address,
        )
    if session is None:
        raise NoSuchLinkError(LINK_ENDED)
    guesses.give_back(address)
    request.scope["state"]["portal_session"] = session
    seconds = max(1, int((session.ends_at - services.clock.now()).total_seconds()))
    return go(request, CUSTOMER_HOME, customer_cookie(request, fresh, seconds))


@get("/brand.css", opt={"query": (), "customer": LOOK})
async def brand(visit: NamedDependency[Visit]) -> Response[str]:
    """Answer with the colours of a customer's brand."""
    text = stylesheet(visit.session.brand or Brand())
    return Response(
        text, media_type="text/css; charset=utf-8", headers={"Cache-Control": "private, no-store", "Vary": "Cookie"}
    )


@get(CUSTOMER_HOME, opt={"query": (), "customer": LOOK})
async def home(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show a customer their webhooks, and the last deliveries to them."""
    own = await subscriptions.list_webhooks(visit.services, limit=OWN_WEBHOOKS + 1)
    asked = Asked(Question(group_id=visit.group_id))
    last = await deliveries.find(visit.services, asked, Paging(LAST_DELIVERIES, 0, None, count=False))
    view = home_view(own, last.items, visit.services.clock.now(), limit=OWN_WEBHOOKS, may_make=visit.may.open("/webhooks/new"))
    return show(request, "customers/home.html", view, title="Overview")


router = Router("/", route_handlers=[list_links, make_link, end_link, enter, brand, home])
