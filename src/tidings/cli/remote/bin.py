"""`tidings bin`: make a request bin and show what comes to it; `tidings bin watch`: of one that is there."""

import time
from collections.abc import Iterator
from typing import Any, Final

import click

from tidings.cli.remote.cells import Cell
from tidings.cli.remote.failures import ends_well
from tidings.cli.remote.grammar import read_value
from tidings.cli.remote.inert import inert, inert_block
from tidings.cli.remote.options import complete, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import Server, chosen
from tidings.cli.remote.things import BINS, WEBHOOKS
from tidings.client.errors import ApiError

INTERVAL: Final = 1.0  # seconds between looks
PAGE: Final = 100
LONGEST_PAUSE: Final = 30.0  # seconds, while the server is away
_LOST: Final = frozenset({0, 502, 503, 504})
_LEAST_PATH: Final = 16  # columns of a path, however narrow the screen


def command() -> click.Group:
    """Return the command."""

    def make(**given: Any) -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is not None:
            return
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        made = server.ask("POST", "/api/v1/bins", body=_asked(server, given))
        _watch(Bin(server, paper, made, is_verbose=given["verbose"]), given["count"], start=0)

    def watch(bin_: str, all_: bool, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        found = server.ask("GET", f"/api/v1/bins/{server.id_of(BINS, bin_)}")
        start = 0 if all_ else found["request_count"]
        _watch(Bin(server, paper, found, is_verbose=given["verbose"]), given["count"], start=start)

    group = click.Group(
        "bin",
        invoke_without_command=True,
        params=[
            click.Option(["--name"], help="What it is called."),
            click.Option(["--status"], type=click.IntRange(200, 599), help="The status it answers with; 200."),
            click.Option(["--delay", "delay_seconds"], type=click.FloatRange(0, 30), help="Seconds until it answers; none."),
            click.Option(["--body"], help="The body it answers with; none."),
            click.Option(["--content-type"], help="Of that body."),
            click.Option(["--webhook"], help="Verify with this webhook's secret.", shell_complete=complete("webhooks")),
            click.Option(["--profile"], help="Verify by this profile's rules; standard."),
            click.Option(["--secret"], envvar="TIDINGS_BIN_SECRET", show_envvar=True, help="Verify with this secret."),
            click.Option(["--signature"], metavar="JSON", help="Instead of the profile's: its header and format."),
            *_watching_options(),
            *server_options(),
            *output_options(),
        ],
        callback=ends_well(make),
        help="Make a request bin and show what comes to it, with whether its signature is as expected, and if not, why.\n\n"
        "The bin stays when this ends: tidings bins delete takes it away.",
    )  # fmt: skip
    group.add_command(
        click.Command(
            "watch",
            params=[
                click.Argument(["bin_"], metavar="BIN", shell_complete=complete("bins")),
                click.Option(["--all", "all_"], is_flag=True, help="Show first what it keeps."),
                *_watching_options(),
                *server_options(),
                *output_options(),
            ],
            callback=ends_well(watch),
            help="Show what comes to a request bin, live: one line for each request, or one line of JSON.",
        )
    )
    return group


def _watching_options() -> list[click.Parameter]:
    return [
        click.Option(["-v", "--verbose"], is_flag=True, help="With the headers and the body of each."),
        click.Option(["-n", "--count"], type=click.IntRange(1), help="End after so many."),
    ]


def _asked(server: Server, given: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "status", "delay_seconds", "body", "content_type", "profile", "secret")
    asked = {name: given[name] for name in names if given[name] is not None}
    if given["signature"] is not None:
        try:
            asked["signature"] = read_value("json", given["signature"])
        except ValueError as error:
            raise click.UsageError(f"--signature: {error}") from error
    if given["webhook"] is not None:
        asked["webhook_id"] = server.id_of(WEBHOOKS, given["webhook"])
    return asked


def _watch(watched: "Bin", count: int | None, *, start: int) -> None:
    watched.introduce()
    for shown, _ in enumerate(watched.requests(start), 1):
        if shown == count:
            return


class Bin:
    """A bin that is watched."""

    def __init__(self, server: Server, paper: Paper, found: dict[str, Any], *, is_verbose: bool) -> None:
        self._server = server
        self._paper = paper
        self._found = found
        self._is_verbose = is_verbose
        self._path = f"/api/v1/bins/{found['id']}/requests"

    def introduce(self) -> None:
        """Say where to send."""
        if self._paper.as_json:
            self._paper.line_of_json({"bin": self._found})
        elif not self._paper.quiet:
            url = self._found["url"]
            self._paper.write((Cell(inert(url if "://" in url else f"{self._server.url}{url}"), "bold"),))
        click.echo("Waiting for requests; Ctrl-C ends it.", err=True)

    def requests(self, after: int) -> Iterator[None]:
        """Show each request behind a number; yields after each."""
        failures = 0
        while True:
            found: list[dict[str, Any]] = []
            try:
                found = self._server.ask("GET", self._path, query={"after": after, "limit": PAGE})
                failures = 0
            except ApiError as error:
                if error.status not in _LOST:
                    raise
                failures += 1
                if failures == 1:
                    click.echo(f"{inert(error.message)} Going on when it is back.", err=True)
            for one in found:
                self._show(one)
                after = one["number"]
                yield
            if len(found) < PAGE:
                time.sleep(min(LONGEST_PAUSE, INTERVAL * 2 ** min(failures, 9)))

    def _show(self, one: dict[str, Any]) -> None:
        if self._paper.as_json:
            self._paper.line_of_json({"request": one})
            return
        if self._paper.quiet:
            click.echo(one["number"])
            return
        self._paper.write(line_of(one, self._found["id"], width=self._paper.width))
        verdict = one["verdict"]
        if not verdict["is_verified"] and verdict["reason"] != "unasked":
            self._paper.write((Cell(f"    {inert(verdict['sentence'])}", "red"),))
        if self._is_verbose:
            for cell in content_of(one):
                self._paper.write((cell,))


def line_of(one: dict[str, Any], bin_id: str, *, width: int) -> list[Cell]:
    """Return a request as one line: on a screen of so many columns its path is cut to fit."""
    verdict = one["verdict"]
    is_asked = verdict["reason"] != "unasked"
    sign, style = ("✓", "green") if verdict["is_verified"] else ("✗", "red") if is_asked else ("·", "dim")
    start = f"{one['number']:>4} {inert(one['received_at'])[11:19]}  "
    method = inert(one["method"])
    length = f"{one['body_bytes']}{'+' if one['is_truncated'] else ''} B"
    end = f"  {length}  → {one['status']}  "
    said = inert(verdict["reason"].replace("_", " ")) if is_asked else "not verified"
    room = width - len(start) - len(method) - 1 - len(end) - len(said) - 2
    path = inert(one["path"].removeprefix(f"/bin/{bin_id}") or "/")
    if len(path) > max(room, _LEAST_PATH):
        path = path[: max(room, _LEAST_PATH) - 1] + "…"
    return [
        Cell(start, "dim"), Cell(f"{method} ", "bold"), Cell(path), Cell(end, "dim"), Cell(f"{sign} {said}", style),
    ]  # fmt: skip


def content_of(one: dict[str, Any]) -> list[Cell]:
    """Return a request's headers and body as lines."""
    lines = [Cell(f"    > {inert(name)}: {inert(value)}", "dim") for name, value in one["headers"]]
    if one["body_base64"] is not None:
        lines.append(Cell(f"    > {one['body_bytes']} bytes that are no text; in base64:", "dim"))
    body = inert_block(one["body"] if one["body"] is not None else one["body_base64"] or "")
    lines += [Cell(f"    > {line}") for line in body.split("\n") if line]
    if one["is_truncated"]:
        lines.append(Cell("    > … more was not kept", "dim"))
    return lines
