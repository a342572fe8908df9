"""When a job fires: five fields and a time zone, read by cronsim as Debian's cron reads them.

Daylight saving: a job at a fixed hour that a change of clocks leaves out fires right after the gap, one in an hour that comes
twice fires the first time only; a job every so many minutes or hours goes by what has really passed (cron(8) of Debian).
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from tidings.core.errors import InvalidInputError

MISSED = ("once", "skip")
GRACE = timedelta(seconds=60)  # a tick found later than this counts as missed
MAX_STEPS = 10_000  # ticks looked at in one go; a job that was asleep for years is caught up with in several


class Schedule(msgspec.Struct, frozen=True):
    """Five fields (minute, hour, day of month, month, day of week; Sunday is 0 or 7), in a time zone."""

    expression: str
    timezone: str = "UTC"

    def after(self, at: datetime) -> datetime:
        """Return the first tick after a time, in UTC."""
        return next(CronSim(self.expression, at.astimezone(ZoneInfo(self.timezone)))).astimezone(UTC)


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
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:  # OSError: names such as ".." and "Europe"
        raise InvalidInputError("timezone", f"timezone is {timezone!r}; write a name such as Europe/Berlin or UTC.") from error
    if len(expression.split()) != 5:
        raise InvalidInputError(
            "schedule", f"schedule is {expression!r}; write five fields: minute hour day-of-month month day-of-week."
        )
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=zone)))
    except CronSimError as error:
        raise InvalidInputError("schedule", f"schedule {expression!r} cannot be: {error}.") from error
    except StopIteration as error:
        raise InvalidInputError("schedule", f"schedule {expression!r} never fires.") from error
    return Schedule(" ".join(expression.split()), timezone)


def decide_due(schedule: Schedule, next_at: datetime, now: datetime, missed: str) -> Due:
    """Decide about a job whose next tick has come.

    Of several ticks that passed meanwhile the last fires: at any rate when `missed` is `once`, and else only if it is not
    older than the grace.
    """
    ticks = CronSim(schedule.expression, next_at.astimezone(ZoneInfo(schedule.timezone)))
    last, count = next_at, 1
    while count < MAX_STEPS:
        following = next(ticks).astimezone(UTC)
        if following > now:
            fires = missed == "once" or now - last <= GRACE
            return Due(last if fires else None, count - 1 if fires else count, following)
        last, count = following, count + 1
    return Due(None, count - 1, last)
