"""Node beside the tests: receivers and snippets of the seed documents, and published libraries that verify."""

import asyncio
import json
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.limits import PATIENCE

NODE = Path(__file__).parents[1] / "node"


def free_port() -> int:
    """Return a port nobody listens on, from below those that systems give to outgoing connections: it stays free."""
    while True:
        port = random.randrange(15_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _script(name: str) -> Path:
    """TypeScript is compiled by `make node`."""
    path = NODE / name
    return NODE / "built" / Path(name).with_suffix(".mjs") if path.suffix == ".mts" else path


@asynccontextmanager
async def receiving(script: str, *, express: str, secret: str) -> AsyncIterator[str]:
    """Run a receiver; lends its URL."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_script(script)),
        env=os.environ | {"EXPRESS": express, "WEBHOOK_SECRET": secret, "PORT": str(port)},
        cwd=NODE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE), f"{script} did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def run_snippet(script: str, **environ: str) -> str:
    """Run a script to its end and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_script(script)),
        env=os.environ | environ,
        cwd=NODE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def checked(*questions: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask `verify.mjs`; each answer has `ok` or `error`."""
    process = await asyncio.create_subprocess_exec(
        "node", str(NODE / "verify.mjs"), cwd=NODE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    output, _ = await asyncio.wait_for(process.communicate(lines.encode()), PATIENCE)
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]
