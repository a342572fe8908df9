"""Erasure by subject: a job that takes what is kept of somebody out of all places, and leaves a report.

A subject is a value at a path of payloads (`customer.id` is 42), or a text, such as an address, that stands anywhere in them.
An event that is about it loses its payload and all that was answered to it; its record, with ids, times and outcomes, stays and
says so. What happened up to the moment when the erasure was asked for is covered; what is published afterwards is not: stop the
source first.

It walks along stage by stage, a bounded number of rows at a time (`core.job`). Deliveries that are under way hold what is sent:
their events are noted and come last, once they have ended (`finish`), or after those that wait are cancelled (`cancel`).
"""

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from tidings.core import job
from tidings.core.errors import InvalidInputError
from tidings.core.hiding import anywhere, hidden_values, hide, parse_path, strings_of
from tidings.core.job import Job, State
from tidings.core.scrubbing import forms_of

MAX_VALUE: Final = 1000  # characters of a subject
MIN_TEXT: Final = 4  # of a text: a shorter one stands in everything
MAX_OPEN: Final = 3  # of a group at a time
ERASED: Final = "Erased."
WAIT_LATER: Final = timedelta(seconds=5)


class Pending(StrEnum):
    """What becomes of deliveries that are not over: they end first, or are cancelled."""

    FINISH = "finish"
    CANCEL = "cancel"


class Stage(StrEnum):
    """What an erasure looks through, in this order."""

    OUTBOX = "outbox"  # what was committed before is routed first
    EVENTS = "events"
    DELIVERIES = "deliveries"
    ATTEMPTS = "attempts"
    QUEUE = "queue"
    SET_ASIDE = "set_aside"
    BINS = "bins"
    OBJECTS = "objects"
    RUNS = "runs"
    RECOVERIES = "recoveries"
    LANES = "lanes"
    WAITS = "waits"  # events that had deliveries under way


STAGES: Final = tuple(Stage)

# What is told in a report, and what it is in words.
PLACES: Final[dict[str, str]] = {
    "events": "events, their payloads as they were sent among them",
    "answers": "answers to these events",
    "deliveries": "answers to other events",
    "attempts": "answers to other events, of attempts before the last",
    "queue": "reasons why waiting deliveries failed last",
    "set_aside": "rows that were set aside",
    "bins": "requests that came to bins",
    "objects": "objects of integrations",
    "runs": "results of scheduled SQL",
    "recoveries": "questions of recoveries",
    "lanes": "reasons why loops were ended",
    "published": "ids that publishers gave",
    "cancelled": "deliveries that were cancelled",
}


class Count(msgspec.Struct, frozen=True):
    """How many rows of a place were about the subject, and of how many that was taken out."""

    found: int = 0
    erased: int = 0


Report = dict[str, Count]


class Subject(msgspec.Struct, frozen=True):
    """Whose data is erased: a value at a path, or a text anywhere. It is kept encrypted, while the job runs."""

    value: str
    path: str | None = None


class Erasure(Job, frozen=True, kw_only=True):
    """An erasure as it is written down.

    Attributes:
        path: Where the value stands; None: anywhere.
        subject: None once it is over.
        subject_hash: By which who knows the subject can find the erasure.
        until: What happened before is covered.
        position: Behind which the stage goes on; None: from its beginning.
    """

    path: str | None
    subject: Subject | None
    subject_hash: bytes
    dry_run: bool
    pending: Pending
    until: datetime
    stage: Stage = Stage.OUTBOX
    position: str | None = None
    report: Report = msgspec.field(default_factory=dict)

    @property
    def progress(self) -> float:
        """Which share of the stages is behind it."""
        return 1.0 if self.state is State.DONE else STAGES.index(self.stage) / len(STAGES)


class Done(msgspec.Struct, frozen=True):
    """What a chunk did. `position`: where the stage goes on; None: it is over. `waits_for`: why it goes on later."""

    position: str | None
    counts: Report = {}
    waits_for: str | None = None


def new(
    id_: UUID, group_id: str, subject: Subject, subject_hash: bytes, now: datetime, *, dry_run: bool, pending: str
) -> Erasure:
    """Return an erasure that begins now.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    check_subject(subject)
    if pending not in set(Pending):
        raise InvalidInputError("pending", f"pending is {pending[:40]!r}; write finish or cancel.")
    return Erasure(
        id=id_,
        group_id=group_id,
        path=subject.path,
        subject=subject,
        subject_hash=subject_hash,
        dry_run=dry_run,
        pending=Pending(pending),
        until=now,
        created_at=now,
        updated_at=now,
        due_at=now,
    )


def check_subject(subject: Subject) -> None:
    """Refuse a subject that cannot be looked for.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    if subject.path is not None:
        parse_path(subject.path, "field")
    if not 1 <= len(subject.value) <= MAX_VALUE or "\x00" in subject.value:
        raise InvalidInputError("value", f"value must have 1 to {MAX_VALUE} characters.")
    if subject.path is None and len(subject.value.strip()) < MIN_TEXT:
        raise InvalidInputError(
            "value", f"A text of fewer than {MIN_TEXT} characters stands in too much. Say in which field the value is."
        )


def advanced(erasure: Erasure, done: Done, now: datetime) -> Erasure:
    """Return an erasure after a chunk."""
    is_at_end = done.position is None and done.waits_for is None
    is_last = erasure.stage is STAGES[-1]
    return _without_subject(
        job.worked(
            erasure,
            now,
            due_at=now if done.waits_for is None else now + WAIT_LATER,
            waits_for=done.waits_for,
            is_done=is_at_end and is_last,
            stage=STAGES[STAGES.index(erasure.stage) + 1] if is_at_end and not is_last else erasure.stage,
            position=done.position,
            report=added(erasure.report, done.counts),
        )
    )


def refused(erasure: Erasure, reason: str, now: datetime) -> Erasure:
    """Return an erasure after a chunk that PostgreSQL refused."""
    return _without_subject(job.refused(erasure, reason, "Put that right, and ask for it again.", now))


def failed(erasure: Erasure, error: str, now: datetime) -> Erasure:
    """Return an erasure, ended with a sentence."""
    return _without_subject(job.failed(erasure, error, now))


def cancelled(erasure: Erasure, now: datetime) -> Erasure:
    """Return an erasure that somebody ends. What it has erased stays erased.

    Raises:
        ConflictError: It is over.
    """
    return _without_subject(job.cancelled(erasure, "erasure", now))


def _without_subject(erasure: Erasure) -> Erasure:
    """Return an erasure that keeps its subject no longer than it needs it."""
    return erasure if erasure.is_open else msgspec.structs.replace(erasure, subject=None)


def added(report: Report, counts: Report) -> Report:
    """Return a report with further counts."""
    total = dict(report)
    for place, count in counts.items():
        before = total.get(place, Count())
        total[place] = Count(before.found + count.found, before.erased + count.erased)
    return total


# Finding -------------------------------------------------------------------------------------------------------------------


class Finder:
    """Tells which texts are about a subject."""

    def __init__(self, subject: Subject) -> None:
        self._path = None if subject.path is None else parse_path(subject.path)
        self._anywhere = None if subject.path is None else anywhere(subject.path)
        self._value = subject.value
        self._number = _number(subject.value)
        self._forms = {form.lower() for form in forms_of(subject.value)}

    def in_record(self, text: str | None) -> bool:
        """Tell whether a payload is about the subject: a JSON document, looked at from its top."""
        if text is None:
            return False
        if self._path is None:
            return self._in_strings(text)
        return self._at(text, self._path)

    def in_words(self, *texts: str | None) -> bool:
        """Tell whether words of people or programs hold the subject. A value of a field is not looked for in them."""
        return self._path is None and any(text is not None and self._finds(text) for text in texts)

    def in_answer(self, *texts: str | None) -> bool:
        """Tell whether something whose shape is not known is about the subject: JSON is looked through at any depth."""
        if self._anywhere is None:
            return any(text is not None and (self._finds(text) or self._in_strings(text)) for text in texts)
        found = self._anywhere
        return any(text is not None and text.lstrip()[:1] in {"{", "["} and self._at(text, found) for text in texts)

    def _finds(self, text: str) -> bool:
        lowered = text.lower()
        return any(form in lowered for form in self._forms)

    def _in_strings(self, text: str) -> bool:
        """Look at a document as it is read: what is escaped in it is found too."""
        if self._finds(text):
            return True
        if "\\" not in text:
            return False
        try:
            return self._finds("\n".join(strings_of(text)))
        except (ValueError, RecursionError):
            return False

    def _at(self, text: str, path: tuple[str, ...]) -> bool:
        kept, found = hide(text, [path])
        values = hidden_values(text, kept) if found else []
        return self._finds(text) if values is None else any(map(self._is, values))

    def _is(self, value: str) -> bool:
        if value.casefold() == self._value.casefold():
            return True
        return self._number is not None and _number(value) == self._number


def _number(text: str) -> Decimal | None:
    """Return the number that a text is, so that 42, 42.0 and "42" are one subject."""
    if "_" in text:  # which Python reads as digits of one number
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
