"""The portal's pages for redaction and erasure: a rule is tried on a real event, made, and an erasure is followed to its report."""

from datetime import timedelta

from tests.integration.test_portal_settings import visitor  # noqa: F401 - a fixture
from tests.support.engine import eventually
from tests.support.portal import Visitor
from tests.support.privacy import holds

SECRET = "Zaphod.Beeblebrox@heart-of-gold.example"


async def test_a_rule_is_tried_on_an_event_before_it_is_made(visitor: Visitor) -> None:  # noqa: F811
    assert "No redaction rules" in (await visitor.get("/settings/redaction")).text
    await visitor.engine.publish("order.paid", f'{{"customer": {{"email": "{SECRET}"}}, "total": 12.50}}')
    await visitor.engine.cycle()
    said = {"name": "mail", "events": "order.*", "fields": "customer.email", "responses": "none", "resend_hours": "24"}
    tried = await visitor.send("/settings/redaction/new", said | {"do": "preview"}, 200)
    assert "customer.email" in tried.text
    assert f"&#34;{SECRET}" in tried.text
    assert "[redacted]" in tried.text
    assert "12.50" in tried.text
    none = await visitor.send("/settings/redaction/new", said | {"do": "preview", "events": "user.made"}, 422)
    assert "None of the latest 50 events" in none.text
    wrong = await visitor.send("/settings/redaction/new", said | {"do": "save", "fields": "a..b", "payload_hours": "<b>"}, 422)
    assert "Write a number of hours" in wrong.text
    await visitor.send("/settings/redaction/new", said | {"do": "save"})
    page = (await visitor.get("/settings/redaction")).text
    rule = await visitor.engine.value("select id from tidings.redaction_rules")
    assert f"/settings/redaction/{rule}" in page
    await visitor.send(f"/settings/redaction/{rule}", said | {"do": "save", "payload_hours": "5"})
    assert 'value="5"' in (await visitor.get(f"/settings/redaction/{rule}")).text
    await visitor.engine.publish("order.paid", f'{{"customer": {{"email": "{SECRET}"}}}}')
    await visitor.engine.cycle()
    event = await visitor.engine.value("select id from tidings.events where redaction is not null")
    shown = await visitor.get(f"/events/{event}")
    assert not holds(shown.content, SECRET)
    assert "customer.email" in shown.text
    await visitor.send(f"/settings/redaction/{rule}/delete", {})
    assert await visitor.engine.value("select count(*) from tidings.redaction_rules") == 0


async def test_an_erasure_is_begun_and_followed_to_its_report(visitor: Visitor) -> None:  # noqa: F811
    await visitor.engine.publish("order.paid", f'{{"customer": {{"email": "{SECRET}"}}}}')
    await visitor.engine.cycle()
    wrong = await visitor.send("/settings/erasures", {"value": "a", "pending": "finish"}, 422)
    assert "Say in which field the value is" in wrong.text
    begun = await visitor.send("/settings/erasures", {"value": SECRET, "pending": "finish"})
    one = await visitor.engine.value("select '/settings/erasures/' || id from tidings.erasures")
    assert begun.headers["location"] == one

    async def is_over() -> bool:
        visitor.engine.clock.ahead += timedelta(seconds=6)
        await visitor.engine.worker.eraser.run_once()
        return bool(await visitor.engine.value("select finished_at is not null from tidings.erasures"))

    await eventually(is_over)
    report = (await visitor.get(one)).text
    assert "events, their payloads as they were sent among them" in report
    assert not holds(report.encode(), SECRET)
    assert not holds((await visitor.get("/settings/erasures")).content, SECRET)
    event = await visitor.engine.value("select id from tidings.events")
    assert "erased" in (await visitor.get(f"/events/{event}")).text
