"""Browsers that are signed in to the portal: by the admin key, for a while, each showing one group."""

from uuid import UUID

import msgspec

from tidings.core.errors import NotFoundError
from tidings.operations.services import Services
from tidings.store import groups, portal_links, sessions
from tidings.store.sessions import Session


async def begin(services: Services, token: str, *, before: str, browser: str, address: str) -> None:
    """Begin a session for a new token. The one of the token before ends: a new key to the door at each sign-in.

    Args:
        before: The browser's token so far; empty when it had none.
        browser: What the browser says of itself.
    """
    async with services.database.transaction() as connection:
        if before:
            await sessions.end_token(connection, before)
        await sessions.begin(
            connection,
            token,
            key_hash=services.installation.admin_key_hash,
            group_id=services.group_id,
            browser=browser,
            address=address,
            now=services.clock.now(),
        )


async def begin_with_link(
    services: Services, link_token: str, token: str, *, before: str, browser: str, address: str
) -> Session | None:
    """Begin a customer's session for a new token, and return it; None when there is no such link or its time is over.

    Args:
        before: The browser's token of a link so far; empty when it had none.
    """
    now, key_hash = services.clock.now(), services.installation.admin_key_hash
    async with services.database.transaction() as connection:
        link = await portal_links.find(connection, link_token, now)
        if link is None:
            return None
        if before:
            await sessions.end_token(connection, before)
        await sessions.begin(
            connection,
            token,
            key_hash=key_hash,
            group_id=link.group_id,
            browser=browser,
            address=address,
            now=now,
            link_id=link.id,
            ends_at=link.ends_at,
        )
        return await sessions.find(connection, token, key_hash=key_hash, now=now)


async def find(services: Services, token: str, group_id: str | None = None) -> Session | None:
    """Return the session of a token, and mark it as seen; None when there is none or its time is over.

    Args:
        group_id: The group that it is to show from now on; None: as before. A customer's shows its link's, whatever is asked.

    Raises:
        NotFoundError: There is no such group.
    """
    async with services.database.connection() as connection:
        key_hash = services.installation.admin_key_hash
        session = await sessions.find(connection, token, key_hash=key_hash, now=services.clock.now())
        if session is None or group_id is None or group_id == session.group_id or session.is_customer:
            return session
        if await groups.get(connection, group_id) is None:
            raise NotFoundError(f"There is no group {group_id!r}. Choose another one at the top of the page.")
        await sessions.show_group(connection, session.id, group_id)
        return msgspec.structs.replace(session, group_id=group_id)


async def list_sessions(services: Services) -> list[Session]:
    """Return the sessions whose time is not over, newest first."""
    async with services.database.connection() as connection:
        return await sessions.list_sessions(connection, key_hash=services.installation.admin_key_hash, now=services.clock.now())


async def end(services: Services, session_id: UUID) -> bool:
    """End a session, and return whether there was one."""
    async with services.database.connection() as connection:
        return await sessions.end(connection, session_id)


async def end_others(services: Services, session_id: UUID) -> None:
    """End all sessions but one."""
    async with services.database.connection() as connection:
        await sessions.end_others(connection, session_id)


async def end_token(services: Services, token: str) -> None:
    """End the session of a token, if there is one."""
    async with services.database.connection() as connection:
        await sessions.end_token(connection, token)
