"""`tidings uninstall`: what it would remove, and removing it. `tidings adopt`: a copy that is to be the installation."""

import click
import msgspec

from tidings.app import box_of, database_of
from tidings.cli import asking
from tidings.cli.here import expect_database
from tidings.cli.logs import set_up_logs
from tidings.config import Config
from tidings.operations import installation
from tidings.store.migrations import expect_schema
from tidings.store.uninstall import Found, look, remove

MOST_NAMED = 20


def run_uninstall(config: Config, *, is_meant: bool, with_collections: bool, as_json: bool) -> None:
    """Tell what there is of Tidings in the database, and remove it when that is meant."""
    set_up_logs(config.log_format, config.log_level)
    expect_database(config)
    found = asking.done(_uninstall(config, is_meant=is_meant, with_collections=with_collections))
    if as_json:
        click.echo(msgspec.json.encode({"found": found, "is_removed": is_meant and found is not None}))
    elif found is None:
        click.echo("There is nothing of Tidings in this database.")
    elif is_meant:
        click.echo("\n".join(_told(found, with_collections=with_collections, removed="was removed")))
    else:
        click.echo("\n".join(_told(found, with_collections=with_collections, removed="would be removed")))
        click.echo("Nothing was changed. To remove it, stop every process of Tidings and run this with --yes.")
        click.echo("The audit goes too, and with it the record of who removed what: tidings audit export keeps it.")


def run_adopt(config: Config, *, is_to_hold: bool, as_json: bool) -> None:
    """Make a database the installation's own, or have nothing be sent from it."""
    set_up_logs(config.log_format, config.log_level)
    expect_database(config)
    was_held = asking.done(_adopt(config, is_to_hold=is_to_hold))
    if as_json:
        click.echo(msgspec.json.encode({"is_held": is_to_hold, "was_held": was_held}))
    elif is_to_hold:
        click.echo("Nothing is sent from this database when Tidings is started on it, until `tidings adopt` is run.")
    elif was_held:
        click.echo("This database is the installation's from now on. What waits in it is sent; processes that wait begin.")
    else:
        click.echo("Nothing to do: this database is the installation's own.")


async def _adopt(config: Config, *, is_to_hold: bool) -> bool:
    async with database_of(config) as database:
        await expect_schema(database)
        box = await box_of(database, config, is_to_change=False)
        if is_to_hold:
            await installation.hold(database, box)
            return False
        return await installation.adopt(database, box)


async def _uninstall(config: Config, *, is_meant: bool, with_collections: bool) -> Found | None:
    async with database_of(config) as database:
        found = await look(database)
        if found is not None and is_meant:
            await remove(database, found, with_collections=with_collections)
        return found


def _told(found: Found, *, with_collections: bool, removed: str) -> list[str]:
    history = f"{found.bytes / 1e6:,.1f} MB, about {found.events:,} events and {found.deliveries:,} deliveries"
    lines = [f"Schema tidings {removed}: {history}, webhooks with their secrets, keys, all settings, the audit."]
    tables = sorted({f"{one.schema}.{one.table}" for one in found.triggers})
    if tables:
        lines.append(f"{len(found.triggers)} trigger(s) {removed} from {len(tables)} table(s): {_some(tables)}.")
    if found.dependents:
        lines.append(
            f"{len(found.dependents)} thing(s) that others made of it, which have to go first: {_some(list(found.dependents))}."
        )
    names = [f"{schema}.{table}" for schema, table in found.collections]
    if names and with_collections:
        lines.append(f"{len(names)} collection(s), with every record, {removed}: {_some(names)}.")
    elif names:
        lines.append(f"{len(names)} collection(s) stay as plain tables: {_some(names)}. --collections removes them too.")
    return lines


def _some(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
