"""The private PostgreSQL that serves until you have your own.

The process that starts it owns it, by a lock that the system takes away whenever that process ends. Two things follow. A guard
beside PostgreSQL stops it when its owner dies, by whatever means: the guard waits at a pipe that only the owner holds open. And
whoever starts next and finds PostgreSQL running without an owner knows that the guard was killed too: it stops what is left and
begins anew. Everybody else joins, and takes over when the owner goes.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tidings.core.errors import StartupError
from tidings.core.pauses import Pauses
from tidings.store.embedded_programs import Binaries, Running

logger = logging.getLogger("tidings.embedded")

START_LIMIT = 120.0  # seconds; recovering from a crash takes a while
LOOK_INTERVAL = 0.5  # seconds between looks whether it runs
STOP_SECONDS = 30.0  # for a fast shutdown, which ends sessions and writes a checkpoint; then it is told to abandon all
MAX_LOG_BYTES = 16 * 2**20  # of its log, beyond which the next start begins a new one; one old one is kept
LONGEST_PAUSE = 15.0  # seconds between two starts of one that does not start

# $1 the folder, $2 the postmaster's process id. Ids are used again, so the folder must still name it.
_GUARD = """
is_there() { [ "$(head -n 1 "$1/postmaster.pid" 2>/dev/null)" = "$2" ]; }
read -r _
is_there "$@" && kill -INT "$2"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do is_there "$@" || exit 0; sleep 2; done
is_there "$@" && kill -QUIT "$2"
"""


def start_embedded(data_dir: Path) -> "Embedded":
    """Start PostgreSQL in `data_dir/postgres`, or join the one that runs there, and return its handle.

    It listens on a Unix socket only.

    Raises:
        StartupError: The folder cannot be written, or PostgreSQL does not start.
    """
    embedded = Embedded(data_dir)
    embedded.start()
    return embedded


def reason_of(said: str) -> str:
    """Return why initdb failed: its last line says what it tidies up."""
    lines = said.strip().splitlines()
    grave = [line for line in lines if "FATAL:" in line or "PANIC:" in line or "error:" in line]
    return (grave or lines or ["initdb said nothing"])[0]


class Embedded:
    """The PostgreSQL of a folder. `start` and `stop` may each be called again; both wait, so call them in a thread."""

    def __init__(self, data_dir: Path) -> None:
        self.pgdata = Path(os.path.realpath(data_dir)) / "postgres"  # a loop of links is told as it is used
        self.is_owner = False
        self._log = self.pgdata / "log"
        self._lock: IO[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._socket_dir = self.pgdata
        self._is_stopping = threading.Event()
        self._stopping = asyncio.Event()

    def get_uri(self) -> str:
        """Return the URL of its first database; the same after each start."""
        return f"postgresql://postgres:@/postgres?host={self._socket_dir}"

    def program(self, name: str) -> Path:
        """Return where one of its programs is, such as `pgbench`."""
        return Binaries(self.pgdata).path(name)

    def get_pid(self) -> int | None:
        """Return the process id of the postmaster; None when it does not run."""
        return Running.read(self.pgdata).pid

    def is_up(self) -> bool:
        """Tell whether nothing is to be done: it runs, or somebody else sees to that."""
        if self.is_owner:
            return self._server is not None and self._server.poll() is None
        return not self._own()

    def start(self) -> None:
        """Start it, or join the one that runs.

        Raises:
            StartupError: It does not start; one sentence with the reason and the remedy.
        """
        until = time.monotonic() + START_LIMIT
        try:
            self.pgdata.parent.mkdir(parents=True, exist_ok=True)
            if not self._join(until):
                self._end(Running.read(self.pgdata).pid)
                self._begin(until)
        except StartupError:
            self._let_go()
            raise
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            self._let_go()
            raise StartupError(self._did_not_start(str(error))) from error

    def stop(self) -> None:
        """Stop it, if this process owns it; whoever else uses it takes over and starts it again."""
        self._is_stopping.set()
        if self.is_owner and self._server is not None:
            self._end(self._server.pid)
        self._let_go()
        self._is_stopping.clear()
        if self._socket_dir != self.pgdata:
            with suppress(OSError):  # somebody else uses it already
                self._socket_dir.rmdir()

    cleanup = stop

    async def keep(self) -> None:
        """Start it again whenever it ends, until `release`: at once, then after growing pauses. Its guard too."""
        pauses = Pauses(longest=LONGEST_PAUSE)
        ended_at: float | None = None
        while not self._stopping.is_set():
            if ended_at is None and self.is_up():
                if self._is_unguarded():
                    await asyncio.to_thread(self._mend_guard)
                await self._wait(LOOK_INTERVAL)
                continue
            if ended_at is None:
                ended_at = time.monotonic()
                logger.error("the embedded PostgreSQL has ended and is started again: %s", self._last_words())
            try:
                await asyncio.to_thread(self.start)
            except StartupError as error:
                logger.debug("%s", error.message)
                await self._wait(pauses.next())
            else:
                logger.warning("the embedded PostgreSQL runs again after %.1f s", time.monotonic() - ended_at)
                ended_at = None
                pauses.reset()

    def release(self) -> None:
        """Have `keep` end."""
        self._is_stopping.set()
        self._stopping.set()

    # How it is done ------------------------------------------------------------------------------------------------

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _join(self, until: float) -> bool:
        """Wait until the one that somebody owns is ready; False: it is this process that owns it now, and has to start it."""
        while not self._own():
            running = Running.read(self.pgdata)
            if running.is_ready:
                self._socket_dir = running.socket_dir or self.pgdata
                return True
            if time.monotonic() > until:
                raise StartupError(
                    f"Another process holds the embedded PostgreSQL in {self.pgdata}, which does not get ready. "
                    "Stop that process, or wait until it is done."
                )
            self._rest()
        return False

    def _own(self) -> bool:
        """Become the owner, unless somebody is."""
        if self._lock is None:
            self._lock = (self.pgdata.parent / "postgres.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.is_owner = True
        return True

    def _let_go(self) -> None:
        self._dismiss_guard()
        if self._lock is not None:
            self._lock.close()
        self._lock = self._server = None
        self.is_owner = False

    def _is_unguarded(self) -> bool:
        """Whether nobody would stop PostgreSQL when its owner, which is this process, dies."""
        return self.is_owner and (self._guard is None or self._guard.poll() is not None)

    def _mend_guard(self) -> None:
        if self._server is None:
            return
        if self._guard is not None:
            logger.warning("the guard of the embedded PostgreSQL has ended and is started again")
        self._dismiss_guard()
        try:
            self._post_guard(self._server.pid, Binaries(self.pgdata).as_user())
        except (OSError, StartupError) as error:  # tried again with the next look
            logger.debug("the guard of the embedded PostgreSQL does not start: %s", error)

    def _post_guard(self, pid: int, as_user: dict[str, Any]) -> None:
        self._guard = subprocess.Popen(  # noqa: S603 - our own programs
            ["/bin/sh", "-c", _GUARD, "tidings-guard", self.pgdata, str(pid)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **as_user,
        )  # fmt: skip

    def _dismiss_guard(self) -> None:
        if self._guard is None:
            return
        self._guard.kill()  # before its pipe closes: there is nothing left to stop
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard = None

    def _rest(self) -> None:
        if self._is_stopping.wait(0.05):
            raise StartupError("Stopped before the embedded PostgreSQL was ready.")

    def _begin(self, until: float) -> None:
        """Launch it in a folder that is ours and wait until it takes connections."""
        self._dismiss_guard()
        if self._server is not None:
            self._server.wait(STOP_SECONDS)  # it has ended, and is not remembered by the system any longer
        binaries = Binaries(self.pgdata)
        if not (self.pgdata / "PG_VERSION").exists():
            self._make(binaries)
        self._socket_dir = binaries.socket_dir()
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.replace(self._log.with_suffix(".old"))
        as_user = binaries.as_user()
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C and a closed terminal are for us, and it ends after us.
            self._server = subprocess.Popen(  # noqa: S603 - our own programs
                [binaries.path("postgres"), "-D", self.pgdata, "-h", "", "-k", self._socket_dir],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **as_user,
            )  # fmt: skip
        self._post_guard(self._server.pid, as_user)
        while not Running.read(self.pgdata).is_ready_as(self._server.pid):
            if self._server.poll() is not None:
                raise StartupError(self._did_not_start(self._last_words()))
            if time.monotonic() > until:
                self._end(self._server.pid)
                raise StartupError(self._did_not_start(f"it was not ready after {START_LIMIT:.0f} s"))
            try:
                self._rest()
            except StartupError:
                self._end(self._server.pid)
                raise

    def _make(self, binaries: Binaries) -> None:
        """Make the folder, whole or not at all: who is killed meanwhile leaves none that looks made."""
        draft = self.pgdata.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        try:
            binaries.give(draft)
            done = subprocess.run(  # noqa: S603 - our own programs
                [binaries.path("initdb"), "--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", draft],
                capture_output=True, text=True, check=False, timeout=START_LIMIT, **binaries.as_user(),
            )  # fmt: skip
            if done.returncode != 0:
                raise StartupError(self._did_not_start(reason_of(done.stderr)))
            draft.rename(self.pgdata)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _end(self, pid: int | None) -> None:
        """Stop a postmaster: fast; when that takes too long, by abandoning everything."""
        for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if pid is None or not self._is_running(pid):
                return
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            until = time.monotonic() + seconds
            while self._is_running(pid) and time.monotonic() < until:
                time.sleep(0.02)

    def _is_running(self, pid: int) -> bool:
        if self._server is not None and self._server.pid == pid:
            return self._server.poll() is None
        return Running.read(self.pgdata).pid == pid

    def _last_words(self) -> str:
        """Return the reason that its log ends with."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - 4096))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return "it left no log"
        grave = [line for line in lines if "PANIC:" in line or "FATAL:" in line]
        return (grave or lines or ["its log is empty"])[-1]

    def _did_not_start(self, reason: str) -> str:
        return (
            f"The embedded PostgreSQL in {self.pgdata} did not start: {reason.rstrip('.')}. "
            "Make the folder writable and see that its disk has room, or set TIDINGS_DATABASE_URL to a PostgreSQL of your own."
        )
