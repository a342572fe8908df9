"""Conditions on rows (`when`): SQL expressions that can only look.

A condition runs inside the statements of others, with their rights or ours, so what it may be is a list of what it may have,
never of what it may not: these words, these operators, literals, and columns of the row as `new.column` and `old.column`. It is
read into pieces here, before PostgreSQL sees any of it, and what PostgreSQL gets is written anew from the pieces: no comment,
no quoting, no name of the owner's making but the columns'. Even parsing would be too late: 'x'::some_type calls its functions.

PostgreSQL's reading of it is judged as well (`core.condition_tree`), since an operator is a function and a cast can be one.

Whatever gets through may still fail on some row: 1 / new.total. So a condition is never evaluated bare, but by a function that
catches the error (`guard_of`). The row is told then; leaving it out would lose it.
"""

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tidings.core.errors import InvalidInputError

MAX_LENGTH: Final = 4000  # characters
MAX_PIECES: Final = 1000
MAX_DEPTH: Final = 50  # of parentheses

_GRAMMAR: Final = """and or not is null true false unknown distinct from in any all some between symmetric asymmetric like ilike
escape isnull notnull case when then else end cast as array for at time zone with without both leading trailing precision
varying year month week day hour minute second quarter decade century epoch dow doy isodow isoyear"""
_TYPES: Final = """smallint integer int bigint int2 int4 int8 numeric decimal real double float float4 float8 text varchar
character char bpchar boolean bool date timestamp timestamptz timetz interval uuid json jsonb bytea inet cidr"""
# None of them makes something much larger than what it is given (no repeat, lpad, replace), nor takes for ever (no patterns).
_FUNCTIONS: Final = """abs ceil ceiling floor round trunc sign mod div lower upper initcap length char_length character_length
octet_length bit_length btrim ltrim rtrim trim left right substring substr strpos position split_part starts_with
reverse ascii md5
coalesce nullif greatest least num_nulls num_nonnulls date_part extract date_trunc isfinite array_length cardinality
array_position array_upper array_lower json_typeof jsonb_typeof json_array_length jsonb_array_length json_extract_path
json_extract_path_text jsonb_extract_path jsonb_extract_path_text timezone isempty lower_inc upper_inc lower_inf upper_inf"""
FUNCTIONS: Final = frozenset(_FUNCTIONS.split())
_WORDS: Final = FUNCTIONS | frozenset(f"{_GRAMMAR} {_TYPES}".split())
_OPERATORS: Final = (
    "->>", "#>>", "!~~*",
    "!~~", "~~*", "<>", "!=", "<=", ">=", "||", "->", "#>", "?|", "?&", "@>", "<@", "&&", "^@", "<<", ">>", "~~", "::",
    "=", "<", ">", "+", "-", "*", "/", "%", "?", "&", "|", "#", "(", ")", ",", "[", "]", ":",
)  # fmt: skip
OPERATORS: Final = frozenset(_OPERATORS) - {"::", "(", ")", ",", "[", "]", ":"} | {"~~", "~~*", "!~~", "!~~*"}

_TOKEN: Final = re.compile(
    r"""(?P<blank>\s+|--[^\n]*)"""
    r"""|(?P<column>\b(?:new|old)\b\s*\.\s*(?:"(?:[^"\x00]|"")+"|[^\W\d]\w*|\*))"""
    r"""|(?P<text>'(?:[^'\x00]|'')*')"""
    r"""|(?P<escaped>\bE'(?:[^'\\\x00]|''|\\\\)*')"""  # as `_piece` writes what has a backslash
    r"""|(?P<number>(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?![\w.]))"""
    r"""|(?P<word>[^\W\d]\w*)"""
    rf"""|(?P<operator>{"|".join(re.escape(operator) for operator in _OPERATORS)})""",
    re.IGNORECASE,
)
_REMEDIES: Final = {
    "select": "a subquery is not possible; name columns of the row.",
    "exists": "a subquery is not possible; name columns of the row.",
    "now": "a condition cannot depend on the time; compare columns with each other or with a fixed time.",
    "current_date": "a condition cannot depend on the time; compare columns with each other or with a fixed time.",
    "current_timestamp": "a condition cannot depend on the time; compare columns with each other or with a fixed time.",
    "current_user": "a condition cannot depend on who asks.",
    **dict.fromkeys(("today", "tomorrow", "yesterday"), "a condition cannot depend on the time; write a fixed one."),
    "similar": "patterns are written with like.",
    "regexp_like": "patterns are written with like.",
}
_TIMES: Final = {"now", "today", "tomorrow", "yesterday"}  # PostgreSQL reads them as times
_HUGE: Final = re.compile(r"[+-]?[0-9.]*e[+-]?[0-9]{3,}")
_SIZED: Final = {"char", "character", "varchar", "varying", "bpchar"}
MAX_CHARACTERS: Final = 10_000  # that a cast may fill up to
_READ_BY_SETTINGS: Final = re.compile(r"E?'.*[0-9{]", re.DOTALL)
_CASTS: Final = frozenset(_TYPES.split()) | {"::", "cast"}
_OTHERWISE: Final = (
    "a condition has columns as new.name and old.name, literals, operators, case, in, like, casts to PostgreSQL's own types "
    "and functions that only compute, such as lower, coalesce or abs."
)


class Reference(msgspec.Struct, frozen=True):
    """A column of the row. `column` None: the whole row."""

    row: str
    column: str | None


class Condition(msgspec.Struct, frozen=True):
    """A condition, read."""

    pieces: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """What it looks at, each once, in order."""
        return tuple(dict.fromkeys(piece for piece in self.pieces if isinstance(piece, Reference)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it names, each once."""
        return tuple(dict.fromkeys(reference.column for reference in self.references if reference.column is not None))

    def written(self, names: Mapping[str, str] | None = None) -> str:
        """Return it as SQL; `names`: what columns are called now, where that differs."""
        return " ".join(piece if isinstance(piece, str) else _column(piece, names or {}) for piece in self.pieces)


class Guard(msgspec.Struct, frozen=True):
    """A function that evaluates a condition, and the call of it: true, false, or null when it cannot be evaluated.

    Attributes:
        name: In schema tidings. It follows from the body and `is_settled`, so equal conditions share one.
        is_settled: It is evaluated with settings of its own, since those of the session could change what it means.
    """

    name: str
    body: str
    call: str
    is_settled: bool = False


def read_condition(text: str, operation: str) -> Condition:
    """Read a condition on the rows of an operation.

    Raises:
        InvalidInputError: With what cannot be in one, and what can.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidInputError("when", f"The condition of {operation} is longer than {MAX_LENGTH} characters.")
    pieces: list[str | Reference] = []
    at = depth = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _refused(operation, text[at : at + 20].split("\n", maxsplit=1)[0])
        at = match.end()
        if match.lastgroup == "blank":
            continue
        pieces.append(_piece(str(match.lastgroup), match[0], operation))
        depth += (match[0] in {"(", "["}) - (match[0] in {")", "]"})
        if not 0 <= depth <= MAX_DEPTH or len(pieces) > MAX_PIECES:
            why = "has a ) too many" if depth < 0 else "is nested too deeply or has too many parts"
            raise InvalidInputError("when", f"The condition of {operation} {why}.")
    for sized, opened, size in zip(pieces, pieces[1:], pieces[2:], strict=False):
        if sized in _SIZED and opened == "(" and str(size).isdigit() and int(str(size)) > MAX_CHARACTERS:
            raise InvalidInputError(
                "when", f"The condition of {operation} makes texts of more than {MAX_CHARACTERS} characters."
            )
    if not pieces or depth:
        raise InvalidInputError("when", f"The condition of {operation} {'lacks a )' if depth else 'is empty; leave it out'}.")
    return Condition(tuple(pieces))


def guard_of(condition: Condition, names: Mapping[str, str] | None = None) -> Guard:
    """Return the function that evaluates a condition.

    It takes the values, not the row: so PostgreSQL itself ties the call to the columns.
    """
    references = condition.references
    fields = {reference: f"r.f{number}" for number, reference in enumerate(references, 1)}
    body = " ".join(piece if isinstance(piece, str) else fields[piece] for piece in condition.pieces)
    is_settled = _follows_settings(condition.pieces)
    named_by = f"{body} settled" if is_settled else body
    name = f"when_{hashlib.sha256(named_by.encode()).hexdigest()[:32]}"
    # A whole row is one value: with .* it would be one for each of its columns.
    values = ", ".join(_column(one, names or {}).removesuffix(".*") for one in references) or "null"
    return Guard(
        name,
        f"begin return coalesce(({body}), false); exception when others then return null; end",
        f"tidings.{name}(row({values}))",
        is_settled,
    )


def _follows_settings(pieces: Sequence[str | Reference]) -> bool:
    """Whether what these mean may be a session's to say: literals that may be times or arrays, casts, and `= null`.

    PostgreSQL reads '2026-01-02 12:00' by TimeZone, '1/2/2026' by DateStyle and '-1 2:00' by IntervalStyle, and writes a number
    as text by extra_float_digits. To fix that costs 1 to 2 µs for each row, so it is left out where nothing of it can be.
    """
    texts = [piece for piece in pieces if isinstance(piece, str)]
    has_literal = any(_READ_BY_SETTINGS.match(text) for text in texts)
    has_cast = any(text in _CASTS for text in texts)
    is_equal = any(pair in {("=", "null"), ("null", "=")} for pair in itertools.pairwise(texts))
    return has_literal or has_cast or is_equal


def _piece(kind: str, text: str, operation: str) -> str | Reference:
    match kind:
        case "column":
            row, _, column = (part.strip() for part in text.partition("."))
            row = row.lower()
            if (row, operation) in {("old", "INSERT"), ("new", "DELETE")}:
                raise InvalidInputError(
                    "when",
                    f"The condition of {operation} names {row}, which {operation} does not have. "
                    'Say for which operations it is: {"UPDATE": "…"}.',
                )
            return Reference(row, None if column == "*" else _folded(column))
        case "text" | "escaped" if (value := text[text.index("'") + 1 : -1].strip().lower()) in _TIMES or _HUGE.fullmatch(
            value
        ):
            raise _refused(operation, value if value in _TIMES else "a number so large")
        case "text":
            # Written so that it means the same whatever standard_conforming_strings says.
            return "E" + text.replace("\\", "\\\\") if "\\" in text else text
        case "escaped":
            return "E" + text[1:]
        case "word" if text.lower() not in _WORDS:
            raise _refused(operation, text)
        case "word":
            return text.lower()
        case _:
            return text


def _folded(name: str) -> str:
    """Return the column that PostgreSQL would look for: what is not quoted is in small letters, of ASCII."""
    if name.startswith('"'):
        return name[1:-1].replace('""', '"')
    return "".join(c.lower() if c.isascii() else c for c in name)


def _column(reference: Reference, names: Mapping[str, str]) -> str:
    if reference.column is None:
        return f"{reference.row}.*"
    name = names.get(reference.column, reference.column)
    return f"{reference.row}." + '"' + name.replace('"', '""') + '"'


def _refused(operation: str, found: str) -> InvalidInputError:
    remedy = _REMEDIES.get(found.lower(), _OTHERWISE)
    return InvalidInputError("when", f"The condition of {operation} has {found!r}, which it cannot: {remedy}")
