"""Counting attempts: how many, what they meant, how long they took.

Latencies are kept as counts between fixed bounds, so that minutes add up to hours, and one process's counts to
another's. A percentile is read from them by interpolation: it is off by less than the distance of two bounds.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import msgspec

# Milliseconds. The last count is of what took longer than the last bound.
BOUNDS_MS: Final = (
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000, 15_000,
    20_000, 30_000, 60_000,
)  # fmt: skip

OUTCOMES: Final = ("succeeded", "retried", "failed")


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

    def plus(self, other: "Tally") -> "Tally":
        """Return both together; neither changes."""
        total = Tally()
        total.count = self.count + other.count
        total.milliseconds = self.milliseconds + other.milliseconds
        total.latencies = [mine + theirs for mine, theirs in zip(self.latencies, other.latencies, strict=True)]
        return total


def summed(histograms: Iterable[Sequence[int]]) -> list[int]:
    """Return counts added up, bound by bound; zeros when there are none."""
    total = [0] * (len(BOUNDS_MS) + 1)
    for counts in histograms:
        for position, count in enumerate(counts):
            total[position] += count
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


class Figures(msgspec.Struct, frozen=True):
    """What attempts of a stretch of time come to.

    Attributes:
        succeeded: Attempts that were acknowledged.
        retried: Attempts that failed and are made again.
        failed: Attempts that failed for good.
        success_rate: Those that were acknowledged among all, from 0 to 1; None when there were none.
        per_second: Attempts a second, over the whole stretch.
        p50_ms: Milliseconds that half of the acknowledged attempts stayed under; p95_ms and p99_ms alike; None without any.
    """

    succeeded: int
    retried: int
    failed: int
    success_rate: float | None
    per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Counted(Protocol):
    """Attempts of one outcome in a stretch of time."""

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def latencies(self) -> Sequence[int]:
        """By `BOUNDS_MS`."""


def figures(counted: Iterable[Counted], seconds: float) -> Figures:
    """Return what attempts come to.

    Args:
        seconds: How long the stretch is.
    """
    counts = dict.fromkeys(OUTCOMES, 0)
    histograms = []
    for row in counted:
        counts[row.outcome] += row.count
        if row.outcome == "succeeded":
            histograms.append(row.latencies)
    total, latencies = sum(counts.values()), summed(histograms)
    rate = counts["succeeded"] / total if total else None
    return Figures(
        **counts,
        success_rate=rate,
        per_second=total / seconds if seconds > 0 else 0.0,
        p50_ms=percentile_ms(latencies, 0.5),
        p95_ms=percentile_ms(latencies, 0.95),
        p99_ms=percentile_ms(latencies, 0.99),
    )


STEPS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


def step_of(at: datetime, step: str) -> datetime:
    """Return the beginning of the minute, hour or day (UTC) that a time is in."""
    at = at.astimezone(UTC).replace(second=0, microsecond=0)
    return at if step == "minute" else at.replace(minute=0) if step == "hour" else at.replace(minute=0, hour=0)
