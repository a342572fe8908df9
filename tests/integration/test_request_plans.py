"""What calls of one group read while others have very much: every statement under the role of requests, by its plan.

Each operation and each page is asked with what a group has, and each statement that this ran is explained once more, by the plan that
serves whatever is asked, beside thousands of rows of other groups in every table.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.integration.test_groups_apart import OF_NO_GROUP
from tests.integration.test_other_groups import ENDLESS, NO_KEY, bodies
from tests.integration.test_portal_links import routes
from tests.support.engine import Engine, engine_of
from tests.support.furnished import KEY, Furnished, as_role
from tests.support.limits import PATIENCE
from tests.support.portal import visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.store.request_rights import RIGHTS
from tidings.store.statements import load

CROWD = 3000  # rows of each table that are others'
MOST = 1500  # rows that one step of a plan may handle, those it throws away included: walks stop by themselves before

# Copies of rows, each with ids, names and numbers of its own, and of a group of its own; what refers to each other goes on doing so.
# Ids keep what says their time to the minute, which is the partition that they belong in.
_COPY = """
with given as (select jsonb_agg(to_jsonb(t)) as rows, count(*) as count from (select * from tidings.{table} limit 50) t)
insert into tidings.{table} ({columns}) overriding system value
select {values} from given, generate_series(1, $1) i, lateral (
  select jsonb_object_agg(key, case
    when key = any ($2::text[]) then to_jsonb('crowd' || i % 20)
    when key = any ($3::text[]) then to_jsonb((value #>> '{{}}') || '.' || i)
    when key = any ($4::text[]) then to_jsonb((value #>> '{{}}')::bigint + i * 100000::bigint)
    when value #>> '{{}}' ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
      then to_jsonb(overlay(overlay(overlay(value #>> '{{}}' placing substr(md5(value::text || i), 1, 4) from 10) placing substr(md5(value::text || i), 5, 4) from 20)
        placing substr(md5(value::text || i), 9, 12) from 25))
    else value end) as copy
  from jsonb_each(given.rows -> (i % given.count)::integer)) c, jsonb_populate_record(null::tidings.{table}, c.copy) r
on conflict do nothing
"""
_COLUMNS = """
select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''
"""
_ASKS = re.compile(r"\s*(--[^\n]*\n\s*)*(with|select|insert|update|delete)", re.IGNORECASE)
# Walks along history stop after so many rows by themselves, and `test_search` looks at their plans; types are read by the driver.
_APART = re.compile(r"tidings\.walked_|typeinfo_tree")
_KEYS = """
select distinct a.attname as name, format_type(a.atttypid, null) as type from pg_index x
join pg_attribute a on a.attrelid = x.indrelid and a.attnum = any (x.indkey) where x.indisunique and x.indrelid = $1::text::regclass
"""


async def fill(engine: Engine) -> list[str]:
    """Have every table that grows hold thousands of rows of other groups; return their names."""
    filled = []
    # In one transaction, since what each row is a copy of must not be another copy.
    connection = engine.user
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        for table in RIGHTS:
            kind = await connection.fetchval(
                "select relkind::text from pg_class where oid = $1::text::regclass", f"tidings.{table}"
            )
            if kind == "v" or table in OF_NO_GROUP or not await connection.fetchval(f"select count(*) from tidings.{table}"):
                continue
            keys = await connection.fetch(_KEYS, f"tidings.{table}")
            names = [
                row["name"]
                for row in keys
                if row["type"] == "text"
                and row["name"]
                not in {"group_id", "operation", "reason", "resolution", "outcome", "span", "source", "kind", "state"}
                and (table, row["name"]) != ("groups", "id")
            ]
            numbers = [row["name"] for row in keys if row["type"] == "bigint"]
            groups = ["group_id", "id"] if table == "groups" else ["group_id"]
            columns = [row["attname"] for row in await connection.fetch(_COLUMNS, f"tidings.{table}")]
            copy = _COPY.format(table=table, columns=", ".join(columns), values=", ".join(f"r.{name}" for name in columns))
            await connection.execute(copy, CROWD, groups, names, numbers)
            filled.append(table)
    await engine.user.execute("vacuum analyze")
    return filled


def literal(value: Any) -> str:
    """Write a parameter as SQL."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return f"'{value}'"
        case bytes():
            return f"'\\x{value.hex()}'"
        case datetime() if value.year in {1, 9999}:
            return "'infinity'" if value.year == 9999 else "'-infinity'"
        case list() | tuple():
            return "'{" + ",".join(_element(one) for one in value) + "}'"
        case _:
            return "'" + str(value).replace("'", "''") + "'"


def _element(value: Any) -> str:
    if value is None:
        return "null"
    said = f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
    return '"' + said.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''") + '"'


def nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def faults(plan: Any) -> list[str]:
    """Return what is wrong with a plan: a table read from end to end, or a step that handled very many rows or ran very often."""
    found = []
    for node in nodes(plan):
        if node.get("Relation Name", "").startswith("pg_"):
            continue  # it grows with the schema, whoever has what
        loops = node.get("Actual Loops", 0)
        handled = loops * (
            node.get("Actual Rows", 0) + sum(count for name, count in node.items() if name.startswith("Rows Removed"))
        )
        where = node.get("Relation Name") or node.get("Function Name") or node["Node Type"]
        if node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan"} and handled > 100:
            found.append(f"{where} is read whole ({handled:.0f})")
        elif handled > MOST or loops > MOST:
            found.append(f"{node['Node Type']} of {where}, {node.get('Index Name', '')}: {handled:.0f} rows, {loops:.0f} times")
    return found


class Watching:
    """Notes the statements that the connections of requests run, each once, with what it was asked first and where."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[tuple[Any, ...], str]] = {}
        self.now = ""

    def __call__(self, record: Any) -> None:
        if record.exception is None and _ASKS.match(record.query) and not _APART.search(record.query):
            self.seen.setdefault(record.query, (tuple(record.args or ()), self.now))


@contextlib.asynccontextmanager
async def watched(engine: Engine) -> AsyncIterator[Watching]:
    """Watch all connections that the role of requests has."""
    watching = Watching()
    async with contextlib.AsyncExitStack() as stack:
        pool = engine.services.requests.server.pool
        for _ in range(pool.get_max_size()):
            (await stack.enter_async_context(pool.acquire())).add_query_logger(watching)
    yield watching


@pytest.fixture
async def acme(config: Config, api_server: ApiServer, receiver: Receiver) -> AsyncIterator[Furnished]:
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        assert (await client.post("/api/v1/groups", json={"id": "acme"})).is_success
        yield await Furnished(client, engine, "acme").make(receiver.url())


async def ask_everything(acme: Furnished, server: ApiServer, watching: Watching) -> None:
    """Ask every operation and page with the group's own key and ids: first what reads, then what changes, last what deletes."""
    made = await acme.client.post("/api/v1/keys", json={"name": "own", "scopes": ["admin"], "bound_to": "acme"})
    acme.ids["key_id"] = made.json()["id"]
    key, ids, sent = made.json()["key"], acme.ids, bodies(acme.ids)
    document = (await acme.client.get("/openapi.json")).json()
    order = {"get": 0, "post": 1, "put": 2, "patch": 3, "delete": 4}
    operations = sorted(
        ((method, path, one) for path, item in document["paths"].items() for method, one in item.items()),
        key=lambda each: order[each[0]],
    )
    application = server._framework
    assert application is not None
    application.state["sign_in_attempts"] = Attempts()
    async with (
        httpx.AsyncClient(base_url=acme.client.base_url, headers={"X-API-Key": key}, timeout=PATIENCE) as client,
        visiting(acme.engine, str(acme.client.base_url)) as visitor,
    ):
        await visitor.send("/sign-in", {"key": key, "to": "/"}, of="/sign-in")
        for method, path, _ in routes(application):
            if (
                method == "GET"
                and not path.startswith(("/api", "/in/", "/bin", "/metrics", "/static", "/p/", "/live", "/sign-"))
                and "{file" not in path
            ):
                watching.now = f"page {path}"
                here = ids | {"name": ids["collection"]} if "/collections/" in path else ids
                await visitor.client.get(re.sub(r"{(\w+)}", lambda place, here=here: here.get(place[1], "x"), path))
        for method, path, one in operations:
            name = f"{method.upper()} {path}"
            if name in NO_KEY | ENDLESS:
                continue
            watching.now = name
            where = path.format_map(ids)
            body = {} if method == "get" else {"json": sent.get(name, {})}
            await client.request(method.upper(), where, **body)
            asked = [each["name"] for each in one.get("parameters", ()) if each.get("in") == "query"]
            for parameter in [each for each in asked if method == "get" and each in ids]:
                await client.request("GET", f"{where}?{parameter}={ids[parameter]}")


async def explained(role: Any, name: str, query: str, args: tuple[Any, ...]) -> Any:
    """Return the plan of a statement that serves whatever is asked, run once more; none where it cannot be."""
    given = f"({', '.join(map(literal, args))})" if args else ""
    transaction = role.transaction()
    await transaction.start()
    try:
        await role.execute(
            "set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off"
        )
        await role.execute(f"prepare {name} as {query}")
        return json.loads(await role.fetchval(f"explain (analyze, format json) execute {name} {given}"))[0]["Plan"]
    finally:
        await transaction.rollback()


async def test_no_statement_of_a_request_reads_what_others_have(acme: Furnished, api_server: ApiServer) -> None:
    assert len(await fill(acme.engine)) > 30
    async with watched(acme.engine) as watching:
        await ask_everything(acme, api_server, watching)
    assert len(watching.seen) > 100
    wrong, looked = [], 0
    async with as_role(acme.engine, "acme") as role:
        for number, (query, (args, where)) in enumerate(watching.seen.items()):
            # What was made cannot be made again, and some statements were lent our own rights.
            with contextlib.suppress(asyncpg.UniqueViolationError, asyncpg.InsufficientPrivilegeError):
                found = faults(await explained(role, f"looked{number}", query, args))
                wrong += [f"{where}: {said}: {query[:200]}" for said in found]
                looked += 1
    assert wrong == []
    assert looked > 100


DELIVERIES = 20_000
COUNTED = ("count_of_webhook", "count_finished_of_webhook")


async def test_deliveries_of_a_webhook_are_counted_by_index_alone(acme: Furnished) -> None:
    """A policy asks for the group, which is in no index of deliveries: each row would be read to find the same."""
    engine, webhook_id = acme.engine, UUID(acme.ids["webhook_id"])
    await engine.sql(
        """insert into tidings.deliveries (id, webhook_id, event_id, group_id, is_test, status, attempt_count, finished_at)
           select made.id, $1::text::uuid, made.id, 'acme', false, case when n % 100 = 0 then 'failed' else 'succeeded' end, 1, now()
           from generate_series(1, $2::integer) n, lateral (select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0')
             || '70008' || lpad(to_hex(n), 15, '0'))::uuid as id) made""",
        str(webhook_id), DELIVERIES,
    )  # fmt: skip
    await engine.sql("vacuum analyze tidings.deliveries")
    span = (UUID(int=0), UUID(int=2**128 - 1))
    found = {}
    for group_id in ("acme", "other"):
        async with as_role(engine, group_id) as role:
            for name in COUNTED:
                sql = load("search")[name]
                found[group_id, name] = tuple(await role.fetchrow(sql, webhook_id, *span, 5000))
                plan = await explained(role, name, sql.rstrip().rstrip(";"), (webhook_id, *span, 5000))
                looks = [node for node in nodes(plan) if str(node.get("Relation Name", "")).startswith("deliveries")]
                assert {node["Node Type"] for node in looks} == {"Index Only Scan"}, json.dumps(plan)
                assert sum(node["Heap Fetches"] for node in looks) < 100, json.dumps(plan)
    waiting = await engine.value("select count(*) from tidings.queue where webhook_id = $1", webhook_id)
    assert found["acme", COUNTED[0]] == (5000 + waiting,)
    assert found["acme", COUNTED[1]][0] == 10_000
    assert 200 <= found["acme", COUNTED[1]][1] < 300
    assert {found["other", name] for name in COUNTED} == {(0,), (0, 0)}, "whose it is not does not count it"
