"""The only outgoing HTTP: a lean HTTP/1.1 client over asyncio and llhttp.

It gives together what libraries do not: the address is resolved, judged and then connected to, with no second look-up in
between; no redirects or cookies; caps on what a response may cost; the time of each phase. A failed exchange is a
value (`core.outcome.Exchange`), never an exception.

On a kept-alive connection an exchange is a chain of callbacks: no task, future or timer is made for it. Only opening a
connection takes a task.
"""

import asyncio
import logging
import ssl
from collections import deque
from pathlib import Path
from time import perf_counter

import msgspec

from tidings.core.echoes import Echo, echo_of_line
from tidings.core.egress import Egress, Refusal
from tidings.core.outcome import EXHAUSTED, Exchange
from tidings.core.proxy import Proxy, judged
from tidings.core.target import Target
from tidings.transport.connection import Call, Done, HttpConnection
from tidings.transport.deadlines import Deadlines
from tidings.transport.failing import OpeningError
from tidings.transport.names import Names
from tidings.transport.opening import Opener, shown_address
from tidings.transport.tls import Contexts
from tidings.transport.tokens import Tokens

logger = logging.getLogger("tidings.sender")

MAX_IDLE_CONNECTIONS = 1024
SWEEP_INTERVAL = 1.0  # seconds between looks for idle connections to close


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What came of opening a connection, without sending anything.

    Attributes:
        failure: As of an exchange; None: it was opened.
        error: Why not, in a sentence.
        refusal: By whom it is refused, when it is.
        address: Of the peer.
        tls: The version that was agreed on; None: there is none.
        certificate_until: The peer's certificate's last day, as it says it.
    """

    failure: str | None = None
    error: str = ""
    refusal: Refusal | None = None
    address: str = ""
    connect_ms: float = 0.0
    tls: str | None = None
    certificate_until: str = ""


class Sender:
    """Sends requests over kept-alive connections. One per process; it belongs to one event loop."""

    def __init__(
        self,
        egress: Egress | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        ca_file: Path | None = None,
        proxy: Proxy | None = None,
        names: Names | None = None,
        max_idle: int = MAX_IDLE_CONNECTIONS,
    ) -> None:
        """Make a sender.

        Args:
            egress: What may be called; None: public addresses over https://.
            tls: How certificates are checked; by the system's authorities and those of `ca_file` when None.
            ca_file: Further authorities, in PEM form.
            proxy: What makes the connections; `egress.is_proxied` says so too.
            names: What looks names up; by the system's settings when None.
            max_idle: Connections that are kept between two exchanges.
        """
        self._max_idle = max_idle
        self._names = names or Names()
        self.egress = egress or Egress()
        self.tokens = Tokens(self)
        contexts = Contexts(ca_file, for_all=tls)
        self._proxy = proxy
        self._proxy_echo = None if proxy is None else echo_of_line(proxy.authorization)
        self._opener = Opener(self.egress, contexts, self._names, proxy)
        self._deadlines = Deadlines()
        self._idle: dict[Target, deque[HttpConnection]] = {}
        self._idle_count = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    def start(
        self,
        target: Target,
        data: bytes,
        *,
        timeout_seconds: float,
        done: Done,
        is_fresh: bool = False,
        echo: Echo | None = None,
    ) -> Call:
        """Begin one exchange: send a request, and tell `done` what came of it.

        `done` is called exactly once, by the event loop or by `Call.abort`, never before this returns. It may start another
        exchange.

        Args:
            data: The request, head and body.
            timeout_seconds: For everything, from DNS to the response's last byte. It ends at most a tenth of a second later.
            is_fresh: Open a connection, whatever others stand open.
            echo: What hides the request's credentials in its answer, before `done` is told; None: it has none.
        """
        started = perf_counter()
        call = Call(done if echo is None else echo.before(done), timeout_seconds, started)
        connection = None if is_fresh else self._take_idle(target, started)
        if connection is None:
            call.opening = asyncio.get_running_loop().create_task(self._open(call, target, data))
        else:
            self._begin(call, connection, data)
        return call

    def has_idle(self, target: Target) -> bool:
        """Tell whether an exchange could begin on a connection that is kept."""
        return bool(self._idle.get(target))

    async def send(
        self, target: Target, data: bytes, *, timeout_seconds: float, is_fresh: bool = False, echo: Echo | None = None
    ) -> Exchange:
        """Make one exchange as `start` does, and return what came of it.

        Cancelling it closes the connection: the receiver may or may not have acted on the request.
        """
        answer: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        call = self.start(
            target, data, timeout_seconds=timeout_seconds, is_fresh=is_fresh, echo=echo,
            done=lambda exchange: None if answer.done() else answer.set_result(exchange),
        )  # fmt: skip
        try:
            return await answer
        finally:
            call.abort()

    async def refusal(self, target: Target) -> Refusal | None:
        """Return why a target may not be called as its name resolves now, or None. A name that is not found may be yet."""
        try:
            await self._opener.resolve(target)
        except OpeningError as error:
            return error.refusal
        return None

    async def resolve(self, target: Target) -> list[str]:
        """Return the addresses of a target, those that may not be called among them; none: it is not found."""
        return await self._opener.addresses(target)

    async def reach(self, target: Target, limit: float) -> Reached:
        """Return what comes of opening a connection to a target within so many seconds. It is closed at once."""
        try:
            connection, timings = await self._opener.open(target, perf_counter() + limit, self._ended)
        except OpeningError as error:
            return Reached(failure=error.failure, error=error.error, refusal=error.refusal)
        try:
            peer, secured = connection.transport.get_extra_info("peername"), connection.transport.get_extra_info("ssl_object")
            certificate = secured.getpeercert() if secured is not None else {}
            where = f"{shown_address(peer[0], target)} port {peer[1]}" if peer else target.host
            return Reached(
                address=where if self._proxy is None else f"{target.host} port {target.port}",
                connect_ms=(timings.connect_ms or 0.0) + (timings.tls_ms or 0.0),
                tls=secured.version() if secured is not None else None,
                certificate_until=str((certificate or {}).get("notAfter", "")),
            )
        finally:
            connection.close()

    async def close(self) -> None:
        """Close idle connections and keep none from now on.

        Exchanges on a connection are not touched; one that waits for DNS, or is started later, ends as `stopped`.
        """
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for target in list(self._idle):
            self._drop(target)
        await self._names.close()

    # Exchanges -----------------------------------------------------------------------------------------------------

    async def _open(self, call: Call, target: Target, data: bytes) -> None:
        """Open a connection and begin the exchange on it."""
        if self._is_closed:
            call.tell(Exchange(failure="stopped", error="Tidings is stopping and sends nothing more."))
            return
        try:
            connection, call.opened = await self._opener.open(target, call.started + call.timeout_seconds, self._ended)
        except OpeningError as error:
            call.tell(error.exchange((perf_counter() - call.started) * 1e3))
        except MemoryError:
            call.tell(Exchange(failure=EXHAUSTED, error="There was no memory left to open a connection."))
        except Exception as error:  # ours, not the receiver's: told here once
            logger.exception("no connection could be opened to %s port %d", target.host, target.port)
            call.tell(_ours(error))
        else:
            self._begin(call, connection, data)

    def _begin(self, call: Call, connection: HttpConnection, data: bytes) -> None:
        """Begin an exchange on a connection. What breaks is told like any other end of it, in a turn of its own."""
        self._deadlines.add(call)
        try:
            if self._proxy is not None and not connection.target.is_tls:
                data = self._proxy.absolute(connection.target, data)
            connection.begin(call, data)
        except Exception as error:
            logger.exception("no request could be written to %s port %d", connection.target.host, connection.target.port)
            asyncio.get_running_loop().call_soon(self._break_off, call, _ours(error))
            connection.close()  # which tells of it later than that

    def _break_off(self, call: Call, exchange: Exchange) -> None:
        """End an exchange that did not begin. Somebody may have aborted it meanwhile: who began it is told once."""
        self._deadlines.remove(call)
        call.tell(exchange)

    def _ended(self, connection: HttpConnection, call: Call, exchange: Exchange) -> None:
        self._deadlines.remove(call)
        if connection.can_be_reused:
            self._keep(connection)
        elif exchange.is_stale_connection:
            self._drop(connection.target)
        if self._proxy is not None and not connection.target.is_tls:
            exchange = judged(exchange)
            if self._proxy_echo is not None:  # some proxies pass it on, and the receiver is no business of who runs this
                exchange = self._proxy_echo.hidden(exchange)
        call.tell(exchange)

    # Idle connections ----------------------------------------------------------------------------------------------

    def _take_idle(self, target: Target, now: float) -> HttpConnection | None:
        idle = self._idle.get(target)
        while idle:
            connection = idle.pop()  # the one used last is the least likely to have been closed by the receiver
            self._idle_count -= 1
            if now < connection.fresh_until:
                return connection
            connection.close()
        return None

    def _keep(self, connection: HttpConnection) -> None:
        if self._is_closed or self._idle_count >= self._max_idle:
            connection.close()
            return
        idle = self._idle.get(connection.target)
        if idle is None:
            idle = self._idle[connection.target] = deque()
        idle.append(connection)
        self._idle_count += 1
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)

    def _drop(self, target: Target) -> None:
        for connection in self._idle.pop(target, ()):
            self._idle_count -= 1
            connection.close()

    def _sweep(self) -> None:
        now = perf_counter()
        for target, idle in list(self._idle.items()):
            while idle and now >= idle[0].fresh_until:
                self._idle_count -= 1
                idle.popleft().close()
            if not idle:
                del self._idle[target]
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep) if self._idle else None


def _ours(error: Exception) -> Exchange:
    """Return an exchange that failed by our own fault, which the log has told."""
    if isinstance(error, MemoryError):
        return Exchange(failure=EXHAUSTED, error="There was no memory left to send a request.")
    return Exchange(failure="internal", error=f"Tidings failed to make the attempt ({error!r}).")
