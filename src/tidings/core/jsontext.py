"""JSON text as JavaScript would write it.

Some receivers verify a signature over the bytes they got, others over `JSON.stringify(JSON.parse(body))`. A body that
equals its own re-serialisation passes both. The naive ways fail: Python's `json.dumps` writes `1.0` and `1e-05`
where JavaScript writes `1` and `0.00001`; PostgreSQL writes `1.00`, and blanks inside jsonb.

Our rule (ECMA-262, JSON.stringify and Number::toString): no blanks; integer-like keys first, ascending; of duplicate
keys the first place and the last value; numbers as ECMAScript prints them; only `"`, `\\`, U+0000-001F and lone
surrogates escaped. A number that a double cannot hold becomes a string of its own digits, because the receiver would
otherwise read another number than the one that was committed.
"""

import json
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from tidings.core.errors import RenderError

_MAX_SAFE_INTEGER = 2**53 - 1  # Number.MAX_SAFE_INTEGER
_MIN_SAFE_INTEGER = -_MAX_SAFE_INTEGER
_MAX_ARRAY_INDEX = 2**32 - 2  # the largest integer-like key (ECMA-262, "array index")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

_encode = msgspec.json.Encoder().encode


def stable(text: str | bytes) -> bytes:
    """Return JSON text rewritten so that JavaScript re-serialises it to the same bytes.

    Raises:
        RenderError: The text is nested too deeply to be read, or is not JSON.
    """
    try:
        try:
            return _encode(_tidy(_decode(text)))
        except msgspec.DecodeError:  # lone surrogates, which msgspec refuses and JavaScript keeps
            return _write(_tidy(_read(text)))
    except RecursionError as error:
        raise RenderError("The record is nested too deeply to be sent as JSON.") from error
    except ValueError as error:
        raise RenderError(f"The record is not JSON: {error}.") from error


def written(value: Any) -> bytes:
    """Return strings, or a list of them, as JSON text: with lone surrogates too, which msgspec refuses."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _write(value)


def members(text: bytes) -> dict[str, bytes]:
    """Return the members of an object, each as stable text, from stable text; none when it is no object."""
    if not text.startswith(b"{"):
        return {}
    try:
        return {name: bytes(raw) for name, raw in _members(text).items()}
    except msgspec.DecodeError:  # lone surrogates in a name, as in `stable`
        return {name: _write(value) for name, value in _tidy(_read(text)).items()}


def changed_keys(record: str, old_record: str) -> list[str]:
    """Return the keys of `record` whose values differ from `old_record`, in order, then those it lost."""
    new: dict[str, Any]
    old: dict[str, Any]
    try:
        new, old = _members(record), _members(old_record)
    except msgspec.DecodeError:  # lone surrogates, as in `stable`: both are read the same way, to be comparable
        new, old = _read(record), _read(old_record)
    return [key for key, value in new.items() if old.get(key) != value] + [key for key in old if key not in new]


def number_text(value: float) -> str:
    """Return a finite double as ECMAScript's Number::toString prints it in base 10."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    point = len(digits) + int(exponent)  # where the decimal point stands, counted from the first digit
    if len(text) <= point <= 21:
        text = text + "0" * (point - len(text))
    elif 0 < point <= 21:
        text = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{text}"
    else:
        mantissa = text if len(text) == 1 else f"{text[0]}.{text[1:]}"
        text = f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"-{text}" if sign else text


@lru_cache(maxsize=4096)  # the same prices come again and again
def _number(token: str) -> msgspec.Raw | str:
    value = float(token)
    if value in {float("inf"), float("-inf")}:
        return token
    text = number_text(value)
    if Decimal(text) != Decimal(token):
        return token
    if value.is_integer() and abs(value) > _MAX_SAFE_INTEGER and "e" not in text:
        return text  # as the same number is written without a point: not now a number, now a string
    return msgspec.Raw(text.encode())


def _integer(token: str) -> int | str:
    # 18 characters are more than any safe integer has; `_tidy` looks at the shorter ones.
    return int(token) if len(token) < 18 else token


def _read(text: str | bytes) -> Any:
    return json.loads(text, parse_float=_number, parse_int=_integer)


_decode = msgspec.json.Decoder(float_hook=_number).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _tidy(value: Any) -> Any:
    """Return a decoded document with its keys in JavaScript's order and its large integers as strings."""
    kind = type(value)
    if kind is dict:
        has_integer_keys = False
        for key, member in value.items():
            if key < ":" and key.isdigit():  # digits sort before the colon, and most keys after it
                has_integer_keys = True
            inner = type(member)
            if inner is dict or inner is list or (inner is int and not _MIN_SAFE_INTEGER <= member <= _MAX_SAFE_INTEGER):
                value[key] = _tidy(member)
        return _integer_keys_first(value) if has_integer_keys else value
    if kind is list:
        return [_tidy(member) for member in value]
    if kind is int and not _MIN_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER:
        return str(value)
    return value


def _is_array_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and (key == "0" or key[0] != "0") and len(key) <= 10 and int(key) <= _MAX_ARRAY_INDEX


def _integer_keys_first(members: dict[str, Any]) -> dict[str, Any]:
    first = sorted((key for key in members if _is_array_index(key)), key=int)
    return {key: members[key] for key in first} | members


def _write(value: Any) -> bytes:
    """Serialise a document that has lone surrogates; the common case never comes here."""
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", _text(value)).encode()


def _text(value: Any) -> str:
    match value:
        case dict():
            return "{" + ",".join(f"{_quote(key)}:{_text(member)}" for key, member in value.items()) + "}"
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case str():
            return _quote(value)
        case _:
            return _encode(value).decode()


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
