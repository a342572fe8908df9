"""Members of a fleet that do what they must not, and streams that cannot do what they must."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import nats
import pytest

from tests.integration.test_fleet_hardships import NOW, permissions
from tests.support import stream as servers
from tests.support.engine import Engine, eventually
from tests.support.fleet import FLEET
from tests.support.stream import Cluster
from tidings.core import cargo
from tidings.core.errors import StartupError
from tidings.core.event import Event, event_id
from tidings.core.fleet import fleet_of
from tidings.operations import set_aside
from tidings.transport import stream
from tidings.transport.stream import Stream, inbox_of
from tidings.transport.stream_bucket import BUCKET
from tidings.transport.stream_bucket import FLEET as DIRECTORY
from tidings.transport.stream_flights import stream_of
from tidings.transport.stream_making import make
from tidings.transport.stream_standing import standing
from tidings.worker.intake import Intake

pytest_plugins = ("tests.support.fleet_fixtures",)

NUMBERS = itertools.count(1)
STREAMS = ("TIDINGS_eu", "TIDINGS_us", "KV_TIDINGS", "TIDINGS_AHEAD_eu", "TIDINGS_AHEAD_us")
OF_STREAMS = (
    "STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE", "STREAM.PURGE", "STREAM.INFO", "STREAM.MSG.GET", "STREAM.MSG.DELETE",
    "STREAM.SNAPSHOT", "STREAM.RESTORE", "STREAM.LEADER.STEPDOWN", "CONSUMER.CREATE", "CONSUMER.NAMES", "CONSUMER.LIST", "DIRECT.GET",
)  # fmt: skip
OF_CONSUMERS = (
    "CONSUMER.DURABLE.CREATE",
    "CONSUMER.CREATE",
    "CONSUMER.DELETE",
    "CONSUMER.INFO",
    "CONSUMER.MSG.NEXT",
    "CONSUMER.PAUSE",
)
SENT = [
    *(f"tidings.flights.{home}.{source}" for home in ("eu", "us") for source in ("billing", "shop", "home_eu", "home_us")),
    *(f"$KV.TIDINGS.{key}" for key in ("fleet", "drained", "settled.billing", "settled.shop", "settled.home_eu", "settled.home_us", "wishes.eu", "wishes.us", "wishes.eu.more", "homes.eu", "homes.us", "sources.billing", "sources.shop", "sources.home_eu", "ahead.eu", "ahead.us")),
    *(f"tidings.ahead.{home}.{number}" for home in ("eu", "us") for number in ("1", "x.y")),
    *(f"$JS.API.{call}.{name}" for call in OF_STREAMS for name in STREAMS),
    *(f"$JS.API.{call}.{name}.home" for call in OF_CONSUMERS for name in STREAMS),
    *(f"$JS.API.DIRECT.GET.KV_TIDINGS.$KV.TIDINGS.{key}" for key in ("fleet", "wishes.eu")),
    *(f"$JS.ACK.{name}.home.1.1.1.1.0" for name in STREAMS),
    *(f"$JS.API.{call}" for call in ("INFO", "STREAM.NAMES", "STREAM.LIST", "META.LEADER.STEPDOWN", "SERVER.REMOVE")),
    "_INBOX.home.eu.x", "_INBOX.home.us.x", "_INBOX.source.billing.x", "$SYS.REQ.SERVER.PING", "anything",
]  # fmt: skip
HEARD = [
    ">", "*.>", "tidings.>", "tidings.flights.eu.*", "tidings.ahead.eu.*", "tidings.ahead.>", "$JS.>", "$JS.ACK.>", "$JS.EVENT.>", "$KV.>", "$SYS.>", "_INBOX.>", "_INBOX.*.*.>",
    "_INBOX.home.eu.>", "_INBOX.home.us.>", "_INBOX.source.billing.>", "_INBOX.source.shop.>", "_INBOX.admin.>",
]  # fmt: skip
MAY = {
    "billing": (
        {
            "tidings.flights.eu.billing", "tidings.flights.us.billing", "$JS.API.STREAM.INFO.KV_TIDINGS", "$KV.TIDINGS.sources.billing",
            "$KV.TIDINGS.settled.billing",
            "$JS.API.DIRECT.GET.KV_TIDINGS.$KV.TIDINGS.fleet", "$JS.API.DIRECT.GET.KV_TIDINGS.$KV.TIDINGS.wishes.eu",
        },
        {"_INBOX.source.billing.>"},
    ),
    "eu": (
        {
            "$JS.API.CONSUMER.MSG.NEXT.TIDINGS_eu.home", "$JS.API.CONSUMER.INFO.TIDINGS_eu.home", "$JS.API.STREAM.INFO.TIDINGS_eu",
            "$JS.API.STREAM.MSG.GET.TIDINGS_eu", "$JS.API.STREAM.PURGE.TIDINGS_eu", "$JS.ACK.TIDINGS_eu.home.1.1.1.1.0",
            "$JS.API.STREAM.INFO.KV_TIDINGS", "$JS.API.DIRECT.GET.KV_TIDINGS.$KV.TIDINGS.fleet",
            "$JS.API.DIRECT.GET.KV_TIDINGS.$KV.TIDINGS.wishes.eu", "$KV.TIDINGS.wishes.eu", "$KV.TIDINGS.homes.eu",
            "$KV.TIDINGS.sources.home_eu", "tidings.flights.eu.home_eu", "tidings.flights.us.home_eu", "$KV.TIDINGS.settled.home_eu",
            "tidings.ahead.eu.1", "tidings.ahead.eu.x.y", "$KV.TIDINGS.ahead.eu", "$JS.API.STREAM.INFO.TIDINGS_AHEAD_eu",
            "$JS.API.STREAM.MSG.GET.TIDINGS_AHEAD_eu", "$JS.API.STREAM.PURGE.TIDINGS_AHEAD_eu", "$JS.API.STREAM.MSG.GET.KV_TIDINGS",
        },
        {"_INBOX.home.eu.>"},
    ),
    "nobody": (set[str](), set[str]()),
}  # fmt: skip


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[tuple[Cluster, Any]]:
    """Lend a cluster with the permissions of the docs, and one who may do nothing."""
    more = permissions()
    nobody = '{user: nobody, password: p, permissions: {publish: {deny: ">"}, subscribe: {deny: ">"}}}'
    more = more.replace("users: [", f"users: [{nobody}, ", 1)
    async with servers.running(folder, more=more, login="root:p@") as cluster:
        (node,) = cluster.nodes

        def of(user: str, inbox: str) -> AbstractAsyncContextManager[Stream]:
            return stream.opened(f"nats://{user}:p@127.0.0.1:{node.port}", credentials=None, ca_file=None, inbox=inbox)

        async with of("root", "_INBOX.admin") as root:
            await make(root, fleet_of(("eu", "us")), replicas=1, most_bytes=10_000_000)
        yield cluster, of


@pytest.mark.parametrize("user", MAY)
async def test_each_role_may_do_what_the_docs_say_and_nothing_else(user: str, tmp_path: Path) -> None:
    may_send, may_hear = MAY[user]
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    async with guarded(tmp_path) as (cluster, _):
        client = await nats.connect(f"nats://{user}:p@127.0.0.1:{cluster.nodes[0].port}", error_cb=note)
        for subject in SENT:
            await client.publish(subject, b"{}")
        for subject in HEARD:
            await client.subscribe(subject)
        await client.flush()
        await eventually(lambda: is_count(refused, len(set(SENT) - may_send) + len(set(HEARD) - may_hear)))
        await client.close()
    assert all("permissions violation" in one for one in refused)
    for subjects, allowed, what in ((SENT, may_send, "publish"), (HEARD, may_hear, "subscription")):
        told = {subject for subject in subjects if any(what in one and f'"{subject.lower()}"' in one for one in refused)}
        assert told == set(subjects) - allowed


async def is_count(found: list[str], count: int) -> bool:
    return len(found) == count


async def test_who_has_no_password_comes_not_in(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (cluster, _):
        (node,) = cluster.nodes
        for login in ("", "eu:wrong@", "stranger:p@"):
            with pytest.raises(StartupError, match="cannot be reached"):
                async with stream.opened(f"nats://{login}127.0.0.1:{node.port}", credentials=None, ca_file=None):
                    raise AssertionError


def flight(*subjects: str, **changes: Any) -> bytes:
    events = [
        msgspec.structs.replace(
            Event(
                event_id(NOW, next(NUMBERS), 0), "default", "publish", "order.paid", None, subject, None, None, "{}", None, NOW
            ),
            **changes,
        )
        for subject in subjects
    ]
    return cargo.flights(cargo.packed(events), 10_000_000)[0].data


async def test_no_member_sends_in_the_name_of_another_by_having_answers_sent_there(home: Engine, tmp_path: Path) -> None:
    """The stream sends answers wherever it is asked to, with its own rights: also where another's flights come from."""
    async with guarded(tmp_path) as (cluster, of):
        (node,) = cluster.nodes
        async with (
            of("root", "_INBOX.admin") as root,
            of("billing", inbox_of("source", "billing")) as billing,
            of("eu", inbox_of("home", "eu")) as eu,
        ):
            await billing.flights.send("eu", "billing", uuid4(), flight("for eu"))
            await eu.bucket.fleet()
            hostile = await nats.connect(f"nats://eu:p@127.0.0.1:{node.port}", inbox_prefix="_INBOX.home.eu.hostile")
            headers = {"Nats-Msg-Id": str(uuid4()), "Tidings-For": "us.billing"}
            await hostile.publish("$KV.TIDINGS.wishes.eu", flight("forged"), headers=headers)
            await hostile.publish(
                "$JS.API.DIRECT.GET.KV_TIDINGS.$KV.TIDINGS.wishes.eu", b"", reply="tidings.flights.us.billing"
            )
            await hostile.publish("$JS.API.CONSUMER.MSG.NEXT.TIDINGS_eu.home", b"1", reply="tidings.flights.us.billing")
            await hostile.publish("$JS.API.STREAM.MSG.GET.TIDINGS_eu", b'{"seq": 1}', reply="tidings.flights.us.billing")
            await hostile.flush()

            async def are_answered() -> bool:
                return (await root.flights.holding("us")).last >= 2

            await eventually(are_answered)  # the stream does send answers there
            await billing.flights.send("us", "billing", uuid4(), flight("for us"))
            count = (await root.flights.holding("us")).last
            landed = 0
            intake = Intake(home.services.wide, root.flights, "us", again_seconds=0)
            while landed < count:
                landed += await intake.run_once()
            await hostile.close()
    assert [row["subject"] for row in await home.sql("select subject from tidings.outbox")] == ["for us"]
    aside = await set_aside.list_rows(home.services, limit=10)
    assert len(aside) == count - 1
    assert all("no relay sent it" in row.reason for row in aside)


# Streams that bring things askew ------------------------------------------------------------------------------------------------


async def test_a_flight_that_comes_twice_is_landed_once_though_the_stream_does_not_know_it_any_more(
    home: Engine, cluster: Cluster
) -> None:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        await make(way, FLEET, replicas=1, most_bytes=10_000_000)
        shortly = (await way.jetstream.stream_info(stream_of("here"))).config
        shortly.duplicate_window = 0.1
        await way.jetstream.update_stream(shortly)
        id_, data = uuid4(), flight("a", "b")

        async def is_there_twice() -> bool:
            await way.flights.send("here", "shop", id_, data)
            return (await way.flights.holding("here")).last >= 2

        await eventually(is_there_twice)
        intake, landed = Intake(home.services.wide, way.flights, "here"), 0
        while landed < 2:
            landed += await intake.run_once()
    assert await home.value("select count(*) from tidings.outbox") == 2


class _Shuffled:
    """A stream that brings what it has the other way round."""

    def __init__(self, way: Stream) -> None:
        self._way = way

    def __getattr__(self, name: str) -> Any:
        return getattr(self._way.flights, name)

    async def receive(self, home: str, seconds: float) -> Any:
        return list(reversed(await self._way.flights.receive(home, seconds)))


async def test_what_comes_out_of_its_order_is_landed_in_it(home: Engine, way: Stream) -> None:
    names = [f"order {number}" for number in range(6)]
    for name in names:
        await way.flights.send("here", "shop", uuid4(), flight(name))
    intake, landed = Intake(home.services.wide, _Shuffled(way), "here"), 0
    while landed < 6:
        landed += await intake.run_once()
    assert [row["subject"] for row in await home.sql("select subject from tidings.outbox order by id")] == names


async def sent(way: Stream, data: bytes) -> None:
    """Send a flight as a relay does: until the stream has it, under one id."""
    id_ = uuid4()

    async def is_sent() -> bool:
        with suppress(stream.StreamAwayError):
            await way.flights.send("here", "shop", id_, data)
            return True
        return False

    await eventually(is_sent)


async def test_leaders_that_change_with_each_flight_lose_and_overtake_nothing(home: Engine, tmp_path: Path) -> None:
    names = [f"order {number}" for number in range(5)]
    async with (
        servers.running(tmp_path / "three", nodes=3) as cluster,
        stream.opened(cluster.url, credentials=None, ca_file=None) as way,
    ):
        await make(way, FLEET, replicas=3, most_bytes=10_000_000)
        intake = Intake(home.services.wide, way.flights, "here", again_seconds=6)
        client = await nats.connect(cluster.url.split(","))
        for name in names:
            await sent(way, flight(name))
        running = asyncio.create_task(intake.run())
        for what in ("CONSUMER.LEADER.STEPDOWN.TIDINGS_here.home", "STREAM.LEADER.STEPDOWN.TIDINGS_here"):
            await client.request(f"$JS.API.{what}", b"", timeout=10)
        await sent(way, flight("last"))

        async def are_landed() -> bool:
            return bool(await home.value("select count(*) from tidings.outbox") == len(names) + 1)

        await eventually(are_landed)
        intake.stop()
        await running
        await client.close()
    assert [row["subject"] for row in await home.sql("select subject from tidings.outbox order by id")] == [*names, "last"]


async def test_events_that_are_deep_or_large_keep_nobody_waiting(home: Engine, way: Stream) -> None:
    deep = "[" * 20_000 + "]" * 20_000
    for record in (deep, json.dumps("x" * 50_000), json.dumps(["\U0001f600" * 5_000])):
        await way.flights.send("here", "shop", uuid4(), flight("hostile", record=record))
    await way.flights.send("here", "shop", uuid4(), flight("good"))
    intake, landed = Intake(home.services.wide, way.flights, "here"), 0
    while landed < 4:
        landed += await intake.run_once()

    async def is_routed() -> bool:
        await home.worker.dispatcher.run_once()
        return not await home.value("select count(*) from tidings.outbox")

    await eventually(is_routed)
    assert await home.value("select count(*) from tidings.events where subject = 'good'") == 1
    aside = len(await set_aside.list_rows(home.services, limit=10))
    assert await home.value("select count(*) from tidings.events") + aside == 4


# Streams that cannot do what they must ------------------------------------------------------------------------------------------


async def test_servers_whose_messages_are_too_small_are_one_sentence(tmp_path: Path) -> None:
    async with (
        servers.running(tmp_path, max_payload=30_000) as cluster,
        stream.opened(cluster.url, credentials=None, ca_file=None) as way,
    ):
        with pytest.raises(StartupError, match=r"messages of 30,000 bytes\. Set max_payload to 65,536"):
            await make(way, FLEET, replicas=1, most_bytes=1_000_000)
        assert await way.jetstream.streams_info() == []


async def test_servers_with_too_little_room_are_one_sentence_and_nothing_is_left_half_made(tmp_path: Path) -> None:
    async with (
        servers.running(tmp_path, room=2_000_000) as cluster,
        stream.opened(cluster.url, credentials=None, ca_file=None) as way,
    ):
        with pytest.raises(StartupError, match=r"room|insufficient"):
            await make(way, fleet_of(("eu", "us")), replicas=1, most_bytes=1_500_000)
        assert await way.jetstream.streams_info() == []


async def test_where_a_fleet_is_that_nobody_can_read_nothing_is_made(cluster: Cluster) -> None:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        await make(way, FLEET, replicas=1, most_bytes=1_000_000)
        before = {one.config.name for one in await way.jetstream.streams_info()}
        bucket = await way.jetstream.key_value(BUCKET)
        await bucket.put(DIRECTORY, b'{"homes":["here"],"a word of a later version":7}')
        with pytest.raises(StartupError, match=r"cannot be read: .*\. Run one version"):
            await make(way, fleet_of((*FLEET.homes, "more")), replicas=1, most_bytes=1_000_000)
        assert {one.config.name for one in await way.jetstream.streams_info()} == before


async def test_servers_that_are_too_old_are_one_sentence() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = {"server_id": "x", "version": "2.9.25", "proto": 1, "max_payload": 1_048_576, "headers": True}
        writer.write(b"INFO " + json.dumps(said).encode() + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with stream.opened(url, credentials=None, ca_file=None) as way:
            with pytest.raises(StartupError, match=r"is 2\.9; Tidings needs 2\.10 or later"):
                await make(way, FLEET, replicas=1, most_bytes=1_000_000)
    finally:
        server.close()


async def test_a_stream_that_was_deleted_is_one_sentence(cluster: Cluster) -> None:
    async with stream.opened(cluster.url, credentials=None, ca_file=None) as way:
        await make(way, FLEET, replicas=1, most_bytes=1_000_000)
        await way.jetstream.delete_stream(stream_of("here"))
        with pytest.raises(stream.StreamAwayError):
            await standing(way, FLEET)
