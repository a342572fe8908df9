"""Filters of records: what comes out is ours, whatever goes in."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.collection import Field
from tidings.core.errors import InvalidInputError
from tidings.core.record_filter import parse_filter, parse_sort

FIELDS = (Field("title", "text"), Field("views", "number"), Field("ready", "bool"), Field("day", "date"), Field("tags", "json"))

# Columns in quotes, operators, parameters, casts: nothing else may reach the statement.
_OURS = re.compile(
    r"(?:[()\s]|true|false|and|or|not|null|is|distinct|from|coalesce|ilike|,|>=|<=|>|<|\$\d+|::(?:text|numeric|boolean|date|timestamptz)"
    r'|"(?:title|views|ready|day|tags|id|created|updated|publishDate|archived|author)")*'
)
_PIECES = st.lists(
    st.sampled_from(
        ["title", "views", "tags", "nothing", "=", "!=", ">", "<=", "~", "!~", "&&", "||", "(", ")", '"a\\"b"', "'", "--", ";", "1", "-2.5", "true", "null", "$1", "\x00", "é"]
    ),
    max_size=12,
).map(" ".join)  # fmt: skip


def answer_to(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except InvalidInputError as error:
        return error


@given(_PIECES | st.text(max_size=60))
def test_a_filter_is_refused_with_its_field_or_becomes_columns_operators_and_parameters(text: str) -> None:
    where = answer_to(lambda: parse_filter(text, FIELDS, first_parameter=3))
    if isinstance(where, InvalidInputError):
        assert where.field == "filter"
        return
    assert _OURS.fullmatch(where.sql), where.sql
    assert sorted(set(re.findall(r"\$(\d+)", where.sql)), key=int) == [str(3 + n) for n in range(len(where.values))]


@pytest.mark.parametrize(
    ("text", "sql", "values"),
    [
        ("", "true", []),
        ('title = "a\\"b"', '(("title" is not distinct from $1::text::text))', ['a"b']),
        ("views >= 1.50 && ready != true", '(("views" >= $1::text::numeric and "ready" is distinct from $2::text::boolean))', ["1.50", "true"]),
        ("title ~ '50%_'", "((coalesce(\"title\"::text ilike $1, false)))", ["%50\\%\\_%"]),
        ("(day < '2026-03-15' || day = null) && views > 1", '(((("day" < $1::text::date) or ("day" is null)) and "views" > $2::text::numeric))', ["2026-03-15", "1"]),
    ],
)  # fmt: skip
def test_a_filter_says_what_it_was_asked(text: str, sql: str, values: list[str]) -> None:
    where = parse_filter(text, FIELDS)
    assert (where.sql, where.values) == (sql, values)


def test_nesting_has_a_bound() -> None:
    with pytest.raises(InvalidInputError, match="nested too deeply"):
        parse_filter("(" * 200 + "views = 1" + ")" * 200, FIELDS)


@given(st.text(max_size=40))
def test_an_order_names_fields_or_is_refused(text: str) -> None:
    order = answer_to(lambda: parse_sort(text, FIELDS))
    if isinstance(order, InvalidInputError):
        assert order.field == "sort"
        return
    assert re.fullmatch(r'("\w+" (asc|desc) nulls last, )+"id"', order)
