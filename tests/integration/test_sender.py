"""The sender against receivers of every kind, over real sockets."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from itertools import pairwise
from time import perf_counter
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.dns import dns
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, hangs, resets, says
from tidings.core.egress import Egress
from tidings.core.outcome import Exchange
from tidings.core.target import Target, parse_target, request_head
from tidings.transport.connection import MAX_HEADER_BYTES, MAX_KEPT_BODY_BYTES, Call, HttpConnection
from tidings.transport.deadlines import SWEEPS_PER_SECOND, Deadlines
from tidings.transport.names import Names
from tidings.transport.sender import Sender

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender = Sender(Egress(allowed=LOOPBACK))
    yield sender
    await sender.close()


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """Listen, and say nothing to anyone."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


async def post(sender: Sender, url: str, body: bytes = b"{}", timeout: float = PATIENCE, headers: Any = ()) -> Exchange:
    return await sender.send(parse_target(url), written(url, body, headers), timeout_seconds=timeout)


def written(url: str, body: bytes = b"{}", headers: Any = ()) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{request_head('POST', url)}{lines}content-length: {len(body)}\r\n\r\n".encode() + body


class Told:
    """What was told of exchanges, in order."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._came = asyncio.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._came.set()

    async def reach(self, count: int, limit: float = PATIENCE) -> list[Exchange]:
        async with asyncio.timeout(limit):
            while len(self.exchanges) < count:
                self._came.clear()
                await self._came.wait()
        return self.exchanges


async def test_a_request_arrives_as_it_was_meant(sender: Sender, receiver: Receiver) -> None:
    body = "ü☃".encode() * 1000
    exchange = await post(sender, receiver.url("/a/b?c=d%20e"), body, headers=[("Authorization", "Bearer x")])
    (request,) = receiver.received
    assert (exchange.status, exchange.body, exchange.failure) == (200, b"ok", None)
    assert (request.method, request.path, request.body) == ("POST", "/a/b?c=d%20e", body)
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["authorization"] == "Bearer x"


async def test_connections_are_kept_and_used_again(sender: Sender, receiver: Receiver) -> None:
    for _ in range(5):
        await post(sender, receiver.url())
    assert receiver.connections == 1


async def test_a_response_that_asks_to_close_is_not_reused(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(headers={"connection": "close"}))
    for _ in range(3):
        assert (await post(sender, receiver.url())).status == 200
    assert receiver.connections == 3


async def test_a_kept_connection_the_receiver_closed_is_told_from_a_failing_receiver(
    sender: Sender, receiver: Receiver
) -> None:
    await post(sender, receiver.url())
    receiver.scripts.append(resets)
    stale = await post(sender, receiver.url())
    assert (stale.failure, stale.is_stale_connection) == ("reset", True)
    receiver.scripts.append(resets)
    fresh = await post(sender, receiver.url())
    assert (fresh.failure, fresh.is_stale_connection) == ("reset", False)


async def test_a_body_past_the_cap_is_cut_and_noted_and_counts(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(200, b"x" * 300_000))
    exchange = await post(sender, receiver.url())
    assert (exchange.status, exchange.failure, exchange.is_truncated) == (200, None, True)
    assert len(exchange.body) == MAX_KEPT_BODY_BYTES


@pytest.mark.parametrize(
    ("data", "failure", "words"),
    [
        (b"HTP/1.1 200 OK\r\n\r\n", "protocol", "not HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "protocol", "not HTTP"),
        (b"\x16\x03\x01\x00", "protocol", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "protocol", "not HTTP"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "protocol", "switch"),
    ],
)
async def test_what_is_not_http_fails_with_its_reason(
    sender: Sender, receiver: Receiver, data: bytes, failure: str, words: str
) -> None:
    receiver.otherwise = says(data)
    exchange = await post(sender, receiver.url(), timeout=PATIENCE)
    assert exchange.failure == failure
    assert words in (exchange.error or "")


async def _flood(writer: asyncio.StreamWriter, start: bytes, piece: bytes) -> None:
    writer.write(start)
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()


async def test_endless_headers_fail_and_memory_stays_flat(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(writer, b"HTTP/1.1 200 OK\r\n", b"x: " + b"y" * 4000 + b"\r\n")
    before = _rss_mb()
    exchange = await post(sender, receiver.url(), timeout=PATIENCE)
    assert exchange.failure == "too_large"
    assert "headers" in (exchange.error or "")
    assert _rss_mb() - before < 20


async def test_one_endless_header_line_fails_too(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(writer, b"HTTP/1.1 200 OK\r\nx: ", b"y" * 4096)
    assert (await post(sender, receiver.url(), timeout=PATIENCE)).failure == "too_large"


async def test_an_endless_body_is_read_to_its_limit_and_memory_stays_flat(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(
        writer, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1000\r\n" + b"z" * 4096 + b"\r\n"
    )
    before = _rss_mb()
    exchange = await post(sender, receiver.url(), timeout=PATIENCE)
    assert (exchange.failure, exchange.status, len(exchange.body)) == (None, 200, MAX_KEPT_BODY_BYTES)
    assert exchange.is_truncated
    assert _rss_mb() - before < 30
    receiver.otherwise = says(answer())
    assert (await post(sender, receiver.url())).status == 200
    assert receiver.connections == 2, "what was not read to its end is not used again"


async def test_chunks_of_a_byte_fail_before_they_cost(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(
        writer, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 500
    )
    exchange = await post(sender, receiver.url(), timeout=PATIENCE)
    assert (exchange.failure, exchange.status) == ("too_large", 200)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 3000 + b"content-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 3000 + b"0\r\n\r\n",
        b"HTTP/1.1 103 X\r\n\r\n" * 3000 + answer(),
    ],
    ids=["headers", "chunks", "interim responses"],
)
async def test_very_many_tiny_pieces_fail_though_they_are_few_bytes(sender: Sender, receiver: Receiver, data: bytes) -> None:
    """They arrive in one packet, and each takes its time of the event loop that all others share."""
    receiver.otherwise = says(data)
    exchange = await post(sender, receiver.url(), timeout=PATIENCE)
    assert exchange.failure == "too_large"
    assert "at most 2048" in (exchange.error or "")


async def test_a_thousand_headers_are_read(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = says(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000 + b"content-length: 0\r\n\r\n")
    exchange = await post(sender, receiver.url())
    assert (exchange.failure, len(exchange.headers)) == (None, 1001)


async def test_endless_interim_responses_fail(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
    assert (await post(sender, receiver.url(), timeout=PATIENCE)).failure == "too_large"


async def test_an_interim_response_is_passed_over(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = says(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(204, b""))
    assert (await post(sender, receiver.url())).status == 204


async def test_a_byte_at_a_time_ends_with_the_timeout(sender: Sender, receiver: Receiver) -> None:
    async def drips(_: Any, writer: asyncio.StreamWriter) -> None:
        for byte in answer(200, b"x" * 1000):
            writer.write(bytes([byte]))
            await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=0.05)

    receiver.otherwise = drips
    exchange = await post(sender, receiver.url(), timeout=1)
    assert exchange.failure == "timeout"
    assert "end of the response" in (exchange.error or "")


async def test_silence_ends_with_the_timeout(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    exchange = await post(sender, receiver.url(), timeout=1)
    assert (exchange.failure, exchange.status) == ("timeout", None)
    assert "1 s" in (exchange.error or "")


async def test_redirects_are_not_followed(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = says(answer(302, headers={"location": receiver.url("/elsewhere")}))
    assert (await post(sender, receiver.url())).status == 302
    assert len(receiver.received) == 1


async def test_a_body_that_ends_with_the_connection_is_whole(sender: Sender, receiver: Receiver) -> None:
    async def closes(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it")
        writer.close()

    receiver.otherwise = closes
    exchange = await post(sender, receiver.url())
    assert (exchange.status, exchange.body, exchange.failure) == (200, b"all of it", None)


async def test_a_body_cut_short_is_a_failure(sender: Sender, receiver: Receiver) -> None:
    async def cuts(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        writer.close()

    receiver.otherwise = cuts
    assert (await post(sender, receiver.url())).failure == "reset"


async def test_a_refused_connection_is_a_failure_with_its_reason(sender: Sender, unused_tcp_port: int) -> None:
    exchange = await post(sender, f"http://127.0.0.1:{unused_tcp_port}/")
    assert exchange.failure == "connect"
    assert str(unused_tcp_port) in (exchange.error or "")


async def test_a_name_that_does_not_exist_is_a_failure_with_its_reason(sender: Sender) -> None:
    exchange = await post(sender, "http://no-such-host.invalid/", timeout=PATIENCE)
    assert exchange.failure in {"dns", "timeout"}
    assert "no-such-host.invalid" in (exchange.error or "")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost", "2130706433", "0x7f.1", "10.1.2.3", "169.254.169.254"])  # fmt: skip
async def test_addresses_that_are_not_public_are_not_connected_to(host: str, receiver: Receiver) -> None:
    sender = Sender()
    exchange = await post(sender, f"http://{host}:{receiver.port}/")
    assert exchange.failure == "address_refused"
    assert receiver.connections == 0


async def test_sentences_name_no_address_that_is_not_public_for_a_name(
    sender: Sender, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tidings.sender")
    for host, shown in (("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")):
        exchange = await post(sender, f"http://{host}:{unused_tcp_port}/")
        assert (exchange.error or "").startswith(f"The connection to {shown} port {unused_tcp_port} failed (Connection refused")
    async with dns({"inside.test": [["10.1.2.3"]]}) as server:
        other = Sender(names=Names(("127.0.0.1",), server.port))
        said = (await post(other, "https://inside.test/")).error or ""
        await other.close()
    assert said.startswith("inside.test is not allowed here.")
    assert "10.1.2.3" not in said
    (told,) = [record.getMessage() for record in caplog.records if "inside.test" in record.getMessage()]
    assert "10.1.2.3 is not public (TIDINGS_ALLOW_PRIVATE_NETWORKS" in told, "the operator has to know"


async def test_a_refusal_is_known_when_a_webhook_is_made(sender: Sender) -> None:
    refusal = await sender.refusal(parse_target("https://10.0.0.1/"))
    assert refusal is not None
    assert "10.0.0.1" in refusal.sentence
    assert await sender.refusal(parse_target("http://127.0.0.1/")) is None
    assert await sender.refusal(parse_target("https://no-such-host.invalid/")) is None


async def test_tls_is_checked_against_the_name(receiver: Receiver) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    secure = Receiver()
    await secure.start(ssl=server_side)
    for context, host, failure in (
        (trusting, "localhost", None),
        (trusting, "127.0.0.1", "tls"),
        (None, "localhost", "tls"),
    ):
        sender = Sender(Egress(allowed=(*LOOPBACK, ip_network("::1/128"))), tls=context)
        exchange = await post(sender, f"https://{host}:{secure.port}/")
        assert exchange.failure == failure, exchange.error
        if failure is None:
            assert exchange.status == 200
            assert exchange.timings.tls_ms is not None
        await sender.close()
    await secure.stop()


async def test_handshakes_that_fail_leave_no_descriptor_open() -> None:
    """Two hundred, in each way in which a receiver can break one, all at once."""
    came: list[str] = []
    untrusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(untrusted)

    def breaks(said: bytes | None, *, then: str) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                assert await reader.read(1)
                came.append(then)
                writer.write(said or b"")
                if then == "abort":
                    writer.transport.abort()
                elif then == "wait":
                    while await reader.read(65_536):
                        pass
            except OSError:
                pass
            finally:
                writer.close()

        return serve

    ways: list[tuple[Any, ssl.SSLContext | None, float, str]] = [
        (breaks(b"HTTP/1.1 400 Bad Request\r\n\r\n", then="close"), None, PATIENCE, "tls"),
        (breaks(b"HTTP/1.1 400 Bad Request\r\n\r\n", then="wait"), None, PATIENCE, "tls"),
        (breaks(None, then="close"), None, PATIENCE, "tls"),
        (breaks(None, then="abort"), None, PATIENCE, "tls"),
        (breaks(None, then="wait"), untrusted, PATIENCE, "tls"),
        (breaks(None, then="wait"), None, 0.5, "timeout"),
        (breaks(b"\x16\x03\x03\x40\x00", then="wait"), None, 0.5, "timeout"),
        (breaks(None, then="wait"), None, PATIENCE, "stopped"),
    ]

    async def fail(count: int) -> None:
        for serve, tls, seconds, failure in ways:
            server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, backlog=100)
            sender, told = Sender(egress=Egress(allowed=LOOPBACK)), Told()
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            came.clear()
            calls = [sender.start(parse_target(url), written(url), timeout_seconds=seconds, done=told) for _ in range(count)]
            if failure == "stopped":
                await eventually(lambda: have_come(count))
                for call in calls:
                    call.abort()
            assert [exchange.failure for exchange in await told.reach(count)] == [failure] * count
            await sender.close()
            server.close()

    async def have_come(count: int) -> bool:
        return len(came) == count

    async def are_closed() -> bool:
        return len(os.listdir("/proc/self/fd")) <= before

    await fail(1)  # what is opened once for all is open
    before = len(os.listdir("/proc/self/fd"))
    await fail(200 // len(ways))
    await eventually(are_closed)  # the receiver's own a moment later


async def test_a_url_is_reached_for_without_sending_anything(receiver: Receiver) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    secure = Receiver()
    await secure.start(ssl=server_side)
    sender = Sender(Egress(allowed=(*LOOPBACK, ip_network("::1/128"))), tls=trusting)
    reached = await sender.reach(parse_target(f"https://localhost:{secure.port}/"), PATIENCE)
    assert (reached.failure, reached.tls) == (None, "TLSv1.3")
    assert reached.certificate_until.endswith("GMT")
    assert (await sender.reach(parse_target(receiver.url()), PATIENCE)).tls is None
    assert (await sender.reach(parse_target(f"https://127.0.0.1:{secure.port}/"), PATIENCE)).failure == "tls"
    assert (await sender.reach(parse_target("https://10.0.0.1/"), PATIENCE)).failure == "address_refused"
    assert (await sender.reach(parse_target("http://127.0.0.1:1/"), PATIENCE)).failure == "connect"
    assert (secure.received, receiver.received) == ([], [])
    await sender.close()
    await secure.stop()


async def test_the_time_of_each_phase_is_kept(sender: Sender, receiver: Receiver) -> None:
    first, second = (await post(sender, receiver.url())).timings, (await post(sender, receiver.url())).timings
    assert first.connect_ms is not None
    assert first.first_byte_ms is not None
    assert first.connect_ms <= first.first_byte_ms <= first.total_ms
    assert (second.dns_ms, second.connect_ms, second.tls_ms) == (None, None, None)


async def test_many_exchanges_at_once_do_not_mix(sender: Sender, receiver: Receiver) -> None:
    async def echoes(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, request.body))

    receiver.otherwise = echoes
    exchanges = await asyncio.gather(*(post(sender, receiver.url(), str(n).encode()) for n in range(300)))
    assert [int(exchange.body) for exchange in exchanges] == list(range(300))


async def test_cancelling_closes_the_connection(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    task = asyncio.create_task(post(sender, receiver.url()))
    await receiver.wait_for(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    receiver.otherwise = says(answer())
    assert (await post(sender, receiver.url())).status == 200
    assert receiver.connections == 2


async def test_done_is_told_once_and_never_before_start_returns(sender: Sender, receiver: Receiver) -> None:
    told, begun = Told(), 0

    def begin(exchange: Exchange | None = None) -> None:
        nonlocal begun
        if exchange is not None:
            told(exchange)
        if begun < 50:
            begun += 1
            before = len(told.exchanges)
            sender.start(parse_target(receiver.url()), written(receiver.url()), timeout_seconds=5, done=begin)
            assert len(told.exchanges) == before

    begin()
    exchanges = await told.reach(50)
    assert [exchange.status for exchange in exchanges] == [200] * 50
    assert receiver.connections == 1
    await post(sender, receiver.url())
    assert len(told.exchanges) == 50


async def test_a_request_that_cannot_be_written_ends_its_exchange_once(
    sender: Sender, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    url = receiver.url()
    assert (await post(sender, url)).status == 200
    ((kept,),) = sender._idle.values()
    transport, kept.transport = kept.transport, None  # nothing can be written to it
    told = Told()
    sender.start(parse_target(url), written(url), timeout_seconds=PATIENCE, done=told)
    assert told.exchanges == [], "never before it returns"
    (exchange,) = await told.reach(1)
    assert exchange.failure == "internal"
    assert "no request could be written" in caplog.text
    transport.abort()
    assert (await post(sender, url)).status == 200, "on another connection"
    assert len(told.exchanges) == 1
    assert not any(sender._deadlines._buckets.values())


async def test_a_done_that_breaks_is_told_and_hurts_nobody_else(
    sender: Sender, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: Exchange) -> None:
        raise ValueError("mine")

    told = Told()
    for done in (breaks, told, breaks, told):
        sender.start(parse_target(receiver.url()), written(receiver.url()), timeout_seconds=5, done=done)
    assert [exchange.status for exchange in await told.reach(2)] == [200, 200]
    assert (await post(sender, receiver.url())).status == 200
    assert "mine" in caplog.text


async def test_what_is_aborted_is_told_as_stopped_in_every_phase(
    sender: Sender, receiver: Receiver, silence: socket.socket
) -> None:
    async def half(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        await hangs(_, writer)

    told = Told()

    def start(url: str) -> Call:
        return sender.start(parse_target(url), written(url), timeout_seconds=20, done=told)

    at_once = start(receiver.url())
    at_once.abort()
    shaking_hands = start(f"https://127.0.0.1:{silence.getsockname()[1]}/")
    loop = asyncio.get_running_loop()
    with (await loop.sock_accept(silence))[0] as accepted:
        assert await loop.sock_recv(accepted, 1)  # of its first message
    shaking_hands.abort()
    looking_up = start("http://no-such-host.invalid/")
    await asyncio.sleep(0)  # it has begun, and cannot have an answer yet
    looking_up.abort()
    receiver.scripts.extend([hangs, half])
    waiting = start(receiver.url())
    await receiver.wait_for(1)
    reading = start(receiver.url())
    await receiver.wait_for(2)
    waiting.abort()
    reading.abort()
    assert [exchange.failure for exchange in told.exchanges] == ["stopped"] * 5
    assert {exchange.error for exchange in told.exchanges} == {"Tidings was stopped while it waited for the response."}
    for call in (at_once, looking_up, shaking_hands, waiting, reading):
        call.abort()
    assert (await post(sender, receiver.url())).status == 200
    assert len(told.exchanges) == 5


async def test_an_exchange_that_has_ended_is_not_aborted_nor_the_one_after_it(sender: Sender, receiver: Receiver) -> None:
    told = Told()
    target, data = parse_target(receiver.url()), written(receiver.url())
    first = sender.start(target, data, timeout_seconds=5, done=told)
    await told.reach(1)
    sender.start(target, data, timeout_seconds=5, done=told)
    first.abort()
    assert [exchange.status for exchange in await told.reach(2)] == [200, 200]
    assert receiver.connections == 1


async def test_a_closed_sender_sends_nothing_more_and_lets_the_rest_end(sender: Sender, receiver: Receiver) -> None:
    told = Told()
    sender.start(parse_target(receiver.url()), written(receiver.url()), timeout_seconds=5, done=told)
    await receiver.wait_for(1)
    await sender.close()
    late = await post(sender, receiver.url())
    assert (late.failure, late.error) == ("stopped", "Tidings is stopping and sends nothing more.")
    assert [exchange.status for exchange in await told.reach(1)] == [200]
    assert len(receiver.received) == 1


async def test_opening_a_connection_ends_with_the_timeout_too(sender: Sender, silence: socket.socket) -> None:
    exchange = await post(sender, f"https://127.0.0.1:{silence.getsockname()[1]}/", timeout=1)
    assert exchange.failure == "timeout"
    assert "TLS handshake" in (exchange.error or "")
    assert exchange.timings.total_ms >= 990


async def test_thousands_of_exchanges_time_out_each_within_a_tenth_of_a_second() -> None:
    ended: dict[Call, Exchange] = {}
    deadlines = Deadlines()

    def on_end(_: HttpConnection, call: Call, exchange: Exchange) -> None:
        deadlines.remove(call)
        ended[call] = exchange
        call.tell(exchange)

    begun = perf_counter() + 60  # a time that this test makes pass
    calls = [Call(lambda _: None, timeout, begun + n / 10_000) for n in range(4000) for timeout in (0.1, 0.35, 30, 300)]
    for call in calls:
        deadlines.add(call)
        _connection(on_end).begin(call, b"")
    quick = [call for call in calls if call.timeout_seconds != 30]
    for call in set(calls) - set(quick):
        assert call.connection is not None
        call.connection.end()
    now, looks = begun, 0
    while len(ended) < len(calls):
        now, before = now + 1 / SWEEPS_PER_SECOND, len(ended)
        deadlines.sweep(now)
        looks += 1
        for call in list(ended)[before:]:
            assert 0 <= now - (call.started + call.timeout_seconds) <= 0.1
    assert {ended[call].failure for call in quick} == {"timeout"}
    assert looks < 301 * SWEEPS_PER_SECOND


async def test_a_deadline_that_is_over_before_the_connection_is_open_is_seen_at_the_next_sweep() -> None:
    deadlines, told = Deadlines(), Told()
    connection = _connection(lambda _, call, exchange: call.tell(exchange))
    now = perf_counter()
    late, other = Call(told, 5, now - 60), Call(told, 300, now)
    deadlines.add(other)
    deadlines.add(late)
    connection.begin(late, b"")
    deadlines.sweep(perf_counter() + 1 / SWEEPS_PER_SECOND)
    assert [exchange.failure for exchange in told.exchanges] == ["timeout"]
    for call in (late, other):
        deadlines.remove(call)


async def test_exchanges_that_hang_end_at_their_time_over_real_sockets(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    told = Told()
    for n in range(200):
        sender.start(parse_target(receiver.url()), written(receiver.url()), timeout_seconds=0.3 + n % 5 / 10, done=told)
    exchanges = await told.reach(200)
    assert {exchange.failure for exchange in exchanges} == {"timeout"}
    assert min(exchange.timings.total_ms for exchange in exchanges) >= 290  # timers of the loop may be early by a tick
    assert not any(sender._deadlines._buckets.values())
    receiver.otherwise = says(answer())
    assert (await post(sender, receiver.url())).status == 200


async def test_trailers_are_read_and_not_kept(sender: Sender, receiver: Receiver) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nkeep-alive: timeout=0\r\n\r\n"
    receiver.scripts.append(says(chunked))
    exchange = await post(sender, receiver.url())
    assert (exchange.failure, exchange.body, exchange.headers) == (None, b"ok", (("transfer-encoding", "chunked"),))
    assert (await post(sender, receiver.url())).headers == (("content-length", "2"),)
    assert receiver.connections == 1


@pytest.mark.parametrize("piece", [b"x: " + b"y" * 4000 + b"\r\n", b"y" * 4096], ids=["many", "one"])
async def test_endless_trailers_fail_and_memory_stays_flat(sender: Sender, receiver: Receiver, piece: bytes) -> None:
    start = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: "
    receiver.otherwise = lambda _, writer: _flood(writer, start, piece)
    before = _rss_mb()
    exchange = await post(sender, receiver.url(), timeout=PATIENCE)
    assert (exchange.failure, exchange.status, exchange.body) == ("too_large", 200, b"ok")
    assert "headers" in (exchange.error or "")
    assert _rss_mb() - before < 20


async def test_endless_interim_headers_fail(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(writer, b"", b"HTTP/1.1 103 X\r\nlink: " + b"y" * 400 + b"\r\n\r\n")
    assert (await post(sender, receiver.url(), timeout=PATIENCE)).failure == "too_large"


async def test_what_follows_a_response_is_not_taken_for_the_next(sender: Sender, receiver: Receiver) -> None:
    for surplus in (answer(500), b"HTT", b"junk"):
        receiver.scripts.append(says(answer() + surplus))
        assert (await post(sender, receiver.url())).status == 200
    assert (await post(sender, receiver.url())).status == 200
    assert receiver.connections == 4


# A connection alone ----------------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """The least of a transport: what is written goes nowhere, and closing it is noted."""

    is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the data."""

    def abort(self) -> None:
        self.is_aborted = True


def _connection(on_end: Any) -> HttpConnection:
    connection = HttpConnection(Target(False, "example.com", 80), on_end)
    connection.connection_made(Wire())
    return connection


_valid = st.sampled_from([
    answer(200, b"x" * 100, {"keep-alive": "timeout=5", "x-a": "b"}),
    answer(410, b""),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + answer(201, b"made"),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;q=1\r\nabcd\r\n1\r\ne\r\n0\r\nx-trailer: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end",
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    answer(200, b"z" * 70_000),
    b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
])  # fmt: skip
_endings = st.sampled_from(["closed", "reset", "timeout", "abort"])


def _outcome(pieces: list[bytes], ending: str) -> tuple[Any, ...]:
    """Feed a connection, end what has not ended, and return what was told."""
    told: list[Exchange] = []
    connection = _connection(lambda _, call, exchange: call.tell(exchange))
    call = Call(told.append, 5, 0.0)
    connection.begin(call, b"request")
    for piece in pieces:
        connection.data_received(piece)
        if connection.transport.is_aborted:
            break
    match ending:
        case "timeout":
            connection.time_out()
        case "abort":
            call.abort()
        case _:
            connection.connection_lost(ConnectionResetError() if ending == "reset" else None)
    call.abort()
    connection.time_out()
    (exchange,) = told
    assert exchange.status is not None or exchange.failure is not None
    assert len(exchange.body) <= MAX_KEPT_BODY_BYTES
    assert sum(len(name) + len(value) for name, value in exchange.headers) <= MAX_HEADER_BYTES
    assert not (connection.can_be_reused and exchange.failure)
    return exchange.status, exchange.headers, exchange.body, exchange.is_truncated, exchange.failure, exchange.error


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(places) if a < b]


_cuts = st.lists(st.integers(0, 200) | st.integers(0, 80_000), max_size=12)


@settings(max_examples=400, deadline=None)
@given(_valid, _cuts, _endings)
def test_how_a_response_is_cut_into_pieces_makes_no_difference(data: bytes, cuts: list[int], ending: str) -> None:
    assert _outcome(_split(data, cuts), ending) == _outcome([data], ending)


@settings(max_examples=600, deadline=None)
@given(_valid, _cuts, _endings, st.data())
def test_a_response_that_is_damaged_or_cut_short_ends_once_and_raises_nothing(
    data: bytes, cuts: list[int], ending: str, draw: st.DataObject
) -> None:
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(0, min(len(data), 200)))
        match draw.draw(st.sampled_from(["cut short", "replace", "insert", "leave out", "twice"])):
            case "cut short":
                data = data[:place]
            case "replace":
                data = data[:place] + draw.draw(st.binary(min_size=1, max_size=4)) + data[place + 1 :]
            case "insert":
                data = data[:place] + draw.draw(st.binary(max_size=20)) + data[place:]
            case "leave out":
                data = data[:place] + data[place + draw.draw(st.integers(1, 9)) :]
            case "twice":
                data = data + data[place:]
    _outcome(_split(data, cuts), ending)


_pieces = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n",
            b"\r\n",
            b"content-length: 3\r\n",
            b"transfer-encoding: chunked\r\n",
            b"3\r\nabc\r\n0\r\n\r\n",
            b"\x00",
            b"HTTP/1.1 100 X\r\n\r\n",
            b"connection: close\r\n",
        ]
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_pieces)
async def test_no_response_whatever_it_is_raises_or_hangs(receiver: Receiver, pieces: list[bytes]) -> None:
    async def says_it_and_closes(_: Any, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    receiver.otherwise = says_it_and_closes
    sender = Sender(Egress(allowed=LOOPBACK))
    exchange = await post(sender, receiver.url(), timeout=PATIENCE)
    await sender.close()
    assert exchange.failure != "timeout"
    assert exchange.status is not None or exchange.failure is not None


def _rss_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
