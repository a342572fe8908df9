"""`tidings relay` and `tidings stream`, on the command line."""

import asyncio

import click
import msgspec
import uvloop

from tidings.cli.logs import line, set_up_logs
from tidings.cli.running import stop_on_signals, tune_gc
from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.core.fleet import Fleet
from tidings.fleet import (
    Doing,
    RelayFailedError,
    leave,
    leave_as_home,
    make_stream,
    move_group,
    place,
    remove_home,
    run_relay,
    spread_names,
    standing,
)


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
            click.echo(f"{name}: {count}")
        click.echo(
            f"{group_id} would live at {home}, and history with it." if doing == "plan" else f"{group_id} lives at {home}."
        )


def run_leave_home(config: Config, *, as_json: bool) -> None:
    """Have a database be no home any more, and say so."""
    home = asyncio.run(leave_as_home(config))
    said = "This database is no home of a fleet." if home is None else f"This database is the home {home} no more."
    click.echo(msgspec.json.encode({"left": home}) if as_json else f"{said} Take TIDINGS_HOME out of its settings.")


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
