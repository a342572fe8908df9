"""Limits of the group that is shown: what is used of them, set and reset."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings.core.errors import InvalidInputError
from tidings.core.scopes import Scope, granted
from tidings.operations import limits
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.views.limits import PATH, asked_of, limits_view
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
    may_change = visit.services.bound_to is None and Scope.GROUPS_WRITE in granted(visit.session.scopes)
    view = limits_view(found, may_change=may_change, **more)
    status = 422 if more.get("errors") else 200
    return show(request, "settings/limits.html", view, title="Limits", crumbs=CRUMBS, status=status)


router = Router("/", route_handlers=[show_limits, set_limits, reset_limits])
