"""A real DNS server, as small as can be: it answers for the names it knows, in turns, and is silent on all others."""

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

_A, _AAAA = 1, 28


class DnsServer(asyncio.DatagramProtocol):
    """Answers A and AAAA queries (RFC 1035, section 4).

    Attributes:
        queries: Names that were asked for.
    """

    def __init__(self, answers: dict[str, Sequence[Sequence[str]]]) -> None:
        """Take the answers of each name: the addresses at its first look-up, at its second, …, and again from the first on."""
        self._turns = {(name, kind): itertools.cycle(turns) for name, turns in answers.items() for kind in (_A, _AAAA)}
        self.queries: list[str] = []
        self.port = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        number, labels, place = data[:2], [], 12
        while length := data[place]:
            labels.append(data[place + 1 : place + 1 + length].decode())
            place += length + 1
        question, name = data[12 : place + 5], ".".join(labels).lower()
        (kind,) = struct.unpack("!H", data[place + 1 : place + 3])
        self.queries.append(name)
        if (name, kind) not in self._turns:
            return  # silence
        addresses = next(self._turns[name, kind])
        found = [ip_address(text) for text in addresses if isinstance(ip_address(text), IPv6Address) == (kind == _AAAA)]
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(one.packed)) + one.packed for one in found
        )  # lives 0 s: nobody may remember it
        self._transport.sendto(number + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) + question + records, address)


@asynccontextmanager
async def dns(answers: dict[str, Sequence[Sequence[str]]]) -> AsyncIterator[DnsServer]:
    """Serve on a free port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(lambda: DnsServer(answers), sock=listener)
    server.port = listener.getsockname()[1]
    try:
        yield server
    finally:
        transport.close()
