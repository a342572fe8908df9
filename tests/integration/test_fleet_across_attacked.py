"""Homes that answer for each other while others are ill, while somebody guesses, and while requests are not what they seem."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
import pytest

from tests.support import ill_homes as ill
from tests.support.across import Home, group_of, two_homes
from tests.support.engine import eventually
from tests.support.ill_homes import IllHome
from tests.support.process import run_cli
from tests.support.stream import Cluster
from tidings.api.across import BODY_INTERVAL, MAX_NAMING
from tidings.config import Config
from tidings.core.api_key import ApiKey, hash_of, id_of, id_text, write_key
from tidings.core.fleet import fleet_of
from tidings.core.scopes import Scope
from tidings.operations.foreign_keys import ANSWER_SECONDS, FOR_SHUT, Told

pytest_plugins = ("tests.support.fleet_fixtures",)

HTML = {"Accept": "text/html"}
THERE, HERE = group_of("us"), group_of("eu")


@pytest.fixture
async def homes(config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path) -> AsyncIterator[tuple[Home, Home]]:
    async with two_homes(config, await fresh_databases(2), cluster.url, tmp_path) as homes:
        yield homes


@asynccontextmanager
async def _among(
    config: Config, databases: list[str], cluster: Cluster, folder: Path, **answering: ill.Answering
) -> AsyncIterator[tuple[Home, Home, dict[str, IllHome]]]:
    """Lend two homes of a fleet that has ill ones too."""
    async with ill.ill_homes(answering) as others:
        addresses = {name: home.url for name, home in others.items()}
        async with two_homes(config, databases, cluster.url, folder, addresses) as (eu, us):
            yield eu, us, others


async def _sign_in(home: Home, key: str) -> None:
    home.http.cookies.clear()
    page = await home.http.get("/sign-in", headers=HTML)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf": token[1], "key": key, "to": "/"}
    done = await home.http.post("/sign-in", data=form, headers=HTML | {"Origin": home.url})
    assert done.status_code == 303, done.text


async def _make_key(home: Home, **more: Any) -> str:
    made = await home.call("POST", "/api/v1/keys", json={"name": "wide", "scopes": ["admin"]} | more)
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


# Homes that are ill -------------------------------------------------------------------------------------------------------------


async def test_homes_that_answer_ill_are_left_out_of_lists_and_named(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path
) -> None:
    answering = {
        "asia": ill.hangs, "mars": ill.drips, "venus": ill.babbles, "vega": ill.garbles, "luna": ill.floods, "nova": ill.breaks,
        "sol": ill.leads_on,
    }  # fmt: skip
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, **answering) as (eu, _, __):
        lists = ("groups", "audit", "set-aside")
        answers = await asyncio.gather(*(eu.call("GET", f"/api/v1/{path}") for path in lists))
        for said in answers:
            assert said.status_code == 200, said.text
            assert said.headers["tidings-homes-away"] == ", ".join(sorted(answering))
        assert [one["id"] for one in answers[0].json()] == ["default"]
        await _sign_in(eu, eu.key)
        for name in ("venus", "vega", "luna", "nova", "sol"):  # what it says of where browsers find it
            group = group_of(name, "far", fleet_of(("eu", "us", *answering)))
            led = await eu.http.get("/webhooks", params={"group": group}, headers=HTML)
            assert (led.status_code, f"home {name}, which does not answer" in led.text) == (503, True), led.text


AT = b'"2026-11-22T12:00:00Z"'
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("path", "lie", "line"),
    [
        ("groups", b'[{"id": "\xff", "created_at": %s}]' % AT, b"X: y"),
        ("groups", DEEP, b"X: y"),
        ("groups", b'[{"id": "b", "created_at": %s}, {"id": "a", "created_at": %s}]' % (AT, AT), b"X: y"),
        ("groups", b'[{"id": "%s", "created_at": %s}]' % (b"x" * 5_000, AT), b"X: y"),
        ("groups", b'[{"id": "a", "created_at": "0001-01-01T00:00:00+14:00"}]', b"X: y"),
        ("set-aside", b'[{"number": %s, "kind": "event", "reason": "", "created_at": %s}]' % (b"9" * 30, AT), b"X: y"),
        ("set-aside", b'[{"number": 7, "kind": "event", "reason": "", "created_at": "0001-01-01T00:00:00"}]', b"X: y"),
        ("audit", b"[]", b"Tidings-Before: " + b"9" * 30),
    ],
)  # fmt: skip
async def test_a_home_that_lies_spoils_no_list_of_all(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path, path: str, lie: bytes, line: bytes
) -> None:
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, asia=ill.says(lie, line)) as (eu, _, __):
        said = await eu.call("GET", f"/api/v1/{path}")
        assert (said.status_code, said.headers["tidings-homes-away"]) == (200, "asia"), said.text
        if path == "groups":
            assert [one["id"] for one in said.json()] == ["default"]


async def test_a_key_is_found_though_another_home_hangs(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path
) -> None:
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, asia=ill.hangs) as (eu, us, others):
        loop, key = asyncio.get_running_loop(), await _make_key(us)
        began = loop.time()
        said = await eu.call("GET", "/api/v1/diagnosis", key=key)
        assert said.status_code == 200, said.text
        assert loop.time() - began < ANSWER_SECONDS, "nobody waits for homes that need not be asked"
        assert others["asia"].heads, "it was asked too"

        strange = write_key(uuid4(), bytes(24))
        said = await eu.call("GET", "/api/v1/diagnosis", key=strange)
        assert (said.status_code, said.json()["home"]) == (503, "asia"), "it may be there"


async def test_a_key_for_a_group_is_what_the_home_of_the_group_says_of_it(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path
) -> None:
    """Another may have it too, as it was once: in a copy of a database, or of before the group moved."""
    group = group_of("us", fleet=fleet_of(("eu", "us", "asia")))
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, asia=ill.knows_no_key) as (eu, us, others):
        assert (await us.call("POST", "/api/v1/groups", json={"id": group})).status_code == 201
        key = await _make_key(us, scopes=["events:read"], bound_to=group)
        text = id_text(key)
        assert text is not None
        as_it_was = ApiKey(id_of(text) or uuid4(), "wide", group, (Scope.ADMIN,), hash_of(key), datetime.now(UTC))
        others["asia"].answering = ill.says(msgspec.json.encode(Told("fits", msgspec.to_builtins(as_it_was))))
        hook = {"url": "https://example.com/hook", "events": ["order.*"]}
        made = await eu.call("POST", "/api/v1/webhooks", key=key, group=group, json=hook)
        assert (made.status_code, made.json()["code"]) == (403, "FORBIDDEN"), made.text
        assert (await eu.call("GET", "/api/v1/events", key=key, group=group)).status_code == 200


@pytest.mark.parametrize("answering", [ill.babbles, ill.garbles, ill.nests])
async def test_a_key_is_found_though_another_home_answers_what_nobody_reads(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path, answering: ill.Answering
) -> None:
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, asia=answering) as (eu, us, _):
        key = await _make_key(us)
        assert (await eu.call("GET", "/api/v1/diagnosis", key=key)).status_code == 200
        strange = write_key(uuid4(), bytes(24))
        said = await eu.call("GET", "/api/v1/diagnosis", key=strange)
        assert (said.status_code, said.json().get("home")) == (503, "asia"), said.text


async def test_a_home_that_hangs_keeps_no_key_of_another_from_being_found(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path
) -> None:
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, asia=ill.hangs) as (eu, us, others):
        loop, key = asyncio.get_running_loop(), await _make_key(us)
        strangers = [write_key(uuid4(), bytes(24)) for _ in range(25)]
        asked = [asyncio.create_task(eu.call("GET", "/api/v1/diagnosis", key=one)) for one in strangers]

        async def is_full() -> bool:
            return len(others["asia"].heads) >= 16

        await eventually(is_full)
        began = loop.time()
        assert (await eu.call("GET", "/api/v1/diagnosis", key=key)).status_code == 200
        assert loop.time() - began < ANSWER_SECONDS
        assert {one.status_code for one in await asyncio.gather(*asked)} == {503}


async def test_a_home_that_says_a_key_is_wrong_does_not_outweigh_the_one_that_it_fits(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path
) -> None:
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, asia=ill.says_wrong) as (eu, us, _):
        key = await _make_key(us)
        for _ in range(3):
            assert (await eu.call("GET", "/api/v1/diagnosis", key=key)).status_code == 200
        wrong = write_key(uuid4(), bytes(24))
        assert (await eu.call("GET", "/api/v1/diagnosis", key=wrong)).status_code == 401


async def test_who_guesses_has_other_homes_asked_so_often_and_no_more(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path
) -> None:
    databases = await fresh_databases(2)
    async with _among(config, databases, cluster, tmp_path, asia=ill.knows_no_key) as (eu, _, others):
        loop = asyncio.get_running_loop()
        began, codes = loop.time(), set()
        for _ in range(20):
            guesses = [eu.call("GET", "/api/v1/diagnosis", key=write_key(uuid4(), bytes(24))) for _ in range(25)]
            codes |= {one.status_code for one in await asyncio.gather(*guesses)}
        seconds = loop.time() - began
        assert codes == {401, 429}
        assert len(others["asia"].heads) <= 30 + 25 + FOR_SHUT * (seconds + 1), "of five hundred guesses"


async def test_a_home_that_comes_back_stays_out_of_a_walk_that_began_without_it(
    config: Config, fresh_databases: Any, cluster: Cluster, tmp_path: Path
) -> None:
    databases = await fresh_databases(2)
    fleet = fleet_of(("asia", "eu", "us"))
    names = sorted(group_of(home, word, fleet) for word in ("a", "m", "z") for home in ("eu", "us"))
    async with _among(config, databases, cluster, tmp_path, asia=ill.breaks) as (eu, us, others):
        for name in names:
            assert (await us.call("POST", "/api/v1/groups", json={"id": name})).status_code == 201
        page = await eu.call("GET", "/api/v1/groups?limit=2")
        found = page.json()
        others["asia"].answering = _has_one_group
        while "tidings-next" in page.headers:
            assert page.headers["tidings-homes-away"] == "asia"
            page = await us.call("GET", "/api/v1/groups", params={"limit": 2, "cursor": page.headers["tidings-next"]})
            assert page.status_code == 200, page.text
            found += page.json()
        assert [one["id"] for one in found] == ["default" if one == "default" else one for one in sorted([*names, "default"])]
        anew = await eu.call("GET", "/api/v1/groups")
        assert "tidings-homes-away" not in anew.headers
        assert [one["id"] for one in anew.json() if one["home"] == "asia"] == ["0"]


async def _has_one_group(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    ill.say(writer, b'[{"id": "0", "created_at": "2026-11-22T00:00:00Z", "deleting_at": null, "fault": null}]')


# Requests that are not what they seem -----------------------------------------------------------------------------------------


async def test_several_slashes_lead_nobody_past_the_door(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    made = await _raw(eu, "POST", "//api//v1/groups", b'{"id": "%s"}' % THERE.encode())
    assert made.startswith(b"HTTP/1.1 201"), made
    assert b"tidings-home: us" in made.lower()
    assert (await us.call("GET", f"/api/v1/groups/{THERE}")).status_code == 200


async def _raw(home: Home, method: str, target: str, body: bytes = b"", *more: str, key: str | None = None) -> bytes:
    """Return what a home answers to a request that is sent as it stands."""
    reader, writer = await asyncio.open_connection("127.0.0.1", home.config.port)
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key or home.key}", "Connection: close"]
    length = [] if any("transfer-encoding" in line.lower() for line in more) else [f"Content-Length: {len(body)}"]
    writer.write("\r\n".join([*lines, *length, *more, "", ""]).encode("latin-1") + body)
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(("path", "field"), [("/api/v1/groups", "id"), ("/api/v1/keys", "bound_to")])
async def test_a_body_that_is_padded_is_refused_rather_than_answered_at_the_wrong_home(
    homes: tuple[Home, Home], path: str, field: str
) -> None:
    eu, us = homes
    if field == "bound_to":
        assert (await us.call("POST", "/api/v1/groups", json={"id": THERE})).status_code == 201
    more = '"name": "k", "scopes": ["admin"], ' if field == "bound_to" else ""
    said = f'{more}"{field}": "{THERE}"}}'
    for padding, status in ((MAX_NAMING - len(said) - 1, 201), (MAX_NAMING - len(said), 413), (900_000, 413)):
        body = "{" + " " * padding + said
        answer = await eu.call("POST", path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
        if status == 201:
            assert answer.headers["tidings-home"] == "us"
        else:
            assert "65536 bytes" in answer.json()["error"]
    assert (await eu.call("GET", f"/api/v1/groups/{THERE}", headers={"X-Tidings-Home": "eu"})).status_code == 404


async def test_what_is_about_a_group_in_its_path_is_not_lost_by_a_header_that_names_another(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    for group in (HERE, THERE):
        assert (await eu.call("POST", "/api/v1/groups", json={"id": group})).status_code == 201
    for home in (eu, us):
        for path, header in ((THERE, HERE), (HERE, THERE)):
            said = await home.call("GET", f"/api/v1/groups/{path}", group=header)
            assert (said.status_code, said.json().get("id")) == (200, path), said.text
    bound = await _make_key(eu, bound_to=HERE)
    for home in (eu, us):
        for path, header in ((THERE, HERE), (HERE, THERE)):
            assert (await home.call("GET", f"/api/v1/groups/{path}", key=bound, group=header)).status_code == 403


async def test_what_a_request_says_twice_or_in_two_ways_smuggles_nothing(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    for group in (HERE, THERE):
        assert (await eu.call("POST", "/api/v1/groups", json={"id": group})).status_code == 201
    near = await _make_key(eu, bound_to=HERE)
    event = b'{"type": "order.paid", "data": 1}'
    for first, second in ((HERE, THERE), (THERE, HERE)):
        lines = [f"X-Tidings-Group: {first}", f"X-Tidings-Group: {second}", "Content-Type: application/json"]
        said = await _raw(eu, "POST", "/api/v1/events", event, *lines)
        assert said.startswith(b"HTTP/1.1 202"), said
        assert (b"tidings-home: us" in said.lower()) == (first == THERE), "the first counts, at the door and behind it"
        said = await _raw(eu, "POST", "/api/v1/events", event, *lines, key=near)
        assert said.startswith(b"HTTP/1.1 202" if first == HERE else b"HTTP/1.1 403"), said
    for home, group in ((us, THERE), (eu, HERE)):
        events = await home.call("GET", "/api/v1/events", group=group)
        assert events.status_code == 200, events.text

    to_us = f"X-Tidings-Group: {THERE}"
    chunked = await _raw(eu, "POST", "/api/v1/events", b"0\r\n\r\n", to_us, "Transfer-Encoding: chunked", "Content-Length: 5")
    assert chunked.startswith(b"HTTP/1.1 400"), "a body whose length is told in two ways"
    for target in (f"/api/v1/groups/{THERE}%00", f"/api/v1/groups/{THERE}/%2e%2e/{HERE}", "/api/v1/groups/a%2F..%2Fb"):
        said = await _raw(eu, "GET", target, b"")
        assert said.split()[1] in {b"404", b"422"}, (target, said)
    said = await _raw(eu, "GET", f"http://{'x' * 50}.example/api/v1/groups/{THERE}")
    assert (said.split()[1], b"tidings-home: us" in said.lower()) == (b"200", True), "whatever host a target names"
    for line in ("Tidings-Home: us", "Tidings-Voucher-Refused: 1", "X-Forwarded-For: 10.0.0.1"):
        assert (await _raw(eu, "GET", f"/api/v1/groups/{THERE}", b"", line)).startswith(b"HTTP/1.1 200"), line
    long = await eu.call("GET", "/api/v1/webhooks", group=quote("é" * 3000))
    assert long.status_code == 404
    assert (await eu.call("GET", "/api/v1/webhooks")).status_code == 200, "and each goes on"


async def test_a_key_that_is_revoked_while_its_body_comes_does_nothing_at_another_home(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    assert (await eu.call("POST", "/api/v1/groups", json={"id": THERE})).status_code == 201
    made = (await us.call("POST", "/api/v1/keys", json={"name": "k", "scopes": ["events:publish"], "bound_to": THERE})).json()
    event = b'{"type": "order.paid", "data": 1}'
    head = ["POST /api/v1/events HTTP/1.1", "Host: localhost", f"Authorization: Bearer {made['key']}", "Connection: close"]
    reader, writer = await asyncio.open_connection("127.0.0.1", eu.config.port)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        writer.write("\r\n".join([*head, f"Content-Length: {len(event)}", "", ""]).encode() + event[:10])
        await eventually(lambda: _opens(eu, made["key"]))
        assert (await us.call("DELETE", f"/api/v1/keys/{made['id']}")).status_code == 204

        async def is_over() -> bool:
            return loop.time() - began > BODY_INTERVAL and not await _opens(eu, made["key"])

        await eventually(is_over)
        writer.write(event[10:])
        said = await reader.read()
    finally:
        writer.close()
    assert said.startswith(b"HTTP/1.1 401"), said
    assert b"was revoked at" in said
    assert (await us.call("GET", "/api/v1/events", group=THERE)).json() == []


async def _opens(home: Home, key: str) -> bool:
    await home.call("GET", "/api/v1/keys/current")
    return bool((await home.call("GET", "/api/v1/keys/current", key=key)).status_code == 200)


async def test_the_terminal_asks_a_home_by_its_name(homes: tuple[Home, Home]) -> None:
    eu, _ = homes
    for name, said in (("us", '"looked_at"'), ("mars", "it has eu, us")):
        args = ("doctor", "--server", eu.url, "--home", name, "--json")
        done = await asyncio.to_thread(run_cli, *args, key=eu.key)
        assert said in done.stdout + done.stderr, (done.stdout, done.stderr)


# The portal -------------------------------------------------------------------------------------------------------------------


async def test_a_browser_is_led_to_the_page_that_it_asked_for(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    assert (await eu.call("POST", "/api/v1/groups", json={"id": THERE})).status_code == 201
    await _sign_in(eu, eu.key)
    asked = await eu.http.get(f"/sources/collections/caf%C3%A9%3Fx?page=2&group={THERE}", headers=HTML)
    assert asked.status_code == 303, asked.text
    assert asked.headers["location"] == f"{us.url}/sources/collections/caf%C3%A9%3Fx?page=2&group={THERE}"
    for path in ("//evil.example/webhooks", "/%2F%2Fevil.example/webhooks", "/webhooks/%2E%2E%2F%2E%2E//evil.example"):
        led = await eu.http.get(f"{eu.url}{path}?group={THERE}", headers=HTML)
        assert led.headers.get("location", us.url).startswith(us.url), path


async def test_a_page_of_one_home_sends_no_form_to_another(homes: tuple[Home, Home]) -> None:
    eu, us = homes
    await _sign_in(us, us.key)
    page = await us.http.get("/webhooks", headers=HTML)
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token is not None
    refused = await us.http.post("/sign-out", data={"csrf": token[1]}, headers=HTML | {"Origin": eu.url})
    assert (refused.status_code, "page of another site" in refused.text) == (403, True)
    cookies = "; ".join(f"{name}={value}" for name, value in us.http.cookies.items())
    foreign = await eu.http.get("/webhooks", headers=HTML | {"Cookie": cookies})
    assert foreign.status_code == 303, "a session is of one home"
    assert foreign.headers["location"].startswith("/sign-in")
    taken = await us.http.post("/sign-out", data={"csrf": token[1]}, headers=HTML | {"Origin": us.url})
    assert taken.status_code == 303
