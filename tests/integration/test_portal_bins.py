"""Request bins in the portal: made and deleted by form, watched live, and whatever came is only shown."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.portal import Visitor, visiting
from tests.support.serving import ApiServer
from tidings.config import Config
from tidings.core.signature import HmacKey, sign_hex

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
KEY = {"Authorization": "Bearer test"}
HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><svg/onload=alert(1)>", "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "\u202egpj.exe", "\u2066a\u2069", "{{ 7*7 }}{% raw %}", "</pre></dd></section>", "\ufeff\u200b", "\x00\x01\x02\x7f\x9b", "a\r\nb",
    "javascript:alert(1)", "&#60;b&#62;", "\ud83d\ude00", "%s%n%x", "' or 1=1 --",
)  # fmt: skip


@pytest.fixture
async def visitor(config: Config, api_server: ApiServer) -> AsyncIterator[Visitor]:
    async with engine_of(config) as engine, api_server.serving(engine.services) as url, visiting(engine, url) as visitor:
        await visitor.sign_in()
        yield visitor


async def made(visitor: Visitor, **fields: str) -> tuple[str, str]:
    """Make a bin by the form; returns its page and its address."""
    token = await visitor.csrf("/settings/bins/new")
    page = (await visitor.send("/settings/bins/new", {"csrf": token, **fields}, 303)).headers["location"]
    found = re.search(r"<code>(http[^<]*/bin/[0-9a-f-]{36})</code>", (await visitor.get(page)).text)
    assert found
    return page, found[1]


async def test_a_bin_is_made_changed_emptied_and_deleted_by_form(visitor: Visitor) -> None:
    assert "No request bins" in (await visitor.get("/settings/bins")).text
    page, url = await made(visitor, name="Try <b>", status="418", body="short", profile="fluxbase", secret="a text as a secret")
    assert "Nothing came yet" in (await visitor.get(page)).text
    signed = sign_hex(HmacKey.of_text("a text as a secret"), b"{}")
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/deep?a=b", content=b"{}", headers={"X-Fluxbase-Signature": signed})
        assert (answer.status_code, answer.text) == (418, "short")
        await client.get(url)
    text = (await visitor.get(page)).text
    assert "missing header" in text
    assert "The header X-Fluxbase-Signature is missing" in text
    text = (await visitor.get(f"{page}?request=1")).text
    assert "verified" in text
    assert "/deep?a=b" in text
    await visitor.get(f"{page}?request=99", 404)
    await visitor.get(f"{page}?request=x", 422)
    await visitor.get(f"{page}?page=2", 422)
    assert "Try &lt;b&gt;" in (await visitor.get("/settings/bins")).text
    token = await visitor.csrf(f"{page}/edit")
    fields = {"csrf": token, "name": "Try", "status": "500", "delay_seconds": "0.1", "profile": "fluxbase"}
    await visitor.send(f"{page}/edit", fields, 303)  # the secret stays
    refused = await visitor.send(f"{page}/edit", fields | {"status": "5"}, 422)
    assert "status is 5; write 200 to 599." in refused.text
    refused = await visitor.send(f"{page}/edit", fields | {"status": "many"}, 422)
    assert "status is no number." in refused.text
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, content=b"{}", headers={"X-Fluxbase-Signature": signed})
        assert answer.status_code == 500
    assert "verified" in (await visitor.get(f"{page}?request=3")).text
    await visitor.send(f"{page}/clear", {"csrf": token}, 303)
    assert "Nothing came yet" in (await visitor.get(page)).text
    assert "goes with it" in (await visitor.get(f"{page}/delete")).text
    await visitor.send(f"{page}/delete", {"csrf": token}, 303)
    await visitor.get(page, 404)
    audit = (await visitor.get("/settings/audit")).text
    assert "A request bin was deleted" in audit


UNFIT = [
    ({"status": "99"}, "write 200 to 599"), ({"delay_seconds": "nan"}, "write 0 to 30"), ({"profile": "standard"}, "secret is required"),
    ({"webhook_id": "x"}, "no webhook"), ({"webhook_id": "00000000-0000-4000-8000-000000000000"}, "There is no webhook"),
    ({"content_type": "x"}, "no media type"), ({"header": "a b", "secret": "a text as a secret"}, "cannot carry a signature"),
]  # fmt: skip


async def test_what_cannot_be_is_said_in_the_form(visitor: Visitor) -> None:
    for fields, said in UNFIT:
        status = 404 if "00000000" in fields.get("webhook_id", "") else 422
        response = await visitor.send("/settings/bins/new", {"name": "Kept", **fields}, status)
        assert said in response.text
        assert 'value="Kept"' in response.text


async def test_whatever_came_is_only_shown(visitor: Visitor) -> None:
    page, url = await made(visitor, name="Hostile")
    async with httpx.AsyncClient() as client:
        for text in HOSTILE:
            raw = text.encode("utf-8", "surrogatepass")
            header = bytes(byte for byte in raw if byte not in b"\r\n\x00\x01\x02\x07\x1b\x7f")
            path = httpx.URL(url).raw_path + b"/" + quote(raw, safe=PRINTABLE).encode()
            await client.request("POST", url, content=raw, headers=[(b"X-Odd", header)], extensions={"target": path})
            await client.post(url, content=b'{"a": ' + msgspec.json.encode(raw.decode("utf-8", "replace")) + b"}")
        await client.post(url, content=bytes(range(256)) * 40)
    count = 2 * len(HOSTILE) + 1
    assert (await api(visitor, page))["request_count"] == count
    for number in range(1, count + 1):
        text = (await visitor.get(f"{page}?request={number}")).text
        for bad in ("<script>alert", "<img src=x", "<svg/onload", "</pre></dd>", "49{%"):
            assert bad not in text
        assert not re.search("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", re.sub(r'(?:data-copy|title)="[^"]*"', "", text))
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]", re.sub(r'(?:data-copy|title)="[^"]*"', "", text))
    assert "no text; it is shown in base64" in text


async def api(visitor: Visitor, page: str) -> Any:
    response = await visitor.client.get(f"/api/v1/bins/{page.rpartition('/')[2]}", headers=KEY)
    assert response.status_code == 200
    return response.json()


async def test_a_page_hears_of_what_comes_to_its_bin_and_of_nothing_else(visitor: Visitor) -> None:
    page, url = await made(visitor, name="Live")
    _, other = await made(visitor, name="Other")
    found = re.search(r'sse-connect="([^"]+)"', (await visitor.get(page)).text)
    assert found
    path = found[1].replace("&amp;", "&")
    async with visitor.client.stream("GET", path, timeout=PATIENCE) as stream, httpx.AsyncClient() as client:
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        await client.post(other)
        await client.post(url)
        async for line in lines:
            if line.startswith("event:"):
                assert line == "event: changed"
                break
        assert "Request 1" in (await visitor.get(page)).text
    assert "sse-connect" not in (await visitor.get(f"{page}?before=1")).text


async def test_customers_see_no_bins(visitor: Visitor) -> None:
    page, _ = await made(visitor)
    made_link = await visitor.client.post("/api/v1/groups/default/portal-link", json={"access": "full"}, headers=KEY)
    async with httpx.AsyncClient(base_url=str(visitor.client.base_url)) as customer:
        entered = await customer.get(httpx.URL(made_link.json()["url"]).raw_path.decode())
        assert entered.status_code == 303
        for path in ("/settings/bins", page, "/settings/bins/new"):
            assert (await customer.get(path, headers={"Accept": "text/html"})).status_code == 403
