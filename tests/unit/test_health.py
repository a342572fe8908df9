"""How a webhook fares, said in a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidings.core.health import Health, Lane, Standing, decide_health

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=5)
LATER = NOW + timedelta(minutes=5)
FAILS: dict[str, Any] = {"failure_count": 7, "last_failure": "The receiver answered HTTP 500.", "turned_at": BEFORE}


def health(*, enabled: bool = True, reason: str | None = None, fault: str | None = None, **lane: Any) -> Health:
    return decide_health(enabled=enabled, disabled_reason=reason, fault=fault, lane=Lane(**lane), now=NOW)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (health(), Health(Standing.IDLE, None, None, "No attempt is on record.")),
        (health(waiting=1), Health(Standing.IDLE, None, None, "No attempt is on record. 1 delivery waits.")),
        (
            health(last_success_at=NOW, turned_at=BEFORE, waiting=1200),
            Health(
                Standing.HEALTHY, BEFORE, None, "Its last attempt succeeded, at 2026-03-15 12:00:00 UTC. 1,200 deliveries wait."
            ),
        ),
        (
            health(**FAILS | {"failure_count": 1}),
            Health(
                Standing.FAILING,
                BEFORE,
                None,
                "Its last attempt failed: The receiver answered HTTP 500. What comes next is tried at once.",
            ),
        ),
        (
            health(**FAILS, waiting=3, due_at=LATER, resting_until=LATER),  # short: the breaker's rest does not count
            Health(
                Standing.FAILING,
                BEFORE,
                None,
                "Its last 7 attempts failed: The receiver answered HTTP 500. 3 deliveries wait; the next is tried at 2026-03-15 12:05:00 UTC.",
            ),
        ),
        (
            health(**FAILS, waiting=2, due_at=LATER, held_until=LATER, ordered=True),
            Health(
                Standing.FAILING,
                BEFORE,
                None,
                "Its last 7 attempts failed: The receiver answered HTTP 500. 2 deliveries wait, and those behind wait for the first; "
                "the next is tried at 2026-03-15 12:05:00 UTC.",
            ),
        ),
        (
            health(**FAILS, waiting=2, due_at=BEFORE),
            Health(
                Standing.FAILING,
                BEFORE,
                None,
                "Its last 7 attempts failed: The receiver answered HTTP 500. 2 deliveries wait and go out now.",
            ),
        ),
        (
            health(**FAILS, waiting=1, due_at=BEFORE),
            Health(
                Standing.FAILING,
                BEFORE,
                None,
                "Its last 7 attempts failed: The receiver answered HTTP 500. 1 delivery waits and goes out now.",
            ),
        ),
        (
            health(**FAILS, waiting=200, is_long=True, resting_until=LATER),
            Health(
                Standing.RESTING,
                BEFORE,
                LATER,
                "Its last 7 attempts failed: The receiver answered HTTP 500. 200 deliveries wait, so they are spread: one is tried at "
                "2026-03-15 12:05:00 UTC, and a success sends the others.",
            ),
        ),
        (
            health(last_success_at=NOW, turned_at=BEFORE, held_until=LATER),
            Health(
                Standing.RESTING,
                BEFORE,
                LATER,
                "Its receiver asked to be left alone until 2026-03-15 12:05:00 UTC; nothing waits until then.",
            ),
        ),
        (
            health(last_success_at=NOW, turned_at=BEFORE, certificate_ends_at=NOW + timedelta(days=30)),
            Health(Standing.HEALTHY, BEFORE, None, "Its last attempt succeeded, at 2026-03-15 12:00:00 UTC."),
        ),
        (
            health(certificate_ends_at=NOW + timedelta(days=40), authorities_end_at=NOW + timedelta(days=20)),
            Health(
                Standing.EXPIRING,
                None,
                None,
                "The last authority that it believes its receiver by ends at 2026-04-04 12:00:00 UTC. Give it another one before. "
                "No attempt is on record.",
            ),
        ),
        (
            health(certificate_ends_at=NOW, authorities_end_at=LATER),
            Health(
                Standing.EXPIRED,
                NOW,
                None,
                "Its client certificate ended at 2026-03-15 12:00:00 UTC. Give it another one. No attempt is on record.",
            ),
        ),
        (
            health(certificate_ends_at=BEFORE, **FAILS | {"failure_count": 1}),
            Health(
                Standing.FAILING,
                BEFORE,
                None,
                "Its last attempt failed: The receiver answered HTTP 500. What comes next is tried at once. "
                "Its client certificate ended at 2026-03-15 11:55:00 UTC. Give it another one.",
            ),
        ),
        (
            health(enabled=False, closed_at=BEFORE, certificate_ends_at=BEFORE),
            Health(Standing.PAUSED, BEFORE, None, "Its owner paused it. Events that come now are not sent to it."),
        ),
        (
            health(enabled=False, closed_at=BEFORE, waiting=4, **FAILS),
            Health(
                Standing.PAUSED,
                BEFORE,
                None,
                "Its owner paused it. Events that come now are not sent to it. 4 deliveries wait until it is enabled.",
            ),
        ),
        (
            health(enabled=False, reason="Its receiver answered 410 Gone.", closed_at=BEFORE),
            Health(Standing.DISABLED, BEFORE, None, "Its receiver answered 410 Gone."),
        ),
        (
            health(fault="Set aside, since retry cannot be read.", closed_at=BEFORE),
            Health(Standing.DISABLED, BEFORE, None, "Set aside, since retry cannot be read."),
        ),
        (
            health(fault="Set aside, since retry cannot be read.", closed_at=BEFORE, waiting=1),
            Health(
                Standing.DISABLED,
                BEFORE,
                None,
                "Set aside, since retry cannot be read. 1 delivery waits until it is put right.",
            ),
        ),
    ],
)
def test_a_webhooks_health_is_a_state_a_time_and_a_sentence(found: Health, expected: Health) -> None:
    assert found == expected


def test_a_rest_that_is_over_is_no_rest() -> None:
    assert health(**FAILS, waiting=200, is_long=True, resting_until=NOW).state is Standing.FAILING
    assert health(last_success_at=NOW, held_until=NOW).state is Standing.HEALTHY
