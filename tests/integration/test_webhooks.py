"""Webhooks as they are kept: what a change costs, versions, and rows that cannot be read."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import Engine, engine_of
from tests.support.receiver import Receiver, answer, says
from tests.support.rekeying import rekeyed
from tests.unit.test_signature_and_profile import event
from tidings.config import Config
from tidings.core.errors import BusyError, ConflictError, InvalidInputError, StartupError
from tidings.core.filters import MAX_FILTERS
from tidings.core.webhook import MAX_FAULT_LENGTH, Webhook
from tidings.sources import backfill, tables
from tidings.store import backfills, capture, webhook_versions, webhooks
from tidings.store.database import open_database
from tidings.store.migrations import available, migrate
from tidings.store.secrets import SecretBox
from tidings.store.signing_keys import load_key_ring, load_signer
from tidings.worker.duties import Janitor
from tidings.worker.routes import CurrentRoutes

NOWHERE = "http://127.0.0.1:9/"
_EVENT = event()
CHANGED = "update tidings.routes_version set version = version + 1"


async def add_others(engine: Engine, count: int) -> None:
    """Webhooks that were there before, beside which something is done."""
    await engine.user.execute(
        f"""with made as (
          insert into tidings.webhooks (id, group_id, name, url, enabled, profile, events, secret, method, headers, timeout_seconds, retry, created_at, updated_at)
          select gen_random_uuid(), 'default', 'other', 'https://example.com', true, 'standard', ('["other.' || i % 100 || '"]')::jsonb, '', 'POST', '{{}}', 30,
            '{{"delays": []}}', now(), now() from generate_series(1, {count}) i returning id)
        insert into tidings.lanes (webhook_id, concurrency, allowance) select id, 1, 1 from made"""
    )
    await engine.user.execute(
        f"{CHANGED}; analyze tidings.webhooks; analyze tidings.lanes; analyze tidings.table_subscriptions"
    )


@asynccontextmanager
async def counted(connection: Any) -> AsyncIterator[dict[str, int]]:
    """Count the statements of a block, and the rows of our tables that they read; in a transaction."""
    rows = (
        "select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int from pg_stat_xact_user_tables where schemaname = 'tidings'"
    )
    seen = {"rows": -await connection.fetchval(rows), "statements": 0}

    def count(_: Any) -> None:
        seen["statements"] += 1

    with connection.query_logger(count):
        yield seen
    seen["rows"] += await connection.fetchval(rows)


# What a change costs ---------------------------------------------------------------------------------------------------


async def test_creating_and_changing_a_webhook_beside_20000_others_reads_a_handful_of_rows(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        named = await engine.add_webhook(NOWHERE, "order.paid", {"table": "t"})
        await add_others(engine, 20_000)
        box = engine.services.box
        made = msgspec.structs.replace(named, id=uuid4(), name="another")
        async with engine.services.wide.transaction() as connection:
            async with counted(connection) as seen:
                await tables.keep_in_step(connection, needed_by=made)
                await webhooks.insert_webhook(connection, box, made)
                changed = msgspec.structs.replace(made, url="https://example.com/elsewhere")
                await webhooks.update_webhook(connection, box, changed, was=made)
                await webhooks.delete_webhook(connection, made.id)
            assert seen["rows"] < 60
            assert seen["statements"] < 25


async def test_a_webhook_that_names_no_table_needs_no_lock_and_no_look_at_the_catalogue(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int)")
        other = await asyncpg.connect(config.database_url)
        await other.execute("begin; select pg_advisory_xact_lock(7413201, 3)")  # somebody changes triggers
        webhook = await engine.add_webhook(NOWHERE, "*", {"table": "*"})
        with pytest.raises(BusyError, match="changing triggers"):
            await engine.add_webhook(NOWHERE, {"table": "t"})
        async with engine.services.wide.transaction() as connection, counted(connection) as seen:
            assert await tables.keep_in_step(connection, needed_by=webhook, was=webhook) == []
            assert await tables.table_states(connection, webhook) == []
        assert seen["statements"] == 0
        await other.close()


async def test_applying_a_change_reads_one_webhook_however_many_there_are(config: Config) -> None:
    async with engine_of(config) as engine:
        await add_others(engine, 5000)
        routes = CurrentRoutes(engine.services.box, engine.clock)
        async with engine.services.wide.connection() as connection:
            before = await routes.at_least(connection, await webhooks.routes_version(connection))
        assert len(before) == 5000
        made = await engine.add_webhook(NOWHERE, "order.paid")
        async with engine.services.wide.transaction() as connection:
            async with counted(connection) as seen:
                after = await routes.at_least(connection, before.version + 1)
                found = await routes.webhooks(connection, [made.id])
            assert after is before
            assert (len(after), found[made.id]) == (5001, made)
            assert (seen["statements"], seen["rows"] < 10) == (2, True)
            async with counted(connection) as seen:  # and once it is known, nothing
                await routes.at_least(connection, after.version)
                await routes.webhooks(connection, [made.id])
            assert seen == {"rows": 0, "statements": 0}


async def test_what_is_known_follows_every_kind_of_change(config: Config) -> None:
    async with engine_of(config) as engine:
        routes, box = CurrentRoutes(engine.services.box, engine.clock), engine.services.box
        first, second = await engine.add_webhook(NOWHERE, "*"), await engine.add_webhook(NOWHERE, "*")

        async def heard() -> dict[UUID, Webhook]:
            async with engine.services.wide.transaction() as connection:
                index = await routes.at_least(connection, await webhooks.routes_version(connection))
                return await routes.webhooks(connection, index.match(_EVENT))

        assert await heard() == {first.id: first, second.id: second}
        changed = msgspec.structs.replace(first, url="https://example.com/new")
        async with engine.services.wide.transaction() as connection:
            changed = await webhooks.update_webhook(connection, box, changed, was=first)
            await webhooks.disable_webhooks(connection, [second.id], "Gone.")
        assert await heard() == {first.id: changed}
        async with engine.services.wide.transaction() as connection:
            await webhooks.delete_webhook(connection, first.id)
            await webhooks.disable_webhooks(connection, [second.id, first.id], "Gone.")  # nothing to do
        assert await heard() == {}


@pytest.mark.parametrize("how", ["forgotten", "told without a name"])
async def test_where_the_log_of_changes_has_a_gap_everything_is_read_anew(config: Config, how: str) -> None:
    async with engine_of(config) as engine:
        routes = CurrentRoutes(engine.services.box, engine.clock)
        async with engine.services.wide.connection() as connection:
            before = await routes.at_least(connection, await webhooks.routes_version(connection))
            webhook = await engine.add_webhook(NOWHERE, "order.paid")
            if how == "forgotten":
                await Janitor(engine.services.wide, engine.clock, retention_days=30).run_once()
                assert await engine.value("select count(*) from tidings.webhook_changes") == 1  # of today
                engine.clock.ahead += timedelta(days=1, minutes=1)
                await Janitor(engine.services.wide, engine.clock, retention_days=30).run_once()
                assert await engine.value("select count(*) from tidings.webhook_changes") == 0
            else:
                await engine.user.execute(CHANGED)
            after = await routes.at_least(connection, await webhooks.routes_version(connection))
            assert after is not before
            assert after.match(_EVENT) == (webhook.id,)


async def test_more_changes_than_a_page_are_applied_in_order(config: Config) -> None:
    async with engine_of(config) as engine:
        routes = CurrentRoutes(engine.services.box, engine.clock)
        webhook = await engine.add_webhook(NOWHERE, "order.paid")
        async with engine.services.wide.transaction() as connection:
            before = await routes.at_least(connection, await webhooks.routes_version(connection))
            await connection.execute(
                "insert into tidings.webhook_changes (version, webhook_id) select $1 + i, gen_random_uuid() from generate_series(1, 2500) i",
                before.version,
            )
            await connection.execute("update tidings.routes_version set version = version + 2500")
            after = await routes.at_least(connection, before.version + 2500)
        assert (after is before, after.version, after.match(_EVENT)) == (True, before.version, (webhook.id,))


async def test_versions_are_committed_in_their_order(config: Config) -> None:
    """Who sees a version sees all before it: a change waits for the one that took its version first."""
    async with engine_of(config) as engine:
        one, two = await engine.add_webhook(NOWHERE, "a"), await engine.add_webhook(NOWHERE, "b")
        first, second = await asyncpg.connect(config.database_url), await asyncpg.connect(config.database_url)
        await first.execute("begin")
        await webhooks.delete_webhook(first, one.id)
        waiting = asyncio.create_task(webhooks.delete_webhook(second, two.id))
        while not await engine.value("select exists (select from pg_stat_activity where wait_event_type = 'Lock')"):
            assert not waiting.done()
        assert len(await webhooks.changes_after(engine.user, 0, 10)) == 2
        await first.execute("commit")
        await waiting
        changes = await webhooks.changes_after(engine.user, 0, 10)
        assert [row["id"] for row in changes] == [one.id, two.id, one.id, two.id]
        await first.close()
        await second.close()


async def test_webhooks_kept_ready_are_bounded_and_the_least_used_goes_first(config: Config) -> None:
    async with engine_of(config) as engine:
        ids = [(await engine.add_webhook(NOWHERE, "x")).id for _ in range(4)]
        routes = CurrentRoutes(engine.services.box, engine.clock, max_webhooks=3)
        async with engine.services.wide.transaction() as connection:
            for used in (0, 1, 2, 0):
                await routes.webhooks(connection, [ids[used]])
            assert list(await routes.webhooks(connection, [ids[3], uuid4()])) == [ids[3]]
            assert list(routes._webhooks) == [ids[2], ids[0], ids[3]]
            assert set(await routes.webhooks(connection, ids)) == set(ids)
            assert len(routes._webhooks) == 3


async def test_a_webhook_read_before_a_change_is_not_kept_beyond_it(config: Config) -> None:
    """Its row is read, then another task applies a change of it, then the row arrives."""
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(NOWHERE, "x")
        routes, database = CurrentRoutes(engine.services.box, engine.clock), engine.services.wide
        async with database.transaction() as reading, database.transaction() as connection:
            await routes.at_least(connection, await webhooks.routes_version(connection))
            blocker = await asyncpg.connect(config.database_url)
            await blocker.execute("begin; lock table tidings.lanes")
            late = asyncio.create_task(routes.webhooks(reading, [webhook.id]))
            while not await engine.value("select exists (select from pg_locks where not granted)"):
                assert not late.done()
            await blocker.execute("update tidings.webhooks set url = 'https://example.com/new', version = 2")
            version = await blocker.fetchval(f"{CHANGED} returning version")
            await blocker.execute("insert into tidings.webhook_changes values ($1, $2)", version, webhook.id)
            routes.current.version = version  # as when the change is applied while the row is on its way
            await blocker.execute("commit")
            await late
            (now,) = (await routes.webhooks(connection, [webhook.id])).values()
            assert now.url == "https://example.com/new"
            await blocker.close()


async def test_a_list_of_webhooks_is_read_in_the_order_of_its_index(config: Config) -> None:
    async with engine_of(config) as engine:
        await add_others(engine, 2000)  # all made in the same moment
        async with engine.services.wide.transaction() as connection, counted(connection) as seen:
            page = await webhooks.list_webhooks(connection, "default", limit=10, offset=0)
        assert [webhook.id for webhook in page] == sorted(webhook.id for webhook in page)
        assert seen["rows"] < 50


# Which tables are captured ---------------------------------------------------------------------------------------------


async def subscriptions(engine: Engine) -> list[tuple[str, ...]]:
    rows = await engine.sql("select table_schema, table_name, operation from tidings.table_subscriptions order by 1, 2, 3")
    return [tuple(row) for row in rows]


async def test_what_webhooks_name_is_kept_as_rows_until_tidings_disables_them(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(410))
    async with engine_of(config) as engine:
        await engine.user.execute("create schema sales; create table sales.orders (id int); create table t (id int)")
        hook = await engine.add_webhook(
            receiver.url(),
            {"table": "orders", "schema": "sales", "operations": ["INSERT", "DELETE"]},
            "table.t.updated",
            {"table": "*"},
        )
        named = [("public", "t", "UPDATE"), ("sales", "orders", "DELETE"), ("sales", "orders", "INSERT")]
        assert await subscriptions(engine) == named
        async with engine.services.wide.transaction() as connection:
            paused = msgspec.structs.replace(hook, enabled=False)
            paused = await webhooks.update_webhook(connection, engine.services.box, paused, was=hook)
        assert await subscriptions(engine) == named
        async with engine.services.wide.transaction() as connection:
            fewer = msgspec.structs.replace(paused, enabled=True, events=hook.events[1:])
            await webhooks.update_webhook(connection, engine.services.box, fewer, was=paused)
        assert await subscriptions(engine) == named[:1]
        await tables.keep_all_in_step(engine.services.wide)
        assert await engine.value("select count(*) from pg_trigger where tgname = 'tidings_capture'") == 1
        await engine.user.execute("insert into t values (1); update t set id = 2")
        await engine.cycle()  # 410
        assert await subscriptions(engine) == []
        await tables.keep_all_in_step(engine.services.wide)
        assert await engine.value("select count(*) from pg_trigger where tgname = 'tidings_capture'") == 0


async def test_tables_are_found_in_as_many_steps_as_there_are_tables(config: Config) -> None:
    async with engine_of(config) as engine:
        await add_others(engine, 3000)
        await engine.user.execute(
            """insert into tidings.table_subscriptions select id, 'public', 't' || row_number() over () % 3, o.operation
            from tidings.webhooks, unnest('{INSERT,UPDATE}'::text[]) o (operation); analyze tidings.table_subscriptions"""
        )
        async with engine.services.wide.transaction() as connection, counted(connection) as seen:
            assert await capture.subscribed_tables(connection) == [("public", "t0"), ("public", "t1"), ("public", "t2")]
            wanted = await capture.subscribed_operations(connection, [("public", "t1"), ("public", "none")])
        assert wanted == {("public", "t1"): frozenset({"INSERT", "UPDATE"})}
        assert seen["rows"] < 50


async def test_migrating_gives_every_webhook_a_version_and_its_tables(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(
        "create schema tidings; create table tidings.migrations (number int primary key, name text, applied_at timestamptz default now())"
    )
    for number, name, sql in available():
        if number < 5:
            await connection.execute(sql)
            await connection.execute("insert into tidings.migrations (number, name) values ($1, $2)", number, name)
    ids = [uuid4() for _ in range(4)]
    texts = [
        '["*", {"table": "t", "schema": "public", "operations": ["INSERT", "UPDATE"]}, {"table": "t", "schema": null, "operations": ["INSERT"]}]',
        '[{"table": "*", "schema": null, "operations": ["INSERT"]}, {"collection": "c", "actions": ["create"]}]',
        '[{"table": "u", "schema": "s", "operations": ["DELETE"]}]',
        '{"table": 7}',
    ]
    for number, (webhook_id, events) in enumerate(zip(ids, texts, strict=True)):
        await connection.execute(
            """insert into tidings.webhooks (id, group_id, name, url, enabled, profile, events, secret, method, headers, timeout_seconds, retry, created_at, updated_at)
            values ($1, 'default', 'n', 'https://x', $2, 'standard', $3, '', 'POST', '{}', 30, '{}', now(), now())""",
            webhook_id, number != 2, events,
        )  # fmt: skip
        await connection.execute("insert into tidings.lanes (webhook_id, concurrency, allowance) values ($1, 7, 1)", webhook_id)
    database = await open_database(empty_database_url, max_connections=1)
    assert "0005_webhook_versions" in await migrate(database)
    rows = await connection.fetch("select * from tidings.table_subscriptions order by operation")
    assert [tuple(row) for row in rows] == [
        (ids[2], "s", "u", "DELETE"),
        (ids[0], "public", "t", "INSERT"),
        (ids[0], "public", "t", "UPDATE"),
    ]
    versions = await connection.fetch("select webhook_id, version, concurrency, superseded_at from tidings.webhook_versions")
    assert {tuple(row) for row in versions} == {(webhook_id, 1, 7, None) for webhook_id in ids}
    await database.close()
    await connection.close()


# Versions --------------------------------------------------------------------------------------------------------------


async def test_every_change_makes_a_version_and_no_change_makes_none(api: Api, receiver: Receiver) -> None:  # noqa: F811
    made = await api.create(receiver.url(), "a", headers={"X-One": "1"}, concurrency=5)
    path = f"/api/v1/webhooks/{made['id']}"
    assert made["version"] == 1
    assert (await api("PATCH", path, 200, {"concurrency": 5, "enabled": True, "headers": {"X-One": "1"}}))["version"] == 1
    assert (await api("PATCH", path, 200, {"events": ["b", {"table": "*"}], "concurrency": 6}))["version"] == 2
    rotated = await api("POST", f"{path}/secret/rotate", 200, {})
    assert (await api("PATCH", path, 200, {"secret": rotated["secret"], "description": "d"}))["version"] == 4
    assert (await api("GET", path, 200))["version"] == 4
    await api("DELETE", path, 200)
    listed = await api("GET", f"{path}/versions", 200)
    assert [entry["version"] for entry in listed] == [4, 3, 2, 1]
    assert listed[0]["changes"] == {"description": [None, "d"]}  # the secret there is, sent back, is no change
    assert set(listed[1]["changes"]) == {"secret", "previous_secret", "previous_secret_until"}
    assert listed[1]["changes"]["secret"] == ["(hidden)", "(hidden)"]
    assert listed[2]["changes"] == {
        "events": [["a"], ["b", {"table": "*", "schema": None, "operations": ["INSERT", "UPDATE", "DELETE"]}]],
        "concurrency": [5, 6],
    }
    assert listed[3]["changes"] == {}
    assert [older["superseded_at"] for older in listed[1:]] == [newer["created_at"] for newer in listed[:-1]]
    assert listed[0]["superseded_at"] is not None
    assert rotated["secret"] not in json.dumps(listed)
    assert await api("GET", f"{path}/versions?limit=1&cursor=3", 200) == listed[2:3]
    assert await api("GET", f"{path}/versions?cursor=1", 200) == []
    await api("GET", f"/api/v1/webhooks/{uuid4()}/versions", 404)
    await api("POST", "/api/v1/groups", 201, {"id": "other"})
    await api("GET", f"{path}/versions", 404, headers={"X-Tidings-Group": "other"})


async def test_a_webhook_is_read_as_it_was_deleted_or_not(config: Config) -> None:
    async with engine_of(config) as engine:
        box, database = engine.services.box, engine.services.wide
        first = await engine.add_webhook(NOWHERE, "a", headers={"X": "1"}, rate_per_second=2.5, description="one")
        async with database.transaction() as connection:
            changed = msgspec.structs.replace(first, url="https://example.com/two", ordered=True, updated_at=engine.clock.now())
            second = await webhooks.update_webhook(connection, box, changed, was=first)
            await webhooks.disable_webhooks(connection, [first.id], "Gone.")
            await webhooks.delete_webhook(connection, first.id)
        async with database.connection() as connection:
            for was in (first, second):
                assert await webhook_versions.version_of(connection, box, "default", was.id, was.version) == was
            third = await webhook_versions.version_of(connection, box, "default", first.id, 3)
            assert third is not None
            assert (third.enabled, third.disabled_reason, third.url) == (False, "Gone.", second.url)
            assert await webhook_versions.version_of(connection, box, "other", first.id, 1) is None
            assert await webhook_versions.version_of(connection, box, "default", first.id, 4) is None
            both = [(first.id, 1), (first.id, 2), (uuid4(), 1)]
            assert await webhook_versions.versions_of(connection, box, both) == {(first.id, 1): first, (first.id, 2): second}
            other = SecretBox("another")
            assert await webhook_versions.versions_of(connection, other, both) == {}


async def test_versions_are_forgotten_a_day_after_the_last_history_that_can_name_them(config: Config) -> None:
    async with engine_of(config) as engine:
        box, database = engine.services.box, engine.services.wide
        janitor = Janitor(database, engine.clock, retention_days=3)
        webhook = await engine.add_webhook(NOWHERE, "a")
        async with database.transaction() as connection:
            changed = msgspec.structs.replace(webhook, name="b", updated_at=engine.clock.now())
            await webhooks.update_webhook(connection, box, changed, was=webhook)
        numbers = "select version from tidings.webhook_versions order by version"
        for _ in range(5):  # the day itself, three of retention, one of slack
            await janitor.run_once()
            assert len(await engine.sql(numbers)) == 2
            engine.clock.ahead += timedelta(days=1)
        engine.clock.ahead += timedelta(days=1)
        await janitor.run_once()
        assert [row["version"] for row in await engine.sql(numbers)] == [2]  # the present one stays


async def test_versions_survive_a_change_of_the_key_and_are_as_alike_as_before(config: Config) -> None:
    async with engine_of(config) as engine:
        box, new, database = engine.services.box, SecretBox("a much newer key"), engine.services.wide
        webhook = await engine.add_webhook(NOWHERE, "a")
        broken = await engine.add_webhook(NOWHERE, "a")
        await engine.user.execute("update tidings.webhooks set secret = 'x' where id = $1", broken.id)
        async with database.transaction() as connection:
            renamed = await webhooks.update_webhook(connection, box, msgspec.structs.replace(webhook, name="b"), was=webhook)
        await engine.worker.heart.end()
        assert await rekeyed(database, box, new) == 1 + 3 + 2  # webhooks, versions, keys; what cannot be read stays
        async with database.connection() as connection:
            assert await webhook_versions.version_of(connection, new, "default", webhook.id, 1) == webhook
            assert await webhooks.webhooks_by_id(connection, new, [webhook.id]) == [renamed]
            newest, _ = await webhook_versions.list_versions(connection, new, "default", webhook.id, before=None, limit=9)
            assert newest.changes == {"name": ("test", "b")}
        await engine.worker.heart.begin()


async def test_a_key_is_changed_by_whoever_has_the_one_in_use_and_by_nobody_else(config: Config) -> None:
    """Of two that change it at once, the later would find nothing it can read, and leave all of it behind a key nobody has."""
    async with engine_of(config) as engine:
        database, box = engine.services.wide, engine.services.box
        webhook = await engine.add_webhook(NOWHERE, "*")
        await engine.worker.heart.end()
        first, second = SecretBox("first"), SecretBox("second")
        assert await rekeyed(database, box, first) > 0
        with pytest.raises(StartupError, match="SECRET_KEY is not the one in use"):
            await rekeyed(database, box, second)
        async with database.connection() as connection:
            assert await webhooks.webhooks_by_id(connection, first, [webhook.id]) == [webhook]
        await engine.worker.heart.begin()


async def test_what_signed_is_found_by_its_number(config: Config) -> None:
    async with engine_of(config) as engine:
        database, box, keys = engine.services.wide, engine.services.box, engine.services.keys.current
        again = (await load_key_ring(database, box, issuer=keys.issuer)).current
        moved = (await load_key_ring(database, box, issuer="https://elsewhere.example")).current
        assert again.signer_id == keys.signer_id != moved.signer_id
        async with database.connection() as connection:
            for known in (keys, moved):
                found = await load_signer(connection, box, known.signer_id)
                assert (found.issuer, found.webhooks.id, found.tokens.id) == (known.issuer, known.webhooks.id, known.tokens.id)
                assert found.webhooks.public_bytes == known.webhooks.public_bytes
                assert found.tokens.public_bytes == known.tokens.public_bytes


# Rows that cannot be read ----------------------------------------------------------------------------------------------

DAMAGE = [
    ("secret", "secret = 'no longer what it was, and longer'"),
    ("secret", "secret = ''"),
    ("secret", "previous_secret = 'x', previous_secret_until = now()"),
    ("profile", "profile = 'of-a-later-version'"),
    ("events", "events = '{\"a\": 1}'"),
    ("events", 'events = \'["order.*", {"table": ["t"]}]\''),
    ("events", 'events = \'[{"collection": "c", "actions": [[]]}]\''),
    ("events", "events = ('\"' || repeat('x', 3000) || '\"')::jsonb"),
    ("headers", "headers = '[1]'"),
    ("headers", 'headers = \'{"X": "a\\r\\nb"}\''),
    ("retry", "retry = '{\"delays\": [-1]}'"),
    ("retry", "retry = 'null'"),
    ("signature", 'signature = \'{"header": "X", "format": "md5"}\''),
    ("method", "method = 'BREW'"),
    ("timeout_seconds", "timeout_seconds = 'NaN'"),
    ("url", "url = 'nowhere'"),
    ("body_template", "body_template = '{'"),
]


@pytest.mark.parametrize(("field", "damage"), DAMAGE)
async def test_a_webhook_that_cannot_be_read_is_set_aside_and_stops_nobody(
    config: Config, receiver: Receiver, field: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_of(config) as engine:
        broken = await engine.add_webhook(receiver.url("/broken"), "*")
        await engine.add_webhook(receiver.url("/healthy"), "*")
        await engine.add_webhook(receiver.url("/watch"), "webhook.disabled")
        await engine.user.execute(f"update tidings.webhooks set {damage} where id = $1", broken.id)
        with caplog.at_level(logging.ERROR):
            for count in range(1, 4):
                await engine.publish()
                await engine.cycle()
                assert [request.path for request in receiver.received].count("/healthy") == count
        assert {request.path for request in receiver.received} == {"/healthy", "/watch"}
        (said,) = [msgspec.json.decode(request.body)["data"] for request in receiver.received if request.path == "/watch"]
        assert said["webhook_id"] == str(broken.id)
        assert said["reason"].startswith(f"Set aside, since {field} cannot be read.")
        row = (await engine.sql("select w.fault, l.open from tidings.webhooks w join tidings.lanes l on l.webhook_id = w.id where w.id = $1", broken.id))[0]  # fmt: skip
        assert not row["open"]
        assert row["fault"].startswith(f"Set aside, since {field} cannot be read.")
        assert len(row["fault"]) <= MAX_FAULT_LENGTH
        assert [record.args[0] for record in caplog.records] == [broken.id]  # told once
        waiting = await engine.value("select count(*) from tidings.queue where webhook_id = $1", broken.id)
        assert waiting == (0 if field in {"profile", "events"} else 3)
        await Janitor(engine.services.wide, engine.clock, retention_days=30).run_once()
        async with engine.services.wide.connection() as connection:
            listed = await webhooks.list_webhooks(connection, "default", limit=10, offset=0)
        assert {webhook.id: webhook.fault for webhook in listed if webhook.fault} == {broken.id: row["fault"]}


async def test_a_delivery_that_waits_for_its_retry_waits_on_with_its_count(config: Config, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(500)))
    async with engine_of(config) as engine:
        broken = await engine.add_webhook(receiver.url("/broken"), "*")
        await engine.publish()
        await engine.cycle()
        await engine.user.execute(f"update tidings.webhooks set retry = '1'; {CHANGED}")
        engine.clock.ahead += timedelta(minutes=1)
        await engine.add_webhook(receiver.url("/healthy"), "*")
        await engine.publish()
        await engine.cycle()
        assert await engine.worker.deliverer.run_once() == 0
        assert [request.path for request in receiver.received] == ["/broken", "/healthy"]
        rows = await engine.sql("select attempt_count from tidings.queue where webhook_id = $1 order by id", broken.id)
        assert [row["attempt_count"] for row in rows] == [1, 0]


async def test_a_webhook_that_is_being_changed_is_not_set_aside_by_what_it_was(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await engine.user.execute("update tidings.webhooks set retry = '1'")
        async with engine.services.wide.transaction() as connection:
            read = (await webhooks.webhooks_by_id(connection, engine.services.box, [webhook.id]))[0]
            assert read.fault is not None
            mending = await asyncpg.connect(config.database_url)
            await mending.execute("begin; update tidings.webhooks set retry = '{\"delays\": []}', version = 2")
            assert await webhooks.set_aside(connection, [(read.id, read.version, read.fault)]) == []
            await mending.execute("commit")
            assert await webhooks.set_aside(connection, [(read.id, read.version, read.fault)]) == []
            await mending.close()
        assert await engine.value("select open from tidings.lanes")
        assert await engine.value("select fault from tidings.webhooks") is None


async def test_what_waited_is_delivered_once_the_webhook_is_mended(api: Api, receiver: Receiver) -> None:  # noqa: F811
    made = await api.create(receiver.url("/mended"), "*")
    path = f"/api/v1/webhooks/{made['id']}"
    await api.engine.user.execute(f"update tidings.webhooks set secret = 'x', retry = '[]'; {CHANGED}")
    await api.create(receiver.url("/healthy"), "*")
    await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {}})
    await receiver.wait_for(1)
    shown = await api("GET", path, 200)
    assert "retry" in shown["fault"]
    assert [hook["fault"] for hook in await api("GET", "/api/v1/webhooks", 200)] == [None, shown["fault"]]
    for method, where, body in [
        ("GET", "secret", None),
        ("POST", "secret/rotate", {}),
        ("POST", "test", {}),
    ]:
        refused = await api(method, f"{path}/{where}", 409, body)
        assert "cannot be read" in refused["error"]
        assert f"Change webhook {made['id']} and write" in refused["error"]
    assert (await api("PATCH", path, 422, {"name": "x"}))["field"] == "retry"
    half = await api("PATCH", path, 200, {"retry": {"delays": []}, "name": "x"})
    assert half["fault"].startswith("Set aside, since secret cannot be read.")
    assert (await api("GET", path, 200))["fault"] == half["fault"]
    assert [delivery["payload"] for delivery in await api("GET", f"{path}/deliveries", 200)] == [None]
    whole = await api("PATCH", path, 200, {"secret": made["secret"]})
    assert whole["fault"] is None
    await receiver.wait_for(2)
    assert receiver.received[1].path == "/mended"
    assert (await api("GET", f"{path}/secret", 200))["secret"] == made["secret"]
    await api.engine.user.execute("update tidings.webhooks set profile = 'later' where id = $1", UUID(made["id"]))
    assert "delete the webhook" in (await api("PATCH", path, 409, {"name": "y"}))["error"]
    await api("DELETE", path, 200)


async def test_the_carrier_of_a_job_that_cannot_be_read_is_mended_with_the_job(api: Api, receiver: Receiver) -> None:  # noqa: F811
    job = await api("POST", "/api/cron", 201, {"name": "j", "schedule": "0 0 1 1 *", "url": receiver.url()})
    await api.engine.user.execute("update tidings.webhooks set secret = 'x', retry = '[]'")
    await api("GET", f"/api/cron/{job['id']}", 200)
    assert len((await api("GET", "/api/cron", 200))["items"]) == 1
    await api("PATCH", f"/api/cron/{job['id']}", 200, {"retryLimit": 2})
    await api("POST", f"/api/cron/{job['id']}/run", 202)
    await receiver.wait_for(1)


async def test_a_trigger_of_a_collection_that_cannot_be_read_is_mended_with_its_options(api: Api, receiver: Receiver) -> None:  # noqa: F811
    options = {"triggers": [{"action": "create", "url": receiver.url()}]}
    await api("POST", "/api/collections", 201, {"name": "posts", "options": options})
    for damage in ("secret = 'x'", "events = '[]'"):
        await api.engine.user.execute(f"update tidings.webhooks set {damage}; {CHANGED}")
        await api("PATCH", "/api/collections/posts", 200, {"options": options})
    await api("POST", "/api/collections/posts/records", 201, {})
    await receiver.wait_for(1)


async def test_settings_of_a_table_that_cannot_be_read_leave_it_as_it_is_and_the_others_go_on(config: Config) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table a (id int primary key); create table b (id int primary key)")
        hook = await engine.add_webhook(NOWHERE, {"table": "a"}, {"table": "b"})
        await engine.user.execute(
            "insert into tidings.captured_tables (table_schema, table_name, renamed_columns) values ('public', 'a', '[7]');"
            "drop trigger tidings_capture on b"
        )
        await Janitor(engine.services.wide, engine.clock, retention_days=30).run_once()
        await engine.user.execute("insert into a values (1); insert into b values (1)")
        rows = await engine.sql("select table_name from tidings.outbox order by id")
        assert [row["table_name"] for row in rows] == ["a", "b"]
        await engine.add_webhook(NOWHERE, {"table": "a", "operations": ["DELETE"]})  # which is told already
        await engine.user.execute("drop trigger tidings_capture on a")
        with pytest.raises(InvalidInputError, match="cannot be read"):
            await engine.add_webhook(NOWHERE, {"table": "a"})
        async with engine.services.wide.transaction() as connection:
            with pytest.raises(ConflictError, match="cannot be read"):
                await backfill.begin(connection, hook, ("public", "a"), engine.clock.now())
            await backfills.insert(
                connection,
                uuid4(),
                group_id="default",
                webhook_id=hook.id,
                table=("public", "a"),
                relation=await engine.value("select 'a'::regclass::oid"),
                key_columns=("id",),
                key_numbers=(1,),
                heard=("INSERT",),
            )
        assert await engine.worker.backfiller.run_once() == 0
        assert "cannot be read" in await engine.value("select error from tidings.backfills")


async def test_settings_that_cannot_be_read_are_shown_and_written_anew(api: Api) -> None:  # noqa: F811
    await api.engine.user.execute("create table a (id int); create table b (id int)")
    await api.create(NOWHERE, {"table": "a"}, {"table": "b"})
    await api("PUT", "/api/v1/tables/a", 200, {"exclude": ["id"]})
    await api.engine.user.execute('update tidings.captured_tables set conditions = \'{"TRUNCATE": "true"}\'')
    listed = {table["table"]: table["fault"] for table in await api("GET", "/api/v1/tables", 200)}
    assert (listed["b"], "cannot be read" in listed["a"]) == (None, True)
    assert (await api("PUT", "/api/v1/tables/a", 200, {"exclude": ["id"]}))["fault"] is None


async def test_a_webhook_may_name_a_thousand_events_and_no_more(api: Api) -> None:  # noqa: F811
    made = await api.create(NOWHERE, *(f"t.{number}" for number in range(MAX_FILTERS)))
    assert len(made["events"]) == MAX_FILTERS
    too_many = {"events": [f"t.{number}" for number in range(MAX_FILTERS + 1)]}
    assert (await api("PATCH", f"/api/v1/webhooks/{made['id']}", 422, too_many))["field"] == "events"
    assert (await api("PATCH", f"/api/v1/webhooks/{made['id']}", 422, {"events": []}))["field"] == "events"
