"""Counting attempts: how many, what they meant, how long they took.

Latencies are kept as counts between fixed bounds, so that minutes add up to hours, and one process's counts to
another's. A percentile is read from them by interpolation: it is off by less than the distance of two bounds.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import add
from typing import Final

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.question import check_times

# Milliseconds. The last count is of what took longer than the last bound.
BOUNDS_MS: Final = (
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000, 15_000,
    20_000, 30_000, 60_000,
)  # fmt: skip

OUTCOMES: Final = ("succeeded", "retried", "failed")
DEFAULT_SERIES: Final = 100  # webhooks that have a series of their own in /metrics

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class Tally:
    """Attempts of one outcome: how many, and how many took how long."""

    __slots__ = ("count", "latencies", "milliseconds")

    def __init__(self) -> None:
        self.count = 0
        self.milliseconds = 0.0
        self.latencies = [0] * (len(BOUNDS_MS) + 1)

    def add(self, milliseconds: float) -> None:
        """Count one attempt."""
        self.count += 1
        self.milliseconds += milliseconds
        self.latencies[bisect_left(BOUNDS_MS, milliseconds)] += 1

    def take_in(self, other: "Tally") -> None:
        """Add another."""
        self.count += other.count
        self.milliseconds += other.milliseconds
        self.latencies = list(map(add, self.latencies, other.latencies))

    def plus(self, other: "Tally") -> "Tally":
        """Return both together; neither changes."""
        total = Tally()
        total.count = self.count + other.count
        total.milliseconds = self.milliseconds + other.milliseconds
        total.latencies = list(map(add, self.latencies, other.latencies))
        return total


def summed(histograms: Iterable[Sequence[int]]) -> list[int]:
    """Return counts added up, bound by bound; zeros when there are none."""
    total = [0] * (len(BOUNDS_MS) + 1)
    for counts in histograms:
        for position, count in enumerate(counts):
            total[position] += count or 0  # null: nobody but a hand has written it
    return total


def percentile_ms(latencies: Sequence[int], share: float) -> float | None:
    """Return the milliseconds that this share of the attempts stayed under, or None when there were none.

    Args:
        latencies: Counts by `BOUNDS_MS`.
        share: From 0 to 1; 0.5 for the median.

    Returns:
        At most the last bound: what took longer is known only to have done so.
    """
    wanted = share * sum(latencies)
    if wanted <= 0:
        return None
    low = 0.0
    for count, high in zip(latencies, BOUNDS_MS, strict=False):
        if count >= wanted:
            return low + (high - low) * wanted / count
        wanted -= count
        low = float(high)
    return low


# Reading ---------------------------------------------------------------------------------------------------------------

STEPS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
KEPT: Final = {"minute": timedelta(days=3), "hour": timedelta(days=100), "day": timedelta(days=1100)}
MAX_POINTS: Final = 750  # of a series: a month by hours
DEFAULT_PERIOD: Final = timedelta(days=1)


class Stretch(msgspec.Struct, frozen=True):
    """Attempts of one outcome that were recorded in one minute, hour or day, or in a part of it."""

    starts_at: datetime
    outcome: str
    count: int
    latencies: Sequence[int]


class Period(msgspec.Struct, frozen=True):
    """A stretch of time in whole steps. `until` is not part of it."""

    since: datetime
    until: datetime
    step: str


class Figures(msgspec.Struct, frozen=True):
    """What attempts come to. Without any, rate and percentiles are None."""

    succeeded: int
    retried: int
    failed: int
    success_rate: float | None
    per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Point(Figures, frozen=True):
    """Figures of one step."""

    starts_at: datetime


def period_of(since: datetime | None, until: datetime | None, step: str | None, now: datetime) -> Period:
    """Return the period that is asked for, widened to whole steps; the last day when nothing is said.

    Args:
        step: `minute`, `hour` or `day`; None: the shortest of them that makes no more than `MAX_POINTS`.

    Raises:
        InvalidInputError: The times are exchanged, or the step is unknown, too short for the period, or forgotten by now.
    """
    check_times(since, until)
    until = now if until is None else min(until, now + DEFAULT_PERIOD)
    if until <= now - KEPT["day"]:
        raise InvalidInputError("until", f"until is before what is kept, {KEPT['day'].days} days; ask for a later time.")
    since = until - DEFAULT_PERIOD if since is None else since
    if since >= until:
        raise InvalidInputError("since", "since is in the future; nothing has happened there yet.")
    fitting = [
        name for name, length in STEPS.items() if until - since <= length * (MAX_POINTS - 2) and since >= now - KEPT[name]
    ]
    step = step if step is not None else next(iter(fitting), "day")
    if step not in STEPS:
        raise InvalidInputError("step", f"step is {step!r}; write {', '.join(STEPS)}.")
    length = STEPS[step]
    if now - since > KEPT[step] + length:
        raise InvalidInputError(
            "since", f"since is before what is kept by {step}, {KEPT[step].days} days; ask for less, or a longer step."
        )
    begun = _EPOCH + (since - _EPOCH) // length * length
    ended = _EPOCH - (_EPOCH - until) // length * length
    if (ended - begun) // length > MAX_POINTS:
        raise InvalidInputError(
            "step", f"from since to until are more than {MAX_POINTS} times step; ask for less, or a longer step."
        )
    return Period(begun, ended, step)


def series_of(stretches: Iterable[Stretch], period: Period, now: datetime) -> tuple[Figures, list[Point]]:
    """Return what the attempts of a period come to, and each of its steps, oldest first."""
    length = STEPS[period.step]
    steps: dict[int, list[Stretch]] = {}
    for stretch in stretches:
        steps.setdefault((stretch.starts_at - period.since) // length, []).append(stretch)
    count = (period.until - period.since) // length
    points = []
    for number in range(count):
        starts_at = period.since + number * length
        figures = _come_to(steps.get(number, ()), min(length, max(now - starts_at, _SECOND)))
        points.append(Point(**msgspec.structs.asdict(figures), starts_at=starts_at))
    whole = min(period.until, max(now, period.since + _SECOND)) - period.since
    return _come_to([stretch for some in steps.values() for stretch in some], whole), points


def _come_to(stretches: Sequence[Stretch], length: timedelta) -> Figures:
    counts = dict.fromkeys(OUTCOMES, 0)
    for stretch in stretches:
        counts[stretch.outcome] += stretch.count
    total = sum(counts.values())
    latencies = summed(stretch.latencies for stretch in stretches)
    return Figures(
        **counts,
        success_rate=counts["succeeded"] / total if total else None,
        per_second=total / length.total_seconds(),
        p50_ms=percentile_ms(latencies, 0.5),
        p95_ms=percentile_ms(latencies, 0.95),
        p99_ms=percentile_ms(latencies, 0.99),
    )
