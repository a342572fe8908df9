"""The small applications of examples/application: their own tests, as a stranger runs them, and what deploys them."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import yaml

from tests.support.limits import PATIENCE
from tidings.config import Config

APPLICATION = Path(__file__).parents[2] / "examples" / "application"
SOURCES = Path(__file__).parents[2] / "src"


async def own_tests_of(shop: str, database_url: str, folder: Path) -> str:
    """Run the application's tests where nothing of this repository is, and return what they print."""
    copied = shutil.copytree(APPLICATION, folder / "application", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TIDINGS_", "PYTEST_", "SSL_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", f"--basetemp={folder}/t",
        cwd=copied / "tests",
        env=clean | {"DATABASE_URL": database_url, "SHOP": shop, "PYTHONPATH": str(SOURCES)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 4 * PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_python_application_passes_its_own_tests(empty_database_url: str, tmp_path: Path) -> None:
    tests = re.findall(r"^def test_", (APPLICATION / "tests/test_shop.py").read_text(), re.MULTILINE)
    assert f"{len(tests)} passed" in await own_tests_of("python", empty_database_url, tmp_path)


def test_what_deploys_the_application_names_what_there_is() -> None:
    services = yaml.safe_load((APPLICATION / "compose.yaml").read_text())["services"]
    settings = {name.removeprefix("TIDINGS_").lower() for name in services["tidings"]["environment"]}
    assert settings <= set(Config.__struct_fields__)
    shop = (APPLICATION / "python/shop.py").read_text()
    assert set(services["shop"]["environment"]) == set(re.findall(r'os\.environ\["(\w+)"\]', shop))
    wanted = set(re.findall(r"env: (\w+)", (APPLICATION / "tidings.yaml").read_text()))
    assert set(services["configure"]["environment"]) == wanted | {"TIDINGS_SERVER", "TIDINGS_KEY"}
    on = {after for service in services.values() for after in service.get("depends_on", {})}
    assert on <= set(services)
