"""Lanes: what their breaker may put off and what it may not, and how tests go past them. Time is virtual."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.integration.test_flights import assert_books_are_right
from tests.support.engine import Engine, engine_of
from tests.support.receiver import Receiver, answer, resets, says
from tidings.config import Config
from tidings.core.event import TEST_TYPE
from tidings.core.retry import Delays
from tidings.profiles import PROFILES
from tidings.sources.publish import new_event
from tidings.store import outbox, queue
from tidings.store.queue import LaneTally

DOWN = says(answer(500))
WELL = says(answer(200))


async def attempts_by_delivery(engine: Engine) -> dict[Any, list[datetime]]:
    made: dict[Any, list[datetime]] = {}
    for attempt in await engine.attempts():
        made.setdefault(attempt["delivery_id"], []).append(attempt["started_at"])
    return made


async def next_due_at(engine: Engine) -> datetime | None:
    return await engine.value("select nullif(min(due_at), 'infinity') from tidings.lanes")


def assert_promised(made: list[datetime], delays: Any) -> None:
    """Each attempt came no earlier than promised, and at most a tenth later."""
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(made)]
    for gap, delay in zip(gaps, delays, strict=True):
        assert delay - 1e-4 <= gap <= delay * 1.1 + 1e-4, (gaps, delays)  # a timestamp has microseconds


@pytest.mark.parametrize("way", [DOWN, resets], ids=["says 500", "resets"])
@pytest.mark.parametrize("profile", PROFILES)
async def test_promised_retries_hold_while_a_receiver_fails_all_along_and_new_events_come_in(
    config: Config, receiver: Receiver, profile: str, way: Any
) -> None:
    receiver.otherwise = way
    async with engine_of(config) as engine:
        await engine.user.execute("create table posts (id int)")
        policy = PROFILES[profile].retry
        await engine.add_webhook(receiver.url(), {"table": "posts"}, profile=profile, retry=policy)
        engine.clock.stand_still()
        published: list[datetime] = []
        next_event: datetime | None = engine.clock.now()
        while True:
            if next_event is not None and next_event <= engine.clock.now():
                if await engine.unfinished() < 19:
                    await engine.user.execute("insert into posts values (1)")
                    published.append(engine.clock.now())
                next_event = engine.clock.now() + timedelta(seconds=7) if len(published) < 25 else None
            await engine.cycle()
            due_at = await next_due_at(engine)
            if due_at is None and next_event is None:
                break
            if await engine.unfinished() >= 19 and due_at is not None:
                next_event = next_event and max(next_event, due_at)
            engine.clock.put_to(max(engine.clock.now(), min(at for at in (due_at, next_event) if at is not None)))
        made = await attempts_by_delivery(engine)
        delays = [policy.delay_after(number) for number in range(1, 100) if policy.delay_after(number) is not None]
        for starts in made.values():
            assert_promised(starts, delays)
        assert sorted(starts[0] for starts in made.values()) == published  # and none of the new ones waited
        assert len(published) == 25
        assert {row["status"] for row in await engine.deliveries()} == {"failed"}
        await assert_books_are_right(engine)


async def test_the_breaker_spreads_what_a_long_lane_has_waiting(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(10,) * 20))
        engine.clock.stand_still()
        for _ in range(200):
            await engine.publish()
        await engine.cycle()
        assert len(receiver.received) == 10  # a lane begins with ten at once
        rests = []
        for _ in range(12):
            await engine.cycle()
            due_at = await next_due_at(engine)
            rests.append(round((due_at - engine.clock.now()).total_seconds()))
            engine.clock.put_to(due_at)
        assert len(receiver.received) == 10 + 11  # single probes
        assert rests == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        await assert_books_are_right(engine)


async def test_a_long_lane_is_tried_by_single_probes_and_ramps_up_when_its_receiver_is_well(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(0.1,) * 50, jitter=0))
        for _ in range(30):
            await engine.publish()
        engine.clock.stand_still()
        await engine.cycle()
        assert len(receiver.received) == 10
        lane = (await engine.sql("select failure_count, rest_count, allowance, resting_until from tidings.lanes"))[0]
        assert (lane["failure_count"], lane["rest_count"], lane["allowance"]) == (10, 1, 1)
        assert lane["resting_until"] - engine.clock.now() <= timedelta(seconds=1)  # they failed together: the shortest rest
        await engine.cycle()
        assert len(receiver.received) == 10  # it rests
        engine.clock.ahead += timedelta(seconds=9)
        await engine.cycle()
        assert len(receiver.received) == 11  # one probe
        receiver.otherwise = WELL
        sent = []
        for _ in range(6):
            engine.clock.ahead += timedelta(seconds=300)
            before = len(receiver.received)
            await engine.cycle()
            sent.append(len(receiver.received) - before)
        assert sent == [1, 2, 4, 8, 15, 0]


async def test_a_lane_that_became_short_keeps_its_times_again(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(10, 10, 10, 10), jitter=0), concurrency=5)
        engine.clock.stand_still()
        for _ in range(22):
            await engine.publish()
        became_short = None
        while became_short is None or await engine.unfinished():
            await engine.cycle()
            left = await engine.unfinished()
            if became_short is None and 0 < left < 20:
                became_short = engine.clock.now()
            if (due_at := await next_due_at(engine)) is not None:
                engine.clock.put_to(max(engine.clock.now(), due_at))
        # They were spread over an hour; now each is due, and goes: five at once, which is the webhook's own limit.
        assert engine.clock.now() - became_short <= timedelta(seconds=2)


async def test_the_head_of_an_ordered_lane_keeps_its_times(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(2,) * 12), ordered=True)
        engine.clock.stand_still()
        for _ in range(3):
            await engine.publish()
        for _ in range(39):
            await engine.cycle()
            if (due_at := await next_due_at(engine)) is not None:
                engine.clock.put_to(max(engine.clock.now(), due_at))
        made = list((await attempts_by_delivery(engine)).values())
        assert len(made) == 3
        for starts in made:
            assert_promised(starts, (2,) * 12)
        ends = [starts[-1] for starts in made]
        assert all(end <= later[0] for end, later in zip(sorted(ends), sorted(made)[1:], strict=False))  # one after the other


async def test_retry_after_holds_a_lane_however_short_it_is_and_whatever_else_succeeds(
    config: Config, receiver: Receiver
) -> None:
    receiver.scripts.append(says(answer(429, headers={"retry-after": "60"})))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(1, 100)))
        engine.clock.stand_still()
        await engine.publish()
        await engine.publish()
        await engine.cycle()
        assert len(receiver.received) == 2  # both were under way; the other one succeeded
        await engine.publish()
        engine.clock.ahead += timedelta(seconds=59)
        await engine.cycle()
        assert len(receiver.received) == 2
        engine.clock.ahead += timedelta(seconds=8)
        await engine.cycle()
        assert len(receiver.received) == 4


# Tests -----------------------------------------------------------------------------------------------------------------


async def press_test(engine: Engine, webhook: Any) -> None:
    await engine.user.execute(
        "insert into tidings.outbox (source, type, record, webhook_id) values ('publish', 'webhook.test', '{}', $1)", webhook.id
    )


async def arrives_at_once(engine: Engine, receiver: Receiver, webhook: Any) -> bool:
    """Press the test button and let the engine go round once; tell whether that one test was all that arrived."""
    before, tested = len(receiver.received), await engine.value("select count(*) from tidings.deliveries where is_test")
    await press_test(engine, webhook)
    await engine.cycle()
    await assert_books_are_right(engine)
    tests = await engine.value("select count(*) from tidings.deliveries where is_test") - tested
    return (len(receiver.received) - before, tests) == (1, 1)


async def test_a_test_arrives_while_the_lane_rests_and_ends_the_rest_when_it_succeeds(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(300,) * 3))
        engine.clock.stand_still()
        for _ in range(40):
            await engine.publish()
        await engine.cycle()
        rest = await next_due_at(engine)
        assert rest > engine.clock.now()
        assert await arrives_at_once(engine, receiver, webhook)
        assert await next_due_at(engine) == rest  # it failed, which is its maker's to see
        receiver.otherwise = WELL
        assert await arrives_at_once(engine, receiver, webhook)
        before = len(receiver.received)
        await engine.cycle()
        assert len(receiver.received) > before


async def test_a_test_arrives_past_the_failing_head_of_an_ordered_lane_which_keeps_its_time(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", ordered=True, retry=Delays(delays=(300,), jitter=0))
        engine.clock.stand_still()
        await engine.publish()
        await engine.publish()
        await engine.cycle()
        receiver.otherwise = WELL
        assert await arrives_at_once(engine, receiver, webhook)
        await engine.cycle()
        assert len(receiver.received) == 2
        engine.clock.ahead += timedelta(seconds=300)
        await engine.cycle()
        assert len(receiver.received) == 3


async def test_a_test_arrives_past_the_lowest_rate(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", rate_per_second=0.001)
        engine.clock.stand_still()
        await engine.publish()
        await engine.publish()
        await engine.cycle()
        assert len(receiver.received) == 1
        assert await arrives_at_once(engine, receiver, webhook)
        assert await arrives_at_once(engine, receiver, webhook)


async def test_a_test_of_a_paused_webhook_arrives_and_nothing_else_does(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await engine.worker.attempts.drain(60)
        await engine.worker.recorder.run_once()
        await engine.user.execute(
            "update tidings.webhooks set enabled = false; update tidings.lanes set open = false; update tidings.routes_version set version = version + 1"
        )
        await engine.publish()
        assert await arrives_at_once(engine, receiver, webhook)
        assert await engine.value("select open from tidings.lanes") is False


async def test_a_test_arrives_past_a_lane_whose_places_are_all_taken(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*", concurrency=1)
        receiver.scripts.append(says(b"HTTP/1.1 200 X\r\n"))  # begins to answer, and goes on with nothing
        await engine.publish()
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await receiver.wait_for(1)
        await press_test(engine, webhook)
        await engine.worker.dispatcher.run_once()
        await engine.worker.deliverer.run_once()
        await receiver.wait_for(2)
        assert await engine.value("select in_flight from tidings.lanes") == 2
        assert b"test" in receiver.received[1].body
        await engine.worker.attempts.drain(0)


async def test_a_test_of_a_webhook_that_is_set_aside_waits_without_unrest(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await engine.user.execute(
            "update tidings.webhooks set fault = 'It cannot be read.'; update tidings.lanes set open = false"
        )
        await press_test(engine, webhook)
        await engine.worker.dispatcher.run_once()
        assert await engine.worker.deliverer.run_once() == 0
        assert await engine.value("select count(*) from tidings.queue") == 1


async def test_sending_again_keeps_what_the_receiver_asked_for(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(503, headers={"Retry-After": "600"}))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(), jitter=0))
        await engine.publish()
        await engine.cycle()
        held = await engine.value("select held_until from tidings.lanes")
        if held is None:  # the last attempt has no retry to hold it by
            held = engine.clock.now() + timedelta(seconds=600)
            await engine.user.execute("update tidings.lanes set held_until = $1, due_at = $1", held)
        async with engine.services.wide.transaction() as connection:
            assert await queue.send_again(connection, [(await engine.deliveries())[0]["id"]])
        assert await next_due_at(engine) == held
        await engine.cycle()
        assert len(receiver.received) == 1


async def test_the_head_of_an_ordered_lane_keeps_its_place_when_it_is_sent_again_now(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = DOWN
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", ordered=True, retry=Delays(delays=(3600,), jitter=0))
        for number in range(3):
            await engine.publish(data=f'{{"n": {number}}}')
        await engine.cycle()
        head = await engine.value("select id from tidings.queue where attempt_count = 1")
        receiver.otherwise = WELL
        async with engine.services.wide.transaction() as connection:
            assert await queue.send_again_now(connection, head)
        for _ in range(20):  # a slow machine needs more of them than there are deliveries
            await engine.cycle()
            if len(receiver.received) >= 4:
                break
        bodies = [msgspec.json.decode(request.body)["data"]["n"] for request in receiver.received]
        assert bodies == [0, 0, 1, 2]


async def test_a_test_that_made_a_lane_long_does_not_put_off_its_retries(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        engine.clock.stand_still()
        now = engine.clock.now()
        promised = now + timedelta(seconds=60)
        await engine.user.execute(
            "insert into tidings.queue (id, webhook_id, event_id, group_id, due_at, attempt_count)"
            " select gen_random_uuid(), $1, gen_random_uuid(), 'default', $2, 1 from generate_series(1, 19)",
            webhook.id, promised,
        )  # fmt: skip
        await engine.user.execute(
            "update tidings.lanes set waiting = 19, resting_until = $1, failure_count = 9, rest_count = 4, due_at = $2",
            now + timedelta(seconds=300), promised,
        )  # fmt: skip
        event = new_event("default", "publish", TEST_TYPE, '{"test":true}', now, webhook_id=webhook.id)
        async with engine.services.wide.transaction() as connection:
            await outbox.publish(connection, [event])
        await engine.worker.dispatcher.run_once()
        await engine.worker.deliverer.run_once()
        due_at = await next_due_at(engine)
        assert due_at is not None
        assert due_at <= promised


async def test_a_failed_test_does_not_end_what_the_receiver_asked_for(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        now = engine.clock.now()
        held = now + timedelta(seconds=600)
        for tests_succeeded, expected in ((0, held), (1, None)):
            await engine.user.execute("update tidings.lanes set in_flight = 2, held_until = $1, due_at = $1", held)
            tally = LaneTally(ended=2, tests=1, succeeded=1, tests_succeeded=tests_succeeded)
            async with engine.services.wide.transaction() as connection:
                await queue.settle_lanes(connection, {webhook.id: tally}, now)
            assert await engine.value("select held_until from tidings.lanes") == expected


async def put_waiting(engine: Engine, receiver: Receiver, count: int, **lane: Any) -> UUID:
    """Have a webhook with so many deliveries that wait, and return its id."""
    webhook = await engine.add_webhook(receiver.url(), "order.paid", concurrency=100)
    await engine.user.execute(
        """insert into tidings.queue (id, webhook_id, event_id, group_id, due_at)
        select gen_random_uuid(), $1, gen_random_uuid(), 'default', now() - interval '1 minute' from generate_series(1, $2)""",
        webhook.id,
        count,
    )  # well before the worker's clock, which is a moment apart
    settings = ", ".join(f"{name} = {value}" for name, value in lane.items())
    await engine.user.execute(f"update tidings.lanes set waiting = $2, {settings} where webhook_id = $1", webhook.id, count)
    return webhook.id


async def claimed(engine: Engine, **limits: Any) -> Counter[UUID]:
    me = engine.worker.me
    async with engine.services.wide.transaction() as connection:
        _, flights = await queue.claim(connection, me.worker_id, engine.clock.now(), part=me.part, **limits)
    return Counter(delivery.webhook_id for flight in flights for delivery in flight)


TRUSTED = {"allowance": 100, "last_success_at": "now()", "due_at": "now() - interval '1 minute'"}
FAILING = {"allowance": 1, "failure_count": 3, "due_at": "now() - interval '1 hour'"}


async def test_trusted_lanes_are_claimed_before_those_that_fail_which_get_an_eighth(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        failing = [await put_waiting(engine, receiver, 15, **FAILING) for _ in range(3)]
        trusted = await put_waiting(engine, receiver, 100, **TRUSTED)
        taken = await claimed(engine, capacity=64)
        assert (taken[trusted], sum(taken[each] for each in failing)) == (56, 8)
        taken = await claimed(engine, capacity=64, others_capacity=0)
        assert taken == {trusted: 44}, "nothing is taken of those there is no room for"
        taken = await claimed(engine, capacity=64, others_capacity=10)
        assert sum(taken.values()) == 10
        assert max(taken.values()) - min(taken.values()) <= 1


async def test_a_lane_that_turned_slow_waits_behind_others_until_there_is_room(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        slow = await put_waiting(engine, receiver, 50, **TRUSTED | {"due_at": "now() - interval '1 hour'"})
        trusted = await put_waiting(engine, receiver, 50, **TRUSTED)
        assert await claimed(engine, capacity=40, others_capacity=0, is_slow=lambda lane: lane == slow) == {trusted: 40}
        due_at = await engine.value("select due_at from tidings.lanes where webhook_id = $1", slow)
        assert engine.clock.now() < due_at < engine.clock.now() + timedelta(seconds=1)
        engine.clock.ahead += timedelta(seconds=1)
        assert (await claimed(engine, capacity=40, others_capacity=20, is_slow=lambda lane: lane == slow))[slow] == 20


async def test_a_lane_is_trusted_while_its_last_attempt_succeeded(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=()))
        trust = []
        for way in (WELL, DOWN, DOWN, WELL):
            trust.append(await engine.value("select trusted from tidings.lanes"))
            receiver.otherwise = way
            await engine.publish()
            await engine.cycle()
        trust.append(await engine.value("select trusted from tidings.lanes"))
        assert trust == [False, True, False, False, True]


async def test_what_is_routed_to_a_short_lane_that_fails_does_not_pass_through_the_queue(
    config: Config, receiver: Receiver
) -> None:
    """Its breaker allows one at a time, but a claim would begin it at once all the same."""
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=()))
        await engine.user.execute("update tidings.lanes set allowance = 1, failure_count = 7")
        for _ in range(3):
            await engine.publish()
        await engine.worker.dispatcher.run_once()
        assert await engine.value("select count(*) from tidings.queue") == 0
        assert await engine.value("select in_flight from tidings.lanes") == 3
        await engine.worker.attempts.drain(20)
        await engine.worker.recorder.run_once()
        await assert_books_are_right(engine)
