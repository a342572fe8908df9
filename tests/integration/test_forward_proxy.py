"""Going out by a forward proxy: what it is told, and whose fault it is when it says no."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trustme

from tests.integration.test_sender import post
from tests.support.engine import engine_of, eventually
from tests.support.forward_proxy import ForwardProxy, forward_proxy
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tidings.config import Config
from tidings.configured import load_config
from tidings.core.egress import Egress
from tidings.core.errors import StartupError
from tidings.core.proxy import parse_proxy
from tidings.core.target import parse_target
from tidings.transport.sender import Sender


@asynccontextmanager
async def going_out_by(proxy: ForwardProxy, user: str = "", tls: ssl.SSLContext | None = None) -> AsyncIterator[Sender]:
    sender = Sender(Egress(is_proxied=True, allow_http=True), proxy=parse_proxy(proxy.url(user)), tls=tls)
    yield sender
    await sender.close()


async def test_tls_goes_through_a_tunnel_and_is_checked_against_the_receivers_name() -> None:
    authority = trustme.CA()
    server_side, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.test").configure_cert(server_side)
    authority.configure_trust(trusting)
    secure = Receiver()
    await secure.start(ssl=server_side)
    names = {"hooks.test": secure.port, "other.test": secure.port}
    async with forward_proxy(names, user="shop:p@ss") as proxy, going_out_by(proxy, "shop:p%40ss", trusting) as sender:
        for _ in range(2):
            assert (await post(sender, "https://hooks.test/x")).status == 200
        assert proxy.asked == ["CONNECT hooks.test:443"], "the tunnel is kept"
        assert all(b"x-" not in one.raw.lower() and b"proxy" not in one.raw.lower() for one in secure.received)
        assert (await post(sender, "https://other.test/x")).failure == "tls"
        reached = await sender.reach(parse_target("https://hooks.test/"), PATIENCE)
        assert (reached.failure, reached.tls, str(proxy.port) in reached.address) == (None, "TLSv1.3", False)
    await secure.stop()


async def test_plain_requests_go_in_absolute_form(receiver: Receiver) -> None:
    async with forward_proxy({"hooks.test": receiver.port}, user="a:b") as proxy, going_out_by(proxy, "a:b") as sender:
        exchange = await post(sender, "http://hooks.test:8080/a/b?c=d", headers=[("X-A", "b")])
        assert exchange.status == 200
        assert proxy.asked == ["POST http://hooks.test:8080/a/b?c=d"]
        (request,) = receiver.received
        assert request.headers["host"] == "hooks.test:8080"
        assert "proxy-authorization" not in request.headers


async def test_a_proxy_that_hands_our_password_on_has_it_shown_to_nobody(receiver: Receiver) -> None:
    async with forward_proxy({}, user="a:secret-pass") as proxy, going_out_by(proxy, "a:secret-pass") as sender:
        line = "Basic " + base64.b64encode(b"a:secret-pass").decode()
        proxy.says = answer(200, f"you sent {line}".encode(), {"x-echo": line, "connection": "close"})
        exchange = await post(sender, "http://hooks.test/")
        assert (exchange.body, dict(exchange.headers)["x-echo"]) == (b"you sent Basic (hidden)", "Basic (hidden)")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxys_no_is_never_the_receivers_answer(scheme: str, receiver: Receiver) -> None:
    async with forward_proxy({"hooks.test": receiver.port}, user="a:b") as proxy:
        async with going_out_by(proxy) as stranger:
            exchange = await post(stranger, f"{scheme}://hooks.test/")
            assert (exchange.status, exchange.failure, exchange.headers) == (None, "exhausted", ())
        async with going_out_by(proxy, "a:b") as sender:
            exchange = await post(sender, f"{scheme}://nowhere.test/")
            assert (exchange.status, exchange.failure, exchange.body) == (None, "proxy", b"")
            assert "HTTP 502" in (exchange.error or "")
            assert "10.9.8.7" not in (exchange.error or "")
            for answered in (
                b"HTTP/1.1 407 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                b"HTTP/1.1 504 Slow\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            ):
                proxy.says = answered
                assert (await post(sender, f"{scheme}://hooks.test/")).failure == "proxy"
    gone = Sender(Egress(is_proxied=True, allow_http=True), proxy=parse_proxy(proxy.url("a:secret")))
    exchange = await post(gone, f"{scheme}://hooks.test/")
    assert exchange.failure == "exhausted"
    assert "is away" in (exchange.error or "")
    assert "secret" not in (exchange.error or "")
    await gone.close()
    assert receiver.received == []


@pytest.mark.parametrize(
    "says_what", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nearly", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, b"\0" * 40_000]
)  # fmt: skip
async def test_a_proxy_that_speaks_strangely_fails_the_attempt(says_what: bytes) -> None:
    async with forward_proxy({}) as proxy, going_out_by(proxy) as sender:
        proxy.says = says_what
        exchange = await post(sender, "https://hooks.test/")
        assert exchange.failure == "proxy", exchange


async def test_addresses_are_judged_before_the_proxy_is_asked(receiver: Receiver) -> None:
    """Names are the proxy's to judge; what is written as an address is ours."""
    hosts = (
        "127.0.0.1",
        "[::1]",
        "[::ffff:169.254.169.254]",
        "169.254.169.254",
        "0x7f.1",
        "2130706433",
        "10.0.0.1",
        "localhost",
    )
    async with forward_proxy({host.strip("[]"): receiver.port for host in hosts}) as proxy, going_out_by(proxy) as sender:
        for host in hosts:
            for scheme in ("http", "https"):
                assert (await post(sender, f"{scheme}://{host}/")).failure == "address_refused", host
        assert (await post(sender, "https://example.com:25/")).failure == "address_refused"
        assert proxy.asked == []
    assert receiver.connections == 0


async def test_a_receivers_own_refusals_stay_its_own(receiver: Receiver) -> None:
    async with forward_proxy({"hooks.test": receiver.port}) as proxy, going_out_by(proxy) as sender:
        for status in (401, 404, 429, 500, 503):
            receiver.otherwise = says(answer(status, b"mine"))
            exchange = await post(sender, "http://hooks.test/")
            assert (exchange.status, exchange.body, exchange.failure) == (status, b"mine", None)


async def test_deliveries_wait_for_a_proxy_that_is_away(config: Config, receiver: Receiver) -> None:
    async with forward_proxy({"hooks.test": receiver.port}) as proxy:
        port = proxy.port
    going = msgspec.structs.replace(config, proxy=f"http://127.0.0.1:{port}", http_hosts="hooks.test")
    async with engine_of(going, running=True) as engine:
        await engine.add_webhook("http://hooks.test/", "order.*")
        await engine.publish()

        async def was_put_back() -> bool:
            return bool(await engine.value("select count(*) from tidings.lanes where waiting > 0 and due_at > now()"))

        await eventually(was_put_back)
        assert await engine.attempts() == [], "no attempt was made, so none is charged"
        back = ForwardProxy({"hooks.test": receiver.port})
        server = await asyncio.start_server(back.serve, "127.0.0.1", port)
        await receiver.wait_for(1)
        server.close()
        back.close()


def test_a_proxy_that_cannot_be_is_refused_without_its_password() -> None:
    for url in (
        "https://u:p4ss@proxy",
        "socks5://u:p4ss@proxy",
        "http://u:p4ss@",
        "http://u:p4ss@p:x",
        "http://u:p4ss@p/x",
    ):
        with pytest.raises(StartupError) as refusal:
            load_config(environ={"TIDINGS_PROXY": url})
        assert "p4ss" not in str(refusal.value)
    config = load_config(environ={"TIDINGS_PROXY": "http://u:p4ss@proxy:3128"})
    assert "p4ss" not in repr(config) + repr(config.forward_proxy) + str(config.forward_proxy)
    assert config.egress.is_proxied
