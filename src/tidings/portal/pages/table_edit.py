"""Capturing a table: which one, and how it is captured where that differs from whole rows."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.capture import TableSettings
from tidings.core.errors import BusyError, InvalidInputError, NotFoundError, TidingsError
from tidings.core.table_name import full_name
from tidings.core.warned import Warned
from tidings.operations.sources import captures, tables
from tidings.operations.sources.captures import CaptureDetail
from tidings.operations.webhooks import choices
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.views.lists import link
from tidings.portal.views.sections import NEW
from tidings.portal.views.small import Notice, warned
from tidings.portal.views.table_form import Entered, choice_view, entered, entered_of, form_view, settings_of
from tidings.portal.views.tables import PATH, edit_path, path_of
from tidings.portal.views.text import visible

NEW_PATH = f"{NEW}/table"
CRUMBS = [("Sources", "/sources"), ("Tables", PATH)]


@get(NEW_PATH, opt={"query": ()})
async def choose_table(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Ask which table is to be captured."""
    return await _choose(request, visit)


@post(NEW_PATH)
async def take_table(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Go on to how the table of the form is captured."""
    typed = (await form_of(request)).get("name", "").strip()
    try:
        found = await _found(visit, typed)
    except (InvalidInputError, NotFoundError) as error:
        return await _choose(request, visit, typed, error)
    schema, table = found.capture.settings.name
    return go(request, edit_path(full_name(schema, table)))


async def _choose(
    request: Request[Any, Any, Any], visit: Visit, typed: str = "", error: TidingsError | None = None
) -> Response[Any]:
    offered = [name for name, _ in (await choices.read(visit.services)).tables]
    view = choice_view(offered, typed=typed, error=error.message if error else "")
    status = 422 if error else 200
    return show(request, "sources/table_choice.html", view, title="Capture a table", crumbs=CRUMBS, status=status)


@get(f"{PATH}/table/edit", opt={"query": ("name",)})
async def edit_table(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show how a table is captured as a form."""
    found = await _found(visit, request.query_params.get("name", ""))
    return _show(request, found, entered_of(found))


@post(f"{PATH}/table/edit")
async def change_table(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Have a table captured as the form says, with the triggers that this takes, in one transaction."""
    written = await form_of(request)
    found = await _found(visit, written.get("name", ""))
    settings = found.capture.settings
    form = entered(written)
    told: list[Warned] = []
    try:
        own = settings_of(form, settings.name)
        if own != TableSettings(*settings.name):
            told = (await tables.change(visit.services, own)).warnings
        elif found.capture.is_shaped:  # nothing is left that differs from whole rows
            told = (await tables.reset(visit.services, full_name(*settings.name))).warnings
    except (BusyError, InvalidInputError) as error:
        return _show(request, found, form, error)
    path = path_of(full_name(*settings.name))
    if (said := warned(told, "Changes from now on are captured so.")) is not None:
        return go(request, path, said=said)
    if found.capture.operations:
        return go(request, path, said=Notice("good", "Changes from now on are captured so."))
    return go(request, path, said=Notice("info", "It is set. The table is captured as soon as a webhook names it."))


def _show(
    request: Request[Any, Any, Any], found: CaptureDetail, form: Entered, error: TidingsError | None = None
) -> Response[Any]:
    path = path_of(full_name(*found.capture.settings.name))
    view = form_view(found, form, path, error=error)
    crumbs = [*CRUMBS, (visible(view.raw, limit=60).plain, path)]
    status = error.status if error else 200
    return show(request, "sources/table_form.html", view, title="How it is captured", crumbs=crumbs, status=status)


@post(f"{PATH}/reset")
async def reset_table(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Have a table captured as any other: whole rows, into group `default`."""
    name = (await form_of(request)).get("name", "")
    done = "The table has no settings of its own any more."
    told = (await tables.reset(visit.services, name)).warnings
    return go(request, link(PATH, {}), said=warned(told, done) or Notice("good", done))


async def _found(visit: Visit, name: str) -> CaptureDetail:
    """Return a table that is there.

    Raises:
        InvalidInputError: The name is none.
        NotFoundError: There is no such table.
    """
    if not name or len(name) > 200 or "\0" in name:
        raise InvalidInputError("name", "Write a table's name: orders, or sales.orders outside public.")
    found = await captures.read(visit.services, name)
    if not found.columns:
        raise NotFoundError(f"There is no table {name!r}. Tables outside public are named with their schema: sales.orders.")
    return found


router = Router("/", route_handlers=[choose_table, take_table, edit_table, change_table, reset_table])
