"""A source and a home with a real stream between them: what is committed at one is delivered from the other, once."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from tests.support import stream as servers
from tests.support.engine import Engine, eventually
from tests.support.fleet import FLEET, land, landing_at, pack, relay_of, relaying
from tests.support.receiver import Receiver
from tests.support.stream import Cluster
from tidings.core.cargo import FORMAT
from tidings.core.errors import StartupError
from tidings.core.fleet import fleet_of
from tidings.fleet import leave
from tidings.operations import set_aside
from tidings.running import run
from tidings.store import relay as stored
from tidings.transport import stream
from tidings.transport.stream import Stream, StreamAwayError
from tidings.transport.stream_making import make
from tidings.transport.stream_standing import standing
from tidings.worker.intake import Intake
from tidings.worker.rows import BATCH
from tidings.worker.signals import Signal
from tidings.worker.source import Wishes
from tidings.worker.wishes import WishTeller

pytest_plugins = ("tests.support.fleet_fixtures",)


async def test_what_is_committed_at_a_source_is_delivered_from_the_home(
    source: Engine, home: Engine, way: Stream, receiver: Receiver
) -> None:
    await home.add_webhook(receiver.url(), "order.*")
    async with relaying(source, way.flights):
        for number in range(3):
            await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": number}))
        await land(home, way.flights, 3)
        await home.cycle()
    assert sorted(json.loads(one.body)["data"]["number"] for one in receiver.received) == [0, 1, 2]
    assert await source.value("select count(*) from tidings.outbox") == 0
    assert await home.value("select count(distinct id) from tidings.events") == 3


async def test_tables_of_a_source_are_captured_when_a_webhook_at_the_home_names_them(
    source: Engine, home: Engine, way: Stream, receiver: Receiver
) -> None:
    await source.sql("create table orders (id int primary key, total int)")
    await home.add_webhook(receiver.url(), "table.orders.inserted")
    wishes = Wishes(source.services.wide, way.bucket, FLEET)
    assert await wishes.run_once() == 0
    assert await WishTeller(home.services.wide, way.bucket, "here").run_once()
    assert await wishes.run_once() == 1
    assert await wishes.run_once() == 0, "nothing has changed"
    async with relaying(source, way.flights):
        await source.sql("insert into orders values (1, 5)")
        await source.sql("update orders set total = 6")
        await land(home, way.flights, 1)
        await home.cycle()
    (told,) = receiver.received
    assert json.loads(told.body)["type"] == "table.orders.inserted"
    await home.sql("delete from tidings.table_subscriptions")
    assert await WishTeller(home.services.wide, way.bucket, "here").run_once()
    assert await wishes.run_once() == 1
    assert (
        await source.value("select count(*) from pg_trigger where tgname like 'tidings%' and tgrelid = 'orders'::regclass") == 0
    )


async def test_a_flight_that_comes_again_is_landed_once(source: Engine, home: Engine, way: Stream) -> None:
    await source.sql("select tidings.publish('order.paid', '{}')")
    assert await pack(source, way.flights) == 1
    async with source.services.wide.connection() as connection:
        (flight,) = await stored.left(connection, FLEET.homes, limit=10, most_bytes=2**20)
    for _ in range(2):
        await way.flights.send("here", "shop", flight.id, flight.cargo)
    intake = Intake(home.services.wide, _Twice(way), "here")
    assert await intake.run_once() == 2
    assert await home.value("select count(*) from tidings.outbox") == 1


class _Again:
    """The same flight, of which only the first is acknowledged."""

    def __init__(self, arrived: Any) -> None:
        self.id, self.name, self.sequence, self.cargo = arrived.id, arrived.name, arrived.sequence, arrived.cargo
        self.source, self.whole, self.is_new = arrived.source, arrived.whole, False

    async def done(self) -> None:
        pass


class _Twice:
    """A stream that brings everything twice, as one does whose acknowledgements are lost."""

    def __init__(self, way: Stream) -> None:
        self._way = way

    async def receive(self, home: str, seconds: float) -> list[Any]:
        return [one for arrived in await self._way.flights.receive(home, seconds) for one in (arrived, _Again(arrived))]

    async def first(self, home: str) -> int:
        return await self._way.flights.first(home)


async def test_a_relay_that_dies_with_flights_that_nobody_acknowledged_is_followed_by_one_that_sends_them(
    source: Engine, home: Engine, way: Stream
) -> None:
    for number in range(5):
        await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": number}))
        assert await pack(source, way.flights) == 1  # and is gone
    assert await source.value("select count(*) from tidings.outbox") == 0
    assert await source.value("select count(*) from tidings.relay_flights") == 5
    async with relaying(source, way.flights):
        await land(home, way.flights, 5)
        await eventually(lambda: is_zero(source, "select count(*) from tidings.relay_flights"))
    told = await home.sql("select record::jsonb ->> 'number' as number from tidings.outbox order by id")
    assert [row["number"] for row in told] == ["0", "1", "2", "3", "4"], "in their order"


async def is_zero(engine: Engine, question: str) -> bool:
    return await engine.value(question) == 0


async def test_a_second_relay_stands_by_and_goes_on_when_the_first_is_gone(source: Engine, way: Stream) -> None:
    async with relaying(source, way.flights):
        second = relay_of(source, way.flights)
        running = asyncio.create_task(second.run())
        await source.sql("select tidings.publish('order.paid', '{}')")
        await eventually(lambda: is_zero(source, "select count(*) from tidings.relay_flights union all select 1 limit 1"))
        assert not second.is_at_work.is_set
    await second.is_at_work.wait()
    second.stop()
    await running


class _Away:
    """A stream that takes nothing until it is told to."""

    def __init__(self, way: Stream) -> None:
        self._way = way
        self.is_away = True
        self.most_bytes = way.flights.most_bytes
        self.tries = 0

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
        self.tries += 1
        if self.is_away:
            raise StreamAwayError("no quorum")
        await self._way.flights.send(home, source, flight, cargo)


async def test_while_the_stream_is_away_rows_wait_in_the_outbox_and_users_commit(
    source: Engine, home: Engine, way: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    away = _Away(way)
    async with relaying(source, away):
        rows = 20 * BATCH
        await source.sql("select count(tidings.publish('order.paid', '{}')) from generate_series(1, $1)", rows)

        async def is_full() -> bool:
            return away.tries > 2 and await source.value("select count(*) from tidings.relay_flights") >= 16

        await eventually(is_full)
        waiting = await source.value("select count(*) from tidings.outbox")
        assert waiting >= rows - 18 * BATCH
        await source.sql("select tidings.publish('order.paid', '{}')")
        away.is_away = False
        intake, landed = Intake(home.services.wide, way.flights, "here"), 0
        while landed < rows + 1:
            await intake.run_once()
            landed = await home.value("select count(*) from tidings.outbox")
    assert landed == rows + 1
    said = [record.getMessage() for record in caplog.records if record.name == "tidings.relay"]
    assert len(said) == 2, said
    assert said[0].startswith("the stream does not take")


async def test_a_row_that_no_message_can_carry_is_set_aside_and_stops_nobody(source: Engine, home: Engine, way: Stream) -> None:
    await source.sql("select tidings.publish('order.paid', $1)", json.dumps("x" * 70_000))
    await source.sql("select tidings.publish('order.paid', '{}')")
    async with relaying(source, way.flights):
        await land(home, way.flights, 1)
    (aside,) = await source.sql("select error from tidings.outbox_rejected")
    assert "max_payload" in aside["error"]


async def test_a_flight_that_cannot_be_read_is_set_aside_and_shown(home: Engine, way: Stream) -> None:
    later = msgspec.msgpack.encode([FORMAT + 1, []])
    await way.flights.send("here", "shop", uuid4(), b"poison")
    await way.flights.send("here", "shop", uuid4(), later)
    intake = Intake(home.services.wide, way.flights, "here")
    count = 0
    while count < 2:
        count += await intake.run_once()
    found = await set_aside.list_rows(home.services, limit=10)
    assert [row.kind for row in found] == ["flight", "flight"]
    assert any("Upgrade homes first" in row.reason for row in found)
    assert await intake.run_once() == 0, "the stream has forgotten it"


async def test_an_event_that_postgresql_refuses_is_set_aside_and_the_others_of_its_flight_land(
    source: Engine, home: Engine, way: Stream
) -> None:
    await home.sql("alter table tidings.outbox add constraint odd check (subject is distinct from 'odd')")
    for subject in ("a", "odd", "b"):
        await source.sql("select tidings.publish('order.paid', $1, $2)", '{"a": "\\u0000"}', subject)
    async with relaying(source, way.flights):
        await land(home, way.flights, 2)
    assert [row["subject"] for row in await home.sql("select subject from tidings.outbox order by id")] == ["a", "b"]
    (aside,) = await set_aside.list_rows(home.services, limit=10)
    assert (aside.kind, aside.type) == ("event", "order.paid")
    await home.sql("alter table tidings.outbox drop constraint odd")
    await set_aside.route_again(home.services, aside.number)
    assert await home.value("select count(*) from tidings.outbox") == 3


# Making the stream -----------------------------------------------------------------------------------------------------------


async def test_a_stream_is_made_once_and_another_fleet_is_refused(way: Stream) -> None:
    await make(way, FLEET, replicas=1, most_bytes=10_000_000)
    assert await way.bucket.fleet() == FLEET
    with pytest.raises(StartupError, match="There is a fleet"):
        await make(way, fleet_of(("there",)), replicas=1, most_bytes=10_000_000)
    (found,) = await standing(way, FLEET)
    assert (found.home, found.flights, found.replicas) == ("here", 0, 1)


async def test_too_few_nodes_are_refused_and_nothing_is_left_half_made(cluster: Cluster) -> None:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        with pytest.raises(StartupError, match="--replicas"):
            await make(way, FLEET, replicas=3, most_bytes=10_000_000)
        with pytest.raises(StartupError, match="stream init"):
            await way.bucket.fleet()
        await make(way, FLEET, replicas=1, most_bytes=10_000_000)


async def test_a_stream_that_is_full_refuses_and_drops_nothing(cluster: Cluster) -> None:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        await make(way, FLEET, replicas=1, most_bytes=200_000)
        for _ in range(3):
            await way.flights.send("here", "shop", uuid4(), uuid4().bytes * 3_500)
        with pytest.raises(StreamAwayError, match="maximum bytes"):
            await way.flights.send("here", "shop", uuid4(), uuid4().bytes * 3_500)
        (found,) = await standing(way, FLEET)
        assert found.flights == 3


async def test_servers_that_cannot_be_reached_are_one_sentence() -> None:
    with pytest.raises(StartupError, match=r"NATS at nats://127\.0\.0\.1:1 cannot be reached"):
        async with stream.opened("nats://user:secret@127.0.0.1:1", credentials=None, ca_file=None):
            raise AssertionError


@pytest.mark.parametrize("url", ["http://x:1", "nats://", "127.0.0.1:4222", "nats://a:1,", "redis://:secret@x"])
async def test_what_is_no_url_of_nats_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StartupError, match="nats://host:port") as refused:
        async with stream.opened(url, credentials=None, ca_file=None):
            raise AssertionError
    assert "secret" not in refused.value.message


async def test_servers_without_jetstream_are_one_sentence(tmp_path: Path) -> None:
    import subprocess

    (port,) = servers.free_ports(1)
    process = subprocess.Popen([servers.SERVER, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    try:
        url = f"nats://127.0.0.1:{port}"

        async def is_there() -> bool:
            try:
                async with stream.opened(url, credentials=None, ca_file=None) as way:
                    with pytest.raises(StartupError, match="JetStream"):
                        await make(way, FLEET, replicas=1, most_bytes=1_000_000)
                    return True
            except StartupError:
                return False

        await eventually(is_there)
    finally:
        process.kill()
        process.wait()


# Being a source ----------------------------------------------------------------------------------------------------------------


async def test_no_worker_begins_at_a_source_until_it_leaves_the_fleet(
    source: Engine, home: Engine, way: Stream, cluster: Cluster
) -> None:
    async with source.services.wide.connection() as connection:
        await stored.become_source(connection, "shop")
    config = msgspec.structs.replace(source.services.config, stream=cluster.url, source="shop")
    with pytest.raises(StartupError, match="source 'shop' of a fleet"):
        await run(config, Signal(), with_api=False, with_worker=True)
    await source.sql("select tidings.publish('order.paid', '{}', group_id => 'known-at-its-home')")
    assert await pack(source, way.flights) == 1
    assert await leave(config) == 1
    await land(home, way.flights, 1)
    assert await home.value("select group_id from tidings.outbox") == "known-at-its-home"
    with pytest.raises(asyncpg.InvalidParameterValueError, match="There is no group"):
        await source.sql("select tidings.publish('order.paid', '{}', group_id => 'known-at-its-home')")
    stop = Signal()
    stop.set()
    await run(config, stop, with_api=False, with_worker=True)


async def test_a_home_that_the_fleet_does_not_have_says_so_and_goes_on(
    home: Engine, way: Stream, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    config = msgspec.structs.replace(home.services.config, stream=cluster.url, home="elsewhere")
    async with landing_at(home, config):
        await eventually(lambda: says(caplog, "no home 'elsewhere'; it has here"))


async def says(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return any(words in record.getMessage() for record in caplog.records)
