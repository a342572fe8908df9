"""Keys of the API: make them, see when they were used, rotate and revoke them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from tidings.core.api_key import ApiKey, check_group, check_name, hash_of, write_key
from tidings.core.audit import Action
from tidings.core.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from tidings.core.scopes import parse_scopes
from tidings.operations import audit
from tidings.operations.lookups import there
from tidings.operations.services import Services
from tidings.store import api_keys, groups
from tidings.store.api_keys import MAX_KEYS, MAX_OF_GROUP, UsedKey
from tidings.store.database import Connection

SHORTEST_SECONDS: Final = 60
LONGEST_SECONDS: Final = 10 * 366 * 86_400
DEFAULT_OVERLAP_SECONDS: Final = 86_400
LONGEST_OVERLAP_SECONDS: Final = 30 * 86_400

OF_SETTINGS: Final = (
    "This is the admin key of the settings. To change it, set TIDINGS_ADMIN_KEY to another and start every process again; for "
    "daily work make keys with fewer scopes."
)


class NewKey(msgspec.Struct, frozen=True):
    """A key that was made or rotated just now. `text` is kept nowhere: it is shown this once."""

    key: ApiKey
    text: str


async def create(
    services: Services,
    secret: bytes,
    *,
    name: str,
    scopes: Sequence[str],
    group_id: str | None = None,
    expires_in: int | None = None,
) -> NewKey:
    """Make a key.

    Args:
        secret: `core.api_key.SECRET_BYTES` of chance.
        group_id: The one group that it is for; None: all. Whoever may act for one group alone makes keys for that.
        expires_in: Seconds from now; None: it does not expire.

    Raises:
        ConflictError: There are too many.
        ForbiddenError: It would allow more than whoever asks may.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such group.
    """
    if group_id is None and services.bound_to is not None:
        raise ForbiddenError("This key is for one group, so it makes no key for all of them. Name its group as bound_to.")
    if group_id is not None:
        check_group(services.bound_to, group_id)
    now, key_id = services.clock.now(), uuid4()
    text = write_key(key_id, secret)
    key = ApiKey(
        key_id, check_name(name), group_id, parse_scopes(scopes), hash_of(text), now, expires_at=_expiry(expires_in, now)
    )
    async with services.wide.transaction() as connection:
        if group_id is not None and await groups.get(connection, group_id) is None:
            raise NotFoundError(f"There is no group {group_id!r}. Make the group first.")
        if not await api_keys.add(connection, key):
            raise ConflictError(
                f"There are {MAX_KEYS:,} keys, or {MAX_OF_GROUP:,} of this group. Revoke those that are not used; they are "
                "forgotten after 30 days."
            )
        await _noted(services, connection, Action.API_KEY_MADE, key, after=_told(key))
    return NewKey(key, text)


async def list_keys(
    services: Services,
    *,
    limit: int,
    offset: int = 0,
    expires_before: datetime | None = None,
    unused_since: datetime | None = None,
) -> list[UsedKey]:
    """Return a page of keys, newest first: all, or those of the one group that whoever asks may act for.

    Args:
        expires_before: Only those that open something still, and stop doing so before this time.
        unused_since: Only those that open something still, and were not used from this time on.

    Raises:
        InvalidInputError: A time has no zone.
    """
    for name, at in (("expires_before", expires_before), ("unused_since", unused_since)):
        if at is not None and at.tzinfo is None:
            raise InvalidInputError(name, f"{name} has no zone; write a time such as 2026-12-24T18:00:00Z.")
    asked = api_keys.Asked(services.bound_to, expires_before, unused_since)
    async with services.wide.connection() as connection:
        return await api_keys.list_keys(connection, asked, services.clock.now(), limit=limit, offset=offset)


async def read(services: Services, key_id: UUID) -> UsedKey:
    """Return a key.

    Raises:
        NotFoundError: There is none.
    """
    async with services.wide.connection() as connection:
        return there(await api_keys.read(connection, key_id, services.bound_to), f"There is no key {key_id}.")


async def read_own(services: Services, key: ApiKey) -> UsedKey:
    """Return the key that a call is made with, and its last use that is written down. Whoever has it may know."""
    async with services.wide.connection() as connection:
        found = await api_keys.read(connection, key.id, key.group_id)
    return UsedKey(key, None, None) if found is None else msgspec.structs.replace(found, key=key)


async def rename(services: Services, key_id: UUID, name: str) -> UsedKey:
    """Call a key otherwise. What it opens stays as it is, and what is on record keeps the name of then.

    Raises:
        ConflictError: It is that of the settings, or was revoked.
        InvalidInputError: It cannot be called so.
        NotFoundError: There is none.
    """
    name = check_name(name)
    async with services.wide.transaction() as connection:
        key = await _changeable(services, connection, key_id)
        if key.name != name:
            await api_keys.rename(connection, key_id, name)
            named = msgspec.structs.replace(key, name=name)
            await _noted(services, connection, Action.API_KEY_CHANGED, named, before=_told(key), after=_told(named))
        used = there(await api_keys.read(connection, key_id, services.bound_to), f"There is no key {key_id}.")
    services.admission.changed()
    return used


async def rotate(
    services: Services,
    key_id: UUID,
    secret: bytes,
    *,
    overlap_seconds: int = DEFAULT_OVERLAP_SECONDS,
    expires_in: int | None = None,
) -> NewKey:
    """Give a key another secret. The present one is good beside it until the overlap is over; one before that ends now.

    Args:
        expires_in: Seconds from now; None: it expires as it did.

    Raises:
        ConflictError: It is that of the settings, or was revoked, or has expired and is to stay so.
        InvalidInputError: The overlap or the expiry is out of bounds.
        NotFoundError: There is none.
    """
    if not 0 <= overlap_seconds <= LONGEST_OVERLAP_SECONDS:
        raise InvalidInputError("overlap_seconds", f"overlap_seconds is 0 to {LONGEST_OVERLAP_SECONDS} (30 days).")
    now, text = services.clock.now(), write_key(key_id, secret)
    until = now + timedelta(seconds=overlap_seconds)
    async with services.wide.transaction() as connection:
        key = await _changeable(services, connection, key_id)
        expires_at = key.expires_at if expires_in is None else _expiry(expires_in, now)
        if expires_at is not None and expires_at <= now:
            raise ConflictError("This key has expired. Say in expires_in how long it is to be good from now on.")
        await api_keys.rotate(connection, key_id, hash_of(text), now=now, until=until, expires_at=expires_at)
        after = msgspec.structs.replace(key, previous_until=until, expires_at=expires_at)
        await _noted(services, connection, Action.API_KEY_ROTATED, key, before=_told(key), after=_told(after))
    services.admission.changed()
    rotated = msgspec.structs.replace(
        key, token_hash=hash_of(text), previous_hash=key.token_hash, previous_until=until, rotated_at=now, expires_at=expires_at
    )
    return NewKey(rotated, text)


async def revoke(services: Services, key_id: UUID) -> None:
    """End a key, and the sessions that were begun with it. Within a second it opens nothing any more, in any process.

    Raises:
        ConflictError: It is that of the settings, or was revoked.
        NotFoundError: There is none.
    """
    async with services.wide.transaction() as connection:
        key = await _changeable(services, connection, key_id)
        await api_keys.revoke(connection, key_id, services.clock.now())
        await _noted(services, connection, Action.API_KEY_REVOKED, key, before=_told(key))
    services.admission.changed()


async def _changeable(services: Services, connection: Connection, key_id: UUID) -> ApiKey:
    key: ApiKey = there(await api_keys.get(connection, key_id, services.bound_to), f"There is no key {key_id}.")
    if key.is_of_settings:
        raise ConflictError(OF_SETTINGS)
    if key.revoked_at is not None:
        raise ConflictError("This key was revoked. Make another.")
    return key


async def _noted(services: Services, connection: Connection, action: Action, key: ApiKey, **states: Any) -> None:
    acting = services if key.group_id is None else msgspec.structs.replace(services, group_id=key.group_id)
    await audit.note(acting, connection, action, key.id, key.name, is_of_group=key.group_id is not None, **states)


def _told(key: ApiKey) -> dict[str, Any]:
    """Return a key for the audit."""
    names = ("name", "scopes", "previous_until", "expires_at")
    return {name: getattr(key, name) for name in names} | {"bound_to": key.group_id}


def _expiry(expires_in: int | None, now: datetime) -> datetime | None:
    if expires_in is None:
        return None
    if not SHORTEST_SECONDS <= expires_in <= LONGEST_SECONDS:
        raise InvalidInputError(
            "expires_in",
            f"expires_in is {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds; leave it out for a key that does not expire.",
        )
    return now + timedelta(seconds=expires_in)
