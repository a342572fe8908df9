"""`/api/v1/members` and `/api/v1/sessions`: who may sign in to the portal by the provider, and who is signed in."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.http.paging import Limit, Offset
from tidings.core.errors import NotFoundError
from tidings.operations import members, sessions
from tidings.operations.services import Services
from tidings.store.members import Member
from tidings.store.sessions import Session


class NewMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to invite. `groups`: the groups that the role is for; null: all of them."""

    email: str
    role: str
    groups: list[str] | None = None


class MemberRoleInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a member is to be. `role`: `none` takes it away; `groups`: null: the role for all of them."""

    role: str
    groups: list[str] | None = None


class MemberRoleView(msgspec.Struct, frozen=True):
    """A role as read."""

    role: str
    bound_to: str | None


class MemberView(msgspec.Struct, frozen=True):
    """A member as read."""

    id: UUID
    email: str
    name: str
    issuer: str | None
    subject: str | None
    roles: tuple[MemberRoleView, ...]
    invited_at: datetime
    joined_at: datetime | None
    signed_in_at: datetime | None


class PortalSessionView(msgspec.Struct, frozen=True):
    """A browser that is signed in, as read."""

    id: UUID
    by: Literal["key", "member"]
    key_id: UUID | None
    key_name: str | None
    member_id: UUID | None
    member_email: str | None
    browser: str
    address: str
    group: str
    began_at: datetime
    seen_at: datetime
    ends_at: datetime


@get("/")
async def list_members(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[MemberView]:
    """List members, in order of their addresses. A key that is for one group lists those who have a role of it, with that role
    alone.
    """
    return [_view(one) for one in await members.list_members(services, limit=limit, offset=offset)]


@post("/", status_code=201)
async def invite_member(services: NamedDependency[Services], data: JSONBody[NewMember]) -> MemberView:
    """Let somebody sign in to the portal by the provider, or give a member a role for more groups. Nothing is sent to them."""
    return _view(await members.invite(services, email=data.email, role=data.role, group_ids=data.groups))


@get("/{member_id:uuid}")
async def get_member(services: NamedDependency[Services], member_id: FromPath[UUID]) -> MemberView:
    """Read a member."""
    return _view(await members.read(services, member_id))


@patch("/{member_id:uuid}")
async def set_member_role(
    services: NamedDependency[Services], member_id: FromPath[UUID], data: JSONBody[MemberRoleInput]
) -> MemberView:
    """Say what a member is in these groups, or in all. It holds from their next page on; where a role is taken away they are
    signed out.
    """
    return _view(await members.set_role(services, member_id, role=data.role, group_ids=data.groups))


@delete("/{member_id:uuid}", status_code=204)
async def remove_member(services: NamedDependency[Services], member_id: FromPath[UUID]) -> None:
    """Remove a member: they are signed out, and the portal links that they made end. A key that is for one group takes their
    role of it away.
    """
    await members.remove(services, member_id)


router = Router(
    "/api/v1/members",
    route_handlers=[list_members, invite_member, get_member, set_member_role, remove_member],
    tags=["Members"],
)


@get("/")
async def list_sessions(services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0) -> list[PortalSessionView]:
    """List the browsers that are signed in to the portal, newest first. Customers, who come by links, are not among them."""
    return [_session(one) for one in await sessions.list_sessions(services, limit=limit, offset=offset)]


@delete("/{session_id:uuid}", status_code=204)
async def end_session(services: NamedDependency[Services], session_id: FromPath[UUID]) -> None:
    """End a session of the portal."""
    if not await sessions.end(services, session_id):
        raise NotFoundError(f"There is no session {session_id}; it may be over.")


sessions_router = Router("/api/v1/sessions", route_handlers=[list_sessions, end_session], tags=["Members"])


def _view(one: Member) -> MemberView:
    roles = tuple(MemberRoleView(held.role.value, held.group_id) for held in one.held)
    return MemberView(
        one.id, one.email, one.name, one.issuer, one.subject, roles, one.invited_at, one.joined_at, one.signed_in_at
    )


def _session(one: Session) -> PortalSessionView:
    return PortalSessionView(
        one.id,
        "key" if one.member_id is None else "member",
        one.key_id,
        one.key_name or None,
        one.member_id,
        one.member_email or None,
        one.browser,
        one.address,
        one.group_id,
        one.created_at,
        one.seen_at,
        one.ends_at,
    )
