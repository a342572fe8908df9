"""Keys of the API: made and shown once, with their last use, rotated and revoked."""

import secrets
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tidings.core.api_key import SECRET_BYTES
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.operations import api_keys
from tidings.portal.access import Visit, fields_of, form_of
from tidings.portal.answers import go, show
from tidings.portal.numbering import cut, page_number
from tidings.portal.views.api_keys import ALL_GROUPS, PATH, key_view, keys_view
from tidings.portal.views.small import Notice

PAGE_SIZE = 50
MAX_SCOPES = 30  # ticked ones that are read
CRUMBS = [("Settings", "/settings")]


@get(PATH, opt={"query": ("page",)})
async def list_keys(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Show the keys."""
    return await _keys(request, visit)


@post(PATH)
async def make_key(request: Request[Any, Any, Any], visit: NamedDependency[Visit]) -> Response[Any]:
    """Make a key and show it, this once; what it cannot be is said at its field."""
    fields = await fields_of(request)
    form = {name: values[0] for name, values in fields.items() if values}
    chosen = fields.get("scopes", [])[:MAX_SCOPES]
    try:
        made = await api_keys.create(
            visit.services,
            secrets.token_bytes(SECRET_BYTES),
            name=form.get("name", ""),
            scopes=chosen,
            group_id=None if form.get("group") == ALL_GROUPS else form.get("group", visit.group_id),
            expires_in=_seconds(form.get("expires_in", "")) or None,
        )
    except InvalidInputError as error:
        return await _keys(request, visit, written=fields, errors={error.field: error.message})
    except ConflictError as error:
        return await _keys(request, visit, written=fields, errors={"": error.message})
    return await _keys(request, visit, made=made.text)


@get(f"{PATH}/{{key_id:uuid}}", opt={"query": ()})
async def show_key(request: Request[Any, Any, Any], visit: NamedDependency[Visit], key_id: FromPath[UUID]) -> Response[Any]:
    """Show a key, with when and whence it was last used."""
    return await _key(request, visit, key_id)


@post(f"{PATH}/{{key_id:uuid}}/rename")
async def rename_key(request: Request[Any, Any, Any], visit: NamedDependency[Visit], key_id: FromPath[UUID]) -> Response[Any]:
    """Call a key otherwise; what it cannot be called is said at the field."""
    try:
        await api_keys.rename(visit.services, key_id, (await form_of(request)).get("name", ""))
    except InvalidInputError as error:
        return await _key(request, visit, key_id, error=error.message)
    return go(request, f"{PATH}/{key_id}", said=Notice("good", "The key is called otherwise now."))


@post(f"{PATH}/{{key_id:uuid}}/rotate")
async def rotate_key(request: Request[Any, Any, Any], visit: NamedDependency[Visit], key_id: FromPath[UUID]) -> Response[Any]:
    """Give a key another secret and show it, this once."""
    overlap = _seconds((await form_of(request)).get("overlap", ""))
    made = await api_keys.rotate(
        visit.services, key_id, secrets.token_bytes(SECRET_BYTES), overlap_seconds=-1 if overlap is None else overlap
    )
    return await _key(request, visit, key_id, made=made.text)


@post(f"{PATH}/{{key_id:uuid}}/revoke")
async def revoke_key(request: Request[Any, Any, Any], visit: NamedDependency[Visit], key_id: FromPath[UUID]) -> Response[Any]:
    """Revoke a key."""
    await api_keys.revoke(visit.services, key_id)
    return go(request, PATH, said=Notice("good", "The key is revoked. Within a second it opens nothing any more."))


async def _keys(request: Request[Any, Any, Any], visit: Visit, **more: Any) -> Response[Any]:
    number = page_number(request)
    found = await api_keys.list_keys(visit.services, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE)
    shown, pager = cut(found, PATH, number, PAGE_SIZE)
    may_all = visit.services.bound_to is None
    view = keys_view(shown, pager, visit.group_id, visit.services.clock.now(), may_all=may_all, **more)
    status = 422 if more.get("errors") else 200
    return show(request, "settings/api_keys.html", view, title="API keys", crumbs=CRUMBS, status=status)


async def _key(
    request: Request[Any, Any, Any], visit: Visit, key_id: UUID, *, made: str = "", error: str = ""
) -> Response[Any]:
    found = await api_keys.read(visit.services, key_id)
    view = key_view(found, visit.services.clock.now(), made=made, error=error)
    crumbs = [*CRUMBS, ("API keys", PATH)]
    return show(
        request, "settings/api_key.html", view, title="API key", crumbs=crumbs, status=422 if error else 200, on_record=key_id
    )


def _seconds(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else None


router = Router("/", route_handlers=[list_keys, make_key, show_key, rename_key, rotate_key, revoke_key])
