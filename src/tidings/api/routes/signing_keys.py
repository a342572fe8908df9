"""`/api/v1/signing-keys`: the public keys of this installation, and rotating them."""

from datetime import datetime

import msgspec
from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from tidings.operations import signing_keys
from tidings.operations.services import Services
from tidings.operations.signing_keys import DEFAULT_OVERLAP_SECONDS, PublishedKey


class KeyRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How keys are rotated. `leaked`: the old ones are published no longer than they sign."""

    overlap_seconds: int = DEFAULT_OVERLAP_SECONDS
    leaked: bool = False


class SigningKeyView(msgspec.Struct, frozen=True):
    """A key whose signatures verify, or will. `state`: `signing`, `next` or `before`; `until`: it is published so long."""

    id: str
    purpose: str
    state: str
    signs_from: datetime
    until: datetime | None
    public_key: str


@get("/")
async def list_signing_keys(services: NamedDependency[Services]) -> list[SigningKeyView]:
    """List the public keys of `v1a` signatures and of tokens, the last to sign first."""
    return [_view(one) for one in await signing_keys.list_keys(services)]


@post("/rotate", status_code=200)
async def rotate_signing_keys(services: NamedDependency[Services], data: JSONBody[KeyRotation]) -> list[SigningKeyView]:
    """Make new keys. They are published beside the old at once, and sign when the overlap is over."""
    found = await signing_keys.rotate(services, overlap_seconds=data.overlap_seconds, is_leaked=data.leaked)
    return [_view(one) for one in found]


def _view(one: PublishedKey) -> SigningKeyView:
    return SigningKeyView(**{name: getattr(one, name) for name in SigningKeyView.__struct_fields__})


router = Router("/api/v1/signing-keys", route_handlers=[list_signing_keys, rotate_signing_keys], tags=["Keys"])
