"""Who may call: the key, in whichever header a client of the seed systems puts it."""

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tidings.core.audit import Actor, Who
from tidings.core.errors import NotFoundError, UnauthorizedError
from tidings.core.hops import HEADER, hops_of
from tidings.operations import groups
from tidings.operations.services import Services
from tidings.store.settings import hash_key

GROUP_HEADER = "x-tidings-group"
OWN_ADDRESS = "tidings.metrics_address"  # in the scope of what comes to the address that metrics have for themselves

_KEY_HEADERS = ("x-api-key", "apikey", "x-client-key", "x-service-key")
_SCHEMES = ("bearer ", "servicekey ")


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request pass that carries the admin key.

    Raises:
        UnauthorizedError: It carries none, or another one.
    """
    if not has_key(connection.app.state.services, connection.headers):
        raise UnauthorizedError("A valid key is required: Authorization: Bearer <key>, or X-API-Key: <key>.")


async def require_watcher(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request pass that may know how this installation is doing and made: by a key, by its address, or as configured.

    Raises:
        UnauthorizedError: It may not.
    """
    services: Services = connection.app.state.services
    config = services.config
    if config.open_documents or connection.scope.get(OWN_ADDRESS) or has_key(services, connection.headers):
        return
    known = hash_key(config.metrics_key) if config.metrics_key else None
    if known is None or not hmac.compare_digest(hash_key(_key_of(connection.headers)), known):
        raise UnauthorizedError("A valid key is required, the admin key or TIDINGS_METRICS_KEY: Authorization: Bearer <key>.")


def has_key(services: Services, headers: Mapping[str, str]) -> bool:
    """Whether the headers carry the admin key. None and another one take the same way, so the time does not tell which."""
    return hmac.compare_digest(hash_key(_key_of(headers)), services.installation.admin_key_hash)


def _key_of(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "")
    for scheme in _SCHEMES:
        if authorization[: len(scheme)].lower() == scheme:
            return authorization[len(scheme) :].strip()
    return next((headers[name] for name in _KEY_HEADERS if name in headers), "")


def _group_named(value: str) -> str:
    """Return the group that a header names: percent-encoded, as in a URL, where its id has more than a header can carry.

    Frameworks read the bytes of a header as Latin-1, and some clients write UTF-8.

    Raises:
        NotFoundError: No group is called so.
    """
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        raise NotFoundError(f"There is no group {value!r}: X-Tidings-Group is not UTF-8. Percent-encode it.") from error


async def services_of(request: Request[Any, Any, Any]) -> Services:
    """Return the parts a request is answered with, for the group that it names in `X-Tidings-Group`.

    Raises:
        NotFoundError: There is no such group.
    """
    services = await services_for(request.app.state.services, request.headers)
    return msgspec.structs.replace(services, actor=Actor(Who.KEY, address=request.client.host if request.client else ""))


async def services_for(services: Services, headers: Mapping[str, str]) -> Services:
    """Return the parts for the group that headers name. What a delivery led to is told by them as well (`core.hops`).

    Raises:
        NotFoundError: There is no such group.
    """
    if hops := hops_of(headers.get(HEADER)):
        services = msgspec.structs.replace(services, database=services.database.after(hops), hops=hops)
    group_id = _group_named(headers[GROUP_HEADER]) if GROUP_HEADER in headers else services.group_id
    if group_id == services.group_id:
        return services
    return await groups.acting_for(services, group_id)
