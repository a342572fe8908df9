"""Plans of migrations, and leaving: nothing of Tidings stays, and nothing of anybody else's goes."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.process import Process, run_cli
from tidings.store.migrations import available


@pytest.fixture
async def used(database_url: str, tmp_path: Path) -> Any:
    """A database with a captured table, a collection and a delivery; its server has stopped."""
    user = await asyncpg.connect(database_url)
    await user.execute('create schema "My Shop"; create table "My Shop".orders (id int primary key)')
    server = await Process.start("serve", **settings(database_url, tmp_path))
    async with httpx.AsyncClient(base_url=server.ready["url"], headers={"X-API-Key": "test"}) as client:
        hook = {"url": "http://127.0.0.1:9/", "events": [{"schema": "My Shop", "table": "orders"}]}
        assert (await client.post("/api/v1/webhooks", json=hook)).status_code == 201
        fields = [{"name": "title", "type": "text"}]
        assert (await client.post("/api/v1/collections", json={"name": "posts", "fields": fields})).status_code == 201
        assert (await client.post("/api/v1/collections/posts/records", json={"title": "kept"})).status_code == 201
    await user.execute('insert into "My Shop".orders values (1)')
    yield user, server
    await server.stop()
    await user.close()


def settings(database_url: str, folder: Path) -> dict[str, Any]:
    return {
        "database_url": database_url, "data_dir": folder, "secret_key": "test", "admin_key": "test", "port": 0,
        "allow_private_networks": "127.0.0.0/8", "stop_grace_seconds": 1,
    }  # fmt: skip


def uninstall(database_url: str, *args: str) -> Any:
    return run_cli("uninstall", *args, database_url=database_url, secret_key="test")


# There may be years of partitions, and as many locks are not to be had in one transaction.
NOT_ALL_AT_ONCE = """
create function not_all_at_once() returns event_trigger language plpgsql as $$
begin
  if (select count(*) > 1 from pg_event_trigger_dropped_objects() where object_type = 'table' and object_name ~ '_[0-9]{8}$') then
    raise exception 'partitions were dropped together';
  end if;
end $$;
create event trigger not_all_at_once on sql_drop execute function not_all_at_once();
"""


async def test_leaving_step_by_step(used: Any, database_url: str) -> None:
    user, server = used
    told = uninstall(database_url)
    assert told.returncode == 0, told.stderr
    assert "My Shop.orders" in told.stdout
    assert "1 collection(s) stay as plain tables: collections_default.posts" in told.stdout
    assert "Nothing was changed." in told.stdout
    refused = uninstall(database_url, "--yes")
    assert refused.returncode != 0
    assert "Stop every process of Tidings" in refused.stderr
    await server.stop()

    await user.execute(
        "drop role if exists tidings_leaver; create role tidings_leaver login; grant usage on schema tidings to tidings_leaver"
    )
    await user.execute("grant select on all tables in schema tidings to tidings_leaver")
    refused = uninstall(database_url.replace("postgres:@", "tidings_leaver:@"), "--yes")
    await user.execute("drop owned by tidings_leaver; drop role tidings_leaver")
    assert refused.returncode == 2
    assert "DROP TRIGGER tidings_capture" in refused.stderr
    assert 'ON "My Shop".orders;' in refused.stderr

    async with user.transaction():
        await user.execute('select * from "My Shop".orders')
        refused = uninstall(database_url, "--yes")
    assert "Somebody else's transaction holds My Shop.orders" in refused.stderr
    assert await user.fetchval("select count(*) from tidings.webhooks") == 1

    await user.execute("create schema reports; create view reports.sent as select status from tidings.deliveries")
    await user.execute("create table reports.notes (id int primary key, webhook_id uuid references tidings.webhooks)")
    await user.execute("create materialized view reports.days as select tidings.first_id_of('2026-01-01') as id")
    told = uninstall(database_url)
    assert "3 thing(s) that others made of it, which have to go first" in told.stdout
    refused = uninstall(database_url, "--yes")
    assert refused.returncode != 0
    for one in ("view reports.sent", "constraint notes_webhook_id_fkey", "materialized view reports.days"):
        assert one in refused.stderr
    assert await user.fetchval("select count(*) from tidings.webhooks") == 1
    await user.execute("drop schema reports cascade")

    runner = f"{await user.fetchval('select current_database()')}_run"
    await user.execute(f"create role {runner}")
    given = run_cli("migrate", database_url=database_url, running_role=runner)
    assert given.returncode == 0, given.stderr
    assert await user.fetchval("select has_table_privilege($1, 'collections_default.posts', 'update')", runner)
    await user.execute(NOT_ALL_AT_ONCE)
    done = uninstall(database_url, "--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["is_removed"] is True
    await user.execute(f"revoke tidings_request from {runner}; drop role {runner}")  # nothing is left of its rights
    assert await user.fetchval("select to_regnamespace('tidings')") is None
    assert await user.fetchval("select count(*) from pg_trigger where tgname like 'tidings%'") == 0
    await user.execute('insert into "My Shop".orders values (2)')
    policies = "select count(*) from pg_policy where polrelid = 'collections_default.posts'::regclass"
    assert await user.fetchval(policies) == 0, "a plain table shows its rows to whoever may read it"
    assert not await user.fetchval("select has_table_privilege('tidings_request', 'collections_default.posts', 'select')")
    await user.execute("update collections_default.posts set title = 'changed'")
    assert await user.fetchval("select title from collections_default.posts") == "changed"
    again = uninstall(database_url, "--yes")
    assert (again.returncode, again.stdout) == (0, "There is nothing of Tidings in this database.\n")


async def test_collections_go_too_when_that_is_said(used: Any, database_url: str) -> None:
    user, server = used
    await server.stop()
    assert uninstall(database_url, "--yes", "--collections").returncode == 0
    assert await user.fetchval("select to_regnamespace('tidings')") is None
    assert await user.fetchval("select to_regnamespace('collections_default')") is None


async def test_a_server_whose_schema_is_taken_away_says_so_and_stops(used: Any, database_url: str) -> None:
    user, server = used
    while True:  # a server at work can be what PostgreSQL ends a deadlock in favour of
        with suppress(asyncpg.DeadlockDetectedError):
            await user.execute("drop schema tidings cascade")
            break
    code, said = await server.ended()
    assert code == 2
    assert "Schema tidings was taken out of the database" in said


async def test_a_plan_of_migrations_changes_nothing(database_url: str) -> None:
    user = await asyncpg.connect(database_url)
    names = [f"{number:04d}_{name}" for number, name, _ in available()]
    nothing = run_cli("migrate", "--plan", database_url=database_url, secret_key="test")
    assert nothing.stdout == "Nothing to do: the schema is up to date.\n"
    await user.execute("drop schema tidings cascade")
    told = run_cli("migrate", "--plan", "--json", database_url=database_url, secret_key="test")
    assert json.loads(told.stdout) == {"pending": names}
    assert await user.fetchval("select to_regnamespace('tidings')") is None
    await user.close()
