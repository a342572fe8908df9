"""The pages of the SDKs: their examples run, from top to bottom, and those of frameworks are the examples that are run elsewhere."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.engine import Engine, engine_of
from tests.support.node import run_snippet
from tests.support.receiver import Receiver
from tests.support.serving import ApiServer
from tidings.config import Config

ROOT = Path(__file__).parents[2]
PAGES = {"python": ROOT / "docs" / "sdk-python.md", "ts": ROOT / "docs" / "sdk-typescript.md"}
BLOCK = re.compile(r"```(\w+)(?: file=(\S+))?\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    """The code of a page, each with the file it is of, or none."""
    return [(file, code) for name, file, code in BLOCK.findall(PAGES[language].read_text()) if name == language]


@pytest.fixture
async def served(config: Config, api_server: ApiServer) -> AsyncIterator[tuple[str, Engine]]:
    async with engine_of(config, running=True) as engine, api_server.serving(engine.services) as url:
        yield url, engine


async def test_the_python_page_runs(served: tuple[str, Engine], receiver: Receiver, capsys: Any) -> None:
    url, _ = served
    words = {'os.environ["TIDINGS_URL"]': repr(url), 'os.environ["TIDINGS_KEY"]': "'test'"}
    code = "\n".join(code for file, code in blocks("python") if not file)
    for word, value in words.items():
        assert word in code
        code = code.replace(word, value)
    code = code.replace("https://erp.example.com/hook", receiver.url("/hook"))
    names: dict[str, Any] = {}
    await asyncio.to_thread(exec, compile(code, "docs/sdk-python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "answered 200" in said
    assert "422 INVALID_INPUT events" in said
    request = next(one for one in receiver.received if one.headers.get("webhook-id"))
    assert names["take"](request.body, request.headers)["type"].startswith("order.")
    assert [names["route"](request.body, request.headers).status for _ in range(2)] == [204, 204]
    assert capsys.readouterr().out.count("order.") == 1
    await asyncio.to_thread(names["client"].close)


async def test_the_typescript_page_runs(served: tuple[str, Engine], receiver: Receiver) -> None:
    url, _ = served
    said = await run_snippet("copied/sdk-page.mts", TIDINGS_URL=url, TIDINGS_KEY="test", RECEIVER_URL=receiver.url("/hook"))
    assert "answered 200" in said
    assert "422 INVALID_INPUT events" in said
    assert "Two" in said


@pytest.mark.parametrize("language", PAGES)
def test_the_code_for_a_framework_is_that_of_its_example(language: str) -> None:
    named = [(file, code) for file, code in blocks(language) if file]
    assert len(named) == 3
    for file, code in named:
        assert code.strip() in (ROOT / "examples" / "receivers" / file).read_text(), file


async def test_a_server_that_is_not_there_is_said() -> None:
    from tidings import AsyncClient
    from tidings.client import ApiError

    async with AsyncClient("http://127.0.0.1:9", retries=0) as client:
        with pytest.raises(ApiError) as caught:
            await client.webhooks.list()
    assert (caught.value.status, caught.value.code) == (0, "UNREACHABLE")
    assert isinstance(caught.value.__cause__, httpx.TransportError)
