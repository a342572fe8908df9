"""A record as a form, and a form as a change of a record: only what somebody changed is sent.

What a form cannot hold as it is (a text of a megabyte) is left out of it, and stays as it is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.core.collection import ARCHIVED, PASSWORD, PUBLISH_DATE, Field, all_fields
from tidings.portal.views.lists import Field as FormField
from tidings.portal.views.lists import Option
from tidings.portal.views.text import visible

PREFIX = "field-"  # of names in a form, so that a field named csrf is not the token
MAX_EDITED = 50_000  # characters of a value that a form holds
_LONG = 120  # characters from which on a text has several lines
_HINTS = {
    "date": "Such as 2026-03-15.",
    "datetime": "A time with its zone, such as 2026-03-15T12:00:00Z.",
    "json": "Any JSON; empty: null.",
    "number": "Its digits are kept as they are written.",
}


class RecordForm(msgspec.Struct, frozen=True):
    """A form of a record.

    Attributes:
        left_out: Fields that are too long to be changed here.
    """

    fields: tuple[FormField, ...]
    left_out: tuple[str, ...] = ()


class Written(str):
    """A number, an object or an array as JSON text: read as Python's own, a number would lose digits."""

    __slots__ = ()


def members_of(record: str) -> dict[str, Any]:
    """Return the members of a record as they are shown and compared: text, true, false and null as what they are."""
    return {name: _member(bytes(raw)) for name, raw in msgspec.json.decode(record, type=dict[str, msgspec.Raw]).items()}


def _member(raw: bytes) -> Any:
    if raw[:1] in {b"{", b"["}:
        return Written(msgspec.json.format(raw, indent=2).decode())
    if raw[:1] in {b'"', b"t", b"f", b"n"}:
        return msgspec.json.decode(raw)
    return Written(raw.decode())


def record_form(
    fields: Sequence[Field],
    kind: str,
    record: Mapping[str, Any],
    *,
    written: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> RecordForm:
    """Return the form of a record.

    Args:
        record: As `members_of` returns it; empty for a new one.
        written: What somebody wrote, to be shown again.
        problems: Field to what is wrong with it.
    """
    problems = problems or {}
    made: list[FormField] = []
    left_out: list[str] = []
    for field in all_fields(fields):
        shown = text_of(field, record.get(field.name))
        if len(shown) > MAX_EDITED:
            left_out.append(visible(field.name, limit=80).plain)
            continue
        value = shown if written is None else written.get(PREFIX + field.name, shown)
        made.append(_form_field(field, value, problems.get(field.name, "")))
    if kind == "auth":
        hint = "" if not record else "Leave it empty to keep the one there is."
        error = problems.get(PASSWORD, "")
        made.append(
            FormField(
                PREFIX + PASSWORD, PASSWORD, "password", hint=hint, error=error, is_required=not record,
                autocomplete="new-password", max_length=1024,
            )
        )  # fmt: skip
    return RecordForm(tuple(made), tuple(left_out))


def _form_field(field: Field, value: str, error: str) -> FormField:
    kind = "text"
    words: tuple[tuple[str, str], ...] = ()
    if field.type == "bool":
        words = (("", "not set"), ("true", "yes"), ("false", "no"))
        if field.required or field.name == ARCHIVED:
            words, value = words[1:], value or "false"
        kind = "choice"
    elif field.type == "select":
        words = tuple((one, one) for one in field.values)
        words = words if field.required else (("", "not set"), *words)
        if value not in {v for v, _ in words}:
            words = (*words, (value, value))
        kind = "choice"
    elif field.type in {"editor", "json"} or len(value) > _LONG or "\n" in value:
        kind = "area"
    options = tuple(Option(v, visible(label, limit=100).plain, v == value) for v, label in words)
    hint = _HINTS.get(field.type, "")
    if field.name == PUBLISH_DATE:
        hint = "When it shows: a time with its zone. Its coming is an event of its own."
    elif field.type == "relation":
        hint = f"The id of a record in {field.collection}."
    elif field.unique:
        hint = f"{hint} No two records have the same.".strip()
    return FormField(
        PREFIX + field.name, visible(field.name, limit=80).plain, kind, value=value, options=options, hint=hint, error=error,
        is_required=field.required, is_code=field.type in {"json", "number", "date", "datetime", "relation"},
        max_length=2 * MAX_EDITED,
    )  # fmt: skip


def text_of(field: Field, value: Any) -> str:
    """Return a value as it stands in a form. Nothing and an empty text look alike there; which it was stays, unless changed."""
    if value is None:
        return ""
    if field.type == "json" and not isinstance(value, Written):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("\r\n", "\n")  # as browsers send it back


def change_of(
    fields: Sequence[Field], kind: str, record: Mapping[str, Any], written: Mapping[str, str]
) -> dict[str, msgspec.Raw]:
    """Return what a form changes of a record, each member as JSON text. What nobody touched is not in it.

    Args:
        record: As it is; empty for a new one.
        written: The form.
    """
    change: dict[str, msgspec.Raw] = {}
    for field in all_fields(fields):
        name = PREFIX + field.name
        if name not in written:
            continue
        value = written[name].replace("\r\n", "\n")
        if value == text_of(field, record.get(field.name)) and (record or not field.required):
            continue
        change[field.name] = msgspec.Raw(_json_of(field, value))
    if kind == "auth" and written.get(PREFIX + PASSWORD):
        change[PASSWORD] = msgspec.Raw(msgspec.json.encode(written[PREFIX + PASSWORD]))
    return change


def _json_of(field: Field, text: str) -> bytes:
    """Return what was written as JSON. What is no number, say, stays a text: the check of the record says what is wrong."""
    if text == "" and not (field.required and field.type in {"text", "editor"}):
        return b"null"
    if field.type in {"number", "bool", "json"}:
        raw = text.strip().encode("utf-8", "replace")
        if field.type == "json" or _is_json(raw):
            return raw
    return msgspec.json.encode(text.encode("utf-8", "replace").decode())


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
