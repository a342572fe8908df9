"""Makes the synchronous client of the asynchronous one, so that there is one source of both. A test holds them together."""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "tidings"
ROOMS = (SOURCE / "client", SOURCE / "receiving")
WORDS = [
    (r"httpx\.AsyncBaseTransport", "httpx.BaseTransport"),
    (r"httpx\.AsyncClient", "httpx.Client"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basync_(?=[a-z*])", "sync_"),
    (r"\basync def\b", "def"),
    (r"\bawait ", ""),
    (r"for item in items:\n +yield item", "yield from items"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"^import asyncio$", "import time"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\baclose\b", "close"),
    (r"\basynchronous (?=client|receivers|stores)", "synchronous "),
    (r"Callable\[\[Received\], Awaitable\[object\]\]", "Callable[[Received], object]"),
    (r"import Awaitable, Callable", "import Callable"),
    (
        r'^"""The asynchronous client\..*"""$',
        '"""The synchronous client."""',
    ),
]
NOTE = "# Made of `{}` by `python tools/make_sync_client.py`.\n"


def made() -> dict[Path, str]:
    """Return the modules of the synchronous client, each with its text."""
    return {source.with_name(source.name[1:]): _made_of(source) for source in sorted(_sources())}


def _sources() -> list[Path]:
    return [path for room in ROOMS for path in room.glob("async_*.py")]


def _made_of(source: Path) -> str:
    text = source.read_text()
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(source.with_name(source.name[1:]))]
    for command in (
        [*ruff, "check", "--fix", "--quiet", "--select", "I", *name, "-"],
        [*ruff, "format", "--quiet", *name, "-"],
    ):
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return NOTE.format(source.name) + text


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text)
