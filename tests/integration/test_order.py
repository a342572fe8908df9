"""Ordered lanes: what goes out first is what happened first, whoever routes it and whatever that worker's clock says."""

from datetime import timedelta
from typing import Any

from tests.support.engine import Engine, engine_of
from tests.support.receiver import Receiver, answer, says
from tidings.config import Config
from tidings.core.event import milliseconds, uuid7
from tidings.core.retry import Delays
from tidings.store import outbox

RANGE = 256  # numbers of the outbox that one dispatcher routes at a time
SOON = Delays(delays=(1,), jitter=0)


def numbers(receiver: Receiver) -> list[int]:
    return [int(request.body.split(b'"n":')[1].split(b"}")[0]) for request in receiver.received]


async def publish_across_ranges(engine: Engine) -> None:
    """The first number of one range, and the first of the next."""
    for number in range(2):
        await engine.user.execute("select setval('tidings.outbox_id_seq', $1)", RANGE * (number + 1) - 1)
        await engine.publish(data=f'{{"n":{number}}}')


async def test_an_ordered_lane_waits_for_what_a_slow_dispatcher_is_routing(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url("/ordered"), "*", ordered=True)
        await engine.add_webhook(receiver.url("/plain"), "*")
        await publish_across_ranges(engine)
        async with engine.services.wide.connection() as connection:
            slow = connection.transaction()
            await slow.start()
            assert len((await outbox.take(connection, 1)).rows) == 1  # it stands still with the first range
            await engine.cycle()
            assert [request.path for request in receiver.received] == ["/plain"]  # who keeps no order does not wait
            await slow.rollback()
        for _ in range(3):
            engine.clock.ahead += timedelta(seconds=1)
            await engine.cycle()
        ordered = [r for r in receiver.received if r.path == "/ordered"]
        assert [int(r.body.split(b'"n":')[1][:1]) for r in ordered] == [0, 1]


async def test_an_ordered_lane_waits_for_what_is_being_routed_of_a_source_that_is_behind_another(
    config: Config, receiver: Receiver
) -> None:
    """The oldest row of the group is of the source that is ahead; that of the other stands behind it."""
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", ordered=True)
        await engine.sql("insert into tidings.landed_flights (id) values (gen_random_uuid())")
        rows = [(RANGE, "ahead", 9, 60), (RANGE + 1, "behind", 0, 0), (2 * RANGE, "behind", 1, 1)]
        for id_, origin, number, seconds in rows:
            await engine.sql(
                """insert into tidings.outbox (id, source, type, record, occurred_at, origin) overriding system value
                values ($1, 'publish', 'order.paid', $2, now() - interval '1 hour' + make_interval(secs => $3), $4)""",
                id_, f'{{"n":{number}}}', seconds, origin,
            )  # fmt: skip
        async with engine.services.wide.connection() as connection:
            slow = connection.transaction()
            await slow.start()
            assert len((await outbox.take(connection, 1)).rows) == 1  # it stands still with the first range
            await engine.cycle()
            assert numbers(receiver) == []
            await slow.rollback()
        for _ in range(6):
            engine.clock.ahead += timedelta(seconds=1)
            await engine.cycle()
        assert numbers(receiver) == [0, 1, 9]


async def test_the_clock_of_who_routes_does_not_decide_the_order(config: Config, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(500)))
    async with engine_of(config) as engine, engine_of(config) as late:
        await engine.add_webhook(receiver.url(), "*", ordered=True, retry=SOON)
        for number in range(2):
            await engine.publish(data=f'{{"n":{number}}}')
        await engine.cycle()
        late.clock.ahead -= timedelta(seconds=5)  # its last heartbeat was answered late
        await engine.publish(data='{"n":2}')
        await late.worker.dispatcher.run_once()
        for _ in range(4):
            engine.clock.ahead += timedelta(seconds=1)
            await engine.cycle()
        assert numbers(receiver) == [0, 0, 1, 2]


async def test_events_of_one_moment_go_out_as_they_were_published(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", ordered=True)
        at: Any = await engine.value("select clock_timestamp()")
        for number in range(9, -1, -1):  # as a batch of the API: one time, ids of their own, here against the order
            await engine.user.execute(
                "insert into tidings.outbox (source, type, record, occurred_at, event_id) values ('publish', 'a.b', $1, $2, $3)",
                f'{{"n":{9 - number}}}', at, uuid7(milliseconds(at), number),
            )  # fmt: skip
        for _ in range(10):
            engine.clock.ahead += timedelta(seconds=1)
            await engine.cycle()
        assert numbers(receiver) == list(range(10))
