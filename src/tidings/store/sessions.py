"""Browsers that are signed in to the portal, or came by a portal link, as rows. Of a token only its hash is kept."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from tidings.core.api_key import SETTINGS_KEY_ID
from tidings.core.brand import Brand, check_brand, check_origins
from tidings.core.customers import Access
from tidings.core.errors import InvalidInputError
from tidings.core.scopes import Scope, granted, known_scopes
from tidings.store.database import Connection
from tidings.store.statements import load

MAX_SESSIONS = 100  # of an installation; a sign-in past it ends the oldest
MAX_OF_LINK = 20  # browsers of one portal link; another one ends the oldest
LONGEST = timedelta(days=7)  # after that one signs in again, however busy
IDLE = timedelta(hours=24)  # without a request
SEEN_INTERVAL = timedelta(minutes=5)  # a session is marked as seen that often, not at each request
MAX_BROWSER = 200  # characters kept of what a browser says of itself
MAX_ADDRESS = 100

_SQL = load("sessions")


class Session(msgspec.Struct, frozen=True):
    """A browser that is signed in.

    Attributes:
        id: What it is called in lists; it opens nothing.
        group_id: The group whose pages it shows.
        browser: What the browser said of itself.
        seen_at: Its last request, to within `SEEN_INTERVAL`.
        link_id: The portal link that it was begun with; None: somebody signed in who knows the key.
        brand: How that link's pages look.
        origins: The origins whose pages may frame them.
        access: What a link's holder may do; of others `scopes` says it.
        key_id: The key that it was begun with; a customer's has that of the settings, and nothing from it.
        scopes: What that key may do.
        bound_to: The one group that the key is for; None: all.
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
    key_id: UUID = SETTINGS_KEY_ID
    key_name: str = ""
    scopes: tuple[Scope, ...] = ()
    bound_to: str | None = None

    @property
    def is_customer(self) -> bool:
        """Whether it was begun with a portal link, and shows that link's group alone."""
        return self.link_id is not None

    @property
    def may_manage(self) -> bool:
        """Whether it changes webhooks or sends again: what it may not is refused anyway, and only not shown by this."""
        allowed = granted(self.scopes)
        return self.access.may_manage if self.is_customer else bool(allowed & {Scope.WEBHOOKS_WRITE, Scope.DELIVERIES_RETRY})


def hash_token(token: str) -> bytes:
    """Return what is kept of a token. Tokens are long and random, so a plain hash cannot be searched back."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def begin(
    connection: Connection,
    token: str,
    *,
    key_id: UUID,
    key_hash: str | None,
    group_id: str,
    browser: str,
    address: str,
    now: datetime,
    link_id: UUID | None = None,
    ends_at: datetime | None = None,
) -> UUID:
    """Begin a session and return its id. When there are too many, the oldest end.

    Args:
        key_id, key_hash: The key that it is begun with, and its hash in hex: it ends when that opens nothing any more.
            None: as the key is now.
        link_id: The portal link it is begun with; then it is a customer's.
        ends_at: When it ends at the latest; None: after `LONGEST`.
    """
    session_id = uuid4()
    if link_id is None:
        await connection.execute(_SQL["keep_newest"], MAX_SESSIONS - 1)
    else:
        await connection.execute(_SQL["keep_newest_of_link"], link_id, MAX_OF_LINK - 1)
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
    )
    return session_id


async def find(connection: Connection, token: str, *, now: datetime) -> Session | None:
    """Return the session of a token, and mark it as seen; None when there is none, or its time or its key's is over."""
    row = await connection.fetchrow(_SQL["find"], hash_token(token), now, now - IDLE)
    if row is None:
        return None
    if now - row["seen_at"] >= SEEN_INTERVAL:
        await connection.execute(_SQL["see"], row["id"], now)
    brand = None if row["brand"] is None else read_brand(row["brand"])
    access = Access.FULL if row["access"] is None else Access(row["access"])
    read = {"origins": read_origins(row["origins"] or ()), "scopes": known_scopes(row["scopes"])}
    return Session(**{**row, **read, "brand": brand, "access": access})


async def show_group(connection: Connection, session_id: UUID, group_id: str) -> None:
    """Have a session show another group, which must exist."""
    await connection.execute(_SQL["show_group"], session_id, group_id)


async def list_sessions(connection: Connection, *, now: datetime) -> list[Session]:
    """Return the sessions of those who signed in, whose time is not over, newest first."""
    rows = await connection.fetch(_SQL["list"], MAX_SESSIONS, now, now - IDLE)
    return [Session(**dict(row) | {"scopes": known_scopes(row["scopes"])}) for row in rows]


class Ended(msgspec.Struct, frozen=True):
    """A session that was ended."""

    id: UUID
    browser: str
    group_id: str
    link_id: UUID | None
    key_id: UUID
    key_name: str


async def end(connection: Connection, session_id: UUID) -> Ended | None:
    """End a session, and return what it was; None when there was none."""
    row = await connection.fetchrow(_SQL["end"], session_id)
    return None if row is None else Ended(**row)


async def end_token(connection: Connection, token: str) -> Ended | None:
    """End the session of a token, and return what it was; None when there was none."""
    row = await connection.fetchrow(_SQL["end_token"], hash_token(token))
    return None if row is None else Ended(**row)


async def end_others(connection: Connection, session_id: UUID) -> list[Ended]:
    """End all sessions but one, and return them: at most `MAX_SESSIONS`. Customers' go on: they end with their links."""
    return [Ended(**row) for row in await connection.fetch(_SQL["end_others"], session_id)]


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
