# ruff: noqa: F811 - fixtures of another module are arguments here
"""What webhooks show to be let in: passwords, tokens and certificates, towards real servers that look at them."""

import asyncio
import base64
import json
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import trustme

from tests.integration.test_api import Api, api  # noqa: F401 - a fixture
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.privacy import holds, places_with
from tests.support.receiver import Received, Receiver, answer, hangs, says
from tests.support.rekeying import rekeyed
from tests.support.tokens import TokenServer, answers, wants
from tidings.core.credentials import OAuth2
from tidings.core.egress import Egress
from tidings.core.errors import StartupError
from tidings.core.target import Identity, Way, parse_target, request_head
from tidings.operations import attention as overview
from tidings.store.secrets import SecretBox
from tidings.transport.sender import Sender
from tidings.transport.tokens import send_authorized

BASIC = {"type": "basic", "username": "shop", "password": "pässword"}
BASIC_LINE = "Basic " + base64.b64encode("shop:pässword".encode()).decode()


@pytest.fixture
async def tokens() -> AsyncIterator[TokenServer]:
    server = TokenServer()
    await server.start()
    yield server
    await server.stop()


def oauth2(server: TokenServer, **more: Any) -> dict[str, Any]:
    return {"type": "oauth2", "token_url": server.url("/token"), "client_id": "shop", "client_secret": "s3cret"} | more


async def publish(api: Api, count: int = 1) -> None:
    for number in range(count):
        await api("POST", "/api/v1/events", 202, {"type": "order.paid", "data": {"n": number}})


async def ended(api: Api, count: int = 1) -> list[Any]:
    async def are_there() -> Any:
        rows = await api.engine.attempts()
        return sorted(rows, key=lambda row: (row["started_at"], row["number"])) if len(rows) >= count else None

    return list(await eventually(are_there))


async def requests_of(api: Api) -> list[Any]:
    (delivery,) = await api("GET", "/api/v1/deliveries", 200)
    return [one["request"] for one in await api("GET", f"/api/v1/deliveries/{delivery['id']}/attempts", 200)]


async def test_a_password_is_sent_and_never_shown(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url(), "order.*", auth=BASIC)
    assert made["auth"] == {"type": "basic", "username": "shop", "password": "(hidden)"}
    path = f"/api/v1/webhooks/{made['id']}"
    await publish(api)
    (request,) = await receiver.wait_for(1)
    assert request.headers["authorization"] == BASIC_LINE
    await ended(api)
    (sent,) = await requests_of(api)
    assert ["Authorization", "Basic (hidden)"] in sent["headers"]
    preview = await api("POST", f"{path}/preview", 200, {})
    assert ["Authorization", "Basic (hidden)"] in preview["headers"]
    assert (await api("POST", f"{path}/diagnose", 200))["is_taking"] is True
    assert {one.headers["authorization"] for one in receiver.received} == {BASIC_LINE}
    changed = await api("PATCH", path, 200, {"auth": BASIC | {"password": "other"}})
    told = str(await api("GET", f"{path}/versions", 200)) + str(await api("GET", "/api/v1/audit", 200)) + str(changed)
    stored = str(await api.engine.sql("select credentials::text from tidings.webhook_versions"))
    for secret in ("pässword", "other", BASIC_LINE):
        assert secret not in told + stored + str(sent) + str(preview)
    assert "credentials.changed" in told
    (entry,) = await api("GET", "/api/v1/audit?action=credentials.changed", 200)
    assert list(entry["changes"]) == ["auth"]
    same = await api("PATCH", path, 200, {"auth": changed["auth"]})
    assert same["version"] == changed["version"] == 2, "what was read is no change"
    assert (await api("PATCH", path, 200, {"auth": None}))["auth"] is None


async def test_credentials_do_not_follow_a_webhook_elsewhere(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url(), "order.*", auth=BASIC)
    path = f"/api/v1/webhooks/{made['id']}"
    refused = await api("PATCH", path, 422, {"url": "http://127.0.0.1:9/"})
    assert refused["field"] == "auth"
    assert (await api("PATCH", path, 200, {"url": receiver.url("/other")}))["auth"] == made["auth"]
    moved = await api("PATCH", path, 200, {"url": "http://127.0.0.1:9/", "auth": None})
    assert moved["auth"] is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"auth": {"type": "digest"}}, "auth"),
        ({"auth": {"type": "basic", "username": "a:b", "password": "x"}}, "auth.username"),
        ({"auth": {"type": "basic", "username": "a", "password": "(hidden)"}}, "auth.password"),
        ({"auth": {"type": "basic", "username": "a", "password": "x\r\ny: z"}}, "auth.password"),
        ({"auth": {"type": "basic", "username": "", "password": "x"}}, "auth.username"),
        ({"auth": {"type": "basic", "username": "a", "password": "x" * 2001}}, "auth.password"),
        ({"auth": {"type": "oauth2", "token_url": "https://10.0.0.1/t", "client_id": "a", "client_secret": "b"}}, "auth.token_url"),
        ({"auth": {"type": "oauth2", "token_url": "ftp://x/t", "client_id": "a", "client_secret": "b"}}, "auth.token_url"),
        ({"auth": {"type": "oauth2", "token_url": "https://x.test/", "client_id": "a", "client_secret": "b", "sends": "x"}}, "auth.sends"),
        ({"auth": BASIC, "headers": {"authorization": "x"}}, "headers.authorization"),
        ({"auth": BASIC, "jwt_enabled": True}, "auth"),
        ({"client_certificate": {"certificate": "x", "key": "y"}}, "client_certificate.certificate"),
        ({"client_certificate": {}}, "client_certificate"),
        ({"ca_certificates": "x"}, "ca_certificates"),
        ({"ca_certificates": []}, "ca_certificates"),
    ],
)  # fmt: skip
async def test_what_cannot_be_used_is_refused_when_it_is_saved(api: Api, fields: Any, field: str) -> None:
    body = {"url": "http://127.0.0.1:9/", "events": ["*"]} | fields
    assert (await api("POST", "/api/v1/webhooks", 422, body))["field"] == field
    made = await api.create("http://127.0.0.1:9/", "*")
    assert (await api("PATCH", f"/api/v1/webhooks/{made['id']}", 422, fields))["field"] == field


# Tokens ------------------------------------------------------------------------------------------------------------------


async def test_one_token_serves_many_deliveries(api: Api, receiver: Receiver, tokens: TokenServer) -> None:
    made = await api.create(receiver.url(), "order.*", auth=oauth2(tokens, scope="hooks"))
    assert made["auth"]["client_secret"] == "(hidden)"
    await publish(api, 20)
    received = await receiver.wait_for(20)
    assert {one.headers["authorization"] for one in received} == {"Bearer token-1"}
    (asked,) = tokens.received
    assert asked.body == b"grant_type=client_credentials&scope=hooks"
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"shop:s3cret").decode()
    await ended(api, 20)
    delivery = (await api("GET", "/api/v1/deliveries?limit=1", 200))[0]["id"]
    (attempt,) = await api("GET", f"/api/v1/deliveries/{delivery}/attempts", 200)
    assert ["Authorization", "Bearer (hidden)"] in attempt["request"]["headers"]


async def test_a_token_that_is_refused_is_fetched_once_more(api: Api, receiver: Receiver, tokens: TokenServer) -> None:
    receiver.otherwise = wants(lambda one: one.headers["authorization"] == "Bearer token-2")
    await api.create(receiver.url(), "order.*", auth=oauth2(tokens), retry={"delays": []})
    await publish(api)
    (attempt,) = await ended(api)
    assert (attempt["response_status"], tokens.given) == (200, 2)
    receiver.otherwise = wants(lambda _: False)
    await publish(api, 5)
    rows = await ended(api, 6)
    assert [row["response_status"] for row in rows[1:]] == [401] * 5
    assert tokens.given == 2, "a receiver that refuses every token does not have its endpoint asked for each delivery"


async def test_an_endpoint_that_lies_hangs_or_is_down_fails_the_attempt_and_is_tried_again(
    api: Api, receiver: Receiver, tokens: TokenServer
) -> None:
    held = api.engine.services.sender.tokens
    held.fetch_seconds, held.hold_seconds = 0.3, 0.0
    tokens.scripts.extend([
        answers(503, b""), answers(401, b""), answers(200, b"[]"), answers(200, b'{"access_token": "a b"}'),
        answers(200, b'{"access_token": "' + b"x" * 2_000_000), says(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), hangs,
        says(answer(302, b"", {"location": receiver.url()})),
    ])  # fmt: skip
    many = len(tokens.scripts)
    await api.create(receiver.url(), "order.*", auth=oauth2(tokens), retry={"delays": [0.01] * many, "jitter": 0})
    await publish(api)
    rows = await ended(api, many + 1)
    assert [row["failure"] for row in rows] == ["token"] * many + [None]
    assert all("nothing was sent to the receiver" in row["error"] for row in rows[:-1])
    assert "HTTP 503" in rows[0]["error"]
    assert len(receiver.received) == 1
    shown = await requests_of(api)
    assert shown[:-1] == [None] * many, "there was no request"
    assert shown[-1] is not None


async def test_who_cannot_write_its_request_keeps_no_token_from_others(
    receiver: Receiver, tokens: TokenServer, caplog: pytest.LogCaptureFixture
) -> None:
    """They wait for the same token, and are told it in one turn."""
    sender = Sender(Egress(allowed=(ip_network("127.0.0.0/8"),)))
    client, target = OAuth2(tokens.url("/token"), "shop", "s3cret"), parse_target(receiver.url())

    def write(line: str) -> bytes:
        return f"{request_head('POST', receiver.url())}{line}content-length: 0\r\n\r\n".encode()

    def breaks(line: str) -> bytes:
        raise ValueError(line)

    ends = await asyncio.gather(
        *(send_authorized(sender, target, client, each, timeout_seconds=PATIENCE) for each in (breaks, write, breaks, write))
    )
    assert [one.failure for one in ends] == ["internal", None, "internal", None]
    assert (tokens.given, len(receiver.received)) == (1, 2)
    assert "token-1" not in caplog.text + str(ends), "what it was to write is nowhere"
    await sender.close()


async def test_a_token_is_refreshed_before_its_end(api: Api, receiver: Receiver, tokens: TokenServer) -> None:
    tokens.expires_in = 0
    await api.create(receiver.url(), "order.*", auth=oauth2(tokens, sends="body"))
    for number in range(3):
        await publish(api)
        await receiver.wait_for(number + 1)
    assert [one.headers["authorization"] for one in receiver.received] == ["Bearer token-1", "Bearer token-2", "Bearer token-3"]
    assert b"client_secret=s3cret" in tokens.received[0].body


async def test_an_examined_receiver_gets_its_token(api: Api, receiver: Receiver, tokens: TokenServer) -> None:
    made = await api.create(receiver.url(), "order.*", auth=oauth2(tokens))
    assert (await api("POST", f"/api/v1/webhooks/{made['id']}/diagnose", 200))["is_taking"] is True
    assert {one.headers["authorization"] for one in receiver.received} == {"Bearer token-1"}
    tokens.otherwise = answers(500, b"")
    other = await api.create(receiver.url("/b"), "order.*", auth=oauth2(tokens, client_id="other"))
    verdict = await api("POST", f"/api/v1/webhooks/{other['id']}/diagnose", 200)
    assert (verdict["is_taking"], verdict["verdict"]) == (False, "token")


# What comes back -----------------------------------------------------------------------------------------------------------

SECRET = "Tr0ub4dor/&3 <ü>?"  # written otherwise by JSON, HTML, URLs and PHP


def echoes(status: int, *values: str) -> Any:
    """Return a receiver's script that answers with its request, and with what it makes of it, in headers and body."""

    async def script(received: Received, writer: Any) -> None:
        line = received.headers["authorization"]
        told = [line, *values] + [base64.b64decode(line.split()[1]).decode()] * line.startswith("Basic ")
        body = received.raw + b"\n".join(
            form
            for value in told
            for form in (
                value.encode(), value.upper().encode(), value.encode().hex().encode(), base64.b64encode(b"x" + value.encode()),
                json.dumps(value).encode(), json.dumps(value).replace("/", "\\/").encode(), quote(value).encode(),
                value.encode().decode("latin-1").encode(),
            )
        )  # fmt: skip
        writer.write(answer(status, body, {"x-echo": line, "www-authenticate": f"Basic realm={line}"}))

    return script


@pytest.mark.parametrize("kind", ["basic", "oauth2", "oauth2 whose receiver gives the tokens"])
async def test_what_a_receiver_echoes_of_credentials_is_nowhere(
    api: Api, receiver: Receiver, tokens: TokenServer, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level("DEBUG", "tidings")
    token = "t0ken/" + "Qx7+" * 8
    if kind == "basic":
        auth, secrets = {"type": "basic", "username": "shop", "password": SECRET}, [SECRET]
        secrets.append(base64.b64encode(f"shop:{SECRET}".encode()).decode())
    else:
        auth, secrets = oauth2(tokens, client_secret=SECRET, sends="body"), [SECRET, token]
        tokens.otherwise = answers(200, msgspec.json.encode({"access_token": token}))
    receiver.otherwise = echoes(500, *([SECRET] if kind.endswith("tokens") else []))
    made = await api.create(receiver.url(), "order.*", auth=auth, retry={"delays": []})
    path = f"/api/v1/webhooks/{made['id']}"
    told = [await api("POST", f"{path}/test", 200, {}), await api("POST", f"{path}/diagnose", 200)]
    told.append(await api("POST", f"{path}/preview", 200, {}))
    receiver.otherwise = echoes(200)
    await publish(api)
    await ended(api, 2)
    for delivery in await api("GET", "/api/v1/deliveries", 200):
        told.append(await api("GET", f"/api/v1/deliveries/{delivery['id']}", 200))
        told.append(await api("GET", f"/api/v1/deliveries/{delivery['id']}/attempts", 200))
    if kind != "basic":
        tokens.otherwise = answers(400, b'{"error": "topsecret"}')
        other = oauth2(tokens, client_secret="topsecret")
        await api("PATCH", path, 200, {"auth": other})
        await publish(api)
        (told_of,) = [row["error"] for row in await ended(api, 3) if row["failure"] == "token"]
        assert "HTTP 400 ((hidden))" in told_of
    said = json.dumps(told, ensure_ascii=False)
    assert "(hidden)" in said
    for secret in secrets:
        assert await places_with(api.engine.user, secret) == []
        assert not holds((said + caplog.text).encode(), secret)
        assert not holds(json.dumps(told).encode(), secret)


# Certificates --------------------------------------------------------------------------------------------------------------


class Authority:
    """An authority of the test's own, and a server that shows a certificate of its and may want one."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.pem = self.ca.cert_pem.bytes().decode()

    @asynccontextmanager
    async def server(self, *, wants_client: bool = False, version: ssl.TLSVersion | None = None) -> AsyncIterator[Receiver]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("127.0.0.1").configure_cert(context)
        if version is not None:
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # that 1.1 is old is the point
                context.minimum_version = context.maximum_version = version
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        server = Receiver()
        await server.start(ssl=context)
        try:
            yield server
        finally:
            await server.stop()

    def client(self, **options: Any) -> dict[str, str]:
        issued = self.ca.issue_cert("client@example.com", **options)
        chain = "".join(one.bytes().decode() for one in issued.cert_chain_pems)
        return {"certificate": chain, "key": issued.private_key_pem.bytes().decode()}


async def test_a_receiver_of_an_own_authority_that_wants_a_certificate(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    authority, other = Authority(), Authority()
    async with authority.server(wants_client=True) as server:
        await _is_let_in_by_its_certificate_alone(api, authority, other, server, caplog)


async def _is_let_in_by_its_certificate_alone(
    api: Api, authority: Authority, other: Authority, server: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"https://127.0.0.1:{server.port}/"
    client = authority.client()
    made = await api.create(url, "order.*", ca_certificates=authority.pem, client_certificate=client, retry={"delays": []})
    assert made["client_certificate"]["not_after"]
    assert len(made["ca_certificates"]) == 1
    path = f"/api/v1/webhooks/{made['id']}"
    await publish(api)
    await server.wait_for(1)
    await ended(api)
    same = {name: made[name] for name in ("client_certificate", "ca_certificates")}
    assert (await api("PATCH", path, 200, same))["version"] == 1
    for number, change, words in (
        (2, {"client_certificate": other.client()}, "receiver ended TLS"),
        (3, {"client_certificate": None}, "set client_certificate of the webhook"),
        (4, {"ca_certificates": other.pem, "client_certificate": client}, "certificate in certificate chain"),
        (5, {"ca_certificates": None}, "certificate in certificate chain"),
    ):
        await api("PATCH", path, 200, change)
        await publish(api)
        attempt = (await ended(api, number))[-1]
        assert attempt["failure"] in {"tls", "reset"}, attempt["error"]
        assert attempt["failure"] == "reset" or words in attempt["error"], attempt["error"]
    await api("PATCH", path, 200, {"ca_certificates": authority.pem})
    await publish(api)
    assert (await ended(api, 6))[-1]["response_status"] == 200
    assert len(server.received) == 2
    assert client["key"].splitlines()[3] not in caplog.text + str(await api("GET", path, 200))


async def test_the_file_of_authorities_is_read_once_for_all_connections(tmp_path: Path) -> None:
    authority, file = Authority(), tmp_path / "ca.pem"
    file.write_text(f"# an authority of ours: Größe\n{authority.pem}", encoding="utf-8")
    client = authority.client()
    own = Way(identity=Identity(b"own", client["certificate"], client["key"], ""))
    sender = Sender(Egress(allowed=(ip_network("127.0.0.0/8"),)), ca_file=file)
    async with authority.server() as server:
        file.unlink()  # as when it is exchanged
        url = f"https://127.0.0.1:{server.port}/"
        for way in (None, own):
            data = f"{request_head('POST', url)}content-length: 0\r\n\r\n".encode()
            exchange = await sender.send(parse_target(url, way), data, timeout_seconds=PATIENCE)
            assert exchange.status == 200, exchange.error
    await sender.close()
    for content, words in ((None, "No such file"), (b"", "no certificates"), (b"nonsense", "no certificates")):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(StartupError, match=words):
            Sender(ca_file=file)


async def test_tls_below_1_2_is_refused(api: Api) -> None:
    authority = Authority()
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2):
        async with authority.server(version=version) as server:
            made = await api.create(f"https://127.0.0.1:{server.port}/", "order.*", ca_certificates=authority.pem)
            verdict = await api("POST", f"/api/v1/webhooks/{made['id']}/diagnose", 200)
            assert verdict["is_taking"] is (version is ssl.TLSVersion.TLSv1_2), verdict


async def test_a_certificate_that_ends_is_told_of_once_before_and_once_after(api: Api, receiver: Receiver) -> None:
    authority, engine = Authority(), api.engine
    engine.clock.stand_still()
    begun = engine.clock.now()
    ends = (begun + timedelta(days=40)).replace(microsecond=0)
    client = authority.client(not_after=ends, not_before=begun - timedelta(days=400))
    made = await api.create(receiver.url(), "order.*", name="ERP", client_certificate=client)
    await api.create(receiver.url("/watch"), "webhook.*")
    paused = await api.create(receiver.url("/paused"), "order.*", client_certificate=client, enabled=False)

    async def looked(webhook: Any = made) -> tuple[str, str]:
        for _ in range(2):
            await engine.worker.certificates.run_once()
        health = (await api("GET", f"/api/v1/webhooks/{webhook['id']}", 200))["health"]
        return health["state"], health["sentence"]

    async def problems() -> set[str]:
        return {one["name"] for one in (await api("GET", "/api/v1/diagnosis", 200))["problems"]}

    assert await looked() == ("idle", "No attempt is on record.")
    assert "certificates" not in await problems()
    engine.clock.ahead += timedelta(days=11)
    state, sentence = await looked()
    assert state == "expiring"
    assert sentence == f"Its client certificate ends at {ends:%Y-%m-%d %H:%M:%S} UTC. Give it another one before. No attempt is on record."  # fmt: skip
    attention = await overview.read(engine.services)
    assert [(str(one.id), one.health.state) for one in attention.certificates] == [(made["id"], "expiring")]
    engine.clock.ahead += timedelta(days=30)
    assert (await looked())[0] == "expired"
    assert (await looked(paused))[0] == "paused"
    heard = await engine.sql(
        "select type, subject from tidings.events where source = 'tidings' union all "
        "select type, subject from tidings.outbox where source = 'tidings'"
    )
    assert {row["subject"] for row in heard} == {made["id"]}
    assert sorted(row["type"] for row in heard) == ["webhook.certificate_expired", "webhook.certificate_expiring"]
    later = authority.client(not_after=engine.clock.now() + timedelta(days=300))
    await api("PATCH", f"/api/v1/webhooks/{made['id']}", 200, {"client_certificate": later})
    assert (await looked())[0] == "idle"
    await api("PATCH", f"/api/v1/webhooks/{made['id']}", 200, {"ca_certificates": authority.pem})
    assert (await looked())[0] == "idle", "an authority that ends in years"


async def test_doctor_tells_of_certificates_that_end(api: Api, receiver: Receiver) -> None:
    client = Authority().client(not_after=api.engine.clock.now() + timedelta(days=10))
    await api.create(receiver.url(), "order.*", client_certificate=client)
    (said,) = [one for one in (await api("GET", "/api/v1/diagnosis", 200))["problems"] if one["name"] == "certificates"]
    assert said["sentence"].startswith("A certificate ends soon of 1 webhook.")


async def test_certificates_are_looked_at_when_they_are_saved(api: Api) -> None:
    authority = Authority()
    good = authority.client()
    now = api.engine.clock.now()
    over = authority.client(not_after=now - timedelta(days=1), not_before=now - timedelta(days=9))
    for certificate, words in (
        (good | {"key": authority.client()["key"]}, "not the one of the first certificate"),
        (over, "ended at"),
        (good | {"key": good["certificate"]}, "cannot be read as a private key"),
        ({"certificate": good["certificate"] * 11, "key": good["key"]}, "at most 10"),
    ):
        body = {"url": "https://127.0.0.1:9/", "events": ["*"], "client_certificate": certificate}
        assert words in (await api("POST", "/api/v1/webhooks", 422, body))["error"]


async def test_credentials_are_encrypted_anew_with_the_secret_key(api: Api, receiver: Receiver) -> None:
    made = await api.create(receiver.url(), "order.*", auth=BASIC)
    await api("PATCH", f"/api/v1/webhooks/{made['id']}", 200, {"name": "n"})
    services, other = api.engine.services, SecretBox("another key")
    await api.engine.sql("delete from tidings.workers")
    await rekeyed(services.wide, services.box, other)
    rows = await api.engine.sql("select webhook_id as id, sealed_credentials from tidings.webhook_versions")
    rows += await api.engine.sql("select id, sealed_credentials from tidings.webhooks")
    assert len(rows) == 3
    for row in rows:
        assert msgspec.json.decode(other.open(row["sealed_credentials"], row["id"]))["auth"] == BASIC
