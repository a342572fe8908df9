"""What is counted as stored, and on which day."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidings.core.event import Event, day_of, uuid7
from tidings.store.storage import stored_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_times = st.integers(0, 253_402_300_799_999)  # up to the end of the year 9999, in milliseconds


@given(
    st.lists(
        st.tuples(st.sampled_from(["acme", "zeta"]), _times, st.none() | st.text(max_size=20), st.none() | st.text(max_size=20))
    )
)
def test_bytes_and_events_are_counted_on_the_days_that_ids_begin_with(
    rows: list[tuple[str, int, str | None, str | None]],
) -> None:
    events = [
        Event(uuid7(at, number), group, "publish", "t", None, None, None, None, record, old, NOON)
        for number, (group, at, record, old) in enumerate(rows)
    ]
    stored = stored_of(events)
    for event in events:
        key = event.group_id, day_of(event.id)
        same = [other for other in events if (other.group_id, day_of(other.id)) == key]
        size = sum(
            len((text or "").encode("utf-8", "surrogatepass")) for other in same for text in (other.record, other.old_record)
        )
        assert stored[key] == (size, len(same))
    assert len(stored) == len({(event.group_id, day_of(event.id)) for event in events})
