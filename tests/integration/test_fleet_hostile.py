"""Members with a login of their own who send what nobody should: no other is kept from its work by it."""

import asyncio
import json
import resource
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.support.engine import Engine, eventually
from tests.support.fleet import FLEET
from tests.support.limits import PATIENCE
from tests.support.stream import Cluster
from tidings.cli.fleet import run_status
from tidings.clock import machine_time
from tidings.core import cargo
from tidings.core.event import Event, event_id
from tidings.core.pressure import Report, Waits, Why
from tidings.operations import set_aside
from tidings.store import relay
from tidings.transport.stream import Stream
from tidings.transport.stream_making import make
from tidings.transport.stream_standing import look
from tidings.worker.intake import Intake
from tidings.worker.kept import Kept
from tidings.worker.landed import LANDED_DAYS, LandedForgetter

pytest_plugins = ("tests.support.fleet_fixtures",)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def event(number: int, **changes: Any) -> Event:
    made = Event(
        event_id(NOW, number, 0), "default", "publish", "order.paid", None, f"order {number}", None, None, "{}", None, NOW
    )
    return msgspec.structs.replace(made, **changes)


def packed(*events: Event) -> bytes:
    (found,) = cargo.flights(cargo.packed(events), 1_000_000)
    return found.data


async def put(cluster: Cluster, subject: str, head: bytes, data: bytes) -> None:
    """Publish a message with headers that no client would make."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", cluster.nodes[0].port)
        try:
            await reader.readline()
            writer.write(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n')
            writer.write(f"HPUB {subject} {len(head)} {len(head) + len(data)}\r\n".encode() + head + data + b"\r\nPING\r\n")
            while not (said := await reader.readline()).startswith(b"PONG"):
                assert not said.startswith(b"-ERR"), said
        finally:
            writer.close()


def head(first: bytes, *lines: bytes) -> bytes:
    own = f"Nats-Msg-Id: {uuid4()}".encode(), b"Tidings-For: here.shop"
    return b"\r\n".join([b"NATS/1.0" + first, *own, *lines, b"", b""])


HEADS = {
    "a status of its own": (b"", b"Status: 404"),
    "a status that is an error": (b"", b"Status: 503"),
    "a heartbeat": (b"", b"Status: 100"),
    "a status where servers write it": (b" 404 No Messages",),
    "an end where servers write it": (b" 503",),
    "names and values of no alphabet": (b" \xff\xff\xff", b"\xff\xfe: \xff", b"no colon", b": empty"),
}


@pytest.mark.parametrize("hostile", HEADS)
async def test_whatever_stands_in_the_headers_of_a_flight_what_comes_behind_it_lands(
    hostile: str, home: Engine, way: Stream, cluster: Cluster
) -> None:
    await put(cluster, "tidings.flights.here.shop", head(*HEADS[hostile]), packed(event(1)))
    await way.flights.send("here", "shop", uuid4(), packed(event(2)))
    intake = Intake(home.services.wide, way.flights, "here", again_seconds=0)
    async with asyncio.timeout(PATIENCE):
        while not await home.value("select count(*) from tidings.outbox where subject = 'order 2'"):
            await intake.run_once()
    assert await home.value("select count(*) from tidings.outbox") + len(await set_aside.list_rows(home.services, limit=9)) == 2


async def test_a_flight_whose_headers_say_nothing_is_set_aside(home: Engine, way: Stream, cluster: Cluster) -> None:
    for empty in (b"NATS/1.0\r\n\r\n", b"NATS/1.0 \r\n\r\n"):
        await put(cluster, "tidings.flights.here.shop", empty, packed(event(1)))
    intake, landed = Intake(home.services.wide, way.flights, "here", again_seconds=0), 0
    async with asyncio.timeout(PATIENCE):
        while landed < 2:
            landed += await intake.run_once()
    assert all("no relay sent it" in row.reason for row in await set_aside.list_rows(home.services, limit=9))


async def test_whatever_stands_in_the_headers_of_what_was_landed_last_a_home_begins_again(
    home: Engine, way: Stream, cluster: Cluster
) -> None:
    await put(cluster, "tidings.flights.here.shop", head(b"", b"no colon", b"Tidings-Whole: \xff"), packed(event(1)))
    await landed(home, way, 1)
    await eventually(lambda: is_landed(way))

    async def refuse(_: Any) -> None:
        raise AssertionError

    assert await Kept(home.services.wide, way.flights, "here").begin(refuse) == 0
    await home.sql("delete from tidings.landed_flights")
    found: list[Any] = []

    async def note(flights: Any) -> None:
        found.extend(flights)

    assert await Kept(home.services.wide, way.flights, "here").begin(note) == 1
    assert found[0].cargo == packed(event(1))


async def is_landed(way: Stream) -> bool:
    return (await way.flights.holding("here")).landed == 1


SAID = {
    "an error": (b"", b"Status: 500", b"Description: mine"),
    "a status where servers write it": (b" 404 mine",),
    "what servers add": (b"", b"Nats-Sequence: many", b"Nats-Time-Stamp: soon", b"Nats-Subject: $KV.TIDINGS.fleet"),
}


@pytest.mark.parametrize("hostile", SAID)
@pytest.mark.parametrize("data", [b"{}", b""])
async def test_whatever_a_source_says_of_itself_the_others_are_seen(
    hostile: str, data: bytes, way: Stream, cluster: Cluster
) -> None:
    good = Report(NOW, 0, 0.0, False, [], [])
    await way.bucket.report("shop", good)
    await put(cluster, "$KV.TIDINGS.sources.hostile", head(*SAID[hostile]), data)
    seen = await look(way, ["here"], NOW)
    assert seen.sources == {"shop": good, "hostile": None}


async def test_what_a_source_says_of_itself_is_shown_and_obeyed_by_no_terminal(
    home: Engine, way: Stream, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    config = msgspec.structs.replace(home.services.config, stream=cluster.url)
    name = "\x1b]0;mine\x07\x9b2J"
    await way.bucket.report("shop", Report(machine_time(), 0, 0.0, False, [], [Waits(name, 1, 1, 1, 1.0, Why.FULL)]))
    assert await asyncio.to_thread(run_status, config, watch=None, as_json=False) == 1
    shown = capsys.readouterr().out
    assert "2J: 1 flights" in shown
    assert all(character.isprintable() or character == "\n" for character in shown), ascii(shown)
    await asyncio.to_thread(run_status, config, watch=None, as_json=True)
    shown = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in shown), ascii(shown)
    assert json.loads(shown)["sources"]["shop"]["waits"][0]["home"] == name


async def test_who_may_write_one_key_does_not_take_the_others_away_with_it(way: Stream, cluster: Cluster) -> None:
    await put(cluster, "$KV.TIDINGS.sources.hostile", head(b"", b"Nats-Rollup: all"), b"{}")
    assert await way.bucket.fleet() == FLEET


async def test_a_bucket_of_an_earlier_version_is_made_safe_by_making_the_stream_again(way: Stream, cluster: Cluster) -> None:
    config = (await way.jetstream.stream_info("KV_TIDINGS")).config
    config.allow_rollup_hdrs = True
    await way.jetstream.update_stream(config)
    await make(way, FLEET, replicas=1, most_bytes=10_000_000)
    await put(cluster, "$KV.TIDINGS.sources.hostile", head(b"", b"Nats-Rollup: all"), b"{}")
    assert await way.bucket.fleet() == FLEET


# Cargo ---------------------------------------------------------------------------------------------------------------------


async def landed(home: Engine, way: Stream, count: int) -> Intake:
    """Land so many flights."""
    intake, done = Intake(home.services.wide, way.flights, "here", again_seconds=0), 0
    async with asyncio.timeout(PATIENCE):
        while done < count:
            done += await intake.run_once()
    return intake


async def test_a_flight_has_no_more_events_than_a_flight_has(home: Engine, way: Stream) -> None:
    """Each event that PostgreSQL refuses is a step of its own, and all others wait for these."""
    events = [msgspec.Raw(one) for one in cargo.packed(event(number) for number in range(cargo.MAX_EVENTS + 1))]
    await way.flights.send("here", "shop", uuid4(), msgspec.msgpack.encode([cargo.FORMAT, events[:-1]]))
    await way.flights.send("here", "shop", uuid4(), msgspec.msgpack.encode([cargo.FORMAT, events]))
    await landed(home, way, 2)
    assert await home.value("select count(*) from tidings.outbox") == cargo.MAX_EVENTS
    (aside,) = await set_aside.list_rows(home.services, limit=9)
    assert "length <= 500" in aside.reason


async def test_a_flight_of_as_many_events_as_it_has_bytes_is_refused_before_they_are_read() -> None:
    before = peak()
    with pytest.raises(cargo.CargoError):
        cargo.opened(b"\x92\x01\xdd" + (8_000_000).to_bytes(4, "big") + b"\xc0" * 8_000_000)
    assert peak() - before < 50_000, "kilobytes"


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_groups_are_counted_once_for_all_of_a_flight_that_has_no_room_for_its_own(home: Engine, way: Stream) -> None:
    await home.sql("insert into tidings.groups (id) select 'own-' || n from generate_series(1, $1) n", relay.MAX_GROUPS - 2)
    events = [event(number, group_id=f"g{number}") for number in range(100)]
    await way.flights.send("here", "shop", uuid4(), packed(*events))
    before = await read(home)
    await landed(home, way, 1)
    assert await home.value("select array_agg(group_id order by id) from tidings.outbox") == ["g0"]
    assert len(await set_aside.list_rows(home.services, limit=100)) == 99
    await eventually(lambda: is_read(home, before + relay.MAX_GROUPS))
    assert await read(home) - before < 10 * relay.MAX_GROUPS


async def read(home: Engine) -> int:
    """Return how many groups PostgreSQL has read."""
    await home.sql("select pg_stat_force_next_flush()")
    found: int = await home.value(
        "select seq_tup_read + (select sum(idx_tup_read) from pg_stat_all_indexes i where i.relid = t.relid)::bigint "
        "from pg_stat_all_tables t where relid = 'tidings.groups'::regclass"
    )
    return found


async def is_read(home: Engine, count: int) -> bool:
    return await read(home) >= count


async def test_all_is_forgotten_that_was_landed_long_ago_however_much_that_is(home: Engine) -> None:
    await home.sql(
        "insert into tidings.landed_flights (id, landed_at) select gen_random_uuid(), now() - make_interval(days => $1) "
        "from generate_series(1, $2)",
        LANDED_DAYS + 1,
        2 * relay.FORGOTTEN_AT_ONCE + 1,
    )
    await home.sql("insert into tidings.landed_flights (id) values (gen_random_uuid())")
    await LandedForgetter(home.services.wide).run_once()
    assert await home.value("select count(*) from tidings.landed_flights") == 1
