"""Where and why things wait in a fleet: one home that takes nothing, the stream that is drained, who is told of it."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest

from tests.integration.test_fleet_hardships import is_so, landed_numbers, publish
from tests.support import stream as servers
from tests.support.collector import Collector
from tests.support.engine import Engine, eventually
from tests.support.fleet import FLEET, land, pack, relay_of, relaying
from tests.support.stream import Cluster
from tidings.api.routes.health import families
from tidings.cli.fleet import drained, run_drain, run_resume, run_status
from tidings.cli.leaving import run_adopt
from tidings.clock import machine_time
from tidings.core.cargo import LEAST_CARRIED, pieces
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, fleet_of
from tidings.core.pressure import Report, Seen, Waits, Why, troubles
from tidings.core.telemetry import Wanted
from tidings.core.trace import land_span, parse, relay_span
from tidings.fleet import leave, run_relay
from tidings.fleet_watch import drain_by, status
from tidings.operations import attention, diagnosis, readings, set_aside
from tidings.operations import fleet as operations
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange
from tidings.portal.views.fleet import fleet_view
from tidings.store import fleet as stored_fleet
from tidings.store import relay as stored
from tidings.transport import stream
from tidings.transport.stream import Stream, StreamAwayError
from tidings.transport.stream_making import make
from tidings.transport.stream_standing import look
from tidings.transport.stream_turn import turn
from tidings.worker.intake import Intake
from tidings.worker.lookout import Lookout, claim
from tidings.worker.otel import OpenTelemetry
from tidings.worker.outgoing import MAX_AT_HAND
from tidings.worker.relay import Relay
from tidings.worker.reporting import FIGURES, Reporter
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures",)

TWO = fleet_of(("far", "here"))


def group_of(home: str) -> str:
    return next(name for number in range(100) if TWO.home_of(name := f"group-{number}") == home)


async def tell(source: Engine, group: str, numbers: range) -> None:
    for number in numbers:
        await source.sql("select tidings.publish('order.paid', $1, group_id => $2)", json.dumps({"number": number}), group)


class _Far:
    """The stream, that takes nothing for one home until it is told to."""

    def __init__(self, way: Stream, why: Why) -> None:
        self._way, self.why = way, why
        self.most_bytes = way.flights.most_bytes
        self.is_held = True

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
        if home == "far" and self.is_held:
            raise StreamAwayError("maximum bytes exceeded", self.why)
        await self._way.flights.send("here", source, flight, cargo, whole=whole)

    async def report(self, source: str, report: Report) -> None:
        await self._way.bucket.report(source, report)

    async def drained(self) -> Any:
        return await self._way.bucket.drained()


@pytest.fixture
async def of_two(source: Engine, way: Stream) -> AsyncIterator[tuple[Relay, _Far]]:
    """A source of two homes, both of which land by one stream; one of them is full."""
    async with source.services.wide.connection() as connection:
        await stored.become_source(connection, "shop")
    far, services = _Far(way, Why.FULL), source.services
    relay = Relay(
        services.wide, far, TWO, services.box, services.clock, source="shop", salt=services.installation.salt, room=60_000
    )  # fmt: skip
    async with running(relay):
        yield relay, far


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run())
    await asyncio.wait([task, asyncio.create_task(relay.is_at_work.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        relay.stop()
        await task


async def test_a_home_that_takes_nothing_keeps_nobody_else_waiting_and_gets_all_in_order_later(
    source: Engine, home: Engine, way: Stream, of_two: tuple[Relay, _Far]
) -> None:
    relay, far = of_two
    most = 3 * MAX_AT_HAND
    for number in range(most):
        await tell(source, group_of("far"), range(number, number + 1))
        await eventually(lambda number=number: is_so(relay.outgoing["far"].flights == number + 1))
    await tell(source, group_of("here"), range(1000, 1002))
    await land(home, way.flights, 2)
    assert await landed_numbers(home) == [1000, 1001]
    assert relay.outgoing["far"].waits(machine_time()).why is Why.FULL
    assert not relay.is_full
    far.is_held = False
    await land(home, way.flights, 2 + most)
    assert await landed_numbers(home) == [1000, 1001, *range(most)]
    await eventually(lambda: is_so(relay.outgoing["far"].flights == 0))


async def test_rows_wait_in_the_outbox_once_as_much_is_packed_as_a_source_keeps(
    source: Engine, home: Engine, way: Stream, of_two: tuple[Relay, _Far]
) -> None:
    relay, far = of_two
    long = json.dumps({"number": 1, "text": "x" * 20_000})
    for _ in range(6):
        await source.sql("select tidings.publish('order.paid', $1, group_id => $2)", long, group_of("far"))
    await eventually(lambda: is_so(relay.is_full))
    reporter = Reporter(source.services.wide, far, relay, source.services.clock, "shop")
    await tell(source, group_of("here"), range(1))
    assert await source.value("select count(*) from tidings.outbox") >= 1
    assert await reporter.run_once()
    seen = await look(way, ["here"], machine_time())
    told = {one.name for one in troubles(seen)}
    assert {"source_waits", "source_full"} <= told
    assert [sentence for sentence in reporter.why_not_ready() if "no room left" in sentence]
    figures = {
        (sample.name, sample.labels.get("home"), sample.labels.get("reason")): sample.value
        for family in FIGURES.collect()
        for sample in family.samples
        if sample.labels["source"] == "shop"
    }
    assert figures["tidings_relay_full", None, None] == 1
    assert figures["tidings_relay_waiting_reason", "far", "full"] == 1
    assert figures["tidings_relay_waiting_flights", "far", None] >= 1
    reporter.end()
    far.is_held = False
    await land(home, way.flights, 7)


async def test_a_source_that_was_in_the_way_of_others_pauses_before_it_goes_again(source: Engine, way: Stream) -> None:
    class _Colliding:
        async def take(self, *_: Any) -> Any:
            raise asyncpg.DeadlockDetectedError("deadlock")

    services = source.services
    relay = Relay(
        services.wide, way.flights, FLEET, services.box, services.clock, source="shop", salt=services.installation.salt,
        rows=_Colliding(),  # type: ignore[arg-type]
    )  # fmt: skip
    begun = time.monotonic()
    async with services.wide.connection() as connection:
        for _ in range(5):
            assert await relay.run_once(connection)
    assert time.monotonic() - begun >= 0.01 + 0.02 + 0.04 + 0.08 + 0.16


# Larger than what is carried ---------------------------------------------------------------------------------------------


async def test_a_flight_that_is_larger_than_the_stream_carries_by_now_travels_in_pieces_and_lands_once(
    source: Engine, home: Engine, tmp_path: Any
) -> None:
    async with servers.running(tmp_path, max_payload=2**20) as cluster:
        async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
            await make(way, FLEET, replicas=1, most_bytes=10_000_000)
            await source.sql(
                "select tidings.publish('order.paid', $1, 'x' || n) from generate_series(1, 8) n", json.dumps("x" * 20_000)
            )
            assert await pack(source, way.flights) == 8
        (large,) = await source.sql("select id, cargo from tidings.relay_flights")
        cluster.nodes[0].reload("max_payload: 1048576", "max_payload: 65536")
        await eventually(lambda: carries(cluster, LEAST_CARRIED))
        async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
            async with relaying(source, way.flights):
                await land(home, way.flights, 8)
                await eventually(lambda: is_zero(source, "select count(*) from tidings.relay_flights"))
            assert await home.value("select count(*) from tidings.landed_flights") == len(pieces(large["cargo"]))
            # Somebody who was frozen before sends a piece of it again, and of one that came whole.
            first, *_ = pieces(large["cargo"])
            await way.flights.send("here", "shop", large["id"], first.data)
            await way.flights.send("here", "shop", uuid4(), first.data, whole=large["id"])
            intake, landed = Intake(home.services.wide, way.flights, "here"), 0
            while landed < 2:
                landed += await intake.run_once()
            assert await home.value("select count(*) from tidings.landed_flights") == len(pieces(large["cargo"])) + 1
            subjects = [row["subject"] for row in await home.sql("select subject from tidings.outbox order by id")]
            assert subjects[:8] == [f"x{number}" for number in range(1, 9)]


class _Narrow:
    """The stream, that carries no flight whole any more; it notes what was known of one as each of its pieces was sent."""

    def __init__(self, way: Stream, source: Engine) -> None:
        self._way, self._source = way, source
        self.most_bytes = way.flights.most_bytes
        self.noted: list[bool] = []

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
        if whole is None:
            raise StreamAwayError("maximum payload exceeded", Why.LARGE)
        async with self._source.services.wide.connection() as connection:  # not the test's, which asks meanwhile
            self.noted.append(await connection.fetchval("select is_split from tidings.relay_flights where id = $1", whole))
        await self._way.flights.send(home, source, flight, cargo, whole=whole)


async def test_that_a_flight_travels_in_pieces_is_written_down_before_the_first_is_sent(source: Engine, way: Stream) -> None:
    await source.sql("select tidings.publish('order.paid', '{}')")
    assert await pack(source, way.flights) == 1
    narrow, services = _Narrow(way, source), source.services
    relay = Relay(
        services.wide, narrow, FLEET, services.box, services.clock, source="shop", salt=services.installation.salt
    )  # fmt: skip
    async with running(relay):
        await eventually(lambda: is_zero(source, "select count(*) from tidings.relay_flights"))
    assert narrow.noted == [True]


async def carries(cluster: Cluster, limit: int) -> bool:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        return way.flights.most_bytes == limit


async def is_zero(engine: Engine, question: str) -> bool:
    return bool(await engine.value(question) == 0)


# The stream is made, and made again --------------------------------------------------------------------------------------


async def test_of_two_who_make_the_stream_at_once_the_one_that_fails_takes_nothing_of_the_others(cluster: Cluster) -> None:
    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(stream.opened(cluster.url, credentials=None, ca_file=None)) for _ in range(4)]
        for _ in range(5):
            made = await asyncio.gather(
                *(make(way, FLEET, replicas=1 + 2 * (at % 2), most_bytes=10_000_000) for at, way in enumerate(ways)),
                return_exceptions=True,
            )
            assert any(not isinstance(one, BaseException) for one in made), made
            assert all(isinstance(one, StartupError | Fleet) for one in made), made
            assert await ways[0].bucket.fleet() == FLEET
            (found,) = (await look(ways[0], FLEET.homes, machine_time())).homes
            assert found.leader
            await ways[0].flights.send("here", "shop", uuid4(), b"x")
            for name in ("TIDINGS_here", "TIDINGS_AHEAD_here", "KV_TIDINGS"):
                await ways[0].jetstream.delete_stream(name)


async def test_who_died_while_it_made_the_stream_keeps_nobody_from_it(way: Stream, cluster: Cluster) -> None:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as other:

        async def stand_still() -> None:
            async with turn(way, 1) as dead:
                async with turn(other, 1, dead_seconds=1.0) as living:
                    await living.keep()
                await dead.keep()

        with pytest.raises(StartupError, match="has begun meanwhile"):
            await stand_still()
        async with turn(other, 1):
            pass


async def test_an_answer_to_a_ping_that_was_given_up_leaves_the_member_hearing(way: Stream) -> None:
    given_up = asyncio.get_running_loop().create_future()
    given_up.cancel()
    await way._client._send_ping(given_up)
    await way._client.flush()
    assert not way._client._reading_task.done()
    await way.flights.send("here", "shop", uuid4(), b"x")
    assert await way.flights.first("here") == 1


class _Hidden:
    """A stream whose first flight somebody else was given, who gives it up when it is asked for again."""

    def __init__(self, way: Stream) -> None:
        self._way, self._held, self.is_hiding = way, list[Any](), False

    async def first(self, home: str) -> int:
        return await self._way.flights.first(home)

    async def receive(self, home: str, seconds: float) -> list[Any]:
        found = [*self._held, *await self._way.flights.receive(home, 0.5 if self._held else seconds)]
        self._held = []
        if self.is_hiding and found:
            self._held, found = found[:1], found[1:]
            self.is_hiding = False
        return found


async def test_a_home_lands_in_order_what_comes_by_a_stream_that_was_made_anew_beneath_it(
    source: Engine, home: Engine, way: Stream
) -> None:
    hidden = _Hidden(way)
    intake = Intake(home.services.wide, hidden, "here", again_seconds=0)
    async with relaying(source, way.flights):
        for number in range(4):
            await publish(source, range(number, number + 1))
            while await home.value("select count(*) from tidings.outbox") <= number:
                await intake.run_once()
        await way.jetstream.delete_stream("TIDINGS_here")
        await make(way, FLEET, replicas=1, most_bytes=10_000_000)
        for number in range(4, 6):
            await publish(source, range(number, number + 1))
            await eventually(lambda number=number: is_last(way, number - 3))
        hidden.is_hiding = True
        while await home.value("select count(*) from tidings.outbox") < 6:
            await intake.run_once()
    assert await landed_numbers(home) == list(range(6))


async def is_last(way: Stream, number: int) -> bool:
    (found,) = (await look(way, ["here"], machine_time())).homes
    return found.last == number


# Groups, and which database a home is --------------------------------------------------------------------------------------


async def test_a_source_makes_no_more_groups_than_a_home_takes_and_the_others_are_set_aside_and_told(
    source: Engine, home: Engine, way: Stream
) -> None:
    await home.sql("insert into tidings.groups (id) select 'own-' || n from generate_series(1, $1) n", stored.MAX_GROUPS - 3)
    async with source.services.wide.connection() as connection:
        await stored.become_source(connection, "shop")
    await source.sql("select tidings.publish('order.paid', '{}', group_id => 'g' || n) from generate_series(1, 5) n")
    await source.sql("select tidings.publish('order.paid', '{}')")
    async with relaying(source, way.flights):
        await land(home, way.flights, 3)
    assert {row["group_id"] for row in await home.sql("select group_id from tidings.outbox")} == {"default", "g1", "g2"}
    aside = await set_aside.list_rows(home.services, limit=10)
    assert len(aside) == 3
    assert all("no group is made beyond 100,000" in one.reason for one in aside)


async def test_two_databases_are_not_one_home_until_the_other_is_adopted(source: Engine, home: Engine, way: Stream) -> None:
    salt = home.services.installation.salt
    first = await claim(home.services.wide, way.bucket, "here", salt)
    assert await claim(home.services.wide, way.bucket, "here", salt) == first, "a restart is the same"
    other, other_salt = source.services.wide, source.services.installation.salt
    with pytest.raises(StartupError, match=r"Another database is home 'here'.*tidings adopt"):
        await claim(other, way.bucket, "here", other_salt)
    config = msgspec.structs.replace(source.services.config, home="here", stream="nats://127.0.0.1:1")
    await asyncio.to_thread(run_adopt, config, is_to_hold=False, as_json=True)
    assert await claim(other, way.bucket, "here", other_salt) != first
    assert await claim(other, way.bucket, "here", other_salt) != first
    lookout = Lookout(home.services.wide, way, _AtWork(), home.services.clock, "here", first)
    assert await lookout.run_once() is None
    with pytest.raises(StartupError, match="Another database is home 'here'"):
        await lookout.until_displaced()
    with pytest.raises(StartupError):
        await claim(home.services.wide, way.bucket, "here", salt)


class _AtWork:
    def __init__(self) -> None:
        self.is_at_work = Signal()
        self.is_at_work.set()


# Draining, and what is told ------------------------------------------------------------------------------------------------


async def test_a_home_is_drained_and_what_is_committed_waits_until_it_is_no_longer(
    source: Engine, home: Engine, way: Stream
) -> None:
    relay = relay_of(source, way.flights)
    reporter = Reporter(source.services.wide, way.bucket, relay, source.services.clock, "shop")
    intake = Intake(home.services.wide, way.flights, "here")
    async with running(relay):
        await publish(source, range(1))
        assert await reporter.run_once()
        told: list[list[str]] = []
        draining = asyncio.create_task(
            drain_by(way, ["here"], machine_time, seconds=1000, on_waiting=lambda left: told.append(left))
        )
        await eventually(lambda: is_so(bool(told) or draining.done()))
        assert told, await draining
        assert told[0][0].startswith("Source shop has not said yet")
        assert await reporter.run_once()
        while not draining.done():
            await intake.run_once()
        assert (await draining).left == []
        await publish(source, range(1, 2))
        await eventually(lambda: is_so(relay.outgoing["here"].flights == 1))
        assert await reporter.run_once()
        (waits,) = reporter_said(await look(way, ["here"], machine_time())).waits
        assert (waits.why, waits.events) == (Why.DRAINED, 1)
        assert reporter.why_not_ready() == [], "that is meant"
        assert (await drain_by(way, ["here"], machine_time, seconds=0)).left == []
        assert not (await way.bucket.drain(["here"], is_over=True)).homes
        assert await reporter.run_once()
        await land(home, way.flights, 2)
    assert await landed_numbers(home) == [0, 1]
    reporter.end()


def reporter_said(seen: Seen) -> Report:
    report = seen.sources["shop"]
    assert report is not None
    return report


async def test_who_looks_after_the_stream_sees_what_waits_and_who_is_silent(
    source: Engine, home: Engine, way: Stream, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    config = msgspec.structs.replace(source.services.config, stream=cluster.url)
    now = machine_time()
    waits = [Waits("here", 1, 1, 1, 1.0, Why.NOTHING)]
    await way.bucket.report("old", Report(now - timedelta(days=30), 0, 0.0, False, [], []))
    await way.bucket.report("shop", Report(now - timedelta(seconds=3), 5, 3.0, False, [], waits))
    bucket = await way.jetstream.key_value("TIDINGS")
    await bucket.put("sources.odd", b"\xff")
    await way.flights.send("here", "shop", uuid4(), b"x")
    seen = await status(config, now)
    assert {one.name for one in troubles(seen)} == {"source_unread"}, "who was silent for weeks is none any more"
    silent = await status(config, now + timedelta(minutes=5))
    assert "Source shop has said nothing for 5 minutes" in " ".join(one.sentence for one in troubles(silent))
    assert await asyncio.to_thread(run_status, config, watch=None, as_json=False) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("home here: 1 flights in the stream, the oldest for")
    assert shown[-1].startswith("! What source odd says of itself cannot be read.")
    assert await asyncio.to_thread(run_drain, config, ["here"], seconds=0, as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["left"][-1] == "1 flight waits for here in the stream."
    await asyncio.to_thread(run_resume, config, ["here"], as_json=False)
    assert capsys.readouterr().out == "What waits at the sources is sent again. No home is drained.\n"
    (standing,) = seen.homes
    assert (standing.flights, standing.last, standing.replicas, standing.current) == (1, 1, 1, 1)
    await way.jetstream.delete_stream("TIDINGS_here")
    assert [one.about for one in troubles(await status(config, machine_time())) if one.name == "stream_missing"] == ["here"]


def test_nats_may_be_stopped_once_all_homes_are_drained_and_the_remedy_is_the_command_as_it_has_to_be_given() -> None:
    assert drained(["eu", "us"], is_all=True) == (
        "Nothing is on its way to eu, us: the stream may be stopped, or taken away and made again. What is committed waits at "
        "the sources, until: tidings stream drain --all --resume"
    )
    assert drained(["eu"], is_all=False) == (
        "Nothing is on its way to eu. What is committed waits at the sources, until: tidings stream drain --home eu --resume"
    )


async def test_a_home_notes_what_it_sees_for_pages_figures_and_doctor(home: Engine, way: Stream) -> None:
    services = home.services
    assert (await operations.read(services)).troubles[0].name == "home_silent"  # type: ignore[union-attr]
    lookout = Lookout(services.wide, way, _AtWork(), services.clock, "here", await claim(services.wide, way.bucket, "here", 1))
    waits = [Waits("here", 3, 30, 300, 90.0, Why.FULL), Waits("elsewhere", 1, 1, 1, 1.0, Why.NOTHING)]
    await way.bucket.report("shop", Report(services.clock.now(), 7, 1.0, True, [], waits))
    await way.flights.send("here", "shop", uuid4(), b"x")
    seen = await lookout.run_once()
    assert seen is not None
    assert [one.home for one in reporter_said(seen).waits] == ["here"], "what is about others is not its own"
    found = await attention.read(services)
    assert {one.name for one in found.fleet} == {"source_waits", "source_full"}
    async with services.wide.connection() as connection:
        assert (await stored_fleet.seen(connection)) == seen
    view = fleet_view(await operations.read(services), services.clock.now())
    (row,) = view.table.rows
    assert (row.data.name.plain, row.data.state.word, row.data.waiting) == ("shop", "waits", "30 events")
    assert "no room left" in row.data.why.plain
    assert view.facts[0][:2] == ("Flights in the stream", "1")
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(await readings.read(services))
        for sample in family.samples
    }
    assert told["tidings_stream_flights",] == told["tidings_stream_received",] == 1
    assert (told["tidings_fleet_troubles", "source_waits"], told["tidings_fleet_troubles", "stream_away"]) == (1, 0)
    assert told["tidings_source_waiting_events", "shop"] == 30
    problems = (await diagnosis.examine(services)).problems
    assert {"source_waits", "source_full"} <= {one.name for one in problems}


@pytest.mark.parametrize("is_whole", [True, False], ids=["the stream", "what gives its flights out"])
async def test_a_home_whose_stream_is_gone_says_so_and_not_that_nobody_works(home: Engine, way: Stream, is_whole: bool) -> None:
    services, at_work = home.services, _AtWork()
    at_work.is_at_work.clear()  # who is to land what comes cannot even begin
    lookout = Lookout(services.wide, way, at_work, services.clock, "here", await claim(services.wide, way.bucket, "here", 1))
    if is_whole:
        await way.jetstream.delete_stream("TIDINGS_here")
    else:
        await way.jetstream.delete_consumer("TIDINGS_here", "home")
    assert await lookout.run_once() is not None
    watched = await operations.read(services)
    assert watched is not None
    assert [one.name for one in watched.troubles] == ["stream_missing"]
    assert "Run tidings stream init again" in watched.troubles[0].sentence
    assert await lookout.run_once() is None, "one of them looks"


async def test_a_table_that_is_at_sources_alone_is_no_trouble_of_a_home(home: Engine) -> None:
    services = home.services
    await home.sql("insert into tidings.groups (id) values ('acme')")
    change = WebhookChange(url="https://example.com/", events=[{"table": "at_sources"}])
    made = await subscriptions.create(msgspec.structs.replace(services, group_id="acme"), change)
    assert made.warnings == [], "whether it is captured, and whose its rows are, is known there alone"
    assert (await attention.read(services)).uncaptured == []
    assert "uncaptured" not in {one.name for one in (await diagnosis.examine(services)).problems}
    alone = msgspec.structs.replace(services, config=msgspec.structs.replace(services.config, home=None))
    assert (await attention.read(alone)).uncaptured == ["public.at_sources"]


async def test_a_relay_answers_those_who_watch_it_and_is_forgotten_when_it_leaves(
    source: Engine, way: Stream, cluster: Cluster
) -> None:
    (port,) = servers.free_ports(1)
    config = msgspec.structs.replace(
        source.services.config, stream=cluster.url, source="shop", metrics_address=f"127.0.0.1:{port}"
    )
    await source.sql("delete from tidings.workers")
    stop, ready = Signal(), Signal()
    task = asyncio.create_task(run_relay(config, stop, on_ready=lambda _: ready.set()))
    await asyncio.wait([task, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await eventually(lambda: answers(client, "/readyz", "ready"))
        await eventually(lambda: answers(client, "/metrics", 'tidings_relay_at_work{source="shop"} 1.0'))
        assert await diagnosis.look(source.services) == [], "tidings api may run here, where no worker does"
        assert (await client.get("/healthz")).text == "ok"
        assert (await client.get("/api/v1/webhooks")).status_code == 404
    assert "shop" in (await look(way, ["here"], machine_time())).sources
    stop.set()
    await task
    await leave(config)
    assert (await look(way, ["here"], machine_time())).sources.get("shop") is None
    assert troubles(await look(way, ["here"], machine_time())) == []


async def answers(client: httpx.AsyncClient, path: str, text: str) -> bool:
    return text in (await client.get(path)).text


# Spans -----------------------------------------------------------------------------------------------------------------------


async def test_the_way_of_an_event_through_relay_and_intake_is_told_as_spans_of_its_trace(
    source: Engine, home: Engine, way: Stream
) -> None:
    collector = Collector()
    await collector.start()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint  # the library reads it when it begins
    try:
        telemetry = OpenTelemetry(Wanted(traces=True, metrics=False), "test")
    finally:
        del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    services = source.services
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    relay = Relay(
        services.wide, way.flights, FLEET, services.box, services.clock, source="shop", salt=services.installation.salt,
        telemetry=telemetry,
    )  # fmt: skip
    try:
        async with running(relay):
            async with services.wide.transaction() as connection:
                await connection.execute("select set_config('tidings.traceparent', $1, true)", trace)
                await connection.execute("select tidings.publish('order.paid', '{}')")
            await publish(source, range(1))
            intake = Intake(home.services.wide, way.flights, "here", telemetry=telemetry)
            while await home.value("select count(*) from tidings.outbox") < 2:
                await intake.run_once()
    finally:
        await telemetry.close()
        await collector.stop()
    rows = await home.sql("select event_id, traceparent from tidings.outbox order by id")
    spans = {span.span_id.hex(): span for span in collector.spans()}
    assert rows[0]["traceparent"] == trace
    for row in rows:
        found = parse(row["traceparent"])
        assert found is not None, "one that came without has a trace of its own from its source on"
        relayed, landed = (spans[f"{of(row['event_id']):016x}"] for of in (relay_span, land_span))
        assert (relayed.name, landed.name) == ("relay order.paid", "land order.paid")
        assert {int.from_bytes(one.trace_id) for one in (relayed, landed)} == {found.trace_id}
        assert relayed.end_time_unix_nano <= landed.end_time_unix_nano
    assert len(spans) == 4
