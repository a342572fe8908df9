"""`tidings trigger`: an event by hand."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from tidings.cli.remote.failures import FAILED, USAGE, CommandError, ends_well
from tidings.cli.remote.options import complete, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import TEST_TIMEOUT, Server, chosen
from tidings.cli.remote.things import WEBHOOKS
from tidings.client.errors import ApiError


def command() -> click.Command:
    """Return the command."""

    def run(type_: str, data: str | None, subject: str | None, id_: str | None, webhook: str | None, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        content = None if data is None else {"data": _read(data)}
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        if webhook is not None:
            if subject is not None or id_ is not None:
                raise CommandError("--subject and --id are of a published event; leave them out, or --webhook.", USAGE)
            path = f"/api/v1/webhooks/{server.id_of(WEBHOOKS, webhook)}/test"
            answer = server.ask("POST", path, body={"event": type_} | (content or {}), timeout=TEST_TIMEOUT)
            paper.one(answer, "delivery_id")
            if answer["success"] is False:
                sys.exit(FAILED)
            return
        body = {"type": type_} | (content if content is not None else {"data": _example(server, type_)})
        body |= {name: value for name, value in (("subject", subject), ("id", id_)) if value is not None}
        answer = server.ask("POST", "/api/v1/events", body=body)
        if paper.as_json or paper.quiet:
            paper.one(answer, "id")
        else:
            again = " It was published before; nothing is sent again." if answer["duplicate"] else ""
            paper.say(f"{type_} is published as {answer['id']}.{again}")
            paper.say(f"Who hears it: tidings explain {answer['id']}")

    return click.Command(
        "trigger",
        params=[
            click.Argument(["type_"], metavar="TYPE", shell_complete=complete("event-types")),
            click.Option(["--data"], metavar="JSON|@FILE", help="What it says; else the example of its type."),
            click.Option(["--subject"], help="What it is about."),
            click.Option(["--id", "id_"], help="Your own id: publishing it again sends nothing again."),
            click.Option(["--webhook"], help="Send a sample to this webhook alone, and wait for what comes of it.",
                         shell_complete=complete("webhooks")),
            *server_options(),
            *output_options(),
        ],
        callback=ends_well(run),
        help="Publish an event, or send a webhook a sample of one.",
    )  # fmt: skip


def _read(data: str) -> Any:
    try:
        if data.startswith("@"):
            data = sys.stdin.read() if data == "@-" else Path(data[1:]).read_text(encoding="utf-8")
        return json.loads(data)
    except OSError as error:
        raise CommandError(f"{data[1:]} cannot be read: {error.strerror}.", USAGE) from error
    except ValueError as error:
        raise CommandError(f"--data is not JSON: {error}.", USAGE) from error


def _example(server: Server, type_: str) -> Any:
    try:
        known = server.ask("GET", f"/api/v1/event-types/{quote(type_, safe='')}")
    except ApiError as error:
        if error.status != 404:
            raise
        known = {"example": None}
    if known["example"] is None:
        raise CommandError(
            f"No example of {type_!r} is known. Say what it says: --data '{{\"total\": 12.5}}' or --data @file.", USAGE
        )
    return known["example"]
