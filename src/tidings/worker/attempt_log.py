"""One line in the log for each recorded attempt. Counts are kept in the database (`worker/tallies.py`)."""

import logging

from tidings.core.outcome import RetryAt
from tidings.worker.result import Result
from tidings.worker.tallies import outcome_name

logger = logging.getLogger("tidings.delivery")


def log_attempts(results: list[Result]) -> None:
    """Write one line for each recorded result; those that succeeded only at level debug."""
    is_debug = logger.isEnabledFor(logging.DEBUG)
    for result in results:
        outcome = outcome_name(result.outcome)
        if outcome is not None and (is_debug or outcome != "succeeded"):
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
