"""Erasure by subject: nothing of the subject is found afterwards, in whatever place, and the records of what happened stay."""

import asyncio
import json
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.integration.test_redaction import echoes
from tests.support.engine import Engine, engine_of, eventually
from tests.support.privacy import places_with
from tests.support.receiver import Receiver, answer, says
from tidings.config import Config
from tidings.core.erasure import Count, Erasure, Stage, Subject
from tidings.core.errors import ConflictError
from tidings.core.job import State
from tidings.operations import erasures, redaction, set_aside
from tidings.operations.history import deliveries
from tidings.operations.redaction import RuleChange
from tidings.store import erasures as stored
from tidings.store import set_aside as stored_set_aside
from tidings.worker.eraser import Eraser

ADA = "Ada.Lovelace+1815@analytical.example"
BOB = "bob@other.example"


async def erase(engine: Engine, subject: Subject, **options: Any) -> Erasure:
    """Erase, and return how it ended; time passes as far as it needs."""
    begun = await erasures.begin(engine.services, subject, **options)
    for _ in range(200):
        await engine.worker.eraser.run_once()
        found = await erasures.read(engine.services, begun.id)
        if not found.is_open:
            return found
        engine.clock.ahead += timedelta(seconds=6)
        await engine.cycle()
    raise AssertionError(found)


async def publish(engine: Engine, email: str, *, id_: str | None = None) -> None:
    data = json.dumps({"customer": {"id": 42 if email == ADA else 7, "email": email}})
    await engine.sql("select tidings.publish('order.paid', $1, $2, $3)", data, email, id_)


async def plant(engine: Engine) -> None:
    """Write a subject into each place that a payload or an answer comes to."""
    await engine.sql("insert into people values (42, $1)", ADA)
    await engine.sql(
        "insert into tidings.outbox_rejected (id, row_as_json, error) values (900, json_build_object('group_id', 'default', 'record', $1::text), 'x')",
        ADA,
    )
    bin_id, integration, job = uuid4(), uuid4(), uuid4()
    await engine.sql(
        """insert into tidings.bins (id, group_id, name, answer_status, answer_delay_ms, answer_body, answer_content_type, created_at, updated_at, used_at)
           values ($1, 'default', 'b', 200, 0, '', 'text/plain', now(), now(), now())""",
        bin_id,
    )
    await engine.sql(
        """insert into tidings.bin_requests values ($1, 1, now(), 'POST', '/', '[]', convert_to($2, 'UTF8'), 1, true, 1, '', 200, '{}')""",
        bin_id, json.dumps({"a": [{"customer": {"id": "42", "email": ADA}}]}),
    )  # fmt: skip
    await engine.sql(
        """insert into tidings.integrations (id, group_id, name, platform, secret, settings, enabled, created_at, updated_at)
           values ($1, 'default', 'shop', 'github', '\\x00', '{}', true, now(), now())""",
        integration,
    )
    await engine.sql(
        "insert into tidings.integration_objects values ($1, 'order', '1', 1, $2, now())", integration,
        json.dumps({"customer": {"id": 42, "email": ADA}}),
    )  # fmt: skip
    await engine.sql(
        """insert into tidings.cron_jobs (id, group_id, name, schedule, timezone, type, sql, timeout_seconds, missed, enabled, next_at, created_at, updated_at)
           values ($1, 'default', 'j', '* * * * *', 'UTC', 'sql', 'select 1', 1, 'once', false, now(), now(), now())""",
        job,
    )
    await engine.sql(
        "insert into tidings.cron_runs (job_id, scheduled_at, fired_at, status, error) values ($1, now(), now(), 'failed', $2)",
        job,
        ADA,
    )
    await engine.sql(
        """insert into tidings.recoveries (id, group_id, question, until, missing, state, stage, due_at, created_at, updated_at, finished_at)
           values (gen_random_uuid(), 'default', json_build_object('text', $1::text), now(), false, 'done', 'deliveries', now(), now(), now(), now())""",
        ADA,
    )


async def test_nothing_of_a_subject_is_found_afterwards_and_the_records_stay(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(500, json.dumps({"heard": ADA}).encode()))
    async with engine_of(config) as engine:
        await engine.sql("create table people (id int primary key, email text)")
        webhook = await engine.add_webhook(receiver.url(), "*", "table.people.*")
        await plant(engine)
        await publish(engine, ADA, id_=f"paid-{ADA}")
        await publish(engine, ADA, id_="paid-2")
        await publish(engine, BOB)
        await engine.cycle()
        engine.clock.ahead += timedelta(days=1)
        receiver.otherwise = says(answer(200, json.dumps({"heard": ADA}).encode()))
        await engine.cycle()
        await engine.sql("update tidings.lanes set loop_reason = $1", ADA)
        assert len(await places_with(engine.user, ADA)) >= 12

        counted = await erase(engine, Subject(ADA), dry_run=True)
        assert counted.state is State.DONE
        assert counted.report["events"] == Count(3, 0)
        assert len(await places_with(engine.user, ADA)) >= 12

        done = await erase(engine, Subject(ADA.lower()))
        assert done.state is State.DONE, done
        assert await places_with(engine.user, ADA) == []
        assert done.report["events"] == Count(3, 3)
        assert {place: count.erased for place, count in done.report.items()} == {
            "events": 3, "answers": 3, "deliveries": 1, "attempts": 1, "set_aside": 1, "bins": 1, "objects": 1, "runs": 1, "recoveries": 1,
            "lanes": 1, "published": 2,
        }  # fmt: skip
        rows = await engine.sql("select payload_gone, record from tidings.events order by payload_gone nulls last")
        assert [(row["payload_gone"], row["record"] is None) for row in rows] == [("erasure", True)] * 3 + [(None, False)]
        assert (
            await engine.value(
                "select count(*) from tidings.deliveries where status = 'succeeded' and webhook_id = $1", webhook.id
            )
            == 4
        )
        found = await erasures.find(engine.services, Subject(ADA))
        assert [one.dry_run for one in found] == [False, True]
        assert await erasures.find(engine.services, Subject(BOB)) == []
        (paid,) = await engine.sql(
            "select id from tidings.deliveries where event_id in (select id from tidings.events where payload_gone = 'erasure') limit 1"
        )
        with pytest.raises(ConflictError, match="was erased"):
            await deliveries.retry(engine.services, paid["id"])


async def test_a_value_of_a_field_is_found_by_its_path_as_number_and_as_text(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        for data in (
            '{"customer": {"id": 42}}',
            '{"customer": {"id": "42"}}',
            '{"customer": {"id": 42.0}}',
            '{"customer": {"id": 421}}',
            '{"id": 42}',
        ):
            await engine.publish(data=data)
        await engine.cycle()
        done = await erase(engine, Subject("42", "customer.id"))
        assert done.report["events"] == Count(3, 3)
        assert await engine.value("select count(*) from tidings.events where record is null") == 3
        gone = await engine.value("select sum(bytes) from tidings.stored_changes where bytes < 0")
        assert gone == -len('{"customer": {"id": 42}}{"customer": {"id": "42"}}{"customer": {"id": 42.0}}')


async def test_what_is_sealed_of_a_subject_goes_too(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = echoes(500)
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await redaction.create(engine.services, RuleChange(events=["*"], fields=["customer.email"]))
        await publish(engine, ADA)
        await engine.cycle()
        assert await engine.value("select count(*) from tidings.sealed_payloads") == 1
        done = await erase(engine, Subject(ADA, "customer.email"), pending="cancel")
        assert done.report["cancelled"] == Count(1, 1)
        assert await engine.value("select count(*) from tidings.sealed_payloads") == 0
        assert await places_with(engine.user, ADA) == []
        (row,) = await engine.deliveries()
        assert row["status"] == "cancelled"
        assert await engine.value("select waiting from tidings.lanes") == 0


async def test_deliveries_that_are_not_over_are_made_first_unless_they_are_to_be_cancelled(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = says(answer(500))
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await publish(engine, ADA)
        await engine.cycle()
        begun = await erasures.begin(engine.services, Subject(ADA))
        for _ in range(3):
            await engine.worker.eraser.run_once()
            engine.clock.ahead += timedelta(seconds=6)
        waiting = await erasures.read(engine.services, begun.id)
        assert (waiting.state, waiting.stage) == (State.RUNNING, "waits")
        assert "have not ended" in (waiting.error or "")
        receiver.otherwise = says(answer(200))
        engine.clock.ahead += timedelta(days=1)
        await engine.cycle()
        assert ADA.encode() in receiver.received[-1].body  # whole, to the last attempt
        await engine.worker.eraser.run_once()
        done = await erasures.read(engine.services, begun.id)
        assert (done.state, done.report["events"]) == (State.DONE, Count(1, 1))
        assert await places_with(engine.user, ADA) == []
        row = await engine.value("select row_to_json(e) from tidings.erasures e")
        assert json.loads(row)["subject"] is None


async def test_an_erasure_looks_at_a_bounded_number_of_rows_at_a_time_and_any_worker_goes_on(
    config: Config, receiver: Receiver
) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        for number in range(30):
            await publish(engine, ADA if number % 3 == 0 else BOB)
        while await engine.unfinished() or await engine.value("select count(*) from tidings.outbox"):
            await engine.cycle()
        begun = await erasures.begin(engine.services, Subject(ADA))
        worker = engine.worker

        def eraser() -> Eraser:
            return Eraser(engine.services.wide, engine.services.box, engine.clock, worker.eraser._stopping, at_once=4)

        async def gone() -> int:
            found: int = await engine.value("select count(*) from tidings.events where payload_gone is not null")
            return found

        erased = []
        while (await erasures.read(engine.services, begun.id)).is_open:
            engine.clock.ahead += timedelta(seconds=6)
            before = await gone()
            await eraser().bring_on()
            erased.append(await gone() - before)
        assert max(erased) <= 4
        assert sum(erased) == 10
        assert len(erased) >= 30 // 4 + 9  # the stages, and the events four by four
        assert await places_with(engine.user, ADA) == []


async def test_a_page_is_bounded_by_what_comes_of_it_however_well_it_is_stored(config: Config) -> None:
    """A megabyte of one letter is stored in a hundredth of it."""
    count, size = 24, 1_000_000
    async with engine_of(config) as engine:
        day = engine.clock.now()
        ids = [UUID(int=(int(day.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62) + number) for number in range(count)]
        await engine.user.executemany(
            """insert into tidings.events (id, group_id, source, type, occurred_at, delivery_count, record)
               values ($1, $2, 'publish', 'a.b', $3, 0, json_build_object('email', $4::text, 'fill', repeat('a', $5)))""",
            [(id_, "other" if number == 1 else "default", day, ADA, size) for number, id_ in enumerate(ids)],
        )
        engine.clock.ahead += timedelta(seconds=1)
        begun = await erasures.begin(engine.services, Subject(ADA))
        walking = msgspec.structs.replace(begun, stage=Stage.EVENTS)
        pages = []
        async with engine.services.wide.transaction() as connection:
            while page := await stored.page(connection, walking):
                pages.append([len(row["record"] or "") for row in page])
                walking = msgspec.structs.replace(walking, position=page[-1]["key"])
        assert [len(page) for page in pages] == [17, 7]  # one is another group's, of which nothing comes
        assert sum(pages[0][:-1]) < stored.MAX_UNPACKED_BYTES <= sum(pages[0])
        assert pages[0][1] == 0
        for _ in range(40):
            await engine.worker.eraser.run_once()
            engine.clock.ahead += timedelta(seconds=6)
        done = await erasures.read(engine.services, begun.id)
        assert (done.state, done.report["events"]) == (State.DONE, Count(count - 1, count - 1))


async def test_attempts_of_a_delivery_and_objects_that_are_gone_hide_nothing_behind_them(
    config: Config, receiver: Receiver
) -> None:
    """Pages end between deliveries, never within one; what has no bytes is a row like others."""
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        for _ in range(2):
            await publish(engine, BOB)
        await engine.cycle()
        first, second = [row["id"] for row in await engine.deliveries()]
        bodies = [
            (first, number, token_urlsafe(45_000)) for number in range(16)
        ]  # 60,000 characters that nothing makes shorter
        bodies += [(second, number, token_urlsafe(45_000)) for number in range(18)] + [(second, 18, f"thank you, {ADA}")]
        assert 2_000_000 < sum(len(body) for *_, body in bodies) < 2_060_000, "a page ends among those of the second delivery"
        await engine.user.executemany(
            "insert into tidings.attempts (delivery_id, number, started_at, response_body) values ($1, $2 + 1, now(), $3)",
            bodies,
        )
        integration = uuid4()
        await engine.sql(
            """insert into tidings.integrations (id, group_id, name, platform, secret, settings, enabled, created_at, updated_at)
               values ($1, 'default', 'shop', 'github', '\\x00', '{}', true, now(), now())""",
            integration,
        )
        for id_, data in (("0", None), ("1", None), ("2", json.dumps({"email": ADA}))):
            await engine.sql(
                "insert into tidings.integration_objects values ($1, 'order', $2, 1, $3, now())", integration, id_, data
            )
        stop = engine.worker.eraser._stopping
        engine.worker.eraser = Eraser(engine.services.wide, engine.services.box, engine.clock, stop, at_once=2)
        done = await erase(engine, Subject(ADA))
        assert (done.report["attempts"], done.report["objects"]) == (Count(1, 1), Count(1, 1))
        assert await places_with(engine.user, ADA) == []


async def test_what_was_committed_before_is_erased_while_others_publish_the_same_subject(api: Api, receiver: Receiver) -> None:  # noqa: F811
    await api.create(receiver.url(), "*")
    stop = asyncio.Event()
    published: list[str] = []

    async def go_on() -> None:
        while not stop.is_set():
            event = {"type": "order.paid", "data": {"email": ADA}}
            published.append((await api("POST", "/api/v1/events", 202, event))["id"])

    publishing = asyncio.create_task(go_on())
    await eventually(lambda: _async(len(published) > 20))
    before = list(published)
    begun = await api("POST", "/api/v1/erasures", 202, {"value": ADA})
    assert (await api("POST", "/api/v1/erasures", 422, {"value": "a"}))["field"] == "value"
    done = await eventually(lambda: _over(api, begun["id"]))
    stop.set()
    await publishing
    assert done["state"] == "done"
    assert done["report"]["events"]["erased"] >= len(before)
    gone = {str(row["id"]) for row in await api.engine.sql("select id from tidings.events where payload_gone = 'erasure'")}
    assert set(before) <= gone
    again = await api("POST", "/api/v1/erasures", 202, {"value": ADA, "pending": "cancel"})
    await eventually(lambda: _over(api, again["id"]))
    assert await places_with(api.engine.user, ADA) == []
    assert [one["id"] for one in await api("POST", "/api/v1/erasures/find", 200, {"value": ADA})] == [again["id"], begun["id"]]


async def _over(api: Api, id_: str) -> Any:  # noqa: F811
    found = await api("GET", f"/api/v1/erasures/{id_}", 200)
    return found if found["finished_at"] else None


async def _async(value: Any) -> Any:
    return value


async def test_what_is_set_aside_is_not_routed_again_while_its_group_is_erased(config: Config) -> None:
    async with engine_of(config) as engine:
        row = json.dumps({"group_id": "default", "source": "app", "type": "order.paid", "record": {"email": ADA, "odd": "\x00"},
                          "occurred_at": "2026-01-01T00:00:00Z"})  # fmt: skip
        for number, text in ((900, row), (901, row.replace(ADA, BOB)), (902, row.replace("default", "acme"))):
            await engine.sql("insert into tidings.outbox_rejected (id, row_as_json, error) values ($1, $2, 'x')", number, text)
        counting = await erasures.begin(engine.services, Subject(BOB), dry_run=True)
        begun = await erasures.begin(engine.services, Subject(ADA))
        with pytest.raises(ConflictError, match="Wait for the erasure"):
            await set_aside.route_again(engine.services, 900)
        await set_aside.route_again(engine.services, 902)  # of another group
        await erasures.cancel(engine.services, begun.id)
        await set_aside.route_again(engine.services, 901)  # the one that only counts misses nothing
        assert (await erasures.read(engine.services, counting.id)).is_open
        assert await engine.value("select array_agg(id) from tidings.outbox_rejected") == [900]


async def test_an_erasure_begins_behind_a_row_that_is_just_routed_again(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        row = json.dumps({"group_id": "default", "source": "app", "type": "order.paid", "subject": ADA, "record": {"email": ADA}, "hops": 0,
                          "occurred_at": "2026-01-01T00:00:00Z"})  # fmt: skip
        await engine.sql("insert into tidings.outbox_rejected (id, row_as_json, error) values (900, $1, 'x')", row)
        async with engine.services.wide.transaction() as connection:
            assert await stored_set_aside.try_again(connection, 900, engine.services.box) == "event"
            beginning = asyncio.create_task(erasures.begin(engine.services, Subject(ADA)))
            waiting = (
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%groups where id%')"
            )

            async def waits() -> bool:
                return bool(await engine.value(waiting))

            await eventually(waits)
        begun = await beginning
        for _ in range(20):
            await engine.cycle()
            engine.clock.ahead += timedelta(seconds=6)
            await engine.worker.eraser.run_once()
        assert (await erasures.read(engine.services, begun.id)).state is State.DONE
        assert await places_with(engine.user, ADA) == []
