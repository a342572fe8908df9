"""Two releases on one schema: the one of before goes on, and starts again, while the next has migrated and runs beside it."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

import tidings
from tests.support.engine import eventually
from tests.support.process import Process
from tests.support.receiver import Receiver
from tidings.store.migrations import LAST

NEXT = """-- To the operator: what the next release might add.
alter table tidings.webhooks add column next_is text, add column next_number integer not null default 1;
alter table tidings.queue add column next_seen boolean not null default false;
alter table tidings.events add column next_note text;
create table tidings.next_things (id integer primary key, group_id text not null);
create function tidings.next_noted() returns trigger language plpgsql as $$ begin new.next_note := 'noted'; return new; end $$;
create trigger next_noted before insert on tidings.events for each row execute function tidings.next_noted();
"""
ROUND = 300  # events of each of the four rounds


def next_release(folder: Path) -> Path:
    """The program as it is, and a migration that it does not have yet."""
    package = folder / "next" / "tidings"
    shutil.copytree(Path(tidings.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "store" / "migrations" / f"{LAST + 1:04d}_next.sql").write_text(NEXT)
    return package.parent


async def test_the_release_of_before_runs_on_the_schema_of_the_next(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    former = os.environ.get("FORMER_RELEASE")  # the folder of its package, once there is one
    old = {"PYTHONPATH": former} if former else {}
    new = {"PYTHONPATH": str(next_release(tmp_path))}
    settings: dict[str, Any] = {
        "database_url": database_url, "data_dir": tmp_path, "secret_key": "test", "admin_key": "test", "port": 0,
        "allow_private_networks": "127.0.0.0/8", "stop_grace_seconds": 5,
    }  # fmt: skip
    user = await asyncpg.connect(database_url)
    await user.execute("create table orders (id int primary key, number int)")
    before = await Process.start("serve", environ=old, **settings)
    async with client_of(before) as client:
        hook = {"url": receiver.url(), "events": [{"table": "orders"}]}
        assert (await client.post("/api/v1/webhooks", json=hook)).status_code == 201

    async def load(number: int) -> None:
        for one in range(number * ROUND, (number + 1) * ROUND):
            await user.execute("insert into orders values ($1, $1)", one)

    await load(0)
    loading = asyncio.create_task(load(1))
    beside = await Process.start("serve", environ=new, **settings)  # it migrates, under load
    await loading
    assert await user.fetchval("select max(number) from tidings.migrations") == LAST + 1
    for process in (before, beside):
        await is_ready(process)
    await load(2)
    assert await before.stop() == 0
    again = await Process.start("serve", environ=old, **settings)  # a supervisor starts it, or the upgrade was a mistake
    await is_ready(again)
    assert await beside.stop() == 0
    await load(3)

    async def all_came() -> bool:
        return len({number_of(one) for one in receiver.received}) == 4 * ROUND

    await eventually(all_came)
    async with client_of(again) as client:
        assert (await client.get("/api/v1/webhooks")).status_code == 200
        assert (await client.get("/api/v1/deliveries", params={"limit": 5})).status_code == 200
    assert await again.stop() == 0
    assert await user.fetchval("select count(*) from tidings.outbox") == 0
    assert len(receiver.received) == 4 * ROUND  # nobody was killed, so nothing comes twice
    assert await user.fetchval("select count(*) from tidings.outbox_rejected") == 0
    await user.close()


def number_of(request: Any) -> int:
    return int(msgspec.json.decode(request.body)["data"]["record"]["number"])


def client_of(process: Process) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=process.ready["url"], headers={"X-API-Key": "test"})


async def is_ready(process: Process) -> None:
    async with client_of(process) as client:

        async def is_so() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await eventually(is_so)
