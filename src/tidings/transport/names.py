"""Names to addresses, without threads.

The system's `getaddrinfo` blocks a thread until DNS has answered or given up, and the loop has four of them for everything:
four names whose servers are silent would keep every other name waiting. c-ares asks over sockets of its own, reads /etc/hosts
and /etc/resolv.conf as the system does, and a look-up that waits costs some hundred bytes.
"""

import asyncio
import socket
from typing import Any

import aiodns
from aiodns.error import DNSError
from pycares import AresError, errno

QUERY_SECONDS = 2.0  # until the next server is asked, or the same once more
TRIES = 2  # of each server

_STOPPED = {errno.ARES_ECANCELLED, errno.ARES_EDESTRUCTION}


class LookUpError(Exception):
    """A name has no address. `failure` is as of an exchange; the message is a sentence."""

    def __init__(self, failure: str, sentence: str) -> None:
        super().__init__(sentence)
        self.failure, self.sentence = failure, sentence


class Names:
    """Looks names up. It belongs to the event loop of its first look-up."""

    def __init__(self, servers: tuple[str, ...] = (), port: int | None = None) -> None:
        """Make one.

        Args:
            servers: Addresses of DNS servers; the system's when empty.
            port: Of these servers; 53 when None.
        """
        self._servers = servers
        self._port = port
        self._resolver: aiodns.DNSResolver | None = None

    async def look_up(self, host: str, limit: float) -> list[str]:
        """Return the addresses of a name, in the order to try them (RFC 6724).

        Args:
            limit: Seconds.

        Raises:
            LookUpError: There is none in time.
        """
        if self._resolver is None:
            try:
                self._resolver = self._made()
            except AresError as error:
                raise LookUpError("dns", f"The host {host} was not looked up: nothing could be asked.") from error
        try:
            async with asyncio.timeout(limit):
                found = await self._resolver.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise LookUpError("timeout", f"No answer from DNS for {host} within {limit:.3g} s.") from None
        except DNSError as error:
            number, reason = (*error.args, "")[:2]
            if number in _STOPPED:
                raise LookUpError("stopped", "Tidings was stopped while it waited for DNS.") from error
            if number == errno.ARES_ETIMEOUT:
                raise LookUpError("timeout", f"No answer from DNS for {host}.") from error
            raise LookUpError("dns", f"The host {host} was not found ({reason}).") from error
        return list(dict.fromkeys(_text(node.addr[0]) for node in found.nodes))

    async def close(self) -> None:
        """End the look-ups under way, as stopped."""
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            await resolver.close()

    def _made(self) -> aiodns.DNSResolver:
        options: Any = {"udp_port": self._port, "tcp_port": self._port} if self._port else {}
        return aiodns.DNSResolver(list(self._servers) or None, timeout=QUERY_SECONDS, tries=TRIES, **options)


def _text(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
