"""One bad row stops nobody: it is set aside with its reason, counted, listed, and comes back once it is mended."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.engine import Engine, engine_of, eventually, routed
from tests.support.limits import PATIENCE
from tests.support.portal import HTML
from tests.support.receiver import Receiver
from tests.support.rekeying import rekeyed
from tests.support.serving import ApiServer
from tidings.cli import set_aside as cli_set_aside
from tidings.config import Config
from tidings.core.event_fault import MAX_EVENT_BYTES
from tidings.profiles import PROFILES
from tidings.store import faults
from tidings.store.secrets import SecretBox
from tidings.worker.mender import Mender

NOBODY = "http://127.0.0.1:9/hook"

LISTS = (
    "/api/v1/webhooks", "/api/v1/deliveries", "/api/v1/events", "/api/v1/integrations", "/api/v1/tables", "/api/cron",
    "/api/v1/groups", "/api/v1/set-aside", "/api/v1/set-aside/settings", "/api/v1/recoveries", "/api/collections",
    "/api/v1/event-types", "/api/v1/statistics", "/metrics", "/readyz",
)  # fmt: skip
PAGES = (
    "/", "/webhooks", "/deliveries", "/events", "/recoveries", "/sources/tables", "/sources/collections", "/sources/jobs",
    "/sources/integrations", "/sources/catalogue", "/settings", "/settings/groups", "/settings/links", "/settings/set-aside",
    "/settings/about",
)  # fmt: skip


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield Api(client, engine)


async def all_can_be_read(api: Api) -> None:
    """Every list answers, and every page is shown."""
    for path in LISTS:
        response = await api.client.get(path)
        assert response.status_code == 200, (path, response.text)
    async with httpx.AsyncClient(base_url=api.client.base_url, headers=HTML, timeout=PATIENCE) as browser:
        token = (await browser.get("/sign-in")).text.split('name="csrf" value="')[1][:64]
        form = {"csrf": token, "key": "test", "to": "/"}
        await browser.post("/sign-in", data=form, headers={"Origin": str(api.client.base_url).rstrip("/")})
        for path in PAGES:
            response = await browser.get(path)
            assert response.status_code == 200, (path, response.text[:2000])


async def others_are_served(api: Api, receiver: Receiver, *, before: int) -> None:
    """What is published now is delivered, by the worker that met the bad rows."""
    await api("POST", "/api/v1/events", 202, {"type": "others.news", "data": {}})
    await eventually(lambda: _has(receiver, "others.news", before + 1))
    assert not api.engine.worker.failed.is_set


async def _has(receiver: Receiver, type_: str, count: int) -> bool:
    return sum(json.loads(one.body)["type"] == type_ for one in receiver.received) >= count


async def aside(api: Api) -> list[str]:
    return [row["reason"] for row in await api("GET", "/api/v1/set-aside?limit=500", 200)]


async def gauge(api: Api, kind: str) -> float:
    lines = (await api.client.get("/metrics")).text.splitlines()
    return float(next(line for line in lines if line.startswith(f'tidings_set_aside{{kind="{kind}"}}')).split()[-1])


# Events --------------------------------------------------------------------------------------------------------------------

# What is wrong with a row of the outbox: columns that differ from a good row's, and a part of the sentence that says so.
EVENTS = {
    "year 200000": ({"occurred_at": "'200000-01-01'"}, "past the year 9998"),
    "infinity": ({"occurred_at": "'infinity'"}, "past the year 9998"),
    "minus infinity": ({"occurred_at": "'-infinity'"}, "before the year 2"),
    "before Christ": ({"occurred_at": "'4000-01-01 BC'"}, "before the year 2"),
    "before 1970": ({"occurred_at": "'1969-12-31'"}, "in the year 1969"),
    "the year 2500": ({"occurred_at": "'2500-01-01'"}, "in the year 2500"),
    "an id of no time": ({"event_id": "'00000000-0000-4000-8000-000000000000'"}, "no UUIDv7"),
    "an id of another day": ({"event_id": "'01800000-0000-7000-8000-000000000000'"}, "no UUIDv7 of the day"),
    "no type": ({"type": "null"}, "Its type must have"),
    "a type without end": ({"type": "repeat('a', 3000)"}, "Its type must have 1 to 2,000 characters; it has 3,000"),
    "an unknown source": ({"source": "'elsewhere'"}, "Its source is 'elsewhere'"),
    "no group": ({"group_id": "''"}, "it is empty"),
    "a group that is no name": ({"group_id": "'..'"}, "cannot stand in a URL"),
    "a group with a tab": ({"group_id": "E'a\\tb'"}, "invisible character U+0009"),
    "a group without end": ({"group_id": "repeat('ü', 101)"}, "it has 101 characters"),
    "an unknown operation": (
        {"source": "'tables'", "operation": "'MERGE'", "table_schema": "'public'", "table_name": "'t'"}, "'MERGE'",
    ),
    "no table": ({"source": "'tables'", "operation": "'INSERT'"}, "names no table"),
    "too large": ({"record": f"json_build_object('a', repeat('x', {MAX_EVENT_BYTES}))"}, "no more than 16,777,216 are sent"),
}  # fmt: skip


async def put(engine: Engine, **columns: str) -> int:
    values = {"source": "'publish'", "type": "'bad.row'", "record": "'{}'"} | columns
    names = ", ".join(values)
    number: int = await engine.value(f"insert into tidings.outbox ({names}) select {', '.join(values.values())} returning id")
    return number


async def test_events_that_cannot_be_told_are_set_aside_each_with_its_reason(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url(), "others.news", "bad.row")
    await api.engine.user.execute("begin")  # one batch with all of them among the good ones
    reasons = {}
    for columns, said in EVENTS.values():
        reasons[await put(api.engine, **columns)] = said
        await api.engine.publish("others.news")
    await api.engine.user.execute("select tidings.ring(); commit")
    await eventually(lambda: _has(receiver, "others.news", len(EVENTS)))
    rows = {row["number"]: row for row in await api("GET", "/api/v1/set-aside?limit=500", 200)}
    assert rows.keys() == reasons.keys()
    assert {n: said for n, said in reasons.items() if said not in rows[n]["reason"]} == {}
    assert {row["kind"] for row in rows.values()} == {"event"}
    assert not any("Error:" in row["reason"] for row in rows.values())
    assert await gauge(api, "event") == len(EVENTS)
    await all_can_be_read(api)
    for number in rows:
        assert "row" in await api("GET", f"/api/v1/set-aside/{number}", 200) or "bytes" in rows[number]["reason"]
    await others_are_served(api, receiver, before=len(EVENTS))


async def test_rows_that_postgresql_refuses_are_found_among_many_and_the_others_go_on(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "others.news")
        await engine.user.execute("""create function refuse() returns trigger language plpgsql as $$ begin
            if new.type = 'bad.row' then raise exception 'not this one'; end if; return new; end $$;
          create trigger refuse before insert on tidings.events for each row execute function refuse();
          insert into tidings.outbox (source, type, record)
            select 'publish', case when n in (7, 300, 301) then 'bad.row' else 'others.news' end, '{}' from generate_series(1, 400) n""")
        await routed(engine)
        while await engine.unfinished():
            await engine.cycle()
        assert len(receiver.received) == 397
        assert [row["error"] for row in await engine.sql("select error from tidings.outbox_rejected")] == [
            "PostgreSQL refuses it: not this one."
        ] * 3


async def test_an_event_that_was_set_aside_is_routed_once_its_row_is_mended_and_another_is_discarded(
    api: Api, receiver: Receiver
) -> None:
    await api.create(receiver.url(), "bad.row")
    mended, gone = await put(api.engine, source="'elsewhere'"), await put(api.engine, type="''")
    await eventually(lambda: api.engine.value("select count(*) = 2 from tidings.outbox_rejected"))
    await api("POST", f"/api/v1/set-aside/{mended}/route", 202)  # as it was: it comes back
    again = await eventually(lambda: api.engine.value("select max(id) from tidings.outbox_rejected where id > $1", gone))
    await api.engine.sql(
        """update tidings.outbox_rejected set row_as_json = (row_as_json::jsonb || '{"source": "publish"}')::json where id = $1""", again
    )  # fmt: skip
    await api("POST", f"/api/v1/set-aside/{again}/route", 202)
    await receiver.wait_for(1)
    await api("DELETE", f"/api/v1/set-aside/{gone}", 204)
    assert await aside(api) == []


STRANGE = r"""{"a": "\u0000", "b": ["\ud800", "\u0000", "\ud83d\ude00"]}"""  # PostgreSQL keeps it and cannot read it


async def test_an_event_whose_json_postgresql_cannot_read_is_put_back_as_it_is(api: Api, receiver: Receiver) -> None:
    await api.create(receiver.url(), "bad.row")
    number = await put(api.engine, source="'elsewhere'", record=f"'{STRANGE}'", old_record=f"'{STRANGE}'")
    await eventually(lambda: api.engine.value("select count(*) = 1 from tidings.outbox_rejected"))
    await api.engine.sql(
        """update tidings.outbox_rejected set row_as_json = replace(row_as_json::text, '"elsewhere"', '"publish"')::json where id = $1""",
        number,
    )
    await api("POST", f"/api/v1/set-aside/{number}/route", 202)
    await receiver.wait_for(1)
    assert json.loads(receiver.received[0].body)["data"] == json.loads(STRANGE)
    assert await aside(api) == []


NAMES = ("Acme Corp & Söhne", "a/b", "株式会社", "100 %", 'o\'neill "x" <b>', "ac.me")


async def test_a_group_is_called_as_people_call_it(api: Api, receiver: Receiver) -> None:
    await api.engine.user.execute("create table orders (id int, customer text)")
    await api("PUT", "/api/v1/tables/orders", 200, {"group_by": "customer"})
    made = await api.create(NOBODY, {"table": "orders"})
    for number, name in enumerate(NAMES):
        await api.engine.sql("insert into orders values (-1, $1)", name)  # makes the group
        await eventually(lambda called=name: api.engine.value("select count(*) from tidings.groups where id = $1", called))
        headers = {"X-Tidings-Group": quote(name)}
        body = {"url": receiver.url(), "events": [{"table": "orders"}]}
        theirs = await api("POST", "/api/v1/webhooks", 201, body, headers=headers)
        await api.engine.sql("insert into orders values ($1, $2)", number, name)
        received = await receiver.wait_for(number + 1)
        assert json.loads(received[-1].body)["data"]["record"] == {"id": number, "customer": name}
        assert [one["id"] for one in await api("GET", "/api/v1/webhooks", 200, headers=headers)] == [theirs["id"]]
        assert (await api("GET", f"/api/v1/groups/{quote(name).replace('/', '%252F')}", 200))["id"] == name
    assert [one["id"] for one in await api("GET", "/api/v1/webhooks", 200)] == [made["id"]]
    assert {*NAMES} <= {one["id"] for one in await api("GET", "/api/v1/groups", 200)}
    assert await aside(api) == []
    await all_can_be_read(api)


# Deliveries ----------------------------------------------------------------------------------------------------------------


async def test_a_delivery_that_history_cannot_hold_is_set_aside_and_one_without_an_event_fails(
    api: Api, receiver: Receiver
) -> None:
    webhook = await api.create(receiver.url(), "others.news", "bad.row")
    await put(api.engine)
    await receiver.wait_for(1)
    event = await eventually(lambda: api.engine.value("select id from tidings.events"))
    add = """with one as (insert into tidings.queue (id, webhook_id, event_id, group_id, due_at) values ($1, $2, $3, 'default', now()))
      update tidings.lanes set waiting = waiting + 1, due_at = now() where webhook_id = $2"""
    await api.engine.sql(add, "00000000-0000-4000-8000-000000000001", webhook["id"], event)  # of no day that history has
    like = "select (left(id::text, -4) || 'ffff')::uuid from tidings.deliveries"
    late = await eventually(lambda: api.engine.value(like))
    await api.engine.sql(add, late, webhook["id"], "00000000-0000-4000-8000-000000000002")  # of an event that is not there
    await others_are_served(api, receiver, before=0)
    (row,) = await eventually(lambda: api("GET", "/api/v1/set-aside", 200))
    assert (row["kind"], "cannot be recorded" in row["reason"]) == ("delivery", True)
    failed = await eventually(lambda: api.engine.sql("select last_error from tidings.deliveries where status = 'failed'"))
    assert failed[0]["last_error"] == (
        "There is nothing to send: its event is not in history, or its payload is hidden for good, past its time, or erased."
    )
    assert await gauge(api, "delivery") == 1
    await eventually(lambda: api.engine.value("select in_flight = 0 and waiting = 0 from tidings.lanes"))
    await api("POST", f"/api/v1/set-aside/{row['number']}/route", 202)  # as it was: it comes back
    await eventually(lambda: api.engine.value("select count(*) from tidings.outbox_rejected where id > $1", row["number"]))
    await all_can_be_read(api)


async def test_a_flight_that_cannot_be_grounded_is_set_aside_and_the_others_are_grounded(config: Config) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook(NOBODY, "*")
        for _ in range(2):
            await engine.publish()
        await engine.worker.dispatcher.run_once()
        await engine.sql("delete from tidings.workers")
        (event,) = await engine.sql("select id from tidings.events order by id limit 1")
        await engine.sql(
            "insert into tidings.flights (worker_id, leased_at, delivery_ids, event_ids, lane_numbers, lanes) "
            "values (gen_random_uuid(), now(), '{00000000-0000-4000-8000-000000000001}', array[$1::uuid], '{1}', array[$2::uuid])",
            event["id"], webhook.id,
        )  # fmt: skip
        await engine.sql("update tidings.lanes set in_flight = in_flight + 1")
        from tidings.store import flights

        async with engine.services.wide.transaction() as connection:
            assert await flights.ground_orphans(connection) == 3
        assert tuple((await engine.sql("select in_flight, waiting from tidings.lanes"))[0]) == (0, 2)
        assert "cannot be put back" in await engine.value("select error from tidings.outbox_rejected where kind = 'delivery'")
        assert await engine.value("select count(*) from tidings.flights") == 0


# What a profile cannot send ------------------------------------------------------------------------------------------------


RECORDS = (r'{"a": "\u0000"}', r'{"a": "\ud800"}', '{"a": 1e400}', "[" * 3000 + "]" * 3000, '{"a": 1, "a": 2}', "null")


async def test_whatever_is_in_a_record_each_profile_sends_it_or_says_why_not_and_nobody_else_waits(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config) as engine:
        await engine.user.execute("create table odd (id int)")
        for profile in PROFILES:
            await engine.add_webhook(receiver.url(f"/{profile}"), {"table": "odd"}, profile=profile)
        await engine.add_webhook(receiver.url("/good"), "others.news")
        for record in RECORDS:
            await engine.sql(
                "insert into tidings.outbox (source, operation, table_schema, table_name, record) "
                "values ('tables', 'INSERT', 'public', 'odd', $1)", record,
            )  # fmt: skip
        await engine.publish("others.news")
        for _ in range(3):
            await engine.cycle()
        assert [one.path for one in receiver.received].count("/good") == 1
        failed = await engine.sql("select last_error, failure from tidings.deliveries where status = 'failed'")
        assert {row["failure"] for row in failed} == {"render"}
        assert not any("Error(" in row["last_error"] for row in failed)
        assert len(receiver.received) - 1 + len(failed) == len(PROFILES) * len(RECORDS)


# Settings ------------------------------------------------------------------------------------------------------------------

# What is done to a row of the settings, so that it cannot be read; and what it is listed as.
SETTINGS = {
    "webhook": (
        "update tidings.webhooks set secret = 'x' where name = 'bad'",
        """update tidings.webhooks set retry = '{"a": 1}' where name = 'bad'""",
        "update tidings.webhooks set headers = '[1]' where name = 'bad'",
        """update tidings.webhooks set events = '{"a": 1}' where name = 'bad'""",
        "update tidings.webhooks set profile = 'of tomorrow' where name = 'bad'",
        "update tidings.webhooks set timeout_seconds = 'NaN' where name = 'bad'",
        "update tidings.webhooks set previous_secret = 'x', previous_secret_until = 'infinity' where name = 'bad'",
        "update tidings.webhooks set body_template = '{{', url = 'nonsense' where name = 'bad'",
    ),
    "job": ("update tidings.cron_jobs set schedule = 'never', next_at = now()", "update tidings.cron_jobs set timezone = 'Mars/Base', next_at = now()"),
    "integration": (
        "update tidings.integrations set secret = 'x'",
        "update tidings.integrations set settings = '[1]'",
        "update tidings.integrations set platform = 'of tomorrow'",
    ),
    "collection": (
        "update tidings.collections set fields = '[1]'",
        """update tidings.collections set fields = '[{"name": "a", "type": "of tomorrow"}]'""",
        "update tidings.collections set options = '[]'",
    ),
    "table": ("update tidings.captured_tables set renamed_columns = '[1]'", "update tidings.captured_tables set conditions = '3'"),
}  # fmt: skip

HARMLESS = (
    "update tidings.webhooks set created_at = '200000-01-01', updated_at = 'infinity' where name = 'bad'",
    "update tidings.webhook_versions set created_at = '-infinity', superseded_at = '200000-01-01', webhook_created_at = 'infinity'",
    "update tidings.integrations set created_at = '200000-01-01', updated_at = '4000-01-01 BC'",
    "update tidings.collections set created_at = '200000-01-01', updated_at = '-infinity'",
    "update tidings.groups set created_at = '-infinity'",
    "update tidings.captured_tables set created_at = 'infinity'",
    "update tidings.portal_links set brand = '[1]', created_at = '-infinity', ends_at = '200000-01-01'",
    "update tidings.portal_links set origins = array[E'https://a.example\\r\\nX: y']",
    "update tidings.sessions set created_at = '200000-01-01', ends_at = 'infinity', seen_at = '200000-01-01'",
    "update tidings.recoveries set question = '[1]', created_at = '200000-01-01', due_at = '-infinity'",
    "update tidings.recoveries set since = '-infinity', until = '200000-01-01', state = 'running', finished_at = null",
    "update tidings.statistics set latencies = '{1}', starts_at = '200000-01-01'",
    "update tidings.statistics set latencies = array[null, 1]::bigint[]",
    "update tidings.counters set latencies = '{1}', updated_at = '-infinity', seconds = 'NaN'",
    "update tidings.event_kinds set last_day = '200000-01-01'",
    "update tidings.event_types set json_schema = '[1]', example = '\"\\u0000\"', created_at = '200000-01-01'",
    "update tidings.backfills set position = '{]', created_at = '-infinity', key_columns = '{gone}'",
    "update tidings.lanes set resting_until = '200000-01-01', turned_at = '-infinity', last_success_at = 'infinity', last_failure = E'\\x01'",
    "update tidings.deliveries set finished_at = '200000-01-01', started_at = '-infinity', response_headers = '3'",
    "update tidings.events set occurred_at = '200000-01-01', record = '\"\\ud800\"'",
    "drop table collections_default.posts",
)  # fmt: skip


async def one_of_each(api: Api, receiver: Receiver) -> None:
    """Make one of every kind of thing that can go bad, beside a webhook that is well."""
    await api.engine.user.execute("create table orders (id int primary key, total int)")
    await api.create(receiver.url(), "others.news", name="good")
    await api.create(NOBODY, "bad.row", {"table": "orders"}, name="bad")
    await api("PUT", "/api/v1/tables/orders", 200, {"exclude": ["total"]})
    await api("POST", "/api/cron", 201, {"name": "tick", "schedule": "0 3 * * *", "url": NOBODY})
    await api("POST", "/api/v1/integrations", 201, {"name": "shop", "platform": "github"})
    await api("POST", "/api/collections", 201, {"name": "posts", "schema": [{"name": "a", "type": "text"}]})
    await api("PUT", "/api/v1/event-types/others.told", 200, {"description": "d", "schema": {"type": "object"}})


async def listed(api: Api) -> list[Any]:
    await api.engine.worker.mender.run_once()
    found: list[Any] = await api("GET", "/api/v1/set-aside/settings", 200)
    return found


@pytest.mark.parametrize("kind", SETTINGS)
async def test_settings_that_cannot_be_read_are_listed_with_the_reason_and_nobody_else_waits(
    api: Api, receiver: Receiver, kind: str
) -> None:
    await one_of_each(api, receiver)
    table = {"webhook": "webhooks", "job": "cron_jobs", "table": "captured_tables"}.get(kind, f"{kind}s")
    await api.engine.user.execute(f"create temporary table kept as select * from tidings.{table}")
    for count, change in enumerate(SETTINGS[kind]):
        await api.engine.user.execute(change)
        if kind == "webhook":  # as a worker that starts, or whose memory was needed for others, comes to read it
            await api.engine.user.execute("update tidings.routes_version set version = version + 1000")
        await put(api.engine)
        await api.engine.sql("insert into orders values ($1, 1)", count)
        await others_are_served(api, receiver, before=count)
        (fault,) = await eventually(lambda: listed(api))
        assert (fault["kind"], fault["reason"][-1]) == (kind, ".")
        assert "Error" not in fault["reason"], fault["reason"]
        assert await gauge(api, kind) == 1
        await all_can_be_read(api)
        await api("POST", f"/api/v1/set-aside/settings/{kind}/{fault['id']}/retry", 409)
        await mended(api, kind, table)
        assert await gauge(api, kind) == 0
        if kind == "webhook":
            waits = "select max(q.attempt_count) from tidings.queue q join tidings.webhooks w on w.id = q.webhook_id where w.name = 'bad'"
            await eventually(partial(api.engine.value, waits))  # it is sent to again
        if kind == "job":
            assert await api.engine.value("select enabled from tidings.cron_jobs")


async def test_the_key_can_be_changed_whatever_cannot_be_read(api: Api, receiver: Receiver) -> None:
    await one_of_each(api, receiver)
    for changes in SETTINGS.values():
        await api.engine.user.execute(changes[0])
    database, old, new = api.engine.services.wide, api.engine.services.box, SecretBox("another key of sixteen")
    await api.engine.sql("update tidings.workers set heartbeat_at = now() - interval '1 minute'")
    assert await rekeyed(database, old, new) == await rekeyed(database, new, old) == 7  # two webhooks, three versions, two keys


async def test_escapes_that_are_no_text_stop_no_record_that_is_written_by_sql(api: Api, receiver: Receiver) -> None:
    await one_of_each(api, receiver)
    await api("POST", "/api/collections", 201, {"name": "notes", "schema": [{"name": "a", "type": "json"}]})
    await api.create(receiver.url("/notes"), {"collection": "notes"}, name="notes")
    for count, odd in enumerate((r'"\u0000"', r'{"\u0000": 1}', r'"\ud800"', "1e400")):
        await api.engine.user.execute("insert into collections_default.notes (id, a) values ('x', $1::json)", odd)
        await api.engine.user.execute("update collections_default.notes set a = $1::json", f"[{odd}]")
        await api.engine.user.execute("delete from collections_default.notes")
        await others_are_served(api, receiver, before=count)
    told = [json.loads(request.body)["type"] for request in receiver.received if request.path == "/notes"]
    assert Counter(told) == {"content.created": 4, "content.updated": 4, "content.deleted": 4}  # they go side by side


async def test_a_table_of_any_name_is_asked_for_by_it(api: Api) -> None:
    await api.engine.user.execute('create schema "a.b"; create table "a.b"."x/y.z%2F" (id int primary key, total int)')
    await api.engine.user.execute('create table "x/y" (id int primary key, total int)')
    for name, id_ in (("a%2Eb.x%2Fy.z%252F", "a%2Eb.x%2Fy.z%252F"), ("x%2Fy", "public.x%2Fy")):
        path = f"/api/v1/tables/{quote(name, safe='')}"
        await api("PUT", path, 200, {"exclude": ["total"]})
        assert (await api("GET", path, 200))["exclude"] == ["total"]
        await api.engine.user.execute("update tidings.captured_tables set renamed_columns = '[1]'")
        (fault,) = await eventually(lambda: listed(api))
        assert fault["id"] == id_
        there = f"/api/v1/set-aside/settings/table/{quote(fault['id'], safe='')}"
        await api("POST", f"{there}/retry", 409)
        await api("DELETE", there, 204)
        assert await listed(api) == []
        await api("PUT", path, 200, {"exclude": ["total"]})
        await api.engine.user.execute("update tidings.captured_tables set renamed_columns = '[1]'")
        assert await cli_set_aside._discard(api.engine.services, f"table:{id_}") == 1
        await api("GET", path, 404)


@pytest.mark.parametrize("kind", ["webhook", "job", "integration", "table"])
async def test_a_setting_that_cannot_be_read_is_discarded(api: Api, receiver: Receiver, kind: str) -> None:
    await one_of_each(api, receiver)
    await api.engine.user.execute(SETTINGS[kind][0])
    if kind == "webhook":
        await put(api.engine)
        await api.engine.user.execute("update tidings.routes_version set version = version + 1000")
        await others_are_served(api, receiver, before=0)
    (fault,) = await eventually(lambda: listed(api))
    await api("DELETE", f"/api/v1/set-aside/settings/{kind}/{fault['id']}", 204)
    assert await listed(api) == []


async def mended(api: Api, kind: str, table: str) -> None:
    """Restore a row as it was, but for what says that it was bad; and wait until that is found."""
    columns = await api.engine.sql(
        "select column_name as name from information_schema.columns where table_schema = 'tidings' and table_name = $1", table
    )
    kept = [c["name"] for c in columns if c["name"] not in {"id", "fault", "version", "enabled", "updated_at", "next_at"}]
    assigned = ", ".join(f"{name} = kept.{name}" for name in kept)
    same = "b.table_name = kept.table_name" if kind == "table" else "b.id = kept.id"
    await api.engine.user.execute(f"update tidings.{table} b set {assigned} from kept where {same}")
    await api.engine.worker.mender.run_once()
    assert await listed(api) == []


async def test_rows_that_no_program_should_meet_stop_nobody(api: Api, receiver: Receiver) -> None:
    await one_of_each(api, receiver)
    await api.client.post("/api/v1/portal-links", json={"group": "default"})
    await api("POST", "/api/v1/events", 202, {"type": "others.news", "data": {}})
    await receiver.wait_for(1)
    await eventually(lambda: api.engine.value("select count(*) from tidings.deliveries"))
    by_name = {one["name"]: one["id"] for one in await api("GET", "/api/v1/webhooks", 200)}
    good, bad = by_name["good"], by_name["bad"]
    await api.client.post("/api/v1/recoveries", json={"webhook_id": good, "since": "2020-01-01T00:00:00Z"})
    await api.client.post("/api/v1/tables/orders/backfill", json={"webhook_id": bad})
    worker = api.engine.worker
    for change in HARMLESS:
        await api.engine.user.execute(change)
        await all_can_be_read(api)
        for duty in (worker.scheduler, worker.backfiller, worker.recoverer, worker._janitor, worker._bookkeeper, worker.mender):
            await duty.run_once()
        for path in (f"/api/v1/webhooks/{bad}", f"/api/v1/webhooks/{good}", f"/api/v1/webhooks/{good}/versions"):
            await api("GET", path, 200)
    await others_are_served(api, receiver, before=1)


async def test_the_command_line_lists_tries_again_and_discards(api: Api, config: Config) -> None:
    gone, again = await put(api.engine, type="''"), await put(api.engine, source="'elsewhere'")
    await api("POST", "/api/v1/integrations", 201, {"name": "shop", "platform": "github"})
    await api.engine.user.execute("update tidings.integrations set secret = 'x'")
    await eventually(lambda: api.engine.value("select count(*) = 2 from tidings.outbox_rejected"))
    await api.engine.worker.mender.run_once()

    async def run(*words: str, code: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tidings", "--database-url", config.database_url or "", "set-aside", *words,
            env=os.environ | {"TIDINGS_SECRET_KEY": "test"}, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == code, err
        return out.decode() + err.decode()

    shown = await run("list")
    assert f"{gone}  event" in shown
    assert "integration:shop" in shown
    assert "Its source is 'elsewhere'" in shown
    assert "cannot be decrypted" in await run("retry", "integration:shop", code=1)
    assert await run("discard", str(gone)) == "1 discarded.\n"
    assert await run("discard", "integration:shop") == "1 discarded.\n"
    # One that cannot be put back keeps none from it.
    await api.engine.user.execute(
        "insert into tidings.outbox_rejected (id, kind, error, row_as_json)"
        """ values (nextval('tidings.outbox_id_seq'), 'delivery', 'x', '{"id": "1"}')"""
    )
    said = await run("retry", "all", code=1)
    assert said.startswith("1 retried.\ntidings: ")
    assert "cannot be put back" in said
    assert "neither a number" in await run("retry", "nonsense", code=1)
    await eventually(lambda: api.engine.value("select count(*) from tidings.outbox_rejected where id > $1", again))


async def test_a_setting_is_discarded_however_many_newer_ones_cannot_be_read(api: Api) -> None:
    first = await api.engine.add_webhook(NOBODY, "others.told")
    for _ in range(100):
        await api.engine.add_webhook(NOBODY, "others.told")
    await api.engine.user.execute("update tidings.webhooks set fault = 'It cannot be read.', events = '[1]'")
    assert len(await listed(api)) == 100
    await api("DELETE", f"/api/v1/set-aside/settings/webhook/{first.id}", 204)


async def test_every_setting_that_cannot_be_read_is_found_page_by_page_however_many_are_well(api: Api) -> None:
    """The oldest of thousands too, which nobody changed of late: some are looked through at a time, and none is left out."""
    count = 2 * faults.LOOKED_THROUGH + 3
    await api("POST", "/api/v1/integrations", 201, {"name": "shop", "platform": "github"})
    await api.engine.user.execute(
        f"""insert into tidings.integrations (id, group_id, name, platform, secret, settings, enabled, created_at, updated_at)
          select gen_random_uuid(), 'default', 'a' || n, 'github', 'x', '{{}}', true, '2020-01-01', '2020-01-01' from generate_series(1, 7) n;
        insert into tidings.collections (id, group_id, name, type, fields, options, table_schema, created_at, updated_at)
          select gen_random_uuid(), 'default', 'c' || n, 'base', case when n % 500 = 0 then '[1]' else '[]' end::jsonb, '{{}}', 'public', '2020-01-01', '2020-01-01'
          from generate_series(1, {count}) n"""
    )
    wanted = {f"a{n}" for n in range(1, 8)} | {f"c{n}" for n in range(500, count, 500)}
    mender = Mender(api.engine.services.wide, api.engine.services.box, api.engine.clock)
    for _ in range(3):  # each looks through a thousand
        await mender.run_once()
    seen: list[str] = []
    cursor = ""
    while page := await api("GET", f"/api/v1/set-aside/settings?limit=3{cursor}", 200):
        assert len(page) <= 3
        seen += [one["id"] for one in page]
        cursor = f"&cursor={page[-1]['cursor']}"
    assert sorted(seen) == sorted(wanted), "each once"
    assert await gauge(api, "collection") == 4
    await api.engine.user.execute("update tidings.collections set fields = '[]'")
    assert {one["kind"] for one in await api("GET", "/api/v1/set-aside/settings", 200)} == {"integration"}  # read again
    for _ in range(3):
        await mender.run_once()
    assert await gauge(api, "collection") == 0
    await api("GET", "/api/v1/set-aside/settings?cursor=nothing", 422)
    plan = "\n".join(row[0] for row in await api.engine.sql(
        "explain select * from tidings.collections where (id::text) collate \"C\" > $1 order by (id::text) collate \"C\" limit 10", "5"
    ))  # fmt: skip
    assert "Sort" not in plan


async def test_the_terminal_prints_what_is_set_aside_a_page_at_a_time(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    services = api.engine.services
    await cli_set_aside._print_lines(services, 2)
    assert capsys.readouterr().out == "Nothing is set aside.\n"
    await cli_set_aside._print_json(services, 2)
    assert json.loads(capsys.readouterr().out) == {"rows": [], "settings": []}
    rows = """insert into tidings.outbox_rejected (id, row_as_json, error) select n, '{"type": "a.b", "group_id": "default"}', 'why' from generate_series(1, 5) n"""
    await api.engine.sql(rows)
    await api.engine.sql(
        "insert into tidings.cron_jobs (id, group_id, name, schedule, timezone, type, sql, timeout_seconds, missed, enabled, next_at, created_at, "
        "updated_at, fault) select gen_random_uuid(), 'default', 'j' || n, 'never', 'UTC', 'sql', 'select', 5, 'skip', false, now() + interval '1 day', now(), now(), "
        "'no schedule' from generate_series(1, 3) n"
    )
    await cli_set_aside._print_json(services, 2)
    told = json.loads(capsys.readouterr().out)
    assert [one["number"] for one in told["rows"]] == [5, 4, 3, 2, 1]
    assert {one["name"] for one in told["settings"]} == {"j1", "j2", "j3"}
    await cli_set_aside._print_lines(services, 2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["5", "4", "3", "2", "1"]
    assert len(lines) == 8
