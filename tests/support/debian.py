"""The PostgreSQL that the distribution brings, which may be another version than the embedded one."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tidings.store.embedded_programs import Binaries

_HOMES = Path("/usr/lib/postgresql")


def versions() -> list[str]:
    """Return the versions that are installed, those we work with, oldest first."""
    found = [path.name for path in _HOMES.glob("*") if (path / "bin" / "initdb").exists() and path.name.isdigit()]
    return sorted((name for name in found if int(name) >= 14), key=int)


@asynccontextmanager
async def running(version: str, folder: Path) -> AsyncIterator[str]:
    """Run one in a folder of its own; lends its URL."""
    programs = _HOMES / version / "bin"
    data = folder / "postgres"
    binaries = Binaries(data)  # who runs it: PostgreSQL refuses to run as root
    user = binaries.as_user()
    if user:
        os.chown(folder, user["user"], user["group"])
        binaries.give(folder)
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"

    async def run(*command: str | Path) -> None:
        await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.DEVNULL, cwd="/", **user)

    await run(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--encoding=UTF8", "--locale=C.UTF-8")
    await run(programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield f"postgresql://postgres:@/postgres?host={folder}"
    finally:
        await run(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
