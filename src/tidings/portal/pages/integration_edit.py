"""Making, changing and deleting an integration: a form, and what to enter where in the other system."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError, TidingsError
from tidings.operations.sources import integrations
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.cookies import base_url
from tidings.portal.views.gone import gone_view
from tidings.portal.views.integration_form import Entered, change_of, entered, entered_of, form_view, made_view
from tidings.portal.views.integrations import PATH, path_of
from tidings.portal.views.sections import NEW
from tidings.portal.views.small import Notice
from tidings.portal.views.text import visible

NEW_PATH = f"{NEW}/integration"
CRUMBS = [("Sources", "/sources"), ("Integrations", PATH)]
_WHAT_GOES = (
    "What is known of its objects goes with it, and its notices are refused. Events that were made stay in the history."
)


@get(NEW_PATH, opt={"query": ()})
async def new_integration(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the form of a new integration."""
    return _show_new(request, Entered())


@post(NEW_PATH)
async def create_integration(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Create the integration of the form. What is shown then has its secret, this once: no page can be led to that has it."""
    form = entered(await form_of(request))
    try:
        made = await integrations.create(visit.services, change_of(form, is_new=True))
    except (ConflictError, InvalidInputError) as error:
        return _show_new(request, form, error)
    view = made_view(made, base_url(request), path_of(made.name), is_made_here=not form.secret.strip())
    return show(request, "sources/integration_made.html", view, title="The integration is made", crumbs=CRUMBS)


def _show_new(request: Request[Any, Any, Any], form: Entered, error: TidingsError | None = None) -> Response[Any]:
    view = form_view(form, NEW_PATH, PATH, is_new=True, error=error)
    status = error.status if error else 200
    return show(request, "sources/integration_form.html", view, title="New integration", crumbs=CRUMBS, status=status)


@get(f"{PATH}/{{name:str}}/edit", opt={"query": ()})
async def edit_integration(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]
) -> Response[Any]:
    """Show the form of an integration as it is."""
    found = await integrations.read(visit.services, name)
    return _show_edit(request, found.name, entered_of(found))


@post(f"{PATH}/{{name:str}}/edit")
async def change_integration(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]
) -> Response[Any]:
    """Change an integration's secret or how it signs."""
    found = await integrations.read(visit.services, name)
    form = entered({**await form_of(request), "name": found.name, "platform": found.platform})
    try:
        await integrations.change(visit.services, name, change_of(form, is_new=False))
    except InvalidInputError as error:
        return _show_edit(request, name, form, error)
    return go(request, path_of(name), said=Notice("good", "The integration is changed."))


def _show_edit(request: Request[Any, Any, Any], name: str, form: Entered, error: TidingsError | None = None) -> Response[Any]:
    path = path_of(name)
    view = form_view(form, f"{path}/edit", path, is_new=False, error=error)
    shown = visible(name, limit=60).plain
    title, status = f"Edit {shown}", error.status if error else 200
    return show(request, "sources/integration_form.html", view, title=title, crumbs=[*CRUMBS, (shown, path)], status=status)


@get(f"{PATH}/{{name:str}}/delete", opt={"query": ()})
async def ask_to_delete(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Ask whether an integration shall go."""
    found, path = await integrations.read(visit.services, name), path_of(name)
    view = gone_view("integration", found.name, _WHAT_GOES, section=PATH, path=f"{path}/delete", cancel=path)
    crumbs = [*CRUMBS, (visible(name, limit=60).plain, path)]
    return show(request, "sources/delete.html", view, title="Delete this integration?", crumbs=crumbs)


@post(f"{PATH}/{{name:str}}/delete")
async def delete_integration(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]
) -> Response[Any]:
    """Delete an integration."""
    await integrations.remove(visit.services, name)
    return go(request, PATH, said=Notice("good", "The integration is deleted."))


router = Router(
    "/",
    route_handlers=[
        new_integration, create_integration, edit_integration, change_integration, ask_to_delete, delete_integration,
    ],
)  # fmt: skip
