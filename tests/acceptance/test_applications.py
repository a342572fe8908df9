"""The small applications of examples/application: their own tests, as a stranger runs them, and what deploys them."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.acceptance.test_deploy import TOOLS, run
from tests.support.limits import PATIENCE
from tests.support.node import NODE
from tidings.config import Config

APPLICATION = Path(__file__).parents[2] / "examples" / "application"
VARIABLES = {"python/shop.py": r'os\.environ\["(\w+)"\]', "typescript/shop.mts": r"process\.env\.(\w+)"}
SOURCES = Path(__file__).parents[2] / "src"


async def own_tests_of(shop: str, database_url: str, folder: Path) -> str:
    """Run the application's tests where nothing of this repository is, and return what they print."""
    copied = shutil.copytree(APPLICATION, folder / "application", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    (copied / "typescript/shop.mjs").symlink_to(NODE / "built/copied/shop.mjs")  # by `make node`; it finds its packages there
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


@pytest.mark.parametrize("shop", ["python", "typescript"])
async def test_an_application_passes_its_own_tests(shop: str, empty_database_url: str, tmp_path: Path) -> None:
    tests = re.findall(r"^def test_", (APPLICATION / "tests/test_shop.py").read_text(), re.MULTILINE)
    assert f"{len(tests)} passed" in await own_tests_of(shop, empty_database_url, tmp_path)


def test_what_deploys_the_application_names_what_there_is() -> None:
    services = yaml.safe_load((APPLICATION / "compose.yaml").read_text())["services"]
    settings = {name.removeprefix("TIDINGS_").lower() for name in services["tidings"]["environment"]}
    assert settings <= set(Config.__struct_fields__)
    named = {name: set(re.findall(pattern, (APPLICATION / name).read_text())) for name, pattern in VARIABLES.items()}
    assert named == {name: set(services["shop"]["environment"]) for name in VARIABLES}
    wanted = set(re.findall(r"env: (\w+)", (APPLICATION / "tidings.yaml").read_text()))
    assert set(services["configure"]["environment"]) == wanted | {"TIDINGS_SERVER", "TIDINGS_KEY"}
    on = {after for service in services.values() for after in service.get("depends_on", {})}
    assert on <= set(services)


@pytest.mark.parametrize("shop", ["python", "typescript"])
def test_the_image_is_built_as_hadolint_wants_it(shop: str) -> None:
    run(TOOLS / "hadolint", APPLICATION / shop / "Dockerfile")
