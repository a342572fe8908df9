"""The pages of keys, tenants and their webhooks' credentials, filled, in a real browser: used by everybody, and pictured."""

from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import trustme
from playwright.async_api import Browser

from tests.support.browser import LOOKS, look_at, page_of, sign_in
from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config

KEY = {"Authorization": "Bearer test"}
PROVIDER = {
    "oidc_issuer": "https://accounts.example.com",
    "oidc_client_id": "tidings",
    "oidc_client_secret": "s" * 32,
    "oidc_name": "Google",
}
PAGES = {
    "overview-attention": "/",
    "webhooks-health": "/webhooks",
    "webhook-credentials": "/webhooks/{webhook}#credentials-title",
    "webhook-edit-credentials": "/webhooks/{webhook}/edit#credentials",
    "webhook-diagnose": "/webhooks/{webhook}/diagnose",
    "api-keys": "/settings/api-keys",
    "api-key": "/settings/api-keys/{key}",
    "members": "/settings/members",
    "member": "/settings/members/{member}",
    "account": "/account",
    "limits": "/settings/limits",
    "limit-defaults": "/settings/limits/defaults",
    "egress": "/settings/egress?url=https%3A%2F%2F10.0.0.1%2F",
    "redaction": "/settings/redaction",
    "redaction-rule": "/settings/redaction/{rule}",
    "erasures": "/settings/erasures",
    "erasure": "/settings/erasures/{erasure}",
    "bins": "/settings/bins",
    "bin": "/settings/bins/{bin}",
    "listeners": "/settings/listeners",
    "links": "/settings/links",
    "audit": "/settings/audit",
    "audit-verification": "/settings/audit/verification",
}


class Calls:
    """The API, as an operator calls it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        response = await self.client.request(method, f"/api/v1{path}", json=body, headers=KEY)
        assert response.is_success, (method, path, response.text)
        return response.json() if response.content else None


async def furnish(call: Calls, engine: Engine, receiver: Receiver) -> dict[str, str]:
    """Fill an installation with something of each kind; return what addresses need."""
    ids, authority = {}, trustme.CA(organization_name="ACME", organization_unit_name="Internal authority")
    issued = authority.issue_cert(
        "orders@shop.example.com", organization_name="Shop", not_after=engine.clock.now() + timedelta(days=12, minutes=5)
    )
    shown = {
        "auth": {"type": "basic", "username": "shop", "password": "not shown"},
        "client_certificate": {
            "certificate": issued.cert_chain_pems[0].bytes().decode(), "key": issued.private_key_pem.bytes().decode(),
        },
        "ca_certificates": authority.cert_pem.bytes().decode(),
    }  # fmt: skip
    told = {"url": receiver.url(), "events": ["order.*"]}
    ids["webhook"] = (await call("POST", "/webhooks", {**told, "name": "ERP"} | shown))["id"]
    token = {"type": "oauth2", "token_url": receiver.url("/token"), "client_id": "crm", "client_secret": "not shown"}
    await call(
        "POST", "/webhooks", {"url": "https://crm.example.com/hooks", "events": ["user.*"], "name": "CRM", "auth": token}
    )
    for name, scopes, days in (("billing", ["events:publish"], 9), ("support", ["webhooks:read", "deliveries:read"], 90)):
        made = await call("POST", "/keys", {"name": name, "scopes": scopes, "expires_in": days * 86_400})
        ids["key"] = made["id"]
    for email, role in (("ada@example.com", "owner"), ("bob@example.com", "support")):
        ids["member"] = (await call("POST", "/members", {"email": email, "role": role, "groups": ["default"]}))["id"]
    await call("PATCH", "/groups/default/limits", {"webhooks": 5, "events_per_second": 200, "stored_bytes": 5_000_000})
    await call("PUT", "/groups/default/egress", {"denied_ports": ["6000"]})
    rule = {"name": "no cards", "events": ["order.*"], "fields": ["card", "customer.email"]}
    ids["rule"] = (await call("POST", "/redaction-rules", rule))["id"]
    for number in range(3):
        data = {"id": number, "card": "4111 1111 1111 1111", "customer": {"email": "eve@example.com"}}
        await call("POST", "/events", {"type": "order.paid", "data": data})
    await eventually(lambda: engine.value("select count(*) = 3 from tidings.deliveries"))
    ids["erasure"] = (await call("POST", "/erasures", {"value": "eve@example.com", "dry_run": True}))["id"]
    ids["bin"] = (await call("POST", "/bins", {"name": "checkout, while it is built"}))["id"]
    for number in range(3):
        caught = await call.client.post(f"/bin/{ids['bin']}", json={"type": "order.paid", "number": number})
        assert caught.is_success
    await call("POST", "/listeners", {"name": "ada's laptop", "events": ["order.*"]})
    await call("POST", "/groups/default/portal-link", {"brand": {"name": "Acme"}, "origins": ["https://app.example.com"]})
    await call("PATCH", f"/webhooks/{ids['webhook']}", {"name": "ERP of the warehouse", "timeout_seconds": 10})
    await engine.worker.sealer.run_once()
    return ids


@pytest.mark.parametrize("look", LOOKS)
async def test_pages_of_keys_and_tenants_can_be_used_by_everybody(
    browser: Browser, config: Config, api_server: ApiServer, receiver: Receiver, look: str
) -> None:
    """axe-core finds nothing serious on any page in any look, and nothing is wider than the window."""
    config = msgspec.structs.replace(config, public_url=api_server.url, **PROVIDER)  # type: ignore[arg-type]
    faults: dict[str, list[str]] = {}
    async with engine_of(config, running=True) as engine, api_server.serving(engine.services) as url:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
            ids = await furnish(Calls(client), engine, receiver)
        async with page_of(browser, url, **LOOKS[look]) as page:
            faults["sign-in-provider"] = await look_at(page, "/sign-in", f"sign-in-provider-{look}")
            await sign_in(page)
            for name, path in PAGES.items():
                faults[name] = await look_at(page, path.format_map(ids), f"{name}-{look}")
    assert {name: found for name, found in faults.items() if found} == {}
