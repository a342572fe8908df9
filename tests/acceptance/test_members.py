"""Members and their sessions, where two processes serve one database: what one does holds at the other from the next page on."""

from contextlib import AsyncExitStack

import httpx

from tests.integration.test_members import ADA
from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.portal import visiting
from tests.support.process import Process, free_ports
from tests.support.provider import CLIENT, SECRET, providing
from tidings.config import Config


async def test_what_one_process_does_of_members_and_sessions_holds_at_the_other(config: Config) -> None:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(providing())
        addresses = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
        settings = {
            "database_url": config.database_url, "data_dir": config.data_dir, "secret_key": "test", "admin_key": "test",
            "public_url": addresses[0], "oidc_issuer": provider.issuer, "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
        }  # fmt: skip
        engine = await stack.enter_async_context(engine_of(config))
        processes = [await Process.start("serve", port=address.rpartition(":")[2], **settings) for address in addresses]
        for process in processes:
            stack.push_async_callback(process.kill)
        key = {"X-API-Key": "test"}
        first = await stack.enter_async_context(httpx.AsyncClient(base_url=addresses[0], headers=key, timeout=PATIENCE))
        second = await stack.enter_async_context(httpx.AsyncClient(base_url=addresses[1], headers=key, timeout=PATIENCE))
        invited = (await first.post("/api/v1/members", json={"email": ADA, "role": "owner"})).json()
        begins = await stack.enter_async_context(visiting(engine, addresses[0]))
        returns = await stack.enter_async_context(visiting(engine, addresses[1]))

        async def come() -> None:
            left = await begins.get("/sign-in/provider", 303)
            returns.client.cookies = begins.client.cookies  # one browser: a balancer sends it to the one or the other
            await returns.get(f"/sign-in/callback?{provider.ask(left.headers['location'])}", 303)
            begins.client.cookies = returns.client.cookies

        await come()  # begun at one, answered at the other
        for visitor in (begins, returns):
            await visitor.get("/settings")
        # A role that is taken down at one opens less at the other.
        path = f"/api/v1/members/{invited['id']}"
        assert (await first.request("PATCH", path, json={"role": "viewer"})).is_success
        await returns.get("/webhooks")
        await returns.get("/settings", 403)
        # A session that is ended at one is over at the other.
        (session,) = (await second.get("/api/v1/sessions")).json()
        assert session["member_email"] == ADA
        assert (await second.delete(f"/api/v1/sessions/{session['id']}")).status_code == 204
        assert "/sign-in" in (await begins.get("/webhooks", 303)).headers["location"]
        # Whoever is removed at one is nobody at the other.
        await come()
        await returns.get("/webhooks")
        assert (await first.delete(path)).status_code == 204
        assert "/sign-in" in (await returns.get("/webhooks", 303)).headers["location"]
        for process in processes:
            assert await process.stop() == 0
