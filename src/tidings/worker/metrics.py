"""What this process counts, for Prometheus. Depths and lags are read from the database when asked (`api.metrics`)."""

import logging

from prometheus_client import Counter, Histogram

from tidings.core.outcome import GiveUp, Gone, RetryAt, Succeeded
from tidings.worker.recorder import Result

logger = logging.getLogger("tidings.delivery")

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_ATTEMPTS = Counter("tidings_attempts_total", "Attempts made, by what they meant.", ["outcome"])
_ATTEMPT_SECONDS = Histogram("tidings_attempt_seconds", "Duration of one attempt.", buckets=_BUCKETS)

_NAMES: dict[type, str] = {Succeeded: "succeeded", RetryAt: "retry", GiveUp: "failed", Gone: "gone"}
_COUNTERS = {kind: _ATTEMPTS.labels(name) for kind, name in _NAMES.items()}


def observe(results: list[Result]) -> None:
    """Count recorded results, and write one line for each (those that succeeded: only at level debug)."""
    is_debug = logger.isEnabledFor(logging.DEBUG)
    for result in results:
        kind = type(result.outcome)
        _COUNTERS[kind].inc()
        _ATTEMPT_SECONDS.observe(result.exchange.timings.total_ms / 1e3)
        if is_debug or kind is not Succeeded:
            _log(result, _NAMES[kind])


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
