"""What this process counts, for Prometheus. Depths and lags are read from the database when asked (`api.metrics`)."""

import logging
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import REGISTRY, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.core.outcome import GiveUp, Gone, Released, RetryAt, Succeeded
from tidings.worker.result import Result

logger = logging.getLogger("tidings.delivery")

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_NAMES: dict[type, str] = {Succeeded: "succeeded", RetryAt: "retry", GiveUp: "failed", Gone: "gone", Released: "released"}


class AttemptStatistics(Collector):
    """Counts attempts and their durations by outcome: the library's own counters would lock for each."""

    def __init__(self) -> None:
        self._buckets = {name: [0] * (len(_BUCKETS) + 1) for name in _NAMES.values()}
        self._seconds = dict.fromkeys(_NAMES.values(), 0.0)

    def add(self, outcome: str, seconds: float) -> None:
        """Count one attempt."""
        self._buckets[outcome][bisect_left(_BUCKETS, seconds)] += 1
        self._seconds[outcome] += seconds

    def collect(self) -> Iterator[Metric]:
        """Return what was counted, for a scrape."""
        family = HistogramMetricFamily(
            "tidings_attempt_seconds", "Attempts made, by what they meant, and how long each took.", labels=["outcome"]
        )
        bounds = [*(str(bound) for bound in _BUCKETS), "+Inf"]
        for outcome, counts in self._buckets.items():
            cumulated = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([outcome], cumulated, self._seconds[outcome])
        yield family


STATISTICS = AttemptStatistics()
REGISTRY.register(STATISTICS)


def observe(results: list[Result]) -> None:
    """Count recorded results, and write one line for each (those that succeeded: only at level debug)."""
    is_debug = logger.isEnabledFor(logging.DEBUG)
    for result in results:
        outcome = _NAMES[type(result.outcome)]
        STATISTICS.add(outcome, result.exchange.timings.total_ms / 1e3)
        if is_debug or outcome != "succeeded":
            _log(result, outcome)


def _log(result: Result, outcome: str) -> None:
    delivery, exchange = result.delivery, result.exchange
    logger.log(
        logging.DEBUG if outcome == "succeeded" else logging.INFO,
        "delivery.attempted",
        extra={
            "delivery_id": str(delivery.id),
            "event_id": str(delivery.event_id),
            "webhook_id": str(delivery.webhook_id),
            "attempt_number": delivery.attempt_number,
            "outcome": outcome,
            "response_status": exchange.status,
            "failure": exchange.failure,
            "total_ms": round(exchange.timings.total_ms, 1),
            "next_retry_at": result.outcome.at.isoformat() if isinstance(result.outcome, RetryAt) else None,
        },
    )
