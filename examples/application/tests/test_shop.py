"""What customers of the shop hear, and what the shop hears. pip install -r requirements.txt; pytest"""

import json
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from conftest import SECRETS


def buy(shop: httpx.Client, customer, total: int = 40) -> int:
    bought = shop.post(f"/accounts/{customer.id}/orders", json={"total": total, "margin": 7}).json()["id"]
    _, event = customer.hears()
    assert event["type"] == "table.orders.inserted"
    assert event["data"]["record"] == {"id": bought, "account_id": customer.id, "total": total, "status": "new"}  # no margin
    return bought


def notice(server: dict, secret: str, notice_id: str, **parcel: object) -> int:
    """Send a notice, as the carrier does."""
    now = datetime.now(UTC)
    body = json.dumps({"type": "parcel.updated", "timestamp": now.isoformat(), "data": parcel})
    headers = {"webhook-id": notice_id, "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Webhook(secret).sign(notice_id, now, body)
    return httpx.post(f"{server['url']}/in/carrier", content=body, headers=headers, timeout=60).status_code


def test_each_customer_hears_of_its_own_orders(shop, customer):
    one, other = customer(), customer()
    buy(shop, one)
    bought = buy(shop, other)
    assert shop.post(f"/orders/{bought}/pay").json()["status"] == "paid"
    heard = [other.hears()[1] for _ in range(2)]
    assert [event["type"] for event in heard] == ["order.paid", "table.orders.updated"]
    assert heard[0]["data"] == {"id": bought, "total": 40}
    buy(shop, one)  # the next that it hears of


def test_a_delivery_that_fails_comes_again_under_the_same_id(shop, customer):
    one = customer()
    one.answers = [500]
    bought = shop.post(f"/accounts/{one.id}/orders", json={"total": 1}).json()["id"]
    (first_id, first), (second_id, second) = one.hears(), one.hears()
    assert (first_id, first) == (second_id, second)
    assert first["data"]["record"]["id"] == bought


def test_an_order_that_is_paid_twice_is_told_once(shop, customer):
    one = customer(credit=40)  # enough for once
    bought = buy(shop, one)
    assert [shop.post(f"/orders/{bought}/pay").status_code for _ in range(2)] == [200, 200]
    assert [one.hears()[1]["type"] for _ in range(2)] == ["order.paid", "table.orders.updated"]
    buy(shop, one)  # the next that it hears of


def test_a_payment_that_fails_is_told_to_nobody(shop, customer):
    one = customer(credit=10)
    bought = buy(shop, one, total=11)
    assert shop.post(f"/orders/{bought}/pay").status_code == 402
    assert shop.get(f"/orders/{bought}").json()["status"] == "new"
    affordable = buy(shop, one, total=10)  # the next that it hears of
    shop.post(f"/orders/{affordable}/pay")
    assert one.hears()[1]["data"] == {"id": affordable, "total": 10}


def test_what_the_carrier_says_reaches_the_order_and_its_customer(server, shop, customer):
    one = customer()
    bought = buy(shop, one)
    shop.post(f"/orders/{bought}/pay")
    assert [one.hears()[1]["type"] for _ in range(2)] == ["order.paid", "table.orders.updated"]
    parcel = {"id": f"parcel-{bought}", "order_id": bought, "status": "delivered"}
    assert notice(server, SECRETS["CARRIER_SECRET"], f"notice-{bought}", **parcel) == 200
    assert notice(server, SECRETS["CARRIER_SECRET"], f"notice-{bought}", **parcel) == 200  # sent again: it does nothing
    _, event = one.hears()
    assert (event["type"], event["data"]["record"]["status"]) == ("table.orders.updated", "delivered")
    assert shop.get(f"/orders/{bought}").json()["status"] == "delivered"


def test_what_is_forged_is_refused(server, shop):
    assert notice(server, SECRETS["WEBHOOK_SECRET"], "notice-forged", id="parcel-0", order_id=1, status="delivered") == 401
    forged = {"webhook-id": "x", "webhook-timestamp": str(int(datetime.now(UTC).timestamp())), "webhook-signature": "v1,AAAA"}
    assert shop.post("/webhooks", content="{}", headers=forged).status_code == 401


def test_a_portal_link_shows_a_customer_its_webhooks(shop, customer):
    one, other = customer(), customer()
    other.api.webhooks.create("https://example.com/other", ["*"], name="Not for everybody")
    with httpx.Client(follow_redirects=True, timeout=60) as browser:
        link = shop.post(f"/accounts/{one.id}/portal-link").json()["url"]
        assert browser.get(link).status_code == 200
        page = browser.get(httpx.URL(link).join("/webhooks")).text
    assert "ERP" in page
    assert "Not for everybody" not in page
