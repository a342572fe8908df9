"""SQL texts by name, from the `.sql` files beside this module."""

import re
from functools import cache
from importlib.resources import files

_NAMED = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^\s*--.*\n|\s+--.*$", re.MULTILINE)


@cache
def load(name: str, *, package: str = "tidings.store") -> dict[str, str]:
    """Return the statements of a package's `sql/<name>.sql` by their names.

    Comments are for readers of the file; they are not sent to the server.
    """
    text = (files(package) / "sql" / f"{name}.sql").read_text()
    return {match[1]: _COMMENT.sub("", match[2]).strip() for match in _NAMED.finditer(text)}
