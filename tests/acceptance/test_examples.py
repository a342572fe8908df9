"""The examples, run as their first lines say, take genuine deliveries once, and refuse forged ones."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.node import NODE, free_port
from tidings.config import Config

EXAMPLES = Path(__file__).parents[2] / "examples" / "receivers"
COMMANDS = {
    "express": ["node", str(NODE / "copied/express.mjs")],
    "express 4": ["node", str(NODE / "copied/express4.mjs")],
    "express behind express.json": ["node", str(NODE / "copied/express-json.mjs")],
    "hono": ["node", str(NODE / "copied/hono.mjs")],
    "next": ["node", str(NODE / "next-server.mjs")],
    "fastapi": [sys.executable, str(EXAMPLES / "fastapi_app.py")],
    "flask": [sys.executable, str(EXAMPLES / "flask_app.py")],
    "django": [sys.executable, str(EXAMPLES / "django_app.py")],
}


@asynccontextmanager
async def running(name: str, secret: str) -> AsyncIterator[tuple[str, asyncio.StreamReader]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *COMMANDS[name],
        env=os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{port}/webhooks"

    async def answers() -> bool:
        assert process.returncode is None, f"the example {name} ended"
        try:
            async with httpx.AsyncClient(timeout=PATIENCE) as client:
                return (await client.post(url, content=b"{}")).status_code == 401
        except httpx.TransportError:
            return False

    try:
        await eventually(answers)
        yield url, process.stdout
    finally:
        process.kill()
        await process.wait()


async def printed(output: asyncio.StreamReader, until: str) -> list[str]:
    """The lines of events that an example printed, up to one that says something."""
    lines: list[str] = []
    while not lines or until not in lines[-1]:
        line = (await asyncio.wait_for(output.readline(), PATIENCE)).decode()
        assert line, "the example ended"
        lines += [line] if "order." in line else []
    return lines


@pytest.mark.parametrize("name", COMMANDS)
async def test_an_example_takes_what_is_genuine_once_and_refuses_what_is_not(config: Config, name: str) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook("http://127.0.0.1:1/", "order.*")
        async with running(name, webhook.secret) as (url, output):
            # The same event to two webhooks with the secret: what is the same at every attempt is its id, so one is a repeat.
            genuine = [await engine.add_webhook(url, "order.*", secret=webhook.secret) for _ in range(2)]
            forged = await engine.add_webhook(url, "order.*")
            await engine.publish("order.paid", '{"total": 12.50, "note": "Grüße"}')
            await engine.cycle()
            await engine.publish("order.last", '{"total": 1}')
            await engine.cycle()
            lines = await printed(output, until="order.last")
        webhook_of = {
            row["id"]: row["webhook_id"]
            for row in await engine.sql(
                "select id, webhook_id from tidings.queue union all select id, webhook_id from tidings.deliveries"
            )
        }
        statuses: dict[Any, set[int]] = {}
        for row in await engine.attempts():
            statuses.setdefault(webhook_of[row["delivery_id"]], set()).add(row["response_status"])
    assert [statuses[one.id] <= {204, 503} for one in genuine] == [True, True]
    assert 204 in statuses[genuine[0].id] | statuses[genuine[1].id]
    assert statuses[forged.id] == {401}
    assert [line.split()[0] for line in lines] == ["order.paid", "order.last"]
