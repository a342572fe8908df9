"""How questions are understood, which index answers them, and how pages follow each other: decisions without a database."""

import contextlib
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.delivery import State
from tidings.core.errors import InvalidInputError
from tidings.core.event import delivery_id, delivery_id_bounds, uuid7
from tidings.core.outcome import FAILURES
from tidings.core.pages import Cursor, begin, fingerprint, opened, page_of, sealed
from tidings.core.question import (
    Kinds,
    Question,
    checked,
    failures_named,
    kinds_named,
    states_named,
    statuses_named,
    table_named,
    words_of,
)
from tidings.core.search import (
    COUNT_BOUND,
    ROW_BUDGET,
    SECONDS_BUDGET,
    Drive,
    Known,
    Span,
    counted,
    counting,
    cut_short,
    drive_of_deliveries,
    drive_of_events,
    first_id,
    id_time,
    is_spent,
    progress,
    span_of,
    window,
)
from tidings.core.vocabulary import FLUXBASE, VIVREAL_CONTENT, VSKI

ASKED = Question(group_id="default")
AT = datetime(2026, 11, 21, 3, 42, 37, 2000, tzinfo=UTC)
WEBHOOK, EVENT = UUID(int=5), uuid7(1_800_000_000_000, 123456789)
ALONE = Known(None, share=1, exact_ids_from=UUID(int=0))


def asked(**filters: object) -> Question:
    return msgspec.structs.replace(ASKED, **filters)


@pytest.mark.parametrize(
    ("question", "known", "statement", "is_exact"),
    [
        (asked(), ALONE, "deliveries_by_id", True),
        (asked(), Known(None, 0.1, UUID(int=0)), "deliveries_by_id", False),
        (asked(), Known(("a.b",), 0.1, UUID(int=0)), "deliveries_by_kind", True),
        (asked(), Known(None, 0.9, UUID(int=0)), "deliveries_by_id", False),
        (asked(states=(State.SUCCEEDED,)), ALONE, "deliveries_by_id", False),
        (asked(states=(State.FAILED, State.PENDING)), ALONE, "deliveries_by_id", False),
        (asked(states=(State.FAILED,)), ALONE, "unsuccessful_by_group", False),
        (asked(states=(State.FAILED, State.RETRYING, State.CANCELLED)), ALONE, "unsuccessful_by_group", False),
        (asked(failures=("timeout",)), ALONE, "unsuccessful_by_group", False),
        (asked(statuses=(404,), classes=(5,)), ALONE, "unsuccessful_by_group", False),
        (asked(statuses=(404, 204)), ALONE, "deliveries_by_id", False),
        (asked(classes=(2,)), ALONE, "deliveries_by_id", False),
        (asked(webhook_id=WEBHOOK), ALONE, "deliveries_by_webhook", True),
        (asked(webhook_id=WEBHOOK), Known(("a.b",), 0.1, UUID(int=0)), "deliveries_by_webhook", True),
        (asked(webhook_id=WEBHOOK, states=(State.FAILED, State.PENDING)), ALONE, "unsuccessful_by_webhook", False),
        (asked(webhook_id=WEBHOOK, kinds=Kinds(("a.b",))), Known(("a.b",), 1, UUID(int=0)), "deliveries_by_webhook", False),
        (asked(kinds=Kinds(("a.b",))), Known(("a.b",), 1, UUID(int=0)), "deliveries_by_kind", True),
        (asked(kinds=Kinds((), ("a.",))), ALONE, "deliveries_by_id", False),
        (asked(kinds=Kinds(("a.b",)), failures=("dns",)), Known(("a.b",), 1, UUID(int=0)), "unsuccessful_by_group", False),
        (asked(table="orders", record_id="7", webhook_id=WEBHOOK), ALONE, "deliveries_by_about", True),
        (asked(table="orders"), ALONE, "deliveries_by_id", False),
        (asked(event_id=EVENT, table="orders", record_id="7"), ALONE, "deliveries_by_id", True),
    ],
)
def test_each_question_on_deliveries_has_its_index(question: Question, known: Known, statement: str, is_exact: bool) -> None:
    drive = drive_of_deliveries(question, known)
    assert (drive.statement, drive.is_exact) == (statement, is_exact)


@pytest.mark.parametrize(
    ("question", "known", "statement", "is_exact"),
    [
        (asked(), ALONE, "events_by_id", True),
        (asked(), Known(("a.b",), 0.1, UUID(int=0)), "events_by_kind", True),
        (asked(kinds=Kinds(("a.b",)), text="abc"), Known(("a.b",), 1, UUID(int=0)), "events_by_kind", False),
        (asked(subject="order/7"), ALONE, "events_by_about", True),
        (asked(table="orders", record_id="7"), ALONE, "events_by_about", True),
        (asked(event_id=EVENT), ALONE, "events_by_id", True),
        (asked(table="orders"), ALONE, "events_by_id", False),
    ],
)
def test_each_question_on_events_has_its_index(question: Question, known: Known, statement: str, is_exact: bool) -> None:
    drive = drive_of_events(question, known)
    assert (drive.statement, drive.is_exact) == (statement, is_exact)


def test_deliveries_of_an_event_are_looked_for_in_their_range_alone_or_in_its_millisecond_when_they_are_older() -> None:
    low, high = delivery_id_bounds(EVENT)
    question = asked(event_id=EVENT)
    assert drive_of_deliveries(question, ALONE).span == Span(low, UUID(int=high.int + 1))
    span = drive_of_deliveries(question, Known(None, share=1, exact_ids_from=first_id(1_800_000_000_001))).span
    assert span == Span(first_id(1_800_000_000_000), first_id(1_800_000_000_001))
    assert low <= delivery_id(EVENT, WEBHOOK) <= high


def test_bounds_on_time_are_bounds_on_ids_to_the_millisecond() -> None:
    question = asked(since=AT, until=AT + timedelta(microseconds=1))
    ms = int(AT.timestamp() * 1000)
    assert span_of(question) == Span(first_id(ms), first_id(ms + 1))
    assert span_of(asked()) == Span()
    assert span_of(asked(since=datetime(1900, 1, 1, tzinfo=UTC))).low == UUID(int=0)
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert id_time(span_of(asked(until=last)).high) <= last
    assert id_time(Span().high).year == 9999


@given(
    ids=st.lists(st.integers(0, 40), unique=True, max_size=30).map(
        lambda found: sorted((first_id(at) for at in found), reverse=True)
    ),
    limit=st.integers(1, 7),
    room=st.integers(1, 5),
    seed=st.integers(0, 1 << 30),
)
def test_pages_hold_each_entry_once_in_both_directions_wherever_windows_end(
    ids: list[UUID], limit: int, room: int, seed: int
) -> None:
    """Windows of a few rows stop where they are full; some calls use up their budget after one."""
    chance = random.Random(seed)
    drive = Drive("events_by_id", ASKED, ASKED, Span())

    def look(cursor: Cursor | None) -> tuple[list[UUID], Span | None]:
        newest_first = cursor is None or not cursor.goes_back
        rest: Span | None = begin(cursor, Span())
        found: list[UUID] = []
        while rest is not None and rest.low < rest.high and len(found) <= limit:
            seen = [id_ for id_ in (ids if newest_first else ids[::-1]) if rest.low <= id_ < rest.high][:room]
            next_ = window(drive, rest, 0, limit, newest_first=newest_first)
            left = progress(next_, rest, seen[-1] if len(seen) == room else None)
            found += [id_ for id_ in seen if left.judged.low <= id_ < left.judged.high]
            if found and chance.random() < 0.3:
                left = cut_short(left, found[-1], newest_first=newest_first)
            rest = left.rest
            if chance.random() < 0.3:
                break
        return found, rest

    forward: list[UUID] = []
    cursor: Cursor | None = None
    while True:
        found, rest = look(cursor)
        page = page_of(found, rest, cursor, 0, limit)
        forward += page.ids
        if page.older is None:
            break
        cursor = page.older
    assert forward == ids
    backward = list(page.ids)
    while page.newer is not None:
        found, rest = look(page.newer)
        page = page_of(found, rest, page.newer, 0, limit)
        backward = [*page.ids, *backward]
    assert backward == ids


def test_a_window_by_events_counts_whole_milliseconds_and_a_crowded_one_is_searched_by_id() -> None:
    question = asked(kinds=Kinds(("a.b",)))
    drive = drive_of_deliveries(question, Known(("a.b",), 1, UUID(int=0)))
    whole = Span(first_id(0), first_id(100))
    left = progress(window(drive, whole, 0, 50, newest_first=True), whole, uuid7(40, 9))
    assert (left.judged, left.rest, left.is_crowded) == (
        Span(first_id(41), first_id(100)),
        Span(first_id(0), first_id(41)),
        False,
    )
    again = progress(window(drive, whole, 0, 50, newest_first=True), whole, uuid7(99, 9))
    assert (again.rest, again.is_crowded) == (whole, True)
    crowd = window(drive, whole, 1, 50, newest_first=True, is_crowded=True)
    assert (crowd.drive.statement, crowd.span, crowd.drive.left) == (
        "deliveries_by_id",
        Span(first_id(99), first_id(100)),
        question,
    )
    after = progress(crowd, whole, None)
    assert (after.rest, after.is_crowded) == (Span(first_id(0), first_id(99)), False)
    assert progress(crowd, whole, uuid7(99, 5)).is_crowded
    back = progress(window(drive, whole, 0, 50, newest_first=False), whole, uuid7(40, 9))
    assert (back.judged, back.rest) == (Span(first_id(0), first_id(40)), Span(first_id(40), first_id(100)))


def test_windows_grow_and_never_pass_their_bounds() -> None:
    loose, exact = (
        Drive("deliveries_by_id", ASKED, asked(statuses=(404,)), Span()),
        Drive("x", ASKED, ASKED, Span(), is_exact=True),
    )
    assert [window(loose, Span(), turn, 51, newest_first=True).rows for turn in range(5)] == [500, 2000, 5000, 5000, 5000]
    assert window(exact, Span(), 0, 51, newest_first=True).rows == 51
    by_event = Drive("deliveries_by_kind", ASKED, ASKED, Span(), tuple(map(str, range(40))))
    assert [window(by_event, Span(), turn, 51, newest_first=True).found for turn in range(4)] == [500, 1500, 1500, 1500]
    assert window(by_event, Span(), 0, 11, newest_first=True).rows == 2 * 500 // 40
    assert counting(exact).rows == COUNT_BOUND + 1
    assert counting(by_event).found < COUNT_BOUND


@pytest.mark.parametrize(
    ("matches", "is_all", "told"),
    [
        (0, True, "0"),
        (213, True, "213"),
        (10_000, True, "10000"),
        (10_001, True, ">10000"),
        (20_001, False, ">10000"),
        (7, False, ">=7"),
    ],
)
def test_a_count_says_whether_it_is_exact(matches: int, is_all: bool, told: str) -> None:
    assert counted(matches, is_all=is_all) == told


@given(at=st.uuids(), goes_back=st.booleans(), skip=st.integers(0, 10_000))
def test_a_cursor_is_opened_by_its_own_key_and_question_alone(at: UUID, goes_back: bool, skip: int) -> None:
    cursor, mine = Cursor(at, goes_back, skip), fingerprint("deliveries", ASKED)
    text = sealed(cursor, b"key", mine)
    assert opened(text, b"key", mine) == cursor
    for key, question in (
        (b"other", mine),
        (b"key", fingerprint("events", ASKED)),
        (b"key", fingerprint("deliveries", asked(text="abc"))),
    ):
        with pytest.raises(InvalidInputError, match="another query"):
            opened(text, key, question)
    assert opened(str(at), b"key", mine) == Cursor(at)


@given(text=st.text(max_size=120))
def test_any_text_for_a_cursor_is_a_cursor_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInputError):
        opened(text, b"key", b"question")


def test_words_may_be_given_several_times_or_with_commas_within_bounds() -> None:
    assert words_of("status", ["failed, sending", "failed"]) == ("failed", "sending")
    assert words_of("status", None) == ()
    assert len(words_of("type", [",".join(map(str, range(20)))])) == 20
    for given_ in ([",".join(map(str, range(21)))], [""], ["x" * 201], ["a\x00b"]):
        with pytest.raises(InvalidInputError) as caught:
            words_of("type", given_)
        assert caught.value.field == "type"
    # A program may ask for what has not happened yet; what can be no type is refused all the same.
    for word, kinds in (("order.payd", Kinds(("order.payd",))), ("paid", Kinds(("paid",))), ("new.*", Kinds((), ("new.",)))):
        assert kinds_named([word], (), {"order.paid"}, may_be_new=True) == kinds
    for word in ("order paid", "order.", ".*", "a*b", "or*"):
        with pytest.raises(InvalidInputError):
            kinds_named([word], (), (), may_be_new=True)


def test_names_are_read_and_unknown_ones_are_told_their_nearest() -> None:
    assert states_named(["failed"]) == (State.FAILED,)
    assert failures_named(FAILURES) == FAILURES
    assert statuses_named(["404", "5xx", "204"]) == ((404, 204), (5,))
    assert (table_named("orders"), table_named("sales.orders"), table_named(None)) == (
        (None, "orders"),
        ("sales", "orders"),
        (None, None),
    )
    for read, word, near in ((states_named, "succeded", "succeeded"), (failures_named, "time_out", "timeout")):
        with pytest.raises(InvalidInputError, match=near):
            read([word])
    for word in ("99", "4x4", "099", "1000", "xxx", "4xx "):
        with pytest.raises(InvalidInputError):
            statuses_named([word])


def test_types_are_understood_in_our_words_first_and_for_a_webhook_in_its_own() -> None:
    seen = {"order.paid", "order.*", "INSERT.done"}
    assert kinds_named(["order.paid"], seen, ()) == Kinds(("order.paid",))
    assert kinds_named(["order.*", "table.*"], seen, ()) == Kinds((), ("order.", "table."))
    assert kinds_named(["order.paid", "*"], seen, ()) is None
    assert kinds_named(["INSERT"], seen, ()) == Kinds(("content.created",), (), ("INSERT",))
    assert kinds_named(["create"], {"create"}, ()) == Kinds(("create",))
    assert kinds_named(["create"], (), ()) == Kinds(("content.created",), (), ("INSERT",))
    assert kinds_named(["integration.updated"], (), ()) == Kinds(("integration.updated",))
    assert kinds_named(["integration.updated"], (), (), VIVREAL_CONTENT) == Kinds(("integration.object.updated",))
    assert kinds_named(["order.paid"], seen, (), VIVREAL_CONTENT) == Kinds(("order.paid",))
    # What somebody publishes under a word of the system is not sent there, and not what the system means by it.
    assert kinds_named(["create"], {"create"}, (), VSKI) == Kinds(("content.created",), (), ("INSERT",))
    assert kinds_named(["UPDATE"], (), (), FLUXBASE) == Kinds(
        ("content.updated", "content.published", "content.archived"), (), ("UPDATE",)
    )
    assert kinds_named(["TEST"], (), ()) == Kinds(("webhook.test",))
    for word, near in (("order.payd", "order.paid"), ("contents.*", "order"), ("INSRT", "INSERT")):
        with pytest.raises(InvalidInputError, match=near) as caught:
            kinds_named([word], (), {"order.paid"})
        assert caught.value.field == "type"


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"since": datetime(2026, 1, 1)}, "since"),
        ({"until": datetime(2026, 1, 1)}, "until"),
        ({"since": AT, "until": AT}, "until"),
        ({"record_id": "7"}, "record_id"),
        ({"table": "orders", "subject": "a"}, "subject"),
        ({"text": "ab"}, "text"),
        ({"text": "a" * 201}, "text"),
        ({"subject": "a\x00"}, "subject"),
        ({"external_id": "a\x00"}, "external_id"),
    ],
)
def test_a_question_whose_parts_do_not_go_together_is_refused(filters: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        checked(asked(**filters))
    assert caught.value.field == field
    assert checked(asked(text="abc", since=AT)) == asked(text="abc", since=AT)


def test_time_ends_a_search_for_those_who_go_on_by_cursor_alone() -> None:
    late = SECONDS_BUDGET * 1000
    assert is_spent(101, late, 50, by_number=False)
    assert not is_spent(100, late, 50, by_number=False)  # what was asked for is worth its time
    assert not is_spent(101, SECONDS_BUDGET, 50, by_number=False)
    assert not is_spent(ROW_BUDGET - 1, late, 50, by_number=True)
    assert is_spent(ROW_BUDGET, 0, 50, by_number=True)
    assert is_spent(ROW_BUDGET, 0, 50, by_number=False)
