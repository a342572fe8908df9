"""`/api/v1/webhooks/{id}/secret`: to read it again, and to change it while both verify."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.operations.services import Services
from tidings.operations.webhooks import secrets
from tidings.operations.webhooks.changes import DEFAULT_OVERLAP_SECONDS
from tidings.operations.webhooks.secrets import Secrets


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to rotate. `secret`: the new one; made when it is absent."""

    secret: str | None = None
    overlap_seconds: float = DEFAULT_OVERLAP_SECONDS


class SecretView(msgspec.Struct, frozen=True):
    """A webhook's secret. Until `previous_secret_until` deliveries verify with either.

    `public_key` verifies the `v1a` signatures of webhooks with `asymmetric`.
    """

    secret: str
    previous_secret: str | None
    previous_secret_until: datetime | None
    public_key: str


@get("/{webhook_id:str}/secret")
async def read_secret(services: NamedDependency[Services], webhook_id: FromPath[UUID]) -> SecretView:
    """Read the secret that verifies this webhook's deliveries."""
    return _view(await secrets.read(services, webhook_id))


@post("/{webhook_id:str}/secret/rotate", status_code=200)
async def rotate_secret(
    services: NamedDependency[Services], webhook_id: FromPath[UUID], data: JSONBody[Rotation | None] = None
) -> SecretView:
    """Give the webhook another secret. The present one verifies beside it until the overlap ends."""
    asked = data or Rotation()
    return _view(await secrets.rotate(services, webhook_id, secret=asked.secret, overlap_seconds=asked.overlap_seconds))


def _view(found: Secrets) -> SecretView:
    return SecretView(found.secret, found.previous_secret, found.previous_secret_until, found.public_key)
