"""`tidings audit verify` and `tidings audit export`: all of the audit, stretch by stretch."""

import sys
from typing import Any, Final

import click

from tidings.cli.remote.failures import FAILED, ends_well
from tidings.cli.remote.options import asked, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import chosen

_PATH: Final = "/api/v1/audit"
_EXPORTED_BY: Final = ["group", "since", "until"]


def commands() -> list[click.Command]:
    """Return the commands beside those of the table."""
    return [_verify_command(), _export_command()]


def _verify_command() -> click.Command:
    def run(after: int, head: str | None, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        checked, place = 0, after
        while True:
            query: dict[str, Any] = {"after": place} | ({"head": head} if head else {})
            found = server.ask("GET", f"{_PATH}/verification", query=query)
            checked += found["checked"]
            if found["next"] is None:
                break
            place = found["next"]
        _tell(paper, found | {"checked": checked})
        if not found["is_intact"]:
            sys.exit(FAILED)

    return click.Command(
        "verify",
        params=[
            click.Option(["--after"], type=click.IntRange(0), default=0, help="Begin behind this place of the chain."),
            click.Option(["--head"], metavar="PLACE:HASH", help="An end of the chain that was noted: it has to be there."),
            *server_options(),
            *output_options("the end of the chain"),
        ],
        callback=ends_well(run),
        help="Verify that the audit is as it was written; otherwise name the first entry that is not, and exit with 1.",
    )


def _tell(paper: Paper, found: dict[str, Any]) -> None:
    if paper.as_json:
        paper.document(found)
    elif not found["is_intact"]:
        click.echo(f"tidings: {found['fault']['sentence']}", err=True)
    elif paper.quiet:
        click.echo(found["head"])
    else:
        waiting = f" {found['waiting']:,} are not sealed yet." if found["waiting"] else ""
        entries = "1 entry is" if found["checked"] == 1 else f"{found['checked']:,} entries are"
        paper.say(f"{entries} as written, up to {found['verified_at'] or 'now'}.{waiting}")
        paper.say(f"The end of the chain, to be noted elsewhere: {found['head']}")


def _export_command() -> click.Command:
    def run(after: int, where: tuple[str, ...], **given: Any) -> None:
        paper = Paper(as_json=True)
        query: dict[str, Any] = asked(where, _EXPORTED_BY, paper.now())
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        if server.group:
            query.setdefault("group", server.group)
        place: str | None = str(after)
        while place is not None:
            response = server.send("GET", f"{_PATH}/export", query=query | {"after": place})
            for line in response.text.splitlines():
                click.echo(line)
            place = response.headers.get("tidings-next")

    return click.Command(
        "export",
        params=[
            click.Option(["-w", "--where"], multiple=True, metavar="NAME=VALUE",
                         help=f"Only these; may be given again. Names: {', '.join(_EXPORTED_BY)}."),
            click.Option(["--after"], type=click.IntRange(0), default=0, help="Begin behind this place of the chain."),
            *server_options(),
        ],
        callback=ends_well(run),
        help="Print sealed entries in the order of the chain, a line of JSON each, with their seals.",
    )  # fmt: skip
