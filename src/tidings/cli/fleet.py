"""`tidings relay` and `tidings stream`, on the command line."""

import asyncio

import click
import msgspec
import uvloop

from tidings.cli.logs import line, set_up_logs
from tidings.cli.running import stop_on_signals, tune_gc
from tidings.config import Config
from tidings.core.fleet import Fleet
from tidings.fleet import RelayFailedError, leave, make_stream, run_relay, standing


def run_relay_until_signal(config: Config, *, as_json: bool) -> int:
    """Run a source's relay until SIGTERM, SIGHUP or Ctrl-C, and return the exit code."""
    set_up_logs(config.log_format, config.log_level)
    tune_gc()

    def show(fleet: Fleet) -> None:
        if as_json:
            click.echo(msgspec.json.encode({"source": config.source, "homes": fleet.homes}))
        elif config.log_format == "json":
            click.echo(line("info", "the relay is ready", source=config.source, homes=", ".join(fleet.homes)))
        else:
            click.echo(f"Tidings relay is ready: {config.source} to {', '.join(fleet.homes)}")

    async def running() -> None:
        await run_relay(config, stop_on_signals(), on_ready=show)

    try:
        uvloop.run(running())
    except RelayFailedError:
        return 1
    return 0


def run_leave(config: Config, *, as_json: bool) -> None:
    """Have a database be a source no more, and say so."""
    sent = asyncio.run(leave(config))
    said = f"{sent} flights were sent that waited. This database is no source any more: serve and worker may run here."
    click.echo(msgspec.json.encode({"sent": sent}) if as_json else said)


def run_init(config: Config, homes: tuple[str, ...], *, replicas: int, most_bytes: int, as_json: bool) -> None:
    """Make the stream of a fleet, and say what it is."""
    fleet = asyncio.run(make_stream(config, homes, replicas=replicas, most_bytes=most_bytes))
    if as_json:
        click.echo(msgspec.json.encode(fleet))
    else:
        click.echo(f"The stream is there, with {replicas} copies, for homes {', '.join(fleet.homes)}.")


def run_status(config: Config, *, as_json: bool) -> int:
    """Print what waits for each home; the exit code is 1 when a copy is not up to date."""
    found = asyncio.run(standing(config))
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for one in found:
            room = f"{one.bytes / one.most_bytes:.0%} of its room" if one.most_bytes > 0 else f"{one.bytes:,} bytes"
            click.echo(f"{one.home}: {one.flights} flights wait, {room}; {one.current} of {one.replicas} copies up to date")
    return int(any(one.current < one.replicas for one in found))
