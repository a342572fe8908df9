"""What a home answers about a group that has left it, before and after it hears where the group went."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from tests.support.across import Home, group_of, two_homes
from tests.support.engine import eventually
from tests.support.moves import KilledError, Life
from tests.support.stream import Cluster
from tidings.api.http.access import ACTING
from tidings.api.moved import MovedAway
from tidings.app import opened
from tidings.config import Config
from tidings.fleet import move_group
from tidings.operations.services import Services
from tidings.store import moving

pytest_plugins = ("tests.support.fleet_fixtures",)

Homes = tuple[Home, Home]
ACME = group_of("eu", "acme")
HTML = {"Accept": "text/html"}
MANY = 9  # parts of an answer that comes to no end by itself


@pytest.fixture
async def homes(config: Config, cluster: Cluster, fresh_databases: Any, tmp_path: Path) -> AsyncIterator[Homes]:
    databases = [str(config.database_url), *await fresh_databases(1)]
    async with two_homes(config, databases, cluster.url, tmp_path, with_worker=True) as found:
        yield found


async def furnished(eu: Home) -> str:
    """Make a group with a webhook at its home, and return the webhook's id."""
    assert (await eu.call("POST", "/api/v1/groups", json={"id": ACME})).status_code == 201
    hook = {"url": "https://example.com/hook", "events": ["order.*"]}
    made = await eu.call("POST", "/api/v1/webhooks", group=ACME, json=hook)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def move(homes: Homes, **more: Any) -> None:
    eu, us = homes
    config = msgspec.structs.replace(eu.config, homes=None, homes_key=None)
    await move_group(config, ACME, target="us", url=str(us.config.database_url), **more)


async def left(homes: Homes) -> None:
    """Have the group have left, and the fleet not know it yet."""

    async def is_movable() -> bool:
        try:
            await move(homes, tell=Life("telling the fleet"))
        except KilledError:
            return True
        return False

    await eventually(is_movable)


async def sign_in(home: Home) -> None:
    page = await home.http.get("/sign-in", headers=HTML)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf": token[1], "key": home.key, "to": "/"}
    assert (await home.http.post("/sign-in", data=form, headers=HTML | {"Origin": home.url})).status_code == 303


async def test_a_home_that_a_group_has_left_says_so_whatever_is_asked_and_shows_nothing_of_it(homes: Homes) -> None:
    eu, us = homes
    hook = await furnished(eu)
    await sign_in(eu)
    assert (await eu.http.get(f"/webhooks?group={ACME}", headers=HTML)).status_code == 200
    await left(homes)
    asked = [
        ("GET", "/api/v1/webhooks"), ("GET", f"/api/v1/webhooks/{hook}"), ("GET", "/api/v1/events"), ("GET", "/api/v1/deliveries"),
        ("GET", f"/api/v1/groups/{ACME}"), ("GET", f"/api/v1/groups/{ACME}/limits"), ("PATCH", f"/api/v1/webhooks/{hook}"),
        ("DELETE", f"/api/v1/webhooks/{hook}"), ("PATCH", f"/api/v1/groups/{ACME}/limits"),
        ("POST", f"/api/v1/webhooks/{hook}/test"), ("GET", "/api/v1/attempts/stream"),
    ]  # fmt: skip
    for method, path in asked:
        body = {} if method in {"GET", "DELETE"} else {"json": {"webhooks": 5} if "limits" in path else {"name": "late"}}
        answer = await eu.call(
            method, path, group=None if "/groups/" in path else ACME, headers={"X-Tidings-Home": "eu"}, **body
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "HOMES_DISAGREE"), (method, path, answer.text)
        assert answer.headers["retry-after"] == "2"
        assert "lives at home us" in answer.json()["error"]
    listed = (await eu.call("GET", "/api/v1/groups")).json()
    assert [one for one in listed if one["id"] == ACME and one["home"] == "eu"] == []
    alone = (await eu.call("GET", "/api/v1/groups", headers={"X-Tidings-Home": "eu"})).json()
    assert ACME not in [one["id"] for one in alone]
    assert (await eu.call("GET", "/api/v1/webhooks", group="default", headers={"X-Tidings-Home": "eu"})).status_code == 200
    page = await eu.http.get("/webhooks", headers=HTML)
    assert f"The group {ACME} lives at home us" in page.text
    assert (await eu.call("POST", "/api/v1/events", group=ACME, json={"type": "order.paid", "data": {}})).status_code in {
        202,
        503,
    }
    await move(homes)

    async def is_answered_by_us() -> bool:
        answer = await eu.call("GET", f"/api/v1/webhooks/{hook}", group=ACME)
        assert answer.status_code in {200, 503}, answer.text
        return answer.headers.get("tidings-home") == "us" and answer.status_code == 200

    await eventually(is_answered_by_us)
    listed = (await eu.call("GET", "/api/v1/groups")).json()
    assert [one["home"] for one in listed if one["id"] == ACME] == ["us"]
    assert (await us.call("GET", f"/api/v1/webhooks/{hook}", group=ACME)).status_code == 200


async def test_what_is_found_of_a_group_that_leaves_meanwhile_is_exchanged_and_what_was_done_is_not(homes: Homes) -> None:
    """Whoever was let in before it left: the answers of an application that knows nothing of it."""
    eu, _ = homes
    await furnished(eu)
    await left(homes)
    asked = [
        ("GET", 200, 503), ("HEAD", 200, 503), ("DELETE", 404, 503), ("PATCH", 422, 503), ("GET", 401, 401), ("POST", 429, 429),
        ("POST", 201, 201), ("DELETE", 204, 204), ("GET", 500, 500),
    ]  # fmt: skip
    async with opened(eu.config, is_to_change=False) as services:
        for method, status, answered in asked:
            is_as_it_was = status == answered
            assert await told_by(services, method, status) == (answered, MANY if is_as_it_was else 1), (method, status)


async def told_by(services: Services, method: str, status: int) -> tuple[int, int]:
    """Return how an answer to a call about the group begins, and how many parts it has until it is ended."""
    told: list[dict[str, Any]] = []
    parts = 0

    async def app(scope: dict[str, Any], _: Any, send: Any) -> None:
        scope[ACTING].for_group(ACME)
        await send({"type": "http.response.start", "status": status, "headers": []})
        nonlocal parts
        while parts < MANY:
            parts += 1
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    scope = {"type": "http", "method": method, "path": "/api/v1/webhooks"}
    await MovedAway(app, services)(scope, receive, send)
    return told[0]["status"], parts


async def test_a_group_that_is_leaving_is_shown_and_not_changed_by_calls_or_forms(homes: Homes) -> None:
    eu, _ = homes
    hook = await furnished(eu)
    assert (await eu.call("PATCH", f"/api/v1/webhooks/{hook}", group=ACME, json={"name": "orders"})).status_code == 200
    await sign_in(eu)
    page = await eu.http.get(f"/webhooks/{hook}?group={ACME}", headers=HTML)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None

    async def deleted() -> httpx.Response:
        form = {"csrf": token[1], "name": "orders"}
        return await eu.http.post(f"/webhooks/{hook}/delete", data=form, headers=HTML | {"Origin": eu.url})

    connection = await asyncpg.connect(eu.config.database_url)
    try:
        await moving.begin(connection, ACME, "us")
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(7413205, hashtext($1))", ACME)  # as a move does
            refused = await deleted()
            assert (refused.status_code, "is being moved to another home" in refused.text) == (503, True), refused.text
            late = await eu.call("PATCH", f"/api/v1/webhooks/{hook}", group=ACME, json={"name": "late"})
            assert (late.status_code, late.json()["code"]) == (503, "BUSY"), late.text
            assert (await eu.call("GET", f"/api/v1/webhooks/{hook}", group=ACME)).status_code == 200
            assert (await eu.http.get(f"/webhooks/{hook}", headers=HTML)).status_code == 200
        await moving.end(connection, ACME)
    finally:
        await connection.close()
    assert (await deleted()).status_code == 303, "once it stays after all"
    assert (await eu.call("GET", f"/api/v1/webhooks/{hook}", group=ACME)).status_code == 404


async def test_whoever_reads_while_a_group_moves_reads_all_of_it_or_is_told_to_try_again(homes: Homes) -> None:
    """Nobody is ever told that a group has nothing."""
    eu, us = homes
    hook = await furnished(eu)
    is_over, seen = asyncio.Event(), {name: set[int]() for name in ("eu", "us")}

    async def read(home: Home) -> None:
        while not is_over.is_set() or 200 not in seen[home.name]:
            answer = await home.call("GET", "/api/v1/webhooks", group=ACME)
            assert answer.status_code in {200, 503}, answer.text
            if answer.status_code == 200:
                assert [one["id"] for one in answer.json()] == [hook], f"{home.name} shows nothing of it"
            seen[home.name].add(answer.status_code)

    reading = [asyncio.create_task(read(home)) for home in homes]
    await left(homes)
    await move(homes)
    for one in seen.values():
        one.clear()
    is_over.set()
    await asyncio.gather(*reading)
    assert (await us.call("GET", f"/api/v1/webhooks/{hook}", group=ACME)).status_code == 200
