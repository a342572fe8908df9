"""What a body may have been before somebody read it and wrote it again.

A signature is over bytes. A framework that parses a body, and a proxy or a sender that writes the parsed value anew, keep what
it says and change its bytes: spaces, the order of members, escapes, digits. Whoever then verifies sees a wrong signature and
looks for a wrong secret. So the usual ways to write the same are tried; the one that fits says who wrote the body again.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

MAX_BYTES: Final = 65_536  # of a body that is written again: each way costs about as much as reading it
_MAX_SAFE: Final = 2**53  # a JavaScript number counts no further
_BOM: Final = b"\xef\xbb\xbf"

_LAYOUTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("without spaces", {"separators": (",", ":")}),
    ("with a space after each comma and colon", {"separators": (", ", ": ")}),
    ("indented by two", {"indent": 2}),
    ("indented by four", {"indent": 4}),
)


def forms_of(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what a body may have been, each with words for it, the likeliest first and none that is the body itself.

    A body that is longer than 64 KiB is not written as JSON again.
    """
    seen = {body}
    for words, form in _all_forms(body):
        if form not in seen:
            seen.add(form)
            yield words, form


def _all_forms(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield from _texts(body)
    if len(body) > MAX_BYTES:
        return
    try:
        value = json.loads(body.removeprefix(_BOM))
    except (ValueError, RecursionError):
        return
    if isinstance(value, str):
        yield "as the text that its JSON string holds", value.encode("utf-8", "replace")
    try:
        yield from _written(value)
    except (ValueError, RecursionError, OverflowError):
        return


def _texts(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what is changed without reading it as JSON."""
    yield "without the line break at its end", body.rstrip(b"\r\n")
    yield "with a line break at its end", body + b"\n"
    yield "without the spaces around it", body.strip()
    yield "with the line breaks of Unix", body.replace(b"\r\n", b"\n")
    yield "with the line breaks of Windows", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "without a byte order mark", body.removeprefix(_BOM)
    yield "with a byte order mark", _BOM + body
    yield "empty, as when something else has read it already", b""
    yield "as the text [object Object], which JavaScript makes of a parsed body", b"[object Object]"
    try:
        text = body.decode()
        yield "as a JSON string of its text", json.dumps(text, ensure_ascii=False).encode()
        yield "in Latin-1 instead of UTF-8", text.encode("latin-1")
    except UnicodeError:
        yield "in UTF-8 instead of Latin-1", body.decode("latin-1").encode()


def _written(value: Any) -> Iterator[tuple[str, bytes]]:
    """Yield a value as the usual writers of JSON write it."""
    in_javascript = _as_javascript(value)
    for layout, options in _LAYOUTS:
        for order, is_sorted in (("", False), (", its members sorted", True)):
            for letters, is_ascii in (("", False), (", what is not ASCII as \\u escapes", True)):
                yield f"{layout}{order}{letters}", _dumped(value, ensure_ascii=is_ascii, sort_keys=is_sorted, **options)
        yield f"{layout}, as JavaScript writes it", _dumped(in_javascript, ensure_ascii=False, **options)
    compact = {"separators": (",", ":")}
    for letters, is_ascii in (("", False), (" and \\u escapes", True)):
        plain = _dumped(value, ensure_ascii=is_ascii, **compact)
        yield f"without spaces, with escaped slashes{letters}, as PHP writes it", plain.replace(b"/", b"\\/")
    plain = _dumped(value, ensure_ascii=False, **compact)
    for sign in "<>&":
        plain = plain.replace(sign.encode(), f"\\u{ord(sign):04x}".encode())
    yield "without spaces, with <, > and & as \\u escapes, as Go writes it", plain


def _dumped(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode("utf-8", "replace")


def _as_javascript(value: Any) -> Any:
    """Return a value with its numbers as doubles, and members that are numbers first, as JavaScript keeps them."""
    match value:
        case bool():
            return value
        case int() if abs(value) > _MAX_SAFE:
            return _number(float(value))
        case float():
            return _number(value)
        case list():
            return [_as_javascript(one) for one in value]
        case dict():
            indexes = sorted((name for name in value if _is_index(name)), key=int)
            others = [name for name in value if not _is_index(name)]
            return {name: _as_javascript(value[name]) for name in (*indexes, *others)}
        case _:
            return value


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10 and str(int(name)) == name
