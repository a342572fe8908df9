"""Makes the guide, the pages that a server answers at /docs/guide, from docs/ into the package: `make site`.

A warning of Sphinx (a link that leads nowhere, a page that no list has) ends it. What stands inline in a page is moved into
files, so that the pages' policy needs no exception: scripts and styles come from the server itself, and from nowhere else.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "src" / "tidings" / "portal" / "guide"
_INLINE = re.compile(r"<(script|style)\b([^>]*)>(.*?)</\1>", re.DOTALL)
_STYLED = re.compile(r'(<(?:line|circle|path|rect|g)\b[^>]*?\s)style="([^"]*)"')
_SYMBOLS = "symbols"  # the class of the drawings that icons are taken of
# What Sphinx writes and no page asks for.
_UNUSED = (
    ".buildinfo",
    ".doctrees",
    "objects.inv",
    "_static/skeleton.css",
    "_static/styles/*.map",
    "_static/scripts/*.map",
    "_static/debug.css",
    "_static/*.png",
)


def make(place: Path) -> None:
    """Make the guide at a place, which holds nothing else afterwards.

    Raises:
        SystemExit: Sphinx warned of something.
    """
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "guide"
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs"), str(built)]
        if subprocess.run(command, check=False, env={**os.environ, "SOURCE_DATE_EPOCH": "0"}).returncode:
            sys.exit("The guide was not made: see the warnings above.")
        for pattern in _UNUSED:
            for path in built.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for page in sorted(built.rglob("*.html")):
            page.write_text(_without_inline(page.read_text(), page, built))
        with (built / "_static/styles/furo.css").open("a") as styles:
            styles.write(f".{_SYMBOLS}{{display:none}}\n")
        (built / "LICENCES.txt").write_text("".join(_licences()))
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(built, place)


def _licences() -> Iterator[str]:
    """Yield the licences of those whose styles and scripts the pages load."""
    for name in ("sphinx", "furo"):
        for path in distribution(name).files or ():
            if path.name.upper().startswith(("LICENSE", "LICENCE")):
                yield f"{name}\n\n{path.locate().read_text()}\n\n"  # type: ignore[attr-defined]


def _without_inline(text: str, page: Path, built: Path) -> str:
    """Return a page whose scripts and styles are files."""
    up = "../" * len(page.relative_to(built).parent.parts)

    def moved(found: re.Match[str]) -> str:
        kind, attributes, content = found.groups()
        if "src=" in attributes or not content.strip():
            return found[0]
        ending = "js" if kind == "script" else "css"
        name = f"_static/inline-{hashlib.sha256(content.encode()).hexdigest()[:12]}.{ending}"
        (built / name).write_text(content)
        if kind == "script":
            return f'<script src="{up}{name}"></script>'
        return f'<link rel="stylesheet" type="text/css" href="{up}{name}" />'

    text = text.replace('style="display: none;"', f'class="{_SYMBOLS}"')
    return _INLINE.sub(moved, _STYLED.sub(_as_attributes, text))


def _as_attributes(found: re.Match[str]) -> str:
    """Return a part of a drawing whose styles are attributes, which no policy forbids."""
    before, styles = found.groups()
    pairs = (style.partition(":") for style in styles.split(";") if style.strip())
    return before + " ".join(f'{name.strip()}="{value.strip()}"' for name, _, value in pairs)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else PLACE)
