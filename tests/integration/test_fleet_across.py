"""Two homes that answer for each other: whichever is asked, a group is answered for by the home where it lives."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from tests.support.across import FLEET, HOMES_KEY, Home, group_of, two_homes
from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.stream import Cluster
from tidings.client import AsyncClient
from tidings.config import Config
from tidings.core.api_key import id_of, id_text, write_key
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet, with_groups
from tidings.core.voucher import VouchedKey, Voucher, digest_of, said_of, seal_key, sealed
from tidings.operations.across import Directory, DirectoryReader
from tidings.store import placing

pytest_plugins = ("tests.support.fleet_fixtures",)

HTML = {"Accept": "text/html"}
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

    async def told() -> Any:
        await eu.call(
            "GET", "/api/v1/keys/current"
        )  # keys of its own are looked at all the time, and others none the longer believed
        said = await eu.call("POST", "/api/v1/events", key=key, json=event)
        return None if said.status_code == 202 else said

    refused = await eventually(told)
    assert (refused.status_code, "was revoked at" in refused.json()["error"]) == (401, True)


async def test_wrong_keys_are_counted_where_they_are_shown(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    key = (await us.call("POST", "/api/v1/keys", json={"name": "wide", "scopes": ["admin"]})).json()["key"]
    other = (await us.call("POST", "/api/v1/keys", json={"name": "other", "scopes": ["admin"]})).json()["key"]
    known = id_of(str(id_text(other)))
    assert known is not None
    codes = []
    for number in range(40):
        wrong = write_key(known, number.to_bytes(24))
        codes.append((await eu.call("GET", "/api/v1/webhooks", key=wrong)).status_code)
    assert codes == [401] * 30 + [429] * 10
    assert (await eu.call("GET", "/api/v1/webhooks", key=other)).status_code == 200, "a right one is heard all the same"
    assert (await eu.call("GET", "/api/v1/webhooks", key=key)).status_code == 200, "also one that was never seen here"


async def test_nobody_else_can_say_that_a_request_was_handed_on(homes: tuple[Home, Home]) -> None:
    _, us = homes
    for voucher in ("", "x", "A" * 500):
        headers = {"Tidings-Voucher": voucher}
        said = await us.http.get("/api/v1/webhooks", headers=headers)
        assert (said.status_code, said.json()["code"]) == (403, "FORBIDDEN")
        said = await us.call("GET", "/api/v1/webhooks", headers=headers)
        assert said.status_code == 403, "not with a good key either: whoever sends that means to be a home"

    now = datetime.now(UTC)
    caller = VouchedKey(UUID(int=1), "x", None, ("admin",))
    good = Voucher("eu", "us", now, "GET", digest_of(b"/api/v1/webhooks"), key=caller, group_id=THERE)

    async def told(voucher: Voucher, path: str = "/api/v1/webhooks", sealed_with: str = HOMES_KEY) -> httpx.Response:
        return await us.http.get(path, headers={"Tidings-Voucher": sealed(voucher, seal_key(sealed_with))})

    replaced = msgspec.structs.replace
    assert (await told(good)).status_code == 200
    assert (await told(good, sealed_with="another key that nobody of the fleet has")).status_code == 403
    assert (await told(good, "/api/v1/events")).status_code == 403, "it is for one request"
    assert (await told(replaced(good, home="eu"))).status_code == 403, "and one home"
    assert (await told(replaced(good, at=now - timedelta(minutes=5)))).status_code == 403, "and a minute"
    weak = replaced(good, key=replaced(caller, scopes=("events:publish",)))
    assert (await told(weak)).status_code == 403, "what the key may do is asked as everywhere"
    elsewhere = await told(replaced(good, group_id=HERE))
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (503, "HOMES_DISAGREE"), "nothing is handed on twice"
    for group, status in ((THERE, 200), (f"{THERE}x", 403), (HERE, 403), (None, 403)):
        assert (await us.call("POST", "/api/v1/groups", json={"id": THERE})).status_code in {201, 409}
        of_group = replaced(good, target=said_of(b"/api/v1/webhooks", THERE))
        headers = {"Tidings-Voucher": sealed(of_group, seal_key(HOMES_KEY))} | (
            {} if group is None else {"X-Tidings-Group": group}
        )
        assert (await us.http.get("/api/v1/webhooks", headers=headers)).status_code == status, "and one group"
    assert (await us.call("POST", "/api/fleet/keys", json={})).status_code == 403
    assert (await us.call("POST", "/api/fleet/about", json={})).status_code == 403


async def test_an_answer_without_an_end_is_handed_on_and_ends_with_its_caller(homes: tuple[Home, Home]) -> None:
    eu, _ = homes
    assert (await eu.call("POST", "/api/v1/groups", json={"id": THERE})).status_code == 201
    headers = {"Authorization": f"Bearer {eu.key}", "X-Tidings-Group": THERE}

    async def is_heard() -> bool:
        async with eu.http.stream("GET", "/api/v1/attempts/stream", headers=headers) as answer:
            assert answer.headers["tidings-home"] == "us"
            if answer.status_code == 200:
                await anext(answer.aiter_bytes())
            return bool(answer.status_code == 200)

    for _ in range(25):  # a group has 20 at once, so those before have ended there too
        await eventually(is_heard)
    wide = (await eu.call("POST", "/api/v1/keys", json={"name": "wide", "scopes": ["admin"]})).json()
    headers["Authorization"] = f"Bearer {wide['key']}"
    async with asyncio.timeout(PATIENCE), eu.http.stream("GET", "/api/v1/attempts/stream", headers=headers) as answer:
        assert (answer.status_code, answer.headers["tidings-home"]) == (200, "us")
        assert (await eu.call("DELETE", f"/api/v1/keys/{wide['id']}")).status_code == 204
        async for _ in answer.aiter_bytes():  # to its end, which comes since the key opens nothing any more
            pass


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

    async def is_back() -> bool:
        return bool((await eu.call("GET", "/api/v1/webhooks", group=THERE)).status_code == 200)

    await eventually(is_back)


async def test_a_home_is_asked_by_its_name(homes: tuple[Home, Home]) -> None:
    eu, _ = homes
    said = await eu.call("GET", "/api/v1/diagnosis", headers={"X-Tidings-Home": "us"})
    assert (said.status_code, said.headers["tidings-home"]) == (200, "us")
    said = await eu.call("GET", "/api/v1/diagnosis")
    assert (said.status_code, "tidings-home" in said.headers) == (200, False)
    said = await eu.call("GET", "/api/v1/diagnosis", headers={"X-Tidings-Home": "mars"})
    assert (said.status_code, "it has eu, us" in said.json()["error"]) == (404, True)


# Lists of all homes -------------------------------------------------------------------------------------------------------------


async def _walk(home: Home, path: str, limit: int) -> list[Any]:
    """Return the entries of all pages."""
    found: list[Any] = []
    query = f"limit={limit}"
    while query:
        page = await home.call("GET", f"{path}?{query}")
        assert page.status_code == 200, page.text
        assert "tidings-homes-away" not in page.headers
        found += page.json()
        query = page.headers.get("link", "").partition(">")[0].partition("?")[2]
    return found


async def test_where_groups_live_is_read_from_the_database_and_needs_no_stream(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    assert (await eu.call("POST", "/api/v1/groups", json={"id": HERE})).status_code == 201
    await write_down(eu, with_groups(FLEET, {HERE: "us"}, 1))
    await write_down(us, with_groups(FLEET, {HERE: "us"}, 1))

    async def is_handed_on() -> bool:
        return "tidings-home" in (await eu.call("GET", f"/api/v1/groups/{HERE}")).headers

    await eventually(is_handed_on)
    await eu.stop()
    eu.config = msgspec.structs.replace(eu.config, stream=None)
    working = Home(eu.config)
    with pytest.raises(StartupError, match="home is set and stream is not"):
        await working.start(with_worker=True)
    await working.http.aclose()
    await eu.start()
    assert await is_handed_on(), "as it is known from the beginning"
    await write_down(eu, FLEET)

    async def is_here() -> bool:
        return not await is_handed_on()

    await eventually(is_here)


async def test_what_the_directory_was_holds_while_the_database_is_away(config: Config) -> None:
    directory = Directory(("eu", "us"))
    async with engine_of(config) as engine:
        database = engine.services.wide
        reader = DirectoryReader(database, directory)
        assert not await reader.run_once(), "nothing is written down yet"
        assert directory.fleet == FLEET
        async with database.connection() as connection:
            await placing.put(connection, "eu", with_groups(FLEET, {HERE: "us"}, 1))
        assert await reader.run_once()
        assert (directory.home_of(HERE), directory.home_of(THERE)) == ("us", "us")
        assert not await reader.run_once()
        async with database.connection() as connection:
            await connection.execute("update tidings.placing set fleet = $1::text::json", msgspec.json.encode(FLEET).decode())
        assert not await reader.run_once(), "its number is the same"
        database.server.failovers += 1
        assert await reader.run_once(), "which a standby may have given to something else"
        assert directory.home_of(HERE) == "eu"
        async with database.connection() as connection:
            await placing.leave(connection)
        assert not await reader.run_once()
        assert directory.home_of(HERE) == "eu"


async def write_down(home: Home, fleet: Fleet) -> None:
    """As a worker of the home does that has heard of it."""
    connection = await asyncpg.connect(home.config.database_url)
    try:
        await placing.put(connection, home.name, fleet)
    finally:
        await connection.close()


async def test_lists_for_administrators_tell_of_all_homes(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    names = [group_of(home, word) for word in ("a", "m", "z") for home in ("us", "eu")]
    for name in names:
        assert (await us.call("POST", "/api/v1/groups", json={"id": name})).status_code == 201
    for home in homes:
        groups = await _walk(home, "/api/v1/groups", 2)
        assert sorted(one["id"] for one in groups) == sorted(["default", *names])
        assert {one["id"]: one["home"] for one in groups}[names[0]] == "us"
        first = await home.call("GET", "/api/v1/groups?limit=3&offset=2")
        assert [one["id"] for one in first.json()] == [one["id"] for one in groups][2:5]

    done = await _walk(eu, "/api/v1/audit", 3)
    assert [one["at"] for one in done] == sorted((one["at"] for one in done), reverse=True)
    made = [(one["home"], one["subject"]) for one in done if one["action"] == "group.created"]
    for name, of_it in (("us", names[::2]), ("eu", names[1::2])):  # clocks of two databases differ by a little
        assert [subject for at, subject in made if at == name] == of_it[::-1]
    only = await eu.call("GET", "/api/v1/audit", params={"action": "group.*", "group": names[0]})
    assert [one["subject"] for one in only.json()] == [names[0]]

    for home, numbers in ((eu, (1, 3, 5)), (us, (2, 4))):
        connection = await asyncpg.connect(home.config.database_url)
        for number in numbers:
            await connection.execute(
                "insert into tidings.outbox_rejected (id, row_as_json, error, rejected_at) "
                "values ($1::bigint, '{}', 'ill', now() + make_interval(secs => $1::bigint))",
                number,
            )
        await connection.close()
    aside = await _walk(eu, "/api/v1/set-aside", 2)
    assert [(one["home"], one["number"]) for one in aside] == [("eu", 5), ("us", 4), ("eu", 3), ("us", 2), ("eu", 1)]
    async with AsyncClient(eu.url, eu.key) as client:
        assert [one.number async for one in client.set_aside.walk(limit=2)] == [5, 4, 3, 2, 1]
        assert [one.home async for one in client.set_aside.walk(limit=2)] == ["eu", "us", "eu", "us", "eu"]
        assert sorted([one.id async for one in client.groups.walk(limit=2)]) == sorted(["default", *names])
    told = await eu.call("GET", "/api/v1/set-aside/4", headers={"X-Tidings-Home": "us"})
    assert told.json()["reason"] == "ill"

    cursor = (await eu.call("GET", "/api/v1/groups?limit=1")).headers["tidings-next"]
    assert (await eu.call("GET", "/api/v1/audit", params={"cursor": cursor})).status_code == 422
    assert (await us.call("GET", "/api/v1/groups", params={"cursor": cursor})).status_code == 200, "any home goes on"

    await us.stop()
    short = await eu.call("GET", "/api/v1/groups")
    assert (short.status_code, short.headers["tidings-homes-away"]) == (200, "us")
    assert [one["id"] for one in short.json()] == sorted(["default", *names[1::2]])


# The portal -------------------------------------------------------------------------------------------------------------------


async def _sign_in(home: Home, key: str) -> httpx.Response:
    home.http.cookies.clear()
    page = await home.http.get("/sign-in", headers=HTML)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf": token[1], "key": key, "to": "/"}
    return await home.http.post("/sign-in", data=form, headers=HTML | {"Origin": home.url})


async def test_the_portal_leads_to_the_home_of_a_group(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    for group in (HERE, THERE):
        assert (await eu.call("POST", "/api/v1/groups", json={"id": group})).status_code == 201
    key = (await us.call("POST", "/api/v1/keys", json={"name": "far", "scopes": ["admin"]})).json()["key"]
    refused = await _sign_in(eu, key)
    assert (refused.status_code, "is of home us" in refused.text) == (403, True)
    assert (await _sign_in(us, key)).status_code == 303
    assert (await _sign_in(eu, eu.key)).status_code == 303

    chosen = await eu.http.get("/groups?to=/webhooks", headers=HTML)
    assert chosen.status_code == 200
    assert f"{THERE} <small" in chosen.text
    led = await eu.http.get("/webhooks", params={"group": THERE}, headers=HTML)
    assert (led.status_code, led.headers["location"]) == (303, f"{us.url}/webhooks?group={THERE}")
    there = await us.http.get(f"/webhooks?group={THERE}", headers=HTML)
    assert there.status_code == 200
    assert (await eu.http.get("/webhooks", params={"group": HERE}, headers=HTML)).status_code == 200
    near = await eu.call("POST", "/api/v1/keys", json={"name": "near", "scopes": ["webhooks:read"], "bound_to": HERE})
    assert (await _sign_in(eu, near.json()["key"])).status_code == 303
    denied = await eu.http.get("/webhooks", params={"group": THERE}, headers=HTML)
    assert (denied.status_code, us.url in denied.text) == (403, False), "nobody is led to what they may not see"
    assert (await _sign_in(eu, eu.key)).status_code == 303

    await us.stop()
    assert (await eu.http.get("/webhooks", params={"group": THERE}, headers=HTML)).status_code == 503
    assert "us does not answer" in (await eu.http.get("/groups", headers=HTML)).text
