"""What the pages about history show, decided without a browser, a server or a database."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.core.delivery import State
from tidings.core.errors import InvalidInputError
from tidings.core.event import Event
from tidings.core.retry import Delays, Exponential
from tidings.core.webhook import Subscription
from tidings.operations.history.attempts import SentRequest
from tidings.operations.history.deliveries import Delivery
from tidings.operations.history.looking import Found
from tidings.operations.webhooks.naming import Named
from tidings.portal.streams import MAX_COUNTED, Stream, Wants, message
from tidings.portal.views.curl import LEFT_OUT, MAX_BODY, curl, quoted
from tidings.portal.views.deliveries import answer, record_of, retried_said, state_choices
from tidings.portal.views.delivery import allowed, delivery_view, record_view, why
from tidings.portal.views.questions import question_of_deliveries, question_of_events, settled, time_named
from tidings.portal.views.search import straight
from tidings.store.live import NewDelivery

NOW = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
WEBHOOK = Subscription(
    id=UUID(int=7), group_id="default", name="ERP", url="https://erp.example.com/hook", created_at=NOW, updated_at=NOW,
    retry=Delays(delays=(5, 300)),
)  # fmt: skip
EVENT = Event(
    UUID(int=8), "default", "tables", "table.orders.updated", "UPDATE", "public.orders", "public", "orders", '{"id": 17}', '{"id": 17}',
    NOW - timedelta(seconds=3),
)  # fmt: skip


def delivery(state: State, **fields: object) -> Delivery:
    made = Delivery(
        id=UUID(int=9), webhook_id=WEBHOOK.id, event=EVENT, webhook=WEBHOOK, state=state, attempt_count=1, response_status=None,
        response_body=None, failure=None, error=None, is_test=False, created_at=NOW, finished_at=None, next_retry_at=None,
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


# Questions


@pytest.mark.parametrize(
    ("text", "ago"),
    [("30min", timedelta(minutes=30)), ("1h", timedelta(hours=1)), ("7d ago", timedelta(days=7)), ("2 h", timedelta(hours=2))],
)
def test_a_time_can_be_said_as_how_long_ago(text: str, ago: timedelta) -> None:
    assert time_named("since", text, NOW) == NOW - ago


def test_a_time_can_be_a_day_or_a_moment_and_nonsense_is_refused_with_the_field() -> None:
    assert time_named("since", "2026-11-20", NOW) == datetime(2026, 11, 20, tzinfo=UTC)
    assert time_named("since", "2026-11-20T14:00+02:00", NOW) == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert time_named("since", " ", NOW) is None
    for nonsense in ("yesterday", "1 fortnight", "9999-99-99", "0001-01-01T00:00+14:00"):
        with pytest.raises(InvalidInputError) as refused:
            time_named("since", nonsense, NOW)
        assert refused.value.field == "since"


def test_every_filter_is_understood_and_the_next_page_asks_for_the_same_time() -> None:
    asked = {
        "status": "failed,retrying",
        "since": "1h",
        "response_status": "5xx,404",
        "table": "sales.orders",
        "record_id": "17",
    }
    question = question_of_deliveries("default", asked, NOW)
    got = question.question
    assert (got.states, got.classes, got.statuses) == ((State.FAILED, State.RETRYING), (5,), (404,))
    assert (got.schema, got.table, got.record_id, got.since) == ("sales", "orders", "17", NOW - timedelta(hours=1))
    later = question_of_deliveries("default", settled(asked, question), NOW + timedelta(minutes=5))
    assert later == question
    assert question_of_events("default", {"wanted": "no"}, NOW).question.unwanted
    with pytest.raises(InvalidInputError):
        question_of_deliveries("default", {"event_id": "17"}, NOW)


# Lists


def test_a_state_is_set_and_taken_away_beside_the_others() -> None:
    choices = {one.state.word: one for one in state_choices({"status": "failed", "type": "a.b"}, {State.FAILED: ">10000"})}
    assert choices["failed"].is_chosen
    assert (choices["failed"].href, choices["failed"].count) == ("/deliveries?type=a.b", ">10\u2009000")
    assert choices["retrying"].href == "/deliveries?status=failed%2Cretrying&type=a.b"


def test_what_came_back_is_a_status_or_what_went_wrong() -> None:
    assert answer(delivery(State.SUCCEEDED, response_status=204)) == ("204", "good")
    assert answer(delivery(State.FAILED, response_status=404)) == ("404", "bad")
    assert answer(delivery(State.FAILED, failure="address_refused")) == ("address refused", "bad")
    assert answer(delivery(State.PENDING)) == ("–", "quiet")
    assert record_of(delivery(State.PENDING)) == "orders 17"


def test_what_was_sent_again_is_said_with_why_the_rest_was_not() -> None:
    assert retried_said(2, 0, ()).text == "2 deliveries go out again."
    assert (retried_said(0, 1, ("Its webhook is gone.",)).tone, retried_said(1, 1, ("Gone.",)).tone) == ("bad", "warn")
    assert "Nothing was selected" in retried_said(0, 0, ()).text


# One delivery


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            delivery(State.SUCCEEDED, response_status=200, finished_at=NOW),
            "The receiver acknowledged it with HTTP 200 at the first attempt, 3.0\u2009s after the event.",
        ),
        (
            delivery(State.FAILED, error="The receiver answered HTTP 500.", attempt_count=3),
            "The receiver answered HTTP 500. It was given up after 3 attempts; the policy allows 3.",
        ),
        (
            delivery(State.FAILED, error="The receiver answered HTTP 410.", response_status=410),
            ("The receiver answered HTTP 410. That means the endpoint is gone for good, so the webhook was disabled and nothing is "
            "tried again by itself."),
        ),
        (
            delivery(State.FAILED, error="No request can be made of it."),
            "No request can be made of it. It was given up after 1 attempt, before the policy's 3 were used.",
        ),
        (delivery(State.FAILED, webhook=None), "It was given up after 1 attempt."),
        (
            delivery(State.RETRYING, error="Timed out"),
            "Timed out. 1 attempt so far; it is tried again by itself. The policy allows 2 more attempts.",
        ),
        (delivery(State.PENDING), "It waits for its first attempt."),
        (
            delivery(State.PENDING, webhook=msgspec.structs.replace(WEBHOOK, enabled=False)),
            "It waits for its first attempt. Its webhook is paused; it goes out once that is enabled.",
        ),
        (delivery(State.SENDING, attempt_count=2), "Attempt 2 is under way."),
        (
            delivery(State.CANCELLED),
            "Its webhook was deleted before a receiver acknowledged it, so it is not sent.",
        ),
    ],
)  # fmt: skip
def test_why_a_delivery_stands_where_it_stands_is_one_sentence(made: Delivery, sentence: str) -> None:
    assert why(made) == sentence


def test_a_policy_tells_how_many_attempts_it_allows() -> None:
    assert (allowed(Delays(delays=())), allowed(Exponential(base=1, tries=4))) == (1, 4)


def test_a_delivery_without_attempts_or_webhook_is_shown_all_the_same() -> None:
    view = delivery_view(delivery(State.CANCELLED, webhook=None), [], NOW)
    assert (view.attempt, view.tries, view.webhook_href, view.can_retry) == (None, (), "", False)


def test_two_records_stand_side_by_side_and_anything_else_by_itself() -> None:
    assert record_view('{"a": 1}', '{"a": 2}', "/e").pair is not None
    alone = record_view("[1]", '{"a": 2}', "/e")
    assert (alone.pair, alone.record is None, alone.old_record is None) == (None, False, False)
    assert record_view(None, None, "/e").note == "The event has no payload."


# As curl


def words_of(command: str) -> list[bytes]:
    """Return the words that a real shell makes of a command."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}\n"
    return subprocess.run(["bash", "-c", script], capture_output=True, check=True, timeout=60).stdout.split(b"\0")[:-1]


def request(**fields: object) -> SentRequest:
    made = SentRequest("POST", "https://erp.example.com/hook", [("content-type", "application/json")], '{"a": 1}')
    return msgspec.structs.replace(made, **fields)


def test_a_request_is_a_command_that_sends_the_same_again() -> None:
    command = curl(
        request(headers=[("Host", "erp"), ("webhook-signature", "v1,abc="), ("content-length", "8"), ("x-none", "")])
    )
    assert words_of(command) == [
        b"--globoff", b"--request", b"POST", b"https://erp.example.com/hook", b"--header", b"webhook-signature: v1,abc=",
        b"--header", b"x-none;", b"--data-raw", b'{"a": 1}',
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40))
def test_nothing_in_a_request_gets_out_of_its_quotes(text: str) -> None:
    assert words_of(f"curl x{quoted(text)}") == [b"x" + text.encode()]
    assert not re.search("[\x00-\x1f\x7f\u200b\u202e]", quoted(text))


@pytest.mark.parametrize("text", ["'; rm -rf / #", "$(id)", "`id`", "\\", "a\nb", "\x1b[31m", "!!", "\u202efdp", "'\n'$(id)"])
def test_what_a_shell_would_run_is_text(text: str) -> None:
    assert words_of(curl(request(body=text)))[-1] == text.encode()


def test_secrets_stay_behind_and_the_signature_does_not() -> None:
    headers = [
        ("Authorization", "Bearer s3cret"),
        ("X-Api-Key", "s3cret"),
        ("Cookie", "s3cret"),
        ("x-hub-signature-256", "sha256=1"),
    ]
    command = curl(request(url="https://me:s3cret@erp.example.com/h?token=s3cret&a=1#s3cret", headers=headers))
    assert "s3cret" not in command
    assert f"Authorization: {LEFT_OUT}" in command
    assert "x-hub-signature-256: sha256=1" in command
    assert f"https://{LEFT_OUT}@erp.example.com/h?token={LEFT_OUT}&a=1" in command


def test_a_long_body_is_read_from_a_file() -> None:
    assert "--data-binary @body" in curl(request(body="x" * (MAX_BODY + 1)))
    assert "--data" not in curl(request(method="GET", body=""))
    assert words_of(curl(request(body="")))[-2:] == [b"--data-raw", b""], "a receiver can demand its length"
    assert words_of(curl(request(body="-")))[-1] == b"-"


# Search


def test_one_hit_is_gone_to_and_several_are_shown() -> None:
    one, other = Named(UUID(int=1), "ERP", "https://a"), Named(UUID(int=2), "ERP 2", "https://b")
    assert straight("erp", Found(webhooks=[one])) == f"/webhooks/{one.id}"
    assert straight("erp", Found(webhooks=[one, other])) == ""
    assert straight("order.paid", Found(kinds=["order.paid"])) == "/deliveries?type=order.paid"
    assert straight("order", Found(kinds=["order.paid"])) == ""
    assert straight("settings", Found(webhooks=[one])) == ""  # a page goes by that name too
    assert straight("x", Found(delivery=UUID(int=3))) == f"/deliveries/{UUID(int=3)}"


# Live


def new(number: int, group: str = "default", status: str = "succeeded") -> NewDelivery:
    return NewDelivery(UUID(int=number), group, UUID(int=7), status)


def stream_of(wants: Wants) -> Stream:
    class Parts(msgspec.Struct):
        group_id: str = "default"

    return Stream(Parts(), uuid4(), wants, lambda number, is_more: f"{number}{'+' if is_more else ''}")  # type: ignore[arg-type]


def test_a_stream_is_told_of_its_own_rows_each_once() -> None:
    stream = stream_of(Wants(after=UUID(int=10), states=frozenset({"failed"})))
    stream.hear([new(9, status="failed"), new(11), new(12, "other", "failed"), new(13, status="failed")], is_all=True)
    assert stream._messages == {"new": "1"}
    stream._messages.clear()
    stream.hear([new(13, status="failed")], is_all=True)
    assert stream._messages == {}
    stream.hear([new(14, status="failed")], is_all=False)
    assert stream._messages == {"new": "2+"}


def test_what_a_stream_keeps_is_bounded_and_the_latest_stands_for_all() -> None:
    stream = stream_of(Wants(after=UUID(int=0)))
    for begin in range(1, 5 * MAX_COUNTED, 200):
        stream.hear([new(number) for number in range(begin, begin + 200)], is_all=True)
    assert len(stream._seen) < MAX_COUNTED + 200
    assert list(stream._messages) == ["new"]


def test_changes_are_told_at_a_pace_and_none_is_forgotten() -> None:
    stream = stream_of(Wants(pace=3))
    told = []
    for is_news in (True, True, False, False, False, False):
        stream.pass_look(is_news=is_news)
        told.append(stream._messages.pop("changed", None) is not None)
    assert told == [True, False, False, True, False, False]
    behind = stream_of(Wants(pace=1, is_behind=True))
    behind.pass_look(is_news=False)
    assert list(behind._messages) == ["changed"]


def test_a_message_keeps_to_its_lines() -> None:
    assert message("new", "a\r\nevent: over\n") == b"event: new\ndata: a\ndata: \ndata: event: over\ndata: \n\n"
