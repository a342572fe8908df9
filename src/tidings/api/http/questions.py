"""The parameters of a search of history, read into what is asked."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from tidings.operations.history.asking import deliveries_asked, events_asked
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
    asked = deliveries_asked(
        services.group_id,
        since=since,
        until=until,
        type=type_,
        table=table,
        record_id=record_id,
        text=text,
        status=status,
        event_id=event_id,
        failure=failure,
        response_status=response_status,
    )
    return msgspec.structs.replace(asked, may_be_new=True)


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
    asked = events_asked(
        services.group_id,
        since=since,
        until=until,
        type=type_,
        table=table,
        record_id=record_id,
        subject=subject,
        external_id=external_id,
        text=text,
    )
    return msgspec.structs.replace(asked, may_be_new=True)
