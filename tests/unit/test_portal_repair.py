"""What recoveries say of themselves, and how words of a search are read and told."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tidings.core.delivery import State as DeliveryState
from tidings.core.errors import InvalidInputError
from tidings.core.job import State
from tidings.core.question import Kinds, Question
from tidings.core.recovery import Recovery, of_deliveries, of_search
from tidings.operations.history.asking import as_words
from tidings.operations.history.recoveries import Forecast
from tidings.portal.views.questions import question_of_deliveries
from tidings.portal.views.recover import forecast_view, rate_of
from tidings.portal.views.recoveries import happened, recovery_view, what_of, words_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ID = UUID(int=7)


def made(**fields: Any) -> Recovery:
    return msgspec.structs.replace(of_search(ID, Question(group_id="default", since=NOW - timedelta(hours=1)), NOW), **fields)


@pytest.mark.parametrize(
    ("forecast", "said"),
    [
        (Forecast(0, True), "There is nothing to send again."),
        (Forecast(0, False), "How many there are is found out as they are sent."),
        (Forecast(1, True), "1 delivery will be sent again."),
        (Forecast(12, True), "12 deliveries will be sent again."),
        (Forecast(10_000, False), "At least 10\u2009000 deliveries will be sent again."),
        (Forecast(2, True, 3), "5 deliveries will be sent: 2 again, and 3 that never were."),
    ],
)
def test_what_would_be_sent_is_one_sentence(forecast: Forecast, said: str) -> None:
    assert forecast_view(forecast).said == said
    assert forecast_view(forecast).can_begin is not said.startswith("There is nothing")


def test_what_happened_is_told_in_sentences() -> None:
    assert happened(made()) == ("It begins as soon as a worker looks at it, within a second.",)
    running = made(state=State.RUNNING, found_count=3, queued_count=1, skipped_count=2, error="It waits: its lane is full.")
    assert happened(running)[:2] == ("1 delivery went into the queue again so far.", "It waits: its lane is full.")
    assert happened(running)[2].startswith("2 deliveries were left alone: ")
    assert happened(made(state=State.DONE)) == ("It is done. There was nothing to send again.",)
    failed = made(state=State.FAILED, error="The webhook was deleted, so there is nowhere to send anything.")
    assert happened(failed)[0] == "It could not go on. The webhook was deleted, so there is nowhere to send anything."
    assert what_of(of_deliveries(ID, "default", [ID], NOW)) == "1 delivery that was chosen."
    assert what_of(made()) == ("Deliveries from 2026-11-21 11:00 UTC until 2026-11-21 12:00 UTC: status failed,retrying.")
    assert what_of(made(question=None)) == "What it was asked for cannot be read as it is stored."


def test_a_recovery_without_a_beginning_tells_no_share_and_one_that_is_over_does_not_seem_to_run() -> None:
    unknown = of_search(ID, Question(group_id="default"), NOW)
    assert recovery_view(unknown, NOW).progress.whole is None
    over = recovery_view(msgspec.structs.replace(unknown, state=State.CANCELLED), NOW)
    assert (over.progress.done, over.progress.whole, over.is_open) == (0, 1, False)
    assert recovery_view(made(state=State.DONE), NOW).progress.said == "100\u2009%"
    assert recovery_view(made(), NOW).deliveries == "/deliveries?since=2026-11-21T11%3A00%3A00Z&until=2026-11-21T12%3A00%3A00Z"


def test_a_search_is_told_in_the_words_that_ask_it() -> None:
    question = Question(
        group_id="acme",
        since=NOW,
        kinds=Kinds(("order.paid",), ("order.",), ("INSERT",)),
        schema="sales",
        table="orders",
        states=(DeliveryState.FAILED,),
        webhook_id=ID,
        statuses=(404,),
        classes=(5,),
    )
    words = as_words(question)
    assert words == {
        "since": "2026-11-21T12:00:00Z",
        "type": "order.paid,order.*,INSERT",
        "table": "sales.orders",
        "status": "failed",
        "webhook_id": str(ID),
        "response_status": "404,5xx",
    }
    asked = question_of_deliveries("acme", words_of(question), NOW).of_webhook(ID)
    assert asked.types == ("order.paid", "order.*", "INSERT")
    assert msgspec.structs.replace(asked.question, kinds=question.kinds) == question


def test_a_rate_is_a_number() -> None:
    assert (rate_of(""), rate_of(" 2.5 ")) == (None, 2.5)
    with pytest.raises(InvalidInputError) as refused:
        rate_of("fast")
    assert refused.value.field == "rate_per_second"
