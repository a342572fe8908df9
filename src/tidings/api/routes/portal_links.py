"""`/api/v1/groups/{id}/portal-link` and `/api/v1/portal-links`: links that show a customer one group in the portal."""

import secrets
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.http.paging import Limit, Offset
from tidings.api.http.parameters import group_in_path
from tidings.core.brand import Brand
from tidings.operations import groups, portal_links
from tidings.operations.services import Services
from tidings.store.portal_links import PortalLink


class NewPortalLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a link is to be."""

    expires_in: int = portal_links.DEFAULT_SECONDS
    access: str = portal_links.DEFAULT_ACCESS
    brand: Brand | None = None
    origins: list[str] = []


class PortalLinkView(msgspec.Struct, frozen=True):
    """A link as read: without its URL, which is kept nowhere."""

    id: UUID
    group: str
    name: str | None
    origins: tuple[str, ...]
    access: str
    made_by: str
    sessions: int
    created_at: datetime
    expires_at: datetime


class MadePortalLink(msgspec.Struct, frozen=True):
    """A link that was made just now. `url` is shown this once."""

    id: UUID
    group: str
    access: str
    url: str
    expires_at: datetime


@post("/{group_id:str}/portal-link", status_code=201)
async def create_portal_link(
    services: NamedDependency[Services],
    request: Request,  # type: ignore[type-arg]
    group_id: FromPath[str],
    data: JSONBody[NewPortalLink],
) -> MadePortalLink:
    """Make a link that shows a customer this group's webhooks, deliveries and tests in the portal, and nothing else."""
    acting = await groups.acting_for(services, group_in_path(group_id))
    made = await portal_links.create(
        acting,
        secrets.token_urlsafe(32),
        scheme=request.url.scheme,
        host=request.headers.get("host", ""),
        seconds=data.expires_in,
        access=data.access,
        brand=data.brand,
        origins=data.origins,
    )
    return MadePortalLink(made.link.id, made.link.group_id, made.link.access.value, made.url, made.link.ends_at)


@get("/")
async def list_portal_links(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[PortalLinkView]:
    """List the group's links that are good, newest first. A link ends with the key or the member that made it."""
    return [_view(link) for link in await portal_links.list_links(services, limit=limit, offset=offset)]


@delete("/{link_id:uuid}", status_code=204)
async def end_portal_link(services: NamedDependency[Services], link_id: FromPath[UUID]) -> None:
    """End a link before its time, and what was opened with it."""
    await portal_links.end(services, link_id)


def _view(link: PortalLink) -> PortalLinkView:
    return PortalLinkView(
        link.id,
        link.group_id,
        link.brand.name,
        link.origins,
        link.access.value,
        link.made_by,
        link.session_count,
        link.created_at,
        link.ends_at,
    )


group_router = Router("/api/v1/groups", route_handlers=[create_portal_link], tags=["Portal links"])
router = Router("/api/v1/portal-links", route_handlers=[list_portal_links, end_portal_link], tags=["Portal links"])
routers = (group_router, router)
