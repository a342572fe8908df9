"""Members: invited, given roles, removed; and whoever is signed in, with their own sessions."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.errors import ConflictError, InvalidInputError
from tidings.operations import members, sessions
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.members import ALL_GROUPS, PATH, account_view, member_view, members_view
from tidings.portal.views.small import Notice
from tidings.store.sessions import Whose

PAGE_SIZE = 50
MAX_SESSIONS = 100  # the newest that are shown
CRUMBS = [("Settings", "/settings")]


@get(PATH, opt={"query": ("page",)})
async def list_members(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the members."""
    return await _members(request, visit)


@post(PATH)
async def invite(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Invite somebody; what is wrong with that is said at its field."""
    form = await form_of(request)
    try:
        made = await members.invite(
            visit.services, email=form.get("email", ""), role=form.get("role", ""), group_ids=_groups(form)
        )
    except InvalidInputError as error:
        return await _members(request, visit, written=form, errors={error.field: error.message})
    except ConflictError as error:
        return await _members(request, visit, written=form, errors={"": error.message})
    return go(request, PATH, said=Notice("good", f"{made.email} may sign in. Tell them where this portal is."))


@get(f"{PATH}/{{member_id:uuid}}", opt={"query": ()})
async def show_member(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], member_id: FromPath[UUID]
) -> Response[Any]:
    """Show a member, with their roles and sessions."""
    return await _member(request, visit, member_id)


@post(f"{PATH}/{{member_id:uuid}}/role")
async def give_role(request: Request[Any, Any, Any], visit: NamedDependency[Visit], member_id: FromPath[UUID]) -> Response[Any]:
    """Give a member a role, or take one away."""
    form = await form_of(request)
    try:
        await members.set_role(visit.services, member_id, role=form.get("role", ""), group_ids=_groups(form))
    except (ConflictError, InvalidInputError) as error:
        return await _member(request, visit, member_id, error=error.message, status=error.status)
    return go(request, f"{PATH}/{member_id}", said=Notice("good", "Their roles are changed, from their next page on."))


@post(f"{PATH}/{{member_id:uuid}}/remove")
async def remove(request: Request[Any, Any, Any], visit: NamedDependency[Visit], member_id: FromPath[UUID]) -> Response[Any]:
    """Remove a member."""
    await members.remove(visit.services, member_id)
    return go(request, PATH, said=Notice("good", "The member is removed, and signed out everywhere."))


@post(f"{PATH}/{{member_id:uuid}}/sessions/end")
async def end_sessions(
    request: Request[Any, Any, Any], visit: NamedDependency[Visit], member_id: FromPath[UUID]
) -> Response[Any]:
    """End one session of a member, or all.

    Raises:
        InvalidInputError: The id is none.
    """
    return await _end(request, visit, Whose(member_id=member_id), f"{PATH}/{member_id}", None)


# Whoever is signed in --------------------------------------------------------------------------------------------------------


@get("/account", opt={"query": ()})
async def account(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show who is signed in, what they may, and their sessions."""
    found = await sessions.list_sessions(visit.services, sessions.own(visit.session), limit=MAX_SESSIONS)
    view = account_view(visit.session, found, visit.services.clock.now())
    return show(request, "account/page.html", view, title="Your sessions")


@post("/account/sessions/end")
async def end_own(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """End one session of one's own, or all others.

    Raises:
        InvalidInputError: The id is none.
    """
    return await _end(request, visit, sessions.own(visit.session), "/account", visit.session.id)


async def _end(request: Request[Any, Any, Any], visit: Visit, whose: Whose, back: str, but: UUID | None) -> Response[Any]:
    asked = (await form_of(request)).get("id", "")
    if asked in {"all", "others"}:
        await sessions.end_others(visit.services, but, whose)
        return go(request, back, said=Notice("good", "All of these sessions have ended."))
    try:
        ended = await sessions.end(visit.services, UUID(asked), whose)
    except ValueError as error:
        raise InvalidInputError("id", "id is not a session's. Choose one of the list.") from error
    said = Notice("good", "The session has ended.") if ended else Notice("info", "That session was over already.")
    return go(request, back, said=said)


def _groups(form: dict[str, str]) -> list[str] | None:
    return None if form.get("group") == ALL_GROUPS else [form.get("group", "")]


async def _members(request: Request[Any, Any, Any], visit: Visit, **more: Any) -> Response[Any]:
    number, services = page_number(request), visit.services
    found = await members.list_members(services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    may_all, has_provider = services.bound_to is None, services.provider is not None
    now = services.clock.now()
    view = members_view(shown, pager, visit.group_id, now, may_all=may_all, has_provider=has_provider, **more)
    status = 422 if more.get("errors") else 200
    return show(request, "settings/members.html", view, title="Members", crumbs=CRUMBS, status=status)


async def _member(
    request: Request[Any, Any, Any], visit: Visit, member_id: UUID, *, error: str = "", status: int = 200
) -> Response[Any]:
    services, may_all = visit.services, visit.services.bound_to is None
    found = await members.read(services, member_id)
    # Of somebody who is in other groups too: whoever may act for one alone is not told when they are there.
    whose = Whose(member_id=member_id)
    open_ = await sessions.list_sessions(services, whose, limit=MAX_SESSIONS) if may_all else None
    view = member_view(found, visit.group_id, services.clock.now(), may_all=may_all, open_=open_, error=error)
    crumbs = [*CRUMBS, ("Members", PATH)]
    return show(request, "settings/member.html", view, title="Member", crumbs=crumbs, status=status, on_record=member_id)


router = Router("/", route_handlers=[list_members, invite, show_member, give_role, remove, end_sessions, account, end_own])
