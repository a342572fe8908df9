"""Deliveries that would lead to themselves, found as they are routed: put off or stopped (`core.hops`, `core.flips`)."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tidings.core.event import Event, delivery_id, milliseconds, uuid7
from tidings.core.flips import Change, Flips, Loop, PutOff, decide_flip
from tidings.core.hops import too_deep
from tidings.core.operational import LOOP, Told
from tidings.store import loops
from tidings.store.database import Connection
from tidings.store.queue import Queued
from tidings.worker import warnings
from tidings.worker.routes import CurrentRoutes

logger = logging.getLogger("tidings.loops")

LOOKED_BACK = timedelta(hours=1)
LOOKS = 10  # records of one batch that history is asked about; the others are asked about with their next change


class Matched(msgspec.Struct, frozen=True):
    """An event with its deliveries. `about`: the hash of its record or subject."""

    event: Event
    about: int | None
    deliveries: list[Queued]


class Sorted(msgspec.Struct):
    """Deliveries that are not made as others are. `put_off`: from when on they may go out; `stopped`: with the reason."""

    put_off: dict[UUID, datetime] = {}
    stopped: dict[UUID, tuple[Queued, str]] = {}

    def without(self, made: Collection[UUID]) -> "Sorted":
        """Return it without deliveries that were made already, while the database was away: they can only be recorded."""
        if not (made and (self.put_off or self.stopped)):
            return self
        return Sorted(
            {name: at for name, at in self.put_off.items() if name not in made},
            {name: why for name, why in self.stopped.items() if name not in made},
        )


class LoopGuard:
    """Looks at what is routed by one process.

    Args:
        depth: How many deliveries may lead to an event that is delivered.
    """

    def __init__(self, routes: CurrentRoutes, *, depth: int) -> None:
        self._routes = routes
        self._depth = depth
        self._flips = Flips()

    async def sort(self, connection: Connection, matched: Sequence[Matched], now: datetime) -> Sorted:
        """Return what is to be put off or stopped, in the transaction that routes; usually nothing."""
        found = Sorted({}, {})
        suspects = []
        for one in matched:
            event = one.event
            if event.is_test or not one.deliveries:
                continue
            if event.hops and (reason := too_deep(event.hops, self._depth)) is not None:
                found.stopped |= {queued.id: (queued, reason) for queued in one.deliveries}
            elif event.operation is not None and one.about is not None and self._flips.is_suspect(one.about, event.occurred_at):
                suspects.append(one)
        for one in suspects[:LOOKS]:
            await self._look_into(connection, one, now, found)
        return found

    async def _look_into(self, connection: Connection, one: Matched, now: datetime, found: Sorted) -> None:
        event, about = one.event, one.about or 0
        since = uuid7(milliseconds(event.occurred_at - LOOKED_BACK), 0)
        before = await loops.changes(connection, about, before=event.id, since=since, limit=self._depth)
        if len(before) < self._depth:
            return
        webhooks = await self._routes.webhooks(connection, [queued.webhook_id for queued in one.deliveries])
        # In an ordered lane a delivery that is put off would be overtaken.
        candidates = [q for q in one.deliveries if q.webhook_id in webhooks and not webhooks[q.webhook_id].ordered]
        wanted = [delivery_id(event_id, q.webhook_id) for q in candidates for event_id, _ in before]
        sent = await loops.sent(connection, wanted) if wanted else {}
        decided = False
        for queued in candidates:
            chain = [Change(at, sent.get(delivery_id(event_id, queued.webhook_id))) for event_id, at in before]
            match decide_flip(chain, event.occurred_at, self._depth):
                case PutOff(length):
                    found.put_off[queued.id] = now + length
                    decided = True
                case Loop(reason):
                    found.stopped[queued.id] = (queued, reason)
                    decided = True
        if not decided:
            self._flips.forget(about)  # they do not wait for deliveries: asked again after as many changes

    async def stop(self, connection: Connection, found: Sorted, now: datetime) -> None:
        """Record what is stopped, and tell of webhooks that were not told of within an hour. Their lanes are locked."""
        if not found.stopped:
            return
        new = await loops.stop(connection, found.stopped, now)
        reasons = {queued.webhook_id: reason for queued, reason in found.stopped.values()}
        told = [Told(LOOP, webhook_id, now, reasons[webhook_id], waiting) for webhook_id, waiting in new.items()]
        await warnings.tell(connection, told, now)
        for webhook_id in new:
            logger.warning("webhook %s leads to itself: %s", webhook_id, reasons[webhook_id])
