"""What rules hide of documents and of answers: pure functions, held to a plain model and to what they must never do."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.privacy import holds, written
from tidings.core import hiding
from tidings.core.bin import Caught
from tidings.core.erasure import Erasure, Finder, Pending, Subject, cancelled, failed, new, refused
from tidings.core.errors import ConflictError, InvalidInputError
from tidings.core.event import Event
from tidings.core.hiding import HIDDEN, hidden_values, hide, parse_path
from tidings.core.job import State
from tidings.core.keeping import decide_end
from tidings.core.outcome import Exchange, GiveUp, Result, Succeeded
from tidings.core.redaction import (
    Redaction,
    Rule,
    check_rule,
    kept_of_answers,
    read_mark,
    redacted_event,
    redaction_of,
    why_unsendable,
)
from tidings.core.scrubbing import Keeping, forms_of, keeping_of, kept_exchange, kept_of_bin, kept_outcome

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c", "d.e", "é"])
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.decimals(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)
STEPS = st.sampled_from(["a", "b", "c", r"d\.e", "é", "*"])
PATHS = st.lists(STEPS, min_size=1, max_size=3).map(".".join)


def text_of(value: Any) -> str:
    """A document as somebody else may write it: blanks, and all digits of its numbers."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{json.dumps(k)} : {text_of(v)}" for k, v in value.items()) + " }"
        case list():
            return "[" + " , ".join(map(text_of, value)) + "]"
        case Decimal():
            return f"{value:f}"
        case _:
            return json.dumps(value)


def model(value: Any, path: tuple[str, ...], at_top: bool = True) -> Any:
    """What a path hides, said once more as plainly as possible; `**` is left out."""
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {k: (model(v, rest, False) if rest else HIDDEN) if head in ("*", k) else v for k, v in value.items()}
    if isinstance(value, list):
        through = [model(v, path, False) if head != "*" and isinstance(v, dict | list) else v for v in value]
        if head != "*":
            return through
        return [(model(v, rest, False) if rest else HIDDEN) for v in value]
    return HIDDEN if at_top and path == ("*",) else value


@given(DOCUMENTS, PATHS)
def test_a_path_hides_what_a_plain_model_says_and_keeps_every_digit_of_the_rest(document: Any, path: str) -> None:
    text = text_of(document)
    kept, found = hide(text, [parse_path(path)])
    exact = {"parse_float": str, "parse_int": str}
    expected = model(json.loads(text, **exact), parse_path(path))
    assert json.loads(kept, **exact) == expected
    if not found:
        assert kept == text


@given(DOCUMENTS)
def test_what_stands_anywhere_is_hidden_however_deep(document: Any) -> None:
    text = text_of({"a": [document, {"card": "4111-1111"}], "b": {"card": {"n": "4111-1111"}}})
    kept, _ = hide(text, [parse_path("**.card")])
    assert "4111-1111" not in kept


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "nonsense", '{"a": 1'])
def test_what_cannot_be_read_is_hidden_whole(text: str) -> None:
    assert hide(text, [("a", "b"), ("**",)])[0] == json.dumps(HIDDEN)


def test_half_a_surrogate_pair_hides_nothing_less() -> None:
    kept, found = hide('{"\\ud800": {"x": "secret", "n": 1.00}, "x": "secret"}', [("**", "x")])
    assert (kept, found) == ('{"\\ud800":{"x":"[redacted]","n":1.00},"x":"[redacted]"}', {("**", "x")})


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ('{"a": "secret", "a": 1.50, "n": 1.00}', "a", '{"a":"[redacted]","n":1.00}'),
        ('{"b": {"c": "secret"}, "b": {}}', "b.c", '{"b":{}}'),
        ('{"b": {"c": "secret"}, "b": 1}', "**.c", '{"b":1}'),
        ('{"b": [{"c": "secret", "d": 1}], "b": null}', "b.c", '{"b":null}'),
        ('{"b": {"c": "secret"}, "\\u0062": {}}', "b.c", '{"b":{}}'),
    ],
)
def test_members_of_one_name_are_each_looked_at(text: str, path: str, wanted: str) -> None:
    """Some read the first, some the last: only the last is kept, and what was hidden of the others is known."""
    names = parse_path(path)
    kept, found = hide(text, [names])
    assert (kept, found) == (wanted, {names})
    assert "secret" in hidden_values(text, kept)


def test_what_is_about_somebody_is_found_in_each_member_of_one_name() -> None:
    finder = Finder(Subject("ada", "customer.id"))
    assert finder.in_record('{"customer": {"id": "ada"}, "customer": {"id": "grace"}}')
    assert not finder.in_record('{"customer": {"id": "eve"}, "customer": {"id": "grace"}}')


def test_an_earlier_member_of_one_name_is_looked_into_as_the_last_is() -> None:
    text = '{"c": {"email": "ada@x.example", "n": 7}, "c": 1, "d": 1.50}'
    kept, found = hide(text, [("c", "email")])
    assert (kept, found) == ('{"c":1,"d":1.50}', {("c", "email")})
    assert hidden_values(text, kept) == ["ada@x.example", "7"]
    assert hide(text, [("c", "gone")]) == (text, set())
    assert Finder(Subject("ada@x.example", "c.email")).in_record(text)


def test_a_document_is_walked_once_however_deep_it_is_and_however_many_paths_there_are() -> None:
    def asked(document: Any, paths: list[tuple[str, ...]]) -> int:
        """How often paths are asked what becomes of a member: once for each name that they say, not for each element."""
        walk = hiding._Walk()
        walk.document(document, frozenset(hiding._State(path, path) for path in paths))
        assert walk.found == {paths[-1]}
        return sum(len(steps) for _, steps in walk._steps.values())

    rows = [{"card": {"n": str(n), "m": n}, "x": [1]} for n in range(2_000)]
    assert asked(rows, [*(("card", f"x{n}") for n in range(300)), ("card", "n")]) < 20
    deep: Any = {"card": "4111"}
    for _ in range(300):
        deep = {"a": deep}
    assert asked(deep, [("**", "card")]) < 20


@pytest.mark.parametrize("path", ["", ".", "a..b", "a.", "x" * 201, ".".join("a" * 17), "**.a.**.b.**.c", "a.**"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_path(path, "fields[3]")
    assert refusal.value.field == "fields[3]"


def test_a_backslash_keeps_a_dot_in_a_name() -> None:
    assert parse_path(r"a\.b.c\\d.e\f") == ("a.b", "c\\d", "e\\f")
    assert parse_path("a\\") == ("a\\",)


# Rules ---------------------------------------------------------------------------------------------------------------------

ONE, TWO = UUID(int=1), UUID(int=2)


def rule(**fields: Any) -> Rule:
    made = {"id": ONE, "group_id": "default", "name": "r", "events": ("order.*",), "created_at": NOW, "updated_at": NOW}
    return Rule(**made | fields)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"name": ""}, "name"), ({"name": "a\n"}, "name"), ({"events": ()}, "events"), ({"events": ("a b",)}, "events[0]"),
        ({"events": ("*", "a.*.b")}, "events[1]"), ({"events": ("x\u202e",)}, "events[0]"), ({"fields": ("a",) * 51}, "fields"), ({"fields": ("a", "")}, "fields[1]"),
        ({"headers": ("a",) * 51}, "headers"), ({"headers": ("a b",)}, "headers[0]"), ({"responses": "some"}, "responses"),
        ({"resend_hours": -1}, "resend_hours"), ({"payload_hours": 0}, "payload_hours"), ({}, "fields"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused_at_its_field(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_rule(rule(**fields))
    assert refusal.value.field == at


def test_of_several_rules_the_strictest_counts() -> None:
    check_rule(rule(fields=("a",)))
    rules = [
        rule(fields=("a",), headers=("X-A",), resend_hours=5, payload_hours=9),
        rule(fields=("b",), responses="scrubbed", resend_hours=2, payload_hours=7, subject=True),
        rule(fields=("c",), webhook_id=TWO, responses="none"),
        rule(events=("user.made",), fields=("d",)),
        rule(responses="none", webhook_id=ONE),
    ]
    done = redaction_of(rules, "order.paid", [ONE])
    assert done == Redaction((), ("a", "b"), True, ("x-a",), "scrubbed", 2, 7)
    assert redaction_of(rules, "order.paid", [TWO]).responses == "none"  # type: ignore[union-attr]
    assert redaction_of(rules, "bill.paid", [ONE]) is None
    assert kept_of_answers(done, rules, "order.paid", ONE).responses == "none"  # type: ignore[union-attr]
    assert kept_of_answers(None, rules, "order.paid", ONE) == Redaction(responses="none")
    assert kept_of_answers(None, rules, "bill.paid", ONE) is None
    assert kept_of_answers(done, [], "order.paid", ONE) == done


def event(**fields: Any) -> Event:
    made: dict[str, Any] = {
        "id": ONE, "group_id": "default", "source": "publish", "type": "order.paid", "operation": None, "subject": "ada", "table_schema": None,
        "table_name": None, "record": '{"email": "ada@x.example", "n": 1}', "old_record": None, "occurred_at": NOW, "external_id": "e-1",
    }  # fmt: skip
    return Event(**made | fields)


def test_an_event_says_what_was_hidden_of_it() -> None:
    kept = redacted_event(event(capture_error="value ada"), Redaction(fields=("email", "gone"), subject=True))
    assert (kept.record, kept.subject, kept.external_id) == ('{"email":"[redacted]","n":1}', None, None)
    assert "ada" not in (kept.capture_error or "")
    mark = read_mark(kept.redaction)
    assert mark is not None
    assert mark.hidden == ("email", "(capture_error)", "(subject)")
    row = redacted_event(event(operation="INSERT"), Redaction(subject=True))
    assert (row.subject, read_mark(row.redaction)) == ("ada", Redaction(subject=True))  # the subject of a row is its table
    assert redacted_event(event(subject=None, external_id=None), Redaction(subject=True)).subject is None
    assert read_mark("[]") == Redaction(("**",), ("**",), True, (), "none")
    assert read_mark(None) is None
    assert "(email, (capture_error), (subject))" in why_unsendable(kept)
    assert "publish it again" in why_unsendable(None)


# Answers -------------------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.text(min_size=6, max_size=40), st.binary(max_size=20), st.integers(0, 5))
def test_a_scrubbed_answer_holds_no_common_form_of_what_was_hidden(value: str, noise: bytes, cut: int) -> None:
    keeping = Keeping(Redaction(fields=("x",), responses="scrubbed"), (value,))
    for form in forms_of(value) | {json.dumps(value)}:
        body = noise + form.encode("utf-8", "replace") + noise
        kept = kept_exchange(Exchange(200, (("x-echo", form),), body), keeping)
        assert form.lower() not in kept.body.decode().lower() or form.lower() in HIDDEN
        assert form.lower() not in kept.headers[0][1].lower() or form.lower() in HIDDEN
    whole = value.encode()
    shortened = Exchange(200, (), whole[: len(whole) - cut], is_truncated=True)
    assert kept_exchange(shortened, keeping).body in {b"", HIDDEN.encode()[: len(kept_exchange(shortened, keeping).body)]}


def test_base64_around_a_value_is_scrubbed_wherever_it_begins() -> None:
    secret = "Zaphod.Beeblebrox@heart-of-gold.example"
    keeping = Keeping(Redaction(fields=("x",), responses="scrubbed"), (secret,))
    kept = kept_exchange(Exchange(200, (), b" ".join(written(secret))), keeping)
    assert not holds(kept.body, secret)


def test_what_is_hidden_is_found_in_letters_of_either_size_where_it_overlaps_and_behind_odd_letters() -> None:
    keeping = Keeping(Redaction(responses="scrubbed"), ("abcdef", "defghi", "İstanbul"))
    body = "İİ ABCDEFGHI, abcdefabcdef, İSTANBUL!".encode()
    assert kept_exchange(Exchange(200, (), body), keeping).body.decode() == "İİ [redacted], [redacted][redacted], [redacted]!"


def test_an_answer_is_kept_as_the_rules_say() -> None:
    exchange = Exchange(500, (("set-cookie", "a"), ("x", "b")), b'{"in": {"card": 4111}}', error="It said ada@x.example.")
    none = kept_exchange(exchange, Keeping(Redaction(responses="none"), ("ada@x.example",)))
    assert (none.status, none.headers, none.body, none.error) == (500, (), b"", "It said [redacted].")
    full = kept_exchange(exchange, Keeping(Redaction(headers=("set-cookie",))))
    assert (full.headers, full.body, full.error) == ((("set-cookie", HIDDEN), ("x", "b")), exchange.body, exchange.error)
    scrubbed = kept_exchange(exchange, Keeping(Redaction(fields=("card",), responses="scrubbed")))
    assert scrubbed.body == b'{"in":{"card":"[redacted]"}}'
    many = kept_exchange(exchange, Keeping(Redaction(responses="scrubbed"), tuple(f"value {n}" for n in range(501))))
    assert (many.body, many.error) == (b"", HIDDEN)  # nobody looks for so many
    long = kept_exchange(exchange, Keeping(Redaction(responses="scrubbed"), tuple(f"{n}" * 4000 for n in range(10, 17))))
    assert (long.body, long.error) == (b"", HIDDEN)
    keeping = Keeping(Redaction(), ("ada@x.example",))
    assert kept_outcome(GiveUp("ada@x.example is gone"), keeping) == GiveUp("[redacted] is gone")
    assert kept_outcome(Succeeded(), keeping) == Succeeded()


def test_nothing_is_done_where_nothing_is_hidden() -> None:
    assert keeping_of(None, event(), None) is None
    assert keeping_of(Redaction(), event(), event()) is None
    done = Redaction(fields=("email",), subject=True)
    found = keeping_of(done, event(), redacted_event(event(), done))
    assert found is not None
    assert found.values == ("ada@x.example", "ada", "e-1")
    assert hidden_values("{", "[]") is None


def test_of_a_document_that_nobody_can_read_no_answer_is_kept_and_no_value_is_missed() -> None:
    deep = '{"a":' * 3000 + '"ada@x.example"' + "}" * 3000
    done = Redaction(fields=("a",), responses="scrubbed")
    whole = event(record=deep, subject=None, external_id=None)
    keeping = keeping_of(done, whole, redacted_event(whole, done))
    assert keeping is not None
    assert kept_exchange(Exchange(200, (), b"ada@x.example"), keeping).body == b""
    assert Finder(Subject("ada@x.example", "**.b")).in_record(deep)
    assert not Finder(Subject("bob@x.example", "**.b")).in_record(deep)


def test_a_bin_keeps_no_field_of_any_rule() -> None:
    came = Caught("POST", "/x?card=4111", (("X-A", "b"),), b'{"data": {"card": 4111}}', True, "", NOW)
    rules = [rule(fields=("card",), subject=True, headers=("x-a",))]
    kept = kept_of_bin(came, rules)
    assert (kept.path, kept.headers, kept.body) == ("/x", (("X-A", HIDDEN),), b'{"data":{"card":"[redacted]"}}')
    assert kept_of_bin(msgspec.structs.replace(came, body=b"card=4111"), rules).body == HIDDEN.encode()
    assert kept_of_bin(came, [rule(payload_hours=1)]) == came


# Keeping and erasing -------------------------------------------------------------------------------------------------------


def test_a_sealed_payload_goes_once_nothing_needs_it() -> None:
    said: dict[str, Any] = {
        "is_open": False,
        "has_failed": False,
        "resend_hours": 2,
        "look_count": 3,
        "ends_at": None,
        "now": NOW,
    }
    assert decide_end(**said) is None
    assert decide_end(**said | {"is_open": True}) == (NOW + timedelta(seconds=16), False)
    assert decide_end(**said | {"is_open": True, "look_count": 99}) == (NOW + timedelta(minutes=10), False)
    assert decide_end(**said | {"has_failed": True}) == (NOW + timedelta(hours=2), True)
    assert decide_end(**said | {"has_failed": True, "ends_at": NOW + timedelta(hours=1)}) == (NOW + timedelta(hours=1), True)
    assert decide_end(**said | {"has_failed": True, "ends_at": NOW}) is None
    assert decide_end(**said | {"has_failed": True, "resend_hours": 0}) is None


def test_a_text_is_found_however_it_is_escaped_and_a_value_by_its_path() -> None:
    text = Finder(Subject("é@x.example"))
    assert text.in_record('{"a": "\\u00e9@x.example"}')
    assert text.in_answer("hello É@X.EXAMPLE", None)
    assert not text.in_record('{"a": "\\u00e8@x.example"}')
    assert not text.in_record("\\x nonsense")
    assert text.in_words(None, "é@x.example")
    assert not text.in_record(None)
    field = Finder(Subject("42", "customer.id"))
    assert [field.in_record(f'{{"customer": {{"id": {said}}}}}') for said in ("42", '"42"', "42.00", "4.2e1", "43", "[1, 42]", "true")] == [
        True, True, True, True, False, True, False,
    ]  # fmt: skip
    assert not field.in_record('{"id": 42}')
    assert not Finder(Subject("4_2", "a")).in_record('{"a": 42}')
    assert not field.in_record('{"customer": {"id": "4_2"}}')
    assert field.in_answer('{"a": [{"customer": {"id": 42}}]}')
    assert not field.in_answer("customer.id = 42")
    assert not field.in_words("42")
    assert not Finder(Subject("NaN", "a")).in_record('{"a": 1}')


def erasure(**fields: Any) -> Erasure:
    made = new(ONE, "default", Subject("ada@x.example"), b"", NOW, dry_run=False, pending="finish")
    return msgspec.structs.replace(made, **fields)


def test_an_erasure_that_is_refused_tries_again_later_and_fails_at_last() -> None:
    one = erasure()
    for _ in range(10):
        one = refused(one, "no", NOW)
    assert (one.state, one.subject, one.finished_at) == (State.FAILED, None, NOW)
    assert one.error == "no It was tried 10 times. Put that right, and ask for it again."
    assert (failed(erasure(), "no", NOW).state, failed(erasure(), "no", NOW).subject) == (State.FAILED, None)
    assert cancelled(erasure(), NOW).state is State.CANCELLED
    with pytest.raises(ConflictError):
        cancelled(one, NOW)
    assert erasure().pending is Pending.FINISH


@pytest.mark.parametrize(
    ("subject", "pending", "at"),
    [
        (Subject("abc"), "finish", "value"), (Subject(""), "finish", "value"), (Subject("a\0bcd"), "finish", "value"),
        (Subject("1", "a..b"), "finish", "field"), (Subject("abcd"), "never", "pending"),
    ],
)  # fmt: skip
def test_an_erasure_that_cannot_be_is_refused_at_its_field(subject: Subject, pending: str, at: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        new(ONE, "default", subject, b"", NOW, dry_run=False, pending=pending)
    assert refusal.value.field == at


def test_results_are_kept_whole_where_no_rule_says_otherwise() -> None:
    from tidings.core.scrubbing import kept_result

    result: Result = Result(None, NOW, Exchange(200, body=b"ok"), Succeeded())  # type: ignore[arg-type]
    assert kept_result(result, None) is result
    assert kept_result(result, Keeping(Redaction(responses="none"))).exchange.body == b""
