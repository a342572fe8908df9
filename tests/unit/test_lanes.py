"""The places of deliveries in their lanes."""

from datetime import UTC, datetime, timedelta

import pytest

from tidings.core.lanes import place_after

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("last", "occurred_at", "place"),
    [
        (None, NOW - SECOND, NOW - SECOND),
        (None, NOW + SECOND, NOW + SECOND),  # the clock of who routes is late
        (None, NOW + timedelta(hours=3), NOW),  # PostgreSQL's clock was put back
        (NOW, NOW, NOW + MICROSECOND),
        (NOW, NOW - SECOND, NOW + MICROSECOND),
        (NOW - SECOND, NOW, NOW),
    ],
)
def test_a_place_follows_the_events_time_and_the_outbox(last: datetime | None, occurred_at: datetime, place: datetime) -> None:
    assert place_after(last, occurred_at, NOW) == place
