"""Routing one batch: what is taken of a supply becomes events and deliveries, in one transaction.

In this order: the events are taken, with the versions of all that decides about them (`route`); each is matched with the
webhooks that want it (`_match`), and kept as redaction rules say; their lanes are locked, and each delivery is leased to this
process, which sends it at once, or waits in the queue (`_lease`). Once that is committed, what was leased is handed over
(`_hand_over`). When anything fails, nothing has happened. Who chooses when, and how much: the dispatcher.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from tidings.clock import Clock
from tidings.core.event import Event, about, delivery_id
from tidings.core.hops import DEFAULT_DEPTH
from tidings.core.lanes import in_turns, share_out
from tidings.core.routing import Routes
from tidings.store import flights, history, queue
from tidings.store.database import Connection, Database
from tidings.store.queue import Queued
from tidings.store.storage import stored_of
from tidings.worker.batches import BadRowsError, Batch, Routed, Taker, attempted, in_order, is_told_to_all, without
from tidings.worker.event_cache import EventCache
from tidings.worker.flights import Flights
from tidings.worker.identity import Identity
from tidings.worker.kinds import Kinds
from tidings.worker.loops import LoopGuard, Matched
from tidings.worker.payloads import PayloadLimits
from tidings.worker.places import Places
from tidings.worker.placing import CurrentPlacing
from tidings.worker.privacy import Privacy, marked
from tidings.worker.routes import CurrentRoutes
from tidings.worker.supplies import AtHand, Supply
from tidings.worker.telemetry import Telemetry

_lane_of = attrgetter("webhook_id")
_group_of = attrgetter("group_id")


class BatchRouter:
    """Routes batches, for the dispatcher of this process.

    Attributes:
        placing: Which groups live here, as new as what was routed last.
        most_leased: Deliveries of one flight.
    """

    def __init__(
        self,
        database: Database,
        routes: CurrentRoutes,
        cache: EventCache,
        clock: Clock,
        me: Identity,
        airborne: Flights,
        places: Places,
        *,
        taker: Taker,
        privacy: Privacy,
        tell: Callable[[set[UUID]], None] = lambda _: None,
        loop_depth: int = DEFAULT_DEPTH,
        payloads: PayloadLimits | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._database = database
        self._telemetry = telemetry
        self._payloads = payloads or PayloadLimits(database)
        self._routes = routes
        self._cache = cache
        self._clock = clock
        self._me = me
        self._airborne = airborne
        self._places = places
        self._taker = taker
        self._privacy = privacy
        self._tell = tell
        self._kinds = Kinds()
        self._loops = LoopGuard(routes, depth=loop_depth)
        self.placing = CurrentPlacing(database.server)
        self.most_leased = flights.MAX_DELIVERIES

    async def route(self, batch: Batch, supply: Supply) -> list[Event]:
        """Route a batch in one transaction, and return its events; none when there was nothing to take.

        Args:
            batch: It learns the numbers of its rows once they are read, and its size by what came of it.
            supply: Where its events come from.

        Raises:
            BadRowsError: Some of the rows cannot become events.
            ElsewhereError: Some are of groups that live elsewhere.
            NotNowError: The supply does not give them now.
        """
        async with self._database.transaction() as connection:
            # The version is of the same snapshot as the rows: what was subscribed before a row was committed is in it.
            taken = await supply.take(connection, batch)
            if not taken.numbers:
                return []
            batch.numbers += taken.numbers
            taken_at = self._clock.now()
            events = taken.events
            if self._telemetry is not None:
                events = self._telemetry.adopted(events)
            faults = taken.faults or self._payloads.faults(zip(taken.numbers, events, strict=True))
            if faults:
                raise BadRowsError(faults)
            await self._privacy.at_least(connection, taken.privacy_version)
            routes = await self._routes.at_least(connection, taken.routes_version)
            await self.placing.expect_own(connection, taken.placing_version, events, routes.groups)
            made = await self._kinds.make_sure(connection, events)
            routed = await self._write(connection, batch, taken, events, routes)
            batch.is_written = True
        self._kinds.remember(made)  # only now is it sure that they are there
        self._hand_over(routed)
        self._tell(routed.listeners)
        if self._telemetry is not None:
            self._telemetry.routed(routed.events, taken_at, self._clock.now())
        return events

    def _hand_over(self, routed: Routed) -> None:
        """Give the deliverer what was leased to it, and keep the events of what waits at hand for the claim that follows."""
        by_id = {event.id: event for event in routed.events}
        for event_id in {q.event_id for q in routed.waiting if q.webhook_id not in routed.listeners}:
            if by_id[event_id].redaction is None:  # nothing of what is hidden is at hand for longer than it is needed
                self._cache.add(by_id[event_id])
            self._places.called.set()
        for leased in routed.deliveries():
            self._airborne.board(routed.worker_id, leased)
            for delivery in leased:
                event, webhook = by_id[delivery.event_id], routed.webhooks[delivery.webhook_id]
                if (answer := routed.answers.get(delivery.id)) is None:
                    self._taker.begin(delivery, event, webhook)
                else:
                    self._taker.attempted(delivery, event, webhook, answer)

    async def _write(self, connection: Connection, batch: Batch, taken: AtHand, events: list[Event], routes: Routes) -> Routed:
        """Write events and their deliveries."""
        now = self._clock.now()
        matched = [_with_deliveries(event, ids, now) for event, ids in await self._match(connection, events, routes)]
        kept = await self._privacy.keep(connection, matched, now)
        rows = [(one.event, len(one.deliveries), one.about) for one in kept]
        await history.add_events(connection, rows, stored_of(taken.uncounted))
        if kept is not matched:
            events = marked(events, kept)
        count = sum(len(one.deliveries) for one in matched)
        batch.size.routed(count)
        if not count:
            return Routed(events, self._me.worker_id)
        return await self._lease(connection, batch, taken, events, matched, now)

    async def _lease(
        self, connection: Connection, batch: Batch, taken: AtHand, events: list[Event], matched: list[Matched], now: datetime
    ) -> Routed:
        """Lock the lanes of deliveries: a flight leases those that can be sent at once, the others wait in the queue."""
        fresh = [queued for one in matched for queued in one.deliveries]
        lanes = list({q.webhook_id for q in fresh})
        rooms, doubted = await queue.lock_lanes(connection, lanes, now)
        doubted |= {lane for lane in lanes if self._places.is_slow(lane)}
        looped = (await self._loops.sort(connection, matched, now)).without(taken.answers)
        await self._loops.stop(connection, looped, now)
        fresh, put_off = without(fresh, looped)
        webhooks = await self._routes.webhooks(connection, lanes)  # closes the lanes of those that cannot be read
        readable = {lane: room for lane, room in rooms.items() if lane in webhooks}
        made, fresh = attempted(fresh, taken.answers, readable)
        capacity = min(self._places.room(batch.promised, is_beside=batch.is_beside), self.most_leased)
        if len(fresh) > capacity:  # some will wait: not all of the same group
            fresh = in_turns(fresh, _group_of)
        if doubted:
            batch.others = self._places.lend_to_others(at_most=min(capacity, sum(q.webhook_id in doubted for q in fresh)))
        leased, waiting = share_out(fresh, _lane_of, readable, capacity, doubted=doubted, others_capacity=batch.others)
        waiting = [q for q in waiting + put_off if q.webhook_id in rooms]  # the others' webhooks were deleted just now
        if waiting:
            ordered = {lane for lane, webhook in webhooks.items() if webhook.ordered}
            if ordered:
                waiting = in_order(waiting, ordered, events, taken.origins, now)
            await queue.put(connection, waiting, now, self._me.part)
        worker_id, leased = self._me.worker_id, made + leased
        parts = [leased[at : at + self.most_leased] for at in range(0, len(leased), self.most_leased)]
        leases = {await flights.begin(connection, worker_id, part, now): part for part in parts}
        listeners = {lane for lane, webhook in webhooks.items() if webhook.is_listener}
        return Routed(events, worker_id, leases, waiting, webhooks, taken.answers, doubted, listeners)

    async def _match(self, connection: Connection, events: list[Event], routes: Routes) -> list[tuple[Event, Sequence[UUID]]]:
        """Return which webhooks events go to. What Tidings tells of webhooks does not go to those that could not hear it.

        Where many that name such events share a receiver that is down, each would be told of all the others, for nothing.
        """
        found: list[tuple[Event, Sequence[UUID]]] = [(event, routes.match(event)) for event in events]
        told = {each for event, matched in found if is_told_to_all(event) for each in matched}
        if not told:
            return found
        deaf = await queue.deaf(connection, told)
        return [
            (event, [each for each in matched if each not in deaf] if is_told_to_all(event) else matched)
            for event, matched in found
        ]

    def forget_days(self) -> None:
        """Look at the partitions again: the janitor has dropped some."""
        self._kinds.forget_days()


def _with_deliveries(event: Event, webhook_ids: Sequence[UUID], now: datetime) -> Matched:
    is_test, due_at = event.is_test, min(event.occurred_at, now)
    deliveries = [
        Queued(delivery_id(event.id, webhook_id), webhook_id, event.id, event.group_id, is_test, due_at)
        for webhook_id in webhook_ids
    ]
    return Matched(event, about(event), deliveries)
