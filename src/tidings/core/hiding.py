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


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def hide(text: str, paths: Iterable[Path]) -> tuple[str, set[Path]]:
    """Return a JSON document without what paths name, and the paths by which something was hidden.

    What is not hidden keeps its text, with all digits. Of members of the same name only the last is kept where one of them
    was looked into.
    """
    found: set[Path] = set()
    starts = frozenset(_State(path, path) for path in paths)
    if not starts:
        return text, found
    try:
        try:
            result = _walked(msgspec.Raw(text.encode()), starts, found)
        except (msgspec.DecodeError, UnicodeError):  # half a surrogate pair, which msgspec refuses
            found.clear()
            result = msgspec.Raw(_write(_walked_tree(_tree(text), starts, found)).encode("utf-8", "surrogatepass"))
        return (bytes(result).decode("utf-8", "surrogatepass") if found else text), found
    except (ValueError, RecursionError):
        return _HIDDEN_TEXT, {state.path for state in starts}


class _State(msgspec.Struct, frozen=True, gc=False):
    """A path, and what of it is still to come."""

    path: Path
    rest: Path


_States = frozenset[_State]


def _open(states: Iterable[_State]) -> set[_State]:
    """Return states with those that need no further name: `**` also stands for none."""
    opened = set(states)
    for state in list(opened):
        rest = state.rest
        while rest and rest[0] == "**" and len(rest) > 1:
            rest = rest[1:]
            opened.add(_State(state.path, rest))
    return opened


def _below(states: set[_State], name: str | None, found: set[Path]) -> _States | None:
    """Return the states below a member of a name, or of an element of a list; None: it is hidden."""
    below: set[_State] = set()
    is_hidden = False
    for state in states:
        head = state.rest[0]
        fits = head in {"*", "**"} or head == name
        if fits and len(state.rest) == 1:
            found.add(state.path)
            is_hidden = True
        elif head == "**":
            below.add(state)
        elif fits:
            below.add(_State(state.path, state.rest[1:]))
        if name is None and head not in {"*", "**"}:  # lists are passed through
            below.add(state)
    return None if is_hidden else frozenset(below)


def _is_whole(states: set[_State]) -> set[Path]:
    """Return the paths that name all there is: of a document that has no members, all of it."""
    return {state.path for state in states if state.rest in {("*",), ("**",)}}


def _walked(raw: msgspec.Raw, states: _States, found: set[Path]) -> msgspec.Raw:
    opened = _open(states)
    text = bytes(raw).lstrip()
    if text.startswith(b"{"):
        members: dict[str, msgspec.Raw] = _members(text)
        count = len(found)
        for name, member in members.items():
            members[name] = _walked_member(member, _below(opened, name, found), found)
        return msgspec.Raw(_encode(members)) if len(found) > count or found else raw
    if text.startswith(b"["):
        elements = [_walked_member(element, _below(opened, None, found), found) for element in _elements(text)]
        return msgspec.Raw(_encode(elements)) if found else raw
    if whole := _is_whole(opened):
        found |= whole
        return msgspec.Raw(_HIDDEN_TEXT.encode())
    return raw


def _walked_member(raw: msgspec.Raw, below: _States | None, found: set[Path]) -> msgspec.Raw:
    if below is None:
        return msgspec.Raw(_HIDDEN_TEXT.encode())
    return _walked(raw, below, found) if below and bytes(raw).lstrip()[:1] in (b"{", b"[") else raw


class _Token(str):
    """A number, or true, false and null, as it was written."""

    __slots__ = ()


def _tree(text: str) -> Any:
    return json.loads(text, parse_int=_Token, parse_float=_Token, parse_constant=_Token)


def _walked_tree(value: Any, states: _States | None, found: set[Path]) -> Any:
    if states is None:
        return HIDDEN
    opened = _open(states)
    match value:
        case dict():
            return {name: _walked_tree(member, _below(opened, name, found), found) for name, member in value.items()}
        case list():
            return [_walked_tree(member, _below(opened, None, found), found) for member in value]
        case _:
            return value


def _write(value: Any) -> str:
    match value:
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{_write(member)}" for name, member in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_write, value)) + "]"
        case _Token():
            return str(value)
        case _:
            return json.dumps(value)


def hidden_values(text: str | None, kept: str | None) -> list[str]:
    """Return the values of a document that are not in what is kept of it: strings as they read, numbers as they are written."""
    if text is None or kept is None or text == kept:
        return []
    try:
        whole, rest = _tree(text), _tree(kept)
    except (ValueError, RecursionError):
        return []
    values: dict[str, None] = {}
    _differing(whole, rest, values)
    return list(values)


def _differing(whole: Any, kept: Any, values: dict[str, None]) -> None:
    match whole:
        case dict() if isinstance(kept, dict):
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
        case dict():
            for member in value.values():
                yield from scalars(member)
        case list():
            for member in value:
                yield from scalars(member)
        case str():
            yield str(value)
        case _:
            return
