"""`doctor webhook`: real receivers, each with a fault of its own, and what is said of them."""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from itertools import cycle
from pathlib import Path
from random import choices
from string import ascii_lowercase
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
import trustme
import uvicorn
from fastapi import FastAPI, Request, Response
from standardwebhooks import Webhook as Library
from standardwebhooks import WebhookVerificationError

from tests.conftest import url_of
from tests.integration.test_api import KEY
from tests.support.dns import dns
from tests.support.engine import Engine, engine_of
from tests.support.limits import PATIENCE
from tests.support.node import receiving
from tests.support.receiver import Received, Receiver, answer, hangs, resets, says
from tests.support.serving import ApiServer
from tests.support.terminal import Terminal
from tidings.client import VerificationError, verify
from tidings.config import Config
from tidings.core.diagnosis import unwell
from tidings.core.egress import Egress
from tidings.core.probes import MAX_PROBES
from tidings.operations.diagnosis import examine
from tidings.operations.sources import backfills
from tidings.operations.webhooks import diagnosing
from tidings.store import vitals
from tidings.store.database import open_database
from tidings.store.migrations import LAST
from tidings.transport.names import Names
from tidings.transport.sender import Sender

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()


@pytest.fixture(scope="module")
async def engine(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """One engine for all of these tests. No worker runs: what is sent is sent by the API."""
    name = f"{template}_doctor"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name} template {template}")
    config = Config(
        database_url=url_of(postgres, name), data_dir=tmp_path_factory.mktemp("data"), secret_key="test", admin_key="test",
        allow_private_networks="127.0.0.0/8", port=0, stop_grace_seconds=5,
    )  # fmt: skip
    async with engine_of(config) as engine:
        yield engine
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


class Call(NamedTuple):
    """A client of the API."""

    client: httpx.AsyncClient
    engine: Engine
    url: str

    async def create(self, url: str, **fields: Any) -> str:
        body = {"url": url, "events": ["*"], "secret": SECRET} | fields
        response = await self.client.post("/api/v1/webhooks", json=body)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    async def diagnose(self, webhook_id: str, expect: int = 200) -> Any:
        response = await self.client.post(f"/api/v1/webhooks/{webhook_id}/diagnose")
        assert response.status_code == expect, response.text
        return response.json()


@pytest.fixture(scope="module")
async def call(engine: Engine, api_server: ApiServer) -> AsyncIterator[Call]:
    async with (
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield Call(client, engine, url)


def names(found: Any) -> set[str]:
    return {finding["name"] for finding in found["findings"]}


# Express -----------------------------------------------------------------------------------------------------------------

EXPRESS = {  # by path: what is found, whether it takes deliveries, a part of what is said
    "sound": ("healthy", True, "refuses what is not"),
    "sound-sdk": ("healthy", True, "refuses what is not"),
    "limit": ("body_limit", True, "Express's limit of 100 kB"),
    "wrong-secret": ("wrong_secret", False, "another secret"),
    "wrong-secret-sdk": ("wrong_secret", False, "another secret"),
    "uncaught": ("wrong_secret", False, "another secret"),
    "stringified": ("reserialized", True, "the same JSON with other spaces is refused"),
    "indented": ("reserialized", False, "Its secret is right"),
    "trusting": ("not_verified", True, "a stranger signed"),
    "handler": ("handler", False, "what comes after that fails"),
    "text-key": ("secret_text", False, "uses its text as the key"),
    "milliseconds": ("milliseconds", False, "in seconds"),
    "timeless": ("replays", True, "signed a day ago"),
    "nowhere": ("not_found", False, "nothing at this path"),
}


async def test_each_receiver_under_express_is_named_rightly(call: Call) -> None:
    wrong = {}
    async with receiving("receivers/faulty.mjs", express="express5", secret=SECRET) as url:
        for path, (name, is_taking, said) in EXPRESS.items():
            found = await call.diagnose(await call.create(f"{url}/{path}"))
            assert len(found["probes"]) <= MAX_PROBES, path
            if (found["verdict"], found["is_taking"]) != (name, is_taking) or said not in found["sentence"]:
                wrong[path] = found
            if name != "healthy":
                assert found["framework"] == "Express"
    assert wrong == {}


async def test_the_line_to_change_is_that_of_what_the_receiver_is_written_in(call: Call) -> None:
    async with receiving("receivers/faulty.mjs", express="express4", secret=SECRET) as url:
        (limit,) = (await call.diagnose(await call.create(f"{url}/limit")))["findings"]
        found = await call.diagnose(await call.create(f"{url}/indented"))
    assert (limit["lines"][0]["where"], 'limit: "20mb"' in limit["lines"][0]["code"]) == ("Express", True)
    assert 'express.raw({ type: "application/json" })' in found["findings"][0]["lines"][0]["code"]


# FastAPI -----------------------------------------------------------------------------------------------------------------


def application() -> FastAPI:
    """Return receivers under FastAPI."""
    app = FastAPI()

    def checked(body: bytes, request: Request, secret: str = SECRET) -> Response:
        try:
            Library(secret).verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            return Response(str(error), 400)
        return Response(status_code=204)

    @app.post("/sound")
    async def sound(request: Request) -> Response:
        return checked(await request.body(), request)

    @app.post("/dumped")
    async def dumped(payload: dict[str, Any], request: Request) -> Response:
        return checked(json.dumps(payload).encode(), request)

    @app.post("/sorted")
    async def sorted_(payload: dict[str, Any], request: Request) -> Response:
        return checked(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode(), request)

    @app.post("/wrong")
    async def wrong(request: Request) -> Response:
        return checked(await request.body(), request, OTHER)

    @app.get("/method")
    async def method() -> Response:
        return Response()

    @app.post("/slash/")
    async def slash() -> Response:
        return Response()

    return app


FASTAPI = {
    "sound": ("healthy", True, "refuses what is not"),
    "dumped": ("reserialized", False, "json.dumps"),
    "sorted": ("reserialized", False, "Its secret is right"),
    "wrong": ("wrong_secret", False, "HTTP 400"),
    "method": ("method_not_allowed", False, "HTTP 405"),
    "slash": ("redirect", False, "another slash"),
}


async def test_each_receiver_under_fastapi_is_named_rightly(call: Call) -> None:
    wrong = {}
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(), log_level="critical", lifespan="off"))
    running = asyncio.create_task(server._serve(sockets=[listener]))  # without the signal handlers of `serve`
    for path, (name, is_taking, said) in FASTAPI.items():
        found = await call.diagnose(await call.create(f"http://127.0.0.1:{listener.getsockname()[1]}/{path}"))
        is_right = (found["verdict"], found["is_taking"]) == (name, is_taking) and said in found["sentence"]
        is_line = name != "reserialized" or "await request.body()" in found["findings"][0]["lines"][0]["code"]
        if not is_right or not is_line or found["framework"] != "FastAPI":
            wrong[path] = found
    server.should_exit = True
    await running
    assert wrong == {}


# Receivers that answer what they are told to -----------------------------------------------------------------------------

Script = Callable[[Received, Any], Awaitable[None]]


def verifying(seconds: float = 0.0, *, good: bytes = answer(204, b""), limit: int | None = None) -> Script:
    """Verify as a receiver whose machine has another time, which its header Date tells."""

    async def script(received: Received, writer: Any) -> None:
        there = datetime.now(UTC) + timedelta(seconds=seconds)
        date = {"date": format_datetime(there, usegmt=True), "server": "test"}
        if limit is not None and len(received.body) > limit:
            writer.write(answer(413, b"too large", date))
            return
        try:
            verify(received.body, received.headers, SECRET, now=there.timestamp())
        except VerificationError as error:
            writer.write(answer(401, json.dumps({"error": str(error)}).encode(), date))
            return
        writer.write(good.replace(b"\r\n", f"\r\ndate: {date['date']}\r\n".encode(), 1))

    return script


def in_other_words(good: bytes, *, secret: str) -> Script:
    """Verify, and refuse with a word that is another each time."""

    async def script(received: Received, writer: Any) -> None:
        try:
            verify(received.body, received.headers, secret)
        except VerificationError:
            writer.write(answer(401, b"no: " + "".join(choices(ascii_lowercase, k=12)).encode()))
            return
        writer.write(good)

    return script


def in_turn(*scripts: Script) -> Script:
    """Answer as machines behind one address do."""
    turns = cycle(scripts)

    async def script(received: Received, writer: Any) -> None:
        await next(turns)(received, writer)

    return script


LOGIN = b"<!doctype html><title>Sign in</title><form><input type=password></form>"
HTML = {"content-type": "text/html"}
SCRIPTS: dict[str, tuple[Script, str, bool, str]] = {
    "clock-behind": (verifying(-3600), "clock", False, " behind ours"),
    "clock-ahead": (verifying(7200), "clock", False, " ahead of ours"),
    "clock-a-little": (verifying(-200), "clock", True, "It takes deliveries still"),
    "small": (verifying(limit=50_000), "body_limit", True, "takes one of 10,000"),
    "nginx": (verifying(limit=2**20), "healthy", True, ""),
    "login": (says(answer(200, LOGIN, HTML)), "login_page", False, "page to sign in"),
    "site": (says(answer(200, b"<html><h1>Shop</h1></html>", HTML)), "web_page", False, "web page"),
    "https": (says(answer(301, b"", {"location": "https://shop.test/hook"})), "redirect", False, "It wants https"),
    "elsewhere": (says(answer(302, b"", {"location": "/login?next=/hook"})), "login_page", False, "people sign in"),
    "basic": (says(answer(401, b"", {"www-authenticate": 'Basic realm="x"'})), "authentication", False, "credentials of its own"),
    "csrf": (says(answer(403, b"<h1>Forbidden</h1>CSRF verification failed.", HTML)), "csrf", False, "Exempt this path"),
    "too-many": (says(answer(429, b"", {"retry-after": "60"})), "rate_limit", False, "rate_per_second"),
    "gone": (says(answer(410)), "gone", False, "disables the webhook"),
    "down": (says(answer(502, b"<html>Bad Gateway</html>", HTML)), "upstream", False, "Start the receiver"),
    "breaks": (says(answer(500, b"oops")), "failing", False, "whatever comes"),
    "cuts": (resets, "reset", False, "cuts it"),
    "hangs": (hangs, "silent", False, "Answer at once"),
    "random-words": (in_other_words(answer(204, b""), secret=OTHER), "wrong_secret", False, "another secret"),
    "random-words-behind": (in_other_words(answer(500, b"oops"), secret=SECRET), "handler", False, "what comes after that fails"),
    "two-machines": (in_turn(in_other_words(answer(204, b""), secret=OTHER), verifying()), "unsteady", False, "several machines"),
    "no-http": (says(b"220 mail.test ESMTP\r\n"), "not_http", False, "does not speak HTTP"),
}  # fmt: skip


async def test_each_answer_is_named_rightly(call: Call, receiver: Receiver) -> None:
    wrong = {}
    for path, (script, name, is_taking, said) in SCRIPTS.items():
        receiver.otherwise = script
        timeout = 0.4 if script is hangs else PATIENCE
        found = await call.diagnose(await call.create(receiver.url(f"/{path}"), timeout_seconds=timeout))
        if (found["verdict"], found["is_taking"]) != (name, is_taking) or said not in found["sentence"]:
            wrong[path] = found
    assert wrong == {}


async def test_what_stands_before_the_receiver_is_named_rightly(call: Call) -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def speaking(issued: trustme.LeafCert) -> Receiver:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)
        receiver = Receiver(otherwise=verifying())
        await receiver.start(ssl=context)
        return receiver

    past = datetime.now(UTC) - timedelta(days=1)
    servers = {
        "healthy": await speaking(authority.issue_cert("receiver.test")),
        "certificate_name": await speaking(authority.issue_cert("other.test")),
        "certificate_expired": await speaking(authority.issue_cert("receiver.test", not_after=past)),
        "certificate_untrusted": await speaking(trustme.CA().issue_cert("receiver.test")),
    }

    async def refuses(_: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(refuses, "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    services = call.engine.services
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with dns({"receiver.test": [["127.0.0.1"]], "inside.test": [["10.1.2.3"]]}) as known:
            sender = Sender(Egress(allowed=(ip_network("127.0.0.0/8"),)), tls=trusting, names=Names(("127.0.0.1",), known.port))
            seen = {}
            for name, url in {
                **{name: f"https://receiver.test:{server.port}/" for name, server in servers.items()},
                "not_tls": f"https://receiver.test:{plain.sockets[0].getsockname()[1]}/",
                "refused": f"https://receiver.test:{nobody}/",
                "tls_silent": f"https://receiver.test:{silent.getsockname()[1]}/",
                "dns": "https://nowhere.test/",
                "address_refused": "https://inside.test/",
            }.items():
                timeout = 0.5 if name in {"dns", "tls_silent"} else PATIENCE
                webhook = await call.create(url, timeout_seconds=timeout)
                replaced = msgspec.structs.replace(services, sender=sender)
                seen[name] = (await diagnosing.diagnose(replaced, UUID(webhook))).verdict
            await sender.close()
    plain.close()
    for server in servers.values():
        await server.stop()
    assert {name: verdict.name for name, verdict in seen.items()} == {name: name for name in seen}
    assert "10.1.2.3" not in seen["address_refused"].sentence  # customers read it


async def test_a_secret_from_before_the_rotation_is_told(call: Call, receiver: Receiver) -> None:
    receiver.otherwise = verifying()
    webhook = await call.create(receiver.url())
    rotated = await call.client.post(f"/api/v1/webhooks/{webhook}/secret/rotate", json={"overlap_seconds": 0})
    assert rotated.status_code == 200
    found = await call.diagnose(webhook)
    assert (found["verdict"], "before it was changed" in found["sentence"]) == ("old_secret", True)


async def test_every_profile_is_examined(call: Call, receiver: Receiver) -> None:
    for profile in ("cloudevents", "cloudevents-structured", "vivreal", "vivreal-content", "fluxbase", "fluxbase-t"):
        secret = SECRET if profile.startswith("cloud") else "a-secret-of-text"

        async def script(received: Received, writer: Any, profile: str = profile, secret: str = secret) -> None:
            try:
                verify(received.body, received.headers, secret, profile=profile)
            except VerificationError:
                writer.write(answer(401))
                return
            writer.write(answer(204, b""))

        receiver.otherwise = script
        found = await call.diagnose(await call.create(receiver.url(), profile=profile, secret=secret))
        assert (found["verdict"], found["probes"][1]["response_status"]) == ("healthy", 401), (profile, found)
    receiver.otherwise = says(answer())
    found = await call.diagnose(await call.create(receiver.url(), profile="vski", secret="a-secret-of-text"))
    assert (found["verdict"], names(found)) == ("healthy", {"unsigned"})
    found = await call.diagnose(await call.create(receiver.url(), profile="vski", secret="a-secret-of-text", jwt_enabled=True))
    assert found["verdict"] == "not_verified"


async def test_probes_are_told_from_deliveries_and_stand_nowhere(call: Call, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500))
    webhook = await call.create(receiver.url(), enabled=False)
    found = await call.diagnose(webhook)
    assert {"failing", "paused"} == names(found)
    assert len(receiver.received) == len(found["probes"]) <= MAX_PROBES
    assert {request.headers["tidings-probe"] for request in receiver.received} == {one["probe"] for one in found["probes"]}
    assert len({request.headers["webhook-id"] for request in receiver.received}) == len(receiver.received)
    assert json.loads(receiver.received[0].body)["type"] == "webhook.test"
    assert await call.engine.value("select (select count(*) from tidings.outbox) + (select count(*) from tidings.queue)") == 0
    assert (await call.client.get("/api/v1/deliveries", params={"webhook_id": webhook})).json() == []
    health = (await call.client.get(f"/api/v1/webhooks/{webhook}")).json()["health"]
    assert (health["waiting"], health["day"]["success_rate"]) == (0, None)


async def test_what_a_receiver_answers_is_bounded(call: Call, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(302, b"x" * 100_000, {"location": "https://shop.test/" + "y" * 5000}))
    found = await call.diagnose(await call.create(receiver.url()))
    assert len(found["probes"][0]["response_body"]) == 500
    assert len(found["sentence"]) < 1000


async def test_a_receiver_is_examined_by_one_at_a_time(call: Call, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    webhook = await call.create(receiver.url(), timeout_seconds=1)
    first = asyncio.create_task(call.diagnose(webhook))
    await receiver.wait_for(1)
    refused = await call.diagnose(webhook, 409)
    assert "being examined" in refused["error"]
    assert (await first)["verdict"] == "silent"
    assert (await call.diagnose("00000000-0000-4000-8000-000000000000", 404))["code"] == "NOT_FOUND"


async def test_the_receivers_of_one_group_keep_no_other_waiting(call: Call, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    hooks = [await call.create(receiver.url(), timeout_seconds=2) for _ in range(diagnosing.MAX_OF_GROUP + 1)]
    examined = [asyncio.create_task(call.diagnose(hook)) for hook in hooks[1:]]
    await receiver.wait_for(diagnosing.MAX_OF_GROUP)
    assert "of this group" in (await call.diagnose(hooks[0], 503))["error"]
    assert diagnosing.MAX_OF_GROUP < diagnosing.MAX_AT_ONCE
    assert {one["verdict"] for one in await asyncio.gather(*examined)} == {"silent"}


# At the prompt -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(call: Call, tmp_path: Path) -> Terminal:
    return Terminal(call.url, tmp_path)


async def test_the_command_says_what_is_wrong_and_which_line_to_change(call: Call, terminal: Terminal) -> None:
    async with receiving("receivers/faulty.mjs", express="express5", secret=SECRET) as url:
        broken, sound = [await call.create(f"{url}/{path}", name=path.title()) for path in ("indented", "sound")]
        said = await terminal("doctor", "webhook", "Indented", code=1)
        assert said.startswith("✗ reserialized  Its secret is right")
        assert '    Express: app.post("/webhooks", express.raw({ type: "application/json" })' in said
        assert "FastAPI" not in said
        assert "signed by a stranger  401" in said
        found = await terminal.read("doctor", "webhook", broken, code=1)
        assert (found["verdict"], found["framework"]) == ("reserialized", "Express")
        assert await terminal("doctor", "webhook", sound, "-q") == "healthy\n"
        assert await terminal("doctor", "-q", "webhook", sound) == "healthy\n"  # written before the word as well
        assert (await terminal("doctor", "webhook", sound)).startswith("✓ healthy")
        assert "Did you mean" in await terminal.refused("doctor", "webhook", "Sounds", code=3)
        for columns in (80, 160):
            shown = await terminal.on_screen("doctor", "webhook", "Indented", columns=columns)
            assert "\x1b[31m✗\x1b[0m" in shown
            assert "express.raw" in shown


async def test_what_a_receiver_answers_is_inert_in_a_terminal(call: Call, terminal: Terminal, receiver: Receiver) -> None:
    hostile = "\x1b]0;t\x07\x1b[2J\u202eexe"
    receiver.otherwise = says(answer(302, hostile.encode(), {"location": "https://shop.test/\x1b[31m", "server": "\x1b[2Jx"}))
    webhook = await call.create(receiver.url())
    for words in (("-v",), ("--json",), ()):
        said = await terminal("doctor", "webhook", webhook, *words, code=1)
        assert not {"\x1b", "\x07", "\u202e"} & set(said), said


async def test_the_doctor_examines_a_server_over_http(call: Call, terminal: Terminal, tmp_path: Path) -> None:
    await call.engine.worker.heart.run_once()
    found = await terminal.read("doctor", code=1)
    assert {"server", "time", "database", "rights", "egress"} <= set(found["looked_at"])
    assert {"unreached", "dns", "egress"} & {problem["name"] for problem in found["problems"]}
    said = await terminal("doctor", code=1)
    assert said.startswith(call.url)
    assert "✓" in said
    for columns in (80, 160):
        assert "database" in await terminal.on_screen("doctor", columns=columns)
    assert "cannot be reached" in await terminal.refused("doctor", "--server", "http://127.0.0.1:9", code=5)
    assert "key" in await terminal.refused("doctor", code=4, TIDINGS_KEY="wrong")
    assert "holds no embedded PostgreSQL" in await terminal(
        "--data-dir", str(tmp_path / "none"), "doctor", code=1, TIDINGS_SERVER=None, TIDINGS_DATABASE_URL=None
    )
    assert not (tmp_path / "none").exists()


async def test_another_program_at_the_address_is_told(terminal: Terminal, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(200, b"hello"))
    assert "is answered with HTTP 200 and not as Tidings does" in await terminal(
        "doctor", "--server", receiver.url("").rstrip("/"), code=1
    )


async def test_a_role_that_may_make_no_temporary_tables_is_not_taken_for_one_that_cannot_write(call: Call) -> None:
    user, services = call.engine.user, call.engine.services
    name = await user.fetchval("select current_database()")
    await user.execute(f"create role app login; revoke temporary on database {name} from public")
    database = await open_database(services.wide.url.replace("postgres:@", "app:@"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction() as connection:
                await connection.execute("create temporary table none (n int)")
        assert await vitals.can_write(database, PATIENCE)
    finally:
        await database.close()
        await user.execute(f"grant temporary on database {name} to public; drop role app")


async def test_a_role_that_owns_nothing_of_the_schema_is_told(call: Call) -> None:
    user = call.engine.user
    await user.execute("create role stranger; alter table tidings.settings owner to stranger")
    try:
        async with call.engine.services.wide.transaction() as connection:
            await connection.execute(
                "create role app; grant all on schema tidings to app; grant select on all tables in schema tidings to app"
            )
            await connection.execute("set local role app")
            found = await vitals.read(connection, LAST, is_all=True)
            await connection.execute("reset role")
            await connection.execute("drop owned by app; drop role app")
    finally:
        await user.execute("alter table tidings.settings owner to current_user; drop role stranger")
    assert found.role == "app"
    assert found.not_owned > 10
    told = unwell(found, machine_time=found.at, disk_left=None, uncaptured=0)
    assert any("REASSIGN OWNED" in problem.sentence for problem in told)


async def test_a_backfill_that_cannot_go_on_is_told_of_until_it_does(config: Config, receiver: Receiver) -> None:
    async def told(engine: Engine) -> list[str]:
        return [one.sentence for one in (await examine(engine.services)).problems if one.name == "backfills"]

    async with engine_of(config) as engine:
        await engine.user.execute("create table stock (sku int primary key); insert into stock values (1)")
        webhook = await engine.add_webhook(receiver.url("/hook"), {"table": "stock"})
        begun = await backfills.start(engine.services, "stock", webhook.id)
        assert await told(engine) == []
        async with engine.services.wide.transaction() as other:
            await other.execute("lock table public.stock")
            await engine.worker.backfiller.run_once()
        assert "lock timeout" in str((await backfills.read(engine.services, begun.id)).error)
        (sentence,) = await told(engine)
        assert sentence.startswith("1 backfill cannot go on")
        await engine.worker.backfiller.run_once()
        assert await told(engine) == []
        now = await backfills.read(engine.services, begun.id)
        assert (now.error, now.row_count) == (None, 1)
