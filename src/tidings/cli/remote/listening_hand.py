"""What `tidings listen` has in hand: what was leased, what became of it, and how much more may come. Pure."""

from collections import Counter
from typing import Any, Final, NamedTuple

import msgspec

from tidings.core.outcome import Exchange

AT_ONCE: Final = 64  # deliveries of one answer, as the server bounds them
RESULTS_AT_ONCE: Final = 100
RESULT_BYTES: Final = 500_000  # of one request, of which servers take a megabyte
MAX_HELD: Final = 512
BODY: Final = 16_384  # characters of a receiver's answer that are told
MAX_HEADERS: Final = 64
MAX_NAME: Final = 90  # characters of a header's name, and of its value
MAX_HEADER: Final = 4_000
FAILURES: Final = frozenset(
    {"timeout", "dns", "connect", "tls", "reset", "protocol", "too_large", "stopped"}
)  # that servers know


class Result(NamedTuple):
    """What came of a delivery, as it is told to the server."""

    lease: int
    told: dict[str, Any]


class Hand:
    """The leases of one client, from the answer that brought them to the answer that takes their results."""

    def __init__(self, window: int) -> None:
        self._window = min(window, MAX_HELD)
        self._held: dict[int, str] = {}
        self._results: dict[int, Result] = {}
        self.counts: Counter[str] = Counter()

    @property
    def held(self) -> list[int]:
        """The leases of which no result was acknowledged."""
        return list(self._held)

    @property
    def room(self) -> int:
        """How many more may come at once."""
        return max(0, min(AT_ONCE, self._window - len(self._held)))

    def take(self, deliveries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take what was leased, and return what is new of it."""
        fresh = [one for one in deliveries if one["lease"] not in self._held]
        self._held |= {one["lease"]: one["id"] for one in fresh}
        return fresh

    def finish(self, result: Result) -> None:
        """Take note of what came of one."""
        self._results[result.lease] = result

    def to_tell(self) -> list[Result]:
        """Return results that are not acknowledged, the oldest first, as many as go together."""
        size, chosen = 0, list[Result]()
        for result in self._results.values():
            size += len(msgspec.json.encode(result.told))
            if chosen and (size > RESULT_BYTES or len(chosen) == RESULTS_AT_ONCE):
                break
            chosen.append(result)
        return chosen

    def told(self, results: list[Result], refused: list[int]) -> list[str]:
        """Take note that results were acknowledged; return the deliveries of those that were refused."""
        ids = []
        for result in results:
            self._results.pop(result.lease, None)
            delivery_id = self._held.pop(result.lease, "")
            if result.lease in refused:
                self.counts["refused"] += 1
                ids.append(delivery_id)
        return ids


def result_of(delivery: dict[str, Any], exchange: Exchange) -> Result:
    """Return what the server is told of an exchange."""
    said: dict[str, Any] = {
        "lease": delivery["lease"], "version": delivery["version"], "total_ms": min(round(exchange.timings.total_ms, 3), 3.6e6),
    }  # fmt: skip
    if exchange.failure is None and exchange.status is not None:
        body = exchange.body.decode("utf-8", "replace")
        said |= {
            "response_status": exchange.status,
            "response_headers": [
                [name, value[:MAX_HEADER]] for name, value in exchange.headers if len(name) <= MAX_NAME
            ][:MAX_HEADERS],
            "response_body": body[:BODY],
            "is_truncated": exchange.is_truncated or len(body) > BODY,
        }  # fmt: skip
    else:
        failure = exchange.failure or "protocol"
        known = "connect" if failure in {"exhausted", "address_refused"} else failure if failure in FAILURES else "protocol"
        said |= {"failure": known, "error": exchange.error or failure}
    return Result(delivery["lease"], said)


def request_of(head: str, delivery: dict[str, Any]) -> bytes:
    """Return a delivery as the bytes that its receiver gets. A header that would be two is left out: servers send none."""
    body: bytes = delivery["body"].encode("utf-8", "replace")
    lines = "".join(f"{name}: {value}\r\n" for name, value in delivery["headers"] if _is_one_line(name) and _is_one_line(value))
    return f"{head}{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1", "replace") + body


def _is_one_line(text: str) -> bool:
    return not any(c < " " and c != "\t" for c in text)


def is_shown(words: str, delivery: dict[str, Any], exchange: Exchange) -> bool:
    """Tell whether a delivery is printed, by what was typed behind `/`: part of its event, id, body or answer."""
    wanted = words.casefold()
    texts = (delivery["event"], delivery["id"], str(exchange.status or exchange.failure), delivery["body"])
    return any(wanted in text.casefold() for text in texts)
