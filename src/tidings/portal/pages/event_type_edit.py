"""Describing a type of events: what it means, its schema, an example."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError, NotFoundError, TidingsError
from tidings.operations.sources import event_types
from tidings.operations.sources.event_types import EventType
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.views.catalogue import PATH, TYPE_PATH, type_path
from tidings.portal.views.event_type_form import Entered, entered, entered_of, form_view, json_of
from tidings.portal.views.gone import gone_view
from tidings.portal.views.sections import NEW
from tidings.portal.views.small import Notice

NEW_PATH = f"{NEW}/type"
CRUMBS = [("Sources", "/sources"), ("Catalogue", PATH)]
_WHAT_GOES = "Events of this type can be published all the same, whatever their data. Those that were stay in the history."


@get(NEW_PATH, opt={"query": ("name",)})
async def new_type(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the form of a type that is to be described."""
    return _show(request, Entered(request.query_params.get("name", "")[:300]), is_new=True)


@post(NEW_PATH)
async def describe_type(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Describe the type of the form; one that is described already is changed in its own form."""
    form = entered(await form_of(request))
    if form.name and await _is_known(visit, form.name):
        said = InvalidInputError("name", f"{form.name!r} is in the catalogue already. Change it there.")
        return _show(request, form, is_new=True, error=said)
    try:
        await _put(visit, form)
    except InvalidInputError as error:
        return _show(request, form, is_new=True, error=error)
    return go(request, PATH, said=Notice("good", "The type is described. What is published must match its schema."))


@get(TYPE_PATH, opt={"query": ("name",)})
async def edit_type(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the form of a type as it is described."""
    found = await _own(visit, request.query_params.get("name", ""))
    return _show(request, entered_of(found), is_new=False)


@post(TYPE_PATH)
async def change_type(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Describe a type anew."""
    form = entered(await form_of(request))
    await _own(visit, form.name)
    try:
        await _put(visit, form)
    except InvalidInputError as error:
        return _show(request, form, is_new=False, error=error)
    return go(request, PATH, said=Notice("good", "The type is changed."))


@get(f"{TYPE_PATH}/delete", opt={"query": ("name",)})
async def ask_to_delete(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Ask whether a description shall go."""
    name = (await _own(visit, request.query_params.get("name", ""))).name
    view = gone_view(
        "description", name, _WHAT_GOES, section=PATH, path=f"{TYPE_PATH}/delete", cancel=type_path(name), hidden={"name": name}
    )
    return show(request, "sources/delete.html", view, title="Delete this description?", crumbs=CRUMBS)


@post(f"{TYPE_PATH}/delete")
async def delete_type(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Take a type out of the catalogue."""
    await event_types.remove(visit.services, (await form_of(request)).get("name", ""))
    return go(request, PATH, said=Notice("good", "The description is deleted. The type can be published all the same."))


async def _put(visit: Visit, form: Entered) -> EventType:
    return await event_types.put(
        visit.services,
        form.name,
        description=form.description or None,
        schema=json_of(form, "schema"),
        example=json_of(form, "example"),
    )


async def _is_known(visit: Visit, name: str) -> bool:
    try:
        await event_types.read(visit.services, name)
    except NotFoundError:
        return False
    return True


async def _own(visit: Visit, name: str) -> EventType:
    """Return a type that the group has described.

    Raises:
        InvalidInputError: The name is none.
        NotFoundError: It has not.
    """
    if not name or len(name) > 300 or "\0" in name:
        raise InvalidInputError("name", "name must be a type's, such as order.paid.")
    found = await event_types.read(visit.services, name)
    if found.is_built_in:
        raise NotFoundError(f"{name!r} is made by Tidings, and cannot be changed.")
    return found


def _show(request: Request[Any, Any, Any], form: Entered, *, is_new: bool, error: TidingsError | None = None) -> Response[Any]:
    view = form_view(form, NEW_PATH if is_new else TYPE_PATH, is_new=is_new, error=error)
    title, status = "Describe a type" if is_new else "Edit the type", error.status if error else 200
    return show(request, "sources/type_form.html", view, title=title, crumbs=CRUMBS, status=status)


router = Router("/", route_handlers=[new_type, describe_type, edit_type, change_type, ask_to_delete, delete_type])
