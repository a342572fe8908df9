"""What an operation changed, as it is put on record: field to what it was and what it is; short, and without what is secret.

Whoever may read the record reads all of it, and nothing takes a word of it back. So what could be a secret or a payload is
hidden by the name of its field, wherever it stands, and addresses lose what could be a password or a token in them.
"""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

MAX_CHARACTERS: Final = 500  # of one side of a field, as JSON
MAX_BYTES: Final = 8_000  # of all of it, as JSON
MAX_DEPTH: Final = 20  # of lists and objects within each other

HIDDEN: Final = "(hidden)"
MORE: Final = "(more)"  # the field that says what there was no room for

Sides = tuple[Any, Any]  # what it was, what it is

_SECRET = re.compile(
    r"secret|passw|passphrase|token|credential|authorization|cookie|certificate|api_?key|private|(^|_)key(_pem)?$",
    re.IGNORECASE,
)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PAYLOADS = frozenset({"body", "data", "record", "old_record", "example", "payload", "sample", "headers"})
_HARMLESS = re.compile(
    r"(_at|_until|_seconds|_id|_name|_enabled)$", re.IGNORECASE
)  # when, how long, which, what it is called, whether

# What says nothing of what somebody decided: it follows from the change, or from what happened since.
_FOLLOWS = frozenset({
    "id", "group_id", "created_at", "updated_at", "version", "fault", "problems", "request_count", "refused_count", "used_at",
    "is_active", "max_retries", "retry_backoff_seconds", "scope", "binding", "stop", "next_at",
})  # fmt: skip


def difference(before: Any, after: Any) -> dict[str, Sides]:
    """Return the fields in which two states of something differ, each with what it was and what it is.

    Args:
        before: A struct or a mapping; None: it was not there. Of what is new, fields that say nothing are left out.
        after: The same; None: it is gone.
    """
    was, is_ = plain(before), plain(after)
    names = [name for name in dict.fromkeys([*was, *is_]) if name not in _FOLLOWS]
    found = {name: (was.get(name), is_.get(name)) for name in names}
    is_whole = before is None or after is None
    kept = {
        name: sides
        for name, sides in found.items()
        if (any(_says_something(side) for side in sides) if is_whole else sides[0] != sides[1])
    }
    return _bounded({name: (hidden(one, name), hidden(other, name)) for name, (one, other) in kept.items()})


def plain(state: Any) -> dict[str, Any]:
    """Return a state of something as plain values."""
    if state is None:
        return {}
    made = msgspec.to_builtins(state)
    return made if isinstance(made, dict) else {"value": made}


def hidden(value: Any, name: str = "", depth: int = 0) -> Any:
    """Return a value without what is secret in it.

    Args:
        name: Of the field that it stands in.
    """
    if value is None or isinstance(value, bool) or depth > MAX_DEPTH:
        return value if depth <= MAX_DEPTH else HIDDEN
    if is_secret(name):
        return {_text(key): HIDDEN for key in value} if name.lower() == "headers" and isinstance(value, dict) else HIDDEN
    match value:
        case dict():
            return {_text(str(key)): hidden(one, str(key), depth + 1) for key, one in value.items()}
        case list() | tuple():
            return [hidden(one, name, depth + 1) for one in value]
        case str():
            return without_credentials(_text(value))
    return value


def is_secret(name: str) -> bool:
    """Whether a field of this name could hold a secret or a payload."""
    return name.lower() in _PAYLOADS or (_SECRET.search(name) is not None and _HARMLESS.search(name) is None)


def without_credentials(text: str) -> str:
    """Return a URL without user, password and the values of its query; any other text as it is."""
    if _URL.match(text) is None:
        return text
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return HIDDEN
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    query = "&".join(f"{pair.partition('=')[0]}={HIDDEN}" if "=" in pair else HIDDEN for pair in parts.query.split("&"))
    return (
        f"{parts.scheme}://{netloc}{parts.path}"
        + (f"?{query}" if parts.query else "")
        + (f"#{HIDDEN}" if parts.fragment else "")
    )


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _says_something(value: Any) -> bool:
    return value is not None and value not in ("", [], {}, ())


def _bounded(changes: dict[str, Sides]) -> dict[str, Sides]:
    """Return as many fields as there is room for, each side cut where it is long; what there was no room for is named."""
    kept: dict[str, Sides] = {}
    size, names = 0, list(changes)
    for number, (name, (was, is_)) in enumerate(changes.items()):
        sides = _short(was), _short(is_)
        size += len(msgspec.json.encode((name, sides)))
        if size > MAX_BYTES - 2 * MAX_CHARACTERS:
            left = ", ".join(names[number:])
            kept[MORE] = (None, _cut(f"{len(names) - number} fields more: {left}", MAX_CHARACTERS // 2))
            break
        kept[name] = sides
    return kept


def _short(value: Any) -> Any:
    text = msgspec.json.encode(value).decode()
    if len(text) <= MAX_CHARACTERS:
        return value
    return _cut(value if isinstance(value, str) else text, MAX_CHARACTERS)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    mark = f"… (cut, {len(text):,} characters)"
    return text[: limit - len(mark)] + mark
