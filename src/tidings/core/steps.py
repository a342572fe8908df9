"""From what is there to what is wanted: which things are added, changed and removed, field by field.

Things have sections and, within these, names by which they are told apart. A field that is not wanted stays as it is. What
cannot be read back, a secret, cannot be compared here either: whoever has it must, so a thing that has one is always sent.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec


class Does(StrEnum):
    """What a step does to a thing."""

    ADD = "add"
    CHANGE = "change"
    COMPARE = "compare"  # it is as it should be as far as can be read, and has what cannot
    REMOVE = "remove"


class Wanted(msgspec.Struct, frozen=True):
    """A thing as it should be.

    Attributes:
        fields: Those that are not among them stay as they are.
        sealed: Paths of fields that can be set and never read, such as `auth.password`.
    """

    fields: Mapping[str, Any]
    sealed: tuple[str, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """A field that is to be another. Of a mapping, each of its members is a field: `headers.X-Team`.

    Attributes:
        before: `ABSENT` where there was nothing.
        after: `ABSENT` where there is to be nothing.
    """

    field: str
    before: Any
    after: Any


class Step(msgspec.Struct, frozen=True):
    """What is to be done to one thing."""

    section: str
    name: str
    does: Does
    changes: tuple[Change, ...] = ()
    sealed: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that change, whole ones."""
        return tuple(dict.fromkeys(change.field.partition(".")[0] for change in self.changes))


Things = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by section and name


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


def plan(
    wanted: Mapping[str, Mapping[str, Wanted]],
    present: Things,
    *,
    order: Collection[str],
    implied: Mapping[str, Mapping[str, Any]] | None = None,
    pruned: Collection[str] = (),
) -> list[Step]:
    """Return what is to be done, in an order in which it can be: what others stand on first, removals last and backwards.

    Args:
        order: The sections, what others stand on first.
        implied: Of a section, how a thing is that was never said to be otherwise: it is not added, but changed.
        pruned: Sections of which everything goes that is not wanted. A section that is not wanted at all is left alone.
    """
    steps: list[Step] = []
    for section in order:
        there = present.get(section, {})
        default = (implied or {}).get(section)
        for name in sorted(wanted.get(section, {})):
            before = there.get(name, default)
            steps += _step(section, name, wanted[section][name], before)
    for section in reversed(list(order)):
        if section in pruned and section in wanted:
            gone = sorted(set(present.get(section, {})) - set(wanted[section]), reverse=True)
            steps += [Step(section, name, Does.REMOVE) for name in gone]
    return steps


def _step(section: str, name: str, wanted: Wanted, before: Mapping[str, Any] | None) -> Iterator[Step]:
    if before is None:
        changes = tuple(Change(field, ABSENT, value) for field, value in sorted(wanted.fields.items()))
        yield Step(section, name, Does.ADD, changes, wanted.sealed)
        return
    changes = tuple(
        change for field in sorted(wanted.fields) for change in _changes(field, before.get(field, ABSENT), wanted.fields[field])
    )
    if changes or wanted.sealed:
        yield Step(section, name, Does.CHANGE if changes else Does.COMPARE, changes, wanted.sealed)


def _changes(field: str, before: Any, after: Any) -> Iterator[Change]:
    if is_same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            was, is_ = before.get(key, ABSENT), after.get(key, ABSENT)
            if not is_same(was, is_):
                yield Change(f"{field}.{key}", was, is_)
    else:
        yield Change(field, before, after)


def is_same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same. `true` is not 1, and 30 is 30.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other)
