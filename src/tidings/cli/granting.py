"""`tidings grants`: what roles of PostgreSQL need, as SQL to be run by whoever may. Nothing is changed."""

from collections.abc import Sequence

import click
import msgspec

from tidings.app import database_of
from tidings.cli import asking
from tidings.cli.here import expect_database
from tidings.cli.logs import set_up_logs
from tidings.config import Config
from tidings.core import grants
from tidings.core.grants import Names, Step, Way
from tidings.operations import rights


def run_grants(
    config: Config, *, way: Way | None, owner: str | None, tables: Sequence[str], is_check: bool, as_json: bool
) -> int:
    """Print the statements, or those that are missing; return the exit code."""
    set_up_logs(config.log_format, "error")
    expect_database(config)
    chosen, names, told = asking.done(_look(config, way, owner, tables))
    missing = [step for step in told if step.is_missing]
    if as_json:
        shown = missing if is_check else told
        click.echo(msgspec.json.encode({"way": chosen, "names": names, "statements": shown, "missing": len(missing)}))
    elif is_check and not missing:
        click.echo("Nothing is missing.")
    else:
        click.echo(grants.script(chosen, names, missing if is_check else told))
    return 1 if is_check and missing else 0


async def _look(config: Config, way: Way | None, owner: str | None, tables: Sequence[str]) -> tuple[Way, Names, list[Step]]:
    async with database_of(config) as database:
        return await rights.examine(
            database, way=way, owner=owner, running=config.running_role, request=config.request_role, tables=tables
        )
