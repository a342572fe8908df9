"""The form of a type in the catalogue: what it means, its JSON Schema, an example."""

from collections.abc import Mapping

import msgspec

from tidings.core.errors import InvalidInputError, TidingsError
from tidings.operations.sources.event_types import EventType
from tidings.portal.views.lists import Field

MAX_TEXT = 200_000  # characters of a field that are read


class Entered(msgspec.Struct, frozen=True):
    """The form as it was typed."""

    name: str = ""
    description: str = ""
    schema: str = ""
    example: str = ""


class TypeFormView(msgspec.Struct, frozen=True):
    """The form. `raw`: the name of a type that is there."""

    path: str
    is_new: bool
    raw: str
    fields: dict[str, Field]
    error: str


def entered(form: Mapping[str, str]) -> Entered:
    """Return what was typed."""
    given = {name: form.get(name, "")[:MAX_TEXT].replace("\r\n", "\n").strip() for name in Entered.__struct_fields__}
    return Entered(**given)


def entered_of(found: EventType) -> Entered:
    """Return the form that says what a type is."""
    return Entered(found.name, found.description or "", _indented(found.schema), _indented(found.example))


def _indented(text: str | None) -> str:
    return "" if text is None else msgspec.json.format(text.encode(), indent=2).decode()


def json_of(form: Entered, field: str) -> str | None:
    """Return a field that holds JSON; None: it is empty.

    Raises:
        InvalidInputError: It is no JSON.
    """
    text: str = getattr(form, field)
    if not text:
        return None
    try:
        msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInputError(field, f"{field} is no JSON: {error}.") from error
    return text


def form_view(form: Entered, path: str, *, is_new: bool, error: TidingsError | None = None) -> TypeFormView:
    """Return the form as it was typed, with what is wrong with it at its field."""
    where = error.field.split(".")[0].split("[")[0] if isinstance(error, InvalidInputError) else ""
    where = {"type": "name"}.get(where, where)
    said = error.message if error else ""

    def of(name: str) -> str:
        return said if where == name else ""

    fields = {
        "name": Field(
            "name", "Type", value=form.name, error=of("name"), is_required=True, is_code=True, max_length=300,
            placeholder="order.paid", hint="As your application publishes it: words with dots between.",
        ),
        "description": Field("description", "What it means", value=form.description, error=of("description"), max_length=2000),
        "schema": Field(
            "schema", "JSON Schema", "area", value=form.schema, error=of("schema"), is_code=True, max_length=MAX_TEXT,
            placeholder='{"type": "object", "required": ["total"]}',
            hint="What is published from now on must match it; without one anything does.",
        ),
        "example": Field(
            "example", "Example", "area", value=form.example, error=of("example"), is_code=True, max_length=MAX_TEXT,
            placeholder='{"total": 12.5}', hint="Data of such an event, shown where webhooks are set up and tested.",
        ),
    }  # fmt: skip
    return TypeFormView(path, is_new, form.name, fields, said if error and where not in fields else "")
