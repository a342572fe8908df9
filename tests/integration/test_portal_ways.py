"""Pages show ways that lead somewhere: whoever looks, no form and no link of a page leads to a refusal."""

import re
from collections.abc import AsyncIterator, Sequence
from html import unescape
from typing import Any

import httpx
import msgspec
import pytest

from tests.integration.test_portal import PAGES
from tests.support.engine import Engine, engine_of
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tests.support.torture import LONG
from tidings.config import Config
from tidings.core.attempts import MAX_LINKS, Attempts
from tidings.core.roles import SCOPES, Role
from tidings.core.scopes import Scope

KEY = {"Authorization": "Bearer test"}
READS = tuple(scope for scope in Scope if scope.value.endswith(":read"))
LEAVES = {"/sign-out", "/theme"}  # of every page, for everybody; the first ends the session
WHO: dict[str, dict[str, Any]] = {
    **{role.value: {"scopes": SCOPES[role]} for role in Role},
    **{f"{role.value} of one group": {"scopes": SCOPES[role], "bound_to": "default"} for role in (Role.OWNER, Role.DEVELOPER)},
    "reads all": {"scopes": READS},
    "sees webhooks": {"scopes": (Scope.WEBHOOKS_READ, Scope.DELIVERIES_READ)},
    **{f"customer who may {access}": {"access": access} for access in ("read", "manage", "full")},
}

# Each asks some hundred addresses: those who differ most go each time, all of them in the long form.
OFTEN = {"support", "viewer", "owner of one group", "customer who may read", "customer who may full"}


class House:
    """An installation with one of everything."""

    def __init__(self, engine: Engine, url: str) -> None:
        self.engine, self.url, self.pages = engine, url, [path for path in PAGES if path not in {"/nowhere", "/gallery"}]
        self.webhook = ""

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        async with httpx.AsyncClient(base_url=self.url, headers=KEY) as client:
            answer = await client.request(method, f"/api/v1{path}", json=body)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None

    async def furnish(self, receiver: Receiver) -> None:
        hook = {"url": receiver.url(), "events": ["order.paid"], "name": "orders"}
        self.webhook = (await self.call("POST", "/webhooks", hook))["id"]
        paused = (await self.call("POST", "/webhooks", {**hook, "enabled": False}))["id"]
        await self.call("PUT", "/event-types/order.paid", {"description": "An order was paid."})
        event = (await self.call("POST", "/events", {"type": "order.paid", "data": {"id": 1}}))["id"]
        fields = [{"name": "title", "type": "text"}]
        await self.call("POST", "/collections", {"name": "notes", "type": "base", "fields": fields})
        record = (await self.call("POST", "/collections/notes/records", {"title": "a"}))["id"]
        ticks = {"name": "nightly", "schedule": "0 0 * * *", "url": receiver.url()}
        job = (await self.call("POST", "/cron", ticks))["id"]
        await self.call("POST", "/integrations", {"name": "shop", "platform": "standard"})
        bin_ = (await self.call("POST", "/bins", {"name": "tries"}))["id"]
        rule = (
            await self.call("POST", "/redaction-rules", {"name": "no mail", "events": ["order.*"], "fields": ["record.email"]})
        )["id"]
        await self.call("POST", "/groups/default/portal-link", {})
        await self.engine.sql("insert into tidings.groups (id) values ('acme') on conflict do nothing")
        await self.engine.cycle()
        delivery = (await self.call("GET", "/deliveries?status=succeeded"))[0]["id"]
        recovery = await self.call("POST", f"/webhooks/{self.webhook}/recover", {"since": "2020-01-01T00:00:00Z"})
        self.pages += [f"/webhooks/{paused}", "/settings/groups/delete?id=acme", "/recoveries/" + recovery["id"]]
        tabs = ("", "/test", "/diagnose", "/dry-run", "/secrets", "/versions", "/edit", "/recover", "/ready", "/delete")
        self.pages += [f"/webhooks/{self.webhook}{end}" for end in tabs]
        self.pages += [f"/deliveries/{delivery}", f"/events/{event}", f"/events/{event}/explain"]
        self.pages += [
            "/sources/collections/notes",
            f"/sources/collections/notes/records/{record}",
            "/sources/integrations/shop",
        ]
        self.pages += [f"/sources/jobs/{job}", f"/settings/bins/{bin_}", f"/settings/redaction/{rule}", "/home"]

    async def let_in(self, visitor: Visitor, who: dict[str, Any]) -> None:
        if "access" in who:
            made = await self.call("POST", "/groups/default/portal-link", who)
            assert (await visitor.client.get(made["url"].removeprefix(self.url))).status_code == 303
            return
        made = await self.call("POST", "/keys", {"name": "somebody", **who})
        await visitor.send("/sign-in", {"key": made["key"], "to": "/"}, of="/sign-in")


@pytest.fixture
async def house(config: Config, api_server: ApiServer, receiver: Receiver) -> AsyncIterator[House]:
    config = msgspec.structs.replace(config, trusted_proxies="127.0.0.1/32")
    async with engine_of(config) as engine, api_server.serving(engine.services) as url:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        api_server._framework.state["link_guesses"] = Attempts(MAX_LINKS)
        made = House(engine, url)
        await made.furnish(receiver)
        yield made


def ways_of(page: httpx.Response) -> tuple[set[str], list[tuple[str, str, str]]]:
    """Return where the links of a page lead, and its forms: method, action, token."""
    text = page.text
    links = {unescape(href) for href in re.findall(r'<a\b[^>]*?\shref="(/[^"]*)"', text)}
    links |= {unescape(href) for href in re.findall(r'\shx-get="(/[^"]*)"', text)}
    forms = []
    for tag, inside in re.findall(r"<form\b([^>]*)>(.*?)</form>", text, re.DOTALL):
        found = {name: unescape(value) for name, value in re.findall(r'\b(method|action)="([^"]*)"', tag)}
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', inside)
        actions = [found.get("action", page.url.path), *re.findall(r'formaction="([^"]*)"', inside)]
        forms += [(found.get("method", "get"), action, token[1] if token else "") for action in actions]
    forms += [("post", unescape(action), "") for action in re.findall(r'\shx-post="(/[^"]*)"', text)]
    return links, forms


async def refused(visitor: Visitor, pages: Sequence[str]) -> tuple[set[str], list[str], int]:
    """Return all ways that were shown, those that are refused, with where they stand, and how many pages were open."""
    shown: dict[tuple[str, str], tuple[str, str]] = {}
    seen = 0
    for path in pages:
        answer = await visitor.client.get(path)
        seen += answer.status_code == 200
        links, forms = ways_of(answer)
        for href in links:
            shown.setdefault(("get", href.partition("#")[0]), (path, ""))
        for method, action, token in forms:
            if method != "dialog" and action not in LEAVES:
                before = shown.get((method, action), (path, ""))
                shown[method, action] = (before[0], before[1] or token)
    bad = []
    token = max((kept for _, kept in shown.values()), default="")
    origin = {"Origin": str(visitor.client.base_url).rstrip("/")}
    for (method, address), (path, own) in sorted(shown.items()):  # links first: forms change things
        if "/live" in address or address.startswith("/groups?") or "group=" in address or address == "/sign-out":
            continue  # streams do not end, and another group is another page
        if method == "post":
            answer = await visitor.client.post(address, data={"csrf": own or token}, headers=origin)
        else:
            answer = await visitor.client.get(address)
        if answer.status_code in {401, 403}:
            bad.append(f"{method} {address} on {path}")
    return {f"{method} {address}" for method, address in shown}, bad, seen


@pytest.mark.parametrize("who", [who for who in WHO if LONG or who in OFTEN])
async def test_no_way_that_a_page_shows_leads_to_a_refusal(house: House, who: str) -> None:
    async with visiting(house.engine, house.url) as visitor:
        await house.let_in(visitor, WHO[who])
        shown, bad, seen = await refused(visitor, house.pages)
    assert bad == []
    assert seen > (4 if "customer" in who or "sees" in who else 20)
    # And what they may do is shown.
    changes, sends = f"post /webhooks/{house.webhook}/pause", f"get /webhooks/{house.webhook}/recover"
    allowed = WHO[who].get("scopes", ())
    is_manager = WHO[who].get("access") in {"manage", "full"}
    writes = is_manager or bool({Scope.WEBHOOKS_WRITE, Scope.ADMIN} & set(allowed))
    retries = is_manager or bool({Scope.DELIVERIES_RETRY, Scope.ADMIN} & set(allowed))
    assert (changes in shown, sends in shown) == (writes, retries)
    for end in ("test", "diagnose", "edit", "secrets", "delete"):
        assert (f"get /webhooks/{house.webhook}/{end}" in shown) == writes, end
    assert ("post /deliveries/retry" in shown) == retries
    is_owner = Scope.ADMIN in allowed and "bound_to" not in WHO[who]
    for owned in ("get /settings/groups/delete?id=acme", "post /settings/keys/rotate", "post /settings/groups"):
        assert (owned in shown) == is_owner, owned
    assert ("post /settings/links" in shown) == (writes and not is_manager)
