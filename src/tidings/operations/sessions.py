"""Browsers that are signed in to the portal: by a key, for a while, each showing one group."""

from uuid import UUID

import msgspec

from tidings.core.api_key import SETTINGS_KEY_ID, ApiKey, check_group
from tidings.core.audit import Action, Actor, Who
from tidings.core.errors import NotFoundError
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.store import groups, portal_links, sessions
from tidings.store.database import Connection
from tidings.store.sessions import Ended, Session


async def begin(services: Services, token: str, key: ApiKey, digest: bytes, *, before: str, browser: str, address: str) -> None:
    """Begin a session for a new token. The one of the token before ends: a new key to the door at each sign-in.

    Args:
        key: The key that somebody signs in with, and the hash of what they typed: it may be the one before the last rotation.
        before: The browser's token so far; empty when it had none.
        browser: What the browser says of itself.
    """
    async with services.wide.transaction() as connection:
        if before:
            await _ended(services, connection, await sessions.end_token(connection, before), address)
        session_id = await sessions.begin(
            connection,
            token,
            key_id=key.id,
            key_hash=digest.hex(),
            group_id=key.group_id or services.group_id,
            browser=browser,
            address=address,
            now=services.clock.now(),
        )
        by = Actor(Who.SESSION, session_id, address, key.id, key.name)
        await audit.note(services, connection, Action.SESSION_BEGAN, session_id, browser, by=by, is_of_group=False)


async def begin_with_link(
    services: Services, link_token: str, token: str, *, before: str, browser: str, address: str
) -> Session | None:
    """Begin a customer's session for a new token, and return it; None when there is no such link or its time is over.

    Args:
        before: The browser's token of a link so far; empty when it had none.
    """
    now = services.clock.now()
    async with services.wide.transaction() as connection:
        link = await portal_links.find(connection, link_token, now)
        if link is None:
            return None
        acting = msgspec.structs.replace(services, group_id=link.group_id)
        if before:
            await _ended(services, connection, await sessions.end_token(connection, before), address)
        session_id = await sessions.begin(
            connection,
            token,
            key_id=SETTINGS_KEY_ID,
            key_hash=None,
            group_id=link.group_id,
            browser=browser,
            address=address,
            now=now,
            link_id=link.id,
            ends_at=link.ends_at,
        )
        by = Actor(Who.LINK, link.id, address)
        await audit.note(acting, connection, Action.SESSION_BEGAN, session_id, browser, by=by)
        return await sessions.find(connection, token, now=now)


async def find(services: Services, token: str, group_id: str | None = None) -> Session | None:
    """Return the session of a token, and mark it as seen; None when there is none or its time is over.

    Args:
        group_id: The group that it is to show from now on; None: as before. A customer's shows its link's, whatever is asked.

    Raises:
        ForbiddenError: The key of the session is for another group.
        NotFoundError: There is no such group.
    """
    async with services.wide.connection() as connection:
        session = await sessions.find(connection, token, now=services.clock.now())
        if session is None or group_id is None or group_id == session.group_id or session.is_customer:
            return session
        check_group(session.bound_to, group_id)
        if await groups.get(connection, group_id) is None:
            raise NotFoundError(f"There is no group {group_id!r}. Choose another one at the top of the page.")
        await sessions.show_group(connection, session.id, group_id)
        return msgspec.structs.replace(session, group_id=group_id)


async def list_sessions(services: Services) -> list[Session]:
    """Return the sessions whose time is not over, newest first."""
    async with services.wide.connection() as connection:
        return await sessions.list_sessions(connection, now=services.clock.now())


async def end(services: Services, session_id: UUID) -> bool:
    """End a session, and return whether there was one."""
    async with services.wide.transaction() as connection:
        ended = await sessions.end(connection, session_id)
        await _ended(services, connection, ended)
        return ended is not None


async def end_others(services: Services, session_id: UUID) -> None:
    """End all sessions but one."""
    async with services.wide.transaction() as connection:
        for one in await sessions.end_others(connection, session_id):
            await _ended(services, connection, one)


async def end_token(services: Services, token: str, *, address: str) -> None:
    """End the session of a token, if there is one: its own browser asks."""
    async with services.wide.transaction() as connection:
        await _ended(services, connection, await sessions.end_token(connection, token), address)


async def _ended(services: Services, connection: Connection, ended: Ended | None, own: str | None = None) -> None:
    """Put on record that a session was ended.

    Args:
        own: The address of its own browser, which ended it; None: whoever the services act for did.
    """
    if ended is None:
        return
    if ended.link_id is None:
        by = Actor(Who.SESSION, ended.id, own or "", ended.key_id, ended.key_name)
    else:
        by = Actor(Who.LINK, ended.link_id, own or "")
    await audit.note(
        msgspec.structs.replace(services, group_id=ended.group_id),
        connection,
        Action.SESSION_ENDED,
        ended.id,
        ended.browser,
        by=None if own is None else by,
        is_of_group=ended.link_id is not None,
    )
