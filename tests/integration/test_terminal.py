"""The commands over HTTP, each against a running engine."""

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import keyring
import pytest

from tests.conftest import url_of
from tests.support.engine import Engine, engine_of, eventually
from tests.support.keyring_backend import MemoryRing
from tests.support.limits import PATIENCE
from tests.support.process import settings
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tests.support.shells import SHELLS, Shell
from tests.support.terminal import Relay, Terminal, heard
from tidings.api.openapi.examples import example_of
from tidings.cli.remote.grammar import Thing, Verb, fields
from tidings.cli.remote.server import Server
from tidings.cli.remote.things import THINGS
from tidings.client.errors import ApiError
from tidings.config import Config
from tidings.core.signature import HmacKey, sign_hex

ROOT = Path(__file__).parents[2]
NOBODY = "00000000-0000-4000-8000-000000000000"
HOSTILE = "\x1b]0;t\x07\x1b[2J\u202eexe\u2066\x9b31m\r\x00\u2028"

# Routes without a verb of a thing, and why.
ELSEWHERE = {
    ("GET", "/api/v1/attempts/stream"): "tidings tail",
    ("GET", "/api/v1/events/{event_id}/explain"): "tidings explain",
    ("GET", "/api/v1/diagnosis"): "tidings doctor --server",
    ("GET", "/api/v1/audit/export"): "tidings audit export",
    ("GET", "/api/v1/audit/verification"): "tidings audit verify",
    ("POST", "/api/v1/webhooks/{webhook_id}/diagnose"): "tidings doctor webhook",
    ("PUT", "/api/v1/webhooks/{webhook_id}"): "the same as PATCH",
    ("POST", "/api/v1/listeners/{listener_id}/take"): "tidings listen",
    ("POST", "/api/v1/listeners/{listener_id}/results"): "tidings listen",
    ("POST", "/api/v1/collections/{collection}/auth"): "users of an application sign in by it, not operators",
}
# Fields of bodies without an option: other systems' names for the same, and what only the server says.
UNSAID = {  # by a field that tells which body it is
    "events": {"max_retries", "retry_backoff_seconds", "version"},
}  # fmt: skip
PAGING = {"limit", "offset", "cursor", "count", "before", "after", "page", "perPage"}
KIND_OF = {
    "boolean": {"flag"},
    "integer": {"int", "number"},
    "number": {"number", "int"},
    "array": {"list"},
    "string": {"text"},
}


@pytest.fixture(scope="module")
async def engine(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    """One engine for all of these tests, running."""
    name = f"{template}_terminal"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name} template {template}")
    config = Config(
        database_url=url_of(postgres, name), data_dir=tmp_path_factory.mktemp("data"), secret_key="test", admin_key="test",
        allow_private_networks="127.0.0.0/8", port=0, stop_grace_seconds=5,
    )  # fmt: skip
    async with engine_of(config, running=True) as engine:
        await engine.user.execute("create table orders (id int primary key, total int)")
        yield engine
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture(scope="module")
async def url(engine: Engine, api_server: ApiServer) -> AsyncIterator[str]:
    async with api_server.serving(engine.services) as url:
        yield url


@pytest.fixture
def terminal(url: str, tmp_path: Path) -> Terminal:
    return Terminal(url, tmp_path)


def verbs() -> list[tuple[Thing, Verb]]:
    return [(thing, verb) for thing in THINGS.values() for verb in thing.verbs]


async def document(terminal: Terminal) -> Any:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{terminal.url}/openapi.json", headers={"Authorization": "Bearer test"})
        assert response.status_code == 200, response.text[:300]
        return response.json()


def body_of(document: Any, said: Any) -> dict[str, Any]:
    """Return the fields of a route's body."""
    schema = next(iter(said["requestBody"]["content"].values()))["schema"]
    while "$ref" in schema or "oneOf" in schema:
        schema = (
            schema["oneOf"][0] if "oneOf" in schema else document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        )
    return schema.get("properties", {})


async def test_the_table_has_every_route_parameter_and_field_of_the_api(terminal: Terminal) -> None:
    api = await document(terminal)
    routes = {
        (method.upper(), path): said
        for path, item in api["paths"].items()
        for method, said in item.items()
        if path.startswith("/api/v1/")
        and not path.startswith("/api/v1/set-aside")  # by `tidings set-aside`, beside the database
    }
    table = {(verb.method, verb.path) for _, verb in verbs()}
    assert table - set(routes) == set(), "the table has routes that the API has not"
    assert set(routes) - table - set(ELSEWHERE) == set(), "give these a verb in cli/remote/things.py"
    assert set(ELSEWHERE) - (set(routes) - table) == set()
    for _, verb in verbs():
        said = routes[verb.method, verb.path]
        query = {parameter["name"] for parameter in said.get("parameters", []) if parameter.get("in") == "query"}
        assert set(verb.query.split()) == query - PAGING, verb
        assert ("requestBody" in said) == bool(verb.body or verb.sends), verb
        known = {} if verb.sends is not None or "requestBody" not in said or "*" in verb.body.split() else body_of(api, said)
        told = {field.name: field.kind for field in fields(verb.body)}
        unsaid = set().union(*(names for mark, names in UNSAID.items() if mark in known))
        assert set(told) == set(known) - unsaid, verb
        for name, kind in told.items():
            type_ = known[name].get("type")
            if isinstance(type_, str) and "oneOf" not in known[name]:
                assert kind in KIND_OF.get(type_, {"json", "map"}), (verb.name, name, type_)


async def test_every_verb_is_run_below() -> None:
    text = Path(__file__).read_text()
    missing = [f"{thing.name} {verb.name}" for thing, verb in verbs() if f'"{thing.name}", "{verb.name}"' not in text]
    assert missing == []


async def test_webhooks(terminal: Terminal, receiver: Receiver, tmp_path: Path) -> None:
    made = await terminal.read(
        "webhooks", "create", "--url", receiver.url("/hook"), "--name", "Orders", "--events", "order.*", "--events", '{"table": "orders"}',
        "--headers", "X-Team=erp", "--retry", '{"delays": [600]}', "--concurrency", "3", "--no-ordered",
    )  # fmt: skip
    assert (made["name"], made["events"][0], made["headers"], made["concurrency"]) == (
        "Orders",
        "order.*",
        {"X-Team": "erp"},
        3,
    )
    id_ = made["id"]
    assert (await terminal("webhooks", "list", "-q")).split() == [id_]
    assert "Orders" in await terminal("webhooks", "list")
    assert (await terminal.read("webhooks", "get", "Orders"))["id"] == id_
    assert (await terminal.read("webhooks", "get", id_[:8]))["id"] == id_
    shown = await terminal("webhooks", "get", id_)
    assert "X-Team" in shown
    assert "\x1b" not in shown
    assert (await terminal.read("webhooks", "edit", id_, "--description", "For the ERP"))["description"] == "For the ERP"
    assert (await terminal.read("webhooks", "edit", id_, "--set", "description=null"))["description"] is None
    assert (await terminal.read("webhooks", "edit", id_, "--set", "headers=null"))["headers"] == {}
    assert 'Did you mean "description"' in await terminal.refused("webhooks", "edit", id_, "--set", "descripton=1", code=2)
    editor = tmp_path / "editor.sh"
    editor.write_text('sed -i \'s/"concurrency": 3/"concurrency": 4/\' "$1"\n')
    assert (await terminal.read("webhooks", "edit", "Orders", EDITOR=f"sh {editor}"))["concurrency"] == 4
    assert "Nothing was changed" in (await terminal.run("webhooks", "edit", id_, EDITOR="true")).stderr
    assert (await terminal.read("webhooks", "pause", id_))["enabled"] is False
    assert (await terminal.read("webhooks", "resume", id_))["enabled"] is True
    assert (await terminal.read("webhooks", "test", id_, "--event", "order.paid"))["success"] is True
    receiver.scripts.append(says(answer(500)))
    assert "HTTP 500" in await terminal("webhooks", "test", id_, code=1)
    assert (await terminal.read("webhooks", "preview", id_, "--profile", "cloudevents"))["profile"] == "cloudevents"
    assert (await terminal.read("webhooks", "preview-new", "--url", receiver.url()))["method"] == "POST"
    first = await terminal.read("webhooks", "secret", id_)
    assert await terminal("webhooks", "secret", id_, "-q") == first["secret"] + "\n"
    assert (await terminal.read("webhooks", "rotate", id_, "--overlap-seconds", "60"))["previous_secret"] == first["secret"]
    assert [one["version"] for one in await terminal.read("webhooks", "versions", id_)][-1] == 1
    assert len((await terminal("webhooks", "versions", id_, "--limit", "2", "-q")).split()) == 2
    assert (await terminal.read("webhooks", "statistics", id_, "--where", "step=hour"))["step"] == "hour"
    await terminal("events", "publish", "--type", "order.paid", "--data", '{"total": 3}')
    await eventually(
        lambda: _has(terminal, "webhooks", "deliveries", id_, "--where", "type=order.paid", "--where", "status=succeeded")
    )
    assert "order.paid" in await terminal("webhooks", "dry-run", id_, "--where", "days=1")
    assert "order.paid" in await terminal("webhooks", "dry-run-new", "--events", "order.*", "--url", receiver.url())
    assert (await terminal.read("webhooks", "recover", id_, "--since", "1h"))["webhook_id"] == id_
    assert "Add --yes" in await terminal.refused("webhooks", "delete", id_, code=2)
    assert await terminal("webhooks", "delete", "Orders", "--yes") == f"webhook {id_} is deleted.\n"
    assert await terminal.read("webhooks", "list") == []


async def _has(terminal: Terminal, *words: str) -> Any:
    return (await terminal(*words, "-q")).split()


async def test_events_and_deliveries(terminal: Terminal, receiver: Receiver, tmp_path: Path) -> None:
    receiver.scripts.append(says(answer(500, b"no\x1b[31m")))
    webhook = (
        await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Paid", "--events", "bill.*", "-q")
    ).strip()
    published = (await terminal("events", "publish", "--type", "bill.paid", "--data", json.dumps({"x": HOSTILE.replace("\x00", "")}),
                                "--subject", "b-1", "-q")).strip()  # fmt: skip
    (delivery,) = await eventually(
        lambda: _has(terminal, "deliveries", "list", "--where", "status=retrying", "--where", "webhook_id=Paid")
    )
    assert (await terminal.read("events", "get", published))["subject"] == "b-1"
    assert only_shown(await terminal("events", "get", published))
    assert only_shown(await terminal("events", "get", published, "--json"))
    assert published in (await terminal("events", "list", "--where", "type=bill.paid", "--where", "since=1h", "-q")).split()
    for words in (
        ("deliveries", "get", delivery),
        ("deliveries", "attempt", delivery, "1"),
        ("deliveries", "attempts", delivery),
    ):
        assert only_shown(await terminal(*words))
        assert only_shown(await terminal(*words, "--json"))
    assert (await terminal.read("deliveries", "attempt", delivery, "1"))["response_body"] == "no\x1b[31m"
    explained = await terminal("explain", published, "Paid")
    assert "✓ Paid" in explained
    assert delivery in explained
    assert (await terminal("explain", published, "-q")).split() == [webhook]
    assert (await terminal.read("explain", published))["webhooks"][0]["is_sent"] is True
    assert await terminal("explain", delivery) == explained  # what tail shows can be asked about as it is
    assert "no event" in await terminal.refused("explain", NOBODY, code=3)
    line = await terminal.run("curl", delivery)
    assert line.stdout.startswith(f"curl -i --globoff -X POST {receiver.url()}")
    assert "webhook-signature" in line.stderr
    signed = await terminal.read("curl", delivery, "--signed")
    assert signed["left_out"] == []
    assert only_shown(signed["command"])
    assert " Paid " in await terminal("deliveries", "list")
    assert (await terminal.read("deliveries", "list", "--where", "webhook_id=Paid"))[0]["webhook_id"] == webhook
    none = await terminal.run("deliveries", "list", "--where", "status=failed", "--where", "webhook_id=Paid")
    assert none.stderr == "No deliveries.\nSome failed and are tried again: --where status=retrying.\n"
    assert "ids" in await terminal.refused("deliveries", "retry-all", "--ids", "x", code=2)
    assert (await terminal.read("deliveries", "retry", delivery))["id"] == delivery
    await eventually(lambda: _has(terminal, "deliveries", "list", "--where", "status=succeeded", "--where", "webhook_id=Paid"))
    assert (await terminal.read("deliveries", "retry-all", "--ids", delivery))["ids"] == [delivery]
    lines = tmp_path / "events.ndjson"
    lines.write_text("".join(f'{{"type": "bill.sent", "data": {number}}}\n' for number in range(7)))
    assert (await terminal.read("events", "publish-batch", "--input", str(lines)))["accepted"] == 7
    assert (await terminal.read("events", "publish-batch", "--input", "-", input=lines.read_bytes()))["accepted"] == 7
    mixed = b'{"type": "bill.sent", "data": 1}\nnone\n'
    assert "Line" not in await terminal("events", "publish-batch", "--input", "-", input=mixed, code=1)
    some = await terminal.run("events", "publish-batch", "--input", "-", "-q", input=mixed)
    assert (len(some.stdout.split()), some.stderr.startswith("tidings: Line 2: ")) == (1, True)
    assert "--input FILE" in await terminal.refused("events", "publish-batch", code=2)
    await terminal("webhooks", "delete", webhook, "-y")


def only_shown(text: str) -> bool:
    return all(sign == "\n" or (unicodedata.category(sign)[0] != "C" and sign not in "\u2028\u2029") for sign in text)


async def test_lists_are_followed_to_their_end(terminal: Terminal, engine: Engine) -> None:
    await terminal("groups", "create", "--id", "long")
    lines = "".join(f'{{"type": "many.made", "data": {number}}}\n' for number in range(450))
    await terminal("events", "publish-batch", "--input", "-", input=lines, TIDINGS_GROUP="long")

    async def all_there() -> bool:
        return await engine.value("select count(*) from tidings.events where group_id = 'long'") == 450

    await eventually(all_there)
    assert len(set((await terminal("events", "list", "--group", "long", "--all", "-q")).split())) == 450
    assert len(set((await terminal("events", "list", "--group", "long", "--limit", "410", "-q")).split())) == 410
    assert len(await terminal.read("events", "list", "--group", "long")) == 50
    assert await terminal.read("events", "list", "--where", "type=many.*") == []  # they are another group's


async def test_tables_backfills_and_recoveries(terminal: Terminal, receiver: Receiver, engine: Engine) -> None:
    webhook = (
        await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Rows", "--events", '{"table": "orders"}', "-q")
    ).strip()
    assert (await terminal.read("tables", "create", "orders", "--exclude", "total"))["exclude"] == ["total"]
    assert "Say for which operations" in await terminal.refused("tables", "edit", "orders", "--when", "new.id > 0", code=2)
    each = {"INSERT": "new.id > 0"}
    assert (await terminal.read("tables", "edit", "orders", "--when", json.dumps(each)))["when"] == each
    everywhere = await terminal.read("tables", "edit", "orders", "--when", "1 = 1")
    assert everywhere["when"] == dict.fromkeys(("INSERT", "UPDATE", "DELETE"), "1 = 1")
    assert (await terminal.read("tables", "edit", "orders", "--set", "when=null"))["when"] == {}
    assert (await terminal.read("tables", "edit", "orders", "--rename", "id=number"))["exclude"] == ["total"]
    assert (await terminal("tables", "list", "-q")).split() == ["orders"]
    assert (await terminal.read("tables", "get", "orders"))["rename"] == {"id": "number"}
    assert 'Did you mean "orders"?' in await terminal.refused("tables", "get", "ordres", code=3)
    await engine.sql("insert into orders values (1, 1)")
    begun = await terminal.read("tables", "backfill", "orders", "--webhook-id", "Rows")
    assert (await terminal.read("backfills", "get", begun["id"]))["table"] == "orders"
    assert begun["id"] in await terminal("backfills", "list")
    done = await terminal.run("backfills", "cancel", begun["id"], "--json")
    assert json.loads(done.stdout).get("code", "CONFLICT") == "CONFLICT"  # it may be over already
    assert await terminal("tables", "delete", "orders", "-y") == "table orders is forgotten.\n"
    recovered = await terminal.read("recover", "--since", "1h", "--webhook", "Rows")
    assert [one["state"] for one in recovered] == ["done"]
    (id_,) = [one["id"] for one in recovered]
    assert id_ in (await terminal("recoveries", "list", "-q")).split()
    assert (await terminal.read("recoveries", "get", id_))["state"] == "done"
    assert (await terminal.run("recoveries", "cancel", id_)).exit_code == 1  # it is over
    await terminal("webhooks", "delete", webhook, "-y")


async def test_recover_says_what_it_would_do_and_what_it_did(terminal: Terminal, receiver: Receiver, engine: Engine) -> None:
    receiver.scripts.extend([says(answer(500))] * 2)
    webhook = (await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Late", "--events", "late.*", "--retry",
                              '{"delays": [3600]}', "-q")).strip()  # fmt: skip
    await terminal("trigger", "late.one", "--data", "1")
    await terminal("trigger", "late.two", "--data", "@-", input='{"a": 2}')
    await eventually(lambda: _two(terminal, webhook))
    await terminal("webhooks", "pause", webhook)
    await terminal("trigger", "late.three", "--data", "3")

    async def is_known() -> bool:
        return await engine.value("select count(*) from tidings.events where type = 'late.three'") == 1

    await eventually(is_known)
    await terminal("webhooks", "resume", webhook)
    said = await terminal("recover", "--since", "1h", "--webhook", "Late", "--missing", "--dry-run")
    assert said == "Late: 2 not acknowledged, 1 that it never had. Nothing was sent.\n"
    told = await terminal.read("recover", "--since", "1h", "--webhook", "Late", "--dry-run")
    assert told == [{"webhook_id": webhook, "unacknowledged": "2"}]
    assert await terminal("recover", "--since", "1h", "--webhook", "Late", "--missing") == (
        f"done: 3 found, 3 put into the queue. See them go out with: tidings tail --webhook {webhook}\n"
    )
    assert "tidings recoveries get" in await terminal("recover", "--since", "1h", "--webhook", "Late", "--detach")
    both = await terminal("recover", "--since", "1h", "--webhook", "Late", "--webhook", webhook)
    assert both == f"Late: done: 0 found, 0 put into the queue.\n{webhook}: done: 0 found, 0 put into the queue.\n"
    await terminal("groups", "create", "--id", "calm")
    assert await terminal("recover", "--since", "1h", "--group", "calm") == "done: 0 found, 0 put into the queue.\n"
    assert "is not after since" in await terminal.refused("recover", "--since", "2099-01-01", code=2)
    assert "--webhook" in await terminal.refused("recover", "--since", "1h", "--missing", code=2)
    assert "no time" in await terminal.refused("recover", "--since", "soon", code=2)
    await terminal("webhooks", "delete", webhook, "-y")


async def _two(terminal: Terminal, webhook: str) -> bool:
    return len(await _has(terminal, "webhooks", "deliveries", webhook, "--where", "status=retrying")) == 2


async def test_collections_and_records(terminal: Terminal) -> None:
    made = await terminal.read(
        "collections", "create", "--name", "posts", "--type", "base", "--schema", '{"name": "title", "type": "text"}'
    )
    assert made["name"] == "posts"
    assert "title" in await terminal("collections", "list")
    assert (await terminal.read("collections", "get", "posts"))["id"] == made["id"]
    field = '{"name": "views", "type": "number"}'
    edited = await terminal.read(
        "collections", "edit", "posts", "--schema", '{"name": "title", "type": "text"}', "--schema", field
    )
    assert [one["name"] for one in edited["schema"]] == ["title", "views"]
    assert (await terminal.read("records", "create", "posts", "--set", "title=One", "--set", "id=one"))["title"] == "One"
    many = json.dumps([{"id": f"r{number}", "title": "Two"} for number in range(3)])
    await terminal("records", "create", "posts", "--input", "-", input=many)
    assert "--set" in await terminal.refused("records", "create", "posts", code=2)
    assert (await terminal.read("records", "get", "posts", "one"))["title"] == "One"
    assert (await terminal.read("records", "edit", "posts", "one", "--set", "title=Uno"))["title"] == "Uno"
    changed = await terminal.read("records", "edit-many", "posts", "--input", "-", input='[{"id": "r0", "title": "X"}]')
    assert [one["title"] for one in changed] == ["X"]
    assert len(await terminal.read("records", "list", "posts", "--limit", "3")) == 3
    assert "Uno" in await terminal("records", "list", "posts", "--where", "sort=title")
    await terminal("records", "delete", "posts", "one", "--yes")
    await terminal("records", "delete-many", "posts", "--ids", "r0", "--ids", "r1", "--yes")
    assert (await terminal("records", "list", "posts", "-q")).split() == ["r2"]
    await terminal("collections", "delete", "posts", "--yes")
    assert await terminal.read("collections", "list") == []


async def test_jobs(terminal: Terminal, receiver: Receiver) -> None:
    id_ = (await terminal("jobs", "create", "--name", "nightly", "--schedule", "30 2 * * *", "--type", "http", "--url", receiver.url(),
                          "--retry-limit", "1", "-q")).strip()  # fmt: skip
    assert "nightly" in await terminal("jobs", "list")
    assert (await terminal.read("jobs", "get", "nightly"))["id"] == id_
    assert (await terminal.read("jobs", "edit", "nightly", "--schedule", "0 3 * * *"))["schedule"] == "0 3 * * *"
    assert (await terminal.read("jobs", "pause", id_))["active"] is False
    assert (await terminal.read("jobs", "resume", id_))["active"] is True
    assert await terminal("jobs", "run", "nightly") == "nightly is fired. What came of it: tidings jobs runs nightly\n"
    await eventually(lambda: _runs(terminal))
    assert 'Did you mean "nightly"' in await terminal.refused("jobs", "get", "nigtly", code=3)
    await terminal("jobs", "delete", "nightly", "--yes")
    assert (await terminal.run("jobs", "list")).stderr == "No jobs.\n"


async def _runs(terminal: Terminal) -> Any:
    return await terminal.read("jobs", "runs", "nightly")


async def test_integrations_event_types_groups_and_keys(terminal: Terminal) -> None:
    example = example_of("post", "/api/v1/integrations/{name}/sync")
    await terminal("integrations", "create", "--name", "shop", "--platform", "stripe", "--secret", "whsec_as_stripe_shows_it")
    assert "shop" in await terminal("integrations", "list")
    assert f"{terminal.url}/in/shop" in await terminal("integrations", "get", "shop")
    assert (await terminal.read("integrations", "edit", "shop", "--enabled"))["enabled"] is True
    assert (await terminal.read("integrations", "pause", "shop"))["enabled"] is False
    assert (await terminal.read("integrations", "resume", "shop"))["enabled"] is True
    assert (await terminal.read("integrations", "sync", "shop", "--objects", json.dumps(example["objects"][0]), "--complete"))[
        "created"
    ] == 1
    assert "prod_1" in await terminal("integrations", "objects", "shop", "--where", "type=product")
    await terminal("integrations", "delete", "shop", "--yes")

    await terminal("event-types", "create", "cart.left", "--description", "Left.", "--example", '{"total": 1}')
    assert (await terminal.read("event-types", "edit", "cart.left", "--description", "Left it."))["example"] == {"total": 1}
    assert "cart.left" in await terminal("event-types", "list", "-q")
    assert (await terminal.read("event-types", "get", "cart.left"))["description"] == "Left it."
    assert "is published as" in await terminal("trigger", "cart.left")  # by its example
    await terminal("event-types", "delete", "cart.left", "--yes")
    assert "--data" in await terminal.refused("trigger", "cart.unknown", code=2)

    assert (await terminal("groups", "create", "acme", "-q")) == "acme\n"
    assert "Make the group first." in await terminal.refused("portal-links", "create", "nobody", code=3)
    assert "acme" in (await terminal("groups", "list", "-q")).split()
    assert (await terminal.read("groups", "get", "acme"))["id"] == "acme"
    assert 'Did you mean "acme"' in await terminal.refused("groups", "get", "acne", code=3)
    limits = await terminal.read("limits", "set", "acme", "--webhooks", "7", "--events-per-second", "50")
    assert (limits["limits"]["webhooks"], limits["used"]["webhooks"]) == (7, 0)
    assert (await terminal.read("limits", "set", "acme", "--set", "webhooks=null"))["limits"]["webhooks"] is None
    assert "webhooks is -1" in await terminal.refused("limits", "set", "acme", "--webhooks", "-1", code=2)
    assert "50" in await terminal("limits", "show", "acme")
    assert (await terminal.read("limits", "reset", "acme", "--yes"))["is_own"] is False
    assert (await terminal.read("limits", "set-defaults", "--payload-bytes", "1000000"))["payload_bytes"] == 1_000_000
    assert (await terminal.read("limits", "defaults"))["payload_bytes"] == 1_000_000
    assert "ports" in await terminal.read("egress", "get")
    assert (await terminal.read("egress", "judge", "https://10.0.0.1/"))["is_allowed"] is False
    assert (await terminal.read("egress", "narrow", "acme", "--denied-ports", "8080", "--https-only"))["https_only"] is True
    assert (await terminal.read("egress", "narrowing", "acme"))["denied_ports"] == ["8080"]
    member = await terminal.read("members", "invite", "--email", "ada@example.com", "--role", "viewer", "--groups", "acme")
    assert [one["email"] for one in await terminal.read("members", "list")] == ["ada@example.com"]
    assert (await terminal.read("members", "get", member["id"]))["email"] == "ada@example.com"
    assert "developer" in json.dumps(await terminal.read("members", "role", member["id"], "--role", "developer"))
    await terminal("members", "remove", member["id"], "--yes")
    assert await terminal.read("members", "list") == []
    assert await terminal.read("sessions", "list") == []
    await terminal.refused("sessions", "end", member["id"], "--yes", code=3)
    link = await terminal.read("groups", "portal-link", "acme", "--expires-in", "600")
    assert link["group"] == "acme"
    assert (await terminal.read("portal-links", "create", "acme", "--access", "read"))["access"] == "read"
    assert link["id"] in await terminal("portal-links", "list", "--group", "acme")
    assert "is over" in await terminal("portal-links", "delete", link["id"], "--yes", "--group", "acme")

    key = await terminal.read("keys", "create", "--name", "shop", "--scopes", "events:publish", "--expires-in", "600")
    assert key["key"].startswith("tidk_")
    assert [one["name"] for one in await terminal.read("keys", "list")] == ["shop", "admin key of the settings"]
    assert (await terminal.read("keys", "get", "shop"))["scopes"] == ["events:publish"]
    assert (await terminal.read("keys", "rename", "shop", "--name", "till"))["name"] == "till"
    assert (await terminal.read("keys", "rename", "till", "--name", "shop"))["id"] == key["id"]
    assert [one["name"] for one in await terminal.read("keys", "list", "--where", "expires_before=2100-01-01T00:00:00Z")] == [
        "shop"
    ]
    assert (await terminal.read("keys", "current"))["of_settings"]
    assert (await terminal.read("keys", "rotate", key["id"], "--overlap-seconds", "60"))["key"] != key["key"]
    once = (await terminal("keys", "rotate", key["id"], "-q")).strip()
    assert await terminal.read("keys", "current", TIDINGS_KEY=once) != []
    assert (await terminal("keys", "create", "--name", "other", "--scopes", "events:read", "-q")).startswith("tidk_")
    await terminal("keys", "revoke", "other", "--yes")
    for words in ((), ("--scopes", "nope")):
        assert "deliveries:retry" in await terminal.refused("keys", "create", "--name", "none", *words, code=2)
    assert "is revoked" in await terminal("keys", "revoke", key["id"], "--yes")
    assert "still has 1 portal link" in await terminal.refused("groups", "delete", "acme", "--yes", code=1)
    assert "in the background" in await terminal("groups", "delete", "acme", "--everything", "--yes")

    assert {"webhooks", "tokens"} == {one["purpose"] for one in await terminal.read("signing-keys", "list")}
    assert "next" in await terminal("signing-keys", "rotate", "--overlap-seconds", "60", "--yes")
    assert "total" in await terminal.read("statistics", "get", "--where", "since=1h")
    entries = await terminal.read("audit", "list", "--where", "group=acme")
    assert {one["group"] for one in entries} == {"acme"}
    assert len((await terminal("audit", "list", "--limit", "3", "-q")).split()) == 3
    renamed = await terminal.read("audit", "list", "--where", "action=api_key.changed", "--where", "since=1h", "--all")
    assert [one["changes"]["name"] for one in renamed] == [["till", "shop"], ["shop", "till"]]
    assert "Did you mean webhook.created" in await terminal.refused("audit", "list", "--where", "action=webhook.creatd", code=2)


async def test_the_audit_is_exported_and_verified(terminal: Terminal, engine: Engine) -> None:
    await terminal("groups", "create", "verified", "-q")

    async def all_sealed() -> bool:
        return not await engine.value("select count(*) from tidings.audit_pending")

    await eventually(all_sealed)
    lines = [json.loads(line) for line in (await terminal("audit", "export", "--where", "group=verified")).splitlines()]
    assert [(one["action"], one["subject"]) for one in lines] == [("group.created", "verified")]
    assert len((await terminal("audit", "export", "--group", "verified")).splitlines()) == 1
    assert len(await terminal.read("audit", "list", "--group", "verified")) == 1
    assert len(await terminal.read("audit", "list", "--where", "group=verified", "--group", "default")) == 1
    said = await terminal("audit", "verify")
    assert "as written" in said
    head = (await terminal("audit", "verify", "-q")).strip()
    assert head in await terminal("audit", "verify", "--head", head)
    assert (await terminal.read("audit", "verify"))["is_intact"]
    assert "PLACE:HASH" in await terminal.refused("audit", "verify", "--head", "x", code=2)
    await engine.sql("set session_replication_role = replica")
    change = "update tidings.audit set subject = $2 where number = $1"
    await engine.sql(change, lines[0]["number"], "another")
    refused = await terminal.refused("audit", "verify", code=1)
    assert (
        refused.strip() == f"tidings: The audit was tampered with: entry {lines[0]['number']} was changed after it was written."
    )
    await engine.sql(change, lines[0]["number"], "verified")
    await engine.sql("set session_replication_role = origin")


async def test_redaction_and_erasures(terminal: Terminal) -> None:
    rule = await terminal.read(
        "redaction", "create", "--events", "secret.*", "--fields", "customer.email", "--headers", "set-cookie"
    )
    id_ = rule["id"]
    assert (rule["fields"], rule["responses"]) == (["customer.email"], "none")
    assert id_ in (await terminal("redaction", "list", "-q")).split()
    assert "customer.email" in await terminal("redaction", "get", id_)
    assert (await terminal.read("redaction", "edit", id_, "--payload-hours", "5"))["payload_hours"] == 5
    published = (await terminal("events", "publish", "--type", "bill.sent", "--data", '{"mail": "x"}', "-q")).strip()
    await eventually(lambda: _has(terminal, "events", "list", "--where", "type=bill.sent"))
    tried = '{"events": ["bill.*"], "fields": ["mail"]}'
    shown = await terminal.read("redaction", "preview", "--rule", tried, "--event-id", published)
    assert (shown["hidden"], shown["after"]["record"]) == (["mail"], {"mail": "[redacted]"})
    await terminal("redaction", "delete", id_, "--yes")
    assert "Add --yes" in await terminal.refused("erasures", "begin", "--value", "nobody@x.example", code=2)
    begun = await terminal.read("erasures", "begin", "--value", "nobody@x.example", "--dry-run")
    assert begun["id"] in (await terminal("erasures", "list", "-q")).split()
    for words in (["--value", "NOBODY@x.example"], ["--value", "-"], []):  # the last two leave nothing in the shell's history
        found = await terminal.read(
            "erasures", "find", *words, input="nobody@x.example\r\n" if "-" in words else "nobody@x.example"
        )
        assert [one["id"] for one in found] == [begun["id"]]
    for said, words in (("", "Give --value on standard input"), ("a@b.example\nb@b.example\n", "more than a line")):
        assert words in await terminal.refused("erasures", "begin", "--value", "-", "--dry-run", code=2, input=said)
    whole = json.dumps({"value": "nobody@x.example"})
    assert len(await terminal.read("erasures", "find", "--input", "-", input=whole)) == 1
    assert (await terminal.read("erasures", "get", begun["id"]))["dry_run"] is True
    ended = await terminal.run("erasures", "cancel", begun["id"], "--json")
    assert json.loads(ended.stdout).get("code", "CONFLICT") == "CONFLICT"  # it may be over already


async def test_bins(terminal: Terminal) -> None:
    webhook = (
        await terminal("webhooks", "create", "--url", "https://example.com/", "--name", "Signer", "--events", "bins.*", "-q")
    ).strip()
    made = await terminal.read("bins", "create", "--name", "Stripe", "--status", "202", "--delay-seconds", "0.1", "--body", "thanks",
                               "--webhook-id", "Signer")  # fmt: skip
    assert (made["webhook_id"], made["status"]) == (webhook, 202)
    assert made["url"] == f"{terminal.url}/bin/{made['id']}"
    assert (await terminal.read("bins", "get", "Stripe"))["id"] == made["id"]
    edited = await terminal.read("bins", "edit", "Stripe", "--profile", "vivreal", "--secret", "a text as a secret")
    assert (edited["webhook_id"], edited["has_secret"]) == (None, True)
    async with httpx.AsyncClient() as client:
        for path in ("", "/" + "x" * 90):
            answer = await client.post(made["url"] + path, content=HOSTILE.encode(), headers={"X-Odd": "a\tb"})
            assert (answer.status_code, answer.text) == (202, "thanks")
    assert [one["number"] for one in await terminal.read("bins", "requests", "Stripe")] == [2, 1]
    assert "missing_header" in await terminal("bins", "requests", "Stripe")
    assert (await terminal("bins", "requests", made["id"], "--limit", "1", "-q")).split() == ["2"]
    for words in (("bins", "request", "Stripe", "1"), ("bins", "requests", "Stripe")):
        assert only_shown(await terminal(*words))
        assert only_shown(await terminal(*words, "--json"))
    assert (await terminal.read("bins", "request", "Stripe", "1"))["body"] == HOSTILE
    narrow, wide = await asyncio.gather(
        *(terminal.on_screen("bins", "requests", "Stripe", columns=columns) for columns in (80, 160))
    )
    for text, columns in ((narrow, 80), (wide, 160)):
        assert max(len(_uncoloured(line)) for line in text.splitlines()) <= columns
    assert await terminal("bins", "clear", "Stripe", "--yes") != ""
    assert await terminal.read("bins", "requests", "Stripe") == []
    assert made["id"] in await terminal("bins", "list", "-q")
    assert 'Did you mean "Stripe"' in await terminal.refused("bins", "get", "Strpe", code=3)
    await terminal("bins", "delete", "Stripe", "--yes")
    assert await terminal.read("bins", "list") == []
    await terminal("webhooks", "delete", webhook, "-y")


@asynccontextmanager
async def watching(terminal: Terminal, *words: str) -> AsyncIterator[tuple[subprocess.Popen[str], str]]:
    """Run a watch that has said where to send; lends the process and that line."""
    with terminal.start("bin", *words) as process:
        try:
            assert process.stdout is not None
            yield process, (await asyncio.to_thread(process.stdout.readline)).strip()
        finally:
            process.kill()


async def test_bin_makes_one_and_shows_what_comes(terminal: Terminal) -> None:
    async with watching(terminal, "--profile", "fluxbase", "--secret", "a text as a secret", "-v", "--count", "3") as (
        process,
        url,
    ):
        assert url.startswith(f"{terminal.url}/bin/")
        async with httpx.AsyncClient() as client:
            good = sign_hex(HmacKey.of_text("a text as a secret"), b"{}")
            await client.put(f"{url}/a?b=c", content=b"{}", headers={"X-Fluxbase-Signature": good})
            await client.post(url, content=b"{ }", headers={"X-Fluxbase-Signature": good})
            await client.post(
                url, content=HOSTILE.encode(), headers=[(b"X-Odd", HOSTILE.encode().translate(None, b"\r\n\x00\x07\x1b"))]
            )
        out, errors = await asyncio.to_thread(process.communicate, None, PATIENCE)
    assert (process.returncode, errors) == (0, "Waiting for requests; Ctrl-C ends it.\n")
    assert only_shown(out)
    lines = out.splitlines()
    assert "PUT /a?b=c  2 B  → 200  ✓ verified" in lines[0]
    assert "    > x-fluxbase-signature: " in out
    assert "written again on its way" in out
    assert "The header X-Fluxbase-Signature is missing" in out


async def test_bin_watch_waits_for_a_server_that_is_away(terminal: Terminal) -> None:
    made = await terminal.read("bins", "create", "--name", "Away")
    async with (
        Relay(terminal.url) as relay,
        watching(terminal, "watch", made["id"], "-s", relay.url, "--count", "1") as (process, _),
        httpx.AsyncClient() as client,
    ):
        assert process.stderr is not None
        assert "Waiting" in await asyncio.to_thread(process.stderr.readline)
        relay.cut()
        assert "Going on when it is back" in await asyncio.to_thread(process.stderr.readline)
        await client.post(made["url"])
        relay.mend()
        out, _ = await asyncio.to_thread(process.communicate, None, PATIENCE)
    assert "POST /" in out
    assert process.returncode == 0
    await terminal("bins", "delete", "Away", "--yes")
    assert "no bin" in await terminal.refused("bin", "watch", made["id"], code=3)


async def test_bin_watch_shows_what_is_kept_and_what_comes_in_each_form(terminal: Terminal) -> None:
    made = await terminal.read("bins", "create", "--name", "Watched")
    async with httpx.AsyncClient() as client:
        await client.post(made["url"] + "/" + "y" * 200, content=b"\xff" * 300_000)
        async with watching(terminal, "watch", "Watched", "--all", "--json", "--count", "2") as (process, first):
            assert json.loads(first)["bin"]["id"] == made["id"]
            await client.get(made["url"])
            out, _ = await asyncio.to_thread(process.communicate, None, PATIENCE)
    assert [json.loads(line)["request"]["number"] for line in out.splitlines()] == [1, 2]
    assert "no bin" in await terminal.refused("bin", "watch", "Wached", code=3)
    for columns in (80, 160):
        text = await terminal.on_screen("bin", "watch", made["id"], "--all", "--count", "2", "-v", columns=columns)
        lines = [_uncoloured(line) for line in text.splitlines()]
        shown = [line for line in lines if "→ 200" in line]
        assert len(shown) == 2
        assert max(map(len, shown)) <= columns
        assert "300000+ B" in shown[0]
        assert "bytes that are no text" in text
        assert only_shown("\n".join(lines))
    await terminal("bins", "delete", "Watched", "--yes")


async def test_every_list_is_written_in_each_form(terminal: Terminal, receiver: Receiver) -> None:
    webhook = (
        await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Forms", "--events", "forms.*", "-q")
    ).strip()
    await terminal("trigger", "forms.one", "--data", "1")
    await eventually(lambda: _has(terminal, "webhooks", "deliveries", webhook))
    for thing, verb in verbs():
        if verb.method == "GET" and verb.shows == "many" and not verb.arguments:
            found = await terminal.read(thing.name, verb.name)
            written = await terminal(thing.name, verb.name)
            assert len(written.splitlines()) == (len(found) + 1 if found else 0), thing.name
            assert (await terminal(thing.name, verb.name, "-q")).split() == [str(one[thing.key]) for one in found]
    await terminal("webhooks", "delete", webhook, "-y")


async def test_tail_shows_each_attempt_once(terminal: Terminal, receiver: Receiver) -> None:
    webhook = (await terminal("webhooks", "create", "--url", receiver.url("/tail"), "--name", "Tailed", "--events", "tail.*", "--retry",
                              '{"delays": [0.2]}', "-q")).strip()  # fmt: skip
    before = (await terminal("trigger", "tail.before", "--data", "0", "-q")).strip()
    await eventually(
        lambda: _has(terminal, "deliveries", "list", "--where", f"event_id={before}", "--where", "status=succeeded")
    )
    async with tailing(terminal, "--webhook", "Tailed", "--json", "--count", "4") as process:
        receiver.scripts.append(says(answer(500)))
        await terminal("trigger", "tail.one", "--data", "1")
        await receiver.wait_for(3)
        await terminal("trigger", "tail.two", "--data", "1")
        (delivery,) = await _has(terminal, "deliveries", "list", "--where", f"event_id={before}")
        await terminal("deliveries", "retry", delivery)
        out, _ = await asyncio.to_thread(process.communicate, None, PATIENCE)
    lines = list(map(json.loads, out.splitlines()))
    said = [(line["delivery"]["event"], line["attempt"]["number"], line["attempt"]["response_status"]) for line in lines]
    assert sorted(said) == [("tail.before", 2, 200), ("tail.one", 1, 500), ("tail.one", 2, 200), ("tail.two", 1, 200)]
    assert said.index(("tail.one", 1, 500)) < said.index(("tail.one", 2, 200))
    assert process.returncode == 0
    await terminal("webhooks", "delete", webhook, "-y")


@asynccontextmanager
async def tailing(terminal: Terminal, *words: str) -> AsyncIterator[subprocess.Popen[str]]:
    """Run a tail, which has looked once."""
    with terminal.start("tail", *words) as process:
        try:
            assert process.stderr is not None
            assert "Waiting" in await asyncio.to_thread(process.stderr.readline)
            yield process
        finally:
            process.kill()


async def test_tail_shows_requests_and_responses_and_ctrl_c_ends_it(terminal: Terminal, receiver: Receiver) -> None:
    receiver.scripts.append(says(answer(200, b"fine\x1b[2J", {"X-Odd": "a\tb"})))
    webhook = (
        await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Loud", "--events", "loud.*", "-q")
    ).strip()
    async with tailing(terminal, "--webhook", "Loud", "-v") as process:
        await terminal("trigger", "loud.one", "--data", "1")
        shown = await heard(process.stdout, "fine")
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.to_thread(process.communicate, None, PATIENCE)
    assert (process.returncode, errors) == (130, "Interrupted.\n")
    assert "✓ 200" in shown
    assert "> POST http://127.0.0.1" in shown
    assert "> webhook-id: " in shown
    assert "< 200" in shown
    assert only_shown(shown)
    await terminal("webhooks", "delete", webhook, "-y")


async def test_tail_waits_for_a_server_that_is_away_and_shows_what_came_meanwhile(
    terminal: Terminal, receiver: Receiver
) -> None:
    webhook = (
        await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Away", "--events", "away.*", "-q")
    ).strip()
    async with (
        Relay(terminal.url) as relay,
        tailing(terminal, "-s", relay.url, "--webhook", webhook, "--count", "1") as process,
    ):
        assert process.stderr is not None
        relay.cut()
        assert "Going on when it is back" in await asyncio.to_thread(process.stderr.readline)
        await terminal("trigger", "away.one", "--data", "1")
        await receiver.wait_for(1)
        relay.mend()
        out, _ = await asyncio.to_thread(process.communicate, None, PATIENCE)
    assert "away.one" in out
    assert process.returncode == 0
    await terminal("webhooks", "delete", webhook, "-y")


async def test_tail_looks_each_second_at_a_server_that_has_no_stream(terminal: Terminal, receiver: Receiver) -> None:
    webhook = (
        await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Older", "--events", "older.*", "-q")
    ).strip()
    async with (
        Relay(terminal.url, lacks="/api/v1/attempts/stream") as relay,
        tailing(terminal, "-s", relay.url, "--webhook", webhook, "--count", "1") as process,
    ):
        await terminal("trigger", "older.one", "--data", "1")
        out, _ = await asyncio.to_thread(process.communicate, None, PATIENCE)
    assert "older.one" in out
    await terminal("webhooks", "delete", webhook, "-y")


async def test_tail_shows_attempts_on_a_screen_as_the_server_tells_of_them(
    terminal: Terminal, receiver: Receiver, engine: Engine, tell: Any
) -> None:
    webhook = (
        await terminal("webhooks", "create", "--url", receiver.url(), "--name", "Shown", "--events", "shown.*", "-q")
    ).strip()
    listens = "select count(*) = 1 from pg_locks where locktype = 'advisory' and classid = 7413201 and objid = 5 and granted"
    screen = asyncio.create_task(terminal.on_screen("tail", "--webhook", "Shown", "--count", "1", columns=100))
    await eventually(lambda: engine.value(listens))  # it hears the server, and does not ask it each second
    await engine.publish("shown.one")
    shown = await screen
    assert "shown.one" in shown
    assert "\x1b[" in shown, "in colours"
    took = []
    async with tailing(terminal, "--webhook", "Shown", "-q") as process:
        await eventually(lambda: engine.value(listens))
        assert process.stdout is not None
        for count in range(2, 12):
            await engine.publish("shown.more")
            await receiver.wait_for(count)
            began = time.monotonic()
            assert await asyncio.to_thread(process.stdout.readline)
            took.append(time.monotonic() - began)
    tell(f"attempt to line of tail: p50 {statistics.median(took) * 1000:.0f} ms of {len(took)}")
    await terminal("webhooks", "delete", webhook, "-y")


async def test_a_screen_is_fitted_and_coloured_and_a_pipe_is_not(terminal: Terminal, receiver: Receiver) -> None:
    webhook = (await terminal("webhooks", "create", "--url", receiver.url("/" + "x" * 90), "--name", "A name " * 9, "--events", "wide.*",
                              "-q")).strip()  # fmt: skip
    narrow, wide, plain = await asyncio.gather(
        terminal.on_screen("webhooks", "list", columns=80),
        terminal.on_screen("webhooks", "list", columns=160),
        terminal.on_screen("webhooks", "list", columns=80, NO_COLOR="1"),
    )
    assert "\x1b[" in narrow
    assert "\x1b[3" not in plain
    for text, columns in ((narrow, 80), (wide, 160)):
        lines = [_uncoloured(line) for line in text.splitlines()]
        assert max(map(len, lines)) <= columns
        assert lines[0].split()[:2] == ["ID", "STATE"]
        assert webhook in lines[1]
    assert len(_uncoloured(wide.splitlines()[0]).split()) > len(_uncoloured(narrow.splitlines()[0]).split())
    assert only_shown(_uncoloured(narrow))
    assert "done: 0 found" in await terminal.on_screen("recover", "--since", "1s", "--webhook", webhook, columns=80)
    piped = await terminal("webhooks", "list")
    assert "x" * 90 in piped
    assert "\x1b" not in piped
    await terminal("webhooks", "delete", webhook, "-y")


def _uncoloured(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


async def test_servers_are_kept_with_their_keys(url: str, tmp_path: Path) -> None:
    terminal = Terminal(url, tmp_path)
    nothing: dict[str, str | None] = {"TIDINGS_SERVER": None, "TIDINGS_KEY": None}
    assert "tidings login" in await terminal.refused("webhooks", "list", code=2, **nothing)
    assert "No server is kept" in await terminal.refused("logout", code=2, **nothing)
    assert await terminal("login", url, "--name", "here", input="test\n", **nothing) == (
        f"{url} is kept as here; its key is in {tmp_path / 'tidings/servers.json'}, which you alone may read.\n"
    )
    file = tmp_path / "tidings" / "servers.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    await terminal("groups", "create", "--id", "kept")
    await terminal("login", url, "--name", "there", "--group", "kept", input="test\n", **nothing)
    assert (await terminal("servers", "-q", **nothing)).split() == ["here", "there"]
    assert "default" in await terminal("groups", "list", **nothing)
    assert await terminal.read("groups", "list", "--server", "here", **nothing) != []
    assert "There are here, there" in await terminal.refused("groups", "list", "-s", "nowhere", code=2, **nothing)
    assert "There is no group" in await terminal.refused("login", url, "--group", "nobody", code=3, input="test\n", **nothing)
    wrong = await terminal.refused("login", url, "--name", "wrong", code=4, input="nonsense\n", **nothing)
    assert "does not take this key" in wrong
    assert "tidings login" not in wrong
    assert "wrong" not in file.read_text()
    assert await terminal("servers", "use", "here", **nothing) == f"here is meant from now on: {url}.\n"
    assert [one["name"] for one in await terminal.read("servers", **nothing) if one["chosen"]] == ["here"]
    assert "There are here, there" in await terminal.refused("servers", "use", "nowhere", code=2, **nothing)
    await terminal("servers", "use", "there", **nothing)
    assert await terminal("logout", "there", **nothing) == "there is forgotten.\n"
    assert (await terminal.read("servers", **nothing))[0]["chosen"] is True
    again = url.replace("127.0.0.1", "localhost")
    await terminal("login", again, input="test\n", **nothing)
    await terminal("login", f"{again}/", input="test\n", **nothing)
    assert "localhost" in (await terminal("servers", "-q", **nothing)).split()
    file.chmod(0o644)
    assert "chmod 600" in await terminal.refused("groups", "list", code=1, **nothing)
    file.chmod(0o600)
    file.write_text("{")
    assert "sign in again" in await terminal.refused("groups", "list", code=1, **nothing)


async def test_a_keyring_keeps_keys_where_there_is_one(url: str, tmp_path: Path) -> None:
    ring: dict[str, str | None] = {"TIDINGS_SERVER": None, "TIDINGS_KEY": None}
    terminal = Terminal(url, tmp_path)
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryRing())
    try:
        await _keeps_in_ring(terminal, url, tmp_path, ring)
    finally:
        keyring.set_keyring(before)


async def _keeps_in_ring(terminal: Terminal, url: str, tmp_path: Path, ring: dict[str, str | None]) -> None:
    assert "in the system's keyring" in await terminal("login", url, "--name", "ringed", input="test\n", **ring)
    assert "test" not in json.loads((tmp_path / "tidings" / "servers.json").read_text())["servers"]["ringed"].values()
    assert await terminal.read("groups", "list", **ring) != []
    await terminal("logout", "ringed", **ring)
    assert await terminal("servers", "-q", **ring) == ""


async def test_errors_are_sentences_with_remedies_and_exit_codes(terminal: Terminal, unused_tcp_port: int) -> None:
    away = f"http://127.0.0.1:{unused_tcp_port}"
    sentence = await terminal.refused("webhooks", "list", "-s", away, code=5)
    assert "cannot be reached" in sentence
    assert "--server" in sentence
    sentence = await terminal.refused("webhooks", "list", code=4, TIDINGS_KEY="nonsense")
    assert f"tidings login {terminal.url}" in sentence
    assert "no key that" not in sentence
    over = (await terminal("keys", "create", "--name", "over", "--scopes", "webhooks:read", "-q")).strip()
    await terminal("keys", "revoke", "over", "--yes")
    assert "was revoked" in await terminal.refused("webhooks", "list", code=4, TIDINGS_KEY=over)
    assert "There is no webhook" in await terminal.refused("webhooks", "get", NOBODY, code=3)
    assert "no id of a delivery" in await terminal.refused("deliveries", "get", "x", code=3)
    assert "no id of an event" in await terminal.refused("explain", "x", code=3)
    assert "no id of a delivery" in await terminal.refused("curl", "x", code=3)
    assert "names nothing" in await terminal.refused("tables", "get", "..", code=3)
    assert 'Did you mean "webhooks"' in await terminal.refused("webhook", "list", code=2)
    assert 'Did you mean "status"' in await terminal.refused("deliveries", "list", "--where", "statsu=failed", code=2)
    assert "status is 'gone'" in await terminal.refused("deliveries", "list", "--where", "status=gone", code=2)
    assert "no address" in await terminal.refused("login", "ftp://a", code=2)
    assert "is not JSON" in await terminal.refused("webhooks", "create", "--retry", "{", code=2)
    assert "cannot be read" in await terminal.refused("trigger", "a.b", "--data", "@/nowhere", code=2)
    assert "--data is not JSON" in await terminal.refused("trigger", "a.b", "--data", "{", code=2)
    assert "no key has" in await terminal.refused("groups", "list", code=4, TIDINGS_KEY="k\u00e9y")
    said = json.loads((await terminal.run("webhooks", "get", NOBODY, "--json")).stdout)
    assert said["code"] == "NOT_FOUND"
    assert "Did you mean" in (await terminal.run("webhooks", "lst")).stderr


async def test_an_older_server_is_named_as_one(terminal: Terminal, receiver: Receiver) -> None:
    path = f"/api/v1/recoveries/{NOBODY}"
    refusal = json.dumps({"error": f"There is no {path}.", "code": "NOT_FOUND"}).encode()
    receiver.scripts.extend([says(answer(404, refusal)), says(answer(200, b'{"info": {"version": "0.0.9"}}'))])
    sentence = await terminal.refused("recoveries", "get", NOBODY, "-s", receiver.url().rstrip("/"), code=1)
    assert "it is 0.0.9" in sentence
    assert "Upgrade the server" in sentence
    receiver.scripts.append(says(answer(404, b"<html>\x1b[2J")))
    assert "Is this address Tidings?" in await terminal.refused("webhooks", "list", "-s", receiver.url(), code=3)
    receiver.scripts.append(says(answer(200, b"<html>")))
    assert "Is this address Tidings?" in await terminal.refused("webhooks", "list", "-s", receiver.url(), code=1)
    receiver.scripts.append(says(answer(302, b"", {"Location": "https://login.example.com/"})))
    assert "https://login.example.com/" in await terminal.refused("webhooks", "list", "-s", receiver.url(), code=1)


async def test_ids_and_names_are_completed(terminal: Terminal) -> None:
    await terminal("groups", "create", "--id", "complete-me")
    offered = await terminal(_TIDINGS_COMPLETE="bash_complete", COMP_WORDS="tidings groups get comp", COMP_CWORD="3")
    assert offered == "plain,complete-me\n"
    offered = await terminal(_TIDINGS_COMPLETE="zsh_complete", COMP_WORDS="tidings web", COMP_CWORD="1")
    assert offered.splitlines()[:2] == ["plain", "webhooks"]
    offered = await terminal(
        _TIDINGS_COMPLETE="bash_complete",
        COMP_WORDS="tidings groups get x",
        COMP_CWORD="3",
        TIDINGS_SERVER="http://127.0.0.1:1",
    )
    assert offered == "\n"
    for shell in ("bash", "zsh", "fish"):
        script = await terminal("completion", shell)
        assert f"_TIDINGS_COMPLETE={shell}_complete" in script
    assert subprocess.run(["bash", "-n"], input=await terminal("completion", "bash"), text=True, check=False).returncode == 0


@pytest.mark.parametrize("name", SHELLS)
async def test_the_tab_key_completes_in_every_shell_there_is(terminal: Terminal, tmp_path: Path, name: str) -> None:
    await terminal("groups", "create", "--id", f"{name}-complete")

    def typed() -> None:
        shell = Shell(name, tmp_path, terminal.environ)
        try:
            shell.completes("tidings groups ge", "get")
            shell.completes(f" {name}-co", "mplete")
            shell.enter()
            shell.shows("created_at")
        finally:
            shell.close()

    await asyncio.to_thread(typed)


async def test_a_closed_pipe_and_ctrl_c_end_it_quietly(terminal: Terminal, engine: Engine, receiver: Receiver) -> None:
    await terminal(
        "webhooks",
        "create",
        "--url",
        receiver.url(),
        "--name",
        "Stopped",
        "--events",
        "stop.*",
        "--retry",
        '{"delays": [3600]}',
    )
    lines = "".join(f'{{"type": "stop.one", "data": {number}}}\n' for number in range(300))
    await terminal("webhooks", "pause", "Stopped")
    await terminal("events", "publish-batch", "--input", "-", input=lines)

    async def all_known() -> bool:
        return await engine.value("select count(*) from tidings.events where type = 'stop.one'") == 300

    await eventually(all_known)
    await terminal("webhooks", "resume", "Stopped")
    with terminal.start("events", "list", "--all", "-q") as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        process.stdout.close()
        _, errors = await asyncio.to_thread(lambda: (process.wait(PATIENCE), process.stderr.read() if process.stderr else ""))
    assert "Traceback" not in errors
    with terminal.start("recover", "--since", "1h", "--webhook", "Stopped", "--missing", "--rate", "5") as process:

        async def has_begun() -> bool:
            found = await terminal.read("recoveries", "list", "--limit", "1")
            return bool(found) and found[0]["state"] == "running" and found[0]["queued_count"] > 0

        await eventually(has_begun)
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.to_thread(process.communicate, None, PATIENCE)
    assert process.returncode == 130, errors
    assert errors.startswith("Stopped: ")
    again = errors.splitlines()[1].removeprefix("Go on with: tidings ").split()
    assert again[:2] == ["recover", "--since"]
    assert (await terminal.read("recoveries", "list", "--limit", "1"))[0]["state"] == "cancelled"
    assert await terminal.read(*again, "--detach") != []
    await terminal("webhooks", "delete", "Stopped", "-y")


async def test_keys_that_could_not_be_kept_are_left_nowhere(terminal: Terminal, url: str, tmp_path: Path) -> None:
    full = 'ulimit -f 0; exec "$@"'  # as on a disk without room: files can be made, and nothing written to them
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", full, "tidings", *_TIDINGS, "login", url, "--name", "here"],
        env=settings() | terminal.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "servers.json cannot be written: File too large." in done.stderr
    assert list((tmp_path / "tidings").iterdir()) == []


async def test_a_deletion_whose_answer_was_lost_is_done(receiver: Receiver) -> None:
    gone = answer(404, b'{"error": "There is no webhook x.", "code": "NOT_FOUND"}')
    receiver.scripts += [says(answer(503, b"")), says(gone), says(gone)]
    with closing(Server(receiver.url().rstrip("/"), "test", None)) as server:
        assert await asyncio.to_thread(server.ask, "DELETE", "/api/v1/webhooks/x") is None
        with pytest.raises(ApiError, match="There is no webhook x"):  # of one try it says what it was
            await asyncio.to_thread(server.ask, "DELETE", "/api/v1/webhooks/x")


async def test_psql_is_opened_on_the_database(terminal: Terminal, engine: Engine) -> None:
    url = engine.services.config.database_url
    assert await terminal("psql", "--print", TIDINGS_DATABASE_URL=url) == f"{url}\n"
    environ = settings(database_url=url)
    done = await asyncio.to_thread(
        subprocess.run,
        [*_TIDINGS, "psql", "--", "-Atc", "select 6 * 7"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("42\n", 0)
    # Who looks at this machine's processes reads no password.
    environ = settings(database_url=(url or "").replace("postgres:@", "postgres:hidden@"))
    asked = r"""\! tr '\0' ' ' < /proc/$PPID/cmdline; echo "and $PGPASSWORD" """
    command = [*_TIDINGS, "psql", "--", "-Atc", asked]
    done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True, check=False)
    arguments, _, password = done.stdout.rpartition("and ")
    assert ("psql" in arguments, "hidden" in arguments, password) == (True, False, "hidden\n"), done
    assert "set aside under 5" in await terminal.refused(
        "set-aside", "retry", "5", code=3, TIDINGS_DATABASE_URL=url, TIDINGS_SECRET_KEY="test"
    )
    assert "No PostgreSQL runs in" in (await terminal.run("--data-dir", "/nowhere", "psql")).stderr


_TIDINGS = [sys.executable, "-m", "tidings"]


async def test_listeners(terminal: Terminal, engine: Engine) -> None:
    made = await terminal.read("listeners", "create", "--name", "desk", "--events", "order.*")
    assert made["secret"].startswith("whsec_")
    assert (await terminal.read("listeners", "get", "desk"))["id"] == made["id"]
    assert (await terminal("listeners", "list", "-q")).split() == [made["id"]]
    assert "desk" in await terminal("listeners", "list")
    await engine.publish("order.paid")
    await eventually(
        lambda: engine.value(
            "select waiting = 1 from tidings.lanes l join tidings.listeners s using (webhook_id) where s.name = 'desk'"
        )
    )
    assert (await terminal.read("listeners", "skip", "desk", "--yes"))["cancelled"] == 1
    assert "deleted" in await terminal("listeners", "delete", "desk", "--yes")
    assert await terminal.read("listeners", "list") == []
