"""Whether a group may have one webhook more."""

from tidings.core.limits import webhooks_reached
from tidings.operations.services import Services
from tidings.store import limits
from tidings.store.database import Connection

COUNTED_BEYOND = 1_000  # webhooks more than the limit, for the sentence that says how many there are


async def check_room(services: Services, connection: Connection) -> None:
    """Refuse a webhook for which the group has no room, in the transaction that is to write it; call it for each, just before.

    Who makes one of the same group waits until this transaction is over, so two at once cannot both take the last place. A
    group without such a limit waits for nobody.

    Raises:
        LimitReachedError: It has as many as it may.
    """
    if (await limits.find(connection, services.group_id)).limits.webhooks is None:
        return
    await limits.lock(connection, services.group_id)
    allowed = (await limits.find(connection, services.group_id)).limits.webhooks  # it may have changed while this one waited
    if allowed is None:
        return
    used = await limits.count_webhooks(connection, services.group_id, allowed + COUNTED_BEYOND)
    if used >= allowed:
        raise webhooks_reached(allowed, used)
