"""What row-level security costs requests: the same questions and changes, in turns, with the role of requests and without."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from tidings.bench.history import Figures, Past, questions
from tidings.bench.stage import KEY
from tidings.store.request_role import NONE

LEFT_OUT: Final = frozenset({"metrics"})  # what is asked with our own rights, whoever asks
_Call = tuple[str, str, Mapping[str, Any]]  # method, path, and what goes with it


async def comparing(past: Past, runs: int) -> Figures:
    """Return how much longer requests take under policies: the median of all kinds of them, and the worst kind."""
    async with past.stage.running("api") as bound, past.stage.configured(request_role=NONE).running("api") as free:
        ratios = await _ratios(bound, free, past, runs)
    figures = {f"policies_{name}_ratio": ratio for name, ratio in ratios.items()}
    return figures | {"policies_ratio": statistics.median(ratios.values()), "policies_worst_ratio": max(ratios.values())}


async def _ratios(bound: str, free: str, past: Past, runs: int) -> dict[str, float]:
    ratios = {}
    async with _client(bound) as with_role, _client(free) as without:
        for name in [*questions(past), *_BESIDE]:
            if name in LEFT_OUT:
                continue
            times: dict[httpx.AsyncClient, list[float]] = {with_role: [], without: []}
            for number in range(runs + 2):
                pair = (with_role, without) if number % 2 else (without, with_role)  # who is second finds pages in memory
                for client in pair:
                    times[client].append(await _time(client, name, _call(name, past, number)))
            ratios[name] = statistics.median(times[with_role][2:]) / statistics.median(times[without][2:])
    return ratios


def _publish(_: Past, number: int) -> _Call:
    return "POST", "/api/v1/events", {"json": {"type": "bench.none", "data": {"number": number}}}


def _list_webhooks(_past: Past, _number: int) -> _Call:
    return "GET", "/api/v1/webhooks", {"params": {"limit": 20}}


def _change_webhook(past: Past, number: int) -> _Call:
    return "PATCH", f"/api/v1/webhooks/{past.webhook(number)}", {"json": {"description": f"turn {number}"}}


_BESIDE: Final[dict[str, Callable[[Past, int], _Call]]] = {
    "publish": _publish,
    "list_webhooks": _list_webhooks,
    "change_webhook": _change_webhook,
}


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"X-API-Key": KEY}, timeout=60)


def _call(name: str, past: Past, number: int) -> _Call:
    if name in _BESIDE:
        return _BESIDE[name](past, number)
    path, parameters = questions(past)[name](number)
    return "GET", path, {"params": parameters}


async def _time(client: httpx.AsyncClient, name: str, call: _Call) -> float:
    method, path, more = call
    group = {"X-Tidings-Group": "small0"} if name.startswith("small") else {}
    begun = time.perf_counter()
    answer = await client.request(method, path, headers=group, **more)
    taken = time.perf_counter() - begun
    answer.raise_for_status()
    return taken
