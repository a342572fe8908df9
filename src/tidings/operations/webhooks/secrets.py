"""A webhook's secret: read it again, and rotate it so that both verify for a while."""

from base64 import b64encode
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tidings.core.audit import Action
from tidings.core.errors import InvalidInputError
from tidings.core.webhook import Webhook
from tidings.operations import audit
from tidings.operations.listening import mirrors
from tidings.operations.lookups import found
from tidings.operations.services import Services
from tidings.operations.webhooks.changes import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS, rotated
from tidings.operations.webhooks.secret_forms import made_secret
from tidings.profiles import PROFILES
from tidings.store import webhooks


class Secrets(msgspec.Struct, frozen=True):
    """What verifies a webhook's deliveries. Until `previous_secret_until` either secret does.

    Attributes:
        public_key: Verifies the `v1a` signatures of webhooks with `asymmetric`.
    """

    secret: str
    previous_secret: str | None
    previous_secret_until: datetime | None
    public_key: str


async def read(services: Services, webhook_id: UUID) -> Secrets:
    """Return the secret that verifies a webhook's deliveries, and put on record that it was shown.

    Raises:
        ConflictError: It cannot be read as it is stored.
        NotFoundError: There is no such webhook.
    """
    async with services.database.transaction() as connection:
        webhook = found(await webhooks.open_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
        await audit.note(services, connection, Action.SECRET_SHOWN, webhook.id, webhook.name)
    return _secrets_of(services, webhook)


async def rotate(
    services: Services,
    webhook_id: UUID,
    *,
    secret: str | None = None,
    overlap_seconds: float = DEFAULT_OVERLAP_SECONDS,
) -> Secrets:
    """Give a webhook another secret. The present one verifies beside it until the overlap ends.

    Args:
        secret: The new one; made when None.

    Raises:
        ConflictError: The present one cannot be read.
        InvalidInputError: With the field and the reason.
        NotFoundError: There is no such webhook.
    """
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInputError("overlap_seconds", f"overlap_seconds must be 0 to {MAX_OVERLAP_SECONDS}.")
    now = services.clock.now()
    async with services.database.transaction() as connection:
        locked = found(await webhooks.lock_webhook(connection, services.box, services.group_id, webhook_id), webhook_id)
        before = webhooks.readable(locked)
        new = secret or made_secret(PROFILES[before.profile])
        webhook = msgspec.structs.replace(rotated(before, new, now=now, overlap_seconds=overlap_seconds), updated_at=now)
        await webhooks.update_webhook(connection, services.box, webhook, was=before)
        await mirrors.follow(services, connection, webhook.id)
        states: dict[str, Any] = {"before": _told(before), "after": _told(webhook)}
        await audit.note(services, connection, Action.SECRET_ROTATED, webhook.id, webhook.name, **states)
    return _secrets_of(services, webhook)


def _told(webhook: Webhook) -> dict[str, Any]:
    return {"secret": webhook.secret, "previous_secret_until": webhook.previous_secret_until}


def _secrets_of(services: Services, webhook: Webhook) -> Secrets:
    until = webhook.previous_secret_until
    both = until is not None and until > services.clock.now()
    return Secrets(
        secret=webhook.secret,
        previous_secret=webhook.previous_secret if both else None,
        previous_secret_until=until if both else None,
        public_key="whpk_" + b64encode(services.keys.current.webhooks.public_bytes).decode(),
    )
