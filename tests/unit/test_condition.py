"""Conditions on rows: what is read, what is refused, and that nothing else reaches PostgreSQL."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.condition import FUNCTIONS, MAX_LENGTH, Reference, guard_of, read_condition
from tidings.core.condition_tree import called, nodes, parse_tree
from tidings.core.errors import InvalidInputError


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("new.total > 5", 'new."total" > 5'),
        ("NEW.Total>5 -- large ones", 'new."total" > 5'),
        ("new.\"Total\" = 'it''s'", "new.\"Total\" = 'it''s'"),
        ("new.path = 'a\\b'", "new.\"path\" = E'a\\\\b'"),
        ("new.path = E'a\\\\b'", "new.\"path\" = E'a\\\\b'"),
        ("new.tags @> array['a'] and new.meta->>'k'='v'", "new.\"tags\" @> array [ 'a' ] and new.\"meta\" ->> 'k' = 'v'"),
        ("old.* is distinct from new.*", "old.* is distinct from new.*"),
        ("new.n<-1", 'new."n" < - 1'),
        ("new.ÄÖ = 1", 'new."ÄÖ" = 1'),
    ],
)
def test_a_condition_is_written_anew_from_its_pieces(text: str, written: str) -> None:
    assert read_condition(text, "UPDATE").written() == written
    assert read_condition(written, "UPDATE").written() == written, "it is read again before it is installed"


def test_what_it_looks_at_follows_columns_that_were_renamed() -> None:
    condition = read_condition("new.a > old.b and new.a is not null", "UPDATE")
    assert condition.references == (Reference("new", "a"), Reference("old", "b"))
    assert condition.written({"a": 'x"y'}) == 'new."x""y" > old."b" and new."x""y" is not null'
    guard = guard_of(condition, {"a": "x"})
    assert guard.call == f'tidings.{guard.name}(row(new."x", old."b"))'
    assert guard.body == (
        "begin return coalesce((r.f1 > r.f2 and r.f1 is not null), false); exception when others then return null; end"
    )
    assert guard_of(condition).name == guard.name, "the same function under any names"


@pytest.mark.parametrize(
    ("text", "is_settled"),
    [
        ("new.total > 5 and old.total <= 5", False),
        ("new.status = 'paid' or new.status is null or new.a is not null", False),
        ("new.at > '2026-01-01'", True),
        ("new.tags = '{null}'", True),
        ("new.a::text = 'x'", True),
        ("cast(new.a as text) = 'x'", True),
        ("new.path = 'a\\1'", True),
        ("new.a = null", True),
        ("null = new.a", True),
        ("date 'epoch' < new.d", True),
    ],
)
def test_what_a_session_could_read_otherwise_is_evaluated_with_settings_of_its_own(text: str, is_settled: bool) -> None:
    guard = guard_of(read_condition(text, "UPDATE"))
    assert guard.is_settled is is_settled


REFUSED = [
    "", "  -- nothing", "cast(pg_read_file('/etc/hostname') as int) = 1", "lo_import('/etc/passwd') > 0", "(select true)", "new.a = (table t)",
    "exists (select 1)", "pg_sleep(10) is null", "set_config('a', 'b', false) = ''", "current_setting('data_directory') = ''",
    "new.at > 'now'", "new.at > E'now'", "new.d = date ' Today '", "cast('1e65000' as numeric) = new.n", "cast(new.a as char(10485760)) = 'x'",
    "new.a::varchar(99999) = 'x'", "now() > new.at", "new.at < current_timestamp", "current_user = 'x'", "nextval('s') = 1", "1=1) then perform pg_sleep(1); end if; (",
    "true; drop table t", "$$ $$ = ''", "new.a = $1", "E'\\x41' = 'A'", "U&'\\0041' = 'A'", "x'41' = b'1'", "'t'::regclass = 5", "'1'::evil > 1",
    "cast('<a/>' as xml) is document", "public.evil(new.a)", "pg_catalog.lower(new.a) = 'x'", "new.a operator(public.=) 1", "repeat('x', 1000000000) = ''",
    "lpad(new.a, 1000000000) = ''", "replace(new.a, 'a', new.a) = ''", "new.a ~ '(a+)+$'", "new.a similar to '(a+)+$'", "regexp_replace(new.a, 'a', 'b') = ''",
    "2 ^ 100000 > 1", "1e100000 > 1", "(new.addr).city = 'x'", "new.a.b = 1", "other.a = 1", "a = 1", '"new".a = 1', "count(*) > 1",
    "sum(new.a) over () > 1", "generate_series(1, 10) = 1", "new.a = 'unfinished", 'new."unfinished = 1', "new.a /* gone", "row(new.a) = row(1)",
    "new.a = 'x' collate \"evil\"", "query_to_xml('select 1', true, true, '') is null", "format('%s', new.a) = ''", "new.a = any (values (1))",
    "(" * 60 + "true" + ")" * 60, "true and " * 2000 + "true", "not " * 999 + "not true",
    "new.a = '\x00'", "xmlparse(document new.a) is not null", "json_value(new.a, '$') = ''",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_may_do_more_than_look_is_refused_before_postgresql_sees_it(text: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_condition(text, "UPDATE")
    assert refused.value.field == "when"
    assert len(refused.value.message) < 500


_OURS = re.compile(
    r"""(?:'(?:[^'\\]|'')*'|E'(?:[^'\\]|''|\\\\)*'|(?:new|old)\."(?:[^"]|"")+"|[a-z_0-9.]+|[-+*/%<>=&|\#?@^~!:()\[\],]+|\s)*"""
)


@given(st.text(max_size=80) | st.lists(st.sampled_from(["new.a", "old.\"b\"\"c\"", "'", "''", "\\", "--", "/*", "$$", "and", "1", "(", ")", ";", "e'", "\n", "=", "::", "int", "|", "lower"]), max_size=14).map(" ".join))  # fmt: skip
def test_whatever_is_read_is_written_as_words_columns_literals_and_operators(text: str) -> None:
    try:
        condition = read_condition(text, "UPDATE")
    except InvalidInputError:
        return
    written = condition.written()
    assert _OURS.fullmatch(written)
    assert ";" not in re.sub(r"'[^']*'|\"[^\"]*\"", "", written)
    assert "--" not in re.sub(r"'[^']*'|\"[^\"]*\"", "", written)
    assert len(written) <= 8 * MAX_LENGTH


def test_functions_that_read_or_make_much_are_not_among_those_allowed() -> None:
    assert not FUNCTIONS & {"repeat", "lpad", "rpad", "replace", "concat", "format", "now", "random", "pg_read_file", "xpath"}


def test_postgresqls_trees_are_read() -> None:
    tree = parse_tree(
        "{OPEXPR :opno 521 :opfuncid 147 :opresulttype 16 :args ({VAR :varno 2 :varattno 3 :vartype 23 :varnullingrels (b)} "
        '{CONST :consttype 25 :constlen -1 :constvalue 5 [ 20 0 0 0 123 ]}) :colnames ("a \\" {b" "c") :location -1}'
    )
    assert [node[""] for node in nodes(tree)] == ["OPEXPR", "CONST", "VAR"]
    assert sorted(called(tree).functions) == [147]
    assert sorted(called(tree).types) == [16, 23, 25]
    with pytest.raises(InvalidInputError, match="SUBLINK"):
        called(parse_tree("{SUBLINK :subLinkType 4}"))
