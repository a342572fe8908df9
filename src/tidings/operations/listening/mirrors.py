"""Listeners that mirror a webhook: told of its changes, in the transaction that makes them."""

from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.listening import FULL
from tidings.core.webhook import Subscription, Webhook
from tidings.operations.services import Services
from tidings.sources import tables
from tidings.store import listening, queue, webhooks
from tidings.store.database import Connection

_OWN: Final = ("id", "created_at", "version", "name", "url", "managed_by")


async def follow(services: Services, connection: Connection, webhook_id: UUID) -> None:
    """Give the listeners that mirror a webhook what it was changed to. One that cannot be read now is left as it is."""
    listeners = await listening.lock_mirrors(connection, services.group_id, webhook_id)
    if not listeners:
        return
    webhook = await webhooks.lock_webhook(connection, services.box, services.group_id, webhook_id)
    for listener_id in listeners:
        before = await webhooks.lock_webhook(connection, services.box, services.group_id, listener_id)
        if not isinstance(webhook, Webhook) or not isinstance(before, Webhook):
            continue
        own = {name: getattr(before, name) for name in _OWN} | standing_of(before)
        wanted = msgspec.structs.replace(webhook, **own, updated_at=before.updated_at, rate_per_second=None)
        if wanted == before:
            continue
        wanted = msgspec.structs.replace(wanted, updated_at=services.clock.now())
        await tables.keep_in_step(connection, needed_by=wanted, was=before)
        await queue.announce(connection)
        await webhooks.update_webhook(connection, services.box, wanted, was=before)


def standing_of(before: Subscription | None) -> dict[str, Any]:
    """Return whether a listener is enabled: one for which too much waits is not, until its keeper finds that less does."""
    is_full = before is not None and before.disabled_reason == FULL
    return {"enabled": not is_full, "disabled_reason": FULL if is_full else None}
