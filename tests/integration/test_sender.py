"""The sender against receivers of every kind, over real sockets."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.receiver import Receiver, answer, hangs, resets, says
from tidings.core.outcome import Exchange
from tidings.profiles import Request
from tidings.transport.connection import MAX_KEPT_BODY_BYTES
from tidings.transport.sender import Sender

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender = Sender(allowed=LOOPBACK)
    yield sender
    await sender.close()


async def post(sender: Sender, url: str, body: bytes = b"{}", timeout: float = 5, headers: Any = ()) -> Exchange:
    return await sender.send(
        Request("POST", url, [("content-type", "application/json"), *headers], body), timeout_seconds=timeout
    )


async def test_a_request_arrives_as_it_was_meant(sender: Sender, receiver: Receiver) -> None:
    body = "ü☃".encode() * 1000
    exchange = await post(sender, receiver.url("/a/b?c=d%20e"), body, headers=[("Authorization", "Bearer x")])
    (request,) = receiver.received
    assert (exchange.status, exchange.body, exchange.failure) == (200, b"ok", None)
    assert (request.method, request.path, request.body) == ("POST", "/a/b?c=d%20e", body)
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["user-agent"].startswith("Tidings/")


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
    exchange = await post(sender, receiver.url(), timeout=2)
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
    exchange = await post(sender, receiver.url(), timeout=5)
    assert exchange.failure == "too_large"
    assert "headers" in (exchange.error or "")
    assert _rss_mb() - before < 20


async def test_one_endless_header_line_fails_too(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(writer, b"HTTP/1.1 200 OK\r\nx: ", b"y" * 4096)
    assert (await post(sender, receiver.url(), timeout=5)).failure == "too_large"


async def test_an_endless_body_fails_and_memory_stays_flat(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(
        writer, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1000\r\n" + b"z" * 4096 + b"\r\n"
    )
    before = _rss_mb()
    exchange = await post(sender, receiver.url(), timeout=10)
    assert (exchange.failure, exchange.status, len(exchange.body)) == ("too_large", 200, MAX_KEPT_BODY_BYTES)
    assert _rss_mb() - before < 30


async def test_endless_interim_responses_fail(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = lambda _, writer: _flood(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
    assert (await post(sender, receiver.url(), timeout=10)).failure == "too_large"


async def test_an_interim_response_is_passed_over(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = says(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(204, b""))
    assert (await post(sender, receiver.url())).status == 204


async def test_a_byte_at_a_time_ends_with_the_timeout(sender: Sender, receiver: Receiver) -> None:
    async def drips(_: Any, writer: asyncio.StreamWriter) -> None:
        for byte in answer(200, b"x" * 1000):
            writer.write(bytes([byte]))
            await asyncio.wait({asyncio.create_task(asyncio.Event().wait())}, timeout=0.05)

    receiver.otherwise = drips
    exchange = await post(sender, receiver.url(), timeout=0.3)
    assert exchange.failure == "timeout"
    assert "end of the response" in (exchange.error or "")


async def test_silence_ends_with_the_timeout(sender: Sender, receiver: Receiver) -> None:
    receiver.otherwise = hangs
    exchange = await post(sender, receiver.url(), timeout=0.2)
    assert (exchange.failure, exchange.status) == ("timeout", None)
    assert "0.2 s" in (exchange.error or "")


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
    exchange = await post(sender, "http://no-such-host.invalid/", timeout=8)
    assert exchange.failure in {"dns", "timeout"}
    assert "no-such-host.invalid" in (exchange.error or "")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost", "2130706433", "0x7f.1", "10.1.2.3", "169.254.169.254"])  # fmt: skip
async def test_addresses_that_are_not_public_are_not_connected_to(host: str, receiver: Receiver) -> None:
    sender = Sender()
    exchange = await post(sender, f"http://{host}:{receiver.port}/")
    assert exchange.failure == "address_refused"
    assert receiver.connections == 0


async def test_a_refusal_is_known_when_a_webhook_is_made(sender: Sender) -> None:
    assert "10.0.0.1" in (await sender.refusal("https://10.0.0.1/") or "")
    assert await sender.refusal("http://127.0.0.1/") is None
    assert await sender.refusal("https://no-such-host.invalid/") is None


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
        sender = Sender(allowed=(*LOOPBACK, ip_network("::1/128")), tls=context)
        exchange = await post(sender, f"https://{host}:{secure.port}/")
        assert exchange.failure == failure, exchange.error
        if failure is None:
            assert exchange.status == 200
            assert exchange.timings.tls_ms is not None
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
    sender = Sender(allowed=LOOPBACK)
    exchange = await post(sender, receiver.url(), timeout=3)
    await sender.close()
    assert exchange.failure != "timeout"
    assert exchange.status is not None or exchange.failure is not None


def _rss_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
