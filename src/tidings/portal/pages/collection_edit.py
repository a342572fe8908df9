"""Making, changing and deleting a collection: a form of its fields."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError, TidingsError
from tidings.operations.sources import collections
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.views.collection_form import (
    Entered,
    blank,
    dropped,
    entered,
    entered_of,
    fields_of,
    form_view,
    options_of,
    options_text,
    with_more,
)
from tidings.portal.views.collections import PATH, path_of
from tidings.portal.views.gone import gone_view
from tidings.portal.views.sections import NEW
from tidings.portal.views.small import Notice
from tidings.portal.views.text import visible
from tidings.store.collections import Collection

# Below a path of their own: a collection could be named "new".
NEW_PATH = f"{NEW}/collection"
CRUMBS = [("Sources", "/sources"), ("Collections", PATH)]
_WHAT_GOES = "All its records and its triggers go with it, and nothing brings them back. Its events stay in the history."


@get(NEW_PATH, opt={"query": ()})
async def new_collection(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the form of a new collection."""
    return _show_new(request, blank())


@post(NEW_PATH)
async def create_collection(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Create the collection of the form; what cannot be is said at its row."""
    written = await form_of(request)
    form = entered(written)
    if written.get("do") == "more":
        return _show_new(request, with_more(form))
    try:
        made = await collections.create(
            visit.services, form.name, kind=form.kind, fields=fields_of(form), options=options_of(form)
        )
    except (ConflictError, InvalidInputError) as error:
        return _show_new(request, form, error)
    return go(request, path_of(made.name), said=Notice("good", "The collection is made. Its first record can be added."))


def _show_new(request: Request[Any, Any, Any], form: Entered, error: TidingsError | None = None) -> Response[Any]:
    view = form_view(form, NEW_PATH, PATH, is_new=True, error=error)
    status = error.status if error else 200
    return show(request, "sources/collection_form.html", view, title="New collection", crumbs=CRUMBS, status=status)


@get(f"{PATH}/{{name:str}}/edit", opt={"query": ()})
async def edit_collection(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Show the form of a collection as it is."""
    found = await collections.read(visit.services, name)
    return _show_edit(request, found, entered_of(found))


@post(f"{PATH}/{{name:str}}/edit")
async def change_collection(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]
) -> Response[Any]:
    """Change a collection as the form says; what would lose values is refused at its row, with what to do."""
    found = await collections.read(visit.services, name)
    written = await form_of(request)
    form = entered(written)
    if written.get("do") == "more":
        return _show_edit(request, found, with_more(form))
    try:
        options = None if form.options.strip() == options_text(found).strip() else options_of(form)
        await collections.change(visit.services, name, fields=fields_of(form), options=options, drop=dropped(form))
    except (ConflictError, InvalidInputError) as error:
        return _show_edit(request, found, form, error)
    return go(request, path_of(name), said=Notice("good", "The collection is changed."))


def _show_edit(
    request: Request[Any, Any, Any], found: Collection, form: Entered, error: TidingsError | None = None
) -> Response[Any]:
    path = path_of(found.name)
    view = form_view(form, f"{path}/edit", path, is_new=False, error=error)
    shown = visible(found.name, limit=60).plain
    title, status = f"Edit {shown}", error.status if error else 200
    return show(request, "sources/collection_form.html", view, title=title, crumbs=[*CRUMBS, (shown, path)], status=status)


@get(f"{PATH}/{{name:str}}/delete", opt={"query": ()})
async def ask_to_delete(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Ask whether a collection shall go."""
    return _ask(request, (await collections.read(visit.services, name)).name)


@post(f"{PATH}/{{name:str}}/delete")
async def delete_collection(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]
) -> Response[Any]:
    """Delete a collection whose name the form repeats."""
    typed = (await form_of(request)).get("confirm", "").strip()
    try:
        await collections.remove(visit.services, name, confirm=typed)
    except (ConflictError, InvalidInputError) as error:
        said = "That is not its name." if isinstance(error, InvalidInputError) else error.message
        return _ask(request, name, typed, said, error.status)
    return go(request, PATH, said=Notice("good", "The collection is deleted, with its records."))


def _ask(request: Request[Any, Any, Any], name: str, typed: str = "", error: str = "", status: int = 200) -> Response[Any]:
    path = path_of(name)
    view = gone_view("collection", name, _WHAT_GOES, section=PATH, path=f"{path}/delete", cancel=path, typed=typed, error=error)
    crumbs = [*CRUMBS, (visible(name, limit=60).plain, path)]
    return show(request, "sources/delete.html", view, title="Delete this collection?", crumbs=crumbs, status=status)


router = Router(
    "/",
    route_handlers=[
        new_collection, create_collection, edit_collection, change_collection, ask_to_delete, delete_collection,
    ],
)  # fmt: skip
