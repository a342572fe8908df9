"""Who may call: the key, in whichever header a client of the seed systems puts it."""

import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tidings.core.audit import Actor, Who
from tidings.core.errors import UnauthorizedError
from tidings.operations import groups
from tidings.operations.services import Services
from tidings.store.settings import hash_key

GROUP_HEADER = "x-tidings-group"

_KEY_HEADERS = ("x-api-key", "apikey", "x-client-key", "x-service-key")
_SCHEMES = ("bearer ", "servicekey ")


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request pass that carries the admin key.

    Raises:
        UnauthorizedError: It carries none, or another one.
    """
    if not has_key(connection.app.state.services, connection.headers):
        raise UnauthorizedError("A valid key is required: Authorization: Bearer <key>, or X-API-Key: <key>.")


def has_key(services: Services, headers: Mapping[str, str]) -> bool:
    """Whether the headers carry the admin key. None and another one take the same way, so the time does not tell which."""
    return hmac.compare_digest(hash_key(_key_of(headers)), services.installation.admin_key_hash)


def _key_of(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "")
    for scheme in _SCHEMES:
        if authorization[: len(scheme)].lower() == scheme:
            return authorization[len(scheme) :].strip()
    return next((headers[name] for name in _KEY_HEADERS if name in headers), "")


async def services_of(request: Request[Any, Any, Any]) -> Services:
    """Return the parts a request is answered with, for the group that it names in `X-Tidings-Group`.

    Raises:
        NotFoundError: There is no such group.
    """
    services = await services_for(request.app.state.services, request.headers)
    return msgspec.structs.replace(services, actor=Actor(Who.KEY, address=request.client.host if request.client else ""))


async def services_for(services: Services, headers: Mapping[str, str]) -> Services:
    """Return the parts for the group that headers name.

    Raises:
        NotFoundError: There is no such group.
    """
    group_id = headers.get(GROUP_HEADER, services.group_id)
    if group_id == services.group_id:
        return services
    return await groups.acting_for(services, group_id)
