"""The schema, the statements and the plans they run by."""

import asyncio
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.integration.test_upgrade import schema_up_to
from tests.support.engine import eventually
from tidings.core.errors import StartupError
from tidings.core.event import Event, day_bounds
from tidings.sources.publish import new_id
from tidings.store import outbox
from tidings.store.database import Database, open_database
from tidings.store.migrations import LAST, OLDEST, available, expect_schema, migrate, pending
from tidings.store.secrets import SecretBox, find_key, load_or_make_key, replace_key
from tidings.store.settings import load_installation
from tidings.store.statements import load

SOURCE = Path(__file__).parents[2] / "src" / "tidings"
FILES = sorted(path.stem for path in (SOURCE / "store" / "sql").glob("*.sql"))


@pytest.mark.parametrize("name", FILES)
async def test_every_statement_prepares_on_a_migrated_database(database_url: str, name: str) -> None:
    connection = await asyncpg.connect(database_url)
    for statement in load(name).values():
        for part in statement.split(";\n") if name == "migrations" else [statement]:
            await connection.prepare(part)
    await connection.close()


@pytest.mark.parametrize("name", FILES)
def test_every_statement_is_used_by_the_module_of_its_name(name: str) -> None:
    module = (SOURCE / "store" / f"{name}.py").read_text()
    assert set(load(name)) == set(
        re.findall(r'(?:_SQL\[|_run\(\s*connection,\s*|_write\(connection, collection, )"(\w+)"', module)
    )


def test_there_is_no_sql_in_python() -> None:
    found = [
        path
        for path in SOURCE.rglob("*.py")
        if re.search(r'"\s*(select .* from|insert into|update \w+ set|delete from)\b', path.read_text(), re.IGNORECASE)
        and "bench" not in path.parts
        and path.name != "database.py"  # asks whether the server is read-only, before there are statements
        and "receiving" not in path.parts  # runs in applications, with their own table
    ]
    assert found == []


async def test_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    databases = [await open_database(empty_database_url, max_connections=1) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(database) for database in databases))
    assert sorted(map(len, applied)) == [0, 0, 0, len(available())]
    for database in databases:
        await database.close()


async def test_a_schema_of_a_newer_version_is_refused(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("insert into tidings.migrations (number, name) values (9999, 'future')")
    database = await open_database(database_url, max_connections=1)
    for oldest in ("9999", "unreadable", "9" * 20):
        await connection.execute("update tidings.settings set value = $1 where name = 'oldest_program'", oldest)
        for doing in (migrate, pending, expect_schema):
            with pytest.raises(StartupError, match="newer Tidings"):
                await doing(database)
    await connection.execute("update tidings.settings set value = $1 where name = 'oldest_program'", str(LAST))
    assert await migrate(database) == await pending(database) == []  # it says that this program can run there
    await expect_schema(database)
    await database.close()
    await connection.close()


async def test_migrations_go_as_far_as_is_said(empty_database_url: str) -> None:
    database = await open_database(empty_database_url, max_connections=1)
    names = [f"{number:04d}_{name}" for number, name, _ in available()]
    assert await pending(database, to="3") == await migrate(database, to="0003_sources") == names[:3]
    assert await oldest(database) == "3"
    assert await migrate(database, to="0002_profiles") == []  # there is no way back
    with pytest.raises(StartupError, match=r"There is no migration '0003_source'; .* Did you mean \"0003_sources\"?"):
        await migrate(database, to="0003_source")
    between = next(place for place, name in enumerate(names) if int(name[:4]) == OLDEST)
    assert await migrate(database, to=str(OLDEST)) == names[3 : between + 1]
    assert await oldest(database) == str(OLDEST), "a program that this breaks must not take it for its own"
    assert await migrate(database) == names[between + 1 :]
    assert await oldest(database) == str(OLDEST)
    await database.close()


async def oldest(database: Database) -> str:
    async with database.connection() as connection:
        return await connection.fetchval("select value from tidings.settings where name = 'oldest_program'")


# What a program that does not know a migration may stumble over, in the SQL of one.
_BREAKS = re.compile(
    r"\b(drop\s+(table|column|view|function|type|schema|sequence|policy|trigger)|rename\s+(to|column)|alter\s+column\s+\w+\s+(set\s+not\s+null|type|drop\s+default)"
    r"|set\s+data\s+type|truncate|delete\s+from\s+tidings|revoke\s+(?!all\s+on\s+function)|set\s+schema|force\s+row\s+level)\b",
    re.IGNORECASE,
)
_NEEDED = re.compile(r"add\s+column\s+(?:if\s+not\s+exists\s+)?\w+[^,;]*\bnot\s+null\b[^,;]*", re.IGNORECASE)


def breaks(sql: str) -> list[str]:
    """What of a migration could break a program that was there before it."""
    bare = re.sub(r"--[^\n]*", "", sql)
    bare = re.sub(r"\$(\w*)\$.*?\$\1\$", "''", bare, flags=re.DOTALL)  # what functions do is looked at when they are reviewed
    needed = [found for found in _NEEDED.findall(bare) if "default" not in found.lower() and "generated" not in found.lower()]
    return [found[0] for found in _BREAKS.finditer(bare)] + needed


def test_what_came_after_the_oldest_program_only_adds() -> None:
    """Raise OLDEST to the number of a migration that does more: programs of before it then say that they cannot go on."""
    assert {number: found for number, _, sql in available() if number > OLDEST and (found := breaks(sql))} == {}
    assert OLDEST <= LAST


def test_what_breaks_a_program_of_before_is_seen() -> None:
    for sql in (
        "drop table tidings.events", "alter table tidings.queue rename column a to b", "alter table a alter column b set not null",
        "alter table a alter b set data type text", "alter table a add column b int not null", "truncate tidings.outbox",
        "alter table a alter column b type bigint", "drop function tidings.publish", "revoke select on tidings.groups from public",
    ):  # fmt: skip
        assert breaks(sql) != [], sql
    for sql in (
        "create table tidings.new (id int not null)", "alter table a add column b int not null default 0, add column c text",
        "alter table a add column n int not null generated always as (1) stored", "-- drop table a", "revoke all on function f from public",
        "do $$ begin delete from tidings.a; end $$",
    ):  # fmt: skip
        assert breaks(sql) == [], sql


async def test_no_migration_waits_for_a_table_that_is_in_use(empty_database_url: str) -> None:
    """Behind a long reader and an open writer each is taken back or done in a moment, and then nothing is locked; it goes when they went."""
    owner = await schema_up_to(29, empty_database_url)
    reader, writer = await asyncpg.connect(empty_database_url), await asyncpg.connect(empty_database_url)
    taken_back = 0
    for number, name, sql in available():
        if number < 30:
            continue
        reading, writing = reader.transaction(isolation="repeatable_read"), writer.transaction()
        await reading.start()
        for table in await owner.fetch(
            "select relname from pg_class where relnamespace = 'tidings'::regnamespace and relkind in ('r', 'p')"
        ):
            await reader.fetch(f'select from tidings."{table["relname"]}" limit 1')
        await writing.start()
        await writer.execute("insert into tidings.outbox (source, type, record) values ('publish', 'a.b', '{}')")
        await owner.execute("set lock_timeout = '50ms'")
        try:
            async with owner.transaction():
                await owner.execute(sql)
        except asyncpg.LockNotAvailableError:
            taken_back += 1
            assert await owner.fetchval("select count(*) from pg_locks where pid = pg_backend_pid() and relation >= 16384") == 0
            await writing.rollback()
            await reading.rollback()
            await owner.execute(sql)
        else:
            await writing.rollback()
            await reading.rollback()
        await owner.execute("insert into tidings.migrations (number, name) values ($1, $2)", number, name)
    assert taken_back > 0  # the test can tell
    for connection in (owner, reader, writer):
        await connection.close()


async def test_a_migration_does_not_hold_up_writers_behind_an_idle_one_and_says_who_that_is(empty_database_url: str) -> None:
    before = await schema_up_to(28, empty_database_url)
    idle, writer = await asyncpg.connect(empty_database_url), await asyncpg.connect(empty_database_url)
    await before.execute("create table orders (id int); create function reads() returns trigger language plpgsql as "
        "'begin perform from tidings.groups; return null; end';"
        "create trigger reads after insert on orders for each row execute function reads()")  # fmt: skip
    transaction = idle.transaction()
    await transaction.start()
    await idle.execute("insert into orders values (1)")
    database = await open_database(empty_database_url, max_connections=1)
    with pytest.raises(StartupError, match=rf"process {idle.get_server_pid()} of role .* is open for \d+ s"):
        await migrate(database, tries=1)
    await writer.execute("set lock_timeout = '1s'; insert into orders values (2)")  # nothing is left in its way
    assert await before.fetchval("select max(number) from tidings.migrations") == 28

    migrating = asyncio.create_task(migrate(database))

    async def is_waiting() -> bool:
        found: bool = await before.fetchval("select exists (select from pg_locks where not granted)")
        return found

    await eventually(is_waiting)
    await writer.execute("set lock_timeout = '60s'; insert into orders values (3)")  # waits no longer than the migration does
    assert not migrating.done()
    await transaction.rollback()
    assert "0030_deleted_groups" in await migrating
    await database.close()
    for connection in (before, idle, writer):
        await connection.close()


TABLES = "select relname from pg_class where relnamespace = 'tidings'::regnamespace and relkind = 'r' order by relname"


async def test_a_failed_migration_leaves_nothing_behind(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    database = await open_database(empty_database_url, max_connections=1)
    await migrate(database, to="1")
    await connection.execute("create function tidings.shaped(json, text[], json) returns json language sql return $1")
    before = await connection.fetch(TABLES)
    with pytest.raises(asyncpg.DuplicateFunctionError):
        await migrate(database)
    assert await connection.fetch(TABLES) == before
    assert await connection.fetch("select number from tidings.migrations") == [(1,)]
    await database.close()
    await connection.close()


async def test_days_begin_where_python_and_postgresql_agree(database_url: str) -> None:
    from datetime import UTC, datetime

    connection = await asyncpg.connect(database_url)
    for day in (
        datetime(2026, 11, 21, tzinfo=UTC),
        datetime(1999, 12, 31, tzinfo=UTC),
        datetime(2099, 2, 28, tzinfo=UTC),
    ):
        low, high = day_bounds(day)
        assert await connection.fetchval("select tidings.first_id_of($1)", day.date()) == low
        assert await connection.fetchval("select tidings.first_id_of($1::date + 1)", day.date()) == high
    await connection.close()


async def test_a_claim_reads_a_long_queue_by_index(database_url: str) -> None:
    """One lane with 50,000 due rows: the claim touches a handful of them."""
    connection = await asyncpg.connect(database_url)
    webhook = uuid4()
    await connection.execute(
        "insert into tidings.webhooks values ($1, 'default', 'n', null, 'https://x', true, null, 'standard', '[]', '', 'POST', '{}', 30, '{}', now(), now())",
        webhook,
    )
    await connection.execute(
        "insert into tidings.lanes (webhook_id, due_at, concurrency, allowance, waiting) values ($1, now(), 100, 100, 50000)",
        webhook,
    )
    await connection.execute(
        "insert into tidings.queue (id, webhook_id, event_id, group_id, due_at) select gen_random_uuid(), $1, gen_random_uuid(), 'default', now() from generate_series(1, 50000)",
        webhook,
    )
    await connection.execute("analyze tidings.queue; analyze tidings.lanes")
    plan = await connection.fetchval(
        "explain (analyze, format json) "
        + load("queue")["claim"]
        .replace("$1", f"'{UUID(int=1)}'::uuid")
        .replace("$2", "now()")
        .replace("$3", "array[10]")
        .replace("$4", f"array['{webhook}']::uuid[]")
        .replace("$5", "1")
    )
    rows = [int(float(number)) for number in re.findall(r'"Actual Rows": ([\d.]+)', plan)]
    assert "queue_due" in plan
    assert max(rows) <= 100
    await connection.close()


@pytest.mark.parametrize("idle", [0, 40_000], ids=["nearly all fail", "most are trusted and idle"])
async def test_a_claim_finds_the_trusted_lanes_behind_very_many_others_by_index(database_url: str, idle: int) -> None:
    """20,000 lanes whose receivers fail have been due for longer: the claim looks at so many of them as it may take, not at all."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """with made as (
          insert into tidings.webhooks select gen_random_uuid(), 'default', 'n', null, 'https://x', true, null, 'standard', '[]', '', 'POST', '{}', 30, '{}', now(), now()
          from generate_series(1, 20010 + {idle}) returning id), numbered as (select id, row_number() over () as number from made)
        insert into tidings.lanes (webhook_id, due_at, concurrency, allowance, waiting, failure_count, last_success_at)
        select id, case when number > 20010 then 'infinity' when number > 10 then now() - interval '1 hour' else now() end, 100, 100, 50,
          case when number between 11 and 20010 then 7 else 0 end, now() from numbered""".replace("{idle}", str(idle))
    )
    await connection.execute("analyze tidings.lanes")
    statement = load("queue")["lock_due_lanes"].replace("$1", "now()").replace("$2", "500").replace("$3", "20")
    assert [row["trusted"] for row in await connection.fetch(statement)] == [True] * 10 + [False] * 20
    for looked in (statement, load("queue")["next_due_at"].replace("$1", "true")):
        plan = await connection.fetchval("explain (analyze, format json) " + looked)
        rows = [int(float(number)) for number in re.findall(r'"(?:Actual Rows|Rows Removed by Filter)": ([\d.]+)', plan)]
        assert "lanes_due_by_trust" in plan
        assert max(rows) <= 100
    await connection.close()


@pytest.mark.parametrize("idle", [0, 40_000], ids=["nearly all are due", "most wait for nothing"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_claim_steps_from_group_to_group_by_index(database_url: str, *, trusted: bool, idle: int) -> None:
    """20,000 lanes of one group have been due for longer than three of another, and 300 groups wait for later."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """insert into tidings.groups (id) select unnest(array['loud', 'quiet']) union all select 'later' || i from generate_series(20004, 20303) i
        union all select 'zz' || i from generate_series(0, 99) i;
        with made as (
          insert into tidings.webhooks select gen_random_uuid(), case when i > 20303 then 'zz' || i % 100 when i > 20003 then 'later' || i when i > 20000 then 'quiet' else 'loud' end,
            'n', null, 'https://x', true, null, 'standard', '[]', '', 'POST', '{}', 30, '{}', now(), now()
          from generate_series(1, 20303 + {idle}) i returning id, group_id)
        insert into tidings.lanes (webhook_id, due_at, concurrency, allowance, waiting, failure_count, last_success_at)
        select id, case when group_id like 'zz%' then 'infinity' when group_id like 'later%' then now() + interval '1 hour' when group_id = 'loud' then now() - interval '1 hour'
          else now() end, 100, 100, 50, {failures}, now() from made""".replace("{idle}", str(idle)).replace(
            "{failures}", "0" if trusted else "7"
        )
    )
    await connection.execute("analyze tidings.lanes")

    await connection.execute("set plan_cache_mode = force_generic_plan")  # as after the fifth time on a connection
    await connection.execute(
        "prepare look (boolean, text, timestamptz, integer, integer, text[], integer) as "
        + load("queue")["lock_due_lanes_of_groups"]
    )

    def asked(behind: str) -> str:
        return f"execute look ({trusted}, '{behind}', now(), 32, 250, array['loud'], 64)"

    groups: list[str] = []
    behind, looks = "", 0
    while behind is not None:
        *rows, last = await connection.fetch(asked(behind))
        groups += [row["group_id"] for row in rows]
        behind, looks = last["group_id"], looks + 1
    assert groups == ["quiet"] * 3
    assert looks == 5, "302 groups wait for something, and a look goes 64 steps"
    for behind in ("", "later20150", "m"):
        plan = await connection.fetchval("explain (analyze, format json) " + asked(behind))
        looked = [int(float(number)) for number in re.findall(r'"(?:Actual Rows|Rows Removed by [A-Za-z ]+)": ([\d.]+)', plan)]
        assert "Seq Scan" not in plan
        assert set(re.findall(r'"Index Name": "(\w+)"', plan)) == {"lanes_due_by_group"}
        assert max(looked) <= 64
    await connection.close()


@pytest.mark.parametrize("count", [1, outbox.FEW, outbox.FEW + 1])
async def test_few_events_and_many_are_written_alike_in_their_order_and_the_bell_rings(database_url: str, count: int) -> None:
    writer, sleeper = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    heard = asyncio.Event()
    await sleeper.add_listener(outbox.OUTBOX_CHANNEL, lambda *_: heard.set())
    assert await outbox.try_sleep(sleeper)
    now = datetime.now(UTC)
    blank = (None, "public", "t", '{"a": 1.50}', '"old"', now, "mine", uuid4())
    events = [Event(new_id(now), "acme", "publish", f"a.t{n}", None, *blank) for n in range(count)]
    async with writer.transaction():
        await outbox.publish(writer, events)
    await asyncio.wait_for(heard.wait(), 20)
    assert outbox.read_events(await outbox.take(writer, count + 1), 0, now) == (events, {})
    await writer.close()
    await sleeper.close()


async def test_a_relay_takes_the_oldest_rows_by_their_number_alone_whatever_the_estimates(database_url: str) -> None:
    writer = await asyncpg.connect(database_url, server_settings={"enable_seqscan": "off", "enable_bitmapscan": "off"})
    await writer.execute(
        "insert into tidings.outbox (source, type, record) select 'publish', 'a.b', to_json(n) from generate_series(1, 3000) n"
    )
    for _ in range(7):  # the plan for any number is the sixth, if it is thought good
        async with writer.transaction():
            taken = await outbox.take_alone(writer, 250)
        assert [row["record"] for row in taken.rows] == [str(1 + n + 250 * _) for n in range(250)]
    statement = load("outbox")["take_alone"]
    for mode in ("force_generic_plan", "force_custom_plan"):
        await writer.execute(f"set plan_cache_mode = {mode}")
        await writer.execute(f"prepare taking as {statement}")
        plan = await writer.fetchval("explain (analyze, format json) execute taking (100, 16000000, 8000000)")
        await writer.execute("deallocate taking")
        assert set(re.findall(r'"Index Name": "(\w+)"', plan)) == {"outbox_pkey"}
        assert max(int(float(number)) for number in re.findall(r'"Actual Rows": ([\d.]+)', plan)) == 100
    await writer.close()


async def test_large_rows_are_taken_alone_up_to_so_many_bytes_and_one_at_least(database_url: str) -> None:
    writer = await asyncpg.connect(database_url)
    await writer.execute(
        "insert into tidings.outbox (source, type, record) select 'publish', 'a.b', to_json(repeat('x', size)) from unnest(array[1500, 600, 600, 10]) size"
    )
    take = load("outbox")["take_alone"]
    assert [len(await writer.fetch(take, 100, 1000, 10**9)) for _ in range(4)] == [1, 2, 1, 0], "while those before have less"
    await writer.close()


async def test_a_session_is_tidied_when_it_is_given_back_unless_own_statements_alone_were_run_in_it(database_url: str) -> None:
    database = await open_database(database_url, max_connections=1)
    own = database.for_own_statements()

    async def said() -> str | None:
        async with own.connection() as connection:
            found: str | None = await connection.fetchval("select current_setting('tidings.left', true)")
            return found or None

    async def leave(where: Database) -> None:
        async with where.connection() as connection:
            await connection.execute("select set_config('tidings.left', 'something', false)")

    await leave(own)
    assert await said() == "something", "what is asked thousands of times costs no journey more"
    await leave(database)
    assert await said() is None
    async with own.connection() as connection:
        await connection.execute("begin; create table public.half_made ()")
    async with own.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("select to_regclass('public.half_made')") is None
    await database.close()


async def test_the_wrong_secret_key_is_refused_at_the_start(database_url: str) -> None:
    database = await open_database(database_url, max_connections=1)
    await load_installation(database, SecretBox("one"), None)
    with pytest.raises(StartupError, match="SECRET_KEY"):
        await load_installation(database, SecretBox("two"), None)
    await database.close()


async def test_a_made_admin_key_is_told_once(database_url: str) -> None:
    database = await open_database(database_url, max_connections=1)
    first = await load_installation(database, SecretBox("k"), None)
    again = await load_installation(database, SecretBox("k"), None)
    given = await load_installation(database, SecretBox("k"), "mine")
    assert first.new_admin_key is not None
    assert again.new_admin_key is None
    assert again.admin_key_hash == first.admin_key_hash != given.admin_key_hash
    await database.close()


def test_a_sealed_secret_opens_for_its_owner_alone() -> None:
    box, owner = SecretBox("k"), uuid4()
    sealed = box.seal("whsec_x", owner)
    assert box.open(sealed, owner) == "whsec_x"
    assert b"whsec_x" not in sealed
    with pytest.raises(StartupError):
        box.open(sealed, uuid4())
    with pytest.raises(StartupError):
        SecretBox("other").open(sealed, owner)


def test_a_made_key_is_kept_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    key = load_or_make_key(tmp_path / "new" / "secret_key")
    assert load_or_make_key(tmp_path / "new" / "secret_key") == key
    assert (tmp_path / "new" / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret_key"]


def test_a_key_is_replaced_whole_whatever_a_process_of_the_same_number_left(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    load_or_make_key(path)
    path.with_suffix(f".{os.getpid()}").write_text("x" * 100)
    replace_key(path, "a much newer key")
    assert (find_key(path), path.stat().st_mode & 0o777) == ("a much newer key", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"a\0b", b"a" * 5000])
def test_what_is_no_key_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Of an empty file in particular: everybody knows what is encrypted under nothing."""
    file = tmp_path / "secret_key"
    file.write_bytes(content)
    for read in (find_key, load_or_make_key):
        with pytest.raises(StartupError, match="is empty, or no key"):
            read(file)
    assert file.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


def test_a_key_that_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "key")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "folder", "nowhere", "loop"):
        with pytest.raises(StartupError, match="secret key"):
            load_or_make_key(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "loop", "nowhere", "pipe"]
