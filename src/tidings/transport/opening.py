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

from tidings.config import Network
from tidings.core.outcome import EXHAUSTED, Exchange, Timings
from tidings.core.target import Target
from tidings.transport.address import ALLOWING, refusal_of_address, refusal_of_name
from tidings.transport.connection import HttpConnection, OnEnd

logger = logging.getLogger("tidings.sender")

DNS_TIMEOUT = 5.0  # seconds
CONNECT_TIMEOUT = 10.0  # seconds, over all addresses of a name
TLS_TIMEOUT = 10.0  # seconds
MAX_ADDRESSES = 4  # of one name, tried one after the other

_NONE = Timings()

# What this machine lacks, and not the receiver. EADDRNOTAVAIL (no port is left) is judged apart: for an IPv6 address it can
# mean that this machine has no IPv6, which no waiting mends.
_LACKS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class OpeningError(Exception):
    """A phase failed before the request could be sent. Carries what `Exchange` says of it."""

    def __init__(self, failure: str, error: str, timings: Timings = _NONE) -> None:
        super().__init__(error)
        self.failure, self.error, self.timings = failure, error, timings

    def exchange(self, total_ms: float) -> Exchange:
        """Return what came of the exchange."""
        spent = self.timings
        timings = Timings(spent.dns_ms, spent.connect_ms, spent.tls_ms, None, total_ms)
        return Exchange(failure=self.failure, error=self.error, timings=timings)


class Opener:
    """Opens connections to where they may be opened."""

    def __init__(self, allowed: tuple[Network, ...], tls: ssl.SSLContext) -> None:
        self._allowed = allowed
        self._tls = tls

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
        connection = await _connect(target, addresses, limit, on_end, Timings(dns_ms))
        connected = perf_counter()
        timings = Timings(dns_ms, (connected - resolved) * 1e3)
        if target.is_tls:
            await self._shake_hands(connection, target, min(TLS_TIMEOUT, deadline - connected), timings)
            timings = Timings(dns_ms, timings.connect_ms, (perf_counter() - connected) * 1e3)
        return connection, timings

    async def resolve(self, target: Target, limit: float = DNS_TIMEOUT) -> list[str]:
        """Return the addresses of the target that may be called.

        Args:
            limit: Seconds.

        Raises:
            OpeningError: There is none.
        """
        if (refusal := refusal_of_name(target.host, self._allowed)) is not None:
            raise OpeningError("address_refused", refusal)
        found = await _look_up(target, limit)
        refusals = [refusal_of_address(address, self._allowed) for address in found]
        callable_ones = [address for address, refusal in zip(found, refusals, strict=True) if refusal is None]
        if not callable_ones:
            raise OpeningError("address_refused", _refusal_of(target, found[0], refusals[0]))
        return callable_ones[:MAX_ADDRESSES]

    async def _shake_hands(self, connection: HttpConnection, target: Target, limit: float, timings: Timings) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit):
                connection.transport = await loop.start_tls(
                    connection.transport, connection, self._tls, server_hostname=target.host
                )
        except TimeoutError:
            connection.close()
            raise OpeningError("timeout", f"No TLS handshake with {target.host} within {limit:.3g} s.", timings) from None
        except (OSError, ssl.SSLError, ssl.CertificateError) as error:
            connection.close()
            reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error
            raise OpeningError("tls", f"The TLS handshake with {target.host} failed ({reason}).", timings) from error
        except BaseException:  # cancelled, above all
            connection.close()
            raise


async def _look_up(target: Target, limit: float) -> list[str]:
    try:
        return [str(ip_address(target.host))]
    except ValueError:
        pass  # a name
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limit):
            answers = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise OpeningError("timeout", f"No answer from DNS for {target.host} within {limit:.3g} s.") from None
    except OSError as error:
        if _has_no_descriptor():  # the resolver says only that it found nothing
            raise OpeningError(EXHAUSTED, "There was no descriptor left to look it up.") from error
        raise OpeningError("dns", f"The host {target.host} was not found ({error.strerror}).") from error
    except UnicodeError as error:
        raise OpeningError("dns", f"The host {target.host} cannot be looked up ({error}).") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


async def _connect(target: Target, addresses: list[str], limit: float, on_end: OnEnd, timings: Timings) -> HttpConnection:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    problem, failure = "", "connect"
    for position, address in enumerate(addresses):
        share = (deadline - loop.time()) / (len(addresses) - position)
        try:
            async with asyncio.timeout(share):
                _, connection = await loop.create_connection(lambda: HttpConnection(target, on_end), address, target.port)
                return connection
        except TimeoutError:
            problem = f"No connection to {shown_address(address, target)} port {target.port} within {share:.3g} s."
            failure = "timeout"
        except OSError as error:
            if _is_ours(error, address):
                raise OpeningError(EXHAUSTED, f"No connection could be opened here ({error.strerror or error}).") from error
            reason = error.strerror if error.errno is not None else None
            problem = (
                f"The connection to {shown_address(address, target)} port {target.port} failed ({reason or 'no route to it'})."
            )
            failure = "connect"
    raise OpeningError(failure, problem, timings)


def _refusal_of(target: Target, address: str, refusal: str | None) -> str:
    """Return why a target is not called. Which address a name has inside is for the log alone: customers read the sentence."""
    if refusal is None or address == target.host or "%" in address:
        return refusal or "The address is refused."
    logger.info("%s is not called: %s", target.host, refusal)
    return f"The host {target.host} has no public address and is not called ({ALLOWING})."


def shown_address(address: str, target: Target) -> str:
    """Return an address as sentences show it that customers read: one that is not public by the name that was given."""
    return address if refusal_of_address(address, ()) is None else target.host


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
