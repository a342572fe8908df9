"""Which groups there are, to choose the one that pages show."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from tidings.operations import everywhere, groups
from tidings.portal.access import Visit
from tidings.portal.answers import show, show_part
from tidings.portal.elsewhere import caller_of
from tidings.portal.views.frame import local_path
from tidings.portal.views.lists import Pager, link

MAX_SHOWN = 100  # groups on a page
MAX_PAGE = 10_000


class GroupChoice(msgspec.Struct, frozen=True):
    """A group to choose. `href`: the page one came from, for that group; `home`: of the fleet, where it lives, if elsewhere."""

    id: str
    href: str
    is_here: bool
    home: str = ""


class GroupsView(msgspec.Struct, frozen=True):
    """Groups to choose from. `away`: homes of the fleet that did not answer, whose groups are missing."""

    choices: tuple[GroupChoice, ...]
    pager: Pager
    away: str = ""


@get("/groups", opt={"query": ("cursor", "page", "to")})
async def choose(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the groups; to htmx only the list, for the menu at the top."""
    to = local_path(request.query_params.get("to", "/")).partition("?")[0]
    if everywhere.is_asked(visit.services) and visit.session.may_show is None:
        return _shown(request, await _of_all_homes(visit, to, request.query_params.get("cursor", "")))
    asked = request.query_params.get("page", "1")
    page = min(MAX_PAGE, max(1, int(asked))) if asked.isdecimal() and len(asked) < 6 else 1
    may_show, offset = visit.session.may_show, (page - 1) * MAX_SHOWN
    found = await groups.choices(visit.services, may_show, limit=MAX_SHOWN + 1, offset=offset)
    choices = tuple(GroupChoice(one, link(to, {"group": one}), one == visit.group_id) for one in found[:MAX_SHOWN])
    newer = link("/groups", {"to": to, "page": str(page - 1)}) if page > 1 else ""
    older = link("/groups", {"to": to, "page": str(page + 1)}) if len(found) > MAX_SHOWN else ""
    return _shown(request, GroupsView(choices, Pager(newer, older)))


async def _of_all_homes(visit: Visit, to: str, cursor: str) -> GroupsView:
    """Return a page of the groups of the fleet; choosing one that lives elsewhere leads there."""
    page = await everywhere.list_groups(visit.services, caller_of(visit.session), limit=MAX_SHOWN, cursor=cursor)
    here = visit.services.across.home if visit.services.across else ""
    choices = tuple(
        GroupChoice(one.id, link(to, {"group": one.id}), one.id == visit.group_id, "" if home == here else home)
        for home, one in page.items
    )
    older = link("/groups", {"to": to, "cursor": page.cursor}) if page.cursor else ""
    return GroupsView(choices, Pager(link("/groups", {"to": to}) if cursor else "", older), ", ".join(page.away))


def _shown(request: Request[Any, Any, Any], view: GroupsView) -> Response[Any]:
    if request.headers.get("hx-request"):
        return show_part(request, "groups/menu.html", view)
    return show(request, "groups/page.html", view, title="Groups")


router = Router("/", route_handlers=[choose])
