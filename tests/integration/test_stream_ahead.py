"""The second stream of a home: what was answered to a home that sends ahead of its database, and who does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import nats
import pytest
from nats.js.errors import NotFoundError

from tests.integration.test_fleet_attacks import guarded
from tests.support import stream as servers
from tests.support.engine import eventually
from tests.support.fleet import FLEET
from tests.support.limits import PATIENCE
from tests.support.stream import Cluster
from tidings.cli.fleet import run_status
from tidings.clock import machine_time
from tidings.config import Config
from tidings.core.answers import DOUBTS
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, fleet_of
from tidings.core.pressure import Why, troubles
from tidings.fleet_watch import status
from tidings.transport import stream
from tidings.transport.stream import Stream, StreamAwayError, inbox_of
from tidings.transport.stream_ahead import MAX_BYTES, MAX_MESSAGES, AheadStream, ahead_config, ahead_of
from tidings.transport.stream_flights import CONSUMER, stream_of
from tidings.transport.stream_making import make, take_away

pytest_plugins = ("tests.support.fleet_fixtures",)


@pytest.fixture
def ahead(way: Stream) -> AheadStream:
    return AheadStream(way, "here")


def opened(cluster: Cluster) -> Any:
    return stream.opened(cluster.url, credentials=None, ca_file=None)


async def narrowed(way: Stream, **limits: int) -> None:
    """Give the second stream less room."""
    config = (await way.jetstream.stream_info(ahead_of("here"))).config
    await way.jetstream.update_stream(config.evolve(**limits))


# What was answered -------------------------------------------------------------------------------------------------------


async def test_what_was_answered_is_read_by_flight_in_its_order(ahead: AheadStream) -> None:
    assert await ahead.numbers() == {}
    for number, data in ((7, b"a"), (12, b"b"), (7, b"c"), (7, b""), (2**53, b"d")):
        await ahead.put(number, data)
    assert list((await ahead.numbers()).items()) == [(7, 3), (12, 1), (2**53, 1)]
    assert await ahead.read(7, 3) == [b"a", b"c", b""]
    assert await ahead.read(7, 2) == [b"a", b"c"]
    assert await ahead.read(12, 100) == [b"b"]
    assert await ahead.read(1, 100) == []
    assert await ahead.read(7, 0) == []


async def test_the_same_answer_put_twice_is_there_twice(ahead: AheadStream) -> None:
    for _ in range(3):
        await ahead.put(1, b"same")
    assert await ahead.read(1, 9) == [b"same"] * 3


async def test_answers_of_one_flight_are_forgotten_alone_or_all_at_once(ahead: AheadStream) -> None:
    for number in (1, 2, 2, 3):
        await ahead.put(number, b"x")
    await ahead.forget(2)
    assert await ahead.numbers() == {1: 1, 3: 1}
    await ahead.forget(2)
    await ahead.forget()
    assert await ahead.numbers() == {}
    await ahead.put(2, b"new")
    assert await ahead.read(2, 9) == [b"new"]


async def test_subjects_that_are_no_numbers_are_no_flights(ahead: AheadStream, way: Stream) -> None:
    for name in ("x", "00", "01", "-1", "1.2", "9" * 20, "٣"):
        await way.jetstream.publish(f"tidings.ahead.here.{name}", b"x")
    await ahead.put(5, b"x")
    await ahead.put(DOUBTS, b"x")
    assert await ahead.numbers() == {DOUBTS: 1, 5: 1}
    await ahead.forget()
    assert (await way.jetstream.stream_info(ahead_of("here"))).state.messages == 0


async def test_a_stream_with_as_many_messages_as_it_may_have_refuses_and_drops_nothing(ahead: AheadStream, way: Stream) -> None:
    await narrowed(way, max_msgs=4)
    rooms = []
    for number in range(1, 5):
        rooms.append(await ahead.has_room())
        await ahead.put(number, b"x")
    assert rooms == [True, True, True, False], "two of four are half"
    with pytest.raises(StreamAwayError, match="maximum messages") as refused:
        await ahead.put(5, b"x")
    assert refused.value.why is Why.FULL
    assert await ahead.numbers() == {1: 1, 2: 1, 3: 1, 4: 1}
    await ahead.forget(1)
    await ahead.put(5, b"x")
    assert not await ahead.has_room()
    await ahead.forget()
    assert await ahead.has_room()


async def test_a_stream_with_as_many_bytes_as_it_may_have_refuses_and_drops_nothing(ahead: AheadStream, way: Stream) -> None:
    await narrowed(way, max_bytes=100_000)
    for number in (1, 2):
        assert await ahead.has_room()
        await ahead.put(number, b"x" * 30_000)
    assert not await ahead.has_room()
    await ahead.put(3, b"x" * 30_000)
    with pytest.raises(StreamAwayError, match="maximum bytes") as refused:
        await ahead.put(4, b"x" * 30_000)
    assert refused.value.why is Why.FULL
    assert await ahead.numbers() == {1: 1, 2: 1, 3: 1}
    with pytest.raises(StreamAwayError) as refused:
        await ahead.put(4, b"x" * 65_537)
    assert refused.value.why is Why.LARGE


async def test_a_stream_that_is_not_there_has_no_room_and_that_is_said_once(
    ahead: AheadStream, way: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    async def is_gone() -> None:
        await way.jetstream.delete_stream(ahead_of("here"))
        caplog.clear()
        for _ in range(3):
            assert not await ahead.has_room()
        (said,) = [record.getMessage() for record in caplog.records]
        assert said.startswith("the stream TIDINGS_AHEAD_here is not there")
        assert "run tidings stream init again" in said

    await is_gone()
    assert await ahead.numbers() == {}
    assert await ahead.read(1, 9) == []
    await ahead.forget(1)
    await ahead.forget()
    with pytest.raises(StreamAwayError) as refused:
        await ahead.put(1, b"x")
    assert refused.value.why is Why.AWAY
    await make(way, FLEET, replicas=1, most_bytes=10_000_000)
    assert await ahead.has_room()
    await ahead.put(1, b"x")
    await is_gone()


# Who sends ahead -----------------------------------------------------------------------------------------------------------


async def test_who_sends_ahead_is_changed_by_those_alone_who_know_what_was_said_last(ahead: AheadStream) -> None:
    assert await ahead.state() == (b"", 0)
    assert await ahead.change(b"early", 17) is None
    first = await ahead.change(b"one", 0)
    assert first
    assert await ahead.state() == (b"one", first)
    assert await ahead.change(b"late", 0) is None
    second = await ahead.change(b"two", first)
    assert second
    assert second > first
    assert await ahead.change(b"late", first) is None
    assert await ahead.state() == (b"two", second)


@asynccontextmanager
async def several(cluster: Cluster, count: int) -> AsyncIterator[list[AheadStream]]:
    async with AsyncExitStack() as stack:
        yield [AheadStream(await stack.enter_async_context(opened(cluster)), "here") for _ in range(count)]


@pytest.mark.parametrize("begins", ["never said", "deleted", "said"])
async def test_of_several_who_change_it_at_once_one_alone_does(cluster: Cluster, way: Stream, begins: str) -> None:
    bucket = await way.jetstream.key_value("TIDINGS")
    async with several(cluster, 4) as members:
        for turn in range(10):
            if begins == "deleted" or (begins == "never said" and turn):
                await bucket.delete("ahead.here")
            value, revision = await members[turn % 4].state()
            assert (revision == 0) == (begins != "said" or not turn)
            assert revision or value == b""
            made = await asyncio.gather(*(one.change(str(at).encode(), revision) for at, one in enumerate(members)))
            (winner,) = [at for at, its in enumerate(made) if its is not None]
            assert await members[0].state() == (str(winner).encode(), made[winner])


async def test_a_key_that_was_deleted_says_nothing_and_its_old_revision_is_no_good(ahead: AheadStream, way: Stream) -> None:
    bucket = await way.jetstream.key_value("TIDINGS")
    revision = await ahead.change(b"one", 0)
    assert revision
    await bucket.delete("ahead.here")
    assert await ahead.state() == (b"", 0)
    assert await ahead.change(b"late", revision) is None
    again = await ahead.change(b"two", 0)
    assert again
    assert await ahead.state() == (b"two", again)


async def test_where_there_is_no_fleet_nobody_is_told_that_nobody_sends_ahead(cluster: Cluster) -> None:
    async with opened(cluster) as way:
        with pytest.raises(StreamAwayError, match="stream not found"):
            await AheadStream(way, "here").state()
        with pytest.raises(StreamAwayError):
            await AheadStream(way, "here").change(b"x", 0)


async def test_the_fleet_of_one_home_says_nothing_of_another(cluster: Cluster) -> None:
    async with opened(cluster) as way:
        await make(way, fleet_of(("eu", "eu-2")), replicas=1, most_bytes=10_000_000)
        one, other = AheadStream(way, "eu"), AheadStream(way, "eu-2")
        await one.put(1, b"x")
        assert await one.change(b"x", 0)
        assert await other.numbers() == {}
        assert await other.state() == (b"", 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client drops connections
async def test_of_a_frozen_stream_everything_is_answered_in_time(tmp_path: Path) -> None:
    async with servers.running(tmp_path) as cluster, opened(cluster) as way:
        await make(way, FLEET, replicas=1, most_bytes=10_000_000)
        ahead = AheadStream(way, "here")
        await ahead.put(1, b"x")
        cluster.nodes[0].freeze()
        async with asyncio.timeout(PATIENCE):
            told = await asyncio.gather(
                ahead.put(2, b"x"), ahead.numbers(), ahead.read(1, 1000), ahead.forget(1), ahead.forget(), ahead.has_room(),
                ahead.state(), ahead.change(b"x", 0), return_exceptions=True,
            )  # fmt: skip
        assert {type(one) for one in told} == {StreamAwayError}
        assert {one.why for one in told if isinstance(one, StreamAwayError)} == {Why.AWAY}


async def test_a_node_that_is_lost_takes_no_answer_with_it(tmp_path: Path) -> None:
    async with servers.running(tmp_path, nodes=3) as cluster, opened(cluster) as way:
        await make(way, FLEET, replicas=3, most_bytes=10_000_000)
        ahead = AheadStream(way, "here")
        await ahead.put(1, b"x")
        revision = await ahead.change(b"one", 0)
        assert revision
        leader = (await way.jetstream.stream_info(ahead_of("here"))).cluster.leader  # type: ignore[union-attr]
        (node,) = [node for node in cluster.nodes if node.name == leader]
        node.kill()

        async def is_read() -> bool:
            try:
                return (await ahead.read(1, 9), await ahead.state()) == ([b"x"], (b"one", revision))
            except StreamAwayError:
                return False

        await eventually(is_read)

        async def is_put() -> bool:
            try:
                await ahead.put(2, b"y")
            except StreamAwayError:
                return False
            return True

        await eventually(is_put)
        assert {*await ahead.read(2, 9)} == {b"y"}
        assert (await ahead.numbers()).keys() == {1, 2}


# What others have the servers put there ------------------------------------------------------------------------------------


async def test_what_the_servers_were_made_to_put_there_is_neither_an_answer_nor_believed(tmp_path: Path) -> None:
    """They send answers wherever they are asked to, with their own rights."""
    async with (
        guarded(tmp_path) as (cluster, of),
        of("root", "_INBOX.admin") as root,
        of("eu", inbox_of("home", "eu")) as eu,
    ):
        ahead, own = AheadStream(eu, "eu"), "$KV.TIDINGS.sources.billing"
        await ahead.put(5, b"true")
        revision = await ahead.change(b"true", 0)
        assert revision
        hostile = await nats.connect(
            f"nats://billing:p@127.0.0.1:{cluster.nodes[0].port}", inbox_prefix="_INBOX.source.billing.hostile"
        )
        try:
            await hostile.request(own, b"forged", headers={"Tidings-For": "ahead.eu.5"})
            for count, question in enumerate((f"DIRECT.GET.KV_TIDINGS.{own}", "STREAM.INFO.KV_TIDINGS"), start=2):
                await hostile.publish(f"$JS.API.{question}", b"", reply="tidings.ahead.eu.5")
                await eventually(lambda count=count: has(ahead, 5, count))
            stored = await root.jetstream.get_msg(ahead_of("eu"), seq=2)
            assert stored.data == b"forged", "what is refused is what was meant to deceive"
            assert await ahead.read(5, 3) == [b"true"]

            await hostile.request(own, b"forged", headers={"Tidings-For": "ahead.eu"})
            for question in (f"DIRECT.GET.KV_TIDINGS.{own}", "STREAM.INFO.KV_TIDINGS"):
                await hostile.publish(f"$JS.API.{question}", b"", reply="$KV.TIDINGS.ahead.eu")
                said = await eventually(lambda revision=revision: changed_since(ahead, revision))
                assert await ahead.state() == (b"", said)
                assert await ahead.change(b"late", revision) is None
                revision = await ahead.change(b"true", said)
                assert revision
                assert await ahead.state() == (b"true", revision)
        finally:
            await hostile.close()


async def has(ahead: AheadStream, number: int, count: int) -> bool:
    return (await ahead.numbers()).get(number) == count


async def changed_since(ahead: AheadStream, revision: int) -> int | None:
    now = (await ahead.state())[1]
    return now if now != revision else None


# It is made, and taken away ------------------------------------------------------------------------------------------------


async def names(way: Stream) -> set[str | None]:
    return {one.config.name for one in await way.jetstream.streams_info()}


def test_its_room_is_an_eighth_of_that_for_flights_and_bounded() -> None:
    for most, room in ((1_000_000, 125_000), (8 * MAX_BYTES, MAX_BYTES), (8 * MAX_BYTES + 8, MAX_BYTES), (2**40, MAX_BYTES)):
        assert ahead_config("eu", 3, most).max_bytes == room
    config = ahead_config("eu", 3, -1)
    assert (config.max_bytes, config.max_msgs, config.num_replicas) == (MAX_BYTES, MAX_MESSAGES, 3)


async def test_a_fleet_that_was_made_before_gets_it_like_the_first_and_changes_in_nothing_else(tmp_path: Path) -> None:
    async with servers.running(tmp_path, nodes=3) as cluster, opened(cluster) as way:
        await make(way, FLEET, replicas=3, most_bytes=4_000_000)
        await way.jetstream.delete_stream(ahead_of("here"))
        await way.flights.send("here", "shop", uuid4(), b"x")
        before = (await way.jetstream.stream_info(stream_of("here"))).config
        assert await make(way, FLEET, replicas=1, most_bytes=10_000_000) == FLEET
        its = (await way.jetstream.stream_info(ahead_of("here"))).config
        assert (its.num_replicas, its.max_bytes, its.max_msgs) == (3, 500_000, MAX_MESSAGES)
        assert (its.discard, its.max_age, its.subjects) == ("new", 0, ["tidings.ahead.here.>"])
        found = await way.jetstream.stream_info(stream_of("here"))
        assert (found.config, found.state.last_seq) == (before, 1)
        ahead = AheadStream(way, "here")
        await ahead.put(1, b"x")
        await make(way, FLEET, replicas=1, most_bytes=10_000_000)
        assert await ahead.read(1, 9) == [b"x"]


async def test_where_there_is_no_room_for_it_nothing_is_left_half_made_and_what_was_there_stays(tmp_path: Path) -> None:
    async with servers.running(tmp_path, room=1_650_000) as cluster, opened(cluster) as way:
        with pytest.raises(StartupError, match=r"cannot keep 1 copies \(.*\)\. Start as many nodes .*max_file_store"):
            await make(way, FLEET, replicas=1, most_bytes=1_500_000)
        assert await names(way) == set()
        two = fleet_of(("eu", "us"))
        await make(way, two, replicas=1, most_bytes=600_000)
        for home in two.homes:
            await way.jetstream.delete_stream(ahead_of(home))
        await way.jetstream.add_stream(name="other", subjects=["other"], max_bytes=330_000)
        await way.flights.send("eu", "shop", uuid4(), b"x")
        with pytest.raises(StartupError, match="max_file_store"):  # there is room for one of them
            await make(way, two, replicas=1, most_bytes=600_000)
        assert await names(way) == {"TIDINGS_eu", "TIDINGS_us", "KV_TIDINGS", "other"}
        assert await way.flights.last("eu") == 1
        assert await way.bucket.fleet() == two


async def test_it_is_taken_away_with_its_home_and_a_home_of_that_name_begins_anew(way: Stream) -> None:
    ahead = AheadStream(way, "here")
    await ahead.put(1, b"x")
    assert await ahead.change(b"x", 0)
    await way.flights.send("here", "shop", uuid4(), b"x")
    assert not await take_away(way, "here")
    assert await ahead.read(1, 9) == [b"x"], "flights are there, and what was answered to them"
    (arrived,) = await way.flights.receive("here", 10.0)
    await arrived.done()

    async def is_gone() -> bool:  # what is acknowledged is known to be a moment later
        return await take_away(way, "here")

    await eventually(is_gone)
    assert await names(way) == {"KV_TIDINGS"}
    assert await ahead.state() == (b"", 0)
    await make(way, Fleet(("here",)), replicas=1, most_bytes=10_000_000)
    assert await ahead.numbers() == {}
    assert await ahead.change(b"x", 0)


async def test_flights_stay_where_nobody_knows_any_more_which_were_landed(way: Stream) -> None:
    await way.flights.send("here", "shop", uuid4(), b"x")
    await way.jetstream.delete_consumer(stream_of("here"), CONSUMER)
    assert not await take_away(way, "here")
    assert await way.flights.last("here") == 1
    await way.flights.forget("here", 1)
    assert await take_away(way, "here")


async def test_what_is_left_of_a_home_whose_first_stream_is_gone_is_taken_away(way: Stream) -> None:
    await way.jetstream.delete_stream(stream_of("here"))
    assert await take_away(way, "here")
    with pytest.raises(NotFoundError):
        await way.jetstream.stream_info(ahead_of("here"))


# Who is told of it -----------------------------------------------------------------------------------------------------------


async def test_status_tells_of_a_home_that_sends_ahead_since_when(
    config: Config, way: Stream, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    config = msgspec.structs.replace(config, stream=cluster.url)
    ahead, now = AheadStream(way, "here"), machine_time()

    async def shown(said: bytes) -> tuple[list[str], list[str]]:
        assert await ahead.change(said, (await ahead.state())[1])
        code = await asyncio.to_thread(run_status, config, watch=None, as_json=False)
        lines = capsys.readouterr().out.splitlines()
        found = [one.name for one in troubles(await status(config, now)) if one.name.startswith("home_ahead")]
        assert code == bool(found)
        return lines, found

    said = {"state": "ahead", "holder": str(uuid4()), "since": (now - timedelta(minutes=3)).isoformat(), "reached": 17}
    lines, found = await shown(msgspec.json.encode(said | {"what is not known": [1]}))
    assert lines[1].startswith("  has sent ahead of its database for 18")
    assert lines[1].endswith(" s, flight 17 begun last")
    assert lines[-1].startswith("! Home here has sent ahead for 3 minutes, since its database is away:")
    assert found == ["home_ahead"]
    await asyncio.to_thread(run_status, config, watch=None, as_json=True)
    assert json.loads(capsys.readouterr().out)["ahead"]["here"] == said | {
        "since": said["since"].replace("+00:00", "Z"),
        "is_called": False,
    }
    lines, found = await shown(msgspec.json.encode(said | {"state": "ending"}))
    assert lines[1].endswith("; its database is back, and this ends")
    assert found == []
    lines, found = await shown(msgspec.json.encode({"state": "ended"}))
    assert not [line for line in lines if "ahead" in line]
    assert found == []
    lines, found = await shown(b"\xff")
    assert lines[-1].startswith("! What home here says of sending ahead of its database cannot be read.")
    assert found == ["home_ahead_unread"]
