"""Testing a webhook: which sample is sent, and what came of it."""

import json
from collections.abc import Mapping, Sequence

import msgspec

from tidings.core.webhook import Subscription, TableFilter
from tidings.operations.webhooks.samples import Sample
from tidings.operations.webhooks.testing import Tested
from tidings.portal.views.documents import Document, document
from tidings.portal.views.lists import Field, Option
from tidings.portal.views.small import State, state
from tidings.portal.views.text import Shown, visible
from tidings.portal.views.webhook import Head

PLAIN = "webhook.test"
_DATA = '{\n  "test": true\n}'
_ROW = '{\n  "id": 1\n}'


class ResultView(msgspec.Struct, frozen=True):
    """What came of a test. `body`: what was answered."""

    state: State
    said: Shown
    body: Document | None
    href: str


class TestingView(msgspec.Struct, frozen=True):
    """The page on which a webhook is tested."""

    head: Head
    event: Field
    data: Field
    result: ResultView | None
    error: str


def kinds_of(webhook: Subscription) -> list[tuple[str, str]]:
    """Return the samples that can be sent: value and label, those it asks for first."""
    kinds = [
        (json.dumps((operation, wanted.schema or "public", wanted.table)), f"{wanted.table}: {operation}")
        for wanted in webhook.events
        if isinstance(wanted, TableFilter) and wanted.table != "*"
        for operation in wanted.operations
    ]
    return [*kinds[:100], (PLAIN, "A test event")]


def testing_view(
    top: Head, webhook: Subscription, typed: Mapping[str, str], *, result: Tested | None, errors: Mapping[str, str]
) -> TestingView:
    """Return the page on which a webhook is tested, with what was typed."""
    kinds = kinds_of(webhook)
    chosen = typed.get("event") or kinds[0][0]
    data = typed.get("data") or (_DATA if chosen == PLAIN else _ROW)
    options = tuple(Option(value, visible(label, limit=80).plain, value == chosen) for value, label in kinds)
    return TestingView(
        top,
        Field("event", "Event", "choice", chosen, error=errors.get("event", ""), options=options),
        Field("data", "Data", "area", data, "JSON: the row, or what the event says.", errors.get("data", ""), is_code=True,
              max_length=100_000),
        None if result is None else result_view(result),
        errors.get("", ""),
    )  # fmt: skip


def sample_of(webhook: Subscription, typed: Mapping[str, str]) -> Sample:
    """Return the sample that was asked for."""
    data = typed.get("data", "").strip().encode() or b"{}"
    chosen = typed.get("event", PLAIN)
    if chosen == PLAIN or chosen not in dict(kinds_of(webhook)):
        return Sample(data=data)
    operation, schema, table = msgspec.json.decode(chosen, type=tuple[str, str, str])
    return Sample(operation, table, schema, record=data)


def result_view(tested: Tested) -> ResultView:
    """Return what came of a test, in a sentence."""
    href = f"/deliveries/{tested.delivery_id}"
    body = document(tested.response_body) if tested.response_body else None
    match tested.success:
        case True:
            return ResultView(state("succeeded"), visible(f"The receiver answered {tested.status_code}."), body, href)
        case False:
            told = tested.error or f"The receiver answered {tested.status_code}."
            return ResultView(state("failed"), visible(told, limit=500), body, href)
        case _:
            said = "No worker has taken it up in time. Does `tidings worker` or `tidings serve` run? It is sent when one does."
            return ResultView(state("pending"), visible(said), None, href)


def first_error(field: str, message: str) -> dict[str, str]:
    """Return an error at its field; one of no field here stands above the form."""
    root = field.partition(".")[0]
    return {({"record": "data", "old_record": "data"}.get(root, root)) if root in _FIELDS else "": message}


_FIELDS: Sequence[str] = ("event", "data", "record", "old_record")
