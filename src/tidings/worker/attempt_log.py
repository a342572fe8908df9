"""One line in the log for each attempt; those that succeeded only at level debug."""

import logging

from tidings.core.outcome import Gone, Released, Result, RetryAt, Succeeded
from tidings.store.tallies import outcome_name

logger = logging.getLogger("tidings.delivery")


def log_attempts(results: list[Result]) -> None:
    """Write a line for each result that was recorded."""
    is_debug = logger.isEnabledFor(logging.DEBUG)
    for result in results:
        if is_debug or not isinstance(result.outcome, Succeeded):
            _log(result)


def _log(result: Result) -> None:
    delivery, exchange, outcome = result.delivery, result.exchange, result.outcome
    logger.log(
        logging.DEBUG if isinstance(outcome, Succeeded | Released) else logging.INFO,
        "delivery.attempted",
        extra={
            "delivery_id": str(delivery.id),
            "event_id": str(delivery.event_id),
            "webhook_id": str(delivery.webhook_id),
            "attempt_number": delivery.attempt_number,
            "outcome": "gone" if isinstance(outcome, Gone) else outcome_name(outcome) or "released",
            "response_status": exchange.status,
            "failure": exchange.failure,
            "total_ms": round(exchange.timings.total_ms, 1),
            "next_retry_at": outcome.at.isoformat() if isinstance(outcome, RetryAt) else None,
        },
    )
