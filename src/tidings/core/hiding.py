"""JSON documents without what paths name.

A path names members of a document: `customer.email`, from its top. `*` is any member, `**` any number of them, `\\.` a dot
in a name. Lists are passed through: `items.card` is the card of each item. It is better to hide too much than too little, so
a document that cannot be read is hidden whole.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tidings.core.errors import InvalidInputError

HIDDEN: Final = "[redacted]"
MAX_PATH: Final = 200  # characters
MAX_DEPTH: Final = 16  # names in a path

_HIDDEN_TEXT: Final = json.dumps(HIDDEN)

Path = tuple[str, ...]


def parse_path(path: str, field: str = "fields") -> Path:
    """Return the names of a path.

    Raises:
        InvalidInputError: It is none.
    """
    if not 1 <= len(path) <= MAX_PATH:
        raise InvalidInputError(field, f"{field} must be a path of 1 to {MAX_PATH} characters, such as customer.email.")
    names, name, escaped = [], "", False
    for character in path:
        if escaped:
            name += character if character in ".\\" else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ".":
            names.append(name)
            name = ""
        else:
            name += character
    names.append(name + "\\" * escaped)
    if "" in names:
        raise InvalidInputError(
            field, f"{field} is {path!r}, which has an empty name; write names with dots between, such as customer.email."
        )
    if len(names) > MAX_DEPTH or names.count("**") > 2:
        raise InvalidInputError(field, f"{field} is {path!r}; a path has at most {MAX_DEPTH} names, and ** at most twice.")
    if names[-1] == "**" and len(names) > 1:
        raise InvalidInputError(field, f"{field} is {path!r}; write what is behind **, or leave it out.")
    return tuple(names)


def anywhere(path: str) -> tuple[str, ...]:
    """Return the path that finds what a path names at any depth."""
    names = parse_path(path)
    return names if names[0] == "**" else ("**", *names)


# Reading and writing -------------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


class _Twins(dict[str, Any]):
    """An object with several members of one name, of which the last is in it. `earlier`: the others."""

    __slots__ = ("earlier",)

    earlier: list[tuple[str, Any]]


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    twins = _Twins(members)
    twins.earlier = [(name, value) for name, value in pairs if value is not members[name]]
    return twins


def _as_written(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


_decode = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_as_written, parse_float=_as_written, parse_constant=_as_written
).decode


def _write(value: Any) -> str:
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:  # half a surrogate pair
        return _write_escaped(value)


def _write_escaped(value: Any) -> str:
    match value:
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_write_escaped(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_write_escaped, value)) + "]"
        case msgspec.Raw():
            return bytes(value).decode()
        case _:
            return json.dumps(value)


# Hiding --------------------------------------------------------------------------------------------------------------------


def hide(text: str, paths: Iterable[Path]) -> tuple[str, set[Path]]:
    """Return a JSON document without what paths name, and the paths by which something was hidden.

    Where nothing is hidden the text is the same. Else numbers keep their digits, and of members of the same name only the last
    is kept.
    """
    starts = frozenset(_State(path, path) for path in paths)
    if not starts:
        return text, set()
    walk = _Walk()
    try:
        kept = walk.document(_decode(text), starts)
        return (_write(kept) if walk.found else text), walk.found
    except (ValueError, RecursionError):
        return _HIDDEN_TEXT, {state.path for state in starts}


class _State(msgspec.Struct, frozen=True, gc=False):
    """A path, and what of it is still to come."""

    path: Path
    rest: Path


_States = frozenset[_State]


class _Step(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a member: it is hidden by these paths, or there are states below it."""

    hidden: frozenset[Path]
    below: _States


class _Walk:
    """A walk through one document, once.

    States are asked once for each name that one of them says, for all other names together, and for elements: so the time is
    that of the document plus that of the paths, and not both multiplied, however long a list is.
    """

    def __init__(self) -> None:
        self.found: set[Path] = set()
        self._steps: dict[_States, tuple[frozenset[str], dict[str | None, _Step]]] = {}

    def document(self, value: Any, states: _States) -> Any:
        if isinstance(value, dict | list):
            return self._walked(value, states)
        whole = {state.path for state in states if state.rest in {("*",), ("**",)}}  # there is no member to be named
        self.found |= whole
        return HIDDEN if whole else value

    def _walked(self, value: Any, states: _States) -> Any:
        names, steps = self._steps_of(states)
        if isinstance(value, list):
            step = self._step(states, steps, None)
            for place, element in enumerate(value):
                value[place] = self._kept(element, step)
            return value
        for name, member in value.earlier if isinstance(value, _Twins) else ():
            self._kept(member, self._step(states, steps, name if name in names else ""))  # it goes, where anything does
        for name, member in value.items():
            value[name] = self._kept(member, self._step(states, steps, name if name in names else ""))
        return value

    def _kept(self, value: Any, step: _Step) -> Any:
        if step.hidden:
            self.found |= step.hidden
            return HIDDEN
        return self._walked(value, step.below) if step.below and isinstance(value, dict | list) else value

    def _steps_of(self, states: _States) -> tuple[frozenset[str], dict[str | None, _Step]]:
        known = self._steps.get(states)
        if known is None:
            names = frozenset(state.rest[0] for state in _open(states))
            known = self._steps[states] = names, {}
        return known

    def _step(self, states: _States, steps: dict[str | None, _Step], name: str | None) -> _Step:
        """Return the step to a member of a name that is told apart, to any other (empty), or to an element (None)."""
        step = steps.get(name)
        if step is None:
            step = steps[name] = _step_below(_open(states), name)
        return step


def _open(states: Iterable[_State]) -> set[_State]:
    """Return states with those that need no further name: `**` also stands for none."""
    opened = set(states)
    for state in list(opened):
        rest = state.rest
        while rest and rest[0] == "**" and len(rest) > 1:
            rest = rest[1:]
            opened.add(_State(state.path, rest))
    return opened


def _step_below(states: set[_State], name: str | None) -> _Step:
    below: set[_State] = set()
    hidden: set[Path] = set()
    for state in states:
        head = state.rest[0]
        fits = head in {"*", "**"} or head == name
        if fits and len(state.rest) == 1:
            hidden.add(state.path)
        elif head == "**":
            below.add(state)
        elif fits:
            below.add(_State(state.path, state.rest[1:]))
        if name is None and head not in {"*", "**"}:  # lists are passed through
            below.add(state)
    return _Step(frozenset(hidden), frozenset() if hidden else frozenset(below))


# What was hidden -----------------------------------------------------------------------------------------------------------


def hidden_values(text: str | None, kept: str | None) -> list[str] | None:
    """Return the values of a document that are not in what is kept of it: strings as they read, numbers as they are written.

    None: it cannot be read, so nobody knows.
    """
    if text is None or kept is None or text == kept:
        return []
    values: dict[str, None] = {}
    try:
        _differing(_decode(text), _decode(kept), values)
    except (ValueError, RecursionError):
        return None
    return list(values)


def _differing(whole: Any, kept: Any, values: dict[str, None]) -> None:
    match whole:
        case dict() if isinstance(kept, dict):
            if isinstance(whole, _Twins):
                for _, earlier in whole.earlier:
                    values |= dict.fromkeys(scalars(earlier))
            for name, member in whole.items():
                _differing(member, kept.get(name), values)
        case list() if isinstance(kept, list):
            for member, other in zip(whole, kept, strict=False):
                _differing(member, other, values)
        case _ if kept == HIDDEN:
            values |= dict.fromkeys(scalars(whole))


def scalars(value: Any) -> Iterable[str]:
    """Return the strings and numbers in a decoded document, its keys left out."""
    match value:
        case dict() | list():
            for _, member in _all_members(value):
                yield from scalars(member)
        case msgspec.Raw():
            yield bytes(value).decode()
        case str():
            yield value
        case _:
            return


def strings_of(text: str) -> list[str]:
    """Return the strings in a document, its keys among them.

    Raises:
        ValueError: It cannot be read.
        RecursionError: It is too deep to be read.
    """
    return list(_strings(_decode(text)))


def _strings(value: Any) -> Iterable[str]:
    match value:
        case dict() | list():
            for name, member in _all_members(value):
                yield name
                yield from _strings(member)
        case str():
            yield value
        case _:
            return


def _all_members(value: dict[str, Any] | list[Any]) -> Iterable[tuple[str, Any]]:
    """Return members with their names, earlier ones of the same name among them; elements have none."""
    if isinstance(value, list):
        return (("", element) for element in value)
    return [*(value.earlier if isinstance(value, _Twins) else ()), *value.items()]
