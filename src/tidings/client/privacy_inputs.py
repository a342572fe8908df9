"""What is said to the API about privacy."""

from typing import Required, TypedDict

from tidings.client.filters import Id


class RedactionChange(TypedDict, total=False):
    """What of a redaction rule is to change."""

    name: str
    events: list[str]
    webhook_id: Id | None
    fields: list[str]
    subject: bool
    headers: list[str]
    responses: str
    resend_hours: int
    payload_hours: int | None


class RedactionInput(RedactionChange, total=False):
    """A redaction rule: of which events, and what of them and of their answers is not kept."""

    events: Required[list[str]]  # type: ignore[misc]  # it is required here alone


class RedactionPreviewInput(TypedDict, total=False):
    """A rule to try, and the event to try it on; the latest that it is for when none is named."""

    rule: Required[RedactionChange]
    event_id: Id | None


class SubjectInput(TypedDict, total=False):
    """A subject: a value at a path of payloads, or without `field` a text that stands in them anywhere."""

    value: Required[str | int]
    field: str | None


class ErasureInput(SubjectInput, total=False):
    """Whose data is erased. `pending`: what is not delivered yet is delivered first (`finish`), or not at all (`cancel`)."""

    dry_run: bool
    pending: str
