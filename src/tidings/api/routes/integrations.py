"""`/api/v1/integrations` and `/in/{name}`: systems that send notices to Tidings, which become events.

Not to be confused with webhooks, which Tidings sends.
"""

import re
import secrets
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tidings.api.http.paging import Limit, Offset
from tidings.core.errors import InvalidInputError, NotFoundError
from tidings.core.notice import PLATFORMS, ObjectNews
from tidings.core.signature import check_text_secret, new_secret, new_text_secret, secret_key
from tidings.core.webhook import SIGNATURE_FORMATS
from tidings.operations.services import Services
from tidings.sources import integrations
from tidings.store import integrations as stored
from tidings.store.database import Connection
from tidings.store.integrations import Integration, Settings

MAX_SYNCED = 10_000
MAX_SYNC_BYTES = 33_554_432

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class IntegrationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller says of an integration. To create: `name` and `platform` at least. To change: only what changes."""

    name: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET
    secret: str | None | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class IntegrationView(msgspec.Struct, frozen=True):
    """An integration as read. `secret` is in the answer to its creation only, when it was made here."""

    name: str
    platform: str
    url: str
    settings: Settings
    enabled: bool
    created_at: datetime
    updated_at: datetime
    secret: str | UnsetType = UNSET


class NoticeResult(msgspec.Struct, frozen=True):
    """What became of a notice. `duplicate`: it had been received before."""

    received: bool
    duplicate: bool


class SyncedObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object as it is in the other system. `version` grows; without it the state given now is the newest."""

    type: str
    id: str
    data: msgspec.Raw
    version: float | None = None


class Sync(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Objects as they are. `complete`: there are no others of their types."""

    objects: list[SyncedObject]
    complete: bool = False


class SyncBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Objects as they are, each with `type`, `id`, `data` and perhaps `version`. `complete`: no others of their types exist."""

    objects: list[dict[str, Any]]
    complete: bool = False


class SyncResult(msgspec.Struct, frozen=True):
    """How many objects were new, changed, gone, and as before."""

    created: int
    updated: int
    deleted: int
    unchanged: int


class ObjectView(msgspec.Struct, frozen=True):
    """An object as an integration told it last."""

    type: str
    id: str
    version: float
    data: msgspec.Raw
    updated_at: datetime


def _view(services: Services, integration: Integration, *, with_secret: bool = False) -> IntegrationView:
    return IntegrationView(
        name=integration.name,
        platform=integration.platform,
        url=f"{services.config.public_url or ''}/in/{integration.name}",
        settings=integration.settings,
        enabled=integration.enabled,
        created_at=integration.created_at,
        updated_at=integration.updated_at,
        secret=integration.secret if with_secret else UNSET,
    )


@post("/", status_code=201)
async def create_integration(services: NamedDependency[Services], data: JSONBody[IntegrationChange]) -> IntegrationView:
    """Create an integration. Give its `url` and its secret to the system that is to send there."""
    name, platform = data.name, data.platform
    if name is UNSET or not _NAME.fullmatch(name):
        raise InvalidInputError("name", "name must be 1 to 63 letters, digits, _ and -; it is part of a URL.")
    if platform is UNSET or platform not in PLATFORMS:
        raise InvalidInputError("platform", f"platform must be one of {', '.join(PLATFORMS)}.")
    now = services.clock.now()
    made_here = data.secret is UNSET or data.secret is None
    integration = Integration(
        id=uuid4(),
        group_id=services.group_id,
        name=name,
        platform=platform,
        secret=_secret(platform, None if data.secret is UNSET else data.secret),
        settings=_settings(platform, {} if data.settings is UNSET else data.settings),
        enabled=True,
        created_at=now,
        updated_at=now,
    )
    async with services.database.transaction() as connection:
        await stored.insert(connection, services.box, integration)
        await integrations.tell_change(connection, integration, "connected", now)
    return _view(services, integration, with_secret=made_here)


@get("/")
async def list_integrations(
    services: NamedDependency[Services], limit: Limit = 50, offset: Offset = 0
) -> list[IntegrationView]:
    """List integrations, in order of their names."""
    async with services.database.connection() as connection:
        page = await stored.list_integrations(connection, services.box, services.group_id, limit=limit, offset=offset)
    return [_view(services, integration) for integration in page]


@get("/{name:str}")
async def get_integration(services: NamedDependency[Services], name: FromPath[str]) -> IntegrationView:
    """Read an integration."""
    async with services.database.connection() as connection:
        return _view(services, await _found(services, connection, name))


@patch("/{name:str}")
async def change_integration(
    services: NamedDependency[Services], name: FromPath[str], data: JSONBody[IntegrationChange]
) -> IntegrationView:
    """Change the secret or the settings; `enabled: false` disconnects it, and its notices are refused."""
    now = services.clock.now()
    async with services.database.transaction() as connection:
        before = await _found(services, connection, name)
        for field in ("name", "platform"):
            if getattr(data, field) not in {UNSET, getattr(before, field)}:
                raise InvalidInputError(field, f"{field} cannot be changed; create another integration.")
        given = {
            "secret": UNSET if data.secret in {UNSET, None} else _secret(before.platform, str(data.secret)),
            "settings": UNSET if data.settings is UNSET else _settings(before.platform, data.settings),
            "enabled": data.enabled,
        }
        after = msgspec.structs.replace(before, updated_at=now, **{n: v for n, v in given.items() if v is not UNSET})
        await stored.update(connection, services.box, after)
        switched = "connected" if after.enabled else "disconnected"
        action = "updated" if before.enabled == after.enabled else switched
        await integrations.tell_change(connection, after, action, now)
    return _view(services, after)


@delete("/{name:str}", status_code=204)
async def delete_integration(services: NamedDependency[Services], name: FromPath[str]) -> None:
    """Delete an integration, with what is known of its objects. Events that were made stay."""
    async with services.database.transaction() as connection:
        gone = await _found(services, connection, name)
        await stored.delete(connection, gone.id)
        gone = msgspec.structs.replace(gone, enabled=False)
        await integrations.tell_change(connection, gone, "disconnected", services.clock.now())


@get("/{name:str}/objects")
async def list_objects(
    services: NamedDependency[Services],
    name: FromPath[str],
    limit: Limit = 50,
    offset: Offset = 0,
    type_: Annotated[str | None, QueryParameter(name="type", description="Only objects of this type.")] = None,
) -> list[ObjectView]:
    """List an integration's objects as they were told last."""
    async with services.database.connection() as connection:
        integration = await _found(services, connection, name)
        rows = await stored.list_objects(connection, integration.id, type_=type_, limit=limit, offset=offset)
    return [
        ObjectView(row["object_type"], row["object_id"], row["version"], msgspec.Raw(row["data"].encode()), row["updated_at"])
        for row in rows
    ]


@post("/{name:str}/sync", status_code=200, request_max_body_size=MAX_SYNC_BYTES)
async def sync_integration(
    services: NamedDependency[Services], name: FromPath[str], request: Request[Any, Any, Any], data: JSONBody[SyncBody]
) -> SyncResult:
    """Bring an integration's objects up to date with those of the other system: each that differs is an event."""
    try:
        given = msgspec.json.decode(await request.body(), type=Sync)
    except msgspec.ValidationError as error:
        raise InvalidInputError("objects", f"objects: {error}. Each has a type, an id and data.") from error
    if len(given.objects) > MAX_SYNCED:
        raise InvalidInputError("objects", f"objects has {len(data.objects)} entries; write at most {MAX_SYNCED} at once.")
    now = services.clock.now()
    news = [
        ObjectNews(one.type, one.id, now.timestamp() if one.version is None else one.version, bytes(one.data).decode())
        for one in given.objects
    ]
    bad = next((n for n, one in enumerate(news) if "\x00" in one.type + one.id or not one.type or not one.id), None)
    if bad is not None:
        raise InvalidInputError(f"objects[{bad}]", f"objects[{bad}] must have a type and an id without U+0000.")
    async with services.database.transaction() as connection:
        integration = await _found(services, connection, name)
        return SyncResult(**await integrations.sync(connection, integration, news, now, is_complete=given.complete))


@post("/in/{name:str}", status_code=200, tags=["Notices"])
async def receive(
    services: NamedDependency[Services], name: FromPath[str], request: Request[Any, Any, Any]
) -> Response[NoticeResult]:
    """Receive a notice. It is verified before anything is stored; when this answers 200, its events are committed."""
    body = await request.body()
    headers = {key.lower(): value for key, value in request.headers.items()}
    now = services.clock.now()
    async with services.database.connection() as connection:
        integration = await stored.get(connection, services.box, name)
    if integration is None or not integration.enabled:
        raise NotFoundError(f"There is no integration {name!r}, or it is disconnected.")
    notice = integrations.verified(integration, headers, body, now)
    async with services.database.transaction() as connection:
        is_new = await integrations.absorb(connection, integration, notice, now)
    return Response(NoticeResult(received=True, duplicate=not is_new))


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


router = Router(
    "/api/v1/integrations",
    route_handlers=[
        create_integration,
        list_integrations,
        get_integration,
        change_integration,
        delete_integration,
        list_objects,
        sync_integration,
    ],
    tags=["Integrations"],
)
