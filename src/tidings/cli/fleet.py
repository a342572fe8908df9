"""`tidings relay` and `tidings stream`, on the command line."""

import asyncio
import time
from collections.abc import Sequence

import click
import msgspec
import uvloop

from tidings.cli.logs import line, set_up_logs
from tidings.cli.running import stop_on_signals, tune_gc
from tidings.clock import machine_time
from tidings.config import Config
from tidings.core.fleet import Fleet
from tidings.core.pressure import Report, Seen, Trouble, sources_of, troubles, why
from tidings.fleet import RelayFailedError, drain, leave, make_stream, resume, run_relay, status


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


def run_status(config: Config, *, watch: float | None, as_json: bool) -> int:
    """Print where what waits in the fleet, and why; the exit code is 1 when somebody should see to something."""
    while True:
        seen = asyncio.run(status(config, machine_time()))
        found = troubles(seen)
        if as_json:
            click.echo(msgspec.json.encode({**msgspec.to_builtins(seen), "troubles": msgspec.to_builtins(found)}))
        else:
            click.echo("\n".join(_told(seen, found)))
        if watch is None:
            return int(bool(found))
        time.sleep(watch)
        click.echo()


def _told(seen: Seen, found: Sequence[Trouble]) -> list[str]:
    lines = []
    for one in seen.homes:
        room = f"{one.share:.0%} of its room" if one.most_bytes > 0 else f"{one.bytes:,} bytes"
        state = f"{one.current} of {one.replicas} copies up to date, {one.leader or 'nobody'} leads"
        age = f", the oldest for {one.seconds:.0f} s" if one.flights else ""
        drained = "; drained" if one.home in seen.drained else ""
        lines.append(f"home {one.home}: {one.flights:,} flights in the stream{age}, {room}; {state}{drained}")
    for name, report in sources_of(seen).items():
        lines += [f"source {name}: cannot be read"] if report is None else _source_told(name, report, seen)
    if not seen.sources:
        lines.append("No source has said anything yet: tidings relay does so every few seconds.")
    return [*lines, *(f"! {one.sentence}" for one in found)]


def _source_told(name: str, report: Report, seen: Seen) -> list[str]:
    ago = max(0.0, (seen.at - report.at).total_seconds())
    oldest = f", the oldest for {report.outbox_seconds:.0f} s" if report.outbox_rows else ""
    lines = [f"source {name}: seen {ago:.0f} s ago, {report.outbox_rows:,} rows in its outbox{oldest}"]
    for one in report.waits:
        held = f" ({why(one.why)})" if why(one.why) else ""
        lines.append(
            f"  for {one.home}: {one.flights:,} flights, {one.events:,} events, the oldest for {one.seconds:.0f} s{held}"
        )
    return lines


def run_drain(config: Config, homes: Sequence[str], *, seconds: float, as_json: bool) -> int:
    """Drain homes, and say when nothing is on its way to them any more; the exit code is 1 when something still is."""

    def show(left: list[str]) -> None:
        if not as_json:
            click.echo("\n".join(left))

    done = asyncio.run(drain(config, homes, machine_time, seconds=seconds, on_waiting=show))
    names = ", ".join(done.homes)
    if as_json:
        click.echo(msgspec.json.encode(done))
    elif done.left:
        click.echo(
            f"After {seconds:.0f} s something is on its way still. Nothing more is sent to {names}. Run this again to wait on."
        )
    else:
        click.echo(
            f"Nothing is on its way to {names}: the stream may be stopped, or taken away and made again. What is committed "
            "waits at the sources, until: tidings stream drain --resume"
        )
    return int(bool(done.left))


def run_resume(config: Config, homes: Sequence[str], *, as_json: bool) -> None:
    """Have sources send to homes again, and say so."""
    left = asyncio.run(resume(config, homes))
    said = f"Drained still: {', '.join(left)}." if left else "No home is drained."
    click.echo(msgspec.json.encode({"drained": left}) if as_json else f"What waits at the sources is sent again. {said}")
