"""What is put on record of a change: what was and what is; short, and without what is secret."""

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.differences import HIDDEN, MAX_BYTES, MORE, difference, is_secret, without_credentials


def test_fields_that_differ_are_told_with_both_sides() -> None:
    before = {"name": "a", "url": "https://a.example/", "enabled": True, "updated_at": 1, "retry": {"delays": [1]}}
    after = before | {"name": "b", "enabled": False, "updated_at": 2, "retry": {"delays": [1, 2]}}
    assert difference(before, after) == {
        "name": ("a", "b"), "enabled": (True, False), "retry": ({"delays": [1]}, {"delays": [1, 2]}),
    }  # fmt: skip
    assert difference(before, before) == {}


def test_of_what_is_new_or_gone_fields_that_say_nothing_are_left_out() -> None:
    state = {"name": "a", "description": None, "headers": {}, "enabled": False}
    assert difference(None, state) == {"name": (None, "a"), "enabled": (None, False)}
    assert difference(state, None) == {"name": ("a", None), "enabled": (False, None)}


def test_a_secret_that_was_changed_is_told_as_changed_and_not_shown() -> None:
    before, after = {"secret": "one", "headers": {"X-Key": "a"}}, {"secret": "two", "headers": {"X-Key": "b", "X-More": "c"}}
    assert difference(before, after) == {
        "secret": (HIDDEN, HIDDEN), "headers": ({"X-Key": HIDDEN}, {"X-Key": HIDDEN, "X-More": HIDDEN}),
    }  # fmt: skip
    assert difference({"secret": None}, {"secret": "one"}) == {"secret": (None, HIDDEN)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("secret", True), ("previous_secret", True), ("clientSecret", True), ("password", True), ("api_key", True), ("private_key_pem", True),
        ("headers", True), ("body", True), ("Authorization", True), ("access_token", True), ("signing_key", True), ("previous_secret_until", False),
        ("jwt_enabled", False), ("key_id", False), ("name", False), ("secret_name", False), ("overlap_seconds", False), ("monkey", False),
    ],
)  # fmt: skip
def test_what_could_be_secret_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_secret(name) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/hook", "https://a.example/hook"), ("https://u:p@a.example:8443/hook", f"https://{HIDDEN}@a.example:8443/hook"),
        ("https://a.example/?token=x&b=2&c#d", f"https://a.example/?token={HIDDEN}&b={HIDDEN}&{HIDDEN}#{HIDDEN}"), ("no url: a=b", "no url: a=b"),
        ("http://[::1", HIDDEN), ("a text that names https://a.example/?b=c far behind its beginning", "a text that names https://a.example/?b=c far behind its beginning"),
    ],
)  # fmt: skip
def test_addresses_lose_what_could_be_a_password(url: str, expected: str) -> None:
    assert without_credentials(url) == expected


_NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3000),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(before=st.dictionaries(_NAMES, _VALUES, max_size=40), after=st.dictionaries(_NAMES, _VALUES, max_size=40))
def test_it_is_bounded_whatever_was_changed(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert len(msgspec.json.encode(difference(before, after))) <= MAX_BYTES


def test_what_is_long_is_cut_and_what_there_is_no_room_for_is_named() -> None:
    found = difference({}, {f"field{number}": "\x00" * 5000 for number in range(20)} | {"schema": ["x" * 900]})
    assert found["field0"][1].endswith("… (cut, 5,000 characters)")
    assert len(found["field0"][1]) == 500
    assert "fields more: field" in found[MORE][1]
    assert difference({}, {"schema": ["x" * 900]})["schema"][1].startswith('["xxx')


_PLANTS = (
    "secret",
    "password",
    "api_key",
    "token",
    "authorization",
    "private_key",
    "headers",
    "body",
    "record",
    "example",
    "client_secret",
)


@given(
    wrapping=st.lists(st.sampled_from(["options", "triggers", "auth", "list"]), max_size=5), name=st.sampled_from(_PLANTS),
    value=st.text(string.ascii_letters, min_size=20, max_size=30),
)  # fmt: skip
def test_a_secret_is_hidden_wherever_it_stands(wrapping: list[str], name: str, value: str) -> None:
    planted: Any = {name: {"X": value} if name == "headers" else value, "url": f"https://u:{value}@h.example/?a={value}"}
    for one in wrapping:
        planted = [planted] if one == "list" else {one: planted}
    assert value not in str(difference(None, {"settings": planted})).replace(name, "")
