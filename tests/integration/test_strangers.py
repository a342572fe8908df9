"""Roles of the same database that are not ours: what they put where our session, functions or people might run it."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.integration.test_tables import configure, start_backfill
from tests.support.engine import Engine, engine_of
from tests.support.receiver import Receiver
from tidings.config import Config
from tidings.core.errors import ConflictError, InvalidInputError, StartupError
from tidings.operations.sources import collections
from tidings.store import roles, uninstall
from tidings.store.database import open_database
from tidings.store.migrations import migrate

NOWHERE = "http://127.0.0.1:9/"

# What fits the arguments of ours better than PostgreSQL's own does, and notes who runs it.
PLANTED = """
create table caught (who text);
grant insert on caught to public;
create function public.format(text, text) returns text language plpgsql as
  $$ begin insert into public.caught values (current_user); return pg_catalog.format($1, variadic array[$2]); end $$;
create function public.unnest(text[]) returns setof text language plpgsql as
  $$ begin insert into public.caught values (current_user); return query select pg_catalog.unnest($1); end $$;
create function public.cardinality(text[]) returns integer language plpgsql as
  $$ begin insert into public.caught values (current_user); return pg_catalog.cardinality($1); end $$;
create function public.tell(text, integer) returns text language plpgsql as
  $$ begin insert into public.caught values (current_user); return $1 || $2::text; end $$;
create operator public.|| (leftarg = text, rightarg = integer, function = public.tell);
create type public.mood as enum ('calm', 'wild');
create function public.above(mood[], mood[]) returns boolean language plpgsql as
  $$ begin insert into public.caught values (current_user); return array_gt($1, $2); end $$;
create function public.same(mood[], mood[]) returns boolean language plpgsql as
  $$ begin insert into public.caught values (current_user); return array_eq($1, $2); end $$;
create operator public.> (leftarg = mood[], rightarg = mood[], function = public.above);
create operator public.= (leftarg = mood[], rightarg = mood[], function = public.same);
create table moods (moods mood[] primary key);
insert into moods values ('{calm}'), ('{wild}');
"""


@pytest.fixture
async def stranger(postgres: str, database_url: str) -> AsyncIterator[Any]:
    """A connection of a role that may make things in `public`, as everybody could before PostgreSQL 15, and nothing else."""
    root = await asyncpg.connect(database_url)
    role = f"stranger_{await root.fetchval('select pg_backend_pid()')}"
    await root.execute(f"create role {role} login; grant create on schema public to {role}")
    connection = await asyncpg.connect(database_url.replace("//postgres:@", f"//{role}:@"))
    yield connection
    await connection.close()
    await root.execute(f"drop owned by {role} cascade; drop role {role}")
    await root.close()


async def test_functions_of_strangers_in_public_are_not_run(config: Config, stranger: Any, receiver: Receiver) -> None:
    await stranger.execute(PLANTED)
    async with engine_of(config) as engine:
        await engine.user.execute("create table t (id int primary key, total int, note text); insert into t values (1, 9)")
        hook = await engine.add_webhook(receiver.url(), {"table": "t"})
        await configure(engine, "t", excluded_columns=("note",), conditions={"INSERT": "new.total > 5"})
        await start_backfill(engine, hook.id)
        await engine.worker.backfiller.run_once()
        hook = await engine.add_webhook(NOWHERE, {"table": "moods"}, name="of moods")
        await start_backfill(engine, hook.id, "moods")
        while await engine.value("select count(*) from tidings.backfills where state = 'running'"):
            await engine.worker.backfiller.run_once()
        assert await engine.value("select sum(row_count) from tidings.backfills") == 3
        await collections.create(engine.services, "posts", fields=[{"name": "title", "type": "text"}])
        await engine.cycle()
        assert len(receiver.received) == 1
        found = await uninstall.look(engine.services.wide)
        assert found is not None
        async with engine.services.wide.connection() as connection:
            await roles.missing_on(connection, [("public", "t")], ["trigger"])
        assert await engine.sql("select who from public.caught") == []


async def test_a_key_whose_type_has_operators_of_its_own_is_compared_by_them(config: Config) -> None:
    """As citext: "B" stands between "a" and "c". Compared as text it comes before, and "a" would be passed over or told twice."""
    async with engine_of(config) as engine:
        await engine.user.execute("""
          create schema types; set search_path = types, public;
          create type ci;
          create function ci_in(cstring) returns ci language internal immutable strict as 'textin';
          create function ci_out(ci) returns cstring language internal immutable strict as 'textout';
          create type ci (input = ci_in, output = ci_out, like = text);
          create cast (ci as text) without function as implicit;
          create function lt(ci, ci) returns boolean language sql immutable strict as 'select lower($1::text) < lower($2::text)';
          create function le(ci, ci) returns boolean language sql immutable strict as 'select lower($1::text) <= lower($2::text)';
          create function eq(ci, ci) returns boolean language sql immutable strict as 'select lower($1::text) = lower($2::text)';
          create function ge(ci, ci) returns boolean language sql immutable strict as 'select lower($1::text) >= lower($2::text)';
          create function gt(ci, ci) returns boolean language sql immutable strict as 'select lower($1::text) > lower($2::text)';
          create function cmp(ci, ci) returns int language sql immutable strict as
            'select case when lower($1::text) < lower($2::text) then -1 when lower($1::text) > lower($2::text) then 1 else 0 end';
          create operator < (leftarg = ci, rightarg = ci, function = lt, commutator = >, negator = >=);
          create operator <= (leftarg = ci, rightarg = ci, function = le, commutator = >=, negator = >);
          create operator = (leftarg = ci, rightarg = ci, function = eq, commutator = =);
          create operator >= (leftarg = ci, rightarg = ci, function = ge, commutator = <=, negator = <);
          create operator > (leftarg = ci, rightarg = ci, function = gt, commutator = <, negator = <=);
          create operator class ci_ops default for type ci using btree as
            operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 cmp(ci, ci);
          create table public.t (name ci primary key);
          set search_path = public;
          insert into t select types.ci_in(textout(chr(c) || n)) from generate_series(97, 122) c, generate_series(1, 100) n where c % 2 = 0;
          insert into t select types.ci_in(textout(upper(chr(c)) || n)) from generate_series(97, 122) c, generate_series(1, 100) n where c % 2 = 1;
        """)
        hook = await engine.add_webhook(NOWHERE, {"table": "t"})
        await start_backfill(engine, hook.id)
        while await engine.value("select count(*) from tidings.backfills where state = 'running'"):
            await engine.worker.backfiller.run_once()
            assert await engine.value("select error from tidings.backfills") is None
        counts = await engine.sql("select count(*) as told, count(distinct record ->> 'name') as names from tidings.outbox")
        assert tuple(counts[0]) == (2600, 2600)
        # In a condition, where it would be compared as text, it is refused.
        with pytest.raises(InvalidInputError, match="condition"):
            await configure(engine, "t", conditions={"INSERT": "new.name > 'b'"})


# Casts -----------------------------------------------------------------------------------------------------------------

EVIL = """
create table caught (who text);
create type mood as enum ('calm', 'NULL', 'a b,c');
create type inner_kind as (m mood, n int);
create type outer_kind as (i inner_kind, t text);
create domain moods as mood[];
create type span as range (subtype = int8);
create table t (id int primary key, m mood, ms mood[], d moods, i inner_kind, o outer_kind, many inner_kind[], s span, plain text);
"""
CASTS = """
create function evil(mood) returns json language plpgsql as $$ begin insert into public.caught values (current_user); return '"evil"'; end $$;
create function evil(span) returns json language plpgsql as $$ begin insert into public.caught values (current_user); return '"evil"'; end $$;
create cast (mood as json) with function evil(mood);
create cast (span as json) with function evil(span);
"""
ROW = (
    """insert into t values ({}, 'calm', '[0:2]={{calm,NULL,"NULL"}}', '{{{{calm}},{{"a b,c"}}}}', row('a b,c', 1), """
    """row(row('calm', null), 'x "y"'), array[row('calm', 1), null, row(null, null)]::inner_kind[], '[1,5)', 'p'), """
    """({}, null, '{{}}', null, null, row(null, null), '{{}}', null, null)"""
)


async def make_captured(engine: Engine, stranger: Any) -> None:
    await stranger.execute(EVIL)
    await engine.add_webhook(NOWHERE, {"table": "t"})


async def test_casts_of_strangers_are_not_run_with_our_rights(config: Config, stranger: Any) -> None:
    async with engine_of(config) as engine:
        await make_captured(engine, stranger)
        await stranger.execute(ROW.format(1, 2))
        expected = [msgspec.json.decode(row["whole"]) for row in await engine.sql("select row_to_json(t) as whole from t")]
        await stranger.execute(CASTS)
        await stranger.execute(ROW.format(3, 4))
        await configure(engine, "t", group_column="m", excluded_columns=("plain",))
        await stranger.execute(ROW.format(5, 6))
        hook = await engine.add_webhook(NOWHERE, {"table": "t"}, name="another")
        await configure(engine, "t")
        await start_backfill(engine, hook.id)
        await engine.worker.backfiller.run_once()
        assert await stranger.fetch("select who from caught") == []
        rows = await engine.sql("select record, capture_error, group_id from tidings.outbox order by id")
        assert [row["capture_error"] for row in rows] == [None] * len(rows)
        told = [msgspec.json.decode(row["record"]) for row in rows]
        for number, record in enumerate(told):
            like = expected[number % 2] | {"id": record["id"]}
            if number in {4, 5}:
                del like["plain"]
            assert record == like, f"row {number}"
        assert len(told) == 12
        assert [rows[number]["group_id"] for number in (4, 5)] == ["calm", "default"]


async def test_a_cast_of_ours_is_used(config: Config, stranger: Any) -> None:
    """As that of an extension: a superuser owns its type."""
    async with engine_of(config) as engine:
        await engine.user.execute("""
          create type pair as enum ('a'); create table t (id int primary key, p pair, ps pair[]);
          create function pair_json(pair) returns json language sql as $$ select '{"p": 1}'::json $$;
          create cast (pair as json) with function pair_json(pair)""")
        await engine.add_webhook(NOWHERE, {"table": "t"})
        await engine.user.execute("insert into t values (1, 'a', '{a}')")
        (row,) = await engine.sql("select record from tidings.outbox")
        assert msgspec.json.decode(row["record"]) == {"id": 1, "p": {"p": 1}, "ps": [{"p": 1}]}


# Schemas that are there already ----------------------------------------------------------------------------------------


async def test_a_schema_of_a_stranger_is_not_migrated(empty_database_url: str) -> None:
    root = await asyncpg.connect(empty_database_url)
    role = f"stranger_{await root.fetchval('select pg_backend_pid()')}"
    database = await open_database(empty_database_url, max_connections=2)
    try:
        await root.execute(f"create role {role}; create schema tidings authorization {role}")
        with pytest.raises(StartupError, match=f"There is a schema tidings already, which belongs to {role}"):
            await migrate(database)
        await root.execute(
            "alter schema tidings owner to postgres; create function tidings.member(json, varchar) returns text language sql return ''"
        )
        with pytest.raises(StartupError, match="is not Tidings'"):
            await migrate(database)
        await root.execute("drop schema tidings cascade; create schema tidings")
        assert len(await migrate(database)) > 20
    finally:
        await database.close()
        await root.execute(f"drop owned by {role}; drop role {role}")
        await root.close()


async def test_a_collection_is_not_made_in_the_schema_of_a_stranger(config: Config, stranger: Any) -> None:
    role = await stranger.fetchval("select current_user")
    async with engine_of(config) as engine:
        await engine.user.execute(f"create schema collections_default authorization {role}")
        with pytest.raises(ConflictError, match=f"belongs to {role}"):
            await collections.create(engine.services, "posts", fields=[{"name": "title", "type": "text"}])
        assert await engine.value("select to_regclass('collections_default.posts')") is None
        await engine.user.execute("alter schema collections_default owner to postgres")
        await collections.create(engine.services, "posts", fields=[{"name": "title", "type": "text"}])


# Statements that people run --------------------------------------------------------------------------------------------


async def test_a_statement_to_drop_a_trigger_is_no_other(config: Config, stranger: Any) -> None:
    name = """x"; create role planted; --"""
    async with engine_of(config) as engine:
        await stranger.execute('create table "x""; create role planted; --" (id int)')
        await engine.add_webhook(NOWHERE, {"table": name})
        await stranger.execute(
            """do $$ declare t text; begin select tgname into t from pg_trigger where tgrelid = '"x""; create role planted; --"'::regclass limit 1;
            execute format('alter trigger %I on "x""; create role planted; --" rename to "y; select 1"', t); end $$"""
        )
        found = await uninstall.look(engine.services.wide)
        assert found is not None
        assert [one.drop for one in found.triggers] == ['DROP TRIGGER "y; select 1" ON public."x""; create role planted; --";']
