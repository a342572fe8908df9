"""The words of a search of history, as a list's query or a body says them: read into what is asked, and told again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tidings.core.question import Question, checked, failures_named, states_named, statuses_named, table_named, words_of
from tidings.operations.history.search import Asked

DELIVERY_WORDS = (
    "since", "until", "type", "table", "record_id", "text", "status", "webhook_id", "event_id", "failure", "response_status",
)  # fmt: skip


def deliveries_asked(
    group_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    type: Sequence[str] | None = None,  # noqa: A002 - the name it has everywhere
    table: str | None = None,
    record_id: str | None = None,
    text: str | None = None,
    status: Sequence[str] | None = None,
    webhook_id: UUID | None = None,
    event_id: UUID | None = None,
    failure: Sequence[str] | None = None,
    response_status: Sequence[str] | None = None,
) -> Asked:
    """Return what deliveries are asked for. Words of a list may stand in one text, with commas.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    schema, name = table_named(table)
    statuses, classes = statuses_named(words_of("response_status", response_status))
    question = Question(
        group_id=group_id,
        since=since,
        until=until,
        schema=schema,
        table=name,
        record_id=record_id,
        text=text,
        states=states_named(words_of("status", status)),
        webhook_id=webhook_id,
        event_id=event_id,
        failures=failures_named(words_of("failure", failure)),
        statuses=statuses,
        classes=classes,
    )
    return Asked(checked(question), words_of("type", type))


def events_asked(
    group_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    type: Sequence[str] | None = None,  # noqa: A002 - the name it has everywhere
    table: str | None = None,
    record_id: str | None = None,
    subject: str | None = None,
    external_id: str | None = None,
    text: str | None = None,
    unwanted: bool = False,
) -> Asked:
    """Return what events are asked for.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    schema, name = table_named(table)
    question = Question(
        group_id=group_id,
        since=since,
        until=until,
        schema=schema,
        table=name,
        record_id=record_id,
        subject=subject,
        external_id=external_id,
        text=text,
        unwanted=unwanted,
    )
    return Asked(checked(question), words_of("type", type))


def as_words(question: Question) -> dict[str, str]:
    """Return the words that ask a question, as the parameters of a list say them. Types are in our words."""
    kinds = question.kinds
    types = () if kinds is None else (*kinds.types, *(f"{family}*" for family in kinds.families), *kinds.operations)
    table = question.table if question.schema is None else f"{question.schema}.{question.table}"
    said: dict[str, Any] = {
        "since": question.since,
        "until": question.until,
        "type": types,
        "table": table,
        "record_id": question.record_id,
        "subject": question.subject,
        "external_id": question.external_id,
        "text": question.text,
        "status": question.states,
        "webhook_id": question.webhook_id,
        "event_id": question.event_id,
        "failure": question.failures,
        "response_status": (*question.statuses, *(f"{class_}xx" for class_ in question.classes)),
    }
    return {word: _word(value) for word, value in said.items() if value not in (None, ())}


def _word(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
