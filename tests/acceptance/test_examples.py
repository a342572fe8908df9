"""The examples, run as their first lines say, take genuine deliveries and refuse forged ones."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.engine import engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.node import NODE, free_port
from tidings.config import Config

EXAMPLES = Path(__file__).parents[2] / "examples" / "receivers"
COMMANDS = {
    "express": ["node", str(NODE / "copied/express.mjs")],
    "next": ["node", str(NODE / "next-server.mjs")],
    "fastapi": [sys.executable, str(EXAMPLES / "fastapi_app.py")],
    "flask": [sys.executable, str(EXAMPLES / "flask_app.py")],
    "django": [sys.executable, str(EXAMPLES / "django_app.py")],
}


@asynccontextmanager
async def running(name: str, secret: str) -> AsyncIterator[str]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *COMMANDS[name],
        env=os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
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
        yield url
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("name", COMMANDS)
async def test_an_example_accepts_what_is_genuine_and_refuses_what_is_not(config: Config, name: str) -> None:
    async with engine_of(config) as engine:
        webhook = await engine.add_webhook("http://127.0.0.1:1/", "order.*")
        async with running(name, webhook.secret) as url:
            genuine = await engine.add_webhook(url, "order.paid", secret=webhook.secret)
            forged = await engine.add_webhook(url, "order.paid")
            await engine.publish("order.paid", '{"total": 12.50, "note": "Grüße"}')
            await engine.cycle()
        webhook_of = {
            row["id"]: row["webhook_id"]
            for row in await engine.sql(
                "select id, webhook_id from tidings.queue union all select id, webhook_id from tidings.deliveries"
            )
        }
        status = {webhook_of[row["delivery_id"]]: row["response_status"] for row in await engine.attempts()}
    assert status[genuine.id] == 204
    assert status[forged.id] == 401
