"""`tidings recover`: all again that was not acknowledged in a time, with how far it has come."""

import shlex
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, Final

import click

from tidings.cli.remote.failures import FAILED, INTERRUPTED, USAGE, CommandError, ends_well
from tidings.cli.remote.grammar import Verb
from tidings.cli.remote.inert import inert
from tidings.cli.remote.options import complete, instant, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import Server, chosen
from tidings.cli.remote.things import WEBHOOKS
from tidings.client.errors import ApiError

INTERVAL: Final = 0.5  # seconds between looks at how far it is
OPEN: Final = frozenset({"waiting", "running"})
MAX_COUNTED: Final = 10_000  # events of a dry run
_UNSENT: Final = "failed,retrying"
NO_ONE: Final[list[str | None]] = [None]  # no webhook is named: all are meant


def command() -> click.Command:
    """Return the command."""

    def run(since: str, until: str | None, webhook: tuple[str, ...], missing: bool, dry_run: bool, rate: float | None,
            detach: bool, **given: Any) -> None:  # fmt: skip
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        if missing and not webhook:
            raise CommandError("--missing asks what a webhook never had; name it with --webhook.", USAGE)
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        start, end = instant(since, paper.now()), instant(until or "0s", paper.now())
        ids: list[str | None] = [server.id_of(WEBHOOKS, one) for one in webhook]
        if dry_run:
            _dry_run(server, paper, dict(zip(ids, webhook, strict=True)), start, end, missing=missing)
            return
        done = []
        for place, id_ in enumerate(ids or NO_ONE):
            begun = _begin(server, id_, start, end, missing=missing, rate=rate)
            name = webhook[place] if len(webhook) > 1 else ""
            if detach:
                paper.say(f"Recovery {begun['id']} is begun. How far it is: tidings recoveries get {begun['id']}")
            done.append(begun if detach else _follow(server, paper, begun, name, webhook[place + 1 :]))
        if paper.as_json or paper.quiet:
            paper.many(done, [], "id", of="recoveries")
        if any(one["state"] == "failed" for one in done):
            sys.exit(FAILED)

    return click.Command(
        "recover",
        params=[
            click.Option(["--since"], required=True, metavar="TIME", help="Of events from then on: 2h, 2026-11-21T03:42:37Z."),
            click.Option(["--until"], metavar="TIME", help="Of events before then; now, unless told."),
            click.Option(["--webhook"], multiple=True, help="Of this webhook; may be given again. All, unless told.",
                         shell_complete=complete("webhooks")),
            click.Option(["--missing"], is_flag=True, help="Also what it would hear now and never had a delivery of."),
            click.Option(["--dry-run"], is_flag=True, help="Say how many that would be; send nothing."),
            click.Option(["--rate", "--rate-per-second", "rate"], type=click.FloatRange(0, min_open=True),
                         help="How many go into the queue in a second."),
            click.Option(["--detach"], is_flag=True, help="Begin it and do not wait."),
            *server_options(),
            *output_options(),
        ],
        callback=ends_well(run),
        help="Send all again that was not acknowledged in a time, and show how far it is.\n\n"
        "Ctrl-C ends it, says how far it came and how to go on.",
    )  # fmt: skip


def _begin(server: Server, webhook: str | None, since: str, until: str, *, missing: bool, rate: float | None) -> Any:
    body: dict[str, Any] = {"since": since, "until": until}
    if rate is not None:
        body["rate_per_second"] = rate
    if webhook is None:
        return server.ask("POST", "/api/v1/deliveries/retry", body=body)
    return server.ask("POST", f"/api/v1/webhooks/{webhook}/recover", body=body | {"missing": missing})


def _follow(server: Server, paper: Paper, recovery: dict[str, Any], name: str, later: tuple[str, ...]) -> dict[str, Any]:
    """Show how far a recovery is until it is over. Ctrl-C cancels it.

    Args:
        name: Of its webhook, where there are several.
        later: The webhooks that come after it.
    """
    path = f"/api/v1/recoveries/{recovery['id']}"
    try:
        with closing(_Bar(recovery)) as bar:
            while recovery["state"] in OPEN:
                time.sleep(INTERVAL)
                recovery = server.ask("GET", path)
                bar.show(recovery)
    except KeyboardInterrupt:
        click.echo(stopped(_cancelled(server, path)), err=True)
        if later:
            click.echo(f"Not begun: {inert(', '.join(later))}.", err=True)
        sys.exit(INTERRUPTED)
    if recovery["state"] == "failed":
        click.echo(f"tidings: {inert(recovery['error'] or 'It failed.')}", err=True)
    paper.say(f"{name}{': ' if name else ''}{recovery['state']}: {counts(recovery)}.{_how_to_follow(recovery)}")
    return recovery


def _cancelled(server: Server, path: str) -> Any:
    try:
        return server.ask("POST", f"{path}/cancel")
    except ApiError as error:
        if error.status != 409:
            raise
        return server.ask("GET", path)  # it was over already


def counts(recovery: dict[str, Any]) -> str:
    """Return what a recovery did, in figures."""
    skipped = f", {recovery['skipped_count']} skipped" if recovery["skipped_count"] else ""
    return f"{recovery['found_count']} found, {recovery['queued_count']} put into the queue{skipped}"


def _how_to_follow(recovery: dict[str, Any]) -> str:
    """Return where to see what comes of what went into the queue."""
    if not recovery["queued_count"]:
        return ""
    of = f" --webhook {recovery['webhook_id']}" if recovery["webhook_id"] is not None else ""
    return f" See them go out with: tidings tail{of}"


def stopped(recovery: dict[str, Any]) -> str:
    """Return how far a recovery came that was ended early, and the command that goes on."""
    share = recovery["progress"]
    far = "" if share is None else f" It had looked through {share:.0%} of the time."
    words = ["tidings", "recover", "--since", _rest_of(recovery), "--until", recovery["until"]]
    if recovery["webhook_id"] is not None:
        words += ["--webhook", recovery["webhook_id"]]
    if recovery["missing"]:
        words.append("--missing")
    if recovery["rate_per_second"] is not None:
        words += ["--rate", f"{recovery['rate_per_second']:g}"]
    return (
        f"Stopped: {counts(recovery)}.{far} What is in the queue goes out.\n"
        f"Go on with: {inert(' '.join(map(shlex.quote, words)))}"
    )


def _rest_of(recovery: dict[str, Any]) -> str:
    """Return from when on a recovery is left to do. With what is missing it goes through the time twice: from the beginning."""
    since = str(recovery["since"])
    if recovery["progress"] is None or recovery["missing"]:
        return since
    start, end = datetime.fromisoformat(since), datetime.fromisoformat(recovery["until"])
    reached: datetime = (
        start + (end - start) * recovery["progress"] - timedelta(seconds=1)
    )  # what was at the edge is looked at again
    return max(start, reached).isoformat().replace("+00:00", "Z")


def _dry_run(server: Server, paper: Paper, webhooks: dict[str | None, str], since: str, until: str, *, missing: bool) -> None:
    """Say how many would be sent.

    Args:
        webhooks: Id to what it was called; empty: all.
    """
    told = []
    for webhook in webhooks or NO_ONE:
        query = {"since": since, "until": until, "status": _UNSENT, "count": "true", "limit": 1}
        if webhook is not None:
            query["webhook_id"] = webhook
        answer = server.send("GET", "/api/v1/deliveries", query=query)
        one: dict[str, Any] = {"webhook_id": webhook, "unacknowledged": answer.headers.get("tidings-count", "0")}
        if missing and webhook is not None:
            one["missing"] = _missing(server, webhook, since, until, paper.now())
        told.append(one)
    if paper.as_json:
        paper.document(told)
        return
    for one in told:
        never = f", {one['missing']} that it never had" if "missing" in one else ""
        who = webhooks.get(one["webhook_id"], "All webhooks")
        paper.say(f"{who}: {one['unacknowledged']} not acknowledged{never}. Nothing was sent.")


def _missing(server: Server, webhook: str, since: str, until: str, now: datetime) -> str:
    """Return how many events a webhook would hear of a time and never had a delivery of; with `>` when there are more."""
    start = datetime.fromisoformat(since)
    end = datetime.fromisoformat(until)
    days = min(max((now - start).days + 1, 1), 366)
    dry = WEBHOOKS.verb("dry-run")
    heard: set[str] = set()
    for event in server.walk(dry, f"/api/v1/webhooks/{webhook}/dry-run", {"days": days}, {}, MAX_COUNTED):
        at = datetime.fromisoformat(event["occurred_at"])
        if at < start:
            break
        if at < end:
            heard.add(event["id"])
    had = _had(server, webhook, since, until)
    sign = ">" if len(heard) >= MAX_COUNTED or len(had) >= MAX_COUNTED else ""
    return f"{sign}{len(heard - had)}"


def _had(server: Server, webhook: str, since: str, until: str) -> set[str]:
    verb: Verb = WEBHOOKS.verb("deliveries")
    found = server.walk(verb, f"/api/v1/webhooks/{webhook}/deliveries", {"since": since, "until": until}, None, MAX_COUNTED)
    return {delivery["event_id"] for delivery in found}


class _Bar:
    """How far it is, on standard error where a person looks."""

    def __init__(self, recovery: dict[str, Any]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f} %"), BarColumn(), TextColumn("{task.description}"), console=console,
            disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task(counts(recovery), total=1.0)
        self._progress.start()

    def show(self, recovery: dict[str, Any]) -> None:
        self._progress.update(self._task, completed=recovery["progress"] or 0.0, description=counts(recovery))

    def close(self) -> None:
        self._progress.stop()
