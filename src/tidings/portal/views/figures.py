"""Drawings: timings of an attempt, a sparkline, and the table that a chart is drawn from."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from tidings.portal.views.text import duration, number

WIDTH = 1000.0  # of a timing bar, in its own units
MIN_WIDTH = 4.0  # of a phase: what took a moment can still be seen

# Timings -------------------------------------------------------------------------------------------------------------------


class Phase(msgspec.Struct, frozen=True):
    """A stretch of an attempt. `x` and `width` are of `WIDTH`."""

    name: str
    label: str
    x: float
    width: float
    said: str


class Timing(msgspec.Struct, frozen=True):
    """How long an attempt took, and where it went."""

    phases: tuple[Phase, ...]
    total: str
    said: str


_PHASES = (("dns", "DNS"), ("connect", "connect"), ("tls", "TLS"), ("wait", "first byte"), ("read", "rest"))


def timing(
    *, dns_ms: float | None, connect_ms: float | None, tls_ms: float | None, first_byte_ms: float | None, total_ms: float
) -> Timing:
    """Return the phases of an attempt in their order. Phases that did not happen are left out.

    Args:
        first_byte_ms: From the beginning of the attempt, as the others end before it; None: none came.
        total_ms: All of it; what the phases do not explain is the rest.
    """
    opened = sum(value or 0.0 for value in (dns_ms, connect_ms, tls_ms))
    wait_ms = None if first_byte_ms is None else max(0.0, first_byte_ms - opened)
    known = [dns_ms, connect_ms, tls_ms, wait_ms]
    rest = max(0.0, total_ms - sum(value or 0.0 for value in known))
    spans = [
        (name, label, value)
        for (name, label), value in zip(_PHASES, [*known, rest], strict=True)
        if value is not None and (value > 0 or name != "read")
    ]
    whole = sum(value for _, _, value in spans) or 1.0
    room = WIDTH - MIN_WIDTH * len(spans)
    phases, x = [], 0.0
    for name, label, value in spans:
        width = MIN_WIDTH + room * value / whole
        phases.append(Phase(name, label, round(x, 1), round(width, 1), duration(value)))
        x += width
    said = ", ".join(f"{phase.label} {phase.said}" for phase in phases)
    return Timing(tuple(phases), duration(total_ms), f"{said}; total {duration(total_ms)}")


# Sparklines ----------------------------------------------------------------------------------------------------------------

SPARK_WIDTH, SPARK_HEIGHT = 120.0, 28.0
MAX_POINTS = 120


class Sparkline(msgspec.Struct, frozen=True):
    """A line without axes. `said` is its text for those who do not see it."""

    line: str
    area: str
    said: str


def sparkline(name: str, values: Sequence[float | None], *, floor: float = 0.0) -> Sparkline:
    """Return a line through values in order of time. None: nothing is known of that time, and the line has a gap.

    Args:
        floor: The value at the bottom; of a rate near 100 something near 100, or a fall of ten is not seen.
    """
    values = values[-MAX_POINTS:]
    known = [value for value in values if value is not None]
    if not known:
        return Sparkline("", "", f"{name}: nothing yet")
    high = max(known)
    scale = (high - floor) if high > floor else 1.0
    step = SPARK_WIDTH / max(1, len(values) - 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(
                (round(index * step, 1), round(SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * max(value - floor, 0.0) / scale, 1))
            )
    drawn = [run for run in runs if run]
    line = " ".join(_path(run) for run in drawn)
    area = " ".join(f"{_path(run)} L{run[-1][0]} {SPARK_HEIGHT} L{run[0][0]} {SPARK_HEIGHT} Z" for run in drawn)
    return Sparkline(line, area, f"{name}: last {number(known[-1])}, highest {number(high)}, lowest {number(min(known))}")


def _path(points: list[tuple[float, float]]) -> str:
    if len(points) == 1:  # a single point would not be drawn
        points = [points[0], (points[0][0] + 0.1, points[0][1])]
    return "M" + " L".join(f"{x} {y}" for x, y in points)


# Charts --------------------------------------------------------------------------------------------------------------------


class Series(msgspec.Struct, frozen=True):
    """Values over time. `tone`: as of states, or `accent`."""

    name: str
    tone: str
    values: Sequence[float | None]


class ChartRow(msgspec.Struct, frozen=True):
    """A moment of a chart: `seconds` since 1970 for the drawing, `said` for reading."""

    seconds: int
    iso: str
    said: str
    values: tuple[float | None, ...]


class Chart(msgspec.Struct, frozen=True):
    """A table that a chart is drawn from; whoever does not see the drawing reads it.

    Attributes:
        name: Unique in a page.
        unit: Of its values, in the plural: deliveries.
        is_stacked: The series add up.
    """

    name: str
    title: str
    unit: str
    series: tuple[Series, ...]
    rows: tuple[ChartRow, ...]
    is_stacked: bool = False


MAX_ROWS = 400


def chart(
    name: str, title: str, *, unit: str, times: Sequence[datetime], series: Sequence[Series], is_stacked: bool = False
) -> Chart:
    """Return a chart over the newest `MAX_ROWS` of some times, in ascending order."""
    rows = [
        ChartRow(
            int(at.timestamp()),
            at.astimezone(UTC).isoformat(timespec="minutes").replace("+00:00", "Z"),
            at.astimezone(UTC).strftime("%d %b %H:%M"),
            tuple(one.values[index] for one in series),
        )
        for index, at in enumerate(times)
    ][-MAX_ROWS:]
    return Chart(name, title, unit, tuple(series), tuple(rows), is_stacked)
