"""Flights that cannot be landed: each is set aside, shown, tried again or thrown away, and stops nobody."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from tests.support.engine import Engine, engine_of
from tests.support.portal import Visitor, visiting
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core import cargo
from tidings.core.attempts import Attempts
from tidings.core.errors import ConflictError
from tidings.core.event import Event, event_id
from tidings.operations import set_aside
from tidings.store import relay as stored
from tidings.transport.stream import Stream
from tidings.worker.intake import Intake

pytest_plugins = ("tests.support.fleet_fixtures",)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = {"Authorization": "Bearer test"}


def event(number: int, **changes: Any) -> Event:
    made = Event(
        event_id(NOW, number, 0), "default", "publish", "order.paid", None, f"order {number}", None, None, "{}", None, NOW
    )
    return msgspec.structs.replace(made, **changes)


def packed(*events: Event) -> bytes:
    (found,) = cargo.flights(cargo.packed(events), 1_000_000)
    return found.data


def deep(levels: int) -> bytes:
    return b"\x91" * levels + b"\xc0"


GOOD = packed(event(1), event(2))
POISON = {
    "nothing": b"",
    "a text": b"poison",
    "truncated": GOOD[:-3],
    "more than a flight": GOOD + b"\x00",
    "another format": msgspec.msgpack.encode([cargo.FORMAT + 1, []]),
    "a map": msgspec.msgpack.encode({"format": 1, "events": []}),
    "no list of events": msgspec.msgpack.encode([cargo.FORMAT, "events"]),
    "events of other types": msgspec.msgpack.encode([cargo.FORMAT, [[1, 2, 3]]]),
    "an event with wrong types": msgspec.msgpack.encode([cargo.FORMAT, [[str(uuid4()), 7] + [None] * 14]]),
    "very deep": deep(60_000),
    "an event that is very deep": msgspec.msgpack.encode([cargo.FORMAT, [msgspec.Raw(deep(50_000))]]),
    "a length that is not there": b"\x92\x01\xdd\xff\xff\xff\xff",
    "as large as a message": bytes(65_000),
}


async def landed(home: Engine, way: Stream, count: int) -> None:
    """Land so many flights."""
    intake, done = Intake(home.services.wide, way.flights, "here"), 0
    while done < count:
        done += await intake.run_once()


async def test_what_is_no_flight_is_set_aside_and_what_comes_behind_it_lands(home: Engine, way: Stream) -> None:
    for poison in POISON.values():
        await way.flights.send("here", "shop", uuid4(), poison)
    await way.flights.send("here", "shop", uuid4(), GOOD)
    await landed(home, way, len(POISON) + 1)
    assert await home.value("select count(*) from tidings.outbox") == 2
    aside = await set_aside.list_rows(home.services, limit=100)
    assert len(aside) == len(POISON)
    assert {(row.kind, row.source) for row in aside} == {("flight", "shop")}
    for row in aside:
        assert "cannot be read" in row.reason or "is of format" in row.reason, row.reason
        with pytest.raises(ConflictError, match="Discard it"):
            await set_aside.route_again(home.services, row.number)
        await set_aside.discard(home.services, row.number)
    assert await set_aside.list_rows(home.services, limit=1) == []


async def test_a_bad_piece_of_a_flight_that_was_landed_whole_is_dropped(home: Engine, way: Stream) -> None:
    whole = uuid4()
    await way.flights.send("here", "shop", whole, GOOD)
    await way.flights.send("here", "shop", uuid4(), b"nothing", whole=whole)
    await landed(home, way, 2)
    assert await home.value("select count(*) from tidings.outbox") == 2
    assert await set_aside.list_rows(home.services, limit=1) == []


async def test_one_bad_event_of_many_is_set_aside_alone(home: Engine, way: Stream) -> None:
    events = [event(number) for number in range(cargo.MAX_EVENTS - 1)]
    events.insert(250, event(1000, record="{no"))
    flights = cargo.flights(cargo.packed(events), 1_000_000)
    assert [flight.count for flight in flights] == [cargo.MAX_EVENTS]
    await way.flights.send("here", "shop", uuid4(), flights[0].data)
    await landed(home, way, 1)
    assert await home.value("select count(*) from tidings.outbox") == cargo.MAX_EVENTS - 1
    assert len(await set_aside.list_rows(home.services, limit=10)) == 1


async def test_what_an_older_version_could_not_read_lands_when_it_is_tried_again(home: Engine) -> None:
    async with home.services.wide.transaction() as connection:
        await stored.set_aside_flight(connection, str(uuid4()), "shop", GOOD, "It is of format 1. Upgrade homes first.")
    (aside,) = await set_aside.list_rows(home.services, limit=10)
    await set_aside.route_again(home.services, aside.number)
    rows = await home.sql("select subject, origin from tidings.outbox order by id")
    assert [tuple(row) for row in rows] == [("order 1", "shop"), ("order 2", "shop")]
    assert await set_aside.list_rows(home.services, limit=10) == []


OF_HOMES_ALONE: dict[str, dict[str, Any]] = {
    "of Tidings itself": {"source": "tidings", "type": "webhook.disabled"},
    "a type of Tidings": {"type": "webhook.test"},
    "for one webhook": {"webhook_id": UUID(int=7)},
}


@pytest.mark.parametrize("changes", OF_HOMES_ALONE.values(), ids=OF_HOMES_ALONE.keys())
async def test_what_only_a_home_makes_is_not_let_in_by_trying_it_again(
    home: Engine, way: Stream, changes: dict[str, Any]
) -> None:
    await way.flights.send("here", "shop", uuid4(), packed(event(1), event(2, **changes)))
    await landed(home, way, 1)
    (aside,) = await set_aside.list_rows(home.services, limit=10)
    with pytest.raises(ConflictError, match="Discard it"):
        await set_aside.route_again(home.services, aside.number)
    assert await home.value("select count(*) from tidings.outbox") == 1
    # Nor when it stands in a flight that was set aside whole.
    async with home.services.wide.transaction() as connection:
        await stored.set_aside_flight(connection, str(uuid4()), "shop", packed(event(3, **changes)), "of a newer version")
    (newest, _) = await set_aside.list_rows(home.services, limit=10)
    with pytest.raises(ConflictError, match="Discard it"):
        await set_aside.route_again(home.services, newest.number)


async def test_an_event_that_is_tried_again_keeps_where_it_came_from(home: Engine, way: Stream) -> None:
    await home.sql("alter table tidings.outbox add constraint odd check (subject is distinct from 'order 2')")
    await way.flights.send("here", "shop", uuid4(), GOOD)
    await landed(home, way, 1)
    (aside,) = await set_aside.list_rows(home.services, limit=10)
    await home.sql("alter table tidings.outbox drop constraint odd")
    await set_aside.route_again(home.services, aside.number)
    rows = await home.sql("select subject, origin from tidings.outbox order by subject")
    assert [tuple(row) for row in rows] == [("order 1", "shop"), ("order 2", "shop")]


async def test_an_event_that_is_known_already_is_told_once_and_stops_nobody(home: Engine, way: Stream) -> None:
    """As a source sends them whose standby took over before it had heard that they were packed."""
    await way.flights.send("here", "shop", uuid4(), GOOD)
    await way.flights.send("here", "shop", uuid4(), packed(event(1), event(2), event(3)))
    await landed(home, way, 2)
    while await home.value("select count(*) from tidings.outbox"):
        await home.worker.dispatcher.run_once()
    await way.flights.send("here", "shop", uuid4(), packed(event(2), event(4)))
    await landed(home, way, 1)
    while await home.value("select count(*) from tidings.outbox"):
        await home.worker.dispatcher.run_once()
    rows = await home.sql("select subject from tidings.events order by subject")
    assert [row["subject"] for row in rows] == ["order 1", "order 2", "order 3", "order 4"]
    assert await set_aside.list_rows(home.services, limit=10) == [], "nobody has to look at what was told already"


async def test_no_source_has_an_event_of_another_dropped_by_sending_its_id_first(home: Engine, way: Stream) -> None:
    await way.flights.send("here", "hostile", uuid4(), packed(event(1, subject="something else")))
    await way.flights.send("here", "shop", uuid4(), GOOD)
    await landed(home, way, 2)
    while await home.value("select count(*) from tidings.outbox"):
        await home.worker.dispatcher.run_once()
    (aside,) = await set_aside.list_rows(home.services, limit=10)
    shown = json.loads((await set_aside.read(home.services, aside.number)).row or "")
    assert (shown["subject"], shown["origin"]) == ("order 1", "shop")


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await visitor.sign_in()
        yield visitor


async def test_a_flight_that_was_set_aside_is_shown_by_the_portal_the_api_and_metrics(visitor: Visitor) -> None:
    services, name = visitor.engine.services, str(uuid4())
    async with services.wide.transaction() as connection:
        await stored.set_aside_flight(connection, name, "shop", b"\xffpoison", "It cannot be read (<b>).")
        await stored.set_aside_flight(connection, str(uuid4()), "shop", GOOD, "It is of format 1. Upgrade homes first.")
    later, first = [row.number for row in await set_aside.list_rows(services, limit=10)]
    page = (await visitor.get("/settings/set-aside")).text
    assert page.count("flight from shop") == 2
    assert base64.b64encode(b"\xffpoison").decode() in (await visitor.get(f"/settings/set-aside/{first}")).text
    assert "Discard it" in (await visitor.send(f"/settings/set-aside/{first}/route", {}, 409)).text
    told = await visitor.client.get("/api/v1/set-aside", headers=KEY)
    assert [(row["kind"], row["source"], row["number"]) for row in told.json()] == [
        ("flight", "shop", later),
        ("flight", "shop", first),
    ]
    assert json.loads((await visitor.client.get(f"/api/v1/set-aside/{first}", headers=KEY)).text)["row"]["flight"] == name
    assert 'tidings_set_aside{kind="flight"} 2.0' in (await visitor.client.get("/metrics", headers=KEY)).text
    await visitor.send(f"/settings/set-aside/{later}/route", {})
    await visitor.send(f"/settings/set-aside/{first}/discard", {})
    assert await visitor.engine.value("select count(*) from tidings.outbox") == 2
