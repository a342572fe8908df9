"""`members` and `sessions`, for the asynchronous client."""

from collections.abc import AsyncIterator
from typing import Unpack

from tidings.client.async_http import AsyncHttp
from tidings.client.exchange import WALKED, by_offset, part
from tidings.client.filters import Id, Paged
from tidings.client.inputs import MemberInput, MemberRoleInput
from tidings.client.member_models import Member, PortalSession

# The classes below have a method called `list`, which hides the type of that name.
_Members = list[Member]
_Sessions = list[PortalSession]


class AsyncMembers:
    """`client.members`: who may sign in to the portal by the provider, and what they are."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def invite(self, **said: Unpack[MemberInput]) -> Member:
        """Let somebody sign in, or give a member a role for more groups. Nothing is sent to them."""
        return await self._http.request("POST", "/api/v1/members", Member, body=said)

    async def list(self, **page: Unpack[Paged]) -> _Members:
        """List members, in order of their addresses."""
        return await self._http.request("GET", "/api/v1/members", _Members, query=page)

    def walk(self, **page: Unpack[Paged]) -> AsyncIterator[Member]:
        """Read every member, in order of their addresses."""
        return self._http.walk("/api/v1/members", _Members, {"limit": WALKED, **page}, by_offset)

    async def get(self, member_id: Id) -> Member:
        """Read a member."""
        return await self._http.request("GET", f"/api/v1/members/{part(member_id)}", Member)

    async def set_role(self, member_id: Id, **said: Unpack[MemberRoleInput]) -> Member:
        """Say what a member is in some groups, or in all; the role `none` takes away the one they have."""
        return await self._http.request("PATCH", f"/api/v1/members/{part(member_id)}", Member, body=said)

    async def remove(self, member_id: Id) -> None:
        """Remove a member, who is signed out everywhere."""
        await self._http.request("DELETE", f"/api/v1/members/{part(member_id)}", object)


class AsyncSessions:
    """`client.sessions`: browsers that are signed in to the portal, of all groups."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def list(self, **page: Unpack[Paged]) -> _Sessions:
        """List those who are signed in, newest first; customers, who come by portal links, are not among them."""
        return await self._http.request("GET", "/api/v1/sessions", _Sessions, query=page)

    def walk(self, **page: Unpack[Paged]) -> AsyncIterator[PortalSession]:
        """Read every session, newest first."""
        return self._http.walk("/api/v1/sessions", _Sessions, {"limit": WALKED, **page}, by_offset)

    async def end(self, session_id: Id) -> None:
        """End a session."""
        await self._http.request("DELETE", f"/api/v1/sessions/{part(session_id)}", object)
