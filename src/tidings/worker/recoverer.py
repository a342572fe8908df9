"""Recoveries, brought on chunk by chunk (theory: `core.recovery`). Any number of workers may do so; a chunk is one's alone."""

import logging
from datetime import datetime
from uuid import UUID

import asyncpg

from tidings.clock import Clock
from tidings.core.event import Event, delivery_id
from tidings.core.job import State, failed
from tidings.core.missing import EVENTS_AT_ONCE, drive_of_heard, where_delivered
from tidings.core.question import Question
from tidings.core.recovery import (
    OUTBOX_IS_FULL,
    UNREADABLE,
    WEBHOOK_IS_GONE,
    Done,
    Recovery,
    Stage,
    advanced,
    chunk_size,
    full,
    held,
    named_next,
    refused,
    rest_of,
    why_not,
)
from tidings.core.recovery_chunk import planned, put_now
from tidings.core.routing import routes_to
from tidings.core.search import Drive, Span, drive_of_deliveries
from tidings.core.webhook import Subscription
from tidings.store import backfills, queue, recoveries, walks, webhooks
from tidings.store.database import COLLISIONS, UNAVAILABLE, Connection, Database
from tidings.store.queue import Queued
from tidings.store.walks import Walked
from tidings.worker.identity import Identity
from tidings.worker.signals import Signal

logger = logging.getLogger("tidings.recoverer")

RECOVER_INTERVAL = 0.5  # seconds until recoveries are looked at again
MAX_OUTBOX = 10_000  # rows that wait to be routed, beyond which recoveries wait


class Recoverer:
    """Puts back into the queue what recoveries ask for."""

    def __init__(self, database: Database, clock: Clock, me: Identity, stopping: Signal) -> None:
        self._database = database
        self._clock = clock
        self._me = me
        self._stopping = stopping

    async def run_once(self) -> int:
        """Work until no recovery is due, and return how many chunks were done."""
        chunks = 0
        while not self._stopping.is_set and await self._bring_on():
            chunks += 1
        return chunks

    async def _bring_on(self) -> bool:
        """Do one chunk of the recovery that has been due longest, and tell whether there was one."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            taken = await recoveries.take(connection, now)
            if taken is None:
                return False
            recovery, exact_ids_from = taken
            if await backfills.is_outbox_full(connection, MAX_OUTBOX):
                after = held(recovery, OUTBOX_IS_FULL, now)
            else:
                after = await self._try_chunk(connection, recovery, exact_ids_from, now)
            await recoveries.advance(connection, after)
        if not after.is_open:
            level = logging.WARNING if after.state == State.FAILED else logging.INFO
            logger.log(
                level, "recovery %s is %s: %d sent again. %s", after.id, after.state, after.queued_count, after.error or ""
            )
        return True

    async def _try_chunk(self, connection: Connection, recovery: Recovery, exact_ids_from: UUID, now: datetime) -> Recovery:
        """Do a chunk, of which nothing is left when PostgreSQL refuses it."""
        try:
            async with connection.transaction():
                return await self._chunk(connection, recovery, exact_ids_from, now)
        except (*UNAVAILABLE, *COLLISIONS):
            raise  # nothing is wrong with the recovery; it goes again
        except (asyncpg.PostgresError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            return refused(recovery, f"{type(error).__name__}: {error}.", now)

    async def _chunk(self, connection: Connection, recovery: Recovery, exact_ids_from: UUID, now: datetime) -> Recovery:
        question = recovery.question
        if question is None:
            return failed(recovery, UNREADABLE, now)
        if recovery.webhook_id is None:
            return advanced(recovery, await self._send_again(connection, recovery, question, exact_ids_from, now), now)
        webhook = await webhooks.get_webhook(connection, recovery.group_id, recovery.webhook_id)
        if webhook is None:
            return failed(recovery, WEBHOOK_IS_GONE, now)
        if (reason := why_not(webhook.enabled, webhook.disabled_reason, webhook.fault)) is not None:
            return failed(recovery, reason, now)
        if recovery.stage == Stage.DELIVERIES:
            done = await self._send_again(connection, recovery, question, exact_ids_from, now)
        else:
            done = await self._send_missing(connection, recovery, webhook, exact_ids_from, now)
        return advanced(recovery, done, now)

    async def _send_again(
        self, connection: Connection, recovery: Recovery, question: Question, exact_ids_from: UUID, now: datetime
    ) -> Done:
        """Find deliveries and send them again.

        They are found without locks. So their lanes are locked before it is decided what becomes of each: who changes a
        delivery holds its lane.
        """
        wanted = chunk_size(recovery.rate_per_second)
        if question.ids:
            named, position = named_next(recovery, wanted)
            walked = Walked(list(named), None if position is None else Span(low=position))
        else:
            drive = drive_of_deliveries(question, await walks.known(connection, question, exact_ids_from))
            walked = await _walk(connection, recovery, drive, wanted)
        if not walked.ids:
            return Done(walked.position, 0, 0)
        lanes_of = {webhook_id for webhook_id, _ in (await recoveries.standing(connection, walked.ids)).values()}
        lanes = await recoveries.lock_lanes(connection, list(lanes_of))
        plan = planned(walked.ids, await recoveries.standing(connection, walked.ids), lanes, question.states)
        again = await queue.send_again(connection, list(plan.again)) if plan.again else set()
        hurried = await recoveries.hurry(connection, plan.hurried, now) if plan.hurried else 0
        if hurried:
            await queue.announce(connection)
        found = len(plan.again) + len(plan.hurried) + plan.skipped
        waits_for = None if plan.held_by is None else full(plan.held_by)
        return Done(plan.held_at or walked.position, found, len(again) + hurried, waits_for)

    async def _send_missing(
        self, connection: Connection, recovery: Recovery, webhook: Subscription, exact_ids_from: UUID, now: datetime
    ) -> Done:
        """Find events that the webhook has no delivery of and would hear now, and make those deliveries.

        Its lane is locked before it is asked which there are: nobody else makes one meanwhile.
        """
        drive = drive_of_heard(webhook, recovery.since, recovery.until)
        walked = await _walk(connection, recovery, drive, EVENTS_AT_ONCE)
        events = await recoveries.events_without_payload(connection, walked.ids) if walked.ids else []
        routes = routes_to(webhook)
        heard = [event for event in events if webhook.id in routes.match(event)]
        if not heard:
            return Done(walked.position, 0, 0)
        lane = (await recoveries.lock_lanes(connection, [webhook.id])).get(webhook.id)
        if lane is None:  # it was deleted just now: the next chunk says so
            return Done(heard[0].id, 0, 0)
        where = {event.id: where_delivered(event, webhook.id, exact_ids_from) for event in heard}
        there = await recoveries.delivered(connection, webhook.id, where)
        missing = [event for event in heard if event.id not in there]
        put = missing[: put_now(lane, recovery.rate_per_second)]
        if put:
            await queue.put(connection, [_fresh(event, webhook.id, now) for event in put], now, self._me.part)
            await recoveries.count_deliveries(connection, [event.id for event in put])
            await queue.announce(connection)
        if len(put) == len(missing):
            return Done(walked.position, len(put), len(put))
        return Done(missing[len(put)].id, len(put), len(put), full(webhook.id) if lane.room == len(put) else None)


async def _walk(connection: Connection, recovery: Recovery, drive: Drive, wanted: int) -> Walked:
    span = rest_of(recovery, drive.span)
    return await walks.walk(connection, drive, span, wanted, newest_first=False)


def _fresh(event: Event, webhook_id: UUID, now: datetime) -> Queued:
    return Queued(delivery_id(event.id, webhook_id), webhook_id, event.id, event.group_id, event.is_test, now)
