"""Explanations: the same answer as routing's, and sentences that say why."""

from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_signature_and_profile import event, webhook
from tests.unit.test_webhook_and_routing import _EVENTS, _hooks, change
from tidings.core.event import OPERATIONAL, Event, table_event_type
from tidings.core.explain import MAX_FILTERS_SHOWN, explain, heard
from tidings.core.filters import TableFilter, parse_filter, type_filter
from tidings.core.missing import types_named
from tidings.core.routing import routes_to
from tidings.core.webhook import Webhook

_TARGETS = st.none() | st.integers(1, 6).map(lambda number: UUID(int=number))


def sentences(asked: Event, hook: Webhook) -> list[str]:
    explained = explain(asked, hook)
    return [c.sentence for c in explained.conditions] + [c.sentence for item in explained.filters for c in item.conditions]


@settings(deadline=None, max_examples=1000)
@given(_EVENTS, _TARGETS, _hooks(), st.sampled_from([None, "itself", "another"]))
def test_an_explanation_agrees_with_routing_for_every_event_and_webhook(
    asked: Event, target: UUID | None, hook: Webhook, tells_of: str | None
) -> None:
    asked = msgspec.structs.replace(asked, webhook_id=target)
    if tells_of is not None:
        subject = str(hook.id) if tells_of == "itself" else "another"
        asked = msgspec.structs.replace(asked, source=OPERATIONAL, type="webhook.failing", subject=subject)
    is_routed = hook.id in routes_to(hook).match(asked)
    explained = explain(asked, hook)
    assert explained.is_sent == is_routed
    assert explained.sentence.startswith("It is sent:" if is_routed else "It is not sent:") or target == hook.id
    for item in explained.filters:
        assert item.matches == hook.events[item.position].matches(asked) == all(c.holds for c in item.conditions)
    for condition in (*explained.conditions, *(c for item in explained.filters for c in item.conditions)):
        assert condition.sentence.endswith(": yes" if condition.holds else ": no")


@settings(deadline=None, max_examples=1000)
@given(_EVENTS, _TARGETS, _hooks())
def test_every_event_that_is_heard_is_of_a_type_that_is_named(asked: Event, target: UUID | None, hook: Webhook) -> None:
    """By which missing deliveries are found: what is not of these types is not looked at."""
    asked = msgspec.structs.replace(asked, webhook_id=target)
    if asked.source == "tables":  # as the dispatcher names them
        if asked.operation is None or asked.table_name is None or asked.table_schema is None:
            return
        type_ = table_event_type(asked.table_schema, asked.table_name, asked.operation)
        asked = msgspec.structs.replace(asked, type=type_)
    named = types_named(hook)
    if named is not None and hook.wants(asked):
        assert asked.type in named


@settings(deadline=None)
@given(st.lists(_EVENTS, max_size=20), _hooks())
def test_a_dry_run_is_what_the_webhook_would_be_sent_were_it_enabled(events: list[Event], hook: Webhook) -> None:
    enabled = msgspec.structs.replace(hook, enabled=True)
    assert heard(hook, events) == [asked for asked in events if explain(asked, enabled).is_sent]


def test_a_table_and_an_operation_are_told_with_what_is_wanted() -> None:
    hook = webhook(events=(TableFilter("orders", "public", ("INSERT",)),))
    assert sentences(change(operation="UPDATE"), hook) == [
        "group is default: yes",
        "the webhook is enabled: yes",
        "source is tables: yes",
        "table is public.orders: yes",
        "operation is UPDATE; the webhook wants INSERT: no",
    ]
    assert explain(change(operation="UPDATE"), hook).sentence == (
        "It is not sent: no entry of events matches. The nearest is entry 1: operation is UPDATE; the webhook wants INSERT: no."
    )
    assert explain(change(), hook).sentence == "It is sent: entry 1 of its events matches."


def test_types_families_and_collections_are_told() -> None:
    hook = webhook(events=(type_filter("order.*"), parse_filter({"collection": "posts", "actions": ["create"]}, 0)))
    assert sentences(event(type="invoice.sent"), hook)[2:] == [
        "type is invoice.sent; the webhook wants order.*: no",
        "there is no collection; the webhook wants posts: no",
        "type is invoice.sent; the webhook wants content.created: no",
    ]
    assert explain(event(type="order.paid"), hook).sentence == "It is sent: entry 1 of its events matches."


def test_what_is_disabled_or_of_another_group_is_told_first() -> None:
    hook = webhook(events=(type_filter("*"),), enabled=False, disabled_reason="The receiver answered 410 Gone.")
    assert explain(event(group_id="acme"), hook).sentence == (
        "It is not sent: group is acme; the webhook is of default: no; the webhook is disabled (The receiver answered 410 Gone): no."
    )


def test_an_event_for_one_webhook_is_told_by_its_address() -> None:
    hook = webhook(enabled=False)
    mine = explain(event(webhook_id=hook.id), hook)
    assert (mine.is_sent, mine.sentence) == (True, "It is sent: the event is meant for this webhook alone, whatever it wants.")
    other = explain(event(webhook_id=UUID(int=99)), hook)
    assert (other.is_sent, other.filters) == (False, ())
    assert "is meant for webhook 00000000-0000-0000-0000-000000000063 alone: no" in other.sentence


def test_a_tick_is_told_by_its_job() -> None:
    hook = webhook(events=())
    tick = event(type="cron.fired", source="cron", webhook_id=hook.id)
    assert explain(tick, hook).sentence == "The job's ticks go to it."
    paused = explain(tick, msgspec.structs.replace(hook, enabled=False))
    assert (paused.is_sent, paused.sentence) == (False, "The job's ticks would go to it, but it is disabled.")


def test_a_webhook_that_wants_nothing_or_is_set_aside_says_so() -> None:
    explained = explain(event(), webhook(events=(), fault="Set aside, since headers cannot be read."))
    assert explained.sentence == "It is not sent: the webhook wants no events."
    assert explained.notes == ("What is sent to it waits: Set aside, since headers cannot be read.",)


def test_of_very_many_filters_the_nearest_are_shown_and_long_names_are_cut() -> None:
    filters = (*(type_filter(f"t.{n}") for n in range(500)), type_filter("order.paid"))
    explained = explain(event(type="order.paid"), webhook(events=filters))
    assert (len(explained.filters), explained.filter_count) == (MAX_FILTERS_SHOWN, 501)
    assert (explained.filters[0].position, explained.filters[0].matches) == (500, True)
    long = explain(event(type="x" * 10_000), webhook(events=filters))
    assert max(len(sentence) for sentence in [long.sentence, long.filters[0].conditions[0].sentence]) < 400
