"""Curves as pictures: SVG that is read in light and in dark, made of nothing but what is here."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

import msgspec

WIDTH, HEIGHT = 560, 320
MARGIN = 16
LEFT, RIGHT, TOP, BOTTOM = 64, 536, 84, 268  # where the axes end
MAX_SERIES = 4  # as many as there are colours
LOG_SPREAD = 50  # values further apart than this go on an axis of powers of ten
MAX_STEPS = 6  # of an axis that begins at zero
SMALLEST, LARGEST = 1e-9, 1e15  # values that an axis can hold, beside zero

# Paper, ink, lines, curves. Written out for each scheme, since not every viewer of SVG knows custom properties.
_LIGHT = ("#ffffff", "#1f2328", "#d1d9e0", "#0969da", "#bc4c00", "#1a7f37", "#8250df")
_DARK = ("#0d1117", "#e6edf3", "#3d444d", "#4493f8", "#f0883e", "#3fb950", "#ab7df8")
_DASHES = ("", "stroke-dasharray: 7 3;", "stroke-dasharray: 2 3;", "stroke-dasharray: 9 3 2 3;")


def _colours(paper: str, ink: str, line: str, *curves: str) -> str:
    own = "".join(f".c{n} {{ stroke: {colour}; }} .d{n} {{ fill: {colour}; }}\n" for n, colour in enumerate(curves))
    return f"text {{ fill: {ink}; }}\n.paper {{ fill: {paper}; }}\n.grid {{ stroke: {line}; }}\n{own}"


_STYLE = (
    """
text { font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
.title { font-size: 14px; font-weight: 600; }
.note { font-size: 10px; opacity: 0.7; }
.curve { fill: none; stroke-width: 2; }
"""
    + "".join(f".c{n} {{ {dash} }}\n" for n, dash in enumerate(_DASHES) if dash)
    + _colours(*_LIGHT)
    + f"@media (prefers-color-scheme: dark) {{\n{_colours(*_DARK)}}}\n"
)


class Series(msgspec.Struct, frozen=True):
    """One curve of a picture: its name, and pairs of x and y."""

    name: str
    points: tuple[tuple[float, float], ...]


class Picture(msgspec.Struct, frozen=True):
    """What is drawn: a title and a note beside it, what the axes mean (units included), and at most four series."""

    title: str
    note: str
    x: str
    y: str
    series: tuple[Series, ...]


class Axis(msgspec.Struct, frozen=True):
    """From which value to which an axis goes, and which it names."""

    ticks: tuple[float, ...]
    is_log: bool

    def share(self, value: float) -> float:
        """Return how far along the axis a value stands, from 0 to 1."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.is_log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


def axis_for(values: Sequence[float]) -> Axis:
    """Return an axis that holds all values: of powers of ten where they are far apart, else from zero.

    Raises:
        ValueError: There is none, or one is neither zero nor from 1e-9 to 1e15.
    """
    if not values or not all(value == 0 or SMALLEST <= value <= LARGEST for value in values):
        raise ValueError(f"An axis needs values, each zero or from {SMALLEST:g} to {LARGEST:g}.")
    low, high = min(values), max(values)
    if low > 0 and high / low > LOG_SPREAD:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return Axis(tuple(10.0**power for power in powers), is_log=True)
    size = 10.0 ** math.floor(math.log10(high)) if high else 1.0
    step = next(step for step in (size / 5, size / 2, size, size * 2) if high <= step * MAX_STEPS)
    return Axis(tuple(step * number for number in range(max(1, math.ceil(high / step)) + 1)), is_log=False)


def draw(picture: Picture) -> str:
    """Return a picture as an SVG document.

    Raises:
        ValueError: There are no points, too many series, or values that no axis holds.
    """
    if len(picture.series) > MAX_SERIES:
        raise ValueError(f"A picture holds {MAX_SERIES} series.")
    points = [point for series in picture.series for point in series.points]
    x_axis, y_axis = axis_for([x for x, _ in points]), axis_for([y for _, y in points])
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} viewBox="0 0 {WIDTH} {HEIGHT}">',
            f"<title>{escape(picture.title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" {size}/>',
            _text(MARGIN, 22, picture.title, "title"),
            _text(RIGHT, 22, picture.note, "note", anchor="end"),
            *_draw_axes(x_axis, y_axis),
            _text((LEFT + RIGHT) / 2, HEIGHT - 14, picture.x, anchor="middle"),
            _text(MARGIN, TOP - 8, picture.y),
            *(line for n, series in enumerate(picture.series) for line in _draw_series(n, series, x_axis, y_axis)),
            "</svg>\n",
        ]
    )


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.share(value) * (RIGHT - LEFT)


def _y(axis: Axis, value: float) -> float:
    return BOTTOM - axis.share(value) * (BOTTOM - TOP)


def _draw_axes(x_axis: Axis, y_axis: Axis) -> list[str]:
    lines = []
    for value in x_axis.ticks:
        at = _x(x_axis, value)
        lines.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{BOTTOM}"/>')
        lines.append(_text(at, BOTTOM + 18, short(value), anchor="middle"))
    for value in y_axis.ticks:
        at = _y(y_axis, value)
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{RIGHT}" y2="{at:.1f}"/>')
        lines.append(_text(LEFT - 8, at + 4, short(value), anchor="end"))
    return lines


def _draw_series(number: int, series: Series, x_axis: Axis, y_axis: Axis) -> list[str]:
    places = [(_x(x_axis, x), _y(y_axis, y)) for x, y in series.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [
        f'<circle class="d{number}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="3.5"><title>{short(x)}: {y:,.4g}</title></circle>'
        for (at_x, at_y), (x, y) in zip(places, series.points, strict=True)
    ]
    return [f'<polyline class="curve c{number}" points="{path}"/>', *dots, *_draw_name(number, series.name)]


def _draw_name(number: int, name: str) -> list[str]:
    """Return the entry of a series in the legend, which is a row above the axes."""
    left = MARGIN + number * (RIGHT - MARGIN) / MAX_SERIES
    return [
        f'<line class="curve c{number}" x1="{left:.1f}" y1="40" x2="{left + 22:.1f}" y2="40"/>',
        _text(left + 28, 44, name),
    ]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def short(value: float) -> str:
    """Return a number as an axis names it: 20k, 1M, 0.5."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
