"""Times as PostgreSQL holds them and Python does not.

PostgreSQL's calendar has 294,276 years and both infinities, Python's has 9,999. The driver's own codec raises for what lies
between, and it does so before any row is at hand: one row with such a time stops everybody who reads its table. Ours gives the
last or the first moment that Python knows instead. What such a time means is for those to say who read the row, one by one.
It is as fast as the driver's.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from tidings.core.errors import TidingsError

LAST, FIRST = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts from there
_MICROSECOND = timedelta(microseconds=1)
_INFINITY, _MINUS_INFINITY = 2**63 - 1, -(2**63)
_EPOCH_DAY = date(2000, 1, 1).toordinal()
_LAST_DAY, _FIRST_DAY = 2**31 - 1, -(2**31)


class NaiveTimeError(TidingsError):
    """A time without a zone was to be written: a fault of ours."""


def _moment(at: tuple[int]) -> datetime:
    try:
        return _EPOCH + timedelta(0, 0, at[0])
    except OverflowError:
        return LAST if at[0] > 0 else FIRST


def _microseconds(at: datetime) -> tuple[int]:
    if at.tzinfo is None:
        raise NaiveTimeError(f"{at} has no zone.")
    if at == LAST:
        return (_INFINITY,)
    return (_MINUS_INFINITY if at == FIRST else (at - _EPOCH) // _MICROSECOND,)


def _day(at: tuple[int]) -> date:
    try:
        return date.fromordinal(_EPOCH_DAY + at[0])
    except (ValueError, OverflowError):
        return date.max if at[0] > 0 else date.min


def _days(at: date) -> tuple[int]:
    if at == date.max:
        return (_LAST_DAY,)
    return (_FIRST_DAY if at == date.min else at.toordinal() - _EPOCH_DAY,)


async def read_any_time(connection: Any) -> None:
    """Have a connection read any time that PostgreSQL can hold."""
    await connection.set_type_codec("timestamptz", schema="pg_catalog", encoder=_microseconds, decoder=_moment, format="tuple")
    await connection.set_type_codec("date", schema="pg_catalog", encoder=_days, decoder=_day, format="tuple")
