"""`/healthz`, `/readyz`, `/metrics`: for machines that watch this one."""

from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.registry import REGISTRY

from tidings.api.services import Services
from tidings.store import flights, outbox, queue, webhooks


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
    """Answer in Prometheus's text format: depths and lags from the database, counts from this process."""
    async with services.database.connection() as connection:
        backlog, lag_seconds = await outbox.backlog(connection), await queue.lag_seconds(connection)
        sending = await flights.under_way(connection)
    gauges = CollectorRegistry()
    for name, text, value in (
        ("tidings_outbox_rows", "Events not yet routed.", backlog.waiting),
        ("tidings_outbox_lag_seconds", "Age of the oldest event not yet routed.", backlog.lag_seconds),
        ("tidings_queue_sending", "Deliveries a worker holds.", sending),
        ("tidings_queue_lag_seconds", "How long the oldest due delivery has waited.", lag_seconds),
    ):
        Gauge(name, text, registry=gauges).set(value)
    return Response(generate_latest(gauges) + generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


router = Router("/", route_handlers=[healthz, readyz, metrics], include_in_schema=False)
