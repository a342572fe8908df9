"""What stands before the portal: by which name it is asked, and through whom."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.support.engine import engine_of
from tests.support.portal import Visitor, visiting
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import MAX_ATTEMPTS, Attempts

KEY = {"Authorization": "Bearer test"}
PUBLIC = "https://hooks.example.com"
LINK = "/api/v1/groups/default/portal-link"


@asynccontextmanager
async def served(config: Config, api_server: ApiServer, **settings: Any) -> AsyncIterator[Visitor]:
    """A browser before an installation with these settings."""
    config = msgspec.structs.replace(config, **settings)
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        yield visitor


async def test_a_link_leads_where_it_is_configured_and_never_where_a_header_says(config: Config, api_server: ApiServer) -> None:
    foreign = KEY | {"Host": "evil.example"}
    async with served(config, api_server) as visitor:
        refused = await visitor.client.post(LINK, json={}, headers=foreign)
        assert refused.status_code == 409
        assert "Set TIDINGS_PUBLIC_URL" in refused.json()["error"]
        assert "evil" not in refused.text
        assert await visitor.engine.value("select count(*) from tidings.portal_links") == 0
        here = await visitor.client.post(LINK, json={}, headers=KEY)
        assert here.json()["url"].startswith(str(visitor.client.base_url).rstrip("/") + "/p/")
        await visitor.sign_in()
        assert "Set TIDINGS_PUBLIC_URL" not in (await visitor.get("/settings/links")).text
        for path in ("/settings/links", "/settings/keys", "/settings"):
            page = (await visitor.get(path, Host="evil.example:8080", Cookie=_cookies(visitor))).text
            assert "evil.example" not in page, path
        assert "Set TIDINGS_PUBLIC_URL" in (await visitor.get("/settings/links", Host="10.0.0.1:8080")).text
    async with served(config, api_server, public_url=PUBLIC) as visitor:
        made = await visitor.client.post(LINK, json={}, headers=foreign)
        assert made.json()["url"].startswith(f"{PUBLIC}/p/")


def _cookies(visitor: Visitor) -> str:
    return "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())


async def test_a_form_is_taken_under_the_configured_name_alone(config: Config, api_server: ApiServer) -> None:
    """A name of somebody else's that leads here is another origin, whatever its pages say of themselves."""
    async with served(config, api_server, public_url="http://hooks.example.com") as visitor:
        await visitor.sign_in()  # on this machine, which is always known
        csrf = await visitor.csrf("/settings/links")

        async def send(host: str, origin: str) -> Any:
            headers = {"Host": host, "Origin": origin, "Cookie": _cookies(visitor)}
            return await visitor.client.post("/settings/links", data={"csrf": csrf, "expires_in": "3600"}, headers=headers)

        assert (await send("hooks.example.com", "http://hooks.example.com")).status_code == 200
        refused = await send("evil.example", "http://evil.example")
        assert refused.status_code == 403
        assert "at http://hooks.example.com," in refused.text
        assert (await send("evil.example", "http://hooks.example.com")).status_code == 403


async def test_forwarded_addresses_are_believed_of_named_proxies_alone(
    config: Config, api_server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def guess(visitor: Visitor, address: str, expect: int) -> Any:
        visitor.client.cookies.clear()
        csrf = await visitor.csrf("/sign-in")
        headers = {"Origin": str(visitor.client.base_url).rstrip("/"), "X-Forwarded-For": address}
        answer = await visitor.client.post("/sign-in", data={"csrf": csrf, "key": "wrong"}, headers=headers)
        assert answer.status_code == expect

    with caplog.at_level(logging.WARNING, "tidings.api"):
        async with served(config, api_server) as visitor:
            for number in range(MAX_ATTEMPTS):
                await guess(visitor, f"192.0.2.{number}", 401)
            await guess(visitor, "192.0.2.99", 429)
    said = [record.getMessage() for record in caplog.records if "TIDINGS_TRUSTED_PROXIES" in record.getMessage()]
    assert len(said) == 1, "once, however often"
    async with served(config, api_server, trusted_proxies="127.0.0.1") as visitor:
        for _ in range(MAX_ATTEMPTS):
            await guess(visitor, "6.6.6.6, 192.0.2.1", 401)
        await guess(visitor, "7.7.7.7, 192.0.2.1", 429)
        await guess(visitor, "6.6.6.6, 192.0.2.2", 401)


async def test_cookies_are_secure_when_a_proxy_that_is_believed_was_asked_by_https(
    config: Config, api_server: ApiServer
) -> None:
    async def sets(visitor: Visitor, **headers: str) -> str:
        visitor.client.cookies.clear()
        return str((await visitor.get("/sign-in", **headers)).headers["set-cookie"])

    https = {"X-Forwarded-Proto": "https"}
    async with served(config, api_server) as visitor:
        assert "Secure" not in await sets(visitor, **https)
    async with served(config, api_server, trusted_proxies="127.0.0.1") as visitor:
        assert "Secure" not in await sets(visitor)
        assert (await sets(visitor, **https)).startswith("__Host-tidings-visit=")
    async with served(config, api_server, public_url=PUBLIC) as visitor:
        assert "Secure" in await sets(visitor, Host="hooks.example.com")
        assert "Secure" not in await sets(visitor)
