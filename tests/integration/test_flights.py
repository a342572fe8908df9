"""Flights: whatever workers do and wherever they die, each delivery is in one place and every lane counts right."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.engine import Engine, engine_of, rescue_after_silence
from tests.support.receiver import Receiver, answer, hangs, resets, says
from tidings.config import Config
from tidings.core.retry import Delays
from tidings.store import flights, outbox, queue
from tidings.store.statistics import WHOLE_GROUP
from tidings.store.tallies import Minute
from tidings.worker.duties import Rescuer

POLICY = Delays(delays=(1, 1), jitter=0)

# What can be found wrong with the books, each as a question that no row may answer.
CHECKS = {
    "a lane counts other attempts than are under way": """
        select l.webhook_id, l.in_flight, f.n from tidings.lanes l left join (
          select u.webhook_id, count(*) as n from tidings.under_way u
          where not exists (select from tidings.attempts a where a.delivery_id = u.id and a.number = u.number)
            and not exists (select from tidings.deliveries d where d.id = u.id and d.attempt_count = u.number)
          group by u.webhook_id) f on f.webhook_id = l.webhook_id
        where l.in_flight <> coalesce(f.n, 0)""",
    "a lane counts other waiting deliveries than the queue has": """
        select l.webhook_id, l.waiting, q.n from tidings.lanes l
        left join (select webhook_id, count(*) as n from tidings.queue group by 1) q using (webhook_id) where l.waiting <> coalesce(q.n, 0)""",
    "the counters count other waiting deliveries than the queue has": """
        select 1 where (select coalesce(sum(case name when 'claimed' then -count else count end), 0) from tidings.counters
          where name in ('queued', 'requeued', 'claimed')) <> (select count(*) from tidings.queue)""",
    "a delivery is in two places": """
        select id from (
          select id from tidings.queue union all select id from tidings.deliveries union all
          select u.id from tidings.under_way u
          where not exists (select from tidings.attempts a where a.delivery_id = u.id and a.number = u.number)
            and not exists (select from tidings.deliveries d where d.id = u.id and d.attempt_count = u.number)
        ) places group by id having count(*) > 1""",
    "an event has lost a delivery": """
        select e.id from tidings.events e where e.delivery_count <>
          (select count(*) from tidings.queue q where q.event_id = e.id)
          + (select count(*) from tidings.deliveries d where d.event_id = e.id)
          + (select count(*) from tidings.under_way u
             where u.event_id = e.id and not exists (select from tidings.attempts a where a.delivery_id = u.id and a.number = u.number)
               and not exists (select from tidings.deliveries d where d.id = u.id and d.attempt_count = u.number))""",
    "attempts are missing": """
        select d.id from tidings.deliveries d
        where d.attempt_count <> (select count(*) from tidings.attempts a where a.delivery_id = d.id) + (d.started_at is not null)::integer""",
}


async def assert_books_are_right(engine: Engine) -> None:
    for complaint, question in CHECKS.items():
        assert await engine.sql(question) == [], complaint


async def rescue(by: Engine) -> int:
    return await Rescuer(by.services.wide, by.worker.me, by.worker.airborne).run_once()


async def die(engine: Engine) -> None:
    """Lose all that is in memory, as a killed process does, and begin as another worker."""
    worker = engine.worker
    await worker.attempts.drain(0)
    worker.recorder._results.clear()
    worker.recorder._arrived.clear()
    worker.airborne.forget(worker.airborne.known)
    await engine.user.execute("delete from tidings.workers where id = $1", worker.me.worker_id)
    await worker.heart.run_once()


# As an operator's own UPDATE would leave it, told as every change is.
CHANGE = "with v as (update tidings.routes_version set version = version + 1 returning version) insert into tidings.webhook_changes (version, webhook_id) select v.version, w.id from v, tidings.webhooks w where w.url like '%/plain'"
SPOIL = f"update tidings.webhooks set version = version + 1, retry = '1' where url like '%/plain'; {CHANGE}"
MEND = (
    f"update tidings.webhooks set version = version + 1, fault = null, retry = '{{\"delays\": [1, 1], \"jitter\": 0}}' where url like '%/plain'; {CHANGE};"
    " update tidings.lanes set open = true, due_at = now() where webhook_id in (select id from tidings.webhooks where url like '%/plain')"
)

STEPS = (
    "publish",
    "dispatch",
    "claim",
    "drain",
    "record",
    "die",
    "rescue",
    "later",
    "resend",
    "fail",
    "reset",
    "well",
    "spoil",
    "mend",
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), min_size=10, max_size=40))
async def test_whatever_happens_each_delivery_is_in_one_place_and_lanes_count_right(
    two_engines: tuple[Engine, Engine], receiver: Receiver, steps: list[tuple[str, bool]]
) -> None:
    one, two = two_engines
    receiver.otherwise = says(answer(200))
    for step, which in steps:
        await take(step, one if which else two, receiver)
        await assert_books_are_right(one)
    receiver.otherwise = says(answer(200))
    await one.user.execute(MEND)
    for _ in range(60):  # everything comes to its end
        await rescue(one)
        for engine in (one, two):
            engine.clock.ahead += timedelta(seconds=301)
            await engine.cycle()
        if not await one.unfinished() and not await one.value("select count(*) from tidings.outbox"):
            break
    await assert_books_are_right(one)
    assert await one.value("select count(*) from tidings.deliveries") == await one.value(
        "select coalesce(sum(delivery_count), 0) from tidings.events"
    )
    assert await one.unfinished() == 0


async def take(step: str, engine: Engine, receiver: Receiver) -> None:
    worker = engine.worker
    match step:
        case "publish":
            for _ in range(3):
                await engine.publish()
        case "dispatch":
            await worker.dispatcher.run_once()
        case "claim":
            await worker.deliverer.run_once()
        case "drain":
            await worker.attempts.drain(20)
        case "record":
            await worker.recorder.run_once()
        case "die":
            await die(engine)
        case "rescue":
            await rescue(engine)
        case "later":
            engine.clock.ahead += timedelta(seconds=2)
        case "resend":
            async with engine.services.wide.transaction() as connection:
                ids = [row["id"] for row in await connection.fetch("select id from tidings.deliveries order by id limit 2")]
                await queue.send_again(connection, ids)
        case "spoil":
            await engine.user.execute(SPOIL)
        case "mend":
            await engine.user.execute(MEND)
        case "fail":
            receiver.otherwise = says(answer(500))
        case "reset":
            receiver.otherwise = resets
        case "well":
            receiver.otherwise = says(answer(200))


@pytest.fixture
async def two_engines(config: Config, receiver: Receiver) -> Any:
    async with engine_of(config) as one, engine_of(config) as two:
        await one.add_webhook(receiver.url("/plain"), "*", retry=POLICY)
        await one.add_webhook(receiver.url("/narrow"), "*", retry=POLICY, concurrency=2)
        await one.add_webhook(receiver.url("/ordered"), "*", retry=POLICY, ordered=True)
        await one.add_webhook(receiver.url("/slow"), "*", retry=POLICY, rate_per_second=5)
        yield one, two


async def test_what_is_done_leaves_its_flight_and_what_lasts_is_kept_small(config: Config, receiver: Receiver) -> None:
    receiver.scripts.append(hangs)
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        for _ in range(5):
            await engine.publish()
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(5)
        await engine.worker.attempts.drain(0)
        flight = next(iter(engine.worker.airborne._flights.values()))
        stopped = engine.worker.recorder._results.pop()  # as if it still hung
        flight.begun -= 60
        await engine.worker.recorder.run_once()
        await engine.worker.recorder._keep_flights_small()
        assert await engine.value("select cardinality(delivery_ids) from tidings.flights") == 1
        assert await engine.value("select delivery_ids[1] from tidings.flights") == stopped.delivery.id
        await assert_books_are_right(engine)
        engine.worker.recorder.add(stopped)
        await engine.worker.recorder.run_once()
        assert await engine.value("select count(*) from tidings.flights") == 0
        assert len(engine.worker.airborne) == 0


async def test_results_whose_commit_was_not_answered_are_written_once(config: Config, receiver: Receiver) -> None:
    receiver.scripts.extend([hangs, says(answer(500))])
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=POLICY)
        for _ in range(4):
            await engine.publish()
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(4)
        await engine.worker.attempts.drain(0)
        recorder, (flight,) = engine.worker.recorder, engine.worker.airborne._flights.values()
        hanging = next(result for result in recorder._results if result.exchange.failure == "stopped")
        recorder._results.remove(hanging)
        results, left = list(recorder._results), set(flight.left)
        await recorder.run_once()
        # As if the answer to the commit had been lost.
        flight.left, recorder._results[:], recorder._is_unsure, recorder._minute = left, results, True, Minute()
        await recorder.run_once()
        await assert_books_are_right(engine)
        assert len(await engine.attempts()) == 3
        assert recorder._results == []
        await engine.publish()
        receiver.otherwise = says(answer(200))
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(5)
        await engine.worker.attempts.drain(10)
        await recorder.run_once()
        assert await engine.value("select sum(count) from tidings.statistics where webhook_id <> $1", WHOLE_GROUP) == 4
        recorder.add(hanging)
        await recorder.run_once()
        await assert_books_are_right(engine)
        assert await engine.value("select count(*) from tidings.flights") == 0


async def test_what_was_put_back_without_an_attempt_is_not_put_back_again_when_its_worker_dies(
    config: Config, receiver: Receiver
) -> None:
    receiver.scripts.append(says(answer(500)))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url("/plain"), "*", retry=POLICY)
        await engine.publish()
        await engine.cycle()
        await engine.add_webhook(receiver.url("/slow"), "*", rate_per_second=5)
        receiver.otherwise = hangs
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await engine.user.execute(SPOIL)
        engine.clock.ahead += timedelta(seconds=2)
        await engine.worker.deliverer.run_once()  # one flight: a retry that cannot be sent, and one that hangs
        await receiver.wait_for(3)
        await engine.worker.recorder.run_once()
        await assert_books_are_right(engine)
        await die(engine)
        await rescue(engine)
        await assert_books_are_right(engine)


async def test_a_flight_whose_lease_was_lost_on_the_way_was_not_sent(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(1)
        await engine.worker.attempts.drain(10)
        engine.worker.recorder._results.clear()
        engine.worker.airborne.forget(engine.worker.airborne.known)
        assert await rescue(engine) == 0
        assert await rescue_after_silence(engine, engine) == 1
        assert await engine.attempts() == []
        assert await engine.value("select attempt_count from tidings.queue") == 0
        await assert_books_are_right(engine)


async def test_what_is_under_way_when_its_webhook_goes_ends_with_its_own_result(config: Config, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(500)))
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(2)
        await engine.worker.attempts.drain(10)
        async with engine.services.wide.transaction() as connection:
            await queue.cancel_of_webhook(connection, webhook.id)
            await connection.execute("delete from tidings.webhooks")
        await engine.worker.recorder.run_once()
        assert sorted((row["status"], row["attempt_count"]) for row in await engine.deliveries()) == [
            ("cancelled", 1),
            ("succeeded", 1),
        ]
        assert len(await engine.attempts()) == 2
        assert await engine.unfinished() == 0


async def test_a_dead_workers_flights_are_grounded_a_hundred_at_a_time(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            "insert into tidings.flights (worker_id, leased_at, delivery_ids, event_ids, lanes, lane_numbers)"
            " select gen_random_uuid(), now(), '{}', '{}', '{}', '{}' from generate_series(1, $1)",
            flights.ORPHANS_AT_ONCE + 1,
        )
        await rescue(engine)
        assert await engine.value("select count(*) from tidings.flights") == 1


async def test_what_history_has_no_event_of_is_let_go_and_stops_nobody(config: Config) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook("http://127.0.0.1:9/", "*")
        await engine.user.execute(
            "insert into tidings.flights (worker_id, leased_at, delivery_ids, event_ids, lanes, lane_numbers)"
            " values (gen_random_uuid(), now(), array[gen_random_uuid()], array[gen_random_uuid()], array[$1::uuid], '{1}')",
            webhook.id,
        )
        await engine.user.execute("update tidings.lanes set in_flight = 1")
        assert await rescue(engine) == 1
        await assert_books_are_right(engine)
        assert await engine.unfinished() == 0


async def test_who_falls_asleep_beside_another_looks_once_more(config: Config, receiver: Receiver) -> None:
    """A row that came into a turn which another was routing is seen by whoever held the turn, since the other could not."""
    async with engine_of(config) as one, engine_of(config) as two:
        await one.add_webhook(receiver.url(), "*")
        first, second = one.worker.dispatcher, two.worker.dispatcher
        sleeper, bell = await two.services.wide.dedicated(), await one.services.wide.dedicated()
        async with one.services.wide.transaction() as routing:
            await one.user.execute("insert into tidings.outbox (source, type, record) values ('publish', 'a.b', '{}')")
            assert len((await outbox.take(routing, 1)).rows) == 1
            await one.user.execute("insert into tidings.outbox (source, type, record) values ('publish', 'a.b', '{}')")
            assert await outbox.try_sleep(sleeper)
            assert await second.run_once() == 0
        first.fallback_interval = 0
        assert not await first._rest(bell)
        assert await one.value("select count(*) from tidings.outbox") == 0
        sleeper.terminate()
        bell.terminate()
