"""How soon the portal's pages are there, beside the history that the API is asked about, and how much the first one loads.

A page is asked for as a browser does it: signed in, with the page's own question and the one that counts beside it. What is
measured is the whole answer over HTTP; what a browser needs to draw it is not.
"""

import re
import time
from collections.abc import Iterable
from urllib.parse import urlencode

import httpx

from tidings.bench.history import Figures, Past
from tidings.bench.stage import KEY

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Encoding": "gzip"}
WARMING = 3  # requests of a page that do not count: connections are opened, templates read, statements prepared
HALF, MOST = 50, 95  # percent

_ASSET = re.compile(r'(?:href|src)="(/assets/[^"#]+)')

Addresses = list[str]  # of one page, about another thing each time


async def browsing(past: Past, runs: int) -> Figures:
    """Ask for every page so often; return the median and the 95th percentile of each, and the bytes of the first."""
    figures: Figures = {}
    async with (
        past.stage.running("api") as url,
        httpx.AsyncClient(base_url=url, headers=HTML, timeout=60) as browser,
    ):
        await _sign_in(browser, url)
        figures["portal_first_page_bytes"] = await _bytes_of_first(browser)
        for name, addresses in _pages(past).items():
            times = [await _asked(browser, addresses[number % len(addresses)]) for number in range(runs + WARMING)]
            ordered = sorted(times[WARMING:])
            figures[f"portal_{name}_p50_ms"] = _percentile(ordered, HALF)
            figures[f"portal_{name}_p95_ms"] = _percentile(ordered, MOST)
    slowest = max(value for name, value in figures.items() if name.endswith("_p95_ms"))
    return figures | {"portal_worst_p95_ms": slowest}


async def _asked(browser: httpx.AsyncClient, address: str) -> float:
    """Return how many milliseconds a page took."""
    begun = time.perf_counter()
    answer = await browser.get(address)
    taken = (time.perf_counter() - begun) * 1e3
    if answer.is_error:
        raise RuntimeError(f"{address} answered {answer.status_code}")
    return taken


def _percentile(times: list[float], percent: int) -> float:
    return times[max(0, len(times) * percent // 100 - 1)]


async def _sign_in(browser: httpx.AsyncClient, url: str) -> None:
    form = await browser.get("/sign-in")
    token = re.search(r'name="csrf" value="([^"]+)"', form.text)
    if token is None:
        raise RuntimeError("the sign-in page has no form")
    fields = {"csrf": token[1], "key": KEY, "to": "/"}
    answer = await browser.post("/sign-in", data=fields, headers={"Origin": url})
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise RuntimeError(f"signing in answered {answer.status_code}")


async def _bytes_of_first(browser: httpx.AsyncClient) -> float:
    """Return how many bytes the first page and all that it loads take on the wire, headers left out."""
    page = await browser.get("/")
    loaded = sorted(set(_ASSET.findall(page.text)))
    return page.num_bytes_downloaded + sum([(await browser.get(address)).num_bytes_downloaded for address in loaded])


def _pages(past: Past) -> dict[str, Addresses]:
    """Return every page by its name."""
    searches = _searches(past)
    counts = {
        f"counts_{name}": [one.replace("/deliveries", "/deliveries/counts", 1) for one in them]
        for name, them in searches.items()
    }
    return {
        "overview": ["/"],
        "overview_month": ["/?span=30d"],
        **searches,
        **counts,
        "delivery": [f"/deliveries/{one}" for one in past.deliveries],
        "webhooks": ["/webhooks"],
        "webhooks_named": _each("/webhooks?q={}", ("w1", "w9", "nowhere")),
        "webhook": [f"/webhooks/{one}" for one in past.webhooks],
        "webhook_new": ["/webhooks/new"],
        "webhook_recover": [f"/webhooks/{one}/recover" for one in past.webhooks],
        "recover": ["/recover?status=failed"],
        "events": ["/events"],
        "events_unwanted": ["/events?wanted=no"],
        "events_type": _each("/events?type=bench.t{}", range(40)),
        "events_record": ["/events?table=orders&record_id=7"],
        "events_text_nowhere": ["/events?text=nowhere+at+all"],
        "event": [f"/events/{past.event}"],
        "explain": [f"/events/{past.event}/explain"],
        "look_record": _each("/search?q=orders+{}", (7, 11, 15)),
        "look_number": _each("/search?q={}", (7, 11, 15)),
        "look_subject": _each("/search?q=order-{}", (4, 8, 12)),
        "look_external_id": [f"/search?q={past.external_id}"],
        "look_webhook": _each("/search?q=/w{}", (3, 30, 60)),
        "look_nowhere": ["/search?q=nowhere+at+all"],
        "settings": ["/settings"],
        "tables": ["/sources/tables"],
        "catalogue": ["/sources/catalogue"],
    }


def _searches(past: Past) -> dict[str, Addresses]:
    """Return the searches of Webhook Delivery that people make, each as the address of its page."""
    day = urlencode({"since": past.since, "until": past.until})
    path = "/deliveries?"
    return {
        "list": ["/deliveries"],
        "list_failed": [f"{path}status=failed"],
        "list_unfinished": [f"{path}status=retrying,pending,sending"],
        "list_webhook": _each(path + "webhook=/w{}", range(96)),
        "list_webhook_failed": _each(path + "webhook=/w{}&status=failed&since=7d", range(96)),
        "list_type": _each(path + "type=bench.t{}", range(40)),
        "list_family": [f"{path}type=bench.*"],
        "list_receivers_word": [f"{path}type=INSERT"],
        "list_day": [path + day],
        "list_table": [f"{path}table=orders"],
        "list_record": [f"{path}table=orders&record_id=7"],
        "list_failure": [f"{path}failure=timeout"],
        "list_status_5xx": [f"{path}response_status=5xx"],
        "list_text": [f"{path}text=note"],
        "list_text_nowhere": [f"{path}text=nowhere+at+all"],
    }


def _each(pattern: str, values: Iterable[object]) -> Addresses:
    return [pattern.format(value) for value in values]
