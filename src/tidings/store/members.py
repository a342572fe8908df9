"""Members, as rows: people who sign in to the portal by the provider, and what they are."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.roles import Held
from tidings.store.database import Connection
from tidings.store.sessions import LINK_MAKERS, known_roles
from tidings.store.statements import load

MAX_MEMBERS: Final = 10_000  # of an installation

_SQL = load("members")


class Member(msgspec.Struct, frozen=True):
    """Somebody who may sign in by the provider.

    Attributes:
        email: What they were invited by.
        issuer, subject: Who they are at the provider; None: they have not come yet.
        held: Their roles: all, or those of the group that whoever asks may act for.
    """

    id: UUID
    email: str
    name: str
    issuer: str | None
    subject: str | None
    invited_at: datetime
    joined_at: datetime | None
    signed_in_at: datetime | None
    held: tuple[Held, ...]


async def list_members(connection: Connection, group_id: str | None, *, limit: int, offset: int) -> list[Member]:
    """Return a page of members, in order of their addresses: all, or those who have a role of a group."""
    return [_member(row) for row in await connection.fetch(_SQL["list"], group_id, limit, offset)]


async def read(connection: Connection, member_id: UUID, group_id: str | None) -> Member | None:
    """Return a member; with a group, only one who has a role of it."""
    row = await connection.fetchrow(_SQL["read"], group_id, member_id)
    return None if row is None else _member(row)


async def lock(connection: Connection, member_id: UUID, group_id: str | None) -> Member | None:
    """The same, locked until this transaction ends."""
    row = await connection.fetchrow(_SQL["lock"], group_id, member_id)
    return None if row is None else _member(row)


async def lock_address(connection: Connection, email: str, group_id: str | None = None) -> Member | None:
    """Return who was invited by an address, locked until this transaction ends."""
    row = await connection.fetchrow(_SQL["lock_address"], group_id, email)
    return None if row is None else _member(row)


async def lock_person(connection: Connection, issuer: str, subject: str) -> Member | None:
    """Return who somebody at the provider is, locked until this transaction ends."""
    row = await connection.fetchrow(_SQL["lock_person"], None, issuer, subject)
    return None if row is None else _member(row)


async def add(connection: Connection, member_id: UUID, email: str, now: datetime) -> bool:
    """Write a new member; False when there are too many, or one with that address."""
    return await connection.fetchval(_SQL["add"], member_id, email, now, MAX_MEMBERS) is not None


async def put_role(connection: Connection, member_id: UUID, held: Held) -> None:
    """Give a member a role, in place of the one that they have for the same group."""
    await connection.execute(_SQL["put_role"], member_id, held.group_id, held.role.value)


async def drop_role(connection: Connection, member_id: UUID, group_id: str | None) -> None:
    """Take a member's role of a group away, or the one for all groups."""
    await connection.execute(_SQL["drop_role"], member_id, group_id)


async def join(connection: Connection, member_id: UUID, issuer: str, subject: str, now: datetime) -> None:
    """Have a member be somebody at the provider."""
    await connection.execute(_SQL["join"], member_id, issuer, subject, now)


async def signed_in(connection: Connection, member_id: UUID, name: str, now: datetime) -> None:
    """Keep that a member signed in, and what the provider calls them."""
    await connection.execute(_SQL["signed_in"], member_id, name, now)


async def remove(connection: Connection, member_id: UUID) -> None:
    """Take a member away, with their sessions and the portal links that they made."""
    await connection.execute(_SQL["remove"], member_id)


async def end_links(connection: Connection, member_id: UUID) -> None:
    """End the portal links that a member made and may make no more."""
    await connection.execute(_SQL["end_links"], member_id, LINK_MAKERS)


def _member(row: Any) -> Member:
    fields = {name: row[name] for name in Member.__struct_fields__ if name != "held"}
    return Member(**fields, held=known_roles(row["roles"], row["groups"]))
