"""Shells as somebody types in them: in a pseudo-terminal, with the tab key."""

import fcntl
import os
import pty
import selectors
import shlex
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.support.limits import PATIENCE
from tests.support.process import settings

# How each is started without the files of whoever runs the tests, and what has it complete our commands, as `completion` says.
_STARTED = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(tidings completion bash)"'),
    "zsh": (["-f", "-i"], 'autoload -Uz compinit; compinit -u -D; eval "$(tidings completion zsh)"'),
    "fish": (["--no-config", "-i"], "tidings completion fish | source"),
}
SHELLS = tuple(shell for shell in _STARTED if shutil.which(shell) is not None)


class Shell:
    """A shell that knows how to complete `tidings`."""

    def __init__(self, name: str, home: Path, environ: dict[str, str]) -> None:
        folder = home / "programs"
        folder.mkdir(exist_ok=True)
        program = folder / "tidings"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tidings "$@"\n')
        program.chmod(0o755)
        options, setup = _STARTED[name]
        self._mine, theirs = pty.openpty()
        path = f"{folder}:{os.environ['PATH']}"
        self._process = subprocess.Popen(
            [name, *options], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # fish wants to be in charge of its terminal
            env=settings() | environ | {"PATH": path, "TERM": "xterm", "HOME": str(home), "COLUMNS": "200"},
        )  # fmt: skip
        os.close(theirs)
        self._said = b""
        self._type(f"{setup}; echo re''ady\r")
        self.shows("ready")

    def completes(self, typed: str, to: str) -> None:
        """Type something and the tab key, and wait until that stands there."""
        self._said = b""
        self._type(f"{typed}\t")
        self.shows(to)

    def enter(self) -> None:
        """Have what stands there run."""
        self._said = b""
        self._type("\r")

    def shows(self, text: str) -> None:
        """Wait until a text stands on the screen."""
        until = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as readable:
            readable.register(self._mine, selectors.EVENT_READ)
            while text not in self._said.decode(errors="replace"):
                assert readable.select(until - time.monotonic()), f"{text!r} is not in {self._said!r}"
                self._said += os.read(self._mine, 65_536)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        os.close(self._mine)

    def _type(self, text: str) -> None:
        os.write(self._mine, text.encode())
