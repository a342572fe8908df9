"""What a list of history is asked for, read from the words of a query. What means nothing is refused, with near names."""

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from difflib import get_close_matches
from uuid import UUID

import msgspec

from tidings.core import vocabulary
from tidings.core.delivery import State
from tidings.core.errors import InvalidInputError
from tidings.core.event import TEST_TYPE
from tidings.core.outcome import FAILURES
from tidings.core.table_name import parse_name
from tidings.core.vocabulary import OPEN, Vocabulary

MAX_WORDS = 20  # of one filter
MAX_WORD_LENGTH = 200
MIN_TEXT_LENGTH = 3
MAX_TEXT_LENGTH = 200

_SYSTEMS = (vocabulary.VIVREAL, vocabulary.VIVREAL_CONTENT, vocabulary.FLUXBASE, vocabulary.VSKI)
_OURS = frozenset({TEST_TYPE, *(type_ for system in _SYSTEMS for type_ in system.sent or ())})
_THEIRS = frozenset(name for system in _SYSTEMS for name in (*(system.sent or {}).values(), system.test))
_TYPE = re.compile(r"[^\s.*\x00]+(\.[^\s.*\x00]+)*(\.\*)?")  # a type, or a family of them
_STATUS = re.compile(r"[1-9]([0-9]{2}|xx)")  # what receivers answer has three digits, and is kept as it is


class Kinds(msgspec.Struct, frozen=True):
    """Types of events: those named, those of families (`order.`), and changes of captured tables by their operation."""

    types: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of events or deliveries is to hold. What is not said holds for everything.

    Attributes:
        since: By the time of the event, from then on.
        until: Before then.
        schema, table: What row changes are of; a schema needs a table.
        record_id: Which row; needs a table.
        subject: What events that are no row's change are about.
        text: Stands in the payload, whatever the case of its letters.
        unwanted: Of events alone: only those that no webhook wanted.
        states, webhook_id, event_id, failures, statuses, classes: Of deliveries alone. `classes`: 5 stands for 500 to 599.
        ids: Deliveries named one by one, in order; nothing else is asked then but their states. Only recoveries ask so.
    """

    group_id: str
    since: datetime | None = None
    until: datetime | None = None
    kinds: Kinds | None = None
    schema: str | None = None
    table: str | None = None
    record_id: str | None = None
    subject: str | None = None
    external_id: str | None = None
    text: str | None = None
    unwanted: bool = False
    states: tuple[State, ...] = ()
    webhook_id: UUID | None = None
    event_id: UUID | None = None
    failures: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    ids: tuple[UUID, ...] = ()


def checked(question: Question) -> Question:
    """Return the question, when its parts go together.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    check_times(question.since, question.until)
    if question.record_id is not None and question.table is None:
        raise InvalidInputError("record_id", "record_id says nothing without table; write the record's table too.")
    if question.subject is not None and question.table is not None:
        raise InvalidInputError("subject", "subject is for events that are no row's change; leave it or table out.")
    if question.text is not None and not MIN_TEXT_LENGTH <= len(question.text) <= MAX_TEXT_LENGTH:
        raise InvalidInputError("text", f"text must have {MIN_TEXT_LENGTH} to {MAX_TEXT_LENGTH} characters.")
    for field in ("schema", "table", "record_id", "subject", "external_id", "text"):
        if "\x00" in (getattr(question, field) or ""):
            raise InvalidInputError(field, f"{field} contains U+0000, which no event does.")
    return question


def check_times(since: datetime | None, until: datetime | None) -> None:
    """Refuse times that have no zone, or are exchanged.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    for field, at in (("since", since), ("until", until)):
        if at is not None and at.tzinfo is None:
            raise InvalidInputError(field, f"{field} has no zone; write 2026-11-21T03:42:37Z.")
    if since is not None and until is not None and since >= until:
        raise InvalidInputError("until", "until is not after since; exchange them, or leave one out.")


def words_of(field: str, given: Iterable[str] | None) -> tuple[str, ...]:
    """Return the words of a filter that may be given several times, or once with commas.

    Raises:
        InvalidInputError: They are too many, or one is too long or empty.
    """
    words = tuple(dict.fromkeys(word.strip() for text in given or () for word in text.split(",")))
    if len(words) > MAX_WORDS:
        raise InvalidInputError(field, f"{field} has {len(words)} words; ask for at most {MAX_WORDS} at once.")
    if any(not 1 <= len(word) <= MAX_WORD_LENGTH or "\x00" in word for word in words):
        raise InvalidInputError(field, f"{field} has an empty word, or one of more than {MAX_WORD_LENGTH} characters.")
    return words


def states_named(words: Sequence[str], field: str = "status") -> tuple[State, ...]:
    """Return the states that words name.

    Raises:
        InvalidInputError: One names none.
    """
    return tuple(State(_known(field, word, tuple(State))) for word in words)


def failures_named(words: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of failure that words name.

    Raises:
        InvalidInputError: One names none.
    """
    return tuple(_known("failure", word, FAILURES) for word in words)


def _known(field: str, word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise InvalidInputError(field, f"{field} is {word!r}{_nearest(word, known)}; there are {', '.join(known)}.")
    return word


def statuses_named(words: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the response statuses, and the classes of them, that words such as `404` and `5xx` name.

    Raises:
        InvalidInputError: One names none.
    """
    for word in words:
        if not _STATUS.fullmatch(word):
            raise InvalidInputError(
                "response_status", f"response_status is {word!r}; write a status such as 404, or a class such as 5xx."
            )
    classes = tuple(int(word[0]) for word in words if word.endswith("xx"))
    return tuple(int(word) for word in words if not word.endswith("xx")), classes


def table_named(name: str | None) -> tuple[str | None, str | None]:
    """Return schema and table of a name: `orders` in any schema, or `sales.orders`."""
    return (None, name) if name is None else parse_name(name)


def kinds_named(
    words: Sequence[str], seen: Collection[str], near: Collection[str], own: Vocabulary = OPEN, *, may_be_new: bool = False
) -> Kinds | None:
    """Return the kinds that words name: in our words, or as receivers know them.

    Args:
        seen: Those of the words that events of the group have, or families that one of their types is in.
        near: Types of the group, to tell the nearest names from.
        own: The vocabulary of the webhook that is asked for, whose words come first. Without one ours come first, then those
            of every system.
        may_be_new: A word that names nothing and could be a type stands for itself.

    Returns:
        None when the words stand for every type.

    Raises:
        InvalidInputError: One names nothing.
    """
    types: list[str] = []
    operations: list[str] = []
    for word in words:
        if word == "*":
            return None
        named = _named_by(own, word)
        if not named[0]:
            named = _named_by_us(word, seen)
        if not named[0]:
            by_systems = [_named_by(system, word) for system in _SYSTEMS]
            named = (sum((types for types, _ in by_systems), ()), sum((operations for _, operations in by_systems), ()))
        if not named[0] and may_be_new and _TYPE.fullmatch(word):
            named = (word,), ()
        if not named[0]:
            known = {*near, *_OURS, *_THEIRS}
            raise InvalidInputError(
                "type", f"type is {word!r}, of which there is no event{_nearest(word, known)}. Families end in .*: order.*"
            )
        types += named[0]
        operations += named[1]
    exact = (type_ for type_ in types if not type_.endswith("*"))
    families = (type_[:-1] for type_ in types if type_.endswith("*"))
    return Kinds(*(tuple(dict.fromkeys(names)) for names in (exact, families, operations)))


_Named = tuple[tuple[str, ...], tuple[str, ...]]


def _named_by(system: Vocabulary, word: str) -> _Named:
    """Return the types and operations that a word stands for in a system."""
    if system.sent is None:
        return (), ()
    if word == system.test:
        return (TEST_TYPE,), ()
    try:
        return system.types_named(word, "type"), system.operations_named(word)
    except InvalidInputError:
        return (), ()


def _named_by_us(word: str, seen: Collection[str]) -> _Named:
    if word.endswith(".*"):
        is_ours = word == "table.*" or word in seen or any(type_.startswith(word[:-1]) for type_ in _OURS)
    else:
        is_ours = word in seen or word in _OURS
    return ((word,), ()) if is_ours else ((), ())


def _nearest(word: str, known: Collection[str]) -> str:
    close = get_close_matches(word, known, 3, 0.7)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
