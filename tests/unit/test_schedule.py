"""Schedules: when a job fires, through changes of clocks and after pauses."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.errors import InvalidInputError
from tidings.core.schedule import Schedule, decide_due, parse_schedule


def ticks(expression: str, zone: str, start: str, count: int) -> list[str]:
    """Return the first ticks after a time, in the zone."""
    from zoneinfo import ZoneInfo

    schedule, at, found = parse_schedule(expression, zone), datetime.fromisoformat(start), []
    for _ in range(count):
        at = schedule.after(at)
        found.append(at.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        # Clocks go forward at 02:00 on 2026-03-29: a job of 02:30 fires after the gap, on no other day differently.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00:30+01:00", ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]),
        # Clocks go back at 03:00 on 2026-10-25: a job of 02:30 fires once, one of every half hour goes by real time.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T02:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00-05:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]),
        ("0 9 * * MON-FRI", "Asia/Kolkata", "2026-11-20T10:00+05:30", ["2026-11-23T09:00+05:30"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00+00:00", ["2028-02-29T00:00+00:00"]),
        ("0 12 * * 0", "UTC", "2026-11-21T00:00+00:00", ["2026-11-22T12:00+00:00"]),
        ("0 12 * * 7", "UTC", "2026-11-21T00:00+00:00", ["2026-11-22T12:00+00:00"]),
    ],
)  # fmt: skip
def test_ticks_come_when_the_wall_clock_says(expression: str, zone: str, start: str, expected: list[str]) -> None:
    assert ticks(expression, zone, start, len(expected)) == expected


@pytest.mark.parametrize(
    "expression",
    ["* * * *", "@daily", "* * * * * *", "60 * * * *", "0 0 30 2 *", "0 0 31 4,6 *", "x * * * *", "", "*/0 * * * *"],
)
def test_a_schedule_that_never_fires_or_is_none_is_refused(expression: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_schedule(expression, "UTC")
    assert refused.value.field == "schedule"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", "UTC\x00"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_schedule("* * * * *", zone)
    assert refused.value.field == "timezone"


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVERY_MINUTE = Schedule("* * * * *")


def test_a_tick_on_time_fires_and_the_next_is_a_minute_later() -> None:
    due = decide_due(EVERY_MINUTE, NOON, NOON + timedelta(seconds=1), "skip")
    assert (due.fire, due.missed_count, due.next_at) == (NOON, 0, NOON + timedelta(minutes=1))


def test_missed_ticks_fire_once_on_return_or_not_at_all() -> None:
    now = NOON + timedelta(hours=3, seconds=59)
    once = decide_due(EVERY_MINUTE, NOON, now, "once")
    assert (once.fire, once.missed_count, once.next_at) == (
        NOON + timedelta(hours=3),
        180,
        NOON + timedelta(hours=3, minutes=1),
    )
    daily = Schedule("0 12 * * *")
    assert decide_due(daily, NOON, NOON + timedelta(minutes=2), "skip").fire is None
    assert decide_due(daily, NOON, NOON + timedelta(minutes=2), "once").fire == NOON
    assert decide_due(daily, NOON, NOON + timedelta(seconds=60), "skip").fire == NOON


def test_a_job_that_slept_for_years_is_caught_up_with_in_steps() -> None:
    at, now, steps = NOON - timedelta(days=60), NOON, 0
    while True:
        due = decide_due(EVERY_MINUTE, at, now, "once")
        steps += 1
        assert due.next_at > at
        if due.fire is not None:
            break
        at = due.next_at
    assert due.fire == NOON
    assert steps == 9


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "15 3 * * 1-5"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    st.sampled_from(["once", "skip"]),
    st.integers(0, 10_000_000),
)
def test_every_decision_goes_forward_and_fires_no_tick_of_the_future(
    expression: str, zone: str, start: datetime, missed: str, late: int
) -> None:
    schedule = Schedule(expression, zone)
    first = schedule.after(start)
    now = first + timedelta(seconds=late)
    due = decide_due(schedule, first, now, missed)
    assert due.next_at > now or due.fire is None
    assert due.next_at > first
    if due.fire is not None:
        assert first <= due.fire <= now < due.next_at
        assert schedule.after(due.fire) == due.next_at
