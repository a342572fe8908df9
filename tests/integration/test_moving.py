"""A group moves to another home with all that it has; whenever the move is broken off, nothing is lost, and it goes on."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.support.furnished import Furnished
from tests.support.homes import Home
from tests.support.moves import Halted, KilledError, Life, move_of, rows_of, without_state
from tests.support.receiver import Receiver
from tidings.core.errors import HomesDisagreeError, StartupError
from tidings.core.fleet import parking, with_groups, with_homes
from tidings.operations import groups
from tidings.operations.sources import event_types
from tidings.operations.webhooks import subscriptions
from tidings.operations.webhooks.changes import WebhookChange
from tidings.store import moving
from tidings.store.statements import load
from tidings.transport.stream import Stream
from tidings.worker.moving import Move
from tidings.worker.scheduler import Scheduler
from tidings.worker.signals import Signal

pytest_plugins = ("tests.support.fleet_fixtures", "tests.support.home_fixtures", "tests.support.move_fixtures")

# Tables of which nothing goes along when a group moves. A new one stands here, with the reason, or in `plan` of store/sql/moving.sql.
STAYS = {
    "migrations": "of the database", "settings": "the installation's", "signing_keys": "the installation's", "signers": "the installation's",
    "api_key_changes": "a version", "routes_version": "a version", "privacy_version": "a version", "webhook_changes": "told anew",
    "default_limits": "the installation's", "workers": "processes", "flights": "leases: none is left when a group moves",
    "counters": "of all groups", "group_paces": "counted anew within a minute", "group_rates": "filled anew within seconds",
    "stored_changes": "added up within a minute", "captured_tables": "of the database's own tables",
    "backfill_busy": "of backfills that are not over", "backfill_changes": "of backfills that are not over",
    "erasure_waits": "of erasures that are not over", "collections": "are tables: a group that has some is not moved",
    "outbox": "sent on", "outbox_rejected": "of all groups: operators' alone", "unreadable": "found anew",
    "audit": "a chain of what was done here", "audit_chain": "a chain", "audit_head": "a chain", "audit_pending": "a chain",
    "sessions": "people sign in again", "listener_sessions": "listeners connect again",
    "relay_flights": "on their way", "relay_wishes": "of a source", "landed_flights": "of a home", "placing": "of a home", "group_moves": "of a home",
}  # fmt: skip


async def test_no_table_is_forgotten(homes: tuple[Home, Home]) -> None:
    east, _ = homes
    tables = await east.engine.sql(
        "select relname from pg_class where relnamespace = 'tidings'::regnamespace and relkind in ('r', 'p') and not relispartition"
    )
    async with east.engine.services.wide.connection() as connection:
        moved = {row["name"] for row in await connection.fetch(load("moving")["plan"], "acme", [], [])}
    assert {row["relname"] for row in tables} == moved | set(STAYS)
    assert not moved & set(STAYS)


async def test_a_group_moves_with_all_that_it_has_and_is_delivered_from_there(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished, receiver: Receiver
) -> None:
    east, west = homes
    before = await rows_of(east.engine, "acme")
    empty = {name for name, rows in before.items() if not rows}
    assert empty <= {"certificate_warnings", "group_overruns", "integration_refusals", "sealed_payloads", "payload_ends", "api_keys", "api_key_uses", "stored_bytes", "webhook_counters"}, empty  # fmt: skip
    planned = await move_of(homes, fleet_stream).plan()
    assert planned.rows["webhooks"] == len(before["webhooks"])
    assert await rows_of(east.engine, "acme") == before, "a plan changes nothing"
    moved = await move_of(homes, fleet_stream).run()
    assert moved.rows["events"] == len(before["events"])
    assert without_state(await rows_of(west.engine, "acme")) == without_state(before)
    assert not any((await rows_of(east.engine, "acme")).values())
    assert (await fleet_stream.bucket.fleet()).home_of("acme") == "west"
    assert (await fleet_stream.bucket.fleet()).parked == ()
    sent = len(receiver.received)
    for home in homes:
        await home.follower.run_once()
    await west.engine.sql("select tidings.publish('order.paid', '{}', group_id => 'acme')")
    west.engine.clock.ahead += (
        await west.engine.value("select max(due_at) - now() from tidings.queue")
    ) or west.engine.clock.ahead
    await west.engine.cycle()
    assert len(receiver.received) > sent, "what is published there is delivered, under secrets that can be read"


# In the order that they come. A move that is begun again after the group has left begins behind that.
STEPS = (
    "having sources keep what is for it", "having both homes pass over it", "having this home pass over it", "waiting for attempts under way",
    "locking it", "copying groups", "copying lanes", "copying queue", "deleting it here", "letting it go", "telling the fleet",
    "having its new home go on", "copying published", "deleting published here", "copying events", "deleting events here",
    "copying deliveries", "deleting deliveries here",
)  # fmt: skip


async def test_a_move_that_is_killed_anywhere_loses_nothing_and_goes_on(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    before = without_state(await rows_of(east.engine, "acme"))
    for step in STEPS:
        with pytest.raises(KilledError):
            await move_of(homes, fleet_stream, tell=Life(step)).run()
        lives = without_state(await rows_of(east.engine, "acme")), without_state(await rows_of(west.engine, "acme"))
        for name, rows in before.items():
            there = {str(one) for side in lives for one in side[name]} if name != "lanes" else None
            assert there is None or {str(one) for one in rows} <= there, (step, name)
        opened = [
            await home.engine.value("select count(*) from tidings.lanes where group_id = 'acme' and open") for home in homes
        ]
        assert not all(opened), f"both homes would deliver, when it was killed before {step}"
    await move_of(homes, fleet_stream).run()
    assert without_state(await rows_of(west.engine, "acme")) == before
    assert not any((await rows_of(east.engine, "acme")).values())


async def test_a_move_that_another_came_behind_is_not_done_again(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    _, west = homes
    await move_of(homes, fleet_stream).run()
    async with west.engine.services.wide.transaction() as connection:  # as a move does that goes on from there
        await moving.begin(connection, "acme", "south")
        await moving.note_left(connection, "acme")
    await fleet_stream.bucket.change(lambda fleet: parking(with_homes(fleet, ["south"], 1), "acme", 1, is_parked=True))
    await move_of(homes, fleet_stream).run()
    assert (await fleet_stream.bucket.fleet()).parked == ("acme",)
    assert await west.engine.value("select has_left from tidings.group_moves where group_id = 'acme'")
    await fleet_stream.bucket.change(lambda fleet: with_groups(fleet, {"acme": "south"}, 1))
    with pytest.raises(StartupError, match="lives at south by now"):
        await move_of(homes, fleet_stream).run()
    assert (await fleet_stream.bucket.fleet()).home_of("acme") == "south"


async def test_a_move_waits_for_all_that_is_on_its_way_and_is_called_off_where_it_does_not_come(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    east, _ = homes
    engine = east.engine

    async def is_waited_for(what: str) -> None:
        with pytest.raises(StartupError, match=what):
            await move_of(homes, fleet_stream, patience=0.5).run()
        assert (await fleet_stream.bucket.fleet()).parked == ()

    async with engine.services.wide.transaction() as connection:
        await connection.execute("select pg_current_xact_id()")
        await is_waited_for("Transactions that were open")
    await engine.sql(
        "insert into tidings.flights (worker_id, leased_at, lanes, delivery_ids, event_ids, lane_numbers, attempt_numbers)"
        " select gen_random_uuid(), now(), array_agg(id), '{}', '{}', '{}', '{}' from tidings.webhooks where group_id = 'acme'"
    )
    await is_waited_for("Attempts under way")
    await engine.sql("delete from tidings.flights")
    await engine.sql("select tidings.publish('order.paid', '{}', group_id => 'acme')")
    await is_waited_for("What was landed to be routed")
    while await engine.value("select count(*) from tidings.outbox"):
        await engine.cycle()
    await fleet_stream.flights.send("east", "shop", uuid4(), b"")
    await is_waited_for("What was sent to east to be landed")


async def test_the_old_home_changes_nothing_of_a_group_that_has_left(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    east, _ = homes
    await move_of(homes, fleet_stream).run()
    acting = msgspec.structs.replace(east.engine.services, group_id="acme")
    with pytest.raises(HomesDisagreeError, match="lives at home west"):  # though nobody has told this process
        await subscriptions.create(acting, WebhookChange(url="https://example.com/late", events=["order.paid"]))
    assert await east.engine.value("select count(*) from tidings.webhooks where group_id = 'acme'") == 0


async def test_a_move_that_is_called_off_leaves_all_as_it_was(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    east, west = homes
    before = await rows_of(east.engine, "acme")
    await fleet_stream.bucket.tell_settled("dead", 0)
    with pytest.raises(StartupError, match="is a relay not running"):
        await move_of(homes, fleet_stream, patience=0.5).run()
    assert without_state(await rows_of(east.engine, "acme")) == without_state(before)
    assert not any((await rows_of(west.engine, "acme")).values())
    assert (await fleet_stream.bucket.fleet()).parked == ()
    await move_of(homes, fleet_stream, besides=["dead"]).run()
    with pytest.raises(StartupError, match="acme lives at west"):
        await move_of(homes, fleet_stream, group="acme", patience=0.5).plan()


async def test_what_cannot_be_moved_is_refused_with_a_sentence(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    _, west = homes
    await acme("POST", "/api/v1/collections", {"name": "notes", "schema": [{"name": "title", "type": "text"}]})
    with pytest.raises(StartupError, match="1 collections, which cannot be moved"):
        await move_of(homes, fleet_stream).run()
    await acme("DELETE", "/api/v1/collections/notes?confirm=notes")
    await west.engine.sql("insert into tidings.groups (id) values ('acme')")
    await west.engine.add_webhook("https://example.com", "order.*", group_id="acme")
    with pytest.raises(StartupError, match="already, and two cannot become one"):
        await move_of(homes, fleet_stream).run()


def halted_move(homes: tuple[Home, Home], way: Halted) -> Move:
    east, west = homes
    here, there = east.engine.services.wide, west.engine.services.wide
    return Move(here, there, way, "acme", source="east", target="west", version=lambda: 0)


async def test_who_moves_a_group_is_alone_with_it(homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished) -> None:
    east, west = homes
    before = without_state(await rows_of(east.engine, "acme"))
    way = Halted(fleet_stream)
    moving = asyncio.create_task(halted_move(homes, way).run())
    await way.is_asked.wait()
    back = Move(
        west.engine.services.wide, east.engine.services.wide, fleet_stream, "acme", source="west", target="east",
        version=lambda: 0,
    )  # fmt: skip
    for other in (move_of(homes, fleet_stream), back):
        for does in (other.run, other.abandon):
            with pytest.raises(StartupError, match="Somebody is moving acme at this moment"):
                await does()
    assert (await fleet_stream.bucket.fleet()).parked == ("acme",), "sources keep what is for it"
    way.may_go_on.set()
    await moving
    assert without_state(await rows_of(west.engine, "acme")) == before


async def test_what_was_begun_since_a_move_was_refused_nothing_is_seen_before_it_leaves(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    east, _ = homes
    way = Halted(fleet_stream)
    moving = asyncio.create_task(halted_move(homes, way).run())
    await way.is_asked.wait()
    await acme("POST", "/api/v1/collections", {"name": "notes", "schema": [{"name": "title", "type": "text"}]})
    while await east.engine.cycle():
        pass
    before = await rows_of(east.engine, "acme")
    way.may_go_on.set()
    with pytest.raises(StartupError, match="1 collections, which cannot be moved"):
        await moving
    assert without_state(await rows_of(east.engine, "acme")) == without_state(before)
    assert (await fleet_stream.bucket.fleet()).home_of("acme") == "east"


async def test_a_database_of_another_home_is_refused(homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished) -> None:
    east, west = homes
    here, there = east.engine.services.wide, west.engine.services.wide
    before = await rows_of(east.engine, "acme")
    for one, other, setting in ((here, here, "--database is that of home east"), (there, there, "URL is that of home west")):
        move = Move(one, other, fleet_stream, "acme", source="east", target="west", version=lambda: 0)
        for does in (move.plan, move.run, move.abandon):
            with pytest.raises(StartupError, match=setting):
                await does()
    await west.engine.sql("delete from tidings.placing")
    with pytest.raises(StartupError, match="no home of a fleet yet, and not that of west"):
        await move_of(homes, fleet_stream).run()
    assert await rows_of(east.engine, "acme") == before


async def test_what_is_made_while_a_group_leaves_is_refused_rather_than_left_behind(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    east, _ = homes
    acting = await groups.acting_for(east.engine.services, "acme")
    made: list[asyncio.Task[Any]] = []

    def tell(step: str) -> None:
        if step == "deleting it here":
            made.append(asyncio.create_task(event_types.put(acting, "order.late", description="late")))

    await move_of(homes, fleet_stream, tell=tell).run()
    for trying in (made[0], event_types.put(acting, "order.later", description="later")):
        with pytest.raises(HomesDisagreeError, match="lives at home west"):
            await trying
    assert not any((await rows_of(east.engine, "acme")).values())


async def test_jobs_do_not_run_at_two_homes_when_a_move_is_broken_off(
    homes: tuple[Home, Home], fleet_stream: Stream, acme: Furnished
) -> None:
    _, west = homes
    with pytest.raises(KilledError):
        await move_of(homes, fleet_stream, tell=Life("deleting it here")).run()
    assert await west.engine.value("select count(*) from tidings.cron_jobs where enabled") > 0, "they were copied"
    west.engine.clock.ahead += timedelta(days=2)
    scheduler = Scheduler(west.engine.services.wide, west.engine.clock, Signal(), {})
    await scheduler.run_once()
    assert await west.numbers("acme") == []
    assert await west.engine.value("select count(*) from tidings.outbox where group_id = 'acme'") == 0
    await move_of(homes, fleet_stream).run()
    assert await scheduler.run_once() > 0, "once it is there, they run"
    assert await west.engine.value("select count(*) from tidings.outbox where group_id = 'acme'") > 0
