"""When a job fires, and what is to be done about one whose time has come."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from tidings.core.errors import InvalidInputError
from tidings.core.ticks import Ticks

MISSED = ("once", "skip")
GRACE = timedelta(seconds=60)  # a tick found later than this counts as missed
MAX_LENGTH = 500  # characters of a schedule; every value of every field, one by one, takes 360
COUNTED = timedelta(days=1827)  # missed ticks are counted over five years at most; that takes a few milliseconds


class Schedule(msgspec.Struct, frozen=True):
    """Five fields (minute, hour, day of month, month, day of week; Sunday is 0 or 7), in a time zone."""

    expression: str
    timezone: str = "UTC"

    def after(self, at: datetime) -> datetime:
        """Return the first tick after a time, in UTC.

        Raises:
            InvalidInputError: It cannot be read, or it never fires.
        """
        return _read(self).after(at)

    @property
    def words(self) -> str:
        """What it says, in English: `At 03:00 on Monday through Friday`. A schedule that cannot be read is said as it is."""
        try:
            return CronSim(self.expression, datetime(2000, 1, 1, tzinfo=UTC)).explain()
        except (CronSimError, ValueError):
            return self.expression


class Due(msgspec.Struct, frozen=True):
    """What is to be done about a job.

    Attributes:
        fire: The tick to fire, or None.
        missed_count: Ticks that passed and are not made up for.
        next_at: When to look at the job again.
    """

    fire: datetime | None
    missed_count: int
    next_at: datetime


def parse_schedule(expression: str, timezone: str) -> Schedule:
    """Read a schedule.

    Raises:
        InvalidInputError: It is none, it never fires, or there is no such zone.
    """
    schedule = Schedule(" ".join(expression.split()), timezone)
    schedule.after(datetime(2000, 1, 1, tzinfo=UTC))
    return schedule


def decide_due(schedule: Schedule, next_at: datetime, now: datetime, missed: str) -> Due:
    """Decide about a job whose next tick has come.

    Of several ticks that passed meanwhile the last fires: at any rate when `missed` is `once`, and else only if it is not
    older than the grace.

    Raises:
        InvalidInputError: The schedule cannot be read, or it never fires again.
    """
    ticks = _read(schedule)
    last = max(next_at, ticks.last(now))
    count = 1 + ticks.count(max(next_at, last - COUNTED), last)
    fires = missed == "once" or now - last <= GRACE
    return Due(last if fires else None, count - 1 if fires else count, ticks.after(now))


def _read(schedule: Schedule) -> Ticks:
    expression, timezone = schedule.expression, schedule.timezone
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:  # OSError: names such as ".." and "Europe"
        raise InvalidInputError("timezone", f"timezone is {timezone!r}; write a name such as Europe/Berlin or UTC.") from error
    if len(expression) > MAX_LENGTH:
        raise InvalidInputError("schedule", f"schedule has {len(expression)} characters; at most {MAX_LENGTH} are taken.")
    if len(expression.split()) != 5:
        raise InvalidInputError(
            "schedule", f"schedule is {expression!r}; write five fields: minute hour day-of-month month day-of-week."
        )
    try:
        return Ticks(expression, zone)
    except CronSimError as error:
        raise InvalidInputError("schedule", _why(expression, str(error))) from error


# What the reader of schedules calls a field, and what can be written there.
_FIELDS = {
    "minute": ("minute", "0 to 59"),
    "hour": ("hour", "0 to 23"),
    "day-of-month": ("day of the month", "1 to 31, or L for the last day"),
    "month": ("month", "1 to 12, or JAN to DEC"),
    "day-of-week": ("day of the week", "0 to 7, where 0 and 7 are Sunday, or SUN to SAT"),
}


def _why(expression: str, said: str) -> str:
    """Return why a schedule cannot be, in a sentence with the remedy."""
    name = said.removeprefix("Bad ")
    if name not in _FIELDS:
        order = "minute hour day-of-month month day-of-week"
        return f"schedule {expression!r} cannot be read, or never fires. Write five fields: {order}."
    words, can_be = _FIELDS[name]
    written = expression.split()[list(_FIELDS).index(name)]
    return f"The {words} of the schedule cannot be {written!r}. Write {can_be}; * for any; or lists, ranges and steps of them."
