"""The command line against a served API: in this process for most, in a pseudo-terminal for what a screen shows."""

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import IO, Any

from click.testing import CliRunner, Result

from tests.support.limits import PATIENCE
from tests.support.process import settings
from tidings.cli.main import cli


def hears_ctrl_c() -> None:
    """Have a process hear SIGINT, which shells let those ignore that they start in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def heard(said: IO[str] | None, words: str) -> str:
    """Read what a process says to the line that holds these words, and return it all; fail with it when the process ends before."""
    assert said is not None
    read = ""
    while True:
        line = await asyncio.to_thread(said.readline)
        assert line, f"It ended without saying {words!r}, only: {read}"
        read += line
        if words in line:
            return read


class Terminal:
    """Runs commands as one user with one server."""

    def __init__(self, url: str, home: Path, key: str = "test") -> None:
        self.url = url
        self.environ = {
            "XDG_CONFIG_HOME": str(home),
            "TIDINGS_SERVER": url,
            "TIDINGS_KEY": key,
            "PYTHON_KEYRING_BACKEND": _NO_RING,
        }

    async def run(self, *words: str, input: str | bytes | None = None, **environ: str | None) -> Result:  # noqa: A002
        """Run a command in a thread, whatever comes of it."""
        result = await asyncio.to_thread(
            CliRunner().invoke, cli, list(words), input=input, env=self.environ | environ, prog_name="tidings"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    async def __call__(self, *words: str, code: int = 0, input: str | bytes | None = None, **environ: str | None) -> str:  # noqa: A002
        """Run a command that ends so, and return what it writes to standard output."""
        result = await self.run(*words, input=input, **environ)
        assert result.exit_code == code, (words, result.output)
        return result.stdout

    async def read(self, *words: str, **options: Any) -> Any:
        """Run a command and return its JSON."""
        return json.loads(await self(*words, "--json", **options))

    async def refused(self, *words: str, code: int, **options: Any) -> str:
        """Run a command that is refused, and return its one sentence."""
        result = await self.run(*words, **options)
        assert (result.exit_code, result.stdout) == (code, ""), (words, result.output)
        return result.stderr.strip()

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        environ = settings() | self.environ
        return subprocess.Popen(
            [sys.executable, "-m", "tidings", *words],
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=hears_ctrl_c,
            **options,
        )

    async def on_screen(self, *words: str, columns: int, **environ: str) -> str:
        """Run a command in a pseudo-terminal and return what it writes there."""
        return await asyncio.to_thread(self._on_screen, words, columns, environ)

    def _on_screen(self, words: tuple[str, ...], columns: int, environ: dict[str, str]) -> str:
        mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        clean = {name: value for name, value in settings().items() if name not in {"NO_COLOR", "COLUMNS", "FORCE_COLOR"}}
        process = subprocess.Popen(
            [sys.executable, "-m", "tidings", *words],
            env=clean | self.environ | {"TERM": "xterm-256color"} | environ,
            stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, preexec_fn=hears_ctrl_c,
        )  # fmt: skip
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(mine, 65536)
            except OSError:  # its other end is closed
                break
            if not chunk:
                break
            written += chunk
        os.close(mine)
        process.wait(PATIENCE)
        return written.decode().replace("\r\n", "\n")


_NO_RING = "keyring.backends.fail.Keyring"


class Relay:
    """A way to a server that can be cut and mended.

    Args:
        lacks: A path that is not there on this way, as on a server that is older.
    """

    def __init__(self, url: str, *, lacks: str = "") -> None:
        self._lacks = f"GET {lacks}".encode() if lacks else None
        self._host, _, port = url.rpartition("//")[2].partition(":")
        self._port = int(port)
        self._open: set[asyncio.StreamWriter] = set()
        self._is_cut = False

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> None:
        """Close every connection, and each that comes."""
        self._is_cut = True
        for writer in self._open:
            writer.close()

    def mend(self) -> None:
        """Let connections through again."""
        self._is_cut = False

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.close()
            return
        try:
            answers, behind = await asyncio.open_connection(self._host, self._port)
        except OSError:  # nobody is there now
            writer.close()
            return
        self._open |= {writer, behind}
        await asyncio.gather(_pump(reader, behind, self._lacks, writer), _pump(answers, writer))
        self._open -= {writer, behind}


_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lacks: bytes | None = None, back: Any = None
) -> None:
    try:
        while data := await reader.read(65536):
            if lacks is not None and data.startswith(lacks):
                back.write(_NOT_FOUND)
                continue
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # it was cut
    finally:
        writer.close()
