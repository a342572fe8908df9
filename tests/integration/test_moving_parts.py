"""What a move takes along, part by part, and what it refuses."""

from typing import Any

import msgspec
import pytest

from tests.support.engine import Engine
from tests.support.furnished import Furnished
from tests.support.homes import Home
from tests.support.moves import KilledError, Life, move_of, open_lanes, rows_of, without_state
from tidings.core.errors import StartupError
from tidings.store import placing
from tidings.store.statements import load
from tidings.transport.stream import Stream
from tidings.worker.move_history import PAGE

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.home_fixtures", "tests.support.move_fixtures")

Homes = tuple[Home, Home]
OLD = "016f60fa-1600-7000-8000-"  # how ids of noon of 2020-01-01 begin
NEXT = "016f6620-7200-7000-8000-"  # and of the day behind it


async def copies(engine: Engine, table: str, key: str, changes: str, count: int) -> None:
    """Put copies of a row of acme's into its table, under other ids."""
    await engine.sql(
        f"insert into tidings.{table} select (jsonb_populate_record(null::tidings.{table}, to_jsonb(t) || {changes})).* "
        f"from (select * from tidings.{table} t where {key} limit 1) t, generate_series(1, {count}) n"
    )


async def old_history(engine: Engine, events: int) -> None:
    """Have a group have events of long ago with a delivery of one attempt each, and one of the day behind them that waits."""
    await engine.sql("select tidings.ensure_day('2020-01-01'), tidings.ensure_day('2020-01-02')")
    event, done = (f"('{OLD}' || lpad(to_hex(n + {base}), 12, '0'))" for base in (0x1000, 0x2000))
    waits, its_event = (f"('{NEXT}' || lpad(to_hex(n + {base}), 12, '0'))" for base in (0x1000, 0x2000))
    await copies(engine, "events", "group_id = 'acme'", f"jsonb_build_object('id', {its_event})", 1)
    await copies(engine, "events", "group_id = 'acme'", f"jsonb_build_object('id', {event})", events)
    await copies(engine, "deliveries", "group_id = 'acme'", f"jsonb_build_object('id', {done}, 'event_id', {event})", events)
    await copies(engine, "queue", "group_id = 'acme'", f"jsonb_build_object('id', {waits}, 'event_id', {its_event})", 1)
    await copies(
        engine,
        "published",
        "group_id = 'acme'",
        f"jsonb_build_object('external_id', 'a \"name\", ' || n, 'event_id', {event})",
        events,
    )
    for delivery, count in ((done, events), (waits, 1)):
        await copies(
            engine, "attempts", "delivery_id in (select id from tidings.queue where group_id = 'acme')",
            f"jsonb_build_object('delivery_id', {delivery})", count,
        )  # fmt: skip


async def test_history_of_many_pages_and_of_days_that_the_new_home_does_not_have_moves_whole(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    await old_history(east.engine, PAGE + 5)
    before = without_state(await rows_of(east.engine, "acme"))
    told: list[str] = []
    moved = await move_of(homes, fleet_stream, tell=told.append).run()
    assert without_state(await rows_of(west.engine, "acme")) == before
    assert not any((await rows_of(east.engine, "acme")).values())
    assert moved.rows["events"] == len(before["events"])
    assert moved.rows["deliveries"] == len(before["deliveries"])
    assert moved.rows["published"] == len(before["published"]) > PAGE
    assert told.count("deleting events here") == 2, "no more than a page at a time"


async def test_somebody_who_was_invited_at_both_homes_may_act_for_the_group_at_its_new_one(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    told = (
        "select m.email, r.role from tidings.member_roles r join tidings.members m on m.id = r.member_id "
        "where r.group_id = 'acme'"
    )
    before = [tuple(row) for row in await east.engine.sql(told)]
    await west.engine.sql(
        "insert into tidings.members (id, email, invited_at) values (gen_random_uuid(), $1, now())", before[0][0]
    )
    await east.engine.sql(
        "update tidings.portal_links set key_id = null, member_id = $1 where group_id = 'acme'",
        await east.engine.value("select member_id from tidings.member_roles where group_id = 'acme'"),
    )
    await move_of(homes, fleet_stream).run()
    assert [tuple(row) for row in await west.engine.sql(told)] == before
    links = "select count(*) from tidings.portal_links l join tidings.members m on m.id = l.member_id where l.group_id = 'acme'"
    assert await west.engine.value(links) == 1


async def test_nobody_else_may_act_for_a_group_since_they_have_an_address_that_a_member_of_it_had(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    email = await east.engine.value(
        "update tidings.members set issuer = 'https://id', subject = 'ada', joined_at = now() "
        "where id in (select member_id from tidings.member_roles where group_id = 'acme') returning email"
    )
    joined = (
        "insert into tidings.members (id, email, issuer, subject, invited_at, joined_at) "
        "values (gen_random_uuid(), $1, 'https://id', $2, now(), now())"
    )
    await west.engine.sql(joined, email, "eve")
    with pytest.raises(StartupError, match="1 rows of member_roles are of the group, and 0 of them"):
        await move_of(homes, fleet_stream).run()
    await west.engine.sql("delete from tidings.members")
    await west.engine.sql(joined, "ada.lovelace@example.com", "ada")
    await move_of(homes, fleet_stream).run()
    told = "select m.email from tidings.member_roles r join tidings.members m on m.id = r.member_id where r.group_id = 'acme'"
    assert await west.engine.value(told) == "ada.lovelace@example.com"


async def test_what_is_called_the_same_at_the_new_home_keeps_a_group_from_being_moved(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    before, were_open = without_state(await rows_of(east.engine, "acme")), await open_lanes(east)
    await west.engine.sql("insert into tidings.groups (id) values ('third')")
    (shop,) = await east.engine.sql("select to_jsonb(i)::text as row from tidings.integrations i where group_id = 'acme'")
    await west.engine.sql(
        "insert into tidings.integrations select (jsonb_populate_record(null::tidings.integrations, "
        '$1::text::jsonb || \'{"group_id": "third", "webhook_id": null}\' || jsonb_build_object(\'id\', gen_random_uuid()))).*',
        shop["row"],
    )
    with pytest.raises(StartupError, match="1 rows of integrations are of the group, and 0 of them could be put"):
        await move_of(homes, fleet_stream).run()
    assert without_state(await rows_of(east.engine, "acme")) == before
    assert await open_lanes(east) == were_open
    assert not any((await rows_of(west.engine, "acme")).values())


async def test_homes_that_cannot_read_each_other_move_nothing(homes: Homes, fleet_stream: Stream, acme: Furnished) -> None:
    _, west = homes
    await west.engine.sql("update tidings.settings set value = value || 'x' where name = 'secret_key_fingerprint'")
    with pytest.raises(StartupError, match="different secret keys"):
        await move_of(homes, fleet_stream).run()
    await west.engine.sql("update tidings.settings set value = left(value, -1) where name = 'secret_key_fingerprint'")
    await west.engine.sql(
        "insert into tidings.migrations (number, name) select max(number) + 1, 'later' from tidings.migrations"
    )
    with pytest.raises(StartupError, match="schemas of different versions"):
        await move_of(homes, fleet_stream).run()


async def test_what_was_counted_of_a_group_where_it_comes_to_is_replaced(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    """Such as a limit that somebody set there, before anything of the group was there."""
    east, west = homes
    await west.engine.sql("insert into tidings.groups (id) values ('acme')")
    await west.engine.sql("insert into tidings.group_limits (group_id, webhooks) values ('acme', 7)")
    before = without_state(await rows_of(east.engine, "acme"))
    await move_of(homes, fleet_stream).run()
    assert without_state(await rows_of(west.engine, "acme")) == before


async def version(home: Home) -> int:
    async with home.engine.services.wide.connection() as connection:
        known = await placing.get(connection)
    assert known is not None
    return known.version


async def test_each_step_that_changes_who_routes_a_group_is_seen_by_dispatchers(
    homes: Homes, fleet_stream: Stream, acme: Furnished
) -> None:
    """They look anew at where groups live when the version that they find beside the rows is another."""
    east, west = homes
    seen: list[tuple[str, int, int]] = []
    for step in ("having this home pass over it", "waiting for attempts under way", "telling the fleet", "copying published"):
        with pytest.raises(KilledError):
            await move_of(homes, fleet_stream, tell=Life(step)).run()
        seen.append((step, await version(east), await version(west)))
    (_, east_0, west_0), (_, east_1, _), (_, east_2, west_2), (_, _, west_3) = seen
    assert east_0 < east_1 < east_2, "it is passed over, and it left"
    assert west_0 < west_2 < west_3, "it is passed over, and it arrived"


async def test_lanes_are_at_the_new_home_as_they_were(homes: Homes, fleet_stream: Stream, acme: Furnished) -> None:
    east, west = homes
    held = "select max(held_until) from tidings.lanes where group_id = 'acme'"
    await east.engine.sql(
        "update tidings.lanes set held_until = now() + interval '1 hour', saturated = true where group_id = 'acme'"
    )
    disabled = await east.engine.value("select id from tidings.webhooks where group_id = 'acme' order by id limit 1")
    await east.engine.sql("update tidings.webhooks set enabled = false where id = $1", disabled)
    listened: Any = await east.engine.sql("select webhook_id from tidings.listeners where group_id = 'acme'")
    await move_of(homes, fleet_stream).run()
    assert await west.engine.value(held) is not None
    lanes = await west.engine.sql("select * from tidings.lanes where group_id = 'acme'")
    assert {row["webhook_id"] for row in lanes if not row["open"]} == {disabled, *(row["webhook_id"] for row in listened)}
    assert all(row["due_at"] == row["held_until"] and not row["saturated"] and row["in_flight"] == 0 for row in lanes)


async def test_tables_are_captured_where_a_group_lives(homes: Homes, fleet_stream: Stream, acme: Furnished) -> None:
    east, west = homes
    triggers = "select count(*) from pg_trigger where tgrelid = 'orders'::regclass and tgname like 'tidings%'"
    await west.engine.sql("create table orders (id int primary key, team text)")
    captured = await east.engine.value(triggers)
    assert (captured > 0, await west.engine.value(triggers)) == (True, 0)
    await move_of(homes, fleet_stream).run()
    assert await west.engine.value(triggers) == captured


async def test_every_statement_of_a_move_says_which_group_it_is_about(homes: Homes) -> None:
    """A move runs as who owns the tables, whom no policy binds."""
    east, _ = homes
    async with east.engine.services.wide.connection() as connection:
        steps = await connection.fetch(load("moving")["plan"], "acme", [], [])
    whole = {"events", "deliveries", "attempts"}  # of a page of history, whose ids were found by group
    for row in steps:
        its = row["take"].partition(" where ")[2]
        assert "'acme'" in its or (row["step"] != "settings" and row["name"] in whole), row["name"]
        assert row["remove"].endswith(its)
        assert row["count"].endswith(its)
    assert msgspec.json.encode(steps[0]["name"]) == b'"groups"', "all else refers to it"
