"""How soon history answers: every list, search and count, with ten million deliveries of a month and a million that wait."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from tidings.bench.stage import KEY, Stage
from tidings.bench.statements import GROWTH, HISTORY
from tidings.core.event import about_hash
from tidings.core.webhook import type_filter

DAYS = 30  # that history is spread over, today included
TYPES = 40
WEBHOOKS = 96
SMALL_GROUPS = 20
WEBHOOKS_OF_SMALL = 4

Figures = dict[str, float]
Query = Callable[[int], tuple[str, Mapping[str, Any]]]  # from the number of the run: path and parameters


class Probe(msgspec.Struct, frozen=True):
    """Things of the history that are asked for."""

    webhooks: list[UUID]
    small_webhook: UUID
    event: UUID
    external_id: str
    since: str
    until: str


async def answering(stage: Stage, deliveries: int, waiting: int, runs: int) -> Figures:
    """Fill a database of its own, ask it everything so often, and return the 95th percentile of each question."""
    async with stage.apart() as own:
        started = time.perf_counter()
        probe = await _filled(own, deliveries, waiting)
        filled = time.perf_counter() - started
        stored: float = await own.value(HISTORY["bytes_per_delivery"])
        async with own.running("api") as url:
            times = await _asked(url, probe, runs)
    figures = {f"history_{name}_p95_ms": value for name, value in times.items()}
    worst = max(value for name, value in times.items() if name != "metrics")
    return figures | {"history_worst_p95_ms": worst, "delivery_bytes": stored, "history_fill_s": filled}


async def _filled(stage: Stage, deliveries: int, waiting: int) -> Probe:
    hooks = [await stage.add_webhook(type_filter("*"), f"/w{number}") for number in range(WEBHOOKS)]
    await stage.execute(HISTORY["fill_groups"], SMALL_GROUPS, WEBHOOKS_OF_SMALL)
    await stage.execute(HISTORY["fill_kinds"], TYPES)
    for days_ago in range(DAYS - 1, -1, -1):  # oldest first, so that rows lie in the order of their ids
        await stage.execute(GROWTH["ensure_day"], days_ago)
        events = deliveries // DAYS // 2
        await stage.execute(HISTORY["fill_events"], days_ago, events, TYPES, SMALL_GROUPS, about_hash("default", "orders", "7"))
        await stage.execute(HISTORY["fill_published"], days_ago)
        await stage.execute(HISTORY["fill_deliveries"], days_ago)
    await stage.execute(HISTORY["fill_queue"], waiting)
    for what in ("fill_flights", "fill_statistics", "tidy"):
        await stage.execute(HISTORY[what])
    now = stage.services.clock.now()
    return Probe(
        hooks,
        await stage.value(HISTORY["small_webhook"]),
        await stage.value(HISTORY["some_event"], DAYS // 2),
        await stage.value(HISTORY["some_external_id"]),
        (now - timedelta(days=8)).isoformat(),
        (now - timedelta(days=7)).isoformat(),
    )


async def _asked(url: str, probe: Probe, runs: int) -> Figures:
    """Ask every question so often, and return the 95th percentile of each in milliseconds."""
    figures: Figures = {}
    async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": KEY}, timeout=60) as client:
        for name, query in _questions(probe).items():
            times = []
            for number in range(runs + 2):  # the first two open connections and prepare statements
                path, parameters = query(number)
                group = {"X-Tidings-Group": "small0"} if name.startswith("small") else {}
                begun = time.perf_counter()
                answer = await client.get(path, params=parameters, headers=group)
                times.append((time.perf_counter() - begun) * 1e3)
                answer.raise_for_status()
            figures[name] = sorted(times[2:])[max(0, runs * 95 // 100 - 1)]
    return figures


def _questions(probe: Probe) -> dict[str, Query]:
    """Return every kind of question by its name; what they are about changes from run to run where it can."""

    def deliveries(**query: Any) -> Query:
        return lambda number: ("/api/v1/deliveries", {k: v(number) if callable(v) else v for k, v in query.items()})

    def events(**query: Any) -> Query:
        return lambda number: ("/api/v1/events", {k: v(number) if callable(v) else v for k, v in query.items()})

    def webhook(number: int) -> UUID:
        return probe.webhooks[number % len(probe.webhooks)]

    def kind(number: int) -> str:
        return f"bench.t{number % TYPES}"

    day = {"since": probe.since, "until": probe.until}
    return {
        "all": deliveries(),
        "page_of_1000": deliveries(limit=1000),
        "far_offset": deliveries(offset=10_000),
        "day": deliveries(**day),
        "webhook": deliveries(webhook_id=webhook),
        "webhook_day": deliveries(webhook_id=webhook, **day),
        "webhook_failed": deliveries(webhook_id=webhook, status="failed"),
        "webhook_type": deliveries(webhook_id=webhook, type=kind),
        "webhook_path": lambda number: (f"/api/v1/webhooks/{webhook(number)}/deliveries", {"offset": 50}),
        "failed": deliveries(status="failed"),
        "failed_or_retrying": deliveries(status="failed,retrying"),
        "pending": deliveries(status="pending"),
        "sending": deliveries(status="sending"),
        "retrying": deliveries(status="retrying"),
        "cancelled": deliveries(status="cancelled"),
        "event": deliveries(event_id=probe.event),
        "type": deliveries(type=kind),
        "type_failed": deliveries(type=kind, status="failed"),
        "family": deliveries(type="bench.*"),
        "receivers_word": deliveries(type="INSERT"),
        "record": deliveries(table="orders", record_id="7"),
        "table": deliveries(table="orders"),
        "failure": deliveries(failure="timeout"),
        "status_404": deliveries(response_status="404"),
        "status_5xx": deliveries(response_status="5xx"),
        "status_never_seen": deliveries(response_status="418"),
        "text": deliveries(text="note"),
        "text_nowhere": deliveries(text="nowhere at all"),
        "small_all": deliveries(),
        "small_webhook": deliveries(webhook_id=probe.small_webhook),
        "small_failed": deliveries(status="failed"),
        "small_type": deliveries(type="bench.t1"),
        "count_all": deliveries(count="true"),
        "count_webhook": deliveries(count="true", webhook_id=webhook),
        "count_failed": deliveries(count="true", status="failed"),
        "count_type": deliveries(count="true", type=kind),
        "count_table_failed": deliveries(count="true", table="orders", status="failed"),
        "small_count": deliveries(count="true"),
        "events": events(),
        "events_type": events(type=kind),
        "events_subject": events(subject=lambda number: f"order-{number * 4}"),
        "events_record": events(table="orders", record_id="7"),
        "events_table_day": events(table="orders", **day),
        "events_external_id": events(external_id=probe.external_id),
        "events_text_nowhere": events(text="nowhere at all"),
        "small_events": events(),
        "count_events_type": events(count="true", type=kind),
        "log": lambda number: ("/api/webhooks/logs", {"collection": "orders", "status": "failed", "page": 1 + number % 5}),
        "statistics_month": lambda _: ("/api/v1/statistics", {"since": probe.since, "step": "day"}),
        "statistics_hours": lambda number: (
            f"/api/v1/webhooks/{webhook(number)}/statistics",
            {"since": probe.since, "step": "hour"},
        ),
        "metrics": lambda _: ("/metrics", {}),
    }
