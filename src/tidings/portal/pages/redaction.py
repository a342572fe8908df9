"""Redaction rules: the list, the form, and a look at what a rule would do to an event that happened."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError, NotFoundError
from tidings.operations import redaction
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.redaction import PATH, form_view, rules_view, said_in, written_of
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
_CRUMBS = [("Settings", "/settings")]
_SAVED = "The rule holds for what is routed from now on."


@get(PATH, opt={"query": ("page",)})
async def list_rules(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the rules."""
    number = page_number(request)
    found = await redaction.list_rules(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    view = rules_view(shown, pager, visit.services.clock.now())
    return show(request, "settings/redaction.html", view, title="Redaction", crumbs=_CRUMBS)


@get(f"{PATH}/new", opt={"query": ()})
async def new_rule(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the form of a new rule."""
    del visit
    return _form(request, None, {}, {})


@post(f"{PATH}/new")
async def make_rule(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Make a rule, or show what it would do."""
    return await _submitted(request, visit, None)


@get(f"{PATH}/{{rule_id:uuid}}", opt={"query": ()})
async def show_rule(request: Request[Any, Any, Any], visit: NamedDependency[Visit], rule_id: FromPath[UUID]) -> Response[Any]:
    """Show a rule in its form."""
    return _form(request, rule_id, written_of(await redaction.read(visit.services, rule_id)), {})


@post(f"{PATH}/{{rule_id:uuid}}")
async def change_rule(request: Request[Any, Any, Any], visit: NamedDependency[Visit], rule_id: FromPath[UUID]) -> Response[Any]:
    """Change a rule, or show what it would do."""
    return await _submitted(request, visit, rule_id)


@post(f"{PATH}/{{rule_id:uuid}}/delete")
async def delete_rule(request: Request[Any, Any, Any], visit: NamedDependency[Visit], rule_id: FromPath[UUID]) -> Response[Any]:
    """Delete a rule."""
    await redaction.remove(visit.services, rule_id)
    return go(request, PATH, said=Notice("good", "The rule is deleted. What it kept from being kept does not come back."))


async def _submitted(request: Request[Any, Any, Any], visit: Visit, rule_id: UUID | None) -> Response[Any]:
    form = await form_of(request)
    said, errors = said_in(form)
    if errors:
        return _form(request, rule_id, form, errors)
    try:
        if form.get("do") == "preview":
            tried = await redaction.preview(visit.services, said, _event_id(form.get("event_id", "")))
            return _form(request, rule_id, form, {}, tried)
        if rule_id is None:
            await redaction.create(visit.services, said)
        else:
            await redaction.change(visit.services, rule_id, said)
    except InvalidInputError as error:
        return _form(request, rule_id, form, {error.field: error.message})
    except ConflictError as error:
        return _form(request, rule_id, form, {"": error.message})
    except NotFoundError as error:
        if form.get("do") != "preview":
            raise
        return _form(request, rule_id, form, {"event_id": error.message})
    return go(request, PATH, said=Notice("good", _SAVED))


def _event_id(text: str) -> UUID | None:
    if not text.strip():
        return None
    try:
        return UUID(text.strip())
    except ValueError as error:
        raise InvalidInputError("event_id", "Write the id of an event, or nothing for the latest.") from error


def _form(
    request: Request[Any, Any, Any],
    rule_id: UUID | None,
    written: dict[str, str],
    errors: dict[str, str],
    tried: redaction.Shown | None = None,
) -> Response[Any]:
    view = form_view(rule_id, written, errors, tried)
    title = "New redaction rule" if rule_id is None else "Redaction rule"
    crumbs = [*_CRUMBS, ("Redaction", PATH)]
    return show(
        request, "settings/redaction_form.html", view, title=title, crumbs=crumbs, status=422 if errors else 200,
        on_record=rule_id or "",
    )  # fmt: skip


router = Router("/", route_handlers=[list_rules, new_rule, make_rule, show_rule, change_rule, delete_rule])
