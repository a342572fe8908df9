"""SQL texts by name, from the `.sql` files beside this module."""

import re
from functools import cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- (name|part): (\w+)\n(.*?)(?=^-- (?:name|part): |\Z)", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"\{(\w+)\}")
_COMMENT = re.compile(r"^\s*--.*\n|\s+--.*$", re.MULTILINE)


@cache
def load(name: str, *, package: str = "tidings.store") -> dict[str, str]:
    """Return the statements of a package's `sql/<name>.sql` by their names.

    What several statements share is a part of the file, `-- part: name`, and stands in those after it as `{name}`. Comments are
    for readers of the file; they are not sent to the server.
    """
    text = (files(package) / "sql" / f"{name}.sql").read_text()
    parts: dict[str, str] = {}
    statements: dict[str, str] = {}
    for kind, title, body in _BLOCK.findall(text):
        content = _PLACE.sub(lambda place: parts.get(place[1], place[0]), _COMMENT.sub("", body).strip())
        (parts if kind == "part" else statements)[title] = content
    return statements
