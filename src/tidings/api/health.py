"""`/healthz`, `/readyz`, `/metrics`: for machines that watch this one."""

from itertools import accumulate

from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

from tidings.api.services import Services
from tidings.core.statistics import BOUNDS_MS, OUTCOMES
from tidings.store import flights, outbox, queue, statistics, webhooks
from tidings.store.statistics import Counted

_BOUNDS = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
_NOTHING = Counted(0, 0.0, [0] * len(_BOUNDS))


@get("/healthz", media_type=MediaType.TEXT)
async def healthz() -> str:
    """Answer while the process lives."""
    return "ok"


@get("/readyz", media_type=MediaType.TEXT)
async def readyz(services: NamedDependency[Services]) -> str:
    """Answer 200 while the database answers and holds our schema, 503 otherwise."""
    async with services.database.connection() as connection:
        await webhooks.routes_version(connection)
    return "ready"


@get("/metrics", media_type=MediaType.TEXT)
async def metrics(services: NamedDependency[Services]) -> Response[bytes]:
    """Answer in Prometheus's text format. All of it is read from counters: of every process, and whatever waits."""
    async with services.database.connection() as connection:
        backlog, lag_seconds = await outbox.backlog(connection), await queue.lag_seconds(connection)
        counters, sending = await statistics.counters(connection), await flights.under_way(connection)
    waiting = (
        sum(counters.get(name, _NOTHING).count for name in ("queued", "requeued")) - counters.get("claimed", _NOTHING).count
    )
    registry = CollectorRegistry()
    for name, text, value in (
        ("tidings_outbox_rows", "Events not yet routed; past 10,000 an upper bound.", backlog.waiting),
        ("tidings_outbox_lag_seconds", "Age of the oldest event not yet routed.", backlog.lag_seconds),
        ("tidings_queue_waiting", "Deliveries that wait for a place, their turn or their next attempt.", waiting),
        ("tidings_queue_sending", "Deliveries that workers hold, with those done in the last second.", sending),
        ("tidings_queue_unfinished", "Deliveries that are neither acknowledged nor given up.", waiting + sending),
        ("tidings_queue_lag_seconds", "How long the lane that has been due longest has waited.", lag_seconds),
    ):
        Gauge(name, text, registry=registry).set(value)
    registry.register(_Attempts(counters))
    return Response(generate_latest(registry) + generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


class _Attempts(Collector):
    """Attempts and how long they took, by outcome, as all processes have counted them."""

    def __init__(self, counters: dict[str, Counted]) -> None:
        self._counters = counters

    def collect(self) -> list[Metric]:
        """Return what was counted."""
        family = HistogramMetricFamily(
            "tidings_attempt_seconds", "Attempts made, by what they meant, and how long each took.", labels=["outcome"]
        )
        for outcome in OUTCOMES:
            counted = self._counters.get(outcome, _NOTHING)
            family.add_metric([outcome], list(zip(_BOUNDS, accumulate(counted.latencies), strict=True)), counted.seconds)
        return [family]


router = Router("/", route_handlers=[healthz, readyz, metrics], include_in_schema=False)
