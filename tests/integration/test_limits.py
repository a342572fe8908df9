"""Limits of groups: set and read, reached exactly, by several processes at once, changed while all runs; what cannot be refused."""

import asyncio
import json
import re
import time
from functools import partial
from typing import Any

import httpx
import pytest

from tests.integration.test_keys import Api, Counting, api  # noqa: F401 - a fixture
from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.portal import visiting
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.attempts import Attempts
from tidings.core.errors import LimitReachedError, PayloadTooLargeError
from tidings.core.limits import LAPSE_SECONDS, Bucket, ahead, take
from tidings.operations import limits
from tidings.operations.admission import BELIEVED, Admission
from tidings.operations.allowance import Allowance
from tidings.operations.history import deliveries, events
from tidings.operations.services import Services
from tidings.sources.publish import Draft, Published
from tidings.store import limits as stored
from tidings.store.limits import Want
from tidings.worker.limit_watch import LimitWatch

ACME = "/api/v1/groups/acme/limits"
NOBODY = {"url": "http://127.0.0.1:9/hook", "events": ["*"]}


def of_size(size: int) -> Draft:
    return Draft("order.paid", json.dumps("x" * (size - 2)).encode())


async def limit(engine: Engine, **asked: int | None) -> None:
    await limits.change(engine.services, "default", asked)


async def used(engine: Engine) -> int:
    return (await limits.read(engine.services, "default")).used.stored_bytes


async def test_limits_are_set_read_changed_and_reset(api: Api) -> None:  # noqa: F811
    none = dict.fromkeys(("webhooks", "events_per_second", "events_burst", "stored_bytes", "payload_bytes"))
    unused = {"webhooks": 0, "events_per_second": 0.0, "events_left": None, "stored_bytes": 0}
    assert await api("GET", ACME, 200) == {"group": "acme", "is_own": False, "limits": none, "used": unused, "over": []}
    assert await api("PATCH", "/api/v1/limits", 200, {"payload_bytes": 1000}) == none | {"payload_bytes": 1000}
    made = await api("PATCH", ACME, 200, {"webhooks": 2, "events_per_second": 5})
    assert made["limits"] == none | {"webhooks": 2, "events_per_second": 5, "payload_bytes": 1000}
    assert (made["is_own"], made["used"]["events_left"]) == (True, 5)
    await api("PATCH", "/api/v1/limits", 200, {"payload_bytes": 2000})  # what is its own stays
    assert (await api("PATCH", ACME, 200, {"webhooks": None}))["limits"] == made["limits"] | {"webhooks": None}
    reset = await api("DELETE", ACME, 200)
    assert (reset["is_own"], reset["limits"]) == (False, none | {"payload_bytes": 2000})
    written = "select count(*) from tidings.audit where action like 'limits.%'"
    entries = await api.engine.value(written)
    assert entries == 5
    await api("DELETE", ACME, 200)  # what changes nothing is on no record
    await api("PATCH", ACME, 200, {})
    await api("PATCH", "/api/v1/limits", 200, {"payload_bytes": 2000})
    assert (await api.engine.value(written), (await api("GET", ACME, 200))["is_own"]) == (entries, False)
    await api("GET", "/api/v1/groups/nobody/limits", 404)
    await api("PATCH", "/api/v1/groups/nobody/limits", 404, {"webhooks": 1})


@pytest.mark.parametrize("body", [{"webhook": 1}, {"webhooks": -1}, {"webhooks": 10**30}, {"webhooks": 1.5}, {"webhooks": True},
                                  {"events_per_second": 0}, {"events_burst": 5}, {"stored_bytes": 2**60}, {"payload_bytes": 0}])  # fmt: skip
async def test_what_can_be_no_limit_is_refused_with_its_field(api: Api, body: Any) -> None:  # noqa: F811
    for path in (ACME, "/api/v1/limits"):
        refused = await api("PATCH", path, 422, body)
        assert refused["field"] == next(iter(body))


async def test_a_key_of_a_group_reads_its_own_limits_and_changes_none(api: Api) -> None:  # noqa: F811
    key = (await api.make("groups:write", bound_to="acme"))["key"]
    assert (await api("GET", ACME, 200, key=key))["group"] == "acme"
    for method, path in (
        ("GET", "/api/v1/groups/other/limits"), ("PATCH", ACME), ("DELETE", ACME), ("GET", "/api/v1/limits"), ("PATCH", "/api/v1/limits"),
    ):  # fmt: skip
        await api(method, path, 403, {"webhooks": 1} if method == "PATCH" else None, key=key)


async def test_the_last_webhook_is_made_once_however_many_come_at_once(api: Api) -> None:  # noqa: F811
    await api("PATCH", ACME, 200, {"webhooks": 3})
    answers = await asyncio.gather(*(api.ask("POST", "/api/v1/webhooks", group="acme", json=NOBODY) for _ in range(8)))
    assert sorted(one.status_code for one in answers) == [201] * 3 + [429] * 5
    refused = next(one for one in answers if one.status_code == 429)
    said = refused.json()
    assert (said["code"], said["limit"], said["allowed"], said["used"]) == ("LIMIT_REACHED", "webhooks", 3, 3)
    assert "3 webhooks" in said["error"]
    assert int(refused.headers["retry-after"]) > 0
    await api("POST", "/api/v1/webhooks", 201, NOBODY, group="other")
    job = {"name": "nightly", "schedule": "0 3 * * *", "url": NOBODY["url"]}
    await api("POST", "/api/v1/cron", 429, job, group="acme")
    triggers = {"name": "posts", "schema": [], "options": {"triggers": [{"action": "create", "url": NOBODY["url"]}]}}
    await api("POST", "/api/v1/collections", 429, triggers, group="acme")
    await api("POST", "/api/v1/listeners", 429, {"name": "desk"}, group="acme")
    await api("PATCH", ACME, 200, {"webhooks": 1})  # nothing is deleted, and nothing new is made
    assert (await api("GET", ACME, 200))["used"]["webhooks"] == 3
    (first, *_) = await api("GET", "/api/v1/webhooks", 200, group="acme")
    await api("PATCH", f"/api/v1/webhooks/{first['id']}", 200, {"name": "still mine"}, group="acme")
    await api("DELETE", f"/api/v1/webhooks/{first['id']}", 200, group="acme")
    assert (await api("POST", "/api/v1/webhooks", 429, NOBODY, group="acme"))["used"] == 2


async def test_an_event_may_be_as_large_as_the_limit_and_not_a_byte_larger(api: Api) -> None:  # noqa: F811
    await api("PATCH", ACME, 200, {"payload_bytes": 10})
    path = "/api/v1/events"
    good = await api.ask("POST", path, group="acme", json={"type": "a.b", "data": "x" * 8})
    assert good.status_code == 202
    assert "ratelimit-policy" not in good.headers
    said = await api("POST", path, 413, {"type": "a.b", "data": "x" * 9}, group="acme")
    assert (said["code"], said["allowed"], said["used"]) == ("PAYLOAD_TOO_LARGE", 10, 11)
    lines = b"\n".join(json.dumps({"type": "a.b", "data": "x" * size}).encode() for size in (8, 9, 1))
    batch = (await api.ask("POST", f"{path}/batch", group="acme", content=lines)).json()
    assert (batch["accepted"], [(one["line"], one["code"]) for one in batch["errors"]]) == (2, [(2, "PAYLOAD_TOO_LARGE")])
    large = json.dumps({"type": "a.b", "data": "x" * 9}).encode()
    whole = await api.ask("POST", f"{path}/batch", group="acme", content=b"\n".join([large] * 2))
    assert whole.status_code == 413
    assert {name: value for name, value in whole.json().items() if name != "error"} == {
        name: value for name, value in said.items() if name != "error"
    }
    assert whole.json()["error"] == f"Line 1: {said['error']} None of the 2 lines was accepted."
    await api("POST", "/api/v1/collections", 201, {"name": "posts", "schema": [{"name": "a", "type": "text"}]}, group="acme")
    await api("POST", "/api/v1/collections/posts/records", 413, {"a": "x" * 20}, group="acme")


async def test_a_burst_goes_through_and_one_more_is_told_when_to_come_again(api: Api) -> None:  # noqa: F811
    await api("PATCH", ACME, 200, {"events_per_second": 1, "events_burst": 4})
    lines = b"\n".join(b'{"type": "a.b", "data": 1}' for _ in range(20))
    began = time.monotonic()
    batch = await api.ask("POST", "/api/v1/events/batch", group="acme", content=lines)
    took = batch.json()
    most = 4 + int(time.monotonic() - began)
    assert 4 <= took["accepted"] <= most
    assert [one["line"] for one in took["errors"]] == list(range(took["accepted"] + 1, 21))  # in their order
    assert {one["code"] for one in took["errors"]} == {"LIMIT_REACHED"}
    assert all(one["retry_after_seconds"] >= 1 for one in took["errors"])
    assert batch.headers["ratelimit-policy"] == '"events";q=1;w=1;tidings-burst=4'
    assert batch.headers["ratelimit"] == '"events";r=0;t=1'
    assert "ratelimit-policy" not in (await api.ask("POST", "/api/v1/events", json={"type": "a.b", "data": 1})).headers
    refused = await _refused(api, {"type": "a.b", "data": 1})
    said = refused.json()
    assert (said["code"], said["limit"], said["allowed"]) == ("LIMIT_REACHED", "events_per_second", 1)
    assert int(refused.headers["retry-after"]) == said["retry_after_seconds"] >= 1
    for answer in (refused, await _refused(api, path="/api/v1/events/batch", content=b'{"type": "a.b", "data": 1}')):
        assert answer.headers["ratelimit-policy"] == '"events";q=1;w=1;tidings-burst=4'
        assert answer.headers["ratelimit"] == '"events";r=0;t=1'
    await api("PATCH", ACME, 200, {"events_per_second": None})  # at once in this process
    await api("POST", "/api/v1/events", 202, {"type": "a.b", "data": 1}, group="acme")


async def _refused(api: Api, body: Any = None, path: str = "/api/v1/events", **said: Any) -> httpx.Response:  # noqa: F811
    """Publish until it is refused: on a slow machine a token may have come meanwhile."""

    async def tried() -> httpx.Response | None:
        answer = await api.ask("POST", path, group="acme", **said or {"json": body})
        return answer if answer.status_code == 429 else None

    response: httpx.Response = await eventually(tried)
    return response


async def test_a_batch_of_which_nothing_fits_is_refused_whole(engine: Engine) -> None:
    await limit(engine, stored_bytes=0)
    results = await events.publish_all(engine.services, [of_size(5)] * 3)
    assert all(isinstance(one, LimitReachedError) for one in results)
    assert await engine.value("select count(*) from tidings.outbox") == 0


async def test_two_processes_together_let_no_more_through_than_one(config: Config) -> None:
    rate, burst = 40, 10
    async with engine_of(config) as one, engine_of(config) as other:
        await limit(one, events_per_second=rate, events_burst=burst)
        draft, through, began = Draft("a.b", b"1"), [0, 0], time.monotonic()

        async def publish_on(place: int, engine: Engine) -> None:
            while time.monotonic() - began < 1.5:
                try:
                    await events.publish(engine.services, draft)
                except LimitReachedError:
                    await asyncio.sleep(0)
                else:
                    through[place] += 1

        await asyncio.gather(*(publish_on(place, engine) for place, engine in enumerate((one, other)) for _ in range(3)))
        most = burst + rate * (time.monotonic() - began)
        assert sum(through) <= most
        assert sum(through) > burst
        assert all(through), "one process took all of it"
        assert await one.value("select count(*) from tidings.outbox") == sum(through)


async def test_another_process_believes_changed_limits_within_a_second(config: Config) -> None:
    async with engine_of(config) as one, engine_of(config) as other:
        draft = Draft("a.b", b"12345")
        await events.publish(other.services, draft)
        await limit(one, payload_bytes=4)

        async def is_refused() -> bool:
            try:
                await events.publish(other.services, draft)
            except PayloadTooLargeError:
                return True
            return False

        began = time.monotonic()
        await eventually(is_refused)
        tried = time.monotonic() - began
        assert tried < 1 + PATIENCE / 2
        await limit(one, payload_bytes=None)

        async def is_taken() -> bool:
            return not await is_refused()

        await eventually(is_taken)


async def test_the_statement_takes_what_the_rule_says(engine: Engine) -> None:
    """Buckets whose clock stands as far back as the sequence says; what comes in the moment of asking is less than a token."""
    services = engine.services
    for number, (tokens, age, rate, burst, need) in enumerate(
        [
            (0.0, 0.0, 1, 1, 1),
            (5.0, 0.0, 1, 10, 3),
            (0.0, 2.0, 3, 100, 5),
            (0.0, 60.0, 10, 50, 7),
            (10.0, 0.0, 1, 10, 20),
            (300.0, 0.0, 2000, 4000, 100),
            (9000.0, 0.0, 9000, 9000, 1),
        ]
    ):
        await engine.user.execute(
            "insert into tidings.group_rates values ($1, $2, clock_timestamp() - make_interval(secs => $3))",
            f"g{number}",
            tokens,
            age,
        )
        async with services.wide.connection() as connection:
            asked = Want(f"g{number}", rate, burst, need, ahead(rate))
            took = (await stored.take(connection, [asked]))[asked.group_id]
        _, least = take(Bucket(tokens, 0), rate, burst, age, need, ahead(rate))
        _, most = take(Bucket(tokens, 0), rate, burst, age + PATIENCE / 100, need, ahead(rate))
        assert least <= took.granted <= most
        assert took.remaining >= 0
    full = await engine.value("select remaining from tidings.take_events('new', 5, 20, 4, 0)")
    assert full == 16


async def test_bytes_are_kept_up_to_the_limit_and_no_further(engine: Engine) -> None:
    await limit(engine, stored_bytes=100)
    for _ in range(2):
        await events.publish(engine.services, of_size(50))
    with pytest.raises(LimitReachedError) as refused:
        await events.publish(engine.services, of_size(2))
    assert (refused.value.details["limit"], refused.value.details["used"]) == ("stored_bytes", 100)
    assert await used(engine) == 100  # counted as it is accepted, before anybody routes it
    await engine.cycle()
    assert await used(engine) == 100  # and not again when it is routed
    await limit(engine, stored_bytes=102)
    results = await events.publish_all(engine.services, [of_size(2), of_size(2)])
    assert [type(one) for one in results] == [Published, LimitReachedError]
    await limit(engine, stored_bytes=10)  # nothing is deleted, and nothing new is kept
    assert await used(engine) == 102
    with pytest.raises(LimitReachedError):
        await events.publish(engine.services, of_size(2))


async def test_what_is_published_again_counts_once(engine: Engine) -> None:
    await limit(engine, stored_bytes=1000)
    draft = Draft("a.b", b"12345", external_id="one")
    for _ in range(3):
        await events.publish(engine.services, draft)
        await events.publish_all(engine.services, [draft])
    assert await used(engine) == 5


async def test_whatever_is_written_is_counted_and_goes_with_its_day(engine: Engine, receiver: Receiver) -> None:
    await engine.user.execute("create table orders (id int primary key, note text)")
    await engine.add_webhook(receiver.url(), "*", {"table": "orders"})
    await engine.user.execute("insert into orders values (1, 'ä')")
    await engine.publish("order.paid", '{"a": 1}')
    while await engine.value("select count(*) from tidings.outbox"):
        await engine.cycle()
    await engine.cycle()
    texts = await engine.value(
        "select sum(octet_length(record::text) + coalesce(octet_length(old_record::text), 0)) from tidings.events"
    )
    answers = await engine.value("select coalesce(sum(octet_length(response_body)), 0) from tidings.deliveries")
    head = await engine.value(
        "select coalesce(sum(length(h->>0) + length(h->>1)), 0) from tidings.deliveries, json_array_elements(response_headers) h"
    )
    assert await used(engine) == texts + answers + head > 0
    assert await LimitWatch(engine.services.wide, engine.clock).run_once() == 0
    assert await engine.value("select count(*) from tidings.stored_changes") == 0
    assert await used(engine) == texts + answers + head
    day = await engine.value("select day from tidings.stored_bytes")
    await engine.user.execute(
        f"drop table tidings.attempts_{day:%Y%m%d}, tidings.deliveries_{day:%Y%m%d}, tidings.events_{day:%Y%m%d}"
    )
    await engine.user.execute("insert into tidings.stored_changes values ('default', $1, 7, 1)", day)  # written just before
    await engine.user.execute("select tidings.ensure_day($1)", day)
    async with engine.services.wide.connection() as connection:
        await stored.forget_days(connection)  # another day is the first that is there, or this one
    assert await used(engine) in {7, texts + answers + head + 7}


async def test_what_is_sent_again_adds_what_was_answered_and_no_payload(engine: Engine, receiver: Receiver) -> None:
    await engine.add_webhook(receiver.url(), "*")
    await engine.publish("order.paid", '{"a": 1}')
    await engine.cycle()
    (delivery,) = await engine.deliveries()
    once = await used(engine)
    answered = once - len('{"a": 1}')
    await deliveries.retry(engine.services, delivery["id"])
    await engine.cycle()
    assert await used(engine) == once + answered
    assert await engine.value("select sum(events) from tidings.stored_changes") == 1


async def test_a_change_of_a_row_is_never_refused_and_shown_as_over_the_limit(engine: Engine, receiver: Receiver) -> None:
    await engine.user.execute("create table orders (id int primary key, note text)")
    await engine.add_webhook(receiver.url(), "tidings.over_limit", {"table": "orders"})
    await limit(engine, stored_bytes=10, events_per_second=1)
    await engine.user.execute("insert into orders select n, 'x' from generate_series(1, 40) n")
    while await engine.cycle():
        pass
    assert len(receiver.received) == 40
    watch = LimitWatch(engine.services.wide, engine.clock)
    assert await watch.run_once() == 1
    assert await watch.run_once() == 0  # told once
    await engine.cycle()
    (told,) = await engine.sql("select record, source from tidings.events where type = 'tidings.over_limit'")
    said = json.loads(told["record"])
    assert (said["group"], said["limit"], said["allowed"], told["source"]) == ("default", "stored_bytes", 10, "tidings")
    assert said["used"] > 10
    shown = await limits.read(engine.services, "default")
    assert [one.limit for one in shown.over] == ["stored_bytes"]
    await limit(engine, stored_bytes=None)
    assert await watch.run_once() == 0
    assert (await limits.read(engine.services, "default")).over == []


async def test_what_goes_of_one_day_makes_no_room_for_what_another_has(engine: Engine) -> None:
    """As where payloads go that came before anything was counted."""
    written = (
        "insert into tidings.stored_changes values ('default', current_date, 30, 0), ('default', current_date - 1, -500, 0)"
    )
    await engine.user.execute("select tidings.ensure_day(current_date - 1)")
    await engine.user.execute(written)
    assert await used(engine) == 30
    await LimitWatch(engine.services.wide, engine.clock).run_once()
    assert await used(engine) == 30


async def test_an_overrun_is_told_though_somebody_else_added_it_up(engine: Engine) -> None:
    await limit(engine, stored_bytes=10)
    written = "insert into tidings.stored_changes select 'default', current_date, 1, 0 from generate_series(1, $1::integer)"
    await engine.user.execute(written, stored.MANY_ROWS + 1)
    assert await used(engine) == stored.MANY_ROWS + 1  # whoever looks adds up so many rows himself
    assert await engine.value("select sum(bytes) from tidings.stored_changes") == 0
    assert await LimitWatch(engine.services.wide, engine.clock).run_once() == 1
    assert await used(engine) == stored.MANY_ROWS + 1


async def test_two_that_look_at_the_same_moment_tell_of_an_overrun_once(engine: Engine) -> None:
    """The other looked before this one added it up: what it ends would be what this one has told by then."""
    await limit(engine, stored_bytes=10)
    watch = LimitWatch(engine.services.wide, engine.clock)
    async with engine.services.wide.transaction() as other:
        await stored.lock_overruns(other)
        found = await stored.overruns(other, ["default"])
        await engine.user.execute("insert into tidings.stored_changes values ('default', current_date, 11, 1)")
        telling = asyncio.create_task(watch.run_once())
        await eventually(partial(engine.are_waiting, 1))
        assert await stored.note_overruns(other, found, engine.clock.now()) == []
    assert await telling == 1
    assert await watch.run_once() == 0
    assert await engine.value("select count(*) from tidings.group_overruns") == 1


async def test_the_pace_of_what_nobody_refuses_is_shown_and_told(engine: Engine) -> None:
    await limit(engine, events_per_second=10)
    watch = LimitWatch(engine.services.wide, engine.clock)
    for count, told in ((1, 0), (3000, 1)):
        await engine.user.execute("insert into tidings.stored_changes values ('default', current_date, 1, $1)", count)
        assert await watch.run_once() == told
        await engine.user.execute("update tidings.group_paces set since = since - interval '20 s'")
    shown = await limits.read(engine.services, "default")
    assert 50 <= shown.used.events_per_second <= 151
    assert [one.limit for one in shown.over] == ["events_per_second"]


async def test_a_change_that_is_larger_than_its_group_may_send_is_set_aside_with_both_numbers(engine: Engine) -> None:
    await engine.user.execute("create table orders (id int primary key, note text)")
    await engine.add_webhook("http://127.0.0.1:9/hook", {"table": "orders"})
    small, large = '{"id":1,"note":"x"}', '{"id":2,"note":"xx"}'
    await limit(engine, payload_bytes=len(small))
    await engine.worker.payloads.run_once()
    await engine.user.execute("insert into orders values (1, 'x'), (2, 'xx')")
    await engine.publish("a.b", large)  # what was published was judged where it came in
    await engine.worker.dispatcher.run_once()
    (row,) = await engine.sql("select error from tidings.outbox_rejected")
    assert f"{len(large)} bytes" in row["error"]
    assert f"at most {len(small)} " in row["error"]
    assert await engine.value("select count(*) from tidings.events") == 2


async def test_records_and_notices_are_refused_at_the_door(api: Api) -> None:  # noqa: F811
    await api("POST", "/api/v1/collections", 201, {"name": "posts", "schema": [{"name": "a", "type": "text"}]}, group="acme")
    hub = await api("POST", "/api/v1/integrations", 201, {"name": "hub", "platform": "hmac"}, group="acme")
    await api("PATCH", ACME, 200, {"stored_bytes": 3})
    await api("POST", "/api/v1/collections/posts/records", 429, {"a": "long"}, group="acme")
    assert hub["url"].endswith("/in/hub")
    await api(
        "POST", "/api/v1/integrations/hub/sync", 429, {"objects": [{"type": "a", "id": "1", "data": {"n": 1}}]}, group="acme"
    )
    await api("PATCH", ACME, 200, {"stored_bytes": None, "events_per_second": 1, "events_burst": 2})
    items = [{"a": str(n)} for n in range(3)]  # more than may ever come at once, all or none: to come again is of no use
    refused = await api("POST", "/api/v1/collections/posts/records", 413, items, group="acme")
    assert (refused["code"], refused["limit"], refused["allowed"], refused["used"]) == (
        "PAYLOAD_TOO_LARGE",
        "events_burst",
        2,
        3,
    )
    left = (await api("GET", ACME, 200))["used"]["events_left"]
    assert left == 2, "it took no tokens"
    objects = [{"type": "a", "id": str(n), "data": {"n": n}} for n in range(3)]
    sync = "/api/v1/integrations/hub/sync"
    assert (await api("POST", sync, 200, {"objects": objects[:2]}, group="acme"))["created"] == 2
    unchanged = {"objects": objects[:2]}  # and there are no tokens now
    assert (await api("POST", sync, 200, unchanged, group="acme"))["unchanged"] == 2, "what is not told counts nothing"
    more = [{"type": "b", "id": str(n), "data": n} for n in range(3)]
    answer = await api.ask("POST", sync, group="acme", json={"objects": [*objects[:2], *more]})
    assert (answer.status_code, answer.json()["used"]) == (413, 3)
    assert answer.headers["ratelimit-policy"] == '"events";q=1;w=1;tidings-burst=2'
    assert (await api.engine.value("select count(*) from tidings.integration_objects")) == 2, "all of it is taken back"
    assert (await api("GET", "/api/v1/collections/posts/records", 200, group="acme"))["totalItems"] == 0


class Process:
    """What another process knows of limits, at a time of its own, and how often it asked."""

    def __init__(self, services: Services) -> None:
        self.now = 1000.0
        self.database = Counting(services.wide.url, services.wide.server)
        self.admission = Admission(self.database, self.database, monotonic=lambda: self.now)
        self.allowance = Allowance(self.admission, self.database, monotonic=lambda: self.now)

    async def through(self, count: int = 1) -> int:
        return (await self.allowance.admit("default", [1] * count)).count(None)


async def test_a_group_without_limits_costs_the_database_nothing(engine: Engine) -> None:
    process = Process(engine.services)
    assert not process.allowance.is_free("default")  # nobody has looked
    assert await process.through() == 1
    asked = process.database.asked
    assert all(process.allowance.is_free("default") for _ in range(100))
    assert process.database.asked == asked
    assert process.allowance.headers("default") == {}
    process.now += BELIEVED
    assert not process.allowance.is_free("default")
    assert await process.through() == 1
    assert process.database.asked == asked + 1  # one look, which keys are believed by as well


async def test_a_group_with_limits_asks_for_portions_and_nobody_who_is_refused_asks(engine: Engine) -> None:
    await limit(engine, events_per_second=1000, events_burst=1000, stored_bytes=10**9)
    process = Process(engine.services)
    assert await process.through() == 1
    asked = process.database.asked
    assert [await process.through() for _ in range(100)] == [1] * 100
    assert process.database.asked == asked
    waiting = await asyncio.gather(*(process.through() for _ in range(200)))  # they wait for one statement together
    assert (sum(waiting), process.database.asked) == (200, asked + 1)
    await limit(engine, events_per_second=1, events_burst=5, stored_bytes=None)
    process.now += BELIEVED
    await engine.sql("delete from tidings.group_rates")
    assert await process.through(5) == 5
    assert await process.through() <= 1  # on a slow machine there may be one by now
    asked = process.database.asked
    assert [await process.through() for _ in range(50)] == [0] * 50
    assert process.database.asked == asked
    process.now += BELIEVED + 1


async def test_a_process_that_takes_tokens_and_does_not_use_them_loses_them(engine: Engine) -> None:
    await limit(engine, events_per_second=1000, events_burst=1000)
    process = Process(engine.services)
    assert await process.through() == 1
    assert await process.through(50) == 50
    hand = process.allowance._groups["default"]
    assert hand is not None
    held = hand.hand.tokens
    assert held > 0
    process.now += LAPSE_SECONDS
    assert not hand.hand.has(1, process.now)


async def test_the_page_shows_what_is_used_and_sets_limits(api: Api, api_server: ApiServer) -> None:  # noqa: F811
    assert api_server._framework
    api_server._framework.state["sign_in_attempts"] = Attempts()
    path = "/settings/limits"
    async with visiting(api.engine, str(api.client.base_url)) as visitor:
        await visitor.sign_in()
        assert "0; no limit" in (await visitor.get(path)).text
        form = {"webhooks": "2", "events_per_second": "1 000", "events_burst": "", "stored_bytes": "0", "payload_bytes": ""}
        await visitor.send(path, form)
        set_ = await api("GET", "/api/v1/groups/default/limits", 200)
        assert set_["limits"] == {
            "webhooks": 2,
            "events_per_second": 1000,
            "events_burst": None,
            "stored_bytes": 0,
            "payload_bytes": None,
        }
        await api("POST", "/api/v1/webhooks", 201, NOBODY)
        await api("POST", "/api/v1/webhooks", 201, NOBODY)
        await api("PATCH", "/api/v1/groups/default/limits", 200, {"webhooks": 1})
        page = (await visitor.get(path)).text
        assert "2, of 1" in page
        assert "More than the limit" in page
        entered = {"url": NOBODY["url"], "names": ["order.paid"], "do": "save"}
        assert "2 webhooks, of at most 1" in (await visitor.send("/webhooks/new", entered, 422)).text
        for bad, said in (("many", "Write a whole number"), ("99999999999", "webhooks is 99,999,999,999")):
            assert said in (await visitor.send(path, form | {"webhooks": bad}, 422)).text
        await visitor.send(f"{path}/reset", {})
        assert "limits of all groups" in (await visitor.get(path)).text
        await visitor.send(f"{path}/defaults", form | {"webhooks": "7"})
        assert (await api("GET", "/api/v1/limits", 200)) == set_["limits"] | {"webhooks": 7}
        assert (await api("GET", "/api/v1/groups/default/limits", 200))["limits"]["webhooks"] == 7
        refused = (await visitor.send(f"{path}/defaults", form | {"payload_bytes": "-1"}, 422)).text
        assert re.search(r'id="payload_bytes-error">.{1,200}Write a whole number', refused, re.DOTALL)
        assert 'value="7"' in (await visitor.get(f"{path}/defaults")).text
        assert "Limits were changed" in (await visitor.get("/settings/audit?subject=all+groups")).text
    reader = (await api.make("groups:read", bound_to="acme"))["key"]
    async with visiting(api.engine, str(api.client.base_url)) as visitor:
        await visitor.send("/sign-in", {"key": reader, "to": path}, of="/sign-in")
        page = (await visitor.get(path)).text
        assert "Set the limits" not in page
        await visitor.send(path, form, 403, of=path)
        assert f"{path}/defaults" not in page
        await visitor.get(f"{path}/defaults", 403)
        await visitor.send(f"{path}/defaults", form, 403, of=path)
