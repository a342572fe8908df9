"""A primary and its synchronous standby, of which either can die, on disks that can be full."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.engine import eventually
from tests.support.limits import PATIENCE
from tests.support.switch import Switch
from tidings.store.embedded import Embedded
from tidings.store.embedded_programs import Binaries

DISK = 700  # MB of each

_SETTINGS = {
    "max_wal_size": "'128MB'", "min_wal_size": "'32MB'", "wal_keep_size": "'64MB'", "checkpoint_timeout": "'30s'",
    "max_connections": "80", "wal_receiver_timeout": "'5s'", "wal_sender_timeout": "'5s'", "autovacuum_naptime": "'5s'",
}  # fmt: skip


class Disk:
    """A small disk in memory. `is_own`: it is one; else a folder, because this machine does not let us mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=755", "tmpfs", str(folder)]
        self.is_own = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.folder / "ballast").open("ab") as ballast:
            while left := shutil.disk_usage(self.folder).free:
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, left)
                except OSError:
                    return

    def free(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)

    def remove(self) -> None:
        if self.is_own:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Pair:
    """Two clusters behind one port. `primary` is the one that may be written to."""

    def __init__(self, folder: Path) -> None:
        self._disks = [Disk(folder / "a"), Disk(folder / "b")]
        self._clusters = [Embedded(disk.folder) for disk in self._disks]
        self._first = 0
        self.switch = Switch("")

    @property
    def primary(self) -> Embedded:
        return self._clusters[self._first]

    @property
    def standby(self) -> Embedded:
        return self._clusters[1 - self._first]

    @property
    def disk(self) -> Disk:
        """The primary's."""
        return self._disks[self._first]

    async def start(self) -> None:
        await asyncio.to_thread(self.primary.start)
        for name, value in _SETTINGS.items():
            await self.ask(f"alter system set {name} = {value}")
        await self.restart()
        self.switch.turn(_socket_of(self.primary))
        await self.switch.start()
        await self.add_standby()

    async def stop(self) -> None:
        await self.switch.stop()
        for cluster in self._clusters:
            await asyncio.to_thread(cluster.stop)
        for disk in self._disks:
            disk.remove()

    async def ask(self, sql: str) -> Any:
        """Ask the primary, past the switch, as soon as it has a connection left."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    connection = await asyncpg.connect(self.primary.get_uri(), timeout=10)
                    break
                except (asyncpg.TooManyConnectionsError, asyncpg.CannotConnectNowError):
                    await asyncio.sleep(0.1)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    async def restart(self) -> None:
        await asyncio.to_thread(self.primary.stop)
        await self.bring_up()

    async def crash(self) -> None:
        """Have the primary abandon everything at once."""
        pid = self.primary.get_pid()
        if pid is not None:
            os.kill(pid, signal.SIGQUIT)

        async def is_gone() -> bool:
            return self.primary.get_pid() is None

        await eventually(is_gone)

    async def bring_up(self) -> None:
        """Start the primary."""
        await asyncio.to_thread(self.primary.start)

    async def add_standby(self) -> None:
        """Make a standby of the primary anew, and have commits wait for it."""
        await asyncio.to_thread(self.standby.stop)
        folder = self._disks[1 - self._first].folder
        shutil.rmtree(folder / "postgres", ignore_errors=True)
        binaries = Binaries(self.primary.pgdata)
        if binaries.as_user():
            os.chown(folder, binaries.as_user()["user"], binaries.as_user()["group"])
        done = await asyncio.to_thread(
            subprocess.run,
            [binaries.path("pg_basebackup"), "-D", folder / "postgres", "-h", _socket_of(self.primary), "-U", "postgres",
             "-R", "-X", "stream", "-c", "fast"],
            capture_output=True, text=True, check=False, **binaries.as_user(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for left in (folder / "postgres").glob(".s.PGSQL.*"):  # the primary's socket is in its folder
            left.unlink()
        await asyncio.to_thread(self.standby.start)
        await self.ask("alter system set synchronous_standby_names = '*'")
        await self.ask("select pg_reload_conf()")
        await eventually(self.is_synchronous)

    async def is_synchronous(self) -> bool:
        """Whether the standby has all that was ever acknowledged."""
        try:
            return bool(
                await self.ask(
                    "select exists (select from pg_stat_replication where sync_state = 'sync' and flush_lsn is not null)"
                )
            )
        except (OSError, asyncpg.PostgresError):
            return False

    async def fail_over(self, *, is_read_only_for: float) -> None:
        """Lose the primary, and promote the standby, to which everybody is sent a while before it may be written to."""
        await self.lose_primary()
        await asyncio.sleep(is_read_only_for)
        await self.promote()

    async def fall_behind(self) -> None:
        """Have nobody wait for the standby any more, which hears no more of what is committed."""
        await self.ask("alter system set synchronous_standby_names = ''")
        await self.ask("select pg_reload_conf()")
        standby = await asyncpg.connect(self.standby.get_uri())
        await standby.execute("alter system set primary_conninfo = ''")
        await standby.fetchval("select pg_reload_conf()")
        await standby.close()

        async def is_alone() -> bool:
            return not await self.ask("select count(*) from pg_stat_replication")

        await eventually(is_alone)

    async def lose_primary(self, *, is_standby_in_step: bool = True) -> None:
        """Lose the primary, and send everybody to the standby, which may not be written to."""
        if is_standby_in_step:
            await eventually(self.is_synchronous)
        await self.crash()
        self._first = 1 - self._first
        self.switch.turn(_socket_of(self.primary))

    async def promote(self) -> None:
        """Let the one that was a standby be written to, without waiting for a standby of its own."""
        await self.ask("select pg_promote()")
        await self.ask("alter system set synchronous_standby_names = ''")
        await self.ask("select pg_reload_conf()")


def _socket_of(cluster: Embedded) -> str:
    return cluster.get_uri().partition("host=")[2]
