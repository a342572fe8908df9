"""Every command of every page is played from nothing, or stands in a list with the reason why not."""

import asyncio
import getpass
import os
import re
import socket
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.acceptance.newcomer.not_played import NOT_PLAYED
from tests.acceptance.newcomer.page import Block, blocks, shown
from tests.acceptance.newcomer.player import Player, PlayError, brought, machine
from tests.support.limits import PATIENCE
from tests.support.node import free_port
from tests.support.once import once, wheel_of
from tests.support.receiver import Receiver, answer, says
from tidings.store.embedded import start_embedded

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TYPED = {str(page.relative_to(ROOT)): [block for block in blocks(page.read_text()) if block.is_typed] for page in PAGES}
BEFORE = Path(__file__).parent / "newcomer" / "before"
INSTALL = "pip install"
STARTS = re.compile(r"tidings( --config \S+)? serve( --port \d+)?\n")
ROLES = "docs/roles.md"
FIRST = "docs/sources.md"  # makes the group that the others take for granted
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def is_played(name: str, block: Block) -> bool:
    return not block.is_typed or not block.text.startswith(tuple(NOT_PLAYED.get(name, ())))


def takes_a_server(name: str) -> bool:
    """Whether a page is about a server that runs, and starts none."""
    typed = "".join(block.text for block in TYPED[name])
    return ("localhost:8080" in typed or "$ tidings" in typed) and not STARTS.search(typed)


PLAYED = [name for name, typed in TYPED.items() if any(is_played(name, block) for block in typed)]
SERVED = sorted(filter(takes_a_server, PLAYED), key=lambda name: name != FIRST)
ALONE = [name for name in PLAYED if name not in {*SERVED, ROLES}]


def play(player: Player, name: str) -> None:
    for block in blocks((ROOT / name).read_text()):
        if is_played(name, block):
            try:
                player.play(block)
            except PlayError as error:
                raise AssertionError(f"{name}, line {block.line}: {error}") from None


def connection(url: str) -> dict[str, str]:
    """What PostgreSQL's own programs read instead of a URL."""
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    return {"PGHOST": host, "PGPORT": str(parts.port or 5432), "PGUSER": parts.username or "postgres"}


def with_tidings(installed: Path, environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "PATH": f"{installed / 'bin'}{os.pathsep}{environ['PATH']}"}


def run_before(name: str, url: str) -> None:
    """Have in the database what a page takes a reader to have there."""
    file = BEFORE / f"{name}.sql"
    if file.is_file():
        command = ["psql", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", url, "--file", str(file)]
        subprocess.run(command, check=True, env=machine(), timeout=PATIENCE)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, where pip finds it as if it were published."""
    return wheel_of(tmp_path_factory).parent


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, for pages that begin where it is installed already; what it needs is the tests' own."""

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=False)
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install"]
        how = ["--no-deps", "--quiet", "--no-index"]
        subprocess.run([*pip, *how, str(next(wheels.glob("tidings-*.whl")))], check=True, timeout=PATIENCE)
        site = next(path for path in map(Path, sys.path) if path.name == "site-packages")
        (next(folder.glob("lib/python*/site-packages")) / "depends.pth").write_text(f"{site}\n")

    return once(tmp_path_factory, "installed", make)


@pytest.mark.parametrize("name", ALONE)
async def test_a_page_does_what_it_says(
    name: str, wheels: Path, request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> None:
    port, second, receiver, stream = (str(free_port()) for _ in range(4))
    cache = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True).stdout
    found = f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}".strip()
    environ = machine(TIDINGS_PORT=port, PIP_FIND_LINKS=found, PIP_CACHE_DIR=cache.strip(), REPOSITORY=str(ROOT))
    instead = {}
    if not any(INSTALL in block.text for block in TYPED[name] if is_played(name, block)):
        installed = request.getfixturevalue("installed")
        environ, instead = with_tidings(installed, environ), {" /opt/tidings/": f" {installed}/"}
    restored = f"{urlsplit(database_url).path[1:]}_restored"
    if name == "docs/operations.md":
        # The system's pg_dump may be of another version than the server.
        programs = {"PATH": f"{brought()}{os.pathsep}{environ['PATH']}"}
        environ |= connection(database_url) | programs | {"TIDINGS_DATABASE_URL": database_url}
    run_before(Path(name).stem, database_url)
    instead |= {
        "localhost:8080": f"localhost:{port}", "8000": receiver, "postgresql://me@localhost/shop": database_url,
        "localhost:8081": f"localhost:{second}", "--port 8080": f"--port {port}", "--port 8081": f"--port {second}", "4222": stream,
        "app_restored": restored, " /etc/": f" {tmp_path}/home/etc/",
    }  # fmt: skip
    with Player(tmp_path, instead, environ) as player:
        play(player, name)
    if name == "docs/operations.md":
        subprocess.run(["dropdb", restored], check=True, env=environ, timeout=PATIENCE)


async def test_pages_about_a_server_that_runs_do_what_they_say(
    installed: Path, database_url: str, receiver: Receiver, tmp_path: Path
) -> None:
    """All on one server, one after the other, each in a folder and with terminals of its own."""
    times = 0

    async def receive(request: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal times
        times += request.path == "/laptop"
        is_refused = request.path == "/refused" or (request.path == "/laptop" and times == 2)
        writer.write(answer(500 if is_refused else 200, b"no" if is_refused else b"ok"))

    receiver.otherwise = receive
    run_before("served", database_url)
    await asyncio.to_thread(_play_served, installed, database_url, receiver, tmp_path)


def _play_served(installed: Path, database_url: str, receiver: Receiver, folder: Path) -> None:
    port, own = str(free_port()), str(free_port())
    key = "a-key-for-trying"
    environ = with_tidings(installed, machine(
        TIDINGS_DATABASE_URL=database_url, TIDINGS_PORT=port, TIDINGS_ADMIN_KEY=key, TIDINGS_ALLOW_PRIVATE_NETWORKS="127.0.0.0/8",
        TIDINGS_SERVER=f"http://localhost:{port}", TIDINGS_KEY=key, KEY=key, NO_COLOR="1", COLUMNS="200", BEFORE=str(BEFORE), WEBHOOK_SECRET=SECRET,
        PYTHON_KEYRING_BACKEND="tests.support.keyring_backend.MemoryRing", PYTHONPATH=str(ROOT),
    ))  # fmt: skip
    instead = {
        "localhost:8080": f"localhost:{port}", "8000": own, "whsec_…": SECRET,
        "http://localhost:3000/hook": receiver.url("/laptop"), "ada@laptop": f"{getpass.getuser()}@{socket.gethostname()}",
        "https://example.com": receiver.url(""), "https://erp.example.com": receiver.url(""),
    }  # fmt: skip
    with Player(folder / "server", instead, environ) as server:
        server.type("tidings serve", until="Tidings is ready")
        server.type(f"PORT={own} python $BEFORE/receiving.py", until="running on", terminal="receiver")
        create = "tidings webhooks create --name Pages --url https://example.com/hook --events 'order.*' --quiet"
        server.type(f"{create} >webhook", terminal="reader")
        webhook = (folder / "server/home/webhook").read_text().strip()
        faults = []
        for name in SERVED:
            with Player(folder / Path(name).stem, instead, {**environ, "WEBHOOK": webhook}) as player:
                if (before := BEFORE / f"{Path(name).stem}.sh").is_file():
                    player.type(before.read_text())
                try:
                    play(player, name)
                except AssertionError as fault:
                    faults.append(str(fault))
        assert not faults, "\n\n".join(faults)


async def test_the_page_of_roles_does_what_it_says(installed: Path, tmp_path: Path) -> None:
    """In a PostgreSQL of its own, because roles are a whole cluster's."""
    server = start_embedded(tmp_path / "cluster")
    try:
        own = connection(server.get_uri())
        app = f"/app?host={own['PGHOST']}"
        environ = with_tidings(installed, machine(
            **own, TIDINGS_DATABASE_URL=f"postgresql://{own['PGUSER']}:@{app}", TIDINGS_PORT=str(free_port()),
        ))  # fmt: skip
        with Player(tmp_path, {"@db/app": f":@{app}"}, environ) as player:
            player.type("createdb app; psql -d app -c 'create schema sales; create table sales.orders (id int primary key)'")
            await asyncio.to_thread(play, player, ROLES)
    finally:
        server.cleanup()


def test_the_demo_says_in_a_terminal_how_to_change_rows_and_that_works(installed: Path, tmp_path: Path) -> None:
    environ = machine(TIDINGS_PORT=str(free_port()))
    environ["PATH"] = f"{installed / 'bin'}{os.pathsep}{environ['PATH']}"
    with Player(tmp_path, {}, environ) as player:
        player.play(Block("console", "tidings demo\n", 1, {"terminal": "demo", "answers": "", "until": "the documentation"}))
        printed = re.search(r"^  (tidings --database-url .*)\r?$", player.screen("demo"), re.MULTILINE)
        assert printed, player.screen("demo")
        player.play(Block("console", f"{printed[1].strip()}\n", 2))
        player.play(Block("text", "verified … order 100 new\n", 3, {"shows": "demo"}))


def test_the_demo_ends_in_a_pipe_without_commands_that_work_no_more(installed: Path, tmp_path: Path) -> None:
    environ = machine(TIDINGS_PORT=str(free_port()), HOME=str(tmp_path))
    done = subprocess.run(
        [str(installed / "bin/tidings"), "demo"], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert "9 changes committed, 9 delivered, 9 verified" in done.stdout
    assert "curl" not in done.stdout
    assert "psql" not in done.stdout


@pytest.mark.parametrize("name", NOT_PLAYED)
def test_what_is_not_played_is_there_and_has_a_reason(name: str) -> None:
    for begins, reason in NOT_PLAYED[name].items():
        assert sum(block.text.startswith(begins) for block in TYPED[name]) == 1, f"{begins!r}: take it off the list"
        assert len(reason) > 20


@pytest.mark.parametrize(
    ("text", "error"),
    [("false\n", "ended with 1"), ("nonesuch-command\n", "ended with 127"), ("echo a | grep b\n", "ended with 1")],
)
def test_a_command_that_fails_fails_its_page(tmp_path: Path, text: str, error: str) -> None:
    with Player(tmp_path, {}, machine()) as player:
        player.play(Block("console", "echo fine\n", 1))
        with pytest.raises(PlayError, match=error):
            player.play(Block("console", text, 2))


def test_a_prompt_is_where_a_command_begins_and_what_follows_is_what_it_shows() -> None:
    block = Block("console", "$ a \\\n  b\nshown\n$ c\n", 1)
    assert block.commands() == [("a \\\n  b\n", "shown\n"), ("c\n", "")]
    assert Block("console", "a\nb\n", 1).commands() == [("a\nb\n", "")]


def test_what_a_command_shows_may_have_other_numbers_and_ids_and_no_other_words() -> None:
    printed = "03:42:37  ✓ 200  3.4 ms  01a1fc62-e1ae-7a3f-9346-3f0000000001"
    assert shown(printed, "11:00:01 ✓ 204   12.75 ms  11111111-2222-7333-9444-555555555555", are_own=True)
    assert not shown(printed, "11:00:01 ✗ 204   12.75 ms  11111111-2222-7333-9444-555555555555", are_own=True)


def test_a_command_that_shows_something_else_fails_its_page(tmp_path: Path) -> None:
    with Player(tmp_path, {}, machine()) as player:
        player.play(Block("console", "$ echo 12 orders\n7 orders\n", 1))
        with pytest.raises(PlayError, match="never showed"):
            player.play(Block("console", "$ echo 12 orders\n7 webhooks\n", 2))


async def test_a_call_that_is_refused_fails_its_page(receiver: Receiver, tmp_path: Path) -> None:
    receiver.scripts.extend([says(answer(200)), says(answer(404))])
    with Player(tmp_path, {}, machine()) as player:
        await asyncio.to_thread(player.play, Block("console", f"curl {receiver.url()}\n", 1))
        with pytest.raises(PlayError, match="ended with 22"):
            await asyncio.to_thread(player.play, Block("console", f"curl {receiver.url()}\n", 2))


def test_a_question_is_answered_in_a_terminal(tmp_path: Path) -> None:
    with Player(tmp_path, {}, machine()) as player:
        asks = "$ test -t 0 && read -p 'Really: ' word && echo said $word\nsaid yes\n"
        player.play(Block("console", asks, 1, {"answers": "yes"}))


def test_what_a_page_shows_is_looked_for_in_order() -> None:
    assert shown("a … c\nd\n", "x a b c\nd e")
    assert not shown("d\na\n", "a\nd\n")
