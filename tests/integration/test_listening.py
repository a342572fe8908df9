"""Listeners: deliveries leased to clients, whatever those do, and taken from nobody."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.client.verify import verify
from tidings.config import Config
from tidings.core.listening import FULL, LEASE_SECONDS, MAX_CLIENTS, MAX_LEFT, MAX_LISTENERS, MAX_WAITING, SILENT
from tidings.worker.duties import Rescuer

KEY = {"Authorization": "Bearer test"}


@pytest.fixture
async def engine(config: Config) -> AsyncIterator[Engine]:
    async with engine_of(config, running=True) as engine:
        yield engine


@pytest.fixture
async def api(engine: Engine, api_server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield client


class Client:
    """One client of a listener, as the API sees it."""

    def __init__(self, api: httpx.AsyncClient, listener: dict[str, Any]) -> None:
        self.api = api
        self.path = f"/api/v1/listeners/{listener['id']}"
        self.session = str(uuid4())
        self.held: list[int] = []

    async def take(self, limit: int = 64, wait: float = 10.0, status: int = 200) -> Any:
        body = {"session": self.session, "held": self.held, "limit": limit, "wait_seconds": wait}
        answer = await self.api.post(f"{self.path}/take", json=body)
        assert answer.status_code == status, answer.text
        if status != 200:
            return answer.json()
        self.held += [each["lease"] for each in answer.json()["deliveries"]]
        return answer.json()["deliveries"]

    async def take_all(self, count: int) -> list[Any]:
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < count:
                found += await self.take()
        return found

    async def tell(self, *deliveries: Any, expects: int = 200, **said: Any) -> Any:
        outcome = said or {"response_status": 200}
        results = [{"lease": d["lease"], "version": d["version"]} | outcome for d in deliveries]
        answer = await self.api.post(f"{self.path}/results", json={"session": self.session, "results": results})
        assert answer.status_code == expects, answer.text
        return answer.json()


async def opened(api: httpx.AsyncClient, name: str = "desk", **asked: Any) -> Any:
    answer = await api.post("/api/v1/listeners", json={"name": name} | asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def silence(engine: Engine) -> int:
    """Have a rescuer look for as long as no client may be silent."""
    seconds, freed = 0.0, 0
    rescuer = Rescuer(engine.services.wide, engine.worker.me, engine.worker.airborne, monotonic=lambda: seconds)
    while seconds <= LEASE_SECONDS:
        freed += await rescuer.run_once()
        seconds += 2
    return freed


async def states(engine: Engine, listener: dict[str, Any]) -> list[Any]:
    rows = await engine.sql(
        "select status, attempt_count, last_status, last_error from tidings.deliveries where webhook_id = $1 order by id",
        UUID(listener["id"]),
    )
    return [tuple(row) for row in rows]


async def counts(engine: Engine, listener: dict[str, Any]) -> tuple[int, int]:
    """What waits and what is under way, by the lane, which agrees with the rows."""
    row = (await engine.sql("select waiting, in_flight from tidings.lanes where webhook_id = $1", UUID(listener["id"])))[0]
    waiting = await engine.value("select count(*) from tidings.queue where webhook_id = $1", UUID(listener["id"]))
    under_way = await engine.value("select count(*) from tidings.under_way where webhook_id = $1", UUID(listener["id"]))
    assert tuple(row) == (waiting, under_way)
    return waiting, under_way


async def test_a_delivery_reaches_a_client_signed_and_is_on_record_as_any_other(
    engine: Engine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await engine.add_webhook(receiver.url(), "order.*")
    listener = await opened(api, events=["order.*"])
    client = Client(api, listener)
    asking = asyncio.create_task(client.take())
    await engine.publish("order.paid", '{"total": 12}')
    [delivery] = await asking
    headers = dict(delivery["headers"])
    verify(delivery["body"].encode(), headers, listener["secret"])
    assert (delivery["event"], delivery["attempt_number"], delivery["method"]) == ("order.paid", 1, "POST")
    assert headers["webhook-id"] == delivery["event_id"]
    assert await counts(engine, listener) == (0, 1)
    assert await client.tell(delivery) == {"recorded": [delivery["lease"]], "refused": []}
    assert await states(engine, listener) == [("succeeded", 1, 200, None)]
    assert await counts(engine, listener) == (0, 0)
    [_] = await receiver.wait_for(1)  # the webhook beside it lost nothing
    attempt = (await api.get(f"/api/v1/deliveries/{delivery['id']}/attempts/1")).json()
    assert attempt["request"]["body"] == delivery["body"]
    shown = {name.lower(): value for name, value in attempt["request"]["headers"]}
    assert shown["webhook-signature"] == headers["webhook-signature"]


async def test_clients_of_one_name_share_and_other_names_get_all(engine: Engine, api: httpx.AsyncClient) -> None:
    listener, other = await opened(api, "desk"), await opened(api, "lap")
    assert (await opened(api, "desk"))["id"] == listener["id"]
    one, two, three = Client(api, listener), Client(api, listener), Client(api, other)
    for n in range(20):
        await engine.publish("order.paid", f'{{"n": {n}}}')
    taken, shared = await one.take(limit=5), []
    while len(taken) + len(shared) < 20:
        shared += await two.take(limit=7)
    assert len({each["id"] for each in taken + shared}) == 20
    assert len(await three.take_all(20)) == 20
    assert await counts(engine, listener) == (0, 20)


async def test_what_did_not_reach_its_client_is_given_again_at_once(engine: Engine, api: httpx.AsyncClient) -> None:
    client = Client(api, listener := await opened(api))
    await engine.publish()
    [first] = await client.take()
    client.held = []  # the answer was lost on its way
    [again] = await client.take()
    assert (again["id"], again["attempt_number"]) == (first["id"], 1)
    assert await client.tell(first) == {"recorded": [], "refused": [first["lease"]]}
    assert (await client.tell(again))["recorded"] == [again["lease"]]
    assert await client.tell(again) == {"recorded": [], "refused": [again["lease"]]}
    assert await states(engine, listener) == [("succeeded", 1, 200, None)]


async def test_a_request_that_still_waits_gives_way_to_the_next_of_its_client(engine: Engine, api: httpx.AsyncClient) -> None:
    client = Client(api, await opened(api))
    old = asyncio.create_task(client.take())
    first = await eventually(lambda: engine.value("select turn from tidings.listener_sessions"))
    new = asyncio.create_task(client.take())
    await eventually(lambda: engine.value("select turn <> $1 from tidings.listener_sessions", first))
    await engine.publish()
    assert (len(await old), len(await new)) == (0, 1)


async def test_what_a_silent_client_had_comes_to_another_and_its_late_result_is_refused(
    engine: Engine, api: httpx.AsyncClient
) -> None:
    listener = await opened(api)
    asleep, awake = Client(api, listener), Client(api, listener)
    await engine.publish()
    [lost] = await asleep.take()
    assert await silence(engine) == 1
    [again] = await awake.take()
    assert (again["id"], again["attempt_number"]) == (lost["id"], 2)
    assert (await asleep.tell(lost))["refused"] == [lost["lease"]]
    assert (await awake.tell(again))["recorded"] == [again["lease"]]
    assert await states(engine, listener) == [("succeeded", 2, 200, None)]
    attempts = await engine.attempts(UUID(lost["id"]))
    assert [(a["number"], a["failure"], a["error"]) for a in attempts] == [(1, "lost", SILENT), (2, None, None)]
    assert await asleep.take(wait=0) == []  # it wakes, and goes on


async def test_failures_are_tried_again_by_the_policy_and_a_410_ends_nothing_else(
    engine: Engine, api: httpx.AsyncClient
) -> None:
    client = Client(api, listener := await opened(api, events=["order.*"]))
    await engine.publish()
    [delivery] = await client.take()
    await client.tell(
        delivery, response_status=503, response_body="busy\x00", response_headers=[["Retry-After", "1"]], total_ms=12.5
    )
    assert await client.take(wait=0) == []
    engine.clock.ahead += type(engine.clock.ahead)(seconds=2)
    [again] = await client.take_all(1)
    assert again["attempt_number"] == 2
    await client.tell(again, failure="connect", error="Nobody listens on port 3000.")
    engine.clock.ahead += type(engine.clock.ahead)(seconds=5)
    [third] = await client.take_all(1)
    await client.tell(third, response_status=410)
    assert await states(engine, listener) == [("failed", 3, 410, "The receiver answered HTTP 410.")]
    assert await engine.value("select enabled from tidings.webhooks where id = $1", UUID(listener["id"]))
    first, second, _ = await engine.attempts(UUID(delivery["id"]))
    assert (first["response_status"], first["response_body"], first["total_ms"]) == (503, "busy\ufffd", 12.5)
    assert (second["failure"], second["error"]) == ("connect", "Nobody listens on port 3000.")
    figures = (await api.get(f"/api/v1/webhooks/{listener['id']}/statistics")).json()
    assert (figures["total"]["failed"], figures["total"]["retried"]) == (1, 2) if "total" in figures else True


async def test_a_listener_mirrors_a_webhook_and_takes_nothing_from_it(
    engine: Engine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await engine.add_webhook(receiver.url(), "order.*", profile="standard", headers={"X-Shop": "7"}, ordered=True)
    listener = await opened(api, webhook_id=str(webhook.id))
    assert listener["webhook_id"] == str(webhook.id)
    assert "secret" not in listener
    client = Client(api, listener)
    for n in range(5):
        await engine.publish("order.paid", f'{{"n": {n}}}')
    bodies = []
    for _ in range(5):
        [delivery] = await client.take_all(1)  # in order, one at a time
        verify(delivery["body"].encode(), dict(delivery["headers"]), webhook.secret)
        assert dict(delivery["headers"])["X-Shop"] == "7"
        bodies.append(delivery["body"])
        await client.tell(delivery)
    assert [f'"n": {n}' in body or f'"n":{n}' in body for n, body in enumerate(bodies)] == [True] * 5
    assert len(await receiver.wait_for(5)) == 5
    assert await states(engine, listener) == [("succeeded", 1, 200, None)] * 5


async def test_a_mirror_follows_its_webhook(engine: Engine, api: httpx.AsyncClient, receiver: Receiver) -> None:
    made = (await api.post("/api/v1/webhooks", json={"url": receiver.url(), "events": ["order.*"]})).json()
    listener = await opened(api, webhook_id=made["id"])
    client, path = Client(api, listener), f"/api/v1/webhooks/{made['id']}"
    changed = await api.request("PATCH", path, json={"events": ["bill.*"], "headers": {"X-Shop": "7"}, "rate_per_second": 3})
    assert changed.status_code == 200, changed.text
    rotated = (await api.post(f"{path}/secret/rotate", json={"overlap_seconds": 0})).json()
    assert (await api.get(client.path)).json()["events"] == ["bill.*"]
    await engine.publish("order.paid", "{}")
    await engine.publish("bill.paid", "{}")
    [delivery] = await client.take()
    headers = dict(delivery["headers"])
    assert (delivery["event"], headers["X-Shop"]) == ("bill.paid", "7")
    verify(delivery["body"].encode(), headers, rotated["secret"])
    itself = (await api.get(f"/api/v1/webhooks/{listener['id']}")).json()
    assert (itself["name"], itself["rate_per_second"], itself["managed_by"]) == ("desk", None, "listener:desk")
    version = itself["version"]
    assert (await api.request("PATCH", path, json={"rate_per_second": 4})).status_code == 200  # which is nothing to a listener
    assert (await api.get(f"/api/v1/webhooks/{listener['id']}")).json()["version"] == version
    await client.tell(delivery)


async def test_a_receiver_that_asks_to_be_left_alone_is_and_that_is_told_until_it_is_skipped(
    engine: Engine, api: httpx.AsyncClient
) -> None:
    listener = await opened(api)
    client = Client(api, listener)
    assert listener["held_until"] is None
    await engine.publish("order.paid", "{}")
    [delivery] = await client.take()
    await client.tell(delivery, response_status=429, response_headers=[["retry-after", "7200"]])
    told = (await api.get(client.path)).json()
    held_for = datetime.fromisoformat(told["held_until"]) - engine.services.clock.now()
    assert timedelta(seconds=7000) < held_for < timedelta(seconds=14_400)
    await engine.publish("order.sent", "{}")
    taken = (await api.post(f"{client.path}/take", json={"session": client.session, "held": []})).json()
    assert (taken["deliveries"], taken["held_until"]) == ([], told["held_until"])
    assert (await api.post(f"{client.path}/skip")).json()["cancelled"] >= 1
    assert (await api.get(client.path)).json()["held_until"] is None
    await engine.publish("order.late", "{}")
    assert "order.late" in [each["event"] for each in await client.take_all(1)]


async def test_workers_leave_listeners_alone_whatever_is_done_to_them(engine: Engine, api: httpx.AsyncClient) -> None:
    listener = await opened(api)
    path = f"/api/v1/webhooks/{listener['id']}"
    is_open = "select open from tidings.lanes where webhook_id = $1"
    assert (await api.post(f"{path}/secret/rotate", json={})).status_code == 200
    assert not await engine.value(is_open, UUID(listener["id"]))
    for method, body in (("PATCH", {"enabled": False}), ("DELETE", None)):
        refused = await api.request(method, path, json=body)
        assert (refused.status_code, "tidings listen" in refused.json()["error"]) == (409, True)
    for call in ("test", "diagnose"):
        assert (await api.post(f"{path}/{call}", json={})).status_code == 409
    await engine.user.execute("update tidings.webhooks set fault = 'x' where id = $1", UUID(listener["id"]))
    assert await engine.worker.mender.run_once() == 1
    assert not await engine.value(is_open, UUID(listener["id"]))
    await engine.publish()
    client = Client(api, listener)
    assert len(await client.take_all(1)) == 1
    shown = (await api.get(path)).json()
    assert (shown["managed_by"], shown["health"]["sending"]) == ("listener:desk", 1)


async def test_what_waits_is_bounded_skipped_and_recovered(engine: Engine, api: httpx.AsyncClient) -> None:
    client = Client(api, listener := await opened(api, events=["order.*"]))
    id_ = UUID(listener["id"])
    await engine.publish()
    await eventually(lambda: engine.value("select waiting from tidings.lanes where webhook_id = $1", id_))
    await engine.user.execute("update tidings.lanes set waiting = waiting + $2 where webhook_id = $1", id_, MAX_WAITING)
    await engine.worker.keeper.run_once()
    full = (await api.get(f"/api/v1/listeners/{id_}")).json()
    assert (full["enabled"], full["reason"]) == (False, FULL)
    assert not (await opened(api, events=["order.*"]))["enabled"]  # whoever comes back changes nothing of that
    await engine.publish()  # not kept for it
    await eventually(lambda: engine.value("select not exists (select from tidings.outbox)"))
    assert len(await client.take(wait=0)) == 1
    await engine.user.execute("update tidings.lanes set waiting = waiting - $2 where webhook_id = $1", id_, MAX_WAITING)
    await engine.worker.keeper.run_once()
    assert (await api.get(f"/api/v1/listeners/{id_}")).json()["enabled"]
    begun = await api.post(f"/api/v1/webhooks/{id_}/recover", json={"since": "2020-01-01T00:00:00Z", "missing": True})
    assert begun.status_code == 202, begun.text
    assert len(await client.take_all(1)) == 1  # what it missed
    assert await counts(engine, listener) == (0, 2)
    for _ in range(3):
        await engine.publish()
    await eventually(lambda: engine.value("select waiting = 3 from tidings.lanes where webhook_id = $1", id_))
    assert (await api.post(f"/api/v1/listeners/{id_}/skip")).json() == {"cancelled": 3}
    assert [state for state, *_ in await states(engine, listener)] == ["cancelled"] * 3
    assert await counts(engine, listener) == (0, 2)


async def test_one_that_nobody_asked_for_in_days_is_deleted(engine: Engine, api: httpx.AsyncClient) -> None:
    listener, kept = await opened(api, "old"), await opened(api, "new")
    await engine.publish()
    await eventually(lambda: engine.value("select waiting from tidings.lanes where webhook_id = $1", UUID(listener["id"])))
    await engine.user.execute("update tidings.listeners set heard_at = now() - interval '4 days' where name = 'old'")
    await engine.worker.keeper.run_once()
    assert [each["id"] for each in (await api.get("/api/v1/listeners")).json()] == [kept["id"]]
    assert [state for state, *_ in await states(engine, listener)] == ["cancelled"]


async def test_deleting_a_listener_ends_what_waits_and_what_its_clients_have(engine: Engine, api: httpx.AsyncClient) -> None:
    client = Client(api, listener := await opened(api))
    await engine.publish()
    [delivery] = await client.take()
    await engine.publish()
    await eventually(lambda: engine.value("select waiting from tidings.lanes where webhook_id = $1", UUID(listener["id"])))
    assert (await api.delete(client.path)).status_code == 204
    assert (await client.tell(delivery, expects=404))["code"] == "NOT_FOUND"
    await silence(engine)
    assert [state for state, *_ in await states(engine, listener)] == ["cancelled"] * 2
    assert await engine.value("select count(*) from tidings.flights") == 0


async def test_nobody_reaches_what_is_not_theirs(engine: Engine, api: httpx.AsyncClient) -> None:
    await engine.user.execute("insert into tidings.groups (id) values ('other')")
    client = Client(api, await opened(api))
    await engine.publish()
    [delivery] = await client.take()
    stranger = Client(api, await opened(api, "theirs"))
    assert (await stranger.tell(delivery))["refused"] == [delivery["lease"]]
    stranger.session = client.session
    assert (await stranger.take(status=409))["code"] == "CONFLICT"
    assert (await stranger.tell(delivery))["refused"] == [delivery["lease"]]
    api.headers["X-Tidings-Group"] = "other"
    assert (await client.tell(delivery, expects=404))["code"] == "NOT_FOUND"
    assert (await client.take(status=404))["code"] == "NOT_FOUND"
    del api.headers["X-Tidings-Group"]
    worker = Client(api, {"id": client.path.rpartition("/")[2]})
    worker.session = str(engine.worker.me.worker_id)
    assert (await worker.take(status=409))["code"] == "CONFLICT"
    assert (await client.tell(delivery))["recorded"] == [delivery["lease"]]


async def test_inputs_and_numbers_are_bounded(engine: Engine, api: httpx.AsyncClient) -> None:
    listener = await opened(api)
    client = Client(api, listener)
    for field, body in (
        ("limit", {"limit": 65}),
        ("wait_seconds", {"wait_seconds": 11}),
        ("held", {"held": list(range(513))}),
        ("held", {"held": [-1]}),
    ):
        refused = await api.post(f"{client.path}/take", json={"session": client.session} | body)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    for field, result in (
        ("results[0].response_status", {}),
        ("results[0].response_status", {"response_status": 7}),
        ("results[0].response_status", {"response_status": 200, "failure": "timeout"}),
        ("results[0].failure", {"failure": "tired"}),
        ("results[0].total_ms", {"response_status": 200, "total_ms": -1}),
        ("results[0].response_headers", {"response_status": 200, "response_headers": [["a", "b" * 5000]]}),
    ):
        body = {"session": client.session, "results": [{"lease": 1, "version": 1} | result]}
        refused = await api.post(f"{client.path}/results", json=body)
        assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
    many = {"session": client.session, "results": [{"lease": n, "version": 1, "response_status": 200} for n in range(129)]}
    assert (await api.post(f"{client.path}/results", json=many)).json()["field"] == "results"
    await engine.publish()
    [delivery] = await client.take()
    await client.tell(delivery, response_status=200, response_body="é" * 100_000)
    kept = await engine.value("select length(response_body) from tidings.deliveries where is_truncated")
    assert kept == 16_384
    for asked in (
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"name": "a", "webhook_id": str(uuid4()), "events": ["*"]},
    ):
        assert (await api.post("/api/v1/listeners", json=asked)).status_code == 422
    assert (await api.post("/api/v1/listeners", json={"name": "a", "webhook_id": str(uuid4())})).status_code == 404
    assert (await api.post("/api/v1/listeners", json={"name": "a", "webhook_id": listener["id"]})).status_code == 409
    for _ in range(MAX_CLIENTS - 1):
        await Client(api, listener).take(wait=0)
    crowded = Client(api, listener)
    assert (await crowded.take(status=409))["code"] == "CONFLICT"
    assert await crowded.take(limit=0) == []  # which is known from now on
    assert "is over" in (await crowded.take(status=409))["error"]
    made = await asyncio.gather(*(opened_or_refused(api, f"n{n}") for n in range(MAX_LISTENERS + 5)))
    assert made.count(200) == MAX_LISTENERS - 1
    assert set(made) == {200, 409}


async def opened_or_refused(api: httpx.AsyncClient, name: str) -> int:
    return (await api.post("/api/v1/listeners", json={"name": name})).status_code


async def test_a_client_that_leaves_gives_back_what_it_has_not_sent(engine: Engine, api: httpx.AsyncClient) -> None:
    client = Client(api, listener := await opened(api))
    await engine.publish()
    assert len(await client.take()) == 1
    client.held = []
    assert await client.take(limit=0) == []
    assert await counts(engine, listener) == (1, 0)
    assert (await api.get(client.path)).json()["clients"] == 0


async def test_a_request_that_comes_after_its_client_left_leases_nothing(engine: Engine, api: httpx.AsyncClient) -> None:
    client, other = Client(api, listener := await opened(api)), Client(api, await opened(api, "other"))
    await engine.publish()
    waits = "select waiting = 1 from tidings.lanes where webhook_id = $1"
    await eventually(lambda: engine.value(waits, UUID(listener["id"])))
    assert await client.take(limit=0) == []
    assert (await client.take(status=409))["code"] == "CONFLICT"
    assert await client.take(limit=0) == []  # again, for its answer may be lost
    other.session = client.session
    assert "another listener's" in (await other.take(status=409))["error"]
    assert await counts(engine, listener) == (1, 0)
    assert await silence(engine) == 0
    assert await engine.value("select count(*) from tidings.listener_sessions") == 0  # by then nothing comes any more
    assert len(await client.take()) == 1


async def test_clients_that_come_and_go_are_bounded(engine: Engine, api: httpx.AsyncClient) -> None:
    listener = await opened(api)
    leave = "insert into tidings.listener_sessions (id, webhook_id, is_over) select gen_random_uuid(), $1, true from generate_series(1, $2::integer)"
    await engine.value(leave, UUID(listener["id"]), MAX_LEFT - 1)
    assert await Client(api, listener).take(limit=0) == []
    assert "1,000 clients left" in (await Client(api, listener).take(limit=0, status=409))["error"]
    await silence(engine)
    assert await Client(api, listener).take(limit=0) == []


async def test_many_connects_at_once_end_in_one_listener(engine: Engine, api: httpx.AsyncClient) -> None:
    ids = await asyncio.gather(*(opened(api, "same") for _ in range(100)))
    assert len({each["id"] for each in ids}) == 1
    assert await engine.value("select count(*) from tidings.webhook_versions") == 1
