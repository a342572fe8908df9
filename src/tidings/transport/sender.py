"""The only outgoing HTTP: a lean HTTP/1.1 client over asyncio and llhttp.

It gives together what libraries do not: the address is resolved, judged and then connected to, with no second look-up in
between; no redirects, cookies or proxies; caps on what a response may cost; the time of each phase. A failed exchange is a
value (`core.outcome.Exchange`), never an exception.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from tidings.config import Network
from tidings.core.outcome import Exchange, Timings
from tidings.profiles import Request
from tidings.transport.address import refusal_of_address, refusal_of_name
from tidings.transport.connection import HttpConnection

DNS_TIMEOUT = 5.0  # seconds
CONNECT_TIMEOUT = 10.0  # seconds, over all addresses of a name
TLS_TIMEOUT = 10.0  # seconds
MAX_ADDRESSES = 4  # of one name, tried one after the other
MAX_IDLE_CONNECTIONS = 1024
SWEEP_INTERVAL = 1.0  # seconds between looks for idle connections to close

USER_AGENT = "Tidings/1 (+webhooks)"


class Target(msgspec.Struct, frozen=True):
    """A URL taken apart once."""

    is_tls: bool
    host: str
    port: int
    head: str  # what follows the method in the request's first lines

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What a kept-alive connection can be used again for."""
        return (self.is_tls, self.host, self.port)


@lru_cache(maxsize=10_000)
def parse_target(url: str) -> Target:
    """Take a URL apart. It was checked by `core.webhook.check_url`."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host_field = parts.netloc.rpartition("@")[2]
    head = f" {path} HTTP/1.1\r\nhost: {host_field}\r\n"
    return Target(is_tls, parts.hostname or "", parts.port or (443 if is_tls else 80), head)


class _PhaseError(Exception):
    """A phase before the exchange failed. Carries what `Exchange` says of it."""

    def __init__(self, failure: str, error: str, timings: Timings) -> None:
        super().__init__(error)
        self.exchange = Exchange(failure=failure, error=error, timings=timings)


class Sender:
    """Sends requests over kept-alive connections. One per process; it belongs to one event loop."""

    def __init__(self, *, allowed: tuple[Network, ...] = (), tls: ssl.SSLContext | None = None) -> None:
        """Make a sender.

        Args:
            allowed: Networks that may be called although they are not public.
            tls: How certificates are checked; by the system's authorities when None.
        """
        self._allowed = allowed
        self._tls = tls or ssl.create_default_context()
        self._idle: dict[tuple[bool, str, int], deque[HttpConnection]] = {}
        self._idle_count = 0
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(self, request: Request, *, timeout_seconds: float) -> Exchange:
        """Make one request and return what came of it.

        Cancelling it closes the connection: the receiver may or may not have acted on the request.

        Args:
            timeout_seconds: For everything, from DNS to the response's last byte.
        """
        started = time.perf_counter()
        target = parse_target(request.url)
        connection = self._take_idle(target.origin)
        opened = Timings()
        if connection is None:
            try:
                connection, opened = await self._open(target, timeout_seconds)
            except _PhaseError as error:
                total_ms = (time.perf_counter() - started) * 1e3
                return msgspec.structs.replace(
                    error.exchange, timings=msgspec.structs.replace(error.exchange.timings, total_ms=total_ms)
                )
        remaining = max(0.001, timeout_seconds - (time.perf_counter() - started))
        exchange = await connection.exchange(_written(request, target), remaining, timeout_seconds, opened, started)
        if connection.can_be_reused:
            self._keep(target.origin, connection)
        elif exchange.is_stale_connection:
            self._drop_origin(target.origin)
        return exchange

    async def refusal(self, url: str) -> str | None:
        """Return why a URL may not be called as its name resolves now, or None. A name that is not found may be yet."""
        try:
            await self._resolve(parse_target(url), DNS_TIMEOUT)
        except _PhaseError as error:
            return error.exchange.error if error.exchange.failure == "address_refused" else None
        return None

    async def close(self) -> None:
        """Close idle connections. Exchanges under way are not touched."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for origin in list(self._idle):
            self._drop_origin(origin)

    # Idle connections ----------------------------------------------------------------------------------------------

    def _take_idle(self, origin: tuple[bool, str, int]) -> HttpConnection | None:
        idle = self._idle.get(origin)
        now = time.monotonic()
        while idle:
            connection = idle.pop()  # the one used last is the least likely to have been closed by the receiver
            self._idle_count -= 1
            if connection.is_fresh(now):
                return connection
            connection.close()
        return None

    def _keep(self, origin: tuple[bool, str, int], connection: HttpConnection) -> None:
        if self._idle_count >= MAX_IDLE_CONNECTIONS:
            connection.close()
            return
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append(connection)
        self._idle_count += 1
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)

    def _drop_origin(self, origin: tuple[bool, str, int]) -> None:
        for connection in self._idle.pop(origin, ()):
            self._idle_count -= 1
            connection.close()

    def _sweep(self) -> None:
        now = time.monotonic()
        for origin, idle in list(self._idle.items()):
            while idle and not idle[0].is_fresh(now):
                self._idle_count -= 1
                idle.popleft().close()
            if not idle:
                del self._idle[origin]
        again = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep) if self._idle else None
        self._sweeper = again

    # Opening -------------------------------------------------------------------------------------------------------

    async def _open(self, target: Target, budget: float) -> tuple[HttpConnection, Timings]:
        """Resolve, judge, connect, shake hands. Each phase has its own limit, and all share the budget."""
        deadline = time.perf_counter() + budget
        begun = time.perf_counter()
        addresses = await self._resolve(target, min(DNS_TIMEOUT, budget))
        resolved = time.perf_counter()
        timings = Timings(dns_ms=(resolved - begun) * 1e3)
        connection = await self._connect(target, addresses, min(CONNECT_TIMEOUT, deadline - resolved), timings)
        connected = time.perf_counter()
        timings = msgspec.structs.replace(timings, connect_ms=(connected - resolved) * 1e3)
        if target.is_tls:
            await self._shake_hands(connection, target, min(TLS_TIMEOUT, deadline - connected), timings)
            timings = msgspec.structs.replace(timings, tls_ms=(time.perf_counter() - connected) * 1e3)
        return connection, timings

    async def _resolve(self, target: Target, limit: float) -> list[str]:
        """Return the addresses of the target that may be called.

        Raises:
            _PhaseError: There is none.
        """
        if (refusal := refusal_of_name(target.host, self._allowed)) is not None:
            raise _PhaseError("address_refused", refusal, Timings())
        found = await self._look_up(target, limit)
        refusals = [refusal_of_address(address, self._allowed) for address in found]
        callable_ones = [address for address, refusal in zip(found, refusals, strict=True) if refusal is None]
        if not callable_ones:
            raise _PhaseError("address_refused", refusals[0] or "The address is refused.", Timings())
        return callable_ones[:MAX_ADDRESSES]

    async def _look_up(self, target: Target, limit: float) -> list[str]:
        try:
            return [str(ip_address(target.host))]
        except ValueError:
            pass  # a name
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit):
                answers = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise _PhaseError("timeout", f"No answer from DNS for {target.host} within {limit:g} s.", Timings()) from None
        except OSError as error:
            raise _PhaseError("dns", f"The host {target.host} was not found ({error.strerror}).", Timings()) from error
        return list(dict.fromkeys(str(answer[4][0]) for answer in answers))

    async def _connect(self, target: Target, addresses: list[str], limit: float, timings: Timings) -> HttpConnection:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        problem = ""
        for position, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - position)
            try:
                async with asyncio.timeout(share):
                    _, connection = await loop.create_connection(HttpConnection, address, target.port)
                    return connection
            except TimeoutError:
                problem = f"No connection to {address} port {target.port} within {share:.3g} s."
                failure = "timeout"
            except OSError as error:
                problem = f"The connection to {address} port {target.port} failed ({error.strerror or error})."
                failure = "connect"
        raise _PhaseError(failure, problem, timings)

    async def _shake_hands(self, connection: HttpConnection, target: Target, limit: float, timings: Timings) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit):
                connection.transport = await loop.start_tls(
                    connection.transport, connection, self._tls, server_hostname=target.host
                )
        except TimeoutError:
            connection.close()
            raise _PhaseError("timeout", f"No TLS handshake with {target.host} within {limit:.3g} s.", timings) from None
        except (OSError, ssl.SSLError, ssl.CertificateError) as error:
            connection.close()
            reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error
            raise _PhaseError("tls", f"The TLS handshake with {target.host} failed ({reason}).", timings) from error


def _written(request: Request, target: Target) -> bytes:
    """Return the request as bytes."""
    lines = [f"{request.method}{target.head}content-length: {len(request.body)}\r\n"]
    has_agent = False
    for name, value in request.headers:
        lines.append(f"{name}: {value}\r\n")
        has_agent = has_agent or name.lower() == "user-agent"
    if not has_agent:
        lines.append(f"user-agent: {USER_AGENT}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1") + request.body
