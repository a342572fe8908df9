"""What rules hide is sent, and then found nowhere: in no table, no line of the log, no answer."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import Engine, engine_of, eventually
from tests.support.privacy import holds, places_with, written
from tests.support.receiver import Received, Receiver, answer
from tidings.config import Config
from tidings.core.errors import ConflictError
from tidings.core.hiding import HIDDEN
from tidings.core.redaction import Rule
from tidings.operations import redaction
from tidings.operations.history import deliveries
from tidings.operations.redaction import RuleChange

SECRET = "Zaphod.Beeblebrox+42@heart-of-gold.example"


async def add_rule(engine: Engine, events: list[str] | None = None, **fields: Any) -> Rule:
    return await redaction.create(engine.services, RuleChange(events=events or ["*"], **fields))


async def settle(engine: Engine) -> None:
    """Let what is due be routed and sent, retries included, and payloads go that nothing needs."""
    await engine.cycle()
    engine.clock.ahead += timedelta(seconds=3)
    await engine.worker.shredder.run_once()


def echoes(status: int) -> Any:
    """A receiver that says what it heard: in its body, in headers, whole and written otherwise."""

    async def script(received: Received, writer: Any) -> None:
        said = b'{"heard": %s, "said": "%s"}' % (received.body, b" ".join(written(SECRET)))
        headers = {"x-echo": SECRET, "set-cookie": "session=1", "x-base": written(SECRET)[2].decode()}
        writer.write(answer(status, said, headers))

    return script


async def test_a_hidden_value_of_every_source_is_sent_and_then_found_in_no_table_log_or_answer(
    config: Config, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="tidings")
    receiver.otherwise = echoes(500)
    async with engine_of(config) as engine:
        await engine.sql("create table people (id int primary key, name text, email text)")
        await engine.add_webhook(receiver.url(), "*", "table.people.*")
        await add_rule(engine, fields=["**.email", "**.error"], subject=True)
        await engine.sql("insert into people values (1, 'Z', $1)", SECRET)
        await engine.sql("update people set name = 'Y'")
        record = json.dumps({"data": {"email": SECRET, "kept": 1.00}})
        for source, type_ in (("publish", "order.paid"), ("integrations", "integration.received"), ("cron", "cron.fired")):
            await engine.sql(
                "insert into tidings.outbox (source, type, subject, record, external_id) values ($1, $2, $3, $4, $3)",
                source, type_, SECRET, record,
            )  # fmt: skip
        await settle(engine)
        assert len(receiver.received) == 5
        assert all(SECRET.encode() in received.body for received in receiver.received)
        assert await places_with(engine.user, SECRET) == []
        assert await engine.value("select count(*) from tidings.sealed_payloads") == 5  # they are retried
        receiver.otherwise = echoes(200)
        engine.clock.ahead += timedelta(days=1)
        await settle(engine)
        assert len(receiver.received) == 10
        assert SECRET.encode() in receiver.received[-1].body  # a retry sends what the first attempt sent
        assert receiver.received[-1].body in {received.body for received in receiver.received[:5]}
        engine.clock.ahead += timedelta(hours=1)
        await engine.worker.shredder.run_once()
        assert await engine.value("select count(*) from tidings.sealed_payloads") == 0
        assert await places_with(engine.user, SECRET) == []
        assert json.loads(await engine.value("select record from tidings.events where type = 'order.paid'")) == {
            "data": {"email": HIDDEN, "kept": 1.0}
        }
    logged = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "delivery.attempted" in logged
    assert not holds(logged.encode(), SECRET)


async def test_scrubbed_answers_keep_all_but_what_was_hidden(config: Config, receiver: Receiver) -> None:
    receiver.otherwise = echoes(200)
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await add_rule(engine, fields=["email"], headers=["Set-Cookie"], responses="scrubbed")
        await engine.publish(data=json.dumps({"email": SECRET, "n": 1}))
        await settle(engine)
        assert await places_with(engine.user, SECRET) == []
        (attempt,) = await engine.attempts()
        assert '"n":1' in attempt["response_body"]
        assert dict(json.loads(attempt["response_headers"]))["set-cookie"] == HIDDEN


async def test_a_rule_of_one_webhook_keeps_its_answers_alone(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        one = await engine.add_webhook(receiver.url("/one"), "*")
        await engine.add_webhook(receiver.url("/two"), "*")
        await add_rule(engine, webhook_id=one.id, responses="none")
        await engine.publish()
        await engine.cycle()
        kept = {
            row["webhook_id"] == one.id: row["response_body"] for row in await engine.sql("select * from tidings.deliveries")
        }
        assert kept == {True: None, False: "ok"}


async def test_what_is_hidden_can_be_sent_again_for_the_hours_of_its_rule_and_is_refused_afterwards(
    config: Config, receiver: Receiver
) -> None:
    receiver.otherwise = echoes(410)
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await add_rule(engine, fields=["email"], resend_hours=2)
        await engine.publish(data=json.dumps({"email": SECRET}))
        await settle(engine)
        await engine.sql("update tidings.webhooks set enabled = true, disabled_reason = null")
        await engine.sql("update tidings.lanes set open = true")
        (row,) = await engine.deliveries()
        assert row["status"] == "failed"
        await deliveries.retry(engine.services, row["id"])
        await settle(engine)
        assert [SECRET.encode() in received.body for received in receiver.received] == [True, True]
        engine.clock.ahead += timedelta(hours=3)
        await engine.worker.shredder.run_once()
        engine.clock.ahead += timedelta(hours=3)
        await engine.worker.shredder.run_once()
        assert await engine.value("select count(*) from tidings.sealed_payloads") == 0
        await engine.sql("update tidings.webhooks set enabled = true, disabled_reason = null")
        with pytest.raises(ConflictError, match=r"\(email\).*publish it again"):
            await deliveries.retry(engine.services, row["id"])


async def test_a_row_that_is_set_aside_is_sealed_and_routed_again_as_it_was(config: Config, receiver: Receiver) -> None:
    async with engine_of(config) as engine:
        await engine.add_webhook(receiver.url(), "*")
        await add_rule(engine, fields=["email"])
        await engine.sql(
            "insert into tidings.outbox (source, type, record) values ('nowhere', 'order.paid', $1)",
            json.dumps({"email": SECRET}),
        )
        await engine.cycle()
        assert await places_with(engine.user, SECRET) == []
        from tidings.operations import set_aside

        number = await engine.value(
            "update tidings.outbox_rejected set row_as_json = replace(row_as_json::text, 'nowhere', 'publish')::json returning id"
        )
        await set_aside.route_again(engine.services, number)
        await settle(engine)
        assert SECRET.encode() in receiver.received[0].body


async def test_payloads_go_before_their_record_by_rule_and_by_setting_but_not_while_a_delivery_needs_them(
    config: Config, receiver: Receiver
) -> None:
    import msgspec

    async with engine_of(msgspec.structs.replace(config, payload_retention_hours=48)) as engine:
        webhook = await engine.add_webhook(receiver.url(), "*")
        await add_rule(engine, ["order.*"], payload_hours=1)
        await engine.publish("order.paid", '{"a": 1}')
        await engine.publish("user.made", '{"a": 2}')
        await settle(engine)
        await engine.sql("update tidings.lanes set open = false")
        await engine.publish("order.waits", '{"a": 3}')
        await engine.cycle()

        async def kept() -> dict[str, bool]:
            return {row["type"]: row["record"] is not None for row in await engine.sql("select * from tidings.events")}

        engine.clock.ahead += timedelta(hours=2)
        await engine.worker.shredder.run_once()
        assert await kept() == {"order.paid": False, "user.made": True, "order.waits": True}
        gone = "select sum(bytes) from tidings.stored_changes where bytes < 0"
        assert await engine.value(gone) == -len('{"a": 1}'), "it counts as stored no more"
        engine.clock.ahead += timedelta(hours=49)
        await engine.worker.shredder.run_once()
        assert await kept() == {"order.paid": False, "user.made": False, "order.waits": True}
        await engine.worker.shredder.run_once()
        assert await engine.value(gone) == -2 * len('{"a": 1}'), "and is taken off once"
        assert await engine.value("select count(*) from tidings.deliveries where response_body is not null") == 0
        assert await engine.value("select count(*) from tidings.deliveries where status = 'succeeded'") == 2
        paid = next(row for row in await engine.deliveries() if row["webhook_id"] == webhook.id)
        with pytest.raises(ConflictError, match="past the time"):
            await deliveries.retry(engine.services, paid["id"])


async def test_answers_of_the_api_show_what_is_kept_and_say_what_is_not(api: Api, receiver: Receiver) -> None:  # noqa: F811
    receiver.otherwise = echoes(200)
    made = await api("POST", "/api/v1/webhooks", 201, {"url": receiver.url(), "events": "*"})
    event = {"type": "order.paid", "data": {"email": SECRET, "n": 1}, "subject": SECRET, "id": SECRET}
    await api("POST", "/api/v1/events", 202, event | {"id": "shown"})
    await eventually(lambda: api("GET", "/api/v1/deliveries?status=succeeded", 200))
    said = {"events": ["order.*"], "fields": ["email"], "subject": True}
    shown = await api("POST", "/api/v1/redaction-rules/preview", 200, {"rule": said})
    assert shown["hidden"] == ["email", "(subject)"]
    assert shown["before"]["record"] == {"email": SECRET, "n": 1}
    assert shown["after"]["record"] == {"email": HIDDEN, "n": 1}
    rule = await api("POST", "/api/v1/redaction-rules", 201, said)
    assert rule["responses"] == "none"
    published = await api("POST", "/api/v1/events", 202, event)
    found = await eventually(lambda: api("GET", f"/api/v1/deliveries?status=succeeded&event_id={published['id']}", 200))
    one = f"/api/v1/deliveries/{found[0]['id']}"
    for path in (
        "/api/v1/deliveries?event_id=" + published["id"], one, f"{one}/attempts", f"/api/v1/events/{published['id']}",
        f"/api/v1/events/{published['id']}/explain",
    ):  # fmt: skip
        response = await api.client.get(path)
        assert response.status_code == 200
        assert not holds(response.content, SECRET), path
    (attempt,) = (await api.client.get(f"{one}/attempts")).json()
    assert attempt["request"]["is_redacted"] is True
    signature = next(value for name, value in attempt["request"]["headers"] if name == "webhook-signature")
    assert signature == HIDDEN  # of what is shown it would be a signature that nobody made
    read = await api("GET", f"/api/v1/events/{published['id']}", 200)
    assert (read["redacted"], read["subject"], read["payload_gone"]) == (["email", "(subject)"], None, None)
    changed = await api("PATCH", f"/api/v1/redaction-rules/{rule['id']}", 200, {"payload_hours": 5})
    assert changed["payload_hours"] == 5
    refused = await api("POST", "/api/v1/redaction-rules", 422, {"events": ["order.*"], "fields": ["a..b"]})
    assert refused["field"] == "fields[0]"
    await api("DELETE", f"/api/v1/redaction-rules/{rule['id']}", 204)
    assert made["id"]
