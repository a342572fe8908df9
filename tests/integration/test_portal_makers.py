"""The forms of what makes events, over HTTP: what they ask for, and what is wrong said at its field."""

import re
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.support.engine import engine_of
from tests.support.portal import Visitor, visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.operations.sources import collections, event_types, integrations, jobs, records, tables


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        assert api_server._framework
        api_server._framework.state["sign_in_attempts"] = Attempts()
        await visitor.sign_in()
        yield visitor


def at_field(page: str, name: str) -> str:
    """Return what is said to be wrong at a field."""
    return page.split(f'id="{name}-error"')[1].split("</p>")[0]


def fields(*rows: dict[str, str]) -> dict[str, str]:
    """Return the rows of a collection's form."""
    sent = {f"{name}-{place}": value for place, row in enumerate(rows) for name, value in row.items()}
    return {"rows": str(len(rows)), "do": "save"} | sent


async def test_a_collection_is_made_changed_and_deleted_by_its_form(visitor: Visitor) -> None:
    services, path = visitor.engine.services, "/sources/new/collection"
    title = {"field": "title", "type": "text", "required": "true"}
    await visitor.send(path, {"name": "people", "kind": "auth"} | fields())
    wrong = {"name": "posts", "kind": "base"} | fields({"field": ""}, title, {"field": "kind", "type": "select"})
    page = (await visitor.send(path, wrong, 422)).text
    assert "values must list what &#39;kind&#39; may be" in page.split('id="row-2-error"')[1].split("</p>")[0]
    assert 'name="field-1" value="title"' in page, "what was typed stays"
    page = (await visitor.send(path, {"name": "2 posts"} | fields(title), 422)).text
    assert "beginning with a letter" in at_field(page, "name")
    page = (await visitor.send(path, {"name": "people"} | fields(title), 409)).text
    assert "people" in at_field(page, "name")
    page = (await visitor.send(path, wrong | {"do": "more"}, 200)).text
    assert 'name="field-5"' in page
    made = fields(
        title,
        {"field": "kind", "type": "select", "values": "news\r\nessay, long\r\n"},
        {"field": "by", "type": "relation", "of": "people"},
        {"field": "slug", "type": "text", "unique": "true"},
    )
    await visitor.send(path, {"name": "posts", "kind": "base"} | made)
    found = await collections.read(services, "posts")
    assert [(one.name, one.type, one.required, one.unique) for one in found.fields] == [
        ("title", "text", True, False),
        ("kind", "select", False, False),
        ("by", "relation", False, False),
        ("slug", "text", False, True),
    ]
    assert found.fields[1].values == ("news", "essay, long")
    assert "one of “news”, “essay, long”" in (await visitor.get(f"/sources/collections/{found.name}")).text
    assert found.fields[2].collection == "people"
    await records.create(services, "posts", [{"title": msgspec.Raw(b'"One"'), "slug": msgspec.Raw(b'"one"')}])

    page = (await visitor.get("/sources/collections/posts/edit")).text
    assert 'value="people"' in page
    change = {f"was-{place}": name for place, name in enumerate(("title", "kind", "by", "slug"))} | made
    change |= {"field-0": "heading", "remove-3": "true"}
    page = (await visitor.send("/sources/collections/posts/edit", change, 422)).text
    said = page.split('id="row-3-error"')[1].split("</p>")[0]
    assert "1 record has a value in &#39;slug&#39;, which would go with it." in said
    assert "Tick “lose its values”" in said
    assert "drop" not in said
    await visitor.send("/sources/collections/posts/edit", change | {"lose-3": "true"})
    found = await collections.read(services, "posts")
    assert [one.name for one in found.fields] == ["heading", "kind", "by"]
    (kept,) = (await records.find(services, "posts", limit=5)).items
    assert msgspec.json.decode(kept)["heading"] == "One"

    page = (await visitor.send("/sources/collections/posts/delete", {"confirm": "post"}, 422)).text
    assert "That is not its name" in at_field(page, "confirm")
    await visitor.send("/sources/collections/posts/delete", {"confirm": "posts"})
    await visitor.get("/sources/collections/posts", 404)


async def test_a_collections_triggers_are_kept_and_changed_by_its_form(visitor: Visitor, receiver: Receiver) -> None:
    services = visitor.engine.services
    options = msgspec.json.encode({"triggers": [{"action": "create", "url": receiver.url()}]}).decode()
    row = {"field": "title", "type": "text"}
    page = (await visitor.send("/sources/new/collection", {"name": "posts", "options": "{"} | fields(row), 422)).text
    assert "options is no JSON object" in at_field(page, "options")
    await visitor.send("/sources/new/collection", {"name": "posts", "options": options} | fields(row))
    assert (await collections.read(services, "posts")).options["triggers"][0]["action"] == "create"
    page = (await visitor.get("/sources/collections/posts/edit")).text
    assert "&#34;action&#34;: &#34;create&#34;" in page
    await visitor.send("/sources/collections/posts/edit", {"options": ""} | fields(row | {"was": "title"}))
    assert (await collections.read(services, "posts")).options == {}


async def test_a_list_is_not_sorted_by_a_column_that_has_no_order(visitor: Visitor) -> None:
    made = [{"name": "title", "type": "text"}, {"name": "meta", "type": "json"}]
    await collections.create(visitor.engine.services, "posts", fields=made)
    await records.create(visitor.engine.services, "posts", [{"title": msgspec.Raw(b'"One"')}])
    page = (await visitor.get("/sources/collections/posts")).text
    links = [link.replace("&amp;", "&") for link in re.findall(r'<th[^>]*><a href="([^"]*)"', page)]
    assert len(links) == 2, "title, and when it was changed"
    for link in links:
        await visitor.get(link)


async def test_a_job_is_made_changed_and_deleted_by_its_form(visitor: Visitor, receiver: Receiver) -> None:
    services, path = visitor.engine.services, "/sources/new/job"
    job = {"name": "nightly", "schedule": "30 2 * * 1-5", "timezone": "Europe/Berlin", "url": receiver.url(), "method": "PUT"}
    job |= {"headers": "X-Key: one", "body": '{"at": "{{record.scheduled_at}}"}', "content": "json", "retries": "3"}
    job |= {"timeout": "7.5", "missed": "skip", "do": "save"}
    for field, value, said in (
        ("schedule", "30 2 * *", "write five fields"),
        ("schedule", "", "write five fields"),
        ("timezone", "Mars/Olympus", "write a name such as Europe/Berlin"),
        ("url", "ftp://x", "http"),
        ("headers", "no colon here", "has no colon"),
        ("retries", "many", "is no number"),
        ("retries", "1000", "100"),
        ("timeout", "0", "timeout must be"),
        ("name", "", "name must have"),
    ):
        page = (await visitor.send(path, job | {field: value}, 422)).text
        assert said in at_field(page, field), (field, at_field(page, field))
    page = (await visitor.send("/sources/new/job/ticks", job, 200)).text
    assert len(re.findall(r"02:30 CES?T", page)) == 5
    assert "Monday through Friday" in page
    page = (await visitor.send("/sources/new/job/ticks", job | {"schedule": "x"}, 200)).text
    assert "write five fields" in page
    page = (await visitor.send(path, job | {"do": "look"}, 200)).text
    assert "Monday through Friday" in page
    assert (await jobs.list_jobs(services, limit=5))[1] == 0
    page = (await visitor.send(path, job | {"kind": "sql", "sql": "select 1"}, 422)).text
    assert "SQL jobs are not enabled" in page

    answer = await visitor.send(path, job)
    ((made,), _) = await jobs.list_jobs(services, limit=5)
    assert answer.headers["location"] == f"/sources/jobs/{made.job.id}"
    webhook = made.webhook
    assert webhook
    assert (made.job.schedule, made.job.timezone, made.job.missed) == ("30 2 * * 1-5", "Europe/Berlin", "skip")
    assert (webhook.method, webhook.headers, webhook.timeout_seconds) == ("PUT", {"X-Key": "one"}, 7.5)

    path = f"/sources/jobs/{made.job.id}"
    page = (await visitor.get(f"{path}/edit")).text
    assert "X-Key: one" in page
    assert at_field(page, "schedule") == ">"
    await visitor.send(f"{path}/edit", job | {"schedule": "0 3 * * *", "name": "later"})
    changed = await jobs.read(services, made.job.id)
    assert (changed.job.name, changed.job.schedule, changed.job.body) == ("later", "0 3 * * *", job["body"])
    page = (await visitor.send(f"{path}/edit", job | {"schedule": "never"}, 422)).text
    assert "write five fields" in at_field(page, "schedule")
    assert "later" in (await visitor.get(f"{path}/delete")).text
    await visitor.send(f"{path}/delete", {})
    await visitor.get(path, 404)


async def test_an_integration_is_made_with_its_secret_shown_once(visitor: Visitor) -> None:
    services, path = visitor.engine.services, "/sources/new/integration"
    page = (await visitor.send(path, {"name": "a b", "platform": "github"}, 422)).text
    assert "it is part of a URL" in at_field(page, "name")
    page = (await visitor.send(path, {"name": "pay", "platform": "stripe"}, 422)).text
    assert "Stripe makes it" in at_field(page, "secret")
    page = (await visitor.send(path, {"name": "code", "platform": "github"}, 200)).text
    made = await integrations.read(services, "code")
    assert made.secret in page
    assert "/in/code" in page
    assert "Payload URL" in page
    page = (await visitor.send(path, {"name": "code", "platform": "github"}, 409)).text
    assert "code" in at_field(page, "name")
    shown = (await visitor.get("/sources/integrations/code")).text
    assert made.secret not in shown
    assert "Payload URL" in shown
    hmac = {"name": "shop", "platform": "hmac", "header": "X-Sig", "format": "base64", "deployed": "site.live\r\nsite.up"}
    await visitor.send(path, hmac, 200)
    shop = (await integrations.read(services, "shop")).settings
    assert (shop.header, shop.format, tuple(shop.deployed_types)) == ("X-Sig", "base64", ("site.live", "site.up"))
    path = "/sources/integrations/shop"
    page = (await visitor.send(f"{path}/edit", hmac | {"format": "rot13"}, 422)).text
    assert "write one of" in at_field(page, "format")
    await visitor.send(f"{path}/edit", hmac | {"header": "X-Other", "secret": "another secret of ours"})
    after = await integrations.read(services, "shop")
    assert (after.settings.header, after.secret) == ("X-Other", "another secret of ours")
    assert after.secret not in (await visitor.get(f"{path}/edit")).text
    await visitor.send(f"{path}/delete", {})
    await visitor.get(path, 404)


async def test_how_a_table_is_captured_is_set_by_its_form(visitor: Visitor, receiver: Receiver) -> None:
    engine = visitor.engine
    await engine.sql("create table orders (id int primary key, account_id text, status text, total numeric, card text)")
    page = (await visitor.send("/sources/new/table", {"name": "ordres"}, 422)).text
    assert "There is no table" in at_field(page, "name")
    answer = await visitor.send("/sources/new/table", {"name": "orders"})
    assert answer.headers["location"] == "/sources/tables/table/edit?name=public.orders"
    await visitor.get(answer.headers["location"])
    form = {"name": "orders", "group_by": "account_id", "unknown_groups": "ignore", "out-4": "true", "rename-3": "amount"}
    form |= {"changed-2": "true", "when-INSERT": "new.status <> 'draft'"}
    form |= {f"column-{at}": name for at, name in enumerate(("id", "account_id", "status", "total", "card"))}
    path = "/sources/tables/table/edit"
    page = (await visitor.send(path, form | {"when-INSERT": "new.nothing"}, 422)).text
    assert "nothing" in at_field(page, "when-INSERT")
    page = (await visitor.send(path, form | {"rename-2": "amount"}, 422)).text
    assert "gives two columns the name" in page
    answer = await visitor.send(path, form)
    (found,) = await tables.list_tables(engine.services)
    own = found.settings
    assert (own.group_column, own.unknown_groups, own.excluded_columns) == ("account_id", "ignore", ("card",))
    assert (own.renamed_columns, own.changed_columns) == ({"total": "amount"}, ("status",))
    assert own.conditions == {"INSERT": "new.status <> 'draft'"}
    page = (await visitor.get(answer.headers["location"])).text
    assert "as soon as a webhook names it" in page
    assert "rows of their own group" in page
    assert "/webhooks/new?table=orders" in page
    page = (await visitor.get("/webhooks/new?table=orders")).text
    assert page.count('name="tables"') >= 3
    assert len(re.findall(r'name="tables" value="\[[^"]*orders[^"]*\]" checked', page)) == 3
    await engine.add_webhook(receiver.url(), {"table": "orders"})
    page = (await visitor.get("/sources/tables/table/edit?name=orders")).text
    assert 'name="out-4" value="true" checked' in page
    await visitor.send("/sources/tables/reset", {"name": "orders"})
    assert (await tables.list_tables(engine.services))[0].settings.group_column is None


async def test_a_type_is_described_by_its_form(visitor: Visitor) -> None:
    services, path = visitor.engine.services, "/sources/new/type"
    form = {"name": "order.paid", "description": "An order was paid.", "schema": '{"required": ["total"]}'}
    for field, value, said in (
        ("schema", "{", "schema is no JSON"),
        ("schema", '{"type": "nothing"}', "schema is no JSON Schema"),
        ("example", "{}", "does not match the schema"),
        ("example", "{", "example is no JSON"),
        ("name", "", "type"),
        ("name", "cron.fired", "in the catalogue already"),
    ):
        page = (await visitor.send(path, form | {field: value}, 422)).text
        assert said in at_field(page, field), (field, at_field(page, field))
    await visitor.send(path, form | {"example": '{"total": 1.50}'})
    made = await event_types.read(services, "order.paid")
    assert made.example is not None
    assert "1.50" in made.example, "digits stay as they are written"
    page = (await visitor.send(path, form, 422)).text
    assert "in the catalogue already" in at_field(page, "name")
    assert "/sources/catalogue/type?name=order.paid" in (await visitor.get("/sources/catalogue")).text
    page = (await visitor.get("/sources/catalogue/type?name=order.paid")).text
    assert "1.50" in page
    await visitor.send("/sources/catalogue/type", form | {"schema": ""})
    assert (await event_types.read(services, "order.paid")).schema is None
    await visitor.get("/sources/catalogue/type?name=cron.fired", 404)
    await visitor.get("/sources/catalogue/type/delete?name=order.paid")
    await visitor.send("/sources/catalogue/type/delete", {"name": "order.paid"})
    assert "type?name=order.paid" not in (await visitor.get("/sources/catalogue")).text
