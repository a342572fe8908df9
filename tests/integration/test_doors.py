"""What stands before the application: bounds on heads, bodies, connections and times, each over a real socket."""

import asyncio
import re
import socket
import sys
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tidings import __version__
from tidings.api.serving.bounds import LINGER_BYTES, MAX_PIPELINED, READ_AT_LEAST, READ_AT_MOST
from tidings.api.serving.budgets import AT_ONCE
from tidings.api.serving.entrance import Entrance, Limits
from tidings.api.serving.heads import end_of_read, has_one_host
from tidings.api.serving.protocol import GuardedProtocol
from tidings.api.serving.refusals import MAX_HEADERS
from tidings.api.serving.rests import DROP_SECONDS
from tidings.api.serving.server import serving
from tidings.api.serving.stopping import StoppingServer
from tidings.app import opened
from tidings.config import Config
from tidings.configured import load_config
from tidings.core.errors import StartupError
from tidings.running import _serving

LIMITS = Limits(
    connections=8, per_address=6, header_bytes=4096, header_seconds=1.0, body_bytes=100_000, body_seconds=1.0, idle_seconds=1.0
)
GET = b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n"


class Door:
    """A server with narrow limits; its application does as its path says."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.hold = asyncio.Event()
        self.held = self.left = 0
        config = serving(self, LIMITS)
        config.lifespan = "off"
        self.entrance: Entrance = config.http.keywords["entrance"]  # type: ignore[union-attr]
        self.server = StoppingServer(config)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/refuses":
            await _answer(send, 401)
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        else:
            return
        self.bodies.append(body)
        if scope["path"] == "/listen":
            self.held += 1
            assert (await receive())["type"] == "http.disconnect"
            self.left += 1
            return
        if scope["path"].endswith("/hold"):
            self.held += 1
            await self.hold.wait()
        await _answer(send, 200, b"x" * 50_000_000 if scope["path"] == "/large" else b"ok")

    async def open(self, first: bytes = b"", address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        writer.write(first)
        return reader, writer

    async def ask(self, data: bytes, address: str = "127.0.0.1") -> bytes:
        """Send all of it, and return what comes until the connection ends."""
        reader, writer = await self.open(data, address)
        try:
            return await _rest(reader)
        finally:
            writer.close()


async def _answer(send: Any, status: int, body: bytes = b"") -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _rest(reader: asyncio.StreamReader) -> bytes:
    got = b""
    async with asyncio.timeout(PATIENCE):
        try:
            while data := await reader.read(65_536):
                got += data
        except ConnectionError:
            pass
    return got


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    running = asyncio.create_task(door.server._serve(sockets=[door.listener]))
    yield door
    door.hold.set()
    door.server.should_exit = True
    await running
    assert len(door.entrance) == 0
    assert door.entrance.held_bytes == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"a" * 1_000_000,
        b"GET /" + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 100_000,
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"a" * 5000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"trailer: b\r\n" * 10_000,
    ],
    ids=["header without an end", "path without an end", "headers without an end", "many headers", "large head", "trailers"],
)  # fmt: skip
async def test_a_head_that_is_too_large_is_a_431(door: Door, sent: bytes) -> None:
    assert (await door.ask(sent)).startswith(b"HTTP/1.1 431 ")
    assert door.bodies == []


async def test_what_is_not_http_is_a_400(door: Door) -> None:
    for sent in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nhost x\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"):
        assert (await door.ask(sent)).startswith(b"HTTP/1.1 400 ")
    framing = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"a" * 500_000
    assert (await door.ask(framing)).startswith(b"HTTP/1.1 400 ")


_INNER = b"GET /inner HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"content-length: %d" % len(_INNER), _INNER),
        (b"transfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(_INNER), _INNER)),
    ],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("is_split", [False, True], ids=["at once", "head first"])
async def test_a_request_to_switch_protocols_keeps_its_body(door: Door, framing: bytes, sent: bytes, is_split: bool) -> None:
    waits = b"expect: 100-continue\r\n" if is_split else b""
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n%b%b\r\n\r\n" % (
        waits,
        framing,
    )
    after = GET % b"next"
    reader, writer = await door.open(head if is_split else head + sent + after)
    if is_split:
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # it has read the head
        writer.write(sent + after)
    answer = await _rest(reader)
    writer.close()
    assert answer.count(b"200 OK") == 2  # the body is none of them
    assert door.bodies == [_INNER, b""]


async def test_what_follows_a_request_to_switch_protocols_is_answered(door: Door) -> None:
    asks = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    assert (await door.ask(asks + asks + GET % b"")).count(b"200 OK") == 3


async def test_a_head_that_does_not_come_is_a_408_and_silence_is_closed(door: Door) -> None:
    assert (await door.ask(b"GET / HTTP/1.1\r\nhost: x\r\n")).startswith(b"HTTP/1.1 408 ")
    assert await door.ask(b"") == b""


async def test_a_head_that_drips_has_no_longer(door: Door) -> None:
    reader, writer = await door.open(b"GET / HTTP/1.1\r\nhost: x\r\nslow: ")
    answer = asyncio.create_task(_rest(reader))
    while not answer.done():
        writer.write(b"a")
        await asyncio.wait([answer], timeout=0.05)
    assert (await answer).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_body_that_does_not_come_is_a_408(door: Door) -> None:
    assert (await door.ask(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nab")).startswith(b"HTTP/1.1 408 ")
    assert door.bodies == []


async def test_a_body_that_is_too_large_is_a_413_before_it_comes(door: Door) -> None:
    assert (await door.ask(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100001\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
    chunk = b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n"
    answer = await door.ask(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 3)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_nobody_reads_is_not_read_for_ever(door: Door) -> None:
    reader, writer = await door.open(b"POST /refuses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    answer = asyncio.create_task(_rest(reader))
    with pytest.raises(ConnectionError):  # after the answer, so much of it is dropped and no more
        await _send_endlessly(writer)
    assert (await answer).startswith(b"HTTP/1.1 401 ")
    writer.close()


async def _send_endlessly(writer: asyncio.StreamWriter) -> None:
    for _ in range(2 * LINGER_BYTES // 0xFFFF):
        writer.write(b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n")
        await writer.drain()


async def test_a_connection_at_rest_ends(door: Door) -> None:
    assert (await door.ask(GET % b"")).endswith(b"\r\n\r\nok")


async def test_a_connection_is_kept_while_requests_come(door: Door) -> None:
    reader, writer = await door.open()
    for _ in range(3):
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi")
        assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert door.bodies == [b"hi"] * 3


_ASKS = b"".join(b"POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n%04d" % (n, n) for n in range(40))
_CHUNKED = b"POST /4 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n"


async def test_pipelined_requests_are_all_answered_in_order(door: Door) -> None:
    answers = await door.ask(_ASKS + _CHUNKED + (GET % b"") * 1000)
    assert answers.count(b"HTTP/1.1 200 ") == 1041
    assert door.bodies == [b"%04d" % n for n in range(40)] + [b"\r\n\r\n"] + [b""] * 1000
    assert not door.entrance.refused
    assert not door.entrance.held_bytes


async def test_a_body_of_empty_lines_is_read_at_the_price_of_any_other(door: Door) -> None:
    reads = 0

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal reads
        reads += event == "call" and frame.f_code is GuardedProtocol._take.__code__

    body = b"\r\n\r\n" * 20_000
    sys.setprofile(count)
    try:
        answers = await door.ask(
            b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
    finally:
        sys.setprofile(None)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert 0 < reads < len(body) / 100, "some hundred bytes at a time"


def in_pieces(path: bytes, pieces: int) -> bytes:
    """A request whose body comes a byte at a time."""
    head = b"POST /%b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n" % path
    return head + b"".join(b"1\r\n%c\r\n" % (ord("a") + number % 26) for number in range(pieces)) + b"0\r\n\r\n"


async def test_a_body_in_pieces_of_a_byte_is_read_whole_with_rests_between(door: Door) -> None:
    longest = 0

    def watched(spent: float) -> float:
        nonlocal longest
        longest = max(longest, door.entrance.resting)
        return Entrance.rest_seconds(door.entrance, spent) / 100

    door.entrance.rest_seconds = watched  # type: ignore[method-assign]
    asked = await asyncio.gather(*(door.ask(in_pieces(b"x", 40_000)) for _ in range(3)))
    assert [answer.split(b"\r\n", 1)[0] for answer in asked] == [b"HTTP/1.1 200 OK"] * 3
    wanted = bytes(ord("a") + number % 26 for number in range(40_000))
    assert door.bodies == [wanted] * 3
    assert longest >= 1
    assert door.entrance.resting == 0


async def test_a_body_that_rests_has_no_more_time_than_another(door: Door) -> None:
    door.entrance.rest_seconds = lambda _spent: 3600.0  # type: ignore[method-assign]
    assert (await door.ask(in_pieces(b"x", 40_000))).startswith(b"HTTP/1.1 408")
    assert door.entrance.refused == {"slow_body": 1}


async def test_what_rests_makes_way(door: Door) -> None:
    door.entrance.rest_seconds = lambda _spent: 3600.0  # type: ignore[method-assign]
    resting = [await door.open(in_pieces(b"x", 40_000)) for _ in range(LIMITS.per_address)]
    await eventually(lambda: _true(door.entrance.resting == LIMITS.per_address))
    asked = [await door.ask(GET % b"x", "127.0.0.2") for _ in range(3)]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in asked)
    for _, writer in resting:
        writer.close()


async def test_what_is_dropped_is_read_with_rests_and_the_refusal_arrives(door: Door) -> None:
    body = b"x" * 3_000_000
    answer = await door.ask(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 413")
    await eventually(lambda: _true(door.entrance.resting == len(door.entrance) == 0))


@given(connections=st.integers(1, 1000), spent=st.floats(1e-6, 1.0))
def test_all_that_rest_take_a_tenth_of_the_loop_together(connections: int, spent: float) -> None:
    entrance = Entrance(LIMITS)
    entrance.resting = connections
    assert connections * spent <= entrance.rest_seconds(spent) / 10 * 1.001


async def test_few_pieces_at_a_time_are_paid_for_as_many_are(door: Door) -> None:
    rested = await _rests_of(door)
    head, pieces = in_pieces(b"x", 4_000).split(b"\r\n\r\n", 1)
    reader, writer = await door.open(head + b"\r\n\r\n")
    for at in range(0, len(pieces), 600):  # a hundred pieces
        writer.write(pieces[at : at + 600])
        await writer.drain()
    assert (await _rest(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
    assert sum(rested) > 0.9 * 4_000 * 2e-6, "all but what is saved is paid for"


async def test_who_uploads_in_chunks_of_a_kilobyte_or_asks_often_never_rests(door: Door) -> None:
    rested = await _rests_of(door)
    chunks = b"".join(b"3e8\r\n" + b"x" * 1000 + b"\r\n" for _ in range(99)) + b"0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    small = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
    reader, writer = await door.open()
    for _ in range(10):
        writer.write(head + chunks)
        await reader.readuntil(b"\r\n\r\nok")
    for _ in range(300):
        writer.write(small)
        await reader.readuntil(b"\r\n\r\nok")
    writer.close()
    assert [len(body) for body in door.bodies] == [99_000] * 10 + [4] * 300
    assert rested == []


async def test_large_pieces_that_nobody_reads_pay_for_nothing(door: Door) -> None:
    rested = await _rests_of(door)
    reader, writer = await door.open(b"POST /refuses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    for _ in range(100):
        writer.write(b"ffff\r\n" + b"x" * 65_535 + b"\r\n")
        await writer.drain()
    writer.close()
    await eventually(lambda: _true(len(door.entrance) == 0))
    assert sum(rested) > 0.5 * 100 * 65_535 / READ_AT_MOST * DROP_SECONDS


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"x", b"x" * 300, b"x" * 40_000]), max_size=30).map(b"".join),
    st.integers(0, 60_000),
)
def test_what_is_read_at_a_time_ends_behind_the_end_of_a_head(data: bytes, at: int) -> None:
    end = data.find(b"\r\n\r\n", at + READ_AT_LEAST, at + READ_AT_MOST)
    assert end_of_read(data, at) == (min(len(data), at + READ_AT_MOST) if end < 0 else end + 4)


async def _rests_of(door: Door) -> list[float]:
    rested: list[float] = []

    def noted(spent: float) -> float:
        rested.append(spent)
        return 0.0

    door.entrance.rest_seconds = noted  # type: ignore[method-assign]
    return rested


async def test_a_stop_ends_bodies_without_an_end_and_answers_without_one(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 90\r\n\r\n"
    unfinished = [await door.open(head) for _ in range(3)]
    held, ending = await door.open(GET % b"hold")
    await eventually(lambda: _true(door.held == 1 and len(door.entrance) == 4))
    door.server.should_exit = True
    said = [await _rest(reader) for reader, _ in unfinished]
    assert [one.split(b"\r\n")[0] for one in said] == [b"HTTP/1.1 503 Service Unavailable"] * 3
    assert all(b'"STOPPING"' in one and b"retry-after" in one for one in said)
    assert await _rest(held) == b"", "it was cut off"
    for _, writer in [*unfinished, (held, ending)]:
        writer.close()
    await eventually(lambda: _true(bool(caplog.records)))
    (line,) = [record.getMessage() for record in caplog.records if record.name == "tidings.api"]
    assert line.startswith("clients are refused (stopping 4); ")
    assert "Traceback" not in caplog.text


async def test_requests_behind_one_in_pieces_wait_for_the_rest(door: Door) -> None:
    pieces = in_pieces(b"x", 2_000).replace(b"connection: close\r\n", b"")
    reads = 0

    def counted(_spent: float) -> float:
        nonlocal reads
        reads += 1
        return 0.0

    door.entrance.rest_seconds = counted  # type: ignore[method-assign]
    _, writer = await door.open(pieces * 10)
    await eventually(lambda: _true(len(door.bodies) == 10))
    assert reads >= 8, "all were read in one rest"
    writer.close()


# What is held of bodies ----------------------------------------------------------------------------------------------------


def unfinished(length: int) -> bytes:
    """A request with so much of its body, and not its last byte."""
    return b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (length + 1) + b"x" * length


@pytest.fixture
def narrow(door: Door) -> Door:
    door.entrance.most_held_bytes = 200_000
    door.entrance.limits = msgspec.structs.replace(LIMITS, body_seconds=PATIENCE)
    return door


async def test_bodies_that_never_end_make_way_for_others(narrow: Door) -> None:
    hogs = [await narrow.open(unfinished(length)) for length in (60_000, 80_000, 59_990)]
    await eventually(lambda: _true(narrow.entrance.held_bytes == 199_990))
    answer = await narrow.ask(unfinished(90_000) + b"x", "127.0.0.2")
    assert answer.startswith(b"HTTP/1.1 200")
    assert [len(body) for body in narrow.bodies] == [90_001]
    assert (await _rest(hogs[1][0])).startswith(b"HTTP/1.1 503"), "the largest made way"
    for _, writer in hogs:
        writer.close()


async def test_who_holds_most_is_told_that_there_is_no_room(narrow: Door) -> None:
    others = [await narrow.open(unfinished(60_000)) for _ in range(2)]
    await eventually(lambda: _true(narrow.entrance.held_bytes == 120_000))
    answer = await narrow.ask(unfinished(90_000) + b"x")
    assert answer.startswith(b"HTTP/1.1 503")
    assert narrow.bodies == []
    for _, writer in others:
        writer.write(b"x")
    await eventually(lambda: _true(len(narrow.bodies) == 2))
    for _, writer in others:
        writer.close()


async def test_few_pipelined_requests_are_read_before_they_are_answered(door: Door) -> None:
    reader, writer = await door.open(GET % b"hold" + _ASKS)
    await eventually(lambda: _true(door.held == 1))
    waiting = next(iter(door.entrance._open))
    read = len(waiting.pipeline)  # type: ignore[attr-defined]
    assert MAX_PIPELINED <= read <= 2 * MAX_PIPELINED
    each = len(_ASKS) // 40
    unread = (40 - read) * each
    assert unread - each <= door.entrance.held_bytes <= unread + 4 * read + 100
    door.hold.set()
    assert (await _rest(reader)).count(b"HTTP/1.1 200 ") == 41
    writer.close()
    assert door.bodies == [b"", *(b"%04d" % n for n in range(40))]
    assert not door.entrance.held_bytes


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100001\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcdef", b"400"),
    ],
)
async def test_what_was_asked_before_something_bad_is_answered_first(door: Door, bad: bytes, status: bytes) -> None:
    answers = await door.ask((GET % b"") * 3 + bad + GET % b"")
    assert re.findall(rb"HTTP/1.1 ([0-9]+) ", answers) == [b"200", b"200", b"200", status]


async def test_requests_behind_one_that_takes_its_time_are_not_taken_for_slow(door: Door) -> None:
    reader, writer = await door.open(GET % b"hold" + GET % b"" + b"GET / HTTP/1.1\r\n")
    await eventually(lambda: _true(door.held == 1))
    waiting = next(iter(door.entrance._open))
    waiting.look(asyncio.get_running_loop().time() + 10 * LIMITS.header_seconds)
    door.hold.set()
    writer.write(b"host: x\r\n\r\n")
    assert (await _rest(reader)).count(b"HTTP/1.1 200 ") == 3
    writer.close()


async def test_who_asks_behind_a_request_that_is_worked_on_and_goes_is_not_waited_for(door: Door) -> None:
    _, writer = await door.open(GET % b"listen" + GET % b"")
    await eventually(lambda: _true(door.held == 1))
    writer.transport.abort()
    await eventually(lambda: _true(door.left == 1))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1\r\n",
        b"HTTP/1.1\r\nhost: x\r\nhost: x\r\n",
        b"HTTP/1.0\r\nhost: x\r\nhost: y\r\n",
        b"HTTP/1.1\r\nhost: x y\r\n",
        b"HTTP/1.1\r\nhost: x/y\r\n",
        b"HTTP/1.1\r\nhost: me@x\r\n",
        b"HTTP/1.1\r\nhost: x:80:80\r\n",
        b"HTTP/1.1\r\nhost: x:y\r\n",
        b"HTTP/1.1\r\nhost: <x>\r\n",
        b"HTTP/1.1\r\nhost: [::1\r\n",
        "HTTP/1.1\r\nhost: bücher\r\n".encode(),
    ],
)
async def test_a_request_says_once_whom_it_is_for(door: Door, head: bytes) -> None:
    assert (await door.ask(b"GET / " + head + b"\r\n")).startswith(b"HTTP/1.1 400 ")
    assert door.entrance.refused["host"] == 1
    assert not door.bodies


async def test_hosts_of_all_kinds_are_taken() -> None:
    for host in (b"x", b"x:1", b"a_b.example.", b"[::1]:8080", b"127.0.0.1:80", b"", b"xn--bcher-kva.example", b"x:"):
        assert has_one_host([(b"host", host)], "1.1"), host
    assert has_one_host([], "1.0")


async def test_connections_are_bounded_by_address_and_in_all(door: Door) -> None:
    holding = [await door.open(GET % b"hold") for _ in range(LIMITS.per_address)]
    await eventually(lambda: _true(door.held == LIMITS.per_address))
    assert b"Retry-After" in (await door.ask(GET % b"")).title()
    others = [await door.open(GET % b"hold", "127.0.0.2") for _ in range(LIMITS.connections - LIMITS.per_address)]
    await eventually(lambda: _true(door.held == LIMITS.connections))
    assert (await door.ask(GET % b"", "127.0.0.3")).startswith(b"HTTP/1.1 503 ")
    assert dict(door.entrance.refused) == {"address": 1, "connections": 1}
    door.hold.set()
    for reader, writer in holding + others:
        await reader.readuntil(b"\r\n\r\nok")
        writer.close()


async def test_a_trusted_proxy_may_have_all_connections(door: Door) -> None:
    door.entrance.limits = msgspec.structs.replace(LIMITS, proxies=(ip_network("127.0.0.1/32"),))
    holding = [await door.open(GET % b"hold") for _ in range(LIMITS.connections)]
    await eventually(lambda: _true(door.held == LIMITS.connections))
    door.hold.set()
    for reader, writer in holding:
        await reader.readuntil(b"\r\n\r\nok")
        writer.close()


async def test_who_says_nothing_makes_way_for_who_comes(door: Door) -> None:
    silent = [await door.open(b"GET / HTTP/1.1\r\n") for _ in range(LIMITS.per_address)]

    async def is_answered() -> bool:  # at once those that are young need not make way
        return (await door.ask(GET % b"")).endswith(b"\r\n\r\nok")

    await eventually(is_answered)
    for _, writer in silent:
        writer.close()


async def test_an_answer_that_nobody_reads_is_given_up(door: Door, request: pytest.FixtureRequest) -> None:
    _, writer = await door.open(GET % b"large")
    writer.transport.pause_reading()
    (visitor,) = await eventually(lambda: _them(door))
    await eventually(lambda: _true(visitor._stalled_at != float("inf")))
    visitor.look(visitor._stalled_at + 1_000_000)
    await eventually(lambda: _true(len(door.entrance) == 0))
    assert door.entrance.refused["unread"] == 1
    writer.close()


async def test_notices_and_calls_have_budgets_of_their_own(door: Door) -> None:
    one, other = _Requests(door, b"in/hold", AT_ONCE["notices"]), _Requests(door, b"api/hold", 1)
    await one.begin()
    await eventually(lambda: _true(door.held == AT_ONCE["notices"]))
    assert (await one.refused()).startswith(b"HTTP/1.1 503 ")
    await other.begin()
    await eventually(lambda: _true(door.held == AT_ONCE["notices"] + 1))
    door.hold.set()
    await one.end()
    await other.end()


class _Requests:
    """Requests that go past the socket: there are fewer connections than a budget has places."""

    def __init__(self, door: Door, path: bytes, count: int) -> None:
        self._app = door.server.config.app
        self._path, self._count = path.decode(), count
        self._tasks: list[asyncio.Task[bytes]] = []

    async def _one(self) -> bytes:
        said: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        await self._app({"type": "http", "path": f"/{self._path}", "method": "GET"}, receive, send)
        return b"HTTP/1.1 %d " % said[0]["status"]

    async def begin(self) -> None:
        self._tasks = [asyncio.create_task(self._one()) for _ in range(self._count)]

    async def refused(self) -> bytes:
        return await self._one()

    async def end(self) -> None:
        assert set(await asyncio.gather(*self._tasks)) == {b"HTTP/1.1 200 "}


async def _true(value: bool) -> bool:
    return value


async def _them(door: Door) -> list[Any]:
    return list(door.entrance._open)


# What tells how an installation does, and how it is made ---------------------------------------------------------------------


async def test_metrics_have_a_key_and_an_address_of_their_own(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = msgspec.structs.replace(config, metrics_key="watch", metrics_address=f"127.0.0.1:{port}")
    async with opened(config) as services, _serving(services) as url, httpx.AsyncClient(timeout=PATIENCE) as client:

        async def status(address: str, **headers: str) -> int:
            return (await client.get(address, headers=headers)).status_code

        own = f"http://127.0.0.1:{port}"
        assert [await status(own + path) for path in ("/metrics", "/healthz", "/readyz")] == [200, 200, 503]  # no worker runs
        assert [await status(own + path) for path in ("/", "/openapi.json", "/api/v1/webhooks", "/sign-in")] == [404] * 4
        for path in ("/metrics", "/openapi.json"):
            assert await status(url + path) == 401
            assert [await status(url + path, apikey=key) for key in ("watch", "test")] == [200, 200]
        assert await status(f"{url}/api/v1/webhooks", apikey="watch") == 401
        strangers = [
            await client.get(url + path, headers={"accept": kind})
            for path in ("/", "/sign-in")
            for kind in ("*/*", "text/html")
        ]
        assert not [one for one in strangers if __version__ in one.text + str(one.headers)]


async def test_documents_are_open_where_that_is_configured(config: Config) -> None:
    async with (
        opened(msgspec.structs.replace(config, open_documents=True)) as services,
        _serving(services) as url,
        httpx.AsyncClient(timeout=PATIENCE) as client,
    ):
        for path in ("/metrics", "/openapi.json"):
            assert (await client.get(url + path)).status_code == 200


@pytest.mark.parametrize("address", ["9464", ":9464", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:x"])
def test_an_address_for_metrics_is_an_address(address: str) -> None:
    with pytest.raises(StartupError, match="metrics_address"):
        load_config({"metrics_address": address}, environ={})
