"""What the documentation names exists."""

import re
from pathlib import Path

import pytest

from tidings.config import Config
from tidings.portal.door import PAGES

ROOT = Path(__file__).parents[2]
LINKING = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")])
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_every_test_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page.read_text()))
    assert [name for name in sorted(named) if f"def {name}(" not in TESTS] == []


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name
)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    """Also from pages that the guide does not have, and to them; Sphinx looks at the others."""
    links = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text())
    lead = [(page.parent / file if file else page, heading) for file, heading in links if "://" not in file]
    assert [heading for file, heading in lead if file.suffix == ".md" and heading not in headings(file)] == []


def headings(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    texts = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def test_pages_call_the_file_of_the_secret_key_by_its_name() -> None:
    name = Config().key_file.name
    for page in ("operations", "reference"):
        text = (ROOT / "docs" / f"{page}.md").read_text()
        assert f"`{name}`" in text
        assert "`secret-key`" not in text


def test_every_screen_that_is_promised_has_its_page() -> None:
    promised = (ROOT / "docs" / "compatibility.md").read_text().partition("## The screens")[2].partition("\n## ")[0]
    addresses = {re.sub(r"\{.*?\}", "{}", one.partition("?")[0]) for one in re.findall(r"`(/[^`]*)`", promised)}
    pages = {re.sub(r"\{.*?\}", "{}", route.path) for router in PAGES for route in router.routes if "GET" in route.methods}
    assert len(addresses) > 10
    assert addresses - pages == set()
