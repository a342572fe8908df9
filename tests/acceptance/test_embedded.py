"""The embedded PostgreSQL: started again when it ends, stopped with its owner, whatever becomes of either."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from tests.support.clusters import Disk
from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.process import Process, is_running, run_cli
from tidings.store.embedded import Embedded, reason_of, start_embedded


def postmasters(folder: Path) -> list[int]:
    """The processes that serve a folder, guards included."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any(str(folder) in part for part in command) and any("postgres" in part or "guard" in part for part in command):
            found.append(process.pid)
    return found


async def test_it_is_started_again_when_it_dies_and_work_goes_on(tmp_path: Path) -> None:
    served = await Process.start("serve", "--port", "0", data_dir=tmp_path, admin_key="k")
    embedded = Embedded(tmp_path)
    async with httpx.AsyncClient(base_url=served.ready["url"], headers={"X-API-Key": "k"}, timeout=PATIENCE) as client:

        async def is_ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        async def takes_events() -> bool:
            return (await client.post("/api/v1/events", json={"type": "order.paid", "data": {}})).status_code < 300

        await eventually(is_ready)
        for number in (signal.SIGQUIT, signal.SIGKILL):
            pid = embedded.get_pid()
            assert pid is not None
            os.kill(pid, number)

            async def is_another(before: int = pid) -> bool:
                return embedded.get_pid() not in {None, before}

            await eventually(is_another)
            await eventually(takes_events)
            await eventually(is_ready)
    assert await served.stop() == 0
    assert postmasters(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_demo_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *_demo(), env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
    )

    async def has_a_postgres() -> bool:
        return any(tmp_path.glob("tidings-demo-*/postgres/postmaster.pid"))

    await eventually(has_a_postgres)
    process.send_signal(number)
    async with asyncio.timeout(PATIENCE):
        await process.wait()
    assert list(tmp_path.glob("tidings-demo-*")) == []
    assert postmasters(tmp_path) == []


def _demo() -> list[str]:
    import sys

    return [sys.executable, "-m", "tidings", "demo", "--events", "100000", "--json"]


async def test_who_is_killed_leaves_no_postgresql_and_no_worker_and_the_next_start_is_not_blocked(tmp_path: Path) -> None:
    served = await Process.start("serve", "--port", "0", "--workers", "2", data_dir=tmp_path, admin_key="k")
    children = psutil.Process(served.pid).children(recursive=True)
    await served.kill()
    again = await Process.start("serve", "--port", "0", data_dir=tmp_path, admin_key="k")
    assert await again.stop() == 0

    async def are_gone() -> bool:
        return postmasters(tmp_path) == [] and not any(is_running(each) for each in children)

    await eventually(are_gone)


async def test_what_was_left_by_an_owner_that_died_with_its_guard_is_stopped_by_the_next_start(tmp_path: Path) -> None:
    first = await asyncio.to_thread(start_embedded, tmp_path)
    left = first.get_pid()
    assert first._guard is not None
    assert first._lock is not None
    assert first._guard.stdin is not None
    first._guard.kill()
    first._guard.wait()
    first._guard.stdin.close()
    first._lock.close()  # as the system does when a process ends
    first._lock = None
    second = await asyncio.to_thread(start_embedded, tmp_path)
    assert second.is_owner
    assert second.get_pid() not in {None, left}
    await asyncio.to_thread(second.stop)
    assert first._server is not None
    first._server.wait()
    assert postmasters(tmp_path) == []


async def test_a_guard_that_dies_is_replaced_and_the_next_one_stops_what_its_owner_leaves(tmp_path: Path) -> None:
    """The owner is a process of its own, which is killed after its first guard was."""
    served = await Process.start("serve", "--port", "0", data_dir=tmp_path, admin_key="k")
    postmaster = Embedded(tmp_path).get_pid()
    assert postmaster is not None

    def guards() -> list[int]:
        found = ((process.pid, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
        return [pid for pid, command in found if "tidings-guard" in command and str(tmp_path / "postgres") in command]

    (first,) = guards()
    os.kill(first, signal.SIGKILL)

    async def is_another() -> bool:
        found = guards()
        return len(found) == 1 and found != [first]

    await eventually(is_another)
    assert Embedded(tmp_path).get_pid() == postmaster
    await served.kill()

    async def is_stopped() -> bool:
        return postmasters(tmp_path) == []

    await eventually(is_stopped)


async def test_who_joined_takes_over_when_the_owner_goes(tmp_path: Path) -> None:
    owner = await asyncio.to_thread(start_embedded, tmp_path)
    joined = await asyncio.to_thread(start_embedded, tmp_path)
    assert (owner.is_owner, joined.is_owner) == (True, False)
    assert joined.get_uri() == owner.get_uri()
    keeping = asyncio.create_task(joined.keep())
    await asyncio.to_thread(owner.stop)

    async def is_taken_over() -> bool:
        return joined.is_owner and joined.get_pid() is not None

    await eventually(is_taken_over)
    joined.release()
    await keeping
    await asyncio.to_thread(joined.stop)
    assert postmasters(tmp_path) == []


async def test_it_comes_back_when_its_disk_was_full_and_has_room_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    served = await Process.start("serve", "--port", "0", data_dir=disk.folder, admin_key="k", secret_key="k")
    try:
        async with httpx.AsyncClient(base_url=served.ready["url"], headers={"X-API-Key": "k"}, timeout=PATIENCE) as client:
            if disk.is_own:
                disk.fill()
                connection: Any = None

                async def has_ended() -> bool:
                    """Write until it can no more."""
                    nonlocal connection
                    try:
                        connection = connection or await asyncpg.connect(served.ready["database_url"], timeout=5)
                        for _ in range(30):  # until its log can grow no more, which ends it
                            await connection.execute("select pg_logical_emit_message(true, 'x', repeat('x', 1000000))")
                    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        connection = None
                    return (await client.get("/readyz")).status_code == 503

                await eventually(has_ended)
                assert (await client.get("/healthz")).text == "ok"
            disk.free()

            async def is_ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await eventually(is_ready)
            assert (await client.post("/api/v1/events", json={"type": "a.b", "data": {}})).status_code < 300
        assert await served.stop() == 0
    finally:
        await served.kill()
        disk.remove()


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("in the way")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for folder in (tmp_path, tmp_path / "loop"):
        done = run_cli("serve", "--port", "0", data_dir=folder)
        assert done.returncode == 2
        assert "The embedded PostgreSQL in" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_why_it_cannot_be_made_is_told_and_not_what_is_tidied_up() -> None:
    said = (
        'FATAL:  could not write to file "pg_wal/xlogtemp.1": No space left on device\nchild process exited with exit code 1\n'
        'initdb: removing contents of data directory "/x"\n'
    )
    assert "No space left" in reason_of(said)
    assert reason_of("initdb: error: no\ninitdb: hint: so\n") == "initdb: error: no"
    assert (reason_of("strange\n"), reason_of("")) == ("strange", "initdb said nothing")
