"""Which way history is searched, and how far at a time.

A list can be asked for by anything, in history of any size. So nothing is left to PostgreSQL's planner: a question is answered
by one *drive*, a statement that walks one index from its end and lets through what fits the rest of the question. It walks a
*window* of so many rows, and says how far it came; windows follow each other until the page is full or the *budget* of one call
is used. Then the answer says how far it looked, and a cursor goes on from there. So a page costs a bounded number of rows,
whatever is asked, and every row is looked at once.

Ids begin with the time of their event, and partitions are by day of the id: bounds on time are bounds on ids, and the other
partitions are not opened. What must stay in step: `store/sql/search.sql`, where the drives are.

Deliveries that are found by way of their events come in the order of events, which within one millisecond is another than their
own. So such a window counts only whole milliseconds. One in which more happened than a window holds (a batch can have ten
thousand events of one time) is *crowded*, and is searched by the ids of deliveries instead.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.delivery import FINISHED, State
from tidings.core.event import about_hash, delivery_id_bounds, milliseconds
from tidings.core.question import Question

SMALL_SHARE: Final = 0.25  # of all events; below it a group's rows are not looked for among those of the others
MAX_KINDS: Final = 50  # types that are searched one by one; more are let through row by row
ROW_BUDGET: Final = 20_000  # rows that one call looks at
SECONDS_BUDGET: Final = 0.01  # after which a call begins no other window, where its caller goes on by cursor
TEXT_ROWS: Final = 500  # events whose text is looked at in one window
TEXT_BYTES: Final = 8_388_608  # of them, as they are stored
COUNT_BOUND: Final = 10_000  # counts are exact up to here
COUNTED_SLOWLY: Final = 1_500  # rows that a count looks at where each needs a look at its event

_FIRST_LOOSE_WINDOW = 500
_LARGEST_WINDOW = 5_000
_LARGEST_WINDOW_OF_EVENTS = 1_500
_SMALLEST_LANE = 20  # rows of each type, where several are searched
_MILLISECOND = 1 << 80
_HIGHEST = UUID(int=(1 << 128) - 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSUCCESSFUL = frozenset({State.FAILED, State.CANCELLED})


class Span(msgspec.Struct, frozen=True):
    """Ids from `low` on and before `high`."""

    low: UUID = UUID(int=0)
    high: UUID = _HIGHEST

    def within(self, other: "Span") -> "Span":
        """Return the ids that are in both."""
        return Span(max(self.low, other.low), min(self.high, other.high))

    def milliseconds(self) -> "Span":
        """Return all ids of the milliseconds that it has a part of."""
        return Span(_begin_of(self.low), _end_of(UUID(int=max(self.high.int - 1, 0))))


def _begin_of(id_: UUID) -> UUID:
    return UUID(int=id_.int // _MILLISECOND * _MILLISECOND)


def _end_of(id_: UUID) -> UUID:
    return UUID(int=min((id_.int // _MILLISECOND + 1) * _MILLISECOND, _HIGHEST.int))


def id_time(id_: UUID) -> datetime:
    """Return the time in an id, to the millisecond: when its event happened."""
    return _EPOCH + timedelta(milliseconds=min(id_.int >> 80, 253_402_300_799_999))


class Drive(msgspec.Struct, frozen=True):
    """A way to search.

    Attributes:
        statement: Which, in `store/sql/search.sql`.
        asked: The whole question.
        left: What of it the way itself does not see to.
        span: Ids that can fit.
        kinds, about: What events are found by, where deliveries or events are found by them.
        exact_ids_from: The first id of a delivery that tells its event.
        is_exact: All that it walks along fits, or nearly.
    """

    statement: str
    asked: Question
    left: Question
    span: Span
    kinds: tuple[str, ...] = ()
    about: int | None = None
    exact_ids_from: UUID = UUID(int=0)
    is_exact: bool = False

    @property
    def is_by_event(self) -> bool:
        """Whether deliveries are found by way of their events."""
        return self.statement in {"deliveries_by_kind", "deliveries_by_about"}

    @property
    def looks_at_events(self) -> bool:
        """Whether each delivery needs a look at its event."""
        return self.is_by_event or asks_of_event(self.left)


class Known(msgspec.Struct, frozen=True):
    """What a decision depends on beside the question.

    Attributes:
        kinds: The types asked for, each by its name, or all of the group where none is; None: they are too many, or unknown.
        share: Which part of the newest events is this group's; the rows of others stand between them.
        exact_ids_from: The first id of a delivery that tells its event.
    """

    kinds: tuple[str, ...] | None
    share: float
    exact_ids_from: UUID


def span_of(question: Question) -> Span:
    """Return the ids that its bounds on time leave."""
    low = UUID(int=0) if question.since is None else first_id(_rounded_up(question.since))
    return Span(low, _HIGHEST if question.until is None else first_id(_rounded_up(question.until)))


def _rounded_up(at: datetime) -> int:
    return milliseconds(at) + bool(at.microsecond % 1000)


def first_id(unix_ms: int) -> UUID:
    """Return the smallest id of a millisecond; of a time before 1970, the smallest of all."""
    return UUID(int=max(unix_ms, 0) * _MILLISECOND)


def asks_of_event(question: Question) -> bool:
    """Tell whether only the event of a delivery can say whether it fits."""
    q = question
    return any(asked is not None for asked in (q.kinds, q.table, q.record_id, q.subject, q.external_id))


def places(question: Question) -> list[str]:
    """Return where deliveries that fit can be: `finished`, `waiting`, `sending`."""
    states = set(question.states or State)
    if question.statuses or question.classes or question.failures:
        states.discard(State.PENDING)  # what was never tried has no result
    found = ["finished"] if states & FINISHED else []
    found += ["waiting"] if states & {State.PENDING, State.RETRYING} else []
    return found + (["sending"] if State.SENDING in states else [])


def _are_unsuccessful(question: Question) -> bool:
    """Tell whether what is finished and fits did not succeed."""
    finished = set(question.states or State) & FINISHED
    has_other_status = bool(question.statuses or question.classes) and (
        all(not 200 <= status < 300 for status in question.statuses) and 2 not in question.classes
    )
    return finished <= _UNSUCCESSFUL or bool(question.failures) or has_other_status


def _were_tried(question: Question) -> bool:
    """Tell whether what waits and fits was tried before."""
    has_result = bool(question.statuses or question.classes or question.failures)
    return has_result or State.PENDING not in (question.states or State)


def what(question: Question) -> int | None:
    """Return the hash of the one thing that is asked for, if it is one."""
    if question.table is not None and question.record_id is not None:
        return about_hash(question.group_id, question.table, question.record_id)
    return about_hash(question.group_id, question.subject) if question.subject is not None else None


def _is_loose(left: Question) -> bool:
    """Tell whether rows that a way walks along may well not fit."""
    partial = bool(left.states) and set(left.states) != set(State)
    return partial or asks_of_event(left) or bool(left.text or left.unwanted or left.statuses or left.classes or left.failures)


def is_of_successes_alone(left: Question) -> bool:
    """Tell whether deliveries that succeeded are asked for, and nothing else but whose and when."""
    return left.states == (State.SUCCEEDED,) and not _is_loose(msgspec.structs.replace(left, states=()))


def drive_of_deliveries(question: Question, known: Known) -> Drive:
    """Decide how deliveries are found."""
    if question.event_id is not None:
        span = _of_event(question.event_id, span_of(question), known)
        return Drive("deliveries_by_id", question, question, span, is_exact=True)
    if (drive := _by_event("deliveries", question, known)) is not None and (drive.about is not None or _is_free(question)):
        return drive
    statement = "deliveries_by_id"
    if question.webhook_id is not None:
        statement = "unsuccessful_by_webhook" if _are_unsuccessful(question) else "deliveries_by_webhook"
    elif not _is_free(question):
        statement = "unsuccessful_by_group"
    has_others = statement == "deliveries_by_id" and known.share < 1
    return Drive(statement, question, question, span_of(question), is_exact=not has_others and not _is_loose(question))


def _is_free(question: Question) -> bool:
    """Tell whether no index on deliveries has what fits, or little else."""
    return question.webhook_id is None and not (_are_unsuccessful(question) and _were_tried(question))


def _of_event(event_id: UUID, span: Span, known: Known) -> Span:
    if event_id < known.exact_ids_from:
        return span.within(Span(_begin_of(event_id), _end_of(event_id)))
    low, high = delivery_id_bounds(event_id)
    return span.within(Span(low, UUID(int=high.int + 1)))


def drive_of_events(question: Question, known: Known) -> Drive:
    """Decide how events are found."""
    if question.event_id is not None:
        span = span_of(question).within(Span(question.event_id, UUID(int=question.event_id.int + 1)))
        return Drive("events_by_id", question, question, span, is_exact=True)
    if (drive := _by_event("events", question, known)) is not None:
        return drive
    return Drive("events_by_id", question, question, span_of(question), is_exact=known.share == 1 and not _is_loose(question))


def _by_event(of: str, question: Question, known: Known) -> Drive | None:
    """Return the drive by what events are about or by their types, where that narrows them down."""
    span, about = span_of(question), what(question)
    if about is not None:
        left = msgspec.structs.replace(question, record_id=None)
        return Drive(f"{of}_by_about", question, left, span, (), about, known.exact_ids_from, is_exact=True)
    if known.kinds is None or (question.kinds is None and known.share >= SMALL_SHARE):
        return None
    left = msgspec.structs.replace(question, kinds=None)
    exact = not _is_loose(left)
    return Drive(f"{of}_by_kind", question, left, span, known.kinds, None, known.exact_ids_from, is_exact=exact)


# Windows ---------------------------------------------------------------------------------------------------------------


class Window(msgspec.Struct, frozen=True):
    """What one statement is to look at.

    Attributes:
        rows: Of each lane at most.
        found: Deliveries at most, where they are found by way of events.
        matches: Ids in the answer at most.
        is_crowded: It is part of a crowded millisecond.
    """

    drive: Drive
    span: Span
    newest_first: bool
    rows: int
    found: int
    matches: int
    is_crowded: bool = False


def window(drive: Drive, rest: Span, turn: int, wanted: int, *, newest_first: bool, is_crowded: bool = False) -> Window:
    """Return the window that is to be looked at next: small while it may be enough, then larger.

    Args:
        rest: The ids that were not looked at yet.
        turn: How many windows were looked at before.
        wanted: How many matches are missing at most.
    """
    if is_crowded:
        edge = UUID(int=rest.high.int - 1) if newest_first else rest.low
        rest = rest.within(Span(_begin_of(edge), _end_of(edge)))
        drive = Drive("deliveries_by_id", drive.asked, drive.asked, rest)
    largest = _LARGEST_WINDOW_OF_EVENTS if drive.looks_at_events else _LARGEST_WINDOW
    rows = wanted if drive.is_exact and not turn else max(wanted, min(largest, _FIRST_LOOSE_WINDOW * 4**turn))
    of_lane = rows if len(drive.kinds) <= 1 else max(_SMALLEST_LANE, 2 * rows // len(drive.kinds))
    matches = TEXT_ROWS if drive.left.text is not None else wanted
    return Window(drive, rest, newest_first, of_lane, max(rows, wanted), matches, is_crowded)


def is_spent(rows: int, seconds: float, wanted: int, *, by_number: bool) -> bool:
    """Tell whether a call has looked enough, found or not.

    Args:
        rows, seconds: What it has taken.
        wanted: How many entries were asked for, with those that an offset leaves out: they are worth more time than a page.
        by_number: Its caller goes on by number and would miss what a page cut short did not come to: rows alone count.
    """
    return rows >= ROW_BUDGET or (not by_number and seconds > SECONDS_BUDGET and rows > 2 * wanted)


def counting(drive: Drive) -> Window:
    """Return the one window that a count looks at."""
    rows = COUNTED_SLOWLY if drive.looks_at_events else COUNT_BOUND + 1
    of_lane = max(_SMALLEST_LANE, rows // max(1, len(drive.kinds)))
    return Window(drive, drive.span, newest_first=True, rows=of_lane, found=rows, matches=0)


def counted(matches: int, *, is_all: bool) -> str:
    """Return a count as it is told: `213`, `>10000`, or `>=213` when not all was looked at."""
    if matches > COUNT_BOUND:
        return f">{COUNT_BOUND}"
    return str(matches) if is_all else f">={matches}"


class Progress(msgspec.Struct, frozen=True):
    """What a window leaves.

    Attributes:
        judged: The ids that were looked at.
        rest: Those that were not; None: there are none.
        is_crowded: What is next is part of a crowded millisecond.
    """

    judged: Span
    rest: Span | None
    is_crowded: bool = False


def progress(done: Window, whole: Span, reached: UUID | None) -> Progress:
    """Return what is left after a window that came to `reached`; None: to its end.

    Args:
        whole: What was left before.
    """
    if reached is None:
        edge = done.span.low if done.newest_first else done.span.high
    elif done.drive.is_by_event:
        edge = _end_of(reached) if done.newest_first else _begin_of(reached)
    else:
        edge = reached if done.newest_first else UUID(int=reached.int + 1)
    edge = min(max(edge, whole.low), whole.high)
    left = _parted(whole, edge, newest_first=done.newest_first)
    is_crowded = left.judged.low >= left.judged.high or (done.is_crowded and reached is not None)
    return msgspec.structs.replace(left, is_crowded=is_crowded)


def cut_short(left: Progress, last: UUID, *, newest_first: bool) -> Progress:
    """Return what is left when only what comes up to `last` could be taken."""
    high = left.judged.high if newest_first or left.rest is None else left.rest.high
    low = left.judged.low if not newest_first or left.rest is None else left.rest.low
    edge = last if newest_first else UUID(int=last.int + 1)
    return _parted(Span(low, high), edge, newest_first=newest_first)


def _parted(whole: Span, edge: UUID, *, newest_first: bool) -> Progress:
    below, above = Span(whole.low, edge), Span(edge, whole.high)
    judged, rest = (above, below) if newest_first else (below, above)
    return Progress(judged, rest if rest.low < rest.high else None)
