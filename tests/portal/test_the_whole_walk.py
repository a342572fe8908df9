"""One person's way through all of it, in real Chromium: from signing in to a customer's link, with everything that breaks between."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from playwright.async_api import Browser, Page, expect

from tests.portal.test_walks import save, set_up
from tests.support.browser import page_of, serious_faults, sign_in
from tests.support.engine import Engine, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Received, Receiver, answer
from tidings.client import verify

MISSED = 3  # rows that change while the webhook is paused
STREAMED = 3  # changes that are delivered before the secret is rotated, and with either


class Owner:
    """Whoever owns the receiver: what they know as its secret, and how it is. What does not verify they do not take."""

    def __init__(self, receiver: Receiver) -> None:
        self.secret = ""
        self.is_broken = False
        self.verified: list[bytes] = []
        self.refused: list[bytes] = []
        receiver.otherwise = self._answer

    async def _answer(self, came: Received, writer: asyncio.StreamWriter) -> None:
        try:
            verify(came.body, came.headers, self.secret, profile="standard")
        except Exception:  # noqa: BLE001 - whatever it is, it does not verify
            self.refused.append(came.body)
            writer.write(answer(401, b"not verified"))
            return
        self.verified.append(came.body)
        writer.write(answer(503, b"out of order", {"retry-after": "600"}) if self.is_broken else answer(200, b"thank you"))

    def has(self, *parts: bytes) -> bool:
        """Whether something verified that holds all of that."""
        return any(all(part in body for part in parts) for body in self.verified)


async def test_from_signing_in_to_a_customers_link(
    browser: Browser, page: Page, portal: str, engine: Engine, receiver: Receiver
) -> None:
    owner = Owner(receiver)
    await engine.sql("create table orders (id bigint primary key, status text)")
    await sign_in(page)
    webhook = await _add_an_endpoint(page, receiver, owner)
    await _see_a_change_arrive(page, engine, owner)
    delivery = await _break_it_and_see(page, engine, owner, webhook)
    await _test_during_the_rest(page, engine, owner, webhook)
    await _repair_and_retry(page, owner, webhook, delivery)
    await _recover_the_paused_hour(page, engine, owner, webhook)
    await _rotate_the_secret(page, engine, owner, webhook)
    await _explain_what_did_not_match(page, engine)
    await _give_a_customer_a_link(browser, page, portal, engine, receiver, webhook)
    assert owner.refused == []  # whatever came, at whatever time, it verified with what the owner knew then


async def _add_an_endpoint(page: Page, receiver: Receiver, owner: Owner) -> str:
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Webhooks").click()
    await page.get_by_role("link", name="New webhook").first.click()
    owner.secret = "whsec_" + "A" * 32  # not known yet; the check of the URL sends nothing that is signed
    await set_up(page, "ERP", receiver.url("/erp"))
    family = page.locator("details.family", has=page.locator(".family-name", has_text=re.compile("^orders$")))
    await family.locator("summary").click()
    await family.get_by_label("inserted").check()
    await family.get_by_label("updated").check()
    await expect(page.locator("#request")).to_contain_text("webhook-signature")
    assert await serious_faults(page) == []
    owner.secret = await save(page)
    await expect(page.locator("#first")).to_contain_text("Waiting for the first delivery")
    return page.url.removesuffix("/ready").removeprefix(str(page.url).partition("/webhooks")[0])


async def _see_a_change_arrive(page: Page, engine: Engine, owner: Owner) -> None:
    """It appears without the page being loaded again, and is opened."""
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Deliveries").click()
    await expect(page.get_by_role("heading", name="Webhook Delivery")).to_be_visible()
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await page.evaluate("window.stayed = true")
    await engine.sql("insert into orders values (1, 'open')")
    await page.get_by_role("link", name="1 new").click()
    row = page.locator("tr[data-row]")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("table.orders.inserted")
    await expect(page.get_by_role("button", name="delivered 1")).to_be_visible()
    assert await page.evaluate("window.stayed")
    assert owner.has(b"table.orders.inserted", b'"open"')
    await row.get_by_role("link").first.click()
    await expect(page.get_by_text("The receiver acknowledged it with HTTP 200 at the first attempt")).to_be_visible()
    await expect(page.get_by_text("thank you")).to_be_visible()
    await expect(page.get_by_text("webhook-signature").first).to_be_attached()


async def _break_it_and_see(page: Page, engine: Engine, owner: Owner, webhook: str) -> str:
    """The receiver is out of order and asks for rest: the webhook's page says since when, why, and when it is tried next."""
    await page.goto(webhook)
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    await expect(page.locator(".webhook-health")).to_contain_text("healthy")
    owner.is_broken = True
    await engine.sql("update orders set status = 'packed' where id = 1")
    health = page.locator(".webhook-health")
    await expect(health).to_contain_text("resting")  # by itself
    await expect(health).to_contain_text("HTTP 503")
    await expect(health).to_contain_text(
        re.compile(r"asked to be left alone until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; 1 delivery waits")
    )
    assert await serious_faults(page) == []
    await page.locator("tr[data-row]").first.get_by_role("link").first.click()
    await expect(page.locator(".under-title .state")).to_contain_text("retrying")
    # Ten when the receiver asked; a slow machine looks later.
    await expect(page.locator(".try-next")).to_contain_text(re.compile(r"in\s+([1-9]|10)\s+min"))
    await expect(page.get_by_text("out of order")).to_be_visible()
    return page.url


async def _test_during_the_rest(page: Page, engine: Engine, owner: Owner, webhook: str) -> None:
    """A test goes through at once, and says what the receiver says; the rest goes on."""
    await page.goto(f"{webhook}/test")
    assert await engine.value("select held_until > now() + interval '5 minutes' from tidings.lanes")
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#tested")).to_contain_text("The receiver answered 503")
    assert await engine.value("select held_until > now() from tidings.lanes")
    assert not owner.has(b'"packed"', b'"shipped"')


async def _repair_and_retry(page: Page, owner: Owner, webhook: str, delivery: str) -> None:
    """The test of the repair ends the rest, and what failed is sent again by one press."""
    owner.is_broken = False
    await page.get_by_role("button", name="Send test").click()
    await expect(page.locator("#tested")).to_contain_text("The receiver answered 200")
    await expect(page.locator("#tested")).to_contain_text("thank you")
    await page.goto(delivery)
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_text("It goes out again, with the same id.")).to_be_visible()
    await expect(page.locator(".under-title .state")).to_contain_text("delivered")
    await expect(page.get_by_text("The receiver acknowledged it with HTTP 200 at attempt 2")).to_be_visible()
    await page.goto(webhook)
    await expect(page.locator(".webhook-health")).to_contain_text("healthy")


async def _recover_the_paused_hour(page: Page, engine: Engine, owner: Owner, webhook: str) -> None:
    """What happened while it was paused is counted, sent, and followed to its end."""
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator(".webhook-health")).to_contain_text("paused")
    await engine.sql("insert into orders select n, 'missed' from generate_series(10, $1) n", 9 + MISSED)
    await eventually(lambda: _is(engine, "select count(*) = 0 from tidings.outbox"))
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator(".webhook-health")).to_contain_text("healthy")
    assert not owner.has(b'"missed"')
    await page.get_by_role("link", name="Recover…").click()
    await expect(
        page.get_by_text("1 delivery will be sent again.")
    ).to_be_visible()  # the test that the broken receiver refused
    await page.get_by_label("Also what never came to be").check()
    said = f"{1 + MISSED} deliveries will be sent: 1 again, and {MISSED} that never were."
    await expect(page.get_by_text(said)).to_be_visible()
    await page.get_by_label("At most, a second").fill("2")
    await page.get_by_role("button", name="Send again").click()
    await page.wait_for_url("**/recoveries/*")
    await page.evaluate("window.stays = true")
    await expect(
        page.get_by_text(f"It is done. {1 + MISSED} deliveries went into the queue again, with the same ids.")
    ).to_be_visible()
    await expect(page.locator("#recovery")).to_contain_text("100\u2009%")
    await expect(page.get_by_role("button", name="Cancel it")).to_have_count(0)
    assert await page.evaluate("window.stays")
    assert await serious_faults(page) == []
    await eventually(lambda: _holds(all(owner.has(b'"missed"', b'"id":%d,' % number) for number in range(10, 10 + MISSED))))


async def _rotate_the_secret(page: Page, engine: Engine, owner: Owner, webhook: str) -> None:
    """Deliveries go on before, while and after it is rotated, and the owner takes the new secret up later: all verify."""
    old = owner.secret
    async with _changes(engine, owner) as changes:
        await changes.more(STREAMED)
        await page.goto(webhook)
        await page.get_by_role("link", name="Secrets").click()
        await page.get_by_role("button", name="Rotate").click()
        await expect(page.get_by_text("There is another secret.")).to_be_visible()
        new = await page.locator("#secret-signing-secret .secret-value").inner_text()
        assert new != old
        await changes.more(STREAMED)  # the owner still knows the old one
        owner.secret = new
        await changes.more(STREAMED)
    await page.goto(f"{webhook}/versions")
    await expect(page.get_by_text("Version 2", exact=True)).to_be_visible()


class Changes:
    """Rows change all the while, the next as soon as the last was delivered."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._number = 1000
        self._came = asyncio.Condition()

    async def run(self, user: Any) -> None:
        while True:
            await user.execute("insert into orders values ($1, 'streamed')", self._number)
            await eventually(self._is_over)
            async with self._came:
                self._number += 1
                self._came.notify_all()

    async def _is_over(self) -> bool:
        return self._owner.has(b'"id":%d,' % self._number, b'"streamed"') or bool(self._owner.refused)

    async def more(self, count: int) -> None:
        """Wait until so many more were delivered, begun after now."""
        wanted = self._number + 1 + count
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: self._number >= wanted)


@asynccontextmanager
async def _changes(engine: Engine, owner: Owner) -> AsyncIterator[Changes]:
    user = await asyncpg.connect(engine.services.config.database_url)
    changes = Changes(owner)
    running = asyncio.create_task(changes.run(user))
    yield changes
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await user.close()


async def _explain_what_did_not_match(page: Page, engine: Engine) -> None:
    """Something nobody wanted is among the events all the same, and says which condition did not hold."""
    await engine.publish("order.refunded", '{"id": 1, "total": 12.5}')
    await eventually(lambda: _is(engine, "select exists (select from tidings.events where type = 'order.refunded')"))
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Events").click()
    await page.get_by_role("link", name="order.refunded").click()
    await page.get_by_role("link", name="Explain").first.click()
    await expect(page.get_by_text("It goes to 0 webhooks of the 1 shown, as they are now.")).to_be_visible()
    await expect(page.get_by_text("It is not sent: no entry of events matches.")).to_be_visible()
    assert await serious_faults(page) == []


async def _give_a_customer_a_link(
    browser: Browser, page: Page, portal: str, engine: Engine, receiver: Receiver, of_another: str
) -> None:
    """The customer who opens it sees their own group, leaves, and sees nothing more."""
    await engine.sql("insert into tidings.groups (id) values ('acme')")
    await engine.add_webhook(receiver.url(), "*", name="Ours", group_id="acme")
    await page.goto("/settings/links?group=acme")
    await page.get_by_label("Name").fill("Acme Ltd")
    await page.get_by_label("Colour").fill("#1f5f43")
    await page.get_by_role("button", name="Make a link for acme").click()
    address = await page.locator(".linked code").inner_text()
    async with page_of(browser, portal) as customer:
        await customer.goto(address)
        await customer.wait_for_url("**/home")
        await expect(customer.get_by_text("Acme Ltd")).to_be_visible()
        await expect(customer.get_by_text("Ours")).to_be_visible()
        assert "ERP" not in await customer.locator("body").inner_text()
        for path in (of_another, f"{of_another}/secrets", "/settings", "/sources", "/groups", "/home?group=default", "/"):
            there = await customer.goto(path)
            assert there is not None
            assert there.status in {403, 404}, path
            assert "ERP" not in await customer.locator("body").inner_text()
        await customer.goto("/home")
        await customer.get_by_role("link", name="Leave").click()
        await customer.get_by_role("button", name="Leave").click()
        await expect(customer.get_by_role("heading", name="You have left")).to_be_visible()
        await customer.goto("/home")
        await expect(customer).to_have_title("Sign in · Tidings")


async def _is(engine: Engine, sql: str) -> bool:
    return bool(await engine.value(sql))


async def _holds(condition: bool) -> bool:
    return condition
