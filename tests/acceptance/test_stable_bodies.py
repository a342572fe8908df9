"""The promise about bytes, held against the JavaScript that receivers run: `JSON.stringify(JSON.parse(body)) === body`."""

import json
import random
from typing import Any

from tests.support.documents import written
from tests.support.node import checked
from tests.unit.test_profiles import row, to
from tests.unit.test_signature_and_profile import KEYS
from tidings.core.jsontext import stable
from tidings.profiles import PROFILES, prepare


async def test_bodies_are_what_javascript_makes_of_them_again() -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    texts = ["[" * 200 + "]" * 200, "[" * 100 + '{"1":0.10}' + "]" * 100, *(written(rng) for _ in range(4000))]
    bodies = [stable(text).decode() for text in texts]
    questions = [{"check": "stable", "bodies": bodies[start : start + 500]} for start in range(0, len(bodies), 500)]
    assert await checked(*questions) == [{"ok": []}] * len(questions), f"seed {seed}"


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
