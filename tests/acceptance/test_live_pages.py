"""Pages that are live do not hold up a server that is told to stop."""

import re

import httpx

from tests.support.limits import PATIENCE
from tests.support.process import Process

HTML = {"Accept": "text/html"}


async def test_a_server_that_stops_ends_its_streams_itself(database_url: str) -> None:
    """A stream that were cut off instead would end without its last chunk, which httpx raises for."""
    process = await Process.start("serve", port=0, database_url=database_url, admin_key="test")
    try:
        url = process.ready["url"]
        async with httpx.AsyncClient(base_url=url, headers=HTML, timeout=PATIENCE) as client:
            form = await client.get("/sign-in")
            csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', form.text)
            assert csrf
            await client.post("/sign-in", data={"csrf": csrf[1], "key": "test"}, headers={"Origin": url})
            async with client.stream("GET", "/live?of=changes") as response:
                assert response.status_code == 200
                lines = response.aiter_lines()
                assert await anext(lines) == "retry: 2000"
                code = await process.stop()
                assert [line async for line in lines if line and not line.startswith(":")] == []
        assert code == 0
    finally:
        await process.kill()
