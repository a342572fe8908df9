"""A table's name in one text: `sales.orders`, and `orders` for one of `public`.

A schema may have a dot and either name a slash, which no path of a URL passes on. So in such a text they are written `%2E` and
`%2F`, and `%` itself `%25`, as in a URL; whoever puts the text into a URL quotes it once more, as anything else.
"""

import re
from typing import Final

_WRITTEN: Final = {".": "%2E", "/": "%2F", "%": "%25"}
_READ: Final = {written: sign for sign, written in _WRITTEN.items()}
_ESCAPE: Final = re.compile(r"%(?:2E|2F|25)", re.IGNORECASE)


def full_name(schema: str, table: str) -> str:
    """Return a table's name with its schema."""
    quoted = "".join(_WRITTEN.get(sign, sign) for sign in schema)
    return f"{quoted}.{table.replace('%', '%25').replace('/', '%2F')}"


def short_name(schema: str, table: str) -> str:
    """Return a table's name, with its schema where that is not `public`, or has to be said."""
    name = full_name(schema, table)
    return name.partition(".")[2] if schema == "public" and "." not in table else name


def parse_name(text: str) -> tuple[str | None, str]:
    """Return the schema, None where none is said, and the table."""
    schema, dot, table = text.partition(".")
    return (_read(schema), _read(table)) if dot else (None, _read(text))


def _read(part: str) -> str:
    return _ESCAPE.sub(lambda found: _READ[found[0].upper()], part)
