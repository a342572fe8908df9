"""Browsers that are signed in to the portal, or came by a portal link, as rows. Of a token only its hash is kept."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from tidings.core.brand import Brand, check_brand, check_origins
from tidings.core.customers import Access
from tidings.core.errors import InvalidInputError
from tidings.core.roles import Held, Role, allowed, roles_with
from tidings.core.scopes import Scope, known_scopes
from tidings.store.database import Connection
from tidings.store.statements import load

MAX_SESSIONS = 100  # of an installation that keys began; a sign-in past it ends the oldest
MAX_OF_MEMBER = 20  # browsers of one member; another one ends the oldest
MAX_OF_LINK = 20  # browsers of one portal link; another one ends the oldest
LONGEST = timedelta(days=7)  # after that one signs in again, however busy
IDLE = timedelta(hours=24)  # without a request
SEEN_INTERVAL = timedelta(minutes=5)  # a session is marked as seen that often, not at each request
MAX_BROWSER = 200  # characters kept of what a browser says of itself
MAX_ADDRESS = 100

LINK_MAKERS: Final = [role.value for role in roles_with(Scope.WEBHOOKS_WRITE)]  # a link ends when its member has none of these

_SQL = load("sessions")


class Session(msgspec.Struct, frozen=True):
    """A browser that is signed in.

    Attributes:
        id: What it is called in lists; it opens nothing.
        group_id: The group whose pages it shows.
        browser: What the browser said of itself.
        seen_at: Its last request, to within `SEEN_INTERVAL`.
        link_id: The portal link that it was begun with; None: somebody signed in.
        brand: How that link's pages look.
        origins: The origins whose pages may frame them.
        access: What a link's holder may do; of others `scopes` says it.
        key_id: The key that it was begun with; a customer's has that of the settings, and nothing from it. None: a member's.
        member_id: The member who began it.
        scopes: What that key may do, or the member in the group that is shown.
        bound_to: The one group that this holds for; None: all.
        may_show: The groups that it may show; None: any.
    """

    id: UUID
    group_id: str
    browser: str
    address: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    link_id: UUID | None = None
    brand: Brand | None = None
    origins: tuple[str, ...] = ()
    access: Access = Access.FULL
    key_id: UUID | None = None
    key_name: str = ""
    member_id: UUID | None = None
    member_email: str = ""
    scopes: tuple[Scope, ...] = ()
    bound_to: str | None = None
    may_show: tuple[str, ...] | None = None

    @property
    def begun_by(self) -> str:
        """What the key is called, or the address of the member."""
        return self.member_email if self.member_id is not None else self.key_name

    @property
    def is_customer(self) -> bool:
        """Whether it was begun with a portal link, and shows that link's group alone."""
        return self.link_id is not None


def hash_token(token: str) -> bytes:
    """Return what is kept of a token. Tokens are long and random, so a plain hash cannot be searched back."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def begin(
    connection: Connection,
    token: str,
    *,
    group_id: str,
    browser: str,
    address: str,
    now: datetime,
    key_id: UUID | None = None,
    key_hash: str | None = None,
    member_id: UUID | None = None,
    link_id: UUID | None = None,
    ends_at: datetime | None = None,
) -> UUID:
    """Begin a session and return its id. When there are too many, the oldest end.

    Args:
        key_id, key_hash: The key that it is begun with, and its hash in hex: it ends when that opens nothing any more.
            None: as the key is now.
        member_id: The member who begins it instead.
        link_id: The portal link it is begun with; then it is a customer's.
        ends_at: When it ends at the latest; None: after `LONGEST`.
    """
    session_id = uuid4()
    if link_id is not None:
        await connection.execute(_SQL["keep_newest_of_link"], link_id, MAX_OF_LINK - 1)
    elif member_id is not None:
        await connection.execute(_SQL["keep_newest_of_member"], member_id, MAX_OF_MEMBER - 1)
    else:
        await connection.execute(_SQL["keep_newest"], MAX_SESSIONS - 1)
    await connection.execute(
        _SQL["add"],
        session_id,
        hash_token(token),
        key_hash,
        group_id,
        _storable(browser, MAX_BROWSER),
        _storable(address, MAX_ADDRESS),
        now,
        min(ends_at or now + LONGEST, now + LONGEST),
        link_id,
        key_id,
        member_id,
    )
    return session_id


async def find(connection: Connection, token: str, *, now: datetime) -> Session | None:
    """Return the session of a token, and mark it as seen; None when there is none, or its time is over, or that of what it was
    begun with.
    """
    row = await connection.fetchrow(_SQL["find"], hash_token(token), now, now - IDLE, LINK_MAKERS)
    session = None if row is None else _session(row)
    if session is None:
        return None
    if session.group_id != row["group_id"]:  # a role was taken away, or a group deleted
        await show_group(connection, session.id, session.group_id)
    if now - session.seen_at >= SEEN_INTERVAL:
        await connection.execute(_SQL["see"], session.id, now)
    brand = None if row["brand"] is None else read_brand(row["brand"])
    access = Access.FULL if row["access"] is None else Access(row["access"])
    origins = read_origins(row["origins"] or ())
    return msgspec.structs.replace(session, link_id=row["link_id"], brand=brand, access=access, origins=origins)


def _session(row: Any) -> Session | None:
    """Return a session of somebody who signed in; None when they may nothing any more."""
    fields = {name: row[name] for name in _COLUMNS}
    fields |= {name: row[name] or "" for name in ("key_name", "member_email")}
    if row["member_id"] is None:
        bound_to = row["bound_to"]
        may_show = None if bound_to is None else (bound_to,)
        return Session(**fields, scopes=known_scopes(row["scopes"]), bound_to=bound_to, may_show=may_show)
    may = allowed(known_roles(row["roles"], row["groups"]), row["group_id"])
    return None if may is None else Session(**fields | may._asdict())


_COLUMNS: Final = (
    "id", "group_id", "browser", "address", "created_at", "seen_at", "ends_at", "key_id", "member_id",
)  # fmt: skip


def known_roles(roles: Sequence[str], groups: Sequence[str | None]) -> tuple[Held, ...]:
    """Return roles that were kept. One of a newer release allows nothing in a process of this one."""
    known = {role.value for role in Role}
    return tuple(Held(Role(role), group_id) for role, group_id in zip(roles, groups, strict=True) if role in known)


async def show_group(connection: Connection, session_id: UUID, group_id: str) -> None:
    """Have a session show another group, which must exist."""
    await connection.execute(_SQL["show_group"], session_id, group_id)


class Whose(msgspec.Struct, frozen=True):
    """Which sessions: all; or those that one key or one member began."""

    key_id: UUID | None = None
    member_id: UUID | None = None


ANYBODY: Final = Whose()


async def list_sessions(
    connection: Connection, whose: Whose = ANYBODY, *, now: datetime, limit: int = MAX_SESSIONS, offset: int = 0
) -> list[Session]:
    """Return a page of the sessions of those who signed in, whose time is not over, newest first."""
    values = limit, now, now - IDLE, LINK_MAKERS, offset, whose.key_id, whose.member_id
    return [session for row in await connection.fetch(_SQL["list"], *values) if (session := _session(row)) is not None]


class Ended(msgspec.Struct, frozen=True):
    """A session that was ended."""

    id: UUID
    browser: str
    group_id: str
    link_id: UUID | None
    key_id: UUID | None
    key_name: str | None
    member_id: UUID | None
    member_email: str | None


async def end(connection: Connection, session_id: UUID, whose: Whose) -> Ended | None:
    """End a session, and return what it was; None when there was none of theirs."""
    row = await connection.fetchrow(_SQL["end"], session_id, whose.key_id, whose.member_id)
    return None if row is None else Ended(**row)


async def end_token(connection: Connection, token: str) -> Ended | None:
    """End the session of a token, and return what it was; None when there was none."""
    row = await connection.fetchrow(_SQL["end_token"], hash_token(token))
    return None if row is None else Ended(**row)


async def end_others(connection: Connection, session_id: UUID | None, whose: Whose) -> list[Ended]:
    """End all of their sessions but one, and return them: they are bounded. Customers' go on: they end with their links."""
    return [Ended(**row) for row in await connection.fetch(_SQL["end_others"], session_id, whose.key_id, whose.member_id)]


async def forget(connection: Connection, now: datetime) -> None:
    """Take away what is over."""
    await connection.execute(_SQL["forget"], now, now - IDLE)


def read_brand(text: str) -> Brand:
    """Return how the pages of a link look; as ours do, where that cannot be read."""
    try:
        brand = msgspec.json.decode(text, type=Brand)
        check_brand(brand)
    except (msgspec.MsgspecError, InvalidInputError, ValueError, RecursionError):
        return Brand()
    return brand


def read_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """Return the origins that may frame the pages of a link; none, where one of them is no origin: they stand in a header."""
    try:
        return check_origins(origins)
    except InvalidInputError:
        return ()


def _storable(text: str, limit: int) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:limit]
