"""`tidings doctor`: what is wrong with an installation, and `tidings doctor webhook`: with the receiver of a webhook."""

import sys
from collections.abc import Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec

from tidings.cli.remote.cells import Cell
from tidings.cli.remote.failures import FAILED, CommandError, ends_well
from tidings.cli.remote.inert import inert, inert_block
from tidings.cli.remote.options import complete, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import Server, chosen
from tidings.cli.remote.things import WEBHOOKS
from tidings.client.errors import ApiError
from tidings.client.exchange import DIAGNOSIS_TIMEOUT, answer_of, unreachable
from tidings.clock import machine_time
from tidings.core.diagnosis import MAX_CLOCK_GAP
from tidings.core.probes import MEANT_TO_FAIL

LINES: Final = 3  # that are shown of each finding where nobody knows what the receiver is written in
_SIGNS: Final = {"error": Cell("✗", "red"), "warning": Cell("!", "yellow"), "note": Cell("·", "dim")}


def command() -> click.Command:
    """Return the command, with `webhook` below it."""
    group = click.Group(
        "doctor",
        params=[*server_options(), *output_options()],
        callback=click.pass_context(_doctor),
        invoke_without_command=True,
        help="Say what is wrong with Tidings, each with the remedy; exit code 1 when anything is.\n\n"
        "It looks at the database of these settings (TIDINGS_DATABASE_URL, or the folder of the embedded one) where there is "
        "one, and else asks the server that was signed in to last. --server asks a server. Nothing is changed.",
    )
    group.add_command(
        click.Command(
            "webhook",
            params=[
                click.Argument(["webhook"], shell_complete=complete("webhooks")),
                click.Option(["-v", "--verbose"], is_flag=True, help="What the receiver answered too."),
                *server_options(),
                *output_options(),
            ],
            callback=ends_well(_webhook),
            help="Say why a webhook's receiver refuses deliveries, with the line to change.\n\n"
            "Up to twelve requests of type webhook.test go to it, some signed wrongly on purpose. They are no deliveries, "
            "and go out paused or not. Exit code 1 when deliveries are refused.",
        )
    )
    return group


# The installation ----------------------------------------------------------------------------------------------------------


def _doctor(context: click.Context, **given: Any) -> None:
    if context.invoked_subcommand is None:
        ends_well(_examine)(context.obj, **given)


def _examine(
    setup: Any, *, server: str | None, key: str | None, group: str | None, home: str | None, as_json: bool, quiet: bool
) -> None:
    paper = Paper(as_json=as_json, quiet=quiet)
    found, where = _found(setup, server, key, group, home)
    if as_json:
        paper.document(found)
    elif quiet:
        for problem in found["problems"]:
            click.echo(inert(problem["name"]))
    else:
        paper.write((Cell(inert(where), "bold"),))
        for problem in found["problems"]:
            sign = _SIGNS["error" if problem["is_fatal"] else "warning"]
            paper.write((sign, Cell(f" {_in_words(problem['name'])}", "bold"), Cell(f"  {inert(problem['sentence'])}")))
        ill = {problem["name"] for problem in found["problems"]}
        well = [name for name in found["looked_at"] if name not in ill]
        if well:
            paper.write((Cell("✓", "green"), Cell(f" {', '.join(map(_in_words, well))}")))
    if found["problems"]:
        sys.exit(FAILED)


def _in_words(name: str) -> str:
    return inert(name.replace("_", " "))


def _found(setup: Any, server: str | None, key: str | None, group: str | None, home: str | None) -> tuple[dict[str, Any], str]:
    """Return what is wrong, and with what."""
    if server is None and home is None:
        from tidings.core.errors import TidingsError

        try:
            config = setup.config()
        except TidingsError as error:
            raise CommandError(error.message) from error
        if config.database_url is not None or (Path(config.data_dir) / "postgres").exists() or not _is_kept():
            from tidings.cli.doctor import examine_here

            found = examine_here(config)
            where = "The database of these settings" if config.database_url else f"The embedded PostgreSQL in {config.data_dir}"
            return msgspec.to_builtins(found), where
    called = chosen(server, key, group, home)
    return _asked(called), called.url


def _is_kept() -> bool:
    from tidings.cli.remote import profiles

    return profiles.read().chosen is not None


def _asked(server: Server) -> dict[str, Any]:
    """Ask a server, and look at it from here: whether it is Tidings, is ready, and has the same time."""
    try:
        with httpx.Client(base_url=server.url, timeout=30.0, verify=server.url.startswith("https:")) as http:
            alive, here = http.get("/healthz"), machine_time()
            ready = http.get("/readyz")
    except httpx.TransportError as error:
        known = unreachable(server.url, error)
        raise ApiError(f"{known.message} Does it run there?", status=0, code=known.code) from error
    if alive.status_code != 200 or alive.text != "ok":
        said = (
            f"{server.url}/healthz is answered with HTTP {alive.status_code} and not as Tidings does: another program listens "
            "there, or something stands in front of it. Compare the address, and what the proxy lets through."
        )
        return {"problems": [_problem("server", said)], "looked_at": ["server"]}
    problems = _clock(alive, here)
    try:
        found = server.ask("GET", "/api/v1/diagnosis")
    except CommandError as error:
        if error.details.get("code") != "OLDER_SERVER":
            raise
        found = {"problems": [] if ready.status_code == 200 else _unready(ready), "looked_at": ["database", "workers"]}
        problems.append(_problem("version", error.message, is_fatal=False))
    return {"problems": problems + found["problems"], "looked_at": ["server", "version", "time", *found["looked_at"]]}


def _unready(ready: httpx.Response) -> list[dict[str, Any]]:
    try:
        answer_of(ready, object)
    except ApiError as error:
        told = (error.details or {}).get("problems") if isinstance(error.details, dict) else None
        if isinstance(told, list):
            return [_problem(str(one.get("name")), str(one.get("sentence"))) for one in told if isinstance(one, dict)]
        return [_problem("ready", error.message)]
    return []


def _clock(alive: httpx.Response, here: datetime) -> list[dict[str, Any]]:
    try:
        gap = (here - parsedate_to_datetime(alive.headers.get("date", ""))).total_seconds()
    except (TypeError, ValueError):
        return []
    if abs(gap) <= MAX_CLOCK_GAP:
        return []
    way = "ahead of" if gap > 0 else "behind"
    return [_problem("time", f"This machine's clock is {abs(gap):.0f} s {way} the server's. Set both by NTP.", is_fatal=False)]


def _problem(name: str, sentence: str, *, is_fatal: bool = True) -> dict[str, Any]:
    return {"name": name, "sentence": sentence, "is_fatal": is_fatal}


# A receiver ----------------------------------------------------------------------------------------------------------------


def _webhook(*, webhook: str, verbose: bool, **given: Any) -> None:
    above = click.get_current_context().parent
    for name, value in (above.params if above is not None else {}).items():  # written before the word `webhook`
        given[name] = given[name] or value
    paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
    server = chosen(given["server"], given["key"], given["group"], given["home"])
    path = f"/api/v1/webhooks/{server.id_of(WEBHOOKS, webhook)}"
    found = server.ask("POST", f"{path}/diagnose", timeout=DIAGNOSIS_TIMEOUT)
    if paper.as_json:
        paper.document(found)
    elif paper.quiet:
        click.echo(inert(found["verdict"]))
    else:
        _show(paper, found, is_verbose=verbose)
    if not found["is_taking"]:
        sys.exit(FAILED)


def _show(paper: Paper, found: dict[str, Any], *, is_verbose: bool) -> None:
    if found["verdict"] == "healthy":
        paper.write((Cell("✓", "green"), Cell(" healthy", "bold"), Cell(f"  {inert(found['sentence'])}")))
    for finding in found["findings"]:
        sign = _SIGNS.get(finding["level"], _SIGNS["note"])
        paper.write((sign, Cell(f" {inert(finding['name'])}", "bold"), Cell(f"  {inert(finding['sentence'])}")))
        for line in _lines(finding["lines"], found["framework"]):
            paper.write((Cell(f"    {inert(line['where'])}: ", "dim"), Cell(inert(line["code"]), "cyan")))
    paper.say("")
    for place, probe in enumerate(found["probes"], 1):
        size = f" of {probe['bytes']:,} bytes" if probe["bytes"] else ""
        said = str(probe["response_status"]) if probe["response_status"] is not None else inert(probe["error"] or "no answer")
        is_taken = probe["response_status"] is not None and probe["response_status"] // 100 == 2
        style = "green" if is_taken != (probe["probe"] in MEANT_TO_FAIL) else "red"
        paper.write((Cell(f"  {place}  {inert(probe['sent'])}{size}  ", "dim"), Cell(said, style)))
        if is_verbose and probe["response_body"]:
            for row in inert_block(probe["response_body"]).split("\n"):
                paper.write((Cell(f"       {row}", "dim"),))


def _lines(lines: Sequence[Any], framework: str | None) -> Sequence[Any]:
    """Return the lines of what the receiver is written in; the first ones where that is not known."""
    return [line for line in lines if line["where"] == framework] or lines[:LINES]
