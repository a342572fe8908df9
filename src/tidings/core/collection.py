"""Collections: which fields there can be, which column each is, and whether a record fits them (seed 003's system)."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tidings.core.errors import InvalidInputError, InvalidRecordError

COLUMN_TYPES: Final = {
    "text": "text",
    "email": "text",
    "number": "numeric",
    "bool": "boolean",
    "date": "date",
    "datetime": "timestamptz",
    "select": "text",
    "url": "text",
    "editor": "text",
    "json": "json",
    "relation": "text",
}
KINDS = ("base", "auth")
MAX_NAME_BYTES = 63  # PostgreSQL, NAMEDATALEN
MAX_FIELDS = 200
MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 1024  # hashing a longer one would be somebody's way to keep the server busy

ID, CREATED, UPDATED = "id", "created", "updated"
PUBLISH_DATE, ARCHIVED, AUTHOR = "publishDate", "archived", "author"
ANNOUNCED, PASSWORD_HASH, PASSWORD = "tidings_announced", "password_hash", "password"
HIDDEN = (ANNOUNCED, PASSWORD_HASH)

_NAME = re.compile(r"[^\W\d]\w*([ -]\w+)*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_RECORD_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_OURS = {ID, CREATED, UPDATED, ANNOUNCED, PASSWORD_HASH, PASSWORD}


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field of a collection.

    Attributes:
        values: What a `select` may be.
        collection: What a `relation` refers to.
    """

    name: str
    type: str
    required: bool = False
    unique: bool = False
    values: tuple[str, ...] = ()
    collection: str | None = None

    @property
    def column_type(self) -> str:
        """The type of its column."""
        return COLUMN_TYPES[self.type]


# What every collection has beside its own fields. It may declare the last three itself, to require them, say.
STANDING: Final = (Field(PUBLISH_DATE, "datetime"), Field(ARCHIVED, "bool"), Field(AUTHOR, "text"))
PASSWORD_COLUMN: Final = Field(PASSWORD_HASH, "text", required=True)  # of collections of type auth; no field of theirs
_AUTH: Final = (Field("email", "email", required=True, unique=True),)


def schema_of(group_id: str) -> str:
    """Return the schema that a group's collections are in."""
    name = f"collections_{group_id}"
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidInputError(
            "group", f"The group's id is too long for a schema's name: at most {MAX_NAME_BYTES - 12} bytes of UTF-8."
        )
    return name


def check_name(name: str, field: str) -> None:
    """Refuse what cannot be the name of a table or a column.

    Raises:
        InvalidInputError: With what to write.
    """
    if not _NAME.fullmatch(name) or len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidInputError(
            field,
            f"{field} is {name!r}; write 1 to {MAX_NAME_BYTES} bytes of letters, digits and _, beginning with a letter, "
            "with single spaces or hyphens between.",
        )


def parse_fields(items: Sequence[Any], kind: str) -> tuple[Field, ...]:
    """Read the fields of a collection, with those that its kind adds.

    Raises:
        InvalidInputError: With the field at fault, such as `schema[2].type`.
    """
    if len(items) > MAX_FIELDS:
        raise InvalidInputError("schema", f"schema has {len(items)} fields; at most {MAX_FIELDS} are possible.")
    fields = tuple(_parse_field(item, f"schema[{position}]") for position, item in enumerate(items))
    names = [field.name for field in fields]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInputError("schema", f"schema has two fields named {twice!r}.")
    return fields + tuple(field for field in (_AUTH if kind == "auth" else ()) if field.name not in names)


def _parse_field(item: Any, place: str) -> Field:
    known = {name: value for name, value in item.items() if name in Field.__struct_fields__} if isinstance(item, dict) else item
    try:
        field = msgspec.convert(known, Field)
    except msgspec.ValidationError as error:
        raise InvalidInputError(place, f'{place}: {error}. Write {{"name": "title", "type": "text"}}.') from error
    check_name(field.name, f"{place}.name")
    if field.type not in COLUMN_TYPES:
        raise InvalidInputError(f"{place}.type", f"{place}.type is {field.type!r}; write one of {', '.join(COLUMN_TYPES)}.")
    if field.name in _OURS:
        raise InvalidInputError(f"{place}.name", f"{place}.name is {field.name!r}, which every collection keeps for itself.")
    standing = next((s for s in STANDING if s.name == field.name), None)
    if standing is not None and field.name != AUTHOR and field.type != standing.type:
        raise InvalidInputError(
            f"{place}.type",
            f"{place}.type must be {standing.type} for {field.name!r}, which says when and whether a record shows.",
        )
    if field.type == "select" and not field.values:
        raise InvalidInputError(f"{place}.values", f"{place}.values must list what {field.name!r} may be.")
    if field.type == "relation" and field.collection is None:
        raise InvalidInputError(f"{place}.collection", f"{place}.collection must name what {field.name!r} refers to.")
    return field


def all_fields(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Return a collection's fields and the standing ones it does not declare."""
    names = {field.name for field in fields}
    return (*fields, *(field for field in STANDING if field.name not in names))


# Records ---------------------------------------------------------------------------------------------------------------

Record = Mapping[str, msgspec.Raw]  # the text of each member, since reading numbers would lose digits


def check_record(fields: Sequence[Field], record: Record, *, kind: str, is_new: bool) -> dict[str, bytes]:
    """Return the members of a record as they are to be stored, JSON text each.

    Args:
        is_new: All that is required must be there; else only what is there is looked at.

    Raises:
        InvalidRecordError: Of each field that does not fit, why.
    """
    known = {field.name: field for field in all_fields(fields)}
    problems: dict[str, str] = {}
    values: dict[str, bytes] = {}
    for name, raw in record.items():
        if name in {CREATED, UPDATED}:
            continue  # a record read, changed and sent back has them
        if name == ID:
            _keep(values, problems, name, raw, _check_id)
        elif name == PASSWORD and kind == "auth":
            _keep(values, problems, name, raw, _check_password)
        elif name in known:
            _keep(values, problems, name, raw, lambda value, field=known[name]: _problem(field, value))
        else:
            problems[name] = f"{name} is not a field of this collection; it has {', '.join(known)}."
    required = [field.name for field in fields if field.required] + ([PASSWORD] if kind == "auth" else [])
    for name in required if is_new else ():
        if name not in record:
            problems[name] = f"{name} is required."
    if problems:
        raise InvalidRecordError(problems)
    return values


def _keep(values: dict[str, bytes], problems: dict[str, str], name: str, raw: msgspec.Raw, check: Any) -> None:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        problems[name] = f"{name} cannot be read: {error or 'it is nested too deeply'}."
        return
    if (problem := check(value)) is not None:
        problems[name] = f"{name} {problem}"
    values[name] = bytes(raw)


def _check_id(value: Any) -> str | None:
    is_fit = isinstance(value, str) and _RECORD_ID.fullmatch(value) is not None
    return None if is_fit else "must be 1 to 100 letters, digits, - and _."


def _check_password(value: Any) -> str | None:
    if not isinstance(value, str) or not MIN_PASSWORD_LENGTH <= len(value) <= MAX_PASSWORD_LENGTH:
        return f"must be text of {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
    return None


def _problem(field: Field, value: Any) -> str | None:
    """Return what is wrong with a value, as the end of a sentence that begins with the field's name."""
    if value is None:
        return "is required." if field.required or field.name == ARCHIVED else None
    if isinstance(value, str) and "\x00" in value:
        return "contains U+0000, which PostgreSQL cannot store."
    if field.required and value == "":
        return "is required."
    fits, expected = _CHECKS[field.type]
    if not fits(value):
        return f"must be {expected}."
    if field.type == "select" and value not in field.values:
        return f"must be one of {', '.join(field.values)}."
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _is_datetime(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_url(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        return parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


_CHECKS: Final = {
    "text": (_is_text, "text"),
    "editor": (_is_text, "text"),
    "select": (_is_text, "text"),
    "email": (lambda value: isinstance(value, str) and _EMAIL.fullmatch(value), "an e-mail address"),
    "url": (_is_url, "a URL that begins with https:// or http://"),
    "number": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "date": (_is_date, "a date such as 2026-03-15"),
    "datetime": (_is_datetime, "a time with its zone, such as 2026-03-15T12:00:00Z"),
    "json": (lambda _: True, "JSON"),
    "relation": (_is_text, "the id of a record"),
}
