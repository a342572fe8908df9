"""Making, changing and deleting a job: a form, and its next ticks as one types."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError
from tidings.operations.sources import jobs
from tidings.operations.sources.jobs import Scheduled
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show, show_part
from tidings.portal.views.gone import gone_view
from tidings.portal.views.job_form import Entered, change_of, entered, entered_of, form_view, ticks_view
from tidings.portal.views.jobs import PATH, path_of
from tidings.portal.views.sections import NEW
from tidings.portal.views.small import Notice
from tidings.portal.views.text import visible

NEW_PATH = f"{NEW}/job"
CRUMBS = [("Sources", "/sources"), ("Jobs", PATH)]
_WHAT_GOES = "What it has sent stays in the history; what is not sent yet is cancelled."


@get(NEW_PATH, opt={"query": ()})
async def new_job(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the form of a new job."""
    return _show_new(request, visit, Entered())


@post(NEW_PATH)
async def create_job(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Create the job of the form, or only look at when it would fire."""
    written = await form_of(request)
    form = entered(written)
    if written.get("do") == "look":
        return _show_new(request, visit, form)
    try:
        made = await jobs.create(visit.services, change_of(form))
    except InvalidInputError as error:
        return _show_new(request, visit, form, error)
    return go(request, path_of(made.job.id), said=Notice("good", "The job is made, and fires from its next time on."))


@post(f"{NEW_PATH}/ticks")
async def look_at_ticks(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show when what was typed would fire."""
    view = ticks_view(entered(await form_of(request)), visit.services.clock.now())
    return show_part(request, "sources/ticks.html", view)


def _show_new(
    request: Request[Any, Any, Any], visit: Visit, form: Entered, error: InvalidInputError | None = None
) -> Response[Any]:
    services = visit.services
    can_sql = visit.group_id in services.config.sql_jobs
    view = form_view(form, NEW_PATH, PATH, services.clock.now(), is_new=True, can_sql=can_sql, error=error)
    status = error.status if error else 200
    return show(request, "sources/job_form.html", view, title="New job", crumbs=CRUMBS, status=status)


@get(f"{PATH}/{{job_id:uuid}}/edit", opt={"query": ()})
async def edit_job(request: Request[Any, Any, Any], visit: NamedDependency[Visit], job_id: FromPath[UUID]) -> Response[Any]:
    """Show the form of a job as it is."""
    found = await jobs.read(visit.services, job_id)
    return _show_edit(request, visit, found, entered_of(found))


@post(f"{PATH}/{{job_id:uuid}}/edit")
async def change_job(request: Request[Any, Any, Any], visit: NamedDependency[Visit], job_id: FromPath[UUID]) -> Response[Any]:
    """Change what the form changes of a job, or only look at when it would fire."""
    found = await jobs.read(visit.services, job_id)
    before = entered_of(found)
    written = await form_of(request)
    form = entered({**written, "kind": before.kind})
    if written.get("do") == "look":
        return _show_edit(request, visit, found, form)
    try:
        await jobs.change(visit.services, job_id, change_of(form, before))
    except InvalidInputError as error:
        return _show_edit(request, visit, found, form, error)
    return go(request, path_of(job_id), said=Notice("good", "The job is changed."))


def _show_edit(
    request: Request[Any, Any, Any],
    visit: Visit,
    found: Scheduled,
    form: Entered,
    error: InvalidInputError | None = None,
) -> Response[Any]:
    path, now = path_of(found.job.id), visit.services.clock.now()
    view = form_view(form, f"{path}/edit", path, now, is_new=False, can_sql=False, error=error)
    crumbs = [*CRUMBS, (visible(found.job.name, limit=60).plain, path)]
    status = error.status if error else 200
    return show(request, "sources/job_form.html", view, title="Edit job", crumbs=crumbs, status=status)


@get(f"{PATH}/{{job_id:uuid}}/delete", opt={"query": ()})
async def ask_to_delete(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], job_id: FromPath[UUID]
) -> Response[Any]:
    """Ask whether a job shall go."""
    name, path = (await jobs.read(visit.services, job_id)).job.name, path_of(job_id)
    view = gone_view("job", name, _WHAT_GOES, section=PATH, path=f"{path}/delete", cancel=path)
    crumbs = [*CRUMBS, (visible(name, limit=60).plain, path)]
    return show(request, "sources/delete.html", view, title="Delete this job?", crumbs=crumbs)


@post(f"{PATH}/{{job_id:uuid}}/delete")
async def delete_job(request: Request[Any, Any, Any], visit: NamedDependency[Visit], job_id: FromPath[UUID]) -> Response[Any]:
    """Delete a job."""
    await jobs.remove(visit.services, job_id)
    return go(request, PATH, said=Notice("good", "The job is deleted."))


router = Router("/", route_handlers=[new_job, create_job, look_at_ticks, edit_job, change_job, ask_to_delete, delete_job])
