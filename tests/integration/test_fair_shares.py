"""Groups that crowd the outbox, and those that wait beside them: who is routed when, and in which order."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from tests.support.engine import Engine, engine_of
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tidings.config import Config
from tidings.core.lanes import GroupTurns
from tidings.store import outbox, queue
from tidings.store.database import Database
from tidings.worker.batches import BATCH
from tidings.worker.sharing import MOST_GROUPS, Way

MOST_TURNS = 128  # ranges of the outbox that one batch of shares locks


async def write(engine: Engine, group: str, count: int) -> None:
    await engine.user.execute("insert into tidings.groups (id) values ($1) on conflict do nothing", group)
    await engine.user.execute(
        "insert into tidings.outbox (group_id, source, type, record) select $1, 'publish', 'a.b', json_build_object('n', i) from generate_series(1, $2) i",
        group, count,
    )  # fmt: skip


async def routed(engine: Engine) -> dict[str, int]:
    return dict(await engine.sql("select group_id, count(*)::integer from tidings.events group by group_id"))


async def test_a_group_does_not_wait_behind_what_another_wrote_before(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("insert into tidings.groups (id) values ('quiet')")
        await engine.add_webhook(receiver.url("/quiet"), "a.b", group_id="quiet")
        await write(engine, "loud", BATCH + 2000)
        await write(engine, "quiet", 3)
        await engine.worker.dispatcher.run_once()
        assert await routed(engine) == {"loud": BATCH}
        assert await engine.worker.dispatcher.run_once(way=Way.OF_OTHERS) == 3
        assert await routed(engine) == {"loud": BATCH, "quiet": 3}
        await engine.worker.attempts.drain(60)
        assert sorted(request.body.split(b'"n":')[1][:1] for request in receiver.received) == [b"1", b"2", b"3"]
        assert await engine.worker.dispatcher.run_once(way=Way.OF_OTHERS) == 0, "the one that crowds is passed over"


async def test_groups_that_crowd_have_equal_shares_of_a_batch_and_each_its_oldest(config: Config) -> None:
    async with engine_of(config) as engine:
        for group, count in (("one", 5000), ("two", 3000), ("few", 10)):
            await write(engine, group, count)
        assert await engine.worker.dispatcher.run_once(way=Way.OF_ALL) == BATCH, "there is more"
        assert await routed(engine) == {"few": 10, "one": 251, "two": 251}
        newest: Any = await engine.value("select max((record->>'n')::integer) from tidings.events where group_id = 'two'")
        assert newest == 251
        await engine.worker.dispatcher.run_once(way=Way.OF_ALL)
        assert await routed(engine) == {"few": 10, "one": 251 + BATCH // 2, "two": 251 + BATCH // 2}


async def test_a_backlog_is_shared_while_it_lasts_and_worked_off_to_the_end(config: Config) -> None:
    async with engine_of(config) as engine:
        await write(engine, "one", 1500)
        await write(engine, "two", 1500)
        dispatcher = engine.worker.dispatcher
        while await dispatcher.run_once() or await dispatcher.run_once(way=Way.OF_ALL):
            pass
        assert await routed(engine) == {"one": 1500, "two": 1500}
        assert await engine.value("select count(*) from tidings.outbox") == 0


async def test_a_row_that_cannot_be_routed_holds_up_neither_its_group_nor_others(config: Config) -> None:
    async with engine_of(config) as engine:
        await write(engine, "a", 200)
        await write(engine, "b", 200)
        bad: Any = await engine.value(
            "update tidings.outbox set occurred_at = '9000-01-01' where id = (select min(id) + 40 from tidings.outbox where group_id = 'b') returning id"
        )
        while await engine.worker.dispatcher.run_once(way=Way.OF_ALL):
            pass
        assert await routed(engine) == {"a": 200, "b": 199}
        assert await engine.value("select array_agg(id) from tidings.outbox_rejected") == [bad]


async def test_batches_of_shares_keep_out_of_each_others_way(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("select setval('tidings.outbox_id_seq', 255)")  # the next number begins a range of 256
        await write(engine, "one", 400)
        async with engine.services.wide.connection() as first, engine.services.wide.connection() as second:
            transaction = first.transaction()
            await transaction.start()
            taken = await outbox.take_shares(first, {"one": 10})
            assert taken.numbers == list(range(256, 266))
            async with second.transaction():
                assert (await outbox.take_shares(second, {"one": 10})).numbers == list(range(512, 522))
                assert (await outbox.take(second, 1000)).numbers == list(range(522, 656))
            await transaction.rollback()


async def test_a_batch_of_shares_locks_a_bounded_number_of_ranges(config: Config) -> None:
    async with engine_of(config) as engine:
        for _ in range(MOST_TURNS + 2):
            await write(engine, "far", 1)
            await engine.user.execute("select setval('tidings.outbox_id_seq', nextval('tidings.outbox_id_seq') + 256)")
        async with engine.services.wide.transaction() as connection:
            assert len((await outbox.take_shares(connection, {"far": 500})).rows) == MOST_TURNS
            assert (
                await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory' and classid = 7413202")
                == MOST_TURNS
            )


@pytest.mark.parametrize("behind", ["", "g050000", "g099999", "~"])
async def test_who_waits_is_found_at_a_bounded_cost_however_many_groups_wait(config: Config, behind: str) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute(
            """insert into tidings.outbox (group_id, source, type, record)
               select 'g' || lpad(i::text, 6, '0'), 'publish', 'a.b', '{}' from generate_series(1, 100000) i"""
        )
        await engine.user.execute(
            "insert into tidings.outbox (group_id, source, type, record) select 'big', 'publish', 'a.b', '{}' from generate_series(1, 50000) i"
        )
        async with engine.services.wide.connection() as connection:
            found = await outbox.groups(connection, behind, ["big"], most=MOST_GROUPS, deep=128)
            plan: Any = await connection.fetch(
                "explain (analyze, buffers, timing off, format text) select * from tidings.outbox_groups($1, $2, 64, 128)",
                behind,
                ["big"],
            )
        first = {"": 1, "g050000": 50001, "g099999": 100000, "~": 1}[behind]
        assert [one.group_id for one in found] == [f"g{(first + n - 1) % 100_000 + 1:06}" for n in range(MOST_GROUPS)]
        hits = sum(
            int(part.split("=")[1])
            for line in plan
            if "Buffers" in line[0]
            for part in line[0].split()
            if "hit=" in part or "read=" in part
        )
        assert 0 < hits < 40 * MOST_GROUPS


async def test_an_ordered_webhook_waits_for_its_own_group_alone(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("insert into tidings.groups (id) values ('quiet')")
        await engine.add_webhook(receiver.url("/ordered"), "a.b", group_id="quiet", ordered=True)
        await write(engine, "loud", BATCH + 600)
        await write(engine, "quiet", 2)
        await engine.user.execute("select setval('tidings.outbox_id_seq', nextval('tidings.outbox_id_seq') + 256)")
        dispatcher, deliverer = engine.worker.dispatcher, engine.worker.deliverer
        await dispatcher.run_once()
        async with engine.services.wide.connection() as connection:
            slow = connection.transaction()
            await slow.start()
            assert len((await outbox.take_shares(connection, {"quiet": 1})).rows) == 1  # its first, and it stands still
            await write(engine, "quiet", 1)
            assert await dispatcher.run_once(way=Way.OF_OTHERS) == 1
            engine.clock.ahead += timedelta(seconds=1)
            await engine.cycle()
            assert receiver.received == [], "an older event of its group is not routed yet"
            await slow.rollback()
        while await dispatcher.run_once(way=Way.OF_OTHERS):
            pass
        assert await engine.value("select count(*) from tidings.outbox where group_id = 'loud'") > 0
        for _ in range(4):
            engine.clock.ahead += timedelta(seconds=1)
            await deliverer.run_once()
            await engine.worker.attempts.drain(60)
            await engine.worker.recorder.run_once()
        assert [request.body.split(b'"n":')[1][:1] for request in receiver.received] == [b"1", b"2", b"1"]


async def test_the_order_of_a_group_does_not_hang_on_the_clocks_of_another(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("insert into tidings.groups (id) values ('quiet')")
        await engine.add_webhook(receiver.url("/ordered"), "a.b", group_id="quiet", ordered=True)
        await write(engine, "loud", 1)
        await engine.user.execute("update tidings.outbox set occurred_at = occurred_at + interval '5 seconds'")
        await write(engine, "quiet", 1)
        await engine.worker.dispatcher.run_once()
        await write(engine, "quiet", 1)
        await engine.worker.dispatcher.run_once(way=Way.OF_ALL)
        places = "select due_at from tidings.queue order by event_id"
        first, second = [row["due_at"] for row in await engine.sql(places)]
        assert first < second


async def test_who_looks_for_others_has_ranges_looked_at_again_that_it_held(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("insert into tidings.groups (id) values ('quiet')")
        await engine.add_webhook(receiver.url("/quiet"), "a.b", group_id="quiet")
        await write(engine, "loud", BATCH)
        dispatcher = engine.worker.dispatcher
        await dispatcher.run_once()
        await write(engine, "quiet", 1)
        beside = asyncio.create_task(dispatcher.run_beside())
        assert await dispatcher.rung.wait(PATIENCE)
        assert await routed(engine) == {"loud": BATCH, "quiet": 1}
        dispatcher.stop()
        await asyncio.wait_for(beside, PATIENCE)


async def test_who_looks_for_others_ends_when_told_and_routes_nothing_more(config: Config) -> None:
    async with engine_of(config) as engine:
        dispatcher = engine.worker.dispatcher
        beside = asyncio.create_task(dispatcher.run_beside())
        await write(engine, "quiet", 1)  # meanwhile it has seen that nobody crowds, and sleeps
        dispatcher.stop()
        await asyncio.wait_for(beside, PATIENCE)
        assert await routed(engine) == {}


async def test_a_running_worker_delivers_to_a_group_while_the_backlog_of_another_waits(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config, running=True) as engine:
        await engine.user.execute("insert into tidings.groups (id) values ('quiet')")
        await engine.add_webhook(receiver.url("/quiet"), "a.b", group_id="quiet")
        async with engine.user.transaction():  # so that all of it is there at once, with the other group's last
            await write(engine, "loud", 50_000)
            await write(engine, "quiet", 1)
            await engine.user.execute("notify tidings_outbox")
        await receiver.wait_for(1)
        assert await engine.value("select count(*) from tidings.outbox where group_id = 'loud'") > 0


async def put_due(engine: Engine, group: str, count: int, *, seconds_ago: int, trusted: bool, deep: int = 1) -> None:
    """Have so many webhooks with lanes that are due, a few deliveries each."""
    await engine.user.execute("insert into tidings.groups (id) values ($1) on conflict do nothing", group)
    await engine.user.execute(
        """with made as (
          insert into tidings.webhooks select gen_random_uuid(), $1::text, 'n', null, 'https://x', true, null, 'standard', '[]', '', 'POST', '{}', 30, '{}', now(), now()
          from generate_series(1, $2) returning id, group_id
        ), lanes as (
          insert into tidings.lanes (webhook_id, due_at, concurrency, allowance, waiting, failure_count, last_success_at)
          select id, now() - make_interval(secs => $3), 10, 10, $5, case when $4 then 0 else 3 end, now() from made
        )
        insert into tidings.queue (id, webhook_id, event_id, group_id, due_at)
        select gen_random_uuid(), id, gen_random_uuid(), group_id, now() - make_interval(secs => $3) from made, generate_series(1, $5)""",
        group, count, float(seconds_ago), trusted, deep,
    )  # fmt: skip


async def claim(engine: Engine, turns: GroupTurns | None, **limits: Any) -> Counter[str]:
    """Claim as a worker does, and return how many deliveries of each group were leased."""
    me = engine.worker.me
    async with engine.services.wide.transaction() as connection:
        _, flights = await queue.claim(connection, me.worker_id, engine.clock.now(), part=me.part, turns=turns, **limits)
    return Counter(delivery.group_id for flight in flights for delivery in flight)


@pytest.mark.parametrize("trusted", [True, False])
async def test_thousands_of_due_lanes_do_not_keep_those_of_another_group_from_being_claimed(
    config: Config, *, trusted: bool
) -> None:
    async with engine_of(config) as engine:
        await put_due(engine, "loud", 5000, seconds_ago=3600, trusted=trusted)
        await put_due(engine, "quiet", 3, seconds_ago=60, trusted=trusted)
        assert (await claim(engine, None, capacity=200))["quiet"] == 0, "they are behind, by age"
        first = await claim(engine, GroupTurns(), capacity=200)
        assert first == {"loud": 197, "quiet": 3}


async def test_groups_take_turns_though_there_is_one_place_at_a_time(config: Config) -> None:
    async with engine_of(config) as engine:
        await put_due(engine, "loud", 2000, seconds_ago=3600, trusted=False)
        await put_due(engine, "quiet", 3, seconds_ago=60, trusted=False)
        await put_due(engine, "still", 3, seconds_ago=60, trusted=False)
        turns, total = GroupTurns(), Counter[str]()
        for _ in range(9):
            total += await claim(engine, turns, capacity=1)
        assert total == {"loud": 3, "quiet": 3, "still": 3}


async def test_two_groups_with_very_many_due_lanes_get_alike(config: Config) -> None:
    async with engine_of(config) as engine:
        await put_due(engine, "first", 2000, seconds_ago=3600, trusted=True)
        await put_due(engine, "second", 2000, seconds_ago=60, trusted=True)
        turns, total = GroupTurns(), Counter[str]()
        for _ in range(4):
            total += await claim(engine, turns, capacity=200)
        assert total == {"first": 400, "second": 400}


async def test_turns_pass_over_groups_of_which_nothing_is_due(config: Config) -> None:
    async with engine_of(config) as engine:
        await put_due(engine, "loud", 1000, seconds_ago=3600, trusted=True)
        for number in range(2 * queue.MAX_STEPS):
            await put_due(engine, f"later{number}", 1, seconds_ago=-3600, trusted=True)
        await put_due(engine, "quiet", 3, seconds_ago=60, trusted=True)
        turns, total = GroupTurns(), Counter[str]()
        for _ in range(3):
            total += await claim(engine, turns, capacity=50)
        assert total == {"loud": 147, "quiet": 3}
        await put_due(engine, "a", 1, seconds_ago=1, trusted=True)
        assert (await claim(engine, turns, capacity=50))["a"] == 1, "after the last group it is the first one's turn"


async def test_who_has_few_keeps_its_order_its_rate_and_its_limit_beside_a_crowd(config: Config) -> None:
    async with engine_of(config) as engine:
        await put_due(engine, "loud", 1000, seconds_ago=3600, trusted=True)
        for settings in ("ordered = true", "rate_per_second = 2, tokens = 2", "concurrency = 3"):
            group = settings.split()[0]
            await put_due(engine, group, 1, seconds_ago=60, trusted=True, deep=8)
            await engine.user.execute(
                f"update tidings.lanes set {settings}, refilled_at = now() + interval '1 hour' where group_id = $1", group
            )
        turns, total = GroupTurns(), Counter[str]()
        for _ in range(3):
            total += await claim(engine, turns, capacity=100)
        assert (total["ordered"], total["rate_per_second"], total["concurrency"]) == (1, 2, 3)


async def test_calls_of_one_group_leave_others_their_turn_at_the_database(config: Config) -> None:
    """A hundred calls of one group wait for two places: one of another waits for one of those to end, whatever it may see."""
    async with engine_of(config) as engine:
        share = engine.services.requests.share(2)
        loud, quiet = share.acting_for("loud"), share.acting_for("quiet")
        over: list[str] = []

        async def call(database: Database, group: str) -> None:
            async with database.transaction() as connection:
                assert await connection.fetchval("select current_setting('tidings.group')") == group
                over.append(group)

        async with loud.connection(), loud.connection():
            tasks = [asyncio.create_task(call(loud, "loud")) for _ in range(100)]
            await asyncio.sleep(0)
            tasks.append(asyncio.create_task(call(quiet.after(2, None), "quiet")))
            await asyncio.sleep(0)
            assert over == []
        await asyncio.gather(*tasks)
        assert (over.index("quiet") < 4, len(over)) == (True, 101)
