"""The form of a webhook over HTTP: its profile by what is entered, names in vain, and edits that keep what they do not show."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import trustme

from tests.support.engine import engine_of
from tests.support.forms import fields_of_page
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.operations.sources import collections

NEW = "/webhooks/new"
KEY = {"Authorization": "Bearer test"}


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await visitor.sign_in()
        yield visitor


async def preview(visitor: Visitor, **fields: Any) -> str:
    """Return what stands beside the form as one types."""
    return (await visitor.send(f"{NEW}/preview", fields, 200)).text


async def count(visitor: Visitor) -> int:
    found: int = await visitor.engine.value("select count(*) from tidings.webhooks")
    return found


async def test_the_profile_is_chosen_by_what_is_entered_and_said(visitor: Visitor, receiver: Receiver) -> None:
    page = (await visitor.get(NEW)).text
    assert fields_of_page(page, "webhook")["profile"] == [""]
    typed = {"url": receiver.url(), "more": "collection.object.created, collection.object.updated"}
    text = await preview(visitor, **typed, shown_profile="standard")
    assert "Profile Vivreal was chosen: &#34;collection.object.created&#34; is an event of it." in text
    assert "X-Vivreal-Signature" in text
    assert 'name="shown_profile" value="vivreal"' in text  # the boxes are of that profile
    assert "nothing you entered is another system" in await preview(visitor, url=receiver.url(), more="order.paid")
    saved = await visitor.send(NEW, typed | {"do": "save"})
    ready = (await visitor.get(saved.headers["location"])).text
    assert "Profile Vivreal was chosen" in ready
    assert "Its profile is Vivreal." in ready
    assert await visitor.engine.value("select profile from tidings.webhooks") == "vivreal"
    typed = {"url": receiver.url(), "more": '{"collection": "nothing"}'}
    assert "There is no collection" in await preview(visitor, **typed)


async def test_names_in_vain_are_refused_or_told(visitor: Visitor, receiver: Receiver) -> None:
    typed = {"url": receiver.url(), "more": "collection.object.creatd", "do": "save"}
    text = (await visitor.send(NEW, typed, 422)).text
    assert "which no profile knows. Did you mean &#34;collection.object.created&#34;?" in text
    assert "choose profile standard" in text
    text = (await visitor.send(NEW, typed | {"more": "order.paid, collection.object.created"}, 422)).text
    assert "make a webhook for each" in text
    answer = await visitor.client.post(
        "/api/v1/webhooks", headers=KEY, json={"url": receiver.url(), "events": ["collection.object.creatd"]}
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "events[0]")
    assert "choose profile standard" in answer.json()["error"]
    assert await count(visitor) == 0
    text = await preview(visitor, **typed, profile="standard")
    assert "has come yet" in text
    assert "collection.object.created" in text
    saved = await visitor.send(NEW, typed | {"profile": "standard"})
    assert "has come yet" in (await visitor.get(saved.headers["location"])).text


async def test_a_table_that_is_not_there_is_told_with_what_to_do(visitor: Visitor, receiver: Receiver) -> None:
    await visitor.engine.sql("create table orders (id int primary key)")
    for wanted in ('{"table": "order"}', "table.order.inserted"):
        text = await preview(visitor, url=receiver.url(), more=wanted)
        assert "There is no table public.order. Did you mean &#34;orders&#34;?" in text
        assert "create table" in text
        assert "There is no table" in (await visitor.send(NEW, {"url": receiver.url(), "more": wanted}, 422)).text
    text = await preview(visitor, url=receiver.url(), more="orders.inserted")
    assert "orders is a table: tick it under Tables" in text
    assert "table.orders.inserted" in await preview(
        visitor, url=receiver.url(), more='{"table": "orders", "operations": ["INSERT"]}'
    )


async def test_what_overrides_a_profile_is_set_in_the_form(visitor: Visitor, receiver: Receiver) -> None:
    typed = {
        "url": receiver.url(), "profile": "vski", "names": "*", "method": "PUT", "template": '{"text": "{{record.id}}"}',
        "signature_format": "sha256=hex", "signature_header": "X-Hub-Signature-256", "jwt": "true", "retry": "growing",
        "base": "3 s", "factor": "3", "tries": "4", "jitter": "0", "do": "save",
    }  # fmt: skip
    text = await preview(visitor, **typed)
    assert "X-Hub-Signature-256" in text
    assert "Authorization" in text
    await visitor.send(NEW, typed)
    (shown,) = (await visitor.client.get("/api/v1/webhooks", headers=KEY)).json()
    assert (shown["method"], shown["jwt_enabled"], shown["body_template"]) == ("PUT", True, '{"text": "{{record.id}}"}')
    assert shown["signature"] == {"header": "X-Hub-Signature-256", "format": "sha256=hex"}
    assert shown["retry"] == {"base": 3.0, "factor": 3.0, "max": 86_400.0, "tries": 4, "jitter": 0.0}
    refused = (await visitor.send(NEW, typed | {"template": "{", "asymmetric": "true", "factor": "0.5"}, 422)).text
    assert "retry.factor is 0.5" in refused
    assert '<details class="part more" open>' in refused
    assert "body_template" in (await visitor.send(NEW, typed | {"template": "{"}, 422)).text


KINDS: list[dict[str, Any]] = [
    {"events": ["*"]},
    {"events": ["order,paid", "order.*", "table.*"], "headers": {"X-List": "a, b", "X-Blank": " a "}, "rate_per_second": 0.125},
    {"events": [{"table": "orders", "operations": ["DELETE", "INSERT"]}, {"table": "*"}], "ordered": True, "asymmetric": True},
    {"events": [{"schema": "sales", "table": "a, \"b\""}], "retry": {"delays": [1.5, 100_000.25], "jitter": 0.3}},
    {"events": [{"collection": "posts", "actions": ["publish"]}], "description": "one\ntwo\r\nthree ", "name": " </td>\u202e "},
    {"events": ["site.preview", "collection.object.*"], "profile": "vivreal", "secret": "any text", "timeout_seconds": 12.345678},
    {"events": ["content.*"], "profile": "vivreal-content", "retry": {"base": 7.25, "tries": 3}},
    {"events": ["INSERT"], "profile": "fluxbase-t", "max_retries": 4, "retry_backoff_seconds": 9},
    {"events": ["create"], "profile": "vski", "method": "PUT", "jwt_enabled": True, "body_template": '{\r\n "a": "{{record}}"}'},
    {"events": ["*"], "profile": "cloudevents-structured", "signature": {"header": "X-Own", "format": "t=,v1="}, "enabled": False},
]  # fmt: skip


async def test_an_edit_that_touches_nothing_changes_nothing_of_any_webhook(visitor: Visitor, receiver: Receiver) -> None:
    await visitor.engine.sql("create schema sales")
    await visitor.engine.sql('create table sales."a, ""b""" (id int primary key)')
    await visitor.engine.sql("create table orders (id int primary key)")
    await collections.create(visitor.engine.services, "posts", fields=[{"name": "title", "type": "text"}])
    for kind in KINDS:
        answer = await visitor.client.post("/api/v1/webhooks", headers=KEY, json={"url": receiver.url()} | kind)
        assert answer.status_code == 201, answer.text
        path = f"/api/v1/webhooks/{answer.json()['id']}"
        before = (await visitor.client.get(path, headers=KEY)).json()
        edit = f"/webhooks/{before['id']}/edit"
        fields: dict[str, Any] = fields_of_page((await visitor.get(edit)).text, "webhook")
        looked = (await visitor.send(edit, fields | {"do": ["review"]}, 200)).text
        assert "nothing changed" in looked
        await visitor.send(edit, fields | {"do": ["save"]})
        after = (await visitor.client.get(path, headers=KEY)).json()
        assert after == before, json.dumps(kind)
        # And of what is touched, that alone.
        await visitor.send(edit, fields | {"do": ["save"], "concurrency": ["17"]})
        after = (await visitor.client.get(path, headers=KEY)).json()
        assert after | {"updated_at": 0} == before | {"concurrency": 17, "version": 2, "updated_at": 0}


# Credentials ---------------------------------------------------------------------------------------------------------------

BASIC = {"auth": "basic", "auth_username": "shop", "auth_password": "pa55-word"}


async def _edit(visitor: Visitor, path: str, expect: int, do: str = "save", **changed: Any) -> str:
    """Send the form of a webhook as a browser does that finds it as it is, with other values in some fields."""
    form = fields_of_page((await visitor.get(f"{path}/edit")).text, "webhook")
    sent = {name: values for name, values in form.items() if name != "csrf"} | changed | {"do": do}
    return (await visitor.send(f"{path}/edit", sent, expect)).text


async def test_credentials_are_set_shown_without_secrets_replaced_and_removed(visitor: Visitor, receiver: Receiver) -> None:
    page = (await visitor.get(NEW)).text
    assert '<details class="part more" id="credentials"><summary>' in page, "folded, and there without script"
    authority = trustme.CA()
    soon = visitor.engine.clock.now() + timedelta(days=10)
    issued, other = authority.issue_cert("shop@example.com", not_after=soon), authority.issue_cert("other@example.com")
    pems = {
        one: {"certificate": one.cert_chain_pems[0].bytes().decode(), "certificate_key": one.private_key_pem.bytes().decode()}
        for one in (issued, other)
    }
    typed = {"url": receiver.url(), "names": ["*"], "name": "ERP", "do": "save", **BASIC}
    refused = (await visitor.send(NEW, typed | {"certificate": "x", "certificate_key": "y"}, 422)).text
    assert re.search(r'id="certificate-error">.{1,200}cannot be read as certificates', refused, re.DOTALL)
    assert 'value="pa55-word"' in refused, "what was typed stays"
    saved = await visitor.send(NEW, typed | pems[issued] | {"authorities": authority.cert_pem.bytes().decode()})
    path = saved.headers["location"].removesuffix("/ready")
    key = pems[issued]["certificate_key"].splitlines()[3]

    page = (await visitor.get(path)).text
    for said in ("A user and a password (Basic)", "shop", "Client certificate", "ends soon", "Receiver's authorities"):
        assert said in page, said
    form = (await visitor.get(f"{path}/edit")).text
    versions = (await visitor.get(f"{path}/versions")).text
    for secret in ("pa55-word", key, "BEGIN CERTIFICATE-----\\r\\nMII"):
        assert secret not in page + form + versions, secret
    assert "nothing changed" in await _edit(visitor, path, 200, "review")

    assert re.search(r'id="auth_password-error">.{1,200}Write the password', await _edit(visitor, path, 422, auth_username="erp"), re.DOTALL)  # fmt: skip
    reviewed = await _edit(visitor, path, 200, "review", auth_password="another-one")
    assert "(written anew)" in reviewed
    assert 'value="another-one"' in reviewed, "what is reviewed can be saved"
    moved = await _edit(visitor, path, 422, url="http://127.0.0.1:9/")
    assert re.search(r'id="auth-error">.{1,200}another host', moved, re.DOTALL)
    for changed, words in (
        ({"certificate": pems[other]["certificate"]}, 'id="certificate_key-error">.{1,200}belong together'),
        (pems[other] | {"certificate_key": pems[issued]["certificate_key"]}, 'id="certificate_key-error">.{1,200}not the one'),
        (pems[other] | {"certificate_gone": "true"}, 'id="certificate-error">.{1,200}Take the tick away'),
        ({"authorities": "x"}, 'id="authorities-error">.{1,200}cannot be read'),
        ({"authorities": "x" * 140_000}, 'id="authorities-error">.{1,200}longer than 131072'),
        ({"auth": "oauth2", "auth_token_url": "https://10.0.0.1/t", "auth_client_id": "a", "auth_client_secret": "b"},
         'id="auth_token_url-error">.{1,200}not'),
        ({"auth": "other"}, 'id="auth-error">.{1,200}Choose one'),
    ):  # fmt: skip
        assert re.search(words, await _edit(visitor, path, 422, **changed), re.DOTALL), words
    assert await visitor.engine.value("select max(version) from tidings.webhook_versions") == 1

    await _edit(visitor, path, 303, auth_password="another-one", **pems[other])
    assert "ends soon" not in (await visitor.get(path)).text, "the other one does not"
    await _edit(visitor, path, 303, auth="", certificate_gone="true", authorities_gone="true")
    assert "credentials-title" not in (await visitor.get(path)).text
    assert await visitor.engine.value("select credentials from tidings.webhooks") is None
    assert "credentials" in (await visitor.get(f"{path}/versions")).text


async def test_a_customer_is_told_nothing_of_the_operators_credentials(visitor: Visitor, receiver: Receiver) -> None:
    typed = {"url": receiver.url(), "names": ["*"], "name": "ERP", "do": "save", **BASIC, "auth_username": "the-operator"}
    path = (await visitor.send(NEW, typed)).headers["location"].removesuffix("/ready")
    await _edit(visitor, path, 303, auth_password="another-one")
    made = await visitor.client.post("/api/v1/groups/default/portal-link", json={"access": "full"}, headers=KEY)
    async with visiting(visitor.engine, str(visitor.client.base_url)) as customer:
        await customer.get("/p/" + made.json()["url"].rpartition("/p/")[2], 303)
        for page in (path, f"{path}/edit", f"{path}/versions", "/webhooks", "/home"):
            text = (await customer.get(page)).text
            assert "the-operator" not in text, page
            assert "auth_username" not in text, page
        moved = await _edit(customer, path, 422, url="http://127.0.0.1:9/")
        assert "sends headers that were set for its present host" in moved
        await _edit(customer, path, 303, name="mine", auth="", auth_username="x")
    assert await visitor.engine.value("select credentials->'auth'->>'username' from tidings.webhooks") == "the-operator"


async def test_a_token_is_asked_for_as_the_form_says(visitor: Visitor, receiver: Receiver) -> None:
    typed = {"url": receiver.url(), "names": ["*"], "do": "save", "auth": "oauth2", "auth_client_id": "shop"}
    typed |= {
        "auth_token_url": receiver.url("/token"),
        "auth_client_secret": "s3cret",
        "auth_scope": "hooks",
        "auth_sends": "body",
    }
    path = (await visitor.send(NEW, typed)).headers["location"].removesuffix("/ready")
    found = (await visitor.client.get(f"/api/v1{path}", headers=KEY)).json()["auth"]
    assert found == {
        "type": "oauth2", "token_url": receiver.url("/token"), "client_id": "shop", "client_secret": "(hidden)",
        "scope": "hooks", "sends": "body",
    }  # fmt: skip
    assert "nothing changed" in await _edit(visitor, path, 200, "review")
