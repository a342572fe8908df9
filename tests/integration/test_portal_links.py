"""Portal links: a customer sees one group, its webhooks, deliveries and tests, and nothing else."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from litestar import Litestar

from tests.support.engine import engine_of
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import CALLS_SECONDS, MAX_LINKS, Attempts
from tidings.core.errors import BusyError
from tidings.operations.history import recoveries
from tidings.portal.streams import MAX_OF_CUSTOMER, Stream, Wants, Watch
from tidings.store import sessions

KEY = {"Authorization": "Bearer test"}
ORIGIN = "https://app.example.com"
# Every page that a customer may see, and what their link must allow. What is added here shows one group its own webhooks, deliveries and tests, and no more.
FOR_CUSTOMERS = {
    ("GET", "/p/{token}"): "look",
    ("GET", "/home"): "look",
    ("GET", "/brand.css"): "look",
    ("GET", "/sign-out"): "look",
    ("POST", "/sign-out"): "look",
    ("POST", "/theme"): "look",
    ("GET", "/webhooks"): "look",
    ("GET", "/webhooks/new"): "manage",
    ("POST", "/webhooks/new"): "manage",
    ("POST", "/webhooks/new/preview"): "manage",
    ("POST", "/webhooks/check"): "manage",
    ("GET", "/webhooks/{webhook_id}"): "look",
    ("GET", "/webhooks/{webhook_id}/ready"): "manage",
    ("GET", "/webhooks/{webhook_id}/first"): "manage",
    ("GET", "/webhooks/{webhook_id}/edit"): "manage",
    ("POST", "/webhooks/{webhook_id}/edit"): "manage",
    ("POST", "/webhooks/{webhook_id}/edit/preview"): "manage",
    ("GET", "/webhooks/{webhook_id}/delete"): "manage",
    ("POST", "/webhooks/{webhook_id}/delete"): "manage",
    ("POST", "/webhooks/{webhook_id}/pause"): "manage",
    ("POST", "/webhooks/{webhook_id}/resume"): "manage",
    ("GET", "/webhooks/{webhook_id}/test"): "manage",
    ("POST", "/webhooks/{webhook_id}/test"): "manage",
    ("GET", "/webhooks/{webhook_id}/diagnose"): "manage",
    ("POST", "/webhooks/{webhook_id}/diagnose"): "manage",
    ("GET", "/webhooks/{webhook_id}/secrets"): "manage",
    ("POST", "/webhooks/{webhook_id}/secrets/reveal"): "manage",
    ("POST", "/webhooks/{webhook_id}/secrets/rotate"): "manage",
    ("GET", "/webhooks/{webhook_id}/versions"): "look",
    ("GET", "/webhooks/{webhook_id}/recover"): "manage",
    ("POST", "/webhooks/{webhook_id}/recover"): "manage",
    ("POST", "/webhooks/{webhook_id}/recover/count"): "manage",
    ("GET", "/recoveries"): "manage",
    ("GET", "/recoveries/{recovery_id}"): "manage",
    ("POST", "/recoveries/{recovery_id}/cancel"): "manage",
    ("GET", "/deliveries"): "look",
    ("GET", "/deliveries/counts"): "look",
    ("POST", "/deliveries/retry"): "manage",
    ("GET", "/deliveries/{delivery_id}"): "look",
    ("POST", "/deliveries/{delivery_id}/retry"): "manage",
    ("GET", "/deliveries/{delivery_id}/attempts/{number}/{part}"): "look",
    ("GET", "/live"): "look",
}
# What is open to everybody, whoever they are, and tells nothing of any group.
PUBLIC = {
    "/assets/{name}",
    "/healthz",
    "/readyz",
    "/.well-known/jwks.json",
    "/docs/guide",
    "/docs/guide/{path}",
    "/in/{name}",
}


@pytest.fixture
async def operator(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    config = msgspec.structs.replace(config, trusted_proxies="127.0.0.1/32")
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        api_server._framework.state["link_guesses"] = Attempts(MAX_LINKS)
        api_server._framework.state["customer_calls"] = Attempts(seconds=CALLS_SECONDS)
        await engine.sql("insert into tidings.groups (id) values ('acme'), ('other')")
        yield visitor


@pytest.fixture
async def customer(operator: Visitor) -> AsyncIterator[Visitor]:
    """A customer of group acme, who has opened their link."""
    async with visiting(operator.engine, str(operator.client.base_url)) as visitor:
        await enter(visitor, await link(operator))
        yield visitor


async def make(operator: Visitor, expect: int = 201, group: str = "acme", **body: Any) -> Any:
    answer = await operator.client.post(f"/api/v1/groups/{group}/portal-link", json=body, headers=KEY)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def link(operator: Visitor, **body: Any) -> str:
    found: str = (await make(operator, **body))["url"]
    return "/p/" + found.rpartition("/p/")[2]


async def enter(visitor: Visitor, path: str, **headers: str) -> Any:
    return await visitor.get(path, 303, **headers)


def routes(application: Litestar) -> list[tuple[str, str, Any]]:
    """Every route there is: method, path, handler."""
    return [
        (method, re.sub(r":\w+}", "}", route.path_format if hasattr(route, "path_format") else route.path), handler)
        for route in application.routes
        for handler in getattr(route, "route_handlers", [])
        for method in handler.http_methods
        if method in {"GET", "POST", "PUT", "PATCH", "DELETE"}
    ]


async def test_a_link_shows_one_group_and_only_its_hash_is_stored(
    operator: Visitor, customer: Visitor, receiver: Receiver
) -> None:
    await operator.engine.add_webhook(receiver.url(), "*", name="ours", group_id="acme")
    await operator.engine.add_webhook(receiver.url(), "*", name="theirs", group_id="other")
    page = (await customer.get("/home")).text
    assert "ours" in page
    assert "theirs" not in page
    assert "Settings" not in page
    assert "Sources" not in page
    stored = str(
        await operator.engine.sql("select l.*, s.* from tidings.portal_links l join tidings.sessions s on s.link_id = l.id")
    )
    assert customer.client.cookies["tidings-customer"] not in stored


async def test_every_page_that_is_not_on_the_list_is_shut_to_a_customer(
    operator: Visitor, customer: Visitor, api_server: ApiServer
) -> None:
    application = api_server._framework
    assert application is not None
    every = routes(application)
    assert len(every) > 100
    said = {(method, path): handler.opt["customer"] for method, path, handler in every if handler.opt.get("customer")}
    assert said == FOR_CUSTOMERS, "whatever is opened to customers is opened here too"
    csrf = await customer.csrf("/sign-out")
    origin = str(customer.client.base_url).rstrip("/")
    for method, path, _ in every:
        if (method, path) in FOR_CUSTOMERS or path in PUBLIC:
            continue
        asked = re.sub(r"{\w*id}|{(job|webhook|event|delivery)\w*}", str(uuid4()), path)
        asked = re.sub(r"{number}", "1", asked)
        asked = re.sub(r"{\w+}", "x", asked)
        answer = await customer.client.request(method, asked, data={"csrf": csrf}, headers={"Origin": origin})
        wanted = {401} if path.startswith(("/api", "/metrics", "/openapi.json")) else {403}
        assert answer.status_code in wanted, (method, path, answer.status_code)


async def test_a_link_that_lets_one_look_lets_one_change_nothing(
    operator: Visitor, customer: Visitor, receiver: Receiver
) -> None:
    engine = operator.engine
    ours = await engine.add_webhook(receiver.url(), "*", name="ours", group_id="acme")
    await engine.sql("insert into tidings.outbox (group_id, source, type, record) values ('acme', 'publish', 'a.b', '{}')")
    await engine.cycle()
    (delivery,) = await engine.deliveries()
    ids = {"webhook_id": ours.id, "delivery_id": delivery["id"], "recovery_id": uuid4(), "number": 1, "part": "request"}
    async with visiting(engine, str(operator.client.base_url)) as reader:
        await enter(reader, await link(operator, access="read"))
        for (method, path), needed in FOR_CUSTOMERS.items():
            if needed != "manage":
                continue
            asked = path.format_map(ids)
            answer = await reader.get(asked, 403) if method == "GET" else await reader.send(asked, {}, 403)
            assert "Your link lets you look, and change nothing." in answer.text, path
        for path in ("/home", "/webhooks", f"/webhooks/{ours.id}", "/deliveries", f"/deliveries/{delivery['id']}"):
            page = (await reader.get(path)).text
            for offered in ("/new", "/test", "/secrets", "/edit", "/retry", "/pause", "/recover", "/delete"):
                assert f'{offered}"' not in page, (path, offered)
        await reader.send("/theme", {"theme": "dark", "to": "/home"})
    page = (await customer.get(f"/webhooks/{ours.id}")).text
    for offered in ("/test", "/secrets", "/edit", "/pause", "/recover", "/delete"):
        assert f'{ours.id}{offered}"' in page, offered


async def test_every_page_that_is_open_to_a_customer_acts_for_their_group_alone(
    operator: Visitor, customer: Visitor, receiver: Receiver
) -> None:
    """Asked with the ids of another group's webhook and delivery, each page that takes an id finds nothing."""
    engine = operator.engine
    ours = await engine.add_webhook(receiver.url(), "*", name="ours", group_id="acme")
    theirs = await engine.add_webhook(receiver.url(), "*", name="theirs", group_id="other")
    for group, said in (("acme", "of acme"), ("other", "of other")):
        await engine.sql(
            "insert into tidings.outbox (group_id, source, type, record) values ($1, 'publish', 'order.paid', $2)",
            group,
            f'{{"said": "{said}"}}',
        )
    await engine.cycle()
    found = {row["webhook_id"]: row["id"] for row in await engine.deliveries()}
    assert set(found) == {ours.id, theirs.id}
    version = await engine.value("select version from tidings.webhooks where id = $1", theirs.id)
    acting = msgspec.structs.replace(engine.services, group_id="other")
    recovery = await recoveries.begin_webhook(acting, theirs.id, engine.clock.now() - timedelta(hours=1))
    for method, path in FOR_CUSTOMERS:
        if "_id}" not in path:
            continue
        ids = {"webhook_id": theirs.id, "delivery_id": found[theirs.id], "number": 1, "part": "request"}
        asked = path.format_map({**ids, "recovery_id": recovery.id})
        if method == "GET":
            answer = await customer.get(asked, 404)
        else:
            answer = await customer.send(asked, {"event": "order.paid"}, 404)
        assert "theirs" not in answer.text
    await customer.send("/deliveries/retry", {"id": str(found[theirs.id])})
    assert await engine.value("select count(*) from tidings.queue where webhook_id = $1", theirs.id) == 0
    assert await engine.value("select version from tidings.webhooks where id = $1", theirs.id) == version
    for path in ("/home", "/webhooks", "/deliveries", f"/webhooks/{ours.id}", f"/deliveries/{found[ours.id]}"):
        page = (await customer.get(path)).text
        assert "theirs" not in page, path
        assert str(theirs.id) not in page, path
        assert "of other" not in page, path
    delivery = (await customer.get(f"/deliveries/{found[ours.id]}")).text
    assert "of acme" in delivery
    assert 'href="/events/' not in delivery
    for path in (f"/deliveries?webhook={theirs.id}", f"/deliveries?webhook_id={theirs.id}"):
        answer = await customer.client.get(path)
        assert str(found[theirs.id]) not in answer.text


async def test_a_customer_is_offered_nothing_that_they_may_not_do(customer: Visitor) -> None:
    for path in ("/home", "/webhooks", "/deliveries"):
        page = (await customer.get(path)).text
        assert "curl" not in page, path
        assert 'href="/settings' not in page, path
        assert "/recover" not in page, path  # of a search


async def test_a_customer_is_told_no_address_of_the_operators_network(operator: Visitor, customer: Visitor) -> None:
    engine = operator.engine
    ours = await engine.add_webhook("http://localhost:9/hook", "*", name="ours", group_id="acme")
    await engine.sql(
        "insert into tidings.outbox (group_id, source, type, record) values ('acme', 'publish', 'order.paid', '{}')"
    )
    await engine.cycle()
    (attempt,) = await engine.attempts()
    assert "localhost port 9" in attempt["error"]  # nor is anybody else: where a name leads inside is for the log
    for path in (f"/webhooks/{ours.id}", f"/deliveries/{attempt['delivery_id']}"):
        page = (await customer.get(path)).text
        assert "127.0.0.1" not in page
        assert "::1" not in page
        assert "localhost port 9" in page, path


async def test_a_customer_cannot_ask_for_another_group(operator: Visitor, customer: Visitor) -> None:
    await customer.get("/home?group=other", 403)
    await customer.get("/home?group=acme", 403)
    assert "Whoever gave you the link" in (await customer.get("/settings", 403)).text
    await customer.get("/settings?group=other", 403)
    assert await operator.engine.value("select group_id from tidings.sessions") == "acme"


async def test_a_customers_token_opens_nothing_under_an_operators_name(operator: Visitor, customer: Visitor) -> None:
    token = customer.client.cookies["tidings-customer"]
    async with visiting(operator.engine, str(operator.client.base_url)) as thief:
        thief.client.cookies.set("tidings", token)
        for path in ("/settings", "/sources", "/", "/home", "/settings?group=other", "/groups"):
            await thief.get(path, 403)
        thief.client.cookies.set("tidings-customer", "nothing")
        await thief.get("/home", 401)
    assert await operator.engine.value("select group_id from tidings.sessions") == "acme"


async def test_an_operators_token_is_none_under_a_customers_name(operator: Visitor) -> None:
    await operator.sign_in()
    async with visiting(operator.engine, str(operator.client.base_url)) as odd:
        odd.client.cookies.set("tidings-customer", operator.client.cookies["tidings"])
        await odd.get("/home", 303)
        await odd.get("/settings", 403)


async def test_an_operator_looks_as_a_customer_and_leaves_again(operator: Visitor) -> None:
    await operator.sign_in()
    await enter(operator, await link(operator))
    await operator.get("/settings", 403)
    assert "You have left" in (await operator.send("/sign-out", {}, 200)).text
    await operator.get("/settings")
    assert "tidings-customer" not in operator.client.cookies


async def test_a_link_ends_by_time_by_hand_and_with_the_key(operator: Visitor, customer: Visitor) -> None:
    (known,) = (await operator.client.get("/api/v1/portal-links", headers=KEY | {"X-Tidings-Group": "acme"})).json()
    assert known["sessions"] == 1
    foreign = await operator.client.delete(f"/api/v1/portal-links/{known['id']}", headers=KEY | {"X-Tidings-Group": "other"})
    assert foreign.status_code == 404
    ended = await operator.client.delete(f"/api/v1/portal-links/{known['id']}", headers=KEY | {"X-Tidings-Group": "acme"})
    assert ended.status_code == 204
    assert "This link has ended" in (await customer.get("/home", 401)).text
    assert "tidings-customer" not in customer.client.cookies
    path = await link(operator, expires_in=60)
    await enter(customer, path)
    operator.engine.clock.ahead += timedelta(seconds=61)
    await customer.get("/home", 401)
    await customer.get(path, 401)
    await customer.get("/p/nothing", 401)
    await customer.get("/p/" + "x" * 300, 401)


async def test_a_link_that_is_none_ends_no_session(operator: Visitor, customer: Visitor) -> None:
    await operator.sign_in()
    path = await link(operator, expires_in=60)
    operator.engine.clock.ahead += timedelta(seconds=61)
    for visitor in (operator, customer):
        for none in ("/p/nothing", "/p/" + "x" * 300, path):
            answer = await visitor.get(none, 401)
            assert "This link has ended" in answer.text
            assert answer.headers.get_list("set-cookie") == []
    await operator.get("/settings")
    await customer.get("/home")


async def test_so_many_links_that_are_none_are_looked_at_from_one_address(operator: Visitor) -> None:
    path = await link(operator)
    for _ in range(MAX_LINKS - 1):
        await operator.get("/p/nothing", 401)
    for _ in range(3):
        await operator.get(path, 303)  # a right one takes nothing away, and gives nothing back
    await operator.get("/p/nothing", 401)
    refused = await operator.get(path, 429)
    assert 0 < int(refused.headers["retry-after"]) <= 300
    assert "Too many links that are none came from your address. Try again in 5 min." in refused.text
    await operator.get(path, 303, **{"X-Forwarded-For": "192.0.2.1"})


async def test_customers_keep_no_operator_out_and_a_link_opens_so_many_browsers(operator: Visitor, customer: Visitor) -> None:
    await operator.sign_in()
    path = await link(operator)
    for _ in range(sessions.MAX_OF_LINK + 3):
        async with visiting(operator.engine, str(operator.client.base_url)) as another:
            await enter(another, path)
    await operator.get("/settings")
    await customer.get("/home")
    most = "select max(count) from (select count(*) from tidings.sessions group by link_id) s"
    assert await operator.engine.value(most) == sessions.MAX_OF_LINK
    listed = (await operator.get("/settings")).text
    assert listed.count("End<span") == 1, "customers are no sessions of operators"
    await operator.send("/settings/sessions/end", {"id": "others"})
    await customer.get("/home")


async def test_only_the_origins_of_a_link_may_frame_it(operator: Visitor) -> None:
    path = await link(operator, origins=[ORIGIN, "http://localhost:3000/"])
    async with visiting(operator.engine, str(operator.client.base_url)) as framed:
        answers = [await enter(framed, path), await framed.get("/home"), await framed.get("/settings", 403)]
        for answer in answers:
            assert answer.headers["content-security-policy"].endswith(f"frame-ancestors {ORIGIN} http://localhost:3000")
            assert "x-frame-options" not in answer.headers
        style = await framed.get("/brand.css")
        assert style.text == ""
    plain = await operator.get("/sign-in")
    assert plain.headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert plain.headers["x-frame-options"] == "DENY"


async def test_cookies_of_a_framed_portal_are_sent_in_frames_under_https_alone(operator: Visitor) -> None:
    https = {"X-Forwarded-Proto": "https"}
    framed = await enter(operator, await link(operator, origins=[ORIGIN]), **https)
    (line,) = framed.headers.get_list("set-cookie")
    parts = line.split("; ")
    assert parts[0].startswith("__Host-tidings-customer=")
    assert {"HttpOnly", "Path=/", "SameSite=none", "Secure", "Partitioned"} <= set(parts)
    operator.client.cookies.clear()
    alone = await enter(operator, await link(operator), **https)
    (line,) = alone.headers.get_list("set-cookie")
    assert "SameSite=lax" in line
    assert "Partitioned" not in line
    operator.client.cookies.clear()
    plain = await enter(operator, await link(operator, origins=[ORIGIN]))
    (line,) = plain.headers.get_list("set-cookie")
    assert "SameSite=lax" in line


async def test_a_brand_is_shown_and_what_cannot_be_read_or_is_no_picture_is_refused(operator: Visitor) -> None:
    logo = "data:image/png;base64,iVBORw0KGgo="
    path = await link(operator, brand={"name": "<b>Acme</b>", "accent": "#1f5f43", "logo": logo})
    async with visiting(operator.engine, str(operator.client.base_url)) as visitor:
        await enter(visitor, path)
        page = (await visitor.get("/home")).text
        assert "&lt;b&gt;Acme&lt;/b&gt;" in page
        assert f'src="{logo}"' in page
        assert "Tidings" not in page.split("<body")[1].replace("tidings", "")
        assert "--accent: light-dark(#1f5f43" in (await visitor.get("/brand.css")).text
        assert "&lt;b&gt;Acme" in (await visitor.get("/settings", 403)).text
    for brand, field in (
        ({"accent": "#ffee00"}, "brand.accent"),
        ({"accent": "red;}"}, "brand.accent"),
        ({"logo": "https://evil.example/x.png"}, "brand.logo"),
        ({"logo": 'data:image/png;base64,"onload='}, "brand.logo"),
        ({"logo": "data:image/png;base64," + "A" * 60_000}, "brand.logo"),
        ({"logo": "data:text/html;base64,AAAA"}, "brand.logo"),
        ({"name": "x" * 61}, "brand.name"),
        ({"name": "a\u202eb"}, "brand.name"),
    ):
        assert (await make(operator, 422, brand=brand))["field"] == field, brand


async def test_what_a_link_cannot_be_is_refused(operator: Visitor) -> None:
    for body, field in (
        ({"expires_in": 86_401}, "expires_in"),
        ({"expires_in": 0}, "expires_in"),
        ({"access": "everything"}, "access"),
        ({"access": ""}, "access"),
        ({"origins": ["*"]}, "origins[0]"),
        ({"origins": ["https://a.example", "https://*.example.com"]}, "origins[1]"),
        ({"origins": ["https://a.example/path"]}, "origins[0]"),
        ({"origins": ["https://a.example; script-src *"]}, "origins[0]"),
        ({"origins": ["javascript:alert(1)"]}, "origins[0]"),
        ({"origins": ["https://a.example"] * 11}, "origins"),
        ({"colour": "red"}, "colour"),
    ):
        assert (await make(operator, 422, **body))["field"] == field, body
    await make(operator, 404, group="nobody")


async def test_an_operator_makes_and_ends_links_in_settings(operator: Visitor) -> None:
    await operator.sign_in()
    await operator.get("/settings/links?group=acme")
    form = {"expires_in": "3600", "name": "Acme", "accent": "#ffee00", "origins": f"{ORIGIN} nonsense"}
    refused = (await operator.send("/settings/links", form, 422)).text
    assert "Choose a darker one" in refused
    form["accent"] = "#1f5f43"
    assert "write a scheme and a host" in (await operator.send("/settings/links", form, 422)).text
    form["origins"] = ORIGIN
    page = (await operator.send("/settings/links", form, 200)).text
    path = re.findall(r"<code>http://[^<]+(/p/[\w-]+)</code>", page)[0]
    token = path.rpartition("/")[2]
    listed = (await operator.get("/settings/links")).text
    assert token not in listed
    assert re.search(r'<span class="said">by admin', listed), "who made it"
    async with visiting(operator.engine, str(operator.client.base_url)) as visitor:
        await enter(visitor, path)
        await visitor.get("/home")
        found = str(await operator.engine.value("select id from tidings.portal_links"))
        await operator.send("/settings/links/end", {"id": found})
        await visitor.get("/home", 401)
    await operator.send("/settings/links/end", {"id": found}, 404)
    await operator.send("/settings/links/end", {"id": "x"}, 422)


async def test_a_customers_forms_need_their_token(customer: Visitor) -> None:
    await customer.send("/sign-out", {"csrf": "0" * 64}, 403)
    await customer.get("/home")
    assert "You have left" in (await customer.send("/sign-out", {}, 200)).text
    await customer.get("/home", 303)


async def test_an_operator_whose_customers_link_has_ended_is_let_in_again(operator: Visitor) -> None:
    await operator.sign_in()
    await enter(operator, await link(operator))
    await operator.engine.sql("delete from tidings.portal_links")
    assert "This link has ended." in (await operator.get("/sign-in", 401)).text
    await operator.get("/settings")


async def test_a_form_does_in_no_group_what_was_meant_for_another(operator: Visitor) -> None:
    await operator.sign_in()
    await operator.get("/settings/links?group=acme")
    csrf = await operator.csrf("/settings/links")
    await operator.get("/webhooks?group=other")  # another tab, or a link on somebody's page
    answer = await operator.send("/settings/links", {"csrf": csrf, "expires_in": "3600"}, 403)
    assert "another group" in answer.text
    assert await operator.engine.sql("select from tidings.portal_links") == []
    await operator.get("/settings/links?group=acme")
    await operator.send("/settings/links", {"csrf": csrf, "expires_in": "3600"}, 200)


@pytest.mark.parametrize("path", ["/webhooks?q=%00", "/deliveries?webhook=%00", "/deliveries/counts?webhook=%00"])
async def test_what_no_database_can_hold_is_refused(customer: Visitor, path: str) -> None:
    await customer.get(path, 422)


async def test_a_test_names_a_table_as_long_as_there_are(operator: Visitor, customer: Visitor, receiver: Receiver) -> None:
    webhook = await operator.engine.add_webhook(receiver.url(), "*", group_id="acme")
    sent = {"event": '["INSERT","public","' + 64 * "x" + '"]', "data": "{}"}
    await customer.send(f"/webhooks/{webhook.id}/test", sent, 422)


async def test_the_calls_of_the_repair_take_no_number_and_no_time_that_cannot_be_kept(operator: Visitor) -> None:
    for path in ("set-aside/9223372036854775808", "set-aside?before=9223372036854775808"):
        answer = await operator.client.get(f"/api/v1/{path}", headers=KEY)
        assert answer.status_code == (200 if "?" in path else 404), answer.text
    for field in ("since", "until"):
        body = {"status": "failed", field: "0001-01-01T00:00:00Z"}
        answer = await operator.client.post("/api/v1/deliveries/retry", json=body, headers=KEY)
        assert answer.status_code == 422
        assert answer.json()["field"] == field


async def test_customers_leave_room_for_the_streams_of_others() -> None:
    watch = Watch()
    watch._task = asyncio.get_running_loop().create_future()  # type: ignore[assignment]  # it does not look

    def stream(group_id: str, *, is_customer: bool) -> Stream:
        services: Any = SimpleNamespace(group_id=group_id)
        return Stream(services, uuid4(), Wants(), lambda _, __: "", is_customer=is_customer)

    for _ in range(MAX_OF_CUSTOMER):
        watch.add(stream("acme", is_customer=True))
    with pytest.raises(BusyError):
        watch.add(stream("acme", is_customer=True))
    watch.add(stream("other", is_customer=True))
    watch.add(stream("acme", is_customer=False))
