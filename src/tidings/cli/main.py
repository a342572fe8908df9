"""`tidings`: the commands. Each imports its parts when it runs, so that the first page and `--version` answer at once."""

from __future__ import annotations  # `Config` is a word of types here: its module is imported when a server runs

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidings import __version__
from tidings.cli.lazy import Root
from tidings.cli.setup import Setup, json_option, reports_errors
from tidings.cli.stream import stream

if TYPE_CHECKING:
    from tidings.config import Config


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tidings")
@click.option("--config", "file", type=click.Path(path_type=Path), help="TOML file with settings.")
@click.option("--database-url", help="PostgreSQL to use; an embedded one when unset.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the embedded PostgreSQL and secret key.")
@click.option("--allow-private-networks", help="Networks webhooks may reach: CIDRs with commas, or all.")
@click.option("--allow-http/--no-allow-http", default=None, help="Accept http:// URLs.")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.pass_context
def cli(context: click.Context, /, file: Path | None, **flags: Any) -> None:
    """Webhooks for people whose data lives in PostgreSQL.

    Every option is also a setting: TIDINGS_DATABASE_URL, TIDINGS_ADMIN_KEY, TIDINGS_SECRET_KEY and so on.
    """
    context.obj = Setup(file, flags)


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0: any.")
@click.option("--workers", type=int, help="Processes that dispatch and deliver.")
@json_option
@reports_errors
@click.pass_obj
def serve(setup: Setup, /, *, as_json: bool, **flags: Any) -> None:
    """Run everything: API, dispatcher and workers."""
    _run(setup.config(**flags), as_json=as_json, with_api=True, with_worker=True)


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0: any.")
@json_option
@reports_errors
@click.pass_obj
def api(setup: Setup, /, *, as_json: bool, **flags: Any) -> None:
    """Run the API alone."""
    _run(setup.config(**flags), as_json=as_json, with_api=True, with_worker=False)


@cli.command()
@click.option("--parent", type=int, hidden=True, help="Stop when this process is no longer the parent.")
@json_option
@reports_errors
@click.pass_obj
def worker(setup: Setup, *, as_json: bool, parent: int | None) -> None:
    """Run a worker alone: dispatcher, deliverer and their housekeeping."""
    _run(setup.config(), as_json=as_json, with_api=False, with_worker=True, parent=parent)


def _run(config: Config, *, as_json: bool, with_api: bool, with_worker: bool, parent: int | None = None) -> None:
    from tidings.cli.logs import set_up_logs

    set_up_logs(config.log_format, config.log_level)  # before anything is imported that may have something to say
    from tidings.cli.running import run_until_signal

    sys.exit(run_until_signal(config, as_json=as_json, with_api=with_api, with_worker=with_worker, parent=parent))


@cli.command()
@click.option("--plan", "is_plan", is_flag=True, help="Tell what would be applied, and change nothing.")
@click.option("--to", metavar="NAME", help="Stop after this migration, by its name or number; else all are applied.")
@json_option
@reports_errors
@click.pass_obj
def migrate(setup: Setup, *, is_plan: bool, to: str | None, as_json: bool) -> None:
    """Bring the database's schema up to date, and stop."""
    from tidings.cli.running import run_migrate

    run_migrate(setup.config(), is_plan=is_plan, to=to, as_json=as_json)


@cli.command()
@click.option(
    "--way", type=click.Choice(["one", "two", "managed"]), help="How many roles, and who makes them; found out when unset."
)
@click.option("--owner", help="Role that is to own the schema; found out when unset.")
@click.option("--running-role", help="Role that is to run Tidings; the owner when there is none.")
@click.option("--table", "tables", multiple=True, help="A table that is to be captured; those of webhooks are known.")
@click.option("--check", "is_check", is_flag=True, help="Print what is missing alone; ends with 1 when anything is.")
@json_option
@reports_errors
@click.pass_obj
def grants(
    setup: Setup,
    *,
    way: Any,
    owner: str | None,
    running_role: str | None,
    tables: tuple[str, ...],
    is_check: bool,
    as_json: bool,
) -> None:
    """Print the SQL that gives roles of PostgreSQL what they need. Nothing is changed."""
    from tidings.cli.granting import run_grants

    config = setup.config(running_role=running_role)
    sys.exit(run_grants(config, way=way, owner=owner, tables=tables, is_check=is_check, as_json=as_json))


@cli.command()
@click.option("--yes", "is_meant", is_flag=True, help="Do it; without this, only what would be removed is told.")
@click.option("--collections", "with_collections", is_flag=True, help="Remove tables of collections too, with every record.")
@json_option
@reports_errors
@click.pass_obj
def uninstall(setup: Setup, *, is_meant: bool, with_collections: bool, as_json: bool) -> None:
    """Tell what there is of Tidings in the database, or take it away."""
    from tidings.cli.leaving import run_uninstall

    run_uninstall(setup.config(), is_meant=is_meant, with_collections=with_collections, as_json=as_json)


@cli.command()
@click.option("--hold", "is_to_hold", is_flag=True, help="The opposite: send nothing from here when it is started again.")
@json_option
@reports_errors
@click.pass_obj
def adopt(setup: Setup, *, is_to_hold: bool, as_json: bool) -> None:
    """Make a restored copy of a database the installation's own: from now on things are sent from it."""
    from tidings.cli.leaving import run_adopt

    run_adopt(setup.config(), is_to_hold=is_to_hold, as_json=as_json)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.option("--print", "is_printed", is_flag=True, help="Print the database's URL instead.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
@reports_errors
@click.pass_obj
def psql(setup: Setup, *, arguments: tuple[str, ...], is_printed: bool, as_json: bool) -> None:
    """Open psql on the database, the embedded one too. What follows -- goes to psql."""
    from tidings.cli.psql import run_psql

    run_psql(setup.config(), arguments, as_json=as_json, is_printed=is_printed)


@cli.command()
@json_option
@reports_errors
@click.pass_obj
def rekey(setup: Setup, *, as_json: bool) -> None:
    """Change SECRET_KEY: encrypt everything under TIDINGS_NEW_SECRET_KEY, while nothing runs."""
    from tidings.cli.rekeying import run_rekey

    run_rekey(setup.config(), as_json=as_json)


@cli.command()
@click.option("--events", type=click.IntRange(1, 1_000_000), help="Make this many row changes, print a summary, exit.")
@click.option("--port", type=int, help="Port of the API.")
@json_option
@reports_errors
@click.pass_obj
def demo(setup: Setup, *, events: int | None, port: int | None, as_json: bool) -> None:
    """Show it: a table, a webhook, a receiver that verifies, and rows that change."""
    from tidings.cli.demo import run_demo

    run_demo(setup.config(port=port), events=events, as_json=as_json)


@cli.command()
@click.option("--quick", is_flag=True, help="Shorter runs: all within 45 s; of growth within two minutes.")
@click.option("--only", multiple=True, help="Only this measurement; may be given again.")
@click.option("--growth", is_flag=True, help="How figures grow: by webhooks, stored deliveries, workers, rate and payload.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the figures of growth in this folder, with pictures; without --growth: draw what it keeps again.",
)
@json_option
@reports_errors
def bench(*, quick: bool, only: tuple[str, ...], growth: bool, pictures: Path | None, as_json: bool) -> None:
    """Measure it on this machine."""
    from tidings.bench.curves import draw_again
    from tidings.bench.run import run_bench, run_growth
    from tidings.cli.logs import set_up_logs

    set_up_logs("text", "error")
    if growth:
        run_growth(quick=quick, only=only, as_json=as_json, pictures=pictures)
    elif pictures is not None:
        draw_again(pictures)
    else:
        run_bench(quick=quick, only=only, as_json=as_json)


@cli.command()
@click.option("--source", help="What this database is called in the fleet.")
@click.option("--leave", "is_leaving", is_flag=True, help="Be a source no more: send what waits, and stop.")
@json_option
@reports_errors
@click.pass_obj
def relay(setup: Setup, *, source: str | None, is_leaving: bool, as_json: bool) -> None:
    """Run the relay of a source: what is committed here is delivered from the homes of a fleet."""
    from tidings.cli.fleet import run_leave, run_relay_until_signal

    if is_leaving:
        run_leave(setup.config(source=source), as_json=as_json)
        return
    sys.exit(run_relay_until_signal(setup.config(source=source), as_json=as_json))


@cli.group("set-aside")
def set_aside() -> None:
    """What could be neither routed nor delivered, and settings that cannot be read."""


@set_aside.command("list")
@json_option
@reports_errors
@click.pass_obj
def set_aside_list(setup: Setup, *, as_json: bool) -> None:
    """List what is set aside, with the reasons."""
    from tidings.cli.set_aside import run_list

    run_list(setup.config(), as_json=as_json)


@set_aside.command("retry")
@click.argument("what")
@json_option
@reports_errors
@click.pass_obj
def set_aside_retry(setup: Setup, *, what: str, as_json: bool) -> None:
    """Try again: a number of the list, a setting as kind:id, or "all" events and deliveries."""
    from tidings.cli.set_aside import run_retry

    run_retry(setup.config(), what, as_json=as_json)


@set_aside.command("discard")
@click.argument("what")
@json_option
@reports_errors
@click.pass_obj
def set_aside_discard(setup: Setup, *, what: str, as_json: bool) -> None:
    """Discard for good: a number of the list, or a setting as kind:id, with what waits for it."""
    from tidings.cli.set_aside import run_discard

    run_discard(setup.config(), what, as_json=as_json)


cli.add_command(stream)


def main() -> None:
    """Entry point."""
    cli(prog_name="tidings")
