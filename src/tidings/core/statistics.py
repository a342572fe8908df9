"""Counting attempts: how many, what they meant, how long they took.

Latencies are kept as counts between fixed bounds, so that minutes add up to hours, and one process's counts to
another's. A percentile is read from them by interpolation: it is off by less than the distance of two bounds.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

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
