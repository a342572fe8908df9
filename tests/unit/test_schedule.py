"""Schedules: when a job fires, through changes of clocks and after pauses."""

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidings.core.errors import InvalidInputError
from tidings.core.schedule import COUNTED, MAX_LENGTH, Due, Schedule, decide_due, parse_schedule
from tidings.core.ticks import HORIZON_DAYS, Ticks


def ticks(expression: str, zone: str, start: str, count: int) -> list[str]:
    """Return the first ticks after a time, in the zone."""
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
    [
        "* * * *",
        "@daily",
        "* * * * * *",
        "60 * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6 *",
        "0 0 */9 * 1#5",
        "x * * * *",
        "",
        "*/0 * * * *",
    ],
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


@pytest.mark.parametrize(
    ("asleep", "missed"),
    [(timedelta(days=57), 57 * 1440), (COUNTED, COUNTED.days * 1440), (timedelta(days=20_000), COUNTED.days * 1440)],
)
def test_of_a_job_that_nobody_looked_at_for_long_the_last_tick_fires_and_five_years_are_counted(
    asleep: timedelta, missed: int
) -> None:
    due = decide_due(EVERY_MINUTE, NOON - asleep, NOON, "once")
    assert (due.fire, due.missed_count, due.next_at) == (NOON, missed, NOON + timedelta(minutes=1))


def test_deciding_looks_at_as_many_days_as_have_passed_not_at_their_ticks() -> None:
    ticks, looked_at = counting("* * * * *")
    assert ticks.count(NOON - timedelta(days=57), NOON) == 57 * 1440
    assert len(looked_at) <= 57 + 2
    looked_at.clear()
    assert ticks.last(NOON) == NOON
    assert len(looked_at) == 1


def test_the_rarest_schedule_is_found_and_one_that_never_fires_is_given_up() -> None:
    ticks, looked_at = counting("0 0 * 2 MON#5")
    rare = datetime(2072, 2, 29, tzinfo=UTC), datetime(2112, 2, 29, tzinfo=UTC)
    assert (ticks.after(rare[0]), ticks.last(rare[1] - timedelta(minutes=1))) == (rare[1], rare[0])
    ticks, looked_at = counting("0 0 */9 * 1#5")  # a fifth Monday is never before the 29th
    with pytest.raises(InvalidInputError, match="never fires"):
        ticks.after(NOON)
    assert len(looked_at) == HORIZON_DAYS


def counting(expression: str) -> tuple[Ticks, list[date]]:
    """Return ticks, and the days that they look at from now on."""
    ticks, looked_at = Ticks(expression, UTC), []
    matches = ticks._matches

    def look_at(day: date) -> bool:
        looked_at.append(day)
        return matches(day)

    ticks._matches = look_at
    return ticks, looked_at


# As cronsim has it, and minute by minute ---------------------------------------------------------------------------------


def fields_of(limit: int, start: int = 0) -> st.SearchStrategy[str]:
    """A field of an expression: a star, steps, a range, or numbers."""
    number = st.integers(start, limit - 1)
    return st.one_of(
        st.just("*"),
        st.integers(1, limit).map("*/{}".format),
        st.lists(number, min_size=1, max_size=3).map(lambda numbers: ",".join(map(str, numbers))),
        st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}"),
    )


hours = fields_of(24) | st.sampled_from(["0", "1", "2", "3", "23", "0-3", "1,2"])  # when clocks change
days_of_week = fields_of(8) | st.sampled_from(["SUN", "0#5", "MON-FRI", "5L"])
expressions = st.tuples(
    fields_of(60), hours, st.just("*") | fields_of(29, 1) | st.just("L"), st.just("*") | fields_of(13, 1), st.just("*") | days_of_week
).map(" ".join)  # fmt: skip


@given(
    expressions,
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kathmandu"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    st.sampled_from(["once", "skip"]),
    st.integers(0, 3_000_000) | st.integers(0, 120),
)
def test_looking_back_finds_what_going_from_tick_to_tick_finds(
    expression: str, zone: str, start: datetime, missed: str, late: int
) -> None:
    try:
        schedule = parse_schedule(expression, zone)
    except InvalidInputError:
        return
    first = schedule.after(start)
    now, steps = first + timedelta(seconds=late), CronSim(expression, first.astimezone(ZoneInfo(zone)))
    last, count = first, 1
    while (following := next(steps).astimezone(UTC)) <= now:
        last, count = following, count + 1
    fires = missed == "once" or now - last <= timedelta(seconds=60)
    assert decide_due(schedule, first, now, missed) == Due(last if fires else None, count - fires, following)


CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # half an hour back
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Nuuk", date(2026, 3, 28)),  # the gap ends at midnight
    ("America/Nuuk", date(2026, 10, 24)),
    ("Asia/Beirut", date(2026, 3, 29)),  # the gap begins at midnight
    ("Asia/Beirut", date(2026, 10, 24)),
    ("Atlantic/Azores", date(2026, 10, 25)),  # the hour after midnight comes twice
    ("Africa/Casablanca", date(2026, 2, 15)),
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that never was
]


def minute_by_minute(expression: str, zone: ZoneInfo, start: datetime, minutes: int) -> list[datetime]:
    """Return the ticks after a time by what cron(8) does: look at the clock each minute."""
    fields = CronSim(expression, datetime(2000, 1, 1))
    is_fixed = not expression.startswith("*") and not expression.split()[1].startswith("*")

    def matches(shown: datetime) -> bool:
        in_day = shown.hour in fields.hours and shown.minute in fields.minutes
        return in_day and shown.month in fields.months and fields.match_day(shown.date())

    found, highest = [], start.astimezone(zone).replace(tzinfo=None)
    for number in range(1, minutes + 1):
        at = start + timedelta(minutes=number)
        shown = at.astimezone(zone).replace(tzinfo=None)
        if is_fixed:
            newly = range(1, int((shown - highest) / timedelta(minutes=1)) + 1)
            is_tick = any(matches(highest + timedelta(minutes=step)) for step in newly)
            highest = max(highest, shown)
        else:
            is_tick = matches(shown)
        if is_tick:
            found.append(at)
    return found


@given(expressions, st.sampled_from(CHANGES), st.integers(0, 4000), st.integers(0, 4000))
@example("* * * * *", ("Pacific/Apia", date(2011, 12, 30)), 0, 2760)
@settings(max_examples=50)
def test_clocks_that_change_are_gone_by_as_if_looked_at_each_minute(
    expression: str, change: tuple[str, date], first: int, second: int
) -> None:
    zone, start = ZoneInfo(change[0]), datetime.combine(change[1], time(12), tzinfo=UTC) - timedelta(days=2)
    found = minute_by_minute(expression, zone, start, 4 * 1440)
    ticks, at, stepped = Ticks(expression, zone), start, []
    try:
        while (at := ticks.after(at)) <= start + timedelta(days=4):
            stepped.append(at)
    except InvalidInputError:
        pass
    assert stepped == found
    since, until = (start + timedelta(minutes=minutes) for minutes in sorted((first, second)))
    assert ticks.count(since, until) == sum(since < tick <= until for tick in found)
    if passed := [tick for tick in found if tick <= until]:
        assert ticks.last(until) == passed[-1]


@given(st.text(max_size=40) | st.from_regex(r"[0-9*/,#LWA-Z -]{1,40}", fullmatch=True))
def test_whatever_is_written_is_a_schedule_or_is_refused(expression: str) -> None:
    with suppress(InvalidInputError):
        assert parse_schedule(expression, "Europe/Berlin").after(NOON) > NOON


def test_a_schedule_may_list_every_value_and_not_much_more() -> None:
    every = " ".join(",".join(map(str, numbers)) for numbers in (range(60), range(24), range(1, 32), range(1, 13), range(7)))
    assert parse_schedule(every, "UTC").after(NOON) == NOON + timedelta(minutes=1)
    longest = "0," * ((MAX_LENGTH - 9) // 2) + "0 * * * *"
    assert parse_schedule(longest, "UTC").after(NOON) == NOON + timedelta(hours=1)
    with pytest.raises(InvalidInputError, match="at most 500"):
        parse_schedule("0,0," + longest, "UTC")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 0 * * 9", "The day of the week of the schedule cannot be '9'. Write 0 to 7, where 0 and 7 are Sunday"),
        ("61 0 * * *", "The minute of the schedule cannot be '61'. Write 0 to 59"),
        ("0 24 * * *", "The hour of the schedule cannot be '24'. Write 0 to 23"),
        ("0 0 32 * *", "The day of the month of the schedule cannot be '32'."),
        ("0 0 1 13 *", "The month of the schedule cannot be '13'."),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said_of_its_field_with_what_can_be_there(expression: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_schedule(expression, "UTC")
    assert refused.value.message.startswith(said)
