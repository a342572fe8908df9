"""Links that show a customer one group, as rows. Of a token only its hash is kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.brand import Brand
from tidings.core.customers import Access
from tidings.store.database import Connection
from tidings.store.sessions import LINK_MAKERS, hash_token, read_brand, read_origins
from tidings.store.statements import load

MAX_LINKS = 10_000  # of an installation; another one ends the oldest

_SQL = load("portal_links")


class PortalLink(msgspec.Struct, frozen=True):
    """A link that shows a customer one group.

    Attributes:
        id: What it is called in lists; it opens nothing.
        origins: The origins whose pages may frame it.
        access: What its holder may do.
        session_count: In how many browsers it is open.
        made_by: What the key was called that made it, or the address of the member; it ends with them.
    """

    id: UUID
    group_id: str
    brand: Brand
    origins: tuple[str, ...]
    created_at: datetime
    ends_at: datetime
    access: Access
    session_count: int = 0
    made_by: str = ""


async def add(connection: Connection, token: str, link: PortalLink, *, key_id: UUID | None, member_id: UUID | None) -> None:
    """Write a new link. When there are too many, the oldest end.

    Args:
        key_id, member_id: Who makes it.
    """
    await connection.execute(_SQL["keep_newest"], MAX_LINKS - 1)
    brand = msgspec.json.encode(link.brand).decode()
    await connection.execute(
        _SQL["add"],
        link.id,
        hash_token(token),
        link.group_id,
        brand,
        list(link.origins),
        link.created_at,
        link.ends_at,
        link.access.value,
        key_id,
        member_id,
        link.made_by,
    )


async def find(connection: Connection, token: str, now: datetime) -> PortalLink | None:
    """Return the link of a token; None when there is none or its time is over."""
    row = await connection.fetchrow(_SQL["find"], hash_token(token), now, LINK_MAKERS)
    return None if row is None else _link(row)


async def list_links(connection: Connection, group_id: str, *, now: datetime, limit: int, offset: int) -> Sequence[PortalLink]:
    """Return a page of a group's links whose time is not over, newest first."""
    return [_link(row) for row in await connection.fetch(_SQL["list"], group_id, now, limit, offset, LINK_MAKERS)]


async def end(connection: Connection, group_id: str, link_id: UUID) -> bool:
    """End a link of a group with its sessions; whether there was one."""
    return await connection.fetchval(_SQL["end"], link_id, group_id) is not None


async def forget(connection: Connection, now: datetime) -> None:
    """Take away what is over."""
    await connection.execute(_SQL["forget"], now)


def _link(row: Any) -> PortalLink:
    values = dict(row) | {"brand": read_brand(row["brand"]), "origins": read_origins(row["origins"])}
    values["access"] = Access(row["access"])
    return PortalLink(**values)
