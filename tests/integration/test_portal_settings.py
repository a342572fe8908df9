"""The pages of settings, over HTTP, and what is set aside by the API."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.engine import engine_of, routed
from tests.support.portal import Visitor, visiting
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts

HOSTILE = "<script>alert(1)</script>\u202e"
KEY = {"Authorization": "Bearer test"}


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await visitor.sign_in()
        yield visitor


async def set_aside(visitor: Visitor) -> int:
    """Have a row set aside: its type is missing."""
    await visitor.engine.sql(
        "insert into tidings.outbox (group_id, source, record) values ($1, 'publish', $2)", "nobody", f'{{"said": "{HOSTILE}"}}'
    )
    await routed(visitor.engine)
    number: int = await visitor.engine.value("select max(id) from tidings.outbox_rejected")
    assert number is not None
    return number


async def test_every_page_of_settings_is_there(visitor: Visitor) -> None:
    for path, said in (
        ("/settings", "30 days"),
        ("/settings/groups", "shown now"),
        ("/settings/links", "Links that are good now"),
        ("/settings/keys", "whpk_"),
        ("/settings/set-aside", "Nothing is set aside"),
        ("/settings/about", "alive"),
    ):
        assert said in (await visitor.get(path)).text, path
    assert "test" not in (await visitor.get("/settings/keys")).text.split("<main")[1]  # the admin key of tests


async def test_a_group_is_made_and_what_it_cannot_be_is_said_at_its_field(visitor: Visitor) -> None:
    await visitor.send("/settings/groups", {"id": "acme"})
    assert "acme" in (await visitor.get("/settings/groups")).text
    again = await visitor.send("/settings/groups", {"id": "acme"}, 422)
    assert "There is a group &#39;acme&#39; already" in again.text
    bad = await visitor.send("/settings/groups", {"id": HOSTILE}, 422)
    assert "1 to 100 characters" in bad.text
    assert "<script>alert" not in bad.text


async def test_a_row_that_was_set_aside_is_read_routed_again_and_discarded(visitor: Visitor) -> None:
    number = await set_aside(visitor)
    listed = (await visitor.get("/settings/set-aside")).text
    assert f"/settings/set-aside/{number}" in listed
    page = (await visitor.get(f"/settings/set-aside/{number}")).text
    assert "<script>alert" not in page
    assert "U+202E" in page
    await visitor.send(f"/settings/set-aside/{number}/route", {})
    await visitor.get(f"/settings/set-aside/{number}", 404)
    assert await visitor.engine.value("select count(*) from tidings.outbox") == 1
    await routed(visitor.engine)
    again = await visitor.engine.value("select max(id) from tidings.outbox_rejected")
    assert again > number, "its reason still holds"
    await visitor.send(f"/settings/set-aside/{again}/discard", {})
    await visitor.send(f"/settings/set-aside/{again}/discard", {}, 404)
    assert "Nothing is set aside" in (await visitor.get("/settings/set-aside")).text


async def test_a_row_that_is_mended_is_routed_and_told(visitor: Visitor) -> None:
    number = await set_aside(visitor)
    mended = """update tidings.outbox_rejected set row_as_json =
        (row_as_json::jsonb || '{"type": "order.paid", "group_id": "default"}')::json"""
    await visitor.engine.sql(mended)
    assert (await call(visitor, "POST", f"/{number}/route", 202)) is None
    await routed(visitor.engine)
    assert await visitor.engine.value("select count(*) from tidings.events where type = 'order.paid'") == 1
    assert await visitor.engine.value("select count(*) from tidings.outbox_rejected") == 0


async def call(visitor: Visitor, method: str, path: str, expect: int) -> Any:
    answer = await visitor.client.request(method, f"/api/v1/set-aside{path}", headers=KEY)
    assert answer.status_code == expect, answer.text
    return answer.json() if answer.content else None


async def test_what_was_set_aside_is_told_by_the_api_page_by_page(visitor: Visitor) -> None:
    numbers = [await set_aside(visitor) for _ in range(3)]
    found = await call(visitor, "GET", "?limit=2", 200)
    assert [one["number"] for one in found] == numbers[:0:-1]
    assert "row" not in found[0]
    (last,) = await call(visitor, "GET", f"?limit=2&before={found[-1]['number']}", 200)
    assert (last["number"], last["group"]) == (numbers[0], "nobody")
    read = await call(visitor, "GET", f"/{numbers[0]}", 200)
    assert read["row"]["record"] == {"said": HOSTILE}
    await call(visitor, "DELETE", f"/{numbers[0]}", 204)
    await call(visitor, "GET", f"/{numbers[0]}", 404)


async def test_a_row_that_cannot_be_read_back_stays_with_its_reason(visitor: Visitor) -> None:
    number = await set_aside(visitor)
    await visitor.engine.sql("""update tidings.outbox_rejected set row_as_json = '{"occurred_at": "never"}'""")
    page = (await visitor.send(f"/settings/set-aside/{number}/route", {}, 409)).text
    assert "cannot be put back" in page
    assert await visitor.engine.value("select count(*) from tidings.outbox_rejected") == 1


@pytest.mark.parametrize("said", [r"\u0000", r"\ud800"], ids=["nul", "half a surrogate"])
async def test_a_row_that_postgresql_cannot_take_apart_is_listed_and_discarded(visitor: Visitor, said: str) -> None:
    first, second = await set_aside(visitor), await set_aside(visitor)
    strange = f'{{"group_id": "nobody", "type": "order.paid", "record": {{"said": "{said}"}}}}'
    await visitor.engine.sql(f"update tidings.outbox_rejected set row_as_json = '{strange}' where id = {first}")
    found = await call(visitor, "GET", "", 200)
    assert [(one["number"], one["group"]) for one in found] == [(second, "nobody"), (first, "nobody")]
    assert found[1]["type"] == "order.paid"
    await visitor.get(f"/settings/set-aside/{first}")
    await call(visitor, "GET", f"/{first}", 200)
    await call(visitor, "POST", f"/{first}/route", 409)
    await call(visitor, "DELETE", f"/{first}", 204)
    await call(visitor, "GET", f"/{second}", 200)


async def test_a_worker_that_is_silent_and_none_at_all_are_told(visitor: Visitor) -> None:
    await visitor.engine.sql("update tidings.workers set heartbeat_at = now() - interval '1 minute'")
    assert "silent" in (await visitor.get("/settings/about")).text
    await visitor.engine.sql("delete from tidings.workers")
    assert "No worker is alive" in (await visitor.get("/settings/about")).text


async def test_settings_tell_what_is_wrong_with_the_remedy(visitor: Visitor) -> None:
    assert "What is wrong" not in (await visitor.get("/settings")).text
    await set_aside(visitor)
    await visitor.engine.sql("delete from tidings.workers")
    page = (await visitor.get("/settings")).text
    assert "No worker is alive, so nothing is delivered." in page
    assert "1 event could not be routed" in page


async def test_entries_of_the_audit_lead_to_what_they_are_about_and_back(visitor: Visitor) -> None:
    hook = await _made(visitor, "webhooks", url="http://127.0.0.1:9/", events=["*"], name="ERP")
    await visitor.send(f"/webhooks/{hook['id']}/secrets/reveal", {}, 200)
    key = await _made(visitor, "keys", name="a key", scopes=["webhooks:read"])
    catcher = await _made(visitor, "bins", name="a bin")
    job = await _made(visitor, "cron", name="nightly", schedule="0 2 * * *", url="http://127.0.0.1:9/")
    await _made(visitor, "collections", name="posts", schema=[{"name": "title", "type": "text"}])
    await _made(visitor, "integrations", name="shop", platform="github")
    rule = await _made(visitor, "redaction-rules", events=["order.*"], fields=["card"])
    gone = await _made(visitor, "bins", name="gone")
    await visitor.send(f"/settings/bins/{gone['id']}/delete", {"name": "gone"})
    page = (await visitor.get("/settings/audit")).text
    rows = re.findall(r'<span class="said"><a href="([^"]+)">', page)
    assert {path.split("?")[0] for path in rows} >= {
        f"/webhooks/{hook['id']}", f"/settings/api-keys/{key['id']}", f"/settings/bins/{catcher['id']}", f"/sources/jobs/{job['id']}",
        "/sources/collections/posts", "/sources/integrations/shop", f"/settings/redaction/{rule['id']}",
    }  # fmt: skip
    for path in set(rows) - {f"/settings/bins/{gone['id']}"}:
        there = (await visitor.get(path)).text
        (back,) = re.findall(r'class="on-record" href="([^"]+)"', there) or [""]
        assert back, path
        assert f'<a href="{path}">' in (await visitor.get(back)).text, path
    keys = set(re.findall(r'<a href="(/settings/(?:api-keys|members)/[^"]+)">[^<]*…', page))
    for path in keys:
        await visitor.get(path)


async def _made(visitor: Visitor, what: str, **fields: Any) -> Any:
    answer = await visitor.client.post(f"/api/v1/{what}", json=fields, headers=KEY)
    assert answer.status_code == 201, answer.text
    return answer.json()
