"""What a webhook can be told of, as boxes to tick: by the names of the profile that is chosen."""

from collections.abc import Iterable

import msgspec

from tidings.core.capture import TableName, TableSettings
from tidings.core.customers import is_choosable
from tidings.core.event import TEST_TYPE
from tidings.core.filters import OPERATIONS, TypeFilter
from tidings.core.vocabulary import CONTENT_ACTIONS
from tidings.operations.webhooks.choices import Choices
from tidings.portal.views.tables import edit_path, shown_name
from tidings.portal.views.text import Shown, count, visible
from tidings.portal.views.webhook_entries import collection_value, table_value
from tidings.portal.views.webhook_form import Entered
from tidings.profiles import PROFILES

EVERY_ROW = "Rows of every table"
OF_ONE_WORD = "Names of one word"
OTHER_NAMES = "Other names"


class Box(msgspec.Struct, frozen=True):
    """A box to tick. `said`: what it means, in a sentence; `is_seen`: such events have come."""

    name: str
    value: str
    label: Shown
    said: Shown
    is_ticked: bool
    is_seen: bool = False


class Family(msgspec.Struct, frozen=True):
    """Boxes that belong together.

    Attributes:
        whole: The box of all of them, also of those that come to be; None: there is none such.
        columns: Of a table, to know it by.
        conditions: Of a table, which of its changes count, for every webhook.
        href: Of a table, where that is changed.
    """

    label: Shown
    boxes: tuple[Box, ...]
    said: str
    whole: Box | None = None
    columns: Shown | None = None
    conditions: tuple[Shown, ...] = ()
    href: str = ""
    is_open: bool = False


class Offer(msgspec.Struct, frozen=True):
    """All there is to choose from.

    Attributes:
        everything: None where that is not offered.
        others: Names that are wanted and that the profile has no box for.
    """

    everything: Box | None
    families: tuple[Family, ...]
    tables: tuple[Family, ...]
    collections: tuple[Family, ...]
    others: Family | None


def offer(choices: Choices, form: Entered, profile: str) -> Offer:
    """Return what there is to choose from under a profile, ticked as the form says."""
    ticked = set(form.names)
    names = _names(profile, choices)
    alone = EVERY_ROW if _speaks_of_rows(profile) else OF_ONE_WORD
    families = tuple(_family(label, group, choices, ticked, alone) for label, group in _grouped(names))
    offered = {box.value for family in families for box in (*family.boxes, family.whole) if box is not None} | {"*"}
    left = [name for name in form.names if name not in offered]
    tables, collections = set(form.tables), set(form.collections)
    return Offer(
        everything=Box("names", "*", visible("Everything"), visible("Also what comes to be later."), "*" in ticked),
        families=families,
        tables=tuple(
            _table(name, columns, tables, choices.settings.get(name)) for name, columns in _with_named_tables(choices, form)
        ),
        collections=tuple(_collection(name, collections) for name in _with_named_collections(choices, form)),
        others=_others(left),
    )


def offer_published(choices: Choices, form: Entered, profile: str) -> Offer:
    """Return what a customer can choose from who may not choose tables and collections: types, and their families."""
    vocabulary = PROFILES.get(profile, PROFILES["standard"]).vocabulary
    ticked = {name for name in form.names if is_choosable(TypeFilter(name, ()), vocabulary)}
    every = {*choices.types, *choices.seen} - {TEST_TYPE}
    names = {name for name in every if is_choosable(TypeFilter(name, ()), vocabulary)}
    names |= {name for name in ticked if not name.endswith(".*")}
    groups = dict(_grouped(sorted(names)))
    for name in ticked:
        if name.endswith(".*"):
            groups.setdefault(name.removesuffix(".*"), [])
    families = tuple(_family(label, group, choices, ticked, OF_ONE_WORD) for label, group in sorted(groups.items()))
    return Offer(None, families, (), (), None)


def _others(names: Iterable[str]) -> Family | None:
    """Return the boxes of names that were chosen elsewhere: what a box is not there for can be seen, and unticked."""
    boxes = tuple(Box("names", name, visible(name, limit=80), visible(""), True) for name in dict.fromkeys(names))
    return Family(visible(OTHER_NAMES), boxes, _said(boxes), is_open=True) if boxes else None


def _speaks_of_rows(profile_name: str) -> bool:
    return profile_name in PROFILES and PROFILES[profile_name].vocabulary.has_rows


def _names(profile_name: str, choices: Choices) -> list[str]:
    """Return the names of types under a profile, in order."""
    profile = PROFILES.get(profile_name, PROFILES["standard"])
    sent, free = profile.vocabulary.sent, profile.vocabulary.free
    if sent is None:
        names = {*choices.types, *choices.seen} - {TEST_TYPE}
        return sorted(name for name in names if not name.startswith("table."))
    theirs = (name for name in {*choices.types, *choices.seen} if free and name.startswith(free))
    return sorted({*sent.values(), *theirs})


def _grouped(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    return list(groups.items())


def _family(label: str, names: list[str], choices: Choices, ticked: set[str], alone: str) -> Family:
    boxes = tuple(
        Box(
            "names",
            name,
            visible(name.rpartition(".")[2] if label else name, limit=60),
            visible(choices.types.get(name, ""), limit=120),
            name in ticked,
            name in choices.seen,
        )
        for name in names
    )
    family = f"{label}.*"
    is_whole = family in ticked
    whole = Box("names", family, visible(family, limit=80), visible(""), is_whole) if label else None
    shown = visible(label or alone, limit=80)
    return Family(shown, boxes, _said(boxes, is_whole), whole, is_open=is_whole or any(box.is_ticked for box in boxes))


def _said(boxes: tuple[Box, ...], is_whole: bool = False) -> str:
    chosen = sum(box.is_ticked for box in boxes)
    if is_whole:
        return "all"
    return f"{chosen} of {len(boxes)}" if chosen else count(len(boxes), "event")


_VERBS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}


def _table(name: TableName, columns: tuple[str, ...], ticked: set[str], own: TableSettings | None) -> Family:
    schema, table = name
    written = shown_name(TableSettings(schema, table))
    boxes = tuple(
        Box("tables", value, visible(_VERBS[operation]), visible(""), value in ticked)
        for operation in OPERATIONS
        for value in (table_value(operation, schema, table),)
    )
    shown = visible(", ".join(columns), limit=160) if columns else None
    return Family(
        visible(EVERY_ROW if table == "*" else written, limit=80),
        boxes,
        _said(boxes),
        columns=shown,
        conditions=conditions_of(own) if own is not None else (),
        href="" if table == "*" else edit_path(written),
        is_open=any(box.is_ticked for box in boxes),
    )


def conditions_of(own: TableSettings) -> tuple[Shown, ...]:
    """Return which changes of a table count, in words."""
    said = [f"{_VERBS.get(operation, operation)} only when {condition}" for operation, condition in own.conditions.items()]
    if own.changed_columns:
        said.append(f"updated only when {' or '.join(own.changed_columns)} changed")
    if own.excluded_columns:
        said.append(f"without {', '.join(own.excluded_columns)}")
    if own.group_column:
        said.append(f"each row to the group that {own.group_column} names")
    return tuple(visible(line, limit=200) for line in said)


def _collection(name: str, ticked: set[str]) -> Family:
    boxes = tuple(
        Box("collections", value, visible(action), visible(""), value in ticked)
        for action in CONTENT_ACTIONS
        for value in (collection_value(action, name),)
    )
    return Family(visible(name, limit=80), boxes, _said(boxes), is_open=any(box.is_ticked for box in boxes))


def _with_named_tables(choices: Choices, form: Entered) -> list[tuple[TableName, tuple[str, ...]]]:
    """Return the tables there are, and those that the form names: one that is gone can still be unticked."""
    there = dict(choices.tables)
    for schema, table in (tuple(parts[1:3]) for value in form.tables if len(parts := _parts(value)) == 3):
        there.setdefault((schema, table), ())
    return list(there.items())


def _with_named_collections(choices: Choices, form: Entered) -> list[str]:
    named = [parts[1] for value in form.collections if len(parts := _parts(value)) == 2]
    return list(dict.fromkeys([*choices.collections, *named]))


def _parts(value: str) -> list[str]:
    try:
        return msgspec.json.decode(value, type=list[str])
    except (msgspec.MsgspecError, UnicodeError):
        return []
