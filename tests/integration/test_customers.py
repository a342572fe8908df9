"""Customers make and change webhooks by a portal link: what they may choose, what they are shown, how often they may ask."""

import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tests.support.engine import engine_of
from tests.support.forms import fields_of_page
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import CALLS_SECONDS, MAX_LINKS, Attempts

KEY = {"Authorization": "Bearer test"}
ACME = KEY | {"X-Tidings-Group": "acme"}
SECRETS = {"Authorization": "Bearer of-the-operator", "X-Shop": "key-of-the-operator"}


@pytest.fixture
async def operator(config: Config, api_server: ApiServer, receiver: Receiver) -> AsyncIterator[Visitor]:
    config = msgspec.structs.replace(config, customer_webhooks=3, customer_calls_per_minute=6)
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["link_guesses"] = Attempts(MAX_LINKS)
        api_server._framework.state["customer_calls"] = Attempts(seconds=CALLS_SECONDS)
        await engine.sql("insert into tidings.groups (id) values ('acme'), ('other')")
        await engine.sql("create table ledger (id int primary key, secret_margin int)")
        for type_ in ("order.paid", "order.sent", "ping"):
            body = {"type": type_, "data": {"id": 1}}
            assert (await visitor.client.post("/api/v1/events", json=body, headers=ACME)).is_success
        described = {"description": "A parcel was handed over."}
        answer = await visitor.client.put("/api/v1/event-types/parcel.left", json=described, headers=ACME)
        assert answer.is_success, answer.text
        foreign = {"type": "theirs.alone", "data": {}}
        await visitor.client.post("/api/v1/events", json=foreign, headers=KEY | {"X-Tidings-Group": "other"})
        await engine.cycle()
        yield visitor


@pytest.fixture
async def customer(operator: Visitor) -> AsyncIterator[Visitor]:
    async with visiting(operator.engine, str(operator.client.base_url)) as visitor:
        await enter(operator, visitor, "manage")
        yield visitor


async def enter(operator: Visitor, visitor: Visitor, access: str) -> None:
    made = await operator.client.post("/api/v1/groups/acme/portal-link", json={"access": access}, headers=KEY)
    assert made.json()["access"] == access
    await visitor.get("/p/" + made.json()["url"].rpartition("/")[2], 303)


async def webhooks(operator: Visitor) -> Any:
    return (await operator.client.get("/api/v1/webhooks", headers=ACME)).json()


async def send(visitor: Visitor, path: str, expect: int = 303, **fields: Any) -> Any:
    """Send a form whose fields may come several times."""
    data = {"csrf": await visitor.csrf("/sign-out")} | fields
    origin = str(visitor.client.base_url).rstrip("/")
    answer = await visitor.client.post(path, data=data, headers={"Origin": origin})
    assert answer.status_code == expect, answer.text[:1500]
    return answer


async def test_a_customer_makes_a_webhook_of_what_applications_publish(
    operator: Visitor, customer: Visitor, receiver: Receiver
) -> None:
    page = (await customer.get("/webhooks/new")).text
    for offered in ("order.*", "order.paid", "order.sent", "parcel.left", "ping"):
        assert f'value="{offered}"' in page, offered
    for hidden in ("ledger", "secret_margin", "content.", "webhook.failing", "theirs.alone", 'value="*"', 'name="headers"',
                   'name="profile"', 'name="more"', 'name="secret"', 'name="retry"', 'name="template"', 'name="jwt"',
                   "dry-run", "profile-said"):  # fmt: skip
        assert hidden not in page, hidden
    form = {"url": receiver.url(), "name": "Mine", "description": "Ours", "names": ["order.paid", "parcel.*"], "do": "save"}
    made = await send(customer, "/webhooks/new", **form)
    (found,) = await webhooks(operator)
    assert made.headers["location"] == f"/webhooks/{found['id']}/ready"
    assert (found["name"], found["description"], found["events"]) == ("Mine", "Ours", ["order.paid", "parcel.*"])
    assert (found["profile"], found["headers"]) == ("standard", {})
    assert "whsec_" in (await customer.get(f"/webhooks/{found['id']}/ready")).text
    await send(customer, f"/webhooks/{found['id']}/edit", do="save", url=receiver.url("/other"), name="Mine", names=["ping"],
               version=str(found["version"]))  # fmt: skip
    (changed,) = await webhooks(operator)
    assert (changed["url"], changed["events"]) == (receiver.url("/other"), ["ping"])
    audited = (await operator.client.get("/api/v1/audit", headers=KEY)).json()
    assert [(one["action"], one["who"]) for one in audited if one["subject"] == "Mine"] == [
        ("webhook.changed", "link"), ("secret.shown", "link"), ("webhook.created", "link"),
    ]  # fmt: skip
    await send(customer, f"/webhooks/{found['id']}/delete", name="Mine")
    assert await webhooks(operator) == []


NOT_CHOSEN: list[dict[str, Any]] = [
    {"names": "*"},
    {"names": "table.*"},
    {"names": "table.ledger.inserted"},
    {"names": "content.created"},
    {"names": "content.*"},
    {"names": "webhook.failing"},
    {"names": "theirs.alone"},
    {"names": "nothing.known"},
    {"more": "*"},
    {"tables": '["INSERT", "public", "ledger"]'},
    {"collections": '["create", "posts"]'},
    {"names": ["order.paid"] * 301},
]


async def test_what_a_customer_may_not_choose_is_neither_made_nor_shown(
    operator: Visitor, customer: Visitor, receiver: Receiver
) -> None:
    for chosen in NOT_CHOSEN:
        form = {"url": receiver.url(), "name": "Mine", **chosen}
        for path, expect in (("/webhooks/new", 422), ("/webhooks/new/preview", 200)):
            page = (await send(customer, path, expect, **form, do="save")).text
            assert re.search("can be chosen|cannot be chosen here|choose at most", page), (path, chosen)
            assert "secret_margin" not in page
    assert await webhooks(operator) == []


async def test_the_operators_headers_stay_the_operators(operator: Visitor, customer: Visitor, receiver: Receiver) -> None:
    engine = operator.engine
    ours = await engine.add_webhook(
        receiver.url(), "order.paid", {"table": "ledger"}, "*", name="ERP", group_id="acme", headers=SECRETS
    )
    await operator.client.request("PATCH", f"/api/v1/webhooks/{ours.id}", json={"headers": SECRETS | {"X-New": "1-of-the-operator"}},
                                  headers=ACME)  # fmt: skip
    await operator.client.post("/api/v1/events", json={"type": "order.paid", "data": {"id": 2}}, headers=ACME)
    await engine.cycle()
    assert receiver.received[-1].headers["x-shop"] == "key-of-the-operator"
    (delivery,) = await engine.deliveries()
    path = f"/webhooks/{ours.id}"
    form = {"url": receiver.url(), "name": "ERP", "names": ["order.sent"]}
    version = str((await webhooks(operator))[0]["version"])
    pages = [
        *[
            (await customer.get(page)).text
            for page in (path, f"{path}/versions", f"{path}/edit", f"/deliveries/{delivery['id']}")
        ],
        (await send(customer, f"{path}/edit", 200, **form, version=version, do="review")).text,
        (await send(customer, f"{path}/edit/preview", 200, **form, version=version)).text,
    ]
    for page in pages:
        assert "of-the-operator" not in page
    for page in (pages[0], pages[3]):
        assert "X-Shop" in page
        assert "(hidden)" in page
    assert "It also hears" in pages[2]
    untouched: dict[str, Any] = fields_of_page(pages[2], "webhook")
    await send(customer, f"{path}/edit", **untouched | {"do": "save", "timeout": "3", "headers": ""})
    assert str((await webhooks(operator))[0]["version"]) == version, "what nobody touched is no change"
    elsewhere = (
        await send(customer, f"{path}/edit", 422, **form | {"url": "http://localhost:9/x"}, version=version, do="save")
    ).text
    assert "sends headers that were set for its present host" in elsewhere
    await send(customer, f"{path}/edit", **form | {"url": receiver.url("/elsewhere")}, version=version, do="save")
    (found,) = await webhooks(operator)
    assert found["headers"] == SECRETS | {"X-New": "1-of-the-operator"}
    assert found["url"] == receiver.url("/elsewhere")
    assert found["events"][0] == "order.sent"
    assert found["events"][1]["table"] == "ledger", "what a customer has no say in stays"
    assert found["events"][2] == "*"
    nothing = {"url": receiver.url("/elsewhere"), "name": "ERP", "version": str(found["version"])}
    await send(customer, f"{path}/edit", **nothing, do="save")
    assert [one for one in (await webhooks(operator))[0]["events"] if isinstance(one, str)] == ["*"]


async def test_a_link_may_let_its_holder_choose_tables(operator: Visitor, receiver: Receiver) -> None:
    settings = {"when": {"INSERT": "new.secret_margin > 0"}}
    assert (await operator.client.put("/api/v1/tables/ledger", json=settings, headers=KEY)).is_success
    async with visiting(operator.engine, str(operator.client.base_url)) as customer:
        await enter(operator, customer, "full")
        page = (await customer.get("/webhooks/new")).text
        assert "ledger" in page
        assert "secret_margin &gt; 0" not in page, "how tables are captured is the operator's"
        assert "/sources/tables" not in page
        assert 'name="headers"' not in page
        form = {"url": receiver.url(), "tables": '["INSERT", "public", "ledger"]', "headers": "X-A: b", "secret": "x" * 40}
        await send(customer, "/webhooks/new", **form, do="save")
    (found,) = await webhooks(operator)
    assert found["events"] == [{"table": "ledger", "schema": "public", "operations": ["INSERT"]}]
    assert found["headers"] == {}


async def test_customers_of_a_group_make_so_many_webhooks(operator: Visitor, customer: Visitor, receiver: Receiver) -> None:
    await operator.engine.add_webhook(receiver.url(), "*", group_id="acme")  # an operator's does not count
    form = {"url": receiver.url(), "names": "ping", "do": "save"}
    for _ in range(3):
        await send(customer, "/webhooks/new", **form)
    assert "There are 3 webhooks that were made here" in (await send(customer, "/webhooks/new", 409, **form)).text
    mine = await operator.engine.value("select webhook_id from tidings.customer_webhooks limit 1")
    assert (await operator.client.delete(f"/api/v1/webhooks/{mine}", headers=ACME)).is_success
    await send(customer, "/webhooks/new", **form)
    await send(customer, "/webhooks/new", 409, **form)


async def test_customers_of_a_group_ask_for_so_much_in_a_minute(
    operator: Visitor, customer: Visitor, receiver: Receiver
) -> None:
    engine = operator.engine
    ours = await engine.add_webhook(receiver.url(), "*", group_id="acme")
    await operator.client.post("/api/v1/events", json={"type": "ping", "data": {}}, headers=ACME)
    await engine.cycle()
    delivery = (await engine.deliveries())[0]["id"]
    await send(customer, f"/webhooks/{ours.id}/test", 200)
    await send(customer, f"/deliveries/{delivery}/retry")
    await send(customer, "/deliveries/retry", id=str(delivery))
    await send(customer, f"/webhooks/{ours.id}/recover", since="1h")
    await send(customer, "/webhooks/check", 200, url="nonsense")
    async with visiting(engine, str(operator.client.base_url)) as colleague:
        await enter(operator, colleague, "manage")  # another link gives no more
        await send(colleague, f"/webhooks/{ours.id}/test", 200)
        for path in (f"/webhooks/{ours.id}/test", f"/deliveries/{delivery}/retry", "/deliveries/retry", "/webhooks/check",
                     f"/webhooks/{ours.id}/recover"):  # fmt: skip
            refused = await send(colleague, path, 429, url="x", since="1h")
            assert 0 < int(refused.headers["retry-after"]) <= 60
            assert "That is more than 6 tests, retries and checks in a minute." in refused.text
    await send(customer, f"/webhooks/{ours.id}/pause")
    await customer.get(f"/webhooks/{ours.id}")
