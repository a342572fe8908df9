"""Tables: how each is captured, for whom, and backfills."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.operations.sources import backfills, captures
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.numbering import cut, page_number
from tidings.portal.scopes import opens
from tidings.portal.views.sections import SOURCES, sections
from tidings.portal.views.small import Notice
from tidings.portal.views.tables import PATH, path_of, table_view, tables_view

PAGE_SIZE = 50
CRUMBS = [("Sources", "/sources"), ("Tables", PATH)]


@get("/sources", opt={"query": ()})
async def sources(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show what makes events."""
    shown = tuple(one for one in sections(SOURCES, "/sources") if opens(visit.session, one.path))
    return show(request, "sources/page.html", shown, title="Sources")


@get(PATH, opt={"query": ("page",)})
async def list_tables(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the tables that webhooks name, or that have settings."""
    number = page_number(request)
    found = await captures.list_captures(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    view = tables_view(shown, pager, visit.services.clock.now())
    return show(request, "sources/tables.html", view, title="Tables", crumbs=CRUMBS[:1])


@get(f"{PATH}/table", opt={"query": ("name",)})
async def table(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show a table: how it is captured, who hears of it, its backfills."""
    return await _table(request, visit, request.query_params.get("name", ""))


@post(f"{PATH}/backfill")
async def start_backfill(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Begin a backfill for the webhook of the form."""
    form = await form_of(request)
    name, webhook = form.get("name", ""), form.get("webhook_id", "")
    try:
        await backfills.start(visit.services, name, _uuid(webhook, "webhook_id"))
    except (ConflictError, InvalidInputError) as error:
        return await _table(request, visit, name, error=error.message, chosen=webhook)
    return go(request, path_of(name), said=Notice("good", "The backfill has begun."))


@post(f"{PATH}/backfill/cancel")
async def cancel_backfill(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """End the backfill of the form early."""
    form = await form_of(request)
    await backfills.cancel(visit.services, _uuid(form.get("id", ""), "id"))
    said = Notice("info", "The backfill is cancelled. What it has written is delivered.")
    return go(request, path_of(form.get("name", "")), said=said)


async def _table(
    request: Request[Any, Any, Any], visit: Visit, name: str, *, error: str = "", chosen: str = ""
) -> Response[Any]:
    if not name or len(name) > 200 or "\0" in name:
        raise InvalidInputError("name", "name must be a table's: orders, or sales.orders outside public.")
    found = await captures.read(visit.services, name)
    view = table_view(found, visit.services.clock.now(), error=error, chosen=chosen)
    return show(
        request, "sources/table.html", view, title=view.name.plain, crumbs=CRUMBS, status=422 if error else 200, on_record=name
    )


def _uuid(text: str, field: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInputError(field, f"{field} is none that we gave. Choose one of the list.") from error


router = Router("/", route_handlers=[sources, list_tables, table, start_backfill, cancel_backfill])
