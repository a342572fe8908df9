"""Integrations: systems that send notices to Tidings, and the objects that they told of."""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import UNSET, UnsetType

from tidings.core.audit import Action
from tidings.core.errors import (
    BodyTooLargeError,
    ConflictError,
    InvalidInputError,
    LimitReachedError,
    NotFoundError,
    TidingsError,
    UnauthorizedError,
    UnavailableError,
)
from tidings.core.notice import PLATFORMS, ObjectNews
from tidings.core.signature import check_text_secret, new_secret, new_text_secret, secret_key
from tidings.core.webhook import SIGNATURE_FORMATS
from tidings.operations import audit
from tidings.operations.services import Services
from tidings.sources import integrations
from tidings.store import integrations as stored
from tidings.store.database import Connection
from tidings.store.integrations import Integration, Refusals, Settings

MAX_SYNCED = 10_000
MAX_NOTICES = 50  # of the last ones, that are shown

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class IntegrationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of an integration. To create: `name` and `platform` at least. To change: only what changes."""

    name: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET
    secret: str | None | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class SyncedObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object as it is in the other system. `version` grows; without it the state given now is the newest."""

    type: str
    id: str
    data: msgspec.Raw
    version: float | None = None


class KnownObject(msgspec.Struct, frozen=True):
    """An object as an integration told it last. `data` is JSON text."""

    type: str
    id: str
    version: float
    data: str
    updated_at: datetime


class KnownNotice(msgspec.Struct, frozen=True):
    """A notice that was taken in. `type`: what its sender calls it."""

    id: str
    type: str | None
    received_at: datetime


class Traffic(msgspec.Struct, frozen=True):
    """What came to an integration of late.

    Attributes:
        notices: The last ones that were taken in, newest first.
        refusals: How many were not, by reason, since it was made.
    """

    integration: Integration
    notices: list[KnownNotice]
    refusals: list[Refusals]


class SyncResult(msgspec.Struct, frozen=True):
    """How many objects were new, changed, gone, and as before."""

    created: int
    updated: int
    deleted: int
    unchanged: int


async def create(services: Services, asked: IntegrationChange) -> Integration:
    """Create an integration, with a secret that is made here unless the other system makes it.

    Raises:
        ConflictError: There is one of that name.
        InvalidInputError: With the field and the reason.
    """
    name, platform = asked.name, asked.platform
    if name is UNSET or not _NAME.fullmatch(name):
        raise InvalidInputError("name", "name must be 1 to 63 letters, digits, _ and -; it is part of a URL.")
    if platform is UNSET or platform not in PLATFORMS:
        raise InvalidInputError("platform", f"platform must be one of {', '.join(PLATFORMS)}.")
    now = services.clock.now()
    integration = Integration(
        id=uuid4(),
        group_id=services.group_id,
        name=name,
        platform=platform,
        secret=_secret(platform, None if asked.secret is UNSET else asked.secret),
        settings=_settings(platform, {} if asked.settings is UNSET else asked.settings),
        enabled=True,
        created_at=now,
        updated_at=now,
    )
    async with services.database.transaction() as connection:
        await stored.insert(connection, services.box, integration)
        await integrations.tell_change(connection, integration, "connected", now)
        await audit.note(services, connection, Action.INTEGRATION_CREATED, integration.id, name, after=integration)
    return integration


async def list_integrations(services: Services, *, limit: int, offset: int = 0) -> list[Integration]:
    """Return a page of integrations, in order of their names."""
    async with services.database.connection() as connection:
        return await stored.list_integrations(connection, services.box, services.group_id, limit=limit, offset=offset)


async def read(services: Services, name: str) -> Integration:
    """Return an integration.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.connection() as connection:
        return await _found(services, connection, name)


async def change(services: Services, name: str, asked: IntegrationChange) -> Integration:
    """Change the secret or the settings, connect or disconnect. While it is disconnected its notices are refused.

    Raises:
        ConflictError: Something of it cannot be read, and is not written anew.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is none.
    """
    now = services.clock.now()
    async with services.database.transaction() as connection:
        before = await _found(services, connection, name)
        for field in ("name", "platform"):
            if getattr(asked, field) not in {UNSET, getattr(before, field)}:
                raise InvalidInputError(field, f"{field} cannot be changed; create another integration.")
        given = {
            "secret": UNSET if asked.secret in {UNSET, None} else _secret(before.platform, str(asked.secret)),
            "settings": UNSET if asked.settings is UNSET else _settings(before.platform, asked.settings),
            "enabled": asked.enabled,
        }
        known = {n: v for n, v in given.items() if v is not UNSET}
        problems = {field: why for field, why in before.problems.items() if field not in known}
        after = msgspec.structs.replace(before, updated_at=now, problems=problems, **known)
        if after.fault is not None:  # what cannot be read is not written over by anything else
            raise ConflictError(after.fault)
        if msgspec.structs.replace(after, updated_at=before.updated_at) == before:
            return before  # what says what it says already is no change
        await stored.update(connection, services.box, after)
        switched = "connected" if after.enabled else "disconnected"
        action = "updated" if before.enabled == after.enabled else switched
        await integrations.tell_change(connection, after, action, now)
        await audit.note(services, connection, Action.INTEGRATION_CHANGED, after.id, name, before=before, after=after)
    return after


async def remove(services: Services, name: str) -> None:
    """Delete an integration, with what is known of its objects. Events that were made stay.

    Raises:
        NotFoundError: There is none.
    """
    async with services.database.transaction() as connection:
        gone = await _found(services, connection, name)
        await stored.delete(connection, gone.id)
        off = msgspec.structs.replace(gone, enabled=False)
        await integrations.tell_change(connection, off, "disconnected", services.clock.now())
        await audit.note(services, connection, Action.INTEGRATION_DELETED, gone.id, name, before=gone)


async def list_objects(
    services: Services, name: str, *, type_: str | None = None, limit: int, offset: int = 0
) -> list[KnownObject]:
    """Return a page of an integration's objects, as they were told last.

    Raises:
        NotFoundError: There is no such integration.
    """
    async with services.database.connection() as connection:
        integration = await _found(services, connection, name)
        rows = await stored.list_objects(connection, integration.id, type_=type_, limit=limit, offset=offset)
    return [KnownObject(row["object_type"], row["object_id"], row["version"], row["data"], row["updated_at"]) for row in rows]


async def sync(services: Services, name: str, objects: Sequence[SyncedObject], *, is_complete: bool) -> SyncResult:
    """Bring an integration's objects up to date with those of the other system: each that differs is an event.

    Args:
        is_complete: There are no others of their types.

    Raises:
        InvalidInputError: They are too many, or one cannot be kept.
        LimitReachedError: The group publishes too much: what is new of them are its events, and nothing else counts.
        NotFoundError: There is no such integration.
        PayloadTooLargeError: What is new is more than the group may ever publish at once, or one is too large for it.
    """
    if len(objects) > MAX_SYNCED:
        raise InvalidInputError("objects", f"objects has {len(objects)} entries; write at most {MAX_SYNCED} at once.")
    now = services.clock.now()
    news = [
        ObjectNews(one.type, one.id, now.timestamp() if one.version is None else one.version, bytes(one.data).decode())
        for one in objects
    ]
    bad = next((n for n, one in enumerate(news) if "\x00" in one.type + one.id or not one.type or not one.id), None)
    if bad is not None:
        raise InvalidInputError(f"objects[{bad}]", f"objects[{bad}] must have a type and an id without U+0000.")
    async with services.database.transaction() as connection:
        integration = await _found(services, connection, name)
        counts, told = await integrations.sync(connection, integration, news, now, is_complete=is_complete)
        # Which objects are events is known only now; where they are too many, all of it is taken back.
        await services.allowance.check(services.group_id, told)
    return SyncResult(**counts)


_REFUSALS = (
    NotFoundError, UnauthorizedError, InvalidInputError, UnavailableError, BodyTooLargeError, LimitReachedError,
)  # fmt: skip


async def receive(services: Services, name: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Take in a notice. It is verified before anything is stored; when this returns, its events are committed.

    Args:
        name: Of an integration of any group.
        headers: Their names in small letters.

    Returns:
        False: It had been received before.

    Raises:
        NotFoundError: There is no such integration, or it is disconnected.
        LimitReachedError: The integration's group has too many events, or too much of them is kept.
        PayloadTooLargeError: It is larger than the group's events may be.
        TidingsError: As `sources.integrations.verified` does.
    """
    now = services.clock.now()
    async with services.wide.connection() as connection:  # whose it is is known now
        integration = await stored.get(connection, services.box, name)
    not_here = NotFoundError(f"There is no integration {name!r}, or it is disconnected.")
    if integration is None:
        raise not_here
    notice = None
    try:
        if not integration.enabled:
            raise not_here
        _check_readable(integration)
        notice = integrations.verified(integration, headers, body, now)
        await services.allowance.check(integration.group_id, [len(body)])
        async with services.wide.transaction() as connection:
            return await integrations.absorb(connection, integration, notice, now)
    except _REFUSALS as error:
        reason = _reason(error, is_verified=notice is not None)
        if services.refusals.note(integration.id, reason, error.message, now):
            await _write_refusals(services, now)
        raise


def _check_readable(integration: Integration) -> None:
    if integration.fault is not None:
        said = f"The integration {integration.name!r} is set aside; its owner is told why. Send the notice again later."
        raise UnavailableError(said)


def _reason(error: TidingsError, *, is_verified: bool) -> str:
    """Return why a notice was refused, in a word."""
    match error:
        case NotFoundError():
            return "disconnected"
        case InvalidInputError():
            return "body"
        case UnavailableError():
            return "fault"
        case BodyTooLargeError() | LimitReachedError():
            return "limit"
        case _:
            return "replayed" if is_verified else "signature"


async def _write_refusals(services: Services, now: datetime) -> None:
    if taken := services.refusals.take(now):
        async with services.wide.connection() as connection:
            await stored.count_refusals(connection, taken)


async def read_traffic(services: Services, name: str) -> Traffic:
    """Return what came to an integration of late: its last notices, and how many were refused and why.

    Raises:
        NotFoundError: There is no such integration.
    """
    await _write_refusals(services, services.clock.now())
    async with services.database.connection() as connection:
        found = await _found(services, connection, name)
        rows = await stored.list_notices(connection, found.id, limit=MAX_NOTICES)
        refusals = await stored.list_refusals(connection, found.id)
    notices = [KnownNotice(row["notice_id"], row["type"], row["received_at"]) for row in rows]
    return Traffic(found, notices, refusals)


async def _found(services: Services, connection: Connection, name: str) -> Integration:
    found = await stored.get(connection, services.box, name)
    if found is None or found.group_id != services.group_id:
        raise NotFoundError(f"There is no integration {name!r}.")
    return found


def _secret(platform: str, given: str | None) -> str:
    """Return the secret, or a new one where the other system takes ours."""
    if given is None:
        if platform == "stripe":
            raise InvalidInputError("secret", "secret is required: Stripe makes it; it begins with whsec_.")
        random = secrets.token_bytes(32)
        return new_secret(random) if platform == "standard" else new_text_secret(random)
    if platform == "standard":
        secret_key(given)
    else:
        check_text_secret(given)
    return given


def _settings(platform: str, given: dict[str, Any]) -> Settings:
    try:
        settings = msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            "settings", f'settings: {error}. Write {{"header": "X-Signature", "format": "hex"}}.'
        ) from error
    if settings.format not in SIGNATURE_FORMATS:
        known = ", ".join(SIGNATURE_FORMATS)
        raise InvalidInputError("settings.format", f"settings.format is {settings.format!r}; write one of {known}.")
    own = {"header", "format", "id_header"} & set(given)
    if own and platform != "hmac":
        raise InvalidInputError("settings", f"settings.{min(own)} is for platform hmac; {platform} signs in a way of its own.")
    return settings
