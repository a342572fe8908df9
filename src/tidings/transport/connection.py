"""One HTTP/1.1 connection: at most one exchange at a time, and bounds on what a response may cost."""

import asyncio
import time
from typing import Any

import httptools

from tidings.core.outcome import Exchange, Timings

MAX_KEPT_BODY_BYTES = 65_536  # of the response, for people to read
MAX_HEADER_BYTES = 65_536
MAX_RESPONSE_BYTES = 8_388_608  # a receiver that sends more is not answering a webhook
# A kept-alive connection is not used again after this long. Node closes idle connections after 5 s (http.Server,
# keepAliveTimeout); a request written at that moment would be lost.
IDLE_SECONDS = 4.0

_LENGTH_HEADERS = frozenset({b"content-length", b"transfer-encoding"})


class HttpConnection(asyncio.Protocol):
    """A connection and the exchange that is under way on it.

    `exchange` is the only writer of requests; the callbacks below it are called by the event loop and by llhttp.
    """

    __slots__ = (
        "_answer",
        "_body",
        "_closed",
        "_first_byte_at",
        "_has_length",
        "_header_bytes",
        "_headers",
        "_headers_done",
        "_idle_until",
        "_keep_alive_seconds",
        "_kept_bytes",
        "_opened",
        "_parser",
        "_received_bytes",
        "_started",
        "_status",
        "_timeout_seconds",
        "_truncated",
        "_used",
        "can_be_reused",
        "transport",
    )  # fmt: skip

    def __init__(self) -> None:
        self.transport: Any = None  # replaced by the TLS transport after the handshake
        self.can_be_reused = False
        self._idle_until = 0.0
        self._used = False
        self._closed = False
        self._answer: asyncio.Future[Exchange] | None = None

    async def exchange(
        self, data: bytes, remaining: float, timeout_seconds: float, opened: Timings, started: float
    ) -> Exchange:
        """Write a request and return what came of it.

        Args:
            remaining: Seconds left for the response.
            timeout_seconds: What the whole exchange was allowed, for the message.
            opened: How long opening the connection took.
            started: When the exchange began, DNS included (`time.perf_counter`).
        """
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._opened, self._started, self._timeout_seconds = opened, started, timeout_seconds
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._kept_bytes = self._received_bytes = self._header_bytes = 0
        self._headers_done = self._truncated = self._has_length = False
        self._status: int | None = None
        self._first_byte_at = 0.0
        self._keep_alive_seconds = IDLE_SECONDS
        self.can_be_reused = False
        if self._closed:
            self._end("reset", "The receiver closed the connection before the request was sent.")
            return await self._answer
        timer = loop.call_later(remaining, self._time_out)
        self.transport.write(data)
        try:
            return await self._answer
        finally:
            timer.cancel()
            self._used = True
            if not self.can_be_reused:
                self.close()

    def is_fresh(self, now: float) -> bool:
        """Tell whether the idle connection can still be expected to be open (`now` by `time.monotonic`)."""
        return not self._closed and now < self._idle_until

    def close(self) -> None:
        """Close at once; what is unsent is discarded."""
        if self.transport is not None:
            self.transport.abort()

    # Called by the event loop --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.can_be_reused = False  # a receiver that speaks unasked cannot be understood afterwards
            self._closed = True
            self.close()
            return
        if not self._received_bytes:
            self._first_byte_at = time.perf_counter()
        self._received_bytes += len(data)
        if not self._headers_done:
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end("protocol", "The receiver wanted to switch protocols.")
        except httptools.HttpParserError as error:
            self._end("protocol", f"The response is not HTTP/1.1 ({error}).")
        if not self._headers_done and self._header_bytes > MAX_HEADER_BYTES:
            self._end("too_large", f"The response's headers are longer than {MAX_HEADER_BYTES} bytes.")
        elif self._received_bytes > MAX_RESPONSE_BYTES:
            self._end("too_large", f"The response is longer than {MAX_RESPONSE_BYTES} bytes.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self.can_be_reused = False
        if self._answer is None or self._answer.done():
            return
        if self._headers_done and exc is None and not self._has_length:
            self._end(None, None)  # RFC 9112, section 6.3, rule 8: the body ends with the connection
        elif self._received_bytes:
            self._end("reset", "The receiver closed the connection in the middle of its response.")
        else:
            self._end("reset", "The receiver closed the connection without a response.", is_stale=self._used)

    def _time_out(self) -> None:
        waiting_for = "the end of the response" if self._received_bytes else "a response"
        self._end("timeout", f"The receiver did not finish within {self._timeout_seconds:g} s (waited for {waiting_for}).")

    # Called by llhttp ----------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.lower()
        if key in _LENGTH_HEADERS:
            self._has_length = True
        elif key == b"keep-alive":
            self._keep_alive_seconds = _keep_alive_seconds(value)
        self._headers.append((key.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._headers_done = True

    def on_body(self, data: bytes) -> None:
        room = MAX_KEPT_BODY_BYTES - self._kept_bytes
        if room < len(data):
            data = data[:room]
            self._truncated = True
        self._body.append(data)
        self._kept_bytes += len(data)

    def on_message_complete(self) -> None:
        if self._status is not None and self._status < 200:  # an interim response (RFC 9110, section 15.2)
            self._headers, self._headers_done, self._has_length = [], False, False
            return
        self.can_be_reused = self._parser.should_keep_alive()
        self._idle_until = time.monotonic() + self._keep_alive_seconds
        self._end(None, None)

    def _end(self, failure: str | None, error: str | None, *, is_stale: bool = False) -> None:
        answer = self._answer
        if answer is None or answer.done():
            if failure is not None:
                self.can_be_reused = False  # trouble after the response: what follows it cannot be understood
            return
        if failure is not None:
            self.can_be_reused = False
        now = time.perf_counter()
        opened = self._opened
        first_byte_ms = (self._first_byte_at - self._started) * 1e3 if self._received_bytes else None
        answer.set_result(
            Exchange(
                self._status if self._headers_done else None,
                tuple(self._headers) if self._headers_done else (),
                b"".join(self._body),
                self._truncated,
                failure,
                error,
                is_stale,
                Timings(opened.dns_ms, opened.connect_ms, opened.tls_ms, first_byte_ms, (now - self._started) * 1e3),
            )
        )


def _keep_alive_seconds(value: bytes) -> float:
    """Return how long to keep an idle connection, from a Keep-Alive field (RFC 2068, section 19.7.1.1)."""
    for part in value.split(b","):
        name, _, seconds = part.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit():
            # A second of margin: the receiver's clock began when it sent, and ours when we read.
            return max(0.0, min(IDLE_SECONDS, float(seconds) - 1.0))
    return IDLE_SECONDS
