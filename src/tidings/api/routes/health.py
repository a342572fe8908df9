"""`/healthz`, `/readyz`, `/metrics`: for machines that watch this one."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from uuid import UUID

from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.api.http.access import require_watcher
from tidings.api.http.parameters import refuse_unknown
from tidings.core.errors import NotReadyError
from tidings.core.pressure import TROUBLES, sources_of
from tidings.core.statistics import BOUNDS_MS, OUTCOMES
from tidings.operations import diagnosis, readings
from tidings.operations.fleet import Watched
from tidings.operations.readings import Readings
from tidings.operations.services import Services
from tidings.store.faults import KINDS
from tidings.store.statistics import WHOLE_GROUP, Counted, Series

ROWS = ("event", "delivery", "flight")
OTHERS = "others"  # webhooks that have no series of their own
_BOUNDS = (*(f"{bound / 1e3:g}" for bound in BOUNDS_MS), "+Inf")  # seconds


@get("/healthz", media_type=MediaType.TEXT)
async def healthz() -> str:
    """Answer while the process lives and its event loop turns. It does not ask the database: a restart would not mend that."""
    return "ok"


@get("/readyz", media_type=MediaType.TEXT)
async def readyz(services: NamedDependency[Services]) -> str:
    """Answer 200 while the database can be written and holds our schema, a worker is alive and events are routed; else 503 with
    the reasons.

    Raises:
        NotReadyError: Something is wrong.
    """
    problems = await diagnosis.why_not_ready(services)
    if problems:
        told = [{"name": problem.name, "sentence": problem.sentence} for problem in problems]
        raise NotReadyError(" ".join(problem.sentence for problem in problems), problems=told)
    return "ready"


@get("/metrics", media_type=MediaType.TEXT, guards=[require_watcher], security=[{"key": []}])
async def metrics(services: NamedDependency[Services]) -> Response[bytes]:
    """Answer in Prometheus's text format: what all processes have counted, and the memory and time of this one.

    Without the database, within some seconds, what this process knows by itself.
    """
    found = await readings.read_in_time(services)
    registry = CollectorRegistry()
    registry.register(Told([database_up(is_up=found is not None), *(families(found) if found is not None else [])]))
    return Response(generate_latest(registry) + generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


def database_up(*, is_up: bool) -> Metric:
    """Return whether the database answers: what it alone knows is left out where it does not, and not told as zero."""
    text = "1 where the database answers, 0 where it does not: then what only the database knows is left out."
    return GaugeMetricFamily("tidings_database_up", text, float(is_up))


def families(found: Readings) -> list[Metric]:
    """Return what is told of the whole installation."""
    return [
        *_gauges(found),
        *_fleet(found.fleet),
        _set_aside(found.set_aside),
        _attempts(found.counted),
        _by_webhook(found.series),
    ]


def _gauges(found: Readings) -> list[Metric]:
    unfinished = found.waiting + found.sending
    return [
        GaugeMetricFamily(name, text, value)
        for name, text, value in (
            ("tidings_outbox_rows", "Events not yet routed; past 10,000 an upper bound.", found.outbox_rows),
            ("tidings_outbox_lag_seconds", "Age of the oldest event not yet routed.", found.outbox_lag_seconds),
            ("tidings_queue_waiting", "Deliveries that wait for a place, their turn or their next attempt.", found.waiting),
            (
                "tidings_queue_sending",
                "Deliveries a worker holds, those of the last second that are done included.",
                found.sending,
            ),
            ("tidings_queue_unfinished", "Deliveries that are neither acknowledged nor given up.", unfinished),
            ("tidings_queue_lag_seconds", "How long the lane that is due longest has waited.", found.queue_lag_seconds),
            ("tidings_webhooks_failing", "Webhooks that were warned of and fail; 10,000 are counted at most.", found.failing),
            (
                "tidings_deliveries_looped",
                "Deliveries stopped since the beginning because they led to themselves.",
                found.counted.get("looped", Counted(0)).count,
            ),
            ("tidings_webhooks_resting", "Webhooks that were warned of and rest.", found.resting),
        )
    ]


def _fleet(watched: Watched | None) -> list[Metric]:
    """Return what waits for a home of a fleet in the stream and at sources; of an installation that is none, zero of each."""
    seen = None if watched is None or watched.is_stale else watched.seen
    standing = seen.homes[0] if seen is not None and seen.homes else None
    found: list[Metric] = [
        GaugeMetricFamily(f"tidings_stream_{name}", text, 0 if standing is None else getattr(standing, figure))
        for name, text, figure in (
            ("flights", "Flights in the stream of a fleet that this home has not landed.", "flights"),
            ("lag_seconds", "Age of the oldest of them.", "seconds"),
            ("bytes", "Bytes of them.", "bytes"),
            ("filled", "How much of its room they take, from 0 to 1.", "share"),
            ("copies", "Nodes that are to keep them.", "replicas"),
            ("copies_current", "Nodes that keep all of them.", "current"),
            ("received", "The number of the last flight that came, counted since the stream was made.", "last"),
        )
    ]
    counts = Counter(one.name for one in watched.troubles) if watched is not None else Counter()
    family = GaugeMetricFamily("tidings_fleet_troubles", "What is wrong in the fleet, as this home sees it.", labels=["name"])
    for name in TROUBLES:
        family.add_metric([name], counts[name])
    sources = {} if seen is None else {name: one for name, one in sources_of(seen).items() if one is not None}
    silent = GaugeMetricFamily("tidings_source_silent_seconds", "For how long a source has said nothing.", labels=["source"])
    events = GaugeMetricFamily("tidings_source_waiting_events", "Events for this home at a source.", labels=["source"])
    for name, report in sources.items():
        silent.add_metric([name], max(0.0, (seen.at - report.at).total_seconds()) if seen is not None else 0.0)
        events.add_metric([name], sum(one.events for one in report.waits))
    return [*found, family, silent, events]


def _set_aside(counts: Mapping[str, int]) -> Metric:
    text = (
        "What is set aside with a reason: events, deliveries, flights from other databases, and settings that cannot be read."
    )
    family = GaugeMetricFamily("tidings_set_aside", text, labels=["kind"])
    for kind in (*ROWS, *KINDS):
        family.add_metric([kind], counts.get(kind, 0))
    return family


def _attempts(counted: Mapping[str, Counted]) -> Metric:
    family = HistogramMetricFamily(
        "tidings_attempt_seconds",
        "Attempts that all processes made, by what they meant, and how long they took.",
        labels=["outcome"],
    )
    for outcome in OUTCOMES:
        found = counted.get(outcome, Counted(0))
        counts = [count or 0 for count in found.latencies[: len(_BOUNDS)]]
        counts += [0] * (len(_BOUNDS) - len(counts))
        family.add_metric([outcome], list(zip(_BOUNDS, accumulate(counts), strict=True)), found.seconds)
    return family


def _by_webhook(series: Sequence[Series]) -> Metric:
    text = (
        "Attempts that all processes made for each webhook, tests left out, counted some six minutes later; the first webhooks "
        "that delivered have a series each, as many as metrics_webhooks says, and the rest are others."
    )
    family = CounterMetricFamily("tidings_webhook_attempts", text, labels=["group", "webhook", "outcome"])
    known: dict[tuple[str, UUID], dict[str, int]] = {("", WHOLE_GROUP): {}}
    for one in series:
        known.setdefault((one.group_id, one.webhook_id), {})[one.outcome] = one.count
    for (group_id, webhook_id), counts in known.items():
        name = OTHERS if webhook_id == WHOLE_GROUP else str(webhook_id)
        for outcome in OUTCOMES:
            family.add_metric([group_id, name, outcome], counts.get(outcome, 0))
    return family


class Told(Collector):
    """What is told in one answer."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Return it."""
        yield from self._found


router = Router("/", route_handlers=[healthz, readyz, metrics], guards=[refuse_unknown], tags=["Watch"])
