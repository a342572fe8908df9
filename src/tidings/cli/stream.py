"""`tidings stream`: the commands. What they do is imported when they run."""

import sys
from typing import Any

import click

from tidings.cli.setup import Setup, json_option, reports_errors


@click.group()
def stream() -> None:
    """The stream between the sources and the homes of a fleet."""


@stream.command("init")
@click.option("--home", "homes", multiple=True, required=True, help="A home's name; may be given again.")
@click.option("--replicas", type=click.IntRange(1, 5), default=3, show_default=True, help="Nodes that keep each flight.")
@click.option("--max-bytes", type=click.IntRange(1_000_000), default=8 * 2**30, show_default=True, help="That wait for a home.")
@json_option
@reports_errors
@click.pass_obj
def stream_init(setup: Setup, *, homes: tuple[str, ...], replicas: int, max_bytes: int, as_json: bool) -> None:
    """Make the stream, or add homes to it. What is there stays, and groups live where they live."""
    from tidings.cli.fleet import run_init

    run_init(setup.config(), homes, replicas=replicas, most_bytes=max_bytes, as_json=as_json)


@stream.command("place")
@click.argument("groups", nargs=-1)
@click.option("--home", required=True, help="Where they live.")
@json_option
@reports_errors
@click.pass_obj
def stream_place(setup: Setup, *, groups: tuple[str, ...], home: str, as_json: bool) -> None:
    """Say where groups live that have nothing elsewhere yet. Without any: those with webhooks in this database live there."""
    from tidings.cli.fleet import run_place

    run_place(setup.config(), groups, home, as_json=as_json)


@stream.command("spread")
@click.option(
    "--home", "homes", multiple=True, required=True, help="A home that names of new groups lead to; may be given again."
)
@click.option("--database", "databases", multiple=True, required=True, metavar="HOME=URL", help="The database of each home.")
@click.option("--plan", "is_plan", is_flag=True, help="Tell what would be so, and change nothing.")
@json_option
@reports_errors
@click.pass_obj
def stream_spread(setup: Setup, *, homes: tuple[str, ...], databases: tuple[str, ...], is_plan: bool, as_json: bool) -> None:
    """Have names of new groups lead to these homes. Groups that there are stay where they are."""
    from tidings.cli.fleet import run_spread

    run_spread(setup.config(), homes, databases, is_plan=is_plan, as_json=as_json)


@stream.command("remove")
@click.argument("home")
@click.option("--without", "besides", multiple=True, help="A sender that is gone for good; may be given again.")
@json_option
@reports_errors
@click.pass_obj
def stream_remove(setup: Setup, *, home: str, besides: tuple[str, ...], as_json: bool) -> None:
    """Take a home out of the fleet where no group lives and no name leads."""
    from tidings.cli.fleet import run_remove

    run_remove(setup.config(), home, besides, as_json=as_json)


@stream.command("move")
@click.argument("group")
@click.option("--to", "home", required=True, help="The home that it is to live at.")
@click.option("--database", "url", required=True, metavar="URL", help="The database of that home.")
@click.option("--plan", "doing", flag_value="plan", help="Tell what would be moved, and change nothing.")
@click.option("--abandon", "doing", flag_value="abandon", help="Call off a move that was broken off before the group had left.")
@click.option("--without", "besides", multiple=True, help="A sender that is gone for good; may be given again.")
@json_option
@reports_errors
@click.pass_obj
def stream_move(setup: Setup, *, group: str, home: str, url: str, doing: Any, besides: tuple[str, ...], as_json: bool) -> None:
    """Move a group from this home to another. Begun again, it goes on where it was broken off."""
    from tidings.cli.fleet import run_move

    run_move(setup.config(), group, home, url, besides, doing=doing or "move", as_json=as_json)


@stream.command("leave")
@json_option
@reports_errors
@click.pass_obj
def stream_leave(setup: Setup, *, as_json: bool) -> None:
    """Have this database be no home of a fleet any more."""
    from tidings.cli.fleet import run_leave_home

    run_leave_home(setup.config(), as_json=as_json)


@stream.command("status")
@click.option("--watch", type=click.FloatRange(1.0, 3600.0), help="Say it again every so many seconds.")
@json_option
@reports_errors
@click.pass_obj
def stream_status(setup: Setup, *, watch: float | None, as_json: bool) -> None:
    """Say what waits in the fleet, where and why. Ends with 1 when somebody should see to something."""
    from tidings.cli.fleet import run_status

    sys.exit(run_status(setup.config(), watch=watch, as_json=as_json))


@stream.command("drain")
@click.option("--home", "homes", multiple=True, help="A home's name; may be given again.")
@click.option("--all", "is_all", is_flag=True, help="All homes: before NATS itself is stopped.")
@click.option("--resume", "is_over", is_flag=True, help="Have sources send again.")
@click.option(
    "--wait", "seconds", type=click.FloatRange(0.0, 86_400.0), default=300.0, show_default=True, help="Seconds at most."
)
@json_option
@reports_errors
@click.pass_obj
def stream_drain(setup: Setup, *, homes: tuple[str, ...], is_all: bool, is_over: bool, seconds: float, as_json: bool) -> None:
    """Have sources send nothing to homes, and wait until what is on its way is landed. What is committed waits there."""
    from tidings.cli.fleet import run_drain, run_resume

    if is_all == bool(homes):
        raise click.UsageError("Say which homes with --home, or --all.")
    if is_over:
        run_resume(setup.config(), homes, as_json=as_json)
        return
    sys.exit(run_drain(setup.config(), homes, seconds=seconds, as_json=as_json))
