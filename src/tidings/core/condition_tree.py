"""What PostgreSQL read a condition as: its expression tree, judged.

The words of a condition are known to be harmless (`core.condition`). What they mean is PostgreSQL's to say: an operator is a
function, a cast may be one, and both may be somebody's own for a type of theirs. So the stored tree is read, and all that it
calls must be PostgreSQL's own and immutable: it computes from what it is given, and touches nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tidings.core.condition import FUNCTIONS
from tidings.core.errors import InvalidInputError

MAX_NODES: Final = 5000
_FIRST_OWN_OID: Final = 16384  # PostgreSQL, FirstNormalObjectId: what is below was there before any user
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}()\[\]]|(?:[^\s{}()\[\]\\]|\\.)+')

# Each with the member that says what type it is of.
_TYPE_OF: Final = {
    "VAR": "vartype", "CONST": "consttype", "FUNCEXPR": "funcresulttype", "OPEXPR": "opresulttype",
    "DISTINCTEXPR": "opresulttype", "NULLIFEXPR": "opresulttype",
    "RELABELTYPE": "resulttype", "COERCEVIAIO": "resulttype", "ARRAYCOERCEEXPR": "resulttype",
    "CASEEXPR": "casetype", "CASETESTEXPR": "typeId", "COALESCEEXPR": "coalescetype", "MINMAXEXPR": "minmaxtype",
    "ARRAYEXPR": "array_typeid", "SUBSCRIPTINGREF": "refrestype",
}  # fmt: skip
_OTHERS: Final = {"BOOLEXPR", "SCALARARRAYOPEXPR", "CASEWHEN", "NULLTEST", "BOOLEANTEST"}

Node = dict[str, Any]


class Function(msgspec.Struct, frozen=True):
    """What PostgreSQL knows of a function. `code`: the routine of PostgreSQL's that it is."""

    oid: int
    name: str
    code: str
    is_immutable: bool
    is_builtin: bool
    is_cast: bool
    is_operator: bool


class Type(msgspec.Struct, frozen=True):
    """What PostgreSQL knows of a type: the functions that read and write it as text."""

    oid: int
    name: str
    kind: str
    reads: int
    writes: int


class Called(msgspec.Struct, frozen=True):
    """What a tree calls and names: object ids, each once."""

    functions: tuple[int, ...]
    types: tuple[int, ...]


def parse_tree(text: str) -> Any:
    """Return a pg_node_tree: a node is a dict with its kind under `""`, a list a list, anything else text."""
    tokens = _TOKEN.findall(text)
    value, at = _value(tokens, 0)
    if at != len(tokens):
        raise ValueError("PostgreSQL's expression tree ends too late")
    return value


def _value(tokens: list[str], at: int) -> tuple[Any, int]:
    match tokens[at]:
        case "{":
            node: Node = {"": tokens[at + 1]}
            at += 2
            while tokens[at] != "}":
                name = tokens[at].removeprefix(":")
                node[name], at = _value(tokens, at + 1)
                while tokens[at] != "}" and not tokens[at].startswith(":"):  # the bytes of a constant
                    _, at = _value(tokens, at)
            return node, at + 1
        case "(" | "[" as opening:
            closing = ")" if opening == "(" else "]"
            items = []
            at += 1
            while tokens[at] != closing:
                item, at = _value(tokens, at)
                items.append(item)
            return items, at + 1
        case token:
            return token, at + 1


def nodes(tree: Any) -> Iterator[Node]:
    """Return every node of a tree."""
    waiting = [tree]
    count = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            count += 1
            if count > MAX_NODES:
                raise _refused("has too many parts")
            yield value
            waiting.extend(member for member in value.values() if isinstance(member, dict | list))


def called(tree: Any, operators: Mapping[int, int] = {}) -> Called:
    """Return what a tree calls.

    Raises:
        InvalidInputError: It has a part that no condition may have.
    """
    functions: dict[int, None] = {}
    types: dict[int, None] = {}
    for node in nodes(tree):
        kind = node[""]
        if kind not in _TYPE_OF and kind not in _OTHERS:
            raise _refused(f"has a part that PostgreSQL calls {kind}")
        if kind == "VAR" and int(node["varattno"]) < 0:
            raise _refused("names a system column")
        if kind in _TYPE_OF:
            types[int(node[_TYPE_OF[kind]])] = None
        functions |= {int(node[name]): None for name in ("funcid", "opfuncid") if node.get(name, "0") != "0"}
    return Called(tuple(functions), tuple(types))


def judge(tree: Any, functions: Mapping[int, Function], types: Mapping[int, Type]) -> None:
    """Refuse a tree that calls what may do more than compute.

    Args:
        functions: Those that it calls, and those that read and write its types.

    Raises:
        InvalidInputError: With what cannot be.
    """
    for oid in called(tree).functions:
        _judge_function(functions.get(oid))
    for node in nodes(tree):
        match node[""]:
            case "CONST" if types[int(node["consttype"])].name.startswith("reg"):
                raise _refused("names an object of the database")
            case "CONST" if int(node["consttype"]) >= _FIRST_OWN_OID and types[int(node["consttype"])].kind != "e":
                raise _refused("has a literal of a type that is not PostgreSQL's own")
            case "COERCEVIAIO":
                target, source = types[int(node["resulttype"])], types.get(_type_of(node["arg"]))
                for oid in (target.reads, source.writes if source else 0):
                    found = functions.get(oid)
                    if found is None or not (found.is_builtin and found.is_immutable):
                        was = source.name if source else "another type"
                        why = f"turns {was} into {target.name}, which depends on the session or on other tables"
                        raise _refused(f"{why}; compare without the cast")
            case _:
                pass


def _judge_function(found: Function | None) -> None:
    if found is None:
        raise _refused("calls something that is not there")
    if not found.is_builtin:
        raise _refused(f"calls {found.name}, which is not PostgreSQL's own; cast the column to text or a number first")
    if not found.is_immutable:
        raise _refused(
            f"calls {found.name}, whose answer depends on the time, the session or other tables; compare columns directly"
        )
    if not (found.is_operator or found.is_cast or found.name in FUNCTIONS | _ALSO) or "regex" in found.code:
        raise _refused(f"calls {found.name}, which a condition may not")


# What the grammar calls by other names: `like … escape`, whole rows, array and range pieces.
_ALSO: Final = frozenset({"like_escape"})


def _type_of(node: Any) -> int:
    kind = node[""]
    return int(node[_TYPE_OF[kind]]) if kind in _TYPE_OF else 16  # bool, PostgreSQL, BOOLOID: what the others are of


def _refused(why: str) -> InvalidInputError:
    return InvalidInputError("when", f"The condition {why}.")
