"""The pages about sources, over HTTP."""

import hmac
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.support.engine import engine_of, routed
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.operations.sources import collections, event_types, integrations, jobs, records
from tidings.operations.sources.integrations import IntegrationChange
from tidings.operations.sources.job_changes import JobChange
from tidings.sources.tables import keep_all_in_step

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await visitor.sign_in()
        yield visitor


async def posts(visitor: Visitor) -> None:
    await collections.create(
        visitor.engine.services,
        "posts",
        fields=[
            {"name": "title", "type": "text", "required": True},
            {"name": "views", "type": "number"},
            {"name": "kind", "type": "select", "values": ["news", "page"]},
            {"name": "meta", "type": "json"},
            {"name": "slug", "type": "text", "unique": True},
        ],
    )


async def test_empty_pages_teach(visitor: Visitor) -> None:
    for path, said in (
        ("/sources", "Which tables are captured"),
        ("/sources/tables", "No table is captured"),
        ("/sources/collections", "No collections"),
        ("/sources/jobs", "No jobs"),
        ("/sources/integrations", "No integrations"),
        ("/sources/catalogue", "history of this group holds no event"),
    ):
        assert said in (await visitor.get(path)).text


async def test_how_a_table_is_captured_is_said_in_a_form(visitor: Visitor, receiver: Receiver) -> None:
    """Columns and conditions, as `PUT /api/v1/tables` takes them; the form of a webhook tells which changes count."""
    engine, path = visitor.engine, "/sources/tables/table/edit"
    await engine.sql("create table orders (id int primary key, status text, total numeric, card text)")
    await engine.add_webhook(receiver.url(), {"table": "orders"})
    assert f'href="{path}?name=orders"' in (await visitor.get("/sources/tables/table?name=orders")).text
    assert "It holds for every webhook" in (await visitor.get(f"{path}?name=orders")).text
    columns = {"name": "orders"} | {f"column-{at}": name for at, name in enumerate(("id", "status", "total", "card"))}
    typed = columns | {
        "out-3": "true",
        "changed-1": "true",
        "changed-2": "true",
        "rename-2": "amount",
        "unknown_groups": "make",
    }
    refused = await visitor.send(path, typed | {"when-INSERT": "new.stats = 1"}, 422)
    assert "stats" in refused.text
    assert 'value="amount"' in refused.text  # what was typed stays
    await visitor.send(path, typed | {"when-INSERT": "new.status <> 'draft'"})
    shown = (await visitor.client.get("/api/v1/tables/orders", headers={"Authorization": "Bearer test"})).json()
    assert (shown["exclude"], shown["rename"], shown["changed"]) == (["card"], {"total": "amount"}, ["status", "total"])
    assert shown["when"] == {"INSERT": "new.status <> 'draft'"}
    form = (await visitor.get("/webhooks/new")).text
    assert "inserted only when new.status &lt;&gt; &#39;draft&#39;" in form
    assert "updated only when status or total changed" in form
    assert f'href="{path}?name=orders"' in form
    await engine.sql("alter table orders drop column status cascade")  # while the form is open: its rows keep their columns
    gone = await visitor.send(path, typed, 422)
    assert "changed names the column &#39;status&#39;" in gone.text
    await visitor.send(path, {name: value for name, value in typed.items() if not name.endswith("-1")})
    shown = (await visitor.client.get("/api/v1/tables/orders", headers={"Authorization": "Bearer test"})).json()
    assert (shown["exclude"], shown["rename"], shown["changed"]) == (["card"], {"total": "amount"}, ["total"])
    await visitor.send(path, columns)
    assert "settings of its own" not in (await visitor.get("/sources/tables")).text
    await visitor.send(path, {"name": "orders"}, 422)
    await visitor.send(path, {"name": "nothing"}, 404)
    await visitor.get(path, 422)


async def test_a_table_says_how_it_is_captured_for_whom_and_takes_a_backfill(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.sql("create table orders (id int primary key, total numeric, card text)")
    await engine.sql('create table "od<d>" (id int primary key)')
    await engine.sql("insert into orders select n, n from generate_series(1, 10) n")
    webhook = await engine.add_webhook(receiver.url(), {"table": "orders"}, name=HOSTILE)
    client = visitor.client
    headers = {"Authorization": "Bearer test"}
    answer = await client.put(
        "/api/v1/tables/orders", json={"exclude": ["card"], "rename": {"total": "amount"}}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    listed = (await visitor.get("/sources/tables")).text
    assert "captured" in listed
    assert "inserted, updated, deleted" in listed
    page = (await visitor.get("/sources/tables/table?name=orders")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert 'card<span class="visually-hidden"> (excluded)</span>' in page
    assert "total → amount" in page
    refused = await visitor.send("/sources/tables/backfill", {"name": "od<d>", "webhook_id": str(webhook.id)}, 422)
    assert "does not hear INSERTs" in refused.text
    await visitor.send("/sources/tables/backfill", {"name": "orders", "webhook_id": str(webhook.id)})
    page = (await visitor.get("/sources/tables/table?name=orders")).text
    assert "running" in page
    assert "One is under way" in page
    again = await visitor.send("/sources/tables/backfill", {"name": "orders", "webhook_id": str(webhook.id)}, 422)
    assert "is under way" in again.text
    found = await engine.value("select id from tidings.backfills")
    await visitor.send("/sources/tables/backfill/cancel", {"name": "orders", "id": str(found)})
    assert "cancelled" in (await visitor.get("/sources/tables/table?name=orders")).text
    await visitor.get("/sources/tables/table?name=nothing", 404)
    await visitor.get("/sources/tables/table", 422)


async def test_a_table_says_what_is_wrong(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.sql("create table orders (id int primary key)")
    await engine.add_webhook(receiver.url(), {"table": "orders"})
    await engine.sql("alter table orders disable trigger tidings_capture")
    assert "ENABLE TRIGGER" in (await visitor.get("/sources/tables")).text
    await engine.sql("drop table orders")
    assert "does not exist (any more)" in (await visitor.get("/sources/tables")).text
    await keep_all_in_step(engine.services.wide)
    assert "no such table" in (await visitor.get("/sources/tables/table?name=orders")).text


async def test_a_record_is_added_changed_and_deleted_with_errors_at_their_fields(visitor: Visitor) -> None:
    await posts(visitor)
    path = "/sources/collections/posts"
    assert "No records yet" in (await visitor.get(path)).text
    wrong = {"field-title": "", "field-views": "many", "field-kind": "poem", "field-meta": "{", "field-publishDate": "soon"}
    page = (await visitor.send(f"{path}/add", wrong, 422)).text
    for name, said in (
        ("title", "is required"),
        ("views", "must be a number"),
        ("kind", "must be one of news, page"),
        ("meta", "cannot be read"),
        ("publishDate", "must be a time with its zone"),
    ):
        assert said in page.split(f'id="field-{name}-error"')[1].split("</p>")[0], name
    fresh = (await visitor.get(f"{path}/add")).text
    assert '<option value="false" selected>no</option>' in fresh, "what is added is not archived unless somebody says so"
    right = {"field-title": HOSTILE, "field-views": "1234567890123456789.10", "field-meta": '{"n": 1.10}', "field-slug": "a"}
    made = await visitor.send(f"{path}/add", right)
    record = made.headers["location"]
    page = (await visitor.get(record)).text
    assert "<script>alert" not in page
    assert "1234567890123456789.10" in page
    assert "1.10" in page
    await routed(visitor.engine)
    assert "content.created" in (await visitor.get(record)).text
    await visitor.send(f"{path}/add", {"field-title": "two", "field-slug": "b"})
    assert "Nothing was changed" in await said_after(visitor, record, {})
    assert "is saved" in await said_after(visitor, record, {"field-views": "7"})
    (row,) = await visitor.engine.sql(
        "select title, views::text, meta::text, slug from collections_default.posts where slug = 'a'"
    )
    assert (row["title"], row["views"]) == (HOSTILE, "7")
    await routed(visitor.engine)
    assert "content.updated" in (await visitor.get(record)).text
    clash = await visitor.send(record, {"field-slug": "b", "revision": await revision(visitor, record)}, 409)
    assert "is there already" in clash.text
    listed = (await visitor.get(f"{path}?where=views%20%3D%207")).text
    assert "1 record" in listed
    assert "2 records" in (await visitor.get(path)).text
    assert "records-part" in (await visitor.get(f"{path}?where=nonsense", 422)).text
    await visitor.send(f"{record}/delete", {})
    await visitor.get(record, 404)
    assert await visitor.engine.value("select count(*) from collections_default.posts") == 1


async def revision(visitor: Visitor, path: str) -> str:
    return (await visitor.get(path)).text.split('name="revision" value="')[1].split('"')[0]


async def said_after(visitor: Visitor, path: str, fields: dict[str, str]) -> str:
    await visitor.send(path, {"revision": await revision(visitor, path)} | fields)
    return (await visitor.get(path)).text


async def test_what_somebody_else_changed_meanwhile_is_not_undone_unknowingly(visitor: Visitor) -> None:
    await posts(visitor)
    await records.create(visitor.engine.services, "posts", [{"id": b'"one"', "title": b'"first"'}])  # type: ignore[dict-item]
    path = "/sources/collections/posts/records/one"
    old = await revision(visitor, path)
    visitor.engine.clock.ahead += timedelta(seconds=1)
    await said_after(visitor, path, {"field-title": "theirs"})
    page = (await visitor.send(path, {"revision": old, "field-title": "mine"}, 409)).text
    assert "Somebody changed this record" in page
    assert 'value="mine"' in page
    assert await visitor.engine.value("select title from collections_default.posts") == "theirs"


async def test_a_job_says_when_it_fires_is_run_paused_and_resumed(visitor: Visitor, receiver: Receiver) -> None:
    services = visitor.engine.services
    made = await jobs.create(
        services, JobChange(name=HOSTILE, schedule="30 2 * * 1-5", timezone="Europe/Berlin", url=receiver.url())
    )
    path = f"/sources/jobs/{made.job.id}"
    listed = (await visitor.get("/sources/jobs")).text
    assert "At 02:30 on Monday through Friday, Europe/Berlin" in listed
    assert "<script>alert" not in listed
    page = (await visitor.get(path)).text
    assert "It has not fired yet." in page
    assert page.count("<time") >= 5
    await visitor.send(f"{path}/run", {})
    assert "its request is a delivery of the event" in (await visitor.get(path)).text
    await visitor.send(f"{path}/switch", {"active": "false"})
    page = (await visitor.get(path)).text
    assert "paused" in page
    assert "Resume" in page
    assert "Run now" not in page
    await visitor.send(f"{path}/run", {}, 409)
    await visitor.send(f"{path}/switch", {"active": "true"})
    assert "Run now" in (await visitor.get(path)).text
    await visitor.send(f"{path}/switch", {"active": "maybe"}, 422)
    await visitor.engine.sql("update tidings.cron_jobs set enabled = false, fault = 'schedule cannot be read'")
    assert "schedule cannot be read" in (await visitor.get("/sources/jobs")).text


async def test_an_integration_shows_what_came_and_counts_what_was_refused_by_reason(visitor: Visitor) -> None:
    services, client = visitor.engine.services, visitor.client
    asked = IntegrationChange(name="shop", platform="hmac", settings={"header": "x-sig"})
    made = await integrations.create(services, asked)

    def signed(body: bytes) -> dict[str, str]:
        return {"x-sig": hmac.digest(made.secret.encode(), body, "sha256").hex()}

    body = b'{"type": "product.created", "id": "n1"}'
    assert (await client.post("/in/shop", content=body, headers=signed(body))).status_code == 200
    for _ in range(3):
        assert (await client.post("/in/shop", content=b"{}", headers={"x-sig": "0" * 64})).status_code == 401
    assert (await client.post("/in/shop", content=b"[1]", headers=signed(b"[1]"))).status_code == 422
    page = (await visitor.get("/sources/integrations/shop")).text
    assert "product.created" in page
    assert "/in/shop" in page
    assert made.secret not in page
    rows = await visitor.engine.sql("select reason, refused_count from tidings.integration_refusals order by reason")
    assert [tuple(row) for row in rows] == [("body", 1), ("signature", 3)]
    assert "Not verified" in page
    assert "Not readable" in page
    await visitor.send("/sources/integrations/shop/switch", {"enabled": "false"})
    assert (await client.post("/in/shop", content=body, headers=signed(body))).status_code == 404
    assert "Disconnected" in (await visitor.get("/sources/integrations/shop")).text


async def test_refusals_are_written_once_a_second_however_many_come(visitor: Visitor) -> None:
    visitor.engine.clock.stand_still()
    await integrations.create(visitor.engine.services, IntegrationChange(name="shop", platform="hmac"))
    for _ in range(5):
        await visitor.client.post("/in/shop", content=b"{}")
    count = "select sum(refused_count) from tidings.integration_refusals"
    assert await visitor.engine.value(count) == 1
    visitor.engine.clock.ahead += timedelta(seconds=1)
    await visitor.client.post("/in/shop", content=b"{}")
    assert await visitor.engine.value(count) == 6


async def test_the_catalogue_holds_what_can_be_heard_and_what_was_seen(visitor: Visitor) -> None:
    await event_types.put(visitor.engine.services, "order.paid", description=HOSTILE, schema='{"type": "object"}')
    await visitor.engine.publish("order.paid")
    await visitor.engine.publish("order.odd")
    await routed(visitor.engine)
    page = (await visitor.get("/sources/catalogue")).text
    assert "<script>alert" not in page
    assert "order.odd" in page
    assert "/sources/new/type?name=order.odd" in page
    assert "content.created" in page
    assert 'href="/events?type=order.paid"' in page


async def test_pages_show_their_own_group_alone(visitor: Visitor, receiver: Receiver) -> None:
    await posts(visitor)
    made = await jobs.create(visitor.engine.services, JobChange(name="nightly", schedule="0 0 * * *", url=receiver.url()))
    await integrations.create(visitor.engine.services, IntegrationChange(name="shop", platform="hmac"))
    await visitor.engine.sql("insert into tidings.groups (id) values ('acme')")
    await visitor.get("/sources?group=acme")
    for path in ("collections/posts", f"jobs/{made.job.id}", "integrations/shop"):
        await visitor.get(f"/sources/{path}", 404)
    await visitor.send(f"/sources/jobs/{made.job.id}/run", {}, 404)


async def test_forms_without_their_token_change_nothing(visitor: Visitor) -> None:
    await posts(visitor)
    await visitor.send("/sources/collections/posts/add", {"csrf": "0" * 64, "field-title": "x"}, 403)
    assert await visitor.engine.value("select count(*) from collections_default.posts") == 0
