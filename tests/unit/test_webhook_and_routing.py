"""What a webhook may ask for, and which events it gets."""

import tracemalloc
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_signature_and_profile import event, webhook
from tidings.core.errors import InvalidInputError
from tidings.core.event import Event
from tidings.core.filters import Kind, TableFilter, parse_filter, type_filter
from tidings.core.lanes import share_out
from tidings.core.pace import MAX_REST_SECONDS, Pace
from tidings.core.routing import Route, Routes, kinds_of
from tidings.core.target import parse_target
from tidings.core.webhook import Webhook, check_headers, check_settings, check_url
from tidings.profiles import PROFILES


def change(table: str = "orders", operation: str = "INSERT", schema: str = "public") -> Event:
    return event(source="tables", type=f"table.{table}.x", operation=operation, table_schema=schema, table_name=table)


@pytest.mark.parametrize(
    ("item", "read"),
    [
        ("*", type_filter("*")),
        ("content.*", type_filter("content.*")),
        ("order.paid", type_filter("order.paid")),
        ("table.orders.inserted", TableFilter("orders", "public", ("INSERT",))),
        ("table.sales.orders.*", TableFilter("orders", "sales")),
        ("table.*", type_filter("table.*")),
        ({"table": "orders"}, TableFilter("orders")),
        ({"table": "orders", "operations": ["delete", "INSERT"]}, TableFilter("orders", None, ("INSERT", "DELETE"))),
        ({"table": "a.b", "schema": "s", "operations": ["*"]}, TableFilter("a.b", "s")),
    ],
)
def test_every_form_of_a_filter_is_read(item: Any, read: Any) -> None:
    assert parse_filter(item, 0) == read


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ("", "events[3]"), ("a b", "events[3]"), ("a.*.b", "events[3]"), ("**", "events[3]"), ("table.a.b.c.inserted", "events[3]"),
        ("table.orders.truncated", "events[3]"), (7, "events[3]"), ({}, "events[3].table"), ({"table": ""}, "events[3].table"),
        ({"table": "t", "schema": 1}, "events[3].schema"), ({"table": "t", "operations": []}, "events[3].operations"),
        ({"table": "t", "operations": ["TRUNCATE"]}, "events[3].operations"), ({"table": "t", "ops": []}, "events[3].ops"),
        ("x" * 300, "events[3]"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused_with_its_place(item: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_filter(item, 3)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("wanted", "got", "matches"),
    [
        ("*", event(type="a.b"), True),
        ("*", change(), True),
        ("content.*", event(type="content.created"), True),
        ("content.*", event(type="contents.created"), False),
        ("content.*", event(type="content"), False),
        ("order.paid", event(type="order.paid"), True),
        ("order.paid", event(type="order.paid.twice"), False),
        ({"table": "orders", "schema": "public"}, change(), True),
        ({"table": "orders", "schema": "public"}, change(schema="sales"), False),
        ({"table": "orders", "schema": "public", "operations": ["UPDATE"]}, change(), False),
        ({"table": "*"}, change("anything", schema="any"), True),
        ({"table": "*"}, event(type="order.paid"), False),
        ({"table": "orders", "schema": "public"}, event(type="table.orders.inserted"), False),
    ],
)
def test_a_filter_matches_what_it_names_and_no_more(wanted: Any, got: Event, matches: bool) -> None:
    assert parse_filter(wanted, 0).matches(got) is matches


def routes_of(*hooks: Webhook) -> Routes:
    routes = Routes()
    for hook in hooks:
        routes.put(hook.id, route_of(hook))
    return routes


def route_of(hook: Webhook) -> Route:
    return Route(hook.group_id, hook.enabled, tuple(dict.fromkeys(kind for wanted in hook.events for kind in wanted.kinds)))


def matched(routes: Routes, **fields: Any) -> list[int]:
    return [webhook_id.int for webhook_id in routes.match(event(**fields))]


def test_an_event_goes_to_every_enabled_webhook_of_its_group_that_wants_it() -> None:
    wanting = (type_filter("order.*"),)
    routes = routes_of(
        webhook(id=UUID(int=5), events=(type_filter("x"), type_filter("*"))),
        webhook(id=UUID(int=1), events=wanting),
        webhook(id=UUID(int=2), events=(type_filter("user.*"),)),
        webhook(id=UUID(int=3), events=wanting, enabled=False),
        webhook(id=UUID(int=4), events=wanting, group_id="other"),
    )
    assert matched(routes) == [1, 5]


def test_a_test_event_goes_to_its_webhook_alone() -> None:
    routes = routes_of(
        webhook(id=UUID(int=1), events=(type_filter("*"),)), webhook(id=UUID(int=2), events=(type_filter("x"),), enabled=False)
    )
    assert matched(routes, type="webhook.test", webhook_id=UUID(int=2)) == [2]
    assert matched(routes, type="webhook.test", webhook_id=UUID(int=9)) == []


def test_a_tick_goes_to_its_jobs_webhook_unless_that_is_disabled_and_to_those_that_want_ticks() -> None:
    tick = {"source": "cron", "type": "cron.fired"}
    hearer = webhook(id=UUID(int=1), events=(type_filter("cron.fired"),))
    carrier = webhook(id=UUID(int=2))
    routes = routes_of(hearer, carrier)
    assert matched(routes, **tick, webhook_id=UUID(int=2)) == [2, 1]
    assert matched(routes, **tick, webhook_id=UUID(int=1)) == [1]
    assert matched(routes, **tick, webhook_id=UUID(int=9)) == [1]
    routes.put(carrier.id, route_of(msgspec.structs.replace(carrier, enabled=False)))
    assert matched(routes, **tick, webhook_id=UUID(int=2)) == [1]


def test_an_answer_is_remembered_until_something_changes() -> None:
    hook = webhook(events=(type_filter("*"),))
    routes = routes_of(hook)
    assert routes.match(event()) is routes.match(event())
    routes.drop(hook.id)
    assert matched(routes) == []


def test_remembered_answers_do_not_grow_without_bound() -> None:
    routes = routes_of(*(webhook(id=UUID(int=number), events=(type_filter("*"),)) for number in range(99)))
    for number in range(2500):
        assert len(routes.match(event(type=f"t.{number}"))) == 99
        assert sum(1 + len(answer) for answer in routes._answers.values()) <= 100_000
    assert len(routes._answers) == 500  # a thousand fit; they were forgotten twice


_NAMES = ("orders", "order", "a.b")
_TYPES = st.sampled_from(
    ["order.paid", "order.paid.twice", "order", "orders.paid", "order.", "*", "table.orders.inserted", "content.created",
     "content.updated", "content.archived", "cron.fired", "site.deployed", "integration.object.created", "INSERT", "order.*", "", "webhook.failing"]
)  # fmt: skip
_EVENTS = st.builds(
    event,
    group_id=st.sampled_from(["default", "other"]),
    source=st.sampled_from(["tables", "collections", "publish", "cron", "integrations", "tidings"]),
    type=_TYPES,
    operation=st.sampled_from([None, "INSERT", "UPDATE", "DELETE"]),
    table_schema=st.sampled_from([None, "public", "sales"]),
    table_name=st.sampled_from([None, *_NAMES]),
)
_OPERATION_LISTS = st.lists(st.sampled_from(["INSERT", "update", "DELETE", "*"]), min_size=1, max_size=3)
_ITEMS = st.one_of(
    st.sampled_from(
        ["*", "order.*", "order.paid", "order.paid.*", "order", "content.*", "content.created", "table.*", "table.orders.inserted",
         "table.sales.order.*", "cron.fired", "cron", "INSERT", "UPDATE", "create", "update", "collection.object.*", "site.*",
         "site.deployed", "collection.object.created", "integration.*", "webhook.failing", "webhook.*"]
    ),
    st.fixed_dictionaries(
        {"table": st.sampled_from(["*", *_NAMES])},
        optional={"schema": st.sampled_from(["public", "sales"]), "operations": _OPERATION_LISTS},
    ),
    st.fixed_dictionaries(
        {"collection": st.sampled_from(_NAMES)},
        optional={"actions": st.lists(st.sampled_from(["create", "update", "archive", "*"]), min_size=1, max_size=2)},
    ),
)  # fmt: skip


@st.composite
def _hooks(draw: st.DrawFn) -> Webhook:
    profile = draw(st.sampled_from(sorted(PROFILES)))
    filters = []
    for item in draw(st.lists(_ITEMS, max_size=4)):
        with suppress(InvalidInputError):  # another system's word
            filters.append(parse_filter(item, 0, PROFILES[profile].vocabulary))
    return webhook(
        id=UUID(int=draw(st.integers(1, 6))),
        group_id=draw(st.sampled_from(["default", "other"])),
        profile=profile,
        enabled=draw(st.booleans()) or draw(st.booleans()),
        events=tuple(filters),
    )


@settings(deadline=None, max_examples=400)
@given(st.lists(_hooks() | st.integers(1, 6), max_size=25), st.lists(_EVENTS, min_size=1, max_size=8))
def test_the_index_answers_as_every_webhook_asked_in_turn_would(changes: list[Webhook | int], events: list[Event]) -> None:
    """Whatever was put, replaced and dropped before, and whatever was asked in between."""
    routes, present = Routes(), dict[UUID, Webhook]()
    for change_ in changes:
        if isinstance(change_, int):
            present.pop(UUID(int=change_), None)
            routes.drop(UUID(int=change_))
        else:
            present[change_.id] = change_
            routes.put(change_.id, route_of(change_))
        for asked in events:
            wanting = [
                hook.id for hook in present.values() if hook.enabled and hook.group_id == asked.group_id and hook.wants(asked)
            ]
            assert routes.match(asked) == tuple(sorted(wanting))
    for webhook_id in list(present):
        routes.drop(webhook_id)
    assert routes._wanted == {}
    assert len(routes) == 0


def test_the_longest_family_is_found_and_a_type_of_endless_parts_is_looked_up_no_further() -> None:
    family = parse_filter("a." * 99 + "*", 0)
    routes = routes_of(webhook(events=(family,)), webhook(id=UUID(int=2), events=(type_filter("x.*"),)))
    assert matched(routes, type="a." * 99 + "b") == [1]
    assert matched(routes, type="a." * 98 + "b") == []
    assert len(list(kinds_of(event(type="a." * 10_000)))) == 102


def test_what_routing_keeps_of_a_webhook_is_less_than_a_kilobyte() -> None:
    """Of 50,000 over 10,000 groups, each with two filters of its own making and one that many have."""
    tracemalloc.start()
    routes = Routes()
    for number in range(50_000):
        kinds: tuple[Kind, ...] = (f"order.{number}", f"family.{number}.*", "order.paid")
        routes.put(uuid4(), Route(f"group-{number % 10_000}", True, kinds))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / 50_000 < 1024


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("not a url", "blanks"), ("ftp://example.com", "https"), ("file:///etc/passwd", "https"), ("javascript:alert(1)", "https"),
        ("https:///path", "no host"), ("https://user:pw@example.com", "password"),
        ("https://example.com:99999", "not a URL"), ("https://[::1", "not a URL"), ("https://exa\nmple.com", "blanks"),
        ("https://exämple.com", "ASCII"), ("", "https"), ("https://example.com/" + "a" * 3000, "longer"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_webhooks_url_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        check_url(url)
    assert caught.value.field == "url"


def test_https_and_http_are_urls_of_webhooks() -> None:
    check_url("https://example.com:8443/hook?x=1")
    check_url("http://example.com")


@pytest.mark.parametrize("name", ["Host", "content-length", "TRANSFER-ENCODING", "Connection", "keep-alive", "te", "Upgrade", "Trailers", "proxy-authorization"])  # fmt: skip
def test_headers_that_belong_to_the_request_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        check_headers({name: "x"})


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\r\nb", "a\x00b", "☃"])
def test_headers_with_line_breaks_and_the_like_are_refused(bad: str) -> None:
    with pytest.raises(InvalidInputError):
        check_headers({"X-Good": bad})
    with pytest.raises(InvalidInputError):
        check_headers({bad: "x"})


def test_a_header_may_have_8192_bytes_and_no_more() -> None:
    check_headers({"X": "a" * 8192})
    with pytest.raises(InvalidInputError, match="8192"):
        check_headers({"X": "a" * 8193})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"), ({"method": "BREW"}, "method"), ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": 301}, "timeout_seconds"), ({"timeout_seconds": float("nan")}, "timeout_seconds"),
        ({"concurrency": 0}, "concurrency"), ({"rate_per_second": 0}, "rate_per_second"),
    ],
)  # fmt: skip
def test_figures_out_of_bounds_are_refused_with_their_field(fields: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_settings(webhook(**({"events": (type_filter("*"),)} | fields)))
    assert caught.value.field == field


def test_settings_within_bounds_pass() -> None:
    check_settings(webhook(events=(type_filter("*"),), rate_per_second=5.0, timeout_seconds=300))


@dataclass(frozen=True)
class _Meant:
    number: int
    lane: UUID


_LANES = [UUID(int=number) for number in range(4)]


@given(
    st.lists(st.sampled_from(_LANES), max_size=40),
    st.dictionaries(st.sampled_from(_LANES), st.integers(-2, 9)),
    st.integers(0, 30),
)
def test_sharing_out_keeps_every_limit_order_and_delivery(lanes: list[UUID], rooms: dict[UUID, int], capacity: int) -> None:
    meant = [_Meant(number, lane) for number, lane in enumerate(lanes)]
    leased, waiting = share_out(meant, lambda d: d.lane, rooms, capacity)
    assert sorted([d.number for d in leased + waiting]) == list(range(len(meant)))
    assert len(leased) <= capacity
    for lane in _LANES:
        here = [d.number for d in leased if d.lane == lane]
        assert len(here) <= max(0, rooms.get(lane, 0))
        assert here == sorted(here)
        behind = [d.number for d in waiting if d.lane == lane]
        assert not (here and behind) or max(here) < min(behind)


def test_the_machine_is_crowded_when_users_write_and_questions_take_long() -> None:
    pace = Pace()
    assert not pace.is_crowded(writers=4, question_seconds=0.0002)
    assert pace.is_crowded(writers=4, question_seconds=0.005)
    assert not pace.is_crowded(writers=0, question_seconds=0.005)
    assert not pace.is_crowded(writers=4, question_seconds=0.0009)


def test_a_rest_is_longer_than_the_work_before_it_up_to_a_bound() -> None:
    assert Pace.rest_seconds(0.01) > 0.01
    assert Pace.rest_seconds(100) == MAX_REST_SECONDS


def test_port_0_is_not_port_80() -> None:
    assert parse_target("http://example.com:0/").port == 0
    assert parse_target("http://example.com:/").port == 80
