"""Why an event goes to a webhook, or does not: each condition, and whether it holds.

The definition of who is sent what is routing's (`core.routing.Routes.match`). This says the same for one event and one webhook
in sentences, condition by condition; a test holds the two together.

What a table's settings ask for (`when`, `changed`) is not asked here: it is judged by the trigger, in the transaction of the
change, and what does not meet it is no event.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from tidings.core.event import OPERATIONAL, Event
from tidings.core.filters import CollectionFilter, Filter, TableFilter, TypeFilter
from tidings.core.routing import routes_to
from tidings.core.webhook import Subscription

MAX_FILTERS_SHOWN: Final = 20  # of one webhook, the nearest first
_MAX_SHOWN = 200  # characters of a name
_NAMES_SHOWN = 8


class Condition(msgspec.Struct, frozen=True):
    """One thing that is asked of an event.

    Attributes:
        name: `address`, `group`, `enabled`, `about`; of a filter `source`, `type`, `table`,
            `operation`, `collection`, `action`.
        holds: Whether it is so.
        sentence: What the event is, what the webhook wants where that is something else, and `yes` or `no`.
    """

    name: str
    holds: bool
    sentence: str


class FilterExplained(msgspec.Struct, frozen=True):
    """One entry of a webhook's `events`. `position`: which, counted from 0. It matches where all of its conditions hold."""

    position: int
    matches: bool
    conditions: tuple[Condition, ...]


class Explanation(msgspec.Struct, frozen=True):
    """Whether a webhook is sent an event, as it is now, and why.

    Attributes:
        sentence: The reason in one sentence.
        conditions: Of the webhook.
        filters: Those that match, then those that match most nearly; at most `MAX_FILTERS_SHOWN`. None where they are not
            asked, because the event is meant for one webhook.
        filter_count: How many there are.
        notes: What else is worth knowing, in sentences.
    """

    webhook_id: UUID
    is_sent: bool
    sentence: str
    conditions: tuple[Condition, ...]
    filters: tuple[FilterExplained, ...] = ()
    filter_count: int = 0
    notes: tuple[str, ...] = ()


def explain(event: Event, webhook: Subscription) -> Explanation:
    """Return why an event goes to a webhook, or does not."""
    notes = () if webhook.fault is None else (f"What is sent to it waits: {webhook.fault}",)
    target = event.webhook_id
    if target is not None and (event.source != "cron" or event.is_test):
        address = _address(event, webhook)
        return Explanation(webhook.id, address.holds, _of_address(address), (address,), notes=notes)
    enabled = _enabled(webhook)
    if target == webhook.id:
        conditions = (_address(event, webhook), enabled)
        told = "The job's ticks go to it." if enabled.holds else "The job's ticks would go to it, but it is disabled."
        return Explanation(webhook.id, enabled.holds, told, conditions, notes=notes)
    filters = [_explained(position, wanted, event) for position, wanted in enumerate(webhook.events)]
    is_wanted = any(item.matches for item in filters)
    asked = (_group(event, webhook), enabled, *_of_itself(event, webhook))
    return Explanation(
        webhook.id,
        is_wanted and all(condition.holds for condition in asked),
        _summed_up(asked, filters),
        asked,
        tuple(sorted(filters, key=_distance)[:MAX_FILTERS_SHOWN]),
        len(filters),
        notes,
    )


def near(explanation: Explanation) -> tuple[bool, int, int]:
    """Return how far a webhook is from being sent the event, to sort by. What is asked of it itself weighs the most."""
    itself = sum(not condition.holds for condition in explanation.conditions)
    filters = (sum(not condition.holds for condition in item.conditions) for item in explanation.filters)
    return not explanation.is_sent, itself, min(filters, default=0)


def heard(webhook: Subscription, events: Iterable[Event]) -> list[Event]:
    """Return those of events that a webhook would be sent, were it enabled; it may be one that is not saved yet."""
    routes = routes_to(msgspec.structs.replace(webhook, enabled=True))
    return [event for event in events if webhook.id in routes.match(event)]


def _distance(explained: FilterExplained) -> tuple[int, int]:
    """Return how far a filter is from matching: those that match come first, in their order."""
    return sum(not condition.holds for condition in explained.conditions), explained.position


def _summed_up(conditions: Sequence[Condition], filters: Sequence[FilterExplained]) -> str:
    failing = [condition.sentence for condition in conditions if not condition.holds]
    matching = next((item.position for item in filters if item.matches), None)
    if failing:
        return f"It is not sent: {'; '.join(failing)}."
    if matching is not None:
        return f"It is sent: entry {matching + 1} of its events matches."
    if not filters:
        return "It is not sent: the webhook wants no events."
    nearest = min(filters, key=_distance)
    why = "; ".join(condition.sentence for condition in nearest.conditions if not condition.holds)
    return f"It is not sent: no entry of events matches. The nearest is entry {nearest.position + 1}: {why}."


# Of the webhook ------------------------------------------------------------------------------------------------------------


def _address(event: Event, webhook: Subscription) -> Condition:
    holds = event.webhook_id == webhook.id
    return Condition("address", holds, f"the event is meant for webhook {event.webhook_id} alone{_answer(holds)}")


def _of_address(address: Condition) -> str:
    if address.holds:
        return "It is sent: the event is meant for this webhook alone, whatever it wants."
    return f"It is not sent: {address.sentence}."


def _group(event: Event, webhook: Subscription) -> Condition:
    holds = event.group_id == webhook.group_id
    return _condition("group", "group", event.group_id, (webhook.group_id,), holds=holds, who="the webhook is of")


def _of_itself(event: Event, webhook: Subscription) -> tuple[Condition, ...]:
    if event.source != OPERATIONAL:
        return ()
    is_other = event.subject != str(webhook.id)
    told = "the event tells of another webhook" if is_other else "the event tells of this webhook, and none is told of itself"
    return (Condition("about", is_other, f"{told}{_answer(is_other)}"),)


def _enabled(webhook: Subscription) -> Condition:
    if webhook.enabled:
        return Condition("enabled", True, "the webhook is enabled: yes")
    reason = f" ({_clipped(webhook.disabled_reason.rstrip('.'))})" if webhook.disabled_reason else ""
    return Condition("enabled", False, f"the webhook is disabled{reason}: no")


# Of its filters --------------------------------------------------------------------------------------------------------------


def _explained(position: int, wanted: Filter, event: Event) -> FilterExplained:
    match wanted:
        case TableFilter():
            conditions = _of_table(wanted, event)
        case CollectionFilter():
            conditions = _of_collection(wanted, event)
        case _:
            conditions = (_of_type(wanted, event),)
    return FilterExplained(position, all(condition.holds for condition in conditions), conditions)


def _of_table(wanted: TableFilter, event: Event) -> tuple[Condition, ...]:
    source = _condition("source", "source", event.source, ("tables",), holds=event.source == "tables")
    is_operation = event.operation in wanted.operations
    operation = _condition("operation", "operation", event.operation, wanted.operations, holds=is_operation)
    if wanted.table == "*":
        return source, operation
    is_table = (event.table_schema, event.table_name) == (wanted.schema, wanted.table)
    table = _condition(
        "table",
        "table",
        _table(event.table_schema, event.table_name),
        (_table(wanted.schema, wanted.table) or "",),
        holds=is_table,
    )
    return source, table, operation


def _of_collection(wanted: CollectionFilter, event: Event) -> tuple[Condition, ...]:
    is_record = event.source == "collections"
    name = event.table_name if is_record else None
    collection = _condition(
        "collection", "collection", name, (wanted.collection,), holds=is_record and event.table_name == wanted.collection
    )
    return collection, _condition("action", "type", event.type, wanted.types, holds=event.type in wanted.types)


def _of_type(wanted: TypeFilter, event: Event) -> Condition:
    names = wanted.types if wanted.types == (wanted.name,) or not wanted.types else (wanted.name, *wanted.types)
    operations = tuple(f"{operation} of any table" for operation in wanted.operations)
    if event.source == OPERATIONAL:  # which have to be asked for by name
        names = tuple("* (all but what Tidings tells of itself)" if name == "*" else name for name in names)
    return _condition("type", "type", event.type, dict.fromkeys((*names, *operations)), holds=wanted.matches(event))


def _table(schema: str | None, name: str | None) -> str | None:
    return name if schema is None or name is None else f"{schema}.{name}"


def _condition(
    name: str, what: str, found: str | None, wanted: Iterable[str], *, holds: bool, who: str = "the webhook wants"
) -> Condition:
    is_ = f"{what} is {_clipped(found)}" if found is not None else f"there is no {what}"
    if holds:
        return Condition(name, True, f"{is_}{_answer(True)}")
    names = [_clipped(item) for item in wanted]
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return Condition(name, False, f"{is_}; {who} {', '.join(names[:_NAMES_SHOWN]) or 'none'}{more}{_answer(False)}")


def _answer(holds: bool) -> str:
    return ": yes" if holds else ": no"


def _clipped(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
