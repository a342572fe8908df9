"""Recoveries: what was not acknowledged comes again, once, with its id, whatever happens to those who work on it."""

import asyncio
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from tests.support.engine import Engine, engine_of, eventually, routed
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tidings.app import make_worker
from tidings.config import Config
from tidings.core.delivery import State as DeliveryState
from tidings.core.errors import ConflictError
from tidings.core.event import delivery_id, milliseconds, uuid7
from tidings.core.job import State
from tidings.core.question import Question
from tidings.core.recovery import CHUNK, MAX_OPEN, MAX_WAITING, Recovery, of_search, of_webhook
from tidings.core.retry import Delays
from tidings.core.webhook import Webhook
from tidings.store import queue, recoveries, walks, webhooks
from tidings.store.statements import load

ONCE = Delays(delays=(), jitter=0)
EVER = datetime(2020, 1, 1, tzinfo=UTC)


async def begin(engine: Engine, recovery: Recovery) -> UUID:
    async with engine.services.wide.transaction() as connection:
        await recoveries.begin(connection, recovery)
    return recovery.id


async def recover(
    engine: Engine, webhook: Webhook, *, since: datetime = EVER, missing: bool = False, rate: float | None = None
) -> UUID:
    """Begin the recovery of a webhook, up to now."""
    now = engine.clock.now()
    async with engine.services.wide.connection() as connection:
        subscription = await webhooks.get_webhook(connection, "default", webhook.id)
    assert subscription is not None
    return await begin(engine, of_webhook(uuid4(), subscription, since, now, now, missing=missing, rate_per_second=rate))


async def state_of(engine: Engine, recovery_id: UUID) -> Recovery:
    async with engine.services.wide.connection() as connection:
        found = await recoveries.get(connection, "default", recovery_id)
    assert found is not None
    return found


async def settle(engine: Engine) -> None:
    """Send all that is due."""
    while await engine.worker.deliverer.run_once():
        await engine.worker.attempts.drain(PATIENCE)
        await engine.worker.recorder.run_once()


async def publish(engine: Engine, count: int, type_: str = "order.paid") -> None:
    await engine.user.execute(
        "insert into tidings.outbox (source, type, record) select 'publish', $2, json_build_object('n', n) from generate_series(1, $1) n",
        count,
        type_,
    )
    await routed(engine)
    await engine.worker.attempts.drain(PATIENCE)
    await engine.worker.recorder.run_once()
    await settle(engine)


async def change(engine: Engine, webhook: Webhook, **fields: Any) -> None:
    """Change a webhook the way the API does."""
    async with engine.services.wide.transaction() as connection:
        was = await webhooks.lock_webhook(connection, engine.services.box, "default", webhook.id)
        assert was is not None
        await webhooks.update_webhook(connection, engine.services.box, msgspec.structs.replace(was, **fields), was=was)


async def delete(engine: Engine, webhook: Webhook) -> None:
    """Delete a webhook the way the API does."""
    async with engine.services.wide.transaction() as connection:
        await webhooks.lock_webhook(connection, engine.services.box, "default", webhook.id)
        await queue.cancel_of_webhook(connection, webhook.id)
        await webhooks.delete_webhook(connection, webhook.id)


async def states(engine: Engine) -> Counter[str]:
    return Counter(row["status"] for row in await engine.deliveries())


async def test_what_failed_comes_again_once_with_the_same_ids(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=ONCE)
        other = await engine.add_webhook(receiver.url("/other"), "*", retry=ONCE)
        await publish(engine, 3)
        receiver.otherwise = says(answer(500))
        await publish(engine, 20)
        failed = [row for row in await engine.deliveries() if row["status"] == "failed" and row["webhook_id"] == webhook.id]
        assert len(failed) == 20
        receiver.otherwise = says(answer(200))
        receiver.received.clear()
        id_ = await recover(engine, webhook)
        assert (await state_of(engine, id_)).state == State.WAITING
        assert await engine.worker.recoverer.run_once() > 0
        await settle(engine)
        assert sorted(r.headers["webhook-id"] for r in receiver.received) == sorted(str(row["event_id"]) for row in failed)
        after = {row["id"]: row for row in await engine.deliveries()}
        assert {after[row["id"]]["status"] for row in failed} == {"succeeded"}
        assert {after[row["id"]]["attempt_count"] for row in failed} == {2}
        assert [row["status"] for row in after.values() if row["webhook_id"] == other.id].count("failed") == 20
        done = await state_of(engine, id_)
        assert (done.state, done.found_count, done.queued_count, done.skipped_count) == (State.DONE, 20, 20, 0)
        assert (done.finished_at, done.error) == (done.updated_at, None)
        again = await recover(engine, webhook)  # all is acknowledged by now
        await engine.worker.recoverer.run_once()
        assert (await state_of(engine, again)).found_count == 0
        assert await engine.unfinished() == 0


async def test_a_worker_that_runs_brings_it_on_by_itself(config: Config, receiver: Receiver) -> None:
    async with engine_of(config, running=True) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, 20)
        await fill(engine, webhook, 20, delivered=False, begin=20)
        id_ = await recover(engine, webhook, missing=True)
        await receiver.wait_for(40)
        await eventually(lambda: engine.value("select count(*) = 40 from tidings.deliveries where status = 'succeeded'"))
        assert (await state_of(engine, id_)).state == State.DONE
        assert len({request.headers["webhook-id"] for request in receiver.received}) == 40


async def test_only_what_happened_in_its_time_is_recovered(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=ONCE)
        times = []
        for hours in (-3, -2, -1):
            at = engine.clock.now().replace(microsecond=0) + timedelta(hours=hours)
            times.append(at)
            await engine.user.execute(
                "insert into tidings.outbox (source, type, record, occurred_at) values ('publish', 'a', '{}', $1)", at
            )
        await publish(engine, 0)
        now = engine.clock.now()
        id_ = await begin(engine, of_webhook(uuid4(), webhook, times[1], times[2], now))
        await engine.worker.recoverer.run_once()
        (waiting,) = await engine.sql("select id from tidings.queue")
        assert waiting["id"].int >> 80 == milliseconds(times[1])
        assert (await state_of(engine, id_)).queued_count == 1


async def test_what_waits_for_its_next_attempt_is_due_now(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(3600, 3600), jitter=0))
        await publish(engine, 2)
        assert await engine.value("select count(*) from tidings.queue where due_at > now() + interval '50 minutes'") == 2
        receiver.otherwise = says(answer(200))
        await recover(engine, webhook)
        await engine.worker.recoverer.run_once()
        await settle(engine)
        assert await states(engine) == {"succeeded": 2}


async def paused_hour(engine: Engine, receiver: Receiver) -> Webhook:
    """A webhook that had 5 events, was paused for 7, and had 4 that failed; and events that it does not want."""
    webhook = await engine.add_webhook(receiver.url(), "order.*", retry=ONCE)
    await engine.add_webhook(receiver.url("/other"), "*", retry=ONCE)
    await publish(engine, 5)
    await change(engine, webhook, enabled=False)
    await publish(engine, 7)
    await publish(engine, 6, "invoice.sent")
    await change(engine, webhook, enabled=True)
    receiver.otherwise = says(answer(500))
    await publish(engine, 4)
    receiver.otherwise = says(answer(200))
    receiver.received.clear()
    return webhook


async def test_what_came_while_it_was_paused_is_made_with_the_ids_it_would_have_had(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await paused_hour(engine, receiver)
        for _ in range(2):  # nothing twice, whoever does so again
            id_ = await recover(engine, webhook, missing=True)
            await engine.worker.recoverer.run_once()
            await settle(engine)
        assert (await state_of(engine, id_)).found_count == 0
        mine = [row for row in await engine.deliveries() if row["webhook_id"] == webhook.id]
        assert Counter(row["status"] for row in mine) == {"succeeded": 16}
        assert all(row["id"] == delivery_id(row["event_id"], webhook.id) for row in mine)
        came = Counter(r.headers["webhook-id"] for r in receiver.received)
        assert len(came) == 11
        assert set(came.values()) == {1}
        told = dict(await engine.sql("select type, sum(delivery_count)::int from tidings.events group by type"))
        assert told == {"order.paid": 16 + 16, "invoice.sent": 6}


async def test_what_came_before_a_webhook_was_there_is_made_and_tables_and_addresses_are_told_apart(
    config: Config, receiver: Receiver
) -> None:
    """By types that it names one by one, which are found by their index, as by families."""
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key); create table notes (id int primary key)")
        first = await engine.add_webhook(receiver.url("/first"), {"table": "orders"}, {"table": "notes"})
        await engine.user.execute(
            "insert into orders select n from generate_series(1, 3) n; insert into notes values (1); update orders set id = id + 10"
        )
        await engine.user.execute(
            "insert into tidings.outbox (source, operation, table_schema, table_name, record, webhook_id) values ('tables', 'INSERT', 'public', 'orders', '{}', $1)",
            first.id,
        )
        await publish(engine, 1)
        for wanted in ({"table": "orders", "operations": ["INSERT"]}, {"table": "*", "operations": ["INSERT"]}):
            webhook = await engine.add_webhook(receiver.url(), wanted)
            id_ = await recover(engine, webhook, missing=True)
            await engine.worker.recoverer.run_once()
            expected = 3 if wanted["table"] == "orders" else 4
            assert (await state_of(engine, id_)).queued_count == expected
            assert await engine.value("select count(*) from tidings.queue where webhook_id = $1", webhook.id) == expected


async def test_a_delivery_whose_id_does_not_tell_its_event_is_not_made_again(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await publish(engine, 2)
        await engine.user.execute(
            "update tidings.settings set value = $1 where name = 'delivery_ids_by_event_since'", str(2**47)
        )
        for row in await engine.deliveries():
            old = uuid7(row["id"].int >> 80, uuid4().int & (1 << 74) - 1)
            await engine.user.execute("update tidings.deliveries set id = $2 where id = $1", row["id"], old)
        id_ = await recover(engine, webhook, missing=True)
        await engine.worker.recoverer.run_once()
        assert (await state_of(engine, id_)).found_count == 0


# Many --------------------------------------------------------------------------------------------------------------------


async def fill(engine: Engine, webhook: Webhook, count: int, *, delivered: bool = True, begin: int = 0) -> None:
    """Write events of the last hour, and failed deliveries of them."""
    now = milliseconds(engine.clock.now()) - 3_600_000
    events = [uuid7(now + n // 100, n << 30 | 7) for n in range(begin, begin + count)]
    await engine.user.copy_records_to_table(
        "events",
        schema_name="tidings",
        columns=("id", "group_id", "source", "type", "record", "occurred_at", "delivery_count"),
        records=[
            (id_, "default", "publish", "order.paid", "{}", engine.clock.now() - timedelta(hours=1), int(delivered))
            for id_ in events
        ],
    )
    if delivered:
        await engine.user.copy_records_to_table(
            "deliveries",
            schema_name="tidings",
            columns=(
                "id",
                "webhook_id",
                "event_id",
                "group_id",
                "is_test",
                "status",
                "attempt_count",
                "finished_at",
                "started_at",
            ),
            records=[
                (delivery_id(id_, webhook.id), webhook.id, id_, "default", False, "failed", 1, now_, now_)
                for id_ in events
                for now_ in (engine.clock.now(),)
            ],
        )
    await engine.user.execute("update tidings.settings set value = '0' where name = 'delivery_ids_by_event_since'")


async def rest(engine: Engine, webhook: Webhook) -> None:
    """Have the lane rest, so that nothing of it is sent."""
    await engine.user.execute(
        "update tidings.lanes set resting_until = now() + interval '1 day', due_at = now() + interval '1 day' where webhook_id = $1",
        webhook.id,
    )


async def test_a_worker_killed_in_the_middle_is_taken_over_and_nothing_comes_twice(config: Config, receiver: Receiver) -> None:
    """Its connection is cut inside a chunk, and its task is cancelled between others; then another goes on."""
    count = 4 * CHUNK + 10
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, count)
        await fill(engine, webhook, count, delivered=False, begin=count)
        await rest(engine, webhook)
        id_ = await recover(engine, webhook, missing=True)
        assert await engine.worker.recoverer._bring_on()
        blocker = await asyncpg.connect(config.database_url)
        for _ in range(2):
            before = await state_of(engine, id_)
            lock = blocker.transaction()
            await lock.start()
            await blocker.execute("select from tidings.lanes where webhook_id = $1 for update", webhook.id)
            killed = asyncio.create_task(engine.worker.recoverer.run_once())
            victim = await eventually(
                lambda: engine.value(
                    "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
                )
            )
            await engine.user.execute("select pg_terminate_backend($1)", victim)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await killed
            await lock.rollback()
            assert await state_of(engine, id_) == before
            task = asyncio.create_task(engine.worker.recoverer.run_once())
            await eventually(partial(_is_further, engine, id_, before))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await blocker.close()
        others = [make_worker(engine.services) for _ in range(3)]
        await asyncio.gather(*(worker.recoverer.run_once() for worker in others))
        await eventually(lambda: _is_done(engine, id_, others[0].recoverer))
        done = await state_of(engine, id_)
        assert (done.state, done.queued_count, done.skipped_count) == (State.DONE, 2 * count, 0)
        assert await engine.value("select count(*) from tidings.queue") == 2 * count
        assert await engine.value("select waiting from tidings.lanes") == 2 * count
        assert await engine.value("select count(*) from tidings.deliveries") == 0
        assert await engine.value("select count(distinct event_id) from tidings.queue") == 2 * count


async def _is_further(engine: Engine, id_: UUID, before: Recovery) -> bool:
    now = await state_of(engine, id_)
    return (now.stage, now.position) != (before.stage, before.position)


async def _is_done(engine: Engine, id_: UUID, recoverer: Any) -> bool:
    await recoverer.run_once()
    return not (await state_of(engine, id_)).is_open


async def test_a_cancelled_recovery_stops_at_the_next_chunk(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, 2 * CHUNK + 1)
        await rest(engine, webhook)
        id_ = await recover(engine, webhook)
        assert await engine.worker.recoverer._bring_on()
        async with engine.services.wide.transaction() as connection:
            ended = await recoveries.cancel(connection, "default", id_, engine.clock.now())
        assert ended is not None
        assert (ended.state, ended.queued_count) == (State.CANCELLED, CHUNK)
        assert await engine.worker.recoverer.run_once() == 0
        assert await engine.value("select count(*) from tidings.queue") == CHUNK
        async with engine.services.wide.transaction() as connection:
            with pytest.raises(ConflictError, match="The recovery is cancelled; there is nothing to cancel"):
                await recoveries.cancel(connection, "default", id_, engine.clock.now())
            assert await recoveries.cancel(connection, "other", id_, engine.clock.now()) is None


async def test_a_rate_is_kept(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, 30)
        await fill(engine, webhook, 30, delivered=False, begin=30)
        await rest(engine, webhook)
        engine.clock.stand_still()
        id_ = await recover(engine, webhook, missing=True, rate=5)
        for second in range(1, 13):
            await engine.worker.recoverer.run_once()
            assert await engine.value("select count(*) from tidings.queue") == min(60, 5 * second)
            engine.clock.ahead += timedelta(seconds=1)
        await engine.worker.recoverer.run_once()
        assert (await state_of(engine, id_)).state == State.DONE


async def test_a_recovery_waits_while_a_lane_is_full(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, 50)
        await fill(engine, webhook, 50, delivered=False, begin=50)
        await engine.user.execute("update tidings.lanes set waiting = $1", MAX_WAITING - 20)
        engine.clock.stand_still()
        id_ = await recover(engine, webhook, missing=True)
        await engine.worker.recoverer.run_once()
        held = await state_of(engine, id_)
        assert (held.state, held.queued_count) == (State.RUNNING, 20)
        assert held.error is not None
        assert held.error.startswith(f"It waits: webhook {webhook.id} has {MAX_WAITING} deliveries waiting")
        await engine.user.execute("update tidings.lanes set waiting = $1", MAX_WAITING - 60)
        engine.clock.ahead += timedelta(seconds=1)
        await engine.worker.recoverer.run_once()
        assert (await state_of(engine, id_)).queued_count == 80
        await engine.user.execute("update tidings.lanes set waiting = 80")
        engine.clock.ahead += timedelta(seconds=1)
        await engine.worker.recoverer.run_once()
        done = await state_of(engine, id_)
        assert (done.state, done.queued_count, done.error) == (State.DONE, 100, None)
        assert await engine.value("select count(*) from tidings.queue") == 100


@pytest.mark.parametrize("missing", [False, True])
async def test_a_webhook_deleted_in_the_middle_ends_its_recovery_and_gets_nothing_more(
    config: Config, receiver: Receiver, missing: bool
) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, 2 * CHUNK, delivered=not missing)
        id_ = await recover(engine, webhook, missing=missing)
        for _ in range(2 if missing else 1):
            assert await engine.worker.recoverer._bring_on()
        assert await engine.value("select count(*) from tidings.queue") == CHUNK
        await delete(engine, webhook)
        await engine.worker.recoverer.run_once()
        assert await engine.value("select count(*) from tidings.queue") == 0
        ended = await state_of(engine, id_)
        assert (ended.state, ended.error) == (State.FAILED, "The webhook was deleted, so there is nowhere to send anything.")


async def test_a_webhook_disabled_in_the_middle_ends_its_recovery_with_the_remedy(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, 2 * CHUNK)
        id_ = await recover(engine, webhook)
        assert await engine.worker.recoverer._bring_on()
        await change(engine, webhook, enabled=False)
        await engine.worker.recoverer.run_once()
        ended = await state_of(engine, id_)
        assert (ended.state, ended.queued_count) == (State.FAILED, CHUNK)
        assert ended.error == "The webhook is disabled. Enable it, then recover; what was sent again keeps its id."


# Searches ----------------------------------------------------------------------------------------------------------------


async def test_what_a_search_finds_is_sent_again_and_webhooks_that_are_gone_or_disabled_are_skipped(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config) as engine:
        hooks = [await engine.add_webhook(receiver.url(f"/{n}"), "*", retry=ONCE) for n in range(4)]
        await publish(engine, 2)
        receiver.otherwise = says(answer(503))
        await publish(engine, 5)
        receiver.otherwise = says(answer(200))
        await delete(engine, hooks[0])
        await change(engine, hooks[1], enabled=False)
        question = Question(group_id="default", classes=(5,))
        id_ = await begin(engine, of_search(uuid4(), question, engine.clock.now()))
        await engine.worker.recoverer.run_once()
        await settle(engine)
        done = await state_of(engine, id_)
        assert (done.state, done.found_count, done.queued_count, done.skipped_count) == (State.DONE, 20, 10, 10)
        assert await states(engine) == {"succeeded": 8 + 10, "failed": 10}


async def test_a_search_for_text_in_small_steps_finds_each_once(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(503))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=ONCE)
        await engine.user.execute("update tidings.lanes set allowance = 100")
        await publish(engine, 40)
        receiver.otherwise = says(answer(200))
        question = Question(group_id="default", text='"n" : 1')  # 1, and 10 to 19
        id_ = await begin(engine, of_search(uuid4(), question, engine.clock.now(), rate_per_second=2))
        engine.clock.stand_still()
        for _ in range(8):
            await engine.worker.recoverer.run_once()
            engine.clock.ahead += timedelta(seconds=1)
        await settle(engine)
        done = await state_of(engine, id_)
        assert (done.state, done.found_count, done.queued_count) == (State.DONE, 11, 11)
        assert await states(engine) == {"succeeded": 11, "failed": 29}


async def test_what_succeeded_is_sent_again_only_where_it_is_named(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=ONCE)
        await publish(engine, 3)
        for asked, expected in (((), 0), ((DeliveryState.SUCCEEDED,), 3)):
            question = Question(group_id="default", states=asked)
            id_ = await begin(engine, of_search(uuid4(), question, engine.clock.now()))
            await engine.worker.recoverer.run_once()
            assert (await state_of(engine, id_)).queued_count == expected


# Keeping house -----------------------------------------------------------------------------------------------------------


async def test_a_recovery_that_cannot_be_read_ends_and_stops_no_other(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=ONCE)
        await publish(engine, 3)
        bad = [await recover(engine, webhook) for _ in range(4)]
        good = await recover(engine, webhook)
        broken = ("[]", '{"group_id": 7}', '{"group_id": "default", "states": ["dreaming"]}', '{"group_id": "other"}')
        for id_, question in zip(bad, broken, strict=True):
            await engine.user.execute("update tidings.recoveries set question = $2::text::json where id = $1", id_, question)
        await engine.worker.recoverer.run_once()
        for id_ in bad:
            ended = await state_of(engine, id_)
            assert (ended.state, ended.queued_count) == (State.FAILED, 0)
            assert ended.error == "Its question cannot be read as it is stored, so it cannot go on. Begin another."
        assert (await state_of(engine, good)).queued_count == 3


async def test_what_postgresql_refuses_is_told_and_tried_again_and_stops_no_other(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=ONCE)
        other = await engine.add_webhook(receiver.url(), "*", retry=ONCE)
        await publish(engine, 1)
        id_ = await recover(engine, webhook)
        good = await recover(engine, other)
        await engine.user.execute(f"alter table tidings.queue add constraint no check (webhook_id <> '{webhook.id}')")
        engine.clock.stand_still()
        await engine.worker.recoverer.run_once()
        told = await state_of(engine, id_)
        assert (told.state, told.fault_count, told.queued_count, told.position) == (State.RUNNING, 1, 0, None)
        assert told.error is not None
        assert told.error.startswith("CheckViolationError")
        assert (await state_of(engine, good)).state == State.DONE
        await engine.user.execute("alter table tidings.queue drop constraint no")
        engine.clock.ahead += timedelta(seconds=1)
        await engine.worker.recoverer.run_once()
        done = await state_of(engine, id_)
        assert (done.state, done.fault_count, done.queued_count, done.error) == (State.DONE, 0, 1, None)


async def test_a_group_has_a_bounded_number_that_are_not_over_and_lists_them_page_by_page(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        ids = [await recover(engine, webhook) for _ in range(MAX_OPEN)]
        with pytest.raises(ConflictError, match="Group 'default' has 10 recoveries that are not over"):
            await recover(engine, webhook)
        async with engine.services.wide.connection() as connection:
            first = await recoveries.list_recoveries(connection, "default", limit=7)
            second = await recoveries.list_recoveries(connection, "default", limit=7, after=first[-1].id)
            assert await recoveries.list_recoveries(connection, "other", limit=7) == []
        assert [recovery.id for recovery in first + second] == ids[::-1]
        await engine.worker.recoverer.run_once()
        await recover(engine, webhook)


async def test_those_that_are_over_are_forgotten_with_history(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        over = await recover(engine, webhook)
        await engine.worker.recoverer.run_once()
        running = await recover(engine, webhook)
        async with engine.services.wide.connection() as connection:
            await recoveries.forget(connection, engine.clock.now() - timedelta(days=1), 10)
            assert (await state_of(engine, over)).state == State.DONE
            await recoveries.forget(connection, engine.clock.now(), 10)
        assert [row["id"] for row in await engine.sql("select id from tidings.recoveries")] == [running]


async def test_a_day_that_something_was_just_recovered_of_is_not_dropped(config: Config, receiver: Receiver) -> None:
    """The janitor has made up its mind, and waits for the lock that the recovery holds."""
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        old = engine.clock.now() - timedelta(days=20)
        await engine.user.execute("select tidings.ensure_day($1)", old.date())
        event = uuid7(milliseconds(old), 5)
        await engine.user.execute(
            "insert into tidings.events (id, group_id, source, type, occurred_at, delivery_count) values ($1, 'default', 'publish', 'a', $2, 0)",
            event,
            old,
        )
        janitor = await asyncpg.connect(config.database_url)
        async with engine.services.wide.transaction() as connection:
            await connection.execute("select from tidings.events where id = $1 for update", event)
            dropping = asyncio.create_task(
                janitor.fetchval("select tidings.drop_days_before($1)", old.date() + timedelta(days=1))
            )
            await eventually(lambda: engine.value("select count(*) from pg_locks where not granted"))
            await connection.execute(
                "insert into tidings.queue (id, webhook_id, event_id, group_id, due_at) values ($1, $2, $3, 'default', now())",
                delivery_id(event, webhook.id), webhook.id, event,
            )  # fmt: skip
        assert await dropping == 0
        assert await engine.value("select count(*) from tidings.events") == 1
        await engine.user.execute("delete from tidings.queue")
        assert await janitor.fetchval("select tidings.drop_days_before($1)", old.date() + timedelta(days=1)) == 1
        await janitor.close()


# Size --------------------------------------------------------------------------------------------------------------------


async def test_a_hundred_thousand_cost_no_more_memory_than_a_thousand(config: Config, receiver: Receiver) -> None:
    count = 100_000
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        for begin_ in range(0, count, 20_000):
            await fill(engine, webhook, 20_000, begin=begin_)
        await rest(engine, webhook)
        id_ = await recover(engine, webhook, missing=True)
        peaks = []
        while True:
            await engine.user.execute("update tidings.lanes set waiting = 0")  # as if it were worked off meanwhile
            tracemalloc.start()
            was_one = await engine.worker.recoverer._bring_on()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            if not was_one:
                break
        done = await state_of(engine, id_)
        assert (done.state, done.queued_count) == (State.DONE, count)
        assert len(peaks) >= 2 * count // 1000
        assert max(peaks) < 4_000_000
        half = count // CHUNK
        for of_stage in (peaks[:half], peaks[half + 1 : -1]):
            assert max(of_stage[10:]) <= 1.5 * max(of_stage[:10])


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def literal(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"'{{{','.join(map(str, value))}}}'"
    return f"'{value}'"


async def test_each_statement_of_a_chunk_reads_what_it_is_about_by_index(config: Config, receiver: Receiver) -> None:
    """Beside a history that is forty times as large; whatever the statistics, which know nothing of it."""
    many = 200
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await fill(engine, webhook, 8_000)
        found = await engine.sql("select id, event_id from tidings.deliveries order by id limit $1 offset 4000", many)
        ids, events = [row["id"] for row in found], [row["event_id"] for row in found]
        given = {
            "standing": (ids, min(ids), max(ids)),
            "events": (events, min(events), max(events)),
            "delivered": (webhook.id, events, ids, ids),
            "count_deliveries": (events, min(events), max(events)),
        }
        async with engine.services.wide.transaction() as connection:
            await connection.execute("set local plan_cache_mode = force_generic_plan")
            for name, args in given.items():
                await connection.execute(f"prepare looked as {load('recoveries')[name]}")
                text = f"explain (analyze, format json) execute looked ({', '.join(map(literal, args))})"
                plan = json.loads(await connection.fetchval(text))[0]["Plan"]
                await connection.execute("deallocate looked")
                scans = [node for node in nodes(plan) if node.get("Relation Name") and node["Actual Loops"]]
                assert {node["Relation Name"] for node in scans if node["Node Type"] == "Seq Scan"} <= {"flights"}, name
                read = sum(
                    (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans
                )
                assert read <= 3 * many, name


# Dry runs ----------------------------------------------------------------------------------------------------------------


async def dry(engine: Engine, webhook: Webhook, wanted: int) -> list[int]:
    """What it would have been sent, page by page, as the numbers of its pages' events."""
    now, before, pages, found = engine.clock.now(), None, [], []
    async with engine.services.wide.snapshot() as connection:
        while True:
            run = await walks.dry_run(connection, webhook, now - timedelta(days=1), now, wanted, before=before)
            pages.append(len(run.events))
            found += [event.id for event in run.events]
            before = run.before
            if before is None:
                break
    assert found == sorted(set(found), reverse=True)
    return pages


@pytest.mark.parametrize("wanted", ["order.paid", "order.*", "*"])
async def test_a_dry_run_tells_what_a_webhook_that_is_not_saved_would_have_been_sent(
    config: Config, receiver: Receiver, wanted: str
) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), wanted, enabled=False)
        await delete(engine, webhook)
        await publish(engine, 2500)
        await publish(engine, 7, "invoice.sent")
        pages = await dry(engine, webhook, 400)
        assert sum(pages) == (2507 if wanted == "*" else 2500)
        assert max(pages) == 400
        assert await dry(engine, msgspec.structs.replace(webhook, group_id="other"), 400) == [0]
