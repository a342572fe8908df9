"""How Sphinx makes the guide of these pages: `make site`, or `python tools/make_guide.py`."""

import re
from pathlib import Path

from tidings import __version__

project = "Tidings"
author = "The Tidings authors"
copyright = author  # noqa: A001 - Sphinx calls it so
version = release = __version__
language = "en"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
myst_heading_anchors = 4  # links such as reference.md#api lead to headings, as on a page of a repository
nitpicky = True

html_theme = "furo"
html_title = "Tidings"
html_copy_source = False  # the pages are text enough
html_show_sourcelink = False
html_show_sphinx = False
html_baseurl = ""
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

_ROOT = Path(__file__).resolve().parents[1]
_TYPED = re.compile(r"^```console\n(?!\$ )", re.MULTILINE)
_LINK = re.compile(r"\[([^\]\n]+)\]\(([^):\s#]+)(?:#[^)\s]*)?\)")


def _leave_the_repository(app: object, page: str, source: list[str]) -> None:
    """Name folders, and files outside of docs/, instead of linking to them: they are in the repository, not in the guide."""
    here = (Path(__file__).parent / page).parent

    def named(found: re.Match[str]) -> str:
        path = (here / found[2]).resolve()
        if path.is_relative_to(_ROOT / "docs") and not path.is_dir():
            return found[0]
        name = str(path.relative_to(_ROOT))
        return found[1] if name in found[1] else f"{found[1]} (`{name}` in the repository)"

    # What is typed has no prompt before it on most pages; `console` would draw it as what a program prints.
    source[0] = _TYPED.sub("```bash\n", _LINK.sub(named, source[0]))


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _leave_the_repository)  # type: ignore[attr-defined]
