"""Measures how long a first delivery takes, from nothing, and writes it into docs/benchmarks.md: `make first-delivery`.

It does what the README says in an empty folder: makes an environment, installs the wheel with what pip fetches, and starts the
demo. Cold: pip's cache is empty. Warm: pip has fetched all of it before. Installed: the demo alone.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- made by tools/measure_first_delivery.py -->", "<!-- end of first delivery -->"


def measure() -> list[tuple[str, float, float]]:
    """Return of each run its name, the seconds that the installation took, and those until the first verified delivery."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheels = folder / "wheels"
        build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(wheels), str(ROOT)]
        subprocess.run(build, check=True, capture_output=True)
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("TIDINGS_", "PYTHON"))}
        found = f"{environ.get('PIP_FIND_LINKS', '')} {wheels}".strip()
        environ |= {"HOME": name, "PIP_CACHE_DIR": str(folder / "cache"), "PIP_FIND_LINKS": found}
        rows = []
        for run, venv in (("cold", "a"), ("warm", "b"), ("installed", "b")):
            begun = time.monotonic()
            if run != "installed":
                subprocess.run([_python(), "-m", "venv", venv], cwd=folder, env=environ, check=True)
                subprocess.run([f"{venv}/bin/pip", "install", "--quiet", "tidings[demo]"], cwd=folder, env=environ, check=True)
            installed = time.monotonic()
            rows.append((run, installed - begun, _first(folder, venv, environ) - begun))
        return rows


def _python() -> str:
    """Return the interpreter that our own environment was made of."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def _first(folder: Path, venv: str, environ: dict[str, str]) -> float:
    """Run the demo until a receiver has verified a delivery, and return when that was."""
    demo = [f"{venv}/bin/python", "-u", "-m", "tidings", "demo"]
    with subprocess.Popen(demo, cwd=folder, env={**environ, "TIDINGS_PORT": "0"}, stdout=subprocess.PIPE, text=True) as process:
        said = []
        for line in process.stdout or ():
            said.append(line)
            if line.lstrip().startswith("verified"):
                break
        else:
            sys.exit(f"The demo ended without a delivery:\n{''.join(said)}")
        at = time.monotonic()
        process.terminate()
        process.communicate()
    return at


def told(rows: list[tuple[str, float, float]]) -> str:
    """Return the rows as they stand on the page."""
    lines = ["| from | installing | to the first verified delivery |", "|---|---|---|"]
    words = {
        "cold": "nothing, with an empty pip cache",
        "warm": "nothing, with what pip fetched before",
        "installed": "an installation: `tidings demo` alone",
    }
    lines += [
        f"| {words[name]} | {f'{install:.1f} s' if install > 0.1 else '–'} | {whole:.1f} s |" for name, install, whole in rows
    ]
    when = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return "\n".join([*lines, "", f"Measured {when}, by `make first-delivery`."])


if __name__ == "__main__":
    table = told(measure())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}")
    sys.stdout.write(f"{table}\n")
