"""It keeps itself alive: outages of the database, dead processes, full disks, clocks, rows that nobody could ever finish."""

import asyncio
import logging
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
import pytest

from tests.support.clusters import Pair
from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.process import Process, run_cli
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tests.support.switch import Switch, behind
from tidings.config import Config
from tidings.core.retry import Delays
from tidings.operations import diagnosis
from tidings.operations.listening import listeners
from tidings.operations.listening.listeners import ListenerAsked
from tidings.store import vitals
from tidings.store.outages import QUIET_SECONDS, Outages
from tidings.worker.batches import BATCH
from tidings.worker.duties import Rescuer
from tidings.worker.heart import Heart, Pulse

pytest_plugins = ("tests.support.switch_fixtures",)


async def test_no_group_stands_for_the_way_out_of_all(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.sql("insert into tidings.groups (id) values ('acme'), ('other')")
        for group, hosts in (("acme", 20), ("other", 2), ("default", 1)):
            for number in range(hosts):
                await engine.add_webhook(f"https://{group}-{number}.invalid/", "order.*", group_id=group)
        await listeners.open_listener(engine.services, ListenerAsked("desk"))
        async with engine.services.wide.connection() as connection:
            urls = await vitals.urls(connection, groups=10, of_each=5)
        hosts = [urlsplit(url).netloc.partition("-") for url in urls]
        groups = [group for group, *_ in hosts]
        assert sorted(groups[:3]) == ["acme", "default", "other"]
        assert sorted(groups[3:5]) == ["acme", "other"]
        assert groups[5:] == ["acme"] * 3


# Outages ---------------------------------------------------------------------------------------------------------------


def test_an_outage_has_one_line_when_it_begins_and_one_with_its_length(caplog: pytest.LogCaptureFixture) -> None:
    seconds = 100.0
    outages = Outages(monotonic=lambda: seconds)
    with caplog.at_level(logging.WARNING, "tidings.database"):
        outages.worked()
        for _ in range(50):
            outages.failed(ConnectionRefusedError("refused"))
            seconds += 1
            outages.worked()  # somebody still has a connection
        assert outages.current is not None
        seconds += QUIET_SECONDS
        outages.worked()
        assert outages.current is None
    assert [record.getMessage() for record in caplog.records] == [
        "database unavailable, what needs it waits: refused",
        "database available again, after 50.0 s",
    ]


def test_a_connection_that_broke_off_is_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tidings.database"):
        Outages().failed(asyncpg.InternalClientError("cannot switch to state 15"))
        Outages().failed(ConnectionResetError())
    assert [record.getMessage() for record in caplog.records] == [
        "database unavailable, what needs it waits: a connection to PostgreSQL broke off (cannot switch to state 15)",
        "database unavailable, what needs it waits: ConnectionResetError",
    ]


async def test_a_worker_survives_that_the_database_goes_away_without_spinning(
    config: Config, switch: Switch, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_of(behind(switch, config), running=True) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await receiver.wait_for(1)
        outages = engine.services.wide.outages
        with caplog.at_level(logging.WARNING):
            switch.cut()
            begun = time.monotonic()
            await eventually(lambda: _is(outages.current is not None and outages.current[1] > 3))
            lasted = time.monotonic() - begun
            # Twelve loops that wait 0.1, 0.2, 0.4 … s: some twenty tries each in three seconds would be spinning.
            assert outages.failures < 12 * 12 * lasted, "it spins"
            switch.mend()
            user = await asyncpg.connect(config.database_url)
            await user.execute("insert into tidings.outbox (source, type, record) values ('publish', 'order.paid', '{}')")
            await user.close()
            await receiver.wait_for(2)
            await eventually(lambda: _is(outages.current is None))
        lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert [line.partition(":")[0].partition(", after")[0] for line in lines] == [
            "database unavailable, what needs it waits", "database available again",
        ]  # fmt: skip


async def test_the_look_for_what_others_have_beside_a_crowd_survives_that_too(
    config: Config, switch: Switch, receiver: Receiver
) -> None:
    async with engine_of(behind(switch, config)) as engine:
        await engine.user.execute("insert into tidings.groups (id) values ('quiet')")
        await engine.add_webhook(receiver.url(), "*", group_id="quiet")
        dispatcher, outages = engine.worker.dispatcher, engine.services.database.outages
        await _crowd(engine, config)
        beside = asyncio.create_task(dispatcher.run_beside())
        await _write(config, "quiet", 1)
        await receiver.wait_for(1)
        switch.cut()
        begun = time.monotonic()
        await eventually(lambda: _is(outages.current is not None and outages.current[1] > 2))
        assert outages.failures < 12 * (time.monotonic() - begun), "it spins"
        assert not beside.done()
        switch.mend()
        await _crowd(engine, config)  # the other one would have ended meanwhile
        await _write(config, "quiet", 1)
        await receiver.wait_for(2)
        dispatcher.stop()
        await asyncio.wait_for(beside, PATIENCE)


async def _crowd(engine: Engine, config: Config) -> None:
    """Have the default group crowd others for some five seconds."""
    await _write(config, "default", 20 * BATCH)
    while await engine.worker.dispatcher.run_once():
        pass


async def _write(config: Config, group_id: str, count: int) -> None:
    user = await asyncpg.connect(config.database_url)
    await user.execute(
        "insert into tidings.outbox (group_id, source, type, record) select $1, 'publish', 'a.b', '{}' from generate_series(1, $2)",
        group_id, count,
    )  # fmt: skip
    await user.close()


async def _is(answer: bool) -> bool:
    return answer


async def test_connections_of_others_do_not_keep_a_worker_from_beating(config: Config) -> None:
    async with engine_of(config, running=True) as engine:
        database = engine.services.wide
        before = await engine.value("select heartbeat_at from tidings.workers")
        lent = [asyncio.create_task(_hold(database)) for _ in range(10)]  # all that the pool has

        async def beats() -> bool:
            return bool(
                await engine.value(
                    "select max(heartbeat_at) > $1::timestamptz + interval '2 seconds' from tidings.workers", before
                )
            )

        await eventually(beats)
        for task in lent:
            task.cancel()
        await asyncio.gather(*lent, return_exceptions=True)


async def _hold(database: Any) -> None:
    async with database.connection():
        await asyncio.Event().wait()


async def test_a_loop_that_is_held_goes_on_beating_and_one_that_stands_still_is_ended(config: Config) -> None:
    async with engine_of(config) as engine:
        heart = Heart(engine.services.wide, engine.clock, engine.worker.me)
        ended: list[float] = []
        too_long: list[float] = []
        pulse = Pulse(heart, on_failed=lambda error: None, on_stuck=lambda: ended.append(time.monotonic()))
        strict = Pulse(
            Heart(engine.services.wide, engine.clock, engine.worker.me),
            on_failed=lambda error: None, on_stuck=lambda: too_long.append(time.monotonic()), stuck_seconds=2,
        )  # fmt: skip
        before = await engine.value("select heartbeat_at from tidings.workers")
        pulse.start()
        strict.start()
        held_until = time.monotonic() + 5
        while time.monotonic() < held_until:  # as a computation would
            pass
        assert await engine.value("select heartbeat_at > $1::timestamptz + interval '2 seconds' from tidings.workers", before)
        assert ended == []
        assert too_long, "the other allows two seconds only"
        await pulse.stop()
        await strict.stop()


async def test_a_worker_that_stood_still_for_five_seconds_books_nothing_twice(config: Config, receiver: Receiver) -> None:
    options = {"database_url": config.database_url, "secret_key": "test", "allow_private_networks": "127.0.0.0/8"}
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.worker.heart.end()
        workers = [await Process.start("worker", **options) for _ in range(2)]
        begun = await engine.value("select clock_timestamp()")
        os.kill(workers[0].pid, signal.SIGSTOP)
        for _ in range(200):
            await engine.publish()
        await engine.user.execute("notify tidings_outbox")

        async def five_seconds_later() -> bool:
            return bool(await engine.value("select clock_timestamp() > $1::timestamptz + interval '5 seconds'", begun))

        await eventually(five_seconds_later)
        os.kill(workers[0].pid, signal.SIGCONT)
        await receiver.wait_for(200)

        async def is_done() -> bool:
            return bool(
                await engine.value(
                    "select count(*) = 200 from tidings.deliveries where status = 'succeeded' and attempt_count = 1"
                )
            )

        await eventually(is_done)
        assert [await worker.stop() for worker in workers] == [0, 0]
        assert len(receiver.received) == 200


# Rows that nobody could ever finish -------------------------------------------------------------------------------------


async def test_a_result_that_is_refused_even_bare_does_not_end_the_recorder(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await engine.worker.attempts.drain(PATIENCE)
        (partition,) = await engine.sql(
            "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'tidings.deliveries'::regclass and inhrelid::regclass::text like '%' || to_char(now() at time zone 'UTC', 'YYYYMMDD')"
        )
        await engine.user.execute(f"drop table {partition['name']}")
        await engine.worker.recorder.run_once()
        assert [row["status"] for row in await engine.deliveries()] == ["succeeded"]
        # And when nothing helps, it is set aside, where people see it, and in nobody's way.
        await engine.user.execute("alter table tidings.deliveries add constraint never check (false) not valid")
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await engine.worker.attempts.drain(PATIENCE)
        await engine.worker.recorder.run_once()
        assert "never" in await engine.value("select error from tidings.outbox_rejected")
        assert await engine.unfinished() == 0


async def test_a_recorder_begins_anew_after_a_failover_as_often_as_that_takes(config: Config, receiver: Receiver) -> None:
    """To begin anew may itself fail: the database that took over is away again. Nothing is lost by it, and results go on."""
    async with engine_of(config, running=True) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await engine.user.execute("""
            create sequence public.tries; grant usage on sequence public.tries to public;
            create function public.ends() returns trigger language plpgsql as $$
              begin perform nextval('public.tries'); perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
            create trigger ends before insert on tidings.workers for each row execute function public.ends()""")
        engine.services.wide.server.failovers += 1
        await engine.publish()
        await eventually(lambda: engine.value("select is_called and last_value >= 2 from public.tries"))
        await engine.user.execute("drop trigger ends on tidings.workers")
        await eventually(lambda: engine.value("select count(*) = 1 from tidings.deliveries where status = 'succeeded'"))
        async with asyncio.timeout(PATIENCE):  # the recorder hears of its commit a moment after others see it
            await engine.worker.recorder.drain()


async def test_a_delivery_whose_event_is_gone_ends_and_says_why(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*", rate_per_second=100)
        await engine.publish()
        await engine.worker.dispatcher.run_once()
        await engine.user.execute("delete from tidings.events")
        engine.worker.deliverer._cache._events.clear()
        await engine.worker.deliverer.run_once()
        await engine.worker.recorder.run_once()
        (delivery,) = await engine.deliveries()
        assert delivery["status"] == "failed"
        assert "its event is not in history" in delivery["last_error"]
        assert await engine.unfinished() == 0
        assert receiver.received == []


async def test_webhooks_behind_one_dead_receiver_are_not_all_told_of_one_another(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    count = 12
    async with engine_of(config) as engine:
        for number in range(count):
            await engine.add_webhook(
                receiver.url(f"/{number}"), "webhook.*", "order.*", retry=Delays(delays=(1,) * 20, jitter=0)
            )
        await engine.publish()
        for _ in range(30):
            engine.clock.ahead += timedelta(seconds=301)
            await engine.cycle()
        events = await engine.value("select count(*) from tidings.events where type = 'webhook.failing'")
        told = await engine.value("select coalesce(sum(delivery_count), 0) from tidings.events where type = 'webhook.failing'")
        assert events == count, "each is warned of once"
        assert told <= 2 * count, f"{told} warnings for nobody"


async def test_a_rescuer_does_not_hold_the_lanes_of_the_dead_while_it_waits_for_those_it_forgot(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config) as engine:
        first = await engine.add_webhook(receiver.url("/a"), "a.*")
        second = await engine.add_webhook(receiver.url("/b"), "b.*")
        seconds = 0.0
        rescuer = Rescuer(engine.services.wide, engine.worker.me, engine.worker.airborne, monotonic=lambda: seconds)
        await engine.publish("b.x")
        await engine.worker.dispatcher.run_once()
        await engine.worker.attempts.drain(PATIENCE)
        engine.worker.recorder._results.clear()
        engine.worker.airborne.forget(engine.worker.airborne.known)
        for at in (0, 4, 8):
            seconds = at
            await rescuer.run_once()
        await engine.publish("a.x")
        await engine.worker.dispatcher.run_once()
        await engine.user.execute(
            "update tidings.flights set worker_id = gen_random_uuid() where $1::uuid = any (lanes)", first.id
        )
        other = await asyncpg.connect(config.database_url)
        await other.execute("begin")
        await other.execute("select from tidings.lanes where webhook_id = $1 for update", second.id)
        seconds = 12
        rescuing = asyncio.create_task(rescuer.run_once())

        async def waits() -> bool:
            return bool(
                await engine.value(
                    "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())"
                )
            )

        await eventually(waits)
        await other.execute("select from tidings.lanes where webhook_id = $1 for update", first.id)  # else a deadlock
        await other.execute("commit")
        assert await rescuing == 2
        await other.close()


# Readiness, and what is wrong --------------------------------------------------------------------------------------------


async def test_readiness_tells_what_is_wrong_and_liveness_does_not_care(
    config: Config, switch: Switch, api_server: ApiServer
) -> None:
    async with engine_of(behind(switch, config)) as engine, api_server.serving(engine.services) as url:
        client = httpx.AsyncClient(base_url=url, timeout=PATIENCE)
        async with client:

            async def reasons() -> list[str]:
                answered = await client.get("/readyz")
                assert answered.status_code in {200, 503}
                return [] if answered.status_code == 200 else [one["name"] for one in answered.json()["problems"]]

            async def says_so(names: list[str]) -> bool:
                return await reasons() == names

            assert await reasons() == []
            await engine.user.execute("update tidings.workers set heartbeat_at = now() - interval '1 hour'")
            await eventually(lambda: says_so(["workers"]))
            await engine.worker.heart.run_once()
            await eventually(lambda: says_so([]))
            await engine.user.execute(
                "insert into tidings.outbox (source, type, record, occurred_at) values ('publish', 'a.b', '{}', now() - interval '1 hour')"
            )
            await eventually(lambda: says_so(["routing"]))
            switch.cut()
            await eventually(lambda: says_so(["database"]))
            assert (await client.get("/healthz")).text == "ok"
            told = (await client.get("/readyz")).json()
            assert told["code"] == "NOT_READY"
            assert "127.0.0.1" not in told["error"], "nobody is told where the database is"
            outages = engine.services.wide.outages
            outages._monotonic = lambda at=outages._failed_at: at  # nobody has tried again, and no time passes
            switch.mend()
            await eventually(lambda: says_so(["routing"]))
            async with engine.services.wide.transaction() as connection:
                await connection.execute("delete from tidings.outbox")
            await eventually(lambda: says_so([]))
            assert outages.current is not None


async def test_a_standby_is_not_ready_and_goes_on_by_itself_once_it_is_promoted(tmp_path: Path, receiver: Receiver) -> None:
    pair = Pair(tmp_path)
    try:
        await pair.start()
        options = {"database_url": pair.switch.url(), "secret_key": "test", "allow_private_networks": "127.0.0.0/8"}
        config = Config(data_dir=tmp_path, admin_key="k", port=0, stop_grace_seconds=5, **options)
        async with engine_of(config, running=True) as engine:
            await engine.add_webhook(receiver.url(), "*")
            await engine.publish()
            await receiver.wait_for(1)
            assert await diagnosis.look(engine.services) == []
            await pair.lose_primary()

            async def is_told() -> bool:
                return [one.name for one in await diagnosis.look(engine.services)] == ["read_only"]

            await eventually(is_told)
            await pair.promote()

            async def is_ready() -> bool:
                return await diagnosis.look(engine.services) == []

            await eventually(is_ready)
            user = await asyncpg.connect(pair.switch.url())
            await user.execute("insert into tidings.outbox (source, type, record) values ('publish', 'a.b', '{}')")
            await user.close()
            await receiver.wait_for(2)
            assert not engine.worker.failed.is_set
    finally:
        await pair.stop()


async def test_doctor_tells_what_is_wrong_in_sentences(config: Config, empty_database_url: str) -> None:
    async def doctor(**values: Any) -> tuple[int, list[str]]:
        done = await asyncio.to_thread(run_cli, "doctor", "--json", **values)
        return done.returncode, [one["sentence"] for one in msgspec.json.decode(done.stdout)["problems"]]

    values = {"database_url": config.database_url, "secret_key": "test", "data_dir": config.data_dir}
    code, told = await doctor(database_url=empty_database_url, secret_key="test")
    assert code == 1
    assert "Schema tidings is missing. Run `tidings migrate`." in told[0]
    async with engine_of(config) as engine:
        pulse = Pulse(engine.worker.heart, on_failed=lambda error: None)
        pulse.start()
        assert await doctor(**values) == (0, [])
        await engine.user.execute("insert into tidings.outbox_rejected (id, row_as_json, error) values (1, '{}', 'x')")
        code, told = await doctor(**values)
        assert (code, len(told)) == (1, 1)
        assert "1 event could not be routed" in told[0]
        await pulse.stop()
    code, told = await doctor(**values | {"secret_key": "another"})
    assert code == 1
    assert "SECRET_KEY is not the one" in told[0]
    assert run_cli("doctor", database_url="postgresql://127.0.0.1:1/x").returncode == 1


@pytest.mark.parametrize(
    "words",
    [
        "set-aside list",
        "set-aside retry all",
        "set-aside discard 1",
        "adopt",
        "uninstall",
        "uninstall --yes",
        "rekey",
        "grants",
    ],
)
async def test_a_command_that_looks_after_a_database_makes_none(tmp_path: Path, words: str) -> None:
    """An empty one in its place would say that all is well, and its secret key would be taken for the installation's."""
    done = await asyncio.to_thread(
        run_cli, *words.split(), cwd=tmp_path, data_dir=str(tmp_path / "none"), new_secret_key="another-key-for-a-test"
    )
    assert done.returncode == 2
    assert "There is no database: TIDINGS_DATABASE_URL is not set" in done.stderr
    assert list(tmp_path.iterdir()) == []
