"""Making what makes events, in a real browser: a collection, a job, an integration, a captured table, each to its first event."""

import hmac

import httpx
from playwright.async_api import Page, expect

from tests.support.engine import Engine, eventually
from tests.support.receiver import Receiver


async def test_a_collection_is_made_and_its_first_record_is_an_event(signed_in: Page, engine: Engine) -> None:
    page = signed_in
    await page.goto("/sources/collections")
    await page.get_by_role("link", name="New collection").first.click()
    await page.get_by_label("Name").fill("notifications")
    first, second = page.get_by_role("group", name="field 1"), page.get_by_role("group", name="field 2")
    await first.get_by_label("Field").fill("title")
    await first.get_by_label("required").check()
    await expect(second.get_by_label("Its values")).to_be_hidden()
    await second.get_by_label("Field").fill("status")
    await second.get_by_label("Type").select_option("one of a list")
    await page.get_by_role("button", name="Create the collection").click()
    await expect(page.get_by_text("values must list what 'status' may be")).to_be_visible()
    await page.get_by_role("group", name="status").get_by_label("Its values").fill("active\ndone")
    await page.get_by_role("button", name="Create the collection").click()
    await expect(page.get_by_text("The collection is made.")).to_be_visible()
    await page.get_by_role("link", name="Add a record").first.click()
    await page.get_by_label("title").fill("Test Notification")
    await page.get_by_label("status").select_option("active")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_text("The record is added")).to_be_visible()
    # The page is told when the event is there; nobody loads it again.
    await expect(page.get_by_role("table", name="Its last events").get_by_text("content.created")).to_be_visible()
    await page.get_by_label("title").fill("Another")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("table", name="Its last events").get_by_text("content.updated")).to_be_visible()
    await page.goto("/sources/collections/notifications/edit")
    await page.get_by_role("group", name="status").get_by_label("remove").check()
    await page.get_by_role("button", name="Save", exact=True).last.click()
    await expect(page.get_by_text("1 record has a value in 'status', which would go with it.")).to_be_visible()
    await page.get_by_label("lose its values").check()
    await page.get_by_role("button", name="Save", exact=True).last.click()
    await expect(page.get_by_text("The collection is changed.")).to_be_visible()


async def test_a_job_is_made_and_run_now(signed_in: Page, engine: Engine, receiver: Receiver) -> None:
    page = signed_in
    await page.goto("/sources/jobs")
    await page.get_by_role("link", name="New job").first.click()
    await page.get_by_label("Name").fill("rebuild")
    await page.get_by_label("Schedule").press_sequentially("30 2 * * 1-5")
    await page.get_by_label("Time zone").fill("Europe/Berlin")
    await expect(page.get_by_text("Monday through Friday")).to_be_visible()
    await expect(page.get_by_role("list", name="Its next ticks").get_by_role("listitem")).to_have_count(5)
    await expect(page.get_by_text("02:30 CE").first).to_be_visible()
    await page.get_by_label("URL").fill(receiver.url("/rebuild"))
    await page.get_by_role("button", name="Create the job").click()
    await expect(page.get_by_text("The job is made")).to_be_visible()
    await page.get_by_role("button", name="Run now").click()
    await expect(page.get_by_text("It has fired.")).to_be_visible()

    async def has_come() -> bool:
        return any(request.path == "/rebuild" for request in receiver.received)

    await eventually(has_come)


async def test_an_integration_is_made_and_a_signed_notice_arrives(signed_in: Page, engine: Engine, portal: str) -> None:
    page = signed_in
    await page.goto("/sources/integrations")
    await page.get_by_role("link", name="New integration").first.click()
    await page.get_by_label("Name").fill("code")
    await page.get_by_label("Who sends").select_option("GitHub")
    await expect(page.get_by_label("Header of the signature")).to_be_hidden()
    await page.get_by_role("button", name="Create the integration").click()
    secret = await page.locator(".secret-value").inner_text()
    address = await page.locator(".address code").first.inner_text()
    assert address.endswith("/in/code")
    body = b'{"action": "opened", "issue": {"id": 7, "updated_at": "2026-11-21T10:00:00Z"}}'
    signed = {
        "X-Hub-Signature-256": f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}",
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "one",
    }
    async with httpx.AsyncClient() as sender:
        answer = await sender.post(address, content=body, headers=signed)
        assert answer.status_code == 200, answer.text
        answer = await sender.post(address, content=body, headers=signed | {"X-Hub-Signature-256": "sha256=00"})
        assert answer.status_code == 401
    await page.get_by_role("link", name="Go to code").click()
    await expect(page.get_by_role("table", name="Last notices").get_by_text("issues")).to_be_visible()
    await expect(
        page.get_by_role("table", name="Refused notices").get_by_text("Not verified", exact=False).first
    ).to_be_visible()
    assert secret not in await page.content()


async def test_a_table_is_captured_and_a_row_arrives(signed_in: Page, engine: Engine, receiver: Receiver) -> None:
    page = signed_in
    await engine.sql("create table users (id int primary key, email text, password text)")
    await page.goto("/sources/tables")
    await page.get_by_role("link", name="Capture a table").first.click()
    await page.get_by_label("Table").fill("users")
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_label("exclude password").check()
    await page.get_by_label("Name of email in events").fill("mail")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("as soon as a webhook names it")).to_be_visible()
    await page.get_by_role("link", name="New webhook for it").click()
    await page.get_by_role("textbox", name="Name optional", exact=True).fill("User Events")
    await page.get_by_label("URL").fill(receiver.url("/users"))
    await page.get_by_role("button", name="Save").last.click()
    await page.wait_for_url("**/ready")
    await engine.sql("insert into users values (1, 'ada@example.com', 'secret words')")
    await expect(page.locator("#first.first-delivered")).to_be_visible()
    (request,) = [request for request in receiver.received if request.path == "/users"]
    assert b"ada@example.com" in request.body
    assert b'"mail"' in request.body
    assert b"secret words" not in request.body
    await page.goto("/sources/tables/table?name=users")
    await expect(page.get_by_text("captured", exact=True)).to_be_visible()


async def test_a_type_of_the_catalogue_opens_to_its_schema_and_edit(signed_in: Page, engine: Engine) -> None:
    page = signed_in
    await page.goto("/sources/new/type")
    await page.get_by_label("Type").fill("order.paid")
    await page.get_by_label("JSON Schema").fill('{"type": "object", "properties": {"total": {"type": "number"}}}')
    await page.get_by_role("button", name="Describe it").click()
    row = page.locator(".catalogue > li").filter(has_text="order.paid")
    await row.locator("code").click()
    await expect(row.get_by_role("link", name="Edit")).to_be_visible()
    # The document's own nodes stand as everywhere else: the row's columns are not theirs.
    assert await row.locator(".node > summary").first.evaluate("node => getComputedStyle(node).display") != "grid"
