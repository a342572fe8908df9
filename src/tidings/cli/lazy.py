"""The first page and the way to each command. What a command needs is imported when it runs: the first page answers at once."""

from importlib import import_module
from typing import Any, Final, NamedTuple

import click


class Place(NamedTuple):
    """Where a command is.

    Attributes:
        says: Its sentence on the first page.
        module: What is imported for it.
        maker: The function there that makes it.
        argument: What the maker is given; empty: nothing.
    """

    says: str
    module: str
    maker: str
    argument: str = ""


def _thing(name: str, says: str) -> tuple[str, Place]:
    return name, Place(says, "tidings.cli.remote.commands", "group_of", name)


def _own(name: str, says: str, module: str) -> tuple[str, Place]:
    return name, Place(says, f"tidings.cli.remote.{module}", "command")


LOCAL: Final = "Run and look after a server"
SECTIONS: Final[dict[str, dict[str, Place]]] = {
    "Watch, send and repair": dict(
        (
            _own("tail", "Show attempts as they happen.", "tail"),
            _own("listen", "Receive deliveries on this machine, without a public address.", "listen"),
            _own("explain", "Say why an event went to a webhook, or did not.", "explain"),
            _own("trigger", "Publish an event, or send a webhook a sample of one.", "trigger"),
            _own("recover", "Send all again that was not acknowledged in a time.", "recover"),
            _own("bin", "Make a request bin and show what comes to it.", "bin"),
            _own("doctor", "Say what is wrong with Tidings, or with a webhook's receiver.", "doctor"),
            _own("curl", "Print a delivery's request as a line of curl.", "curl"),
        )
    ),
    "Things": dict(
        (
            _thing("webhooks", "Who is told, and of what."),
            _thing("events", "What happened."),
            _thing("deliveries", "What became of each event for each webhook."),
            _thing("listeners", "Who receives by `tidings listen`."),
            _thing("recoveries", "Jobs that send many deliveries again."),
            _thing("redaction", "What of events and of answers is not kept."),
            _thing("erasures", "What is kept of somebody, taken out of all places."),
            _thing("tables", "Tables of yours whose rows are captured."),
            _thing("backfills", "Present rows of a table, sent as events."),
            _thing("collections", "Tables that Tidings makes."),
            _thing("records", "Rows of collections."),
            _thing("jobs", "What is done by the clock."),
            _thing("integrations", "Systems that send to Tidings."),
            _thing("event-types", "What events are called, and how their data looks."),
            _thing("bins", "Addresses that take any request, for trying."),
            _thing("groups", "Tenants."),
            _thing("egress", "What the installation may call, and what groups may not call although it may."),
            _thing("portal-links", "What shows customers their own webhooks."),
            _thing("limits", "What groups may have and do, and what is used of it."),
            _thing("keys", "What opens the API, and what each key may do."),
            _thing("members", "Who may sign in to the portal by the provider, and what they are."),
            _thing("sessions", "Who is signed in to the portal."),
            _thing("signing-keys", "The keys that asymmetric signatures and tokens are made with."),
            _thing("statistics", "How attempts fared."),
            _thing("audit", "Who did what."),
        )
    ),
    "Configuration as a file": {
        "export": Place("Write a group's configuration as a file to keep in git.", "tidings.cli.remote.apply", "export"),
        "apply": Place("Make a server's configuration what a file says.", "tidings.cli.remote.apply", "apply"),
    },
    "Servers": dict(
        (
            _own("login", "Keep a server's address and key.", "login"),
            ("logout", Place("Forget a server.", "tidings.cli.remote.login", "logout")),
            ("servers", Place("List the servers that are kept, and choose one.", "tidings.cli.remote.login", "servers")),
            ("completion", Place("Print what completes commands in a shell.", "tidings.cli.remote.completion", "command")),
        )
    ),
}
PLACES: Final = {name: place for section in SECTIONS.values() for name, place in section.items()}


class Root(click.Group):
    """`tidings`: its own commands, and those that are imported when they run."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all."""
        return sorted({*super().list_commands(context), *PLACES})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command; what it needs is imported now."""
        place = PLACES.get(name)
        if place is None:
            return super().get_command(context, name)
        make: Any = getattr(import_module(place.module), place.maker)
        command: click.Command = make(place.argument) if place.argument else make()
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of what was typed; where there is none, say what is near."""
        if not context.resilient_parsing and not args[0].startswith("-") and self.get_command(context, args[0]) is None:
            from tidings.core.near import did_you_mean

            context.fail(f"No such command {args[0]!r}.{did_you_mean(args[0], self.list_commands(context))}")
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of the first page. It imports none of what the commands need."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, place.says) for name, place in section.items()])
        own = [(name, command) for name, command in sorted(self.commands.items()) if not command.hidden]
        with formatter.section(LOCAL):
            formatter.write_dl([(name, command.get_short_help_str(formatter.width)) for name, command in own])
