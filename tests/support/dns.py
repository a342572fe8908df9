"""A real DNS server, as small as can be: it answers for the names it knows, in turns, and is silent on all others.

Over UDP it can say that an answer is cut, and another one over TCP; a name among its addresses is what the name stands for (CNAME).
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

_A, _CNAME, _AAAA = 1, 5, 28
_WHOLE, _CUT = 0x8180, 0x8380


class DnsServer(asyncio.DatagramProtocol):
    """Answers A and AAAA queries (RFC 1035, section 4).

    Attributes:
        queries: Names that were asked for.
        by_tcp: Of names whose answers over UDP are cut, what is said over TCP.
        seconds: How long an answer may be remembered.
    """

    def __init__(self, answers: dict[str, Sequence[Sequence[str]]]) -> None:
        """Take the answers of each name: the addresses at its first look-up, at its second, …, and again from the first on."""
        self._turns = {(name, kind): itertools.cycle(turns) for name, turns in answers.items() for kind in (_A, _AAAA)}
        self.queries: list[str] = []
        self.by_tcp: dict[str, Sequence[str]] = {}
        self.seconds = 0
        self.port = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if (said := self._answer(data)) is not None:
            self._transport.sendto(said, address)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer queries that come with their length before them (RFC 1035, section 4.2.2)."""
        try:
            while length := await reader.read(2):
                said = self._answer(await reader.readexactly(int.from_bytes(length, "big")), is_tcp=True) or b""
                writer.write(len(said).to_bytes(2, "big") + said)
        finally:
            writer.close()

    def _answer(self, data: bytes, *, is_tcp: bool = False) -> bytes | None:
        number, labels, place = data[:2], [], 12
        while length := data[place]:
            labels.append(data[place + 1 : place + 1 + length].decode())
            place += length + 1
        question, name = data[12 : place + 5], ".".join(labels).lower()
        (kind,) = struct.unpack("!H", data[place + 1 : place + 3])
        self.queries.append(name)
        if (name, kind) not in self._turns:
            return None  # silence
        addresses = self.by_tcp[name] if is_tcp else next(self._turns[name, kind])
        alias = next((text for text in addresses if text[-1].isalpha() and ":" not in text), None)
        records = []
        if alias is not None:
            written = b"".join(bytes([len(label)]) + label.encode() for label in alias.split(".")) + b"\0"
            records.append(b"\xc0\x0c" + struct.pack("!HHIH", _CNAME, 1, self.seconds, len(written)) + written)
            owner, addresses = written, next(self._turns[alias, kind])
        else:
            owner = b"\xc0\x0c"
        found = [ip_address(text) for text in addresses if isinstance(ip_address(text), IPv6Address) == (kind == _AAAA)]
        records += [owner + struct.pack("!HHIH", kind, 1, self.seconds, len(one.packed)) + one.packed for one in found]
        flags = _CUT if name in self.by_tcp and not is_tcp else _WHOLE
        return number + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def _same_port() -> tuple[socket.socket, socket.socket]:
    """Return sockets for datagrams and for streams on one free port: what is free for one may be taken for the other."""
    while True:
        datagrams, streams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        datagrams.bind(("127.0.0.1", 0))
        try:
            streams.bind(("127.0.0.1", datagrams.getsockname()[1]))
        except OSError:
            datagrams.close()
            streams.close()
            continue
        return datagrams, streams


@asynccontextmanager
async def dns(answers: dict[str, Sequence[Sequence[str]]]) -> AsyncIterator[DnsServer]:
    """Serve on a free port."""
    listener, stream = _same_port()
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(lambda: DnsServer(answers), sock=listener)
    server.port = listener.getsockname()[1]
    streams = await asyncio.start_server(server.serve_tcp, sock=stream)
    try:
        yield server
    finally:
        streams.close()
        transport.close()
