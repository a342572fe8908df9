"""A body of the owner's own making: JSON with `{{path}}` where something of the event goes.

A string that is nothing but one placeholder becomes what it names, with its type; a placeholder inside other text becomes text.
So the result is JSON whatever the event holds. A webhook whose own Content-Type says that its body is no JSON has a plain text
with placeholders instead.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tidings.core.errors import InvalidInputError
from tidings.core.event import Event
from tidings.core.jsontext import stable
from tidings.core.webhook import Webhook
from tidings.profiles.parts import current, document, event_time, previous

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
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
            json.loads(text)
    except ValueError as error:
        raise InvalidInputError(
            "body_template",
            f'body_template is not JSON ({error}). Put placeholders into strings: {{"title": "{{{{record.title}}}}"}}.',
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
        RenderError: The record cannot be written as JSON.
    """
    values = _values(event, webhook, name)
    if is_plain_text(webhook.headers):
        return _PLACEHOLDER.sub(lambda place: _as_text(_found(place[1], values)), template).encode("utf-8", "replace")
    return stable(json.dumps(_filled(json.loads(template), values)))


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


def _filled(node: Any, values: dict[str, Any]) -> Any:
    match node:
        case dict():
            return {key: _filled(member, values) for key, member in node.items()}
        case list():
            return [_filled(member, values) for member in node]
        case str():
            if whole := _PLACEHOLDER.fullmatch(node):
                return _found(whole[1], values)
            return _PLACEHOLDER.sub(lambda place: _as_text(_found(place[1], values)), node)
        case _:
            return node


def _found(path: str, values: Any) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
