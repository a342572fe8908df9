"""Lists of history over HTTP: what their parameters take and refuse, and what their headers tell."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest

from tests.support.history import DAY, Stage, staged
from tests.support.limits import PATIENCE
from tests.support.serving import ApiServer
from tidings.core.delivery import State
from tidings.core.event import uuid7
from tidings.core.search import ROW_BUDGET

DELIVERIES, EVENTS, LOGS = "/api/v1/deliveries", "/api/v1/events", "/api/webhooks/logs"


@pytest.fixture(scope="module")
async def stage(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("lists")
    async with staged(postgres, template, folder, name=f"{template}_lists", events=1500) as stage:
        yield stage


@pytest.fixture
async def client(stage: Stage, api_server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        api_server.serving(stage.services) as url,
        httpx.AsyncClient(base_url=url, headers={"X-API-Key": "test"}, timeout=PATIENCE) as client,
    ):
        yield client


async def answer(client: httpx.AsyncClient, path: str, *, expect: int = 200, group: str = "default", **query: Any) -> Any:
    response = await client.get(path, params=query, headers={"X-Tidings-Group": group})
    assert response.status_code == expect, response.text
    return response


async def walked(client: httpx.AsyncClient, path: str, count: int, **query: Any) -> list[Any]:
    """The first entries of a list, however many calls they take: how much one call looks through depends on the machine."""
    response = await answer(client, path, **query)
    rows = response.json()
    while len(rows) < count and (cursor := response.headers.get("tidings-next")) is not None:
        response = await answer(client, path, cursor=cursor, **query)
        rows += response.json()
    return rows[:count]


def ids(response: Any) -> list[UUID]:
    return [UUID(row["id"]) for row in response.json()]


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"state": "failed"}, "state", "did you mean status?"),
    ({"colour": "blue"}, "colour", "there are count, cursor"),
    ({"status": "fialed"}, "status", "did you mean failed?"),
    ({"status": "failed,,sending"}, "status", "empty word"),
    ({"type": "order paid"}, "type", "did you mean order.paid?"),
    ({"type": "or*"}, "type", "no event"),
    ({"type": ",".join(f"a{n}.b" for n in range(21))}, "type", "at most 20"),
    ({"type": "x" * 201}, "type", "200 characters"),
    ({"failure": "timeuot"}, "failure", "did you mean timeout?"),
    ({"response_status": "4x4"}, "response_status", "5xx"),
    ({"response_status": "1000"}, "response_status", "404"),
    ({"since": "yesterday"}, "since", ""),
    ({"since": "2026-11-20T00:00:00"}, "since", "zone"),
    ({"since": "2026-11-20T00:00:00Z", "until": "2026-11-19T00:00:00Z"}, "until", "exchange"),
    ({"since": "2026-11-20T00:00:00Z", "until": "2026-11-20T00:00:00Z"}, "until", "exchange"),
    ({"record_id": "7"}, "record_id", "table"),
    ({"table": "orders\x00"}, "table", "U+0000"),
    ({"text": "ab"}, "text", "3 to 200"),
    ({"text": "x" * 201}, "text", "3 to 200"),
    ({"text": "green", "count": "true"}, "count", "page by page"),
    ({"limit": "0"}, "limit", ""),
    ({"limit": "1001"}, "limit", ""),
    ({"limit": "many"}, "limit", ""),
    ({"limit": "9" * 30}, "limit", ""),
    ({"offset": "-1"}, "offset", ""),
    ({"offset": "10001"}, "offset", ""),
    ({"count": "perhaps"}, "count", ""),
    ({"webhook_id": "7"}, "webhook_id", ""),
    ({"event_id": "7"}, "event_id", ""),
    ({"cursor": "nonsense"}, "cursor", "this query's own answer"),
    ({"cursor": "é" * 10}, "cursor", "this query's own answer"),
    ({"cursor": "x" * 5000}, "cursor", "this query's own answer"),
    ({"cursor": "00000000-0000-0000-0000-00000000000x"}, "cursor", "this query's own answer"),
    ({"cursor": str(UUID(int=7)), "offset": "5"}, "offset", "cursor"),
]


@pytest.mark.parametrize(("query", "field", "words"), BAD)
async def test_what_cannot_be_meant_is_refused_with_its_field_and_a_remedy(
    client: httpx.AsyncClient, query: dict[str, Any], field: str, words: str
) -> None:
    said = (await answer(client, DELIVERIES, expect=422, **query)).json()
    assert said["field"] == field
    assert words in said["error"]


@pytest.mark.parametrize("type_", ["order.cancelled", "refund.*", "refunded", "order.paid,order.cancelled"])
async def test_a_type_that_nothing_has_had_yet_is_found_nowhere(client: httpx.AsyncClient, type_: str) -> None:
    """A program may ask before the first one happens, and after the last is forgotten."""
    for path in (DELIVERIES, "/api/v1/events"):
        found = (await answer(client, path, type=type_)).json()
        expected = (await answer(client, path, type="order.paid")).json() if "," in type_ else []
        assert found == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"subject": "a", "table": "orders"}, "subject"),
        ({"status": "failed"}, "status"),
        ({"webhook_id": str(UUID(int=1))}, "webhook_id"),
    ],
)
async def test_events_are_not_asked_for_what_deliveries_have(client: httpx.AsyncClient, query: Any, field: str) -> None:
    assert (await answer(client, EVENTS, expect=422, **query)).json()["field"] == field


async def test_a_cursor_serves_for_its_own_question_alone_and_unchanged(client: httpx.AsyncClient) -> None:
    first = await answer(client, DELIVERIES, limit=3, status="failed")
    cursor = first.headers["tidings-next"]
    await answer(client, DELIVERIES, limit=5, status="failed", cursor=cursor)
    for other in ({"status": "succeeded"}, {}, {"status": "failed", "until": "2026-11-20T00:00:00Z"}):
        await answer(client, DELIVERIES, expect=422, **{"cursor": cursor, **other})
    await answer(client, DELIVERIES, expect=422, group="acme", cursor=cursor)
    await answer(client, EVENTS, expect=422, cursor=cursor)
    for at in range(len(cursor)):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        response = await client.get(DELIVERIES, params={"status": "failed", "cursor": changed})
        # the last letter has bits that mean nothing
        assert response.status_code == 422 or (at == len(cursor) - 1 and ids(response))


async def test_headers_lead_to_the_pages_around(client: httpx.AsyncClient, stage: Stage) -> None:
    expected = sorted((past.id for past in stage.history.deliveries if past.event.group_id == "default"), reverse=True)
    first = await answer(client, DELIVERIES, limit=10)
    assert "tidings-prev" not in first.headers
    links = dict(reversed(link.split("; rel=")) for link in first.headers["link"].split(", "))
    assert parse_qs(urlsplit(links['"next"'].strip("<>")).query) == {"limit": ["10"], "cursor": [first.headers["tidings-next"]]}
    second = await client.get(links['"next"'].strip("<>"))
    assert ids(first) + ids(second) == expected[:20]
    back = await answer(client, DELIVERIES, limit=10, cursor=second.headers["tidings-prev"])
    assert ids(back) == ids(first)
    assert ids(await answer(client, DELIVERIES, limit=10, cursor=back.headers["tidings-next"])) == ids(second)
    assert ids(await answer(client, DELIVERIES, limit=10, cursor=str(ids(first)[-1]))) == ids(second)
    assert ids(await answer(client, DELIVERIES, limit=10, offset=10)) == ids(second)
    last = await answer(client, DELIVERIES, limit=10, cursor=str(expected[-5]))
    assert (ids(last), "tidings-next" in last.headers) == (expected[-4:], False)
    assert ids(await answer(client, DELIVERIES, limit=10, offset=10_000)) == expected[10_000:10_010]


async def test_an_answer_says_how_far_it_looked_when_it_found_too_little(client: httpx.AsyncClient) -> None:
    found: list[UUID] = []
    looked: list[str] = []
    response = await answer(client, EVENTS, text="nothing has this")
    while (cursor := response.headers.get("tidings-next")) is not None:
        looked.append(response.headers["tidings-searched-to"])
        found += ids(response)
        response = await answer(client, EVENTS, text="nothing has this", cursor=cursor)
    assert "tidings-searched-to" not in response.headers
    assert looked == sorted(looked, reverse=True)
    assert found == []


async def test_states_failures_and_statuses_may_be_given_several_times_or_with_commas(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    wanted = {State.FAILED, State.RETRYING}
    expected = sorted(
        (past.id for past in stage.history.deliveries if past.event.group_id == "default" and past.state in wanted),
        reverse=True,
    )[:500]
    for status in (["failed", "retrying"], "failed, retrying"):
        rows = await walked(client, DELIVERIES, 500, status=status, limit=500)
        assert [UUID(row["id"]) for row in rows] == expected
    # A failure is of an attempt without a response.
    assert await walked(client, DELIVERIES, 100, failure="timeout,dns", response_status="404,5xx", limit=100) == []
    rows = await walked(client, DELIVERIES, 100, response_status=["404", "3xx"], limit=100)
    assert {row["response_status"] for row in rows} == {404, 301}
    rows = await walked(client, DELIVERIES, 50, failure="timeout,dns", limit=50)
    assert {row["failure"] for row in rows} == {"timeout", "dns"}


async def test_a_type_is_known_by_our_word_and_by_its_receivers(client: httpx.AsyncClient, stage: Stage) -> None:
    async def types(**query: Any) -> set[str]:
        return {row["event"] for row in (await answer(client, DELIVERIES, limit=1000, **query)).json()}

    inserted = {"table.orders.inserted", "table.sales.orders.inserted", "table.customers_2.inserted"}
    assert await types(type="INSERT") == {"content.created", *inserted}
    assert await types(type="collection.object.created") == {"content.created"}
    assert await types(type="order.*,invoice.sent") == {"order.paid", "order.refunded", "invoice.sent"}
    assert await types(type="*") > {"order.paid"}
    content = next(id_ for id_, known in stage.history.webhooks.items() if known == ("default", "vivreal-content"))
    assert await types(type="content.updated") == {"content.updated"}
    assert await types(type="content.updated", webhook_id=content) == {"content.updated", "content.published"}
    assert await types(type="integration.updated") == {"integration.updated"}
    assert await types(type="integration.updated", webhook_id=content) == set()  # there it is what happened to an object


async def test_a_group_sees_its_own_history_alone(client: httpx.AsyncClient, stage: Stage) -> None:
    of = {group: {past.id for past in stage.history.deliveries if past.event.group_id == group} for group in ("acme", "zeta")}
    webhook = next(id_ for id_, (group, _) in stage.history.webhooks.items() if group == "acme")
    event = next(event for event in stage.history.events if event.group_id == "acme")
    assert set(ids(await answer(client, DELIVERIES, group="acme", limit=1000))) == of["acme"]
    for query in ({"webhook_id": webhook}, {"event_id": event.id}):
        assert ids(await answer(client, DELIVERIES, group="zeta", **query)) == []
        assert set(ids(await answer(client, DELIVERIES, group="acme", **query))) <= of["acme"]
    await answer(client, f"/api/v1/webhooks/{webhook}/deliveries", group="zeta", expect=404)
    await answer(client, f"{DELIVERIES}/{next(iter(of['acme']))}", group="zeta", expect=404)
    await answer(client, f"{DELIVERIES}/{next(iter(of['acme']))}/attempts", group="zeta", expect=404)
    await answer(client, f"{EVENTS}/{event.id}", group="zeta", expect=404)


async def test_a_delivery_reads_the_same_wherever_it_is(client: httpx.AsyncClient, stage: Stage) -> None:
    for state in State:
        past = next(
            p for p in stage.history.deliveries if p.state == state and p.event.group_id == "default" and p.attempt_count != 2
        )
        read = (await answer(client, f"{DELIVERIES}/{past.id}")).json()
        assert read == next(
            row for row in (await answer(client, DELIVERIES, event_id=past.event.id)).json() if row["id"] == str(past.id)
        )
        assert (read["status"], read["attempts"], read["event"]) == (state, past.attempt_count, past.event.type)
        assert (read["response_status"], read["failure"]) == (past.status, past.failure)
        attempts = (await answer(client, f"{DELIVERIES}/{past.id}/attempts")).json()
        recorded = past.attempt_count - (state == State.SENDING)
        assert [attempt["number"] for attempt in attempts] == ([recorded] if recorded else [])


async def test_a_webhooks_deliveries_are_counted_for_its_own_group_deleted_or_not(
    client: httpx.AsyncClient, stage: Stage
) -> None:
    hooks = [next(id_ for id_, (group, _) in stage.history.webhooks.items() if group == "default"), stage.history.gone]
    for webhook in hooks:
        there = sum(past.webhook_id == webhook for past in stage.history.deliveries)
        assert (await answer(client, DELIVERIES, webhook_id=webhook, count="true")).headers["tidings-count"] == str(there)
        since = {"since": (DAY + timedelta(hours=36)).isoformat()}
        late = sum(
            past.webhook_id == webhook and past.event.occurred_at >= DAY + timedelta(hours=36)
            for past in stage.history.deliveries
        )
        assert (await answer(client, DELIVERIES, webhook_id=webhook, count="true", **since)).headers["tidings-count"] == str(
            late
        )
        other = await answer(client, DELIVERIES, group="acme", webhook_id=webhook, count="true")
        assert (other.json(), other.headers["tidings-count"]) == ([], "0")


async def test_a_webhooks_list_takes_what_the_list_of_all_takes(client: httpx.AsyncClient, stage: Stage) -> None:
    webhook = next(id_ for id_, (group, _) in stage.history.webhooks.items() if group == "default")
    path = f"/api/v1/webhooks/{webhook}/deliveries"
    for query in ({}, {"status": "failed"}, {"type": "order.*", "since": DAY.isoformat()}, {"limit": 5, "offset": 3}):
        one, other = await answer(client, path, **query), await answer(client, DELIVERIES, webhook_id=webhook, **query)
        assert one.json() == other.json()
    assert (await answer(client, path, expect=422, webhook_id=webhook)).json()["field"] == "webhook_id"
    await answer(client, "/api/v1/webhooks/7/deliveries", expect=400)


async def test_the_log_of_seed_003_is_filtered_and_paged_with_a_bound(client: httpx.AsyncClient, stage: Stage) -> None:
    expected = sorted(
        (
            past.id
            for past in stage.history.deliveries
            if past.event.group_id == "default" and past.event.table_name == "orders" and past.state == State.FAILED
        ),
        reverse=True,
    )
    found: list[UUID] = []
    page, more = 1, True
    while more:
        said = (await answer(client, LOGS, collection="orders", status="failed", page=page, perPage=7)).json()
        found += [UUID(row["id"]) for row in said["items"]]
        page, more = page + 1, said["hasMore"]
    assert found == expected
    assert (await answer(client, LOGS, status="success,failed", perPage=3)).json()["items"]
    assert (await answer(client, LOGS, expect=422, page=202, perPage=50)).json()["field"] == "page"
    assert (await client.get(LOGS, params={"status": "done"})).json()["field"] == "status"


def by_number(per_page: int, page: int) -> dict[str, Any]:
    return {"status": "success", "perPage": per_page, "page": page}


async def test_a_page_by_number_that_lies_too_deep_is_refused_and_cut_short_nowhere(
    postgres: str, template: str, tmp_path: Path, api_server: ApiServer
) -> None:
    """Whoever goes on by number would never see what a page that was cut short did not come to."""
    async with staged(postgres, template, tmp_path, name=f"{template}_deep", events=10) as stage:
        webhook = next(iter(stage.history.webhooks))
        event = next(event for event in stage.history.events if event.group_id == "default")
        before, between, after = 50, 2 * ROW_BUDGET, 5  # successes and the failures between them, the oldest first
        newest = DAY + timedelta(days=2, hours=23)
        states = ["succeeded"] * before + ["failed"] * between + ["succeeded"] * after
        rows = [
            (uuid7(int(newest.timestamp() * 1000) + at, at), webhook, event.id, "default", False, state, 0, newest)
            for at, state in enumerate(states)
        ]
        columns = ("id", "webhook_id", "event_id", "group_id", "is_test", "status", "attempt_count", "finished_at")
        await stage.user.copy_records_to_table("deliveries", schema_name="tidings", columns=columns, records=rows)
        async with (
            api_server.serving(stage.services) as url,
            httpx.AsyncClient(base_url=url, headers={"X-API-Key": "test"}, timeout=PATIENCE) as client,
        ):
            all_ = await walked(client, DELIVERIES, len(rows), status="succeeded", limit=1000)
            truth = [row["id"] for row in all_]
            assert len(truth) >= before + after
            for per_page in (1, 3, 7, 54, 500):
                page, told, more = 1, list[str](), True
                while more and (response := await client.get(LOGS, params=by_number(per_page, page))).status_code == 200:
                    told += [row["id"] for row in response.json()["items"]]
                    page, more = page + 1, response.json()["hasMore"]
                assert told == truth[: len(told)], "an entry was on no page"
                assert not more or len(told) >= after
                if more:
                    assert response.json()["field"] == "page"
                    assert "Tidings-Next" in response.json()["error"]
            refused = await answer(client, LOGS, expect=422, **by_number(7, 2))
            assert refused.json()["field"] == "page"
            found: set[str] = set()
            said = await answer(client, LOGS, status="success", perPage=7)
            while (cursor := said.headers.get("tidings-next")) is not None:
                found |= {row["id"] for row in said.json()["items"]}
                said = await answer(client, LOGS, status="success", perPage=7, cursor=cursor)
            assert {str(row[0]) for row in rows if row[5] == "succeeded"} <= found | {row["id"] for row in said.json()["items"]}


async def test_events_are_found_by_what_they_are_about(client: httpx.AsyncClient, stage: Stage) -> None:
    mine = sorted(
        (event for event in stage.history.events if event.group_id == "default"), key=lambda event: event.id, reverse=True
    )
    orders = [
        event.id for event in mine if event.table_name == "orders" and '"id":7,' in (event.record or event.old_record or "")
    ]
    assert ids(await answer(client, EVENTS, table="orders", record_id="7", limit=1000)) == orders
    sales = [event.id for event in mine if event.id in orders and event.table_schema == "sales"]
    assert ids(await answer(client, EVENTS, table="sales.orders", record_id="7", limit=1000)) == sales
    said = [event.id for event in mine if event.subject == "order/7"]
    assert ids(await answer(client, EVENTS, subject="order/7", limit=1000)) == said
    one = next(event for event in mine if event.external_id is not None)
    assert ids(await answer(client, EVENTS, external_id=one.external_id)) == [one.id]
    assert ids(await answer(client, EVENTS, external_id="another")) == []
    until = (one.occurred_at - timedelta(days=1)).isoformat()
    assert ids(await answer(client, EVENTS, external_id=one.external_id, until=until)) == []


async def test_no_route_ignores_a_parameter(client: httpx.AsyncClient, stage: Stage) -> None:
    document = (await client.get("/openapi.json")).json()
    values = {
        "webhook_id": UUID(int=1),
        "delivery_id": UUID(int=1),
        "event_id": UUID(int=1),
        "job_id": UUID(int=1),
        "number": 1,
    }
    checked = 0
    for path, item in document["paths"].items():
        if not path.startswith("/api/"):
            continue
        names = {part.strip("{}") for part in path.split("/") if part.startswith("{")}
        url = path.format_map({name: values.get(name, UUID(int=1)) for name in names})
        for method in set(item) & {"get", "post", "put", "patch", "delete"}:
            response = await client.request(method, url, params={"nobody_reads_this": "1"})
            assert response.status_code == 422, (method, path, response.text)
            assert response.json()["field"] == "nobody_reads_this", (method, path)
            checked += 1
    assert checked > 60
