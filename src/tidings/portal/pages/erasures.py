"""Erasures: asked for, followed with their report, cancelled."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.erasure import Subject
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.operations import erasures
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show, show_part
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.erasures import PATH, erasure_view, erasures_view
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
_CRUMBS = [("Settings", "/settings")]


@get(PATH, opt={"query": ("page",)})
async def list_erasures(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the erasures, and the form that begins one."""
    return await _list(request, visit)


@post(PATH)
async def begin_erasure(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Begin an erasure; what it cannot be is said at its field."""
    form = await form_of(request)
    subject = Subject(form.get("value", "").strip(), form.get("field", "").strip() or None)
    is_dry_run = form.get("dry_run") == "true"
    try:
        begun = await erasures.begin(visit.services, subject, dry_run=is_dry_run, pending=form.get("pending", ""))
    except InvalidInputError as error:
        return await _list(request, visit, written=form, errors={error.field: error.message})
    except ConflictError as error:
        return await _list(request, visit, written=form, errors={"": error.message})
    return go(request, f"{PATH}/{begun.id}", said=Notice("good", "It goes on in the background; this page has its report."))


@get(f"{PATH}/{{erasure_id:uuid}}", opt={"query": ()})
async def show_erasure(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], erasure_id: FromPath[UUID]
) -> Response[Any]:
    """Show an erasure; to htmx the part that changes, which asks for itself until it is over."""
    view = erasure_view(await erasures.read(visit.services, erasure_id), visit.services.clock.now())
    if request.headers.get("hx-request"):
        return show_part(request, "settings/erasure_report.html", view)
    crumbs = [*_CRUMBS, ("Erasures", PATH)]
    return show(request, "settings/erasure.html", view, title=f"Erasure {view.id.short}", crumbs=crumbs, on_record=erasure_id)


@post(f"{PATH}/{{erasure_id:uuid}}/cancel")
async def cancel_erasure(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], erasure_id: FromPath[UUID]
) -> Response[Any]:
    """End an erasure early."""
    await erasures.cancel(visit.services, erasure_id)
    return go(request, f"{PATH}/{erasure_id}", said=Notice("good", "It is over. What it has erased stays erased."))


async def _list(request: Request[Any, Any, Any], visit: Visit, **more: Any) -> Response[Any]:
    number = page_number(request)
    found = await erasures.list_erasures(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    view = erasures_view(shown, pager, visit.services.clock.now(), **more)
    status = 422 if more.get("errors") else 200
    return show(request, "settings/erasures.html", view, title="Erasures", crumbs=_CRUMBS, status=status)


router = Router("/", route_handlers=[list_erasures, begin_erasure, show_erasure, cancel_erasure])
