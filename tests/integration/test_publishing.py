"""Publishing: the catalogue with its schemas, and events in the application's own transaction."""

import json
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import engine_of, user_url
from tests.support.node import run_snippet
from tests.support.receiver import Receiver
from tidings import publish, publish_async
from tidings.config import Config

SCHEMA = {
    "type": "object",
    "required": ["id", "total"],
    "properties": {"id": {"type": "string"}, "total": {"type": "number", "minimum": 0}, "lines": {"items": {"type": "object"}}},
}


# The catalogue ---------------------------------------------------------------------------------------------------------


async def test_data_that_does_not_match_its_types_schema_is_not_published(api: Api) -> None:  # noqa: F811
    body = {"description": "An order was paid.", "schema": SCHEMA, "example": {"id": "o-1", "total": 12.50}}
    made = await api("PUT", "/api/v1/event-types/order.paid", 200, body)
    assert {name: made[name] for name in body} == body
    assert made["built_in"] is False
    good = {"type": "order.paid", "data": {"id": "o-1", "total": 1}}
    await api("POST", "/api/v1/events", 202, good)
    for data, field, says in (
        ({"id": "o-1"}, "data", '"total" is a required property'),
        ({"id": 1, "total": 1}, "data.id", "1 is not of type"),
        ({"id": "o", "total": -1}, "data.total", "-1 is less than the minimum of 0"),
        ({"id": "o", "total": 1, "lines": [{}, 2]}, "data.lines.1", "is not of type"),
    ):
        refused = await api("POST", "/api/v1/events", 422, {"type": "order.paid", "data": data})
        assert refused["field"] == field
        assert says in refused["error"]
        assert "order.paid" in refused["error"]
    lines = [good, {"type": "order.paid", "data": {}}, {"type": "order.shipped", "data": {}}]
    response = await api.client.post("/api/v1/events/batch", content="\n".join(map(json.dumps, lines)))
    result = response.json()
    assert (result["accepted"], [(error["line"], error["field"]) for error in result["errors"]]) == (2, [(2, "data")])
    await api("PUT", "/api/v1/event-types/order.paid", 200, {"description": "Anything goes."})
    await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": None})
    await api("DELETE", "/api/v1/event-types/order.paid", 204)
    await api("DELETE", "/api/v1/event-types/order.paid", 404)
    await api("GET", "/api/v1/event-types/order.paid", 404)


async def test_what_postgresql_cannot_hold_is_refused_wherever_it_stands(api: Api) -> None:  # noqa: F811
    lines = [{"type": "a.b", "data": 1}, {"type": "a\x00b", "data": 1}]
    response = await api.client.post("/api/v1/events/batch", content="\n".join(map(json.dumps, lines)))
    assert [(error["line"], error["field"]) for error in response.json()["errors"]] == [(2, "type")]
    for method, path in (
        ("GET", "/api/v1/event-types/a%00b"),
        ("GET", "/api/collections/a%00b"),
        ("GET", "/api/v1/integrations/a%00b"),
        ("POST", "/in/a%00b"),
        ("GET", "/api/v1/groups/a%00b"),
    ):
        assert "U+0000" in (await api(method, path, 422))["error"], path


async def test_a_batch_that_is_refused_whole_is_refused_as_its_first_line_would_be(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": 1, "id": "o-1"})
    alone = await api("POST", "/api/v1/events", 409, {"type": "order.paid", "data": 2, "id": "o-1"})
    lines = [{"type": "order.paid", "data": 2, "id": "o-1"}, {"type": "a.*", "data": 1}]
    together = await api.client.post("/api/v1/events/batch", content="\n".join(map(json.dumps, lines)))
    assert together.status_code == 409
    assert (together.json()["code"], together.json()["event_id"]) == ("CONFLICT", alone["event_id"])
    assert together.json()["error"] == f"Line 1: {alone['error']} None of the 2 lines was accepted."


async def test_the_catalogue_lists_what_can_be_subscribed_to(api: Api) -> None:  # noqa: F811
    await api("PUT", "/api/v1/event-types/order.paid", 200, {"example": {"n": 1}})
    listed = {one["name"]: one for one in await api("GET", "/api/v1/event-types", 200)}
    assert listed["order.paid"]["example"] == {"n": 1}
    assert listed["content.created"]["built_in"] is True
    assert listed["content.created"]["description"] == "A record of a collection was created."
    assert await api("GET", "/api/v1/event-types/site.deployed", 200) == listed["site.deployed"]
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    others = await api("GET", "/api/v1/event-types", 200, headers={"X-Tidings-Group": "acme"})
    assert "order.paid" not in {one["name"] for one in others}


async def test_what_is_no_schema_is_refused(api: Api) -> None:  # noqa: F811
    for name, body, field in (
        ("order.paid", {"schema": {"type": "strin"}}, "schema"),
        ("order.paid", {"schema": {"$ref": "http://127.0.0.1:9/schema.json"}}, "schema"),
        ("order.paid", {"schema": {"$ref": "file:///etc/passwd"}}, "schema"),
        ("order.paid", {"schema": {"pattern": "("}}, "schema"),
        ("order.paid", {"schema": {"type": "string"}, "example": 5}, "example"),
        ("table.orders.inserted", {}, "type"),
        ("order.*", {}, "type"),
    ):
        refused = await api("PUT", f"/api/v1/event-types/{name}", 422, body)
        assert refused["field"] == field, refused


# In the application's own transaction ------------------------------------------------------------------------------------


def dsn(config: Config) -> str:
    """The same database, as an application names it, whose role may publish."""
    return user_url(config)


def engine_url(config: Config, driver: str) -> sa.URL:
    parts = psycopg.conninfo.conninfo_to_dict(dsn(config))
    return sa.URL.create(
        f"postgresql+{driver}", username="postgres", database=str(parts["dbname"]), query={"host": str(parts["host"])}
    )


async def outbox(engine: Any) -> list[tuple[Any, ...]]:
    rows = await engine.sql("select type, record, subject, external_id, group_id from tidings.outbox order by id")
    return [(row["type"], row["record"], *tuple(row)[2:]) for row in rows]


async def use(config: Config, kind: str, work: Any) -> None:
    """Run work, a function of a way to publish, a way to run SQL, and a way to end, on one kind of connection."""
    match kind:
        case "asyncpg":
            connection = await asyncpg.connect(dsn(config))
            await connection.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
            await work(lambda *a, **k: publish_async(connection, *a, **k), connection.execute)
            await connection.close()
        case "asyncpg pool":
            async with asyncpg.create_pool(dsn(config), min_size=1, max_size=1) as pool, pool.acquire() as pooled:
                await work(lambda *a, **k: publish_async(pooled, *a, **k), pooled.execute)
        case "psycopg":
            with psycopg.connect(dsn(config), autocommit=True, row_factory=dict_row) as sync:  # type: ignore[arg-type]
                await work(_awaitable(lambda *a, **k: publish(sync, *a, **k)), _awaitable(sync.execute))
        case "psycopg async":
            async with await psycopg.AsyncConnection.connect(dsn(config), autocommit=True) as other:
                await work(lambda *a, **k: publish_async(other, *a, **k), other.execute)
        case "sqlalchemy":
            engine = sa.create_engine(engine_url(config, "psycopg"), isolation_level="AUTOCOMMIT")
            with engine.connect() as alchemy:
                await work(
                    _awaitable(lambda *a, **k: publish(alchemy, *a, **k)), _awaitable(lambda s: alchemy.execute(sa.text(s)))
                )
            engine.dispose()
        case "sqlalchemy async":
            async_engine = create_async_engine(engine_url(config, "asyncpg"), isolation_level="AUTOCOMMIT")
            async with async_engine.connect() as alchemy_async:
                await work(lambda *a, **k: publish_async(alchemy_async, *a, **k), lambda s: alchemy_async.execute(sa.text(s)))
            await async_engine.dispose()


def _awaitable(function: Any) -> Any:
    async def call(*args: Any, **fields: Any) -> Any:
        return function(*args, **fields)

    return call


KINDS = ["asyncpg", "asyncpg pool", "psycopg", "psycopg async", "sqlalchemy", "sqlalchemy async"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_event_is_committed_with_the_change_or_not_at_all(config: Config, kind: str) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int)")

        async def work(publishing: Any, run: Any) -> None:
            await run("begin")
            await run("insert into orders values (1)")
            first = await publishing("order.paid", {"id": 1, "total": Decimal("12.50")}, subject="o-1", id="1")
            await run("savepoint s")
            await publishing("order.lost", {})
            await run("rollback to savepoint s")
            await run("commit")
            await run("begin")
            await publishing("order.paid", {"id": 2})
            await run("rollback")
            assert await publishing("order.paid", {"id": 1, "total": Decimal("12.50")}, subject="o-1", id="1") == first

        await use(config, kind, work)
        assert await outbox(engine) == [("order.paid", '{"id":1,"total":12.50}', "o-1", "1", "default")]
        await engine.worker.dispatcher.run_once()
        event = await engine.sql("select id, external_id from tidings.events")
        assert event[0]["id"].version == 7
        # A publisher over HTTP knows it by the same id.
        known = await engine.value("select event_id from tidings.published where external_id = '1'")
        assert known == event[0]["id"]


POOL = ", whose queries have a transaction each. Take a connection of it (await pool.connect()) and begin one."


async def test_the_typescript_sdk_publishes_in_transactions_of_pg(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.sql("insert into tidings.groups (id) values ('acme')")
        said = await run_snippet("transaction.mjs", POSTGRES=dsn(config))
        assert said.splitlines() == [
            "true 0",
            "true",
            "DatabaseError: There is no group 'nobody'.",
            f"TypeError: This is a pool{POOL}",
            "TypeError: The event has no data; write data: null if there is nothing to tell.",
            "TypeError: The event has data and json; write one of them.",
        ]
        assert await outbox(engine) == [
            ("order.paid", '{"id":17,"lines":[1,null]}', "order-17", "order-17-paid", "default"),
            ("order.exact", '{"total": 0.1234567890123456789}', None, None, "acme"),
            ("order.list", '[1,"two"]', None, None, "default"),
        ]
        assert [row["hops"] for row in await engine.sql("select hops from tidings.outbox order by id")] == [None, 3, None]


async def test_sessions_of_sqlalchemys_orm_publish_too(config: Config) -> None:
    async with engine_of(config) as engine:
        sync_engine = sa.create_engine(engine_url(config, "psycopg"))
        with Session(sync_engine) as session, session.begin():
            publish(session, "a.b", [1])
        sync_engine.dispose()
        async_engine = create_async_engine(engine_url(config, "psycopg"))
        async with AsyncSession(async_engine) as other, other.begin():
            await publish_async(other, "a.c", None)
        await async_engine.dispose()
        assert [(row[0], row[1]) for row in await outbox(engine)] == [("a.b", "[1]"), ("a.c", "null")]


async def test_the_same_id_with_other_content_and_what_is_no_event_are_refused(config: Config) -> None:
    async with engine_of(config) as engine:
        await publish_async(engine.user, "a.b", {"n": 1}, id="x")
        with pytest.raises(asyncpg.UniqueViolationError, match="published before, with other content"):
            await publish_async(engine.user, "a.b", {"n": 2}, id="x")
        for type_ in ("", "a b", "a.*", "table.orders.inserted", "webhook.test", "x" * 201):
            with pytest.raises(asyncpg.InvalidParameterValueError, match="write a dotted name"):
                await publish_async(engine.user, type_, {})
        with pytest.raises(asyncpg.InvalidParameterValueError, match="There is no group 'nobody'"):
            await publish_async(engine.user, "a.b", {}, group="nobody")
        with pytest.raises(TypeError, match=r"builtins\.object is not a connection"):
            publish(object(), "a.b", {})
        with pytest.raises(TypeError, match="publish_async asyncpg"):
            await publish_async(object(), "a.b", {})
        assert len(await outbox(engine)) == 1


async def test_the_api_knows_what_the_transaction_published(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.create(receiver.url(), "order.*")
    event_id = await publish_async(api.engine.user, "order.paid", {"n": 1}, id="o-1")
    await receiver.wait_for(1)  # the doorbell rang
    again = await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {"n": 1}, "id": "o-1"})
    assert again == {"id": str(event_id), "duplicate": True}
    await api("POST", "/api/v1/events", 409, {"type": "order.paid", "data": {"n": 2}, "id": "o-1"})


async def test_an_application_needs_the_right_to_publish_and_no_other(config: Config) -> None:
    async with engine_of(config) as engine:
        role = f"app_{await engine.value('select current_database()')}"
        await engine.user.execute(f"drop role if exists {role}; create role {role} login")
        app = await asyncpg.connect(dsn(config), user=role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await publish_async(app, "a.b", {})
        await engine.user.execute(
            f"grant usage on schema tidings to {role}; grant execute on function tidings.publish to {role}"
        )
        await publish_async(app, "a.b", {})
        for forbidden in (
            "select * from tidings.outbox",
            "insert into tidings.outbox (source) values ('x')",
            "select * from tidings.webhooks",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(forbidden)
        await app.close()
        await engine.user.execute(f"drop owned by {role}; drop role {role}")
