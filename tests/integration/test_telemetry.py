"""OpenTelemetry: `tidings serve` as an operator configures it, and a collector that decodes what it is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from tests.support.collector import Collector, attributes
from tests.support.limits import PATIENCE
from tests.support.process import Process, free_ports
from tests.support.receiver import Receiver, answer, says
from tidings.core.trace import parse, publish_span, route_span

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
KEY = {"Authorization": "Bearer test"}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    yield collector
    await collector.stop()


def options(database_url: str, tmp_path: Any) -> dict[str, Any]:
    return {
        "database_url": database_url, "data_dir": tmp_path, "secret_key": "test", "admin_key": "test", "port": 0,
        "allow_private_networks": "127.0.0.0/8",
    }  # fmt: skip


async def _begun(client: httpx.AsyncClient, receiver: Receiver, *events: Any) -> str:
    retry = {"delays": [1], "jitter": 0}
    response = await client.post(
        "/api/v1/webhooks", json={"url": receiver.url(), "events": ["order.*", *events], "retry": retry}
    )
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def test_what_happens_is_told_as_spans_and_figures(
    database_url: str, tmp_path: Any, receiver: Receiver, collector: Collector
) -> None:
    user = await asyncpg.connect(database_url)
    await user.execute("create table orders (id int generated always as identity)")
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    server = await Process.start("serve", environ=environ, **options(database_url, tmp_path))
    receiver.scripts.append(says(answer(500)))
    try:
        async with httpx.AsyncClient(base_url=server.ready["url"], headers=KEY, timeout=PATIENCE) as client:
            webhook_id = await _begun(client, receiver, {"table": "orders"})
            body = {"type": "order.paid", "data": {"pan": "hidden"}}
            first = await client.post("/api/v1/events", json=body, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
            await receiver.wait_for(2)  # the second attempt too
            await client.post("/api/v1/events", json=body, headers={"traceparent": f"00-{OTHER}-{SPAN}-00"})
            await user.execute("insert into orders default values")
            heard = await receiver.wait_for(4)
    finally:
        await user.close()
        assert await server.stop() == 0
    event_id = first.json()["id"]
    _whole_trace(collector, event_id, webhook_id, [one.headers["traceparent"] for one in heard[:2]])
    # Whom nobody records, nobody tells of; the receiver is told so too.
    (unsampled,) = [one for one in heard if OTHER in one.headers["traceparent"]]
    assert unsampled.headers["traceparent"].endswith("-00")
    assert [span for span in collector.spans() if span.trace_id.hex() == OTHER] == []
    # A row that nobody traced has a trace of its own.
    (row,) = [parse(one.headers["traceparent"]) for one in heard if one.headers["traceparent"][3:35] not in {TRACE, OTHER}]
    assert row is not None
    of_row = {span.name: span for span in collector.spans() if int.from_bytes(span.trace_id) == row.trace_id}
    assert set(of_row) == {"commit table.orders.inserted", "route table.orders.inserted", "attempt table.orders.inserted"}
    root = of_row["commit table.orders.inserted"]
    assert root.parent_span_id == b""
    assert int.from_bytes(of_row["attempt table.orders.inserted"].span_id) == row.span_id
    assert b"hidden" not in b"".join(one.body for one in collector.received)
    (who,) = {tuple(sorted(each.items())) for each in collector.resources()}
    assert {name: value for name, value in who if name in {"service.name", "deployment.environment.name"}} == {
        "service.name": "tidings", "deployment.environment.name": "test",
    }  # fmt: skip
    _figures(collector)


def _whole_trace(collector: Collector, event_id: str, webhook_id: str, sent: list[str]) -> None:
    spans = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
    publish, route, *attempts = sorted(
        spans, key=lambda span: ("publish", "route", "attempt").index(span.name.partition(" ")[0])
    )
    assert [span.name for span in (publish, route)] == ["publish order.paid", "route order.paid"]
    assert (publish.parent_span_id.hex(), int.from_bytes(publish.span_id)) == (SPAN, publish_span(UUID(event_id)))
    assert (route.parent_span_id, int.from_bytes(route.span_id)) == (publish.span_id, route_span(UUID(event_id)))
    assert [span.parent_span_id for span in attempts] == [route.span_id] * 2
    assert [f"00-{TRACE}-{span.span_id.hex()}-01" for span in attempts] == sent
    assert publish.start_time_unix_nano <= publish.end_time_unix_nano <= route.start_time_unix_nano <= route.end_time_unix_nano
    told = [attributes(span) for span in attempts]
    assert [(one["tidings.outcome"], one["http.response.status_code"], one["tidings.attempt.number"]) for one in told] == [
        ("retried", 500, 1), ("succeeded", 200, 2),
    ]  # fmt: skip
    assert {(one["tidings.webhook.id"], one["messaging.message.id"], one["server.address"]) for one in told} == {
        (webhook_id, event_id, "127.0.0.1")
    }
    assert [span.status.code for span in attempts] == [2, 0]
    assert told[0]["error.type"] == "500"


def _figures(collector: Collector) -> None:
    found = collector.metrics()
    counts = {
        attributes(point)["tidings.outcome"]: point.count for point in found["tidings.attempt.duration"].histogram.data_points
    }
    assert counts == {"retried": 1, "succeeded": 3}
    routed = {attributes(point)["tidings.source"]: point.as_int for point in found["tidings.event.routed"].sum.data_points}
    assert (routed["publish"], routed["tables"]) == (2, 1)
    assert found["tidings.event.wait"].unit == "s"
    assert {"tidings.outbox.rows", "tidings.outbox.lag", "tidings.queue.lag"} <= set(found)


async def test_attempts_of_listeners_are_told_by_the_process_that_answers_them(
    database_url: str, tmp_path: Any, collector: Collector
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    worker = await Process.start("worker", **options(database_url, tmp_path))
    api = await Process.start("api", environ=environ, **options(database_url, tmp_path))
    try:
        async with httpx.AsyncClient(base_url=api.ready["url"], headers=KEY, timeout=PATIENCE) as client:
            made = await client.post("/api/v1/listeners", json={"name": "desk", "events": ["order.*"]})
            path = f"/api/v1/listeners/{made.json()['id']}"
            traced = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
            event = (await client.post("/api/v1/events", json={"type": "order.paid", "data": {}}, headers=traced)).json()
            session = str(uuid4())
            take = {"session": session, "limit": 1, "wait_seconds": 5, "held": []}
            async with asyncio.timeout(PATIENCE):
                while not (taken := (await client.post(f"{path}/take", json=take)).json()["deliveries"]):
                    pass  # each waits for up to 5 s
            told = {"lease": taken[0]["lease"], "version": taken[0]["version"], "response_status": 204, "total_ms": 12.5}
            recorded = await client.post(f"{path}/results", json={"session": session, "results": [told]})
            assert recorded.json() == {"recorded": [told["lease"]], "refused": []}
    finally:
        await worker.stop()
        assert await api.stop() == 0
    (span,) = collector.spans()  # nobody asked the worker to tell anything
    assert (span.name, span.trace_id.hex(), span.status.code) == ("attempt order.paid", TRACE, 0)
    assert int.from_bytes(span.parent_span_id) == route_span(UUID(event["id"]))
    (sent,) = [value for name, value in taken[0]["headers"] if name.lower() == "traceparent"]
    assert sent == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert span.end_time_unix_nano - span.start_time_unix_nano == 12_500_000
    about = attributes(span)
    assert (about["http.response.status_code"], about["tidings.outcome"], "server.address" in about) == (
        204,
        "succeeded",
        False,
    )


async def test_a_collector_that_is_not_there_holds_up_nothing_and_nobody(
    database_url: str, tmp_path: Any, receiver: Receiver
) -> None:
    (port,) = free_ports(1)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_TRACES_SAMPLER": "always_off"}
    server = await Process.start("serve", environ=environ, **options(database_url, tmp_path))
    try:
        async with httpx.AsyncClient(base_url=server.ready["url"], headers=KEY, timeout=PATIENCE) as client:
            await _begun(client, receiver)
            await asyncio.gather(*(client.post("/api/v1/events", json={"type": "order.paid", "data": {}}) for _ in range(20)))
            heard = await receiver.wait_for(20)
        assert {one.headers["traceparent"][-2:] for one in heard} == {"00"}, "the sampler of the environment decides"
    finally:
        assert await server.stop() == 0
