"""PostgreSQL keeps groups apart: what the role of requests can reach, and what it sees of another group."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from tests.support.engine import Engine
from tests.support.furnished import MARK, ROLE, Furnished, as_role, furnishing
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.operations import attention
from tidings.store.request_rights import RIGHTS
from tidings.store.statements import load

# Tables that the role of requests cannot reach at all. A new one stands here, with the reason, or in `RIGHTS`, with a policy.
OUT_OF_REACH = {
    "migrations": "the engine's own",
    "settings": "the installation's",
    "signing_keys": "the installation's secrets",
    "signers": "the installation's secrets",
    "api_keys": "keys: who may act for a group is not the group's to read",
    "api_key_uses": "keys",
    "sessions": "tokens of people",
    "portal_links": "tokens of people",
    "members": "people, of one group or of all",
    "member_roles": "who may act for a group is not the group's to read",
    "captured_tables": "settings of the user's tables, which are of all groups",
    "flights": "leases of several groups in one row: read through under_way",
    "relay_flights": "events of several groups in one row, on their way to a home",
    "landed_flights": "the engine's own",
    "placing": "where groups live, of all of them",
    "group_moves": "where groups live, of all of them",
    "outbox_rejected": "what could not be read, of all groups: operators' alone",
    "unreadable": "what could not be read, of all groups: operators' alone",
    "backfill_changes": "the engine's own",
    "backfill_busy": "the engine's own",
    "group_rates": "what groups may publish is decided at the doors, for those that wait together",
    "group_paces": "written by the bookkeeper; limits are read with our own rights",
    "group_overruns": "written by the bookkeeper; limits are read with our own rights",
    "stored_bytes": "written by the bookkeeper; limits are read with our own rights",
    "certificate_warnings": "the engine's own",
    "webhook_counters": "written by the bookkeeper, and read for /metrics, which is of all groups",
    "payload_ends": "the engine's own",
    "erasure_waits": "the engine's own",
    "privacy_version": "the engine's own; a trigger with our rights counts",
    "audit_pending": "the chain of the audit, which is of all groups",
    "audit_chain": "the chain of the audit, which is of all groups",
    "audit_head": "the chain of the audit, and its key",
}

# Rows of no group: the policy lets everybody see them.
OF_NO_GROUP = {"routes_version", "webhook_changes", "counters", "workers", "default_limits", "api_key_changes", "relay_wishes"}

# What is asked of the catalogue: every relation of ours, with what the role may do with it. Partitions are reached by their roots.
_RELATIONS = """
select c.relname as name, c.relkind::text as kind, c.relrowsecurity as is_secured, c.relispartition as is_partition,
  exists (select from pg_policy p where p.polrelid = c.oid) as has_policy,
  has_table_privilege($1, c.oid, 'select,insert,update,delete,truncate,references,trigger')
    or has_any_column_privilege($1, c.oid, 'select,insert,update,references') as is_reached,
  case when c.relkind = 'v' then pg_get_viewdef(c.oid) end as definition
from pg_class c where c.relnamespace = 'tidings'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
_SEQUENCES = """
select c.relname from pg_class c where c.relnamespace = 'tidings'::regnamespace
  and case when c.relkind = 'S' then has_sequence_privilege($1, c.oid, 'usage,select,update') end
"""
_POWERFUL_FUNCTIONS = """
select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'tidings'::regnamespace and p.prosecdef
  and has_function_privilege($1, p.oid, 'execute')
"""


@pytest.fixture
async def acme(engine: Engine, api_server: ApiServer, receiver: Receiver) -> AsyncIterator[Furnished]:
    async with furnishing(engine, api_server, receiver.url()) as made:
        yield made


async def unreached(connection: Any) -> list[str]:
    """Return what is wrong with the tables and views there are."""
    wrong = []
    for row in await connection.fetch(_RELATIONS, ROLE):
        name, is_named = row["name"], row["name"] in RIGHTS
        if row["is_partition"]:
            wrong += [f"{name} is a partition and can be asked by itself"] if row["is_reached"] else []
        elif not is_named and name not in OUT_OF_REACH:
            wrong.append(f"{name} is new: give it a policy and a line in store/request_rights.py, or a reason in OUT_OF_REACH")
        elif is_named is not row["is_reached"]:
            wrong.append(f"{name} is{'' if row['is_reached'] else ' not'} reached, against what is said of it")
        elif row["is_reached"] and row["kind"] == "v":
            wrong += [] if "is_bound" in row["definition"] else [f"{name} is a view that keeps nothing apart"]
        elif row["is_reached"] and not (row["is_secured"] and row["has_policy"]):
            wrong.append(f"{name} is reached without a policy")
    return wrong


# What there is ----------------------------------------------------------------------------------------------------------------


async def test_every_table_is_out_of_reach_or_has_a_policy(engine: Engine) -> None:
    assert await unreached(engine.user) == []
    assert await engine.sql(_SEQUENCES, ROLE) == []
    assert await engine.sql(_POWERFUL_FUNCTIONS, ROLE) == [], "a function with our rights is for us alone"


async def test_a_table_that_somebody_adds_without_a_policy_is_found(engine: Engine) -> None:
    await engine.sql("create table tidings.novelties (group_id text)")
    (wrong,) = await unreached(engine.user)
    assert wrong.startswith("novelties is new")
    await engine.sql("drop table tidings.novelties")
    await engine.sql("alter table tidings.bins disable row level security")
    assert await unreached(engine.user) == ["bins is reached without a policy"]


async def test_the_role_has_no_rights_beside_those_that_are_written_down(engine: Engine) -> None:
    for table, right in (("api_keys", "select"), ("events", "delete"), ("flights", "select")):
        assert not await engine.value("select has_table_privilege($1, $2, $3)", ROLE, f"tidings.{table}", right), table
    row = (await engine.sql("select * from pg_roles where rolname = $1", ROLE))[0]
    assert not any(row[name] for name in ("rolsuper", "rolbypassrls", "rolcanlogin", "rolcreaterole", "rolcreatedb"))


# What it sees -----------------------------------------------------------------------------------------------------------------


async def _columns(connection: Any, table: str) -> str:
    """Return the columns of a table that the role may read."""
    rows = await connection.fetch(
        "select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped "
        "and has_column_privilege(current_user, attrelid, attnum, 'select') order by attnum",
        f"tidings.{table}",
    )
    return ", ".join(f'"{row["attname"]}"' for row in rows)


def _may(table: str, verb: str) -> bool:
    return any(right == verb for right, _ in RIGHTS[table])


async def test_the_role_sees_and_changes_nothing_of_another_group(acme: Furnished) -> None:
    """Every table, by generated statements: with another group said, with none, and with an empty one."""
    empty = []
    rows: dict[str, str] = {}
    async with as_role(acme.engine, "acme") as own:
        for table in RIGHTS:
            found = await acme.engine.sql(f"select row_to_json(t)::text as row from tidings.{table} t limit 1")
            if _may(table, "select") and table not in OF_NO_GROUP and not table.startswith("walked_"):
                seen = await own.fetch(f"select row_to_json(t)::text as row from tidings.{table} t limit 1")
                empty += [] if seen else [table]
                found = seen
            rows |= {table: found[0]["row"]} if found else {}
    assert empty == [], "of these nothing can be said: have the group have some"
    assert len(rows) > 25
    for group_id in ("nobody", "", None):
        async with as_role(acme.engine, group_id) as role:
            for table in RIGHTS:
                if table not in OF_NO_GROUP:
                    await _sees_and_changes_nothing(role, table, rows.get(table))


async def _sees_and_changes_nothing(role: Any, table: str, row: str | None) -> None:
    if _may(table, "select"):
        columns = await _columns(role, table)
        if table.startswith("walked_"):  # there are rows, of which the id alone is told
            for seen in await role.fetch(f"select * from tidings.{table}"):
                assert [value for name, value in seen.items() if name != "id" and value is not None] == [], table
        else:
            assert await role.fetch(f"select {columns} from tidings.{table}") == [], table
            assert await role.fetchval(f"select count(*) from tidings.{table}") == 0, table
    if _may(table, "delete"):
        assert await role.execute(f"delete from tidings.{table}") == "DELETE 0", table
    for verb, column in RIGHTS[table]:
        if verb == "update":
            name = column or (await _columns(role, table)).split(", ")[0]
            assert await role.execute(f"update tidings.{table} set {name} = {name}") == "UPDATE 0", table
    if _may(table, "insert") and row is not None and table != "lanes":  # a second lane of a webhook is no lane: it is its key
        insert = (
            f"insert into tidings.{table} overriding system value select * from json_populate_record(null::tidings.{table}, $1)"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await role.execute(insert, row)


async def test_another_groups_lane_cannot_be_made_or_taken(acme: Furnished) -> None:
    async with as_role(acme.engine, "other") as role:
        lane = "insert into tidings.lanes (webhook_id, concurrency, allowance) values ($1, 1, 1)"
        with pytest.raises((asyncpg.UniqueViolationError, asyncpg.InsufficientPrivilegeError)):
            await role.execute(lane, UUID(acme.ids["webhook_id"]))
        with pytest.raises((asyncpg.ForeignKeyViolationError, asyncpg.InsufficientPrivilegeError)):
            await role.execute(lane, UUID(int=7))


async def test_records_of_a_collection_are_seen_by_its_group_alone_and_by_whoever_else_may_read_the_table(
    acme: Furnished,
) -> None:
    (table,) = await acme.engine.sql("select table_schema, name from tidings.collections")
    asked = f'select count(*) from "{table["table_schema"]}"."{table["name"]}"'
    async with as_role(acme.engine, "acme") as role:
        assert await role.fetchval(asked) == 1
    for group_id in ("other", "", None):
        async with as_role(acme.engine, group_id) as role:
            assert await role.fetchval(asked) == 0
    reader = f"reader_of_{acme.engine.services.wide.url.partition('?')[0].rpartition('/')[2]}"
    await acme.engine.sql(f"create role {reader}")
    try:
        await acme.engine.sql(f'grant usage on schema "{table["table_schema"]}" to {reader}')
        await acme.engine.sql(f'grant select on "{table["table_schema"]}"."{table["name"]}" to {reader}')
        connection = acme.engine.user  # who may take the role
        async with connection.transaction():
            await connection.execute(f"set local role {reader}")
            assert await connection.fetchval(asked) == 1
    finally:
        await acme.engine.sql(f"drop owned by {reader}")
        await acme.engine.sql(f"drop role {reader}")


# A condition that is forgotten ----------------------------------------------------------------------------------------------------

_OF_GROUP = re.compile(r"(?:\b\w+\.)?group_id = (\$\d+)\b")


def _forgetful() -> list[tuple[str, str]]:
    """Return every statement that reads something of a group, without what says of which."""
    found = []
    for path in (files("tidings.store") / "sql").iterdir():
        file = path.name.removesuffix(".sql")
        for name, sql in load(file).items():
            if sql.startswith(("select", "with last", "with found", "with seen")) and _OF_GROUP.search(sql):
                found.append((f"{file}.{name}", _OF_GROUP.sub(r"(\1::text is null or true)", sql)))
    return found


def _given(sql: str, parameters: Any, ids: dict[str, str], turn: int) -> list[Any]:
    """Return what a statement is given: limits that let all through, and in turn what it may be asked for."""
    last, first = UUID(int=2**128 - 1), UUID(int=0)
    known = [UUID(id_) for id_ in ids.values() if len(id_) == 36]
    uuid: Any = (None, UUID(ids["webhook_id"]), UUID(ids["delivery_id"]), UUID(ids["job_id"]), UUID(ids["bin_id"]))[turn % 5]
    by_type: dict[str, Any] = {
        "text": ("acme", None, "order.paid", "posts")[turn // 5], "uuid": uuid, "uuid[]": known, "text[]": None,
        "int8": 100, "int4": 100, "timestamptz": None, "bool": True,
    }  # fmt: skip
    offsets = {int(number) for number in re.findall(r"offset \$(\d+)", sql)}
    lows, highs = ({int(number) for number in re.findall(rf"\bid {sign} \$(\d+)", sql)} for sign in (">=", "<=?"))
    given = []
    for number, parameter in enumerate(parameters, 1):
        value = by_type.get(parameter.name if parameter.kind != "array" else f"{parameter.name.removesuffix('[]')}[]")
        if parameter.name == "uuid":
            value = first if number in lows else last if number in highs else value
        value = 0 if number in offsets else value
        given.append(value)
    return given


async def test_a_statement_that_forgets_to_ask_for_the_group_shows_nothing_of_others(acme: Furnished) -> None:
    shown, hidden = set(), []
    async with as_role(acme.engine, "other") as role:
        for name, sql in _forgetful():
            asked = await acme.engine.user.prepare(sql)
            for turn in range(20):
                given = _given(sql, asked.get_parameters(), acme.ids, turn)
                try:
                    found = await asked.fetch(*given)
                except asyncpg.DataError:
                    continue  # a text that is to be an id: asked with others in another turn
                if not any(MARK in str(dict(row)) or "acme" in str(dict(row)) for row in found):
                    continue
                shown.add(name)
                try:
                    hidden += [name for row in await role.fetch(sql, *given) if "acme" in str(dict(row))]
                except asyncpg.InsufficientPrivilegeError:
                    break  # it is no statement of requests
    assert hidden == []
    assert len(shown) >= 15, shown


async def test_the_overview_of_somebody_of_one_group_tells_nothing_of_what_others_should_see_to(acme: Furnished) -> None:
    engine = acme.engine
    await engine.user.execute("create table secretive (id int primary key)")
    await engine.add_webhook("http://127.0.0.1:9/", {"table": "secretive"}, group_id="acme")
    await engine.user.execute("drop table secretive")
    await engine.user.execute(
        "insert into tidings.outbox_rejected (id, row_as_json, error) values (1, '{\"group_id\": \"acme\"}', 'It was ill.')"
    )
    whole = await attention.read(engine.services)
    assert "public.secretive" in whole.uncaptured
    assert sum(whole.set_aside.values()) > 0
    own = await attention.read(msgspec.structs.replace(engine.services, group_id="other", bound_to="other"))
    assert (own.uncaptured, own.uncaptured_count, own.set_aside) == ([], 0, {})


# Connections ------------------------------------------------------------------------------------------------------------------


async def test_a_connection_is_never_lent_for_one_group_while_it_sees_another(engine: Engine) -> None:
    """Twenty tasks for five groups share the connections there are; some give up while they wait, some fail inside a transaction."""
    seen = []

    async def ask(number: int) -> None:
        group = f"g{number % 5}"
        database = engine.services.requests.acting_for(group)
        for turn in range(20):
            try:
                async with asyncio.timeout(None if (number + turn) % 3 else 0.0005), database.transaction() as connection:
                    seen.append((group, await connection.fetchval("select current_setting('tidings.group')")))
                    if turn % 4 == 0:
                        await connection.execute("select 1 / 0")
            except (TimeoutError, asyncpg.DivisionByZeroError):
                continue

    await asyncio.gather(*(ask(number) for number in range(20)))
    assert len(seen) > 200
    assert [pair for pair in seen if pair[0] != pair[1]] == []


async def test_a_connection_that_nobody_said_a_group_for_sees_nothing(acme: Furnished) -> None:
    async with acme.engine.services.database.connection() as connection:
        assert await connection.fetchval("select current_user") == ROLE
    async with acme.engine.services.requests.connection() as connection:
        assert await connection.fetchval("select count(*) from tidings.webhooks") == 0


async def test_what_is_set_for_a_transaction_ends_with_it(engine: Engine) -> None:
    asked = "select current_setting('tidings.group')"
    database = engine.services.requests.acting_for("acme").share(1)
    async with database.transaction() as connection:
        await connection.execute("select set_config('tidings.group', 'other', true)")
    async with database.connection() as connection:
        assert await connection.fetchval(asked) == "acme"


async def test_our_own_rights_are_given_back(engine: Engine) -> None:
    from tidings.store.request_role import as_owner

    asked = "select current_user"
    async with engine.services.database.transaction() as connection:
        async with as_owner(connection):
            assert await connection.fetchval(asked) != ROLE
        assert await connection.fetchval(asked) == ROLE
        with pytest.raises(RuntimeError):
            async with as_owner(connection):
                raise RuntimeError
        assert await connection.fetchval(asked) == ROLE
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with engine.services.database.connection() as connection, as_owner(connection):
            await connection.execute("select 1 / 0")
    async with engine.services.database.connection() as connection:
        assert await connection.fetchval(asked) == ROLE
        async with as_owner(connection):
            assert await connection.fetchval(asked) != ROLE
        assert await connection.fetchval(asked) == ROLE


async def test_json_rows_are_as_they_were(acme: Furnished) -> None:
    """What the role reads of its own group is what is there."""
    async with as_role(acme.engine, "acme") as role:
        row = json.loads(await role.fetchval("select record::text from tidings.events where record::text like $1", f"%{MARK}%"))
    assert MARK in row["said"]
