"""What travels from a source to a home."""

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core import cargo
from tidings.core.cargo import MAX_EVENTS, ROOM, CargoError, flights, packed, too_large, unpacked
from tidings.core.errors import StartupError
from tidings.core.event import Event
from tidings.core.fleet import Fleet, check_name, fleet_of

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
some = st.none() | text
events = st.builds(
    Event,
    id=st.uuids(),
    group_id=text,
    source=text,
    type=text,
    operation=some,
    subject=some,
    table_schema=some,
    table_name=some,
    record=some,
    old_record=some,
    occurred_at=st.datetimes(timezones=st.just(UTC)),
    external_id=some,
    webhook_id=st.none() | st.uuids(),
    capture_error=some,
    hops=st.integers(0, 1000),
    traceparent=some,
)


def event(record: str = "{}") -> Event:
    return Event(
        UUID(int=1), "acme", "publish", "order.paid", None, None, None, None, record, None, datetime(2026, 1, 1, tzinfo=UTC)
    )


@given(st.lists(events, max_size=20), st.integers(ROOM + 2_000, ROOM + 20_000))
def test_what_is_packed_is_unpacked_as_it_was_and_in_its_order(some_events: list[Event], limit: int) -> None:
    carried = [one for one in packed(some_events) if len(one) <= limit - ROOM]
    kept = [one for one, size in zip(some_events, packed(some_events), strict=True) if len(size) <= limit - ROOM]
    found = flights(carried, limit)
    assert [one for flight in found for one in unpacked(flight.data)] == kept
    assert all(len(flight.data) <= limit for flight in found)
    assert all(0 < flight.count <= MAX_EVENTS for flight in found)


def test_members_travel_in_the_order_that_events_have_them_in() -> None:
    *shared, last = cargo._Carried.__struct_fields__
    assert (shared, last) == (list(Event.__struct_fields__[: len(shared)]), "traceparent")


def test_a_flight_has_no_more_events_than_it_may() -> None:
    assert [flight.count for flight in flights(packed([event()] * (2 * MAX_EVENTS + 1)), 10_000_000)] == [
        MAX_EVENTS,
        MAX_EVENTS,
        1,
    ]


def test_what_no_message_can_carry_is_found() -> None:
    carried = packed([event(), event('"' + "x" * 70_000 + '"'), event()])
    assert too_large([len(one) for one in carried], 65_536) == [1]


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_cargo_or_refused(data: bytes) -> None:
    with suppress(CargoError):
        unpacked(data)


@given(st.lists(events, min_size=1, max_size=3), st.data())
def test_a_cargo_that_is_changed_on_its_way_is_read_or_refused(some_events: list[Event], data: st.DataObject) -> None:
    whole = flights(packed(some_events), 1_000_000)[0].data
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    for one in (changed, whole[:at]):
        with suppress(CargoError):
            unpacked(one)


def test_a_cargo_of_a_later_version_says_what_to_do() -> None:
    with pytest.raises(CargoError, match="Upgrade homes first"):
        unpacked(msgspec.msgpack.encode([cargo.FORMAT + 1, []]))


def test_a_version_that_no_directory_has_is_refused() -> None:
    for version in (-1, 2**63):
        with pytest.raises(CargoError, match="there is none"):
            unpacked(msgspec.msgpack.encode([cargo.FORMAT, [], version]))


def test_what_is_sent_on_says_by_what_and_where_it_came_from() -> None:
    (flight,) = flights(packed([event()]), 1_000_000, 7, "shop")
    found = cargo.opened(flight.data)
    assert (found.placed_by, found.origin, len(found.events)) == (7, "shop", 1)


# Homes ---------------------------------------------------------------------------------------------------------------------

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", fullmatch=True)


@given(st.lists(names, min_size=1, max_size=8, unique=True), st.lists(text, max_size=50), names)
def test_a_home_more_takes_groups_and_moves_no_others(homes: list[str], groups: list[str], another: str) -> None:
    before = fleet_of(tuple(homes))
    after = fleet_of(tuple({*homes, another}))
    for group in groups:
        assert before.home_of(group) in homes
        assert after.home_of(group) in {before.home_of(group), another}


def test_groups_are_spread_evenly() -> None:
    fleet = Fleet(("a", "b", "c", "d"))
    found = [fleet.home_of(f"group-{number}") for number in range(4_000)]
    assert all(850 <= found.count(home) <= 1_150 for home in fleet.homes)


@pytest.mark.parametrize("homes", [(), ("a", "a"), ("A",), ("a.b",), ("-a",), ("a" * 31,), tuple(f"h{n}" for n in range(101))])
def test_homes_that_cannot_be_are_refused_with_a_sentence(homes: tuple[str, ...]) -> None:
    with pytest.raises(StartupError, match=r"\.$"):
        fleet_of(homes)


@given(st.text(max_size=40))
def test_a_name_is_one_or_is_refused(name: str) -> None:
    with suppress(StartupError):
        assert check_name(name, "TIDINGS_HOME") == name
