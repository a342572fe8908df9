"""What is typed into the fields of a webhook's form, read and written: events, headers, delays, figures."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.retry import Delays, Policy
from tidings.portal.views.text import duration

# Events --------------------------------------------------------------------------------------------------------------------


def table_value(operation: str, schema: str, table: str) -> str:
    """Return the value of the box of an operation on a table."""
    return msgspec.json.encode((operation, schema, table)).decode()


def collection_value(action: str, collection: str) -> str:
    """Return the value of the box of an action on a collection's records."""
    return msgspec.json.encode((action, collection)).decode()


def boxes_read(values: Sequence[str], key: str, action: str) -> list[Any]:
    """Return the entries of `events` that boxes of tables or collections stand for, in order.

    Raises:
        InvalidInputError: A value is none that a box has.
    """
    grouped: dict[tuple[str, ...], list[str]] = {}
    for value in values:
        what, *named = _box(value, 3 if key == "table" else 2)
        grouped.setdefault(tuple(named), []).append(what)
    return [_place(key, named) | {action: wanted} for named, wanted in grouped.items()]


def _place(key: str, named: tuple[str, ...]) -> dict[str, Any]:
    if key == "table" and named[1] != "*":
        return {"schema": named[0], "table": named[1]}
    return {key: named[-1]}


def _box(value: str, length: int) -> list[str]:
    try:
        parts = msgspec.json.decode(value, type=list[str])
    except (msgspec.MsgspecError, UnicodeError):
        parts = []
    if len(parts) != length:
        raise InvalidInputError("events", f"{value[:60]!r} is none of the boxes. Load the page again.")
    return parts


def names_read(text: str) -> list[Any]:
    """Return the entries of `events` that were typed: names, with commas or one a line, or JSON as the API takes it.

    JSON is one document, or one in each line that begins with `{`, `[` or `"`; commas in it separate nothing of ours.

    Raises:
        InvalidInputError: What begins as JSON is none.
    """
    if text.strip()[:1] in {"{", "["}:
        try:
            return _listed(msgspec.json.decode(text))
        except (msgspec.MsgspecError, UnicodeError):
            pass  # several documents, one a line: each is read by itself, and told by itself
    found: list[Any] = []
    for line in text.split("\n"):
        if line.strip()[:1] in {"{", "[", '"'}:
            found += _document(line.strip())
        else:
            found += [name for part in line.split(",") if (name := part.strip())]
    return found


def _document(line: str) -> list[Any]:
    try:
        return _listed(msgspec.json.decode(line))
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidInputError(
            "more", f'{line[:60]!r} is no JSON ({error}). Write {{"table": "orders", "operations": ["INSERT"]}}, or a name.'
        ) from error


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# Headers -------------------------------------------------------------------------------------------------------------------


def headers_read(text: str) -> dict[str, str]:
    """Return headers that were typed one a line, or as a JSON object.

    Raises:
        InvalidInputError: With the line that is none.
    """
    if text.strip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=dict[str, str])
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise InvalidInputError(
                "headers", f'This is no JSON object of strings ({error}). Write {{"X-Source": "shop"}}, or X-Source: shop.'
            ) from error
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise InvalidInputError("headers", f"{line[:60]!r} has no colon; write Name: value, one in a line.")
        found[name.strip()] = value.strip()
    return found


# Delays and figures --------------------------------------------------------------------------------------------------------

_UNITS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_DELAY = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)")


def delays_read(text: str) -> list[float]:
    """Return delays in seconds.

    Raises:
        InvalidInputError: With the part that is none.
    """
    return [delay_read(part, "delays") for part in re.split(r"[,;\n]", text) if part.strip()]


def delay_read(text: str, field: str) -> float:
    """Return a delay in seconds.

    Raises:
        InvalidInputError: It is none.
    """
    matched = _DELAY.fullmatch(text.strip().lower())
    if matched is None:
        raise InvalidInputError(field, f"{text.strip()[:40]!r} is no delay; write 5 s, 5 min, 2 h or 1 d, with commas.")
    return float(matched[1]) * _UNITS[matched[2]]


def delay(seconds: float) -> str:
    """Return a delay as it is typed."""
    for unit in ("d", "h", "min"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{figure(seconds / _UNITS[unit])} {unit}"
    return f"{figure(seconds)} s"


def figure(value: float) -> str:
    """Return a number as it is typed, with all digits that it is read by."""
    return f"{value:.15g}"


def policy_words(policy: Policy) -> str:
    """Return when a policy tries again, in words."""
    if isinstance(policy, Delays):
        if not policy.delays:
            return "never again"
        said = ", ".join(delay(seconds) for seconds in policy.delays)
        return f"{len(policy.delays)} times: {said}"
    longest = duration(policy.max * 1000)
    return f"{policy.tries - 1} times: {delay(policy.base)}, each time {policy.factor:g} times as long, at most {longest}"
