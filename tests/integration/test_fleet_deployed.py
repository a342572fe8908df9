"""A fleet as deploy/ has it: three nodes run its files, and each member comes with its own credentials over TLS."""

import asyncio
import json
import os
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import nats
import pytest
import yaml

from tests.support import stream as servers
from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.members import MEMBERS, parts_of, unheard
from tests.support.nats_credentials import Operator
from tests.support.process import free_ports, run_cli
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.core.homes import parse_homes
from tidings.fleet import make_stream, run_relay
from tidings.fleet_homes import place
from tidings.transport import stream
from tidings.transport.stream import inbox_of
from tidings.transport.stream_ahead import AheadStream
from tidings.transport.stream_making import make
from tidings.transport.stream_standing import Standing, standing
from tidings.worker.landing import Packing, landing
from tidings.worker.signals import Signal

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = Path(__file__).parents[2] / "docs" / "fleet-reference.md"
PASSWORDS = {user: f"p0123456789abcdef{user}" for user in ("admin", "billing", "eu", "us")}
FLEET = Fleet(("eu", "us"))
NO_JETSTREAM = '{ service: { account: FLEET, subject: "tidings.none" }, to: "$JS.API.INFO" }'


class Deployed:
    """Three nodes that run what is in deploy/nats."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "certificates" / "authority.crt"
        self._folder = folder
        self._ports = free_ports(9)
        self._nodes: list[subprocess.Popen[bytes]] = []

    def url(self, user: str, host: str = "127.0.0.1") -> str:
        return ",".join(f"tls://{user}:{PASSWORDS[user]}@{host}:{port}" for port in self._ports[:3])

    def start(self) -> None:
        subprocess.run(
            [DEPLOY / "nats/make-certificates.sh", self._folder / "certificates", "127.0.0.1", "nats-0"],
            check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
        given = {f"NATS_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
        given |= {f"NATS_ROUTE_{number}": f"tls://127.0.0.1:{self._ports[3 + number]}" for number in range(3)}
        for name, file in (("CERTIFICATE", "node.crt"), ("KEY", "node.key"), ("AUTHORITY", "authority.crt")):
            given[f"NATS_{name}"] = str(self._folder / "certificates" / file)
        for number in range(3):
            own = {"NATS_NAME": f"nats-{number}", "NATS_STORE": str(self._folder / f"store{number}")}
            for name, port in zip(("LISTEN", "CLUSTER", "MONITOR"), self._ports[number::3], strict=True):
                own[f"NATS_{name}"] = f"127.0.0.1:{port}"
            with (self._folder / f"node{number}.log").open("wb") as log:
                self._nodes.append(
                    subprocess.Popen(
                        [servers.SERVER, "-c", DEPLOY / "nats/nats.conf"], env=os.environ | given | own, stdout=log, stderr=log
                    )
                )

    async def are_healthy(self) -> bool:
        """Whether each node answers what the manifests ask of it."""
        probes = re.findall(r'path: "(/healthz[^"]*)"', (DEPLOY / "kubernetes/fleet-nats.yaml").read_text())
        assert len(probes) == 3
        try:
            async with httpx.AsyncClient(timeout=PATIENCE) as client:
                for port in self._ports[6:]:
                    for probe in probes:
                        if (await client.get(f"http://127.0.0.1:{port}{probe}")).status_code != 200:
                            return False
        except httpx.HTTPError:
            assert all(node.poll() is None for node in self._nodes), self.log
            return False
        return True

    @property
    def log(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in sorted(self._folder.glob("*.log")))

    def kill(self, number: int | None = None) -> None:
        for node in self._nodes if number is None else self._nodes[number : number + 1]:
            node.kill()
            node.wait()


@pytest.fixture
async def deployed(tmp_path: Path) -> AsyncIterator[Deployed]:
    nodes = Deployed(tmp_path)
    try:
        nodes.start()
        await eventually(nodes.are_healthy)
        yield nodes
    finally:
        nodes.kill()


def group_at(home: str) -> str:
    return next(name for number in range(100) if FLEET.home_of(name := f"g{number}") == home)


async def test_the_files_of_deploy_make_a_fleet_in_which_each_member_has_its_own_credentials(
    config: Config, deployed: Deployed, fresh_databases: Any
) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.fleet.yaml").read_text())

    async def is_made() -> bool:  # compose starts it again until it has done it: a quorum is a moment later than the nodes
        done = await asyncio.to_thread(
            run_cli, *compose["services"]["stream"]["command"], stream=deployed.url("admin"), ca_file=deployed.authority
        )
        assert done.returncode == 0 or "Traceback" not in done.stderr, done.stderr + deployed.log
        return done.returncode == 0

    await eventually(is_made)
    shared = msgspec.structs.replace(config, ca_file=deployed.authority)
    eu_url, us_url = await fresh_databases(2)
    billing = msgspec.structs.replace(shared, stream=deployed.url("billing"), source="billing")
    eu = msgspec.structs.replace(shared, stream=deployed.url("eu"), home="eu", database_url=eu_url)
    us = msgspec.structs.replace(shared, stream=deployed.url("us"), home="us", database_url=us_url)
    async with engine_of(billing) as source, engine_of(eu) as at_eu, engine_of(us) as at_us:
        await source.sql("delete from tidings.workers")
        stop, ready = Signal(), Signal()
        relay = asyncio.create_task(run_relay(billing, stop, on_ready=lambda _: ready.set()))
        try:
            async with (
                landing(eu, at_eu.services.wide, packing_of(at_eu), on_failed=pytest.fail),
                landing(us, at_us.services.wide, packing_of(at_us), on_failed=pytest.fail),
            ):
                await asyncio.wait([relay, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
                assert not relay.done() or relay.result()
                for number, home in enumerate(("eu", "us", "eu")):
                    await publish(source, number, group_at(home))
                await eventually(lambda: has(at_eu, 2))
                await eventually(lambda: has(at_us, 1))
                deployed.kill(0)  # nobody notices
                await publish(source, 3, group_at("us"))
                await eventually(lambda: has(at_us, 2))
        finally:
            stop.set()
            await relay
    admin = msgspec.structs.replace(shared, stream=deployed.url("admin"))

    async def is_empty() -> bool:  # what is landed is acknowledged a moment later
        found = [(one.home, one.flights, one.replicas) for one in await stands(admin)]
        return found == [("eu", 0, 3), ("us", 0, 3)]

    await eventually(is_empty)


def packing_of(home: Engine) -> Packing:
    return Packing(home.services.box, home.services.clock, home.services.installation.salt)


async def stands(config: Config) -> list[Standing]:
    """Ask as `stream status` does."""
    async with stream.opened(str(config.stream), credentials=None, ca_file=config.ca_file, inbox="_INBOX.admin") as way:
        return await standing(way, await way.bucket.fleet())


async def publish(source: Engine, number: int, group_id: str) -> None:
    await source.sql("select tidings.publish('order.paid', $1, group_id => $2)", json.dumps({"number": number}), group_id)


async def has(home: Engine, count: int) -> bool:
    return bool(await home.value("select count(*) = $1 from tidings.outbox", count))


async def test_a_stream_is_believed_by_its_certificate_alone(config: Config, deployed: Deployed, tmp_path: Path) -> None:
    def at(url: str, authority: Path | None) -> Config:
        return msgspec.structs.replace(config, stream=url.partition(",")[0], ca_file=authority)

    with pytest.raises(StartupError, match=r"^NATS at tls://localhost:\d+ cannot be reached \(.*Hostname mismatch.*\)\. Start"):
        await stands(at(deployed.url("admin", "localhost"), deployed.authority))
    with pytest.raises(StartupError, match=r"cannot be reached \(.*unable to get local issuer certificate"):
        await stands(at(deployed.url("admin"), None))
    # The server says why and hangs up; which of the two the client hears of first is chance.
    with pytest.raises(StartupError, match="cannot be reached") as refused:
        await stands(at(deployed.url("admin").replace(PASSWORDS["admin"], "wrong"), deployed.authority))
    assert "wrong" not in refused.value.message
    (tmp_path / "odd.crt").write_text("no certificate")
    for name in ("odd.crt", "missing.crt"):
        with pytest.raises(StartupError, match=rf"^The authorities in TIDINGS_CA_FILE .*{name} cannot be read"):
            await stands(at(deployed.url("admin"), tmp_path / name))
    with pytest.raises(StartupError, match=r"cannot be reached \(.*certificate verify failed"):
        await make_stream(at(deployed.url("admin").replace("tls://", "nats://"), None), ("eu",), replicas=1)


OF_EU = (
    "tidings.ahead.eu.1", "$KV.TIDINGS.ahead.eu",
    *(f"$JS.API.STREAM.{call}.TIDINGS_AHEAD_eu" for call in ("INFO", "MSG.GET", "PURGE", "MSG.DELETE", "CREATE", "UPDATE", "DELETE")),
    "$JS.API.DIRECT.GET.TIDINGS_AHEAD_eu", "$JS.API.CONSUMER.CREATE.TIDINGS_AHEAD_eu",
)  # fmt: skip


async def test_what_was_answered_to_a_home_that_sends_ahead_is_of_that_home_alone(config: Config, deployed: Deployed) -> None:
    admin = msgspec.structs.replace(config, stream=deployed.url("admin"), ca_file=deployed.authority)

    async def is_made() -> bool:
        with suppress(StartupError):  # a quorum is a moment later than the nodes
            await make_stream(admin, ("eu", "us"), replicas=3, most_bytes=100_000_000)
            return True
        return False

    await eventually(is_made)
    async with stream.opened(
        deployed.url("eu"), credentials=None, ca_file=deployed.authority, inbox=inbox_of("home", "eu")
    ) as way:
        ahead = AheadStream(way, "eu")
        assert await ahead.has_room()
        await ahead.put(1, b"one")
        await ahead.put(2, b"two")
        assert await ahead.numbers() == {1: 1, 2: 1}
        await ahead.forget(2)
        revision = await ahead.change(b"{}", 0)
        assert revision
        assert await ahead.change(b"{}", 0) is None
        for user in ("us", "billing"):
            assert await refusals(deployed, user, OF_EU) == set(OF_EU)
        may = {subject for subject in OF_EU if subject.endswith((".1", "ahead.eu", "INFO.TIDINGS_AHEAD_eu"))}
        may |= {f"$JS.API.STREAM.{call}.TIDINGS_AHEAD_eu" for call in ("MSG.GET", "PURGE")}
        assert await ahead.state() == (b"{}", revision)
        assert await ahead.read(1, 9) == [b"one"]
        assert await refusals(deployed, "eu", OF_EU) == set(OF_EU) - may

        async def is_forgotten() -> bool:  # what was sent a moment ago by another connection may come behind
            await ahead.forget()
            return await ahead.numbers() == {}

        await eventually(is_forgotten)


async def refusals(deployed: Deployed, user: str, subjects: Sequence[str]) -> set[str]:
    """Return to which of these subjects a login may publish without that anybody hears it."""
    context = ssl.create_default_context(cafile=deployed.authority)
    client = await nats.connect(deployed.url(user).partition(",")[0], tls=context)
    try:
        return await unheard(client, inbox_of("source" if user == "billing" else "home", user), subjects)
    finally:
        await client.close()


async def test_who_comes_with_the_login_of_another_is_told_so(config: Config, deployed: Deployed) -> None:
    there = msgspec.structs.replace(config, stream=deployed.url("eu").partition(",")[0], ca_file=deployed.authority)
    with pytest.raises(StartupError, match=r"does not let this login hear answers at _INBOX\.admin\.>"):
        await place(there, ["acme"], "eu")


async def test_nothing_is_said_in_the_clear_where_tls_is_asked_for(tmp_path: Path) -> None:
    said: list[bytes] = []

    async def without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A server, or somebody before it, who keeps silent about TLS."""
        writer.write(b'INFO {"server_id": "x", "version": "2.11.0", "max_payload": 1048576, "tls_required": false}\r\n')
        said.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(without_tls, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(
            StartupError, match=r"cannot be reached \(.*the server does not speak TLS, and tls:// asks for it\)"
        ):
            async with stream.opened(f"tls://eu:{PASSWORDS['eu']}@127.0.0.1:{port}", credentials=None, ca_file=None):
                raise AssertionError
    finally:
        server.close()
    assert set(said) == {b""}


# Credentials in a file ---------------------------------------------------------------------------------------------------------


async def test_members_come_with_a_file_of_credentials(tmp_path: Path) -> None:
    operator = Operator()
    admin = operator.write_user(tmp_path / "admin.creds", "admin", ["$JS.API.>", "$KV.TIDINGS.>"], ["_INBOX.admin.>"])
    billing = operator.write_user(
        tmp_path / "billing.creds", "billing",
        ["tidings.flights.*.billing", "$JS.API.STREAM.INFO.KV_TIDINGS", "$JS.API.DIRECT.GET.KV_TIDINGS.>"],
        ["_INBOX.source.billing.>"],
    )  # fmt: skip
    stranger = Operator().write_user(tmp_path / "stranger.creds", "admin", [">"], [">"])
    async with servers.running(tmp_path / "nats", more=operator.config, credentials=admin) as cluster:
        async with stream.opened(cluster.url, credentials=admin, ca_file=None, inbox="_INBOX.admin") as way:
            await make(way, FLEET, replicas=1, most_bytes=10_000_000)
        async with stream.opened(cluster.url, credentials=billing, ca_file=None, inbox=inbox_of("source", "billing")) as way:
            assert await way.bucket.fleet() == FLEET
        with pytest.raises(StartupError, match="cannot be reached"):
            async with stream.opened(cluster.url, credentials=stranger, ca_file=None):
                raise AssertionError


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "-----BEGIN NATS USER JWT-----\n",
        "-----BEGIN NATS USER JWT-----\na.b.c\n-----BEGIN USER NKEY SEED-----\nSUAAA\n",
    ],
)
async def test_what_is_no_file_of_credentials_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.creds"
    path.write_text(text)
    with pytest.raises(StartupError, match=r"^TIDINGS_STREAM_CREDENTIALS .*odd\.creds has no credentials of NATS\.") as refused:
        async with stream.opened("nats://127.0.0.1:1", credentials=path, ca_file=None):
            raise AssertionError
    assert "secret" not in refused.value.message
    with pytest.raises(StartupError, match=r"missing\.creds cannot be read \(No such file"):
        async with stream.opened("nats://127.0.0.1:1", credentials=tmp_path / "missing.creds", ca_file=None):
            raise AssertionError


# What the files say ------------------------------------------------------------------------------------------------------------


def test_members_may_do_what_the_docs_say_and_nothing_else() -> None:
    text = DOCS.read_text().partition("## Who may do what")[2]
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| ")][1:]
    told = [[sorted(cell.split("`")[1::2]) for cell in row[1:]] for row in rows]
    parts = parts_of(MEMBERS.read_text())
    assert parts.keys() == {"FLEET", *PASSWORDS} - {"admin"}
    assert [may_of(parts.pop("billing")), may_of(parts["eu"]), allowed(parts.pop("FLEET"))] == told
    assert may_of(parts["us"]) == may_of(parts["eu"].replace("_eu", "_us").replace(".eu", ".us"))


def may_of(account: str) -> list[list[str]]:
    """Return what an account imports, and what its one user may hear; nothing else is in it."""
    assert account.count("user:") == account.count("imports:") == account.count(NO_JETSTREAM) == 1
    assert not re.search("exports|jetstream|mappings|share|trace|publish", account)
    imported = re.findall(r'{ service: { account: FLEET, subject: "([^"]+)" } }\n', account)
    assert len(imported) == account.count("account:") - 1
    return [sorted(imported), allowed(account)[1]]


def allowed(account: str) -> list[list[str]]:
    """Return what the user of an account may publish and hear."""
    found = {kind: re.findall(r'"([^"]+)"', said) for kind, said in re.findall(r"(publish|subscribe): \[(.*?)\]", account)}
    return [sorted(found.get(kind, [])) for kind in ("publish", "subscribe")]


def test_compose_and_manifests_give_each_member_its_own_credentials() -> None:
    services = yaml.safe_load((DEPLOY / "compose.fleet.yaml").read_text())["services"]
    used = {
        name: set(re.findall(r"tls://(\w+):\$\{NATS_(\w+)_PASSWORD\}@nats-\d:4222", service["environment"]["TIDINGS_STREAM"]))
        for name, service in services.items()
        if "TIDINGS_STREAM" in service.get("environment", {})
    }
    members = {"stream": "admin", "billing-migrate": "billing", "relay": "billing"} | {
        f"{home}{part}": home for home in ("eu", "us") for part in ("", "-migrate")
    }
    assert used == {name: {(member, member.upper())} for name, member in members.items()}
    for number in range(3):
        given = [volume.partition(":")[0].rpartition("/")[2] for volume in services[f"nats-{number}"]["volumes"]]
        assert given == ["nats.conf", "members.conf", "node.crt", "node.key", "authority.crt", f"stream-{number}"], (
            "no authority.key"
        )
    for file, member in (("fleet-source", "billing"), ("fleet-home", "eu")):
        text = (DEPLOY / f"kubernetes/{file}.yaml").read_text()
        assert set(re.findall(r"tls://(\w+):", text)) == set(re.findall(r"tidings-stream-(?!authority)(\w+)", text)) == {member}


def test_compose_and_manifests_have_homes_answer_for_each_other(tmp_path: Path) -> None:
    """By names that a certificate of the authority is for, which members believe."""
    services = yaml.safe_load((DEPLOY / "compose.fleet.yaml").read_text())["services"]
    names = services["homes"]["networks"]["default"]["aliases"]
    for home in ("eu", "us"):
        given = services[home]["environment"]  # of `serve`
        assert parse_homes(given["TIDINGS_HOMES"]) == {"eu": "https://eu.internal", "us": "https://us.internal"}
        assert [urlsplit(url).hostname for url in parse_homes(given["TIDINGS_HOMES"]).values()] == names
        assert given["TIDINGS_HOMES_KEY"].startswith("${TIDINGS_HOMES_KEY:?"), "one for both"
        assert given["TIDINGS_SECRET_KEY"].startswith("${HOMES_SECRET_KEY:?"), "groups move between homes that have the same"
        published = services[home]["ports"][0].split(":")[1]
        assert given["TIDINGS_PUBLIC_URL"] == f"http://localhost:{published}"
    mounted = [volume.split(":")[0] for volume in services["homes"]["volumes"]]
    assert mounted == ["./nginx/homes.conf", "./nats/certificates/homes.crt", "./nats/certificates/homes.key"]
    assert re.search(r"\(\?<home>([a-z|]+)\)", (DEPLOY / "nginx/homes.conf").read_text())[1].split("|") == ["eu", "us"]  # type: ignore[index]
    subprocess.run(
        [DEPLOY / "nats/make-certificates.sh", tmp_path, *names], env=os.environ | {"CERTIFICATE": "homes"},
        check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    for usage, can in (("sslserver", True), ("sslclient", False)):
        done = subprocess.run(
            ["openssl", "verify", "-purpose", usage, "-verify_hostname", names[1], "-CAfile", tmp_path / "authority.crt", tmp_path / "homes.crt"],
            capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == can, "nodes let in whoever comes with a client's certificate of their authority"
    containers = [
        part["spec"]["template"]["spec"]["containers"][0]
        for part in yaml.safe_load_all((DEPLOY / "kubernetes/fleet-home.yaml").read_text())
        if part["kind"] == "Deployment"
    ]
    given = {one["args"][0]: {env["name"] for env in one["env"]} for one in containers}
    assert given["worker"] - given["api"] == {"PASSWORD", "TIDINGS_STREAM"}, (
        "what answers requests needs no login for the stream"
    )
    for name in ("TIDINGS_HOMES", "TIDINGS_HOMES_KEY"):
        said = {one["args"][0]: [env.get("valueFrom") for env in one["env"] if env["name"] == name] for one in containers}
        assert said["worker"] == [], "which asks no other home"
        assert said["api"][0]["secretKeyRef"]["name"] == "tidings-homes"
