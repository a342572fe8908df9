"""What a process says from its first line to its last, and that nothing is left of it however it ends."""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.process import is_running, run_cli, settings
from tests.support.receiver import Receiver


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_log_is_json_when_the_start_fails(tmp_path: Path) -> None:
    for values in (
        {"database_url": "postgresql://nobody:@/x?host=/nowhere"},
        {"database_url": "no url at all"},
        {"port": "many", "data_dir": tmp_path},  # settings that cannot be read
    ):
        done = run_cli("serve", log_format="json", **values)
        assert done.returncode == 2
        (line,) = _lines(done.stderr)
        assert (line["level"], line["code"]) == ("error", "CANNOT_START")
        assert done.stdout == ""


async def test_a_json_log_is_json_from_the_first_line_to_the_last(database_url: str, tmp_path: Path) -> None:
    """Both streams, as a container writes them; warnings of libraries and what nobody caught too."""
    odd = tmp_path / "sitecustomize.py"
    odd.write_text("import atexit, warnings\natexit.register(lambda: warnings.warn('said at the end'))\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidings", "serve", "--port", "0",
        env=settings(database_url=database_url, data_dir=tmp_path, log_format="json", workers=2) | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not any(line["message"] == "Tidings is ready" and "url" in line for line in lines):
            lines.append(json.loads(await process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        lines += _lines((await process.stdout.read()).decode())
    assert await process.wait() == 0
    ready = next(line for line in lines if "new_admin_key" in line)
    assert Path(ready["secret_key_file"]) == tmp_path / "secret_key"
    assert any("said at the end" in line["message"] for line in lines)
    assert any("secret key was made" in line["message"] for line in lines)


async def test_deliveries_are_seen_in_a_terminal(database_url: str, receiver: Receiver, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidings", "serve", "--port", "0", "--json",
        env=settings(database_url=database_url, data_dir=tmp_path, secret_key="k", admin_key="k", allow_private_networks="127.0.0.0/8"),
        stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    assert process.stdout is not None
    seen = bytearray()
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, lambda: seen.extend(os.read(ours, 65536)))
    try:
        async with asyncio.timeout(PATIENCE):
            ready = json.loads(await process.stdout.readline())
        import httpx

        async with httpx.AsyncClient(base_url=ready["url"], headers={"X-API-Key": "k"}) as client:
            hook = {"url": receiver.url(), "events": ["*"]}
            assert (await client.post("/api/v1/webhooks", json=hook)).status_code == 201
            for number in range(3):
                assert (await client.post("/api/v1/events", json={"type": "a.b", "data": number})).status_code == 202

        async def told() -> bool:
            return sum(map(int, re.findall(rb"(\d+) delivered, 0 attempt\(s\) failed; the slowest took \d+ ms", seen))) == 3

        await eventually(told)
    finally:
        loop.remove_reader(ours)
        process.terminate()
        await process.wait()
        os.close(ours)


async def test_nothing_is_left_however_the_first_process_ends(tmp_path: Path) -> None:
    """Three processes and a PostgreSQL of their own, which the next start goes on with; killed, the first can say nothing to the others."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        assert await _left_by(number, tmp_path) == [], number


async def _left_by(number: signal.Signals, tmp_path: Path) -> list[psutil.Process]:
    """Start, end the first process by a signal, and return what is left of the others."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidings", "serve", "--port", "0", "--workers", "3", "--json",
        env=settings(data_dir=tmp_path, log_level="error"), stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        ready = json.loads(await process.stdout.readline())
    connection = await asyncpg.connect(ready["database_url"])

    async def three() -> bool:
        return await connection.fetchval("select count(*) from tidings.workers") == 3

    await eventually(three)
    await connection.close()
    family = psutil.Process(process.pid).children(recursive=True)
    family += [one for one in psutil.process_iter() if str(tmp_path) in _command(one) and one.pid != process.pid]
    assert len({one.pid for one in family}) > 5
    process.send_signal(number)
    assert await process.wait() == (-number if number is signal.SIGKILL else 0)  # told to stop, it ends as one that was

    async def all_gone() -> bool:
        return not any(is_running(one) for one in family)

    await eventually(all_gone)
    return [one for one in psutil.process_iter() if str(tmp_path) in _command(one)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
