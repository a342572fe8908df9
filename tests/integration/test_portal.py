"""Signing in, sessions, forms, headers and faults of the portal, over HTTP."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.testing import AsyncTestClient

from tests.support.engine import Engine, engine_of
from tests.support.limits import PATIENCE
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.api_key import SETTINGS_KEY_ID
from tidings.core.attempts import MAX_ATTEMPTS, Attempts
from tidings.portal.answers import MAX_SAID, go, show
from tidings.portal.views.errors import error_view
from tidings.portal.views.small import Notice
from tidings.store import sessions

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = (
    "/sources",
    "/sources/new/collection",
    "/sources/new/job",
    "/sources/new/integration",
    "/sources/new/table",
    "/sources/new/type",
    "/sources/tables",
    "/sources/collections",
    "/sources/jobs",
    "/sources/integrations",
    "/sources/catalogue",
    "/settings/groups",
    "/settings/groups/delete?id=default",
    "/settings/limits",
    "/settings/limits/defaults",
    "/settings/links",
    "/settings/members",
    "/account",
    "/settings/api-keys",
    "/settings/keys",
    "/settings/egress",
    "/settings/fleet",
    "/settings/bins",
    "/settings/bins/new",
    "/settings/listeners",
    "/settings/set-aside",
    "/settings/redaction",
    "/settings/redaction/new",
    "/settings/erasures",
    "/settings/audit",
    "/settings/audit/verification",
    "/settings/about",
    "/",
    "/deliveries",
    "/events",
    "/search?q=delivery+history",
    "/groups",
    "/settings",
    "/gallery",
    "/sign-out",
    "/recover",
    "/recoveries",
    "/webhooks",
    "/webhooks/new",
    "/nowhere",
)


class Visitor:
    """A browser without a screen."""

    def __init__(self, client: httpx.AsyncClient, engine: Engine) -> None:
        self.client = client
        self.engine = engine

    async def get(self, path: str, expect: int = 200, **headers: str) -> httpx.Response:
        response = await self.client.get(path, headers=headers)
        assert response.status_code == expect, response.text[:500]
        return response

    async def csrf(self, path: str) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', (await self.get(path)).text)
        assert found
        return found[1]

    async def post(self, path: str, fields: dict[str, str], expect: int, **headers: str) -> httpx.Response:
        sent = {"Origin": str(self.client.base_url).rstrip("/")} | headers
        response = await self.client.post(path, data=fields, headers=sent)
        assert response.status_code == expect, response.text[:500]
        return response

    async def sign_in(self, key: str = "test", expect: int = 303, to: str = "/") -> httpx.Response:
        return await self.post("/sign-in", {"csrf": await self.csrf("/sign-in"), "key": key, "to": to}, expect)


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    config = msgspec.structs.replace(config, trusted_proxies="127.0.0.1")
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=HTML, timeout=PATIENCE) as client,
    ):
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        yield Visitor(client, engine)


async def test_a_browser_is_led_to_sign_in_and_back_and_a_program_is_answered_in_json(visitor: Visitor) -> None:
    assert (await visitor.get("/", 303)).headers["location"] == "/sign-in"
    assert (await visitor.get("/settings", 303)).headers["location"] == "/sign-in?to=%2Fsettings"
    answer = await visitor.get("/", Accept="application/json")
    assert (answer.json()["docs"], answer.json()["document"]) == ("/docs", "/openapi.json")
    assert (await visitor.get("/docs", 303)).headers["location"] == "/sign-in?to=%2Fdocs"
    await visitor.get("/docs/openapi.json", 303)
    assert (await visitor.get("/api/v1/nowhere", 404)).headers["content-type"] == "application/json"
    assert "version" not in (await visitor.get("/openapi.json", 401)).text
    assert (await visitor.sign_in(to="/settings")).headers["location"] == "/settings"
    assert "this one" in (await visitor.get("/settings")).text
    assert (await visitor.get("/sign-in", 303)).headers["location"] == "/"


async def test_nobody_is_led_elsewhere_by_signing_in(visitor: Visitor) -> None:
    assert (await visitor.sign_in(to="//evil.example/")).headers["location"] == "/"


async def test_the_cookie_is_kept_from_scripts_and_only_its_hash_is_stored(visitor: Visitor) -> None:
    answer = await visitor.sign_in()
    (line,) = [line for line in answer.headers.get_list("set-cookie") if line.startswith("tidings=")]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(line.split("; "))
    token = visitor.client.cookies["tidings"]
    assert await visitor.engine.value("select token_hash from tidings.sessions") == sessions.hash_token(token)
    assert token not in str(await visitor.engine.sql("select * from tidings.sessions"))


async def test_under_https_cookies_are_bound_to_the_host(visitor: Visitor) -> None:
    answer = await visitor.get("/sign-in", **{"X-Forwarded-Proto": "https"})
    (line,) = answer.headers.get_list("set-cookie")
    assert line.startswith("__Host-tidings-visit=")
    assert "Secure" in line.split("; ")


async def test_a_wrong_key_is_told_and_too_many_are_not_looked_at(visitor: Visitor) -> None:
    assert "not the admin key" in (await visitor.sign_in("wrong", 401)).text
    for _ in range(MAX_ATTEMPTS - 1):
        await visitor.sign_in("", 401)
    answer = await visitor.sign_in("test", 429)
    assert 0 < int(answer.headers["retry-after"]) <= 300
    assert await visitor.engine.value("select count(*) from tidings.sessions") == 0


async def test_forms_of_others_are_refused(visitor: Visitor) -> None:
    await visitor.sign_in()
    fields = {"csrf": await visitor.csrf("/sign-out")}
    await visitor.post("/sign-out", fields, 403, Origin="https://evil.example")
    await visitor.post("/sign-out", fields, 403, Origin="null")
    await visitor.post("/sign-out", {}, 403)
    await visitor.post("/sign-out", {"csrf": "0" * 64}, 403)
    without = await visitor.client.post("/sign-out", data=fields)
    assert without.status_code == 403
    await visitor.get("/settings")
    await visitor.post("/sign-out", {}, 303, **{"X-CSRF-Token": fields["csrf"]})
    await visitor.get("/settings", 303)


async def test_a_session_is_rotated_ends_when_told_and_when_its_time_is_over(visitor: Visitor) -> None:
    await visitor.sign_in()
    first = visitor.client.cookies["tidings"]
    await visitor.post("/sign-in", {"csrf": await visitor.csrf("/settings"), "key": "test"}, 303)
    second = visitor.client.cookies["tidings"]
    assert first != second
    assert await visitor.engine.value("select count(*) from tidings.sessions") == 1
    visitor.engine.clock.ahead += sessions.IDLE - timedelta(minutes=1)
    await visitor.get("/settings")
    visitor.engine.clock.ahead += sessions.IDLE - timedelta(minutes=1)
    await visitor.get("/settings")
    visitor.engine.clock.ahead += sessions.LONGEST
    await visitor.get("/settings", 303)
    async with visitor.engine.services.wide.connection() as connection:
        await sessions.forget(connection, visitor.engine.clock.now())
    assert await visitor.engine.value("select count(*) from tidings.sessions") == 0


async def test_sessions_are_listed_ended_bounded_and_end_with_the_key(visitor: Visitor) -> None:
    services = visitor.engine.services
    known = {"key_id": SETTINGS_KEY_ID, "key_hash": services.installation.admin_key_hash}
    async with services.wide.connection() as connection:
        for number in range(sessions.MAX_SESSIONS + 5):
            now = services.clock.now() + timedelta(milliseconds=number)
            await sessions.begin(
                connection, f"t{number}", **known, group_id="default", browser="B\0" * 300, address="a", now=now
            )
        assert len(await sessions.list_sessions(connection, now=services.clock.now())) == sessions.MAX_SESSIONS
        assert await sessions.find(connection, "t0", now=services.clock.now()) is None
        assert await sessions.find(connection, "t104", now=services.clock.now()) is not None
        await connection.execute("update tidings.api_keys set token_hash = sha256('another')")
        assert await sessions.find(connection, "t104", now=services.clock.now()) is None
        assert await sessions.list_sessions(connection, now=services.clock.now()) == []
        await connection.execute("update tidings.api_keys set token_hash = decode($1, 'hex')", known["key_hash"])
    visitor.engine.clock.ahead += timedelta(seconds=1)
    await visitor.sign_in()
    fields = {"csrf": await visitor.csrf("/settings"), "id": "others"}
    await visitor.post("/settings/sessions/end", fields, 303)
    assert "All other sessions have ended." in (await visitor.get("/settings")).text
    assert "All other sessions have ended." not in (await visitor.get("/settings")).text
    await visitor.post("/settings/sessions/end", fields | {"id": "x"}, 422)
    own = str(await visitor.engine.value("select id from tidings.sessions"))
    await visitor.post("/settings/sessions/end", fields | {"id": own}, 303)
    await visitor.get("/settings", 303)


async def test_a_group_is_chosen_by_its_parameter_and_kept(visitor: Visitor) -> None:
    await visitor.sign_in()
    await visitor.engine.user.execute("insert into tidings.groups (id) values ('acme')")
    assert 'href="/settings?group=acme"' in (await visitor.get("/groups?to=/settings")).text
    assert '<span class="group-name">acme</span>' in (await visitor.get("/settings?group=acme")).text
    assert '<span class="group-name">acme</span>' in (await visitor.get("/")).text
    assert "There is no group" in (await visitor.get("/?group=nobody", 404)).text
    assert "knows no parameter" in (await visitor.get("/settings?colour=red", 422)).text


async def test_every_answer_has_the_headers_and_no_page_has_anything_inline(visitor: Visitor) -> None:
    pages = [await visitor.get("/sign-in")]
    await visitor.sign_in()
    pages += [await visitor.client.get(path) for path in PAGES]
    style = re.search(r'href="(/assets/base\.[0-9a-f]{12}\.css)"', pages[0].text)
    assert style
    asset = await visitor.get(style[1])
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    refused = await visitor.client.post("/theme", data={})
    for page in (*pages, asset, refused):
        assert page.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "same-origin"
    for page in pages:
        assert page.headers["cache-control"] == "no-store"
        assert (
            re.findall(
                r"<script(?![^>]*\bsrc=)|<style|<[^>]*\sstyle=|<[a-z][^>]*\son\w+=|(?:href|src|action)=\"\s*javascript:",
                page.text,
            )
            == []
        )
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//', page.text) == []


async def test_the_first_page_is_small(visitor: Visitor) -> None:
    page = await visitor.get("/sign-in")
    addresses = set(re.findall(r'"(/assets/[^"#]+)', page.text))
    sizes = [len(page.content)] + [len((await visitor.get(address)).content) for address in addresses]
    assert sum(sizes) < 120_000
    assert (await visitor.client.get("/assets/base.000000000000.css")).status_code == 404


async def test_hostile_content_is_inert(visitor: Visitor) -> None:
    await visitor.sign_in()
    text = (await visitor.get("/gallery")).text
    assert "<script>alert" not in text
    assert "<body onload" not in text
    assert len(text) < 250_000
    assert not re.search("[\x01-\x08\x0b-\x1f]", re.sub(r'(?:data-copy|title)="[^"]*"', "", text))
    assert '<span class="sign" title="right-to-left override, U+202E">U+202E</span>' in text


async def test_how_pages_look_is_kept(visitor: Visitor) -> None:
    fields = {"csrf": await visitor.csrf("/sign-in"), "theme": "dark", "to": "/sign-in"}
    assert (await visitor.post("/theme", fields, 303)).headers["location"] == "/sign-in"
    assert 'data-theme="dark"' in (await visitor.get("/sign-in")).text
    await visitor.post("/theme", fields | {"theme": "pink"}, 422)


async def test_a_fault_of_ours_is_a_page_and_is_logged_once(visitor: Visitor, caplog: pytest.LogCaptureFixture) -> None:
    await visitor.sign_in()
    await visitor.engine.user.execute("alter table tidings.sessions rename column browser to was_browser")
    page = await visitor.get("/settings", 500)
    assert "Our fault" in page.text
    assert "was_browser" not in page.text
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == ["tidings.portal"]


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\U0001f4e8", "\x1f"])
async def test_a_notice_is_told_on_the_next_page_however_long_it_may_be(config: Config, letter: str) -> None:
    @get("/leave")
    async def leave(request: Request[Any, Any, Any]) -> Response[Any]:
        return go(request, "/next", said=Notice("warn", letter * (MAX_SAID + 1)))

    @get("/next")
    async def next_page(request: Request[Any, Any, Any]) -> Response[Any]:
        return show(request, "errors/page.html", error_view(404, "-"), title="-")

    async with engine_of(config) as engine:
        app = Litestar([leave, next_page], state=State({"services": engine.services}), openapi_config=None)
        async with AsyncTestClient(app, base_url="http://testserver.local") as client:
            told = (await client.get("/leave", follow_redirects=True)).text
            assert letter * MAX_SAID in told
            assert letter * (MAX_SAID + 1) not in told
            assert letter * MAX_SAID not in (await client.get("/next")).text
