"""From a file to what is wanted, and from there to steps: what holds for all of them."""

import json
import re
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.cli.remote.configuration import shown, text
from tidings.cli.remote.configuration.exported import exported
from tidings.cli.remote.configuration.kinds import BY_SECTION, KINDS
from tidings.cli.remote.configuration.wanted import asked_by
from tidings.core.differences import HIDDEN
from tidings.core.steps import Change, Does, Step, Wanted, plan

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.text(
    "\n :#-'\"ab\\|>&*!%@`{}[],?\t~1e.", max_size=9
)
SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | WORDS
VALUES = st.recursive(SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(WORDS, one, max_size=3), max_leaves=8)
ORDER = ("groups", "webhooks", "rules")
FIELDS = st.dictionaries(st.sampled_from("abcd"), SCALARS | st.dictionaries(st.sampled_from("xy"), SCALARS), max_size=4)
THINGS = st.dictionaries(st.sampled_from(ORDER), st.dictionaries(st.sampled_from("pqrs"), FIELDS, max_size=4))


def wanted_of(things: Any) -> Any:
    return {section: {name: Wanted(fields) for name, fields in named.items()} for section, named in things.items()}


def done(steps: list[Step], wanted: Any, present: Any) -> Any:
    """Do steps, as a server would that keeps what it is told."""
    result = {section: {name: dict(fields) for name, fields in named.items()} for section, named in present.items()}
    for step in steps:
        section = result.setdefault(step.section, {})
        if step.does is Does.REMOVE:
            del section[step.name]
        elif step.does is Does.ADD:
            section[step.name] = dict(wanted[step.section][step.name].fields)
        else:
            section[step.name] |= {field: wanted[step.section][step.name].fields[field] for field in step.fields}
    return result


@given(VALUES)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    assert text.read(text.write({"value": value})).value == {"value": value}


@given(VALUES)
def test_json_is_read_as_json(value: Any) -> None:
    assert text.read(json.dumps({"value": value}, indent="\t")).value == {"value": value}


@given(THINGS, THINGS, st.booleans())
def test_a_second_time_there_is_nothing_to_do(wanted: Any, present: Any, is_pruning: bool) -> None:
    asked, pruned = wanted_of(wanted), ORDER if is_pruning else ()
    steps = plan(asked, present, order=ORDER, pruned=pruned)
    after = done(steps, asked, present)
    assert plan(asked, after, order=ORDER, pruned=pruned) == []
    if is_pruning:
        assert {section: set(after.get(section, {})) for section in wanted} == {
            section: set(wanted[section]) for section in wanted
        }


@given(THINGS)
def test_what_is_there_is_no_work(present: Any) -> None:
    assert plan(wanted_of(present), present, order=ORDER, pruned=ORDER) == []


@settings(max_examples=50)
@given(THINGS, THINGS, st.randoms())
def test_the_order_of_entries_does_not_matter(wanted: Any, present: Any, random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(one) for key, one in items}

    assert plan(wanted_of(wanted), present, order=ORDER, pruned=ORDER) == plan(
        wanted_of(shuffled(wanted)), shuffled(present), order=ORDER, pruned=ORDER
    )


@given(THINGS, THINGS)
def test_nothing_is_removed_that_nobody_named(wanted: Any, present: Any) -> None:
    steps = plan(wanted_of(wanted), present, order=ORDER)
    assert Does.REMOVE not in {step.does for step in steps}
    pruning = plan(wanted_of(wanted), present, order=ORDER, pruned=ORDER)
    assert {step.section for step in pruning if step.does is Does.REMOVE} <= set(wanted)


def test_what_cannot_be_read_is_sent_and_compared_there() -> None:
    (step,) = plan({"webhooks": {"a": Wanted({}, ("secret",))}}, {"webhooks": {"a": {}}}, order=ORDER)
    assert (step.does, step.sealed) == (Does.COMPARE, ("secret",))


WEBHOOKS = st.fixed_dictionaries(
    {"url": st.sampled_from(["https://a.example.com/", "https://b.example.com/x?y=1"]), "events": st.sampled_from(["*", [{"table": "o"}]])},
    optional={
        "profile": st.sampled_from(["standard", "vivreal", "cloudevents", "vski", "fluxbase"]),
        "description": WORDS.map(lambda one: "".join(c for c in one if c.isprintable())),
        "enabled": st.booleans(),
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.sampled_from(["1", "yes", "no"])),
        "retry": st.sampled_from([{"delays": [1, 2]}, {"base": 5, "factor": 2, "max": 3600, "tries": 10}]),
        "ordered": st.booleans(),
        "timeout_seconds": st.integers(1, 60),
        "rate_per_second": st.none() | st.integers(1, 9),
        "concurrency": st.integers(1, 9),
    },
)  # fmt: skip
JOBS = st.fixed_dictionaries(
    {"schedule": st.sampled_from(["0 3 * * *", "*/5 * * * MON"])},
    optional={"timezone": st.sampled_from(["UTC", "Asia/Tokyo"]), "timeout": st.integers(1, 60), "active": st.booleans()},
)
FILES = st.fixed_dictionaries(
    {"tidings": st.just(1)},
    optional={
        "webhooks": st.dictionaries(NAMES, WEBHOOKS, max_size=3),
        "jobs": st.dictionaries(NAMES, st.one_of(JOBS.map(lambda one: one | {"sql": "select 1"}), JOBS.map(lambda one: one | {"url": "https://j.example.com/", "retryLimit": 3})), max_size=3),
        "event_types": st.dictionaries(NAMES, st.fixed_dictionaries({}, optional={"description": WORDS, "example": VALUES}), max_size=2),
        "redaction": st.dictionaries(NAMES, st.fixed_dictionaries({"events": st.just(["*"])}, optional={"fields": st.just(["a.b"]), "responses": st.sampled_from(["full", "none"]), "subject": st.booleans()}), max_size=2),
        "egress": st.fixed_dictionaries({}, optional={"networks": st.just(["10.0.0.0/8"]), "ports": st.just(["443", "8000-8010"])}),
    },
)  # fmt: skip


@settings(max_examples=40)
@given(FILES)
def test_what_is_exported_asks_for_what_is_there(file: Any) -> None:
    """A server that has what a file asks for is exported as a file that asks for the same."""
    asked = asked_by(text.write(file), {})
    present = {
        section: {name: {"enabled": True, "active": True} | dict(one.fields) if section in {"webhooks", "jobs"} else dict(one.fields) for name, one in things.items()}
        for section, things in asked.things.items()
    }  # fmt: skip
    for section, key in (("webhooks", "active"), ("jobs", "enabled")):
        for one in present.get(section, {}).values():
            del one[key]
    again = asked_by(exported("acme", present, with_secrets=False), {})
    assert again.group == "acme"
    implied = {kind.section: kind.implied for kind in KINDS if kind.implied is not None}
    assert plan(again.things, present, order=list(BY_SECTION), implied=implied, pruned=list(BY_SECTION)) == []


def test_no_two_secrets_are_given_by_one_variable() -> None:
    hook = {"url": "https://a.example.com/", "events": "*", "enabled": True}
    file = {
        "tidings": 1,
        "integrations": {"a b": {"platform": "hmac", "enabled": True}},
        "webhooks": {"a b": hook, "a-b": hook, "A_B": hook},
    }
    asked = asked_by(text.write(file), {})
    present = {section: {name: one.fields for name, one in things.items()} for section, things in asked.things.items()}
    names = re.findall(r"env: (\w+)", exported(None, present, with_secrets=True))
    assert sorted(names) == ["A_B_SECRET", "A_B_SECRET_2", "A_B_SECRET_3", "A_B_SECRET_4"]


def test_what_stands_on_others_is_made_after_them_and_removed_before() -> None:
    present = {"groups": {"p": {}}, "webhooks": {"p": {}}, "rules": {"p": {}, "q": {}}}
    asked = {"groups": {"r": {}}, "webhooks": {"r": {}}, "rules": {"r": {}}}
    steps = plan(wanted_of(asked), present, order=ORDER, pruned=ORDER)
    assert [(step.does, step.section, step.name) for step in steps] == [
        *((Does.ADD, section, "r") for section in ORDER),
        (Does.REMOVE, "rules", "q"), (Does.REMOVE, "rules", "p"), (Does.REMOVE, "webhooks", "p"), (Does.REMOVE, "groups", "p"),
    ]  # fmt: skip


def test_what_comes_from_a_variable_is_not_shown_in_a_plan() -> None:
    for field in ("url", "headers.X-Team", "ca_certificates"):
        change = Change(field, "before-secret", "after-secret")
        assert shown.sides(change, {field: "TEAM"}) == (HIDDEN, "(from $TEAM)")
    assert shown.sides(Change("headers.X-Plain", "a", "b"), {}) == ("a", "b")


def test_what_looks_like_a_secret_is_exported_as_a_variable() -> None:
    kind = BY_SECTION["webhooks"]
    said = {"url": "https://x.y/", "events": ["a.b"], "headers": {"Authorization": "Bearer hidden", "X-Plain": "1"}}
    told = exported(None, {"webhooks": {"erp": kind.normal("erp", msgspec.convert(said, kind.entry))}}, with_secrets=False)
    headers = text.read(told).value["webhooks"]["erp"]["headers"]
    assert headers == {"Authorization": {"env": "ERP_HEADERS_AUTHORIZATION"}, "X-Plain": "1"}
