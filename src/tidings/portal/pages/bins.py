"""Request bins: make them, see what comes as it comes, change what they answer, delete them."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError, NotFoundError, TidingsError
from tidings.core.reached import url_as_asked
from tidings.operations import bins
from tidings.operations.webhooks import subscriptions
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.cookies import host_of, scheme_of
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.bins import PATH, Page, bin_view, bins_view, change_of, form_view, path_of, shown_name, written_of
from tidings.portal.views.gone import gone_view
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
ROWS = 30  # requests on a bin's page
WEBHOOKS = 100  # to choose from
CRUMBS = [("Settings", "/settings"), ("Request bins", PATH)]
NEW_PATH = f"{PATH}/new"
_MAX_DIGITS = 18


@get(PATH, opt={"query": ("page",)})
async def list_bins(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the group's bins."""
    number = page_number(request)
    found = await bins.list_bins(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    view = bins_view(shown, pager, visit.services.clock.now())
    return show(request, "settings/bins.html", view, title="Request bins", crumbs=CRUMBS[:1])


@get(NEW_PATH, opt={"query": ()})
async def new_bin(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the form of a new bin."""
    return await _show_form(request, visit, NEW_PATH, {})


@post(NEW_PATH)
async def create_bin(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Make the bin of the form."""
    form = await form_of(request)
    try:
        made = await bins.create(visit.services, change_of(form, is_new=True))
    except (ConflictError, InvalidInputError, NotFoundError) as error:
        return await _show_form(request, visit, NEW_PATH, form, error=error)
    return go(request, path_of(made.id), said=Notice("good", "The bin is made. Send something to its address."))


@get(f"{PATH}/{{bin_id:uuid}}", opt={"query": ("request", "before")})
async def one_bin(request: Request[Any, Any, Any], visit: NamedDependency[Visit], bin_id: FromPath[UUID]) -> Response[Any]:
    """Show a bin and what came to it: the last requests, and one of them at length."""
    services = visit.services
    found = await bins.read(services, bin_id)
    before = _number(request, "before")
    rows = await bins.page_of_requests(services, bin_id, limit=ROWS + 1, before=before)
    chosen = _number(request, "request")
    shown = None
    if chosen is not None:
        shown = await bins.read_request(services, bin_id, chosen)
    elif rows:
        with suppress(NotFoundError):  # newer ones have pushed it out this moment
            shown = await bins.read_request(services, bin_id, rows[0].number)
    base = url_as_asked(services.config.public_url, scheme_of(request), host_of(request))
    page = Page(base, chosen, before, has_more=len(rows) > ROWS)
    view = bin_view(found, rows[:ROWS], shown, services.clock.now(), page)
    return show(request, "settings/bin.html", view, title=shown_name(found), crumbs=CRUMBS, on_record=bin_id)


def _number(request: Request[Any, Any, Any], name: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_DIGITS:
        raise InvalidInputError(name, f"{name} is no number.")
    return int(text)


@get(f"{PATH}/{{bin_id:uuid}}/edit", opt={"query": ()})
async def edit_bin(request: Request[Any, Any, Any], visit: NamedDependency[Visit], bin_id: FromPath[UUID]) -> Response[Any]:
    """Show the form of a bin as it is."""
    found = await bins.read(visit.services, bin_id)
    return await _show_form(request, visit, f"{path_of(bin_id)}/edit", written_of(found), title=f"Edit {shown_name(found)}")


@post(f"{PATH}/{{bin_id:uuid}}/edit")
async def change_bin(request: Request[Any, Any, Any], visit: NamedDependency[Visit], bin_id: FromPath[UUID]) -> Response[Any]:
    """Change a bin as the form says."""
    form = await form_of(request)
    found = await bins.read(visit.services, bin_id)
    try:
        await bins.change(visit.services, bin_id, change_of(form, is_new=False))
    except (ConflictError, InvalidInputError) as error:
        title = f"Edit {shown_name(found)}"
        return await _show_form(request, visit, f"{path_of(bin_id)}/edit", form, error=error, title=title)
    return go(request, path_of(bin_id), said=Notice("good", "The bin is changed."))


@post(f"{PATH}/{{bin_id:uuid}}/clear")
async def clear_bin(request: Request[Any, Any, Any], visit: NamedDependency[Visit], bin_id: FromPath[UUID]) -> Response[Any]:
    """Take away what came."""
    await bins.clear(visit.services, bin_id)
    return go(request, path_of(bin_id), said=Notice("good", "The bin is empty."))


@get(f"{PATH}/{{bin_id:uuid}}/delete", opt={"query": ()})
async def ask_to_delete(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], bin_id: FromPath[UUID]
) -> Response[Any]:
    """Ask whether a bin shall go."""
    found, path = await bins.read(visit.services, bin_id), path_of(bin_id)
    said = "All that came to it goes with it. What is sent to its address from then on is answered with 404."
    view = gone_view("bin", shown_name(found), said, section=PATH, path=f"{path}/delete", cancel=path)
    crumbs = [*CRUMBS, (shown_name(found), path)]
    return show(request, "sources/delete.html", view, title="Delete this bin?", crumbs=crumbs)


@post(f"{PATH}/{{bin_id:uuid}}/delete")
async def delete_bin(request: Request[Any, Any, Any], visit: NamedDependency[Visit], bin_id: FromPath[UUID]) -> Response[Any]:
    """Delete a bin."""
    await bins.remove(visit.services, bin_id)
    return go(request, PATH, said=Notice("good", "The bin is deleted."))


async def _show_form(
    request: Request[Any, Any, Any],
    visit: Visit,
    path: str,
    written: dict[str, str],
    *,
    error: TidingsError | None = None,
    title: str = "New request bin",
) -> Response[Any]:
    webhooks = await subscriptions.list_webhooks(visit.services, limit=WEBHOOKS)
    view = form_view(written, path, webhooks, error=error)
    return show(request, "settings/bin_form.html", view, title=title, crumbs=CRUMBS, status=error.status if error else 200)


router = Router(
    "/",
    route_handlers=[
        list_bins, new_bin, create_bin, one_bin, edit_bin, change_bin, clear_bin, ask_to_delete, delete_bin,
    ],
)  # fmt: skip
