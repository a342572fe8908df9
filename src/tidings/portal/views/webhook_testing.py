"""Testing a webhook: which sample is sent, and what came of it."""

import json
from collections.abc import Mapping
from datetime import datetime

import msgspec

from tidings.core.customers import Access, is_published
from tidings.core.errors import InvalidInputError
from tidings.core.event import TEST_TYPE, Event
from tidings.core.filters import TableFilter, TypeFilter
from tidings.core.webhook import Subscription
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.samples import Sample, names_of, sampled
from tidings.operations.webhooks.testing import Ending, Tested
from tidings.portal.views.documents import Document, document
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.small import State, state
from tidings.portal.views.text import Shown, duration, visible
from tidings.portal.views.webhook import Head
from tidings.profiles import PROFILES

MAX_KINDS = 400
MAX_EXAMPLE = 100_000  # characters


class ResultView(msgspec.Struct, frozen=True):
    """What came of a test. `body`: what was answered."""

    state: State
    said: Shown
    body: Document | None
    href: str


class TestingView(msgspec.Struct, frozen=True):
    """The page on which a webhook is tested. `error`: what is wrong and belongs to no field."""

    head: Head
    event: Field
    data: Field
    result: ResultView | None
    error: str


def kinds_of(webhook: Subscription, choices: Choices, access: Access) -> dict[str, str]:
    """Return the samples that can be sent, value to label: changes of the tables it names, the test event, every other.

    A customer who may not choose what Tidings makes itself is offered none of it, but for what the webhook names.
    """
    kinds = {
        json.dumps((operation, wanted.schema or "public", wanted.table)): f"{wanted.table}: {operation}"
        for wanted in webhook.events
        if isinstance(wanted, TableFilter) and wanted.table != "*"
        for operation in wanted.operations
    }
    kinds[TEST_TYPE] = "A test event"
    if webhook.profile in PROFILES:
        named = {wanted.name for wanted in webhook.events if isinstance(wanted, TypeFilter)}
        kinds |= {
            name: name
            for name in names_of(webhook, choices.examples)
            if not name.startswith("table.") and (access is Access.FULL or name in named or is_published(name))
        } | kinds
    return dict(list(kinds.items())[:MAX_KINDS])


def sample_of(typed: Mapping[str, str]) -> Sample:
    """Return the sample that was asked for. What it names is checked when it is made."""
    chosen, data = typed.get("event", TEST_TYPE), typed.get("data", "").strip().encode() or msgspec.UNSET
    if not chosen.startswith("["):
        return Sample(chosen, data=data)
    try:
        operation, schema, table = msgspec.json.decode(chosen, type=tuple[str, str, str])
    except msgspec.MsgspecError as error:
        raise InvalidInputError("event", "This is none of the events. Choose one of the list.") from error
    return Sample(operation, table, schema, record=data)


def example_of(webhook: Subscription, chosen: str, choices: Choices, now: datetime) -> str:
    """Return what a sample says, to be edited; an empty text when there is none."""
    try:
        event = sampled(webhook, sample_of({"event": chosen}), choices.examples, now)
    except InvalidInputError:
        return ""
    text = event.record if event.record is not None else event.old_record
    if columns := _columns(event, choices):
        text = json.dumps({name: None if place else 1 for place, name in enumerate(columns)})
    try:
        return json.dumps(json.loads(text or "{}"), indent=2, ensure_ascii=False)[:MAX_EXAMPLE]
    except (ValueError, RecursionError):
        return (text or "")[:MAX_EXAMPLE]


def _columns(event: Event, choices: Choices) -> list[str]:
    """Return the columns that a row of the event's table has in events, where they are known."""
    name = (event.table_schema or "", event.table_name or "")
    own = choices.settings.get(name)
    columns = dict(choices.tables).get(name, ()) if event.source == "tables" else ()
    if own is None:
        return list(columns)
    return [own.renamed_columns.get(column, column) for column in columns if column not in own.excluded_columns]


def testing_view(
    top: Head,
    webhook: Subscription,
    choices: Choices,
    typed: Mapping[str, str],
    now: datetime,
    *,
    access: Access,
    result: Tested | None,
    errors: Mapping[str, str],
) -> TestingView:
    """Return the page on which a webhook is tested, with what was typed."""
    kinds = kinds_of(webhook, choices, access)
    chosen = typed.get("event") or next(iter(kinds))
    is_known = webhook.profile in PROFILES
    data = typed.get("data") or (example_of(webhook, chosen, choices, now) if is_known else "")
    options = tuple(Option(value, visible(label, limit=80).plain, value == chosen) for value, label in kinds.items())
    return TestingView(
        top,
        Field("event", "Event", "choice", chosen, error=errors.get("event", ""), options=options),
        Field(
            "data", "Data", "area", data, "JSON: the row, or what the event says.", errors.get("data", ""),
            is_code=True, max_length=MAX_EXAMPLE,
        ),
        None if result is None else result_view(result),
        errors.get("", ""),
    )  # fmt: skip


_REFUSED = State("bad", "ban", "refused")
_TIMED_OUT = State("bad", "clock", "timed out")
_NO_WORKER = State("warn", "triangle-alert", "no worker runs")


def result_view(tested: Tested) -> ResultView:
    """Return what came of a test, in a sentence."""
    href = f"/deliveries/{tested.delivery_id}"
    body = document(tested.response_body) if tested.response_body else None
    took = f" in {duration(tested.total_ms)}" if tested.total_ms is not None else ""
    match tested.outcome:
        case Ending.ANSWERED:
            shown = state("succeeded" if tested.success else "failed")
            return ResultView(shown, visible(f"The receiver answered {tested.response_status}{took}."), body, href)
        case Ending.REFUSED:
            return ResultView(_REFUSED, visible(tested.error or "No answer came.", limit=500), body, href)
        case Ending.TIMED_OUT:
            return ResultView(_TIMED_OUT, visible(tested.error or f"No answer came{took}.", limit=500), body, href)
        case Ending.NO_WORKER:
            said = "Start one with tidings serve or tidings worker; the test is sent then."
            return ResultView(_NO_WORKER, visible(said), None, href)
        case _:
            return ResultView(state("pending"), visible("It waits for a worker that is free, and is sent then."), None, href)


def first_error(field: str, message: str) -> dict[str, str]:
    """Return an error at its field; one of no field here stands above the form."""
    root = field.partition(".")[0]
    return {_FIELDS.get(root, ""): message}


_FIELDS = {"event": "event", "table": "event", "data": "data", "record": "data", "old_record": "data"}
