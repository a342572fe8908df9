"""Lists: the filters above a table, the table, and the way to its next page. Their state is the query string."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from tidings.portal.views.text import visible


class Option(msgspec.Struct, frozen=True):
    """A choice of a field or a filter."""

    value: str
    label: str
    is_chosen: bool = False


class Filter(msgspec.Struct, frozen=True):
    """What can be asked for.

    Attributes:
        name: Of the query parameter.
        kind: `text` (with options: these are proposed), `choice`, or `several`, which links on the page set.
        is_minor: Folded away while it is not set.
    """

    name: str
    label: str
    kind: str = "text"
    options: tuple[Option, ...] = ()
    value: str = ""
    hint: str = ""
    is_minor: bool = False


class Chip(msgspec.Struct, frozen=True):
    """A filter that is set. `href`: the same page without it."""

    label: str
    value: str
    href: str


class FilterBar(msgspec.Struct, frozen=True):
    """The filters of a page: those that are set as chips, all of them as one form.

    Attributes:
        path: Of the page.
        target: Id of the element that is exchanged as one types.
        fields: Every filter, with its value.
        error: What cannot be asked for, as a sentence.
    """

    path: str
    target: str
    fields: tuple[Filter, ...]
    chips: tuple[Chip, ...]
    error: str = ""

    @property
    def has_minor(self) -> bool:
        """Whether there are filters that are folded away."""
        return any(one.is_minor for one in self.fields)

    @property
    def is_minor_set(self) -> bool:
        """Whether one of them is set."""
        return any(one.is_minor and one.value for one in self.fields)


def filter_bar(path: str, target: str, offered: Sequence[Filter], asked: Mapping[str, str], *, error: str = "") -> FilterBar:
    """Return the filters of a page as its query string sets them.

    Args:
        asked: The query string's parameters; those that no filter is named after are left alone.
    """
    values = {one.name: asked[one.name] for one in offered if asked.get(one.name)}
    fields = tuple(
        msgspec.structs.replace(
            one,
            value=values.get(one.name, ""),
            options=tuple(
                msgspec.structs.replace(option, is_chosen=option.value == values.get(one.name, "")) for option in one.options
            ),
        )
        for one in offered
    )
    chips = tuple(
        Chip(one.label, _said(one, values[one.name]), link(path, {n: v for n, v in values.items() if n != one.name}))
        for one in offered
        if one.name in values
    )
    return FilterBar(path, target, fields, chips, error)


def _said(field: Filter, value: str) -> str:
    words = value.split(",") if field.kind == "several" else [value]
    known = {option.value: option.label for option in field.options}
    return ", ".join(visible(known.get(word, word), limit=80).plain for word in words)


def link(path: str, parameters: Mapping[str, str]) -> str:
    """Return a path with a query string, without parameters that are empty."""
    kept = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        label: Its head.
        kind: `text`, `number` (to the right, tabular), `wide` (takes what is left) or `action` (buttons; no head is shown).
        sort: The path that sorts by it; empty: one cannot.
        direction: `ascending` or `descending` when the table is sorted by it.
        is_minor: Left out on a phone.
    """

    label: str
    kind: str = "text"
    sort: str = ""
    direction: str = ""
    is_minor: bool = False


def column(
    label: str,
    *,
    name: str = "",
    path: str = "",
    asked: Mapping[str, str] | None = None,
    kind: str = "text",
    is_minor: bool = False,
) -> Column:
    """Return a column; with a name it can be sorted by: `?sort=name`, and `?sort=-name` the other way round."""
    if not name:
        return Column(label, kind, is_minor=is_minor)
    asked = asked or {}
    now = asked.get("sort", "")
    direction = {name: "ascending", f"-{name}": "descending"}.get(now, "")
    following = f"-{name}" if now == name else name
    kept = {key: value for key, value in asked.items() if key not in {"sort", "cursor"}}
    return Column(label, kind, link(path, {**kept, "sort": following}), direction, is_minor)


class Row(msgspec.Struct, frozen=True):
    """A row. What its cells hold is the page's own `data`.

    Attributes:
        id: By which it is selected, and found in the page.
        href: Of what it names.
        label: What a screen reader calls it.
    """

    id: str
    href: str
    label: str
    data: object = None
    is_new: bool = False


class Table(msgspec.Struct, frozen=True):
    """A table of things.

    Attributes:
        name: Id of the table, unique in a page.
        caption: What it is a table of.
        can_select: Each row has a box, all of them named `id`.
        form: Id of the form that the boxes belong to.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    can_select: bool = False
    form: str = ""


class Pager(msgspec.Struct, frozen=True):
    """The way on. `newer` and `older`: paths, empty where there is nothing. `said`: how many, or how far was looked."""

    newer: str = ""
    older: str = ""
    said: str = ""


def pager(path: str, asked: Mapping[str, str], *, newer: str | None, older: str | None, said: str = "") -> Pager:
    """Return the way to the pages around this one, given their cursors."""
    kept = {name: value for name, value in asked.items() if name != "cursor"}
    to_newer, to_older = (link(path, {**kept, "cursor": cursor}) if cursor else "" for cursor in (newer, older))
    return Pager(to_newer, to_older, said)


# Forms ---------------------------------------------------------------------------------------------------------------------


class Field(msgspec.Struct, frozen=True):
    """A field of a form.

    Attributes:
        name: Of what is sent.
        kind: `text`, `password`, `secret` (as dots, and what was typed is kept where the form is shown again), `url`, `number`,
            `area`, `choice`, `check` or `search`.
        hint: What to write, in a sentence.
        error: What is wrong with what was written; empty: nothing.
        autocomplete: As HTML has it.
        check: Path that is asked about the value when one leaves the field; its answer replaces the field's error.
        when_empty: What stands beside the label of a field that may be empty; empty: that it is optional.
    """

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    hint: str = ""
    error: str = ""
    placeholder: str = ""
    options: tuple[Option, ...] = ()
    is_required: bool = False
    is_code: bool = False
    autocomplete: str = "off"
    max_length: int = 2000
    check: str = ""
    when_empty: str = ""
