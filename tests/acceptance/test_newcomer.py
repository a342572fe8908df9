"""Every command of every page is played from nothing, or stands in a list with the reason why not."""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.acceptance.newcomer.not_played import NOT_PLAYED
from tests.acceptance.newcomer.page import Block, blocks, shown
from tests.acceptance.newcomer.player import Player, PlayError, machine
from tests.support.limits import PATIENCE
from tests.support.node import free_port

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TYPED = {str(page.relative_to(ROOT)): [block for block in blocks(page.read_text()) if block.is_typed] for page in PAGES}
PLAYED = [name for name, typed in TYPED.items() if typed and name not in NOT_PLAYED]
BEFORE = Path(__file__).parent / "newcomer" / "before"
INSTALL = "pip install"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, where pip finds it as if it were published."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, for pages that begin where it is installed already; what it needs is the tests' own."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--no-deps", "--quiet", "--no-index"]
    subprocess.run([*pip, str(next(wheels.glob("tidings-*.whl")))], check=True, timeout=PATIENCE)
    site = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (next(folder.glob("lib/python*/site-packages")) / "depends.pth").write_text(f"{site}\n")
    return folder


@pytest.mark.parametrize("name", PLAYED)
async def test_a_page_does_what_it_says(
    name: str, wheels: Path, request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> None:
    page = ROOT / name
    port, receiver = str(free_port()), str(free_port())
    cache = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True).stdout
    found = f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}".strip()
    environ = machine(TIDINGS_PORT=port, PIP_FIND_LINKS=found, PIP_CACHE_DIR=cache.strip())
    if not any(INSTALL in block.text for block in TYPED[name]):
        folder = request.getfixturevalue("installed")
        environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{environ['PATH']}"
    if (before := BEFORE / f"{page.stem}.sql").is_file():
        command = ["psql", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", database_url, "--file", str(before)]
        subprocess.run(command, check=True, env=environ, timeout=PATIENCE)
    instead = {"localhost:8080": f"localhost:{port}", "8000": receiver, "postgresql://me@localhost/shop": database_url}
    with Player(tmp_path, instead, environ) as player:
        for block in blocks(page.read_text()):
            try:
                player.play(block)
            except PlayError as error:
                raise AssertionError(f"{name}, line {block.line}: {error}") from None


def test_the_demo_says_in_a_terminal_how_to_change_rows_and_that_works(installed: Path, tmp_path: Path) -> None:
    environ = machine(TIDINGS_PORT=str(free_port()))
    environ["PATH"] = f"{installed / 'bin'}{os.pathsep}{environ['PATH']}"
    with Player(tmp_path, {}, environ) as player:
        watched = 'script -qec "tidings demo" /dev/null'
        player.play(Block("console", f"{watched}\n", 1, {"terminal": "demo", "until": "the documentation"}))
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
    assert TYPED.get(name), "it has nothing that is typed: take it off the list"
    assert len(NOT_PLAYED[name]) > 20


def test_a_block_is_not_played_for_a_reason_alone() -> None:
    reasons = [block.marks["never"] for name in PLAYED for block in TYPED[name] if "never" in block.marks]
    assert [reason for reason in reasons if len(reason) < 20] == []


@pytest.mark.parametrize(
    ("text", "error"),
    [("false\n", "ended with 1"), ("nonesuch-command\n", "ended with 127"), ("echo a | grep b\n", "ended with 1")],
)
def test_a_command_that_fails_fails_its_page(tmp_path: Path, text: str, error: str) -> None:
    with Player(tmp_path, {}, machine()) as player:
        player.play(Block("console", "echo fine\n", 1))
        with pytest.raises(PlayError, match=error):
            player.play(Block("console", text, 2))


def test_what_a_page_shows_is_looked_for_in_order() -> None:
    assert shown("a … c\nd\n", "x a b c\nd e")
    assert not shown("d\na\n", "a\nd\n")
