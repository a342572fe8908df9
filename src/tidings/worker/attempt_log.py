"""Lines in the log about attempts: of each that failed; of all, and wider, where that is asked for."""

import logging
from typing import Any

from tidings.core.outcome import Gone, Released, Result, RetryAt, Succeeded
from tidings.core.trace import attempt_span, parse
from tidings.store.tallies import outcome_name

logger = logging.getLogger("tidings.delivery")

MAX_TEXT = 200  # characters of what others named


def log_attempts(results: list[Result], *, is_each: bool = False) -> None:
    """Write a line for each result that was recorded: of those that succeeded only at level debug, unless all are asked for.

    Args:
        is_each: All are, and wide.
    """
    if is_each:
        for result in results:
            if not isinstance(result.outcome, Released):
                logger.info("delivery.attempted", extra=_told(result) | _wide(result))
        return
    is_debug = logger.isEnabledFor(logging.DEBUG)
    for result in results:
        if is_debug or not isinstance(result.outcome, Succeeded):
            level = logging.DEBUG if isinstance(result.outcome, Succeeded | Released) else logging.INFO
            logger.log(level, "delivery.attempted", extra=_told(result))


def _told(result: Result) -> dict[str, Any]:
    delivery, exchange, outcome = result.delivery, result.exchange, result.outcome
    return {
        "delivery_id": str(delivery.id),
        "event_id": str(delivery.event_id),
        "webhook_id": str(delivery.webhook_id),
        "attempt_number": delivery.attempt_number,
        "outcome": "gone" if isinstance(outcome, Gone) else outcome_name(outcome) or "released",
        "response_status": exchange.status,
        "failure": exchange.failure,
        "total_ms": round(exchange.timings.total_ms, 1),
        "next_retry_at": outcome.at.isoformat() if isinstance(outcome, RetryAt) else None,
    }


def _wide(result: Result) -> dict[str, Any]:
    """Return what else is known: nothing of what was sent or answered but how much, and nothing without a bound."""
    delivery, exchange, context = result.delivery, result.exchange, result.context
    timings, trace = exchange.timings, None if context is None else parse(context.traceparent)
    span = None if trace is None else attempt_span(delivery.id, delivery.attempt_number, int(result.started_at.timestamp()))
    return {
        "group_id": delivery.group_id[:MAX_TEXT],
        "webhook_version": result.webhook_version,
        "event_type": None if context is None else context.event_type[:MAX_TEXT],
        "method": None if context is None else context.method,
        "host": None if context is None else context.host[:MAX_TEXT],
        "is_test": delivery.is_test,
        "started_at": result.started_at.isoformat(),
        "waited_ms": round(max(0.0, (result.started_at - delivery.due_at).total_seconds() * 1e3), 1),
        "dns_ms": _rounded(timings.dns_ms),
        "connect_ms": _rounded(timings.connect_ms),
        "tls_ms": _rounded(timings.tls_ms),
        "first_byte_ms": _rounded(timings.first_byte_ms),
        "response_bytes": len(exchange.body),
        "is_truncated": exchange.is_truncated,
        "trace_id": None if trace is None else f"{trace.trace_id:032x}",
        "span_id": None if span is None else f"{span:016x}",
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)
