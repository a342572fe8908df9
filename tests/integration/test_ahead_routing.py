"""What was answered while the database was away is recorded whatever else is to be asked of the deliveries, and in bounded parts."""

from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from tests.support.engine import Engine
from tests.support.receiver import Receiver
from tidings.core.answers import Answer, by_event
from tidings.core.event import Event, uuid7
from tidings.core.outcome import SUCCEEDED, Exchange
from tidings.core.webhook import Webhook
from tidings.store import outbox, relay
from tidings.worker.loops import LoopGuard
from tidings.worker.routes import CurrentRoutes
from tidings.worker.supplies import Arrival, FromStream

pytest_plugins = ("tests.support.fleet_fixtures",)


def event_now(engine: Engine, **fields: object) -> Event:
    now = engine.clock.now()
    made = {
        "id": uuid7(int(now.timestamp() * 1000), 0), "group_id": "default", "source": "publish", "type": "order.paid",
        "operation": None, "subject": None, "table_schema": None, "table_name": None, "record": "{}", "old_record": None,
        "occurred_at": now,
    }  # fmt: skip
    return Event(**(made | fields))  # type: ignore[arg-type]


def answered(event: Event, webhook: Webhook, body: bytes = b"") -> Answer:
    return Answer(event.id, webhook.id, event.occurred_at, Exchange(200, body=body), SUCCEEDED, webhook.version)


async def land(engine: Engine, events: list[Event], answers: list[Answer]) -> None:
    flight = uuid4()
    told = by_event(flight, events, {one.delivery_id: one for one in answers})
    async with engine.services.wide.transaction() as connection:
        await relay.land(connection, flight, events, "shop", answers=told)


async def test_what_was_made_is_not_put_off_because_its_record_changes_often(home: Engine, receiver: Receiver) -> None:
    """Its record may have changed as often before the database went, which whoever sends ahead did not see."""
    home.clock.stand_still()
    webhook = await home.add_webhook(receiver.url(), "table.orders.updated")
    home.worker.router._loops = LoopGuard(home.worker.router._routes, depth=6)
    for number in range(7):
        home.clock.ahead += timedelta(seconds=1)
        table = {"source": "tables", "operation": "UPDATE", "table_schema": "public", "table_name": "orders"}
        event = event_now(
            home, **table, type="table.orders.updated", subject="public.orders", record=f'{{"id": 1, "touched": {number}}}'
        )
        made = [answered(event, webhook)] if number == 6 else []
        await land(home, [event], made)
        await home.cycle()
    assert len(receiver.received) == 6, "the last was made before"
    assert await home.unfinished() == 0
    assert await home.value("select count(*) from tidings.deliveries where status = 'succeeded'") == 7


@pytest.mark.parametrize("is_at_once", [True, False])
async def test_what_one_lease_cannot_hold_is_recorded_by_several(home: Engine, receiver: Receiver, *, is_at_once: bool) -> None:
    home.worker.router.most_leased = 2
    webhook = await home.add_webhook(receiver.url(), "order.*")
    events = [event_now(home, id=uuid7(int(home.clock.now().timestamp() * 1000), number)) for number in range(5)]
    told = {one.delivery_id: one for one in (answered(event, webhook) for event in events)}
    if is_at_once:
        supply = FromStream(home.clock, [Arrival(uuid4(), "shop", events)], answers=told)
        assert await home.worker.dispatcher.route_brought(supply, len(events), can_wait=False)
    else:
        await land(home, events, list(told.values()))
        assert await home.worker.dispatcher.run_once() == 5
    assert await home.value("select array_agg(cardinality(delivery_ids) order by id) from tidings.flights") == [2, 2, 1]
    await home.cycle()
    assert receiver.received == []
    assert await home.value("select sum(in_flight) from tidings.lanes") == 0
    assert await home.value("select count(*) from tidings.deliveries where status = 'succeeded'") == 5


async def test_of_rows_with_large_answers_no_more_are_taken_than_there_is_room_for(home: Engine, receiver: Receiver) -> None:
    webhook = await home.add_webhook(receiver.url(), "order.*")
    events = [event_now(home, id=uuid7(int(home.clock.now().timestamp() * 1000), number)) for number in range(5)]
    half = outbox.MAX_STORED_BYTES // 2
    await land(home, events, [answered(event, webhook, bytes(half)) for event in events])
    async with home.services.wide.transaction() as connection:
        assert len((await outbox.take(connection, 512)).rows) == 2


async def test_webhooks_that_could_not_be_read_are_read_later(home: Engine, receiver: Receiver) -> None:
    """As where the database goes again while they are read."""
    webhook = await home.add_webhook(receiver.url(), "order.*")
    services = home.services
    routes = CurrentRoutes(services.box, home.clock, server=services.wide.server)
    async with services.wide.connection() as connection:
        await routes.at_least(connection, 1)
    gone = await asyncpg.connect(services.config.database_url)
    gone.terminate()
    with pytest.raises((OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)):
        await routes.read_ahead(gone)
    async with services.wide.connection() as connection:
        await routes.read_ahead(connection)
    assert routes.at_hand(webhook.id) is not None
