"""One HTTP/1.1 connection: at most one exchange at a time, and bounds on what a response may cost."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from time import perf_counter
from typing import Any

import httptools

from tidings.core.outcome import Exchange, Timings
from tidings.core.target import Target

logger = logging.getLogger("tidings.sender")

MAX_KEPT_BODY_BYTES = 65_536  # of the response, for people to read
# Of all that is not body: interim responses, headers, sizes of chunks, trailers.
MAX_HEADER_BYTES = 65_536
# What each header, chunk and interim response counts, in a sum of its own with the same limit (as in RFC 9113, section 6.5.2).
# The shortest take as long to read as others, and 40,000 of them in one read kept the event loop from others for some 5 ms.
ENTRY_BYTES = 32
# What is read of a response. Its status has come by then and counts; the rest is not waited for.
MAX_RESPONSE_BYTES = 1_048_576
# A kept-alive connection is not used again after this long. Node closes idle connections after 5 s (http.Server,
# keepAliveTimeout); a request written at that moment would be lost.
IDLE_SECONDS = 4.0

STOPPED = "Tidings was stopped while it waited for the response."

_LENGTH_HEADERS = frozenset({b"content-length", b"transfer-encoding"})

Done = Callable[[Exchange], None]
OnEnd = Callable[["HttpConnection", "Call", Exchange], None]


class Call:
    """One exchange under way. `abort` is for who began it; the rest belongs to the sender.

    Attributes:
        started: When it began, DNS included (`time.perf_counter`).
        opened: How long opening its connection took.
        opening: What opens its connection, until it has one.
    """

    __slots__ = ("_done", "bucket", "connection", "opened", "opening", "started", "timeout_seconds")

    bucket: set["Call"]  # where `Deadlines` watches it

    def __init__(self, done: Done, timeout_seconds: float, started: float) -> None:
        self._done: Done | None = done
        self.timeout_seconds = timeout_seconds
        self.started = started
        self.opened = Timings()
        self.opening: asyncio.Task[None] | None = None
        self.connection: HttpConnection | None = None

    def abort(self) -> None:
        """End it and close its connection: the receiver may or may not have acted on the request.

        `done` hears of it, failure `stopped`, before this returns. An exchange that has ended is left alone.
        """
        if self.connection is not None:
            self.connection.end("stopped", STOPPED)
        elif self.opening is not None:
            self.opening.cancel()
            self.tell(Exchange(failure="stopped", error=STOPPED))

    def tell(self, exchange: Exchange) -> None:
        """Tell who began it what came of it, once."""
        done, self._done = self._done, None
        self.connection = self.opening = None
        if done is None:
            return
        try:
            done(exchange)
        except Exception:  # theirs, and not to be felt by the exchanges that end beside this one
            logger.exception("what was to be done after an exchange broke")


class HttpConnection(asyncio.Protocol):
    """A connection and the exchange that is under way on it.

    Attributes:
        can_be_reused: After an exchange: for another one.
        fresh_until: While it is idle: until when it can be expected to be open (`time.perf_counter`).

    `begin` is the only writer of requests; the callbacks below it are called by the event loop and by llhttp. Whatever ends an
    exchange goes through `end`, which hands it to `on_end`.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_call",
        "_entry_bytes",
        "_first_byte_at",
        "_has_length",
        "_header_bytes",
        "_headers",
        "_is_closed",
        "_is_complete",
        "_is_used",
        "_keep_alive_seconds",
        "_on_end",
        "_parser",
        "_received_bytes",
        "_status",
        "can_be_reused",
        "fresh_until",
        "target",
        "transport",
    )  # fmt: skip

    def __init__(self, target: Target, on_end: OnEnd) -> None:
        self.target = target
        self.transport: Any = None
        self.can_be_reused = False
        self._on_end = on_end
        self._call: Call | None = None
        self._is_used = self._is_closed = False
        self.fresh_until = 0.0
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._parser: Any = httptools.HttpResponseParser(self)

    def begin(self, call: Call, data: bytes) -> None:
        """Write a request. It ends at once when the connection was lost since it was opened."""
        self._call = call
        call.connection = self
        self._body_bytes = self._received_bytes = self._header_bytes = self._entry_bytes = 0
        self._status: int | None = None  # until its headers are complete
        self._is_complete = self._has_length = self.can_be_reused = False
        self._keep_alive_seconds = IDLE_SECONDS
        if self._is_closed:
            self.end("reset", "The receiver closed the connection before the request was sent.")
        else:
            self.transport.write(data)

    def close(self) -> None:
        """Close at once; what is unsent is discarded."""
        self._is_closed, self.fresh_until = True, 0.0
        if self.transport is not None:
            self.transport.abort()

    def time_out(self) -> None:
        """End the exchange because its time is over."""
        if (call := self._call) is not None:
            waiting_for = "the end of the response" if self._received_bytes else "a response"
            limit = call.timeout_seconds
            self.end("timeout", f"The receiver did not finish within {limit:g} s (waited for {waiting_for}).")

    def end(self, failure: str | None = None, error: str | None = None, *, is_stale: bool = False) -> None:
        """End the exchange, if there is one. Unless the response was whole and all that came, the connection is closed."""
        call, self._call = self._call, None
        if call is None:
            return
        now, started, opened = perf_counter(), call.started, call.opened
        headers = () if self._status is None else tuple(self._headers)
        self._is_used = True
        if failure is None and self.can_be_reused:
            self.fresh_until = now + self._keep_alive_seconds
        else:
            self.can_be_reused = False
            self.close()
        first_byte_ms = (self._first_byte_at - started) * 1e3 if self._received_bytes else None
        timings = Timings(opened.dns_ms, opened.connect_ms, opened.tls_ms, first_byte_ms, (now - started) * 1e3)
        is_truncated = self._body_bytes > MAX_KEPT_BODY_BYTES
        exchange = Exchange(self._status, headers, bytes(self._body), is_truncated, failure, error, is_stale, timings)
        self._headers, self._body = [], bytearray()  # an idle connection keeps nothing of the last response
        self._on_end(self, call, exchange)

    # Called by the event loop --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._call is None:
            self.close()  # a receiver that speaks unasked cannot be understood afterwards
            return
        if not self._received_bytes:
            self._first_byte_at = perf_counter()
        self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.end("protocol", "The receiver wanted to switch protocols.")
        except httptools.HttpParserError as error:
            if not (self._is_complete or self._has_too_many_entries):
                self.end("protocol", f"The response is not HTTP/1.1 ({error}).")
            self.can_be_reused = False  # trouble after the response: what follows it cannot be understood
        if self._received_bytes - self._body_bytes > MAX_HEADER_BYTES:
            self.end(
                "too_large", f"The response's headers, or the sizes of its chunks, are longer than {MAX_HEADER_BYTES} bytes."
            )
        elif self._has_too_many_entries:
            most = MAX_HEADER_BYTES // ENTRY_BYTES
            self.end("too_large", f"The response has too many headers, or too many chunks: together at most {most} are read.")
        elif self._is_complete or self._received_bytes > MAX_RESPONSE_BYTES:
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closed, self.fresh_until = True, 0.0
        self._parser = None  # it holds this connection: let both go now, not when the collector comes
        if self._call is None:
            return
        if self._status is not None and exc is None and not self._has_length:
            self.end()  # RFC 9112, section 6.3, rule 8: the body ends with the connection
        elif isinstance(exc, ssl.SSLError) and "ALERT" in (reason := exc.reason or ""):
            # With TLS 1.3 a server looks at the client's certificate after the client's handshake is over.
            self.end("tls", f"The receiver ended TLS and did not say why in HTTP ({reason}).{_remedy_for(reason)}")
        elif self._received_bytes:
            self.end("reset", "The receiver closed the connection in the middle of its response.")
        else:
            self.end("reset", "The receiver closed the connection without a response.", is_stale=self._is_used)

    # Called by llhttp ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("a second response")  # llhttp stops; `data_received` knows what it means
        self._count_entry()

    def on_chunk_header(self) -> None:
        self._count_entry()

    def _count_entry(self) -> None:
        self._entry_bytes += ENTRY_BYTES
        if self._has_too_many_entries:
            raise ValueError("too many")  # llhttp stops, in the middle of what has come

    @property
    def _has_too_many_entries(self) -> bool:
        return self._entry_bytes > MAX_HEADER_BYTES

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_entry()
        self._header_bytes += len(name) + len(value) + 4
        if self._status is not None or self._header_bytes > MAX_HEADER_BYTES:
            return  # trailers are not kept, nor is what is too much
        key = name.lower()
        if key in _LENGTH_HEADERS:
            self._has_length = True
        elif key == b"keep-alive":
            self._keep_alive_seconds = _keep_alive_seconds(value)
        self._headers.append((key.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self._header_bytes <= MAX_HEADER_BYTES:
            self._status = self._parser.get_status_code()
            if self._status < 100:  # nor would it be an interim response, which another follows
                self._status = None
                raise ValueError("a status below 100")

    def on_body(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if (room := MAX_KEPT_BODY_BYTES - len(self._body)) > 0:
            self._body += data[:room]

    def on_message_complete(self) -> None:
        if self._status is not None and self._status < 200:  # an interim response (RFC 9110, section 15.2)
            self._status, self._headers, self._has_length = None, [], False
            return
        self._is_complete = True
        self.can_be_reused = self._parser.should_keep_alive()


def _remedy_for(alert: str) -> str:
    return " It wants a client certificate: set client_certificate of the webhook." if "CERTIFICATE_REQUIRED" in alert else ""


def _keep_alive_seconds(value: bytes) -> float:
    """Return how long to keep an idle connection, from a Keep-Alive field (RFC 2068, section 19.7.1.1)."""
    for part in value.split(b","):
        name, _, seconds = part.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit():
            # A second of margin: the receiver's clock began when it sent, and ours when we read.
            return max(0.0, min(IDLE_SECONDS, float(seconds) - 1.0))
    return IDLE_SECONDS
