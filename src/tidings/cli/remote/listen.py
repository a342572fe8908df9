"""`tidings listen`: real deliveries on a machine without a public address."""

import asyncio
import getpass
import re
import shlex
import signal
import socket
import sys
import threading
from datetime import datetime
from typing import Any, Final

import click
import msgspec
import uvloop

from tidings.cli.remote.cells import Cell, took
from tidings.cli.remote.failures import INTERRUPTED, USAGE, CommandError, ends_well
from tidings.cli.remote.inert import inert
from tidings.cli.remote.listening import Listening, held_sentence
from tidings.cli.remote.listening_faults import Faults, Plan, seconds, share
from tidings.cli.remote.listening_hand import is_shown
from tidings.cli.remote.listening_keys import Key, Pressed, keys
from tidings.cli.remote.options import complete, output_options, server_options
from tidings.cli.remote.paper import Paper
from tidings.cli.remote.server import chosen
from tidings.cli.remote.things import WEBHOOKS
from tidings.core.errors import InvalidInputError
from tidings.core.listening import MAX_NAME_LENGTH
from tidings.core.outcome import Exchange
from tidings.core.webhook import check_url

MAX_CONCURRENCY: Final = 100
_LOCAL: Final = re.compile(r":?([0-9]+(?:/.*)?)", re.DOTALL)
KEYS: Final = "r replays the last, / filters, q ends."


def command() -> click.Command:
    """Return the command."""

    def run(**given: Any) -> None:
        paper = Paper(as_json=given["as_json"], quiet=given["quiet"])
        server = chosen(given["server"], given["key"], given["group"], given["home"])
        asked: dict[str, Any] = {"name": given["name"] or own_name()}
        if given["webhook"] is not None:
            if given["events"] or given["profile"]:
                raise CommandError("--webhook has its own events and profile; leave --events and --profile out.", USAGE)
            asked["webhook_id"] = server.id_of(WEBHOOKS, given["webhook"])
        else:
            asked |= {
                name: value for name, value in (("events", list(given["events"])), ("profile", given["profile"])) if value
            }
        desk = Desk(paper, forward=forward_url(_where(given["to"], given["forward"])))
        listening = Listening(
            server, asked, desk.forward, faults=_faults(given), concurrency=given["concurrency"], show=desk.show, say=desk.say,
            count=given["count"], now=paper.now,
        )  # fmt: skip
        try:
            uvloop.run(desk.sit(listening, skip=given["skip"]))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None  # the second Ctrl-C
        if desk.was_interrupted:
            sys.exit(INTERRUPTED)

    return click.Command(
        "listen",
        params=[
            click.Argument(["to"], required=False, metavar="[URL|PORT]"),
            click.Option(["-f", "--forward"], metavar="URL|PORT", help="The same: where deliveries go, as http://localhost:3000/hook."),
            click.Option(["--webhook"], help="Hear what this hears, as it is told it.", shell_complete=complete("webhooks")),
            click.Option(["-e", "--events"], multiple=True, metavar="TYPE", help="Hear these, as 'order.*'; else all."),
            click.Option(["--profile"], help="How deliveries look; else the server's default."),
            click.Option(["--name"], help="Who listens; clients of one name share, others each get all. Else USER@HOST."),
            click.Option(["--skip"], is_flag=True, help="Cancel what waited while nobody listened."),
            click.Option(["--concurrency"], type=click.IntRange(1, MAX_CONCURRENCY), default=10, show_default=True,
                         help="How many at once."),
            click.Option(["-n", "--count"], type=click.IntRange(1), help="End after so many."),
            click.Option(["--fail"], metavar="SHARE", help="Lose the answers of so many, as 20%: they come again."),
            click.Option(["--drop"], metavar="SHARE", help="Lose so many before they are sent: they come again."),
            click.Option(["--duplicate"], metavar="SHARE", help="Send so many twice."),
            click.Option(["--delay"], metavar="TIME", help="Hold each for so long, as 2s."),
            click.Option(["--reorder"], is_flag=True, help="Let them overtake one another."),
            click.Option(["--seed"], type=click.INT, default=0, help="Which of them; the same seed, the same faults."),
            *server_options(),
            *output_options(),
        ],
        callback=ends_well(run),
        help="Receive deliveries on this machine, without a public address or a tunnel: tidings listen 3000.\n\n"
        "What your receiver answers is the attempt's result. It goes on by itself when the server or the network was away, and "
        "what came meanwhile arrives then. No webhook loses anything by it.",
    )  # fmt: skip


def own_name() -> str:
    """Return what this machine's user listens as, unless told."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return "".join(c for c in f"{user}@{socket.gethostname()}" if c.isprintable() and c != " ")[:MAX_NAME_LENGTH]


def forward_url(text: str) -> str:
    """Return where deliveries go; `3000`, `3000/hook` and `localhost:3000/hook` stand for what they seem to.

    Raises:
        CommandError: It is no URL.
    """
    local = _LOCAL.fullmatch(text)
    url = f"http://localhost:{local[1]}" if local else text if "://" in text else f"http://{text}"
    try:
        check_url(url)
    except InvalidInputError as error:
        raise CommandError(f"{text} cannot be forwarded to: {error.message}", USAGE) from error
    return url


def _where(to: str | None, forward: str | None) -> str:
    if to is not None and forward is not None and to != forward:
        raise CommandError("Say once where deliveries go: tidings listen 3000, or --forward 3000.", USAGE)
    if (said := to or forward) is None:
        raise CommandError("Say where deliveries go: tidings listen 3000, or tidings listen http://localhost:3000/hook.", USAGE)
    return said


def _faults(given: dict[str, Any]) -> Faults:
    shares = {name: share(given[name], f"--{name}") for name in ("fail", "drop", "duplicate") if given[name]}
    delay = seconds(given["delay"], "--delay") if given["delay"] else 0.0
    return Faults(seed=given["seed"], delay_seconds=delay, reorder=given["reorder"], **shares)


class Desk:
    """The person and the paper: what is shown, and what keys mean."""

    def __init__(self, paper: Paper, *, forward: str) -> None:
        self._paper = paper
        self._words = ""
        self._typed: str | None = None  # behind `/`, while it is typed
        self._listening: Listening | None = None
        self._sitting: asyncio.Task[None] | None = None
        self._is_ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.forward = forward
        self.was_interrupted = False

    async def sit(self, listening: Listening, *, skip: bool) -> None:
        """Listen until it ends."""
        self._listening, self._sitting = listening, asyncio.current_task()
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():  # elsewhere nobody can hear signals
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self._interrupt, number)
        try:
            listener = await listening.open()
            skipped = await listening.skip() if skip else 0
            with keys(self._on_key) as has_keys:
                self._greet(listener, skipped, has_keys=has_keys)
                await listening.run()
        finally:
            await listening.close()
        self._part(listening)

    def show(self, delivery: dict[str, Any], exchange: Exchange, plan: Plan) -> None:
        """Show a delivery that was forwarded."""
        if not is_shown(self._words, delivery, exchange):
            return
        if self._paper.as_json:
            self._paper.line_of_json(_document(delivery, exchange, plan))
        elif self._paper.quiet:
            click.echo(inert(delivery["id"]))
        else:
            self._clear()
            self._paper.write(line(delivery, exchange, plan, f"{self._paper.now():%H:%M:%S}"))
            self._type_on()

    def say(self, sentence: str) -> None:
        """Say what else happens, to the person alone."""
        self._clear()
        click.echo(inert(sentence), err=True)
        self._type_on()

    def _greet(self, listener: dict[str, Any], skipped: int, *, has_keys: bool) -> None:
        self.say(f"{listener['name']} hears {_heard(listener)} and forwards it to {self.forward}.")
        if listener.get("secret"):
            self.say(f"Its deliveries are signed with {listener['secret']}")
        if skipped:
            self.say(f"{_many(skipped)} that waited {'was' if skipped == 1 else 'were'} cancelled (--skip).")
        elif listener["waiting"]:
            self.say(f"{_many(listener['waiting'])} waited for this, to come now; --skip would cancel what waits.")
        if listener.get("held_until") and listener["waiting"]:
            self.say(held_sentence(msgspec.convert(listener["held_until"], datetime), listener["waiting"]))
        if listener["reason"]:
            self.say(listener["reason"])
        self.say(KEYS if has_keys else "Ctrl-C ends it.")

    def _part(self, listening: Listening) -> None:
        counts = listening.hand.counts
        done = counts["succeeded"] + counts["failed"]
        waiting = listening.listener.get("waiting", 0)
        left = f" {_many(waiting)} {'waits' if waiting == 1 else 'wait'} for the next time." if waiting else ""
        self.say(f"{_many(done)}: {counts['succeeded']:,} succeeded, {counts['failed']:,} failed.{left}")
        name = inert(shlex.quote(listening.listener["name"]))
        self.say(
            "The listener stays for three days and keeps what comes; the same command goes on with that. "
            f"Remove it with: tidings listeners delete {name}"
        )

    def _interrupt(self, number: int) -> None:
        is_first, self._is_ending, self.was_interrupted = not self._is_ending, True, number == signal.SIGINT
        if self._listening is not None:
            self._listening.stop()  # first: a terminal that hung up can be told nothing
        if not is_first and self._sitting is not None:
            self._sitting.cancel()  # the second time, at once
        elif self._listening is not None and self._listening.is_busy:
            self.say("Waiting for what is under way; Ctrl-C again ends it at once.")

    def _on_key(self, pressed: Pressed) -> None:
        match pressed.key:
            case Key.QUIT if self._listening is not None:
                self._listening.stop()
            case Key.REPLAY:
                task = asyncio.create_task(self._replay())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Key.TYPING:
                self._clear()
                self._typed = pressed.text
                self._type_on()
            case Key.FILTER:
                self._clear()
                self._words, self._typed = pressed.text, None
                self.say(f"Shown is what holds {pressed.text!r}." if pressed.text else "All is shown.")
            case _:
                self.say(KEYS)

    async def _replay(self) -> None:
        if self._listening is None or (found := await self._listening.replay()) is None:
            self.say("Nothing was forwarded yet.")
            return
        delivery, exchange = found
        self._clear()
        self._paper.write([*line(delivery, exchange, Plan(), f"{self._paper.now():%H:%M:%S}"), Cell("  replayed", "yellow")])
        self._type_on()

    def _clear(self) -> None:
        """Take away what is typed behind `/`, until `_type_on`."""
        if self._typed is not None:
            click.echo("\r\x1b[K", err=True, nl=False)

    def _type_on(self) -> None:
        """Put what is typed behind `/` below what was said meanwhile."""
        if self._typed is not None:
            click.echo(f"\r\x1b[K/{inert(self._typed)}", err=True, nl=False)


def line(delivery: dict[str, Any], exchange: Exchange, plan: Plan, at: str) -> list[Cell]:
    """Return a delivery as a line."""
    is_good = exchange.is_success
    answer = Cell(str(exchange.status), "green" if is_good else "red") if exchange.status is not None else Cell("–  ", "dim")
    tries = f"  try {delivery['attempt_number']}" if delivery["attempt_number"] > 1 else ""
    on_purpose = [word for word, is_so in (("sent twice", plan.copies > 1), ("held", plan.hold_seconds > 0)) if is_so]
    why = "" if is_good else f"  {inert(exchange.error or '')}".rstrip()
    return [
        Cell(at, "dim"), Cell("  ✓ " if is_good else "  ✗ ", "green" if is_good else "red"), answer,
        Cell(f"  {took(exchange.timings.total_ms):>8}"), Cell(f"  {inert(delivery['event'])}", "bold"),
        Cell(f"  {inert(delivery['id'])}", "cyan"), Cell(tries),
        Cell(f"  {', '.join(on_purpose)}" if on_purpose else "", "yellow"), Cell(why, "red"),
    ]  # fmt: skip


def _document(delivery: dict[str, Any], exchange: Exchange, plan: Plan) -> dict[str, Any]:
    return {
        "delivery": {name: delivery[name] for name in ("id", "event_id", "event", "attempt_number")},
        "result": {
            "response_status": exchange.status, "failure": exchange.failure, "error": exchange.error,
            "total_ms": round(exchange.timings.total_ms, 3),
        },
        "faults": plan._asdict(),
    }  # fmt: skip


def _heard(listener: dict[str, Any]) -> str:
    if listener["webhook_id"] is not None:
        return f"what webhook {listener['webhook_id']} hears"
    events = listener["events"]
    return "everything" if events == ["*"] else ", ".join(map(str, events))


def _many(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count:,} deliveries"
