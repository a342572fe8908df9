"""Whose webhook it is: the decision, without a server."""

from typing import Any

import pytest

from tidings.core.errors import InvalidInputError
from tidings.core.near import did_you_mean, nearest
from tidings.operations.webhooks.shapes import chosen_profile, shape_of

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
