"""Two homes that answer for each other: whichever is asked, a group is answered for by the home where it lives."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.homes import Home, group_of, two_homes
from tests.support.stream import Cluster
from tidings.config import Config

pytest_plugins = ("tests.support.fleet_fixtures",)

THERE, HERE = group_of("us"), group_of("eu")


@pytest.fixture
async def homes(config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path) -> AsyncIterator[tuple[Home, Home]]:
    async with two_homes(config, await fresh_databases(2), cluster.url, tmp_path) as homes:
        yield homes


async def test_any_home_answers_for_any_group(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    made = await eu.call("POST", "/api/v1/groups", json={"id": THERE})
    assert (made.status_code, made.headers["tidings-home"]) == (201, "us"), made.text
    assert (await us.call("GET", f"/api/v1/groups/{THERE}")).status_code == 200
    seen = await eu.call("GET", f"/api/v1/groups/{THERE}")
    assert (seen.status_code, seen.json()["id"]) == (200, THERE)

    webhook = {"name": "far", "url": "https://example.com/", "events": ["order.*"]}
    added = await eu.call("POST", "/api/v1/webhooks", group=THERE, json=webhook)
    assert added.status_code == 201, added.text
    assert [one["name"] for one in (await us.call("GET", "/api/v1/webhooks", group=THERE)).json()] == ["far"]
    assert (await eu.call("GET", "/api/v1/webhooks", group=HERE)).status_code == 404, "nobody has made that one"

    published = await eu.call("POST", "/api/v1/events", group=THERE, json={"type": "order.paid", "data": {"n": 1}})
    assert (published.status_code, published.headers["tidings-home"]) == (202, "us")
    lines = b'{"type": "order.paid", "data": 1}\n' * 50
    batch = await eu.call("POST", "/api/v1/events/batch", group=THERE, content=_in_parts(lines))
    assert batch.json()["accepted"] == 50
    for home in homes:
        unknown = await home.call("GET", "/api/v1/webhooks", group=THERE, params={"colour": "red"})
        assert (unknown.status_code, unknown.json()["field"]) == (422, "colour")


async def _in_parts(content: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), 700):
        yield content[begin : begin + 700]


async def test_a_key_of_one_home_opens_what_it_opens_at_the_other(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    for group in (HERE, THERE):
        assert (await eu.call("POST", "/api/v1/groups", json={"id": group})).status_code == 201
    made = await eu.call("POST", "/api/v1/keys", json={"name": "far", "scopes": ["events:publish"], "bound_to": THERE})
    assert (made.status_code, made.headers["tidings-home"]) == (201, "us")
    key, key_id = made.json()["key"], made.json()["id"]
    event = {"type": "order.paid", "data": {}}
    for home in homes:
        said = await home.call("POST", "/api/v1/events", key=key, json=event)
        assert said.status_code == 202, said.text
        assert (await home.call("POST", "/api/v1/events", key=key, group=HERE, json=event)).status_code == 403
        assert (await home.call("GET", "/api/v1/webhooks", key=key)).status_code == 403
        assert (await home.call("GET", "/api/v1/keys/current", key=key)).json()["name"] == "far"
    assert (await us.call("GET", "/api/v1/events", group=THERE)).status_code == 200

    wide = (await us.call("POST", "/api/v1/keys", json={"name": "wide", "scopes": ["admin"]})).json()["key"]
    assert (await eu.call("GET", "/api/v1/webhooks", key=wide, group=HERE)).status_code == 200

    ended = await eu.call("DELETE", f"/api/v1/keys/{key_id}")
    assert ended.status_code == 204, ended.text
    async with asyncio.timeout(30):
        while (refused := await eu.call("POST", "/api/v1/events", key=key, json=event)).status_code == 202:
            await asyncio.sleep(0.05)
    assert (refused.status_code, "was revoked at" in refused.json()["error"]) == (401, True)


async def test_wrong_keys_are_counted_where_they_are_shown(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    key = (await us.call("POST", "/api/v1/keys", json={"name": "wide", "scopes": ["admin"]})).json()["key"]
    other = (await us.call("POST", "/api/v1/keys", json={"name": "other", "scopes": ["admin"]})).json()["key"]
    from tidings.core.api_key import PREFIX, id_of, id_text, write_key

    known = id_of(str(id_text(other)))
    assert known is not None and key.startswith(PREFIX)
    codes = []
    for number in range(40):
        wrong = write_key(known, number.to_bytes(24))
        codes.append((await eu.call("GET", "/api/v1/webhooks", key=wrong)).status_code)
    assert codes == [401] * 30 + [429] * 10
    assert (await eu.call("GET", "/api/v1/webhooks", key=other)).status_code == 200, "a right one is heard all the same"
    assert (await eu.call("GET", "/api/v1/webhooks", key=key)).status_code == 200, "also one that was never seen here"


async def test_nobody_else_can_say_that_a_request_was_handed_on(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    for voucher in ("", "x", "A" * 500):
        headers = {"Tidings-Voucher": voucher}
        said = await us.http.get("/api/v1/webhooks", headers=headers)
        assert (said.status_code, said.json()["code"]) == (403, "FORBIDDEN")
        said = await us.call("GET", "/api/v1/webhooks", headers=headers)
        assert said.status_code == 403, "not with a good key either: whoever sends that means to be a home"
    assert (await us.call("POST", "/api/fleet/keys", json={})).status_code == 403
    assert (await us.call("POST", "/api/fleet/about", json={})).status_code == 403


async def test_a_home_that_is_away_is_named_and_others_go_on(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    for group in (HERE, THERE):
        assert (await eu.call("POST", "/api/v1/groups", json={"id": group})).status_code == 201
    await us.stop()
    for _ in range(2):
        away = await eu.call("POST", "/api/v1/events", group=THERE, json={"type": "order.paid", "data": {}})
        assert (away.status_code, away.json()["code"], away.json()["home"]) == (503, "HOME_AWAY", "us")
        assert "nothing was done" in away.json()["error"]
    assert (await eu.call("GET", "/api/v1/webhooks", group=HERE)).status_code == 200
    await us.start()
    async with asyncio.timeout(30):
        while (await eu.call("GET", "/api/v1/webhooks", group=THERE)).status_code != 200:
            await asyncio.sleep(0.05)


async def test_a_home_is_asked_by_its_name(homes: tuple[Home, Home]) -> None:
    eu, _ = homes
    said = await eu.call("GET", "/api/v1/diagnosis", headers={"X-Tidings-Home": "us"})
    assert (said.status_code, said.headers["tidings-home"]) == (200, "us")
    said = await eu.call("GET", "/api/v1/diagnosis")
    assert (said.status_code, "tidings-home" in said.headers) == (200, False)
    said = await eu.call("GET", "/api/v1/diagnosis", headers={"X-Tidings-Home": "mars"})
    assert (said.status_code, "it has eu, us" in said.json()["error"]) == (404, True)
