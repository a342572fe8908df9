"""The role of requests: made where it can be, asked for where it cannot."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import asyncpg
import msgspec
import pytest

from tests.conftest import url_of
from tests.support.engine import engine_of
from tidings.app import opened
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.operations import diagnosis
from tidings.operations.sources import collections
from tidings.operations.webhooks import subscriptions
from tidings.store import request_role
from tidings.store.database import open_database
from tidings.store.migrations import LAST, migrate
from tidings.store.statements import load

SECURITY = Path(__file__).parents[2] / "docs/security.md"

_numbers = count(1)


@pytest.fixture
async def name(postgres: str) -> AsyncIterator[str]:
    """A name that no role has; roles whose names begin so are dropped. To be asked for before the databases that they own."""
    connection = await asyncpg.connect(postgres)
    name = f"apart_{await connection.fetchval('select pg_backend_pid()')}_{next(_numbers)}"
    yield name
    for row in await connection.fetch("select rolname from pg_roles where starts_with(rolname, $1)", name):
        await connection.execute(f"drop owned by {row['rolname']} cascade")
        await connection.execute(f"drop role {row['rolname']}")
    await connection.close()


def _as(url: str, role: str) -> str:
    scheme, rest = url.split("://", 1)
    return f"{scheme}://{role}:@{rest.split('@', 1)[1]}"


async def _owned(postgres: str, url: str, owner: str, *, may_make_roles: bool = False) -> str:
    """Return the URL of a fresh database as a login that owns it and is no superuser."""
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"create role {owner} login {'createrole' if may_make_roles else ''}")
    database = url.partition("?")[0].rpartition("/")[2]
    await admin.execute(f"alter database {database} owner to {owner}")
    await admin.close()
    return _as(url, owner)


async def test_a_role_that_cannot_be_made_is_asked_for_with_the_statements(
    name: str, postgres: str, empty_database_url: str, config: Config
) -> None:
    url = await _owned(postgres, empty_database_url, f"{name}_owner")
    config = msgspec.structs.replace(config, database_url=url, request_role=f"{name}_requests")
    with pytest.raises(StartupError) as refused:
        async with opened(config):
            pass
    said = refused.value.message
    statements = [f'create role "{name}_requests" nologin', f'grant "{name}_requests" to "{name}_owner"']
    assert [statement for statement in statements if statement not in said] == []
    assert "\n" not in said
    admin = await asyncpg.connect(postgres)
    await admin.execute(statements[0])
    with pytest.raises(StartupError, match=name):  # it is there, and may not be taken
        async with opened(config):
            pass
    await admin.execute(statements[1])
    await admin.close()
    async with opened(config) as services, services.database.connection() as connection:
        assert await connection.fetchval("select current_user") == f"{name}_requests"
        assert await connection.fetchval("select count(*) from tidings.webhooks") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("select count(*) from tidings.api_keys")


async def test_a_login_that_may_make_roles_makes_it(name: str, postgres: str, empty_database_url: str, config: Config) -> None:
    url = await _owned(postgres, empty_database_url, f"{name}_owner", may_make_roles=True)
    config = msgspec.structs.replace(config, database_url=url, request_role=f"{name}_requests")
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int)")
        await engine.add_webhook("http://127.0.0.1:9/", {"table": "orders"})
        assert [one.name for one in await subscriptions.list_webhooks(engine.services, limit=5)] == ["test"]


async def test_locks_of_the_engine_are_kept_from_others_as_the_docs_say(
    name: str, postgres: str, empty_database_url: str, config: Config
) -> None:
    url = await _owned(postgres, empty_database_url, f"{name}_owner", may_make_roles=True)
    config = msgspec.structs.replace(config, database_url=url, request_role=f"{name}_requests")
    said = re.search(r"```sql\n(revoke execute on function pg_advisory.*?)```", SECURITY.read_text(), re.DOTALL)
    assert said is not None
    statements = said[1].replace("to tidings, tidings_request", f"to {name}_owner, {name}_requests")
    async with engine_of(config) as engine:
        await engine.user.execute("create table orders (id int); grant insert on orders to public")
        await engine.add_webhook("http://127.0.0.1:9/", {"table": "orders"})
        admin = await asyncpg.connect(empty_database_url)
        await admin.execute(f"create role {name}_other login")
        other = await asyncpg.connect(_as(url, f"{name}_other"))
        await other.execute("select pg_advisory_lock(7413202, turn) from generate_series(0, 9) turn")
        await other.execute("insert into orders values (1)")
        assert await engine.worker.dispatcher.run_once() == 0  # held up
        await other.execute("select pg_advisory_unlock_all()")
        await admin.execute(statements)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await other.execute("select pg_advisory_lock(7413202, 0)")
        await other.execute("insert into orders values (2)")
        assert await engine.worker.dispatcher.run_once() == 2
        assert [one.name for one in await subscriptions.list_webhooks(engine.services, limit=5)] == ["test"]
        async with engine.services.database.transaction() as connection:
            await connection.execute(load("outbox")["ring"])
        await other.close()
        await admin.close()


@pytest.mark.parametrize("power", ["superuser", "bypassrls", "owner"])
async def test_a_role_that_policies_do_not_bind_is_refused(postgres: str, config: Config, name: str, power: str) -> None:
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"create role {name}_requests {power if power != 'owner' else ''}")
    if power == "owner":
        owner = await admin.fetchval("select current_user")
        await admin.execute(f'grant "{owner}" to {name}_requests')
    await admin.close()
    with pytest.raises(StartupError, match="keeps nothing"):
        async with opened(msgspec.structs.replace(config, request_role=f"{name}_requests")):
            pass


async def test_processes_that_start_at_once_make_one_role(postgres: str, name: str) -> None:
    admin = await asyncpg.connect(postgres)
    urls = [url_of(postgres, f"{name}_{number}") for number in range(3)]
    for number in range(3):
        await admin.execute(f"create database {name}_{number}")
    databases = [await open_database(url, max_connections=2) for url in urls for _ in range(2)]
    try:
        for database in databases:
            await migrate(database)
        await asyncio.gather(*(request_role.prepare(database, f"{name}_requests") for database in databases))
        for database in databases:
            async with database.connection() as connection:
                assert await connection.fetchval(
                    "select has_table_privilege($1, 'tidings.webhooks', 'select')", f"{name}_requests"
                )
    finally:
        for database in databases:
            await database.close()
        for number in range(3):
            await admin.execute(f"drop database {name}_{number} with (force)")
        await admin.close()


async def test_rights_that_are_too_many_or_too_few_are_put_right_at_the_next_start(config_of_owner: Config) -> None:
    role = config_of_owner.request_role
    async with engine_of(config_of_owner) as engine:
        await engine.sql(f"grant select on tidings.api_keys to {role}")
        await engine.sql(f"grant select (value) on tidings.settings to {role}")
        await engine.sql(f"revoke insert on tidings.webhooks from {role}")
        await request_role.prepare(engine.services.wide, role)
        asked = "select has_table_privilege($1, $2, $3) or has_any_column_privilege($1, $2, $3)"
        assert not await engine.value(asked, role, "tidings.api_keys", "select")
        assert not await engine.value(asked, role, "tidings.settings", "select")
        assert await engine.value(asked, role, "tidings.webhooks", "insert")


async def test_a_process_of_before_takes_no_right_from_those_of_the_newer_release_beside_it(config_of_owner: Config) -> None:
    """It may be started again while they run; what it does not know is not too much."""
    role = config_of_owner.request_role
    async with engine_of(config_of_owner) as engine:
        await engine.user.execute(
            f"insert into tidings.migrations (number, name) values ({LAST + 1}, 'next'); create table tidings.next (id int);"
            f"grant select on tidings.next to {role}; revoke insert on tidings.webhooks from {role}"
        )
        asked = "select has_table_privilege($1, 'tidings.next', 'select')"
        await request_role.prepare(engine.services.wide, role)
        assert await engine.value(asked, role)
        assert await engine.value("select has_table_privilege($1, 'tidings.webhooks', 'insert')", role)
        await engine.sql("delete from tidings.migrations where name = 'next'")
        await request_role.prepare(engine.services.wide, role)
        assert not await engine.value(asked, role)


async def test_a_start_does_not_wait_for_long_behind_whoever_uses_a_collection(config_of_owner: Config) -> None:
    """Others would wait behind it. It gives up what it has and tries again."""
    role = config_of_owner.request_role
    async with engine_of(config_of_owner) as engine:
        await collections.create(engine.services, "posts", fields=[{"name": "a", "type": "text"}])
        (table,) = await engine.sql("select format('%I.%I', table_schema, name) as name from tidings.collections")
        await engine.sql(f"drop policy tidings_requests on {table['name']}")  # as from before there was a role
        async with engine.user.transaction():
            await engine.user.execute(f"lock table {table['name']} in access share mode")
            with pytest.raises(StartupError, match="tables of collections"):
                await request_role.prepare(engine.services.wide, role, tries=1)
        await request_role.prepare(engine.services.wide, role, tries=1)
        policies = "select count(*) from pg_policy where polrelid = $1::text::regclass and polname = 'tidings_requests'"
        assert await engine.value(policies, table["name"]) == 1


async def test_without_the_role_requests_run_as_before_and_the_doctor_says_so(config: Config) -> None:
    async with engine_of(msgspec.structs.replace(config, request_role="none")) as engine:
        await engine.add_webhook("http://127.0.0.1:9/")
        assert len(await subscriptions.list_webhooks(engine.services, limit=5)) == 1
        found = await diagnosis.examine(engine.services)
        assert "groups" in {problem.name for problem in found.problems}
    async with engine_of(config) as engine:
        found = await diagnosis.examine(engine.services)
        assert "groups" not in {problem.name for problem in found.problems}
