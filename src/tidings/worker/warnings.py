"""Warnings: what became of webhooks is published in the transaction that makes it so, once for each change."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from tidings.core.event import OPERATIONAL
from tidings.core.operational import DISABLED, FAILING, RECOVERED, Told
from tidings.sources.publish import new_event
from tidings.store import health, outbox
from tidings.store.database import Connection
from tidings.store.queue import LaneTally, Turn


def of_turns(turns: Sequence[Turn], tallies: dict[UUID, LaneTally]) -> list[Told]:
    """Return what there is to tell of lanes that began to fail, or ended it."""
    return [
        Told(FAILING, turn.webhook_id, turn.since, tallies[turn.webhook_id].reason or "Its attempts fail.", turn.waiting)
        if turn.is_failing
        else Told(RECOVERED, turn.webhook_id, turn.since, "An attempt succeeded.", turn.waiting)
        for turn in turns
    ]


async def tell_of_disabled(connection: Connection, reasons: Mapping[UUID, str], now: datetime) -> None:
    """Publish that webhooks were disabled, or set aside, in this transaction: by anything but their owner.

    Args:
        reasons: Of each webhook a sentence.
    """
    waiting = await health.waiting(connection, list(reasons)) if reasons else {}
    await tell(connection, [Told(DISABLED, each, now, why, waiting.get(each, 0)) for each, why in reasons.items()], now)


async def tell(connection: Connection, told: Sequence[Told], now: datetime) -> None:
    """Publish operational events, in the caller's transaction. What is deleted by now is not told of."""
    if not told:
        return
    described = await health.described(connection, [each.webhook_id for each in told])
    events = []
    for each in told:
        if each.webhook_id in described:
            group_id, name, url = described[each.webhook_id]
            record = each.record(name, url)
            events.append(new_event(group_id, OPERATIONAL, each.type, record, now, subject=str(each.webhook_id)))
    if events:
        await outbox.publish(connection, events)
