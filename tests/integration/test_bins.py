"""Request bins: what comes is kept, bounded, judged and answered as told."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.rekeying import rekeyed
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.api_key import SECRET_BYTES, write_key
from tidings.core.bin import BURST, KEPT_BYTES, KEPT_BYTES_OF_BIN, KEPT_REQUESTS, MAX_BINS, READ_BYTES
from tidings.core.signature import HmacKey, new_secret, sign_hex
from tidings.profiles import PROFILES
from tidings.store.secrets import SecretBox
from tidings.worker.duties import Janitor

KEY = {"Authorization": "Bearer test"}
SECRET = new_secret(bytes(range(32)))


class Client:
    """Makes bins, sends to them, and reads what came."""

    def __init__(self, http: httpx.AsyncClient, engine: Engine) -> None:
        self.http = http
        self.engine = engine

    async def make(self, expect: int = 201, **said: Any) -> Any:
        response = await self.http.post("/api/v1/bins", json=said, headers=KEY)
        assert response.status_code == expect, response.text
        return response.json()

    async def read(self, path: str, expect: int = 200, **query: Any) -> Any:
        response = await self.http.get(f"/api/v1/bins{path}", params=query, headers=KEY)
        assert response.status_code == expect, response.text[:300]
        return response.json()

    async def came(self, made: Any, **query: Any) -> Any:
        return await self.read(f"/{made['id']}/requests", **query)

    async def last(self, made: Any) -> Any:
        return (await self.came(made, limit=1))[0]


@pytest.fixture
async def client(config: Config, api_server: ApiServer) -> AsyncIterator[Client]:
    config = msgspec.structs.replace(config, allow_private_networks="127.0.0.0/8")
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as http,
    ):
        yield Client(http, engine)


async def test_anything_is_taken_and_answered_as_told(client: Client) -> None:
    made = await client.make(name="try", status=418, body='{"a": 1}', content_type="application/json")
    assert made["url"] == str(client.http.base_url.join(f"/bin/{made['id']}"))
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND"):
        response = await client.http.request(
            method, made["url"] + "/deeper/%2e%00?q=%zz&q", content=b"\xff\x00hi", headers=[(b"X-Odd", b"a\xff")]
        )
        assert response.status_code == 418
        assert response.text == ("" if method == "HEAD" else '{"a": 1}')
        assert response.headers["content-type"] == "application/json"
        assert "sandbox" in response.headers["content-security-policy"]
    came = await client.came(made)
    assert [one["method"] for one in came] == ["PROPFIND", "HEAD", "OPTIONS", "DELETE", "PATCH", "PUT", "POST", "GET"]
    assert [one["number"] for one in came] == [8, 7, 6, 5, 4, 3, 2, 1]
    one = came[0]
    assert one["path"] == f"/bin/{made['id']}/deeper/%2e%00?q=%zz&q"
    assert ["x-odd", "a\xff"] in one["headers"]
    assert (one["body"], one["body_base64"], one["body_bytes"], one["is_truncated"]) == (None, "/wBoaQ==", 4, False)
    assert (one["status"], one["address"], one["verdict"]["reason"]) == (418, "127.0.0.1", "unasked")
    assert await client.read(f"/{made['id']}/requests/8") == one
    assert [one["number"] for one in await client.came(made, before=3)] == [2, 1]
    assert [one["number"] for one in await client.came(made, after=6)] == [7, 8]
    assert "before" in (await client.read(f"/{made['id']}/requests", 422, before=1, after=2))["error"]
    await client.read(f"/{made['id']}/requests/9", 404)
    assert (await client.read(f"/{made['id']}"))["request_count"] == 8
    cleared = await client.http.delete(f"/api/v1/bins/{made['id']}/requests", headers=KEY)
    assert cleared.status_code == 204
    assert await client.came(made) == []


UNFIT = [
    ({"status": 199}, "status"), ({"status": 700}, "status"), ({"delay_seconds": 31}, "delay_seconds"),
    ({"delay_seconds": -1}, "delay_seconds"), ({"body": "x" * 65_537}, "body"), ({"body": "a\x00"}, "body"),
    ({"content_type": "x\r\nSet-Cookie: a=b"}, "content_type"), ({"content_type": "text"}, "content_type"),
    ({"name": "x" * 201}, "name"), ({"name": "a\x1b[31m"}, "name"), ({"profile": "nonsense", "secret": "x" * 20}, "profile"),
    ({"profile": "standard"}, "secret"), ({"secret": "short"}, "secret"), ({"secret": "whpk_x"}, "secret"),
    ({"profile": "vski", "secret": "text"}, "secret"), ({"secret": "x" * 20, "signature": {"header": "a b"}}, "signature.header"),
    ({"secret": "x" * 20, "signature": {"header": "a", "format": "rot13"}}, "signature.format"), ({"nme": 1}, "nme"),
    ({"webhook_id": str(uuid4()), "secret": SECRET}, "secret"), ({"status": "many"}, "status"),
]  # fmt: skip


async def test_the_session_of_a_browser_that_follows_a_link_to_a_bin_is_not_kept(client: Client) -> None:
    made = await client.make()
    cookies = {"Cookie": "tidings=opens-the-portal; __Host-tidings=this=too;a=b;theme"}
    assert (await client.http.get(made["url"], headers=cookies)).status_code == 200
    assert dict((await client.last(made))["headers"])["cookie"] == "tidings=***; __Host-tidings=***;a=***;theme"


async def test_keys_of_ours_that_come_to_a_bin_are_not_kept(client: Client) -> None:
    keys = [write_key(uuid4(), bytes(range(SECRET_BYTES))) for _ in range(3)]
    starts = [key.rpartition("_")[0] for key in keys]
    made = await client.make(profile="vivreal", secret="a text as a secret")
    body = json.dumps({"key": keys[0], "ü": f"x{keys[1]}, {keys[2][:40]}"}).encode()
    headers = {
        "X-Vivreal-Signature": sign_hex(HmacKey.of_text("a text as a secret"), body),
        "Authorization": f"Bearer {keys[2]}", "X-Other": keys[0], "X-API-Key": "test",
    }  # fmt: skip
    assert (await client.http.post(f"{made['url']}/{keys[1]}?key={keys[0]}", content=body, headers=headers)).status_code == 200
    came = await client.last(made)
    assert came["verdict"]["reason"] == "verified"  # by what was sent
    kept = str(await client.engine.sql("select * from tidings.bin_requests")) + str(came)
    assert [key for key in keys if key[:36] in kept] == []
    stars, given = "*" * 39, dict(came["headers"])
    assert given["authorization"] == f"Bearer {starts[2]}_{stars}"
    assert (given["x-other"], given["x-api-key"]) == (f"{starts[0]}_{stars}", "***")
    assert came["path"] == f"/bin/{made['id']}/{starts[1]}_{stars}?key={starts[0]}_{stars}"
    assert json.loads(came["body"]) == {"key": f"{starts[0]}_{stars}", "ü": f"x{starts[1]}_{stars}, {starts[2]}_{'*' * 12}"}
    assert came["body_bytes"] == len(body)


async def test_no_page_is_given_a_script_or_a_style_by_a_bin(client: Client) -> None:
    made = await client.make(content_type="text/javascript", body="alert(1)")
    for kind, status in (("script", 403), ("style", 403), ("serviceworker", 403), ("document", 200), ("empty", 200)):
        response = await client.http.get(made["url"], headers={"Sec-Fetch-Dest": kind})
        assert (response.status_code, "alert" in response.text) == (status, status == 200)
    assert len(await client.came(made)) == 2


async def test_what_cannot_be_is_refused_with_its_field(client: Client) -> None:
    for said, field in UNFIT:
        assert (await client.make(422, **said))["field"] == field, said


async def test_a_bin_is_its_groups_and_its_address_is_everybodys(client: Client) -> None:
    await client.http.post("/api/v1/groups", json={"id": "acme"}, headers=KEY)
    made = (await client.http.post("/api/v1/bins", json={}, headers=KEY | {"X-Tidings-Group": "acme"})).json()
    assert (await client.http.post(f"/bin/{made['id']}")).status_code == 200
    await client.read(f"/{made['id']}", 404)
    await client.read(f"/{made['id']}/requests", 404)
    assert await client.read("") == []
    assert (await client.http.delete(f"/api/v1/bins/{made['id']}", headers=KEY)).status_code == 404
    assert (await client.http.get(f"/api/v1/bins/{made['id']}")).status_code == 401
    for path in ("/bin", "/bin/", "/bin/x", f"/bin/{uuid4()}", f"/bin/{uuid4()}x", "/bin/" + "0" * 36):
        assert (await client.http.post(path)).status_code == 404, path


async def test_a_group_has_so_many(client: Client) -> None:
    for _ in range(MAX_BINS):
        await client.make()
    assert "Delete one" in (await client.make(409))["error"]
    assert len(await client.read("", limit=1000)) == MAX_BINS


async def test_it_is_changed_and_deleted_and_that_is_on_record(client: Client) -> None:
    made = await client.make(name="first", secret=SECRET)
    assert (made["profile"], made["has_secret"]) == ("standard", True)
    assert SECRET not in json.dumps(made)

    async def change(expect: int = 200, **said: Any) -> Any:
        response = await client.http.request("PATCH", f"/api/v1/bins/{made['id']}", json=said, headers=KEY)
        assert response.status_code == expect, response.text
        return response.json()

    assert (await change(status=500, delay_seconds=0.5))["has_secret"] is True
    assert (await change(profile="cloudevents"))["has_secret"] is True
    assert (await change(422, profile="vski"))["field"] == "secret"  # what it has is no public key
    webhook = await client.engine.add_webhook("https://example.com/hook", "order.*")
    changed = await change(webhook_id=str(webhook.id))
    assert (changed["webhook_id"], changed["profile"], changed["has_secret"]) == (str(webhook.id), None, False)
    await change(404, webhook_id=str(uuid4()))
    changed = await change(profile="vivreal", secret="some text")
    assert (changed["webhook_id"], changed["profile"], changed["has_secret"]) == (None, "vivreal", True)
    changed = await change(secret=None)
    assert (changed["profile"], changed["has_secret"], changed["status"]) == (None, False, 500)
    assert (await change(profile="vski"))["profile"] == "vski"
    await client.http.post(made["url"])
    deleted = await client.http.delete(f"/api/v1/bins/{made['id']}", headers=KEY)
    assert deleted.status_code == 204
    assert (await client.http.post(made["url"])).status_code == 404
    assert await client.engine.value("select count(*) from tidings.bin_requests") == 0
    entries = (await client.http.get("/api/v1/audit", headers=KEY)).json()
    assert {one["subject"] for one in entries} == {"first"}
    assert [one["action"] for one in entries] == ["bin.deleted", *["bin.changed"] * 6, "bin.created"]


async def test_every_profile_of_ours_is_verified_when_a_webhook_sends_to_a_bin_of_the_same_server(client: Client) -> None:
    """A delivery to a bin is a delivery like any other: nothing of it comes back, so it is in nobody's way."""
    bins = {}
    await client.engine.sql("create table orders (id integer primary key, what text)")
    for profile in PROFILES:
        made = await client.make(name=profile)
        secret = SECRET if "standard" in profile or "cloudevents" in profile else "a text as a secret"
        webhook = await client.engine.add_webhook(
            made["url"],
            {"table": "orders"},
            profile=profile,
            secret=secret,
            jwt_enabled=profile == "vski",
            asymmetric=profile == "standard",
        )
        response = await client.http.request(
            "PATCH", f"/api/v1/bins/{made['id']}", json={"webhook_id": str(webhook.id)}, headers=KEY
        )
        assert response.status_code == 200
        bins[profile] = made
    await client.engine.sql("insert into orders values (1, 'Käse / <b>')")
    assert await client.engine.cycle() == len(PROFILES)
    assert {row["status"] for row in await client.engine.deliveries()} == {"succeeded"}
    found = {profile: (await client.last(made))["verdict"] for profile, made in bins.items()}
    assert {profile: said["reason"] for profile, said in found.items()} == dict.fromkeys(PROFILES, "verified")
    assert await client.engine.value("select count(*) from tidings.outbox") == 0


async def test_why_a_signature_does_not_fit_is_told(client: Client) -> None:
    key = "a text as a secret"
    made = await client.make(profile="vivreal", secret=key)

    async def reason(body: bytes, **headers: str) -> tuple[str, str]:
        await client.http.post(made["url"], content=body, headers=headers)
        said = (await client.last(made))["verdict"]
        return said["reason"], said["sentence"]

    body = b'{"a":1,"b":[1,2]}'
    signed = sign_hex(HmacKey.of_text(key), body)
    assert (await reason(body, **{"X-Vivreal-Signature": signed}))[0] == "verified"
    assert (await reason(body))[0] == "missing_header"
    assert (await reason(body, **{"X-Vivreal-Signature": signed[:-1]}))[0] == "malformed"
    assert (await reason(body, **{"X-Fluxbase-Signature": signed}))[0] == "wrong_profile"
    assert (await reason(b"other", **{"X-Vivreal-Signature": signed}))[0] == "wrong_secret"
    found, sentence = await reason(b'{"a": 1, "b": [1, 2]}', **{"X-Vivreal-Signature": signed})
    assert (found, "without spaces" in sentence) == ("rewritten_body", True)
    await client.engine.sql("update tidings.bins set secret = '\\x00'")
    assert (await reason(body, **{"X-Vivreal-Signature": signed}))[0] == "unreadable_secret"


async def test_a_body_is_read_and_kept_up_to_a_bound(client: Client) -> None:
    made = await client.make(secret=SECRET)
    assert (await client.http.post(made["url"], content=b"\xc3\xa4" * (READ_BYTES // 2))).status_code == 200
    one = await client.last(made)
    assert (one["body_bytes"], one["is_truncated"], len(one["body"])) == (READ_BYTES, True, KEPT_BYTES // 2)
    refused = await client.http.post(made["url"], content=b"x" * (READ_BYTES + 1))
    assert (refused.status_code, "longer than is read" in refused.text) == (413, True)
    one = await client.last(made)
    assert (one["status"], one["is_truncated"], one["body_bytes"]) == (413, True, READ_BYTES)
    assert one["verdict"]["reason"] == "unknown"


async def test_odd_targets_and_framings_break_nothing(client: Client) -> None:
    made = await client.make()
    path = f"/bin/{made['id']}"
    cases = {
        f"GET {path}/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n": {200, 400},
        f"GET {path}/%00%ff%0d%0a?a=%1b[2J HTTP/1.1\r\nHost: x\r\n\r\n": {200},
        f"GET http://elsewhere{path} HTTP/1.1\r\nHost: x\r\n\r\n": {200, 400, 404},
        f"GET {path}/\x00 HTTP/1.1\r\nHost: x\r\n\r\n": {400},
        f"GET {path} HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n": {400},
        f"GET {path} HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-A: 2\r\n\r\n": {200},
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n": {400},
        f"POST {path} HTTP/1.0\r\n\r\n": {200},
        f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi": {100, 200},
        f"POST {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi": {
            200,
            400,
        },
    }
    for text, expected in cases.items():
        reader, writer = await asyncio.open_connection(client.http.base_url.host, client.http.base_url.port)
        writer.write(text.encode("latin-1"))
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        assert status in expected, (text, status)
        writer.close()
    for one in await client.came(made):
        assert "\x00" not in one["path"]
    # Whoever goes away in the middle of a body has sent nothing.
    before = (await client.read(f"/{made['id']}"))["request_count"]
    _, writer = await asyncio.open_connection(client.http.base_url.host, client.http.base_url.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\nabc".encode())
    await writer.drain()
    writer.close()
    await client.http.post(made["url"])
    assert (await client.read(f"/{made['id']}"))["request_count"] == before + 1


async def test_an_endless_body_ends(client: Client) -> None:
    made = await client.make()
    host, port = client.http.base_url.host, client.http.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"POST /bin/{made['id']} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

    async def pour() -> None:
        try:
            while True:
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass

    pouring = asyncio.create_task(pour())
    answer = await reader.readuntil(b"\r\n")
    assert b" 413 " in answer
    pouring.cancel()
    writer.close()
    assert (await client.last(made))["status"] == 413


async def test_it_keeps_the_last_requests_and_so_many_bytes(client: Client) -> None:
    made, large = await client.make(), await client.make()
    await client.engine.sql(
        """insert into tidings.bin_requests select $1, n, now(), 'GET', '/', '[]', '', 0, true, 2, '', 200,
           '{"is_verified":false,"reason":"unasked","sentence":""}' from generate_series(1, $2::integer) n""",
        UUID(made["id"]), KEPT_REQUESTS,
    )  # fmt: skip
    await client.engine.sql("update tidings.bins set request_count = $2 where id = $1", UUID(made["id"]), KEPT_REQUESTS)
    await client.http.post(made["url"])
    came = await client.came(made, limit=1000)
    assert (len(came), came[0]["number"], came[-1]["number"]) == (KEPT_REQUESTS, KEPT_REQUESTS + 1, 2)
    for _ in range(KEPT_BYTES_OF_BIN // KEPT_BYTES + 3):
        await client.http.post(large["url"], content=b"x" * KEPT_BYTES)
    kept = await client.engine.value("select sum(kept_bytes) from tidings.bin_requests where bin_id = $1", UUID(large["id"]))
    assert KEPT_BYTES_OF_BIN - 2 * KEPT_BYTES < kept <= KEPT_BYTES_OF_BIN


def janitor(client: Client) -> Janitor:
    return Janitor(client.engine.services.wide, client.engine.clock, retention_days=90)


async def test_what_is_old_goes_and_a_bin_that_nobody_uses_too(client: Client) -> None:
    made = await client.make()
    await client.http.post(made["url"])
    client.engine.clock.ahead = timedelta(hours=23)
    assert len(await client.came(made)) == 1
    client.engine.clock.ahead = timedelta(hours=25)
    assert await client.came(made) == []  # before anybody takes it away
    await janitor(client).run_once()
    assert await client.engine.value("select count(*) from tidings.bin_requests") == 0
    client.engine.clock.ahead = timedelta(days=29)
    await client.http.post(made["url"])
    client.engine.clock.ahead = timedelta(days=40)
    await janitor(client).run_once()
    await client.read(f"/{made['id']}")
    client.engine.clock.ahead = timedelta(days=60)
    await janitor(client).run_once()
    await client.read(f"/{made['id']}", 404)


async def test_heads_are_kept_up_to_the_bound_of_heads(client: Client) -> None:
    made = await client.make()
    assert (await client.http.post(made["url"], headers={f"X-{n}": "y" * 300 for n in range(90)})).status_code == 200
    assert len([name for name, _ in (await client.last(made))["headers"] if name.startswith("x-")]) == 90
    for headers in ({"X-Big": "y" * 40_000}, {f"X-{n}": "y" for n in range(120)}):
        assert (await client.http.post(made["url"], headers=headers)).status_code == 431
    assert (await client.read(f"/{made['id']}"))["request_count"] == 1


async def test_a_secret_is_sealed_anew_with_the_others(client: Client) -> None:
    made = await client.make(profile="vivreal", secret="a text as a secret")
    database, old, new = client.engine.services.wide, client.engine.services.box, SecretBox("another")
    await client.engine.sql("delete from tidings.workers")
    assert await rekeyed(database, old, new) == 1 + 2  # the bin's, and two keys
    signed = {"X-Vivreal-Signature": sign_hex(HmacKey.of_text("a text as a secret"), b"{}")}
    await client.http.post(made["url"], content=b"{}", headers=signed)
    assert (await client.last(made))["verdict"]["reason"] == "unreadable_secret"
    refused = await client.http.request("PATCH", f"/api/v1/bins/{made['id']}", json={"profile": "fluxbase"}, headers=KEY)
    assert (refused.status_code, "Write secret anew" in refused.text) == (409, True)
    answer = {"status": 201}
    assert (await client.http.request("PATCH", f"/api/v1/bins/{made['id']}", json=answer, headers=KEY)).status_code == 200
    await rekeyed(database, new, old)
    await client.http.post(made["url"], content=b"{}", headers=signed)
    last = await client.last(made)
    assert (last["verdict"]["reason"], last["status"]) == ("verified", 201)


async def test_without_a_public_url_the_address_is_the_one_the_caller_reached(client: Client) -> None:
    made = await client.make()
    for host in ("tidings.internal:8080", "localhost"):
        found = await client.http.get(f"/api/v1/bins/{made['id']}", headers=KEY | {"Host": host})
        assert found.json()["url"] == f"http://{host}/bin/{made['id']}"
    odd = await client.http.get(f"/api/v1/bins/{made['id']}", headers=KEY | {"Host": "a/b"})
    assert odd.status_code >= 400 or odd.json()["url"] == f"/bin/{made['id']}"


async def test_a_flood_is_refused_beyond_its_rate_and_counted(client: Client) -> None:
    made = await client.make()
    total = 1_000

    async def send(count: int) -> list[int]:
        async with httpx.AsyncClient(base_url=client.http.base_url, timeout=60) as http:
            return [(await http.post(made["url"], content=b"{}")).status_code for _ in range(count)]

    answers = [status for part in await asyncio.gather(*(send(total // 10) for _ in range(10))) for status in part]
    assert set(answers) <= {200, 429}
    taken = answers.count(200)
    assert taken >= BURST
    found = await client.read(f"/{made['id']}")
    assert found["request_count"] == taken
    if 429 in answers:  # a slow machine may send no faster than the rate
        refused = await client.http.post(made["url"])
        if refused.status_code == 429:
            assert refused.headers["retry-after"] == "1"


async def test_a_bin_that_is_deleted_while_it_is_written_to_loses_nothing_else(client: Client) -> None:
    other = await client.make()
    for _ in range(5):
        made = await client.make()

        async def send(url: str) -> list[int]:
            return [(await client.http.post(url)).status_code for _ in range(8)]

        sending = [asyncio.create_task(send(url)) for url in (made["url"], other["url"], made["url"])]

        async def has_some(made: Any = made) -> bool:
            return bool(await client.engine.value("select request_count from tidings.bins where id = $1", UUID(made["id"])))

        await eventually(has_some)
        assert (await client.http.delete(f"/api/v1/bins/{made['id']}", headers=KEY)).status_code == 204
        first, kept, second = await asyncio.gather(*sending)
        assert kept == [200] * 8
        assert set(first + second) <= {200, 404}
    assert (await client.read(f"/{other['id']}"))["request_count"] == 40
    assert await client.engine.value("select count(*) from tidings.bin_requests where bin_id <> $1", UUID(other["id"])) == 0


async def test_an_answer_is_put_off_and_many_are_not(client: Client) -> None:
    made, quick = await client.make(delay_seconds=30, body="late"), await client.make()
    loop = asyncio.get_running_loop()
    late = await client.make(delay_seconds=0.3, status=202)
    began = loop.time()
    assert (await client.http.post(late["url"])).status_code == 202
    assert loop.time() - began >= 0.3
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=client.http.base_url, timeout=60, limits=limits) as http:
        held = [asyncio.create_task(http.post(made["url"])) for _ in range(80)]

        async def rest_is_refused() -> bool:
            return sum(task.done() for task in held) >= 80 - 64

        await eventually(rest_is_refused)
        assert {task.result().status_code for task in held if task.done()} == {503}
        assert {(await client.http.post(made["url"])).status_code for _ in range(3)} == {503}
        assert (await client.http.post(quick["url"])).status_code == 200
        assert (await client.http.get("/api/v1/webhooks", headers=KEY)).status_code == 200
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

    async def has_place() -> bool:  # those who went away wait no longer
        response = await client.http.request("PATCH", f"/api/v1/bins/{made['id']}", json={"delay_seconds": 0.01}, headers=KEY)
        assert response.status_code == 200
        return (await client.http.post(made["url"])).status_code == 200

    await eventually(has_place)
