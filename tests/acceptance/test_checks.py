"""What `make check` looks at, and the tests of the TypeScript SDK, beside all others instead of before them."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.limits import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", ["checks", "sdk-tests"])
def test_a_target_of_the_makefile_passes(target: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory", target], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=5 * PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
