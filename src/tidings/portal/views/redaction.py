"""Redaction rules as pages show them: the list, the form, and what a rule would do to an event that happened."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET

from tidings.core.redaction import MAX_NAME, Rule
from tidings.operations.redaction import RuleChange
from tidings.operations.redaction import Shown as Tried
from tidings.portal.views.documents import Diff, diff
from tidings.portal.views.lists import Column, Field, Option, Pager, Row, Table
from tidings.portal.views.sections import SETTINGS, Section, sections
from tidings.portal.views.small import Empty, Id, When, ident, when
from tidings.portal.views.text import Shown, visible

PATH = "/settings/redaction"
MAX_SHOWN = 3  # paths or types in a row of the list
RESPONSES = (
    ("none", "nothing: status and times alone"),
    ("scrubbed", "all but what is hidden of the event"),
    ("full", "all of them"),
)


class RuleRow(msgspec.Struct, frozen=True):
    """A rule in the list."""

    name: Shown
    events: Shown
    hides: Shown
    answers: str
    ends: str
    changed: When


class RulesView(msgspec.Struct, frozen=True):
    """The rules of a group."""

    sections: tuple[Section, ...]
    table: Table
    pager: Pager
    empty: Empty | None


class TriedView(msgspec.Struct, frozen=True):
    """What a rule would do to an event."""

    event: Id
    type: Shown
    hidden: tuple[Shown, ...]
    record: Diff
    old_record: Diff | None
    said: str


class RuleFormView(msgspec.Struct, frozen=True):
    """The form of a rule. `delete`: where it is deleted; empty for a new one."""

    sections: tuple[Section, ...]
    path: str
    action: str
    delete: str
    fields: Mapping[str, Field]
    error: str
    tried: TriedView | None


def rules_view(found: Sequence[Rule], pager: Pager, now: datetime) -> RulesView:
    """Return the list."""
    columns = (
        Column("Rule", "wide"),
        Column("Events", "wide"),
        Column("Hides", "wide", is_minor=True),
        Column("Keeps of answers", is_minor=True),
        Column("Payloads", is_minor=True),
        Column("Changed"),
    )
    rows = tuple(Row(str(rule.id), f"{PATH}/{rule.id}", rule.name, _row(rule, now)) for rule in found)
    empty = Empty(
        "No redaction rules",
        "Everything is kept as it was sent and answered, for as long as history. A rule says what is not.",
        "New redaction rule",
        f"{PATH}/new",
    )
    return RulesView(sections(SETTINGS, PATH), Table("rules", "Redaction rules", columns, rows), pager, None if rows else empty)


def _row(rule: Rule, now: datetime) -> RuleRow:
    hides = [*rule.fields, *(["the subject"] if rule.subject else []), *(f"header {name}" for name in rule.headers)]
    return RuleRow(
        visible(rule.name, limit=MAX_NAME),
        visible(_some(rule.events), limit=200),
        visible(_some(hides) or "nothing", limit=200),
        rule.responses,
        "with history" if rule.payload_hours is None else f"{rule.payload_hours} h",
        when(rule.updated_at, now),
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(names[:MAX_SHOWN]) + more


def written_of(rule: Rule) -> dict[str, str]:
    """Return a rule as its form has it."""
    return {
        "name": rule.name,
        "events": "\n".join(rule.events),
        "webhook_id": "" if rule.webhook_id is None else str(rule.webhook_id),
        "fields": "\n".join(rule.fields),
        "subject": "true" if rule.subject else "",
        "headers": "\n".join(rule.headers),
        "responses": rule.responses,
        "resend_hours": str(rule.resend_hours),
        "payload_hours": "" if rule.payload_hours is None else str(rule.payload_hours),
    }


def said_in(form: Mapping[str, str]) -> tuple[RuleChange, dict[str, str]]:
    """Return the rule that a form says, and of each field that cannot be read what is wrong with it."""
    errors: dict[str, str] = {}

    def hours(name: str) -> Any:
        text = form.get(name, "").strip()
        if not text:
            return None if name == "payload_hours" else UNSET
        if text.isascii() and text.isdecimal() and len(text) < 6:
            return int(text)
        errors[name] = "Write a number of hours."
        return UNSET

    webhook_id: UUID | None = None
    if text := form.get("webhook_id", "").strip():
        try:
            webhook_id = UUID(text)
        except ValueError:
            errors["webhook_id"] = "Write the id of a webhook, or nothing for all."
    said = RuleChange(
        name=form.get("name", "").strip() or "redaction",
        events=_lines(form.get("events", "")),
        webhook_id=webhook_id,
        fields=_lines(form.get("fields", "")),
        subject=form.get("subject") == "true",
        headers=_lines(form.get("headers", "")),
        responses=form.get("responses", "none"),
        resend_hours=hours("resend_hours"),
        payload_hours=hours("payload_hours"),
    )
    return said, errors


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def form_view(
    rule_id: UUID | None, written: Mapping[str, str], errors: Mapping[str, str], tried: Tried | None = None
) -> RuleFormView:
    """Return the form of a rule, a new one where there is no id."""
    wrong = {field.partition("[")[0]: text for field, text in errors.items()}
    fields = {one.name: one for one in _fields(written, wrong)}
    path = f"{PATH}/{rule_id or 'new'}"
    return RuleFormView(
        sections(SETTINGS, PATH),
        path,
        "Make the rule" if rule_id is None else "Save",
        "" if rule_id is None else f"{path}/delete",
        fields,
        " ".join(text for field, text in wrong.items() if field not in fields),
        None if tried is None else tried_view(tried),
    )


def _fields(written: Mapping[str, str], wrong: Mapping[str, str]) -> tuple[Field, ...]:
    def of(name: str, label: str, kind: str = "text", *, otherwise: str = "", **more: Any) -> Field:
        return Field(name, label, kind, written.get(name, otherwise)[:10_000], error=wrong.get(name, ""), **more)

    chosen = written.get("responses", "none")
    options = tuple(Option(value, label, value == chosen) for value, label in RESPONSES)
    return (
        of("name", "Name", max_length=MAX_NAME, hint="For people."),
        of("events", "Events", "area", otherwise="*", is_required=True, is_code=True, max_length=10_000,
           hint="The types it is for, one a line: order.paid, a family such as order.*, or * for all."),
        of("webhook_id", "Only of one webhook", is_code=True, when_empty="empty: all",
           hint="Its id. What fields name is hidden of an event as soon as it goes there."),
        of("fields", "Hide these fields of payloads", "area", is_code=True, max_length=10_000,
           hint="Paths, one a line: customer.email, items.card (of each item), **.card (at any depth), * (everything)."),
        of("subject", "Hide the subject and the publisher’s id too", "check"),
        of("headers", "Hide these headers", "area", is_code=True, max_length=10_000,
           hint="One a line: of answers they are not kept, of requests they are not shown."),
        Field("responses", "Keep of answers", "choice", options=options, error=wrong.get("responses", ""), is_required=True),
        of("resend_hours", "Hours for sending again", "number", otherwise="24",
           hint="For so long the whole payload stays, encrypted, after a delivery failed."),
        of("payload_hours", "Hours that payloads are kept", "number", when_empty="empty: as long as history",
           hint="Afterwards the record of the event stays, without its payload."),
        of("event_id", "Try it on", is_code=True, when_empty="empty: the latest it is for", hint="The id of an event."),
    )  # fmt: skip


_HIDDEN_IN = ("record", "old_record", "subject", "external_id")


def tried_view(tried: Tried) -> TriedView:
    """Return what a rule would do to an event."""
    before, after, hidden = tried.before, tried.after, tried.redaction.hidden
    if not hidden:
        said = "Nothing of this event would be hidden: none of the paths is in it."
    elif all(getattr(before, name) == getattr(after, name) for name in _HIDDEN_IN):
        said = "All of this is hidden of the event already, by a rule that there is. Try it on an event from before that rule."
    else:
        said = "Receivers are sent what has a minus; what has a plus would be kept."
    return TriedView(
        ident(before.id, f"/events/{before.id}"),
        visible(before.type, limit=200),
        tuple(visible(path, limit=200) for path in hidden),
        diff(_pretty(before.record), _pretty(after.record)),
        None if before.old_record is None else diff(_pretty(before.old_record), _pretty(after.old_record)),
        said,
    )


def _pretty(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return json.dumps(json.loads(text, parse_float=str, parse_int=str), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
