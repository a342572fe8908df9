"""Spans and figures for OpenTelemetry, exported by OTLP.

The spans of an event are made when it was routed, that of an attempt when it is on record, all at once and with the ids
that follow from what they are about (`core.trace`): nothing is open meanwhile, and no process has to know what another did.
A queue takes them, bounded by `OTEL_BSP_MAX_QUEUE_SIZE`: while nobody takes them there, the rest is dropped, and deliveries
do not wait. A thread of the library's sends.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import wraps
from threading import Thread
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import msgspec
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context

from tidings.core import trace
from tidings.core.event import Event
from tidings.core.outcome import Released, Result, Succeeded
from tidings.core.statistics import BOUNDS_MS
from tidings.core.telemetry import Wanted
from tidings.core.trace import Trace
from tidings.store.tallies import outcome_name
from tidings.worker.telemetry import Waiting

logger = logging.getLogger("tidings.telemetry")

CLOSE_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 60.0  # between two lines of the library's
MAX_NAME: Final = 100  # characters of a type in a span's name
_COMMITTED: Final = frozenset({"tables", "collections"})  # sources that are transactions; others publish


def _harmless(told: Callable[..., None]) -> Callable[..., None]:
    """Have what goes wrong in telling cost a line of the log, and nothing else: what is told of is done."""

    @wraps(told)
    def safely(self: "OpenTelemetry", *args: Any) -> None:
        try:
            told(self, *args)
        except Exception:
            if not self.has_failed:
                logger.exception("OpenTelemetry could not be told; it is said once")
            self.has_failed = True

    return safely


class Seldom(logging.Handler):
    """Lets through one line a minute of what the library says: while a collector is away that is several for each try."""

    def __init__(self, monotonic: Callable[[], float] = monotonic) -> None:
        super().__init__(logging.WARNING)
        self._monotonic = monotonic
        self._silent_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line on, or drop it."""
        now = self._monotonic()
        if now >= self._silent_until:
            self._silent_until = now + SILENT_SECONDS
            logging.getLogger().handle(record)


class OpenTelemetry:
    """Tells OpenTelemetry what a worker does (`worker.telemetry.Telemetry`). Settings are the library's own variables."""

    def __init__(self, asked: Wanted, version: str) -> None:
        own = Resource({"service.name": "tidings", "service.version": version, "service.instance.id": str(uuid4())})
        resource = own.merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("tidings", version)
        self._resource = resource
        self._spans: BatchSpanProcessor | None = None
        self._figures: Figures | None = None
        self._closing: list[Callable[[], object]] = []
        self.has_failed = False
        library = logging.getLogger("opentelemetry")
        library.handlers, library.propagate = [Seldom()], False
        if asked.traces:
            self._sampler = TracerProvider(resource=resource, shutdown_on_exit=False).sampler
            self._spans = BatchSpanProcessor(OTLPSpanExporter())
            self._closing.append(self._spans.shutdown)
        if asked.metrics:
            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
            provider = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
            self._figures = Figures(provider, version)
            self._closing.append(provider.shutdown)

    def adopted(self, events: list[Event]) -> list[Event]:
        """Return events, each in a trace: its caller's, or one of its own. Whether it is recorded is decided here, once."""
        if self._spans is None:
            return events
        try:
            return [self._adopted(event) for event in events]
        except Exception:  # a sampler of somebody's own
            logger.exception("OpenTelemetry could not decide about events; they are in the traces that they came with")
            return events

    def _adopted(self, event: Event) -> Event:
        found = trace.parse(event.traceparent)
        name, kind = _name(_verb(event), event.type), SpanKind.PRODUCER
        if found is None:
            own = Trace(trace.trace_id_of(event.id), trace.publish_span(event.id), 0)
            is_sampled = self._sampler.should_sample(Context(), own.trace_id, name, kind).decision is Decision.RECORD_AND_SAMPLE
        else:
            own, parent = found, NonRecordingSpan(_span_context(found, is_remote=True))
            context = set_span_in_context(parent, Context())
            is_sampled = self._sampler.should_sample(context, own.trace_id, name, kind).decision is Decision.RECORD_AND_SAMPLE
        flags = own.flags | trace.SAMPLED if is_sampled else own.flags & ~trace.SAMPLED
        decided = str(msgspec.structs.replace(own, flags=flags))
        return event if decided == event.traceparent else msgspec.structs.replace(event, traceparent=decided)

    @_harmless
    def routed(self, events: Sequence[Event], taken_at: datetime, routed_at: datetime) -> None:
        """Tell of events that were routed: how long each waited since it occurred, and how long routing took."""
        if self._figures is not None:
            self._figures.routed(events, taken_at)
        if self._spans is None:
            return
        for event in events:
            found = trace.parse(event.traceparent)
            if found is None or not found.is_sampled:
                continue
            published, routing = trace.publish_span(event.id), trace.route_span(event.id)
            parent = None if found.span_id == published else _span_context(found, is_remote=True)
            about = _about_event(event)
            begun_at, verb = min(event.occurred_at, taken_at), _verb(event)
            self._end(found, published, parent, _name(verb, event.type), SpanKind.PRODUCER, about, begun_at, taken_at)
            parent = _span_context(found, published)
            self._end(found, routing, parent, _name("route", event.type), SpanKind.INTERNAL, about, taken_at, routed_at)

    @_harmless
    def attempted(self, results: Sequence[Result]) -> None:
        """Tell of attempts."""
        if self._figures is not None:
            self._figures.attempted(results)
        if self._spans is None:
            return
        for result in results:
            found = None if result.context is None else trace.parse(result.context.traceparent)
            if found is None or not found.is_sampled or isinstance(result.outcome, Released):
                continue
            self._attempt(result, found)

    def _attempt(self, result: Result, found: Trace) -> None:
        delivery, context = result.delivery, result.context
        assert context is not None  # noqa: S101 - the caller looked
        span_id = trace.attempt_span(delivery.id, delivery.attempt_number, int(result.started_at.timestamp()))
        parent = _span_context(found, trace.route_span(delivery.event_id))
        begun = _nanoseconds(result.started_at)
        span = ReadableSpan(
            _name("attempt", context.event_type),
            context=_span_context(found, span_id),
            parent=parent,
            resource=self._resource,
            attributes=_about_attempt(result),
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.UNSET if isinstance(result.outcome, Succeeded) else StatusCode.ERROR),
            start_time=begun,
            end_time=begun + int(result.exchange.timings.total_ms * 1e6),
            instrumentation_scope=self._scope,
        )
        if self._spans is not None:
            self._spans.on_end(span)

    def _end(
        self,
        found: Trace,
        span_id: int,
        parent: SpanContext | None,
        name: str,
        kind: SpanKind,
        about: dict[str, Any],
        begun_at: datetime,
        ended_at: datetime,
    ) -> None:
        begun = _nanoseconds(begun_at)
        span = ReadableSpan(
            name,
            context=_span_context(found, span_id),
            parent=parent,
            resource=self._resource,
            attributes=about,
            kind=kind,
            start_time=begun,
            end_time=max(begun, _nanoseconds(ended_at)),
            instrumentation_scope=self._scope,
        )
        if self._spans is not None:
            self._spans.on_end(span)

    @_harmless
    def waits(self, waiting: Waiting) -> None:
        """Tell what waits."""
        if self._figures is not None:
            self._figures.waiting = waiting

    async def close(self) -> None:
        """Send what there is. A collector that does not answer keeps nobody: after a few seconds the rest is left."""
        thread = Thread(target=self._close, name="end of OpenTelemetry", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, CLOSE_SECONDS)
        if thread.is_alive():
            logger.warning("the collector of OpenTelemetry did not take all that there was to tell in %.0f s", CLOSE_SECONDS)

    def _close(self) -> None:
        closing, self._closing = self._closing, []  # the worker closes it, and so does the process
        for close in closing:
            try:
                close()
            except Exception:
                logger.exception("OpenTelemetry could not be closed")


class Figures:
    """Instruments: what this process did, and what waits in the whole installation."""

    def __init__(self, provider: MeterProvider, version: str) -> None:
        meter = provider.get_meter("tidings", version)
        self.waiting: Waiting | None = None
        self._attempts = meter.create_histogram(
            "tidings.attempt.duration", "s", "Attempts that this process made, by what they meant, and how long they took.",
            explicit_bucket_boundaries_advisory=[bound / 1e3 for bound in BOUNDS_MS],
        )  # fmt: skip
        self._routed = meter.create_counter(
            "tidings.event.routed", "{event}", "Events that this process routed, by their source."
        )
        self._lag = meter.create_histogram(
            "tidings.event.wait", "s", "How long events that this process routed had waited for that.",
            explicit_bucket_boundaries_advisory=[bound / 1e3 for bound in BOUNDS_MS],
        )  # fmt: skip
        for name, unit, text in (
            ("outbox_rows", "{event}", "Events not yet routed, in the whole installation; past 10,000 an upper bound."),
            ("outbox_lag_seconds", "s", "Age of the oldest event not yet routed, in the whole installation."),
            ("queue_lag_seconds", "s", "How long the lane that is due longest has waited, in the whole installation."),
        ):
            told = f"tidings.{name.removesuffix('_seconds').replace('_', '.')}"
            meter.create_observable_gauge(told, [self._observed(name)], unit, text)

    def routed(self, events: Sequence[Event], taken_at: datetime) -> None:
        """Count events that were routed together."""
        for event in events:
            self._routed.add(1, {"tidings.source": event.source})
            self._lag.record(max(0.0, (taken_at - event.occurred_at).total_seconds()))

    def attempted(self, results: Sequence[Result]) -> None:
        """Count attempts."""
        for result in results:
            if (name := outcome_name(result.outcome)) is not None:
                self._attempts.record(result.exchange.timings.total_ms / 1e3, {"tidings.outcome": name})

    def _observed(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [] if self.waiting is None else [Observation(getattr(self.waiting, name))]

        return observe


def _about_event(event: Event) -> dict[str, Any]:
    return {
        "messaging.system": "tidings",
        "messaging.message.id": str(event.id),
        "tidings.event.type": event.type,
        "tidings.event.source": event.source,
        "tidings.group": event.group_id,
    }


def _about_attempt(result: Result) -> dict[str, Any]:
    delivery, exchange, context = result.delivery, result.exchange, result.context
    about: dict[str, Any] = {
        "messaging.system": "tidings",
        "messaging.message.id": str(delivery.event_id),
        "tidings.delivery.id": str(delivery.id),
        "tidings.webhook.id": str(delivery.webhook_id),
        "tidings.group": delivery.group_id,
        "tidings.attempt.number": delivery.attempt_number,
        "tidings.outcome": outcome_name(result.outcome) or "released",
    }
    if context is not None:
        about |= {
            "http.request.method": context.method,
            "tidings.event.type": context.event_type,
        }
        if context.host:
            about["server.address"] = context.host
    if exchange.status is not None:
        about["http.response.status_code"] = exchange.status
    if not isinstance(result.outcome, Succeeded):
        about["error.type"] = exchange.failure or str(exchange.status)
    return about


def _verb(event: Event) -> str:
    return "commit" if event.source in _COMMITTED else "publish"


def _name(verb: str, type_: str) -> str:
    return f"{verb} {type_[:MAX_NAME]}"


def _span_context(found: Trace, span_id: int | None = None, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(found.trace_id, found.span_id if span_id is None else span_id, is_remote, TraceFlags(found.flags))


def _nanoseconds(at: datetime) -> int:
    return max(0, int(at.timestamp() * 1e6)) * 1000
