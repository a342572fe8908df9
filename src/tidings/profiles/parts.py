"""Pieces that several bodies share."""

import json
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

import msgspec

from tidings.core import jsontext
from tidings.core.event import Event
from tidings.core.jsontext import changed_keys, stable, written

encode = msgspec.json.Encoder().encode
# The documents written last: an event with two of them that goes to many webhooks is written once, not for each.
_latest: list[tuple[str, bytes]] = [("", b""), ("", b"")]


def header_text(text: str) -> str:
    """Return text as a header can carry it, the rest by percent (CloudEvents HTTP binding, section 3.1.3.2)."""
    return "".join(c if "!" <= c <= "~" and c not in '"%' else quote(c, safe="") for c in text)


def id_text(of: UUID) -> str:
    """Return an id as text, in a quarter of the time that `str` takes."""
    return encode(of)[1:-1].decode()


def about(event: Event) -> str:
    """Return what an event is about: its table, what its publisher said, or the resource in its type."""
    return event.table_name or event.subject or event.type.partition(".")[0]


def event_time(event: Event) -> bytes:
    """Return the event's time, ISO 8601 with milliseconds and `Z`, without quotes."""
    return _instant(event.occurred_at)


def document(text: str | None) -> bytes:
    """Return a record as stable JSON, `null` when there is none.

    Raises:
        RenderError: It cannot be written as JSON.
    """
    if text is None:
        return b"null"
    for known, body in _latest:
        if known is text:
            return body
    body = stable(text)
    _latest[0], _latest[1] = _latest[1], (text, body)
    return body


def current(event: Event) -> str | None:
    """Return the row as it is now, or as it was when it was deleted."""
    return event.record if event.record is not None else event.old_record


def previous(event: Event) -> str | None:
    """Return the row as it was before an update or deletion."""
    return event.old_record if event.operation != "INSERT" else None


def changed(event: Event) -> bytes:
    """Return the columns an update changed, as a JSON list."""
    if event.operation == "UPDATE" and event.record is not None and event.old_record is not None:
        return written(changed_keys(event.record, event.old_record))
    return b"[]"


def text_member(record: str | None, *names: str) -> str | None:
    """Return the first of these members that a JSON object has, as text.

    Raises:
        RenderError: The record is not JSON.
    """
    found = members(record)
    for name in names:
        if name in found:
            value = json.loads(found[name])
            # What JSON can say and UTF-8 cannot, half a surrogate pair, identifies nothing.
            return value.encode("utf-8", "replace").decode() if isinstance(value, str) else json.dumps(value)
    return None


def members(record: str | None) -> dict[str, bytes]:
    """Return the members of a record, each as stable JSON; none when it is no object.

    Raises:
        RenderError: The record is not JSON.
    """
    return jsontext.members(document(record))


def joined(given: dict[str, bytes]) -> bytes:
    """Return an object of members that are JSON already."""
    return b"{%s}" % b",".join(b"%s:%s" % (written(name), value) for name, value in given.items())


def instant(text: bytes | None) -> bytes:
    """Return a time that PostgreSQL wrote as JSON the way JavaScript writes one; what is no time stays as it is."""
    try:
        return b'"%b"' % _instant(datetime.fromisoformat(json.loads(text or b"null")))
    except (TypeError, ValueError, OverflowError):
        return text or b"null"


def with_member(record: bytes, name: str, value: bytes) -> bytes:
    """Return a JSON object with a member more, unless it has that one or is no object."""
    if not record.startswith(b"{") or name in json.loads(record):
        return record
    separator = b"" if record == b"{}" else b","
    return b"%s%s%s:%s}" % (record[:-1], separator, encode(name), value)


def _instant(at: datetime) -> bytes:
    """Return an aware time as JavaScript's Date writes it: UTC, with milliseconds."""
    at = at.astimezone(UTC)
    text = encode(at)  # in quotes, with six digits of a second or none
    return (text[1:24] if at.microsecond else text[1:20] + b".000") + b"Z"
