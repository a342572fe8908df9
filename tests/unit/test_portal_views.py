"""What pages show, decided without a browser."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.attempts import MAX_ADDRESSES, MAX_ATTEMPTS, WINDOW_SECONDS, Attempts
from tidings.core.audit import Action
from tidings.core.delivery import State as DeliveryState
from tidings.portal.views.audit import SAID
from tidings.portal.views.documents import MAX_DOCUMENT, comparison, diff, document, headers
from tidings.portal.views.errors import error_view
from tidings.portal.views.figures import WIDTH, sparkline, timing
from tidings.portal.views.frame import asks_for_html, local_path, places_for
from tidings.portal.views.lists import Filter, column, filter_bar, pager
from tidings.portal.views.small import STATES, ident, progress, state, url, when
from tidings.portal.views.text import (
    BLOCK_LIMIT,
    MAX_SIGNS,
    Piece,
    duration,
    number,
    share,
    shortened,
    size,
    visible,
    visible_block,
)

NOW = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)


def test_what_cannot_be_seen_is_a_sign_with_its_name() -> None:
    assert visible("a\x00b").pieces == (Piece("a"), Piece("U+0000", "a character that cannot be seen, U+0000"), Piece("b"))
    assert visible("\u202efdp").pieces[0] == Piece("U+202E", "right-to-left override, U+202E")
    assert visible("one\ntwo\t").plain == "one↵two⇥"
    assert visible_block("one\ntwo\t").plain == "one\ntwo\t"
    assert visible("\ud800").plain == "U+D800"
    assert visible("Grüße, שלום, 👩‍🚀").plain == "Grüße, שלום, 👩‍🚀"


@given(st.text(st.characters(codec=None)))
def test_no_text_keeps_a_control_or_direction_mark_and_every_text_can_be_sent(text: str) -> None:
    shown = visible(text).plain
    shown.encode()
    assert not any(
        ord(character) < 32 or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b"
        for character in shown
    )


def test_a_megabyte_is_cut_and_says_so() -> None:
    shown = visible_block("x" * 1_000_000)
    assert (len(shown.plain), shown.cut) == (BLOCK_LIMIT, 1_000_000 - BLOCK_LIMIT)
    signs = visible("\x00" * 10_000, limit=10_000)
    assert (len(signs.pieces), signs.cut) == (MAX_SIGNS, 10_000 - MAX_SIGNS)


def test_ids_are_shortened_in_the_middle_and_copied_whole() -> None:
    made = ident("01a1fc32-e7ca-7c3b-bba3-5f0000000002")
    assert (made.short, made.text) == ("01a1fc…000002", "01a1fc32-e7ca-7c3b-bba3-5f0000000002")
    assert shortened("order-17") == "order-17"
    ident("\ud800").text.encode()


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (0, "now"),
        (12, "12\u2009s ago"),
        (190, "3\u2009min ago"),
        (7300, "2\u2009h ago"),
        (-45, "in 45\u2009s"),
        (9_000_000, "2026-08-09"),
    ],
)
def test_times_are_relative_and_exact(ago: int, said: str) -> None:
    shown = when(NOW - timedelta(seconds=ago), NOW)
    assert shown.relative == said
    assert shown.iso == (NOW - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def test_numbers_have_thin_spaces_and_units() -> None:
    assert (number(12345), number(0.25)) == ("12\u2009345", "0.25")
    assert (size(812), size(1234), size(3_400_000)) == ("812\u2009B", "1.2\u2009kB", "3.4\u2009MB")
    assert [duration(ms) for ms in (0.42, 812, 30_000, 300_000, None)] == [
        "0.4\u2009ms",
        "812\u2009ms",
        "30.0\u2009s",
        "5\u2009min",
        "–",
    ]
    assert [share(*pair) for pair in ((9999, 10_000), (1, 1_000_000), (3, 3), (0, 3), (0, 0))] == [
        "99.99\u2009%", "0.01\u2009%", "100\u2009%", "0\u2009%", "–",
    ]  # fmt: skip


def test_every_state_of_a_delivery_has_a_colour_a_sign_and_a_word() -> None:
    assert {one.value for one in DeliveryState} <= set(STATES)
    assert len({state(one.value).word for one in DeliveryState}) == len(DeliveryState)
    assert state("<b>").word == "<b>"


def test_a_url_is_told_apart_by_its_host() -> None:
    shown = url("https://user@erp.example.com/hook")
    assert (shown.before.plain, shown.host.plain, shown.after.plain) == ("https://user@", "erp.example.com", "/hook")
    assert url("https://[").before.plain == "https://["


def test_json_is_read_with_its_digits_and_bounded() -> None:
    shown = document('{"n": 12345678901234567890.10, "s": "a\\u0000b", "deep": ' + "[" * 60 + "]" * 60 + "}")
    assert shown.root
    assert [child.kind for child in shown.root.children] == ["number", "string", "array"]
    assert shown.root.children[0].text.plain == "12345678901234567890.10"
    many = document("[" + ",".join(["1"] * 5000) + "]")
    assert many.root
    assert (len(many.root.children), many.note) == (2000, "Only the first 2\u2009000 values are shown.")
    assert document("[" * 100_000).root is None
    assert document("NaN").root is None
    assert document('"' + "x" * MAX_DOCUMENT + '"', download="/all").root is None


def test_records_side_by_side_begin_with_what_changed() -> None:
    shown = comparison({"id": 1, "a": 1, "gone": 2}, {"id": 1, "a": 2, "new": 3})
    assert [(pair.key.plain, pair.mark) for pair in shown.pairs] == [
        ("a", "changed"),
        ("new", "added"),
        ("gone", "removed"),
        ("id", ""),
    ]
    assert shown.said == "changed: a, new, gone"


def test_headers_and_differences_say_what_was_left_out() -> None:
    assert headers([("a", "b")] * 300).note == "100 headers more are not shown."
    shown = diff("a\nb\nc", "a\nB\nc")
    assert [(line.sign, line.text.plain) for line in shown.lines] == [(" ", "a"), ("−", "b"), ("+", "B"), (" ", "c")]
    assert shown.said == "1 line added, 1 removed"
    assert diff("same", "same").said == "nothing changed"


@given(*[st.none() | st.floats(0, 1e5)] * 4, st.floats(0, 1e6))
def test_the_phases_of_an_attempt_fill_the_bar(dns: float, connect: float, tls: float, wait: float, total: float) -> None:
    phases = timing(dns_ms=dns, connect_ms=connect, tls_ms=tls, first_byte_ms=wait, total_ms=total).phases
    assert not phases or sum(phase.width for phase in phases) <= WIDTH + 1
    assert all(phase.width >= 4 for phase in phases)


def test_the_phases_of_an_attempt_come_to_its_total() -> None:
    shown = timing(dns_ms=1.0, connect_ms=7.0, tls_ms=None, first_byte_ms=10.0, total_ms=11.0)
    assert shown.said == "DNS 1 ms, connect 7 ms, first byte 2 ms, rest 1 ms; total 11 ms".replace(" ms", "\N{THIN SPACE}ms")


def test_a_sparkline_has_gaps_where_nothing_is_known() -> None:
    shown = sparkline("rate", [1.0, None, 2.0])
    assert shown.line.count("M") == 2
    assert shown.said == "rate: last 2, highest 2, lowest 1"
    assert sparkline("rate", []).said == "rate: nothing yet"


def test_the_state_of_a_list_is_its_query_string() -> None:
    asked = {"status": "failed", "webhook": "ERP", "cursor": "c", "sort": "at"}
    bar = filter_bar("/deliveries", "list", [Filter("status", "Status"), Filter("webhook", "Webhook")], asked)
    assert [(chip.value, chip.href) for chip in bar.chips] == [
        ("failed", "/deliveries?webhook=ERP"), ("ERP", "/deliveries?status=failed"),
    ]  # fmt: skip
    by_time = column("Time", name="at", path="/d", asked=asked)
    assert (by_time.direction, by_time.sort) == ("ascending", "/d?status=failed&webhook=ERP&sort=-at")
    assert pager("/d", {"status": "failed", "cursor": "c"}, newer=None, older="o").older == "/d?status=failed&cursor=o"


def test_progress_stays_within_its_bounds() -> None:
    assert (progress("p", 5, 3).done, progress("p", 0, 0).whole, progress("p", 5, None).whole) == (3, 1, None)


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\nb", "", "/\t/evil", "a", "/ö", "/" + "x" * 3000]
)  # fmt: skip
def test_nobody_is_led_elsewhere(path: str) -> None:
    assert local_path(path) == "/"


def test_paths_of_ours_are_kept_with_their_query() -> None:
    assert local_path("/deliveries?status=failed&q=a%2Fb") == "/deliveries?status=failed&q=a%2Fb"


@pytest.mark.parametrize(
    ("accept", "is_html"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True), ("*/*", False), ("", False),
        ("application/json", False), ("application/json, text/html;q=0.5", False), ("text/html;q=0", False), ("text/html;q=x", False),
    ],
)  # fmt: skip
def test_a_browser_names_html(accept: str, is_html: bool) -> None:
    assert asks_for_html(accept) is is_html


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("Webhook Delivery", "Deliveries"), ("Add Endpoint", "Webhooks"), ("integrations", "Webhooks"), ("Group Settings", "Settings"),
        ("content items", "Sources"), ("delivery history", "Deliveries"), ("manually retry", "Deliveries"), ("new webhook", "Webhooks"),
    ],
)  # fmt: skip
def test_pages_are_found_by_the_words_people_know(words: str, label: str) -> None:
    assert label in [place.label for place in places_for(words)]


def test_one_address_may_be_wrong_ten_times_in_five_minutes() -> None:
    attempts = Attempts()
    assert [attempts.admit("192.0.2.1", 0.0) for _ in range(MAX_ATTEMPTS)] == [0.0] * MAX_ATTEMPTS
    assert attempts.admit("192.0.2.1", 100.0) == WINDOW_SECONDS - 100.0
    assert attempts.admit("192.0.2.2", 100.0) == 0.0
    assert attempts.admit("192.0.2.1", WINDOW_SECONDS) == 0.0


def test_a_network_of_ipv6_addresses_counts_as_one_and_few_are_remembered() -> None:
    attempts = Attempts()
    for number_ in range(MAX_ATTEMPTS):
        attempts.admit(f"2001:db8::{number_}", 0.0)
    assert attempts.admit("2001:db8::ffff", 0.0) > 0
    attempts.forgive("2001:db8::1")
    assert attempts.admit("2001:db8::ffff", 0.0) == 0.0
    for number_ in range(MAX_ADDRESSES + 5):
        attempts.admit(f"a{number_}", 0.0)
    assert len(attempts._seen) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("ahead", "said"),
    [(timedelta(hours=24), "in 1\u2009d"), (timedelta(hours=23, minutes=59, seconds=58), "in 24\u2009h"), (timedelta(seconds=3599.9), "in 60\u2009min"),
     (timedelta(minutes=90), "in 1\u2009h"), (timedelta(seconds=5), "in 5\u2009s")],
)  # fmt: skip
def test_what_was_set_to_a_full_hour_is_so_far_away_a_moment_later(ahead: timedelta, said: str) -> None:
    assert when(NOW + ahead, NOW).relative == said


def test_customers_are_not_told_of_groups_and_retention() -> None:
    assert "group" in error_view(404, "There is no page.").remedy
    said = error_view(404, "There is no page.", is_customer=True).remedy
    assert "group" not in said
    assert "retention" not in said


def test_whatever_is_put_on_record_has_a_sentence_on_the_page() -> None:
    assert [action.value for action in Action if action not in SAID] == []
    assert len(set(SAID.values())) == len(SAID)
