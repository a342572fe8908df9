"""What a list of history is asked for, read from the query string of its page."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tidings.core.errors import InvalidInputError
from tidings.operations.history.asking import deliveries_asked, events_asked
from tidings.operations.history.search import Asked

OF_DELIVERIES = (
    "status", "webhook", "type", "table", "record_id", "text", "since", "until", "failure", "response_status", "event_id",
)  # fmt: skip
OF_EVENTS = ("type", "table", "record_id", "text", "since", "until", "subject", "external_id", "wanted")
MAX_VALUE = 500  # characters of a parameter
_AGO = re.compile(r"(\d{1,5}) ?(min|m|h|d)")
_UNITS = {"min": "minutes", "m": "minutes", "h": "hours", "d": "days"}


def time_named(field: str, text: str, now: datetime) -> datetime | None:
    """Return the time that a text means: `30min`, `1h`, `7d` ago, a day, or a moment; UTC where no zone is said.

    Raises:
        InvalidInputError: It means none.
    """
    text = text.strip()
    if not text:
        return None
    if ago := _AGO.fullmatch(text.removesuffix(" ago")):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(
            field, f"{field} is {text[:40]!r}; write how long ago, such as 1h or 7d, or a time such as 2026-11-21 14:00."
        ) from error
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInputError(field, f"{field} is {text[:40]!r}, which is too far away.") from error


def question_of_deliveries(group_id: str, asked: Mapping[str, str], now: datetime) -> Asked:
    """Return what deliveries are asked for; which webhook is meant is looked up elsewhere.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    return deliveries_asked(
        group_id,
        since=time_named("since", asked.get("since", ""), now),
        until=time_named("until", asked.get("until", ""), now),
        type=_words("type", asked),
        table=_table(asked),
        record_id=asked.get("record_id"),
        text=asked.get("text"),
        status=_words("status", asked),
        event_id=_event_id(asked),
        failure=_words("failure", asked),
        response_status=_words("response_status", asked),
    )


def question_of_events(group_id: str, asked: Mapping[str, str], now: datetime) -> Asked:
    """Return what events are asked for.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    wanted = asked.get("wanted", "")
    if wanted not in ("", "no"):
        raise InvalidInputError("wanted", f"wanted is {wanted[:40]!r}; write no, or leave it out.")
    return events_asked(
        group_id,
        since=time_named("since", asked.get("since", ""), now),
        until=time_named("until", asked.get("until", ""), now),
        type=_words("type", asked),
        table=_table(asked),
        record_id=asked.get("record_id"),
        subject=asked.get("subject"),
        external_id=asked.get("external_id"),
        text=asked.get("text"),
        unwanted=wanted == "no",
    )


def _words(field: str, asked: Mapping[str, str]) -> list[str]:
    """Return the words of a field as a list of history takes them; commas that somebody is about to go on from say nothing."""
    text = asked.get(field, "").strip(" ,")
    return [text] if text else []


def _table(asked: Mapping[str, str]) -> str | None:
    """Return the table that is named, as far as it is: after `sales.` a name is still to come."""
    return asked.get("table", "").rstrip(".") or None


def _event_id(asked: Mapping[str, str]) -> UUID | None:
    text = asked.get("event_id", "").strip()
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInputError("event_id", f"event_id is {text[:40]!r}, which is no id of an event.") from error


def settled(asked: Mapping[str, str], question: Asked) -> dict[str, str]:
    """Return the parameters with times that stay what they are: a page and the next must ask for the same."""
    bounds = {"since": question.question.since, "until": question.question.until}
    return {**asked, **{name: at.isoformat().replace("+00:00", "Z") for name, at in bounds.items() if at is not None}}
