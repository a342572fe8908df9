"""Groups that live at other homes than their names lead to: what comes for them travels on, once, in order, never in circles."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.support.engine import eventually
from tests.support.homes import HOMES, Home, group_of
from tests.support.receiver import Receiver
from tests.support.stream import Cluster
from tidings.core.errors import StartupError
from tidings.core.event import Event
from tidings.core.fleet import Fleet, parking, with_groups
from tidings.fleet import leave_as_home, make_stream
from tidings.fleet_homes import place, remove_home, spread_names
from tidings.store import moving, placing
from tidings.store.statements import load
from tidings.transport.stream import Stream
from tidings.worker.placing import CurrentPlacing, ElsewhereError, Follower
from tidings.worker.rows import Elsewhere

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.home_fixtures")


async def test_of_those_who_change_the_directory_at_once_none_undoes_what_another_did(fleet_stream: Stream) -> None:
    def changed(number: int) -> Callable[[Fleet], Fleet]:
        return lambda fleet: parking(fleet, f"group-{number}", 1, is_parked=True)

    await asyncio.gather(*(fleet_stream.bucket.change(changed(number)) for number in range(8)))
    assert (await fleet_stream.bucket.fleet()).parked == tuple(f"group-{number}" for number in range(8))


async def test_what_is_committed_at_the_wrong_home_is_delivered_from_the_right_one_in_order(
    homes: tuple[Home, Home], receiver: Receiver
) -> None:
    east, west = homes
    group = group_of("west")
    await west.engine.sql("insert into tidings.groups (id) values ($1)", group)
    await west.engine.add_webhook(receiver.url(), "order.*", group_id=group, ordered=True)
    await east.engine.add_webhook(receiver.url(), "order.*")
    await east.publish(group, range(3))
    await east.publish("default", range(90, 91))
    await east.engine.worker.dispatcher.run_once()
    assert await east.numbers(group) == [0, 1, 2], "it is not routed there"
    async with east.sending_on():
        await eventually(lambda: is_value(west, 3, _land_and_count(west, group)))
        assert await west.numbers(group) == [0, 1, 2]
        await east.engine.cycle()
        while await west.engine.cycle():
            pass
    told = [json.loads(one.body)["data"]["number"] for one in receiver.received]
    assert sorted(told) == [0, 1, 2, 90], "what is of its own is delivered, whatever is in front of it"
    assert [number for number in told if number < 90] == [0, 1, 2]
    assert await east.engine.value("select count(*) from tidings.events where group_id = $1", group) == 0
    assert await east.engine.value("select count(*) from tidings.outbox") == 0


async def is_value(home: Home, value: Any, found: Any) -> bool:
    return bool(await found == value)


async def _land_and_count(home: Home, group: str) -> int:
    await home.intake.run_once()
    return len(await home.numbers(group))


async def _route_and_count(home: Home, group: str) -> Any:
    await home.engine.worker.dispatcher.run_once()
    return await home.engine.value("select count(*) from tidings.events where group_id = $1", group)


async def test_a_flight_that_comes_late_travels_on_with_its_source(homes: tuple[Home, Home], fleet_stream: Stream) -> None:
    """A source that heard nothing of a move sends to the old home, which knows."""
    east, west = homes
    group = group_of("east")
    await east.publish(group, range(2))
    async with east.engine.services.wide.transaction() as connection:
        await connection.execute("update tidings.outbox set origin = 'shop', placed_by = 0")
    await fleet_stream.bucket.change(lambda fleet: with_groups(fleet, {group: "west"}, 5))
    assert await east.follower.run_once()
    await east.engine.worker.dispatcher.run_once()
    assert len(await east.numbers(group)) == 2
    async with east.sending_on():
        await eventually(lambda: is_value(west, 2, _land_and_count(west, group)))
    rows = await west.engine.sql("select distinct origin, placed_by from tidings.outbox")
    assert [tuple(row) for row in rows] == [("shop", 5)]


async def test_homes_that_disagree_send_nothing_in_circles(homes: tuple[Home, Home], fleet_stream: Stream) -> None:
    """East has heard that the group moved to west, and west has not: west keeps it until it has heard."""
    east, west = homes
    group = group_of("east")
    await east.publish(group, range(1))
    await fleet_stream.bucket.change(lambda fleet: with_groups(fleet, {group: "west"}, 5))
    await east.follower.run_once()
    async with east.sending_on(), west.sending_on():
        await eventually(lambda: is_value(west, 1, _land_and_count(west, group)))
        await west.engine.worker.dispatcher.run_once()
        for _ in range(3):
            async with west.engine.services.wide.connection() as connection:
                await west.relay.run_once(connection)
        assert await west.numbers(group) == [0], "west still believes that it lives in the east"
        assert await west.engine.value("select count(*) from tidings.relay_flights") == 0
        assert await west.follower.run_once()
        await eventually(lambda: is_value(west, 1, _route_and_count(west, group)))


async def test_a_group_with_webhooks_is_routed_where_they_are_whatever_the_fleet_says(
    homes: tuple[Home, Home], receiver: Receiver
) -> None:
    """An installation that became a home has groups whose names lead elsewhere: nothing of theirs is sent away."""
    east, _ = homes
    group = group_of("west")
    await east.publish(group, range(1))
    await east.engine.add_webhook(receiver.url(), "order.*", group_id=group)
    async with east.sending_on():
        await east.engine.cycle()
    assert len(receiver.received) == 1
    assert await east.engine.value("select count(*) from tidings.relay_flights") == 0


async def test_what_is_parked_stays_and_what_is_of_others_travels(homes: tuple[Home, Home], fleet_stream: Stream) -> None:
    east, west = homes
    parked, other = [name for number in range(100) if HOMES.home_of(name := f"group-{number}") == "west"][:2]
    parked_fleet = await fleet_stream.bucket.change(lambda fleet: msgspec.structs.replace(fleet, version=2, parked=(parked,)))
    await east.follower.run_once()
    await east.publish(parked, range(2))
    await east.publish(other, range(2))
    async with east.sending_on():
        await eventually(lambda: is_value(west, 2, _land_and_count(west, other)))
        assert await east.numbers(parked) == [0, 1]
        assert east.relay.settled == parked_fleet.version
        await east.follower.run_once()
        assert await fleet_stream.bucket.settled() == {"home_east": 2}
        await fleet_stream.bucket.change(lambda fleet: msgspec.structs.replace(fleet, version=3, parked=()))
        assert await east.follower.run_once()
        await eventually(lambda: is_value(west, 2, _land_and_count(west, parked)))


async def test_a_home_keeps_what_it_knows_while_the_stream_is_away(homes: tuple[Home, Home], cluster: Cluster) -> None:
    east, _ = homes
    cluster.nodes[0].kill()
    assert not await east.follower.run_once()
    async with east.engine.services.wide.connection() as connection:
        known = await placing.get(connection)
    assert known is not None
    assert known.placing.fleet == HOMES
    group = group_of("west")
    await east.publish(group, range(1))
    await east.engine.worker.dispatcher.run_once()
    assert await east.numbers(group) == [0]


async def test_the_directory_is_read_only_where_it_has_changed(homes: tuple[Home, Home]) -> None:
    """A home looks five times a second for what is of others, and the directory has up to ten thousand groups."""
    east, _ = homes
    async with east.engine.services.wide.connection() as connection:
        known = await placing.get(connection)
        assert known is not None
        assert await placing.renewed(connection, known) is known
        row = await connection.fetchrow(load("placing")["get"], known.version)
        assert dict(row) == {"version": known.version, "home": None, "fleet": None, "gone": None, "parked": None}
        rows = Elsewhere("east")
        await rows.take(connection, HOMES)
        first = rows._known
        await rows.take(connection, HOMES)
        assert rows._known is first == known
        more = with_groups(HOMES, {"acme": "west" if HOMES.home_of("acme") == "east" else "east"}, 2)
        assert await placing.put(connection, "east", more)
        await rows.take(connection, HOMES)
        assert rows._known is not None
        assert rows._known.placing.fleet == more
        await moving.begin(connection, "acme", "west")
        await rows.take(connection, HOMES)
        assert rows._known.placing.parked == {"acme"}
    async with east.engine.services.wide.connection() as connection, east.engine.services.wide.connection() as other:
        await rows.take(connection, HOMES)
        first = rows._known
        await rows.take(other, HOMES)
        assert rows._known is not first, "over another connection a version may stand for something else"


async def test_after_a_failover_the_directory_is_written_down_and_read_anew(
    homes: tuple[Home, Home], fleet_stream: Stream
) -> None:
    """A standby that was behind may lack what was written last, and give its number to something else."""
    east, _ = homes
    services = east.engine.services
    group = group_of("east")
    async with services.wide.connection() as connection:
        before = await placing.get(connection)
        assert before is not None
        moved = await fleet_stream.bucket.change(lambda fleet: with_groups(fleet, {group: "west"}, 5))
        assert await east.follower.run_once()
        await east.publish(group, range(1))
        await east.engine.worker.dispatcher.run_once()
        assert await east.numbers(group) == [0], "it lives elsewhere"
        # The standby has not heard of it, and of something else by the same number.
        fleet = msgspec.json.encode(before.placing.fleet).decode()
        await connection.execute("update tidings.placing set fleet = $1::text::json", fleet)
        services.wide.server.failovers += 1
        current, events = CurrentPlacing(services.wide.server), [event_of(group)]
        known = await placing.get(connection)
        assert known is not None
        await current.expect_own(connection, known.version, events, ())
        assert not await east.follower.run_once(), "it is no other than before"
        known = await placing.get(connection)
        assert known is not None
        assert known.placing.fleet == moved
        with pytest.raises(ElsewhereError):
            await current.expect_own(connection, known.version, events, ())
        await connection.execute("update tidings.placing set fleet = $1::text::json", fleet)
        services.wide.server.failovers += 1
        await current.expect_own(connection, known.version, events, ())


def event_of(group: str) -> Event:
    return Event(
        uuid4(), group, "publish", "order.paid", None, None, None, None, "{}", None, datetime(2026, 11, 22, tzinfo=UTC)
    )


# The fleet is changed ------------------------------------------------------------------------------------------------------


async def test_a_home_is_added_filled_spread_to_and_taken_away_and_no_group_moves_for_it(
    homes: tuple[Home, Home], fleet_stream: Stream, cluster: Cluster
) -> None:
    east, _ = homes
    config = msgspec.structs.replace(east.engine.services.config, stream=cluster.url)
    urls = {home.name: str(home.engine.services.wide.url) for home in homes}
    groups = [f"group-{number}" for number in range(20)]
    for group in groups:
        await homes[HOMES.home_of(group) == "west"].engine.sql("insert into tidings.groups (id) values ($1)", group)
    more = await make_stream(config, ("east", "north", "west"), replicas=1, most_bytes=10_000_000)
    assert more.homes == ("east", "north", "west")
    assert [more.home_of(group) for group in groups] == [HOMES.home_of(group) for group in groups]
    with pytest.raises(StartupError, match="To add homes name these too"):
        await make_stream(config, ("south",), replicas=1, most_bytes=10_000_000)
    assert (await place(config, ["new"], "north")).home_of("new") == "north"
    with pytest.raises(StartupError, match="no home 'nowhere'"):
        await place(config, ["new"], "nowhere")
    with pytest.raises(StartupError, match="say the database of each"):
        await spread_names(config, ("east", "north", "west"), urls, is_plan=False)
    urls["north"] = urls["east"]
    before = await fleet_stream.bucket.fleet()
    planned, remembered = await spread_names(config, ("east", "north", "west"), urls, is_plan=True)
    assert await fleet_stream.bucket.fleet() == before
    assert remembered == len(planned.moved) > 0
    opened, _ = await spread_names(config, ("east", "north", "west"), urls, is_plan=False)
    assert [opened.home_of(group) for group in groups] == [HOMES.home_of(group) for group in groups]
    assert opened.home_of("new") == "north"
    assert "north" in {opened.home_of(f"later-{number}") for number in range(20)}

    with pytest.raises(StartupError, match="lead to north"):
        await remove_home(config, "north")
    await spread_names(config, ("east", "west"), urls, is_plan=False)
    with pytest.raises(StartupError, match=r"is the home of new.*tidings stream move GROUP --to HOME --database URL"):
        await remove_home(config, "north")
    await place(config, ["new"], "east")
    async with east.sending_on():
        await eventually(lambda: is_so(east.relay.settled == 0))
        known = Follower(fleet_stream.bucket, "home_east", [], lambda: 0)
        await known.run_once()
        with pytest.raises(StartupError, match="home_east did not say yet"):
            await remove_home(config, "north")
        await east.follower.run_once()
        await eventually(lambda: is_settled(east))
        await east.follower.run_once()
    await fleet_stream.flights.send("north", "shop", uuid4(), b"x")
    with pytest.raises(StartupError, match="north has 1 flights in the stream"):
        await remove_home(config, "north")
    assert not await remove_home(config, "north", besides=("home_north",)), "a flight is in its stream"
    assert (await fleet_stream.bucket.fleet()).homes == ("east", "west")


async def is_so(what: bool) -> bool:
    return what


async def is_settled(home: Home) -> bool:
    return home.relay.settled == (await home.way.bucket.fleet()).version


async def test_an_installation_that_joins_keeps_its_groups_and_leaves_again(
    homes: tuple[Home, Home], fleet_stream: Stream, cluster: Cluster
) -> None:
    east, _ = homes
    config = msgspec.structs.replace(east.engine.services.config, stream=cluster.url)
    group = group_of("west")
    await east.engine.sql("insert into tidings.groups (id) values ($1)", group)
    await east.engine.add_webhook("https://example.com", "order.*", group_id=group)
    fleet = await place(config, (), "east")
    assert fleet.home_of(group) == "east"
    assert fleet.moved == {group: "east"}
    with pytest.raises(StartupError, match="A worker is at work here"):
        await leave_as_home(config)  # it would go on as a home, and write again which one it is
    await east.engine.sql("delete from tidings.workers")
    assert await leave_as_home(config) == "east"
    assert await leave_as_home(config) is None


async def test_a_directory_that_another_version_wrote_down_is_refused_in_a_sentence(homes: tuple[Home, Home]) -> None:
    east, _ = homes
    async with east.engine.services.wide.connection() as connection:
        known = await placing.get(connection)
        assert known is not None
        await connection.execute("update tidings.placing set fleet = (fleet::jsonb || '{\"of_later\": 1}')::json")
        with pytest.raises(StartupError, match=r"unknown field `of_later`.*run one version everywhere\.$"):
            await placing.get(connection)
