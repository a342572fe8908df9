"""What is read at length: JSON, records side by side, headers, differences of texts, code.

A document may be anything a sender made up: nested ten thousand deep, with a million members, with one string of a megabyte.
So depth, members and characters are bounded here, and what is left out is said.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.portal.views.text import LINE_LIMIT, Shown, count, lines_of, size, visible, visible_block

MAX_DOCUMENT = 256 * 1024  # characters read as JSON; a longer one is shown as text, up to BLOCK_LIMIT
MAX_DEPTH = 40
MAX_NODES = 2_000
OPEN_DEPTH = 2  # levels that are open at first
OPEN_MEMBERS = 40  # what has more is closed at first
LONG_VALUE = 10_000  # characters of a value that "show all" shows
MAX_HEADERS = 200
MAX_DIFF_LINES = 400  # of either side; comparing costs their product


class Node(msgspec.Struct, frozen=True):
    """A value of a document.

    Attributes:
        kind: `object`, `array`, `string`, `number`, `word` (true, false, null) or `cut`.
        key: Its name in an object.
        text: A leaf's text; of a string without its quotes.
        more: The whole of a string that is long, for "show all".
        children: Of an object or array.
        summary: What is inside: 3 members.
        is_open: Unfolded at first.
        mark: `added`, `removed`, `changed` or empty.
    """

    kind: str
    key: Shown | None = None
    text: Shown = Shown(())
    more: Shown | None = None
    children: tuple["Node", ...] = ()
    summary: str = ""
    is_open: bool = False
    mark: str = ""


class Document(msgspec.Struct, frozen=True):
    """A body to be read.

    Attributes:
        root: As JSON; None: it is none, or too long.
        text: What it is when it is no JSON.
        size: How long it is, with its unit.
        note: What was left out; empty: nothing.
        download: The path at which all of it is; empty: nowhere.
    """

    root: Node | None
    text: Shown
    size: str
    note: str = ""
    download: str = ""


def document(content: str | bytes, *, download: str = "") -> Document:
    """Return a body to be read, as JSON if it is JSON."""
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    text = raw.decode("utf-8", "replace") if isinstance(content, bytes) else content
    if len(text) <= MAX_DOCUMENT:
        try:
            value = json.loads(text, parse_int=_Digits, parse_float=_Digits, parse_constant=_refuse)
        except (ValueError, RecursionError):
            pass
        else:
            budget = _Budget(MAX_NODES)
            root = _node(value, None, 0, budget)
            note = "" if budget.left >= 0 else f"Only the first {count(MAX_NODES, 'value')} are shown."
            return Document(root, Shown(()), size(len(raw)), note, download)
    shown = visible_block(text)
    note = f"{count(shown.cut, 'character')} more are not shown." if shown.cut else ""
    return Document(None, shown, size(len(raw)), note, download)


class _Digits(str):
    """A number as it is written: a double would change its digits."""

    __slots__ = ()


def _refuse(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are not JSON


class _Budget:
    """How many values may still be shown."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


def _node(value: Any, key: str | None, depth: int, budget: _Budget, mark: str = "") -> Node:
    name = None if key is None else visible(key, limit=120)
    match value:
        case dict() | list() if depth >= MAX_DEPTH:
            return Node("cut", name, visible("… nested too deeply to be shown"), mark=mark)
        case dict():
            members = [_node(member, inner, depth + 1, budget) for inner, member in value.items() if budget.take()]
            return _branch("object", name, members, count(len(value), "member"), depth, mark)
        case list():
            members = [_node(member, None, depth + 1, budget) for member in value if budget.take()]
            return _branch("array", name, members, count(len(value), "item"), depth, mark)
        case _Digits():
            return Node("number", name, visible(str(value)), mark=mark)
        case str():
            return _string(value, name, mark)
        case _:
            return Node("word", name, visible({True: "true", False: "false", None: "null"}[value]), mark=mark)


def _branch(kind: str, name: Shown | None, members: list[Node], summary: str, depth: int, mark: str) -> Node:
    is_open = depth < OPEN_DEPTH and len(members) <= OPEN_MEMBERS
    return Node(kind, name, children=tuple(members), summary=summary, is_open=is_open, mark=mark)


def _string(value: str, name: Shown | None, mark: str) -> Node:
    more = visible_block(value, limit=LONG_VALUE) if len(value) > LINE_LIMIT else None
    return Node("string", name, visible(value), more, mark=mark)


# A record and the one before ---------------------------------------------------------------------------------------------


class Pair(msgspec.Struct, frozen=True):
    """A member before and after. `mark`: `added`, `removed`, `changed`, or empty when it is the same."""

    key: Shown
    old: Node | None
    new: Node | None
    mark: str


class Comparison(msgspec.Struct, frozen=True):
    """A record beside the one before. `said`: what changed, in words; `note`: what was left out."""

    pairs: tuple[Pair, ...]
    said: str
    note: str = ""


MAX_PAIRS = 300


def comparison(old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """Return two records member by member: what changed first, in the order of the new one."""
    keys = [*new, *(key for key in old if key not in new)]
    marks = {key: _mark(key, old, new) for key in keys}
    budget = _Budget(MAX_NODES)
    ordered = sorted(keys, key=lambda key: not marks[key])
    pairs = tuple(
        Pair(
            visible(key, limit=120),
            _node(_digits(old[key]), None, OPEN_DEPTH, budget) if key in old else None,
            _node(_digits(new[key]), None, OPEN_DEPTH, budget) if key in new else None,
            marks[key],
        )
        for key in ordered[:MAX_PAIRS]
    )
    changed = [visible(key, limit=40).plain for key in ordered if marks[key]]
    said = f"changed: {', '.join(changed[:5])}{' …' if len(changed) > 5 else ''}" if changed else "nothing changed"
    note = f"{count(len(keys) - MAX_PAIRS, 'member')} more are not shown." if len(keys) > MAX_PAIRS else ""
    return Comparison(pairs, said, note)


def _mark(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if key not in old:
        return "added"
    if key not in new:
        return "removed"
    return "" if old[key] == new[key] else "changed"


def _digits(value: Any) -> Any:
    """Return a decoded value with its numbers as they are written, as `document` reads them."""
    return json.loads(json.dumps(value, default=str), parse_int=_Digits, parse_float=_Digits)


# Headers -------------------------------------------------------------------------------------------------------------------


class Header(msgspec.Struct, frozen=True):
    """A line of a head."""

    name: Shown
    value: Shown


class Headers(msgspec.Struct, frozen=True):
    """The head of a request or a response. `note`: what was left out."""

    lines: tuple[Header, ...]
    said: str
    note: str = ""


def headers(pairs: Iterable[Sequence[str]]) -> Headers:
    """Return the lines of a head, in their order."""
    every = list(pairs)
    lines = tuple(Header(visible(name, limit=100), visible(value, limit=1000)) for name, value in every[:MAX_HEADERS])
    note = f"{count(len(every) - MAX_HEADERS, 'header')} more are not shown." if len(every) > MAX_HEADERS else ""
    return Headers(lines, count(len(every), "header"), note)


# Differences ---------------------------------------------------------------------------------------------------------------


class DiffLine(msgspec.Struct, frozen=True):
    """A line of a difference. `mark`: `added`, `removed` or empty; `sign`: plus, minus or a space."""

    mark: str
    sign: str
    text: Shown


class Diff(msgspec.Struct, frozen=True):
    """What changed between two texts."""

    lines: tuple[DiffLine, ...]
    said: str
    note: str = ""


_MARKS = {"+": ("added", "+"), "-": ("removed", "−"), " ": ("", " ")}


def diff(old: str, new: str) -> Diff:
    """Return what changed between two texts, line by line, with three lines around each change."""
    before, after = list(lines_of(old, limit=MAX_DIFF_LINES)), list(lines_of(new, limit=MAX_DIFF_LINES))
    lines = [
        DiffLine("gap", "⋯", Shown(())) if line.startswith("@@") else DiffLine(*_MARKS[line[0]], visible(line[1:]))
        for line in list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]
    ]
    if lines and lines[0].mark == "gap":
        del lines[0]
    added = sum(line.mark == "added" for line in lines)
    removed = sum(line.mark == "removed" for line in lines)
    said = f"{count(added, 'line')} added, {removed} removed" if lines else "nothing changed"
    is_cut = max(old.count("\n"), new.count("\n")) >= MAX_DIFF_LINES
    return Diff(tuple(lines), said, f"Only the first {MAX_DIFF_LINES} lines were compared." if is_cut else "")


# Code ----------------------------------------------------------------------------------------------------------------------


class CodeTab(msgspec.Struct, frozen=True):
    """A text to copy, under its name."""

    label: str
    text: str


class CodeSample(msgspec.Struct, frozen=True):
    """Texts to copy, one at a time. `name`: unique in a page; at most eight tabs."""

    name: str
    tabs: tuple[CodeTab, ...]
