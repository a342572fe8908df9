"""The form of a collection: its fields as rows, what they ask for, and what is wrong said at the row it is wrong in."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tidings.core.collection import COLUMN_TYPES, MAX_FIELDS, MAX_NAME_BYTES
from tidings.core.errors import ConflictError, InvalidInputError, TidingsError, ValuesLostError
from tidings.portal.views.lists import Field as FormField
from tidings.portal.views.lists import Option
from tidings.portal.views.text import visible
from tidings.store.collections import Collection

MAX_TEXT = 20_000  # characters of a field of the form that are read
BLANK_ROWS = 3  # that stand ready, and that "More fields" adds
_TYPES = {
    "text": "text, one line",
    "editor": "text, at length",
    "number": "number",
    "bool": "yes or no",
    "date": "date",
    "datetime": "date and time",
    "select": "one of a list",
    "email": "e-mail address",
    "url": "URL",
    "json": "JSON",
    "relation": "a record of a collection",
}


class EnteredField(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it was typed.

    Attributes:
        of: The collection that a relation refers to.
        was: The name that the field has; empty: it is to be made.
        is_removed, may_go: The field shall go, and the values that records have in it may.
    """

    name: str = ""
    type: str = "text"
    required: bool = False
    unique: bool = False
    values: str = ""
    of: str = ""
    was: str = ""
    is_removed: bool = False
    may_go: bool = False

    @property
    def is_meant(self) -> bool:
        """Whether the collection is to have it."""
        return not self.is_removed and bool(self.name or self.was)


class Entered(msgspec.Struct, frozen=True):
    """The form of a collection as it was typed. `options`: JSON text."""

    name: str
    kind: str
    rows: tuple[EnteredField, ...]
    options: str = ""


class RowView(msgspec.Struct, frozen=True):
    """A row of the form. `place` is part of its fields' names; `error`: what is wrong with it."""

    place: int
    label: str
    entered: EnteredField
    types: tuple[Option, ...]
    error: str
    asks_to_go: bool


class CollectionFormView(msgspec.Struct, frozen=True):
    """The form of a collection.

    Attributes:
        path: Where it is sent.
        cancel: Where one came from.
        is_new: It is to be made.
        name, kind: Their fields; None: they cannot be changed.
        error: What is wrong that no row is to blame for.
    """

    path: str
    cancel: str
    is_new: bool
    name: FormField | None
    kind: FormField | None
    rows: tuple[RowView, ...]
    options: FormField
    is_options_open: bool
    error: str


def blank() -> Entered:
    """Return the form that one begins with."""
    return Entered("", "base", (EnteredField(),) * BLANK_ROWS)


def entered_of(found: Collection) -> Entered:
    """Return the form that says what a collection is."""
    rows = tuple(
        EnteredField(
            name=one.name, type=one.type, required=one.required, unique=one.unique, values="\n".join(one.values),
            of=one.collection or "", was=one.name,
        )
        for one in found.fields
    )  # fmt: skip
    return Entered(found.name, found.type, (*rows, *_blanks(len(rows))), options_text(found))


def options_text(found: Collection) -> str:
    """Return a collection's options as the form shows them."""
    return msgspec.json.format(msgspec.json.encode(found.options), indent=2).decode() if found.options else ""


def entered(form: Mapping[str, str]) -> Entered:
    """Return what was typed into the form."""
    count = form.get("rows", "")
    places = range(min(int(count), MAX_FIELDS)) if count.isdecimal() and len(count) < 5 else range(0)
    rows = tuple(_row(form, place) for place in places)
    options = form.get("options", "")[:MAX_TEXT].replace("\r\n", "\n")
    return Entered(form.get("name", "")[:200].strip(), form.get("kind", "base")[:20], rows, options)


def _row(form: Mapping[str, str], place: int) -> EnteredField:
    def text(name: str) -> str:
        return form.get(f"{name}-{place}", "")[:MAX_TEXT].replace("\r\n", "\n").strip()

    return EnteredField(
        name=text("field"), type=text("type") or "text", required=bool(text("required")), unique=bool(text("unique")),
        values=text("values"), of=text("of"), was=text("was"), is_removed=bool(text("remove")), may_go=bool(text("lose")),
    )  # fmt: skip


def with_more(form: Entered) -> Entered:
    """Return the form with further empty rows."""
    return msgspec.structs.replace(form, rows=(*form.rows, *_blanks(len(form.rows))))


def _blanks(count: int) -> tuple[EnteredField, ...]:
    return (EnteredField(),) * min(BLANK_ROWS, max(0, MAX_FIELDS - count))


# What it asks for ----------------------------------------------------------------------------------------------------------


def fields_of(form: Entered) -> list[dict[str, Any]]:
    """Return the fields that the form asks for, as the API takes them."""
    return [_asked(row) for row in form.rows if row.is_meant]


def _asked(row: EnteredField) -> dict[str, Any]:
    asked: dict[str, Any] = {"name": row.name, "type": row.type, "required": row.required, "unique": row.unique}
    if row.type == "select":
        asked["values"] = [one for line in row.values.split("\n") if (one := line.strip())]
    if row.type == "relation" and row.of:
        asked["collection"] = row.of
    if row.was and row.was != row.name:
        asked["was"] = row.was
    return asked


def dropped(form: Entered) -> list[str]:
    """Return the fields whose values may go."""
    return [row.was for row in form.rows if row.was and row.is_removed and row.may_go]


def options_of(form: Entered) -> dict[str, Any]:
    """Return the options that the form asks for.

    Raises:
        InvalidInputError: They are no JSON object.
    """
    if not form.options.strip():
        return {}
    try:
        return msgspec.json.decode(form.options, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidInputError("options", f'options is no JSON object: {error}. Write {{"triggers": [...]}}.') from error


# What is shown -------------------------------------------------------------------------------------------------------------


def form_view(form: Entered, path: str, cancel: str, *, is_new: bool, error: TidingsError | None = None) -> CollectionFormView:
    """Return the form as it was typed, with what is wrong with it at its place."""
    said, place, asks = _placed(form, error)
    at_name, at_kind, at_options = (said if place == one else "" for one in ("name", "type", "options"))
    name = FormField(
        "name", "Name", value=form.name, is_required=True, error=at_name, is_code=True, max_length=MAX_NAME_BYTES,
        placeholder="posts", hint="A letter, then letters, digits, _, single spaces or hyphens. A table has it, too.",
    )  # fmt: skip
    kinds = (("base", "base: records"), ("auth", "auth: people who sign in, with e-mail address and password"))
    kind = FormField(
        "kind",
        "Type",
        "choice",
        error=at_kind,
        options=tuple(Option(value, label, value == form.kind) for value, label in kinds),
    )
    options = FormField(
        "options", "Options", "area", value=form.options, error=at_options, is_code=True, max_length=MAX_TEXT,
        hint='Triggers, each of which is a webhook: {"triggers": [{"action": "create", "url": "https://…"}]}',
    )  # fmt: skip
    rows = tuple(
        _row_view(number, row, said if place == number else "", asks_to_go=asks and place == number)
        for number, row in enumerate(form.rows)
    )
    unplaced = said if place is None else ""
    return CollectionFormView(
        path, cancel, is_new, name if is_new else None, kind if is_new else None, rows, options,
        bool(form.options.strip() or at_options), unplaced,
    )  # fmt: skip


def _row_view(place: int, row: EnteredField, error: str, *, asks_to_go: bool) -> RowView:
    known = _TYPES if row.type in COLUMN_TYPES else {**_TYPES, row.type: row.type}
    types = tuple(Option(value, visible(label, limit=60).plain, value == row.type) for value, label in known.items())
    label = visible(row.was or row.name or f"field {place + 1}", limit=60).plain
    return RowView(place, label, row, types, error, asks_to_go or row.may_go)


_IN_SCHEMA = re.compile(r"schema\[(\d+)\](?:\.(\w+))?")


def _placed(form: Entered, error: TidingsError | None) -> tuple[str, int | str | None, bool]:
    """Return what is wrong, where (a row, a field's name, or nowhere), and whether it asks that values may go."""
    if error is None:
        return "", None, False
    if isinstance(error, ConflictError):
        return error.message, "name" if not any(row.was for row in form.rows) else None, False
    if isinstance(error, ValuesLostError):
        row = _row_of(form.rows, error.name)
        remedy = (
            "Tick “lose its values” to let them go." if error.is_allowed else error.message.removeprefix(error.loss).strip()
        )
        return f"{error.loss} {remedy}", row, error.is_allowed
    if not isinstance(error, InvalidInputError):
        return error.message, None, False
    if matched := _IN_SCHEMA.match(error.field):
        meant = [place for place, row in enumerate(form.rows) if row.is_meant]
        position = int(matched[1])
        said = error.message.replace(f"schema[{position}].", "").replace(f"schema[{position}]", "this field")
        return said, meant[position] if position < len(meant) else None, False
    place = error.field.split(".")[0].split("[")[0]
    return error.message, place if place in {"name", "type", "options"} else None, False


def _row_of(rows: Sequence[EnteredField], name: str) -> int | None:
    return next((place for place, row in enumerate(rows) if name in {row.was, row.name}), None)
