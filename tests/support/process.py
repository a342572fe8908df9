"""Tidings as a process of its own, as an operator runs it."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import psutil

from tests.support.limits import PATIENCE


def settings(**values: Any) -> dict[str, str]:
    """Return an environment with these settings and none of the caller's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    return clean | {f"TIDINGS_{name.upper()}": str(value) for name, value in values.items()}


def run_cli(
    *args: str, timeout: float = PATIENCE, environ: dict[str, str] | None = None, cwd: Path | None = None, **values: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tidings", *args],
        env=settings(**values) | (environ or {}),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens, for processes that must know where they are reached before they start."""
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in listening]


class Process:
    """A command that runs until it is told to stop."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self._process = process
        self.ready = ready

    @classmethod
    async def start(
        cls,
        *args: str,
        environ: dict[str, str] | None = None,
        descriptors: int | None = None,
        cwd: Path | None = None,
        **values: Any,
    ) -> "Process":
        """Start it with these settings, and perhaps more of an environment, and wait until it says that it is ready."""
        process = await cls.maybe_start(*args, environ=environ, descriptors=descriptors, cwd=cwd, **values)
        assert process is not None, "it did not start"
        return process

    @classmethod
    async def maybe_start(
        cls,
        *args: str,
        environ: dict[str, str] | None = None,
        descriptors: int | None = None,
        cwd: Path | None = None,
        **values: Any,
    ) -> "Process | None":
        """Start it and wait until it says that it is ready; None when it refuses to start."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tidings",
            *args,
            "--json",
            env=settings(log_level="error", **values) | (environ or {}),
            stdout=subprocess.PIPE,
            cwd=cwd,
            preexec_fn=descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))),
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
        ready = msgspec.json.decode(line) if line else {"error": "nothing was said"}
        if "error" in ready:
            await process.wait()
            return None
        return cls(process, ready)

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory_bytes(self) -> int:
        """Return what it has in memory."""
        with open(f"/proc/{self._process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def ended(self) -> tuple[int, str]:
        """Wait until it ends by itself, and return its exit code and what it said last."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            said = await self._process.stdout.read()
            return await self._process.wait(), said.decode()

    async def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()


def is_running(process: psutil.Process) -> bool:
    """Tell whether a process, a child or not, is neither gone nor a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two
        return False


def handles_sigterm(process: asyncio.subprocess.Process) -> bool:
    """Tell whether a process runs and has a handler of its own for SIGTERM (proc_pid_status(5): SigCgt, a mask of signals)."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
