"""`/api/v1/keys`: the keys that open this API, each with what it may do and the group it is for."""

import secrets
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tidings.api.http.access import key_of
from tidings.api.http.paging import Limit, Offset
from tidings.core.api_key import SECRET_BYTES, ApiKey
from tidings.operations import api_keys
from tidings.operations.services import Services
from tidings.store.api_keys import UsedKey

ExpiresBefore = Annotated[
    datetime | None, QueryParameter(description="Only keys that open something still, and stop doing so before this time.")
]
UnusedSince = Annotated[
    datetime | None, QueryParameter(description="Only keys that open something still, and were not used from this time on.")
]


class NewApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to make. `bound_to`: the one group that it is for; null: all of them."""

    name: str
    scopes: list[str]
    bound_to: str | None = None
    expires_in: int | None = None


class ApiKeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key is called. What it opens is changed by making another."""

    name: str


class ApiKeyRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a key is rotated. `expires_in`: seconds from now; null: it expires as it did."""

    overlap_seconds: int = api_keys.DEFAULT_OVERLAP_SECONDS
    expires_in: int | None = None


class ApiKeyView(msgspec.Struct, frozen=True):
    """A key as read: without the key, which is kept nowhere."""

    id: UUID
    name: str
    start: str
    scopes: tuple[str, ...]
    bound_to: str | None
    of_settings: bool
    created_at: datetime
    rotated_at: datetime | None
    previous_until: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    used_from: str | None


class MadeApiKey(msgspec.Struct, frozen=True):
    """A key that was made or rotated just now. `key` is shown this once."""

    id: UUID
    name: str
    key: str
    scopes: tuple[str, ...]
    bound_to: str | None
    previous_until: datetime | None
    expires_at: datetime | None


@get("/current")
async def get_current_key(services: NamedDependency[Services], request: Request[Any, Any, Any]) -> ApiKeyView:
    """Read the key that this call is made with: what it may do, and for how long."""
    return _view(await api_keys.read_own(services, key_of(request)))


@get("/")
async def list_keys(
    services: NamedDependency[Services],
    *,
    limit: Limit = 50,
    offset: Offset = 0,
    expires_before: ExpiresBefore = None,
    unused_since: UnusedSince = None,
) -> list[ApiKeyView]:
    """List keys, newest first, those included that were revoked or expired in the last 30 days. A key that is for one group
    lists those of that group.
    """
    found = await api_keys.list_keys(
        services, limit=limit, offset=offset, expires_before=expires_before, unused_since=unused_since
    )
    return [_view(one) for one in found]


@post("/", status_code=201)
async def create_key(services: NamedDependency[Services], data: JSONBody[NewApiKey]) -> MadeApiKey:
    """Make a key. The answer holds it, this once."""
    made = await api_keys.create(
        services,
        secrets.token_bytes(SECRET_BYTES),
        name=data.name,
        scopes=data.scopes,
        group_id=data.bound_to,
        expires_in=data.expires_in,
    )
    return _made(made)


@get("/{key_id:uuid}")
async def get_key(services: NamedDependency[Services], key_id: FromPath[UUID]) -> ApiKeyView:
    """Read a key."""
    return _view(await api_keys.read(services, key_id))


@patch("/{key_id:uuid}")
async def change_key(services: NamedDependency[Services], key_id: FromPath[UUID], data: JSONBody[ApiKeyChange]) -> ApiKeyView:
    """Call a key otherwise. What is on record keeps the name of then."""
    return _view(await api_keys.rename(services, key_id, data.name))


@post("/{key_id:uuid}/rotate", status_code=200)
async def rotate_key(services: NamedDependency[Services], key_id: FromPath[UUID], data: JSONBody[ApiKeyRotation]) -> MadeApiKey:
    """Give a key another secret. The present one is good beside it until the overlap ends."""
    made = await api_keys.rotate(
        services,
        key_id,
        secrets.token_bytes(SECRET_BYTES),
        overlap_seconds=data.overlap_seconds,
        expires_in=data.expires_in,
    )
    return _made(made)


@delete("/{key_id:uuid}", status_code=204)
async def revoke_key(services: NamedDependency[Services], key_id: FromPath[UUID]) -> None:
    """Revoke a key. Within a second it opens nothing any more; sessions of the portal that were begun with it end."""
    await api_keys.revoke(services, key_id)


def _view(one: UsedKey) -> ApiKeyView:
    key: ApiKey = one.key
    return ApiKeyView(
        key.id,
        key.name,
        key.start,
        tuple(key.scopes),
        key.group_id,
        key.is_of_settings,
        key.created_at,
        key.rotated_at,
        key.previous_until,
        key.expires_at,
        key.revoked_at,
        one.used_at,
        one.address,
    )


def _made(made: api_keys.NewKey) -> MadeApiKey:
    key = made.key
    return MadeApiKey(key.id, key.name, made.text, tuple(key.scopes), key.group_id, key.previous_until, key.expires_at)


router = Router(
    "/api/v1/keys",
    route_handlers=[get_current_key, list_keys, create_key, get_key, change_key, rotate_key, revoke_key],
    tags=["API keys"],
)
