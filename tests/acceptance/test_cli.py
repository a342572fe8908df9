"""The command line, as an operator meets it."""

import asyncio
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
import pytest

from tests.support.limits import PATIENCE
from tests.support.process import Process, run_cli, settings
from tests.support.receiver import Receiver
from tidings import __version__
from tidings.app import opened
from tidings.cli import rekeying
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.operations.webhooks.changes import WebhookChange, drafted
from tidings.store.migrations import available
from tidings.store.webhooks import insert_webhook, webhooks_by_id


def refused(*args: str, **values: Any) -> str:
    """Return the one sentence with which a command refuses to start."""
    done = run_cli(*args, **values)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("tidings: ")
    return lines[0]


def test_version_is_told() -> None:
    assert run_cli("--version").stdout.strip() == f"tidings, version {__version__}"


@pytest.mark.parametrize("command", ["serve", "api", "worker", "migrate"])
def test_an_unreachable_database_is_told_in_one_sentence(command: str, unused_tcp_port: int) -> None:
    sentence = refused(command, database_url=f"postgresql://user:hidden@127.0.0.1:{unused_tcp_port}/db")
    assert f"127.0.0.1:{unused_tcp_port}/db cannot be reached" in sentence
    assert "hidden" not in sentence


def test_an_error_is_json_where_json_was_asked_for(unused_tcp_port: int) -> None:
    done = run_cli("migrate", "--json", database_url=f"postgresql://127.0.0.1:{unused_tcp_port}/db")
    assert done.returncode == 2
    assert json.loads(done.stdout)["code"] == "CANNOT_START"


def test_what_is_no_url_is_refused() -> None:
    assert "TIDINGS_DATABASE_URL" in refused("migrate", database_url="nonsense://x")


@pytest.mark.parametrize("password", ["hun/ter2", "hun#ter2", "hun?ter2", "hun[ter2"])
def test_a_password_that_makes_it_no_url_is_not_told(password: str) -> None:
    told = refused("migrate", database_url=f"postgresql://app:{password}@127.0.0.1/db")
    assert "TIDINGS_DATABASE_URL" in told
    assert not re.search("hun|ter2", told)


async def test_a_read_only_database_is_refused_and_left_as_it_is(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    name = await connection.fetchval("select current_database()")
    await connection.execute(f"alter database {name} set default_transaction_read_only = on")
    assert "read-only" in refused("migrate", database_url=empty_database_url)
    assert await connection.fetchval("select to_regnamespace('tidings')") is None
    await connection.close()


async def test_a_role_that_may_not_create_is_refused_with_the_remedy(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    role = await connection.fetchval("select current_database() || '_powerless'")
    await connection.execute(f"create role {role} login")
    url = empty_database_url.replace("postgres:@", f"{role}:@")
    sentence = refused("migrate", database_url=url)
    assert "GRANT CREATE ON DATABASE" in sentence
    assert role in sentence
    await connection.execute(f"drop role {role}")
    await connection.close()


async def test_what_a_role_may_not_do_is_told_in_a_sentence(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    role = await connection.fetchval("select current_database() || '_nobody'")
    await connection.execute(f"create role {role} login")
    url = database_url.replace("postgres:@", f"{role}:@")
    for words in (["migrate", "--plan"], ["uninstall"], ["adopt"]):
        sentence = refused(*words, database_url=url)
        assert "tidings grants" in sentence, words
    await connection.execute(f"drop role {role}")
    await connection.close()


async def test_what_only_looks_or_mends_migrates_nothing(empty_database_url: str) -> None:
    values = {"database_url": empty_database_url, "secret_key": "test"}
    for words in (["set-aside", "list"], ["set-aside", "retry", "all"]):
        assert "Run `tidings migrate`" in refused(*words, **values)
    assert "Run `tidings migrate`" in refused("rekey", **values, new_secret_key="a much newer key")
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("select to_regnamespace('tidings')") is None
    await connection.close()


async def test_a_new_key_that_cannot_be_kept_is_told(config: Config) -> None:
    config = msgspec.structs.replace(config, secret_key=None)
    async with opened(config):
        pass
    config.key_file.with_suffix(f".{os.getpid()}").mkdir()
    with pytest.raises(StartupError, match=r"encrypted under the new key, but .*secret_key cannot be written"):
        await rekeying._rekey(config, "a much newer key")


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


class OldServer:
    """As much of PostgreSQL 13 as says that it is PostgreSQL 13 (protocol 3.0: startup, parameter status, ready)."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                while int.from_bytes(connection.recv(65536)[4:8], "big") == 80877103:  # SSLRequest
                    connection.sendall(b"N")
                greeting = _message(b"R", bytes(4)) + _message(b"S", b"server_version\x0013.14\x00")
                greeting += _message(b"S", b"client_encoding\x00UTF8\x00") + _message(b"K", bytes(8)) + _message(b"Z", b"I")
                connection.sendall(greeting)
                connection.recv(65536)

    def close(self) -> None:
        self._socket.close()


def test_a_database_that_is_too_old_is_refused() -> None:
    server = OldServer()
    sentence = refused("migrate", database_url=f"postgresql://u@127.0.0.1:{server.port}/db?sslmode=disable")
    server.close()
    assert "version 13; Tidings needs 14 or newer" in sentence


async def test_a_port_in_use_is_told(database_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refused("api", "--port", str(port), database_url=database_url, secret_key="k", admin_key="k")
    assert f"port {port}" in sentence


async def test_another_secret_key_than_the_databases_is_refused(database_url: str) -> None:
    assert run_cli("migrate", database_url=database_url).returncode == 0
    values = {"database_url": database_url, "admin_key": "k"}
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "import asyncio,os,msgspec\nfrom tidings.app import opened\nfrom tidings.configured import load_config\nasync def m():\n async with opened(load_config()): pass\nasyncio.run(m())",
        ],
        env={**os.environ, **{f"TIDINGS_{n.upper()}": v for n, v in values.items()}, "TIDINGS_SECRET_KEY": "one"},
        timeout=PATIENCE,
    )
    assert process.returncode == 0
    assert "SECRET_KEY is not the one" in refused("worker", database_url=database_url, secret_key="two")


async def test_the_secret_key_is_changed_and_nothing_is_lost(config: Config, receiver: Receiver) -> None:
    async with opened(config) as services:
        change = WebhookChange(url=receiver.url("/x"), events=["*"], profile="vivreal")
        webhook = drafted(change, group_id="default", default_profile="standard", now=services.clock.now())
        webhook = msgspec.structs.replace(webhook, previous_secret="an-older-one", previous_secret_until=services.clock.now())
        async with services.wide.transaction() as connection:
            await insert_webhook(connection, services.box, webhook)
        keys = {one.key.id for one in services.keys.published}
    values = {"database_url": config.database_url, "secret_key": config.secret_key, "data_dir": config.data_dir}
    assert "TIDINGS_NEW_SECRET_KEY" in refused("rekey", **values)
    done = run_cli("rekey", "--json", **values, new_secret_key="a much newer key")
    assert json.loads(done.stdout) == {"encrypted": 4}, done.stderr
    assert "SECRET_KEY is not the one" in refused("worker", **values)
    async with opened(msgspec.structs.replace(config, secret_key="a much newer key")) as services:
        async with services.wide.connection() as connection:
            (read,) = await webhooks_by_id(connection, services.box, [webhook.id])
        assert (read.secret, read.previous_secret) == (webhook.secret, "an-older-one")
        assert {one.key.id for one in services.keys.published} == keys


async def test_migrate_says_what_it_did(empty_database_url: str) -> None:
    assert json.loads(run_cli("migrate", "--json", database_url=empty_database_url).stdout) == {
        "applied": [f"{number:04d}_{name}" for number, name, _ in available()]
    }
    assert "up to date" in run_cli("migrate", database_url=empty_database_url).stdout


def test_the_demo_delivers_everything_verified_and_exits_0() -> None:
    # What is set for an installation does not become the demo's: nothing of this could be reached.
    elsewhere = {
        "database_url": "postgresql://127.0.0.1:9/x",
        "public_url": "https://example.com",
        "proxy": "http://127.0.0.1:9",
    }
    done = run_cli("demo", "--events", "300", "--json", **elsewhere, environ={"http_proxy": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert {name: summary[name] for name in ("committed", "delivered", "verified", "lost")} == {
        "committed": 300, "delivered": 300, "verified": 300, "lost": 0,
    }  # fmt: skip
    assert summary["duplicates"] == 0
    assert summary["p50_ms"] <= summary["p99_ms"]


async def test_serve_with_an_embedded_postgresql_makes_its_keys_once(tmp_path: Path) -> None:
    first = await Process.start("serve", "--port", "0", data_dir=tmp_path)
    key = first.ready["new_admin_key"]
    async with httpx.AsyncClient(base_url=first.ready["url"], headers={"X-API-Key": key}, timeout=PATIENCE) as client:
        assert (await client.get("/api/v1/webhooks")).json() == []
    assert await first.stop() == 0
    again = await Process.start("serve", "--port", "0", data_dir=tmp_path)
    assert again.ready["new_admin_key"] is None
    async with httpx.AsyncClient(base_url=again.ready["url"], headers={"X-API-Key": key}, timeout=PATIENCE) as client:
        assert (await client.get("/api/v1/webhooks")).status_code == 200
    assert await again.stop() == 0


async def test_more_worker_processes_share_the_work_and_are_replaced(database_url: str) -> None:
    process = await Process.start(
        "serve", "--port", "0", "--workers", "3", database_url=database_url, secret_key="k", admin_key="k"
    )
    connection = await asyncpg.connect(database_url)
    from tests.support.engine import eventually

    async def three() -> Any:
        rows = await connection.fetch("select pid from tidings.workers order by started_at")
        return [row["pid"] for row in rows] if len(rows) == 3 else None

    pids = await eventually(three)
    os.kill(pids[-1], 9)

    async def replaced() -> Any:
        rows = await connection.fetch("select pid from tidings.workers")
        return len({row["pid"] for row in rows} - set(pids)) == 1

    await eventually(replaced)
    await connection.close()
    assert await process.stop() == 0


async def test_a_stop_beside_bodies_without_an_end_is_told_in_a_line(database_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidings", "serve", "--port", "0", "--json", stdout=PIPE, stderr=PIPE,
        env=settings(database_url=database_url, secret_key="k", admin_key="k"),
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        url = urlsplit(msgspec.json.decode(await process.stdout.readline())["url"])
    opened = [await asyncio.open_connection(url.hostname, url.port) for _ in range(60)]
    path = itertools.cycle(["/api/v1/events", "/api/v1/webhooks", "/in/none"])
    for _, writer in opened:
        head = f"POST {next(path)} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-type: application/json\r\ncontent-length: 90"
        writer.write(f"{head}\r\n\r\n{{".encode())
        await writer.drain()
    reader, last = await asyncio.open_connection(url.hostname, url.port)  # answered after those before it were read
    last.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await reader.readuntil(b"\r\n")).endswith(b" 200 OK\r\n")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        said = [await reader.read(9_999) for reader, _ in opened]
        for _, writer in [*opened, (reader, last)]:
            writer.close()
        _, log = await process.communicate()
    assert process.returncode == 0
    assert sum(one.startswith(b"HTTP/1.1 503 ") for one in said) >= 40, "all whose body is waited for"
    assert b"Traceback" not in log
    assert log.count(b"stopping ") == 1, log.decode()
