"""Homes that are taken away, names that two have, and versions of the directory that never were."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.engine import eventually
from tests.support.fleet import landing_at
from tests.support.homes import HOMES, Home, group_of
from tests.support.process import Process, run_cli
from tests.support.stream import Cluster
from tidings.clock import machine_time
from tidings.core.errors import StartupError
from tidings.core.fleet import with_groups
from tidings.fleet import make_stream
from tidings.fleet_homes import remove_home, spread_names
from tidings.fleet_watch import drain_by
from tidings.transport.stream import Stream
from tidings.transport.stream_making import take_away
from tidings.transport.stream_standing import look
from tidings.worker.relay import Relay
from tidings.worker.rows import VAIN_SECONDS, Elsewhere

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.home_fixtures")


async def test_a_version_of_the_directory_that_nobody_hears_of_keeps_nothing_waiting_for_ever(
    homes: tuple[Home, Home], fleet_stream: Stream
) -> None:
    """What never leaves the outbox fills it, and a home whose outbox is full lands nothing of anybody."""
    east, _ = homes
    now = 0.0
    services, group = east.engine.services, group_of("west")
    rows = Elsewhere("east", monotonic=lambda: now)
    relay = Relay(
        services.wide, fleet_stream.flights, HOMES, services.box, services.clock, source="home_east", salt=services.installation.salt,
        rows=rows,
    )  # fmt: skip
    await east.publish(group, range(2))
    await east.engine.sql("update tidings.outbox set origin = 'shop', placed_by = $1", 2**62)

    async def packed() -> int:
        async with services.wide.connection() as connection:
            await relay.run_once(connection)
        return int(await east.engine.value("select coalesce(sum(event_count), 0) from tidings.relay_flights"))

    assert await packed() == 0
    now += VAIN_SECONDS - 1
    assert await packed() == 0
    now += 1
    await eventually(lambda: is_number(2, packed()))
    # One that is heard of a little later is waited for as before.
    await east.publish(group, range(2, 3))
    await east.engine.sql("update tidings.outbox set placed_by = 5")
    for _ in range(3):
        assert await packed() == 2
    later = await fleet_stream.bucket.change(lambda fleet: with_groups(fleet, {"another": "east"}, 6))
    relay.follow(later)
    taken = await _taken(services, rows, later)
    assert len(taken.rows) == 1


async def _taken(services: Any, rows: Elsewhere, fleet: Any) -> Any:
    async with services.wide.transaction() as connection:
        return await rows.take(connection, fleet)


async def is_number(wanted: int, asked: Any) -> bool:
    return bool(await asked == wanted)


# Homes that are taken away -------------------------------------------------------------------------------------------------


async def test_a_home_that_was_taken_away_says_so_and_keeps_nobody_waiting(
    homes: tuple[Home, Home], fleet_stream: Stream, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    east, _ = homes
    config = msgspec.structs.replace(east.engine.services.config, stream=cluster.url)
    await make_stream(config, ("east", "north", "west"), replicas=1, most_bytes=10_000_000)
    north = msgspec.structs.replace(config, home="north")
    caplog.set_level(logging.WARNING)
    async with landing_at(east.engine, north):
        await eventually(lambda: is_settled(fleet_stream))
        await eventually(lambda: is_reported(fleet_stream))
        await remove_home(config, "north")
        await eventually(lambda: is_told(caplog, "The fleet has no home 'north'; it has east, west."))
        await eventually(lambda: is_gone(fleet_stream))
    assert "home_north" not in await fleet_stream.bucket.settled(), "a move would wait for it"
    begun = machine_time()
    assert (await drain_by(fleet_stream, ["east"], machine_time, seconds=0)).left == []
    assert (machine_time() - begun).total_seconds() < 12


async def is_settled(way: Stream) -> bool:
    return (await way.bucket.settled()).get("home_north") == (await way.bucket.fleet()).version


async def is_reported(way: Stream) -> bool:
    report = (await look(way, ["north"], machine_time())).sources.get("home_north")
    return report is not None


async def is_told(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


async def is_gone(way: Stream) -> bool:
    seen = await look(way, ["east"], machine_time())
    return "home_north" not in seen.sources and "home_north" not in await way.bucket.settled()


async def test_who_was_broken_off_while_it_took_a_home_away_does_it_by_the_same_command(
    homes: tuple[Home, Home], fleet_stream: Stream, cluster: Cluster
) -> None:
    config = msgspec.structs.replace(homes[0].engine.services.config, stream=cluster.url)
    await make_stream(config, ("east", "north", "west"), replicas=1, most_bytes=10_000_000)
    await fleet_stream.bucket.claim("north", "a database", is_to_take=False)
    await fleet_stream.bucket.change(
        lambda fleet: msgspec.structs.replace(fleet, homes=("east", "west"), version=fleet.version + 1)
    )
    assert await remove_home(config, "north")
    assert await fleet_stream.bucket.claim("north", "another", is_to_take=False) == "another"
    with pytest.raises(StartupError, match="no home 'north'"):
        await remove_home(config, "north")
    assert await take_away(fleet_stream, "north"), "nothing is left of it"
    with pytest.raises(StartupError, match="A home's name"):
        await remove_home(config, "north.>")


async def test_a_group_that_gets_webhooks_while_names_are_spread_stays_where_it_has_them(
    homes: tuple[Home, Home], fleet_stream: Stream, cluster: Cluster
) -> None:
    """It was not there when groups were counted, and its name leads elsewhere since: its events would go where nobody hears."""
    east, west = homes
    config = msgspec.structs.replace(east.engine.services.config, stream=cluster.url)
    await make_stream(config, ("east", "north", "west"), replicas=1, most_bytes=10_000_000)
    urls = {home.name: str(home.engine.services.wide.url) for home in homes} | {"north": str(west.engine.services.wide.url)}
    await fleet_stream.bucket.tell_settled("home_east", 0)  # a member that hears of it later
    spreading = asyncio.create_task(spread_names(config, ("north",), urls, is_plan=False))
    try:
        await eventually(lambda: is_spread(fleet_stream))
        await east.engine.sql("insert into tidings.groups (id) values ('late')")
        await east.engine.add_webhook("https://example.com", "order.*", group_id="late")
        await fleet_stream.bucket.tell_settled("home_east", (await fleet_stream.bucket.fleet()).version)
        fleet, _ = await spreading
    finally:
        spreading.cancel()
    assert fleet.home_of("late") == "east"
    assert fleet.home_of("nobody") == "north"


async def is_spread(way: Stream) -> bool:
    return (await way.bucket.fleet()).open_homes == ("north",)


# Two databases of one name -------------------------------------------------------------------------------------------------


async def test_two_databases_are_not_one_source_at_a_time(
    fresh_databases: Any, fleet_stream: Stream, cluster: Cluster, tmp_path: Path
) -> None:
    first, second = await fresh_databases(2)
    common = {"stream": cluster.url, "source": "shop", "secret_key": "test", "data_dir": tmp_path}
    relays = []
    try:
        relays.append(await Process.start("relay", database_url=first, **common))
        await eventually(lambda: is_source_known(fleet_stream))
        before = await fleet_stream.bucket.said("shop")
        refused = await asyncio.to_thread(run_cli, "relay", "--json", database_url=second, **common)
        assert refused.returncode == 2
        assert "Another database is source 'shop' of the fleet" in refused.stdout + refused.stderr
        said = await fleet_stream.bucket.said("shop")
        assert said is not None
        assert before is not None
        assert said.database == before.database, "it has said nothing"
        assert await relays[0].stop() == 0
        # The first is gone: the other takes its place, after a look whether it is.
        relays.append(await Process.start("relay", database_url=second, **common))
        await eventually(lambda: is_another(fleet_stream, before.database))
        # Whoever is spoken over ends: one at least does.
        await fleet_stream.bucket.report("shop", msgspec.structs.replace(before, at=machine_time()))
        assert (await relays[-1].ended())[0] != 0
    finally:
        for each in relays:
            await each.kill()


async def is_source_known(way: Stream) -> bool:
    return await way.bucket.said("shop") is not None


async def is_another(way: Stream, database: str) -> bool:
    said = await way.bucket.said("shop")
    return said is not None and said.database != database
