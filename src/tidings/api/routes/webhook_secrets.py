"""`/api/v1/webhooks/{id}/secret`: to read it again, and to change it while both verify."""

from base64 import b64encode
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tidings.api.routes.webhook_shapes import check_secret, made_secret
from tidings.core.errors import InvalidInputError
from tidings.core.webhook import Webhook
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.profiles import PROFILES
from tidings.store import webhooks

DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * 86_400


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
    async with services.database.connection() as connection:
        webhook = found(await webhooks.open_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
    return _view(services, webhook)


@post("/{webhook_id:str}/secret/rotate", status_code=200)
async def rotate_secret(
    services: NamedDependency[Services], webhook_id: FromPath[UUID], data: JSONBody[Rotation | None] = None
) -> SecretView:
    """Give the webhook another secret. The present one verifies beside it until the overlap ends."""
    rotation = data or Rotation()
    if not 0 <= rotation.overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInputError("overlap_seconds", f"overlap_seconds must be 0 to {MAX_OVERLAP_SECONDS}.")
    now = services.clock.now()
    async with services.database.transaction() as connection:
        locked = found(await webhooks.lock_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
        before = webhooks.readable(locked)
        profile = PROFILES[before.profile]
        secret = rotation.secret or made_secret(profile)
        check_secret(secret, profile)
        if secret == before.secret:
            raise InvalidInputError("secret", "secret is the one in use; leave it out and Tidings makes another.")
        webhook = msgspec.structs.replace(
            before,
            secret=secret,
            previous_secret=before.secret,
            previous_secret_until=now + timedelta(seconds=rotation.overlap_seconds),
            updated_at=now,
        )
        await webhooks.update_webhook(connection, services.box, webhook, was=before)
    return _view(services, webhook)


def _view(services: Services, webhook: Webhook) -> SecretView:
    until = webhook.previous_secret_until
    both = until is not None and until > services.clock.now()
    return SecretView(
        secret=webhook.secret,
        previous_secret=webhook.previous_secret if both else None,
        previous_secret_until=until if both else None,
        public_key="whpk_" + b64encode(services.keys.current.webhooks.public_bytes).decode(),
    )
