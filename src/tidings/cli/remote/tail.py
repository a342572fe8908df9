"""`tidings tail`: attempts as they happen, one line for each."""

import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import click

from tidings.cli.remote.cells import Cell, cell, took
from tidings.cli.remote.failures import ends_well
from tidings.cli.remote.following import Following, New
from tidings.cli.remote.inert import inert, inert_block
from tidings.cli.remote.options import asked, complete, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import Server, chosen
from tidings.cli.remote.things import DELIVERIES, WEBHOOKS
from tidings.client.errors import ApiError

STREAM: Final = "/api/v1/attempts/stream"
SILENCE: Final = 40.0  # seconds; a stream says every fifteen that it is there
INTERVAL: Final = 1.0  # seconds between looks at a server that has no stream
LOOK_BACK: Final = timedelta(minutes=5)  # a delivery can be made later than its event, by as long as its transaction takes
MAX_PAGES: Final = 10  # of one look
PAGE: Final = 200
MAX_REREAD: Final = 20  # unfinished deliveries that are read one by one in a look
LONGEST_PAUSE: Final = 30.0  # seconds, while the server is away
_LOST: Final = frozenset({0, 502, 503, 504})


def command() -> click.Command:
    """Return the command."""
    names = [name for name in DELIVERIES.verb("list").query.split() if name not in {"since", "until"}]

    def run(where: tuple[str, ...], webhook: str | None, verbose: bool, count: int | None, **given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        query: dict[str, Any] = asked(where, names, paper.now())
        if (named := webhook or query.get("webhook_id")) is not None:
            query["webhook_id"] = server.id_of(WEBHOOKS, named)
        tail = Tail(server, paper, query, is_verbose=verbose)
        for shown, _ in enumerate(tail.lines(), 1):
            if shown == count:
                return

    return click.Command(
        "tail",
        params=[
            click.Option(["-w", "--where"], multiple=True, metavar="NAME=VALUE",
                         help=f"Only these; may be given again. Names: {', '.join(names)}."),
            click.Option(["--webhook"], help="Only of this webhook.", shell_complete=complete("webhooks")),
            click.Option(["-v", "--verbose"], is_flag=True, help="With the request and the response of each."),
            click.Option(["-n", "--count"], type=click.IntRange(1), help="End after so many."),
            *server_options(),
            *output_options(),
        ],
        callback=ends_well(run),
        help="Show attempts as they happen: one line for each, or one line of JSON.\n\n"
        "It goes on by itself when the server was away, and looks each second at one that is older and has no stream.",
    )  # fmt: skip


class Tail:
    """One tail: what is asked each time, and what was seen."""

    def __init__(self, server: Server, paper: Paper, query: dict[str, Any], *, is_verbose: bool) -> None:
        self._server = server
        self._paper = paper
        self._query = query
        self._is_verbose = is_verbose
        self._following = Following()
        self._states = frozenset(query.get("status", "").split(",")) - {""}
        self._found: deque[New] = deque()
        self._names: dict[str, str] = {}
        self._has_stream = True

    def lines(self) -> Iterator[None]:
        """Show each attempt; yields after each."""
        since = (self._paper.now() - LOOK_BACK).isoformat()
        self._query["since"] = since
        self._following.begin(self._newest())
        self._following.begin(self._retrying())
        click.echo("Waiting for attempts; Ctrl-C ends it.", err=True)
        failures = 0
        while True:
            try:
                yield from self._streamed()  # and without a stream:
                self._look()
                yield from self._shown()
                failures = 0
            except ApiError as error:
                if error.status not in _LOST:
                    raise
                failures += 1
                if failures == 1:
                    click.echo(f"{inert(error.message)} Going on when it is back.", err=True)
            time.sleep(min(LONGEST_PAUSE, INTERVAL * 2 ** min(failures, 9)))

    def _shown(self) -> Iterator[None]:
        while self._found:  # what was found stays until it is shown, though the server goes away in between
            attempts = self._attempts(self._found[0])
            delivery = self._found.popleft().delivery
            for attempt in attempts:
                self._show(delivery, attempt)
                yield

    def _streamed(self) -> Iterator[None]:
        """Show attempts as the server tells of them, until it goes away or stops; at once, when it has no stream.

        A stream knows less than a search: with other words than its own it only tells when to look.
        """
        if not self._has_stream:
            return
        own = {name: self._query[name] for name in ("webhook_id", "status") if name in self._query}
        is_whole = set(self._query) - {"since"} <= set(own)
        try:
            with self._server.stream(STREAM, query=own, silence=SILENCE) as events:
                self._has_stream = events is not None
                for name, said in events or ():
                    if name == "missed":
                        click.echo(
                            f"{said['count']} attempts came faster than they could be shown; looking for them.", err=True
                        )
                    if name == "attempt" and is_whole:
                        self._found += self._following.hear(said, said["number"])
                    else:
                        self._look()
                    yield from self._shown()
        except ApiError as error:
            if error.status != 503:  # it has too many streams: it is looked at as one without
                raise

    def _look(self) -> None:
        """Find what is new: among the newest, among those that wait for another attempt, and of those that were unfinished."""
        newest = list(self._newest(until_known=True))
        self._found += self._following.see(newest)
        met = {delivery["id"] for delivery in newest}
        others = [one for one in self._retrying() if one["id"] not in met]
        self._found += self._following.see(others, is_old=True)
        met |= {delivery["id"] for delivery in others}
        for id_ in self._following.waiting(met, MAX_REREAD):
            try:
                again = self._server.ask("GET", f"/api/v1/deliveries/{id_}")
            except ApiError as error:
                if error.status != 404:
                    raise
                self._following.forget(id_)
                continue
            new = self._following.see([again])
            self._found += [one for one in new if not self._states or again["status"] in self._states]

    def _newest(self, *, until_known: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the newest deliveries, as far back as there is something new."""
        query = self._query | {"limit": PAGE}
        for _ in range(MAX_PAGES):
            response = self._server.send("GET", "/api/v1/deliveries", query=query)
            page: list[dict[str, Any]] = response.json()
            is_known = all(map(self._following.knows, page))
            yield from page
            cursor = response.headers.get("tidings-next")
            if cursor is None or (until_known and is_known):
                return
            query["cursor"] = cursor

    def _retrying(self) -> list[dict[str, Any]]:
        """Return deliveries that wait for another attempt, of events however old."""
        if self._states and "retrying" not in self._states:
            return []
        query = {name: value for name, value in self._query.items() if name != "since"} | {"status": "retrying", "limit": PAGE}
        found: list[dict[str, Any]] = self._server.ask("GET", "/api/v1/deliveries", query=query)
        return found

    def _attempts(self, new: New) -> list[dict[str, Any]]:
        """Return the attempts to show, oldest first."""
        id_ = new.delivery["id"]
        made = self._server.ask("GET", f"/api/v1/deliveries/{id_}/attempts")
        return [attempt for attempt in made if new.first <= attempt["number"] <= new.last]

    def _show(self, delivery: dict[str, Any], attempt: dict[str, Any]) -> None:
        if self._paper.as_json:
            about = {name: delivery[name] for name in ("id", "webhook_id", "event_id", "event", "status", "created_at")}
            self._paper.line_of_json({"delivery": about, "attempt": attempt})
            return
        if self._paper.quiet:
            click.echo(delivery["id"])
            return
        self._paper.write(self._line(delivery, attempt))
        if self._is_verbose:
            for line in exchange(attempt):
                self._paper.write((line,))

    def _line(self, delivery: dict[str, Any], attempt: dict[str, Any]) -> list[Cell]:
        is_good = attempt["failure"] is None and attempt["error"] is None
        answer = cell(attempt["response_status"], "code", self._paper.now(), is_exact=False)
        said = attempt["started_at"] if not self._paper.is_screen else attempt["started_at"][11:19]
        name = self._name_of(delivery["webhook_id"])
        total = took(attempt["total_ms"]) if attempt["total_ms"] is not None else "–"
        why = "" if is_good else f"  {inert(attempt['error'] or attempt['failure'] or '')}"
        number = f"  try {attempt['number']}" if attempt["number"] > 1 else ""
        return [
            Cell(inert(said), "dim"), Cell("  ✓ " if is_good else "  ✗ ", "green" if is_good else "red"), answer,
            Cell(f"  {total:>8}"), Cell(f"  {inert(delivery['event'])}", "bold"), Cell(f"  {inert(name)}"),
            Cell(f"  {delivery['id']}", "cyan"), Cell(number), Cell(why, "red"),
        ]  # fmt: skip

    def _name_of(self, webhook_id: str) -> str:
        if webhook_id not in self._names:
            try:
                self._names[webhook_id] = self._server.ask("GET", f"/api/v1/webhooks/{webhook_id}")["name"]
            except ApiError as error:
                if error.status in _LOST:
                    return webhook_id
                self._names[webhook_id] = webhook_id  # it is deleted
        return self._names[webhook_id]


def exchange(attempt: dict[str, Any]) -> list[Cell]:
    """Return an attempt's request and response as lines, as they travelled."""
    lines: list[Cell] = []
    request = attempt["request"]
    if request is not None:
        lines.append(Cell(f"    > {inert(request['method'])} {inert(request['url'])}", "bold"))
        lines += [Cell(f"    > {inert(name)}: {inert(value)}", "dim") for name, value in request["headers"]]
        lines += [Cell(f"    > {line}") for line in inert_block(request["body"] or "").split("\n") if line]
    if attempt["response_status"] is not None:
        lines.append(Cell(f"    < {attempt['response_status']}", "bold"))
        lines += [Cell(f"    < {inert(name)}: {inert(value)}", "dim") for name, value in attempt["response_headers"]]
        body = inert_block(attempt["response_body"] or "")
        lines += [Cell(f"    < {line}") for line in body.split("\n") if line]
        if attempt["is_truncated"]:
            lines.append(Cell("    < … more was not kept", "dim"))
    return lines
