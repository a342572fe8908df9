"""A group is deleted with all it has, or refused with what it still has; and does not come back by what was on its way."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from tests.support.engine import Engine, engine_of
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.operations.groups import KNOWN_FOR
from tidings.worker.closer import AT_ONCE, FORGOTTEN_AFTER, LONGEST_PAUSE, Closer

KEY = {"Authorization": "Bearer test"}
ACME = KEY | {"X-Tidings-Group": "acme"}


@pytest.fixture
async def operator(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await engine.sql("insert into tidings.groups (id) values ('acme'), ('other')")
        yield visitor


async def call(operator: Visitor, method: str, path: str, expect: int, body: Any = None, headers: Any = ACME) -> Any:
    answer = await operator.client.request(method, path, json=body, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json() if answer.content else None


async def fill(operator: Visitor, url: str) -> None:
    """Give the group one of everything, and collections that refer to one another."""
    hook = await call(operator, "POST", "/api/v1/webhooks", 201, {"url": url, "events": "*"})
    await operator.engine.sql("create table orders (id int primary key)")
    await call(operator, "POST", "/api/v1/webhooks", 201, {"url": url, "events": [{"table": "orders"}]})
    await call(operator, "POST", "/api/cron", 201, {"name": "tick", "schedule": "0 3 * * *", "url": url})
    await call(operator, "POST", "/api/v1/integrations", 201, {"name": "shop", "platform": "github"})
    trigger = {"url": url, "action": "create"}
    await call(operator, "POST", "/api/collections", 201, {
        "name": "zoos", "schema": [{"name": "a", "type": "text"}], "options": {"triggers": [trigger]},
    })  # fmt: skip
    refers = {"name": "zoo", "type": "relation", "collection": "zoos"}
    await call(operator, "POST", "/api/collections", 201, {"name": "animals", "schema": [refers]})
    await call(operator, "PUT", "/api/v1/event-types/order.paid", 200, {"description": "d"})
    await call(operator, "POST", "/api/v1/groups/acme/portal-link", 201, {}, KEY)
    await call(operator, "POST", f"/api/v1/webhooks/{hook['id']}/recover", 202, {"since": "2020-01-01T00:00:00Z"})
    await call(operator, "POST", "/api/v1/bins", 201, {})
    for number in range(AT_ONCE + 5):
        await operator.engine.sql(
            "insert into tidings.event_types (group_id, name) values ('acme', $1)", f"order.number{number}"
        )


async def close(engine: Engine) -> int:
    """Let time pass until nobody can have known the group, and have it deleted."""
    gone = await engine.worker.closer.run_once()
    engine.clock.ahead += FORGOTTEN_AFTER
    gone += await engine.worker.closer.run_once()  # notes how far the outbox is
    return gone + await engine.worker.closer.run_once()


async def test_a_group_is_refused_with_what_it_still_has_and_goes_with_everything(
    operator: Visitor, receiver: Receiver
) -> None:
    engine = operator.engine
    await fill(operator, receiver.url())
    await operator.sign_in()
    await operator.get("/webhooks?group=acme")
    assert (await call(operator, "DELETE", "/api/v1/groups/acme", 422))["field"] == "confirm"
    said = (await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme", 409))["error"]
    assert (
        "still has 2 webhooks, 1 job, 1 integration, 2 collections, at least 100 event types, 1 portal link and 1 request bin"
        in said
    ), said
    going = await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme&everything=true", 202)
    assert going["deleting_at"] is not None
    await call(operator, "GET", "/api/v1/webhooks", 404)
    assert "is being deleted" in (await operator.get("/settings/groups")).text
    assert "acme" not in (await operator.get("/webhooks")).text  # the session shows another group

    assert await close(engine) == 0, "what was written for it is not routed yet"
    await engine.cycle()
    assert await engine.worker.closer.run_once() == 1
    await call(operator, "GET", "/api/v1/groups/acme", 404)
    rows = await engine.sql(
        "select conrelid::regclass::text as name from pg_constraint where contype = 'f' and confrelid = 'tidings.groups'::regclass"
    )
    tables = {row["name"] for row in rows} - {"tidings.sessions"}  # those show another group now
    assert {"tidings.webhooks", "tidings.bins"} <= tables
    for table in (*tables, "tidings.queue"):
        assert await engine.value(f"select count(*) from {table} where group_id = 'acme'") == 0, table
    assert await engine.value("select count(*) from pg_class where relname in ('zoos', 'animals')") == 0
    assert await engine.value("select count(*) from pg_trigger where tgrelid = 'orders'::regclass") == 0
    last = (await call(operator, "GET", "/api/v1/audit?group=acme&limit=1", 200, headers=KEY))[0]
    assert (last["action"], last["subject"], last["who"]) == ("group.deleted", "acme", "key")
    await engine.cycle()
    assert await engine.value("select count(*) from tidings.groups where id = 'acme'") == 0


async def test_events_wait_to_be_routed_before_a_group_goes_and_later_ones_make_it_anew(operator: Visitor) -> None:
    engine = operator.engine
    await call(operator, "POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
    await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme", 202)
    assert await close(engine) == 0
    await engine.cycle()
    assert await engine.worker.closer.run_once() == 1
    assert await engine.value("select count(*) from tidings.groups where id = 'acme'") == 0
    await engine.sql(
        "insert into tidings.outbox (group_id, source, type, record) values ('acme', 'publish', 'order.paid', '{}')"
    )
    await engine.cycle()
    assert await engine.value("select count(*) from tidings.groups where id = 'acme'") == 1


async def test_whoever_knew_a_group_learns_that_it_is_closed(operator: Visitor) -> None:
    await call(operator, "GET", "/api/v1/webhooks", 200)
    await operator.engine.sql("update tidings.groups set deleting_at = now() where id = 'acme'")  # by another process
    operator.engine.clock.ahead += KNOWN_FOR + timedelta(seconds=1)
    await call(operator, "GET", "/api/v1/webhooks", 404)
    await call(operator, "DELETE", "/api/v1/groups/default?confirm=default&everything=true", 409, headers=KEY)
    await call(operator, "DELETE", "/api/v1/groups/nobody?confirm=nobody", 404, headers=KEY)


async def test_a_group_that_cannot_go_says_why_and_goes_once_it_can(operator: Visitor, receiver: Receiver) -> None:
    """A table of the user's refers to a collection's: it is not dropped behind their back."""
    engine = operator.engine
    await call(operator, "POST", "/api/collections", 201, {"name": "zoos", "schema": [{"name": "a", "type": "text"}]})
    schema = await engine.value("select table_schema from tidings.collections where name = 'zoos'")
    await engine.sql(f"create table mine (zoo text references {schema}.zoos)")
    await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme&everything=true", 202)
    assert await close(engine) == 0
    assert (await call(operator, "GET", "/api/v1/groups/acme", 200, headers=KEY))["fault"]
    await engine.sql("drop table mine")
    await close(engine)
    await engine.cycle()
    await close(engine)
    await call(operator, "GET", "/api/v1/groups/acme", 404)


async def test_a_group_goes_whose_collections_refer_to_each_other(operator: Visitor) -> None:
    refers = {name: [{"name": "other", "type": "relation", "collection": name}] for name in ("hens", "eggs")}
    await call(operator, "POST", "/api/collections", 201, {"name": "hens", "schema": [{"name": "a", "type": "text"}]})
    await call(operator, "POST", "/api/collections", 201, {"name": "eggs", "schema": refers["hens"]})
    await call(operator, "PATCH", "/api/collections/hens", 200, {"schema": [{"name": "a", "type": "text"}, *refers["eggs"]]})
    await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme&everything=true", 202)
    await close(operator.engine)
    assert await operator.engine.sql("select from tidings.collections where group_id = 'acme'") == []


async def test_what_cannot_go_holds_up_nothing_behind_it_and_is_told_once(
    operator: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    engine = operator.engine
    few_at_once = Closer(engine.services.wide, engine.clock, at_once=2)
    for name in ("aardvarks", "bears", "cats", "zebras"):
        await call(operator, "POST", "/api/collections", 201, {"name": name, "schema": [{"name": "a", "type": "text"}]})
    schema = await engine.value("select table_schema from tidings.collections limit 1")
    columns = ", ".join(f"{name} text references {schema}.{name}" for name in ("aardvarks", "bears", "cats"))
    await engine.sql(f"create table mine ({columns})")
    await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme&everything=true", 202)
    assert await few_at_once.run_once() == 0
    left = await engine.sql("select name from tidings.collections order by name")
    assert [row["name"] for row in left] == ["aardvarks", "bears", "cats"]
    for _ in range(20):
        engine.clock.ahead += timedelta(seconds=LONGEST_PAUSE)
        assert await few_at_once.run_once() == 0
    assert len([record for record in caplog.records if "cannot be deleted" in record.message]) == 1


async def test_what_was_written_and_is_not_committed_is_waited_for(operator: Visitor) -> None:
    engine = operator.engine
    transaction = engine.user.transaction()
    await transaction.start()
    await engine.sql(
        "insert into tidings.outbox (group_id, source, type, record) values ('acme', 'publish', 'order.paid', '{}')"
    )
    await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme&everything=true", 202)
    assert await close(engine) == 0
    assert await close(engine) == 0
    assert "open" in (await call(operator, "GET", "/api/v1/groups/acme", 200, headers=KEY))["fault"]
    await transaction.commit()
    assert await close(engine) == 0, "it is not routed yet"
    await engine.cycle()
    assert await engine.worker.closer.run_once() == 1


async def test_nothing_is_published_by_sql_for_a_group_that_is_being_deleted(operator: Visitor) -> None:
    await call(operator, "DELETE", "/api/v1/groups/acme?confirm=acme", 202)
    with pytest.raises(asyncpg.InvalidParameterValueError, match="is being deleted"):
        await operator.engine.sql("select tidings.publish('order.paid', '{}', group_id => 'acme')")


async def test_a_group_is_deleted_in_the_portal_by_its_id_written_again(operator: Visitor) -> None:
    await operator.sign_in()
    page = (await operator.get("/settings/groups")).text
    assert 'href="/settings/groups/delete?id=acme"' in page
    assert "delete?id=default" not in page
    assert "Write the id" in (await operator.get("/settings/groups/delete?id=acme")).text
    await operator.send("/settings/groups/delete", {"id": "acme", "confirm": "acm"}, 422)
    await operator.send("/settings/groups/delete", {"id": "acme", "confirm": "acme"})
    assert await operator.engine.value("select deleting_at from tidings.groups where id = 'acme'")
