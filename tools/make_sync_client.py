"""Makes the synchronous client of the asynchronous one, so that there is one source of both. A test holds them together."""

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "src" / "tidings" / "client"
MODULES = ("requests", "client")
WORDS = [
    (r"httpx\.AsyncBaseTransport", "httpx.BaseTransport"),
    (r"httpx\.AsyncClient", "httpx.Client"),
    (r"\bAsync(Client|Requests|Webhooks|Deliveries|Recoveries|Events)\b", r"\1"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\basync def\b", "def"),
    (r"\bawait ", ""),
    (r"for item in page\.items:\n +yield item", "yield from page.items"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"^import asyncio$", "import time"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\baclose\b", "close"),
    (r"\basync_requests\b", "sync_requests"),
    (
        r'^"""Requests to one server, asynchronously: (.*)"""$',
        r'"""Made of `async_requests.py` by `python tools/make_sync_client.py`."""',
    ),
    (r'^"""The asynchronous client.*"""$', '"""Made of `async_client.py` by `python tools/make_sync_client.py`."""'),
]


def made(module: str) -> str:
    """Return the text of a module of the synchronous client."""
    text = (CLIENT / f"async_{module}.py").read_text()
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(CLIENT / f"sync_{module}.py")]
    for command in (
        [*ruff, "check", "--fix", "--quiet", "--select", "I", *name, "-"],
        [*ruff, "format", "--quiet", *name, "-"],
    ):
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    for module in MODULES:
        (CLIENT / f"sync_{module}.py").write_text(made(module))
