"""Copy what the portal loads and we did not write from the npm packages of `tools/assets` into the package, and make one
sprite of the icons in use. Run by `make assets`; what it writes is committed, so that nobody else needs npm.
"""

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "tools" / "assets" / "node_modules"
FOLDER = ROOT / "src" / "tidings" / "portal" / "assets" / "vendor"
FILES = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "sse.js": "htmx-ext-sse/dist/sse.min.js",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "redoc.js": "redoc/bundles/redoc.standalone.js",
}
LICENCES = ("htmx.org", "htmx-ext-sse", "uplot", "redoc", "lucide-static")
ELSEWHERE = "https://cdn.redoc.ly/redoc/logo-mini.svg"  # a picture that Redoc would load from its makers' server
ICONS = (
    "activity", "arrow-down", "arrow-left", "arrow-right", "arrow-up", "ban", "check", "chevron-down", "chevron-right",
    "circle-alert", "circle-dashed", "circle-pause", "circle-question-mark", "clock", "code", "copy", "database", "download",
    "ellipsis", "external-link", "eye", "eye-off", "info", "key-round", "layers", "layout-dashboard", "link", "loader",
    "log-out", "menu", "monitor", "moon", "pause", "pencil", "play", "plus", "radio", "refresh-cw", "rotate-ccw", "search",
    "send", "settings", "sun", "trash-2", "triangle-alert", "user", "webhook", "x", "zap",
)  # fmt: skip
_INNER = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def symbol(name: str) -> str:
    """Return an icon as a symbol of the sprite."""
    text = (PACKAGES / "lucide-static" / "icons" / f"{name}.svg").read_text()
    found = _INNER.search(text)
    if not found:
        raise SystemExit(f"{name}.svg has no drawing.")
    inner = re.sub(r"\s*\n\s*", "", found[1]).replace(" />", "/>")
    # What a symbol inherits from the <use> that shows it would do too, but viewers of the file alone see it as it is.
    return (
        f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
        f'stroke-linecap="round" stroke-linejoin="round">{inner}</symbol>'
    )


def main() -> None:
    """Write the folder anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name, source in FILES.items():
        shutil.copyfile(PACKAGES / source, FOLDER / name)
    redoc = FOLDER / "redoc.js"
    redoc.write_text(redoc.read_text().replace(ELSEWHERE, "data:,"))
    symbols = "\n".join(map(symbol, ICONS))
    (FOLDER / "icons.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg">\n{symbols}\n</svg>\n')
    texts = [f"{name}\n{'=' * len(name)}\n\n{(PACKAGES / name / 'LICENSE').read_text().strip()}\n" for name in LICENCES]
    (FOLDER / "LICENCES.txt").write_text("\n\n".join(texts))


if __name__ == "__main__":
    main()
