"""Running until a signal comes."""

import asyncio
import gc
import os
import signal

import click
import msgspec
import uvloop

from tidings.app import database_of
from tidings.cli import asking
from tidings.cli.logs import line, set_up_logs
from tidings.config import Config
from tidings.running import Ready, WorkerFailedError, run
from tidings.store import request_role, roles
from tidings.store.migrations import is_ahead, migrate, pending
from tidings.transport.descriptors import raise_descriptors
from tidings.worker.signals import Signal

ORPHAN_INTERVAL = 1.0  # seconds between looks whether the parent lives
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_until_signal(config: Config, *, as_json: bool, with_api: bool, with_worker: bool, parent: int | None = None) -> int:
    """Run until SIGTERM, SIGHUP or Ctrl-C, and return the exit code. A second signal ends at once.

    Args:
        parent: The process that started this one; without it this one stops too.
    """
    set_up_logs(config.log_format, config.log_level)
    tune_gc()
    raise_descriptors()
    try:
        uvloop.run(_run(config, as_json=as_json, with_api=with_api, with_worker=with_worker, parent=parent))
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


async def _run(config: Config, *, as_json: bool, with_api: bool, with_worker: bool, parent: int | None) -> None:
    def show(ready: Ready) -> None:
        if not as_json and config.log_format == "json":
            said = {"url": ready.url, "new_admin_key": ready.new_admin_key, "secret_key_file": ready.secret_key_file}
            click.echo(line("info", "Tidings is ready", **{name: value for name, value in said.items() if value is not None}))
        else:
            click.echo(msgspec.json.encode(ready) if as_json else _greeting(ready))

    stop = stop_on_signals()
    watching = None if parent is None else asyncio.create_task(_stop_when_orphaned(stop, parent))
    try:
        await run(config, stop, with_api=with_api, with_worker=with_worker, on_ready=show)
    finally:
        if watching is not None:
            watching.cancel()


async def _stop_when_orphaned(stop: Signal, parent: int) -> None:
    """Set the signal once the parent is gone: nobody would stop this process, nor know of it."""
    while os.getppid() == parent and not await stop.wait(ORPHAN_INTERVAL):
        pass
    stop.set()


def stop_on_signals() -> Signal:
    """Return a signal that SIGTERM, SIGINT and SIGHUP (a closed terminal) set. The second of them has its usual effect."""
    loop = asyncio.get_running_loop()
    stop = Signal()

    def on_signal() -> None:
        stop.set()
        for number in STOPPING:
            loop.remove_signal_handler(number)

    for number in STOPPING:
        loop.add_signal_handler(number, on_signal)
    return stop


def _greeting(ready: Ready) -> str:
    lines = []
    if ready.new_admin_key is not None:
        lines.append(f"Admin key (shown this once): {ready.new_admin_key}")
        if ready.secret_key_file is not None:
            lines.append(
                f"Secret key: in {ready.secret_key_file}. Keep a copy: without it no secret in the database can be read again."
            )
    lines.append(f"Tidings is ready: {ready.url}" if ready.url else "Tidings worker is ready.")
    if ready.url:
        lines.append(f"The portal, for browsers: {ready.url}/")
    return "\n".join(lines)


def run_migrate(config: Config, *, is_plan: bool, to: str | None = None, as_json: bool) -> None:
    """Apply migrations and tell which; or only tell which there are to apply."""
    set_up_logs(config.log_format, config.log_level)
    names = asking.done(_migrate(config, is_plan=is_plan, to=to))
    if as_json:
        click.echo(msgspec.json.encode({"pending" if is_plan else "applied": names}))
    else:
        said = "would apply" if is_plan else "applied"
        click.echo(
            "\n".join(f"{said} {name}" for name in names) or f"Nothing to do: the schema is {'there' if to else 'up to date'}."
        )


async def _migrate(config: Config, *, is_plan: bool, to: str | None) -> list[str]:
    async with database_of(config) as database:
        if is_plan:
            return await pending(database, to=to)
        names = await migrate(database, to=to)
        async with database.connection() as connection:
            is_newest = not await is_ahead(connection)
        await roles.give(database, config.running_role, is_to_take=is_newest)
        async with database.connection() as connection:
            takers = await roles.running_roles(connection)
        if takers:
            await request_role.prepare(database, config.request_role, takers=takers)
        return names
