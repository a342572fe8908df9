"""A body of the owner's own making: JSON with `{{path}}` where something of the event goes.

A string that is nothing but one placeholder becomes what it names, with its type; a placeholder inside other text becomes text.
So the result is JSON whatever the event holds. A webhook whose own Content-Type says that its body is no JSON has a plain text
with placeholders instead.

A short template can ask for much: a hundred bytes of `{{record}}` and a large row. What goes in is counted as it goes in, and
the body fails, for good and by our own word, before it is made.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tidings.core.errors import InvalidInputError, RenderError
from tidings.core.event import Event
from tidings.core.jsontext import stable
from tidings.core.webhook import Webhook
from tidings.profiles.parts import current, document, event_time, previous

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
MAX_FILLED_BYTES = 4 * 2**20  # of a body; making one holds up the deliveries beside it
ROOTS = (
    "id",
    "event",
    "type",
    "group",
    "subject",
    "schema",
    "table",
    "collection",
    "record",
    "old_record",
    "timestamp",
    "webhook_id",
)


def is_plain_text(headers: Mapping[str, str]) -> bool:
    """Tell whether a webhook's own headers say that its body is no JSON."""
    return any(name.lower() == "content-type" and "json" not in value.lower() for name, value in headers.items())


def check_template(text: str, *, is_text: bool = False) -> None:
    """Refuse what is not JSON (unless it need not be), or names what no event has.

    Raises:
        InvalidInputError: With what to write.
    """
    try:
        if not is_text:
            json.dumps(json.loads(text), allow_nan=False)  # what programs read and JSON does not have is refused too
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise InvalidInputError(
            "body_template",
            f'body_template is not JSON ({why}). Put placeholders into strings: {{"title": "{{{{record.title}}}}"}}.',
        ) from error
    for path in _PLACEHOLDER.findall(text):
        if path.partition(".")[0] not in ROOTS:
            raise InvalidInputError(
                "body_template", f"body_template names {path!r}; a placeholder begins with one of {', '.join(ROOTS)}."
            )


def fill(template: str, event: Event, webhook: Webhook, name: str) -> bytes:
    """Return the body.

    Args:
        name: What the webhook's profile calls the event.

    Raises:
        RenderError: The record cannot be written as JSON, or the body is too large.
    """
    try:
        places = _Places(_values(event, webhook, name))
        if is_plain_text(webhook.headers):
            return _PLACEHOLDER.sub(places.as_text, template).encode("utf-8", "replace")
        return stable(json.dumps(places.filled(json.loads(template))))
    except RecursionError as error:
        raise RenderError("The template and the record together are nested too deeply to be sent as JSON.") from error


def _values(event: Event, webhook: Webhook, name: str) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "event": name,
        "type": event.type,
        "group": event.group_id,
        "subject": event.subject,
        "schema": event.table_schema,
        "table": event.table_name,
        "collection": event.table_name,
        "record": json.loads(document(current(event))),
        "old_record": json.loads(document(previous(event))),
        "timestamp": event_time(event).decode(),
        "webhook_id": str(webhook.id),
    }


class _Places:
    """What goes into one body, counted."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._left = MAX_FILLED_BYTES
        self._written: dict[
            str, tuple[str, int]
        ] = {}  # path to its text and bytes: a template that repeats one has it made once

    def filled(self, node: Any) -> Any:
        """Return a part of a template with its placeholders filled."""
        match node:
            case dict():
                return {key: self.filled(member) for key, member in node.items()}
            case list():
                return [self.filled(member) for member in node]
            case str():
                if whole := _PLACEHOLDER.fullmatch(node):
                    self.as_text(whole)
                    return _found(whole[1], self._values)
                return _PLACEHOLDER.sub(self.as_text, node)
            case _:
                return node

    def as_text(self, place: re.Match[str]) -> str:
        """Return what a placeholder stands for."""
        path = place[1]
        if path not in self._written:
            text = _as_text(_found(path, self._values))
            self._written[path] = text, len(text.encode("utf-8", "replace"))
        text, size = self._written[path]
        self._left -= size
        if self._left < 0:
            raise RenderError(
                f"The template makes a body of more than {MAX_FILLED_BYTES >> 20} MiB of this event. "
                "Let it name single fields, each once, instead of whole records."
            )
        return text


def _found(path: str, values: Any) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
