"""`tidings curl`: a delivery's request as a line that a shell runs."""

import re
import shlex
import unicodedata
from typing import Any, Final

import click

from tidings.cli.remote.failures import FAILED, NOT_FOUND, CommandError, ends_well
from tidings.cli.remote.grammar import UUID
from tidings.cli.remote.options import complete, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import chosen

# What proves to a receiver who sent it: whoever has the line could send it too, while its time holds.
_PROOF: Final = re.compile(r"sign|authorization|token|secret|api-?key|jwt", re.IGNORECASE)
_MADE_BY_CURL: Final = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding"})


def command() -> click.Command:
    """Return the command."""

    def run(delivery: str, attempt: int | None, is_signed: bool, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        if not UUID.fullmatch(delivery):
            raise CommandError(f"{delivery!r} is no id of a delivery; tidings deliveries list shows them.", NOT_FOUND)
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        made = server.ask("GET", f"/api/v1/deliveries/{delivery}/attempts")
        found = [one for one in made if one["request"] is not None and attempt in {None, one["number"]}]
        if not found:
            raise CommandError(
                f"No request of {delivery} can be shown: it was not tried yet, or its webhook is gone. "
                f"What becomes of it: tidings deliveries get {delivery}",
                FAILED,
            )
        request = found[-1]["request"]
        line, left = line_of(request, is_signed=is_signed)
        if paper.as_json:
            paper.document({"command": line, "left_out": left})
            return
        click.echo(line)
        if left:
            remedy = "" if request["is_redacted"] else " Add --signed for a line that is verified."
            click.echo(f"Left out: {', '.join(left)}.{remedy}", err=True)
        if request["is_redacted"]:
            click.echo(
                "A redaction rule keeps part of it: [redacted] is not what was sent, and no signature fits it.", err=True
            )

    return click.Command(
        "curl",
        params=[
            click.Argument(["delivery"], shell_complete=complete("deliveries")),
            click.Option(["--attempt"], type=click.IntRange(1), help="Which; the last one, unless told."),
            click.Option(["--signed", "is_signed"], is_flag=True, help="With what proves who sent it, such as signatures."),
            *server_options(),
            *output_options(),
        ],
        callback=ends_well(run),
        help="Print a delivery's request as a line of curl, as it was sent.",
    )


def line_of(request: dict[str, Any], *, is_signed: bool) -> tuple[str, list[str]]:
    """Return a request as a line of curl, and the names of the headers that are left out of it."""
    words = ["curl", "-i", "--globoff", "-X", request["method"], request["url"]]
    left = []
    for name, value in request["headers"]:
        if name.lower() in _MADE_BY_CURL:
            continue
        if _PROOF.search(name) and not is_signed:
            left.append(name)
            continue
        words += ["-H", f"{name}: {value}" if value else f"{name};"]  # a colon and nothing would take it away
    if request["body"] is not None:
        words += ["--data-raw", request["body"]]  # raw: one that begins with @ names no file
    return " ".join(map(quoted, words)), left


def quoted(word: str) -> str:
    """Return a word as a shell reads it and a terminal only shows it: what cannot be seen is written by its bytes."""
    if all(unicodedata.category(sign)[0] != "C" for sign in word) and "\u2028" not in word and "\u2029" not in word:
        return shlex.quote(word)
    pieces = []
    for sign in word:
        if unicodedata.category(sign)[0] == "C" or sign in "\u2028\u2029":
            pieces.append("".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "replace")))
        else:
            pieces.append(f"\\{sign}" if sign in "'\\" else sign)
    return f"$'{''.join(pieces)}'"
