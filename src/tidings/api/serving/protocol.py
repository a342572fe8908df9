"""uvicorn's HTTP protocol, with bounds: what a client may send before the application sees it, and for how long.

A server of the web reads whatever comes, for as long as it comes. llhttp bounds neither a head nor its lines; uvicorn has a
time limit between requests, but none within one; a client that stops reading holds its answer for ever. Here each phase of a
connection (head, body, answer, rest) has bounds of bytes and of time, and what is over them is answered plainly and closed. The
bytes are counted here, beside the parser; the times are looked at by `Entrance`. What must stay in step: the callbacks of
`HttpToolsProtocol`, which this class extends and whose state it reads. One class, and so longer than other modules: all of its
callbacks share the state of one connection.
"""

import asyncio
from functools import partial
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tidings.api.serving import bounds
from tidings.api.serving.entrance import Entrance
from tidings.api.serving.heads import declared_length, end_of_read, has_one_host
from tidings.api.serving.phases import Flow, Phase
from tidings.api.serving.refusals import MAX_HEADERS, refusal
from tidings.api.serving.rests import Rests
from tidings.api.serving.stopping import STOP_SECONDS, unless_stopped


class GuardedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    flow: Flow

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        entrance: Entrance,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.address = ""
        self._entrance = entrance
        self._limits = entrance.limits
        self._phase = Phase.HEAD  # a new connection has no rest: what it is for should come
        self._since = self.loop.time()
        self._due = self._since + self._limits.header_seconds
        self._has_begun = False  # this message, within the bytes that came last
        self._head_bytes = 0  # of the message's head and trailers, those included that the parser has not shown
        self._silent_bytes = 0
        self._body_bytes = 0  # of the requests under way: what `Entrance.held_bytes` has of this connection
        self._dropped_bytes = 0
        self._rests = Rests(entrance, self.loop, self._read_on)
        self._stalled_at = self._closing_at = bounds.NEVER
        self._hidden_body: list[tuple[bytes, bytes]] = []  # the headers that frame a body which the parser would not see
        self._is_replayed = False  # what the parser reads now is ours
        self._fault: str | None = None  # found by a callback of the parser, told after it has returned
        self._is_stopping = False  # the server is
        self._running: RequestResponseCycle | None = None  # what the application works on; `cycle` is what came last
        self._unread = b""  # requests behind those of `pipeline`
        self._farewell: str | None = None  # why the connection ends, said behind the answers that come before

    # What the entrance asks ------------------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """What it has of `Entrance.held_bytes`."""
        return self._body_bytes + len(self._unread)

    def idle_since(self) -> tuple[int, float] | None:
        """Return how easily it can make way: one that waits for bytes, or for its answer to be read, before one that rests."""
        match self._phase:
            case Phase.OVER | Phase.HEAD:
                return 0, self._since
            case Phase.BODY if not self.flow.read_paused or self.flow.is_resting:
                return 1, self._since
            case Phase.REST:
                return 2, self._since
        return None if self._stalled_at == bounds.NEVER else (1, self._stalled_at)

    def make_way(self) -> None:
        """End for the sake of another connection."""
        if self._phase in {Phase.HEAD, Phase.BODY}:
            self._refuse("way", linger=False)
            return
        self._entrance.refuse("way", self.loop.time())
        self._unset_keepalive_if_required()
        if self._phase is Phase.REST:  # without a word, which would be taken for the answer to what is sent at this moment
            self.transport.close()
        else:
            self.transport.abort()

    def look(self, now: float) -> None:
        """End when a deadline is over."""
        if self.transport.is_closing():
            self._closing_at = min(self._closing_at, now)
            if now - self._closing_at >= bounds.CLOSING_SECONDS:
                self.transport.abort()
        elif now - self._stalled_at >= bounds.STALL_SECONDS:
            self._entrance.refuse("unread", now)
            self.transport.abort()
        elif now >= self._due:
            self._expire(now)

    def _expire(self, now: float) -> None:
        match self._phase:
            case Phase.BODY if self.flow.read_paused and not self.flow.is_resting:
                self._due = now + self._limits.header_seconds  # it is we who do not read
            case Phase.HEAD if self._is_answering():
                self._due = now + self._limits.header_seconds  # it comes before its time
            case Phase.HEAD if self._head_bytes or self.cycle is not None:
                self._refuse("slow_head")
            case Phase.BODY if not self.cycle.response_complete:
                self._refuse("stopping" if self._is_stopping else "slow_body")
            case _:
                self.transport.close()

    # Called by the event loop ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the connection in, or send it away."""
        super().connection_made(transport)
        self.flow = Flow(transport)
        self.address = self.client[0] if self.client else ""
        if (reason := self._entrance.enter(self, self.loop.time())) is not None:
            transport.write(refusal(reason, self._limits))
            self._phase, self._due = Phase.OVER, bounds.NEVER
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what the connection held."""
        self._entrance.leave(self)
        self._let_go()
        self._hold(b"")
        self._rests.end(self.flow)
        self._phase = Phase.OVER
        self._leave_running()
        super().connection_lost(exc)
        self.pipeline.clear()

    def shutdown(self) -> None:
        """Stop with the server: what is asked for whole is answered, the end of a body is not waited for long."""
        self._is_stopping = True
        if self._phase is Phase.BODY:
            self._due = min(self._due, self.loop.time() + STOP_SECONDS)
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Read what came, up to the bounds of its phase."""
        if self._phase is Phase.OVER:
            self._drop(data)
            self._begin_rest()
            return
        self._unset_keepalive_if_required()
        if self._phase is Phase.REST:
            self._await_head()
        self._read(self._unread + data if self._unread else data)

    def _read(self, data: bytes) -> None:
        """Have the parser read about as many requests as may wait, and keep the rest. It reads all that it gets: few heads."""
        at = 0
        self._hold(b"")
        while at < len(data) and self._fault is None:
            if len(self.pipeline) >= bounds.MAX_PIPELINED or self._rests.are_due:
                self._hold(data[at:])
                break
            end = end_of_read(data, at)
            self._take(data[at:end])
            at = end
        if self._fault is not None:
            self._refuse(self._fault)
        self._begin_rest()

    def _begin_rest(self) -> None:
        if not self.transport.is_closing():
            self._rests.begin(self.flow)

    def _read_on(self) -> None:
        self._rests.end(self.flow)
        if self.transport.is_closing():
            return
        if self._unread and len(self.pipeline) < bounds.MAX_PIPELINED:
            self._read(self._unread)
        if not self._unread:
            self.flow.resume_reading()

    def _take(self, data: bytes) -> None:
        body_bytes, self._has_begun = self._body_bytes, False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._fault = self._fault or "malformed"
        if self._fault is None:
            self._count(data, has_body=self._body_bytes != body_bytes)

    def _hold(self, data: bytes) -> None:
        self._entrance.held_bytes += len(data) - len(self._unread)
        self._unread, self.flow.is_held = data, bool(data)
        if data:
            self.flow.pause_reading()
            if not self._entrance.has_room(self):
                self._fault = "bodies"

    def _feed(self, data: bytes) -> None:
        """Have the parser read on where it stops for a request that asks to switch protocols, which nothing here does."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                data = data[stop.args[0] :]
                if self._hidden_body:
                    self._reveal_body()
                if data:
                    continue
            return

    def _reveal_body(self) -> None:
        """Have a parser of its own read the body of a request that asks to switch protocols.

        httptools takes such a request for one without a body, and its body for the next request: whoever may write a body
        behind a proxy would write requests. Java's client asks for HTTP/2 with each request that it sends in the clear.
        """
        head = b"".join(b"%b: %b\r\n" % header for header in self._hidden_body)
        self._hidden_body = []
        self.parser = httptools.HttpRequestParser(self)
        self._is_replayed = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % head)

    def _count(self, data: bytes, *, has_body: bool) -> None:
        """Count what the parser has not shown: a line that never ends, framing without a body."""
        if self._phase is Phase.HEAD:
            if not self._has_begun:
                self._head_bytes += len(data)
            if self._head_bytes > self._limits.header_bytes:
                self._fault = "large_head"
        elif self._phase is Phase.BODY:
            self._silent_bytes = 0 if has_body else self._silent_bytes + len(data)
            if self._silent_bytes > bounds.MAX_SILENT_BYTES and not self.cycle.response_complete:
                self._fault = "malformed"
            elif self.cycle.response_complete:
                self._drop(data)

    def pause_writing(self) -> None:
        """Take note that the client reads slowly."""
        super().pause_writing()
        self._stalled_at = self.loop.time()

    def resume_writing(self) -> None:
        """Take note that it has read."""
        super().resume_writing()
        self._stalled_at = bounds.NEVER

    # Called by llhttp ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self._is_replayed:
            return
        super().on_message_begin()
        self._rests.began()
        self._has_begun, self._head_bytes, self._silent_bytes = True, 0, 0
        if self._phase is not Phase.HEAD:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        if self._is_replayed:
            return
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which nobody reads."""
        if self._is_replayed:
            return
        self._head_bytes += len(name) + len(value) + 4
        if self._phase is Phase.HEAD and len(self.headers) < MAX_HEADERS:
            super().on_header(name, value)
        elif self._phase is Phase.HEAD or self._head_bytes > self._limits.header_bytes:
            self._fault = "large_head"

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head says already that it cannot be."""
        if self._is_replayed:
            self._is_replayed = False
            return
        if self._head_bytes > self._limits.header_bytes:
            self._fault = "large_head"
        elif not has_one_host(self.headers, self.parser.get_http_version()):
            self._fault = "host"
        elif declared_length(self.headers) > self._limits.body_bytes:
            self._fault = "large_body"
        elif len(self.pipeline) > 2 * bounds.MAX_PIPELINED:  # should llhttp take something else for the end of a head
            self._fault = "pipelined"
        if self._fault is not None:
            raise ValueError(self._fault)  # llhttp stops; `data_received` knows what it means
        self._phase, self._since = Phase.BODY, self.loop.time()
        self._due = self._since + self._limits.body_seconds
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self._hidden_body = [header for header in self.headers if header[0] in bounds.FRAMING]

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        super().on_body(body)
        if self.cycle.response_complete:
            self._rests.took_piece(0)  # what nobody reads pays for nothing
            return
        self._rests.took_piece(len(body))
        self._body_bytes += len(body)
        self._entrance.held_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._fault = "large_body"
        elif not self._entrance.has_room(self):
            self._fault = "bodies"
        if self._fault is not None:
            raise ValueError(self._fault)  # before the message is over, so that its client is told why

    def on_message_complete(self) -> None:
        """Wait for the answer, or rest after it."""
        if self._hidden_body:
            return
        super().on_message_complete()
        self._phase, self._due = Phase.ANSWER, bounds.NEVER
        if self.cycle is not None and self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        """Go on to what was sent meanwhile, or rest."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last:
            self._let_go()
        if self._farewell is not None:
            if is_last and not self.transport.is_closing():
                self._end_with(self._farewell)
            return
        if self._phase is Phase.ANSWER and is_last:
            self._rest()
        elif self._phase is Phase.BODY and is_last:  # nobody reads it: its end is waited for, but not for long
            self._unset_keepalive_if_required()
            self._due = self.loop.time() + bounds.LINGER_SECONDS
        if self.flow.is_resting:
            return  # what is left unread is read after the rest
        if self._unread and not self.pipeline and not self.transport.is_closing():  # many at once: each time copies the rest
            self._read(self._unread)
            if not self._unread and self._phase is not Phase.OVER:
                self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, partial(unless_stopped, app, self._cut_off))

    def _cut_off(self) -> None:
        """End in the middle of an answer, because the server has waited for it as long as it may."""
        self._entrance.refuse("stopping", self.loop.time())
        self._leave_running()
        self.transport.abort()

    # Phases ----------------------------------------------------------------------------------------------------------

    def _await_head(self) -> None:
        self._phase, self._since = Phase.HEAD, self.loop.time()
        self._due, self._head_bytes = self._since + self._limits.header_seconds, 0

    def _rest(self) -> None:
        # How long is uvicorn's to say: `timeout_keep_alive`.
        self._phase, self._since, self._due, self._dropped_bytes = Phase.REST, self.loop.time(), bounds.NEVER, 0

    def _is_answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _let_go(self) -> None:
        self._entrance.held_bytes -= self._body_bytes
        self._body_bytes = 0

    def _drop(self, data: bytes) -> None:
        self._dropped_bytes += len(data)
        self._rests.dropped(len(data))
        if self._dropped_bytes > bounds.LINGER_BYTES:
            self.transport.abort()

    def _refuse(self, reason: str, *, linger: bool = True) -> None:
        """Say why, unless another answer is on its way, and end."""
        now = self.loop.time()
        self._entrance.refuse(reason, now)
        is_answering = self._is_answering()
        is_behind = is_answering and (bool(self.pipeline) or self._phase is not Phase.BODY)
        if is_behind and self._phase is Phase.BODY:
            self.pipeline.popleft()  # what is refused; the application has not seen it
        can_say = not (is_answering and (is_behind or self.cycle.response_started))
        self._phase, self._since, self._due, self._dropped_bytes = Phase.OVER, now, now + bounds.LINGER_SECONDS, 0
        self._hold(b"")
        if self.transport.is_closing():
            return
        if is_behind and reason in bounds.ABOUT_ITSELF:
            self._farewell, self._due = reason, bounds.NEVER
            return
        self.pipeline.clear()
        self._let_go()
        self._leave_running()
        if can_say:
            self._end_with(reason, linger=linger)
        else:
            self.transport.abort()

    def _end_with(self, reason: str, *, linger: bool = True) -> None:
        self._unset_keepalive_if_required()
        self._due = self.loop.time() + bounds.LINGER_SECONDS
        self.flow.resume_reading()
        self.transport.write(refusal(reason, self._limits))
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _leave_running(self) -> None:
        """Tell the application that nobody waits. uvicorn tells it for the request that came last, which it may not see."""
        if self._running is not None and self._is_answering():
            self._running.disconnected = True  # what it still says goes nowhere
            self._running.message_event.set()
