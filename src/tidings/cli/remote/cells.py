"""What a list and one thing look like as text: pure, so that each decision can be tested."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from rich.cells import cell_len, set_cell_size

from tidings.cli.remote.grammar import Column, at
from tidings.cli.remote.inert import inert, inert_block

GAP: Final = 2  # columns between columns
NARROWEST: Final = 8  # that a column which is cut keeps
WIDEST: Final = 60  # that a column asks for on a screen
DASH: Final = "–"
_BIN_PATH: Final = re.compile(r"^/bin/[0-9a-f-]{36}(?=$|[/?])")
_TIMINGS: Final = frozenset({"dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "total_ms", "p50_ms", "p95_ms", "p99_ms"})

_STYLES: Final = {
    "green": "succeeded healthy done captured answered active current fired",
    "red": "failed failing disabled refused timed_out broken set_aside",
    "yellow": "retrying resting paused waiting running pending sending next missed no_worker",
    "dim": "cancelled idle over previous",
}
_STYLE_OF: Final = {word: style for style, words in _STYLES.items() for word in words.split()}


class Cell(NamedTuple):
    """A text and how it is shown. The style never says what the text does not."""

    text: str
    style: str = ""


def cell(value: Any, kind: str, now: datetime, *, is_exact: bool) -> Cell:  # noqa: PLR0911 - one for each kind
    """Return a value as a list shows it.

    Args:
        kind: Of its column.
        is_exact: It is read by a program: times in full.
    """
    if value is None:
        return Cell(DASH if not is_exact else "", "dim")
    match kind:
        case "state":
            return Cell(inert(str(value)), _STYLE_OF.get(str(value), ""))
        case "code":
            return Cell(str(value), "green" if 200 <= value < 300 else "red")
        case "time":
            return Cell(inert(str(value)) if is_exact else ago(str(value), now))
        case "ms":
            return Cell(took(value))
        case "share":
            return Cell(f"{value:.0%}")
        case "flag":
            return Cell("yes" if value else "no", "" if value else "dim")
        case "bin_path":
            return Cell(inert(_BIN_PATH.sub("", str(value)) or "/"))
        case "names":
            return Cell(inert(", ".join(str(one.get("name")) for one in value)))
        case "roles":
            return Cell(inert(", ".join(f"{one['role']} of {one['bound_to'] or 'all groups'}" for one in value)))
        case "list":
            return Cell(inert(", ".join(one if isinstance(one, str) else _compact(one) for one in value)))
        case _:
            return Cell(inert(value if isinstance(value, str) else _compact(value)), "cyan" if kind == "id" else "")


def ago(text: str, now: datetime) -> str:
    """Return a time as people say it: 12 s ago, in 3 min, 2 d ago; a text that is no time as it is."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return inert(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    seconds = (now - instant) / timedelta(seconds=1)
    size = abs(seconds)
    if size < 1:
        return "now"
    if size >= 86_400 * 60:
        return instant.astimezone(UTC).date().isoformat()
    for limit, scale, unit in ((90, 1, "s"), (5_400, 60, "min"), (129_600, 3_600, "h")):
        if size < limit:
            said = f"{size / scale:.0f} {unit}"
            break
    else:
        said = f"{size / 86_400:.0f} d"
    return f"{said} ago" if seconds > 0 else f"in {said}"


def took(ms: float) -> str:
    """Return a duration: 0.4 ms, 812 ms, 30.0 s."""
    if ms < 10:
        return f"{ms:.1f} ms"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def fit(widths: Sequence[int], available: int, *, keep: int = 2, whole: frozenset[int] = frozenset()) -> list[int]:
    """Return how wide each column may be: 0 where there is no room for it.

    The first columns matter most. Widest columns give up space first, but never an id (the first); when that is not enough,
    the last columns are left out.

    Args:
        widths: What each asks for.
        available: Of the screen.
        keep: So many stay, however narrow the screen.
        whole: The numbers of columns that are never cut either: states, times.
    """
    shown = list(widths)
    firm = {0} | whole
    while True:
        least = sum(width if number in firm else min(width, NARROWEST) for number, width in enumerate(shown))
        least += GAP * (len(shown) - 1)
        if least <= available or len(shown) <= keep:
            break
        shown.pop()
    excess = sum(shown) + GAP * (len(shown) - 1) - available
    while excess > 0:
        cut = [number for number in range(len(shown)) if number not in firm]
        number = max(cut, key=lambda number: shown[number], default=0)
        if number == 0 or shown[number] <= NARROWEST:
            break
        shown[number] -= 1
        excess -= 1
    return shown + [0] * (len(widths) - len(shown))


def columns_of(items: Sequence[Any], given: Sequence[Column]) -> list[Column]:
    """Return the columns of a list: of those that are said what any entry has, such as `home` in a fleet alone; where none are
    said, what the first entries have.
    """
    if given:
        there = {name for item in items if isinstance(item, dict) for name in item}
        return [column for column in given if not there or column.path[0] in there]
    names = dict.fromkeys(name for item in items[:50] if isinstance(item, dict) for name in item)
    return [Column(name, (name,), "id" if name == "id" else "text") for name in names]


def rows_of(items: Sequence[Any], columns: Sequence[Column], now: datetime, *, is_exact: bool) -> list[list[Cell]]:
    """Return a list's entries as cells."""
    return [[cell(at(item, column.path), column.kind, now, is_exact=is_exact) for column in columns] for item in items]


def lines_of(value: Any, now: datetime, *, hides: frozenset[str] = frozenset(), depth: int = 0) -> list[tuple[int, str, Cell]]:
    """Return one thing as lines: how deep, the field's name, and what it says."""
    lines: list[tuple[int, str, Cell]] = []
    for name, said in value.items():
        if depth == 0 and name in hides:
            continue
        label = inert(str(name))
        if isinstance(said, dict) and said and len(_compact(said)) > 60:
            lines.append((depth, label, Cell("")))
            lines += lines_of(said, now, depth=depth + 1)
        elif isinstance(said, list) and any(isinstance(one, dict | list) for one in said):
            lines.append((depth, label, Cell("")))
            lines += [(depth + 1, "-", Cell(row)) for row in _grid(said) or [inert(_entry(one)) for one in said]]
        else:
            lines.append((depth, label, _said(name, said, now)))
    return lines


def _said(name: str, value: Any, now: datetime) -> Cell:  # noqa: PLR0911 - one for each kind
    if isinstance(value, str):
        if name in {"state", "status", "outcome"}:
            return cell(value, "state", now, is_exact=False)
        if name.endswith(("_at", "since", "until", "created", "updated", "_from", "_to", "fired", "scheduled", "next")):
            said = ago(value, now)
            return Cell(inert(value) if said in value else f"{inert(value)} ({said})")
        return Cell(inert_block(value)) if value else Cell('""', "dim")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, list):
        return Cell(inert(", ".join(DASH if one is None else str(one) for one in value))) if value else Cell(DASH, "dim")
    if isinstance(value, float):
        return Cell(_figure(name, value))
    return Cell(DASH, "dim") if value is None or value == {} else Cell(inert(_compact(value)))


def _grid(items: Sequence[Any]) -> list[str]:
    """Return a list as lines under a head, where each entry has the same few figures, its time first; else nothing."""
    if len(items) < 2 or any(not isinstance(one, dict) or one.keys() != items[0].keys() for one in items):
        return []
    if any(isinstance(said, dict | list) or len(str(said)) > WIDEST for one in items for said in one.values()):
        return []
    names = sorted(items[0], key=lambda name: not name.endswith("_at"))
    rows = [[inert(name) for name in names]]
    rows += [[_figure(name, one[name]) for name in names] for one in items]
    widths = [max(cell_len(row[place]) for row in rows) for place in range(len(names))]
    padded = [[set_cell_size(text, width) for text, width in zip(row, widths, strict=True)] for row in rows]
    return [(" " * GAP).join(row).rstrip() for row in padded]


def _figure(name: str, value: Any) -> str:
    """Return a figure as people read it."""
    match value:
        case None:
            return DASH
        case float() if name in _TIMINGS:
            return took(value)
        case float() if name == "success_rate":
            return f"{value:.1%}"
        case float() if name == "per_second":
            return f"{value:.3g}"
        case str():
            return inert(value)
        case _:
            return inert(_compact(value))


def _entry(value: Any) -> str:
    """Return an entry of a list: a text as it is, a header as `name: value`, anything else as JSON."""
    match value:
        case str():
            return value
        case [str(name), str(said)]:
            return f"{name}: {said}"
        case _:
            return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
