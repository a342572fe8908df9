"""Settings: what holds for this installation, who is signed in, groups, keys, and what all of it runs on."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency

from tidings import __version__
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.operations import diagnosis, groups, installation, sessions, signing_keys
from tidings.portal.access import Visit, form_of
from tidings.portal.answers import go, show
from tidings.portal.cookies import base_url
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.settings import PATH, about_view, general_view, group_view, groups_view, keys_view
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
MAX_SESSIONS = 100  # the newest that are shown
CRUMBS = [("Settings", PATH)]


@get(PATH, opt={"query": ()})
async def settings(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show what holds for this installation, and who is signed in."""
    services = visit.services
    found = await sessions.list_sessions(services, limit=MAX_SESSIONS)
    problems = (await diagnosis.examine(services)).problems
    view = general_view(found, visit.session.id, services.config, services.clock.now(), problems)
    return show(request, "settings/page.html", view, title="Settings")


@post(f"{PATH}/sessions/end")
async def end_session(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """End the session with the id of the form, or all others.

    Raises:
        InvalidInputError: The id is none.
    """
    asked = (await form_of(request)).get("id", "")
    if asked == "others":
        await sessions.end_others(visit.services, visit.session.id)
        said = Notice("good", "All other sessions have ended.")
    else:
        try:
            ended = await sessions.end(visit.services, UUID(asked))
        except ValueError as error:
            raise InvalidInputError("id", "id is not a session's. Choose one of the list.") from error
        said = Notice("good", "The session has ended.") if ended else Notice("info", "That session was over already.")
    return go(request, PATH, said=said)


@get(f"{PATH}/groups", opt={"query": ("page",)})
async def list_groups(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the groups."""
    return await _groups(request, visit)


@post(f"{PATH}/groups")
async def make_group(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Make a group; what its id cannot be is said at its field."""
    written = (await form_of(request)).get("id", "").strip()
    try:
        made = await groups.create(visit.services, written)
    except (ConflictError, InvalidInputError) as error:
        return await _groups(request, visit, written=written, error=error.message)
    return go(request, f"{PATH}/groups", said=Notice("good", f"The group {made.id} is made."))


@get(f"{PATH}/groups/delete", opt={"query": ("id",)})
async def ask_to_delete(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Ask for the id again before a group is deleted."""
    return await _ask(request, visit, request.query_params.get("id", ""))


@post(f"{PATH}/groups/delete")
async def delete_group(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Begin to delete a group; what keeps it is said at its field."""
    form = await form_of(request)
    group_id, written, everything = form.get("id", ""), form.get("confirm", "").strip(), bool(form.get("everything"))
    try:
        await groups.remove(visit.services, group_id, confirm=written, everything=everything)
    except (ConflictError, InvalidInputError) as error:
        return await _ask(request, visit, group_id, written=written, error=error.message, status=error.status)
    said = f"The group {group_id} is closed, and is deleted in the background."
    return go(request, f"{PATH}/groups", said=Notice("info", said))


async def _ask(
    request: Request[Any, Any, Any], visit: Visit, group_id: str, *, written: str = "", error: str = "", status: int = 200
) -> Response[Any]:
    view = group_view(await groups.read(visit.services, group_id), written=written[:100], error=error)
    crumbs = [*CRUMBS, ("Groups", f"{PATH}/groups")]
    return show(request, "settings/group_delete.html", view, title="Delete a group", crumbs=crumbs, status=status)


async def _groups(request: Request[Any, Any, Any], visit: Visit, *, written: str = "", error: str = "") -> Response[Any]:
    number = page_number(request)
    found = await groups.list_groups(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, f"{PATH}/groups", number, PAGE_SIZE)
    view = groups_view(shown, pager, visit.group_id, visit.services.clock.now(), written=written[:100], error=error)
    return show(request, "settings/groups.html", view, title="Groups", crumbs=CRUMBS, status=422 if error else 200)


@get(f"{PATH}/keys", opt={"query": ()})
async def keys(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the public keys that receivers verify with."""
    return await _keys(request, visit)


@post(f"{PATH}/keys/rotate")
async def rotate_keys(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Make new signing keys, published at once beside the old."""
    form = await form_of(request)
    seconds = form.get("overlap", "")
    overlap = int(seconds) if seconds.isdecimal() and len(seconds) < 8 else -1
    try:
        await signing_keys.rotate(visit.services, overlap_seconds=overlap, is_leaked=bool(form.get("leaked")))
    except (ConflictError, InvalidInputError) as error:
        return await _keys(request, visit, error=error.message, status=error.status)
    said = "The new keys are published, and sign when the overlap is over." if overlap else "The new keys sign now."
    return go(request, f"{PATH}/keys", said=Notice("good", said))


async def _keys(request: Request[Any, Any, Any], visit: Visit, *, error: str = "", status: int = 200) -> Response[Any]:
    found, now = await signing_keys.list_keys(visit.services), visit.services.clock.now()
    view = keys_view(found, base_url(request), now, error=error)
    return show(request, "settings/keys.html", view, title="Signing keys", crumbs=CRUMBS, status=status)


@get(f"{PATH}/about", opt={"query": ()})
async def about(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the version, the database, the workers, and what waits."""
    view = about_view(await installation.read(visit.services), __version__)
    return show(request, "settings/about.html", view, title="About", crumbs=CRUMBS)


router = Router(
    "/", route_handlers=[settings, end_session, list_groups, make_group, ask_to_delete, delete_group, keys, rotate_keys, about]
)
