"""Whoever may act for one group reads and changes nothing of another: every operation and every page, with the other's ids."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.test_groups_apart import OF_NO_GROUP
from tests.integration.test_portal_links import routes
from tests.support.engine import Engine
from tests.support.furnished import MARK, NOWHERE, Furnished, as_role, furnishing
from tests.support.limits import PATIENCE
from tests.support.portal import visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.core.attempts import CALLS_SECONDS, Attempts
from tidings.store.request_rights import RIGHTS

SINCE = {"since": "2020-01-01T00:00:00Z"}
SESSION = "6f1f8a3e-3f55-4f0e-9d4c-4f0c5a1f0aff"

# Doors that ask for no key: they are opened by a signature, or are everybody's.
NO_KEY = {"POST /in/{name}", "GET /healthz", "GET /readyz", "GET /.well-known/jwks.json"}
ENDLESS = {"GET /api/v1/attempts/stream"}

# A name is each group's own: with the other's, one of its own is made, and deleted.
MAKES_ITS_OWN = {"PUT /api/v1/event-types/{name}", "DELETE /api/v1/event-types/{name}"}


def bodies(ids: dict[str, str]) -> dict[str, Any]:
    """Return what operations are sent: what would be good for whoever has these ids."""
    return {
        "POST /api/v1/webhooks/{webhook_id}/recover": SINCE,
        "POST /api/v1/webhooks/dry-run": SINCE | {"url": NOWHERE, "events": ["*"]},
        "POST /api/v1/deliveries/retry": {"ids": [ids["delivery_id"]]},
        "POST /api/v1/listeners": {"name": "mine", "webhook_id": ids["webhook_id"]},
        "POST /api/v1/bins": {"webhook_id": ids["webhook_id"]},
        "PATCH /api/v1/bins/{bin_id}": {"status": 500},
        "POST /api/v1/listeners/{listener_id}/take": {"session": SESSION, "limit": 1, "wait_seconds": 0},
        "POST /api/v1/listeners/{listener_id}/results": {"session": SESSION, "results": []},
        "POST /api/v1/integrations/{name}/sync": {"objects": [{"type": "order", "id": "1", "data": {}}]},
        "PATCH /api/v1/integrations/{name}": {"enabled": False},
        "POST /api/v1/events": {"type": "order.paid", "data": {}, "id": f"own-{ids['group_id']}"},
        "POST /api/v1/events/batch": [{"type": "order.paid", "data": {}, "id": f"own-{ids['group_id']}"}],
        "PUT /api/v1/event-types/{name}": {"description": "mine"},
        "PATCH /api/v1/keys/{key_id}": {"name": "mine"},
        "PATCH /api/v1/members/{member_id}": {"role": "viewer", "groups": ["other"]},
        "PATCH /api/v1/redaction-rules/{rule_id}": {"name": "mine"},
        "PATCH /api/v1/groups/{group_id}/limits": {"webhooks": None},
        "PUT /api/v1/groups/{group_id}/egress": {},
        "POST /api/v1/tables/{table}/backfill": {"webhook_id": ids["webhook_id"]},
    } | {
        f"{method} {root}/{{collection}}/{path}": body
        for root in ("/api/collections", "/api/v1/collections")
        for method, path, body in (
            ("POST", "records", {"title": "x"}), ("PATCH", "records", [{"id": ids["record_id"], "title": "x"}]),
            ("DELETE", "records", {"ids": [ids["record_id"]]}), ("PATCH", "records/{record_id}", {"title": "x"}),
            ("POST", "auth", {"email": "a@example.com", "password": "guess"}),
        )
    }  # fmt: skip


async def kept(engine: Engine, group_id: str) -> dict[str, str]:
    """Return what a group has, as one sum for each table."""
    one = "select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {} t"
    sums = {}
    async with as_role(engine, group_id) as role:
        for table, rights in RIGHTS.items():
            if ("select", "") in rights and table not in OF_NO_GROUP and not table.startswith("walked_"):
                sums[table] = await role.fetchval(one.format(f"tidings.{table}"))
        for row in await role.fetch("select table_schema, name from tidings.collections"):
            sums[row["name"]] = await role.fetchval(one.format(f'"{row["table_schema"]}"."{row["name"]}"'))
    for table in ("portal_links", "api_keys", "sessions", "member_roles", "outbox"):
        sums[table] = await engine.value(f"{one.format(f'tidings.{table}')} where group_id = $1", group_id)
    return sums


@pytest.fixture
async def acme(engine: Engine, api_server: ApiServer, receiver: Receiver) -> AsyncIterator[Furnished]:
    """The same, with a key of its own, and a recovery that is not over."""
    async with furnishing(engine, api_server, receiver.url()) as made:
        theirs = {"name": "theirs", "scopes": ["admin"], "bound_to": "acme"}
        made.ids["key_id"] = (await made.client.post("/api/v1/keys", json=theirs)).json()["id"]
        await engine.sql(
            "update tidings.recoveries set state = 'waiting', finished_at = null, due_at = now() + interval '1 day'"
        )
        yield made


async def _key(acme: Furnished) -> str:
    made = await acme.client.post("/api/v1/keys", json={"name": "other's", "scopes": ["admin"], "bound_to": "other"})
    return str(made.json()["key"])


async def _operations(acme: Furnished) -> list[tuple[str, str, list[str]]]:
    """Return each operation of the document: its name, its path and its parameters in the query."""
    document = (await acme.client.get("/openapi.json")).json()
    found = []
    for path, item in document["paths"].items():
        for method, one in item.items():
            named = [each["name"] for each in one.get("parameters", ()) if each.get("in") == "query"]
            found.append((f"{method.upper()} {path}", path, named))
    return found


async def _tells_nothing(client: httpx.AsyncClient, method: str, path: str, ids: dict[str, str], **sent: Any) -> httpx.Response:
    """Ask, and look that nothing of the group is in the answer but what was asked with."""
    response = await client.request(method, path, **sent)
    assert response.status_code < 500, (method, path, response.text)
    assert MARK not in response.text, (method, path)
    said = path + json.dumps(sent, default=str)
    for name, id_ in ids.items():
        if len(id_) > 20 and id_ not in said:
            assert id_ not in response.text, (method, path, name)
    return response


async def test_every_operation_with_another_groups_key_and_ids_finds_nothing_and_changes_nothing(acme: Furnished) -> None:
    ids = acme.ids
    before = await kept(acme.engine, "acme")
    key, sent, asked = {"X-API-Key": await _key(acme)}, bodies(ids), 0
    async with httpx.AsyncClient(base_url=acme.client.base_url, headers=key, timeout=PATIENCE) as client:
        for operation, path, named in await _operations(acme):
            if operation in NO_KEY | ENDLESS:
                continue
            method, asked = operation.partition(" ")[0], asked + 1
            body = {} if method == "GET" else {"json": sent.get(operation, {})}
            where = path.format_map(ids)
            if method == "DELETE" and path.endswith(("/{collection}", "/{group_id}")):
                where += f"?confirm={where.rpartition('/')[2]}"
            response = await _tells_nothing(client, method, where, ids, **body)
            if "{" in path and operation not in MAKES_ITS_OWN:
                assert response.status_code in {403, 404}, (operation, response.status_code, response.text)
            for name in [name for name in named if method == "GET" and name in ids]:
                await _tells_nothing(client, method, f"{where}?{name}={ids[name]}", ids)
    assert asked > 100
    after = await kept(acme.engine, "acme")
    assert [table for table in before if after[table] != before[table]] == []


async def test_a_key_of_one_group_that_names_another_is_refused_by_every_operation(acme: Furnished) -> None:
    key = {"X-API-Key": await _key(acme), "X-Tidings-Group": "acme"}
    before, sent = await kept(acme.engine, "acme"), bodies(acme.ids)
    async with httpx.AsyncClient(base_url=acme.client.base_url, headers=key, timeout=PATIENCE) as client:
        for operation, path, _ in await _operations(acme):
            if operation in NO_KEY or operation in {"GET /metrics", "GET /openapi.json"}:
                continue
            method = operation.partition(" ")[0]
            body = {} if method == "GET" else {"json": sent.get(operation, {})}
            response = await client.request(method, path.format_map(acme.ids), **body)
            assert response.status_code == 403, (operation, response.text)
            assert MARK not in response.text, operation
    assert await kept(acme.engine, "acme") == before


@pytest.mark.parametrize("who", ["a key", "a customer's link"])
async def test_every_page_with_another_groups_session_and_ids_finds_nothing_and_changes_nothing(
    acme: Furnished, api_server: ApiServer, who: str
) -> None:
    application = api_server._framework
    assert application is not None
    application.state["sign_in_attempts"] = Attempts()
    application.state["customer_calls"] = Attempts(seconds=CALLS_SECONDS)
    ids = acme.ids
    before = await kept(acme.engine, "acme")
    fields = {name: ids[name] for name in ("webhook_id", "delivery_id", "event_id", "job_id", "bin_id", "link_id", "number")} | {
        "id": ids["delivery_id"], "webhook": ids["webhook_id"], "link": ids["link_id"], "confirm": ids["collection"], "table": "orders",
        "backfill_id": ids["backfill_id"], "backfill": ids["backfill_id"],
    }  # fmt: skip
    unsent = {name: id_ for name, id_ in ids.items() if id_ not in fields.values()}  # what was sent is shown again
    asked = 0
    async with visiting(acme.engine, str(acme.client.base_url)) as visitor:
        if who == "a key":
            await visitor.send("/sign-in", {"key": await _key(acme), "to": "/"}, of="/sign-in")
        else:
            made = await acme.client.post("/api/v1/groups/other/portal-link", json={"access": "full"})
            await visitor.get("/p/" + made.json()["url"].rpartition("/p/")[2], 303)
        sent = fields | {"csrf": await visitor.csrf("/sign-out")}
        origin = {"Origin": str(acme.client.base_url).rstrip("/")}
        for method, path, handler in routes(application):
            if path.startswith(
                ("/api", "/in/", "/bin", "/metrics", "/openapi", "/static", "/.well-known", "/p/", "/docs/guide")
            ):
                continue  # answered by key, or to everybody
            if path in {"/live", "/sign-out", "/sign-in", "/theme", "/healthz", "/readyz"} or path == "/assets/{name}":
                continue
            asked += 1
            here = ids | {"name": ids["collection"]} if "/collections/" in path else ids
            where = re.sub(r"{(\w+)}", lambda place, here=here: here.get(place[1], "x"), path)
            form = {"data": sent, "headers": origin} if method == "POST" else {}
            response = await _tells_nothing(visitor.client, method, where, unsent, **form)
            if who != "a key" and not handler.opt.get("customer"):
                assert response.status_code == 403, (method, path)
            elif set(re.findall(r"{(\w+)}", path)) - {"number", "part", "kind"}:
                refused = {403, 404, 422} if method == "POST" else {403, 404}  # 422: the form, before anything is looked up
                assert response.status_code in refused, (method, path, response.status_code)
            for name in handler.opt.get("query", ()):
                known = ids.get(name) or ids.get(f"{name}_id")
                if method == "GET" and known and response.status_code == 200:
                    await _tells_nothing(visitor.client, method, f"{where}?{name}={known}", unsent)
    assert asked > 80
    after = await kept(acme.engine, "acme")
    assert [table for table in before if after[table] != before[table]] == []
