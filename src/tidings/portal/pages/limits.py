"""Limits of the group that is shown, and what is used of them; and limits of all groups that have none of their own."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError
from tidings.core.scopes import Scope, granted
from tidings.operations import limits
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.views.limits import DEFAULTS_PATH, PATH, asked_of, defaults_view, limits_view
from tidings.portal.views.small import Notice

CRUMBS = [("Settings", "/settings")]


@get(PATH, opt={"query": ()})
async def show_limits(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the limits of the group, and what is used of them."""
    return await _shown(request, visit)


@post(PATH)
async def set_limits(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Change the limits of the group; what one cannot be is said at its field."""
    form = await form_of(request)
    try:
        await limits.change(visit.services, visit.group_id, asked_of(form))
    except InvalidInputError as error:
        return await _shown(request, visit, written=form, errors={error.field: error.message})
    return go(request, PATH, said=Notice("good", "The limits are set. They hold everywhere within a second."))


@post(f"{PATH}/reset")
async def reset_limits(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Take away the group's own limits."""
    await limits.reset(visit.services, visit.group_id)
    return go(request, PATH, said=Notice("good", "The limits of all groups hold for this one again."))


async def _shown(request: Request[Any, Any, Any], visit: Visit, **more: Any) -> Response[Any]:
    found = await limits.read(visit.services, visit.group_id)
    view = limits_view(found, may_change=_may_change(visit), sees_all=visit.services.bound_to is None, **more)
    status = 422 if more.get("errors") else 200
    return show(request, "settings/limits.html", view, title="Limits", crumbs=CRUMBS, status=status, on_record=visit.group_id)


# Of all groups that have none of their own -----------------------------------------------------------------------------------


@get(DEFAULTS_PATH, opt={"query": ()})
async def show_defaults(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show what holds for all groups that have no limits of their own."""
    return await _defaults(request, visit)


@post(DEFAULTS_PATH)
async def set_defaults(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Change it; what a limit cannot be is said at its field."""
    form = await form_of(request)
    try:
        await limits.change_defaults(visit.services, asked_of(form))
    except InvalidInputError as error:
        return await _defaults(request, visit, written=form, errors={error.field: error.message})
    return go(
        request,
        DEFAULTS_PATH,
        said=Notice("good", "They hold everywhere within a second, for groups without limits of their own."),
    )


async def _defaults(request: Request[Any, Any, Any], visit: Visit, **more: Any) -> Response[Any]:
    view = defaults_view(await limits.read_defaults(visit.services), may_change=_may_change(visit), **more)
    status, crumbs = 422 if more.get("errors") else 200, [*CRUMBS, ("Limits", PATH)]
    return show(
        request, "settings/limit_defaults.html", view, title="Limits of all groups", crumbs=crumbs, status=status,
        on_record=limits.OF_ALL,
    )  # fmt: skip


def _may_change(visit: Visit) -> bool:
    return visit.services.bound_to is None and Scope.GROUPS_WRITE in granted(visit.session.scopes)


router = Router("/", route_handlers=[show_limits, set_limits, reset_limits, show_defaults, set_defaults])
