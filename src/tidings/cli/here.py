"""The database that commands work on, beside what serves: one that is there.

An empty one in its place would answer that all is well, and leave a secret key that is not the installation's.
"""

from pathlib import Path

from tidings.config import Config
from tidings.core.errors import StartupError
from tidings.store.embedded import Embedded


def expect_database(config: Config) -> None:
    """Refuse to go on where the settings name no database, and the folder of the embedded one holds none.

    Raises:
        StartupError: There is none.
    """
    if config.database_url is None and (why := why_none(config.data_dir)) is not None:
        raise StartupError(f"{why} Set TIDINGS_DATABASE_URL, or name the folder with --data-dir.")


def why_none(data_dir: Path) -> str | None:
    """Return why a folder has no embedded PostgreSQL; None: it has one."""
    folder = Embedded(data_dir).pgdata
    if (folder / "PG_VERSION").exists():
        return None
    return f"There is no database: TIDINGS_DATABASE_URL is not set, and {folder} holds no embedded PostgreSQL."
