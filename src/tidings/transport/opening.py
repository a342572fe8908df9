"""Opening a connection: resolve, judge, connect, shake hands.

The address that is judged is the very one that is connected to, with no second look-up in between. Each phase has its own
limit, and all share what the exchange has left.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
from ipaddress import IPv4Address, ip_address
from time import perf_counter
from typing import Any

from tidings.core.egress import Egress, Refusal
from tidings.core.networks import is_public, read_address, unwrapped
from tidings.core.outcome import EXHAUSTED, Timings
from tidings.core.proxy import Proxy
from tidings.core.target import Target
from tidings.transport.connection import HttpConnection, OnEnd
from tidings.transport.failing import OpeningError
from tidings.transport.names import LookUpError, Names
from tidings.transport.tls import Contexts
from tidings.transport.tunnel import away, dig

logger = logging.getLogger("tidings.sender")

DNS_TIMEOUT = 5.0  # seconds
CONNECT_TIMEOUT = 10.0  # seconds, over all addresses of a name
TLS_TIMEOUT = 10.0  # seconds
MAX_ADDRESSES = 4  # of one name, tried one after the other

# What this machine lacks, and not the receiver. EADDRNOTAVAIL (no port is left) is judged apart: for an IPv6 address it can
# mean that this machine has no IPv6, which no waiting mends.
_LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class Opener:
    """Opens connections to where they may be opened."""

    def __init__(self, egress: Egress, contexts: Contexts, names: Names, proxy: Proxy | None = None) -> None:
        self._egress = egress
        self._proxy = proxy
        self._contexts = contexts
        self._names = names

    async def open(self, target: Target, deadline: float, on_end: OnEnd) -> tuple[HttpConnection, Timings]:
        """Return a connection and how long its phases took (`deadline` by `time.perf_counter`).

        Cancelling it closes what it has opened.

        Raises:
            OpeningError: There is none in time.
        """
        begun = perf_counter()
        addresses = await self.resolve(target, min(DNS_TIMEOUT, deadline - begun))
        resolved = perf_counter()
        dns_ms = (resolved - begun) * 1e3
        limit = min(CONNECT_TIMEOUT, deadline - resolved)
        connected_socket = await self._connect(target, addresses, limit, Timings(dns_ms))
        connected = perf_counter()
        timings = Timings(dns_ms, (connected - resolved) * 1e3)
        try:
            if not target.is_tls:
                return await _connection(connected_socket, target, on_end), timings
            if self._proxy is not None:
                await dig(self._proxy, connected_socket, target, min(CONNECT_TIMEOUT, deadline - connected), timings)
                connected = perf_counter()
                timings = Timings(dns_ms, (connected - resolved) * 1e3)
            limit = min(TLS_TIMEOUT, deadline - connected)
            connection = await self._shake_hands(connected_socket, target, limit, on_end, timings)
        except BaseException:  # cancelled too
            connected_socket.close()
            raise
        return connection, Timings(dns_ms, timings.connect_ms, (perf_counter() - connected) * 1e3)

    async def _connect(self, target: Target, addresses: list[str], limit: float, timings: Timings) -> socket.socket:
        if self._proxy is None:
            return await _connect(target, addresses, limit, timings)
        try:
            return await _connect(self._proxy.target, addresses, limit, timings)
        except OpeningError as error:
            raise away(self._proxy, error) from error

    async def resolve(self, target: Target, limit: float = DNS_TIMEOUT) -> list[str]:
        """Return the addresses to connect to: those of the target that may be called, or the proxy's.

        Args:
            limit: Seconds.

        Raises:
            OpeningError: There is none.
        """
        narrowing = None if target.by is None else target.by.narrowing
        if (refusal := self._egress.refusal_of(target, narrowing)) is not None:
            raise _refused(target, refusal)
        if self._proxy is not None:  # which the operator named, so nobody judges it
            try:
                return (await self._look_up(self._proxy.host, limit))[:MAX_ADDRESSES]
            except OpeningError as error:
                raise away(self._proxy, error) from error
        found = await self._look_up(target.host, limit)
        callable_ones, refusal = self._egress.callable_ones(found, target, narrowing)
        if not callable_ones and refusal is not None:
            raise _refused(target, refusal)
        return callable_ones[:MAX_ADDRESSES]

    async def addresses(self, target: Target) -> list[str]:
        """Return the addresses of a target, none when it is not found."""
        try:
            return await self._look_up(target.host, DNS_TIMEOUT)
        except OpeningError:
            return []

    async def _look_up(self, host: str, limit: float) -> list[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass  # a name
        try:
            return await self._names.look_up(host, limit)
        except LookUpError as error:
            if _has_no_descriptor():  # which is not what the resolver says
                raise OpeningError(EXHAUSTED, "There was no descriptor left to look a name up.") from error
            raise OpeningError(error.failure, error.sentence) from error

    async def _shake_hands(
        self, connected_socket: socket.socket, target: Target, limit: float, on_end: OnEnd, timings: Timings
    ) -> HttpConnection:
        try:
            async with asyncio.timeout(limit):
                context = await self._contexts.of(None if target.by is None else target.by.identity)
                return await _connection(connected_socket, target, on_end, ssl=context, server_hostname=target.host)
        except TimeoutError:
            raise OpeningError("timeout", f"No TLS handshake with {target.host} within {limit:.3g} s.", timings) from None
        except (OSError, ssl.SSLError, ssl.CertificateError) as error:
            if is_our_shortage(error):
                raise OpeningError(EXHAUSTED, f"A TLS handshake could not be made here ({error}).") from error
            reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or str(error)
            reason = reason or "the connection was closed"
            raise OpeningError("tls", f"The TLS handshake with {target.host} failed ({reason}).", timings) from error


async def _connect(target: Target, addresses: list[str], limit: float, timings: Timings) -> socket.socket:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    problem, failure = "", "connect"
    for position, address in enumerate(addresses):
        share = (deadline - loop.time()) / (len(addresses) - position)
        connecting: socket.socket | None = None
        try:
            connecting = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            connecting.setblocking(False)
            async with asyncio.timeout(share):
                await loop.sock_connect(connecting, (address, target.port))
        except TimeoutError:
            _close(connecting)
            problem = f"No connection to {shown_address(address, target)} port {target.port} within {share:.3g} s."
            failure = "timeout"
        except OSError as error:
            _close(connecting)
            if _is_ours(error, address):
                raise OpeningError(EXHAUSTED, f"No connection could be opened here ({error.strerror or error}).") from error
            shown = shown_address(address, target)
            problem = f"The connection to {shown} port {target.port} failed ({_reason(error)})."
            failure = "connect"
        except BaseException:  # cancelled
            _close(connecting)
            raise
        else:
            return connecting
    raise OpeningError(failure, problem, timings)


def _close(connecting: socket.socket | None) -> None:
    if connecting is not None:
        connecting.close()


async def _connection(connected: socket.socket, target: Target, on_end: OnEnd, **tls: Any) -> HttpConnection:
    """Return the protocol over a connected socket, after the TLS handshake if there is one.

    Its transport begins with the handshake. If it began plain, what the receiver says at once would be read before the
    handshake could begin, and one that closes at once would leave the loop with a handshake over nothing: a trace in the log.
    """
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: HttpConnection(target, on_end), sock=connected, **tls)
    return connection


def _refused(target: Target, refusal: Refusal) -> OpeningError:
    """Tell the log what the operator has to know; customers read the sentence of the exchange."""
    logger.info("%s port %d is not called: %s", target.host, target.port, refusal.cause)
    return OpeningError("address_refused", refusal.sentence, refusal=refusal)


def shown_address(text: str, target: Target) -> str:
    """Return an address as sentences show it that customers read: one that is not public by the name that was given."""
    address = read_address(text)
    return text if address is not None and is_public(unwrapped(address)) else target.host


def is_our_shortage(error: OSError) -> bool:
    """Whether a TLS handshake failed for want of something on this machine: OpenSSL says so of memory in its own words."""
    return error.errno in _LACKS if not isinstance(error, ssl.SSLError) else error.reason == "MALLOC_FAILURE"


def _is_ours(error: OSError, address: str) -> bool:
    """Whether a connection failed for want of something on this machine."""
    if error.errno == errno.EADDRNOTAVAIL:
        return isinstance(ip_address(address.split("%", 1)[0]), IPv4Address)
    return error.errno in _LACKS


def _has_no_descriptor() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _LACKS
    return False


def _reason(error: OSError) -> str:
    """Return why, in the system's words: those of the event loop name the address a second time."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
