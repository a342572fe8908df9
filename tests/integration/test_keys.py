"""Keys: made, used, rotated, revoked; what each opens, and what it does not tell."""

import asyncio
import importlib.util
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from tests.integration.test_api import KEY
from tests.support.engine import Engine, engine_of, eventually, routed
from tests.support.limits import PATIENCE
from tests.support.portal import visiting
from tests.support.serving import ApiServer
from tests.support.switch import Switch
from tidings.api.http.scopes import NEEDS
from tidings.config import Config
from tidings.core.api_key import SECRET_BYTES, SETTINGS_KEY_ID, write_key
from tidings.core.attempts import Attempts
from tidings.core.errors import UnauthorizedError
from tidings.core.key_guesses import WINDOW_SECONDS, WRONG_BY_ADDRESS
from tidings.core.scopes import Scope, granted, parse_scopes
from tidings.operations.admission import BELIEVED, LOOK_AFTER, Admission
from tidings.operations.services import Services
from tidings.portal.scopes import NEEDS as PAGE_NEEDS
from tidings.store import api_keys, live
from tidings.store.database import UNAVAILABLE, Database, open_database

ROOT = Path(__file__).parents[2]
HINT = (
    "{} {} says nothing of the scope that it needs, so it takes admin of all groups: put it into the table in api/http/scopes.py, "
    "then run tools/make_scopes.py."
)


class Api:
    """A client of a served API, which sends whichever key it is told to."""

    def __init__(self, client: httpx.AsyncClient, engine: Engine) -> None:
        self.client = client
        self.engine = engine

    async def ask(self, method: str, path: str, key: str = "test", group: str = "", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} | ({"X-Tidings-Group": group} if group else {})
        async with self.client.stream(method, path, headers=headers, **options) as response:
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                return response  # it has no end
            await response.aread()
            return response

    async def __call__(self, method: str, path: str, expect: int, body: Any = None, key: str = "test", group: str = "") -> Any:
        response = await self.ask(method, path, key, group, json=body)
        assert response.status_code == expect, response.text
        return response.json() if response.content else None

    async def make(self, *scopes: str, **fields: Any) -> Any:
        return await self("POST", "/api/v1/keys", 201, {"name": "shop", "scopes": scopes} | fields)


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client,
    ):
        await engine.sql("insert into tidings.groups (id) values ('acme'), ('other')")
        yield Api(client, engine)


def made_by_tool() -> Any:
    spec = importlib.util.spec_from_file_location("make_scopes", ROOT / "tools" / "make_scopes.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The life of a key ---------------------------------------------------------------------------------------------------------


async def test_a_key_is_made_shown_once_used_listed_and_revoked(api: Api) -> None:
    made = await api.make("events:publish", "deliveries:read", bound_to="acme", expires_in=3600)
    key, path = made["key"], f"/api/v1/keys/{made['id']}"
    assert (made["scopes"], made["bound_to"]) == (["events:publish", "deliveries:read"], "acme")
    assert (await api("GET", "/api/v1/keys/current", 200, key=key))["id"] == made["id"]
    await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": 1}, key=key)
    assert await api.engine.value("select group_id from tidings.outbox") == "acme"  # its own, without a header
    await api("GET", "/api/v1/deliveries", 200, key=key, group="acme")

    async def used() -> Any:
        return (await api("GET", path, 200))["used_at"]

    await eventually(used)
    ours, settings = await api("GET", "/api/v1/keys", 200)
    assert key.startswith(ours["start"])
    assert (ours["used_from"], ours["of_settings"], settings["of_settings"]) == ("127.0.0.1", False, True)
    everything = str(
        [await api.engine.sql(f"select * from tidings.{table}") for table in ("api_keys", "api_key_uses", "audit")]
    )
    assert key not in everything
    assert key[28:] not in everything
    await api("DELETE", path, 204)
    refused = await api("GET", "/api/v1/keys/current", 401, key=key)
    assert refused["error"].startswith("This key was revoked at ")
    assert (await api("GET", path, 200))["revoked_at"]
    await api("DELETE", path, 409)
    await api("POST", f"{path}/rotate", 409, {})


async def test_a_rotated_key_is_good_beside_the_new_one_until_the_overlap_is_over(api: Api) -> None:
    made = await api.make("webhooks:read", expires_in=600)
    path = f"/api/v1/keys/{made['id']}/rotate"
    second = await api("POST", path, 200, {"overlap_seconds": 60})
    assert second["id"] == made["id"]
    assert second["expires_at"] == made["expires_at"]
    for key in (made["key"], second["key"]):
        await api("GET", "/api/v1/webhooks", 200, key=key)
    api.engine.clock.ahead += timedelta(seconds=60)
    refused = await api("GET", "/api/v1/webhooks", 401, key=made["key"])
    assert "rotated" in refused["error"]
    await api("GET", "/api/v1/webhooks", 200, key=second["key"])
    third = await api("POST", path, 200, {"overlap_seconds": 0, "expires_in": 3600})
    await api("GET", "/api/v1/webhooks", 401, key=second["key"])
    api.engine.clock.ahead += timedelta(hours=1)
    refused = await api("GET", "/api/v1/webhooks", 401, key=third["key"])
    assert "expired at" in refused["error"]
    await api("POST", path, 409, {})
    await api("POST", path, 200, {"expires_in": 60})


async def test_the_key_of_the_settings_is_one_of_them_and_is_changed_there(api: Api) -> None:
    (only,) = await api("GET", "/api/v1/keys", 200)
    assert (only["id"], only["scopes"], only["bound_to"], only["start"]) == (str(SETTINGS_KEY_ID), ["admin"], None, "")
    for method, path in (("DELETE", ""), ("POST", "/rotate")):
        refused = await api(method, f"/api/v1/keys/{SETTINGS_KEY_ID}{path}", 409, {} if path else None)
        assert "TIDINGS_ADMIN_KEY" in refused["error"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"scopes": []}, 422, "scopes"), ({"scopes": ["root"]}, 422, "scopes"), ({"scopes": "admin"}, 422, "scopes"), ({"name": " "}, 422, "name"),
        ({"name": "x" * 101}, 422, "name"), ({"expires_in": 59}, 422, "expires_in"), ({"expires_in": 10**12}, 422, "expires_in"),
        ({"bound_to": "nobody"}, 404, None), ({"more": 1}, 422, "more"), ({"name": "\0"}, 422, "name"),
    ],
)  # fmt: skip
async def test_a_key_that_cannot_be_is_refused_with_the_field(api: Api, body: Any, status: int, field: str | None) -> None:
    refused = await api("POST", "/api/v1/keys", status, {"name": "shop", "scopes": ["admin"]} | body)
    assert refused.get("field") == field


# Scopes --------------------------------------------------------------------------------------------------------------------


async def test_every_operation_says_which_scope_it_needs(api: Api) -> None:
    paths = (await api("GET", "/openapi.json", 200))["paths"]
    operations = made_by_tool().operations(paths)
    undeclared = [(method, path) for method, path, _ in operations if (method, path) not in NEEDS]
    assert not undeclared, " ".join(HINT.format(*one) for one in undeclared)
    assert set(NEEDS) <= {(method, path) for method, path, _ in operations}, "api/http/scopes.py has routes that there are not"
    for method, path, need in operations:
        said = paths[path][method.lower()]
        assert said["security"] == [{"key": [scope.value for scope in need.scopes]}]
        assert {"401", "403", "429"} <= set(said["responses"]), path
    page = (ROOT / "docs" / "scopes.md").read_text()
    assert page == made_by_tool().text_of(paths), "docs/scopes.md is old; run tools/make_scopes.py"


def address(path: str, group: str = "default") -> str:
    values = {"number": "1", "group_id": group, "kind": "webhook"} | dict.fromkeys(("table", "collection", "name"), "nothing")
    nobody = {name: str(UUID(int=255)) for name in ("webhook_id", "delivery_id", "event_id", "recovery_id", "backfill_id", "job_id",
                                                    "link_id", "key_id", "setting_id", "record_id", "bin_id", "listener_id", "member_id", "session_id", "rule_id", "erasure_id")}  # fmt: skip
    return path.format_map(values | nobody)


async def test_each_scope_opens_what_the_page_says_and_nothing_else(api: Api) -> None:
    keys = {scope: (await api.make(scope))["key"] for scope in Scope}
    answered = 0
    for (method, path), need in NEEDS.items():
        body = None if method in {"GET", "DELETE"} else {}
        for scope, key in keys.items():
            response = await api.ask(method, address(path), key, json=body)
            lacking = [one for one in need.scopes if one not in granted((scope,))]
            if not lacking:
                assert response.status_code not in {401, 403, 429, 500}, (method, path, scope, response.text)
                continue
            answered += 1
            assert response.status_code == 403, (method, path, scope, response.text)
            assert response.json() == {
                "error": f"This key lacks the scope {lacking[0]}. Use a key that has it.",
                "code": "FORBIDDEN",
                "scope": lacking[0],
            }
    assert answered > 1000
    for path in ("/metrics", "/openapi.json"):
        statuses = {scope: (await api.ask("GET", path, key)).status_code for scope, key in keys.items()}
        assert statuses == {scope: 403 if path == "/metrics" and scope != "admin" else 200 for scope in Scope}


# Groups --------------------------------------------------------------------------------------------------------------------


async def test_a_key_of_a_group_opens_no_other_and_is_not_told_which_there_are(api: Api) -> None:
    key = (await api.make("admin", bound_to="acme"))["key"]
    for (method, path), need in NEEDS.items():
        body = None if method in {"GET", "DELETE"} else {}
        there, nowhere = [await api.ask(method, address(path, "acme"), key, group, json=body) for group in ("other", "nowhere")]
        assert there.status_code == nowhere.status_code == 403, (method, path, there.text)
        assert there.content == nowhere.content
        own = await api.ask(method, address(path, "acme"), key, json=body)
        assert (own.status_code == 403) == need.is_for_all_groups, (method, path, own.text)
        assert own.status_code < 500
    for path in ("/api/v1/groups/other", "/api/v1/groups/nowhere", "/api/v1/audit?group=other", "/api/v1/audit?group=nowhere"):
        assert (await api("GET", path, 403, key=key))["code"] == "FORBIDDEN"
    await api("POST", "/api/v1/groups/other/portal-link", 403, {}, key=key)


async def test_nobody_is_told_without_a_key_which_groups_there_are(api: Api) -> None:
    for path in ("/readyz", "/.well-known/jwks.json", "/healthz"):
        answers = [await api.client.get(path, headers={"X-Tidings-Group": group}) for group in ("acme", "none", "%FF")]
        assert len({(one.status_code, one.content) for one in answers}) == 1


async def test_lists_across_groups_show_a_key_of_one_group_its_own(api: Api) -> None:
    mine = await api.make("admin", bound_to="acme")
    await api.make("admin", bound_to="other")
    key = mine["key"]
    assert [one["id"] for one in await api("GET", "/api/v1/groups", 200, key=key)] == ["acme"]
    assert await api("GET", "/api/v1/groups?cursor=acme", 200, key=key) == []
    assert await api("GET", "/api/v1/groups?offset=1", 200, key=key) == []
    assert [one["id"] for one in await api("GET", "/api/v1/keys", 200, key=key)] == [mine["id"]]
    assert {one["group"] for one in await api("GET", "/api/v1/audit", 200, key=key)} == {"acme"}
    await api("GET", f"/api/v1/keys/{SETTINGS_KEY_ID}", 404, key=key)
    await api("POST", "/api/v1/keys", 403, {"name": "more", "scopes": ["admin"]}, key=key)
    await api("POST", "/api/v1/keys", 403, {"name": "more", "scopes": ["admin"], "bound_to": "other"}, key=key)
    own = await api("POST", "/api/v1/keys", 201, {"name": "more", "scopes": ["admin"], "bound_to": "acme"}, key=key)
    await api("DELETE", f"/api/v1/keys/{own['id']}", 204, key=key)


async def test_a_key_of_a_group_that_is_deleted_opens_nothing_and_shows_no_other_group(api: Api, api_server: ApiServer) -> None:
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    key = (await api.make("admin", bound_to="acme"))["key"]
    async with visiting(api.engine, str(api.client.base_url)) as visitor:
        await visitor.send("/sign-in", {"key": key}, of="/sign-in")
        await visitor.get("/webhooks")
        refused = await api("DELETE", "/api/v1/groups/acme?confirm=acme", 409)
        assert "still has 1 api key" in refused["error"]
        await api("DELETE", "/api/v1/groups/acme?confirm=acme&everything=true", 202)
        await visitor.get("/webhooks", 303)  # the session shows no group that its key is not for
    api.engine.clock.ahead += timedelta(minutes=1)  # until then a group that was there is known
    for method, path in (("GET", "/api/v1/webhooks"), ("POST", "/api/v1/events")):
        await api(method, path, 404, {"type": "a.b", "data": 1} if method == "POST" else None, key=key)


# Wrong keys ----------------------------------------------------------------------------------------------------------------


async def test_what_is_wrong_with_a_key_is_told_to_its_holder_alone(api: Api) -> None:
    made = await api.make("webhooks:read")
    for wrong in ("nothing", write_key(uuid4(), bytes(24)), write_key(UUID(made["id"]), bytes(24)), "t"):
        refused = await api("GET", "/api/v1/webhooks", 401, key=wrong)
        assert refused["error"] == "A valid key is required: Authorization: Bearer <key>, or X-API-Key: <key>."
    assert "mistyped" in (await api("GET", "/api/v1/webhooks", 401, key=made["key"][:-1]))["error"]


@pytest.mark.parametrize("name", ["key", "api_key", "token", "access_token", "X-API-Key", "cursor"])
async def test_a_key_in_an_address_is_refused(api: Api, name: str) -> None:
    key = (await api.make("admin"))["key"]
    for path in ("/api/v1/webhooks", "/api/v1/events", "/openapi.json"):
        response = await api.client.get(path, params={name: key}, headers=KEY)
        assert (response.status_code, response.json()["field"]) == (422, name)
        assert "logs" in response.json()["error"]
        assert key not in response.text


async def test_guessing_is_slowed_down_and_shuts_out_no_good_key(api: Api, api_server: ApiServer) -> None:
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    made = await api.make("webhooks:read")
    wrong = write_key(UUID(made["id"]), bytes(24))
    for _ in range(WRONG_BY_ADDRESS):
        await api("GET", "/api/v1/webhooks", 401, key=wrong)
    for path in ("/api/v1/webhooks", "/api/v1/events"):
        refused = await api.ask("POST", path, wrong, json={})
        assert refused.status_code == 429
        assert refused.json()["code"] == "TOO_MANY_ATTEMPTS"
        assert 1 <= int(refused.headers["retry-after"]) <= WINDOW_SECONDS
    await api("GET", "/api/v1/webhooks", 200, key=made["key"])  # nobody finds this one by trying
    await api("GET", "/api/v1/webhooks", 429)  # “test” could be found so, and waits
    async with visiting(api.engine, str(api.client.base_url)) as visitor:
        shut = await visitor.send("/sign-in", {"key": "test"}, 429, of="/sign-in")
        assert "Too many wrong keys" in shut.text
        assert int(shut.headers["retry-after"]) >= 1
        await visitor.send("/sign-in", {"key": made["key"]}, of="/sign-in")


async def test_guessing_the_key_of_the_metrics_is_slowed_down(config: Config, api_server: ApiServer) -> None:
    config = msgspec.structs.replace(config, metrics_key="short")
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client,
    ):

        async def ask(key: str) -> int:
            return (await client.get("/metrics", headers={"Authorization": f"Bearer {key}"})).status_code

        assert await ask("short") == 200
        assert {await ask("wrong") for _ in range(WRONG_BY_ADDRESS)} == {401}
        assert (await ask("short"), await ask("wrong")) == (429, 429)
        assert (await client.get("/readyz")).status_code == 200


# Held in memory ------------------------------------------------------------------------------------------------------------


class Counting(Database):
    """A database that knows how often it was asked."""

    asked = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        self.asked += 1
        async with super().connection() as connection:
            yield connection


class Lent:
    """A database of one connection, whose answer comes late."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.has_read, self.goes_on = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        yield self

    async def fetchrow(self, *asked: Any) -> Any:
        answer = await self._connection.fetchrow(*asked)
        self.has_read.set()
        await self.goes_on.wait()
        return answer


class Process:
    """What another process holds of keys, at a time of its own."""

    def __init__(self, services: Services) -> None:
        self.now = 1000.0
        self.clock = services.clock
        self.database = Counting(services.wide.url, services.wide.server)
        self.admission = Admission(self.database, self.database, monotonic=lambda: self.now)

    def at_hand(self, key: str) -> bool:
        return self.admission.at_hand(key, "192.0.2.1", self.clock.now()) is not None

    async def admits(self, key: str) -> bool:
        try:
            await self.admission.admit(key, "192.0.2.1", self.clock.now())
        except UnauthorizedError:
            return False
        return True

    async def quiet(self) -> None:
        for task in (self.admission._looking, self.admission._noting):
            if task is not None:
                await task


async def test_a_key_costs_the_database_nothing_and_stops_within_a_second_of_its_end(api: Api) -> None:
    made, process = await api.make("webhooks:read"), Process(api.engine.services)
    key = made["key"]
    assert not process.at_hand(key)
    assert await process.admits(key)
    await process.quiet()
    asked = process.database.asked
    for _ in range(100):
        assert process.at_hand(key)
    assert process.database.asked == asked
    process.now += LOOK_AFTER
    assert process.at_hand(key)  # it has somebody look beside it
    await process.quiet()
    assert process.database.asked == asked + 1
    await api("DELETE", f"/api/v1/keys/{made['id']}", 204)
    process.now += LOOK_AFTER - 0.01
    assert process.at_hand(key)  # for a second nobody has to know
    process.now += BELIEVED - LOOK_AFTER + 0.01
    assert not process.at_hand(key)
    assert not await process.admits(key)
    await process.admission.close()


async def test_what_cannot_be_looked_at_is_not_believed(api: Api) -> None:
    key, process = (await api.make("webhooks:read"))["key"], Process(api.engine.services)
    database = await open_database(process.database.url, max_connections=1)
    process.admission._looks = process.admission._reads = database
    assert await process.admits(key)
    await process.quiet()
    await database.close()
    process.now += BELIEVED - 0.01
    assert process.at_hand(key)
    await process.quiet()
    process.now += 0.01
    assert not process.at_hand(key)
    with pytest.raises(UNAVAILABLE):
        await process.admits(key)


async def test_many_that_wait_share_one_look(api: Api) -> None:
    key, process = (await api.make("webhooks:read"))["key"], Process(api.engine.services)
    assert await process.admits(key)
    await process.quiet()
    process.now += 10 * BELIEVED
    asked = process.database.asked
    assert all(await asyncio.gather(*(process.admits(key) for _ in range(50))))
    assert process.database.asked == asked + 1


async def test_a_flood_of_wrong_keys_keeps_no_good_one_waiting(api: Api) -> None:
    """Wrong ones of any look share looks; those that name a key are read over another connection, however long that takes."""
    key, process = (await api.make("webhooks:read"))["key"], Process(api.engine.services)
    reads = process.admission._reads = process.database.share(1)
    assert await process.admits(key)
    await process.quiet()
    asked, process.now = process.database.asked, process.now + BELIEVED
    async with reads.connection():
        guesses = [write_key(uuid4(), bytes(SECRET_BYTES)) for _ in range(20)] + ["y" * 40 for _ in range(20)]
        wrong = [asyncio.create_task(process.admits(one)) for one in guesses]
        await asyncio.wait(wrong[20:])  # they have been told so
        assert await process.admits(key)
        assert not any(one.done() for one in wrong[:20])
    assert True not in await asyncio.gather(*wrong, return_exceptions=True)
    assert process.database.asked - asked <= 3


async def test_a_connection_that_the_network_forgot_is_dropped_and_another_is_asked(api: Api, config: Config) -> None:
    assert config.database_url is not None
    address, _, folder = config.database_url.partition("?host=")
    switch = Switch(folder)
    await switch.start()
    looks = await open_database(switch.url(address.rpartition("/")[2]), max_connections=1)
    known, unknown = [(await api.make("webhooks:read"))["key"] for _ in range(2)]
    process = Process(api.engine.services)
    process.admission._looks = process.admission._reads = looks
    assert await process.admits(known)
    await process.quiet()
    switch.forget()
    process.now += 10 * BELIEVED
    assert await process.admits(known)  # else this waits for a minute, and fails
    await process.quiet()
    switch.forget()
    assert await process.admits(unknown)
    await process.quiet()
    await looks.close()
    await switch.stop()


async def test_a_look_that_is_under_way_while_this_process_changes_a_key_is_not_believed(api: Api) -> None:
    key, process = (await api.make("webhooks:read"))["key"], Process(api.engine.services)
    assert await process.admits(key)
    await process.quiet()
    process.now += LOOK_AFTER
    async with process.database.server.lend() as connection, connection.transaction():
        process.admission._looks = Lent(connection)  # a look that has read, and is not at its end
        assert process.at_hand(key)
        await asyncio.wait_for(process.admission._looks.has_read.wait(), PATIENCE)
        await api.engine.sql("update tidings.api_keys set revoked_at = now() where name = 'shop'")
        process.now += 0.001
        process.admission.changed()
        process.admission._looks.goes_on.set()
        await process.quiet()
    assert not process.at_hand(key)
    process.admission._looks = process.database
    assert not await process.admits(key)
    await process.admission.close()


async def test_what_was_waited_for_a_connection_is_not_taken_from_the_time_that_a_look_counts(api: Api) -> None:
    key, process = (await api.make("webhooks:read"))["key"], Process(api.engine.services)
    looks = process.admission._looks = process.database.share(1)
    async with looks.connection():
        admitted = asyncio.create_task(process.admits(key))
        while process.admission._looking is None:
            await asyncio.sleep(0)
        process.now += 5 * BELIEVED
    assert await admitted
    assert process.at_hand(key)
    await process.quiet()


async def test_a_key_rotated_elsewhere_is_known_at_once(api: Api) -> None:
    made, process = await api.make("webhooks:read"), Process(api.engine.services)
    assert await process.admits(made["key"])
    again = await api("POST", f"/api/v1/keys/{made['id']}/rotate", 200, {"overlap_seconds": 0})
    assert await process.admits(again["key"])
    assert not await process.admits(made["key"])
    await process.quiet()


async def test_use_is_written_once_a_minute(api: Api) -> None:
    made, process = await api.make("webhooks:read"), Process(api.engine.services)

    async def written() -> Any:
        await process.quiet()
        return await api.engine.value("select used_at from tidings.api_key_uses where key_id = $1", UUID(made["id"]))

    assert await process.admits(made["key"])
    first = await written()
    for seconds, is_written in ((30, False), (31, True)):
        process.now += seconds
        api.engine.clock.ahead += timedelta(seconds=seconds)
        assert await process.admits(made["key"])
        assert ((await written()) > first) == is_written


async def test_what_is_over_for_long_is_forgotten(api: Api) -> None:
    made = await api.make("webhooks:read", expires_in=60)
    api.engine.clock.ahead += timedelta(seconds=61) + api_keys.KEPT_AFTERWARDS
    async with api.engine.services.wide.transaction() as connection:
        await api_keys.forget(connection, api.engine.clock.now())
    await api("GET", f"/api/v1/keys/{made['id']}", 404)


async def test_a_group_takes_no_keys_from_others(api: Api) -> None:
    await api.engine.sql(
        "insert into tidings.api_keys (id, name, group_id, scopes, token_hash, created_at) "
        "select gen_random_uuid(), 'many', 'acme', '{admin}', sha256(n::text::bytea), now() from generate_series(1, 999) n"
    )
    last = await api.make("admin", bound_to="acme")
    said = {"name": "one more", "scopes": ["admin"], "bound_to": "acme"}
    assert "1,000 of this group" in (await api("POST", "/api/v1/keys", 409, said, key=last["key"]))["error"]
    await api.make("admin", bound_to="other")
    await api.make("admin")


async def test_a_stream_ends_with_the_key_that_it_was_begun_with(api: Api, api_server: ApiServer) -> None:
    assert api_server._framework
    made = await api.make("deliveries:read")
    headers = {"Authorization": f"Bearer {made['key']}"}
    async with api.client.stream("GET", "/api/v1/attempts/stream", headers=headers) as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        await api("DELETE", f"/api/v1/keys/{made['id']}", 204)
        api_server._framework.state["tails"]._note_gap()  # there is something to tell, and nobody who may hear it
        assert "event: attempt" not in [line async for line in lines]


# The record, and the portal ------------------------------------------------------------------------------------------------


async def test_the_record_says_which_key_it_was(api: Api) -> None:
    made = await api.make("webhooks:write", name="deployer", bound_to="acme")
    hook = await api("POST", "/api/v1/webhooks", 201, {"url": "https://a.example/", "events": "*"}, key=made["key"])
    await api("POST", f"/api/v1/keys/{made['id']}/rotate", 200, {})
    await api("DELETE", f"/api/v1/keys/{made['id']}", 204)
    found = [
        (one["action"], one["group"], one["subject"], one["key_name"], one["key_id"], one["address"])
        for one in reversed(await api("GET", "/api/v1/audit", 200))
    ]
    settings = "admin key of the settings", str(SETTINGS_KEY_ID), "127.0.0.1"
    assert found == [
        ("api_key.made", "acme", "deployer", *settings),
        ("webhook.created", "acme", hook["name"], "deployer", made["id"], "127.0.0.1"),
        ("api_key.rotated", "acme", "deployer", *settings),
        ("api_key.revoked", "acme", "deployer", *settings),
    ]


async def watching(api: Api) -> list[UUID]:
    """Return the sessions whose pages hear what happens."""
    async with api.engine.services.wide.connection() as connection:
        sessions = [row["id"] for row in await connection.fetch("select id from tidings.sessions")]
        return list((await live.look(connection, sessions, api.engine.clock.now())).sessions)


async def test_a_session_ends_with_the_key_that_it_was_begun_with(api: Api, api_server: ApiServer) -> None:
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    made = await api.make("admin", name="Ada")
    async with visiting(api.engine, str(api.client.base_url)) as ada:
        narrow = await api.make("events:publish")
        assert "and no page" in (await ada.send("/sign-in", {"key": narrow["key"]}, 403, of="/sign-in")).text
        await ada.send("/sign-in", {"key": made["key"]}, of="/sign-in")
        await ada.get("/settings")
        again = await api("POST", f"/api/v1/keys/{made['id']}/rotate", 200, {"overlap_seconds": 60})
        await ada.get("/settings")
        assert len(await watching(api)) == 1
        api.engine.clock.ahead += timedelta(seconds=60)
        await ada.get("/settings", 303)
        assert await watching(api) == [], "what its pages hear is over too"
        await ada.send("/sign-in", {"key": again["key"]}, of="/sign-in")
        await api("DELETE", f"/api/v1/keys/{made['id']}", 204)
        await ada.get("/settings", 303)
    began = [one for one in await api("GET", "/api/v1/audit", 200) if one["action"] == "session.began"]
    assert {(one["key_name"], one["key_id"], one["who"]) for one in began} == {("Ada", made["id"], "session")}


async def test_keys_are_made_shown_once_rotated_and_revoked_on_their_page(api: Api, api_server: ApiServer) -> None:
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    path = "/settings/api-keys"
    async with visiting(api.engine, str(api.client.base_url)) as visitor:
        await visitor.sign_in()
        form = {"name": "<b>shop</b>", "group": "default", "expires_in": "86400", "scopes": ["events:publish", "events:read"]}
        page = (await visitor.send(path, form, 200)).text
        key = re.findall(r"tidk_\w{22}_\w{39}", page)[0]
        current = await api("GET", "/api/v1/keys/current", 200, key=key)
        assert (current["name"], current["bound_to"]) == ("<b>shop</b>", "default")
        assert current["scopes"] == ["events:publish", "events:read"]
        page = (await visitor.get(path)).text
        assert key not in page
        assert "&lt;b&gt;shop" in page
        assert current["start"] in page
        refused = (await visitor.send(path, form | {"scopes": []}, 422)).text
        assert "scopes is empty" in refused
        assert "name has 1 to 100 characters" in (await visitor.send(path, form | {"name": ""}, 422)).text
        everywhere = (await visitor.send(path, form | {"group": "all", "expires_in": ""}, 200)).text
        other = re.findall(r"tidk_\w{22}_\w{39}", everywhere)[0]
        assert (await api("GET", "/api/v1/keys/current", 200, key=other))["bound_to"] is None
        own = f"{path}/{current['id']}"
        assert "Last used" in (await visitor.get(own)).text
        rotated = (await visitor.send(f"{own}/rotate", {"overlap": "0"}, 200)).text
        again = re.findall(r"tidk_\w{22}_\w{39}", rotated)[0]
        await api("GET", "/api/v1/keys/current", 401, key=key)
        await visitor.send(f"{own}/rotate", {"overlap": "long"}, 422)
        assert "1 to 100 characters" in (await visitor.send(f"{own}/rename", {"name": " "}, 422)).text
        await visitor.send(f"{own}/rename", {"name": "till"})
        assert "till</h1>" in (await visitor.get(own)).text
        await visitor.send(f"{own}/revoke", {})
        await api("GET", "/api/v1/keys/current", 401, key=again)
        page = (await visitor.get(own)).text
        assert "It was revoked" in page
        assert "Rotate</h2>" not in page
        await visitor.send(f"{own}/revoke", {}, 409)
        await visitor.get(f"{path}/{UUID(int=255)}", 404)
        assert "TIDINGS_ADMIN_KEY" in (await visitor.get(f"{path}/{SETTINGS_KEY_ID}")).text
        assert "A key was revoked" in (await visitor.get("/settings/audit")).text


async def test_a_key_is_renamed_and_what_is_on_record_keeps_the_name_of_then(api: Api) -> None:
    made = await api.make("admin", name="shop")
    assert (await api("PATCH", f"/api/v1/keys/{made['id']}", 200, {"name": " till "}))["name"] == "till"
    await api("PATCH", f"/api/v1/keys/{made['id']}", 200, {"name": "till"})  # no change, and no entry
    await api("POST", "/api/v1/groups", 201, {"id": "g"}, key=made["key"])
    said = [(one["action"], one["key_name"], one["changes"]) for one in (await api("GET", "/api/v1/audit", 200))[:2]]
    assert said == [
        ("group.created", "till", {}),
        ("api_key.changed", "admin key of the settings", {"name": ["shop", "till"]}),
    ]
    for body, field in (({"name": ""}, "name"), ({"name": "x", "scopes": []}, "scopes"), ({}, "name")):
        assert (await api("PATCH", f"/api/v1/keys/{made['id']}", 422, body))["field"] == field
    await api("PATCH", f"/api/v1/keys/{SETTINGS_KEY_ID}", 409, {"name": "x"})
    await api("PATCH", f"/api/v1/keys/{UUID(int=255)}", 404, {"name": "x"})


async def test_keys_that_end_soon_or_are_not_used_are_listed_and_told_of(api: Api, api_server: ApiServer) -> None:
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    soon = await api.make("admin", name="soon", expires_in=86_400)
    await api.make("admin", name="late", expires_in=90 * 86_400)
    gone = await api.make("admin", name="gone", expires_in=86_400)
    await api("DELETE", f"/api/v1/keys/{gone['id']}", 204)
    later, tomorrow = (api.engine.clock.now() + timedelta(days=days) for days in (14, 1))
    found = await api("GET", f"/api/v1/keys?expires_before={quote(later.isoformat())}", 200)
    assert [one["name"] for one in found] == ["soon"]
    found = await api("GET", f"/api/v1/keys?unused_since={quote(tomorrow.isoformat())}", 200)
    assert {"soon", "late"} <= {one["name"] for one in found}
    assert "gone" not in {one["name"] for one in found}
    assert (await api("GET", "/api/v1/keys?expires_before=2026-01-01T00:00:00", 422))["field"] == "expires_before"
    told = {one["name"]: one["sentence"] for one in (await api("GET", "/api/v1/diagnosis", 200))["problems"]}
    assert told["keys"].startswith("1 key ends within 14 days")
    async with visiting(api.engine, str(api.client.base_url)) as visitor:
        await visitor.sign_in()
        page = (await visitor.get("/")).text
        assert "Key soon" in page
        assert f"/settings/api-keys/{soon['id']}" in page
        assert "Key late" not in page
        assert "ends soon" in (await visitor.get("/settings/api-keys")).text


async def test_previews_and_dry_runs_show_events_and_need_their_scope(api: Api, api_server: ApiServer) -> None:
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {"who": "secretly"}})
    await routed(api.engine)
    hook = await api("POST", "/api/v1/webhooks", 201, {"url": "https://example.com/", "events": "*"})
    alone, both = [(await api.make(*scopes))["key"] for scopes in (["webhooks:write"], ["webhooks:write", "events:read"])]
    for path in (
        "/api/v1/webhooks/preview",
        f"/api/v1/webhooks/{hook['id']}/preview",
        f"/api/v1/webhooks/{hook['id']}/dry-run",
    ):
        refused = await api("POST", path, 403, {}, key=alone)
        assert refused["scope"] == "events:read"
    shown = await api("POST", f"/api/v1/webhooks/{hook['id']}/preview", 200, {}, key=both)
    assert "secretly" in shown["body"]
    for key, sees in ((alone, False), (both, True)):
        async with visiting(api.engine, str(api.client.base_url)) as visitor:
            await visitor.send("/sign-in", {"key": key, "to": "/webhooks"}, of="/sign-in")
            edit = f"/webhooks/{hook['id']}/edit"
            assert ("secretly" in (await visitor.get(edit)).text) == sees
            dry = await visitor.send(edit, {"do": "dry-run", "days": "1", "url": "https://example.com/"}, 200, of=edit)
            assert ("lacks the scope events:read" in dry.text) != sees


# What a session sees -------------------------------------------------------------------------------------------------------


def pages(api_server: ApiServer) -> list[tuple[str, str]]:
    """Every page that takes a session, as the application has them: method and path."""
    assert api_server._framework
    return [
        (method, route.path_format)
        for route in api_server._framework.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if handler.fn.__module__.startswith("tidings.portal.pages")
        and {"visit", "visit_of"} & {*handler.fn.__code__.co_varnames, *handler.fn.__code__.co_names}
    ]


async def test_every_page_says_which_scopes_it_needs(api: Api, api_server: ApiServer) -> None:
    assert api.client
    found = set(pages(api_server))
    undeclared = sorted(found - set(PAGE_NEEDS))
    assert not undeclared, " ".join(PAGE_HINT.format(*one) for one in undeclared)
    assert set(PAGE_NEEDS) <= found, "portal/scopes.py has pages that there are not"


@pytest.mark.parametrize(
    ("scopes", "bound_to", "first"),
    [
        (["webhooks:read", "deliveries:read", "events:read"], None, "/webhooks"), (["deliveries:retry"], "acme", "/deliveries"),
        (["sources:write", "groups:write"], None, "/sources/jobs"), (["webhooks:write", "collections:write"], "acme", "/webhooks"),
        (["tables:admin"], None, "/sources/tables"), (["admin"], "acme", "/webhooks"), (["admin"], None, "/"),
    ],
)  # fmt: skip
async def test_a_session_sees_and_may_do_what_its_key_allows(
    api: Api, api_server: ApiServer, scopes: list[str], bound_to: str | None, first: str
) -> None:
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    key = (await api.make(*scopes, bound_to=bound_to))["key"]
    allowed = granted(parse_scopes(scopes))
    async with visiting(api.engine, str(api.client.base_url)) as visitor:
        led = await visitor.send("/sign-in", {"key": key, "to": "/"}, of="/sign-in")
        assert led.headers["location"] == first
        page = (await visitor.get(first)).text
        for path in re.findall(r'<li><a href="(/[^"]*)"', page.partition('aria-label="Main"')[2].partition("</nav>")[0]):
            await visitor.get(path)  # the navigation leads nowhere that is shut
        sent = {"csrf": await visitor.csrf("/sign-out")}
        origin = {"Origin": str(api.client.base_url).rstrip("/")}
        for method, path in sorted(PAGE_NEEDS):
            if path in {"/live", "/home", "/brand.css"} or (method, path) == ("POST", "/sign-out"):
                continue  # a stream without an end; pages of customers; the end of the walk
            needs = PAGE_NEEDS[method, path]
            is_open = all(set(need.scopes) <= allowed and not (need.is_for_all_groups and bound_to) for need in needs)
            where = path.format_map(VALUES)
            response = await visitor.client.request(
                method, where, **({"data": sent, "headers": origin} if method == "POST" else {})
            )
            is_shut = response.status_code == 403 or (path == "/" and response.headers.get("location") == first)
            assert is_shut == (not is_open), (method, path, response.text[:300])
            assert response.status_code < 500, (method, path)
        if bound_to:
            await visitor.get("/webhooks?group=other", 403)
            await visitor.get("/webhooks?group=nowhere", 403)


VALUES = {name: str(UUID(int=255)) for name in (
    "webhook_id", "delivery_id", "event_id", "recovery_id", "job_id", "record_id", "key_id", "bin_id", "listener_id", "setting_id",
    "member_id", "rule_id", "erasure_id")} | {
    "number": "1", "part": "request", "name": "nothing", "kind": "webhook",
}  # fmt: skip
PAGE_HINT = "{} {} says nothing of the scopes that it needs, so it takes admin of all groups: put it into the table in portal/scopes.py."
