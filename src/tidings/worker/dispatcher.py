"""Dispatch: outbox rows become events and deliveries, in one transaction per batch.

Taking, routing, writing and deleting commit together, so a crash at any moment leaves a change either in the outbox or in
the queue. The doorbell (theory in `store/migrations/0001_engine.sql`, `tidings.capture`) tells when to look.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

import asyncpg
import msgspec

from tidings.clock import Clock
from tidings.core.errors import InvalidInputError
from tidings.core.event import Event, about, delivery_id
from tidings.core.hops import DEFAULT_DEPTH
from tidings.core.lanes import in_turns, place_after, share_out
from tidings.core.pace import Pace
from tidings.core.pauses import Pauses
from tidings.core.routing import Routes
from tidings.store import flights, history, outbox, queue, redaction
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database, said
from tidings.store.queue import Queued
from tidings.store.storage import Stored, stored_of
from tidings.worker import doorbell
from tidings.worker.batches import (
    BadRowsError,
    Batch,
    Routed,
    Size,
    Taker,
    attempted,
    drop_known,
    is_told_to_all,
    without,
)
from tidings.worker.event_cache import EventCache
from tidings.worker.flights import Flights
from tidings.worker.identity import Identity
from tidings.worker.kinds import Kinds
from tidings.worker.loops import LoopGuard, Matched
from tidings.worker.payloads import PayloadLimits
from tidings.worker.places import Places
from tidings.worker.placing import CurrentPlacing, ElsewhereError
from tidings.worker.privacy import Privacy, marked
from tidings.worker.routes import CurrentRoutes
from tidings.worker.sharing import Sharing, Way
from tidings.worker.signals import Signal
from tidings.worker.supplies import FromOutbox, NotNowError, Supply
from tidings.worker.telemetry import Telemetry

logger = logging.getLogger("tidings.dispatcher")

BATCH = 512  # two turns of the outbox
PIPELINES = 2  # batches routed at a time while there is a backlog
BATCHES_BETWEEN_LOOKS = 8  # of each pipeline, before a look whether others need the machine
BUSY_BATCH = 50  # events in one batch that make such a look worth while
STRETCH = 0.02  # seconds of work that rests are reckoned by, where a group that crowds others has no backlog
MANY_DELIVERIES = 5000  # of one batch; when events go to so many webhooks, the next batch takes half as many of them
MAX_TRIES = 50  # of one batch; a row that PostgreSQL refuses is found in some twenty

_lane_of = attrgetter("webhook_id")
_group_of = attrgetter("group_id")

# What a row that cannot be routed raises: PostgreSQL refuses it, or it does not fit what we make of it.
_FAULTS = (asyncpg.PostgresError, InvalidInputError, ValueError, ArithmeticError, LookupError, TypeError)


class Dispatcher:
    """Routes what is in the outbox. Any number may run; each row is taken by one."""

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
        salt: int,
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
        self._outbox = FromOutbox(clock, salt)
        self._places = places
        self._taker = taker
        self._privacy = privacy
        self._tell = tell
        self._size, self._size_beside, self._size_brought = Size(BATCH), Size(BATCH), Size(BATCH)
        self._kinds = Kinds()
        self._loops = LoopGuard(routes, depth=loop_depth)
        self._pace = Pace()
        self._placing = CurrentPlacing(database.server)
        self._sharing = Sharing(database)
        self._stopped = Signal()
        self._pauses, self._collided = Pauses(), Pauses(0.01, 1.0)
        self.rung = Signal()
        self.fallback_interval = doorbell.FALLBACK_INTERVAL
        self.most_leased = flights.MAX_DELIVERIES

    async def run_once(self, *, can_wait: bool = False, way: Way = Way.BY_AGE) -> int:
        """Route one batch and return how many events that were; `BATCH` or more when there may be others.

        Rows that cannot become events are set aside with their reasons. A batch that PostgreSQL refuses is tried again with
        fewer rows, until the one that is at fault is alone, and is set aside as well.

        Args:
            can_wait: The batch waits for places, so that its deliveries need not wait in the queue.
            way: How its rows are chosen.
        """
        for _ in range(MAX_TRIES):
            routed = await self._try_once(can_wait=can_wait, way=way)
            if routed is not None:
                return routed
        return BATCH

    async def _try_once(self, *, can_wait: bool, way: Way) -> int | None:
        """Route a batch, and return how many events that were; None when rows were in the way, and are no longer."""
        is_beside = way is Way.OF_OTHERS
        size = self._size_beside if is_beside else self._size
        limit = self._sharing.limit(size.limit)
        try:
            passed = self._placing.passed
            shares = await self._sharing.shares(way, limit, passed) if passed or way is not Way.BY_AGE else None
        except COLLISIONS:
            return await self._go_again()
        if shares is not None and not shares:
            return 0
        self._places.share(is_shared=self._sharing.is_shared)
        promised = await self._places.promise(limit, can_wait=can_wait, is_beside=is_beside)
        batch = Batch(limit, promised, size, shares=shares, is_beside=is_beside)
        try:
            routed = await self._route_batch(batch, self._outbox)
        except UNAVAILABLE:
            raise
        except COLLISIONS:
            return await self._go_again()
        except (BadRowsError, ElsewhereError) as error:  # groups of the latter are passed over from now on
            if isinstance(error, BadRowsError):
                await self._reject(error.faults)
            return None
        except _FAULTS as error:
            if not batch.numbers:
                raise  # not a row's fault
            await self._narrow_down(size, batch.numbers, error)
            return None
        finally:
            self._places.give_back(batch.others)
            self._places.keep_promise(batch.promised)
        self._collided.reset()
        if shares is not None:
            self._sharing.served(way, shares)
        return BATCH if routed == batch.limit else routed

    async def _go_again(self) -> int:
        """Have a batch that was in another transaction's way be tried again: nothing is wrong with its rows."""
        await self._stopped.wait(self._collided.next())
        return BATCH

    async def _narrow_down(self, size: Size, at_hand: list[int], error: Exception) -> None:
        """Take half as many rows next time, until one that fails is alone: others wait for some ten batches, not for 512 of one
        row each. It is tried twice: another process's janitor may have dropped its day, and that is not the row's fault.
        """
        self.forget_days()
        if isinstance(error, asyncpg.UniqueViolationError) and await drop_known(self._database, at_hand):
            return
        if len(at_hand) > 1 or size.suspect != at_hand[0]:
            logger.warning("a batch cannot be routed, so fewer rows are tried: %s", self._said(error))
            size.limit = max(1, len(at_hand) // 2)
            size.suspect = at_hand[0] if len(at_hand) == 1 else None
            return
        size.suspect = None
        reason = (
            f"PostgreSQL refuses it: {self._said(error)}."
            if isinstance(error, asyncpg.PostgresError)
            else f"It cannot be read: {self._said(error) if self._privacy.hiding else repr(error)}."
        )
        await self._reject({at_hand[0]: reason})

    async def route_brought(self, supply: Supply, count: int, *, can_wait: bool) -> bool:
        """Route events that were brought from elsewhere, and are in no outbox yet; False: they are to be put into it.

        That is so while anything waits there, while a group crowds others, for groups that live elsewhere, and when something
        of these events is at fault: the outbox has the fair shares, the way to other homes, and the narrowing down. What this
        process has no places for waits in the queue, where other processes claim it: that costs less than to route it there.

        Args:
            count: How many events, at most.
            can_wait: There is no other process that could deliver them meanwhile.
        """
        size = self._size_brought
        if self._stopped.is_set or count > size.limit or self._sharing.look(self._routes.current.groups):
            size.limit = min(BATCH, size.limit * 2)
            return False
        promised = await self._places.promise(count, can_wait=can_wait)
        batch = Batch(count, promised, size)
        try:
            await self._route_batch(batch, supply)
        except (*UNAVAILABLE, *COLLISIONS):
            raise
        except (NotNowError, ElsewhereError):
            return False
        except (BadRowsError, *_FAULTS) as error:
            self.forget_days()
            logger.debug("what was brought is put into the outbox, since it cannot be routed: %s", type(error).__name__)
            return False
        finally:
            self._places.give_back(batch.others)
            self._places.keep_promise(batch.promised)
        return True

    async def _route_batch(self, batch: Batch, supply: Supply) -> int:
        """Route a batch in one transaction and return how many rows that were; it learns their numbers once read."""
        async with self._database.transaction() as connection:
            # The version is of the same snapshot as the rows: what was subscribed before a row was committed is in it.
            taken = await supply.take(connection, batch)
            if not taken.numbers:
                return 0
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
            await self._placing.expect_own(connection, taken.placing_version, events, routes.groups)
            made = await self._kinds.make_sure(connection, events)
            worker_id = self._me.worker_id
            batch.origins, batch.answers = taken.origins, taken.answers
            routed = await self._write(connection, events, routes, worker_id, batch, stored_of(taken.uncounted))
        self._kinds.remember(made)  # only now is it sure that they are there
        self._sharing.note(events)
        self._hand_over(routed, worker_id)
        self._tell(routed.listeners)
        if self._telemetry is not None:
            self._telemetry.routed(routed.events, taken_at, self._clock.now())
        return len(events)

    def _hand_over(self, routed: Routed, worker_id: UUID) -> None:
        """Give the deliverer what was leased to it, and keep the events of what waits at hand for the claim that follows."""
        by_id = {event.id: event for event in routed.events}
        for event_id in {q.event_id for q in routed.waiting if q.webhook_id not in routed.listeners}:
            if by_id[event_id].redaction is None:  # nothing of what is hidden is at hand for longer than it is needed
                self._cache.add(by_id[event_id])
            self._places.called.set()
        for leased in routed.deliveries():
            self._airborne.board(worker_id, leased)
            for delivery in leased:
                event, webhook = by_id[delivery.event_id], routed.webhooks[delivery.webhook_id]
                if (answer := routed.answers.get(delivery.id)) is None:
                    self._taker.begin(delivery, event, webhook)
                else:
                    self._taker.attempted(delivery, event, webhook, answer)

    async def _write(
        self, connection: Connection, events: list[Event], routes: Routes, worker_id: UUID, batch: Batch, stored: Stored
    ) -> Routed:
        """Write events and their deliveries: a flight leases those that can be sent at once, the others wait in the queue."""
        now = self._clock.now()
        matched: list[Matched] = []
        fresh: list[Queued] = []
        places: dict[UUID, datetime] = {}  # of events, in ordered lanes
        latest: dict[tuple[str, str | None], datetime] = {}  # of each group and origin: no order hangs on clocks of others
        for event, webhook_ids in await self._match(connection, events, routes):
            is_test, due_at = event.is_test, min(event.occurred_at, now)
            line = event.group_id, batch.origins.get(event.id)
            places[event.id] = latest[line] = place_after(latest.get(line), event.occurred_at, now)
            deliveries = [
                Queued(delivery_id(event.id, webhook_id), webhook_id, event.id, event.group_id, is_test, due_at)
                for webhook_id in webhook_ids
            ]
            matched.append(Matched(event, about(event), deliveries))
            fresh += deliveries
        kept = await self._privacy.keep(connection, matched, now)
        await history.add_events(connection, [(one.event, len(one.deliveries), one.about) for one in kept], stored)
        if kept is not matched:
            events = marked(events, kept)
        batch.size.limit = max(1, batch.size.limit // 2) if len(fresh) > MANY_DELIVERIES else min(BATCH, batch.size.limit * 2)
        if not fresh:
            return Routed(events)
        lanes = list({q.webhook_id for q in fresh})
        rooms, doubted = await queue.lock_lanes(connection, lanes, now)
        doubted |= {lane for lane in lanes if self._places.is_slow(lane)}
        looped = (await self._loops.sort(connection, matched, now)).without(batch.answers)
        await self._loops.stop(connection, looped, now)
        fresh, put_off = without(fresh, looped)
        webhooks = await self._routes.webhooks(connection, lanes)  # closes the lanes of those that cannot be read
        readable = {lane: room for lane, room in rooms.items() if lane in webhooks}
        made, fresh = attempted(fresh, batch.answers, readable)
        capacity = min(self._places.room(batch.promised, is_beside=batch.is_beside), self.most_leased)
        if len(fresh) > capacity:  # some will wait: not all of the same group
            fresh = in_turns(fresh, _group_of)
        if doubted:
            batch.others = self._places.lend_to_others(at_most=min(capacity, sum(q.webhook_id in doubted for q in fresh)))
        leased, waiting = share_out(fresh, _lane_of, readable, capacity, doubted=doubted, others_capacity=batch.others)
        leased = made + leased
        waiting = [q for q in waiting + put_off if q.webhook_id in rooms]  # the others' webhooks were deleted just now
        ordered = {lane for lane, webhook in webhooks.items() if webhook.ordered}
        listeners = {lane for lane, webhook in webhooks.items() if webhook.is_listener}
        if ordered:
            waiting = [
                msgspec.structs.replace(q, due_at=places[q.event_id]) if q.webhook_id in ordered and not q.is_test else q
                for q in waiting
            ]
        if waiting:
            await queue.put(connection, waiting, now, self._me.part)
        parts = [leased[at : at + self.most_leased] for at in range(0, len(leased), self.most_leased)]
        leases = {await flights.begin(connection, worker_id, part, now): part for part in parts}
        return Routed(events, leases, waiting, webhooks, batch.answers, doubted, listeners)

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

    def _said(self, error: Exception) -> str:
        """Return what an error says, but not PostgreSQL's sentence where rules hide values: it can hold one."""
        return type(error).__name__ if self._privacy.hiding else said(error)

    async def _reject(self, faults: dict[int, str]) -> None:
        async with self._database.transaction() as connection:
            await self._privacy.at_least(connection, await redaction.version(connection))
            faults = await outbox.reject(connection, faults, self._privacy.box, self._privacy.hiding)
        number, reason = next(iter(faults.items()))
        logger.error("%d outbox rows cannot be routed and were set aside, the first is %d: %s", len(faults), number, reason)

    # The loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Route until told to stop, through outages of the database."""
        while not self._stopped.is_set:
            try:
                await self._run_connected()
            except UNAVAILABLE as error:
                self._database.outages.failed(error)  # the bell is no connection of the pool
                self.forget_days()
                await self._stopped.wait(self._pauses.next())  # not for the bell: whose connection is gone has rung it

    async def _run_connected(self) -> None:
        bell = await self._database.dedicated(command_timeout=doorbell.BELL_SECONDS)
        waking: asyncio.Task[None] | None = None
        try:
            await bell.add_listener(outbox.OUTBOX_CHANNEL, lambda *_: self.rung.set())
            bell.add_termination_listener(lambda _: self.rung.set())
            while not self._stopped.is_set:
                self.rung.clear()
                begun = time.monotonic()
                routed = await self.run_once()
                self._pauses.reset()
                if waking is not None:
                    await waking
                    waking = None
                if routed >= BUSY_BATCH and await self._is_crowded(bell):
                    await self._stopped.wait(self._pace.rest_seconds(time.monotonic() - begun))
                elif routed == BATCH:
                    # A backlog: while one batch waits for PostgreSQL, another is worked on here; or somebody else's.
                    await asyncio.gather(*(self._drain() for _ in range(1 if self._sharing.is_shared else PIPELINES)))
                elif await self._rest(bell):
                    # What rang is routed while the bell is put back: it does not wait for that journey.
                    waking = asyncio.create_task(outbox.wake(bell))
        finally:
            if waking is not None:
                waking.cancel()
            bell.terminate()

    async def _drain(self) -> None:
        """Route some batches, or until one comes back short, no faster than the deliverer keeps up: what it has room for
        is leased as it is routed. It is not waited for long, since slow receivers must not hold up routing.
        """
        for _ in range(BATCHES_BETWEEN_LOOKS):
            begun = time.monotonic()
            if self._stopped.is_set or await self.run_once(can_wait=True, way=self._sharing.way()) < BATCH:
                return
            if rest := self._sharing.rest_seconds(time.monotonic() - begun):
                await self._stopped.wait(rest)

    async def run_beside(self) -> None:
        """Route what others have while a group crowds them, until told to stop, through outages of the database."""
        pauses = Pauses()
        while not self._stopped.is_set:
            try:
                if not self._sharing.look(self._routes.current.groups):
                    await self._sharing.crowded.wait()
                    continue  # what woke it can be the end
                begun = time.monotonic()
                routed = await self.run_once(way=Way.OF_OTHERS)
                pauses.reset()
                if routed:
                    self.rung.set()  # what crowds was passed over by who looked for it in ranges that were ours until now
                if 0 < routed < BATCH:
                    self._sharing.took(time.monotonic() - begun)
                if routed < BATCH:
                    await self._stopped.wait(self._sharing.interval)
            except UNAVAILABLE:
                await self._stopped.wait(pauses.next())

    async def _is_crowded(self, bell: Connection) -> bool:
        asked = time.monotonic()
        writers = await outbox.writers(bell)
        return self._pace.is_crowded(writers=writers, question_seconds=time.monotonic() - asked)

    async def _rest(self, bell: Connection) -> bool:
        """Sleep until the doorbell rings, when nothing can be committed unheard; otherwise look again soon.

        Returns:
            Whether the doorbell is held, and is to be put back.
        """
        if rest := self._sharing.rest_seconds(STRETCH):
            await self._stopped.wait(rest)  # fewer and larger batches; what others write is not waiting for these
            return False
        return await doorbell.rest(bell, self.rung, self.run_once, fallback_interval=self.fallback_interval)

    def stop(self) -> None:
        """End the loop after the batch it is at."""
        self._stopped.set()
        self._sharing.crowded.set()
        self.rung.set()
