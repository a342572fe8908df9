"""The promise about bytes, held against the JavaScript that receivers run: `JSON.stringify(JSON.parse(body)) === body`."""

import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.node import checked
from tests.unit.test_profiles import row, to
from tests.unit.test_signature_and_profile import KEYS
from tidings.core.jsontext import stable
from tidings.profiles import PROFILES, prepare

digits = st.text("0123456789", min_size=1, max_size=25)
exponents = st.one_of(
    st.just(""), st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 330))
)
numbers = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole.lstrip('0') or '0'}{fraction}{exponent}",
    st.sampled_from(["", "-"]), digits, st.one_of(st.just(""), digits.map(".{}".format)), exponents,
)  # fmt: skip
escapes = st.sampled_from(
    [
        r"\ud800",
        r"\udfff",
        r"\ud83d\ude00",
        r"\u2028",
        r"\u0000",
        r"\/",
        r"\u00e9",
        r"\b",
        r"\u001f",
        "<>&",
        "\u2029",
        "\x7f",
        "é",
    ]
)
strings = st.lists(st.one_of(escapes, st.text("abc {}[]", max_size=3)), max_size=4).map(
    lambda parts: '"' + "".join(parts) + '"'
)
keys = st.one_of(
    st.sampled_from(['"__proto__"', '"01"', '"-1"', '"4294967294"', '"4294967295"', '""']),
    st.integers(0, 99).map('"{}"'.format),
    strings,
)


def nested(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arrays = st.lists(children, max_size=4).map(lambda items: "[ " + " , ".join(items) + " ]")
    members = st.tuples(keys, children).map(lambda pair: f"{pair[0]} : {pair[1]}")
    return arrays | st.lists(members, max_size=5).map(lambda items: "{" + ",\n".join(items) + "}")


documents = st.recursive(numbers | strings | st.sampled_from(["true", "false", "null"]), nested, max_leaves=12)


async def test_bodies_are_what_javascript_makes_of_them_again() -> None:
    bodies: list[str] = ["[" * 200 + "]" * 200, "[" * 100 + '{"1":0.10}' + "]" * 100]
    bodies = [stable(body).decode() for body in bodies]

    @settings(max_examples=4000, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(documents)
    def collect(text: str) -> None:
        bodies.append(stable(text).decode())

    collect()
    assert len(bodies) > 4000
    for start in range(0, len(bodies), 500):
        assert await checked({"check": "stable", "bodies": bodies[start : start + 500]}) == [{"ok": []}]


async def test_what_is_not_stable_would_be_seen() -> None:
    answers = await checked({"check": "stable", "bodies": ["1.0", '{"b":1,"1":2}', '"\\u00e9"', "9007199254740993", "1"]})
    assert answers == [{"ok": ["1.0", '{"b":1,"1":2}', '"\\u00e9"', "9007199254740993"]}]


async def test_every_profiles_whole_body_is_stable() -> None:
    awkward = r'{"2":1.00,"1":"\u2028\ud800","id":"é","big":12345678901234567890,"price":1e21,"n":{"b":[],"a":-0}}'
    bodies: list[Any] = []
    for profile in PROFILES:
        for operation in ("INSERT", "UPDATE", "DELETE"):
            change = row(operation, **({"record": awkward} if operation != "DELETE" else {"old_record": awkward}))
            template = json.dumps({"3": "{{record}}", "1": "{{record.id}} <&>"}) if profile == "vski" else None
            bodies.append(prepare(to(profile, body_template=template), KEYS).body(change).decode())
    assert await checked({"check": "stable", "bodies": bodies}) == [{"ok": []}]
