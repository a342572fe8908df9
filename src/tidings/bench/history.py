"""How soon history answers: every list, search and count, with ten million deliveries of a month and a million that wait."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import msgspec

from tidings.bench.stage import KEY, Stage
from tidings.bench.statements import GROWTH, HISTORY
from tidings.core.event import about_hash
from tidings.core.filters import type_filter

DAYS = 30  # that history is spread over, today included
TYPES = 40
WEBHOOKS = 96
SMALL_GROUPS = 20
WEBHOOKS_OF_SMALL = 4

Figures = dict[str, float]
Query = Callable[[int], tuple[str, Mapping[str, Any]]]  # from the number of the run: path and parameters


class Past(msgspec.Struct, frozen=True):
    """A month of history on a database of its own, and things of it that are asked for."""

    stage: Stage
    webhooks: list[UUID]
    small_webhook: UUID
    event: UUID
    deliveries: list[UUID]
    external_id: str
    since: str
    until: str
    fill_seconds: float

    def webhook(self, number: int) -> UUID:
        """Return one of the webhooks, another each time."""
        return self.webhooks[number % len(self.webhooks)]


async def answering(past: Past, runs: int) -> Figures:
    """Ask the API everything so often, and return the 95th percentile of each question."""
    stored: float = await past.stage.value(HISTORY["bytes_per_delivery"])
    async with past.stage.running("api") as url:
        times = await _asked(url, past, runs)
    figures = {f"history_{name}_p95_ms": value for name, value in times.items()}
    worst = max(value for name, value in times.items() if name != "metrics")
    return figures | {"history_worst_p95_ms": worst, "delivery_bytes": stored, "history_fill_s": past.fill_seconds}


async def past_of(stage: Stage, deliveries: int, waiting: int) -> Past:
    """Return a month of history with so many deliveries: filled for whoever asks first, and shared with the next."""
    past: Past = await stage.kept("past", partial(_filled, deliveries=deliveries, waiting=waiting))
    return past


async def _filled(stage: Stage, deliveries: int, waiting: int) -> Past:
    started = time.perf_counter()
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
    return Past(
        stage=stage,
        webhooks=hooks,
        small_webhook=await stage.value(HISTORY["small_webhook"]),
        event=await stage.value(HISTORY["some_event"], DAYS // 2),
        deliveries=await stage.value(HISTORY["some_deliveries"]),
        external_id=await stage.value(HISTORY["some_external_id"]),
        since=(now - timedelta(days=8)).isoformat(),
        until=(now - timedelta(days=7)).isoformat(),
        fill_seconds=time.perf_counter() - started,
    )


async def _asked(url: str, past: Past, runs: int) -> Figures:
    """Ask every question so often, and return the 95th percentile of each in milliseconds."""
    figures: Figures = {}
    async with httpx.AsyncClient(base_url=url, headers={"X-API-Key": KEY}, timeout=60) as client:
        for name, query in questions(past).items():
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


def _asks(path: str, **query: Any) -> Query:
    return lambda number: (path, {k: v(number) if callable(v) else v for k, v in query.items()})


def _deliveries(**query: Any) -> Query:
    return _asks("/api/v1/deliveries", **query)


def _events(**query: Any) -> Query:
    return _asks("/api/v1/events", **query)


def _kind(number: int) -> str:
    return f"bench.t{number % TYPES}"


def questions(past: Past) -> dict[str, Query]:
    """Return every kind of question by its name; what they are about changes from run to run where it can."""
    return _about_deliveries(past) | _counts(past) | _about_events(past)


def _about_deliveries(past: Past) -> dict[str, Query]:
    webhook, day = past.webhook, {"since": past.since, "until": past.until}
    return {
        "all": _deliveries(),
        "page_of_1000": _deliveries(limit=1000),
        "far_offset": _deliveries(offset=10_000),
        "day": _deliveries(**day),
        "webhook": _deliveries(webhook_id=webhook),
        "webhook_day": _deliveries(webhook_id=webhook, **day),
        "webhook_failed": _deliveries(webhook_id=webhook, status="failed"),
        "webhook_type": _deliveries(webhook_id=webhook, type=_kind),
        "webhook_path": lambda number: (f"/api/v1/webhooks/{webhook(number)}/deliveries", {"offset": 50}),
        "failed": _deliveries(status="failed"),
        "failed_or_retrying": _deliveries(status="failed,retrying"),
        "pending": _deliveries(status="pending"),
        "sending": _deliveries(status="sending"),
        "retrying": _deliveries(status="retrying"),
        "cancelled": _deliveries(status="cancelled"),
        "event": _deliveries(event_id=past.event),
        "type": _deliveries(type=_kind),
        "type_failed": _deliveries(type=_kind, status="failed"),
        "family": _deliveries(type="bench.*"),
        "receivers_word": _deliveries(type="INSERT"),
        "record": _deliveries(table="orders", record_id="7"),
        "table": _deliveries(table="orders"),
        "failure": _deliveries(failure="timeout"),
        "status_404": _deliveries(response_status="404"),
        "status_5xx": _deliveries(response_status="5xx"),
        "status_never_seen": _deliveries(response_status="418"),
        "text": _deliveries(text="note"),
        "text_nowhere": _deliveries(text="nowhere at all"),
        "small_all": _deliveries(),
        "small_webhook": _deliveries(webhook_id=past.small_webhook),
        "small_failed": _deliveries(status="failed"),
        "small_type": _deliveries(type="bench.t1"),
    }


def _counts(past: Past) -> dict[str, Query]:
    webhook = past.webhook
    return {
        "count_all": _deliveries(count="true"),
        "count_webhook": _deliveries(count="true", webhook_id=webhook),
        "count_failed": _deliveries(count="true", status="failed"),
        "count_type": _deliveries(count="true", type=_kind),
        "count_table_failed": _deliveries(count="true", table="orders", status="failed"),
        "small_count": _deliveries(count="true"),
    }


def _about_events(past: Past) -> dict[str, Query]:
    webhook, day = past.webhook, {"since": past.since, "until": past.until}
    return {
        "events": _events(),
        "events_type": _events(type=_kind),
        "events_subject": _events(subject=lambda number: f"order-{number * 4}"),
        "events_record": _events(table="orders", record_id="7"),
        "events_table_day": _events(table="orders", **day),
        "events_external_id": _events(external_id=past.external_id),
        "events_text_nowhere": _events(text="nowhere at all"),
        "small_events": _events(),
        "count_events_type": _events(count="true", type=_kind),
        "log": lambda number: ("/api/webhooks/logs", {"collection": "orders", "status": "failed", "page": 1 + number % 5}),
        "statistics_month": lambda _: ("/api/v1/statistics", {"since": past.since, "step": "day"}),
        "statistics_hours": lambda number: (
            f"/api/v1/webhooks/{webhook(number)}/statistics",
            {"since": past.since, "step": "hour"},
        ),
        "metrics": lambda _: ("/metrics", {}),
    }
