"""Collections and their records: read, add, change and delete them. Each change is an event like any other."""

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.collection import UPDATED
from tidings.core.errors import ConflictError, InvalidInputError, InvalidRecordError, TidingsError
from tidings.core.question import Question
from tidings.operations.history import events
from tidings.operations.history.search import Asked, Paging
from tidings.operations.sources import collections, records
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.collections import PATH, collection_view, collections_view, path_of, record_path, record_view
from tidings.portal.views.lists import Pager
from tidings.portal.views.record_forms import change_of, members_of, record_form
from tidings.portal.views.small import Notice
from tidings.store.collections import Collection

PAGE_SIZE = 50
MAX_FILTER = 500  # characters
LAST_EVENTS = 10  # of a record, that its page shows
CRUMBS = [("Sources", "/sources"), ("Collections", PATH)]
_CHANGED = "Somebody changed this record while it was open here. Below is what you wrote; save again to put it over theirs."


@get(PATH, opt={"query": ("page",)})
async def list_collections(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the collections of the group."""
    number = page_number(request)
    found = await collections.list_collections(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    view = collections_view(shown, pager, visit.services.clock.now())
    return show(request, "sources/collections.html", view, title="Collections", crumbs=CRUMBS[:1])


@get(f"{PATH}/{{name:str}}", opt={"query": ("page", "where", "sort")})
async def collection(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Show a collection: its fields, and a page of its records."""
    found = await collections.read(visit.services, name)
    number = page_number(request)
    asked = {key: request.query_params[key][:MAX_FILTER] for key in ("where", "sort") if request.query_params.get(key)}
    items: list[str] = []
    total, error = 0, ""
    try:
        page = await records.find(
            visit.services,
            name,
            where=asked.get("where"),
            order=asked.get("sort"),
            limit=PAGE_SIZE,
            offset=(number - 1) * PAGE_SIZE,
        )
        items, total = page.items, page.total
    except InvalidInputError as refused:
        error = refused.message
    more = [*items, ""] if total > number * PAGE_SIZE else items
    shown, pager = cut(more, path_of(name), number, PAGE_SIZE, asked=asked) if items else ((), Pager())
    view = collection_view(found, shown, total, pager, visit.services.clock.now(), asked, error=error)
    status = 422 if error and not request.headers.get("hx-request") else 200  # htmx puts no refusal in place
    return show(request, "sources/collection.html", view, title=view.name.plain, crumbs=CRUMBS, status=status, on_record=name)


@get(f"{PATH}/{{name:str}}/add", opt={"query": ()})
async def new_record(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Show the form of a new record."""
    found = await collections.read(visit.services, name)
    view = record_view(found, record_form(found.fields, found.type, {}), now=visit.services.clock.now())
    return show(request, "sources/record.html", view, title="Add a record", crumbs=_crumbs(found))


@post(f"{PATH}/{{name:str}}/add")
async def add_record(request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str]) -> Response[Any]:
    """Add a record; what does not fit is said at its field."""
    found = await collections.read(visit.services, name)
    written = await form_of(request)
    try:
        (made,) = await records.create(visit.services, name, [change_of(found.fields, found.type, {}, written)])
    except (InvalidRecordError, ConflictError) as error:
        form = record_form(found.fields, found.type, {}, written=written, problems=_problems(error))
        view = record_view(found, form, error=_unplaced(error, form.fields), now=visit.services.clock.now())
        return show(request, "sources/record.html", view, title="Add a record", crumbs=_crumbs(found), status=error.status)
    said = Notice("good", "The record is added, and its event is on its way.")
    return go(request, record_path(name, str(members_of(made)["id"])), said=said)


@get(f"{PATH}/{{name:str}}/records/{{record_id:str}}", opt={"query": ()})
async def record(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str], record_id: FromPath[str]
) -> Response[Any]:
    """Show a record: its form, what it is now, its last events."""
    return await _record(request, visit, name, record_id)


@post(f"{PATH}/{{name:str}}/records/{{record_id:str}}")
async def change_record(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str], record_id: FromPath[str]
) -> Response[Any]:
    """Change what the form changes of a record; what does not fit is said at its field."""
    found = await collections.read(visit.services, name)
    written = await form_of(request)
    before = members_of(await records.read(visit.services, name, record_id))
    if written.get("revision") != str(before.get(UPDATED, "")):
        return await _record(request, visit, name, record_id, written=written, error=ConflictError(_CHANGED))
    change = change_of(found.fields, found.type, before, written)
    if not change:
        return go(request, record_path(name, record_id), said=Notice("info", "Nothing was changed, so there is no event."))
    try:
        await records.change_one(visit.services, name, record_id, change)
    except (InvalidRecordError, ConflictError) as error:
        return await _record(request, visit, name, record_id, written=written, error=error)
    return go(request, record_path(name, record_id), said=Notice("good", "The record is saved, and its event is on its way."))


@post(f"{PATH}/{{name:str}}/records/{{record_id:str}}/delete")
async def delete_record(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], name: FromPath[str], record_id: FromPath[str]
) -> Response[Any]:
    """Delete a record."""
    await records.remove(visit.services, name, [record_id])
    return go(request, path_of(name), said=Notice("good", "The record is deleted, and its event is on its way."))


async def _record(
    request: Request[Any, Any, Any],
    visit: Visit,
    name: str,
    record_id: str,
    *,
    written: dict[str, str] | None = None,
    error: TidingsError | None = None,
) -> Response[Any]:
    services = visit.services
    found = await collections.read(services, name)
    text = await records.read(services, name, record_id)
    question = Question(group_id=visit.group_id, schema=found.table_schema, table=found.name, record_id=record_id)
    last = await events.find(services, Asked(question), Paging(LAST_EVENTS, 0, None, count=False))
    problems = _problems(error) if error else {}
    form = record_form(found.fields, found.type, members_of(text), written=written, problems=problems)
    view = record_view(
        found, form, record=text, error=_unplaced(error, form.fields), events=last.items, now=services.clock.now()
    )
    title = f"{view.collection.plain}, record"
    return show(request, "sources/record.html", view, title=title, crumbs=_crumbs(found), status=error.status if error else 200)


def _problems(error: TidingsError) -> dict[str, str]:
    return dict(error.details.get("fields", {}))


def _unplaced(error: TidingsError | None, fields: Any) -> str:
    """Return what is wrong that is not said at a field."""
    if error is None:
        return ""
    problems, said = _problems(error), " ".join(field.error for field in fields)
    if not problems:
        return error.message
    return " ".join(problem for problem in problems.values() if problem not in said)


def _crumbs(found: Collection) -> list[tuple[str, str]]:
    return [*CRUMBS, (found.name[:80], path_of(found.name))]


router = Router(
    "/", route_handlers=[list_collections, collection, new_record, add_record, record, change_record, delete_record]
)
