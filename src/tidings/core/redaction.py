"""What of an event and of its answers is not kept: rules, which of them fit, and the event without what they name.

A rule concerns what is *kept*, shown and logged; receivers are sent the whole event. What nobody may be sent is left out
where it is captured (a table's `exclude`), or by a template.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from tidings.core.errors import InvalidInputError
from tidings.core.event import Event
from tidings.core.hiding import Path, hide, parse_path

MAX_FIELDS: Final = 50  # of one rule
MAX_EVENTS: Final = 50
MAX_HEADERS: Final = 50
MAX_NAME: Final = 200
MAX_HOURS: Final = 8760
DEFAULT_RESEND_HOURS: Final = 24
RESPONSES: Final = ("full", "scrubbed", "none")  # from what keeps most to what keeps least

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_TYPE: Final = re.compile(r"[^\s.*\x00]+(\.[^\s.*\x00]+)*")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A redaction rule of a group.

    Attributes:
        events: The types it is for, families (`order.*`) or `*`.
        webhook_id: The one webhook whose deliveries it is for; None: all. Where it names fields, they are hidden of the event
            as soon as it goes to that webhook: an event is kept once, for all of its deliveries.
        fields: Paths of what is not kept of records.
        subject: Whether the event's subject and the publisher's own id are hidden as well.
        headers: Names of headers whose values are not kept of answers, nor shown of requests.
        responses: What is kept of answers: `full`, `scrubbed` of what was hidden, or `none`.
        resend_hours: For how long the whole payload stays, encrypted, after a delivery ended otherwise than well.
        payload_hours: After how many hours the payload goes while the record of the event stays; None: with its day.
    """

    id: UUID
    group_id: str
    name: str
    events: tuple[str, ...]
    webhook_id: UUID | None = None
    fields: tuple[str, ...] = ()
    subject: bool = False
    headers: tuple[str, ...] = ()
    responses: str = "full"
    resend_hours: int = DEFAULT_RESEND_HOURS
    payload_hours: int | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def hides(self) -> bool:
        """Whether it hides something of events, rather than of answers alone."""
        return bool(self.fields) or self.subject

    def is_for(self, type_: str) -> bool:
        """Whether it is for events of a type."""
        return any(
            name == "*" or (type_.startswith(name[:-1]) if name.endswith(".*") else type_ == name) for name in self.events
        )


class Redaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """What rules do to one event, as it is written down with it.

    Attributes:
        hidden: The paths by which something was hidden of it; `(subject)` for its subject.
        fields: All paths that were looked for: they are looked for in answers too.
    """

    hidden: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    subject: bool = False
    headers: tuple[str, ...] = ()
    responses: str = "full"
    resend_hours: int = 0
    payload_hours: int | None = None


SUBJECT: Final = "(subject)"

encode_mark = msgspec.json.Encoder().encode
_decode_mark = msgspec.json.Decoder(Redaction).decode


def read_mark(text: str | None) -> Redaction | None:
    """Return what was written down with an event. What cannot be read is taken for the strictest."""
    if text is None:
        return None
    try:
        return _decode_mark(text)
    except (msgspec.MsgspecError, ValueError):
        return Redaction(hidden=("**",), fields=("**",), subject=True, responses="none")


# Checking ------------------------------------------------------------------------------------------------------------------


def check_rule(rule: Rule) -> None:
    """Refuse a rule that cannot be, or that does nothing.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    if not 1 <= len(rule.name) <= MAX_NAME or not rule.name.isprintable():
        raise InvalidInputError("name", f"name must have 1 to {MAX_NAME} characters that can be seen.")
    _check_events(rule.events)
    if len(rule.fields) > MAX_FIELDS:
        raise InvalidInputError("fields", f"fields has {len(rule.fields)} entries; write at most {MAX_FIELDS}.")
    for position, path in enumerate(rule.fields):
        parse_path(path, f"fields[{position}]")
    if len(rule.headers) > MAX_HEADERS:
        raise InvalidInputError("headers", f"headers has {len(rule.headers)} entries; write at most {MAX_HEADERS}.")
    for position, name in enumerate(rule.headers):
        if not _HEADER.fullmatch(name):
            raise InvalidInputError(f"headers[{position}]", f"headers[{position}] is no name of a header.")
    if rule.responses not in RESPONSES:
        raise InvalidInputError("responses", f"responses is {rule.responses!r}; write {', '.join(RESPONSES)}.")
    if not 0 <= rule.resend_hours <= MAX_HOURS:
        raise InvalidInputError("resend_hours", f"resend_hours must be 0 to {MAX_HOURS}.")
    if rule.payload_hours is not None and not 1 <= rule.payload_hours <= MAX_HOURS:
        raise InvalidInputError("payload_hours", f"payload_hours must be 1 to {MAX_HOURS}, or null.")
    if not (rule.hides or rule.headers or rule.responses != "full" or rule.payload_hours):
        raise InvalidInputError("fields", "The rule does nothing. Name fields or headers, or say responses or payload_hours.")


def _check_events(events: Sequence[str]) -> None:
    if not 1 <= len(events) <= MAX_EVENTS:
        raise InvalidInputError("events", f"events has {len(events)} entries; write 1 to {MAX_EVENTS}, or * for all.")
    for position, name in enumerate(events):
        is_type = len(name) <= MAX_NAME and name.isprintable() and _TYPE.fullmatch(name.removesuffix(".*")) is not None
        if name != "*" and not is_type:
            raise InvalidInputError(
                f"events[{position}]",
                f"events[{position}] is {name[:60]!r}; write a type such as order.paid or table.users.updated, a family such "
                "as order.*, or * for all.",
            )


# Deciding ------------------------------------------------------------------------------------------------------------------


def redaction_of(rules: Iterable[Rule], type_: str, webhook_ids: Iterable[UUID]) -> Redaction | None:
    """Return what rules of an event's group do to it, given where it goes; None: nothing.

    Of several the strictest counts. Rules about one webhook's answers alone are asked when those come (`kept_of_answers`).
    """
    routed = set(webhook_ids)
    fitting = [
        rule
        for rule in rules
        if rule.is_for(type_)
        and (rule.webhook_id is None or (rule.webhook_id in routed and (rule.hides or rule.payload_hours)))
    ]
    return _joined(fitting) if fitting else None


def kept_of_answers(mark: Redaction | None, rules: Iterable[Rule], type_: str, webhook_id: UUID) -> Redaction | None:
    """Return what is done to the answers of one webhook: by what is written down with the event, and by its rules of now."""
    own = [rule for rule in rules if rule.webhook_id == webhook_id and rule.is_for(type_)]
    if not own:
        return mark
    joined = _joined(own)
    if mark is None:
        return joined
    return msgspec.structs.replace(
        mark,
        fields=tuple(dict.fromkeys(mark.fields + joined.fields)),
        headers=tuple(dict.fromkeys(mark.headers + joined.headers)),
        responses=max(mark.responses, joined.responses, key=RESPONSES.index),
    )


def _joined(rules: Sequence[Rule]) -> Redaction:
    hours = [rule.payload_hours for rule in rules if rule.payload_hours is not None]
    return Redaction(
        fields=tuple(dict.fromkeys(path for rule in rules for path in rule.fields)),
        subject=any(rule.subject for rule in rules),
        headers=tuple(dict.fromkeys(name.lower() for rule in rules for name in rule.headers)),
        responses=max((rule.responses for rule in rules), key=RESPONSES.index),
        resend_hours=min((rule.resend_hours for rule in rules if rule.hides), default=0),
        payload_hours=min(hours, default=None),
    )


def redacted_event(event: Event, redaction: Redaction) -> Event:
    """Return an event as it is kept, with what was done written down in it."""
    paths = [(path, parse_path(path)) for path in redaction.fields]
    hidden: dict[str, None] = {}
    record, old_record = (None if text is None else _noting(text, paths, hidden) for text in (event.record, event.old_record))
    changes: dict[str, Any] = {"record": record, "old_record": old_record}
    if event.capture_error is not None and redaction.fields:  # PostgreSQL's sentence can hold a value
        changes["capture_error"] = "The row could not be captured whole. Why is not kept, by a redaction rule."
        hidden["(capture_error)"] = None
    if redaction.subject and event.operation is None and not event.is_test:
        changes["subject"] = changes["external_id"] = None
        if event.subject is not None or event.external_id is not None:
            hidden[SUBJECT] = None
    mark = msgspec.structs.replace(redaction, hidden=tuple(hidden))
    return msgspec.structs.replace(event, **changes, redaction=encode_mark(mark).decode())


def _noting(text: str, paths: Sequence[tuple[str, Path]], hidden: dict[str, None]) -> str:
    result, found = hide(text, [path for _, path in paths])
    for written, path in paths:
        if path in found:
            hidden[written] = None
    return result


def why_unsendable(event: Event | None) -> str:
    """Return why an event cannot be sent again, with the remedy."""
    if event is not None and event.payload_gone == "erasure":
        return f"The payload of event {event.id} was erased; it cannot be sent again."
    if event is not None and event.payload_gone is not None:
        return f"The payload of event {event.id} is past the time that payloads are kept; publish it again to have it sent."
    mark = None if event is None else read_mark(event.redaction)
    hidden = "" if mark is None else f" ({', '.join(mark.hidden)})"
    return (
        f"A redaction rule keeps part of this event{hidden} only while its deliveries are under way, and they have ended; "
        "publish it again to have it sent whole. A rule's resend_hours says for how long it stays after a failure."
    )
