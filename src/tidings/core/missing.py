"""Deliveries that never were: of events that came while their webhook was paused, disabled or not there yet.

Whether the webhook hears an event is what routing says (`core.routing.routes_to`); here is only where the events are found, and
where the delivery of one would be.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from tidings.core.event import Event, delivery_id, table_event_type
from tidings.core.filters import CollectionFilter, TableFilter
from tidings.core.question import Question
from tidings.core.search import MAX_KINDS, Drive, Span, first_id, span_of
from tidings.core.webhook import Subscription

EVENTS_AT_ONCE: Final = 1000  # events that one transaction asks whether the webhook has them


def drive_of_heard(webhook: Subscription, since: datetime | None, until: datetime) -> Drive:
    """Decide how the events of a time are found that a webhook may hear: by their types, where it names them one by one."""
    question = Question(group_id=webhook.group_id, since=since, until=until)
    kinds = types_named(webhook)
    if kinds is not None and len(kinds) <= MAX_KINDS:
        return Drive("events_by_kind", question, question, span_of(question), kinds=kinds, is_exact=True)
    return Drive("events_by_id", question, question, span_of(question))


def types_named(webhook: Subscription) -> tuple[str, ...] | None:
    """Return the types of events that a webhook can hear, each by its name; None when it names families, or is a job's.

    What has one of these types is asked of routing; what has none is not looked at.
    """
    if webhook.managed_by is not None and not webhook.is_listener:
        return None  # a job's ticks come to its webhook whatever that wants
    names: set[str] = set()
    for wanted in webhook.events:
        match wanted:
            case TableFilter():
                if wanted.table == "*" or wanted.schema is None:
                    return None
                names |= {table_event_type(wanted.schema, wanted.table, operation) for operation in wanted.operations}
            case CollectionFilter():
                names |= set(wanted.types)
            case _:
                names |= set(wanted.types)
                if wanted.operations:
                    return None
    return None if any(name.endswith("*") for name in names) else tuple(sorted(names))


def where_delivered(event: Event, webhook_id: UUID, exact_ids_from: UUID) -> Span:
    """Return the ids, the last included, that the delivery of an event to a webhook can have.

    Args:
        exact_ids_from: The first id of a delivery that tells its event.
    """
    if event.id >= exact_ids_from:
        id_ = delivery_id(event.id, webhook_id)
        return Span(id_, id_)
    unix_ms = event.id.int >> 80
    return Span(first_id(unix_ms), UUID(int=first_id(unix_ms + 1).int - 1))
