"""Jobs: when each fires, what came of it, run one now, pause it."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import InvalidInputError
from tidings.operations.sources import jobs
from tidings.operations.sources.job_changes import JobChange
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.jobs import PATH, job_view, jobs_view, path_of
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
CRUMBS = [("Sources", "/sources"), ("Jobs", PATH)]


@get(PATH, opt={"query": ("page",)})
async def list_jobs(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the jobs of the group."""
    number = page_number(request)
    found, _ = await jobs.list_jobs(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    view = jobs_view(shown, pager, visit.services.clock.now())
    return show(request, "sources/jobs.html", view, title="Jobs", crumbs=CRUMBS[:1])


@get(f"{PATH}/{{job_id:uuid}}", opt={"query": ("page",)})
async def job(request: Request[Any, Any, Any], visit: NamedDependency[Visit], job_id: FromPath[UUID]) -> Response[Any]:
    """Show a job with its next and its past runs."""
    number = page_number(request)
    found = await jobs.read(visit.services, job_id)
    runs = await jobs.list_runs(visit.services, job_id, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(runs, path_of(job_id), number, PAGE_SIZE)
    view = job_view(found, shown, pager, visit.services.clock.now())
    return show(request, "sources/job.html", view, title=view.name.plain, crumbs=CRUMBS, on_record=job_id)


@post(f"{PATH}/{{job_id:uuid}}/run")
async def run(request: Request[Any, Any, Any], visit: NamedDependency[Visit], job_id: FromPath[UUID]) -> Response[Any]:
    """Fire a job now, out of turn."""
    await jobs.run_now(visit.services, job_id)
    return go(request, path_of(job_id), said=Notice("good", "It has fired. Its schedule stays as it is."))


@post(f"{PATH}/{{job_id:uuid}}/switch")
async def switch(request: Request[Any, Any, Any], visit: NamedDependency[Visit], job_id: FromPath[UUID]) -> Response[Any]:
    """Pause a job, or have it fire again.

    Raises:
        InvalidInputError: The form says neither.
    """
    wanted = (await form_of(request)).get("active", "")
    if wanted not in {"true", "false"}:
        raise InvalidInputError("active", "active must be true or false.")
    await jobs.change(visit.services, job_id, JobChange(active=wanted == "true"))
    said = (
        "It fires again, from its next time on." if wanted == "true" else "It is paused and fires no more until it is resumed."
    )
    return go(request, path_of(job_id), said=Notice("good", said))


router = Router("/", route_handlers=[list_jobs, job, run, switch])
