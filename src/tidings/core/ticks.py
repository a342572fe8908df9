"""The ticks of a schedule, found by the day: the first after a time, the last up to it, how many between.

Going from tick to tick takes as long as there are ticks: 80,000 for a job of every minute that nobody looked at for eight
weeks. Days are few, and a day's ticks are counted at a glance. Which days, hours and minutes match is read by cronsim. When a
time of the wall clock comes to pass is said here, as cron(8) of Debian says it:

- A job at fixed minutes of fixed hours goes by the wall clock. A time that a change of clocks leaves out comes right after the
  gap; of one that comes twice, the first counts.
- A job whose minutes or hours begin with a star goes by what has really passed: it ticks whenever the clock shows such a time.

Left out: clocks that go back from one day into the day before (St. John's, until 2011).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from cronsim import CronSim

from tidings.core.errors import InvalidInputError

HORIZON_DAYS = 41 * 366  # the rarest schedule, a 29 February on a given weekday, pauses for 40 years around 2100
MINUTE = timedelta(minutes=1)
ONE_DAY = timedelta(days=1)
NOON = time(12)


class Ticks:
    """The ticks of five fields in a time zone. All times are aware; those returned are in UTC.

    Raises:
        CronSimError: The fields are none.
    """

    def __init__(self, expression: str, zone: tzinfo) -> None:
        fields = CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - only its fields are used
        self._months = fields.months
        self._matches = fields.match_day
        self._minutes = [60 * hour + minute for hour in sorted(fields.hours) for minute in sorted(fields.minutes)]
        self._is_fixed = not any(field.startswith("*") for field in expression.split()[:2])
        self._zone = zone
        self._expression = expression

    def after(self, at: datetime) -> datetime:
        """Return the first tick after a time.

        Raises:
            InvalidInputError: It never fires.
        """
        for day in self._days(at, 1, HORIZON_DAYS):
            start, minutes = self._on(day)
            passed = bisect_right(minutes, (at - start) // MINUTE)
            if passed < len(minutes):
                return start + minutes[passed] * MINUTE
        raise self._never()

    def last(self, until: datetime) -> datetime:
        """Return the last tick at or before a time.

        Raises:
            InvalidInputError: It never fires.
        """
        for day in self._days(until, -1, HORIZON_DAYS):
            start, minutes = self._on(day)
            passed = bisect_right(minutes, (until - start) // MINUTE)
            if passed:
                return start + minutes[passed - 1] * MINUTE
        raise self._never()

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many ticks are after a time, up to and including another. It takes as long as there are days between."""
        count = 0
        # By the calendar, which can leave a day out (Apia, 2011).
        first_day, last_day = (at.astimezone(self._zone).date() for at in (after, until))
        for day in self._days(after, 1, (last_day - first_day).days + 2):
            start, minutes = self._on(day)
            first, end = (bisect_right(minutes, (at - start) // MINUTE) for at in (after, until))
            if first < end:
                count += end - first
                after = start + minutes[end - 1] * MINUTE  # two days may share a tick: right after a gap that ends at midnight
        return count

    def _never(self) -> InvalidInputError:
        return InvalidInputError("schedule", f"schedule {self._expression!r} never fires.")

    def _days(self, at: datetime, step: int, days: int) -> Iterator[date]:
        """Yield the days that match, from that of a time on (step 1) or back (-1), out of so many."""
        today = at.astimezone(self._zone).date()
        for number in range(days):
            day = today + step * number * ONE_DAY
            if day.month in self._months and self._matches(day):
                yield day

    def _on(self, day: date) -> tuple[datetime, Sequence[int]]:
        """Return the ticks of a day that matches: a time, and the minutes from there to each tick."""
        before = self._offset(datetime.combine(day - ONE_DAY, NOON, tzinfo=self._zone))
        after = self._offset(datetime.combine(day + ONE_DAY, NOON, tzinfo=self._zone))
        start = datetime.combine(day, time(), tzinfo=UTC) - before
        return start, self._minutes if before == after else self._through_change(start, before, after)

    def _offset(self, at: datetime) -> timedelta:
        return at.astimezone(self._zone).utcoffset() or timedelta()

    def _through_change(self, start: datetime, before: timedelta, after: timedelta) -> list[int]:
        """Return the same of a day at, or beside, a change of clocks: what is shown is no longer what has passed."""
        shift = (after - before) // MINUTE
        around = range(-2 * 1440, 3 * 1440)  # minutes in which no zone changes twice
        change = around[bisect_left(around, True, key=lambda n: self._offset(start + n * MINUTE) != before)]
        if self._is_fixed:
            return sorted({n if n < change else max(change, n - shift) for n in self._minutes})
        return [n for n in self._minutes if n < change] + [n - shift for n in self._minutes if n - shift >= change]
