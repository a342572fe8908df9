"""`tidings listen`: deliveries on this machine, against a running engine and real receivers."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, engine_of, eventually
from tests.support.limits import PATIENCE
from tests.support.process import settings
from tests.support.receiver import Receiver, answer, hangs, says
from tests.support.serving import ApiServer
from tests.support.terminal import Relay, Terminal, heard, hears_ctrl_c
from tidings.client.verify import verify
from tidings.config import Config
from tidings.core.retry import Delays


@pytest.fixture
async def engine(config: Config) -> AsyncIterator[Engine]:
    async with engine_of(config, running=True) as engine:
        yield engine


@pytest.fixture
async def url(engine: Engine, api_server: ApiServer) -> AsyncIterator[str]:
    async with api_server.serving(engine.services) as url:
        yield url


@pytest.fixture
def terminal(url: str, tmp_path: Path) -> Terminal:
    return Terminal(url, tmp_path)


async def listening(engine: Engine, name: str = "desk") -> Any:
    """Wait until a client of a listener asks, and return the listener's id."""
    return await eventually(
        lambda: engine.value(
            "select s.webhook_id from tidings.listeners s join tidings.listener_sessions using (webhook_id) where name = $1 and not is_over",
            name,
        )
    )


async def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    said, told = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    assert process.returncode == code, (said, told)
    return said, told


async def test_deliveries_are_forwarded_signed_and_their_answers_recorded(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    receiver.scripts.append(says(answer(500, b"broken")))
    process = terminal.start("listen", receiver.url(), "--name", "desk", "-e", "order.*", "-n", "2", "--json")
    id_ = await listening(engine)
    await engine.publish("order.paid", '{"n": 1}')
    await engine.publish("stock.low", '{"n": 2}')
    said, told = await ended(process)
    secret = next(word for word in told.split() if word.startswith("whsec_"))
    first, second = await receiver.wait_for(2)
    assert verify(first.body, first.headers, secret) == verify(second.body, second.headers, secret)
    lines = [json.loads(line) for line in said.splitlines()]
    assert [(line["result"]["response_status"], line["delivery"]["attempt_number"]) for line in lines] == [(500, 1), (200, 2)]
    assert "2 deliveries: 1 succeeded, 1 failed." in told
    assert "keeps what comes" in told
    assert told.endswith("Remove it with: tidings listeners delete desk\n")
    assert "tidings listen 3000" in await terminal.refused("listen", code=2)
    assert "Say once" in await terminal.refused("listen", "3000", "-f", "3001", code=2)
    [delivery] = await engine.deliveries()
    assert (delivery["status"], delivery["attempt_count"]) == ("succeeded", 2)
    attempts = await engine.attempts()
    assert [(a["response_status"], a["response_body"]) for a in attempts] == [(500, "broken"), (200, "ok")]
    assert await engine.value("select count(*) from tidings.listener_sessions where not is_over") == 0
    assert str(id_) in await terminal("listeners", "list", "-q")


async def test_it_says_why_nothing_comes_when_its_receiver_asked_to_be_left_alone(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    receiver.scripts.append(says(answer(429, headers={"retry-after": "7200"})))
    process = terminal.start("listen", receiver.url(), "--name", "desk", "-q")
    await listening(engine)
    await engine.publish("order.paid", "{}")
    why = await heard(process.stderr, "Nothing comes")
    assert "asked to be left alone (Retry-After)" in why
    assert "1 delivery waits until then" in why
    process.send_signal(signal.SIGTERM)
    await ended(process)
    process = terminal.start("listen", receiver.url(), "--name", "desk", "--skip", "-n", "1", "--json")
    await heard(process.stderr, "cancelled (--skip)")
    await engine.publish("order.sent", "{}")
    said, _ = await ended(process)
    assert json.loads(said)["delivery"]["event"] == "order.sent"


async def test_it_goes_on_when_the_server_was_away_and_nothing_is_lost(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    async with Relay(terminal.url) as relay:
        process = terminal.start("listen", "-f", receiver.url(), "--name", "desk", "-n", "30", "-s", relay.url, "-q")
        await listening(engine)
        for n in range(10):
            await engine.publish("order.paid", f'{{"n": {n}}}')
        await receiver.wait_for(1)
        relay.cut()
        for n in range(10, 30):
            await engine.publish("order.paid", f'{{"n": {n}}}')
        await heard(process.stderr, "when it is back")
        relay.mend()
        said, _ = await ended(process)
    assert len(set(said.split())) <= 30
    assert len({json.loads(each.body)["data"]["n"] for each in receiver.received}) == 30


async def test_keys_filter_replay_and_end_it_and_the_terminal_is_as_before(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    for columns in (80, 160):
        screen = Screen(terminal, columns, "listen", "-f", receiver.url(), "--name", f"desk{columns}")
        try:
            await screen.sees("q ends.")
            await listening(engine, f"desk{columns}")
            await engine.publish("order.paid")
            await screen.sees("order.paid")
            screen.types("r")
            await screen.sees("replayed")
            screen.types("/sto")
            await screen.sees("/sto")
            screen.seen = ""
            await engine.publish("order.typed")
            await screen.sees("order.typed")
            await screen.sees("/sto")  # again, below it
            screen.types("ck\n")
            await screen.sees("Shown is what holds 'stock'.")
            count = len(receiver.received)
            await engine.publish("order.hidden")
            await receiver.wait_for(count + 1)
            await engine.publish("stock.low", '{"n": "\\u001b[2J"}')
            await screen.sees("stock.low")
            screen.types("q")
            await screen.sees("4 deliveries: 4 succeeded, 0 failed.")
            assert await screen.end() == 0
            assert "order.hidden" not in screen.seen
            assert screen.attributes() == screen.before
        finally:
            screen.close()


async def test_it_ends_when_nobody_reads_what_it_prints(engine: Engine, terminal: Terminal, receiver: Receiver) -> None:
    for words in ((), ("--json",), ("--quiet",)):
        process = terminal.start("listen", "-f", receiver.url(), "--name", "desk", *words)
        await listening(engine)
        assert process.stdout is not None
        process.stdout.close()
        await engine.publish()
        process.stdout = None
        _, told = await ended(process, 1)
        assert "Traceback" not in told
        assert await engine.value("select count(*) from tidings.listener_sessions where not is_over") == 0
    assert [delivery["status"] for delivery in await engine.deliveries()] == ["succeeded"] * 3


async def test_it_ends_when_its_terminal_is_closed_with_something_in_hand(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    screen = Screen(terminal, 80, "listen", "-f", receiver.url(), "--name", "desk", "--delay", "60s")
    try:
        await screen.sees("q ends.")
        await listening(engine)
        await engine.publish()
        await eventually(lambda: engine.value("select count(*) = 1 from tidings.flights"))
        screen.hang_up()
        assert await screen.end() != 0  # it cannot say what was done
    finally:
        screen.close()
    assert await engine.value("select count(*) from tidings.listener_sessions where not is_over") == 0
    assert await engine.unfinished() == 1


async def test_no_more_are_forwarded_than_count_says(engine: Engine, terminal: Terminal, receiver: Receiver) -> None:
    words = ("listen", "-f", receiver.url(), "--name", "desk", "-n")
    await terminal.run("listeners", "create", "--name", "desk")
    for _ in range(5):
        await engine.publish()
    await eventually(lambda: engine.value("select sum(waiting) = 5 from tidings.lanes"))
    told = (await terminal.run(*words, "2")).stderr
    assert "2 deliveries: 2 succeeded, 0 failed. 3 deliveries wait for the next time." in told
    assert len(receiver.received) == 2


async def test_ctrl_c_tells_what_was_done_and_what_was_not_sent_is_given_back(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    process = terminal.start("listen", "-f", receiver.url(), "--name", "desk", "--delay", "60s")
    id_ = await listening(engine)
    await engine.publish()
    await eventually(lambda: engine.value("select count(*) = 1 from tidings.flights where $1 = any (lanes)", id_))
    process.send_signal(signal.SIGINT)
    _, told = await ended(process, 130)
    assert "0 deliveries: 0 succeeded, 0 failed. 1 delivery waits for the next time." in told
    assert "again ends it" not in told  # nothing is under way: it is only held back
    told = (await terminal.run("listen", "-f", receiver.url(), "--name", "desk", "-n", "1")).stderr
    assert "1 delivery waited for this, to come now" in told
    assert len(receiver.received) == 1
    await engine.publish()
    await eventually(lambda: engine.value("select waiting = 1 from tidings.lanes where webhook_id = $1", id_))
    process = terminal.start("listen", "-f", receiver.url(), "--name", "desk", "--skip")
    await listening(engine)
    process.send_signal(signal.SIGTERM)
    _, told = await ended(process)
    assert "1 delivery that waited was cancelled" in told
    assert len(receiver.received) == 1


async def test_a_second_ctrl_c_ends_it_at_once_and_nothing_is_lost(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    receiver.otherwise = hangs
    process = terminal.start("listen", "-f", receiver.url(), "--name", "desk")
    await listening(engine)
    await engine.publish()
    await receiver.wait_for(1)  # it is under way here, and not only handed out by the server
    process.send_signal(signal.SIGINT)
    await heard(process.stderr, "again ends it")
    process.send_signal(signal.SIGINT)
    _, told = await ended(process, 130)
    assert told.splitlines()[-1:] == ["Interrupted."]
    assert await engine.unfinished() == 1


async def test_with_faults_a_receiver_that_drops_repeats_ends_in_the_right_state(
    engine: Engine, terminal: Terminal, receiver: Receiver
) -> None:
    often = Delays(delays=(0.1,) * 90)  # some fail six times, and by a listener's own policy wait for minutes
    webhook = await engine.add_webhook(receiver.url("/own"), "stock.*", retry=often)
    faults = ("--fail", "20%", "--drop", "10%", "--duplicate", "10%", "--reorder", "--delay", "10ms", "--seed", "7")
    words = ("listen", "-f", receiver.url(), "--webhook", str(webhook.id), "--name", "desk", "--concurrency", "20", "-q")
    process = terminal.start(*words, *faults)
    id_ = await listening(engine)
    for n in range(60):
        await engine.publish("stock.taken", f'{{"n": {n}}}')
    done = "select count(*) = 60 from tidings.deliveries where status = 'succeeded' and webhook_id = $1"
    await eventually(lambda: engine.value(done, id_))
    process.send_signal(signal.SIGTERM)
    await ended(process)
    seen: dict[str, int] = {}
    order = []
    forwarded = [each for each in receiver.received if each.path == "/hook"]
    for each in forwarded:
        if each.headers["webhook-id"] not in seen:
            order.append(json.loads(each.body)["data"]["n"])
        seen[each.headers["webhook-id"]] = json.loads(each.body)["data"]["n"]
    assert sorted(seen.values()) == list(range(60))  # each taken once by who drops repeats
    assert len(forwarded) > 60  # there were repeats
    assert order != sorted(order)  # and they overtook one another
    attempts = await engine.attempts()
    assert {a["failure"] for a in attempts} == {None, "reset"}


async def test_what_cannot_be_meant_is_refused_in_a_sentence(terminal: Terminal, receiver: Receiver) -> None:
    f = ("-f", receiver.url())
    assert "https://" in await terminal.refused("listen", "-f", "ftp://x/", code=2)
    assert "--fail 120%" in await terminal.refused("listen", *f, "--fail", "120%", code=2)
    assert "--delay soon" in await terminal.refused("listen", *f, "--delay", "soon", code=2)
    assert "leave --events" in await terminal.refused("listen", *f, "--webhook", "a", "-e", "b", code=2)
    assert "There is no webhook" in await terminal.refused("listen", *f, "--webhook", "nothing", code=3)
    assert "name" in await terminal.refused("listen", *f, "--name", "a\nb", code=2)
    assert "cannot be reached" in await terminal.refused("listen", *f, "-s", "http://127.0.0.1:9", code=5)
    terminal.environ["TIDINGS_KEY"] = "wrong"
    assert "Sign in" in await terminal.refused("listen", *f, code=4)


class Screen:
    """A command in a pseudo-terminal that somebody sits before."""

    def __init__(self, terminal: Terminal, columns: int, *words: str) -> None:
        self._mine, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, columns))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        clean = {name: value for name, value in settings().items() if name not in {"NO_COLOR", "COLUMNS", "FORCE_COLOR"}}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tidings", *words], env=clean | terminal.environ | {"TERM": "xterm-256color"},
            stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=hears_ctrl_c,
        )  # fmt: skip
        self.seen = ""
        os.set_blocking(self._mine, False)
        asyncio.get_running_loop().add_reader(self._mine, self._read)

    def _read(self) -> None:
        with suppress(OSError):  # its other end is closed
            self.seen += os.read(self._mine, 65536).decode("utf-8", "replace")

    async def sees(self, text: str) -> None:
        async def is_seen() -> bool:
            return text in self.seen

        try:
            await eventually(is_seen)
        except TimeoutError:
            raise AssertionError(self.seen) from None

    def types(self, text: str) -> None:
        os.write(self._mine, text.encode())

    async def end(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE)

    def attributes(self) -> Any:
        return termios.tcgetattr(self._theirs)

    def hang_up(self) -> None:
        asyncio.get_running_loop().remove_reader(self._mine)
        os.close(self._mine)
        self._mine = -1
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._mine >= 0:
            asyncio.get_running_loop().remove_reader(self._mine)
            os.close(self._mine)
        os.close(self._theirs)
