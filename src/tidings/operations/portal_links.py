"""Portal links: each shows a customer one group, its webhooks, deliveries and tests, for a while, and nothing else."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec

from tidings.core.audit import Action, Who
from tidings.core.brand import Brand, check_brand, check_origins
from tidings.core.customers import Access, parse_access
from tidings.core.errors import InvalidInputError, NotFoundError
from tidings.core.reached import known_url
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.store import groups, portal_links
from tidings.store.portal_links import PortalLink

SHORTEST_SECONDS, LONGEST_SECONDS = 60, 86_400
DEFAULT_SECONDS = 3600
DEFAULT_ACCESS = Access.MANAGE.value


class NewLink(msgspec.Struct, frozen=True):
    """A link that was made just now. `url` holds its token, which is kept nowhere: it is shown this once."""

    link: PortalLink
    url: str


async def create(
    services: Services,
    token: str,
    *,
    scheme: str,
    host: str,
    seconds: int = DEFAULT_SECONDS,
    access: str = DEFAULT_ACCESS,
    brand: Brand | None = None,
    origins: Sequence[str] = (),
) -> NewLink:
    """Make a link that shows a customer the group, and nothing else. It ends with the key or the member that made it.

    Args:
        token: 256 random bits as text.
        scheme, host: As the request for it was addressed: believed when nothing is configured and it means this very machine.
        seconds: How long it opens the portal, and how long the sessions last that it begins.
        access: What its holder may do: `read`, `manage` or `full` (`core.customers.Access`).
        origins: The origins whose pages may frame it.

    Raises:
        ConflictError: Where this installation is reached is not configured.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such group.
    """
    base = known_url(services.config.public_url, scheme, host)
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise InvalidInputError(
            "expires_in",
            f"expires_in is {seconds}; write {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds. Links are short-lived.",
        )
    now = services.clock.now()
    link = PortalLink(
        uuid4(),
        services.group_id,
        check_brand(brand or Brand()),
        check_origins(origins),
        now,
        now + timedelta(seconds=seconds),
        parse_access(access),
        made_by=services.actor.key_name,
    )
    actor = services.actor
    async with services.wide.transaction() as connection:
        if await groups.get(connection, services.group_id) is None:
            raise NotFoundError(f"There is no group {services.group_id!r}. Make the group first.")
        member_id = actor.id if actor.who is Who.MEMBER else None
        await portal_links.add(connection, token, link, key_id=actor.key_id, member_id=member_id)
        await audit.note(services, connection, Action.LINK_MADE, link.id, link.brand.name or "", after=link)
    return NewLink(link, f"{base}/p/{token}")


async def list_links(services: Services, *, limit: int, offset: int = 0) -> Sequence[PortalLink]:
    """Return a page of the group's links whose time is not over, newest first."""
    async with services.wide.connection() as connection:
        return await portal_links.list_links(
            connection, services.group_id, now=services.clock.now(), limit=limit, offset=offset
        )


async def end(services: Services, link_id: UUID) -> None:
    """End a link of the group before its time, and the sessions that were begun with it.

    Raises:
        NotFoundError: There is none.
    """
    async with services.wide.transaction() as connection:
        if not await portal_links.end(connection, services.group_id, link_id):
            raise NotFoundError(f"There is no portal link {link_id}; its time may be over.")
        await audit.note(services, connection, Action.LINK_ENDED, link_id)
