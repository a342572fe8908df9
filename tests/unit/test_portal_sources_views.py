"""What the pages about sources, settings and links show, decided without a browser."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.brand import (
    DARK_GROUND,
    LEAST_CONTRAST,
    LIGHT_GROUND,
    Brand,
    check_brand,
    colour,
    contrast,
    lighter,
    stylesheet,
)
from tidings.core.collection import Field, check_record
from tidings.core.errors import InvalidInputError
from tidings.core.schedule import Schedule
from tidings.operations.sources.backfills import Backfill
from tidings.operations.sources.refusals import MAX_PENDING, Tally
from tidings.portal.numbering import MAX_PAGE, cut
from tidings.portal.views.customers import discreet
from tidings.portal.views.frame import entries
from tidings.portal.views.record_forms import PREFIX, change_of, members_of, record_form
from tidings.portal.views.sections import SETTINGS, SOURCES, sections
from tidings.portal.views.tables import backfill_row

NOW = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
FIELDS = (
    Field("title", "text", required=True),
    Field("views", "number"),
    Field("kind", "select", values=("news", "page")),
    Field("meta", "json"),
    Field("live", "bool"),
    Field("csrf", "text"),
)
RECORD = '{"id":"a","title":"one\\r\\ntwo","views":1.10,"kind":null,"meta":{"n":1.10},"live":true,"csrf":"x","archived":false}'


def written(record: str) -> dict[str, str]:
    """Return a form as a browser sends it back when nobody touched it."""
    form = record_form(FIELDS, "base", members_of(record))
    return {one.name: one.value.replace("\n", "\r\n") for one in form.fields}


def test_a_form_that_nobody_touched_changes_nothing() -> None:
    assert change_of(FIELDS, "base", members_of(RECORD), written(RECORD)) == {}


@given(
    st.fixed_dictionaries(
        {
            "title": st.text(min_size=1),
            "csrf": st.none() | st.text(),
            "meta": st.none() | st.dictionaries(st.text(), st.integers()),
        }
    )
)
def test_whatever_a_record_holds_its_form_changes_nothing_by_itself(record: dict[str, object]) -> None:
    text = msgspec.json.encode(record).decode() if all_sendable(record) else "{}"
    form = record_form(FIELDS, "base", members_of(text))
    sent = {one.name: one.value for one in form.fields if one.name != f"{PREFIX}archived"}
    assert change_of(FIELDS, "base", members_of(text) or {"id": "a"}, sent) == {}


def all_sendable(record: object) -> bool:
    try:
        msgspec.json.encode(record)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return False
    return True


def test_only_what_was_changed_is_sent_and_digits_stay() -> None:
    sent = written(RECORD) | {f"{PREFIX}views": "1234567890123456789.10", f"{PREFIX}kind": "", f"{PREFIX}live": ""}
    change = change_of(FIELDS, "base", members_of(RECORD), sent)
    assert {name: bytes(value) for name, value in change.items()} == {"views": b"1234567890123456789.10", "live": b"null"}
    assert check_record(FIELDS, change, kind="base", is_new=False) == {"views": b"1234567890123456789.10", "live": b"null"}


def test_what_is_too_long_for_a_form_is_left_out_and_stays() -> None:
    record = msgspec.json.encode({"title": "x" * 60_000}).decode()
    form = record_form(FIELDS, "base", members_of(record))
    assert form.left_out == ("title",)
    assert change_of(FIELDS, "base", members_of(record), {one.name: one.value for one in form.fields}) == {
        "archived": msgspec.Raw(b"false")
    }


def test_a_field_named_like_ours_is_not_taken_for_ours() -> None:
    names = [one.name for one in record_form(FIELDS, "auth", {}).fields]
    assert f"{PREFIX}csrf" in names
    assert "csrf" not in names
    assert names[-1] == f"{PREFIX}password"


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("30 2 * * 1-5", "At 02:30 on Monday through Friday"),
        ("*/5 * * * *", "Every fifth minute of every hour"),
        ("no schedule", "no schedule"),
    ],
)
def test_schedules_are_said_in_words(schedule: str, said: str) -> None:
    assert Schedule(schedule).words == said


def test_how_far_a_backfill_is_is_not_guessed_beyond_what_is_known() -> None:
    blank = Backfill(
        UUID(int=1), UUID(int=2), "public", "orders", "running", 10, 5, 100, None, NOW - timedelta(minutes=1), NOW, None
    )
    assert backfill_row(blank, NOW).progress.said == "15 of 100"
    assert backfill_row(msgspec.structs.replace(blank, estimated_rows=3), NOW).progress.said == "15 so far"
    done = msgspec.structs.replace(blank, state="finished", estimated_rows=100)
    assert (backfill_row(done, NOW).progress.said, backfill_row(done, NOW).state.word) == ("15 of 15", "done")


def test_pages_lead_to_those_around_them_and_end() -> None:
    shown, pager = cut(range(51), "/x", 1, 50, asked={"where": "a b"})
    assert (len(shown), pager.newer, pager.older) == (50, "", "/x?where=a+b&page=2")
    assert cut(range(3), "/x", 2, 50)[1].newer == "/x"
    assert cut(range(51), "/x", MAX_PAGE, 50)[1].older == ""


def test_one_page_is_here_in_the_row_above() -> None:
    assert [one.label for one in sections(SETTINGS, "/settings/set-aside/7") if one.is_here] == ["Set aside"]
    assert [one.label for one in sections(SETTINGS, "/settings") if one.is_here] == ["General"]
    assert [one.label for one in sections(SOURCES, "/sources") if one.is_here] == []


def test_customers_are_led_to_their_own_pages_alone() -> None:
    assert [one.path for one in entries("/home", is_customer=True)] == ["/home", "/webhooks", "/deliveries"]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_accent_that_is_taken_can_be_read_in_the_light_and_in_the_dark(rgb: tuple[int, int, int]) -> None:
    text = "#{:02x}{:02x}{:02x}".format(*rgb)
    try:
        brand = check_brand(Brand(accent=text))
    except InvalidInputError:
        assert contrast(rgb, LIGHT_GROUND) < LEAST_CONTRAST
        return
    assert contrast(colour(text), LIGHT_GROUND) >= LEAST_CONTRAST
    assert contrast(lighter(rgb), DARK_GROUND) >= LEAST_CONTRAST
    assert stylesheet(brand).count("light-dark(") == 2


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast(colour("#767676"), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


def test_refusals_are_added_up_and_bounded() -> None:
    tally = Tally()
    assert tally.note(UUID(int=1), "signature", "said", NOW)
    tally.take(NOW)
    assert not tally.note(UUID(int=1), "signature", "said", NOW)
    assert not tally.note(UUID(int=1), "signature", "said last", NOW)
    for number in range(MAX_PENDING + 10):
        tally.note(UUID(int=number + 2), "signature", "said", NOW)
    assert tally.note(UUID(int=1), "signature", "said last", NOW + timedelta(seconds=1))
    taken = tally.take(NOW)
    assert len(taken) == MAX_PENDING
    assert (taken[0].count, taken[0].said) == (3, "said last")
    assert tally.take(NOW) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "The address 10.0.3.7 is not public and is not called (TIDINGS_ALLOW_PRIVATE_NETWORKS names networks that may be).",
            "The address is not public and is not called.",
        ),
        ("No connection to 10.0.3.7 port 443 within 5 s.", "No connection to the receiver, port 443 within 5 s."),
        ("The connection to fd00::7 port 80 failed (refused).", "The connection to the receiver, port 80 failed (refused)."),
        ("http://10.0.3.7:8080/hook", "http://10.0.3.7:8080/hook"),
    ],
)
def test_customers_are_told_no_address_that_a_name_stands_for(said: str, told: str) -> None:
    assert discreet(said) == told
