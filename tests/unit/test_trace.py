"""Traces: what a `traceparent` says, and spans whose ids follow from what they are about."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.trace import (
    Trace,
    attempt_span,
    parse,
    publish_span,
    route_span,
    trace_id_of,
    traceparent_of,
    with_span,
)

EXAMPLE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # of the specification
ids = st.integers(1, 2**64 - 1)
traces = st.builds(Trace, st.integers(1, 2**128 - 1), ids, st.integers(0, 3))


@given(traces)
def test_what_is_written_is_read_again(one: Trace) -> None:
    assert parse(str(one)) == one
    assert traceparent_of(str(one)) == str(one)
    assert len(str(one)) == 55


@given(traces, ids)
def test_another_span_changes_nothing_but_the_span(one: Trace, span_id: int) -> None:
    assert parse(with_span(str(one), span_id)) == Trace(one.trace_id, span_id, one.flags)


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,9})?", fullmatch=True))
def test_whatever_comes_is_a_trace_or_none_and_what_is_kept_is_of_version_00(text: str) -> None:
    found = parse(text)
    if found is None:
        assert traceparent_of(text) is None
    else:
        assert found.trace_id
        assert found.span_id
        assert traceparent_of(text) == traceparent_of(str(found)) == str(found)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (EXAMPLE, EXAMPLE),
        (f" {EXAMPLE}\t", EXAMPLE),
        (EXAMPLE[:-2] + "00", EXAMPLE[:-2] + "00"),
        (EXAMPLE[:-2] + "ff", EXAMPLE[:-2] + "03"),  # flags that nobody knows are not handed on
        ("cc" + EXAMPLE[2:], EXAMPLE),  # a version to come
        ("cc" + EXAMPLE[2:] + "-what-the-future-holds", EXAMPLE),
        ("cc" + EXAMPLE[2:] + ".what", None),
        (EXAMPLE + "-more", None),  # this version has no more
        ("ff" + EXAMPLE[2:], None),
        (EXAMPLE.upper(), None),
        (EXAMPLE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), None),
        (EXAMPLE.replace("b7ad6b7169203331", "0" * 16), None),
        (EXAMPLE + "\n", None),
        (f"{EXAMPLE},{EXAMPLE}", None),  # the header came twice
        ("", None),
        (None, None),
    ],
)
def test_the_specifications_rules(text: str | None, kept: str | None) -> None:
    assert traceparent_of(text) == kept


@given(st.uuids(), st.integers(1, 1000), st.integers(0, 2**32))
def test_spans_follow_from_what_they_are_about_and_none_is_zero(about: UUID, number: int, second: int) -> None:
    spans = [
        publish_span(about),
        route_span(about),
        attempt_span(about, number, second),
        attempt_span(about, number + 1, second),
    ]
    spans.append(attempt_span(about, number, second + 1))
    assert len(set(spans)) == len(spans)
    assert all(0 < span < 2**64 for span in spans)
    assert 0 < trace_id_of(about) < 2**128
    assert attempt_span(about, number, second) == attempt_span(UUID(int=about.int), number, second)


def test_events_that_nobody_traces_have_traces_of_their_own() -> None:
    assert len({trace_id_of(uuid4()) for _ in range(1000)}) == 1000
