"""Backup while deliveries go on, and copies: nothing is sent from one by accident."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.conftest import url_of
from tests.support.engine import eventually
from tests.support.process import Process, run_cli
from tests.support.receiver import Receiver
from tidings.core.home import HELD, Home, is_copy
from tidings.store.embedded_programs import Binaries


def settings(url: str, folder: Path) -> dict[str, Any]:
    return {
        "database_url": url, "data_dir": folder, "secret_key": "test", "admin_key": "test", "port": 0,
        "allow_private_networks": "127.0.0.0/8", "stop_grace_seconds": 1,
    }  # fmt: skip


@asynccontextmanager
async def another(postgres: str, made: str, name: str) -> AsyncIterator[str]:
    """A database that is made by these words."""
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"create database {name} {made}")
    try:
        yield url_of(postgres, name)
    finally:
        await connection.execute(f"drop database {name} with (force)")
        await connection.close()


async def received(receiver: Receiver, count: int) -> None:
    async def is_so() -> bool:
        return len(receiver.received) >= count

    await eventually(is_so)


def name_in(url: str) -> str:
    return url.rpartition("?")[0].rpartition("/")[2]


def client_of(process: Process) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.ready["url"], headers={"X-API-Key": "test"})


async def publish(url: str, *numbers: int) -> None:
    user = await asyncpg.connect(url)
    for number in numbers:
        record = "json_build_object('number', $1::integer)"
        await user.execute(
            f"insert into tidings.outbox (source, type, record) values ('publish', 'order.paid', {record})", number
        )
    await user.close()


def test_where_an_installation_is() -> None:
    here = Home(7, 5)
    assert here.note == "7:5"
    assert [is_copy(note, here) for note in (None, "7:5", "?:5")] == [False, False, False]
    assert [is_copy(note, here) for note in ("7:6", "8:5", "?:6", HELD, "", "7:5:1")] == [True] * 6
    unknown = Home(None, 5)
    assert [is_copy(note, unknown) for note in ("7:5", "?:5", "7:6")] == [False, False, True]


async def test_a_clone_sends_nothing_until_it_is_adopted(
    postgres: str, database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    first = await Process.start("serve", **settings(database_url, tmp_path))
    async with client_of(first) as client:
        hook = {"url": receiver.url(), "events": ["order.*"]}
        assert (await client.post("/api/v1/webhooks", json=hook)).status_code == 201
        assert (await client.get("/readyz")).status_code == 200
    await first.stop()
    await publish(database_url, 1)  # it waits in the outbox of both
    async with another(postgres, f"template {name_in(database_url)}", f"{name_in(database_url)}_clone") as url:
        copy = await Process.start("serve", **settings(url, tmp_path) | {"workers": 2})
        async with client_of(copy) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert "This database is a copy" in ready.text
            assert "tidings adopt" in ready.text
            assert (await client.get("/api/v1/webhooks")).status_code == 200  # it can be looked at
            user = await asyncpg.connect(url)
            assert (
                await user.fetchval("select count(*) from tidings.workers where heartbeat_at > now() - interval '1 minute'")
                == 0
            )
            assert await user.fetchval("select count(*) from tidings.outbox") == 1
            await user.close()
            assert receiver.received == []
            adopted = run_cli("adopt", database_url=url, secret_key="test")
            assert adopted.stdout.startswith("This database is the installation's from now on.")
            await received(receiver, 1)
            assert run_cli("adopt", database_url=url, secret_key="test").stdout.startswith("Nothing to do")
        await copy.stop()
        # The original is what it was; and a copy of files can be held by hand.
        again = await Process.start("serve", **settings(database_url, tmp_path))
        await received(receiver, 2)
        await again.stop()
        assert run_cli("adopt", "--hold", database_url=database_url, secret_key="test").returncode == 0
        examined = run_cli("doctor", database_url=database_url, data_dir=tmp_path, secret_key="test")
        assert "This database is a copy" in examined.stdout + examined.stderr


async def test_a_dump_while_deliveries_go_on_restores_and_holds(
    postgres: str, database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Everything that was committed before the dump is in the copy: delivered, or waiting to be."""
    server = await Process.start("serve", **settings(database_url, tmp_path))
    async with client_of(server) as client:
        hook = {"url": receiver.url(), "events": ["order.*"]}
        assert (await client.post("/api/v1/webhooks", json=hook)).status_code == 201
    await publish(database_url, *range(100))
    going_on = asyncio.create_task(publish(database_url, *range(100, 400)))
    dump = str(tmp_path / "dump")
    run = partial(_run, Binaries(tmp_path / "none"))
    await asyncio.to_thread(run, "pg_dump", "--format=custom", f"--file={dump}", database_url)
    await going_on
    await received(receiver, 400)
    await server.stop()
    sent = len(receiver.received)
    async with another(postgres, "template template0", f"{name_in(database_url)}_restored") as url:
        await asyncio.to_thread(run, "pg_restore", "--exit-on-error", f"--dbname={url}", dump)
        user = await asyncpg.connect(url)
        kept = "select count(distinct external) from (select record::jsonb ->> 'number' as external from tidings.{} where type = 'order.paid' {}) e where external::int < 100"
        routed = await user.fetchval(kept.format("events", ""))
        waiting = await user.fetchval(kept.format("outbox", ""))
        assert routed + waiting == 100
        await user.close()
        copy = await Process.start("serve", **settings(url, tmp_path))
        async with client_of(copy) as client:
            assert "This database is a copy" in (await client.get("/readyz")).text
        await copy.stop()
        assert len(receiver.received) == sent
        assert run_cli("adopt", database_url=url, secret_key="test").returncode == 0
        copy = await Process.start("serve", **settings(url, tmp_path))
        user = await asyncpg.connect(url)

        async def is_done() -> bool:
            open_ = "select (select count(*) from tidings.outbox) + (select count(*) from tidings.queue) + (select count(*) from tidings.flights)"
            return bool(await user.fetchval(open_) == 0)

        await eventually(is_done)
        numbers = await user.fetch(
            "select distinct record::jsonb ->> 'number' as n from tidings.events where type = 'order.paid'"
        )
        assert {str(number) for number in range(100)} <= {row["n"] for row in numbers}
        await user.close()
        await copy.stop()


async def replaced_by_a_copy(postgres: str, url: str, *changes: str) -> str:
    """Put a copy in the place of a database, under its name, and return the name that the original has now."""
    name, former = name_in(url), f"{name_in(url)}_former"
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"alter database {name} allow_connections false")

    async def is_left() -> bool:
        await connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        return bool(await connection.fetchval("select not exists (select from pg_stat_activity where datname = $1)", name))

    await eventually(is_left)
    await connection.execute(f"alter database {name} rename to {former}")
    await connection.execute(f"create database {name} template {former} allow_connections false")
    await connection.execute(f"alter database {name} allow_connections true")
    await connection.close()
    return former


async def test_a_process_that_is_led_to_a_copy_waits_until_it_is_adopted(
    postgres: str, database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Somebody restores the database under its name while a process runs: what is sent from the original is not sent again."""
    server = await Process.start("serve", **settings(database_url, tmp_path))
    async with client_of(server) as client:
        for path in ("/kept", "/lost"):
            hook = {"url": receiver.url(path), "events": ["order.*"]}
            assert (await client.post("/api/v1/webhooks", json=hook)).status_code == 201
        await publish(database_url, 1)
        await received(receiver, 2)
        former = await replaced_by_a_copy(postgres, database_url)
        user = await asyncpg.connect(database_url)
        # As it was before the second webhook was made, and with something that waits.
        await user.execute("""
            with gone as (delete from tidings.webhooks where url like '%/lost' returning id)
            delete from tidings.webhook_changes where webhook_id in (select id from gone);
            update tidings.routes_version set version = (select max(version) from tidings.webhook_changes)""")
        await publish(database_url, 2)

        async def is_told() -> bool:
            return "leads to another database than before" in (await client.get("/readyz")).text

        await eventually(is_told)
        assert (await client.get("/api/v1/webhooks")).status_code == 503
        held = await asyncio.to_thread(run_cli, "doctor", database_url=database_url, data_dir=tmp_path, secret_key="test")
        assert "This database is a copy" in held.stdout + held.stderr
        assert await user.fetchval("select count(*) from tidings.outbox") == 1
        assert len(receiver.received) == 2
        assert (await asyncio.to_thread(run_cli, "adopt", database_url=database_url, secret_key="test")).returncode == 0
        await received(receiver, 3)
        assert [request.path for request in receiver.received].count("/lost") == 1

        async def is_ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await eventually(is_ready)
        await user.close()
    await server.stop()
    root = await asyncpg.connect(postgres)
    await root.execute(f"drop database {former} with (force)")
    await root.close()


def _run(programs: Binaries, program: str, *words: str) -> None:
    done = subprocess.run([programs.path(program), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
