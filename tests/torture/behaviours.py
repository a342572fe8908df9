"""Receivers that lie, hang, flood and reset, by name, and what an attempt at each must end as.

Each listens on a port of its own, so that it can misbehave from the first packet on. A behaviour ends when its connection does, or when
the block of `standing` ends.
"""

import asyncio
import gzip
import json
import socket
import ssl
import struct
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import trustme

MANY = 100_000_000  # bytes: what a flood would send if it were read to the end
_PIECE = b"a" * 65_536


class Peer(NamedTuple):
    """A connection as the receiver has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> None:
        """Read one request, whole."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self.reader.readexactly(length)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def flood(self, piece: bytes) -> None:
        """Say it again and again, until there is nobody to hear it."""
        for _ in range(MANY // len(piece) + 1):
            await self.say(piece)

    async def hang(self) -> None:
        await asyncio.Event().wait()

    def reset(self) -> None:
        """Close with RST."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Play = Callable[[Peer], Awaitable[None]]


class Behaviour(NamedTuple):
    """One way to misbehave.

    Attributes:
        ends_as: What an attempt may end as: a status, or a failure of `core.outcome.FAILURES`.
        tls: The receiver's side of TLS; None: plain HTTP.
        url_host: What the URL calls it; an address of this machine when None.
        is_https: What the URL says.
    """

    name: str
    play: Play
    ends_as: tuple[str, ...]
    tls: str | None = None
    url_host: str | None = None
    is_https: bool = False


BEHAVIOURS: list[Behaviour] = []
SAID: dict[str, bytes] = {}  # what those say that answer with the same bytes to everybody: a corpus for the parser


def says(name: str, data: bytes, *ends_as: str, closes: bool = True) -> None:
    """Answer with these bytes."""

    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.say(data)
        if not closes:
            await peer.hang()

    SAID[name] = data
    BEHAVIOURS.append(Behaviour(name, play, ends_as))


def plays(*ends_as: str, tls: str | None = None, url_host: str | None = None, is_https: bool = False) -> Callable[[Play], Play]:
    """Take a function as a behaviour, under its own name."""

    def taken(play: Play) -> Play:
        name = str(getattr(play, "__name__", "")).replace("_", " ")
        BEHAVIOURS.append(Behaviour(name, play, ends_as, tls, url_host, is_https or tls is not None))
        return play

    return taken


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"

# Status lines -------------------------------------------------------------------------------------------------------------

says("status 000", b"HTTP/1.1 000 X\r\ncontent-length: 0\r\n\r\n", "protocol")
says("status 99", b"HTTP/1.1 99 X\r\ncontent-length: 0\r\n\r\n", "protocol")
says("status 999", b"HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n", "999", "protocol")
says("status of four digits", b"HTTP/1.1 2000 X\r\ncontent-length: 0\r\n\r\n", "protocol")
says("negative status", b"HTTP/1.1 -200 X\r\ncontent-length: 0\r\n\r\n", "protocol")
says("status in words", b"HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n", "protocol")
says("no reason phrase", b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", "200")
says("endless reason phrase", b"HTTP/1.1 200 " + b"x" * 1_000_000, "too_large")
says("HTTP 0.9", b"<html>ok</html>", "protocol")
says("HTTP 1.0", b"HTTP/1.0 200 OK\r\n\r\nto the end", "200")
says("HTTP 2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9, "protocol")
says("HTTP 3.0", b"HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n", "protocol")
says("a request for an answer", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "protocol")
says("an SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n", "protocol")
says("an SMTP banner", b"220 mail.example.com ESMTP\r\n", "protocol")
says("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x28", "protocol")
says("zero bytes", b"\0" * 200, "protocol")

# Headers ------------------------------------------------------------------------------------------------------------------

says("a header without a colon", OK + b"this is no header\r\ncontent-length: 0\r\n\r\n", "protocol")
says("a header with a zero byte", OK + b"x: a\0b\r\ncontent-length: 0\r\n\r\n", "protocol")
says("a header name with a blank", OK + b"bad name: 1\r\ncontent-length: 0\r\n\r\n", "protocol", "200")
says("a folded header", OK + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n", "protocol", "200")
says("headers in Latin-1", OK + b"x: caf\xe9\r\ncontent-length: 0\r\n\r\n", "200")
says("control and direction marks", OK + b"x: \xe2\x80\xae\x1b[31m\r\ncontent-length: 0\r\n\r\n", "200", "protocol")
says("100,000 headers", OK + b"x: y\r\n" * 100_000 + b"\r\n", "too_large")
says("one header of 8 MB", OK + b"x: " + b"y" * 8_000_000 + b"\r\n\r\n", "too_large")
says("set-cookie by the thousand", OK + b"set-cookie: a=b; Path=/\r\n" * 4_000 + b"\r\n", "too_large")
says("bare line feeds", b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", "200", "protocol")

# Lengths ------------------------------------------------------------------------------------------------------------------

says("two lengths", OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc", "protocol")
says("a negative length", OK + b"content-length: -1\r\n\r\n", "protocol")
says("a length past 64 bits", OK + b"content-length: 99999999999999999999999\r\n\r\n", "protocol")
says("a length in words", OK + b"content-length: ten\r\n\r\n", "protocol")
says(
    "a length and chunks",
    OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "protocol",
    "200",
)
says("less than promised, then gone", OK + b"content-length: 100\r\n\r\nabc", "reset")
says("less than promised, then silence", OK + b"content-length: 100\r\n\r\nabc", "timeout", closes=False)
says("a terabyte promised", OK + b"content-length: 1099511627776\r\n\r\n" + b"x" * 1000, "timeout", "reset", closes=False)
says("more than promised", OK + b"content-length: 2\r\n\r\nokHTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", "200")
says("a chunk size that is no number", CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n", "protocol")
says("a chunk size past 64 bits", CHUNKED + b"fffffffffffffffff\r\n", "protocol")
says("a negative chunk size", CHUNKED + b"-1\r\nabc\r\n", "protocol")
says("no last chunk", CHUNKED + b"3\r\nabc\r\n", "reset")
says("an endless chunk extension", CHUNKED + b"3;x=" + b"y" * 1_000_000, "too_large")
says("8 MB of trailers", CHUNKED + b"3\r\nabc\r\n0\r\n" + b"x-trailer: " + b"y" * 8_000_000 + b"\r\n\r\n", "too_large")
says("gzip within chunks within gzip", OK + b"transfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200", "protocol")
says("an unknown transfer coding", OK + b"transfer-encoding: cow\r\n\r\nabc", "reset", "protocol")

# Bodies -------------------------------------------------------------------------------------------------------------------

_BOMB = gzip.compress(b"\0" * 10_000_000)
says("a gzip bomb", OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(_BOMB) + _BOMB, "200")
says("gzip that is none", OK + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", "200")
says("a body of zero bytes", OK + b"content-length: 4\r\n\r\n\0\0\0\0", "200")
says("a body that is not UTF-8", OK + b"content-type: application/json\r\ncontent-length: 3\r\n\r\n\xff\xfe\xfd", "200")
says("a body with 204", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nabcde", "204")
says("markup in the body", OK + b"content-length: 25\r\n\r\n<script>alert(1)</script>", "200")

# What is asked of the sender ------------------------------------------------------------------------------------------------

says(
    "a redirect to the metadata service",
    b"HTTP/1.1 302 X\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    "302",
)
says("a redirect to a file", b"HTTP/1.1 301 X\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n", "301")
says("a redirect to itself", b"HTTP/1.1 307 X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "307")
says("asks for a password", b"HTTP/1.1 401 X\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\n\r\n", "401")
says("asks for a proxy's password", b"HTTP/1.1 407 X\r\nproxy-authenticate: Negotiate\r\ncontent-length: 0\r\n\r\n", "407")
says("switches protocols", b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", "protocol")
says("a retry after 300,000 years", b"HTTP/1.1 503 X\r\nretry-after: 9999999999999\r\ncontent-length: 0\r\n\r\n", "503")
says(
    "a retry before time began",
    b"HTTP/1.1 429 X\r\nretry-after: Thu, 01 Jan 0001 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n",
    "429",
)
says(
    "a retry after the year 9999",
    b"HTTP/1.1 429 X\r\nretry-after: Fri, 31 Dec 9999 23:59:59 -1200\r\ncontent-length: 0\r\n\r\n",
    "429",
)
says("keep alive for ever", OK + b"keep-alive: timeout=99999999999999999999\r\ncontent-length: 0\r\n\r\n", "200", closes=False)
says("keep alive for no time", OK + b"keep-alive: timeout=0\r\ncontent-length: 0\r\n\r\n", "200", closes=False)

# In time ------------------------------------------------------------------------------------------------------------------


@plays("timeout")
async def never_answers(peer: Peer) -> None:
    await peer.request()
    await peer.hang()


@plays("timeout")
async def never_reads(peer: Peer) -> None:
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await peer.hang()


@plays("timeout")
async def a_byte_at_a_time(peer: Peer) -> None:
    await peer.request()
    for byte in OK + b"x: " + b"y" * 10_000:
        await peer.say(bytes([byte]))
        await asyncio.sleep(0.05)


@plays("timeout")
async def half_a_status_line(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"HTTP/1.1 2")
    await peer.hang()


@plays("timeout")
async def only_interim_responses_slowly(peer: Peer) -> None:
    await peer.request()
    while True:
        await peer.say(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.05)


@plays("too_large")
async def a_flood_of_interim_responses(peer: Peer) -> None:
    await peer.request()
    await peer.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@plays("too_large")
async def a_flood_of_early_hints(peer: Peer) -> None:
    await peer.request()
    await peer.flood((b"HTTP/1.1 103 Early Hints\r\n" + b"link: </x>; rel=preload\r\n" * 50 + b"\r\n") * 20)


@plays("too_large")
async def an_endless_body(peer: Peer) -> None:
    await peer.request()
    await peer.say(OK + b"\r\n")
    await peer.flood(_PIECE)


@plays("too_large")
async def endless_chunks(peer: Peer) -> None:
    await peer.request()
    await peer.say(CHUNKED)
    await peer.flood(b"10000\r\n" + _PIECE + b"\r\n")


@plays("too_large")
async def endless_chunks_of_a_byte(peer: Peer) -> None:
    await peer.request()
    await peer.say(CHUNKED)
    await peer.flood(b"1\r\na\r\n" * 5_000)


@plays("too_large")
async def endless_trailers(peer: Peer) -> None:
    await peer.request()
    await peer.say(CHUNKED + b"0\r\n")
    await peer.flood(b"x-trailer: " + b"y" * 1000 + b"\r\n")


@plays("too_large")
async def endless_headers(peer: Peer) -> None:
    await peer.request()
    await peer.say(OK)
    await peer.flood(b"x: " + b"y" * 1000 + b"\r\n")


@plays("too_large", "protocol")
async def a_flood_of_blank_lines(peer: Peer) -> None:
    await peer.request()
    await peer.flood(b"\r\n" * 5000)


@plays("reset")
async def closes_at_once(peer: Peer) -> None:
    peer.writer.close()


@plays("reset", "connect")
async def resets_at_once(peer: Peer) -> None:
    peer.reset()


@plays("reset")
async def closes_after_the_request(peer: Peer) -> None:
    await peer.request()
    peer.writer.close()


@plays("reset")
async def resets_in_the_middle_of_the_answer(peer: Peer) -> None:
    await peer.request()
    await peer.say(OK + b"content-length: 100\r\n\r\nhalf")
    peer.reset()


@plays("413", "reset")
async def answers_before_it_has_read_and_closes(peer: Peer) -> None:
    await peer.say(b"HTTP/1.1 413 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    peer.writer.close()


@plays("reset", "200")
async def speaks_before_it_is_asked(peer: Peer) -> None:
    await peer.say(OK + b"content-length: 0\r\n\r\n")
    await peer.request()
    await peer.hang()


@plays("200", "reset")
async def closes_its_half_first(peer: Peer) -> None:
    peer.writer.write_eof()
    await peer.request()


@plays("410")
async def gone(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")


# TLS ----------------------------------------------------------------------------------------------------------------------


async def _fine(peer: Peer) -> None:
    await peer.request()
    await peer.say(OK + b"content-length: 0\r\n\r\n")


for _name, _tls in {
    "a certificate of nobody": "stranger",
    "a certificate of another name": "other name",
    "an expired certificate": "expired",
    "TLS 1.0 alone": "old",
}.items():
    BEHAVIOURS.append(Behaviour(_name, _fine, ("tls",), _tls, "localhost", True))


@plays("tls", url_host="localhost", is_https=True)
async def plain_HTTP_where_TLS_was_expected(peer: Peer) -> None:
    await peer.say(b"HTTP/1.1 400 X\r\ncontent-length: 0\r\n\r\n")


@plays("timeout", url_host="localhost", is_https=True)
async def a_handshake_that_never_ends(peer: Peer) -> None:
    await peer.hang()


@plays("tls", "reset", url_host="localhost", is_https=True)
async def a_handshake_that_is_reset(peer: Peer) -> None:
    await peer.reader.read(1)
    peer.reset()


@plays("tls", "timeout", "reset", url_host="localhost", is_https=True)
async def a_handshake_of_noise(peer: Peer) -> None:
    await peer.say(b"\x16\x03\x03\x3f\xff" + bytes(range(256)) * 63)
    await peer.hang()


def contexts(ca: trustme.CA) -> dict[str, ssl.SSLContext]:
    """Return the receivers' sides of TLS, by their names in `Behaviour.tls`. The sender trusts `ca`."""
    past = datetime.now(UTC) - timedelta(days=1)
    certificates = {
        "stranger": trustme.CA().issue_cert("localhost"),
        "other name": ca.issue_cert("other.example.com"),
        "expired": ca.issue_cert("localhost", not_before=past - timedelta(days=30), not_after=past),
        "old": ca.issue_cert("localhost"),
    }
    made = {}
    for name, certificate in certificates.items():
        made[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(made[name])
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        made["old"].maximum_version = ssl.TLSVersion.TLSv1
    return made


@asynccontextmanager
async def standing(ca: trustme.CA) -> AsyncIterator[dict[str, str]]:
    """Have every behaviour listen; lends their URLs by name."""
    tasks: set[asyncio.Task[None]] = set()
    tls = contexts(ca)
    servers, urls = [], {}

    def served(behaviour: Behaviour) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await behaviour.play(Peer(reader, writer))
            except (OSError, EOFError, asyncio.CancelledError, asyncio.LimitOverrunError):
                pass  # the sender had enough, or the test has ended
            finally:
                writer.close()
                tasks.discard(task)

        return serve

    for behaviour in BEHAVIOURS:
        options = {"ssl": tls[behaviour.tls]} if behaviour.tls else {}
        server = await asyncio.start_server(served(behaviour), "127.0.0.1", 0, backlog=200, **options)
        servers.append(server)
        scheme, host = ("https" if behaviour.is_https else "http"), behaviour.url_host or "127.0.0.1"
        urls[behaviour.name] = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}/hook"
    # Nobody listens, and a queue of connections that is full: the system answers for the first, nobody for the second.
    with socket.socket() as silent, socket.socket() as unheard:
        silent.bind(("127.0.0.1", 0))
        unheard.bind(("127.0.0.1", 0))
        unheard.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(unheard.getsockname())
        urls["nobody listens"] = f"http://127.0.0.1:{silent.getsockname()[1]}/hook"
        urls["nobody accepts"] = f"http://127.0.0.1:{unheard.getsockname()[1]}/hook"
        urls["a name that does not exist"] = "https://nobody.invalid/hook"
        try:
            yield urls
        finally:
            for server in servers:
                server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for filler in fillers:
                filler.close()


ENDS_AS = {behaviour.name: behaviour.ends_as for behaviour in BEHAVIOURS} | {
    "nobody listens": ("connect",),
    "nobody accepts": ("timeout",),
    "a name that does not exist": ("dns",),
}


async def _stand_alone(authority: str) -> None:
    """Have them listen until standard input ends: they take time from no one's event loop but this process's."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(authority)
    async with standing(ca) as urls:
        print(json.dumps(urls), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_stand_alone(sys.argv[1]))
