"""What comes in between while a group moves: databases that go away, other moves, directories that somebody wrote, locks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.support.engine import engine_of
from tests.support.furnished import Furnished
from tests.support.homes import Home
from tests.support.moves import KilledError, Life, halted, move_of, onward, open_lanes, rows_of, until_halted, without_state
from tidings.config import Config
from tidings.core.errors import BusyError, HomesDisagreeError, StartupError
from tidings.core.fleet import fleet_of, parking, with_groups
from tidings.operations import groups
from tidings.store import moving
from tidings.transport.stream import Stream
from tidings.transport.stream_making import make
from tidings.worker.moving import Move

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.home_fixtures", "tests.support.move_fixtures")

Homes = tuple[Home, Home]


@pytest.fixture
async def south(config: Config, homes: Homes, fleet_stream: Stream, fresh_databases: Any) -> AsyncIterator[Home]:
    """A third home, to which no name leads."""
    (url,) = await fresh_databases(1)
    there = msgspec.structs.replace(config, database_url=url, home="south", stream="nats://127.0.0.1:1")
    await make(fleet_stream, fleet_of(("east", "south", "west")), replicas=1, most_bytes=10_000_000)
    async with engine_of(there) as engine:
        home = Home("south", engine, fleet_stream)
        await home.follower.run_once()
        yield home


async def kill(move: Move) -> None:
    with pytest.raises(KilledError):
        await move.run()


# History ------------------------------------------------------------------------------------------------------------------


async def test_history_follows_a_group_that_moved_on_before_it_came(
    homes: Homes, south: Home, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    before = without_state(await rows_of(east.engine, "acme"))
    await kill(move_of(homes, fleet_stream, tell=Life("deleting events here")))
    await onward(west, south, fleet_stream).run()
    assert await rows_of(south.engine, "acme") != before, "some of it is at the first home still"
    with pytest.raises(StartupError, match=r"lives at south by now.* --to south"):
        await move_of(homes, fleet_stream).run()
    moved = await onward(east, south, fleet_stream).run()
    assert moved.rows["events"] > 0
    assert without_state(await rows_of(south.engine, "acme")) == before
    assert not any((await rows_of(east.engine, "acme")).values())
    assert await open_lanes(south) > 0
    async with east.engine.services.wide.connection() as connection:
        assert await moving.standing(connection, "acme") == moving.Standing("south", True, True)


async def test_history_does_not_follow_to_where_a_group_is_leaving_from(
    homes: Homes, south: Home, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    await kill(move_of(homes, fleet_stream, tell=Life("copying published")))
    await onward(west, south, fleet_stream).run()
    await kill(onward(south, west, fleet_stream, tell=Life("telling the fleet")))
    with pytest.raises(StartupError, match="on its way from south to west"):
        await onward(east, south, fleet_stream).run()


async def test_history_that_follows_leaves_a_move_alone_that_was_broken_off_behind_it(
    homes: Homes, south: Home, fleet_stream: Stream, acme: Furnished
) -> None:
    _, west = homes
    await kill(move_of(homes, fleet_stream, tell=Life("copying published")))
    await kill(onward(west, south, fleet_stream, tell=Life("copying lanes")))
    assert await open_lanes(west) == 0
    await move_of(homes, fleet_stream).run()
    assert await open_lanes(west) == 0, "whoever moves it on has closed them"
    assert await west.engine.value("select home from tidings.group_moves where group_id = 'acme'") == "south"
    await onward(west, south, fleet_stream).run()
    assert await open_lanes(south) > 0


# What is somebody else's ---------------------------------------------------------------------------------------------------


async def test_nothing_is_deleted_of_a_group_that_is_about_to_leave_from_the_other_home(
    homes: Homes, south: Home, fleet_stream: Stream, acme: Furnished
) -> None:
    """So it is where somebody wrote into the directory what was not so."""
    _, west = homes
    await west.engine.sql("insert into tidings.groups (id) values ('acme')")
    await west.engine.add_webhook("https://example.com", "order.*", group_id="acme")
    async with west.engine.services.wide.transaction() as connection:
        await moving.begin(connection, "acme", "south")
    with pytest.raises(StartupError, match="already, and two cannot become one"):
        await move_of(homes, fleet_stream).run()
    await move_of(homes, fleet_stream).abandon()
    assert await west.engine.value("select count(*) from tidings.webhooks where group_id = 'acme'") == 1
    assert await west.engine.value("select home from tidings.group_moves where group_id = 'acme'") == "south"


async def arrived(homes: Homes, way: Stream) -> None:
    """Have a group be at both homes: the old one has come back as it was before it left."""
    _, west = homes
    await kill(move_of(homes, way, tell=Life("deleting it here")))
    async with west.engine.services.wide.transaction() as connection:
        await moving.open_lanes(connection, "acme")
        await moving.end(connection, "acme")
    await way.bucket.change(lambda fleet: parking(with_groups(fleet, {"acme": "west"}, 1), "acme", 1, is_parked=False))


async def test_what_came_back_with_an_older_database_is_deleted_when_the_move_is_begun_again(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    before = without_state(await rows_of(east.engine, "acme"))
    await arrived(homes, fleet_stream)
    assert any((await rows_of(east.engine, "acme")).values())
    with pytest.raises(StartupError, match="lives at west already"):
        await move_of(homes, fleet_stream).abandon()
    await east.engine.sql("update tidings.lanes set open = true where group_id = 'acme'")  # lost, too
    await move_of(homes, fleet_stream).run()
    assert not any((await rows_of(east.engine, "acme")).values())
    assert without_state(await rows_of(west.engine, "acme")) == before
    assert await open_lanes(west) > 0
    assert (await fleet_stream.bucket.fleet()).parked == ()


async def test_nothing_is_deleted_where_the_other_home_has_another_group_of_that_name(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    await kill(move_of(homes, fleet_stream, tell=Life("copying lanes")))
    before = without_state(await rows_of(east.engine, "acme"))
    await west.engine.sql("delete from tidings.group_moves")
    await west.engine.sql("insert into tidings.groups (id) values ('acme') on conflict do nothing")
    await west.engine.add_webhook("https://example.com", "order.*", group_id="acme")
    await fleet_stream.bucket.change(lambda fleet: with_groups(fleet, {"acme": "west"}, 1))
    with pytest.raises(StartupError, match="acme lives at west, and this is the database of east"):
        await move_of(homes, fleet_stream).run()
    assert without_state(await rows_of(east.engine, "acme")) == before


# Locks -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1], ids=["old home", "new home"])
async def test_no_change_of_another_group_waits_while_a_group_is_moved(
    place: int, homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    """Keys, limits and rules of all groups are counted in rows of their own, which such changes lock."""
    home = homes[place]
    await home.engine.sql("insert into tidings.groups (id) values ('third')")
    async with halted(home, ("share", "exclusive")[place]):
        running = asyncio.create_task(move_of(homes, fleet_stream).run())
        await until_halted(home, running)
        user = await asyncpg.connect(home.engine.services.wide.url, server_settings={"lock_timeout": "100ms"})
        try:
            await user.execute("insert into tidings.group_limits (group_id) values ('third')")
            await user.execute(
                "insert into tidings.api_keys (id, name, scopes, token_hash, created_at) "
                "values (gen_random_uuid(), 'third', '{admin}', sha256('third'), now())"
            )
            await user.execute("update tidings.redaction_rules set name = name where group_id = 'third'")
            await user.execute("update tidings.routes_version set version = version + 1")
        finally:
            await user.close()
        assert not running.done()
    await running


async def test_who_comes_to_change_a_group_that_is_leaving_does_not_wait_for_it(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    services = msgspec.structs.replace(
        east.engine.services, config=msgspec.structs.replace(east.engine.services.config, home="east")
    )
    async with halted(west, "exclusive"):
        running = asyncio.create_task(move_of(homes, fleet_stream).run())
        await until_halted(west, running)
        with pytest.raises(BusyError, match="being moved to another home at this moment"):
            await groups.expect_here(services, "acme")
        assert await groups.left_for(services, "acme") is None, "it can be read"
        await groups.expect_here(services, "other")
    await running
    assert await groups.left_for(services, "acme") == "west"
    with pytest.raises(HomesDisagreeError, match="lives at home west"):
        await groups.expect_here(services, "acme")
    await groups.expect_here(services, "acme", may_be_gone=True)


@pytest.mark.parametrize(
    "rows",
    ["groups where id = 'acme'", *(f"{table} where group_id = 'acme'" for table in ("webhooks", "lanes", "cron_jobs"))],
)
async def test_a_move_waits_for_who_changes_what_it_is_about_to_copy(rows: str, homes: Homes, acme: Furnished) -> None:
    east, _ = homes
    here = await east.engine.services.wide.dedicated(lock_timeout="200ms")
    other = await asyncpg.connect(east.engine.services.wide.url)
    try:
        async with other.transaction():
            await other.execute(f"select from tidings.{rows} for update")
            with pytest.raises(asyncpg.LockNotAvailableError):
                async with here.transaction():
                    await moving.lock(here, "acme")
    finally:
        await other.close()
        here.terminate()


async def test_whoever_asks_whether_a_group_has_left_waits_for_a_move_of_it(homes: Homes, acme: Furnished) -> None:
    """What is changed of it refers to no row that a move locks, perhaps."""
    east, _ = homes
    here = await east.engine.services.wide.dedicated()
    asking = await east.engine.services.wide.dedicated(lock_timeout="200ms")
    try:
        async with here.transaction():
            await moving.begin(here, "acme", "west")
            await moving.lock(here, "acme")
            await moving.note_left(here, "acme")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await moving.left_for(asking, "acme")
        assert await moving.left_for(asking, "acme") == "west"
    finally:
        asking.terminate()
        here.terminate()


async def test_groups_that_left_are_not_shown_as_living_there(homes: Homes, fleet_stream: Stream, acme: Furnished) -> None:
    east, west = homes
    await move_of(homes, fleet_stream).run()
    shown = [[one.id for one in await groups.list_groups(home.engine.services, limit=10)] for home in homes]
    assert ("acme" in shown[0], "acme" in shown[1]) == (False, True)
    assert "other" in shown[0]
    bound = msgspec.structs.replace(east.engine.services, bound_to="acme")
    assert await groups.list_groups(bound, limit=10) == []
    assert [
        one.id for one in await groups.list_groups(msgspec.structs.replace(west.engine.services, bound_to="acme"), limit=10)
    ] == ["acme"]


# Databases that go away --------------------------------------------------------------------------------------------------------


async def test_a_move_is_called_off_when_the_new_home_goes_away_and_done_when_it_is_back(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    before, were_open = without_state(await rows_of(east.engine, "acme")), await open_lanes(east)
    async with halted(west, "exclusive"):
        running = asyncio.create_task(move_of(homes, fleet_stream).run())
        await until_halted(west, running)
        assert await open_lanes(east) == 0
        await west.engine.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        with pytest.raises(StartupError, match="A database went away while acme was moved"):
            await running
    assert await open_lanes(east) == were_open, "deliveries go on"
    assert (await fleet_stream.bucket.fleet()).parked == (), "and sources send"
    assert without_state(await rows_of(east.engine, "acme")) == before
    await move_of(homes, fleet_stream).run()
    assert without_state(await rows_of(west.engine, "acme")) == before


async def test_a_move_goes_on_when_the_old_home_went_away_in_it(homes: Homes, fleet_stream: Stream, acme: Furnished) -> None:
    east, west = homes
    before = without_state(await rows_of(east.engine, "acme"))
    async with halted(east, "share"):
        running = asyncio.create_task(move_of(homes, fleet_stream).run())
        await until_halted(east, running)
        await east.engine.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        with pytest.raises(StartupError, match="A database went away while acme was moved"):
            await running
    assert not await open_lanes(west), "what is there does nothing"
    await move_of(homes, fleet_stream).run()
    assert without_state(await rows_of(west.engine, "acme")) == before
    assert not any((await rows_of(east.engine, "acme")).values())


async def test_a_lock_that_somebody_keeps_is_waited_for_no_longer_than_all_else(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    were_open = await open_lanes(east)
    async with halted(west, "exclusive"):
        with pytest.raises(StartupError, match="Somebody changed acme while it was to be moved"):
            await move_of(homes, fleet_stream, patience=1).run()
    assert await open_lanes(east) == were_open
    assert not any((await rows_of(west.engine, "acme")).values())


async def test_a_home_that_waits_for_the_other_is_not_taken_for_one_that_stands_still(homes: Homes) -> None:
    east, west = homes
    here = await east.engine.services.wide.dedicated(idle_in_transaction_session_timeout="500ms")
    there = await west.engine.services.wide.dedicated()
    try:
        async with here.transaction():
            await here.execute("select 1")
            assert await moving.awake(here, there.fetchval("select 1 from pg_sleep(1.5)"), interval=0.1) == 1
            assert await here.fetchval("select 2") == 2
    finally:
        here.terminate()
        there.terminate()


async def test_statements_take_as_long_as_they_take(homes: Homes, fleet_stream: Stream, acme: Furnished) -> None:
    """Whatever PostgreSQL was told to end, for all."""
    for home in homes:
        await home.engine.sql(
            f"alter database {await home.engine.value('select current_database()')} set statement_timeout = '1ms'"
        )
    ends = move_of(homes, fleet_stream)._ends
    async with ends.alone(60.0) as connections:
        for connection in connections:
            assert await connection.fetchval("show statement_timeout") == "0"
            assert await connection.fetchval("show lock_timeout") == "1min"
