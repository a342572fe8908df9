"""Who may call: the key, in whichever header a client of the seed systems puts it."""

import hmac
from typing import Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tidings.api.services import Services
from tidings.core.errors import NotFoundError, UnauthorizedError
from tidings.store import groups
from tidings.store.settings import hash_key

GROUP_HEADER = "x-tidings-group"

_KEY_HEADERS = ("x-api-key", "apikey", "x-client-key", "x-service-key")
_SCHEMES = ("bearer ", "servicekey ")


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a request pass that carries the admin key.

    Raises:
        UnauthorizedError: It carries none, or another one. Both take the same way, so neither the answer nor its time
            tells which.
    """
    services: Services = connection.app.state.services
    given = hash_key(_key_of(connection.headers))
    if not hmac.compare_digest(given, services.installation.admin_key_hash):
        raise UnauthorizedError("A valid key is required: Authorization: Bearer <key>, or X-API-Key: <key>.")


def _key_of(headers: Any) -> str:
    authorization: str = headers.get("authorization", "")
    for scheme in _SCHEMES:
        if authorization[: len(scheme)].lower() == scheme:
            return authorization[len(scheme) :].strip()
    return next((str(headers[name]) for name in _KEY_HEADERS if name in headers), "")


async def services_of(request: Request[Any, Any, Any]) -> Services:
    """Return the parts a request is answered with, for the group that it names in `X-Tidings-Group`.

    Raises:
        NotFoundError: There is no such group.
    """
    services: Services = request.app.state.services
    group_id = request.headers.get(GROUP_HEADER, services.group_id)
    if group_id == services.group_id:
        return services
    async with services.database.connection() as connection:
        if await groups.get(connection, group_id) is None:
            raise NotFoundError(f"There is no group {group_id!r}. Make it first: POST /api/v1/groups.")
    return msgspec.structs.replace(services, group_id=group_id)
