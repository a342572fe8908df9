"""The parameters of a search of history, read into what is asked."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar.di import NamedDependency
from litestar.params import QueryParameter

from tidings.core.question import Question, checked, failures_named, states_named, statuses_named, table_named, words_of
from tidings.operations.history.search import Asked
from tidings.operations.services import Services

Since = Annotated[
    datetime | None, QueryParameter(description="Only of events from this time on, such as 2026-11-21T03:42:37Z.")
]
Until = Annotated[datetime | None, QueryParameter(description="Only of events before this time.")]
Types = Annotated[
    list[str] | None,
    QueryParameter(
        name="type",
        description="Only these types or families, with commas: `order.paid`, `order.*`, or as receivers know them: `INSERT`.",
    ),
]
Table = Annotated[
    str | None, QueryParameter(description="Only changes of rows of this table or collection: `orders`, `sales.orders`.")
]
RecordId = Annotated[str | None, QueryParameter(description="Only changes of the row with this `id` or `_id`; with `table`.")]
Subject = Annotated[
    str | None, QueryParameter(description="Only what is about this and no row's change: what the publisher said.")
]
ExternalId = Annotated[str | None, QueryParameter(description="Only the event that was published under this id.")]
Text = Annotated[
    str | None, QueryParameter(description="Only where this stands in the record's JSON, whatever the case; 3 characters.")
]
Status = Annotated[list[str] | None, QueryParameter(description="Only in these states, with commas: `failed,retrying`.")]
WebhookId = Annotated[UUID | None, QueryParameter(description="Only to this webhook.")]
EventId = Annotated[UUID | None, QueryParameter(description="Only of this event.")]
Failure = Annotated[
    list[str] | None, QueryParameter(description="Only where the last attempt failed so, with commas: `timeout,dns`.")
]
ResponseStatus = Annotated[
    list[str] | None, QueryParameter(description="Only where the last response had these statuses, with commas: `404,5xx`.")
]


def asked_of_deliveries(
    services: NamedDependency[Services],
    *,
    since: Since = None,
    until: Until = None,
    type_: Types = None,
    table: Table = None,
    record_id: RecordId = None,
    text: Text = None,
    status: Status = None,
    event_id: EventId = None,
    failure: Failure = None,
    response_status: ResponseStatus = None,
) -> Asked:
    """Read what deliveries are asked for.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    schema, name = table_named(table)
    statuses, classes = statuses_named(words_of("response_status", response_status))
    question = Question(
        group_id=services.group_id,
        since=since,
        until=until,
        schema=schema,
        table=name,
        record_id=record_id,
        text=text,
        states=states_named(words_of("status", status)),
        event_id=event_id,
        failures=failures_named(words_of("failure", failure)),
        statuses=statuses,
        classes=classes,
    )
    return Asked(checked(question), words_of("type", type_))


def asked_of_events(
    services: NamedDependency[Services],
    *,
    since: Since = None,
    until: Until = None,
    type_: Types = None,
    table: Table = None,
    record_id: RecordId = None,
    subject: Subject = None,
    external_id: ExternalId = None,
    text: Text = None,
) -> Asked:
    """Read what events are asked for.

    Raises:
        InvalidInputError: With the field and the remedy.
    """
    schema, name = table_named(table)
    question = Question(
        group_id=services.group_id,
        since=since,
        until=until,
        schema=schema,
        table=name,
        record_id=record_id,
        subject=subject,
        external_id=external_id,
        text=text,
    )
    return Asked(checked(question), words_of("type", type_))
