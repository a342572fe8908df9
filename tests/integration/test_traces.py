"""Traces, end to end: from the call or the transaction to the receiver, and in the log."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.engine import Engine, engine_of
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tidings.cli.logs import _Json, _Text
from tidings.client import AsyncClient, within_async
from tidings.config import Config
from tidings.core.retry import Delays
from tidings.core.trace import attempt_span, parse
from tidings.store import set_aside

TRACE = "0af7651916cd43dd8448eb211c80319c"
CAUSE = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield Api(client, engine)


async def _publishes(api: Api, how: str) -> None:
    headers = {"traceparent": CAUSE}
    event = {"type": "order.paid", "data": {}}
    match how:
        case "one event" | "one event of a limited group":
            if how != "one event":
                await api("PATCH", "/api/v1/groups/default/limits", 200, {"events_per_second": 1000, "stored_bytes": 10**9})
            await api("POST", "/api/v1/events", 202, event, headers=headers)
        case "a call that a delivery led to":
            await api("POST", "/api/v1/events", 202, event, headers=headers | {"baggage": "tidings.hops=2"})
        case "a batch":
            await api.client.post("/api/v1/events/batch", content=json.dumps(event), headers=headers)
        case "a large batch":  # by COPY, not by a statement
            lines = "\n".join(json.dumps(event | {"id": str(number)}) for number in range(150))
            await api.client.post("/api/v1/events/batch", content=lines, headers=headers)
        case "a record":
            await api.client.post("/api/collections/posts/records", json={"title": "a"}, headers=headers)
        case "the SDK":
            async with AsyncClient(str(api.client.base_url), "test") as client:
                await client.events.publish("order.paid", {}, caused_by={"Traceparent": CAUSE})
        case _:
            await _writes(api, how)


async def _writes(api: Api, how: str) -> None:
    user = await asyncpg.connect(api.engine.services.config.database_url)
    try:
        async with user.transaction():
            if how == "a receiver's transaction":
                await within_async(user, {"traceparent": CAUSE})
                await within_async(user, {"baggage": "tidings.hops=1"})  # which says nothing of a trace, and takes none away
            else:
                await user.execute(f"set local tidings.traceparent = '{CAUSE}'")
            await user.execute(
                "select tidings.publish('order.paid', '{}')" if how == "a function" else "insert into orders default values"
            )
    finally:
        await user.close()


@pytest.mark.parametrize(
    "how",
    [
        "one event", "one event of a limited group", "a call that a delivery led to", "a batch", "a large batch", "a record", "the SDK",
        "a row", "a function", "a receiver's transaction",
    ],
)  # fmt: skip
async def test_a_receiver_hears_the_trace_of_whoever_caused_the_event(api: Api, receiver: Receiver, how: str) -> None:
    await api.engine.user.execute("create table orders (id int generated always as identity)")
    await api("POST", "/api/collections", 201, {"name": "posts", "schema": [{"name": "title", "type": "text"}]})
    await api.create(receiver.url(), "order.paid", "content.*", {"table": "orders"})
    await _publishes(api, how)
    heard = await receiver.wait_for(150 if how == "a large batch" else 1)
    traces = [parse(one.headers["traceparent"]) for one in heard]
    assert {(trace.trace_id, trace.is_sampled) for trace in traces if trace} == {(int(TRACE, 16), True)}
    assert len({trace.span_id for trace in traces if trace}) == len(heard), "each attempt is a span of its own"
    assert "b7ad6b7169203331" not in {f"{trace.span_id:016x}" for trace in traces if trace}
    assert await api.engine.value("select distinct traceparent from tidings.events where traceparent is not null") == CAUSE


async def test_each_attempt_has_a_span_of_its_own_and_history_shows_which(
    config: Config, receiver: Receiver, api_server: ApiServer
) -> None:
    receiver.scripts += [says(answer(500)), says(answer(500))]
    async with engine_of(config) as engine, api_server.serving(engine.services) as url:
        await engine.add_webhook(receiver.url(), "*", retry=Delays(delays=(5, 5), jitter=0))
        await engine.sql(
            "insert into tidings.outbox (source, type, record, traceparent) values ('publish', 'a.b', '{}', $1)", CAUSE
        )
        for _ in range(3):
            await engine.cycle()
            engine.clock.ahead += timedelta(seconds=6)
        sent = [one.headers["traceparent"] for one in receiver.received]
        assert len(sent) == len(set(sent)) == 3
        (delivery,) = await engine.deliveries()
        async with httpx.AsyncClient(base_url=url, headers=KEY) as client:
            found = (await client.get(f"/api/v1/deliveries/{delivery['id']}/attempts")).json()
        assert [dict(one["request"]["headers"])["traceparent"] for one in found] == sent
        attempts = await engine.attempts()
        spans = [attempt_span(delivery["id"], one["number"], int(one["started_at"].timestamp())) for one in attempts]
        assert [parse(one).span_id for one in sent] == spans  # type: ignore[union-attr]


async def test_who_traces_nothing_sends_nothing_and_pays_no_byte(engine: Engine, receiver: Receiver) -> None:
    await engine.add_webhook(receiver.url(), "*")
    await engine.add_webhook(receiver.url("/own"), "*", headers={"Traceparent": "mine"})
    for setting in ("", "x" * 100_000, CAUSE.upper(), f"{CAUSE[:54]}", f"{CAUSE} {'y' * 1000}"):
        await engine.sql("select set_config('tidings.traceparent', $1, false)", setting)
        await engine.publish()
    sizes = await engine.sql("select pg_column_size(o.*) as size, traceparent from tidings.outbox o")
    assert {row["traceparent"] for row in sizes} == {None}
    assert len({row["size"] for row in sizes}) == 1
    without = await engine.value(
        "select pg_column_size(row(id, group_id, source, type, operation, subject, table_schema, table_name, record, old_record, "
        "occurred_at, event_id, external_id, webhook_id, capture_error, hops, is_counted)) from tidings.outbox limit 1"
    )
    assert sizes[0]["size"] <= without
    # Of a version to come no more than its beginning is kept; and ids that are none are found as it is routed.
    await engine.sql("select set_config('tidings.traceparent', $1, false)", f"cc{CAUSE[2:]}-{'z' * 10_000}")
    await engine.publish("of.later")
    assert await engine.value("select length(traceparent) from tidings.outbox where type = 'of.later'") == 56
    await engine.sql("select set_config('tidings.traceparent', $1, false)", f"00-{'0' * 32}-b7ad6b7169203331-01")
    await engine.publish("of.zero")
    await engine.cycle()
    kept = await engine.sql("select traceparent from tidings.events where traceparent is not null")
    assert [row["traceparent"] for row in kept] == [CAUSE]
    heard = {(one.path, one.headers.get("traceparent", "")[:35]) for one in receiver.received}
    assert heard == {("/hook", ""), ("/hook", CAUSE[:35]), ("/own", "mine")}, "a header of the webhook's own is sent once"


async def test_what_is_set_aside_and_put_back_keeps_its_trace(engine: Engine) -> None:
    await engine.sql(
        "insert into tidings.outbox (source, type, record, traceparent) values ('nowhere', 'a.b', '{}', $1)", CAUSE
    )
    await engine.worker.dispatcher.run_once()
    number = await engine.value("select id from tidings.outbox_rejected")
    async with engine.services.wide.transaction() as connection:
        await set_aside.try_again(connection, number, engine.services.box)
    assert await engine.value("select traceparent from tidings.outbox") == CAUSE


# In the log ----------------------------------------------------------------------------------------------------------------


async def test_one_wide_line_for_each_attempt(config: Config, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.scripts += [says(answer(500, b"secret answer"))]
    odd = 'order.paid" admin=true\nfake line'
    async with engine_of(msgspec.structs.replace(config, log_attempts=True)) as engine:
        webhook = await engine.add_webhook(
            receiver.url("/path?token=hidden"), "*", retry=Delays(delays=(5,), jitter=0), headers={"X-Key": "hidden"}
        )
        await engine.sql(
            "insert into tidings.outbox (source, type, record, traceparent) values ('publish', $1, '{\"pan\": \"hidden\"}', $2)",
            odd,
            CAUSE,
        )
        with caplog.at_level(logging.INFO, "tidings.delivery"):
            await engine.cycle()
            engine.clock.ahead += timedelta(seconds=6)
            await engine.cycle()
    lines = [record for record in caplog.records if record.message == "delivery.attempted"]
    told = [json.loads(_Json().format(line)) for line in lines]
    assert [(one["outcome"], one["response_status"], one["attempt_number"]) for one in told] == [
        ("retried", 500, 1),
        ("succeeded", 200, 2),
    ]
    assert {(one["webhook_id"], one["event_type"], one["host"], one["method"], one["trace_id"]) for one in told} == {
        (str(webhook.id), odd, "127.0.0.1", "POST", TRACE)
    }
    assert [f"00-{TRACE}-{one['span_id']}-01" for one in told] == [one.headers["traceparent"] for one in receiver.received]
    for line in lines:
        for form in (_Json(), _Text()):
            written = form.format(line)
            assert len(written.splitlines()) == 1
            assert len(written) < 2000
            assert "hidden" not in written
            assert "secret answer" not in written
    assert r'event_type="order.paid\" admin=true\nfake line"' in _Text().format(lines[0])


async def test_without_the_setting_nothing_is_gathered_for_lines_that_nobody_writes(
    config: Config, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        seen: list[Any] = []
        engine.worker.recorder._on_recorded = seen.extend
        with caplog.at_level(logging.INFO, "tidings.delivery"):
            await engine.publish()
            await engine.cycle()
    assert [result.context for result in seen] == [None]
    assert [record for record in caplog.records if record.message == "delivery.attempted"] == []


async def test_the_libraries_of_opentelemetry_are_imported_by_nobody_who_does_not_ask(config: Config) -> None:
    code = "import sys, tidings.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
