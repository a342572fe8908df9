"""Members: who signs in by a provider, what is believed of it, what roles open, and how both end."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from tests.integration.test_api import KEY
from tests.integration.test_keys import VALUES
from tests.support.engine import Engine, engine_of, eventually
from tests.support.portal import Visitor, visiting
from tests.support.provider import CLIENT, SECRET, Key, Provider, providing, unsigned
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.core.oidc import BEGUN_SECONDS, SKEW_SECONDS
from tidings.core.roles import SCOPES, Held, Role, allowed
from tidings.core.scopes import Scope, granted
from tidings.portal.scopes import NEEDS
from tidings.store import live
from tidings.store.sessions import MAX_OF_MEMBER
from tidings.transport import provider as calls

ADA = "ada@example.com"


class House:
    """A portal with a provider, and the API beside it."""

    def __init__(self, engine: Engine, provider: Provider, url: str, client: httpx.AsyncClient, server: ApiServer) -> None:
        self.engine, self.provider, self.url, self.api, self.server = engine, provider, url, client, server

    async def invite(self, role: str = "viewer", *groups: str, email: str = ADA, expect: int = 201) -> Any:
        body = {"email": email, "role": role} | ({"groups": list(groups)} if groups else {})
        return await self("POST", "/api/v1/members", expect, body)

    async def __call__(self, method: str, path: str, expect: int = 200, body: Any = None, **headers: str) -> Any:
        response = await self.api.request(method, path, json=body, headers=headers)
        assert response.status_code == expect, response.text
        return response.json() if response.content else None

    async def come(self, visitor: Visitor, to: str = "/", expect: int = 303, **changed: str) -> httpx.Response:
        """Sign in by the provider, as whoever it says."""
        self.forgive()
        left = await visitor.get(f"/sign-in/provider?to={to}", 303)
        query = self.provider.ask(left.headers["location"])
        for name, value in changed.items():
            query = re.sub(rf"{name}=[^&]*", f"{name}={value}", query) if f"{name}=" in query else f"{query}&{name}={value}"
        return await visitor.get(f"/sign-in/callback?{query}", expect)

    def forgive(self) -> None:
        self.server._framework.state["sign_in_attempts"] = Attempts()  # type: ignore[union-attr]


@asynccontextmanager
async def housing(config: Config, api_server: ApiServer, provider: Provider, **settings: Any) -> AsyncIterator[House]:
    set_ = {
        "public_url": api_server.url,
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
    }
    async with (
        engine_of(msgspec.structs.replace(config, **set_ | settings)) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY) as client,
    ):
        yield House(engine, provider, url, client, api_server)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as running:
        yield running


@pytest.fixture
async def house(config: Config, api_server: ApiServer, provider: Provider) -> AsyncIterator[House]:
    async with housing(config, api_server, provider) as made:
        yield made


# Who signs in --------------------------------------------------------------------------------------------------------------


async def test_who_was_invited_signs_in_and_is_that_person_from_then_on(house: House) -> None:
    await house.invite("developer", email="ADA@Example.com")
    async with visiting(house.engine, house.url) as visitor:
        assert "Sign in with 127.0.0.1" in (await visitor.get("/sign-in?to=%2Fevents")).text
        answer = await house.come(visitor, "%2Fevents%3Ftype%3Da")
        assert answer.headers["location"] == "/events?type=a"
        cookies = [line for line in answer.headers.get_list("set-cookie") if line.startswith("tidings=")]
        assert "HttpOnly" in cookies[0]
        assert "SameSite=lax" in cookies[0]
        before = visitor.client.cookies["tidings"]
        await visitor.get("/webhooks")
        await visitor.get("/settings", 403)
        account = (await visitor.get("/account")).text
        assert ADA in account
        assert "webhooks:write" in account
        assert "this one" in account
        await house.come(visitor)
        assert visitor.client.cookies["tidings"] != before  # a new one at each sign-in
        assert await house.engine.value("select count(*) from tidings.sessions") == 1  # and the one before has ended
    # Another address at the provider: the same person. The same address with another subject: another.
    house.provider.claims |= {"email": "lovelace@example.com"}
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor)
        await visitor.get("/webhooks")
    house.provider.claims |= {"email": ADA, "sub": "somebody-else"}
    async with visiting(house.engine, house.url) as visitor:
        answer = await house.come(visitor, expect=403)
        assert "belongs to another account" in answer.text
        assert "tidings" not in visitor.client.cookies
    (member,) = await house("GET", "/api/v1/members")
    assert (member["email"], member["name"], member["roles"]) == (ADA, "Ada", [{"role": "developer", "bound_to": None}])
    rows = await house.engine.sql("select action, who, key_name from tidings.audit order by number")
    assert [tuple(row) for row in rows][:3] == [
        ("member.invited", "key", "admin key of the settings"), ("member.joined", "member", ADA), ("session.began", "member", ADA),
    ]  # fmt: skip


async def test_one_person_comes_by_two_browsers_at_once(house: House) -> None:
    await house.invite("viewer")
    async with visiting(house.engine, house.url) as one, visiting(house.engine, house.url) as other:
        async with house.engine.holding("select from tidings.members for update"):
            coming = [asyncio.create_task(house.come(visitor)) for visitor in (one, other)]
            await eventually(lambda: house.engine.are_waiting(2))
        await asyncio.gather(*coming)
        for visitor in (one, other):
            await visitor.get("/webhooks")
    assert await house.engine.value("select count(*) from tidings.audit where action = 'member.joined'") == 1


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"email": "eve@example.com"}, "Ask an owner of this installation to invite eve@example.com"),
        ({"email_verified": False}, "does not say that your address is verified"),
        ({"email_verified": None}, "does not say that your address is verified"),
        ({"email_verified": 1}, "does not say that your address is verified"),
        ({"email": None}, "does not say that your address is verified"),
        ({"email": "ada@example.com\u0000@x"}, "does not say that your address is verified"),
    ],
)
async def test_who_was_not_invited_sees_a_page_that_says_whom_to_ask(house: House, claims: dict[str, Any], said: str) -> None:
    await house.invite("owner")
    house.provider.claims |= claims
    async with visiting(house.engine, house.url) as visitor:
        assert said in (await house.come(visitor, expect=403)).text
        await visitor.get("/webhooks", 303)
    assert await house.engine.value("select count(*) from tidings.sessions") == 0


@pytest.mark.parametrize(("subject", "verified", "expect"), [("ada-1", True, 303), ("ada-1", False, 403), ("eve", True, 502)])
async def test_an_address_is_asked_for_that_the_token_does_not_say(
    house: House, subject: str, verified: bool, expect: int
) -> None:
    await house.invite()
    house.provider.user_info = {"sub": subject, "email": ADA, "email_verified": verified}
    house.provider.claims |= {"email": None, "email_verified": None}
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor, expect=expect)


async def test_settings_name_owners_and_domains(config: Config, api_server: ApiServer, provider: Provider) -> None:
    named = {"owners": f"{ADA}, bob@other.example", "oidc_domains": "example.com", "oidc_trust_unverified_email": True}
    async with housing(config, api_server, provider, **named) as house:
        provider.claims |= {"email_verified": None}  # a provider that never says
        async with visiting(house.engine, house.url) as visitor:
            await house.come(visitor)
            await visitor.get("/settings")
            assert ADA in (await visitor.get("/settings/members")).text
        provider.claims |= {"sub": "bob", "email": "bob@other.example"}
        async with visiting(house.engine, house.url) as visitor:
            assert "domain" in (await house.come(visitor, expect=403)).text
        provider.claims |= {"sub": "eve", "email": ADA, "email_verified": False}  # it says that it is not hers
        async with visiting(house.engine, house.url) as visitor:
            await house.come(visitor, expect=403)


# What is believed ----------------------------------------------------------------------------------------------------------


def _wrong(name: str, provider: Provider) -> None:
    """Have the provider be wrong in one way."""
    now = int(time.time())
    other = Key("RS256", "one")  # the same name, another key
    match name:
        case "nonce":
            provider.claims["nonce"] = "another"
        case "no nonce":
            provider.claims["nonce"] = None
        case "audience":
            provider.claims["aud"] = "another"
        case "two audiences":
            provider.claims["aud"] = [CLIENT, "another"]
        case "party":
            provider.claims |= {"aud": [CLIENT, "another"], "azp": "another"}
        case "issuer":
            provider.claims["iss"] = "https://accounts.example.com"
        case "expired":
            provider.claims["exp"] = now - SKEW_SECONDS - 5
        case "no expiry":
            provider.claims["exp"] = None
        case "old":
            provider.claims["iat"] = now - 3600
        case "of tomorrow":
            provider.claims["nbf"] = now + 86_400
        case "subject":
            provider.claims["sub"] = 17
        case "half a letter":
            provider.claims["sub"] = "\ud800"
        case "algorithms":
            provider.sign = lambda claims: unsigned(claims, ["RS256"])
        case "unsigned":
            provider.sign = unsigned
        case "hmac":
            provider.sign = provider.key.sign_as_hmac
        case "another key":
            provider.sign = other.sign
        case "unknown key":
            provider.sign = Key("RS256", "two").sign
        case "no token":
            provider.answers["/token"] = 200, b'{"access_token": "x"}', {}
        case "no json":
            provider.answers["/token"] = 200, b"<html>", {}
        case "refused code":
            provider.answers["/token"] = 400, b'{"error": "invalid_grant"}', {}
        case "elsewhere":
            provider.answers["/token"] = 307, b"x", {"location": "http://127.0.0.1:9/steal"}
        case "huge":
            provider.answers["/token"] = 200, b" " * (calls.MAX_BYTES + 1), {}
        case "a bomb":
            provider.answers["/token"] = 200, b"x", {"content-encoding": "gzip"}
        case "deep":
            provider.answers["/keys"] = 200, b"[" * 100_000, {}


_WAYS = (
    "nonce", "no nonce", "audience", "two audiences", "party", "issuer", "expired", "no expiry", "old", "of tomorrow", "subject",
    "half a letter", "algorithms", "unsigned", "hmac", "another key", "unknown key", "no token", "no json", "refused code", "elsewhere", "huge", "a bomb", "deep",
)  # fmt: skip


async def test_a_provider_that_is_wrong_signs_nobody_in(config: Config, api_server: ApiServer) -> None:
    for way in _WAYS:
        async with providing() as provider, housing(config, api_server, provider) as house:
            await house.engine.sql("delete from tidings.members")
            await house.invite("owner")
            _wrong(way, provider)
            async with visiting(house.engine, house.url) as visitor:
                answer = await house.come(visitor, expect=502)
                assert "does not answer as it should" in answer.text, way
                assert "tidings" not in visitor.client.cookies
                assert await house.engine.value("select count(*) from tidings.sessions") == 0, way


async def test_a_provider_that_hangs_is_not_waited_for(house: House) -> None:
    await house.invite()
    assert house.engine.services.provider is not None
    house.engine.services.provider._call_seconds = 0.2
    house.provider.hangs = {"/token"}
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor, expect=502)


async def test_another_issuer_or_an_open_address_is_refused_before_anybody_goes_there(
    config: Config, api_server: ApiServer
) -> None:
    for found in (b'{"issuer": "https://evil.example", ', b'{"issuer": "%s", "token_endpoint": "http://evil.example", '):
        async with providing() as provider, housing(config, api_server, provider) as house:
            rest = b'"authorization_endpoint": "https://x", "jwks_uri": "https://x"'
            token = b"" if b"token" in found else b', "token_endpoint": "https://x"'
            body = found.replace(b"%s", provider.issuer.encode()) + rest + token + b"}"
            provider.answers["/.well-known/openid-configuration"] = 200, body, {}
            async with visiting(house.engine, house.url) as visitor:
                await visitor.get("/sign-in/provider", 502)
                asked = len(provider.calls)
                await visitor.get("/sign-in/provider", 502)
                assert len(provider.calls) == asked == 1  # a provider that fails is not asked at each click


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
async def test_keys_are_rotated_while_people_sign_in(house: House, algorithm: str) -> None:
    await house.invite()
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor)
        asked = house.provider.calls.count("/keys")
        await house.come(visitor)
        assert house.provider.calls.count("/keys") == asked == 1  # they are kept
        house.provider.key = Key(algorithm, "two")
        house.provider.published = [house.provider.key]
        assert house.engine.services.provider is not None
        at = house.engine.services.provider._monotonic()
        house.engine.services.provider._monotonic = lambda: at + calls.AGAIN_SECONDS
        await house.come(visitor)
        assert house.provider.calls.count("/keys") == 2


async def test_what_comes_back_is_the_answer_to_what_this_browser_began(house: House) -> None:
    await house.invite()
    async with visiting(house.engine, house.url) as visitor, visiting(house.engine, house.url) as other:
        assert "another sign-in" in (await house.come(visitor, expect=401, state="x")).text
        assert (
            "The provider did not sign you in: access_denied."
            in (await house.come(visitor, expect=401, error="access_denied")).text
        )
        assert "from another provider" in (await house.come(visitor, expect=401, iss="https://evil.example")).text
        left = await visitor.get("/sign-in/provider", 303)
        query = house.provider.ask(left.headers["location"])
        assert "has begun no sign-in" in (await other.get(f"/sign-in/callback?{query}", 401)).text
        kept = dict(visitor.client.cookies)
        house.engine.clock.ahead += timedelta(seconds=BEGUN_SECONDS + 1)
        assert "took longer" in (await visitor.get(f"/sign-in/callback?{query}", 401)).text
        assert "tidings-begun" not in visitor.client.cookies
        other.client.cookies.set("tidings-begun", kept["tidings-begun"][:-4] + "AAAA")
        assert "has begun no sign-in" in (await other.get(f"/sign-in/callback?{query}", 401)).text
        assert "/token" not in house.provider.calls


async def test_a_sign_in_leads_nowhere_but_here(house: House) -> None:
    await house.invite()
    for to in ("https%3A%2F%2Fevil.example%2F", "%2F%2Fevil.example", "%2F%5Cevil.example", "%2F" + "a" * 1600):
        async with visiting(house.engine, house.url) as visitor:
            assert (await house.come(visitor, to)).headers["location"] == "/webhooks"


async def test_guesses_at_the_way_back_are_bounded(house: House) -> None:
    house.forgive()
    async with visiting(house.engine, house.url) as visitor:
        for _ in range(10):
            await visitor.get("/sign-in/callback?code=x&state=y", 401)
        assert "Retry-After" in (await visitor.get("/sign-in/callback?code=x&state=y", 429)).headers
    house.forgive()


# Roles ---------------------------------------------------------------------------------------------------------------------


def test_the_role_of_one_group_opens_nothing_of_another() -> None:
    held = [Held(Role.OWNER, "a"), Held(Role.VIEWER, None)]
    in_a, in_b = allowed(held, "a"), allowed(held, "b")
    assert in_a is not None
    assert in_b is not None
    assert (in_a.scopes[-1], in_a.bound_to, in_a.may_show) == (Scope.ADMIN, "a", None)  # an owner of a, and not of all
    assert (granted(in_b.scopes) == granted(SCOPES[Role.VIEWER]), in_b.bound_to) == (True, None)
    everywhere = allowed([Held(Role.OWNER, None), Held(Role.VIEWER, "a")], "a")
    assert everywhere is not None
    assert everywhere.bound_to is None
    two = allowed([Held(Role.DEVELOPER, "b"), Held(Role.VIEWER, "a")], "c")
    assert two is not None
    assert (two.group_id, two.bound_to, two.may_show) == ("a", "a", ("a", "b"))
    assert allowed([], "a") is None


async def test_one_person_is_something_else_in_each_group(house: House) -> None:
    for group in ("a", "b", "c"):
        await house("POST", "/api/v1/groups", 201, {"id": group})
    await house.invite("developer", "a")
    await house.invite("viewer", "b")
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor)
        await visitor.get("/webhooks/new?group=a")
        await visitor.get("/webhooks/new?group=b", 403)
        await visitor.get("/webhooks?group=b")
        await visitor.get("/webhooks?group=c", 403)
        await visitor.get("/webhooks?group=none", 403)  # the same, whether or not there is one
        menu = (await visitor.get("/groups")).text
        assert "group=a" in menu
        assert "group=b" in menu
        assert "group=c" not in menu
        for path in ("/settings", "/settings/about", "/settings/members", "/settings/api-keys"):
            await visitor.get(path, 403)


async def test_each_role_opens_the_pages_of_its_scopes_and_no_other(house: House) -> None:
    for role in Role:
        house.provider.claims |= {"sub": role.value, "email": f"{role}@example.com"}
        await house.invite(role.value, "default", email=f"{role}@example.com")
        async with visiting(house.engine, house.url) as visitor:
            await house.come(visitor)
            form = {"data": {"csrf": await visitor.csrf("/sign-out")}, "headers": {"Origin": house.url}}
            for (method, path), needs in NEEDS.items():
                if path.startswith("/sign") or path in {"/", "/brand.css", "/home", "/live"}:
                    continue
                is_open = all(set(need.scopes) <= granted(SCOPES[role]) and not need.is_for_all_groups for need in needs)
                where = path.format_map(VALUES)
                answer = await visitor.client.request(method, where, **form if method == "POST" else {})
                assert (answer.status_code != 403) == is_open, (role, method, path, answer.status_code)
                assert answer.status_code < 500, (role, method, path)


async def test_who_owns_one_group_writes_nothing_into_another_that_they_view(house: House) -> None:
    """With a form of the group they own, by an address that names the other; and with a form of the other."""
    await house("POST", "/api/v1/groups", 201, {"id": "acme"})
    await house.invite("owner", "default")
    await house.invite("viewer", "acme")
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor)
        tokens = [await visitor.csrf(f"/account?group={group}") for group in ("default", "acme")]
        written = [path for (method, path), needs in NEEDS.items() if method == "POST" and not path.startswith("/sign") and path != "/account/sessions/end"
                   and not all(set(need.scopes) <= granted(SCOPES[Role.VIEWER]) and not need.is_for_all_groups for need in needs)]  # fmt: skip
        assert len(written) > 40
        for path in written:
            for token in tokens:
                where = f"{path.format_map(VALUES)}?group=acme"
                answer = await visitor.client.post(where, data={"csrf": token, "name": "x"}, headers={"Origin": house.url})
                assert answer.status_code in {403, 422}, (path, answer.status_code)
    acts = await house.engine.sql("select action from tidings.audit where group_id = 'acme' and who = 'member'")
    assert [row["action"] for row in acts] == []


async def test_a_role_that_is_taken_away_opens_nothing_from_the_next_page_on(house: House) -> None:
    for group in ("a", "b"):
        await house("POST", "/api/v1/groups", 201, {"id": group})
    member = await house.invite("developer", "a", "b")
    one = f"/api/v1/members/{member['id']}"
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor)
        await visitor.get("/webhooks/new")
        changed = await house("PATCH", one, 200, {"role": "viewer", "groups": ["a"]})
        assert changed["roles"] == [{"role": "viewer", "bound_to": "a"}, {"role": "developer", "bound_to": "b"}]
        await visitor.get("/webhooks/new", 403)
        await house("PATCH", one, 200, {"role": "none", "groups": ["a"]})
        await visitor.get("/webhooks", 303)  # what was open of the group is over, streams too
        await house.come(visitor)
        assert "group=a" not in (await visitor.get("/groups")).text
        assert "last role" in (await house("PATCH", one, 409, {"role": "none", "groups": ["b"]}))["error"]
        ids = await house.engine.value("select array_agg(id) from tidings.sessions")
        now = house.engine.clock.now()
        async with house.engine.services.wide.connection() as connection:
            assert list((await live.look(connection, ids, now)).sessions) == ids
            await house("DELETE", one, 204)
            assert (await live.look(connection, ids, now)).sessions == []
        await visitor.get("/webhooks", 303)
        await house.come(visitor, expect=403)


@asynccontextmanager
async def _half_sent(url: str, path: str, body: bytes, **headers: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Send a POST but for its last byte; what is yielded sends that and returns the first line of the answer."""
    address = httpx.URL(url)
    lines = {"host": f"{address.host}:{address.port}", "content-length": str(len(body)), "connection": "close"} | headers
    reader, writer = await asyncio.open_connection(address.host, address.port)

    async def end() -> bytes:
        writer.write(body[-1:])
        return await reader.readline()

    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body[:-1])
    await writer.drain()
    try:
        yield end
    finally:
        writer.close()
        await writer.wait_closed()


async def test_what_is_half_sent_as_a_member_is_removed_does_nothing(house: House) -> None:
    member = await house.invite("owner")
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor)
        csrf = await visitor.csrf("/sign-out")
        cookies = "; ".join(f"{one.name}={one.value}" for one in visitor.client.cookies.jar)
        form = urlencode({"email": "eve@example.com", "role": "owner", "group": "*"}).encode()
        about = {"content_type": "application/x-www-form-urlencoded", "x_csrf_token": csrf, "origin": house.url}
        async with _half_sent(house.url, "/settings/members", form, cookie=cookies, **about) as end:
            await visitor.get("/account")  # so that the server has seen the head by now
            await house("DELETE", f"/api/v1/members/{member['id']}", 204)
            assert b" 303 " in await end()  # to the sign-in
    assert await house.engine.value("select count(*) from tidings.members") == 0


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/api/v1/groups", b'{"id": "late"}', "application/json"),
        ("/api/v1/events/batch", b'{"type": "order.paid", "data": {}}\n', "application/x-ndjson"),
    ],
)
async def test_what_is_half_sent_as_its_key_is_revoked_does_nothing(house: House, path: str, body: bytes, kind: str) -> None:
    made = await house("POST", "/api/v1/keys", 201, {"name": "late", "scopes": ["admin"]})
    async with _half_sent(house.url, path, body, x_api_key=made["key"], content_type=kind) as end:
        await house("GET", "/api/v1/groups")
        await house("DELETE", f"/api/v1/keys/{made['id']}", 204)
        house.engine.clock.ahead += timedelta(seconds=2)
        assert b" 401 " in await end()
    assert await house.engine.value("select count(*) from tidings.groups") == 1
    assert await house.engine.value("select count(*) from tidings.outbox where source = 'publish'") == 0


async def test_a_group_that_is_deleted_takes_its_roles_along(house: House) -> None:
    await house("POST", "/api/v1/groups", 201, {"id": "gone"})
    await house.invite("viewer", "gone")
    async with visiting(house.engine, house.url) as visitor:
        await house.come(visitor)
        await house.engine.sql("update tidings.sessions set group_id = 'default'")
        await house.engine.sql("delete from tidings.groups where id = 'gone'")
        await visitor.get("/webhooks", 303)
        assert "have no role" in (await house.come(visitor, expect=403)).text


async def test_whoever_acts_for_one_group_sees_and_changes_its_members_alone(house: House) -> None:
    for group in ("a", "b"):
        await house("POST", "/api/v1/groups", 201, {"id": group})
    key = (await house("POST", "/api/v1/keys", 201, {"name": "a", "scopes": ["admin"], "bound_to": "a"}))["key"]
    of_a = {"Authorization": f"Bearer {key}", "X-Tidings-Group": "a"}
    both = await house.invite("developer", "a", "b")
    other = await house.invite("viewer", "b", email="bob@example.com")
    everywhere = await house.invite("owner", email="root@example.com")
    (seen,) = await house("GET", "/api/v1/members", **of_a)
    assert (seen["id"], seen["roles"]) == (both["id"], [{"role": "developer", "bound_to": "a"}])
    for one in (other, everywhere):
        await house("GET", f"/api/v1/members/{one['id']}", 404, **of_a)
        await house("PATCH", f"/api/v1/members/{one['id']}", 404, {"role": "owner", "groups": ["a"]}, **of_a)
        await house("DELETE", f"/api/v1/members/{one['id']}", 404, **of_a)
    await house("PATCH", f"/api/v1/members/{both['id']}", 403, {"role": "owner", "groups": ["b"]}, **of_a)
    await house("PATCH", f"/api/v1/members/{both['id']}", 403, {"role": "owner"}, **of_a)
    await house("POST", "/api/v1/members", 403, {"email": "x@example.com", "role": "viewer"}, **of_a)
    await house("POST", "/api/v1/members", 403, {"email": "x@example.com", "role": "viewer", "groups": ["none"]}, **of_a)
    await house("GET", "/api/v1/sessions", 403, **of_a)
    await house("DELETE", f"/api/v1/members/{both['id']}", 204, **of_a)
    left = await house("GET", f"/api/v1/members/{both['id']}")
    assert left["roles"] == [{"role": "developer", "bound_to": "b"}]


async def test_invitations_are_bounded_and_say_what_is_wrong(house: House) -> None:
    for body, field in (
        ({"email": "nobody", "role": "viewer"}, "email"),
        ({"email": f"{'a' * 300}@example.com", "role": "viewer"}, "email"),
        ({"email": ADA, "role": "king"}, "role"),
        ({"email": ADA, "role": "viewer", "groups": []}, "groups"),
        ({"email": ADA, "role": "viewer", "groups": ["default"] * 101}, "groups"),
    ):
        assert (await house("POST", "/api/v1/members", 422, body))["field"] == field
    await house("POST", "/api/v1/members", 404, {"email": ADA, "role": "viewer", "groups": ["none"]})
    await house.invite()
    assert "a member already" in (await house.invite(expect=409))["error"]


# Sessions ------------------------------------------------------------------------------------------------------------------


async def test_sessions_are_seen_and_ended_by_whose_they_are_and_by_owners(house: House) -> None:
    await house.invite("viewer")
    async with visiting(house.engine, house.url) as one, visiting(house.engine, house.url) as other:
        await house.come(one)
        await house.come(other)
        ids = [row["id"] for row in await house.engine.sql("select id from tidings.sessions order by created_at")]
        listed = await house("GET", "/api/v1/sessions")
        assert [(row["by"], row["member_email"], row["key_name"]) for row in listed] == [("member", ADA, None)] * 2
        page = await one.get("/account")
        assert page.text.count("Chrome") == 0
        assert page.text.count('name="id" value="') == 3
        await one.send("/account/sessions/end", {"id": "others"}, of="/account")
        await other.get("/account", 303)
        await one.get("/account")
        async with visiting(house.engine, house.url) as stranger:
            house.provider.claims |= {"sub": "eve", "email": "eve@example.com"}
            await house.invite("viewer", email="eve@example.com")
            await house.come(stranger)
            await stranger.send("/account/sessions/end", {"id": str(ids[0])}, of="/account")
            await one.get("/account")  # it was not hers to end
        await house("DELETE", f"/api/v1/sessions/{ids[0]}", 204)
        await house("DELETE", f"/api/v1/sessions/{ids[0]}", 404)
        await one.get("/account", 303)
    rows = await house.engine.sql("select who, key_name from tidings.audit where action = 'session.ended' order by number")
    assert [tuple(row) for row in rows] == [("member", ADA), ("key", "admin key of the settings")]


async def test_a_member_has_so_many_sessions_and_takes_none_from_others(house: House) -> None:
    await house.invite()
    async with visiting(house.engine, house.url) as keyed:
        house.forgive()
        await keyed.sign_in()
        for _ in range(MAX_OF_MEMBER + 2):
            async with visiting(house.engine, house.url) as visitor:
                await house.come(visitor)
        counts = await house.engine.sql("select count(member_id) members, count(key_id) keys from tidings.sessions")
        assert tuple(counts[0]) == (MAX_OF_MEMBER, 1)


# Portal links --------------------------------------------------------------------------------------------------------------


async def test_a_portal_link_ends_with_whoever_made_it(house: House) -> None:
    await house("POST", "/api/v1/groups", 201, {"id": "acme"})

    async def link(**headers: str) -> str:
        made = await house("POST", "/api/v1/groups/acme/portal-link", 201, {}, **headers)
        return str(made["url"]).removeprefix(house.url)

    async def is_open(visitor: Visitor, path: str) -> tuple[int, int]:
        async with visiting(house.engine, house.url) as fresh:
            return (await visitor.client.get("/home")).status_code, (await fresh.client.get(path)).status_code

    key = await house("POST", "/api/v1/keys", 201, {"name": "shop", "scopes": ["webhooks:write"]})
    bearer = {"Authorization": f"Bearer {key['key']}"}
    for end in ("rotate", "revoke"):
        path = await link(**bearer)
        (listed,) = await house("GET", "/api/v1/portal-links", **{"X-Tidings-Group": "acme"})
        assert listed["made_by"] == "shop"
        async with visiting(house.engine, house.url) as visitor:
            await visitor.get(path, 303)
            assert await is_open(visitor, path) == (200, 303)
            if end == "rotate":
                rotated = await house("POST", f"/api/v1/keys/{key['id']}/rotate", 200, {"overlap_seconds": 0})
                bearer = {"Authorization": f"Bearer {rotated['key']}"}
            else:
                await house("DELETE", f"/api/v1/keys/{key['id']}", 204)
            assert await is_open(visitor, path) == (401, 401)
            assert await house("GET", "/api/v1/portal-links", **{"X-Tidings-Group": "acme"}) == []
    member = await house.invite("developer")
    async with visiting(house.engine, house.url) as maker, visiting(house.engine, house.url) as visitor:
        await house.come(maker)
        await maker.get("/settings/links?group=acme")
        page = await maker.send("/settings/links", {"expires_in": "3600", "access": "read"}, 200, of="/settings/links")
        path = re.search(r"/p/[\w-]{20,}", page.text)[0]  # type: ignore[index]
        await visitor.get(path, 303)
        assert await is_open(visitor, path) == (200, 303)
        await house("PATCH", f"/api/v1/members/{member['id']}", 200, {"role": "support"})
        assert await is_open(visitor, path) == (401, 401)


async def test_without_a_provider_nobody_is_led_anywhere(config: Config, api_server: ApiServer) -> None:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert "Sign in with" not in (await visitor.get("/sign-in")).text
        await visitor.get("/sign-in/provider", 404)
        await visitor.get("/sign-in/callback?code=x", 404)
