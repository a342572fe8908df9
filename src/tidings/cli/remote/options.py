"""What every command that speaks to a server takes, and how what is typed is read."""

import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import click
from click.shell_completion import CompletionItem

from tidings.cli.remote.failures import USAGE, CommandError

_AGO: Final = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PATIENCE: Final = 2.0  # seconds for a completion
_OFFERED: Final = 100


def server_options() -> list[click.Option]:
    """Return the options that say which server is meant, and for whom."""
    return [
        click.Option(["-s", "--server"], envvar="TIDINGS_SERVER", metavar="NAME|URL", show_envvar=True,
                     help="The server; else the last signed in to.", shell_complete=complete_servers),
        click.Option(["--key"], envvar="TIDINGS_KEY", hidden=True),  # others see what is typed; the variable is for programs
        click.Option(["--group"], envvar="TIDINGS_GROUP", help="The group it is about.", show_envvar=True),
        click.Option(["--home"], help="The home of a fleet that answers, for what is about an installation."),
    ]  # fmt: skip


def output_options(alone: str = "ids") -> list[click.Option]:
    """Return the options that say how answers look; `alone`: what `--quiet` leaves of them."""
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
        click.Option(["-q", "--quiet"], is_flag=True, help=f"Print {alone} alone."),
    ]


def asked(words: tuple[str, ...], known: list[str], now: datetime) -> dict[str, str]:
    """Read `--where name=value` into the parameters of a search; a name that is given again adds to its values.

    Raises:
        CommandError: There is no such parameter.
    """
    query: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or name not in known:
            from tidings.core.near import did_you_mean

            there_are = f" There are {', '.join(known)}." if known else " This list has none."
            what = f"{name!r} is nothing to search by here." if sign else "write name=value."
            raise CommandError(f"--where {word}: {what}{did_you_mean(name, known)}{there_are}", USAGE)
        value = instant(value, now) if name in {"since", "until", "unused_since"} else value
        query[name] = f"{query[name]},{value}" if name in query else value
    return query


def instant(text: str, now: datetime) -> str:
    """Return a time as the API reads it, from one in ISO 8601 (without a zone: UTC), or from `15m`, `2h`, `3d`: so long ago.

    Raises:
        CommandError: It is none.
    """
    said = _AGO.fullmatch(text.strip().removesuffix("ago").strip())
    try:
        found = now - timedelta(seconds=int(said[1]) * _UNITS[said[2]]) if said else datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise CommandError(f"{text!r} is no time. Write 15m, 2h, 3d, or one such as 2026-11-21T03:42:37Z.", USAGE) from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return found.astimezone(UTC).isoformat().replace("+00:00", "Z")


def complete(thing_name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what completes the ids and names of a thing, by asking the server. What goes wrong completes nothing."""

    def offer(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        from tidings.cli.remote.grammar import at, columns
        from tidings.cli.remote.inert import inert
        from tidings.cli.remote.server import chosen
        from tidings.cli.remote.things import THINGS
        from tidings.client.errors import ApiError

        thing = THINGS[thing_name]
        told = [column for column in columns(thing.columns) if column.kind in {"text", "state"}][:2]
        try:
            given = context.params
            server = chosen(given.get("server"), given.get("key"), given.get("group"), given.get("home"), timeout=_PATIENCE)
            with closing(server):
                items = server.list_of(thing, _OFFERED)
        except (CommandError, ApiError):
            return []
        offers = []
        for item in items:
            says = " · ".join(str(said) for column in told if (said := at(item, column.path)) is not None)
            names = [str(item[thing.key])] + ([str(item[thing.label])] if thing.label else [])
            offers += [
                CompletionItem(name, help=inert(says)) for name in names if name.startswith(begun) and name.isprintable()
            ]
        return offers

    return offer


def complete_servers(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the names of the servers that are kept."""
    from tidings.cli.remote import profiles

    try:
        kept = profiles.read().servers.values()
    except CommandError:
        return []
    return [CompletionItem(one.name, help=one.url) for one in kept if one.name.startswith(begun)]
