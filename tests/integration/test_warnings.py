"""What answers say beside what was asked: who hears less than one may think; and calls that are refused at once."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.errors import InvalidInputError
from tidings.operations.webhooks import subscriptions
from tidings.sources import backfill
from tidings.store import relay

ACME = {"X-Tidings-Group": "acme"}


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    async with (
        engine_of(config, running=True) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        await engine.user.execute("create table orders (id int primary key, account_id text)")
        yield Api(client, engine)


def said(answer: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["field"]) for one in answer["warnings"]]


async def test_a_webhook_at_a_source_says_that_it_hears_nothing(api: Api, receiver: Receiver) -> None:
    asked = {"url": receiver.url(), "events": ["order.*"]}
    before = await api("POST", "/api/v1/webhooks", 201, asked)
    assert ("MADE_AT_SOURCE", "events") not in said(before)
    async with api.engine.services.wide.transaction() as connection:
        await relay.become_source(connection, "billing")
    made = await api("POST", "/api/v1/webhooks", 201, asked)
    assert said(made)[0] == ("MADE_AT_SOURCE", "events")
    assert "source 'billing'" in made["warnings"][0]["message"]
    changed = await api("PATCH", f"/api/v1/webhooks/{before['id']}", 200, {"name": "again"})
    assert said(changed)[0] == ("MADE_AT_SOURCE", "events")


async def test_group_by_that_takes_rows_from_webhooks_says_so_and_what_to_do(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "orders"}, name="Orders to ERP")
    assert made["warnings"] == []
    put = await api("PUT", "/api/v1/tables/orders", 200, {"group_by": "account_id"})
    assert said(put) == [("ROWS_TAKEN_FROM_WEBHOOKS", "group_by")]
    (one,) = put["warnings"]
    assert "'Orders to ERP'" in one["message"]
    assert "X-Tidings-Group" in one["message"]
    assert said(await api("PUT", "/api/v1/tables/orders", 200, {"group_by": "account_id", "exclude": []})) == []
    # and whoever makes a webhook there is told as well
    late = await api.create(receiver.url("/hook"), {"table": "orders"})
    assert said(late) == [("ROWS_OF_OTHER_GROUPS", "events[0]")]
    await api("POST", "/api/v1/groups", 201, {"id": "acme"})
    asked = {"url": receiver.url(), "events": [{"table": "orders"}]}
    response = await api.client.post("/api/v1/webhooks", json=asked, headers=ACME)
    assert response.json()["warnings"] == []
    back = await api("PUT", "/api/v1/tables/orders", 200, {})
    assert said(back) == [("ROWS_TAKEN_FROM_WEBHOOKS", "group_by")]
    await api("PUT", "/api/v1/tables/orders", 200, {"group_by": "account_id"})
    gone = await api("DELETE", "/api/v1/tables/orders", 200)
    assert (said(gone), gone["group_by"], gone["state"]) == ([("ROWS_TAKEN_FROM_WEBHOOKS", "group_by")], None, "captured")
    await api("PUT", "/api/v1/tables/orders", 200, {"exclude": ["account_id"]})
    assert said(await api("DELETE", "/api/v1/tables/orders", 200)) == []
    response = await api.client.request(
        "PATCH", f"/api/v1/webhooks/{response.json()['id']}", json={"name": "late"}, headers=ACME
    )
    assert said(response.json()) == [("ROWS_OF_OTHER_GROUPS", "events[0]")]


async def test_a_paused_webhook_and_a_type_that_nothing_has_are_told(api: Api, receiver: Receiver) -> None:
    await api("PUT", "/api/v1/event-types/order.paid", 200, {"description": "An order was paid."})
    asked = {"url": receiver.url("/hook"), "profile": "standard", "events": ["order.paid", "order.*", "order.payed", "*"]}
    made = await api("POST", "/api/v1/webhooks", 201, asked)
    assert said(made) == [("NO_SUCH_TYPE", "events[2]")]
    assert "order.paid" in made["warnings"][0]["message"]
    path = f"/api/v1/webhooks/{made['id']}"
    paused = await api("PATCH", path, 200, {"enabled": False, "events": ["order.paid"]})
    assert said(paused) == [("WEBHOOK_PAUSED", "enabled")]
    assert said(await api("PATCH", path, 200, {"enabled": False})) == [("WEBHOOK_PAUSED", "enabled")]  # no change, and so still
    assert said(await api("PATCH", path, 200, {"enabled": True})) == []
    assert "warnings" not in await api("GET", path, 200)


async def test_a_backfill_says_why_rows_were_skipped(api: Api, receiver: Receiver) -> None:
    await api.engine.user.execute("insert into orders select n, 'acme' from generate_series(1, 5) as n")
    made = await api.create(receiver.url("/hook"), {"table": "orders"})
    begun = await api("POST", "/api/v1/tables/orders/backfill", 202, {"webhook_id": made["id"]})
    assert begun["warnings"] == []
    await api.engine.user.execute("update tidings.backfills set skipped_count = 3")
    read = await api("GET", f"/api/v1/backfills/{begun['id']}", 200)
    assert said(read) == [("ROWS_SKIPPED", "skipped_count")]
    assert read["warnings"][0]["message"].startswith("3 rows were not sent")


async def test_a_backfill_of_rows_that_may_not_be_read_is_refused_with_the_statement_that_grants_it(
    api: Api, receiver: Receiver
) -> None:
    made = await api.create(receiver.url("/hook"), {"table": "orders"})
    services = api.engine.services
    webhook = (await subscriptions.read(services, UUID(made["id"]))).webhook
    role = f"reader_{made['id'][:8]}"  # gone with the transaction

    async def begin() -> None:
        connection = api.engine.user  # who may make a role
        async with connection.transaction():
            await connection.execute(
                f"create role {role}; grant usage on schema tidings to {role}; "
                f"grant select, insert on all tables in schema tidings to {role}; set local role {role}"
            )
            await backfill.begin(connection, webhook, ("public", "orders"), services.clock.now())

    with pytest.raises(InvalidInputError) as refused:
        await begin()
    assert refused.value.field == "table"
    assert f"GRANT SELECT ON public.orders TO {role}; GRANT UPDATE (id) ON public.orders TO {role};" in str(refused.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('[{"type": "order.paid", "data": 1}]', "a JSON array"),
        ('[\n {"type": "order.paid", "data": 1}\n]', "a JSON array"),
        ('{"type": "order.paid", "data": 1}{"type": "order.paid", "data": 2}', "curl -d @file"),
        ('{\n "type": "order.paid",\n "data": 1\n}', "over several lines"),
    ],
)
async def test_a_batch_that_is_no_ndjson_says_so_with_the_curl_that_works(api: Api, body: str, words: str) -> None:
    response = await api.client.post("/api/v1/events/batch", content=body)
    refused = response.json()
    assert (response.status_code, refused["code"], refused["field"]) == (422, "INVALID_INPUT", "body")
    assert words in refused["error"]
    assert "--data-binary @events.ndjson" in refused["error"]
    assert await api("GET", "/api/v1/events", 200) == []


async def test_a_batch_of_which_nothing_was_accepted_is_an_error_of_its_first_line(api: Api) -> None:
    response = await api.client.post("/api/v1/events/batch", content='{"type": "a.b"}\n{"data": 1}\n')
    refused = response.json()
    assert (response.status_code, refused["code"]) == (422, "INVALID_INPUT")
    assert refused["error"].startswith("Line 1: ")
    assert "None of the 2 lines" in refused["error"]
    mixed = await api.client.post("/api/v1/events/batch", content='{"type": "a.b", "data": 1}\n{"data": 1}\n')
    assert (mixed.status_code, mixed.json()["accepted"], mixed.json()["errors"][0]["line"]) == (202, 1, 2)
