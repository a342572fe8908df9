"""Browsers that are signed in to the portal: by a key or by the provider, for a while, each showing one group."""

from uuid import UUID

import msgspec

from tidings.core.api_key import SETTINGS_KEY_ID, ApiKey
from tidings.core.audit import Action, Actor, Who
from tidings.core.errors import NotFoundError
from tidings.core.roles import allowed, check_shown
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.store import groups, portal_links, sessions
from tidings.store.database import Connection
from tidings.store.members import Member
from tidings.store.sessions import ANYBODY, Ended, Session, Whose


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


async def begin_as_member(
    services: Services, connection: Connection, token: str, member: Member, *, before: str, browser: str, address: str
) -> Session | None:
    """Begin a member's session for a new token, in a transaction that is open, and return it; None: they have no role.

    Args:
        before: The browser's token so far; empty when it had none.
    """
    may = allowed(member.held, services.group_id)
    if may is None:
        return None
    if before:
        await _ended(services, connection, await sessions.end_token(connection, before), address)
    now = services.clock.now()
    session_id = await sessions.begin(
        connection, token, member_id=member.id, group_id=may.group_id, browser=browser, address=address, now=now
    )
    by = Actor(Who.MEMBER, member.id, address, key_name=member.email)
    await audit.note(services, connection, Action.SESSION_BEGAN, session_id, browser, by=by, is_of_group=False)
    return await sessions.find(connection, token, now=now)


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
        ForbiddenError: The key of the session is for another group, or the member has no role in it.
        NotFoundError: There is no such group.
    """
    async with services.wide.connection() as connection:
        session = await sessions.find(connection, token, now=services.clock.now())
        if session is None or group_id is None or group_id == session.group_id or session.is_customer:
            return session
        check_shown(session.may_show, group_id)
        if await groups.get(connection, group_id) is None:
            raise NotFoundError(f"There is no group {group_id!r}. Choose another one at the top of the page.")
        await sessions.show_group(connection, session.id, group_id)
        # Who has several roles may something else there.
        return await sessions.find(connection, token, now=services.clock.now())


def own(session: Session) -> Whose:
    """Return whose sessions are somebody's own: begun with the same key, or by the same member."""
    return Whose(session.key_id, session.member_id)


async def list_sessions(services: Services, whose: Whose = ANYBODY, *, limit: int, offset: int = 0) -> list[Session]:
    """Return a page of the sessions of those who signed in, whose time is not over, newest first.

    Args:
        whose: Only those of one key or one member.
    """
    async with services.wide.connection() as connection:
        return await sessions.list_sessions(connection, whose, now=services.clock.now(), limit=limit, offset=offset)


async def end(services: Services, session_id: UUID, whose: Whose = ANYBODY) -> bool:
    """End a session, and return whether there was one of theirs."""
    async with services.wide.transaction() as connection:
        ended = await sessions.end(connection, session_id, whose)
        await _ended(services, connection, ended)
        return ended is not None


async def end_others(services: Services, session_id: UUID | None, whose: Whose = ANYBODY) -> int:
    """End all of their sessions but one, and return how many those were; customers' sessions go on."""
    async with services.wide.transaction() as connection:
        ended = await sessions.end_others(connection, session_id, whose)
        for one in ended:
            await _ended(services, connection, one)
        return len(ended)


async def end_all_of_member(services: Services, connection: Connection, member_id: UUID) -> None:
    """End a member's sessions, in a transaction that is open: some of what they may is taken away."""
    for one in await sessions.end_others(connection, None, Whose(member_id=member_id)):
        await _ended(services, connection, one)


async def end_token(services: Services, token: str, *, address: str) -> None:
    """End the session of a token, if there is one: its own browser asks."""
    async with services.wide.transaction() as connection:
        await _ended(services, connection, await sessions.end_token(connection, token), address)


async def _ended(services: Services, connection: Connection, ended: Ended | None, its_own: str | None = None) -> None:
    """Put on record that a session was ended.

    Args:
        its_own: The address of its own browser, which ended it; None: whoever the services act for did.
    """
    if ended is None:
        return
    if ended.link_id is not None:
        by = Actor(Who.LINK, ended.link_id, its_own or "")
    elif ended.member_id is not None:
        by = Actor(Who.MEMBER, ended.member_id, its_own or "", key_name=ended.member_email or "")
    else:
        by = Actor(Who.SESSION, ended.id, its_own or "", ended.key_id, ended.key_name or "")
    await audit.note(
        msgspec.structs.replace(services, group_id=ended.group_id),
        connection,
        Action.SESSION_ENDED,
        ended.id,
        ended.browser,
        by=None if its_own is None else by,
        is_of_group=ended.link_id is not None,
    )
