"""Roles that own nothing: what they need, that it is enough, and that what is missing is named with its statement."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.conftest import url_of
from tests.support import debian
from tests.support.engine import Engine, engine_of
from tests.support.process import run_cli
from tests.support.receiver import Receiver
from tidings.app import opened
from tidings.config import Config
from tidings.core.errors import InvalidInputError, StartupError
from tidings.core.grants import Step
from tidings.operations import diagnosis, rights
from tidings.operations.sources import backfills, captures, collections, records
from tidings.operations.webhooks import subscriptions
from tidings.sources import tables
from tidings.store import history, request_role, roles
from tidings.store.database import open_database
from tidings.store.migrations import migrate

_numbers = count(1)


@pytest.fixture(scope="module", params=["ours", *debian.versions()[:1]])
async def server(request: pytest.FixtureRequest, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The PostgreSQL of the tests, and the oldest that the system has."""
    if request.param == "ours":
        yield postgres
        return
    async with debian.running(request.param, tmp_path_factory.mktemp("pg")) as url:
        yield url


class Place:
    """An empty database with tables of somebody's, and names for roles that are not there yet."""

    def __init__(self, url: str, name: str, admin: Any) -> None:
        self.url = url
        self.name = name
        self.admin = admin
        self.owner, self.running, self.request = f"{name}_owner", f"{name}_run", f"{name}_requests"

    def as_(self, role: str) -> str:
        return self.url.replace("//postgres:@", f"//{role}:@")

    async def grants(self, config: Config, **asked: Any) -> list[Step]:
        database = await open_database(self.url if config.database_url is None else config.database_url, max_connections=2)
        try:
            _, _, told = await rights.examine(
                database, **{"way": None, "owner": self.owner, "running": config.running_role, "request": self.request} | asked
            )
            return told
        finally:
            await database.close()


@pytest.fixture
async def place(server: str) -> AsyncIterator[Place]:
    root = await asyncpg.connect(server)
    name = f"r{await root.fetchval('select pg_backend_pid()')}_{next(_numbers)}"
    await root.execute(f"create database {name}")
    admin = await asyncpg.connect(url_of(server, name))
    await admin.execute(f"create role {name}_shop; create schema sales authorization {name}_shop")
    await admin.execute("create table sales.orders (id int primary key, total int, note text)")
    await admin.execute("create table sales.parts (id int primary key) partition by range (id)")
    await admin.execute("create table sales.parts_1 partition of sales.parts for values from (0) to (10)")
    for table in ("orders", "parts", "parts_1"):
        await admin.execute(f"alter table sales.{table} owner to {name}_shop")
    yield Place(url_of(server, name), name, admin)
    await admin.close()
    await root.execute(f"drop database {name} with (force)")
    for row in await root.fetch("select rolname from pg_roles where starts_with(rolname, $1) order by rolname", name):
        await root.execute(f"drop owned by {row['rolname']} cascade; drop role {row['rolname']}")
    await root.close()


@pytest.fixture
def settings(place: Place, tmp_path: Path) -> Config:
    return Config(
        database_url=place.url, data_dir=tmp_path, secret_key="test", admin_key="test", allow_private_networks="127.0.0.0/8",
        port=0, stop_grace_seconds=5, request_role=place.request, running_role=place.running,
    )  # fmt: skip


async def set_up(place: Place, settings: Config) -> Config:
    """Do what `tidings grants` says for two roles, have the one migrate, and return the settings of the other."""
    for step in await place.grants(settings, tables=("sales.orders", "sales.parts")):
        await place.admin.execute(step.statement)
    database = await open_database(place.as_(place.owner), max_connections=2)
    assert len(await migrate(database)) > 20
    await roles.give(database, place.running)
    await request_role.prepare(database, place.request, takers=[place.running])
    await database.close()
    return msgspec.structs.replace(settings, database_url=place.as_(place.running), running_role=None)


async def everything(place: Place, engine: Engine, receiver: Receiver) -> None:
    """Do once what would take an owner, and see that it is done."""
    # Triggers on a table that is neither's, with a condition and on partitions; and what they capture arrives.
    webhook = await engine.add_webhook(
        receiver.url("/hook"), {"schema": "sales", "table": "orders"}, {"schema": "sales", "table": "parts"}
    )
    await place.admin.execute("insert into sales.orders values (1, 12), (2, 13); insert into sales.parts values (1)")
    await place.admin.execute("insert into sales.orders select n, n from generate_series(100, 250) n")  # more than FEW
    await receiver.wait_for(154)
    async with engine.services.wide.transaction() as connection:
        settings = tables.TableSettings("sales", "orders", conditions={"INSERT": "new.total > 5"}, excluded_columns=("note",))
        await tables.change_settings(connection, settings)
    await place.admin.execute("insert into sales.orders values (3, 1), (4, 20)")
    await receiver.wait_for(155)
    # Collections, which have a table each.
    fields = [{"name": "title", "type": "text", "required": True, "unique": True}, {"name": "place", "type": "number"}]
    await collections.create(engine.services, "posts", fields=fields)
    await records.create(engine.services, "posts", [{"title": msgspec.Raw(b'"one"')}])
    fields = [
        {"name": "title", "type": "text"},
        {"name": "rank", "type": "text"},
        {"name": "of", "type": "relation", "collection": "posts"},
    ]
    await collections.change(engine.services, "posts", fields=fields, drop=["place"])
    found = await records.find(engine.services, "posts", limit=5)
    assert found.total == 1
    # History, day by day.
    async with engine.services.wide.transaction() as connection:
        await history.ensure_day(connection, date(2020, 1, 1))
        assert await history.drop_days_before(connection, date(2020, 1, 3)) == 1
    # And all of it goes again.
    await collections.remove(engine.services, "posts", confirm="posts")
    await subscriptions.remove(engine.services, webhook.id)
    assert await place.admin.fetchval("select count(*) from pg_trigger where tgname like 'tidings%' and not tgisinternal") == 0
    await tables.keep_all_in_step(engine.services.wide)


async def owned(place: Place, role: str) -> int:
    """Return how much a role owns, in this database."""
    found: int = await place.admin.fetchval(
        "select count(*) from pg_shdepend where refclassid = 'pg_authid'::regclass and deptype = 'o' "
        "and refobjid = (select oid from pg_roles where rolname = $1)", role,
    )  # fmt: skip
    return found


async def test_a_role_that_owns_nothing_runs_it_all(place: Place, settings: Config, receiver: Receiver) -> None:
    config = await set_up(place, settings)
    async with engine_of(config, running=True) as engine:
        await everything(place, engine, receiver)
        assert {problem.name for problem in (await diagnosis.examine(engine.services)).problems} & {
            "rights",
            "groups",
            "tables",
        } == set()
    assert await owned(place, place.running) == 0
    assert [step.statement for step in await place.grants(config) if step.is_missing] == []
    asked = {"database_url": config.database_url, "request_role": place.request}
    done = await asyncio.to_thread(run_cli, "grants", "--check", **asked)
    assert (done.returncode, done.stdout) == (0, "Nothing is missing.\n")
    await place.admin.execute(f"revoke usage on sequence tidings.statistics_part from {place.running}")
    lacking = await asyncio.to_thread(run_cli, "grants", "--check", **asked)
    assert lacking.returncode == 1
    assert f"GRANT USAGE ON SEQUENCE tidings.statistics_part TO {place.running};" in lacking.stdout


TAKEN = {
    "a table": ("revoke update on tidings.flights from {run}", "GRANT UPDATE ON TABLE tidings.flights TO {run};"),
    "a sequence": ("revoke usage on tidings.statistics_part from {run}", "GRANT USAGE ON SEQUENCE tidings.statistics_part TO {run};"),
    "a function": ("revoke execute on function tidings.ensure_day(date) from {run}", "GRANT EXECUTE ON FUNCTION tidings.ensure_day(day date) TO {run};"),
    "the schema": ("revoke usage on schema tidings from {run}", "GRANT USAGE ON SCHEMA tidings TO {run};"),
    "rows of all groups": ("drop policy running_role on tidings.queue", "CREATE POLICY running_role ON tidings.queue TO {run} USING (true) WITH CHECK (true);"),
}  # fmt: skip


async def test_each_right_that_is_missing_is_named_with_its_statement(place: Place, settings: Config) -> None:
    config = await set_up(place, settings)
    for taken, given in TAKEN.values():
        await place.admin.execute(taken.format(run=place.running))
        statement = given.format(run=place.running)
        if "ON SCHEMA" in given and await place.admin.fetchval(
            "select has_schema_privilege($1, 'tidings', 'usage')", place.running
        ):
            continue  # before PostgreSQL 16 it has what the role of requests has
        with pytest.raises(StartupError) as refused:
            async with opened(config):
                pass
        assert statement in refused.value.message
        assert f"TIDINGS_RUNNING_ROLE={place.running} tidings migrate" in refused.value.message
        assert [step.statement for step in await place.grants(config) if step.is_missing] == [statement]
        await place.admin.execute(statement)
        async with opened(config):
            pass
    await place.admin.execute(
        f"grant truncate, delete on tidings.events, tidings.audit_head to {place.running}"
    )  # and what is too much goes
    database = await open_database(place.as_(place.owner), max_connections=2)
    assert await roles.give(database, None, is_to_take=False) == []
    given_back = await roles.give(database, None)
    await database.close()
    assert len(given_back) == 4
    assert [one for one in given_back if not one.startswith("REVOKE")] == []


# Functions with the owner's rights, each asked for what it is not for.
OVERREACHING = (
    "make_guard('capture', 'begin return true; end', true)",
    "make_guard('when_' || repeat('0', 31) || 'g', 'begin return true; end', true)",
    "drop_guard('is_bound')",
    "drop_leaving('capture')",
    "change_records('drop_table', 'tidings', 'webhooks', '[]')",
    "change_records('drop_table', 'sales', 'orders', '[]')",
    "change_records('add_column', 'collections_default', 'posts', '[\"a\", \"tidings.webhooks\"]')",
    "change_records('drop database', 'collections_default', 'posts', '[]')",
)


async def test_what_has_the_owners_rights_does_one_thing_each_for_running_roles_alone(place: Place, settings: Config) -> None:
    await set_up(place, settings)
    running = await asyncpg.connect(place.as_(place.running))
    for asked in OVERREACHING:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RaiseError)) as refused:
            await running.execute(f"select tidings.{asked}")
        assert "permission denied" not in str(refused.value), asked  # it is refused for what it asks
    await running.close()
    stranger = f"{place.name}_stranger"
    await place.admin.execute(f"create role {stranger}; grant usage on schema tidings to {stranger}")
    names = ["ensure_day", "drop_days_before", "make_guard", "drop_guard", "make_leaving", "drop_leaving", "change_records"]
    rows = await place.admin.fetch(
        "select has_function_privilege($1, oid, 'execute') as may, prosecdef from pg_proc "
        "where pronamespace = 'tidings'::regnamespace and proname = any ($2)",
        stranger,
        names,
    )
    assert [(row["may"], row["prosecdef"]) for row in rows] == [(False, True)] * len(names)


async def test_rights_that_cannot_be_given_now_make_nobody_wait(place: Place, settings: Config) -> None:
    await set_up(place, settings)
    await place.admin.execute("drop policy running_role on tidings.webhooks; drop policy running_role on tidings.queue")
    database = await open_database(place.as_(place.owner), max_connections=2)
    idle = await asyncpg.connect(place.url)
    async with idle.transaction():  # one of the user's, whose trigger has read a table of ours
        await idle.execute("select from tidings.webhooks")
        with pytest.raises(StartupError, match="open for long use tables of Tidings"):
            await roles.give(database, place.running, tries=1)
    await idle.close()
    assert len(await roles.give(database, place.running)) == 2
    await database.close()
    await place.admin.execute(f"revoke create on database {place.name} from {place.owner}")  # it has made its schema
    assert [step.statement for step in await place.grants(settings) if step.is_missing] == []


async def test_a_table_that_may_not_be_captured_is_refused_with_the_statement(
    place: Place, settings: Config, receiver: Receiver
) -> None:
    config = await set_up(place, settings)
    table = {"schema": "sales", "table": "parts"}
    await place.admin.execute(
        f"revoke trigger on sales.parts, sales.parts_1 from {place.running}; revoke usage on schema sales from {place.running}"
    )
    async with engine_of(config) as engine:
        with pytest.raises(InvalidInputError) as refused:
            await engine.add_webhook(receiver.url(), table)
        statements = re.findall(r"GRANT [^;]+;", refused.value.message)
        assert statements == [
            f"GRANT USAGE ON SCHEMA sales TO {place.running};",
            f"GRANT TRIGGER ON sales.parts TO {place.running};",
            f"GRANT TRIGGER ON sales.parts_1 TO {place.running};",
        ]
        for statement in statements:
            await place.admin.execute(statement)
        webhook = await engine.add_webhook(receiver.url(), table)
        # Taken back, so that the trigger cannot be taken away: it is said where one looks, and gone once it may be.
        await place.admin.execute(f"revoke trigger on sales.parts_1 from {place.running}")
        await subscriptions.remove(engine.services, webhook.id)
        left = (await captures.read(engine.services, "sales.parts")).capture
        assert left.state == "left"
        assert left.reason is not None
        assert f'As {place.name}_shop run: DROP TRIGGER "tidings_capture" ON "sales"."parts";' in left.reason
        (problem,) = [one for one in (await diagnosis.examine(engine.services)).problems if one.name == "rights"]
        assert f"those of sales.parts. Let it, as {place.name}_shop: GRANT TRIGGER ON sales.parts_1" in problem.sentence
        await place.admin.execute(f"grant trigger on sales.parts_1 to {place.running}")
        await tables.keep_all_in_step(engine.services.wide)
        assert (await captures.read(engine.services, "sales.parts")).capture.state == "unwanted"
    assert await place.admin.fetchval("select count(*) from pg_trigger where tgname like 'tidings%'") == 0


async def test_a_backfill_is_refused_at_the_call_with_all_that_it_takes(
    place: Place, settings: Config, receiver: Receiver
) -> None:
    """What its role may not read would be left out in silence, or be found out when the answer is long given."""
    config = await set_up(place, settings)
    await place.admin.execute(
        "insert into sales.orders select n, n from generate_series(1, 20) n; alter table sales.orders enable row level security; "
        f"revoke select, update (id) on sales.orders from {place.running}; revoke usage on schema sales from {place.running}"
    )
    async with engine_of(config, running=True) as engine:
        await place.admin.execute(f"grant usage on schema sales to {place.running}")
        webhook = await engine.add_webhook(receiver.url(), {"schema": "sales", "table": "orders"})
        await place.admin.execute(f"revoke usage on schema sales from {place.running}")
        with pytest.raises(InvalidInputError) as refused:
            await backfills.start(engine.services, "sales.orders", webhook.id)
        assert refused.value.field == "table"
        statements = re.findall(r"(?:GRANT|CREATE POLICY) [^;]+;", refused.value.message)
        assert statements == [
            f"GRANT USAGE ON SCHEMA sales TO {place.running};",
            f"GRANT SELECT ON sales.orders TO {place.running};",
            f"GRANT UPDATE (id) ON sales.orders TO {place.running};",
            f"CREATE POLICY tidings_backfills ON sales.orders TO {place.running} USING (true) WITH CHECK (false);",
        ]
        for statement in statements:
            await place.admin.execute(statement)
        await backfills.start(engine.services, "sales.orders", webhook.id)
        await receiver.wait_for(20)


async def test_a_collection_is_refused_at_the_call_where_no_schema_may_be_made(place: Place, settings: Config) -> None:
    config = await set_up(place, settings)
    async with engine_of(config) as engine:
        await place.admin.execute(f"revoke create on database {place.name} from {place.owner}")
        with pytest.raises(InvalidInputError) as refused:
            await collections.create(engine.services, "posts", fields=[{"name": "title", "type": "text"}])
        (statement,) = re.findall(r"GRANT [^;]+;", refused.value.message)
        assert statement == f"GRANT CREATE ON DATABASE {place.name} TO {place.owner};"
        await place.admin.execute(statement)
        await collections.create(engine.services, "posts", fields=[{"name": "title", "type": "text"}])
        await place.admin.execute(f"revoke create on database {place.name} from {place.owner}")
        await collections.create(engine.services, "notes", fields=[{"name": "title", "type": "text"}])  # the schema is there


async def test_a_role_without_any_rights_gets_there_by_what_it_is_told(
    place: Place, settings: Config, receiver: Receiver
) -> None:
    """From an empty database, a start after the other: each says what is missing, and an administrator runs just that."""
    await place.admin.execute(f"create role {place.owner} login")
    config = msgspec.structs.replace(settings, database_url=place.as_(place.owner), running_role=None)
    told: list[str] = []
    for _ in range(4):
        try:
            async with opened(config):
                break
        except StartupError as error:
            statements = re.findall(r"(?:GRANT|CREATE ROLE|grant|create role) [^;]+;", error.message)
            if not statements:
                raise
            for statement in statements:
                if statement not in told:
                    await place.admin.execute(statement)
            told += statements
    async with engine_of(config, running=True) as engine:
        with pytest.raises(InvalidInputError) as refused:
            await engine.add_webhook(receiver.url(), {"schema": "sales", "table": "orders"})
        for statement in re.findall(r"GRANT [^;]+;", refused.value.message):
            await place.admin.execute(statement)
        for table in ("parts", "parts_1"):
            await place.admin.execute(f"grant trigger on sales.{table} to {place.owner}")
        await place.admin.execute(f"grant select on sales.orders to {place.owner}")
        await everything(place, engine, receiver)
    assert [step.statement for step in await place.grants(config) if step.is_missing] == []


async def test_who_is_no_superuser_makes_the_roles(place: Place, settings: Config, receiver: Receiver) -> None:
    """As on a managed PostgreSQL: the administrator may make roles and owns the database, and that is all."""
    manager = f"{place.name}_manager"
    await place.admin.execute(f"create role {manager} login createrole; alter database {place.name} owner to {manager}")
    as_manager = await asyncpg.connect(place.as_(manager))
    as_shop = await asyncpg.connect(place.url)
    await as_shop.execute(f"set session authorization {place.name}_shop")
    manage = msgspec.structs.replace(settings, database_url=place.as_(manager))
    for step in await place.grants(manage, way="managed", tables=("sales.orders", "sales.parts")):
        runs = as_shop if step.who == f"{place.name}_shop" else as_manager
        await runs.execute(step.statement)
    await as_manager.close()
    await as_shop.close()
    database = await open_database(place.as_(place.owner), max_connections=2)
    await migrate(database)
    await roles.give(database, place.running)
    await request_role.prepare(database, place.request, takers=[place.running])
    await database.close()
    config = msgspec.structs.replace(settings, database_url=place.as_(place.running), running_role=None)
    async with engine_of(config, running=True) as engine:
        await everything(place, engine, receiver)


async def test_who_does_not_own_the_schema_is_told_who_migrates(place: Place, settings: Config) -> None:
    config = await set_up(place, settings)
    database = await open_database(place.as_(place.running), max_connections=2)
    with pytest.raises(StartupError, match=f"belongs to {place.owner}.*TIDINGS_RUNNING_ROLE={place.running}"):
        await migrate(database)
    await database.close()
    await place.admin.execute("delete from tidings.migrations where number = (select max(number) from tidings.migrations)")
    with pytest.raises(StartupError, match="migrate"):
        async with opened(config):
            pass


PAGE = (Path(__file__).parents[2] / "docs" / "roles.md").read_text()


@pytest.mark.parametrize("section", ["One role that owns all", "A migrating role and a running role", "A managed PostgreSQL"])
async def test_the_statements_of_the_page_are_enough(place: Place, settings: Config, section: str) -> None:
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    assert blocks
    is_one = section.startswith("One")
    names = {
        "tidings_owner": place.owner,
        "tidings_run": place.running,
        "tidings_request": place.request,
        "app": place.name,
        "tidings": place.owner,
    }
    is_old = await place.admin.fetchval("select current_setting('server_version_num')::int < 160000")
    for statement in "".join(blocks).splitlines():
        if is_old:
            statement = statement.replace(" WITH INHERIT FALSE, SET TRUE", "")
        await place.admin.execute(re.sub(r"\b(tidings\w*|app)\b", lambda found: names[found[0]], statement))
    running = place.owner if is_one else place.running
    if "sales.orders" in "".join(blocks):
        told = await place.grants(settings, running=running, tables=("sales.orders",))
    else:
        told = await place.grants(settings, running=running)
    assert [step.statement for step in told if not step.is_there] == []
    database = await open_database(place.as_(place.owner), max_connections=2)
    await migrate(database)
    await roles.give(database, None if is_one else running)
    await request_role.prepare(database, place.request, takers=[running])
    await database.close()
    async with opened(msgspec.structs.replace(settings, database_url=place.as_(running))) as services:
        assert [one for one in (await diagnosis.examine(services)).problems if one.name in {"rights", "groups"}] == []
