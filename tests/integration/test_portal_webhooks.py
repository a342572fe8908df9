"""The portal's pages of webhooks, over HTTP."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.test_portal import HTML, Visitor
from tests.support.engine import Engine, engine_of, routed
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.operations.sources import jobs
from tidings.operations.sources.job_changes import JobChange

HOSTILE = '</td><script>alert(1)</script>"\u202e\u200b'
FORM = {"name": "ERP", "names": "order.*", "do": "save", "profile": "standard"}


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=HTML, timeout=PATIENCE) as client,
    ):
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        signed = Visitor(client, engine)
        await signed.sign_in()
        yield signed


async def made(visitor: Visitor, url: str, **fields: Any) -> str:
    """Set a webhook up by the form, and return its path."""
    sent = FORM | {"url": url, "csrf": await visitor.csrf("/webhooks/new")} | fields
    location: str = (await visitor.post("/webhooks/new", sent, 303)).headers["location"]
    assert location.endswith("/ready")
    return location.removesuffix("/ready")


async def stored(engine: Engine) -> Any:
    (row,) = await engine.sql("select * from tidings.webhooks")
    return row


async def test_an_empty_list_teaches_and_leads_to_the_form(visitor: Visitor) -> None:
    page = await visitor.get("/webhooks")
    assert "No webhooks yet" in page.text
    assert 'href="/webhooks/new"' in page.text
    for words in ("integrations", "webhooks", "add endpoint", "endpoints"):
        assert 'href="/webhooks"' in (await visitor.get(f"/search?q={words}")).text.partition("<main")[2]
    assert "Add Endpoint" in (await visitor.get("/settings")).text


async def test_a_webhook_is_set_up_and_its_secret_shown_once(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(visitor, receiver.url(), headers="X-Source: shop", retry="custom", delays="5 s, 5 min", ordered="true")
    row = await stored(visitor.engine)
    assert (row["name"], row["url"], row["headers"]) == ("ERP", receiver.url(), '{"X-Source": "shop"}')
    assert row["retry"] == '{"delays": [5.0, 300.0], "jitter": 0.1}'
    shown = (await visitor.get(f"{path}/ready")).text
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]{40,}", shown.partition("data-copy")[0])
    assert "standardwebhooks" in shown or "webhook-signature" in shown
    assert secret not in (await visitor.get(f"{path}/ready")).text
    assert secret not in (await visitor.get(f"{path}/secrets")).text
    csrf = await visitor.csrf(f"{path}/secrets")
    assert secret in (await visitor.post(f"{path}/secrets/reveal", {"csrf": csrf}, 200)).text
    assert "Waiting for the first delivery" in shown
    await visitor.engine.publish()
    await visitor.engine.cycle()
    assert "was delivered" in (await visitor.get(f"{path}/first")).text


async def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_stays(visitor: Visitor) -> None:
    csrf = await visitor.csrf("/webhooks/new")
    sent = FORM | {"csrf": csrf, "url": "ftp://x", "headers": HOSTILE, "delays": "soon", "retry": "custom", "timeout": "x"}
    text = (await visitor.post("/webhooks/new", sent, 422)).text
    assert 'id="delays-error"' in text
    assert "&#39;soon&#39; is no delay" in text
    assert "is no number" in text
    assert "has no colon" in text
    assert 'value="order.*" checked' in text or ">order.*<" in text or "order.*</textarea>" in text
    assert "<script>alert" not in text
    sent |= {"headers": "", "delays": "", "timeout": ""}
    text = (await visitor.post("/webhooks/new", sent, 422)).text
    assert "url must begin with https://" in text
    assert 'value="ftp://x"' in text
    assert await visitor.engine.value("select count(*) from tidings.webhooks") == 0


async def test_the_request_is_shown_as_it_will_be_sent(visitor: Visitor, receiver: Receiver) -> None:
    csrf = await visitor.csrf("/webhooks/new")
    sent = {"csrf": csrf, "url": receiver.url("/deep?x=1"), "names": "*", "profile": "vivreal", "headers": "X-Source: shop"}
    text = (await visitor.post("/webhooks/new/preview", sent | {"shown_profile": "standard"}, 200)).text
    assert "X-Vivreal-Signature" in text
    assert "X-Source" in text
    assert "collection.object.created" in text  # boxes by the profile's names
    text = (await visitor.post("/webhooks/new/preview", sent | {"shown_profile": "vivreal", "names": "bogus"}, 200)).text
    assert "does not know" in text
    assert await visitor.engine.value("select count(*) from tidings.webhooks") == 0


async def test_what_it_would_have_been_sent_is_shown_before_and_after_it_is_saved(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    for number in range(3):
        await engine.publish("order.paid", f'{{"id": {number}}}')
    await engine.publish("order.sent")
    await routed(engine)
    form = FORM | {"csrf": await visitor.csrf("/webhooks/new"), "url": "", "names": "order.paid", "do": "dry-run"}
    page = (await visitor.post("/webhooks/new", form, 200)).text
    assert page.count('id="row-') == 3
    assert "3 events of the last 7 days" in page
    assert await engine.value("select count(*) from tidings.webhooks") == 0, "looking saves nothing"
    page = (await visitor.post("/webhooks/new", form | {"names": "order.lost", "days": "30"}, 200)).text
    assert "Nothing in the last 30 days" in page
    page = (await visitor.post("/webhooks/new", form | {"delays": "soon", "retry": "custom"}, 200)).text
    assert "is no delay" in page
    path = await made(visitor, receiver.url(), names="order.*")
    page = (await visitor.get(f"{path}/dry-run")).text
    assert page.count('id="row-') == 4
    assert f"/explain?webhook_id={path.rpartition('/')[2]}" in page
    page = (await visitor.post(f"{path}/edit", form | {"url": receiver.url(), "names": "order.sent"}, 200)).text
    assert page.count('id="row-') == 1
    await visitor.get(f"{path}/dry-run?days=7&cursor=x", 422)


async def test_a_url_is_checked_before_anything_is_sent(visitor: Visitor, receiver: Receiver) -> None:
    csrf = await visitor.csrf("/webhooks/new")

    async def said(url: str) -> str:
        return (await visitor.post("/webhooks/check", {"csrf": csrf, "url": url}, 200)).text

    assert "127.0.0.1 port" in await said(receiver.url())
    assert "without TLS" in await said(receiver.url())
    assert "The address 10.0.0.1 is not public" in await said("https://10.0.0.1/")
    assert "must not carry a user name" in await said("https://a:b@example.com/")
    assert "It can be saved" in await said("http://127.0.0.1:1/")
    assert "<script>" not in await said(f"https://example.com/{HOSTILE}")
    assert receiver.received == []


async def test_a_change_is_reviewed_and_then_saved(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(visitor, receiver.url())
    page = (await visitor.get(f"{path}/edit")).text
    assert re.search(r'value="order\.\*" checked|order\.\*</textarea>', page)
    csrf = await visitor.csrf(f"{path}/edit")
    sent = FORM | {"csrf": csrf, "url": receiver.url("/other"), "version": "1", "do": "review", "names": "user.*"}
    review = (await visitor.post(f"{path}/edit", sent, 200)).text
    assert "Save changes" in review
    assert "/other" in review
    assert (await stored(visitor.engine))["version"] == 1
    await visitor.post(f"{path}/edit", sent | {"do": "save"}, 303)
    row = await stored(visitor.engine)
    assert (row["version"], row["url"]) == (2, receiver.url("/other"))
    assert "Somebody has changed" in (await visitor.post(f"{path}/edit", sent | {"do": "save"}, 409)).text
    versions = (await visitor.get(f"{path}/versions")).text
    assert "Version 2" in versions
    assert "/other" in versions


async def test_a_webhook_is_paused_resumed_and_deleted_by_its_name(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(visitor, receiver.url())
    csrf = {"csrf": await visitor.csrf(path)}
    await visitor.post(f"{path}/pause", csrf, 303)
    paused = (await visitor.get(path)).text
    assert "paused" in paused
    assert f'href="{path}/recover"' in paused
    assert "no worker runs" in (await visitor.post(f"{path}/test", csrf, 200)).text
    await visitor.post(f"{path}/resume", csrf, 303)
    assert (await stored(visitor.engine))["enabled"]
    assert "This is not its name." in (await visitor.post(f"{path}/delete", csrf | {"name": "erp"}, 422)).text
    await visitor.post(f"{path}/delete", csrf | {"name": "ERP"}, 303)
    assert await visitor.engine.value("select count(*) from tidings.webhooks") == 0
    await visitor.get(path, 404)


async def test_an_unknown_event_is_told_with_the_near_ones(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(visitor, receiver.url(), profile="vivreal", names="*")
    csrf = {"csrf": await visitor.csrf(f"{path}/test")}
    text = (await visitor.post(f"{path}/test", csrf | {"event": "collection.object.create"}, 422)).text
    assert "collection.object.created" in text
    page = await visitor.get(f"{path}/test?event=collection.object.updated")
    assert 'value="collection.object.updated" selected' in page.text


async def test_secrets_are_rotated_and_bad_ones_told(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(visitor, receiver.url())
    csrf = {"csrf": await visitor.csrf(f"{path}/secrets")}
    assert "whsec_" in (await visitor.post(f"{path}/secrets/rotate", csrf | {"secret": "short"}, 422)).text
    page = (await visitor.post(f"{path}/secrets/rotate", csrf | {"overlap": "3600"}, 200)).text
    assert "Previous secret" in page
    assert (await stored(visitor.engine))["previous_secret"] is not None


async def test_nothing_changes_without_the_token_of_the_form(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(visitor, receiver.url())
    for end in ("pause", "test", "edit", "edit/preview", "secrets/reveal", "secrets/rotate", "delete"):
        await visitor.post(f"{path}/{end}", {"name": "ERP", "do": "save"}, 403)
    for whole in ("/webhooks/new", "/webhooks/new/preview", "/webhooks/check"):
        await visitor.post(whole, {"url": receiver.url()}, 403)
    assert (await stored(visitor.engine))["version"] == 1


async def test_hostile_names_urls_and_headers_are_inert_on_every_page(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(
        visitor, receiver.url("/%3Cscript%3E"), name=HOSTILE, description=HOSTILE, headers="X-A: <script>alert(1)"
    )
    for page in ("/webhooks", path, *(f"{path}/{end}" for end in ("edit", "test", "secrets", "versions", "delete", "ready"))):
        text = (await visitor.get(page)).text
        assert "<script>alert" not in text, page
        assert "\u202e" not in re.sub(r'(?:value|title)="[^"]*"|<textarea[^>]*>[^<]*', "", text), page


async def test_the_list_is_searched_and_paged_by_cursor(visitor: Visitor, receiver: Receiver) -> None:
    for number in range(52):
        await visitor.engine.add_webhook(receiver.url(f"/{number}"), "order.*", name=f"hook {number} 100%")
    first = (await visitor.get("/webhooks")).text
    assert first.count('class="row-link"') == 50
    older = re.search(r'href="(/webhooks\?cursor=[^"]+)" rel="next"', first)
    assert older
    assert (await visitor.get(older[1])).text.count('class="row-link"') == 2
    assert (await visitor.get("/webhooks?q=hook+51")).text.count('class="row-link"') == 1
    assert (await visitor.get("/webhooks?q=/51")).text.count('class="row-link"') == 1
    assert (await visitor.get("/webhooks?q=100%25")).text.count('class="row-link"') == 50
    assert "No webhook is called so" in (await visitor.get("/webhooks?q=hook_5")).text
    await visitor.get("/webhooks?cursor=x", 422)


async def test_webhooks_of_another_group_are_not_shown(visitor: Visitor, receiver: Receiver) -> None:
    await visitor.engine.sql("insert into tidings.groups (id) values ('acme')")
    other = await visitor.engine.add_webhook(receiver.url(), "order.*", group_id="acme", name="theirs")
    assert "theirs" not in (await visitor.get("/webhooks")).text
    for end in ("", "/edit", "/test", "/dry-run", "/secrets", "/versions", "/delete", "/ready", "/first"):
        await visitor.get(f"/webhooks/{other.id}{end}", 404)


async def test_a_managed_webhook_says_where_it_is_changed_and_one_set_aside_why(visitor: Visitor, receiver: Receiver) -> None:
    asked = JobChange(name="nightly", schedule="0 3 * * *", url=receiver.url())
    job = await jobs.create(visitor.engine.services, asked)
    managed = job.webhook
    assert managed
    page = (await visitor.get(f"/webhooks/{managed.id}")).text
    assert "It belongs to a job" in page
    assert f"/sources/jobs/{job.job.id}" in page, "where it is changed"
    assert f"{managed.id}/edit" not in page
    await visitor.get(f"/webhooks/{managed.id}/edit", 409)
    csrf = {"csrf": await visitor.csrf(f"/webhooks/{managed.id}/secrets")}
    await visitor.post(f"/webhooks/{managed.id}/secrets/rotate", csrf, 409)
    await visitor.engine.sql("update tidings.webhooks set fault = 'Set aside, since its profile is unknown.'")
    assert "Set aside, since" in (await visitor.get(f"/webhooks/{managed.id}")).text
    assert "set aside" in (await visitor.get("/webhooks")).text


async def test_a_receiver_is_diagnosed_with_and_without_script(visitor: Visitor, receiver: Receiver) -> None:
    path = await made(visitor, receiver.url())
    assert f'href="{path}/diagnose"' in (await visitor.get(path)).text
    asked = {"csrf": await visitor.csrf(f"{path}/diagnose")}
    assert receiver.received == []
    page = (await visitor.post(f"{path}/diagnose", asked, 200)).text
    assert "a stranger signed" in page
    assert "verify(req.body, req.headers" in page
    assert "signed by a stranger" in page.partition("What was sent")[2]
    assert "<html" in page
    receiver.otherwise = says(answer(401, HOSTILE.encode()))
    part = await visitor.post(f"{path}/diagnose", asked, 200, **{"hx-request": "true"})
    assert ("<html" in part.text, "wrong secret" in part.text) == (False, True)
    assert "<script>" not in part.text
    await visitor.post(f"{path}/diagnose", {"csrf": "x"}, 403)
