"""A move that was broken off is told, with what to do, wherever somebody looks how a home is."""

import asyncio
from typing import Any

import pytest

from tests.support.engine import Engine, eventually
from tests.support.furnished import Furnished
from tests.support.homes import Home
from tests.support.moves import Halted, KilledError, Life, move_of
from tidings.api.routes.health import families
from tidings.core.fleet import MAX_PARKED, parking
from tidings.core.pressure import Trouble
from tidings.operations import attention, diagnosis, fleet, readings
from tidings.store import moving
from tidings.transport.stream import Stream

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.home_fixtures", "tests.support.move_fixtures")

Homes = tuple[Home, Home]


async def told(home: Home) -> list[Trouble]:
    """Return what is said of moves once the connections of those who were at them have ended."""
    watched = await fleet.read(home.engine.services)
    assert watched is not None
    return [one for one in watched.troubles if one.name == "move_unfinished"]


async def is_told(home: Home) -> bool:
    return bool(await told(home))


async def kill(homes: Homes, way: Stream, step: str) -> None:
    with pytest.raises(KilledError):
        await move_of(homes, way, tell=Life(step)).run()


async def test_a_move_that_was_killed_before_its_moment_is_told_at_both_homes_until_it_is_called_off(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    assert (await told(east), await told(west)) == ([], [])
    await kill(homes, fleet_stream, "waiting for attempts under way")
    await eventually(lambda: is_told(east))
    (here,), (there,) = await told(east), await told(west)
    assert "tidings stream move acme --to west --database URL; or call it off" in here.sentence
    assert here.seconds is not None
    assert 0 <= here.seconds < 600
    assert "at the home that it comes from" in there.sentence
    await everywhere(east.engine.services, here)
    await move_of(homes, fleet_stream).abandon()
    assert (await told(east), await told(west)) == ([], [])


async def everywhere(services: Any, one: Trouble) -> None:
    """It is said by doctor, on the overview, and by a figure."""
    assert one.sentence in [problem.sentence for problem in (await diagnosis.examine(services)).problems]
    assert one.sentence in [trouble.sentence for trouble in (await attention.read(services)).fleet]
    (figures,) = [each for each in families(await readings.read(services)) if each.name == "tidings_fleet_troubles"]
    assert [sample.value for sample in figures.samples if sample.labels["name"] == "move_unfinished"] == [1]


async def test_a_move_that_was_killed_behind_its_moment_is_told_where_the_group_rests(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    await kill(homes, fleet_stream, "telling the fleet")
    await eventually(lambda: is_told(west))
    assert await told(east) == [], "it has left from there"
    await move_of(homes, fleet_stream).run()
    assert await told(west) == []


async def test_a_group_that_is_only_kept_back_at_sources_is_told_where_it_lives(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    await fleet_stream.bucket.change(lambda fleet: parking(fleet, "acme", 5, is_parked=True))
    for home in homes:
        await home.follower.run_once()
    assert ["sources keep what comes for it" in one.sentence for one in await told(east)] == [True]
    assert await told(west) == []


async def test_nothing_is_said_of_a_move_that_somebody_is_at(homes: Homes, fleet_stream: Stream, acme: Furnished) -> None:
    east, west = homes
    way = Halted(fleet_stream)
    moving_it = asyncio.create_task(move_of(homes, way).run())  # type: ignore[arg-type]
    await way.is_asked.wait()
    for home in homes:
        await home.follower.run_once()
    assert (await fleet_stream.bucket.fleet()).parked == ("acme",)
    assert (await told(east), await told(west)) == ([], [])
    way.may_go_on.set()
    await moving_it


async def test_no_more_are_read_than_are_asked_for(homes: Homes) -> None:
    east: Engine = homes[0].engine
    await east.sql(
        "insert into tidings.group_moves (group_id, home) select 'group-' || n, 'west' from generate_series(1, 30) n"
    )
    await east.sql("update tidings.group_moves set has_left = true where group_id = 'group-7'")
    async with east.services.wide.connection() as connection:
        assert len(await moving.unfinished(connection, MAX_PARKED)) == MAX_PARKED
        assert len(await moving.unfinished(connection, 100)) == 29
