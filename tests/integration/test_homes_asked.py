"""How a home asks another over HTTP: by TLS, byte for byte, within bounds, and nowhere else than where it was told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.engine import eventually
from tidings.core.errors import HomeAwayError, HomesDisagreeError, InvalidInputError
from tidings.transport.homes import AT_ONCE, Homes


@asynccontextmanager
async def _server(answer: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Lend the address of a server that answers everything so (None: nothing ever), and the heads that it is sent."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'http' if tls is None else 'https'}://localhost:{port}", heads
    finally:
        server.close()


@asynccontextmanager
async def _homes(address: str, **more: Any) -> AsyncIterator[Homes]:
    homes = Homes({"us": address}, **more)
    try:
        yield homes
    finally:
        await homes.close()


async def _ask(homes: Homes, target: bytes = b"/api/v1/events", headers: list[tuple[bytes, bytes]] | None = None) -> bytes:
    async with homes.asked("us", "POST", target, headers or [], b"{}") as answer:
        return await answer.whole()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def test_a_home_is_believed_by_its_certificate_alone(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authorities = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(authorities))
    async with _server(OK, context) as (address, heads):
        async with _homes(address) as homes:
            with pytest.raises(HomeAwayError, match="cannot be reached"):
                await _ask(homes)
        assert heads == [], "a stranger is told nothing"
        async with _homes(address, ca_file=authorities) as homes:
            assert await _ask(homes) == b"ok"


async def test_what_is_asked_for_is_sent_as_it_came() -> None:
    target = b"/api/v1/groups/a%252Fb/../%2e./x?y=%41&y=+&z="
    async with _server(OK) as (address, heads), _homes(address) as homes:
        assert await _ask(homes, target, [(b"x-tidings-group", b"a%2Fb")]) == b"ok"
        (head,) = heads
        assert head.startswith(b"POST " + target + b" HTTP/1.1\r\n")
        assert b"user-agent" not in head.lower(), "nothing of ours is added"
        with pytest.raises(InvalidInputError):
            await _ask(homes, headers=[(b"x", b"1\r\nX-Tidings-Group: b")])
        assert len(heads) == 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            HomeAwayError,
            "leads to somewhere",
        ),
        (b"HTTP/1.1 403 No\r\nTidings-Voucher-Refused: 1\r\nContent-Length: 0\r\n\r\n", HomesDisagreeError, "does not believe"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", HomeAwayError, "broke off"),
        (b"what?\r\n\r\n", HomeAwayError, "may have been done"),
        (b"", HomeAwayError, "may have been done"),
    ],
)
async def test_an_answer_that_is_none_is_said(answer: bytes, error: type[Exception], said: str) -> None:
    async with _server(answer) as (address, _), _homes(address) as homes:
        with pytest.raises(error, match=said):
            await _ask(homes)


async def _has(heads: list[bytes], many: int) -> bool:
    return len(heads) >= many


async def test_a_home_that_hangs_takes_its_share_and_no_more() -> None:
    async with _server(None) as (address, heads), _homes(address) as homes:
        waiting = [asyncio.create_task(_ask(homes)) for _ in range(AT_ONCE)]
        await eventually(lambda: _has(heads, AT_ONCE))
        with pytest.raises(HomeAwayError, match="wait for it already"):
            await _ask(homes)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        again = asyncio.create_task(_ask(homes))
        await eventually(lambda: _has(heads, AT_ONCE + 1))
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def test_a_home_that_cannot_be_reached_is_left_alone_for_a_moment() -> None:
    now = 0.0
    async with _server(OK) as (address, heads):
        pass
    homes = Homes({"us": address}, monotonic=lambda: now)
    with pytest.raises(HomeAwayError, match="cannot be reached; nothing was done"):
        await _ask(homes)
    with pytest.raises(HomeAwayError, match="a moment ago"):
        await _ask(homes)
    now = 1.0
    with pytest.raises(HomeAwayError, match="cannot be reached; nothing was done"):
        await _ask(homes)
    with pytest.raises(HomesDisagreeError, match="has no address here"):
        async with homes.asked("asia", "GET", b"/", []):
            raise AssertionError
    await homes.close()
    assert heads == []
