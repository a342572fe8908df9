"""Ids follow from the outbox row alone."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tidings.core.event import day_bounds, delivery_id, event_id, milliseconds, table_event_type, uuid7

AT = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
WEBHOOK = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")


def test_the_example_of_rfc_9562_comes_out() -> None:
    # RFC 9562, appendix A.6: 2022-02-22T19:22:22Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    tail = 0xCC3 << 62 | 0x18C4DC0C0C07398F
    assert uuid7(0x017F22E279B0, tail) == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


def test_the_same_row_gives_the_same_ids_again() -> None:
    first, again = event_id(AT, 42, 7), event_id(AT, 42, 7)
    assert first == again
    assert delivery_id(first, WEBHOOK) == delivery_id(again, WEBHOOK)


@given(st.integers(0, 2**40 - 2), st.integers(0, 2**34 - 1))
def test_rows_of_one_millisecond_keep_their_order(number: int, salt: int) -> None:
    assert event_id(AT, number, salt) < event_id(AT, number + 1, salt)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(0, 2**74 - 1))
def test_an_id_lies_in_its_day_and_is_a_uuid_of_version_7(at: datetime, tail: int) -> None:
    made = uuid7(milliseconds(at), tail)
    low, high = day_bounds(at.replace(hour=0, minute=0, second=0, microsecond=0))
    assert made.version == 7
    assert low <= made < high


def test_a_delivery_is_in_the_day_of_its_event() -> None:
    event = event_id(AT, 1, 1)
    assert delivery_id(event, WEBHOOK).int >> 80 == event.int >> 80


def test_deliveries_of_one_event_differ_by_webhook() -> None:
    event = event_id(AT, 1, 1)
    assert delivery_id(event, WEBHOOK) != delivery_id(event, UUID(int=1))


def test_milliseconds_are_rounded_down() -> None:
    assert milliseconds(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=1_999)) == 1


def test_table_events_name_the_schema_outside_public() -> None:
    assert table_event_type("public", "orders", "INSERT") == "table.orders.inserted"
    assert table_event_type("sales", "orders", "DELETE") == "table.sales.orders.deleted"
