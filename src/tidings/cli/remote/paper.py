"""Where answers are written: for people as tables and colours, for programs as JSON or ids."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from tidings.cli.remote.cells import GAP, WIDEST, Cell, columns_of, fit, lines_of, rows_of
from tidings.cli.remote.grammar import Column
from tidings.cli.remote.inert import inert, json_text
from tidings.clock import Clock

_ENDLESS: Final = 1_000_000  # columns of a screen that is none


class Paper:
    """Standard output. On a terminal it is coloured and fits; in a pipe it is neither."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._clock = Clock()

    @property
    def is_screen(self) -> bool:
        """Whether a person looks."""
        return self._console.is_terminal

    @property
    def width(self) -> int:
        """How many columns there are."""
        return self._console.width if self.is_screen else _ENDLESS

    def now(self) -> datetime:
        """Return the time."""
        return self._clock.now()

    def document(self, value: Any) -> None:
        """Write one JSON document."""
        click.echo(json_text(json.dumps(value, ensure_ascii=False, indent=2)))

    def line_of_json(self, value: Any) -> None:
        """Write a line of JSON of a stream, at once."""
        click.echo(json_text(json.dumps(value, ensure_ascii=False)))

    def say(self, text: str, *, style: str = "") -> None:
        """Write a sentence of ours, for people alone."""
        if not self.as_json and not self.quiet:
            self.write((Cell(inert(text), style),))

    def write(self, cells: Sequence[Cell]) -> None:
        """Write cells as a line, as they are."""
        self._print([(one, None) for one in cells], gap=0)

    def many(self, items: Iterable[Any], columns: Sequence[Column], key: str, *, of: str) -> bool:
        """Write a list and return whether it has anything.

        Args:
            key: The field that `--quiet` shows of each.
            of: What it is a list of, for when there is none.
        """
        if self.quiet and not self.as_json:
            has_any = False
            for item in items:  # as they come: who reads may have enough early
                has_any = True
                self._id(item, key)
            return has_any
        found = list(items)
        if self.as_json:
            self.document(found)
        elif found:
            self._table(found, columns)
        else:
            click.echo(f"No {of}.", err=True)
        return bool(found)

    def one(self, value: Any, key: str, hides: frozenset[str] = frozenset()) -> None:
        """Write one thing, field by field."""
        if self.as_json:
            self.document(value)
        elif self.quiet:
            self._id(value, key)
        elif isinstance(value, dict):
            lines = lines_of(value, self.now(), hides=hides)
            label = max((len(name) + 2 * depth for depth, name, said in lines if said.text), default=0) + 2
            for depth, name, said in lines:
                start = f"{'  ' * depth}{name}"
                rows = said.text.split("\n")
                self._print([(Cell(start, "bold"), label if said.text else None), (said._replace(text=rows[0]), None)], gap=0)
                for row in rows[1:]:
                    self._print([(Cell(" " * label), None), (said._replace(text=row), None)], gap=0)
        elif isinstance(value, list):
            for one in value:
                self.one(one, key, hides)
        else:
            click.echo(inert(str(value)))

    def _id(self, item: Any, key: str) -> None:
        values: Any = item
        if isinstance(item, dict):
            values = next((item[name] for name in (key, "id", "ids", "secret") if name in item), None)
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                click.echo(inert(str(value)))

    def _table(self, items: Sequence[Any], given: Sequence[Column]) -> None:
        columns = columns_of(items, given)
        rows = rows_of(items, columns, self.now(), is_exact=not self.is_screen)
        widths = [max(len(column.title), *(cell_len(row[place].text) for row in rows)) for place, column in enumerate(columns)]
        if self.is_screen:
            asked = [
                width if column.kind == "id" else min(width, WIDEST) for width, column in zip(widths, columns, strict=True)
            ]
            whole = frozenset(place for place, column in enumerate(columns) if column.kind in {"state", "code", "time"})
            widths = fit(asked, self._console.width, whole=whole)
        heads = [Cell(column.title.upper(), "bold") for column in columns]
        for row in [heads, *rows]:
            self._print([(one, width) for one, width in zip(row, widths, strict=True) if width], gap=GAP)

    def _print(self, cells: Sequence[tuple[Cell, int | None]], *, gap: int) -> None:
        line = Text(no_wrap=True, overflow="ignore")
        for place, (one, width) in enumerate(cells):
            text, is_last = one.text, place == len(cells) - 1
            if width is not None and cell_len(text) > width:
                text = set_cell_size(text, width - 1).rstrip() + "…"
            elif width is not None and not is_last:
                text = set_cell_size(text, width)
            line.append(text, one.style or None)
            if not is_last:
                line.append(" " * gap)
        self._console.print(line, soft_wrap=True)
