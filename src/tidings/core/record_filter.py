"""Filters and orders of records as text: `status = "active" && (views > 10 || title ~ "news")`, `-created,title`.

What comes out is SQL made of quoted columns, known operators and numbered parameters; nothing a caller wrote is in it.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tidings.core.capture import quoted
from tidings.core.collection import CREATED, ID, UPDATED, Field, all_fields
from tidings.core.errors import InvalidInputError

MAX_LENGTH = 4000
MAX_DEPTH = 50
MAX_DIGITS_BEFORE, MAX_DIGITS_AFTER = 131_072, 16_383  # the point: PostgreSQL's numeric
MAX_ZONE = timedelta(hours=16)  # PostgreSQL's zones are less far from Greenwich

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<name>[^\W\d]\w*)|(?P<op>&&|\|\||!=|>=|<=|!~|[=<>~()]))"""
)
_ESCAPED = re.compile(r"\\(.)")
_OPERATORS: Final = {"=": "is not distinct from", "!=": "is distinct from", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_WORDS: Final = {"true": True, "false": False, "null": None}
_SHOWN = 'Write field operator value, such as status = "active" && views >= 10; operators are = != > >= < <= ~ !~ && || ( ).'


class Where:
    """A condition, and the values of its parameters."""

    def __init__(self, sql: str, values: list[Any]) -> None:
        self.sql = sql
        self.values = values


def parse_filter(text: str | None, fields: Sequence[Field], *, first_parameter: int = 1) -> Where:
    """Read a filter.

    Args:
        first_parameter: The number of its first parameter in the statement it goes into.

    Raises:
        InvalidInputError: It is not one; the message says where.
    """
    if text is None or not text.strip():
        return Where("true", [])
    if len(text) > MAX_LENGTH:
        raise InvalidInputError("filter", f"filter is longer than {MAX_LENGTH} characters.")
    parser = _Parser(_tokens(text), _columns(fields), first_parameter)
    return Where(parser.whole(), parser.values)


def parse_sort(text: str | None, fields: Sequence[Field]) -> str:
    """Read an order: names with commas, `-` before one for descending.

    Raises:
        InvalidInputError: A name is no field.
    """
    columns = _columns(fields)
    parts = []
    for item in (text or f"-{CREATED}").split(","):
        name = item.strip().lstrip("+-")
        if name not in columns or columns[name] == "json":
            raise InvalidInputError("sort", f"sort names {name!r}; write fields with commas, - before one for descending.")
        parts.append(f"{quoted(name)} {'desc' if item.strip().startswith('-') else 'asc'} nulls last")
    return ", ".join([*parts, quoted(ID)])


def _columns(fields: Sequence[Field]) -> dict[str, str]:
    """Return the types of the columns that may be named."""
    standing = {ID: "text", CREATED: "timestamptz", UPDATED: "timestamptz"}
    return standing | {field.name: field.column_type for field in all_fields(fields)}


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidInputError("filter", f"filter cannot be read at {text[position:].strip()[:20]!r}. {_SHOWN}")
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over `or`, `and`, and comparisons."""

    def __init__(self, tokens: list[tuple[str, str]], columns: dict[str, str], first_parameter: int) -> None:
        self._tokens = tokens
        self._columns = columns
        self._first = first_parameter
        self._at = 0
        self.values: list[Any] = []

    def whole(self) -> str:
        sql = self._either(0)
        if self._at < len(self._tokens):
            raise self._unexpected()
        return sql

    def _either(self, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise InvalidInputError("filter", "filter is nested too deeply.")
        parts = [self._both(depth)]
        while self._take("||"):
            parts.append(self._both(depth))
        return f"({' or '.join(parts)})"

    def _both(self, depth: int) -> str:
        parts = [self._one(depth)]
        while self._take("&&"):
            parts.append(self._one(depth))
        return f"({' and '.join(parts)})"

    def _one(self, depth: int) -> str:
        if self._take("("):
            inner = self._either(depth + 1)
            if not self._take(")"):
                raise self._unexpected()
            return inner
        kind, name = self._next()
        if kind != "name":
            raise self._unexpected(back=1)
        if name not in self._columns:
            raise InvalidInputError(
                "filter", f"filter names {name!r}, which is no field. There are {', '.join(self._columns)}."
            )
        operator = self._next()[1]
        return self._comparison(name, operator, self._value())

    def _comparison(self, name: str, operator: str, value: Any) -> str:
        column, type_ = quoted(name), self._columns[name]
        if operator in {"~", "!~"}:
            pattern = str(value).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            matches = f"coalesce({column}::text ilike {self._parameter(f'%{pattern}%')}, false)"
            return matches if operator == "~" else f"not {matches}"
        if operator not in _OPERATORS:
            raise self._unexpected(back=2)
        if value is None:
            if operator not in {"=", "!="}:
                raise InvalidInputError("filter", f"filter compares {name} with null; only = and != can.")
            return f"{column} is {'' if operator == '=' else 'not '}null"
        if type_ == "json":
            raise InvalidInputError("filter", f"filter compares {name}, which is json; only ~, !~ and null can be asked of it.")
        return f"{column} {_OPERATORS[operator]} {self._parameter(_converted(name, type_, value))}::text::{type_}"

    def _parameter(self, value: str) -> str:
        self.values.append(value)
        return f"${self._first + len(self.values) - 1}"

    def _value(self) -> Any:
        kind, text = self._next()
        if kind == "string":
            return _ESCAPED.sub(r"\1", text[1:-1])
        if kind == "number":
            return Decimal(text)
        if kind == "name" and text in _WORDS:
            return _WORDS[text]
        raise self._unexpected(back=1)

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise InvalidInputError("filter", f"filter ends too early. {_SHOWN}")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, text: str) -> bool:
        is_there = self._at < len(self._tokens) and self._tokens[self._at] == ("op", text)
        self._at += is_there
        return is_there

    def _unexpected(self, back: int = 0) -> InvalidInputError:
        at = self._at - back
        found = repr(self._tokens[at][1]) if at < len(self._tokens) else "its end"
        return InvalidInputError("filter", f"filter has {found} where it cannot stand. {_SHOWN}")


def _converted(name: str, type_: str, value: Any) -> str:
    """Return a value as PostgreSQL reads one of this type from text."""
    try:
        match type_:
            case "numeric":
                return _numeric(Decimal(value) if not isinstance(value, bool) else None)
            case "boolean" if isinstance(value, bool):
                return str(value).lower()
            case "date":
                return date.fromisoformat(value).isoformat()
            case "timestamptz":
                return _timestamp(datetime.fromisoformat(value))
            case "text" if isinstance(value, str) and "\x00" not in value:
                return value
    except (ValueError, TypeError, InvalidOperation):
        pass
    raise InvalidInputError("filter", f"filter compares {name} with {value!r}, which is no {type_}.")


def _numeric(value: Decimal | None) -> str:
    """Return a number as text, as long as PostgreSQL's numeric holds it."""
    if value is None or value.is_snan():
        raise ValueError
    if value.is_finite() and not -MAX_DIGITS_AFTER <= value.adjusted() < MAX_DIGITS_BEFORE:
        raise ValueError
    return str(value)


def _timestamp(value: datetime) -> str:
    """Return a time as text."""
    if abs(value.utcoffset() or timedelta()) >= MAX_ZONE:
        raise ValueError
    return value.isoformat()
