"""No request leaves for an address that is not allowed, however it is written, by whichever door it comes, whatever DNS says."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import msgspec
import pytest

from tests.integration.test_api import KEY, Api
from tests.support.dns import dns
from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.receiver import Receiver, answer, says
from tests.support.serving import ApiServer
from tests.support.torture import told
from tidings.config import Config
from tidings.core.egress import Egress
from tidings.core.outcome import Exchange
from tidings.core.target import parse_target, request_head
from tidings.transport.names import Names
from tidings.transport.sender import Sender

LET_IN, KEPT_OUT = "127.0.0.2", "127.0.0.1"
# {port} is that of a listener on every address of this machine.
_LOOPBACKS = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "0", "0.0.0.0", "0.0.0.0.", "127.0.0.1.", "00.00.00.00", "0x0",
    "2130706433", "02130706433", "017700000001", "0x7f000001", "0x7F000001", "0x7f.0.0.1", "0x7f.1", "0x7f.0x0.0x0.0x1", "0177.0.0.1",
    "0177.1", "0177.0000.0000.0001", "127.0x0.0.01", "00000177.00.00.01", "4294967297", "6425673729", "127.0.0.1%00", "127.0.0.1%20",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::]", "[::0001]", "[::1%25lo]", "[::1%lo]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]",
    "[::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]",
    "[2001:0:7f00:1::]", "[::ffff:0.0.0.0]", "[::ffff:0x7f.1]", "localhost", "LOCALHOST", "LocalHost", "localhost.", "localhost..",
    "a.localhost", "a.b.localhost.", "ip6-localhost", "ip6-loopback", "localhost.localdomain", "127。0。0。1", "１２７.0.0.1", "①②⑦.0.0.1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "loc\u00adalhost", "%31%32%37.0.0.1", "127%2e0%2e0%2e1", "127.0.0.1\t", "127.0.0.1\n", "127.0.\n0.1", "127.0.0.1\0",
    "127.0.0.1\\.example.com", "example.com\\@127.0.0.1", "user@127.0.0.1", "user:password@127.0.0.1", "example.com@127.0.0.1",
    "example.com%40127.0.0.1", "127.0.0.1#@example.com", "127.0.0.1?@example.com", "[127.0.0.1]", "[localhost]", "[::1", "::1",
]  # fmt: skip
_PRIVATE = [
    "10.0.0.1", "10.255.255.255", "012.0.0.1", "167772161", "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.1", "0xc0a80001",
    "100.64.0.1", "169.254.169.254", "169.254.170.2", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]", "[fe80::1]", "[fe80::a9fe:a9fe]", "[fc00::1]", "[fec0::1]", "[ff02::1]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200",
    "192.0.0.192", "168.63.129.16", "[::ffff:168.63.129.16]", "metadata", "metadata.google.internal", "METADATA.google.internal.",
    "instance-data", "kubernetes.default.svc", "x.kubernetes.default", "192.0.2.1", "198.18.0.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "[100::1]", "[2001:db8::1]", "[3fff::1]", "[5f00::1]", "[2002:a9fe:a9fe::]",
]  # fmt: skip
_FORMS = [
    *(f"http://{host}:{{port}}/" for host in _LOOPBACKS),
    *(f"https://{host}/" for host in _PRIVATE),
    "http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "http:\\\\127.0.0.1:{port}\\", "//127.0.0.1:{port}/",
    "127.0.0.1:{port}", "hTTp://127.0.0.1:{port}/", " http://127.0.0.1:{port}/", "http ://127.0.0.1:{port}/", "http://:{port}/",
    "http://127.0.0.1:+{port}/", "http://127.0.0.1:0{port}/", "http://127.0.0.1:-1/", "http://127.0.0.1:99999/", "http://127.0.0.1:{port}x/",
    "ftp://127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x", "dict://127.0.0.1:{port}/", "unix:///run/x.sock",
    "http+unix://%2Frun%2Fx.sock/", "jar:http://127.0.0.1:{port}!/", "data:text/plain,x", "javascript:alert(1)", "blob:http://127.0.0.1/",
    "ldap://127.0.0.1:{port}/", "ws://127.0.0.1:{port}/", "", "http://", "https://", "http://?", "http://#",
]  # fmt: skip


@pytest.fixture
async def canary() -> AsyncIterator[Receiver]:
    """Listens at the addresses of this machine that all programs know, and must not be reached."""
    listening = Receiver()
    with socket.create_server((KEPT_OUT, 0)) as free:
        listening.port = free.getsockname()[1]
    listening._server = await asyncio.start_server(listening._serve, [KEPT_OUT, "::1"], listening.port)
    yield listening
    await listening.stop()


@pytest.fixture
async def api(config: Config, api_server: ApiServer) -> AsyncIterator[Api]:
    """An installation that allows no private network, and http:// so that not the scheme alone refuses."""
    config = msgspec.structs.replace(config, allow_private_networks="", allow_http=True)
    async with (
        engine_of(config) as engine,
        api_server.serving(engine.services) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=PATIENCE) as client,
    ):
        yield Api(client, engine)


async def post(sender: Sender, url: str) -> Exchange:
    data = f"{request_head('POST', url)}content-length: 2\r\n\r\n{{}}".encode()
    return await sender.send(parse_target(url), data, timeout_seconds=PATIENCE)


def token(url: str) -> dict[str, str]:
    return {"type": "oauth2", "token_url": url, "client_id": "a", "client_secret": "b"}


def doors(webhook_id: str, url: str) -> dict[str, tuple[str, str, Any]]:
    """Return the requests that name a URL."""
    return {
        "a webhook": ("POST", "/api/v1/webhooks", {"url": url, "events": ["*"]}),
        "a change": ("PATCH", f"/api/v1/webhooks/{webhook_id}", {"url": url}),
        "a webhook in another system's words": ("POST", "/api/webhooks", {"name": "n", "url": url, "events": ["create"]}),
        "a job": ("POST", "/api/cron", {"name": "j", "schedule": "0 0 1 1 *", "url": url}),
        "a collection's trigger": ("POST", "/api/collections", {"name": "c", "options": {"triggers": [{"action": "create", "url": url}]}}),
        "an endpoint of tokens": ("POST", "/api/v1/webhooks", {"url": "https://harmless.invalid/", "events": ["*"], "auth": token(url)}),
        "an endpoint of tokens, changed": ("PATCH", f"/api/v1/webhooks/{webhook_id}", {"auth": token(url)}),
        "a preview": ("POST", "/api/v1/webhooks/preview", {"url": url, "events": ["*"]}),
    }  # fmt: skip


def test_there_are_more_than_120_forms() -> None:
    assert len(set(_FORMS)) == len(_FORMS) >= 150


async def test_no_form_of_an_address_gets_through_any_door(api: Api, canary: Receiver) -> None:
    harmless = (await api.create("https://harmless.invalid/", "order.*"))["id"]
    taken: dict[str, set[str]] = {}
    for form in _FORMS:
        url = form.format(port=canary.port)
        for door, (method, path, body) in doors(harmless, url).items():
            response = await api.client.request(method, path, json=body)
            assert response.status_code < 500, (door, url, response.text)
            if response.status_code < 300:
                taken.setdefault(door, set()).add(url)
    # What was taken is a name that may yet get an address. It is judged whenever it is called: nothing may arrive.
    await api.engine.sql("insert into tidings.outbox (source, type, record) values ('publish', 'order.paid', '{}')")
    await api.engine.cycle()
    ends = await api.engine.sql(
        "select w.url, d.status, d.failure from tidings.deliveries d join tidings.webhooks w on w.id = d.webhook_id"
    )
    assert not [row for row in ends if row["status"] == "succeeded"]
    assert canary.connections == 0
    never = {url for url in set().union(*taken.values()) if "127" in url or "[" in url or url.startswith("http://0")}
    assert not never, "an address is refused when it is written, not when it is called"
    told("addresses", {
        "forms": len(_FORMS), "doors": len(doors(harmless, "")), "taken as names, judged when called": len(set().union(*taken.values())),
        "connections to what is not allowed": canary.connections,
    })  # fmt: skip


@pytest.fixture
async def let_in(canary: Receiver) -> AsyncIterator[Receiver]:
    """A receiver on the one address that is allowed, at the same port."""
    receiver = Receiver()
    receiver._server = await asyncio.start_server(receiver._serve, LET_IN, canary.port)
    receiver.port = canary.port
    yield receiver
    await receiver.stop()


def at(addresses: tuple[str, ...], port: int) -> Sender:
    return Sender(Egress(allowed=tuple(map(ip_network, addresses))), names=Names((KEPT_OUT,), port))


async def test_answers_that_change_reach_what_is_allowed_alone(canary: Receiver, let_in: Receiver) -> None:
    """The naive judge looks once and connects by name: it is then led elsewhere (DNS rebinding)."""
    turns = [[LET_IN], [KEPT_OUT], [KEPT_OUT, LET_IN], ["127.0.0.3"], [LET_IN, KEPT_OUT], ["0.0.0.0"]]
    others = {"six.test": [["::1"]], "mapped.test": [["::ffff:127.0.0.1"]], "both.test": [[LET_IN, "::1"]]}
    let_in.otherwise = says(answer(200, b"", {"connection": "close"}))  # so that each request looks the name up
    async with dns({"changing.test": turns} | others) as server:
        sender = at((LET_IN,), server.port)
        names = ["changing.test"] * (2 * len(turns)) + list(others)
        ends = [(await post(sender, f"http://{name}:{canary.port}/")).failure for name in names]
        await sender.close()
    assert canary.connections == 0
    assert ends == [None, "address_refused"] * len(turns) + ["address_refused", "address_refused", None]
    assert let_in.connections == 7


async def test_however_an_answer_comes_it_is_judged_as_it_is_connected_to(canary: Receiver, let_in: Receiver) -> None:
    """Aliases, answers over TCP that say something else than what was cut, remembered ones, and very many."""
    let_in.otherwise = says(answer(200, b"", {"connection": "close"}))
    inside = {"inside.test": [[KEPT_OUT]], "outside.test": [[LET_IN]]}
    many = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(1000)]
    others = {
        "alias.test": [["outside.test"], ["inside.test"]], "cut.test": [[LET_IN]], "opened.test": [[KEPT_OUT]],
        "many.test": [[KEPT_OUT]], "crowd.test": [[KEPT_OUT]],
    }  # fmt: skip
    async with dns(inside | others) as server:
        server.by_tcp = {
            "cut.test": [KEPT_OUT],
            "opened.test": [LET_IN],
            "many.test": [*many, LET_IN],
            "crowd.test": [*many, KEPT_OUT],
        }
        sender = at((LET_IN,), server.port)
        names = ["alias.test", "alias.test", "cut.test", "opened.test", "many.test", "crowd.test"]
        ends = [(await post(sender, f"http://{name}:{canary.port}/")).failure for name in names]
        await sender.close()
    assert ends == [None, "address_refused", "address_refused", None, None, "address_refused"]
    async with dns({"remembered.test": [[LET_IN], [KEPT_OUT]]}) as server:
        server.seconds = 3600
        sender = at((LET_IN,), server.port)
        again = {(await post(sender, f"http://remembered.test:{canary.port}/")).failure for _ in range(4)}
        await sender.close()
    assert again <= {None, "address_refused"}
    assert canary.connections == 0


async def test_a_redirect_is_an_answer_and_leads_nowhere(canary: Receiver, let_in: Receiver) -> None:
    async with dns({"allowed.test": [[LET_IN]]}) as server:
        sender = at((LET_IN,), server.port)
        for status in (301, 302, 303, 307, 308):
            let_in.otherwise = says(answer(status, b"", {"location": f"http://{KEPT_OUT}:{canary.port}/"}))
            assert (await post(sender, f"http://allowed.test:{canary.port}/")).status == status
        await sender.close()
    assert canary.connections == 0


async def test_plain_http_reaches_the_allowed_networks_alone(canary: Receiver, let_in: Receiver) -> None:
    public = "8.8.8.8"
    async with dns({"public.test": [[public]], "allowed.test": [[LET_IN]]}) as server:
        sender = at((LET_IN,), server.port)
        assert (await post(sender, f"http://allowed.test:{canary.port}/")).status == 200
        refused = await post(sender, "http://public.test/")
        await sender.close()
    assert refused.failure == "address_refused"
    assert "Use an https:// URL" in (refused.error or "")


async def test_names_whose_servers_are_silent_keep_no_other_name_waiting(canary: Receiver, let_in: Receiver) -> None:
    """By the system's resolver four of them would take the threads of all."""
    async with dns({"heard.test": [[LET_IN]]}) as server:
        sender = at((LET_IN,), server.port)
        silent = [asyncio.create_task(post(sender, f"http://silent-{n}.test:{canary.port}/")) for n in range(100)]

        async def all_have_asked() -> bool:
            return len({name for name in server.queries if name.startswith("silent-")}) == len(silent)

        await eventually(all_have_asked)
        for _ in range(5):
            let_in.otherwise = says(answer(200, b"", {"connection": "close"}))
            assert (await post(sender, f"http://heard.test:{canary.port}/")).status == 200
        assert not any(task.done() for task in silent), "they were to wait beside the others"
        assert {exchange.failure for exchange in await asyncio.gather(*silent)} == {"timeout"}
        await sender.close()
