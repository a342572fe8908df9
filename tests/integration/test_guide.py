"""The guide: it is made without a warning, its pages say what the code does, and a server shows them to everybody."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from tests.support.engine import engine_of
from tests.support.limits import PATIENCE
from tests.support.once import once
from tidings import __version__
from tidings.api.server import create_app
from tidings.config import Config
from tidings.portal.door import Portal
from tidings.portal.pages.guide import Guide

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"
INLINE = re.compile(r"<(?:script|style)\b(?![^>]*\bsrc=)[^>]*>\s*\S|<[^>]*\s(?:on\w+|style)=[\"']|=[\"']javascript:")
FROM_ELSEWHERE = re.compile(r"""<(?:script|img|iframe)[^>]*src=["'](?:https?:)?//|<link[^>]*href=["'](?:https?:)?//""")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide as `make site` makes it."""

    def make(place: Path) -> None:
        done = subprocess.run(
            [sys.executable, str(TOOLS / "make_guide.py"), str(place)], capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return once(tmp_path_factory, "guide", make)


@asynccontextmanager
async def visiting(config: Config, folder: Path) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """Somebody without a key, at a server that shows the guide in a folder."""
    async with engine_of(config) as engine:
        app = create_app(engine.services, version=__version__, plugins=[Portal(folder)])
        async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
            client.follow_redirects = False
            yield client


def test_the_pages_that_are_made_of_the_code_say_what_it_does() -> None:
    done = subprocess.run(
        [sys.executable, str(TOOLS / "make_reference.py"), "--check"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


def test_no_page_needs_an_exception_of_the_policy_or_anything_from_elsewhere(folder: Path) -> None:
    pages = {path.relative_to(folder): path.read_text() for path in folder.rglob("*.html")}
    assert len(pages) > 40
    assert [str(name) for name, text in pages.items() if INLINE.search(text) or FROM_ELSEWHERE.search(text)] == []
    styles = "\n".join(path.read_text() for path in folder.rglob("*.css"))
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']+", styles) == []


def test_every_link_between_pages_leads_somewhere(folder: Path) -> None:
    lost = [
        f"{page.name}: {link}"
        for page in folder.rglob("*.html")
        for link in re.findall(r"(?:href|src)=\"([^\"#?]+)", page.read_text())
        if "://" not in link and not link.startswith(("data:", "mailto:")) and not (page.parent / link).exists()
    ]
    assert lost == []


def test_the_guide_is_small_and_all_of_it_is_shown(folder: Path) -> None:
    guide = Guide(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {str(path.relative_to(folder)) for path in files} == guide.names
    assert sum(len(guide.file(name).packed) for name in guide.names) < 2_000_000


async def test_a_server_shows_it_without_a_key(config: Config, folder: Path) -> None:
    async with visiting(config, folder) as client:
        begun = await client.get("/docs/guide")
        assert begun.headers["location"] == "/docs/guide/index.html"
        page = await client.get("/docs/guide/index.html")
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        again = await client.get("/docs/guide/index.html", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for loaded in re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"([^\"#]+)\"", page.text):
            answer = await client.get(f"/docs/guide/{loaded}")
            assert answer.status_code == 200, loaded
        search = await client.get("/docs/guide/search.html?q=secret")
        assert search.status_code == 200
        for path in ("nothing.html", "..%2fpages/guide.py", "%2e%2e/door.py", "_static"):
            assert (await client.get(f"/docs/guide/{path}")).status_code == 404, path


async def test_a_package_without_it_says_how_it_is_made(config: Config, tmp_path: Path) -> None:
    async with visiting(config, tmp_path) as client:
        missed = await client.get("/docs/guide/index.html")
    assert missed.status_code == 404
    assert "make site" in missed.text
