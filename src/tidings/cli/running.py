"""Running until a signal comes."""

import asyncio
import gc
import signal

import click
import msgspec
import uvloop

from tidings.app import Ready, WorkerFailedError, run
from tidings.cli.logs import set_up_logs
from tidings.config import Config
from tidings.store.database import open_database
from tidings.store.embedded import start_embedded
from tidings.store.migrations import migrate
from tidings.transport.descriptors import raise_descriptors
from tidings.worker.signals import Signal


def run_until_signal(config: Config, *, as_json: bool, with_api: bool, with_worker: bool) -> int:
    """Run until SIGTERM or Ctrl-C, and return the exit code. A second signal ends at once."""
    set_up_logs(config.log_format, config.log_level)
    tune_gc()
    raise_descriptors()
    try:
        uvloop.run(_run(config, as_json=as_json, with_api=with_api, with_worker=with_worker))
    except WorkerFailedError:
        return 1
    return 0


def tune_gc() -> None:
    """Collect garbage seldom: what the hot path makes is freed by reference counts, and looking for cycles in it
    was a quarter of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _run(config: Config, *, as_json: bool, with_api: bool, with_worker: bool) -> None:
    def show(ready: Ready) -> None:
        click.echo(msgspec.json.encode(ready) if as_json else _greeting(ready))

    await run(config, stop_on_signals(), with_api=with_api, with_worker=with_worker, on_ready=show)


def stop_on_signals() -> Signal:
    """Return a signal that SIGTERM and SIGINT set. The second of them has its usual effect."""
    loop = asyncio.get_running_loop()
    stop = Signal()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


def _greeting(ready: Ready) -> str:
    lines = []
    if ready.new_admin_key is not None:
        lines.append(f"Admin key (shown this once): {ready.new_admin_key}")
    lines.append(f"Tidings is ready: {ready.url}" if ready.url else "Tidings worker is ready.")
    if ready.url:
        lines.append(f"The portal, for browsers: {ready.url}/")
    return "\n".join(lines)


def run_migrate(config: Config, *, as_json: bool) -> None:
    """Apply migrations and tell which."""
    set_up_logs(config.log_format, config.log_level)
    applied = asyncio.run(_migrate(config))
    if as_json:
        click.echo(msgspec.json.encode({"applied": applied}))
    else:
        click.echo("\n".join(f"applied {name}" for name in applied) or "Nothing to do: the schema is up to date.")


async def _migrate(config: Config) -> list[str]:
    server = None if config.database_url else start_embedded(config.data_dir)
    try:
        url = config.database_url if server is None else server.get_uri()
        database = await open_database(url or "", max_connections=2)
        try:
            return await migrate(database)
        finally:
            await database.close()
    finally:
        if server is not None:
            server.cleanup()
