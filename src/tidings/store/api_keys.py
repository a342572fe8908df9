"""Keys of the API, as rows. Of a key only its hash is kept."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.api_key import SETTINGS_KEY_ID, SETTINGS_KEY_NAME, ApiKey
from tidings.core.scopes import Scope, known_scopes
from tidings.store.database import Connection
from tidings.store.statements import load

MAX_KEYS: Final = 10_000  # of an installation, those included that are over and not forgotten
MAX_OF_GROUP: Final = 1_000  # of those: whoever makes keys of one group takes none from the others
KEPT_AFTERWARDS: Final = timedelta(days=30)  # once it is over, so that its holder is told why
USE_SECONDS: Final = 60  # between two notes that a key was used
MAX_ADDRESS: Final = 100

_SQL = load("api_keys")


class UsedKey(msgspec.Struct, frozen=True):
    """A key, and when it was last used: to within a minute, and from where. None: never."""

    key: ApiKey
    used_at: datetime | None
    address: str | None


class Use(msgspec.Struct, frozen=True):
    """That a key was used."""

    at: datetime
    address: str


class Asked(msgspec.Struct, frozen=True):
    """Which keys a list has.

    Attributes:
        group_id: Those of one group; None: all.
        expires_before: Only good ones that stop before this time.
        unused_since: Only good ones that were not used from this time on.
    """

    group_id: str | None = None
    expires_before: datetime | None = None
    unused_since: datetime | None = None


async def versions(connection: Connection) -> tuple[int, int]:
    """Return how often keys were changed, and how often limits of groups were: what is held in memory is believed by both."""
    row = await connection.fetchrow(_SQL["versions"])
    return row["version"], row["limits_version"]


async def find(connection: Connection, key_id: UUID) -> tuple[int, ApiKey | None]:
    """Return how often keys were changed, and one key as it was then."""
    row = await connection.fetchrow(_SQL["find"], key_id)
    return int(row["version"]), None if row["id"] is None else _key(row)


async def get(connection: Connection, key_id: UUID, group_id: str | None) -> ApiKey | None:
    """Return a key, locked until this transaction ends.

    Args:
        group_id: Only of this group; None: whichever.
    """
    row = await connection.fetchrow(_SQL["get"], key_id, group_id)
    return None if row is None else _key(row)


async def read(connection: Connection, key_id: UUID, group_id: str | None) -> UsedKey | None:
    """Return a key with its last use."""
    row = await connection.fetchrow(_SQL["read"], key_id, group_id)
    return None if row is None else UsedKey(_key(row), row["used_at"], row["address"])


async def list_keys(connection: Connection, asked: "Asked", now: datetime, *, limit: int, offset: int) -> list[UsedKey]:
    """Return a page of keys, newest first."""
    values = asked.group_id, asked.expires_before, asked.unused_since, now
    rows = await connection.fetch(_SQL["list"], *values, limit, offset)
    return [UsedKey(_key(row), row["used_at"], row["address"]) for row in rows]


async def add(connection: Connection, key: ApiKey) -> bool:
    """Write a new key; False when there are too many."""
    scopes = [scope.value for scope in key.scopes]
    values = key.id, key.name, key.group_id, scopes, key.token_hash, key.created_at, key.expires_at, MAX_KEYS, MAX_OF_GROUP
    return await connection.fetchval(_SQL["add"], *values) is not None


async def rename(connection: Connection, key_id: UUID, name: str) -> None:
    """Call a key otherwise."""
    await connection.execute(_SQL["rename"], key_id, name)


async def rotate(
    connection: Connection, key_id: UUID, token_hash: bytes, *, now: datetime, until: datetime, expires_at: datetime | None
) -> None:
    """Give a key another secret; the one before is good until then."""
    await connection.execute(_SQL["rotate"], key_id, token_hash, now, until, expires_at)


async def revoke(connection: Connection, key_id: UUID, now: datetime) -> None:
    """End a key."""
    await connection.execute(_SQL["revoke"], key_id, now)


async def put_settings_key(connection: Connection, token_hash: bytes) -> None:
    """Have the key of the settings be this one."""
    await connection.execute(_SQL["put"], SETTINGS_KEY_ID, SETTINGS_KEY_NAME, [Scope.ADMIN.value], token_hash)


async def note_uses(connection: Connection, uses: Sequence[tuple[UUID, Use]]) -> None:
    """Keep when keys were last used."""
    addresses = [use.address.replace("\0", "")[:MAX_ADDRESS] for _, use in uses]
    await connection.execute(
        _SQL["use"], [key_id for key_id, _ in uses], [use.at for _, use in uses], addresses, float(USE_SECONDS // 2)
    )


async def forget(connection: Connection, now: datetime) -> None:
    """Take away keys that have been over for long."""
    await connection.execute(_SQL["forget"], now - KEPT_AFTERWARDS)


def _key(row: Any) -> ApiKey:
    fields = {name: row[name] for name in ApiKey.__struct_fields__ if name != "scopes"}
    return ApiKey(**fields, scopes=known_scopes(row["scopes"]))
