"""What takes long to make is made once for all processes of a run."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.limits import PATIENCE

ROOT = Path(__file__).parents[2]


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first who asks fills; the others wait for that.

    Args:
        factory: Of the run's folders.
        name: Of the folder.
        make: Fills it; it is empty then. What it raises is raised to whoever asked, and the next one tries again.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = shared / name, shared / f"{name}.made"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def build(kind: str, folder: Path, source: Path = ROOT) -> Path:
    """Build a wheel or an sdist into an empty folder, the same bytes each time, and return it."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(folder), str(source)],
        check=True, capture_output=True, timeout=PATIENCE, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
    )  # fmt: skip
    return next(folder.iterdir())


def wheel_of(factory: pytest.TempPathFactory) -> Path:
    """Return this program's wheel, alone in its folder."""
    return next(once(factory, "wheel", lambda folder: build("wheel", folder)).iterdir())
