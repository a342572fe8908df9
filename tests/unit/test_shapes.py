"""Whose webhook it is: the decision, without a server."""

from typing import Any

import pytest

from tidings.core.errors import InvalidInputError
from tidings.core.near import did_you_mean, nearest
from tidings.operations.webhooks.choices import Choices
from tidings.operations.webhooks.shapes import chosen_profile, shape_of
from tidings.operations.webhooks.unheard import check_spoken, is_slip, told

WHSEC = "whsec_" + "QUJD" * 10
TABLES = [{"table": "orders", "operations": ["INSERT"]}]


def chosen(events: Any, secret: str | None = None, *fields: str, asked: str | None = None, default: str | None = None) -> str:
    return chosen_profile(asked, default, shape_of(fields, events, secret)).profile


@pytest.mark.parametrize(
    ("events", "secret", "fields", "profile"),
    [
        (TABLES, "any text", (), "fluxbase"),
        (TABLES, "whsec_test", (), "fluxbase"),  # looks like one of Standard Webhooks and is none
        (TABLES, None, ("is_active",), "fluxbase"),
        ("INSERT,DELETE", None, (), "fluxbase"),
        (["collection.object.*", "site.deployed"], None, (), "vivreal"),
        (["collection.object.created"], WHSEC, (), "vivreal"),
        (["integration.connected"], "any text", (), "vivreal"),
        (["content.*", "collection.*"], "any text", (), "vivreal-content"),
        (["update", "cron"], None, (), "vski"),
        (TABLES, None, (), "standard"),
        (TABLES, WHSEC, ("scope",), "standard"),
        (["*"], "any text", (), "standard"),
        (["order.paid"], None, ("is_active",), "standard"),
        (["collection.object.created", "order.paid"], None, (), "standard"),
        (["site.updated"], None, (), "standard"),
        ([{"collection": "posts"}], "any text", (), "standard"),
        ([17, None, ["a"]], "any text", (), "standard"),
        ([{"collection": "posts"}, "collection.object.created"], None, (), "vivreal"),
        ([*TABLES, "collection.object.created"], None, (), "vivreal"),
        ([], None, (), "standard"),
    ],
)
def test_a_shape_that_one_system_has_is_of_that_system(
    events: Any, secret: str | None, fields: tuple[str, ...], profile: str
) -> None:
    assert chosen(events, secret, *fields) == profile


def test_what_is_said_wins_over_what_is_set_and_that_over_the_shape() -> None:
    assert chosen(TABLES, "any text", asked="vivreal", default="vski") == "vivreal"
    assert chosen(TABLES, "any text", default="vski") == "vski"
    with pytest.raises(InvalidInputError, match='Did you mean "vivreal"'):
        chosen(TABLES, asked="Vivrael")


def test_near_names_are_few_bounded_and_blind_to_case() -> None:
    assert nearest("INSRT", ["insert", "update"]) == ["insert"]
    assert len(nearest("name1", [f"name{n}" for n in range(2000)])) == 3
    assert nearest("x" * 100_000, ["x" * 90_000]) == ["x" * 90_000]
    assert did_you_mean("zzz", ["order.paid"]) == ""
    assert did_you_mean("order.payed", ["order.paid"]) == ' Did you mean "order.paid"?'


# Names that would be waited for in vain -------------------------------------------------------------------------------------


def refused(*events: Any, asked: str | None = None, default: str | None = None) -> str:
    """Return why names are refused; nothing when they are not."""
    shape = shape_of((), events, None)
    try:
        check_spoken(chosen_profile(asked, default, shape), shape)
    except InvalidInputError as error:
        return f"{error.field}: {error.message}"
    return ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("collection.object.creatd", '"collection.object.created"'),
        ("collectoin.object.*", '"collection.object.*"'),
        ("collection.object.reviewed", "Did you mean"),
        ("content.creatd", '"content.created"'),
        ("Content.Created", '"content.created"'),
        ("insert", '"INSERT"'),
        ("creat", '"create"'),
    ],
)
def test_a_name_with_a_letter_wrong_is_refused_with_the_right_one(name: str, meant: str) -> None:
    said = refused("order.paid", name)
    assert said.startswith(f"events[1]: events[1] is {name!r}, which no profile knows.")
    assert meant in said
    assert "choose profile standard" in said
    assert refused(name, asked="standard") == ""
    assert refused(name, default="cloudevents") == ""


@pytest.mark.parametrize(
    "name", ["order.created", "connection.created", "orders", "site.updated", "content.reviewed", "x" * 10_000, "a.*", "ins"]
)
def test_a_name_of_an_application_is_taken_as_it_is(name: str) -> None:
    assert refused(name) == ""


def test_names_of_two_systems_at_once_are_refused() -> None:
    said = refused("order.paid", "collection.object.created")
    assert "an event of profile vivreal" in said
    assert "'order.paid' is none of that profile's" in said
    assert "make a webhook for each" in said
    assert refused("content.created", "collection.created") == ""


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("order", "ordr", True), ("order", "oder", True), ("order", "roder", True), ("order", "ordre", True),
        ("order", "orders", True), ("order", "arder", True), ("order", "redor", False), ("order", "ordered", False),
        ("", "", True), ("", "a", True), ("ab", "", False), ("abcd", "badc", False), ("abc", "bca", False),
    ],
)  # fmt: skip
def test_a_slip_is_one_letter_or_two_swapped(one: str, other: str, is_one: bool) -> None:
    assert is_slip(one, other) is is_slip(other, one) is is_one


def test_what_nothing_is_known_by_is_told_and_kept() -> None:
    choices = Choices(
        {"order.paid": ""},
        seen=frozenset({"order.sent"}),
        tables=((("public", "orders"), ()), (("sales", "leads"), ())),
        collections=("posts",),
    )
    names = ["order.paid", "order.*", "*", "content.created", "table.orders.*", "order.sent"]
    assert told("standard", names, choices) == []
    assert told("vivreal", ["anything"], choices) == []
    for name, remedy in (
        ("orders", 'write "table.orders.*"'),
        ("orders.inserted", 'write "table.orders.*"'),
        ("sales.leads", 'write "table.sales.leads.*"'),
        ("posts.create", "tick it under Collections"),
        ("collection.object.created", "Choose that profile, or write content.created."),
        ("order.payed", 'Did you mean "order.paid"'),
        ("never.heard", "it goes out once your application publishes one"),
    ):
        (sentence,) = told("standard", [name], choices)
        assert remedy in sentence
    assert len(told("standard", [f"t{n}" for n in range(1000)], choices)) == 5
