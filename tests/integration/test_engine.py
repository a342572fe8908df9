"""From the outbox to history: routing, lanes, leases, retries, records."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.support.engine import engine_of, rescue_after_silence
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, hangs, resets, says
from tidings.config import Config
from tidings.core.retry import Delays
from tidings.core.target import Target
from tidings.store import flights, queue, workers
from tidings.transport.connection import Call
from tidings.transport.sender import Sender
from tidings.worker.duties import Janitor, Rescuer

FAST = Delays(delays=(10, 100), jitter=0)


async def test_a_committed_change_arrives_signed_and_is_recorded(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int primary key, note text)")
        webhook = await engine.add_webhook(receiver.url(), {"table": "orders"})
        await engine.user.execute("insert into orders values (1, '<ü>&')")
        assert await engine.cycle() == 1
        (request,) = receiver.received
        Verifier(webhook.secret).verify(request.body, request.headers)
        (delivery,) = await engine.deliveries()
        (attempt,) = await engine.attempts()
        assert (delivery["status"], delivery["attempt_count"], delivery["last_status"]) == ("succeeded", 1, 200)
        assert (attempt["number"], attempt["response_status"], attempt["response_body"]) == (1, 200, "ok")
        assert attempt["total_ms"] > 0
        assert str(delivery["event_id"]) == request.headers["webhook-id"]
        assert await engine.value("select count(*) from tidings.queue") == 0


async def test_an_event_nobody_wants_is_kept_with_no_delivery(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.publish()
        await engine.cycle()
        assert await engine.value("select delivery_count from tidings.events") == 0


async def test_an_event_goes_to_every_webhook_once(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        for number in range(3):
            await engine.add_webhook(receiver.url(f"/{number}"), "*")
        await engine.publish()
        await engine.cycle()
        assert sorted(request.path for request in receiver.received) == ["/0", "/1", "/2"]
        assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


async def test_a_failed_delivery_is_tried_by_its_policy_and_then_failed(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500, b"no"))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=FAST)
        await engine.publish()
        engine.clock.stand_still()
        for wait in (0, 9, 1, 99, 1):
            engine.clock.ahead += timedelta(seconds=wait)
            await engine.cycle()
        (delivery,) = await engine.deliveries()
        assert (delivery["status"], delivery["attempt_count"], delivery["last_status"]) == ("failed", 3, 500)
        assert delivery["last_error"] == "The receiver answered HTTP 500."
        assert [attempt["number"] for attempt in await engine.attempts()] == [1, 2, 3]
        assert len({(request.headers["webhook-id"], request.body) for request in receiver.received}) == 1


async def test_a_delivery_that_succeeds_at_last_is_succeeded(config: Config, receiver: Receiver) -> None:
    receiver.scripts.extend([says(answer(500)), resets])
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(1, 1), jitter=0))
        await engine.publish()
        for _ in range(3):
            await engine.cycle()
            engine.clock.ahead += timedelta(seconds=2)
        (delivery,) = await engine.deliveries()
        assert (delivery["status"], delivery["attempt_count"]) == ("succeeded", 3)
        failures = [(attempt["failure"], attempt["response_status"]) for attempt in await engine.attempts()]
        assert failures == [(None, 500), ("reset", None), (None, 200)]


async def test_410_disables_the_webhook_and_says_why(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(410))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.cycle()
        await engine.publish()
        await engine.cycle()
        assert len(receiver.received) == 1
        assert await engine.value("select enabled from tidings.webhooks") is False
        assert "410" in await engine.value("select disabled_reason from tidings.webhooks")
        assert [row["status"] for row in await engine.deliveries()] == ["failed"]


async def test_retry_after_lets_the_whole_lane_rest(config: Config, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(429, headers={"retry-after": "60"})))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=FAST)
        await engine.publish()
        await engine.cycle()
        await engine.publish()
        engine.clock.ahead += timedelta(seconds=30)
        await engine.cycle()
        assert len(receiver.received) == 1
        engine.clock.ahead += timedelta(seconds=31)
        await engine.cycle()
        assert len(receiver.received) == 3


async def test_tests_that_fail_do_not_put_a_lane_to_rest(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        for _ in range(6):
            await engine.user.execute(
                "insert into tidings.outbox (source, type, record, webhook_id) values ('publish', 'webhook.test', '{}', $1)",
                webhook.id,
            )
        assert await engine.cycle() == 6
        (lane,) = await engine.sql("select failure_count, rest_count, resting_until from tidings.lanes")
        assert tuple(lane) == (0, 0, None)
        assert {row["status"] for row in await engine.deliveries()} == {"failed"}
        receiver.otherwise = says(answer(200))
        await engine.publish()
        assert await engine.cycle() == 1


async def test_a_lanes_concurrency_holds_over_all_workers(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    async with engine_of(config) as one, engine_of(config) as two:
        await one.add_webhook(receiver.url(), "*", concurrency=3)
        for _ in range(10):
            await one.publish()
        await asyncio.gather(one.worker.dispatcher.run_once(), two.worker.dispatcher.run_once())
        for _ in range(3):
            await asyncio.gather(one.worker.deliverer.run_once(), two.worker.deliverer.run_once())
        await receiver.wait_for(3)
        assert await one.value("select in_flight from tidings.lanes") == 3
        for engine in (one, two):
            await engine.worker.attempts.drain(0)
        assert len(receiver.received) == 3


async def test_a_saturated_lane_goes_on_as_results_come(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", concurrency=2)
        for _ in range(6):
            await engine.publish()
        for _ in range(4):
            await engine.cycle()
        assert len(await engine.deliveries()) == 6


async def test_a_lanes_rate_is_kept(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", rate_per_second=2)
        for _ in range(7):
            await engine.publish()
        engine.clock.stand_still()
        sent = []
        for _ in range(5):
            before = len(receiver.received)
            await engine.cycle()
            sent.append(len(receiver.received) - before)
            engine.clock.ahead += timedelta(seconds=1)
        assert sent == [2, 2, 2, 1, 0]


async def test_an_ordered_lane_waits_for_its_head(config: Config, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(500)))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", ordered=True, retry=FAST)
        for number in range(3):
            await engine.publish(data=f'{{"n":{number}}}')
        await engine.cycle()
        await engine.cycle()
        assert len(receiver.received) == 1
        engine.clock.ahead += timedelta(seconds=11)
        for _ in range(4):
            await engine.cycle()
        numbers = [request.body[-4:-3] for request in receiver.received]
        assert [int(request.body.split(b'"n":')[1][:1]) for request in receiver.received] == [0, 0, 1, 2], numbers


async def test_a_disabled_webhook_gets_nothing_and_loses_nothing_that_was_queued(config: Config, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(500)))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=FAST)
        await engine.publish()
        await engine.cycle()
        await engine.user.execute(
            "update tidings.webhooks set enabled = false; update tidings.lanes set open = false; update tidings.routes_version set version = version + 1"
        )
        engine.clock.ahead += timedelta(hours=1)
        await engine.publish()
        await engine.cycle()
        assert len(receiver.received) == 1
        assert await engine.value("select count(*) from tidings.queue where webhook_id = $1", webhook.id) == 1


async def test_what_a_dead_worker_held_is_due_again_and_its_attempt_is_on_record(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    async with engine_of(config) as dead, engine_of(config) as alive:
        await dead.add_webhook(receiver.url(), "*")
        await dead.publish()
        await dead.worker.dispatcher.run_once()
        await receiver.wait_for(1)
        assert await rescue_after_silence(alive, alive) == 1
        receiver.otherwise = says(answer(200))
        await alive.cycle()
        (delivery,) = await alive.deliveries()
        assert (delivery["status"], delivery["attempt_count"]) == ("succeeded", 2)
        assert [(a["number"], a["failure"]) for a in await alive.attempts()] == [(1, "lost"), (2, None)]
        # The dead one was not dead after all; its late result is refused.
        await dead.worker.attempts.drain(0)
        await dead.worker.recorder.run_once()
        assert [(a["number"], a["failure"]) for a in await alive.attempts()] == [(1, "lost"), (2, None)]
        assert len(await alive.deliveries()) == 1


async def test_nobody_is_judged_by_a_worker_that_could_not_look(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "insert into tidings.workers values (gen_random_uuid(), 'h', 1, now(), now() - interval '1 hour')"
        )
        seconds = 0.0
        rescuer = Rescuer(engine.services.wide, engine.worker.me, engine.worker.airborne, monotonic=lambda: seconds)
        for at in (0, 2, 4, 60, 62, 64, 66, 68):  # it stood still, or the database was away
            seconds = at
            await rescuer.run_once()
            assert await engine.value("select count(*) from tidings.workers") == 2
        seconds = 70
        await rescuer.run_once()
        assert await engine.value("select count(*) from tidings.workers") == 1


async def test_a_clock_that_is_put_forward_or_back_makes_nobody_dead_and_nothing_end_in_the_future(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config) as one, engine_of(config) as two:
        await one.add_webhook(receiver.url(), "*")
        for step in ("3 hours", "-3 hours"):
            # As it is when PostgreSQL's clock was stepped a moment ago: what was written before is in its past, or its future.
            await one.user.execute("update tidings.workers set heartbeat_at = heartbeat_at - $1::text::interval", step)
            await one.user.execute("update tidings.flights set leased_at = leased_at - $1::text::interval", step)
            await one.publish()
            await one.worker.dispatcher.run_once()
            assert await rescue_after_silence(two, one, two) == 0
            one.clock.adjust(await one.value("select now() - $1::text::interval", step))
            await one.worker.attempts.drain(PATIENCE)
            assert await one.worker.recorder.run_once() == 1
        assert await one.value("select count(*) from tidings.workers") == 2
        assert await one.value("select count(*) from tidings.deliveries where status = 'succeeded' and attempt_count = 1") == 2
        assert await one.value("select count(*) from tidings.deliveries where greatest(started_at, finished_at) > now()") == 0


async def test_a_worker_declared_dead_goes_on_as_a_new_one(config: Config) -> None:
    async with engine_of(config) as engine:
        old = engine.worker.me.worker_id
        await engine.user.execute("delete from tidings.workers")
        await engine.worker.heart.run_once()
        assert engine.worker.me.worker_id != old
        assert await engine.value("select id from tidings.workers") == engine.worker.me.worker_id


async def test_leases_whose_answer_was_lost_are_given_back(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", rate_per_second=100)
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        async with engine.services.wide.transaction() as connection:
            await queue.claim(
                connection, engine.worker.me.worker_id, engine.clock.now(), capacity=10, part=engine.worker.me.part
            )
        assert await rescue_after_silence(engine, engine) == 1
        await engine.cycle()
        assert [row["attempt_count"] for row in await engine.deliveries()] == [1]


async def test_a_result_is_refused_when_its_flight_was_grounded(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(1)
        async with engine.services.wide.transaction() as connection:
            await connection.execute("delete from tidings.workers")
            assert await flights.ground_orphans(connection) == 1
        await engine.worker.attempts.drain(10)
        await engine.worker.recorder.run_once()
        assert await engine.deliveries() == []
        assert [attempt["failure"] for attempt in await engine.attempts()] == ["lost"]
        assert tuple((await engine.sql("select in_flight, waiting from tidings.lanes"))[0]) == (0, 1)
        assert len(engine.worker.airborne) == 0


async def test_a_row_that_cannot_be_routed_is_set_aside_and_the_others_go_on(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.user.execute(
            "insert into tidings.outbox (source, operation, table_schema, table_name) values ('tables', 'MERGE', 'public', 't')"
        )
        await engine.publish()
        for _ in range(3):
            await engine.cycle()
        assert len(receiver.received) == 2
        assert "MERGE" in await engine.value("select error from tidings.outbox_rejected")
        assert await engine.value("select count(*) from tidings.outbox") == 0


@pytest.mark.parametrize("at", ["4000-01-01 BC", "20000-01-01", "infinity", "-infinity"])
async def test_a_row_whose_time_cannot_be_read_is_set_aside_and_the_others_go_on(
    config: Config, receiver: Receiver, at: str
) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.user.execute(
            f"insert into tidings.outbox (source, type, record, occurred_at) values ('publish', 'a.b', '{{}}', '{at}')"
        )
        await engine.publish()
        for _ in range(3):
            await engine.cycle()
        assert len(receiver.received) == 2
        assert await engine.value("select count(*) from tidings.outbox_rejected") == 1
        assert await engine.value("select count(*) from tidings.outbox") == 0


async def test_a_body_that_cannot_be_rendered_fails_with_its_reason(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish(data="[" * 5000 + "]" * 5000)
        await engine.publish()
        await engine.cycle()
        rows = await engine.deliveries()
        assert sorted((row["status"], row["last_error"] or "") for row in rows) == [
            ("failed", "The record is nested too deeply to be sent as JSON."),
            ("succeeded", ""),
        ]


class Unwilling(Sender):
    """Begins no exchange with one port."""

    def start(self, target: Target, data: bytes, **options: Any) -> Call:
        if target.port == 9:
            raise RuntimeError("no more of those")
        return super().start(target, data, **options)


async def test_an_attempt_that_cannot_begin_fails_alone_and_is_tried_again(
    config: Config, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook("http://127.0.0.1:9/", "*", name="unwilling", retry=FAST)
        await engine.add_webhook(receiver.url(), "*")
        engine.worker.attempts._sender = unwilling = Unwilling(engine.services.sender.egress)
        for _ in range(3):
            await engine.publish()
        assert await engine.cycle() == 6, "all of them in one turn: none waits for the rescuer"
        assert len(receiver.received) == 3
        await engine.publish()
        assert await engine.cycle() >= 2, "and the next turn begins"
        tried = await engine.sql("select failure, error from tidings.attempts")
        assert {row["failure"] for row in tried} == {"internal"}
        assert all("RuntimeError('no more of those')" in row["error"] for row in tried)
        assert caplog.text.count("broke") == len(tried)
        await unwilling.close()


async def test_a_response_postgresql_cannot_hold_is_recorded_as_far_as_it_can(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(200, b"\x00\xff\xfe ok"))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.cycle()
        (attempt,) = await engine.attempts()
        assert attempt["response_body"] == "\ufffd\ufffd\ufffd ok"


async def test_ids_are_the_same_when_a_batch_is_routed_again_after_a_crash(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        at = datetime.now(UTC)
        insert = "insert into tidings.outbox (id, source, type, record, occurred_at) overriding system value values (77, 'publish', 'a.b', '{}', $1)"
        await engine.user.execute(insert, at)
        await engine.cycle()
        first = await engine.deliveries()
        await engine.user.execute("truncate tidings.events, tidings.deliveries, tidings.attempts")
        await engine.user.execute(insert, at)
        await engine.cycle()
        assert [row["id"] for row in await engine.deliveries()] == [row["id"] for row in first]
        assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


async def test_history_is_made_ahead_and_dropped_by_day_but_never_what_is_unfinished(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        now = engine.clock.now()
        for days in (40, 35):
            await engine.user.execute(
                "insert into tidings.outbox (source, type, record, occurred_at) values ('publish', 'a.b', '{}', $1)",
                now - timedelta(days=days),
            )
        await engine.cycle()
        janitor = Janitor(engine.services.wide, engine.clock, retention_days=30)
        await janitor.run_once()
        assert await engine.value("select count(*) from tidings.events") == 2  # both still needed
        await engine.user.execute("delete from tidings.queue where id = (select id from tidings.queue order by id limit 1)")
        assert await janitor.run_once() == 1
        assert await engine.value("select count(*) from tidings.events") == 1
        tomorrow = (now + timedelta(days=1)).strftime("events_%Y%m%d")
        assert await engine.value("select to_regclass('tidings.' || $1) is not null", tomorrow)


async def test_events_not_in_memory_are_read_back(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as one, engine_of(config) as two:
        await one.add_webhook(receiver.url(), "*", rate_per_second=100)
        await one.publish(data='{"n":1}')
        await one.worker.dispatcher.run_once()
        await two.worker.deliverer.run_once()
        await two.worker.attempts.drain(10)
        assert b'{"n":1}' in receiver.received[0].body


async def test_stopping_drains_what_is_under_way_and_leaves_no_lease(config: Config, receiver: Receiver) -> None:
    go = asyncio.Event()

    async def slow(_: Any, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(answer())

    receiver.otherwise = slow
    async with engine_of(config, running=True) as engine:
        await engine.add_webhook(receiver.url(), "*")
        for _ in range(5):
            await engine.publish()
        await engine.user.execute("notify tidings_outbox")
        await receiver.wait_for(5)
        stopping = asyncio.create_task(engine.worker.stop())
        go.set()
        await stopping
        assert [row["status"] for row in await engine.deliveries()] == ["succeeded"] * 5
        assert await engine.value("select count(*) from tidings.workers") == 0
        await engine.worker.stop()  # twice is once


async def test_stopping_past_the_grace_records_the_attempt_and_leaves_it_due(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(1)
        await engine.worker.attempts.drain(0)
        await engine.worker.recorder.run_once()
        (attempt,) = await engine.attempts()
        assert attempt["failure"] == "stopped"
        assert await engine.value("select due_at <= now() from tidings.queue")


async def test_a_new_subscription_counts_from_the_event_committed_after_it(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url("/first"), "*")
        await engine.publish()
        await engine.cycle()
        await engine.add_webhook(receiver.url("/second"), "*")
        await engine.publish()
        await engine.cycle()
        assert sorted(request.path for request in receiver.received) == ["/first", "/first", "/second"]


@pytest.mark.parametrize("days", [0, 3])
async def test_a_day_without_partitions_gets_them_when_an_event_needs_them(config: Config, days: int) -> None:
    async with engine_of(config) as engine:
        at = engine.clock.now() - timedelta(days=days + 100)
        await engine.user.execute(
            "insert into tidings.outbox (source, type, record, occurred_at) values ('publish', 'a.b', '{}', $1)", at
        )
        await engine.cycle()
        assert await engine.value("select count(*) from tidings.events") == 1


async def test_heartbeats_set_the_clock_by_the_database(config: Config) -> None:
    async with engine_of(config) as engine, engine.services.wide.connection() as connection:
        at = await workers.database_time(connection)
        engine.clock.adjust(at + timedelta(hours=1))
        assert timedelta(minutes=59) < engine.clock.now() - datetime.now(UTC) < timedelta(minutes=61)
