"""`tidings relay` and `tidings stream`, on the command line."""

import asyncio
import time
from collections.abc import Sequence

import click
import msgspec
import uvloop

from tidings.cli.logs import line, set_up_logs
from tidings.cli.remote.inert import inert, json_text
from tidings.cli.running import stop_on_signals, tune_gc
from tidings.clock import machine_time
from tidings.config import Config
from tidings.core.ahead import Turn
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.core.pressure import Report, Seen, Trouble, sources_of, troubles, why
from tidings.fleet import (
    Doing,
    RelayFailedError,
    leave,
    leave_as_home,
    make_stream,
    move_group,
    run_relay,
)
from tidings.fleet_homes import place, remove_home, spread_names
from tidings.fleet_watch import drain, resume, status


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
    said = (
        f"{sent:,} flights were sent that waited. This database is no source any more: serve and worker may run here, and "
        "route what is committed from now on and what the relay had not taken."
    )
    click.echo(msgspec.json.encode({"sent": sent}) if as_json else said)


def run_init(config: Config, homes: tuple[str, ...], *, replicas: int, most_bytes: int, as_json: bool) -> None:
    """Make the stream of a fleet, and say what it is."""
    fleet = asyncio.run(make_stream(config, homes, replicas=replicas, most_bytes=most_bytes))
    if as_json:
        click.echo(msgspec.json.encode(fleet))
    else:
        click.echo(f"The stream is there, with {replicas} copies, for homes {', '.join(fleet.homes)}.")


def run_remove(config: Config, home: str, besides: tuple[str, ...], *, as_json: bool) -> None:
    """Have the fleet be without a home, and say so."""
    is_gone = asyncio.run(remove_home(config, home, besides=besides))
    said = f"The fleet is without {home}." + ("" if is_gone else f" Flights are in its stream, TIDINGS_{home}, which stays.")
    click.echo(msgspec.json.encode({"removed": home, "is_stream_gone": is_gone}) if as_json else said)


def run_place(config: Config, groups: tuple[str, ...], home: str, *, as_json: bool) -> None:
    """Say that groups live at a home."""
    fleet = asyncio.run(place(config, groups, home))
    said = (
        f"{len(fleet.moved)} groups are remembered that do not live where their names lead. All members hear of it in seconds."
    )
    click.echo(msgspec.json.encode({"remembered": len(fleet.moved)}) if as_json else said)


def run_spread(config: Config, homes: tuple[str, ...], databases: tuple[str, ...], *, is_plan: bool, as_json: bool) -> None:
    """Have groups' names lead to these homes."""
    by_home: dict[str, str] = {}
    for each in databases:
        home, equals, url = each.partition("=")
        if not equals:
            raise StartupError(
                f"--database is {home[:60]!r}; write a home and its database, such as eu=postgresql://host/name."
            )
        by_home[home] = url
    fleet, remembered = asyncio.run(spread_names(config, homes, by_home, is_plan=is_plan))
    if as_json:
        click.echo(msgspec.json.encode({"homes": fleet.open_homes or fleet.homes, "remembered": remembered}))
    else:
        verb = "would lead" if is_plan else "lead"
        click.echo(
            f"Names of groups {verb} to {', '.join(fleet.open_homes or fleet.homes)}. No group is elsewhere for that: "
            f"{remembered} are remembered that do not live where their names lead."
        )


def run_move(
    config: Config, group_id: str, home: str, url: str, besides: tuple[str, ...], *, doing: Doing, as_json: bool
) -> None:
    """Move a group, or say what would be moved, or call it off."""

    def tell(step: str) -> None:
        if not as_json:
            click.echo(f"{group_id}: {step}", err=True)

    moved = asyncio.run(move_group(config, group_id, target=home, url=url, besides=besides, doing=doing, tell=tell))
    if as_json:
        click.echo(msgspec.json.encode(moved if moved is not None else {"abandoned": group_id}))
    elif moved is None:
        click.echo(f"{group_id} lives where it lived.")
    else:
        for name, count in moved.rows.items():
            if count:  # most of forty tables have nothing of a group
                click.echo(f"{name}: {count}")
        click.echo(
            f"{group_id} would live at {home}. That is what would be copied at the moment of the move; history follows it."
            if doing == "plan"
            else f"{group_id} lives at {home}."
        )


def run_leave_home(config: Config, *, as_json: bool) -> None:
    """Have a database be no home any more, and say so."""
    home = asyncio.run(leave_as_home(config))
    said = "This database is no home of a fleet." if home is None else f"This database is the home {home} no more."
    click.echo(msgspec.json.encode({"left": home}) if as_json else f"{said} Take TIDINGS_HOME out of its settings.")


def run_status(config: Config, *, watch: float | None, as_json: bool) -> int:
    """Print what waits in the fleet, where and why; the exit code is 1 when somebody should see to something."""
    while True:
        seen = asyncio.run(status(config, machine_time()))
        found = troubles(seen)
        if as_json:
            said = msgspec.json.encode({**msgspec.to_builtins(seen), "troubles": msgspec.to_builtins(found)})
            click.echo(json_text(said.decode()))
        else:
            click.echo("\n".join(inert(each) for each in _told(seen, found)))  # sources say what they like of themselves
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
        lines += _ahead_told(one.home, seen)
    for name, report in sources_of(seen).items():
        lines += [f"source {name}: cannot be read"] if report is None else _source_told(name, report, seen)
    if not seen.sources:
        lines.append("No source has said anything yet: tidings relay does so every few seconds.")
    if seen.parked:
        lines.append(
            f"being moved: {', '.join(seen.parked)}; sources keep what is for them. tidings doctor at their home says whether "
            "nobody is at it"
        )
    return [*lines, *(f"! {one.sentence}" for one in found)]


def _ahead_told(home: str, seen: Seen) -> list[str]:
    said = seen.ahead.get(home)
    if said is None or said.state is Turn.ENDED:
        return []
    ending = "; its database is back, and this ends" if said.state is Turn.ENDING else ""
    return [f"  has sent ahead of its database for {said.seconds(seen.at):.0f} s, flight {said.reached:,} begun last{ending}"]


def _source_told(name: str, report: Report, seen: Seen) -> list[str]:
    ago = max(0.0, (seen.at - report.at).total_seconds())
    oldest = f", the oldest for {report.outbox_seconds:.0f} s" if report.outbox_rows else ""
    lines = [f"source {name}: seen {ago:.0f} s ago, {report.outbox_rows:,} rows in its outbox{oldest}"]
    for one in report.waits:
        reason = f" ({why(one)})" if why(one) else ""
        lines.append(
            f"  for {one.home}: {one.flights:,} flights, {one.events:,} events, the oldest for {one.seconds:.0f} s{reason}"
        )
    return lines


def run_drain(config: Config, homes: Sequence[str], *, seconds: float, as_json: bool) -> int:
    """Drain homes, and say when nothing is on its way to them any more; the exit code is 1 when something still is."""

    def show(left: list[str]) -> None:
        if not as_json:
            click.echo("\n".join(inert(each) for each in left))

    done = asyncio.run(drain(config, homes, machine_time, seconds=seconds, on_waiting=show))
    names = ", ".join(done.homes)
    if as_json:
        click.echo(msgspec.json.encode(done))
    elif done.left:
        click.echo(
            f"After {seconds:.0f} s something is on its way still. Nothing more is sent to {names}. Run this again to wait on."
        )
    else:
        click.echo(drained(done.homes, is_all=not homes))
    return int(bool(done.left))


def drained(homes: Sequence[str], *, is_all: bool) -> str:
    """Return what may be done with the stream now, and how that ends: NATS is stopped for all homes alone."""
    may = ": the stream may be stopped, or taken away and made again" if is_all else ""
    named = "--all" if is_all else " ".join(f"--home {home}" for home in homes)
    return (
        f"Nothing is on its way to {', '.join(homes)}{may}. What is committed waits at the sources, until: "
        f"tidings stream drain {named} --resume"
    )


def run_resume(config: Config, homes: Sequence[str], *, as_json: bool) -> None:
    """Have sources send to homes again, and say so."""
    left = asyncio.run(resume(config, homes))
    said = f"Drained still: {', '.join(left)}." if left else "No home is drained."
    click.echo(msgspec.json.encode({"drained": left}) if as_json else f"What waits at the sources is sent again. {said}")
