"""What a fleet goes through: connections that break between any two steps, members that lie, streams that bring things askew."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import nats
import pytest

from tests.support import stream as servers
from tests.support.engine import Engine, engine_of, eventually
from tests.support.fleet import FLEET, land, landing_at, pack, relay_of, relaying
from tests.support.limits import PATIENCE
from tests.support.members import accounts
from tests.support.receiver import Receiver
from tests.support.switch import Switch
from tidings.core.cargo import FORMAT, flights, packed, piece_id, pieces
from tidings.core.errors import StartupError
from tidings.core.event import Event, event_id
from tidings.core.fleet import fleet_of, sender_of
from tidings.core.pressure import Report
from tidings.fleet import leave, run_relay
from tidings.operations import set_aside
from tidings.store import outbox
from tidings.store import relay as stored
from tidings.transport import stream
from tidings.transport.stream import Stream, StreamAwayError, inbox_of
from tidings.transport.stream_making import make
from tidings.transport.stream_standing import look, standing
from tidings.worker.intake import Intake
from tidings.worker.lines import MAX_WAITING
from tidings.worker.outgoing import MAX_AT_HAND
from tidings.worker.signals import Signal
from tidings.worker.source import Keeper, Wishes
from tidings.worker.wishes import WishTeller

pytest_plugins = ("tests.support.fleet_fixtures",)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


async def publish(source: Engine, numbers: range) -> None:
    for number in numbers:
        await source.sql("select tidings.publish('order.paid', $1)", json.dumps({"number": number}))


async def landed_numbers(home: Engine) -> list[int]:
    return [
        row["number"]
        for row in await home.sql("select (record::jsonb ->> 'number')::int as number from tidings.outbox order by id")
    ]


# The relay ---------------------------------------------------------------------------------------------------------------------


class _Full:
    """A stream that takes nothing until it is told to."""

    def __init__(self, way: Stream) -> None:
        self._way = way
        self.is_full = True
        self.most_bytes = way.flights.most_bytes

    async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
        if self.is_full:
            raise StreamAwayError("maximum bytes exceeded")
        await self._way.flights.send(home, source, flight, cargo)


async def test_a_relay_that_lost_the_outbox_while_the_stream_was_full_takes_nothing_behind_the_one_that_has_it(
    source: Engine, home: Engine, way: Stream
) -> None:
    full = _Full(way)
    for number in range(MAX_WAITING):
        await publish(source, range(number, number + 1))
        await pack(source, way.flights)
    async with relaying(source, full) as first:
        await publish(source, range(MAX_WAITING, MAX_WAITING + 1))
        owner = "select pid from pg_locks where locktype = 'advisory' and classid = 7413201 and objid = 10 and database = (select oid from pg_database where datname = current_database())"
        lost = await source.value(owner)
        await source.sql("select pg_terminate_backend($1)", lost)

        async def is_had_again() -> bool:
            return await source.value(owner) not in {None, lost} and first.is_at_work.is_set

        await eventually(is_had_again)
        full.is_full = False
        await land(home, way.flights, MAX_WAITING + 1)
    assert await landed_numbers(home) == list(range(MAX_WAITING + 1))


async def test_a_relay_that_cannot_go_on_ends_also_while_all_waits(source: Engine, way: Stream) -> None:
    class Broken(_Full):
        async def send(self, home: str, source: str, flight: UUID, cargo: bytes, *, whole: UUID | None = None) -> None:
            raise RuntimeError("a fault of ours")

    for number in range(MAX_WAITING):
        await publish(source, range(number, number + 1))
        await pack(source, way.flights)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        async with asyncio.timeout(PATIENCE):
            await relay_of(source, Broken(way)).run()


async def test_what_is_packed_is_not_written_once_the_outbox_is_lost(source: Engine, way: Stream) -> None:
    await publish(source, range(1))
    owner = await source.services.wide.dedicated()
    relay = relay_of(source, way.flights)
    await source.sql("select pg_terminate_backend($1)", owner.get_server_pid())
    await eventually(lambda: is_so(owner.is_closed()))
    with pytest.raises(asyncpg.InterfaceError):
        await relay.run_once(owner)
    assert await source.value("select count(*) from tidings.outbox") == 1
    assert await source.value("select count(*) from tidings.relay_flights") == 0


async def test_all_that_was_left_is_sent_before_what_is_new_however_much_it_is(
    source: Engine, home: Engine, way: Stream
) -> None:
    async with source.services.wide.connection() as connection:
        await stored.keep(connection, [stored.Flight(uuid4(), "gone", b"x", 1) for _ in range(4)])
    most = 3 * MAX_AT_HAND + 5
    for number in range(most):
        await publish(source, range(number, number + 1))
        await pack(source, way.flights)
    await publish(source, range(most, most + 2))
    async with relaying(source, way.flights):
        await land(home, way.flights, most + 2)
    assert await landed_numbers(home) == list(range(most + 2))


async def test_what_is_left_is_read_within_bounds(source: Engine) -> None:
    async with source.services.wide.connection() as connection:
        await stored.keep(connection, [stored.Flight(uuid4(), "here", b"x" * 1000, 1) for _ in range(4)])
        found = await stored.left(connection, ["here"], limit=10, most_bytes=1500)
        assert len(found) == 2
        rest = await stored.left(connection, ["here"], limit=10, most_bytes=1, behind=found[-1].number)
        assert len(rest) == 1, "one comes however large it is"


async def test_a_source_that_leaves_sends_a_flight_on_in_pieces_that_began_so(
    source: Engine, home: Engine, cluster: servers.Cluster, way: Stream
) -> None:
    await publish(source, range(3))
    await pack(source, way.flights)
    (flight,) = await source.sql("update tidings.relay_flights set is_split = true returning id, cargo")
    (piece,) = pieces(flight["cargo"])
    await way.flights.send("here", "shop", piece_id(flight["id"], 0), piece.data, whole=flight["id"])
    await land(home, way.flights, 3)
    last = await way.flights.last("here")
    assert await leave(msgspec.structs.replace(source.services.config, stream=cluster.url, source="shop")) == 1
    assert await way.flights.last("here") == last, (
        "what comes again is what the stream has, and no flight that it does not know"
    )


async def test_no_relay_begins_beside_a_worker(source: Engine, cluster: servers.Cluster, way: Stream) -> None:
    await source.sql("insert into tidings.workers (id, host, pid) values ($1, 'x', 1)", uuid4())
    config = msgspec.structs.replace(source.services.config, stream=cluster.url, source="shop")
    with pytest.raises(StartupError, match="A worker is at work"):
        await run_relay(config, Signal())
    assert await source.value("select count(*) from tidings.settings where name = 'source'") == 0


async def test_a_source_forgets_the_ids_of_publishers(source: Engine) -> None:
    await source.sql(
        "select tidings.publish('order.paid', '{}', id => 'old'), tidings.publish('order.paid', '{}', id => 'new')"
    )
    await source.sql("update tidings.published set created_at = now() - interval '31 days' where external_id = 'old'")
    await Keeper(source.services.wide, source.services.clock, retention_days=30).run_once()
    assert await source.value("select external_id from tidings.published") == "new"


# The intake --------------------------------------------------------------------------------------------------------------------


class _Given:
    """A stream some of whose flights somebody else has, who gives them up when they are asked for again."""

    def __init__(self, way: Stream, hidden: set[int]) -> None:
        self._way, self._hidden, self._held = way, hidden, list[Any]()

    async def first(self, home: str) -> int:
        return await self._way.flights.first(home)

    async def receive(self, home: str, seconds: float) -> list[Any]:
        back, self._held = self._held, []
        found = back or await self._way.flights.receive(home, seconds)
        self._held += [one for one in found if one.sequence in self._hidden]
        self._hidden = set()
        return [one for one in found if one not in self._held]


async def test_a_new_intake_lands_nothing_before_what_somebody_else_was_given(
    source: Engine, home: Engine, way: Stream
) -> None:
    for number in range(3):
        await publish(source, range(number, number + 1))
        await pack(source, way.flights)
    async with relaying(source, way.flights):
        await eventually(lambda: is_value(source, 0, "select count(*) from tidings.relay_flights"))
    intake = Intake(home.services.wide, _Given(way, {1}), "here", again_seconds=0)
    assert await intake.run_once() == 0
    assert await landed_numbers(home) == []
    assert await intake.run_once() == 1
    rest = Intake(home.services.wide, way.flights, "here", again_seconds=0)
    landed = 1
    while landed < 3:
        landed += await rest.run_once()
    assert await landed_numbers(home) == [0, 1, 2]


async def test_the_stream_tells_the_number_of_the_first_flight_that_it_keeps(way: Stream) -> None:
    assert await way.flights.first("here") == 1
    for _ in range(2):
        await way.flights.send("here", "shop", uuid4(), b"x")
    assert await way.flights.first("here") == 1
    first, _ = await way.flights.receive("here", 5)
    await first.done()
    await eventually(lambda: is_first(way, 2))
    await (await way.flights.receive("here", 10))[0].done()
    await eventually(lambda: is_first(way, 3))


async def is_first(way: Stream, number: int) -> bool:
    return await way.flights.first("here") == number


_numbers = itertools.count(1)


def forged(**changes: Any) -> list[Any]:
    """Return an event as it travels, with something of it changed."""
    fields = {
        "id": event_id(NOW, next(_numbers), 0), "group_id": "default", "source": "publish", "type": "order.paid", "operation": None, "subject": None,
        "table_schema": None, "table_name": None, "record": "{}", "old_record": None, "occurred_at": NOW, "external_id": None,
        "webhook_id": None, "capture_error": None, "hops": 0,
    }  # fmt: skip
    return list((fields | changes).values())


FORGED: dict[str, dict[str, Any]] = {
    "no JSON": {"record": "{no"},
    "a NUL": {"subject": "a\0b"},
    "a NUL in the group": {"group_id": "a\0b"},
    "no group": {"group_id": ""},
    "a group of many characters": {"group_id": "x" * 10_000},
    "too many hops": {"hops": 2**40},
    "many more hops": {"hops": 2**64 - 1},
    "a time without a zone": {"occurred_at": "2026-11-22T00:00:00"},
    "the first moment": {"occurred_at": "0001-01-01T00:00:00+14:00"},
    "of Tidings itself": {"source": "tidings", "type": "webhook.disabled"},
    "a type of Tidings": {"type": "webhook.test"},
    "for one webhook": {"webhook_id": uuid4()},
    "no JSON and a NUL": {"record": "\0", "old_record": "nothing", "source": "\0"},
}


async def test_what_no_source_makes_is_set_aside_alone_and_stops_nobody(home: Engine, way: Stream) -> None:
    for changes in FORGED.values():
        good, bad = forged(), forged(**changes)
        await way.flights.send("here", "shop", uuid4(), msgspec.msgpack.encode([FORMAT, [good, bad]]))
    intake, landed = Intake(home.services.wide, way.flights, "here"), 0
    while landed < len(FORGED):
        landed += await intake.run_once()
    await home.cycle()
    assert await home.value("select count(*) from tidings.outbox") == 0
    assert await home.value("select count(*) from tidings.events") == len(FORGED)
    aside = await set_aside.list_rows(home.services, limit=100)
    assert len(aside) == len(FORGED), [one.reason for one in aside]


async def test_members_go_on_when_the_stream_has_closed_their_connection_for_good(
    source: Engine, home: Engine, tmp_path: Path
) -> None:
    login = "authorization { users: [{user: u, password: p}] }"
    async with servers.running(tmp_path, more=login, login="u:p@") as cluster:
        async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
            await make(way, FLEET, replicas=1, most_bytes=10_000_000)
        there = msgspec.structs.replace(home.services.config, stream=cluster.url, home="here")
        here = msgspec.structs.replace(source.services.config, stream=cluster.url, source="shop")
        await source.sql("delete from tidings.workers")
        ready = Signal()
        async with landing_at(home, there):
            relay = asyncio.create_task(run_relay(here, Signal(), on_ready=lambda _: ready.set()))
            await asyncio.wait([relay, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert not relay.done() or await relay
            await publish(source, range(1))
            await eventually(lambda: is_value(home, 1, "select count(*) from tidings.landed_flights"))
            cluster.nodes[0].reload(login, login.replace("password: p", "password: other"))
            with pytest.raises(StartupError, match="closed the connection"):
                await relay
            cluster.nodes[0].reload(login.replace("password: p", "password: other"), login)
            relay = asyncio.create_task(run_relay(here, stop := Signal()))
            await publish(source, range(1, 2))
            await eventually(lambda: is_value(home, 2, "select count(*) from tidings.landed_flights"))
            stop.set()
            await relay


# Nodes that are frozen ---------------------------------------------------------------------------------------------------------


def _opened(cluster: servers.Cluster) -> AbstractAsyncContextManager[Stream]:
    return stream.opened(cluster.url, credentials=None, ca_file=None)


# The client drops connections by which it could not connect again.
_DROPS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@_DROPS
async def test_a_frozen_node_that_takes_nothing_is_left_for_another(tmp_path: Path) -> None:
    async with servers.running(tmp_path / "nats", nodes=3, max_payload=1_000_000) as cluster, _opened(cluster) as way:
        await make(way, FLEET, replicas=3, most_bytes=100_000_000)
        port = way._client.connected_url.port  # type: ignore[union-attr]
        (frozen,) = [node for node in cluster.nodes if node.port == port]
        frozen.freeze()
        try:
            # More than the system's buffers hold.
            sending = [asyncio.create_task(way.flights.send("here", "shop", uuid4(), b"." * 900_000)) for _ in range(12)]
            await asyncio.gather(*sending, return_exceptions=True)

            async def is_sent() -> bool:
                with contextlib.suppress(StreamAwayError):
                    await way.flights.send("here", "shop", uuid4(), b"again")
                    return True
                return False

            await eventually(is_sent)
            assert way._client.connected_url.port != port  # type: ignore[union-attr]
        finally:
            frozen.thaw()


@_DROPS
async def test_a_connection_to_a_frozen_stream_ends(tmp_path: Path) -> None:
    async with servers.running(tmp_path / "nats", max_payload=1_000_000) as cluster:
        async with asyncio.timeout(PATIENCE), _opened(cluster) as way:
            await make(way, FLEET, replicas=1, most_bytes=100_000_000)
            cluster.nodes[0].freeze()
            sending = [asyncio.create_task(way.flights.send("here", "shop", uuid4(), b"." * 900_000)) for _ in range(12)]
            told = await asyncio.gather(*sending, return_exceptions=True)
        assert {type(each) for each in told} == {StreamAwayError}


# What homes want to hear -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"\xff", b'[["public", "\xff", ["INSERT"]]]', b'{"a": 1}', b'[["public", "orders", ["TRUNCATE"]]]', b'[["public", "a\\u0000b", ["INSERT"]]]',
    ],
)  # fmt: skip
async def test_what_a_home_says_that_cannot_be_read_changes_nothing_and_kills_no_source(
    source: Engine, way: Stream, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    wishes = Wishes(source.services.wide, way.bucket, FLEET)
    await way.bucket.put_wishes("here", {("public", "orders"): frozenset({"INSERT"})})
    assert await wishes.run_once() == 1
    bucket = await way.jetstream.key_value("TIDINGS")
    await bucket.put("wishes.here", said)
    for _ in range(2):
        assert await wishes.run_once() == 0
    assert await source.value("select count(*) from tidings.relay_wishes") == 1
    assert len([one for one in caplog.records if "cannot be read" in one.getMessage()]) == 1


async def test_what_a_home_wanted_is_captured_no_more_once_the_fleet_is_without_it(source: Engine, way: Stream) -> None:
    wishes = Wishes(source.services.wide, way.bucket, FLEET)
    await way.bucket.put_wishes("here", {("public", "orders"): frozenset({"INSERT"})})
    assert await wishes.run_once() == 1
    wishes.follow(fleet_of(("there",)))
    assert await wishes.run_once() == 1
    assert await source.value("select count(*) from tidings.relay_wishes") == 0
    assert await wishes.run_once() == 0


async def test_a_home_whose_database_is_away_when_it_comes_to_the_stream_lands_what_came_once_it_is_back(
    home: Engine, way: Stream, cluster: servers.Cluster
) -> None:
    url = str(home.services.config.database_url)
    switch = Switch(url.partition("host=")[2])
    await switch.start()
    try:
        name = url.partition("?")[0].rpartition("/")[2]
        there = msgspec.structs.replace(home.services.config, database_url=switch.url(name), stream=cluster.url, home="here")
        async with engine_of(there) as engine:
            await way.flights.send("here", "shop", uuid4(), msgspec.msgpack.encode([FORMAT, [forged()]]))
            switch.cut()
            async with landing_at(engine, there):
                await eventually(lambda: is_told(engine))
                switch.mend()
                await eventually(lambda: is_landed(home, 1))
    finally:
        await switch.stop()


async def is_told(engine: Engine) -> bool:
    return engine.services.wide.outages.current is not None


async def is_landed(home: Engine, events: int) -> bool:
    return bool(await home.value("select count(*) from tidings.outbox") == events)


async def test_a_home_that_cannot_tell_what_it_wants_says_so_once(
    home: Engine, way: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    teller = WishTeller(home.services.wide, _Small(), "here")
    for _ in range(2):
        assert not await teller.run_once()
    assert len([one for one in caplog.records if "cannot be told" in one.getMessage()]) == 1


class _Small:
    async def put_wishes(self, home: str, wanted: Any) -> None:
        raise StreamAwayError("maximum payload exceeded")


# Who may do what ---------------------------------------------------------------------------------------------------------------


def permissions() -> str:
    """Return what docs/fleet-reference.md says that members may do, as NATS reads it; with another source, `shop`."""
    users = []
    text = (Path(__file__).parents[2] / "docs" / "fleet-reference.md").read_text()
    rows = [line.split("|")[1:4] for line in text.partition("## Who may do what")[2].splitlines() if line.startswith("| ")]
    for who, may_publish, may_subscribe in rows[1:]:
        name = next((word for word in ("billing", "eu") if f"`{word}`" in who), "root")
        users.append((name, may_publish.split("`")[1::2], may_subscribe.split("`")[1::2]))
        if name == "billing":
            users.append(("shop", *([one.replace("billing", "shop") for one in some] for some in users[-1][1:])))
    return "authorization { users: [" + ", ".join(
        f"{{user: {name}, password: p, permissions: {{publish: {json.dumps(send)}, subscribe: {json.dumps(hear)}}}}}"
        for name, send, hear in users
    ) + "]}"  # fmt: skip


@pytest.mark.parametrize(("members", "refusals"), [(permissions, 12), (accounts, 4)])  # in an account one may say anything
async def test_members_do_what_they_need_with_the_permissions_of_the_docs_and_nothing_else(
    members: Callable[[], str], refusals: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers.running(tmp_path, more=members(), login="root:p@") as cluster:
        (node,) = cluster.nodes

        def of(user: str, inbox: str) -> AbstractAsyncContextManager[Stream]:
            return stream.opened(f"nats://{user}:p@127.0.0.1:{node.port}", credentials=None, ca_file=None, inbox=inbox)

        fleet = msgspec.structs.replace(FLEET, homes=("eu",))
        async with (
            of("root", "_INBOX.admin") as root,
            of("billing", inbox_of("source", "billing")) as billing,
            of("eu", inbox_of("home", "eu")) as eu,
        ):
            await make(root, fleet, replicas=1, most_bytes=10_000_000)
            assert await billing.bucket.fleet() == await eu.bucket.fleet() == fleet
            await eu.bucket.put_wishes("eu", {("public", "orders"): frozenset({"INSERT"})})
            assert await billing.bucket.wishes(("eu",)) == {"eu": {("public", "orders"): frozenset({"INSERT"})}}
            assert await eu.bucket.claim("eu", "it", is_to_take=False) == "it"
            said = Report(NOW, 0, 0.0, False, [], [])
            await billing.bucket.report("billing", said)
            await eu.bucket.report(sender_of("eu"), said)
            assert (await root.bucket.drain(["eu"])).homes == (await billing.bucket.drained()).homes == frozenset({"eu"})
            seen = await look(eu, ["eu"], NOW)
            assert (seen.drained, seen.sources) == (["eu"], {"billing": said, "home_eu": said})
            assert len(seen.homes) == 1
            heard: list[str] = []

            async def hear(message: Any) -> None:
                heard.append(message.subject)

            async def refused(error: Exception) -> None:
                heard.append(str(error))

            spy = await nats.connect(f"nats://shop:p@127.0.0.1:{node.port}", error_cb=refused)
            for subject in ("_INBOX.>", "_INBOX.home.eu.>", "tidings.flights.>", "$JS.>"):
                await spy.subscribe(subject, cb=hear)
            await spy.publish("tidings.flights.eu.billing", b"forged")
            await spy.publish("$JS.API.STREAM.MSG.GET.TIDINGS_eu", b'{"seq": 1}', reply="_INBOX.source.shop.x")
            await spy.publish("$JS.API.CONSUMER.MSG.NEXT.TIDINGS_eu.home", b"1", reply="_INBOX.source.shop.x")
            for key in ("wishes.eu", "homes.eu", "sources.billing", "drained", "fleet"):
                await spy.publish(f"$KV.TIDINGS.{key}", b"[]")
            await spy.flush()
            for member, name in ((billing, "billing"), (eu, "home_eu")):
                for _ in range(2):
                    await member.bucket.join(name)
                await member.bucket.tell_settled(name, 7)
            assert await root.bucket.settled() == {"billing": 7, "home_eu": 7}
            await eu.flights.send("eu", "home_eu", uuid4(), b"sent on")
            (flight,) = await eu.flights.receive("eu", 10)
            await flight.done()
            await eventually(lambda: is_forgotten(root, fleet))
            await billing.flights.send("eu", "billing", uuid4(), b"secret")
            (flight,) = await eu.flights.receive("eu", 10)
            assert (flight.cargo, await eu.flights.first("eu")) == (b"secret", 2)
            await flight.done()
            await eventually(lambda: is_forgotten(root, fleet))
            assert await billing.bucket.wishes(("eu",)) != {"eu": {}}
            await spy.flush()
            await spy.close()
            assert len(heard) == refusals, heard
            assert (await eu.bucket.drained()).homes == {"eu"}
            assert all("permissions violation" in one.lower() for one in heard), heard
            assert "ermissions" not in caplog.text


async def is_forgotten(root: Stream, fleet: Any) -> bool:
    (found,) = await standing(root, fleet)
    return found.flights == 0


async def is_value(engine: Engine, value: Any, question: str) -> bool:
    return bool(await engine.value(question) == value)


async def is_so(what: bool) -> bool:
    return what


async def test_a_source_that_is_behind_keeps_its_own_order_beside_another(
    home: Engine, way: Stream, receiver: Receiver
) -> None:
    webhook = await home.add_webhook(receiver.url(), "order.*", ordered=True)
    await home.sql("update tidings.lanes set open = false where webhook_id = $1", webhook.id)

    def at(second: int, name: str) -> Event:
        when = NOW + timedelta(seconds=second)
        return Event(
            event_id(when, second, len(name)), "default", "publish", "order.paid", None, name, None, None, "{}", None, when
        )

    # What is behind is landed together with what is not; the rest of it in another batch.
    for source, event in (("fast", at(50, "fast 1")), ("slow", at(1, "slow 1")), ("slow", at(2, "slow 2"))):
        (flight,) = flights(packed([event]), 60_000)
        await way.flights.send("here", source, uuid4(), flight.data)
    await land(home, way.flights, 3)
    rows = await home.sql("delete from tidings.outbox where subject = 'slow 2' returning *")
    await home.cycle()
    async with home.services.wide.transaction() as connection:
        later = at(2, "slow 2")
        assert rows[0]["origin"] == "slow"
        await outbox.bring(connection, [later], "slow")
    await home.cycle()
    waiting = await home.sql(
        "select e.subject from tidings.queue q join tidings.events e on e.id = q.event_id order by q.due_at, q.id"
    )
    told = [row["subject"] for row in waiting]
    assert told.index("slow 1") < told.index("slow 2")
    assert sorted(told) == ["fast 1", "slow 1", "slow 2"]
