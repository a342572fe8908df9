"""`tidings login`, `logout`, `servers`: which servers are kept."""

import sys
from typing import Any, Final
from urllib.parse import urlsplit

import click

from tidings.cli.remote import profiles
from tidings.cli.remote.failures import USAGE, CommandError, ends_well
from tidings.cli.remote.grammar import columns
from tidings.cli.remote.options import complete_servers, output_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import Server, checked_url
from tidings.client.errors import ApiError

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_COLUMNS: Final = "Name=name:id Url=url Group=group Chosen=chosen:flag Key=key"


def command() -> click.Command:
    """Return `tidings login`."""

    def run(url: str, name: str | None, group: str | None, key: str | None, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        address = checked_url(_with_scheme(url))
        name = name or profiles.name_for(address, profiles.read())
        if not name.isprintable() or "://" in name or not name.strip():
            raise CommandError(f"{name!r} is no name; take a word such as production.", USAGE)
        key = (key or _ask_for_key(address)).strip()
        if not key.isascii() or not key.isprintable() or not key:
            raise CommandError("That is no key; copy it again.", USAGE)
        server = Server(address, key, group)
        _try(server)
        in_ring = profiles.keep(name, address, group, key)
        if address.startswith("http://") and urlsplit(address).hostname not in _LOCAL:
            click.echo("The key and all answers travel unencrypted: this is http and not on this machine.", err=True)
        where = "in the system's keyring" if in_ring else f"in {profiles.folder() / 'servers.json'}, which you alone may read"
        if paper.as_json:
            paper.document({"name": name, "url": address, "group": group})
        paper.say(f"{address} is kept as {name}; its key is {where}.")

    return click.Command(
        "login",
        params=[
            click.Argument(["url"]),
            click.Option(["--name"], help="What to call it; its host unless told."),
            click.Option(["--group"], help="The group its commands are about, unless told."),
            click.Option(["--key"], envvar="TIDINGS_KEY", hidden=True),
            *output_options(),
        ],
        callback=ends_well(run),
        help="Keep a server's address and key, as the one that is meant from now on.\n\n"
        "It asks for the key, or reads it from standard input where that is no terminal.",
    )


def logout() -> click.Command:
    """Return `tidings logout`."""

    def run(name: str | None, **given: Any) -> None:
        name = name or profiles.read().chosen
        if name is None:
            raise CommandError("No server is kept.", USAGE)
        profiles.forget(name)
        Paper(as_json=given["as_json"], quiet=given["quiet"]).say(f"{name} is forgotten.")

    return click.Command(
        "logout",
        params=[click.Argument(["name"], required=False), *output_options()],
        callback=ends_well(run),
        help="Forget a server and its key; without a name the one that is meant.",
    )


def servers() -> click.Command:
    """Return `tidings servers`."""

    def run(**given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        book = profiles.read()
        kept = [
            {
                "name": one.name,
                "url": one.url,
                "group": one.group,
                "chosen": one.name == book.chosen,
                "key": "file" if one.key is not None else "keyring",
            }
            for one in book.servers.values()
        ]
        paper.many(kept, columns(_COLUMNS), "name", of="servers are kept")

    def use(name: str, **given: Any) -> None:
        one = profiles.choose(name)
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        if paper.as_json:
            paper.document({"name": one.name, "url": one.url, "group": one.group})
        paper.say(f"{name} is meant from now on: {one.url}.")

    def listing(context: click.Context, **given: Any) -> None:
        if context.invoked_subcommand is None:
            ends_well(run)(**given)

    group = click.Group(
        "servers",
        params=[*output_options()],
        callback=click.pass_context(listing),
        invoke_without_command=True,
        help="List the servers that are kept; with `use`, choose the one that is meant.",
    )
    group.add_command(
        click.Command(
            "use",
            params=[click.Argument(["name"], shell_complete=complete_servers), *output_options()],
            callback=ends_well(use),
            help="Choose the server that is meant when none is named.",
        )
    )
    return group


def _try(server: Server) -> None:
    """See whether the server takes the key.

    Raises:
        ApiError: It refuses, or none answered; with advice for somebody who is just signing in.
    """
    try:
        server.ask("GET", "/api/v1/keys/current")
    except ApiError as error:
        if error.status == 401:
            error.message = (
                f"{server.url} does not take this key. Take that of its settings (TIDINGS_ADMIN_KEY), or one that its operator "
                "makes with: tidings keys create."
            )
        elif error.status == 0:
            error.message = f"{error.message.partition(' Does it run there?')[0]} Does it run there? Nothing was kept."
        raise


def _with_scheme(url: str) -> str:
    if "://" in url:
        return url
    return f"http://{url}" if url.partition(":")[0] in _LOCAL else f"https://{url}"


def _ask_for_key(url: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"Key of {url}", hide_input=True, err=True))
    key = sys.stdin.readline().strip()
    if not key:
        raise CommandError("The key is missing: give it on standard input, or set TIDINGS_KEY.", USAGE)
    return key
