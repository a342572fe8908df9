"""Walking through history step by step, oldest first, from a position that is written down: each is found once, in order."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from tests.support.history import CROWDED_AT, DAY, OLD_IDS_UNTIL, History, Past, Stage, staged
from tidings.core.delivery import State
from tidings.core.question import Kinds, Question
from tidings.core.recovery import NOT_ACKNOWLEDGED
from tidings.core.search import Span, drive_of_deliveries, first_id
from tidings.operations.history.explaining import explain
from tidings.store import walks


@pytest.fixture(scope="module")
async def stage(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Deliveries of three days, in every state and with ids of both kinds, some thousand of them in one millisecond."""
    folder = tmp_path_factory.mktemp("walks")
    async with staged(postgres, template, folder, name=f"{template}_walks", events=4000) as stage:
        yield stage


UNACKNOWLEDGED = tuple(sorted(NOT_ACKNOWLEDGED))
CASES: dict[str, tuple[Question, Callable[[Past], bool]]] = {
    "a group's": (Question(group_id="default", states=UNACKNOWLEDGED), lambda _: True),
    "a small group's": (Question(group_id="zeta", states=UNACKNOWLEDGED), lambda _: True),
    "of a type": (
        Question(group_id="default", states=(State.SUCCEEDED,), kinds=Kinds(("order.paid",))),
        lambda past: past.event.type == "order.paid",
    ),
    "of a family of a small group": (
        Question(group_id="acme", states=(State.SUCCEEDED, State.FAILED), kinds=Kinds((), ("order.",))),
        lambda past: past.event.type.startswith("order."),
    ),
    "of a time": (
        Question(group_id="default", states=UNACKNOWLEDGED, since=DAY + timedelta(hours=20), until=DAY + timedelta(hours=51)),
        lambda past: DAY + timedelta(hours=20) <= past.event.occurred_at < DAY + timedelta(hours=51),
    ),
    "of a crowded millisecond": (
        Question(
            group_id="default", since=CROWDED_AT, until=CROWDED_AT + timedelta(milliseconds=1), kinds=Kinds(("order.paid",))
        ),
        lambda past: past.event.occurred_at == CROWDED_AT,
    ),
    "with a text": (
        Question(group_id="default", states=(State.FAILED,), text="größe red"),
        lambda past: "Größe Red" in (past.event.record or "") + (past.event.old_record or ""),
    ),
    "of one webhook": (Question(group_id="default", states=UNACKNOWLEDGED), lambda _: True),
}


def expected(history: History, question: Question, fits: Callable[[Past], bool]) -> list[UUID]:
    return sorted(
        past.id
        for past in history.deliveries
        if past.event.group_id == question.group_id
        and (not question.states or past.state in question.states)
        and (question.webhook_id is None or past.webhook_id == question.webhook_id)
        and fits(past)
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wanted", [13, 500])
async def test_steps_from_a_position_find_each_delivery_once_in_order(stage: Stage, name: str, wanted: int) -> None:
    question, fits = CASES[name]
    if name == "of one webhook":
        webhook = next(id_ for id_, (group, _) in stage.history.webhooks.items() if group == "default")
        question = Question(group_id="default", states=UNACKNOWLEDGED, webhook_id=webhook)
    found: list[UUID] = []
    position: UUID | None = UUID(int=0)
    exact_ids_from = first_id(stage.services.installation.exact_ids_from)
    async with stage.services.wide.snapshot() as connection:
        while position is not None:
            drive = drive_of_deliveries(question, await walks.known(connection, question, exact_ids_from))
            walked = await walks.walk(connection, drive, drive.span.within(Span(low=position)), wanted, newest_first=False)
            assert len(walked.ids) <= wanted
            assert walked.position is None or walked.position > position
            found += walked.ids
            position = walked.position
    assert found == expected(stage.history, question, fits)
    assert found


async def test_an_explanation_tells_what_became_of_an_event_whatever_its_ids_tell(stage: Stage) -> None:
    """Also of events from before the ids of deliveries told theirs."""
    webhooks = {id_ for id_, (group, _) in stage.history.webhooks.items() if group == "default"}
    there: dict[UUID, dict[UUID, tuple[UUID, State]]] = {}
    for past in stage.history.deliveries:
        if past.webhook_id in webhooks:
            there.setdefault(past.event.id, {})[past.webhook_id] = (past.id, past.state)
    events = {event.id: event for event in stage.history.events if event.id in there}
    old = [id_ for id_, event in events.items() if event.occurred_at < OLD_IDS_UNTIL][:25]
    new = [id_ for id_, event in events.items() if OLD_IDS_UNTIL <= event.occurred_at != CROWDED_AT][:25]
    assert len(old) == len(new) == 25
    for event_id in old + new:
        explained = await explain(stage.services, event_id, limit=100)
        told = {one.webhook.id: (one.delivery_id, one.state) for one in explained.webhooks if one.delivery_id is not None}
        assert told == there[event_id]
        assert {one.webhook.id for one in explained.webhooks} == webhooks
