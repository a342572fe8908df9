"""`/.well-known/jwks.json`: the public halves of what this installation signs with, for whoever wants to verify."""

from typing import Any

from litestar import Router, get
from litestar.di import NamedDependency

from tidings.api.http.parameters import refuse_unknown
from tidings.core.jwt import jwk
from tidings.operations import signing_keys
from tidings.operations.services import Services


@get("/jwks.json")
async def jwks(services: NamedDependency[Services]) -> dict[str, Any]:
    """List the public keys (RFC 7517): of `v1a` signatures, and of the tokens that `jwt_enabled` sends."""
    return {"keys": [jwk(key) for key in await signing_keys.published(services)]}


router = Router("/.well-known", route_handlers=[jwks], guards=[refuse_unknown], tags=["Keys"])
